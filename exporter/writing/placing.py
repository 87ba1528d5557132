"""An artifact that is made of another one in one go: it appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.writing.atomic import writing
from exporter.writing.work import Work, WorkFolder
from serving.artifact import MANIFEST, read_manifest


@contextmanager
def placing(out: Path, work: Work, *, overwrite: bool) -> Iterator[Path]:
    """An empty folder beside ``out`` that becomes it if nothing goes wrong inside.

    Args:
        out: Where the artifact appears.
        work: What makes it.
        overwrite: Replace an artifact at ``out``.

    Raises:
        OutputError: ``out`` cannot be written, or an interrupted export waits there.
    """
    with WorkFolder(out, work, overwrite=overwrite) as made:
        made.require_no_export()
        try:
            with writing(out):
                made.remove_own()  # what a killed one left is no loss
                made.write_mark({})
                yield made.artifact
            made.publish(read_manifest(made.artifact / MANIFEST).all_files)
        except BaseException:
            made.discard()
            raise
