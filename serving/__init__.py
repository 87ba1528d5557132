"""protohead online: an artifact in, predictions with explanations out. Never imports torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from serving.artifact import Artifact, Manifest, Preprocessing, load_artifact
from serving.errors import ArtifactError

if TYPE_CHECKING:
    from serving.face import Explanation, Predictor

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
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("serving.face"), name)


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
