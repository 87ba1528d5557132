"""What can go wrong while exporting, as one tree.

ExporterError
├── SourceError         the model cannot be read, or cannot become an ONNX graph
├── HeadError           the graph has no linear head on a globally pooled feature map
├── DatasetError        the image folders do not fit the model or its labels
├── DecompositionError  the mathematics cannot be carried out on these features
├── SurgeryError        the outputs cannot be added to this graph
├── OutputError         the output folder is in the way, full, or of another export
├── VerificationError   the artifact does not keep a promise
├── EditError           a decision about prototypes does not fit the artifact
├── TransferError       an artifact cannot be pulled from an address, or pushed to it
│   ├── MissingFileError  there is no such file
│   └── UnreachableError  it cannot be reached now; trying again may help
├── SignatureError      an artifact cannot be signed with this key
├── OptionError         an option given from Python is unknown or out of range
└── MissingExtraError   an optional package that this step needs is not installed

Every message says what was expected, what was found, where, and what to do. The command line
shows it as one line and exits with 1.
"""


class ExporterError(Exception):
    """Base of every expected failure of the exporter."""


class SourceError(ExporterError):
    """The model cannot be read, or cannot be turned into an ONNX graph."""


class HeadError(ExporterError):
    """The logits do not come from a linear head on a globally pooled feature map."""


class DatasetError(ExporterError):
    """The image folders do not fit the model or its labels."""


class DecompositionError(ExporterError):
    """The head of a class cannot be decomposed on these features."""


class SurgeryError(ExporterError):
    """The prototype outputs cannot be added to this graph."""


class OutputError(ExporterError):
    """The output folder cannot be written, or belongs to another export."""


class VerificationError(ExporterError):
    """The artifact does not keep a promise; it was not put in place."""


class EditError(ExporterError):
    """A decision about prototypes does not fit the artifact, or there is none to take back."""


class TransferError(ExporterError):
    """An artifact cannot be pulled from an address, or pushed to it."""


class MissingFileError(TransferError):
    """There is no such file at the address."""


class UnreachableError(TransferError):
    """The address cannot be reached, or broke off; trying again may help."""


class SignatureError(ExporterError):
    """An artifact cannot be signed with this key or certificate."""


class OptionError(ExporterError):
    """An option given from Python is unknown or out of range."""


class MissingExtraError(ExporterError):
    """An optional package that this step needs is not installed."""
