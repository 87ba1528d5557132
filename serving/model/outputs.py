"""The raw outputs of the explained graph, the bias, and what turns logits into probabilities.

Symbols: b images, c classes, t explained classes, k prototypes, h×w grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from serving.artifact import MODEL, PROTOTYPES, Artifact, Manifest
from serving.errors import IntegrityError
from serving.model.runtime import Session

UNPLACED, ROUNDING = "unplaced", "rounding"
_ALWAYS = ("contributions", "common", "class_ids", "heatmaps")


@dataclass(frozen=True)
class Outputs:
    """The raw outputs of the explained graph.

    Attributes:
        source: The source model's own outputs by name.
        logits: (b, c) float32.
        contributions: (b, t, k) float32, logit units.
        common: (b, 1) float32, logit units.
        class_ids: (b, t) int64.
        heatmaps: (b, t, k, h, w) float32, logit units.
        unplaced: (b, t) float32, logit units, what comes from no place of the picture; zeros where
            the graph has no such output.
        rounding: (b, t) float32, logit units, what a quantised head adds by rounding; zeros where
            the graph has no such output.
    """

    source: dict[str, NDArray[np.float32]]
    logits: NDArray[np.float32]
    contributions: NDArray[np.float32]
    common: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    heatmaps: NDArray[np.float32]
    unplaced: NDArray[np.float32]
    rounding: NDArray[np.float32]

    def by_name(self, manifest: Manifest) -> dict[str, NDArray[Any]]:
        """Every output under its name in the graph."""
        values = {name: getattr(self, field) for name, field in added_names(manifest).items()}
        return {**self.source, **values}


def added_names(manifest: Manifest) -> dict[str, str]:
    """What the explained graph gives beside the source's own: names there, and of :class:`Outputs`.

    Args:
        manifest: What the artifact says of itself.
    """
    given = {UNPLACED: manifest.head.unplaced, ROUNDING: manifest.head.rounding}
    names = (*_ALWAYS, *(name for name, there in given.items() if there))
    return {manifest.prefix + name: name for name in names}


def explained_shapes(manifest: Manifest, images: int) -> dict[str, tuple[int, ...]]:
    """The shapes that a manifest promises of the outputs of ``model.onnx``, by name.

    Args:
        manifest: What the artifact says of itself.
        images: b.
    """
    count, k = len(manifest.classes), manifest.prototypes
    top = min(manifest.top, count)
    added = {
        "contributions": (images, top, k),
        "common": (images, 1),
        "class_ids": (images, top),
        "heatmaps": (images, top, k, *manifest.head.grid),
        UNPLACED: (images, top),
        ROUNDING: (images, top),
    }
    return {
        manifest.head.logits: (images, *manifest.logits_shape),
        **{name: added[field] for name, field in added_names(manifest).items()},
    }


def require_outputs(session: Session, manifest: Manifest) -> None:
    """Hold what a manifest promises of the outputs to what ``model.onnx`` declares of them.

    Args:
        session: Of ``model.onnx``.
        manifest: What the artifact says of itself.

    Raises:
        IntegrityError: An output is missing or has another shape.
    """
    declared = {output.name: output.shape for output in session.get_outputs()}
    for name, shape in explained_shapes(manifest, images=1).items():
        if name not in declared:
            raise IntegrityError(f"{MODEL}: expected an output {name!r}, found none.")
        # Not the batch, nor the grid, which `verify` judges; a size that is no number is open.
        pairs = zip(shape[1:3], declared[name][1:3], strict=False)
        differs = any(isinstance(size, int) and size != wanted for wanted, size in pairs)
        if differs or len(declared[name]) != len(shape):
            raise IntegrityError(
                f"{MODEL}: expected the output {name!r} of shape {('batch', *shape[1:])} by the "
                f"manifest, found {tuple(declared[name])}."
            )


def activate(logits: NDArray[np.float32], activation: str) -> NDArray[np.float64]:
    """Probabilities of logits (..., c): softmax over the last axis, or sigmoid of each."""
    values = logits.astype(np.float64)
    if activation == "sigmoid":
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values))  # the form that cannot overflow
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def read_bias(artifact: Artifact) -> NDArray[np.float32]:
    """The head's bias of an artifact: (c,) float32, logit units.

    Raises:
        IntegrityError: ``prototypes.safetensors`` does not hold it.
    """
    path = artifact.path(PROTOTYPES)
    count = len(artifact.manifest.classes)
    try:
        bias = load_file(path)["bias"]
    except (SafetensorError, KeyError) as error:
        raise IntegrityError(f"{path}: expected a safetensors file with a bias: {error}") from error
    if bias.shape != (count,) or bias.dtype != np.float32:
        raise IntegrityError(
            f"{path}: expected a bias of shape ({count},) in float32, got {bias.shape} in "
            f"{bias.dtype}."
        )
    return np.asarray(bias)
