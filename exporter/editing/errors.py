"""What can go wrong with a decision; a leaf of the tree in ``exporter/errors.py``."""

from exporter.errors import ExporterError


class EditError(ExporterError):
    """The decision does not fit the artifact, or there is none to take back."""
