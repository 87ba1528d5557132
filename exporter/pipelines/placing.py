"""Where an artifact that is made of another one is put, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.writing.atomic import writing
from exporter.writing.work import Work, WorkFolder
from serving.artifact import MANIFEST, read_manifest


@contextmanager
def placing(out: Path, work: Work, *, overwrite: bool) -> Iterator[Path]:
    """An empty folder beside ``out`` that becomes it, whole, if nothing goes wrong inside.

    Args:
        out: Where the artifact made inside appears.
        work: What makes it.
        overwrite: Replace an artifact that stands there.

    Raises:
        OutputError: ``out`` cannot be written, or an interrupted export waits beside it.
    """
    with WorkFolder(out, work, overwrite=overwrite) as place:
        place.require_no_export()
        try:
            with writing(out):
                place.remove_own()  # what a killed edit left is no loss
                place.write_mark({})
                yield place.artifact
            place.publish(read_manifest(place.artifact / MANIFEST).all_files)
        except BaseException:
            place.discard()
            raise
