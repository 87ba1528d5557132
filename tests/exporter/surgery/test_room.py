"""What cannot be extended is refused before the work."""

from dataclasses import replace

import numpy as np
import pytest
from chain_forms import FORMS
from graphs import GEMM, POOLED, classifier

from exporter.errors import SurgeryError
from exporter.head import find_head
from exporter.surgery import require_room

PLAIN = f"{POOLED} {GEMM}"


def test_prototypes_beyond_one_file_are_refused_with_both_sizes() -> None:
    model = classifier(PLAIN)
    head = find_head(model)
    # 100,000 classes of 2048 channels, as one zero.
    large = replace(head, weight=np.broadcast_to(np.zeros(1), (100_000, 2048)))
    require_room(model, large, prototypes=2)
    message = r"at most 2 GiB .* 0.00 GiB of weights and 2.29 GiB for 100000 x 3 prototypes of 2048"
    with pytest.raises(SurgeryError, match=message):
        require_room(model, large, prototypes=3)


@pytest.mark.parametrize(
    ("form", "stored"),
    [
        ("maximum", True),
        ("a class token over two blocks", True),
        ("attention pooling by a stored query", False),
    ],
)
def test_the_rows_of_the_classes_take_room_where_the_graph_holds_them(
    form: str, *, stored: bool
) -> None:
    model = classifier(FORMS[form].tail, FORMS[form].stored)
    head = find_head(model)
    assert head.chain is not None
    channels = head.weight.shape[1]
    classes = 2**31 // (4 * (channels + head.chain.size))  # with their rows just too many
    large = replace(head, weight=np.broadcast_to(np.zeros(1), (classes, channels)))
    if not stored:
        return require_room(model, large)
    with pytest.raises(SurgeryError, match="at most 2 GiB"):
        require_room(model, large)
    return None


@pytest.mark.parametrize(("opset", "ir_version"), [(10, 5), (17, 3)])
def test_an_old_graph_is_refused(opset: int, ir_version: int) -> None:
    model = classifier(PLAIN, opset=opset, ir_version=ir_version)
    with pytest.raises(SurgeryError, match=r"expected (opset 11|IR version 4) or newer"):
        require_room(model, find_head(model))
