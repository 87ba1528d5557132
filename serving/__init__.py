"""protohead online: an artifact in, predictions with explanations out. Never imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.artifact import Artifact, Manifest, Preprocessing, load_artifact
from serving.errors import ArtifactError

if TYPE_CHECKING:
    from serving.predictor import Explanation, Predictor

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
    # Looked up on first use: these need onnxruntime, and the command line must be able to say so
    # in one line when it is missing.
    if name in ("Explanation", "Predictor"):
        from serving import predictor

        return getattr(predictor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
