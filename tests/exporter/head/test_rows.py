"""What is taken out of the head rows before they are split, and how the parts are rounded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import GEMM, POOLED, classifier

from exporter.config import Reference
from exporter.errors import SourceError
from exporter.head import Head, find_head
from exporter.head.rows import round_exactly, split_reference


def head(activation: str = "none") -> Head:
    return replace(find_head(classifier(f"{POOLED} {GEMM}")), activation=activation)


@pytest.mark.parametrize(
    ("behind", "multilabel", "activation", "reference"),
    [
        ("none", False, "softmax", "mean"),
        ("softmax", False, "softmax", "mean"),
        ("none", True, "sigmoid", "none"),
        ("sigmoid", False, "sigmoid", "none"),
        ("sigmoid", True, "sigmoid", "none"),
    ],
)
def test_the_mean_row_is_taken_out_where_a_softmax_forgets_it(
    behind: str, multilabel: bool, activation: str, reference: str
) -> None:
    rows = split_reference(head(behind), None, multilabel=multilabel)
    assert (rows.activation, rows.name) == (activation, reference)
    assert rows.reference.any() == (reference == "mean")


@pytest.mark.parametrize("wanted", ["mean", "none"])
def test_rows_and_reference_sum_to_the_head(wanted: Reference) -> None:
    rows = split_reference(head(), wanted, multilabel=False)
    assert rows.reference.dtype == np.float32
    weight = head().weight
    # One subtraction in float64.
    np.testing.assert_allclose(rows.rows + rows.reference, weight, rtol=0, atol=1e-15)
    # What the rounding of the mean to float32 leaves.
    if wanted == "mean":
        np.testing.assert_allclose(rows.rows.mean(axis=0), 0, atol=1e-7)


def test_multilabel_is_refused_where_the_graph_ends_in_a_softmax() -> None:
    with pytest.raises(SourceError, match="this graph ends in a Softmax"):
        split_reference(head("softmax"), None, multilabel=True)


@pytest.mark.parametrize(("behind", "multilabel"), [("sigmoid", False), ("none", True)])
def test_a_mean_reference_is_refused_with_a_sigmoid(behind: str, multilabel: bool) -> None:
    with pytest.raises(SourceError, match="a sigmoid does not forget"):
        split_reference(head(behind), "mean", multilabel=multilabel)


def test_rounded_prototypes_sum_to_the_row_but_for_one_rounding_of_the_last() -> None:
    random = np.random.default_rng(0)
    prototypes = random.normal(size=(16, 1000))
    row = prototypes.sum(axis=0)
    rounded = round_exactly(prototypes, row)
    assert rounded.dtype == np.float32
    left = np.abs(rounded.sum(axis=0, dtype=np.float64) - row)
    assert (left <= np.spacing(np.abs(rounded[-1])) / 2 + 1e-14).all()
    # Fifteen roundings that nothing takes up would leave more.
    loose = np.abs(prototypes.astype(np.float32).sum(axis=0, dtype=np.float64) - row)
    assert loose.mean() > 2 * left.mean()


def alone(activation: str) -> Head:
    """A head of one class."""
    whole = head(activation)
    return replace(whole, weight=whole.weight[:1], bias=whole.bias[:1])


@pytest.mark.parametrize("activation", ["none", "sigmoid"])
def test_one_logit_is_read_through_a_sigmoid_and_split_whole(activation: str) -> None:
    rows = split_reference(alone(activation), None, multilabel=False)
    assert (rows.activation, rows.name) == ("sigmoid", "none")
    assert rows.rows.any()


def test_a_softmax_of_one_logit_is_refused() -> None:
    with pytest.raises(SourceError, match="expected two logits or more before a Softmax"):
        split_reference(alone("softmax"), None, multilabel=False)
