"""protohead offline: a trained classifier in, a verified artifact out.

>>> import exporter
>>> config = exporter.ExportConfig(
...     model="classifier.onnx", data="train", out="artifact", preprocessing="imagenet"
... )
>>> artifact = exporter.export(config)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from exporter.config import ExportConfig, Form
from exporter.errors import ExporterError

if TYPE_CHECKING:
    from exporter.pipelines.convert import convert
    from exporter.pipelines.edit import edit, undo_edit
    from exporter.pipelines.inspect import inspect_model
    from exporter.pipelines.options import export
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


# Looked up on first use: the base install runs `protohead explain` without the export extra, and
# importing cvxpy takes a second.
_WHERE = {
    "convert": "exporter.pipelines.convert",
    "edit": "exporter.pipelines.edit",
    "export": "exporter.pipelines.options",
    "inspect_model": "exporter.pipelines.inspect",
    "quantize": "exporter.pipelines.quantize",
    "undo_edit": "exporter.pipelines.edit",
    "verify": "exporter.verification.run",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]
