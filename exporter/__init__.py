"""protohead offline: a trained classifier in, a verified artifact out.

>>> import exporter
>>> config = exporter.ExportConfig(
...     model="classifier.onnx", data="train", out="artifact", preprocessing="imagenet"
... )
>>> artifact = exporter.export(config)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exporter.config import ExportConfig, Form
from exporter.errors import ExporterError

if TYPE_CHECKING:
    from exporter.pipelines.convert import convert
    from exporter.pipelines.edit import edit, undo_edit
    from exporter.pipelines.export import export
    from exporter.pipelines.inspect import inspect_model
    from exporter.pipelines.quantize import quantize
    from exporter.verification.run import verify

__all__ = [
    "ExportConfig",
    "ExporterError",
    "Form",
    "convert",
    "edit",
    "export",
    "inspect_model",
    "quantize",
    "undo_edit",
    "verify",
]


def __getattr__(name: str) -> Any:
    # Looked up on first use: the base install runs `protohead explain` without the export extra,
    # and importing cvxpy takes a second.
    if name == "export":
        from exporter.pipelines.export import export

        return export
    if name == "convert":
        from exporter.pipelines.convert import convert

        return convert
    if name in ("edit", "undo_edit"):
        from exporter.pipelines import edit

        return getattr(edit, name)
    if name == "inspect_model":
        from exporter.pipelines.inspect import inspect_model

        return inspect_model
    if name == "quantize":
        from exporter.pipelines.quantize import quantize

        return quantize
    if name == "verify":
        from exporter.verification.run import verify

        return verify
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
