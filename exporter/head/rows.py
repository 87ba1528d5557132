"""The part of the head that says nothing about the class, told apart before the split.

Adding one vector to every head row changes every logit of an image by the same amount, which a
softmax forgets. The mean row is such a part; v - mean is split into prototypes and the mean's
share of every logit is reported once, as ``common``. A sigmoid forgets nothing, so there every
row is split whole. docs/notebook.md has the measurements.

Symbols: c classes, k prototypes, d channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from exporter.config import Reference
from exporter.errors import SourceError
from exporter.head import Head

Activation = Literal["softmax", "sigmoid"]


@dataclass(frozen=True)
class HeadRows:
    """The head, split into what is common to all classes and what tells them apart.

    Attributes:
        rows: (c, d) float64, head row minus reference.
        reference: (d,) float32, zero without a reference.
        name: How the reference was chosen.
        activation: What turns the logits into probabilities.
    """

    rows: NDArray[np.float64]
    reference: NDArray[np.float32]
    name: Reference
    activation: Activation


def split_reference(head: Head, wanted: Reference | None, *, multilabel: bool) -> HeadRows:
    """Take the reference out of every head row.

    Args:
        head: The head; a Softmax or Sigmoid behind its logits decides the activation, and one logit
            is read through a sigmoid.
        wanted: The reference asked for, or None for the one that fits the activation.
        multilabel: The logits are read through a sigmoid that the graph does not hold.

    Returns:
        The rows to be split.

    Raises:
        SourceError: A mean reference was asked for with a sigmoid, or ``multilabel`` contradicts
            the graph; or a Softmax is over one logit.
    """
    if multilabel and head.activation == "softmax":
        raise SourceError(
            "`multilabel`: expected logits that are read through a sigmoid, this graph ends in a "
            "Softmax. Leave the option out."
        )
    alone = len(head.weight) == 1
    if alone and head.activation == "softmax":
        raise SourceError(
            "expected two logits or more before a Softmax, this graph has one, of which it always "
            "makes 1. Export the model with a Sigmoid, or without an activation."
        )
    read_alone = multilabel or head.activation == "sigmoid" or alone
    activation: Activation = "sigmoid" if read_alone else "softmax"
    if wanted == "mean" and activation == "sigmoid":
        raise SourceError(
            "`reference` mean: a sigmoid does not forget what is common to all classes. "
            "Choose none, or leave the option out."
        )
    name: Reference = wanted or ("mean" if activation == "softmax" else "none")
    reference = np.zeros(head.weight.shape[1], dtype=np.float32)
    if name == "mean":
        reference = head.weight.mean(axis=0).astype(np.float32)
    return HeadRows(head.weight - reference, reference, name, activation)


def round_exactly(prototypes: NDArray[np.float64], row: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round prototypes to float32 so that their sum is the row to half a unit in the last place.

    Args:
        prototypes: (k, d) that sum to ``row``.
        row: (d,).

    Returns:
        (k, d) float32; the last one takes up the rounding of the others.
    """
    rounded = prototypes.astype(np.float32)
    rounded[-1] = row - rounded[:-1].sum(axis=0, dtype=np.float64)
    return rounded
