"""What cannot be extended is refused before the work."""

from dataclasses import replace

import numpy as np
import pytest
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


@pytest.mark.parametrize(("opset", "ir_version"), [(10, 5), (17, 3)])
def test_an_old_graph_is_refused(opset: int, ir_version: int) -> None:
    model = classifier(PLAIN, opset=opset, ir_version=ir_version)
    with pytest.raises(SurgeryError, match=r"expected (opset 11|IR version 4) or newer"):
        require_room(model, find_head(model))
