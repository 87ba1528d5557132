"""protohead online: an artifact in, predictions with explanations out. Never imports torch."""

from serving.artifact import Artifact, Manifest, Preprocessing, load_artifact
from serving.errors import ArtifactError
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
