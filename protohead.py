"""protohead in Python under one name: what `exporter` makes and `serving` runs.

>>> import protohead
>>> protohead.export("classifier.onnx", data="train", out="artifact")  # doctest: +SKIP
>>> protohead.Predictor("artifact").explain("bird.jpg").show()  # doctest: +SKIP

``python -m protohead`` is the command line.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter import (
        ExportConfig,
        ExporterError,
        Form,
        convert,
        edit,
        export,
        inspect_model,
        quantize,
        undo_edit,
        verify,
    )
    from serving import (
        Artifact,
        ArtifactError,
        Explanation,
        Manifest,
        Predictor,
        Preprocessing,
        load_artifact,
    )

__all__ = [
    "Artifact",
    "ArtifactError",
    "Explanation",
    "ExportConfig",
    "ExporterError",
    "Form",
    "Manifest",
    "Predictor",
    "Preprocessing",
    "convert",
    "edit",
    "export",
    "inspect_model",
    "load_artifact",
    "quantize",
    "undo_edit",
    "verify",
]


def __getattr__(name: str) -> Any:
    # Looked up on first use, so that importing this costs nothing.
    if name in __all__:
        for package in map(import_module, ("serving", "exporter")):
            if name in package.__all__:
                return getattr(package, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]


if __name__ == "__main__":
    from exporter.cli import main

    main()
