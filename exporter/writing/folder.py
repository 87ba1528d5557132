"""A folder that appears whole or not at all, where nothing was before."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.errors import OutputError
from exporter.writing.atomic import sync, writing
from exporter.writing.ownership import files_below
from exporter.writing.work import named
from serving.artifact import MANIFEST_HASH, Artifact


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """An empty folder beside ``out`` that becomes it, whole, if nothing goes wrong inside.

    Args:
        out: Where it appears; nothing is there yet, or an empty folder.

    Raises:
        OutputError: Something is in the way, or it cannot be written.
    """
    out = named(out)
    with writing(out):
        if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
            raise OutputError(
                f"{out}: expected a new folder, something is there already. Choose another `out`; "
                "nothing was changed."
            )
        out.parent.mkdir(parents=True, exist_ok=True)
        made = out.with_name(f"{out.name}.{os.getpid()}.tmp")
        made.mkdir()
        try:
            yield made
            for name in files_below(made):
                sync(made / name)
            made.rename(out)
            sync(out.parent)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def copy_artifact(artifact: Artifact, folder: Path) -> None:
    """Copy the files of an artifact, and no others that may lie among them, into a new folder."""
    for name in sorted(artifact.manifest.all_files):
        if name == MANIFEST_HASH and not artifact.path(name).exists():
            continue  # of an artifact from before there was one
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact.path(name), target)
