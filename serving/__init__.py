"""protohead online: an artifact in, predictions with explanations out. Never imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.artifact import Artifact, Manifest, Preprocessing, load_artifact
from serving.errors import ArtifactError
from serving.model.explanation import Explanation

if TYPE_CHECKING:
    from serving.model.predictor import Predictor

__all__ = [
    "Artifact",
    "ArtifactError",
    "Explanation",
    "Manifest",
    "Predictor",
    "Preprocessing",
    "load_artifact",
]


def __getattr__(name: str) -> Any:
    # Looked up on first use: it needs onnxruntime, and the command line must be able to say so in
    # one line when that is missing.
    if name == "Predictor":
        from serving.model.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
