"""ONNX's own evaluator, the second opinion on what a graph computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator


def by_reference(
    model: onnx.ModelProto,
    feeds: Mapping[str, NDArray[np.generic]],
    names: Sequence[str] | None = None,
) -> list[NDArray[np.generic]]:
    """The outputs of a graph, all or those named; each of them finite."""
    # On some processors OpenBLAS leaves the flag of an invalid operation behind products of finite
    # float32 whose values are right, and numpy warns of it: the values are looked at instead.
    with np.errstate(invalid="ignore"):
        found = ReferenceEvaluator(model).run(None if names is None else list(names), dict(feeds))
    for value in found:
        assert np.isfinite(value).all()
    return found
