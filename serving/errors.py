"""What can go wrong while reading or running an artifact, as one tree.

ArtifactError
├── ManifestError    manifest.json is missing, malformed, or of another format version
├── IntegrityError   a file is missing, changed, or would leave the artifact's folder
├── ImageError       the bytes are not an image that can be decoded, or it is too large
├── RequestError     a class or prototype was asked for that the artifact does not have
├── InferenceError   onnxruntime fails on an input
├── RuntimeSetupError  a package is missing, or onnxruntime installed twice or without the provider
└── SettingsError    a setting of the server is unknown or out of range

Every message says what was expected, what was found, where, and what to do.
"""


class ArtifactError(Exception):
    """Base of every expected failure of reading or running an artifact."""


class ManifestError(ArtifactError):
    """``manifest.json`` is missing, malformed, or of a format version not known here."""


class IntegrityError(ArtifactError):
    """A file of the artifact is missing, changed, or lies outside its folder."""


class ImageError(ArtifactError):
    """The bytes are not an image that can be decoded within the limits."""


class RequestError(ArtifactError):
    """A class or prototype was asked for that the artifact does not have."""


class InferenceError(ArtifactError):
    """onnxruntime fails on an input, or the graph lacks an output."""


class RuntimeSetupError(ArtifactError):
    """A package is missing, or onnxruntime is installed twice or lacks the provider asked for."""


class SettingsError(ArtifactError):
    """A setting of the server is unknown or out of range, or its file cannot be read."""
