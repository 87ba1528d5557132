"""An artifact for a host of models: read, checked, written in its form, put in place."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Literal

from exporter.errors import OutputError
from exporter.writing.folder import new_folder
from serving.artifact import Artifact, load_artifact

Host = Literal["bentoml", "mlflow", "triton"]
# What all hosts take, BentoML's tags being the narrowest.
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


def package(artifact: Path | str, host: Host, out: Path | str, *, name: str | None = None) -> None:
    """Write an artifact in the form of a host, or nothing.

    Args:
        artifact: The artifact; it is not changed.
        host: Whose form.
        out: The folder that appears, whole; nothing is there yet.
        name: Of the model there; by default that of the source model.

    Raises:
        ArtifactError: The artifact is damaged.
        OutputError: The name is none, or ``out`` cannot be written.
    """
    found = load_artifact(Path(artifact))
    if name is not None and not _NAME.fullmatch(name):
        raise OutputError(
            f"`name`: expected lower-case letters, digits and .-_ between them, at most 63, got "
            f"{name[:80]!r}."
        )
    # Only the host that is asked for: each needs packages of its own.
    writer = importlib.import_module(f"exporter.packaging.{host}")
    with new_folder(Path(out)) as folder:
        writer.write(found, folder, name or _name_of(found))


def _name_of(artifact: Artifact) -> str:
    stem = Path(artifact.manifest.source.file).stem.lower()
    return re.sub(r"[^a-z0-9._-]+", "-", stem)[:63].strip("._-") or "model"
