"""A folder that appears whole or not at all, where nothing was before or an older one of ours."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.errors import OutputError
from exporter.writing.atomic import sync, writing
from exporter.writing.exchange import exchange
from exporter.writing.ownership import files_below, strangers
from exporter.writing.work import named
from serving.artifact import MANIFEST_HASH, Artifact


@contextmanager
def new_folder(out: Path, *, own: Collection[str] = ()) -> Iterator[Path]:
    """An empty folder beside ``out`` that becomes it, whole, if nothing goes wrong inside.

    Args:
        out: Where it appears; nothing is there yet, or an empty folder.
        own: Files below ``out`` that may be there and are replaced; there are no others.

    Raises:
        OutputError: Something is in the way, or it cannot be written.
    """
    out = named(out)
    with writing(out):
        _require_free(out, own)
        out.parent.mkdir(parents=True, exist_ok=True)
        made = out.with_name(f"{out.name}.{os.getpid()}.tmp")
        made.mkdir()
        try:
            yield made
            for name in files_below(made):
                sync(made / name)
            _put_in_place(made, out)
            sync(out.parent)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _require_free(out: Path, own: Collection[str]) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()) or (not own and _is_full(out)):
        raise OutputError(
            f"{out}: expected a new folder, something is there already. Choose another `out`; "
            "nothing was changed."
        )
    others = strangers(out, own) if own else []
    if others:
        raise OutputError(
            f"{out}: found files that are not of what is replaced: {', '.join(others[:3])}"
            f"{', …' if len(others) > 3 else ''}. Move them, or choose another `out`; nothing was "
            "changed."
        )


def _is_full(out: Path) -> bool:
    return out.exists() and any(out.iterdir())


def _put_in_place(made: Path, out: Path) -> None:
    if not _is_full(out):
        made.rename(out)
    elif not exchange(made, out):
        # Without such a call there is a moment without either; a kill in it leaves both beside it.
        replaced = made.with_suffix(".replaced")
        out.rename(replaced)
        made.rename(out)
        replaced.rename(made)


def copy_artifact(artifact: Artifact, folder: Path) -> None:
    """Copy the files of an artifact, and no others that may lie among them, into a new folder."""
    for name in sorted(artifact.manifest.all_files):
        if name == MANIFEST_HASH and not artifact.path(name).exists():
            continue  # of an artifact from before there was one
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact.path(name), target)
