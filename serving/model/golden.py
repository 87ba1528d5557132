"""The golden batch: inputs with every output, so that another runtime can test itself.

One reader and one tolerance, for the exporter that verifies, the server that starts and
``docs/format.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from serving.artifact import GOLDEN, Artifact
from serving.errors import IntegrityError

GOLDEN_TOLERANCE = 1e-4
"""Of the largest value of an output: another machine may round differently, not answer differently.

float32 rounding through a deep network stays near 1e-6 to 1e-5 of it."""

_INPUTS, _OUTPUTS = "inputs/", "outputs/"


@dataclass(frozen=True)
class Golden:
    """What ``golden.npz`` holds.

    Attributes:
        inputs: The input tensors, (b, ...) float32.
        outputs: Every output of ``model.onnx`` by name, as recorded.
    """

    inputs: NDArray[np.float32]
    outputs: dict[str, NDArray[Any]]


def read_golden(artifact: Artifact) -> Golden:
    """Read an artifact's golden batch.

    Raises:
        IntegrityError: It is no such file, or lacks the inputs or the logits.
    """
    manifest, path = artifact.manifest, artifact.path(GOLDEN)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            inputs = arrays[_INPUTS + manifest.input.name]
            outputs = {
                name.removeprefix(_OUTPUTS): arrays[name]
                for name in arrays.files
                if name.startswith(_OUTPUTS)
            }
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise IntegrityError(f"{path}: expected golden inputs and outputs: {error}.") from error
    if manifest.head.logits not in outputs:
        raise IntegrityError(f"{path}: expected the logits in it, found none.")
    return Golden(inputs, outputs)


def golden_arrays(
    name: str, inputs: NDArray[np.float32], outputs: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """The arrays of ``golden.npz``, for the input of this name."""
    return {_OUTPUTS + output: value for output, value in outputs.items()} | {
        _INPUTS + name: inputs
    }


def golden_error(found: Mapping[str, NDArray[Any]], recorded: Mapping[str, NDArray[Any]]) -> float:
    """How far outputs are from those recorded.

    Args:
        found: Outputs by name.
        recorded: Those of the golden batch, of the same names.

    Returns:
        The largest difference over the largest value of its output; NaN where a value is none, and
        infinite where a shape is another.
    """
    worst = 0.0
    for name, expected in recorded.items():
        if found[name].shape != expected.shape:
            return float("inf")
        scale = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
        error = float(np.abs(found[name] - expected).max()) / scale
        worst = float(np.maximum(worst, error))  # unlike max, NaN stays
    return worst
