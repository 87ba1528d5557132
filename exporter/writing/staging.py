"""The classes of an export that are done, kept so that an interrupted export can be resumed.

``OUT.part/classes/00012.npy``    the prototypes of class 12
``OUT.part/classes/00012.saved``  its record, with the hashes of all that was kept of it

A class counts as done when everything of it is there and hashes as it did; a damaged one is made
again. What is saved is on the disk before it counts: a loss of power takes the class in hand, no
other.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from exporter.errors import OutputError
from exporter.writing.atomic import replace_files, sync
from exporter.writing.ownership import files_below, remove_files
from exporter.writing.work import Fingerprint, WorkFolder, named, require_free
from serving.artifact import CLASS_RECORD, ClassRecord, sha256_of
from serving.artifact.trust import TrainingPartRecord

_SAVED = re.compile(r"\d{5,}\.(npy|saved)(\.\d+\.tmp)?")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Saved:
    """A finished class, as it was kept.

    Attributes:
        record: Its record.
        prototypes: (k, d) float32.
        images: Hash of the images it was made of, as ``sha256_of_images`` of images/features.py
            makes it.
        trust: The figures of its parts; none where it was kept whole.
    """

    record: ClassRecord
    prototypes: NDArray[np.float32]
    images: str
    trust: tuple[TrainingPartRecord, ...] = ()


class _DamagedError(Exception):
    """What was kept of a class is not what was saved."""


class Staging(WorkFolder):
    """The work folder of one export.

    Args:
        out: Where the artifact will appear.
        fingerprint: What decides the result beside the contents of images, by name; JSON values.
        resume: Continue the finished classes of an interrupted export.
        overwrite: Replace an artifact at ``out``, or the remains of an interrupted export.

    Raises:
        OutputError: ``out`` is in the way, another process works on it, or the remains belong to
            something else than this export.
    """

    def __init__(
        self, out: Path, fingerprint: Fingerprint, *, resume: bool, overwrite: bool
    ) -> None:
        super().__init__(out, "export", overwrite=overwrite)
        self._classes = self._path("classes")
        self._finished: dict[int, Saved] = {}
        try:
            with self.writing():
                if (mark := self.mark()) is not None:
                    self._take_over(mark, fingerprint, resume=resume, overwrite=overwrite)
                self.write_mark(fingerprint)
                self._classes.mkdir(exist_ok=True)
        except BaseException:
            self.close()
            raise

    def _take_over(
        self, mark: Mapping[str, object], fingerprint: Fingerprint, *, resume: bool, overwrite: bool
    ) -> None:
        if mark.get("work") != "export":  # what a killed edit left is no loss
            self.remove_own()
            return
        if not resume:
            if not overwrite:
                raise _left_here(self.folder, len(self._indices()))
            self.remove_own()
            return
        self._require_same(mark.get("of"), fingerprint)
        for index in self._indices():
            try:
                self._finished[index] = self._read(index)
            except _DamagedError as error:
                _logger.warning("class %d is made again: %s", index, error)

    def _require_same(self, earlier: object, fingerprint: Fingerprint) -> None:
        before = earlier if isinstance(earlier, dict) else {}
        current = json.loads(json.dumps(fingerprint))
        changed = [key for key in current if current[key] != before.get(key)]
        if changed:
            raise OutputError(
                f"{self.folder}: cannot resume, this export differs from the interrupted one in "
                f"{', '.join(changed)}. Call it as before, or pass `overwrite` without `resume` "
                "to start anew."
            )

    def kept(self) -> str:
        """What survives when the disk is full, in a sentence."""
        return f"{len(self._indices())} finished classes are kept."

    def finished(self) -> Mapping[int, Saved]:
        """The classes that are done, by index."""
        return self._finished

    def _indices(self) -> list[int]:
        return _saved_in(self.folder)

    def save(self, saved: Saved, crops: Mapping[str, bytes]) -> None:
        """Keep a finished class; afterwards it survives an interruption, a loss of power too.

        Args:
            saved: The class.
            crops: Bytes of its evidence files by name below the artifact.
        """
        index = saved.record.index
        buffer = io.BytesIO()
        np.save(buffer, saved.prototypes, allow_pickle=False)
        array = buffer.getvalue()
        with self.writing():
            for name, content in crops.items():
                path = self.artifact / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
                sync(path)
            replace_files({self._array(index): array})
            body = json.dumps(
                {
                    "record": saved.record.model_dump(mode="json"),
                    "trust": [part.model_dump(mode="json") for part in saved.trust],
                    "images": saved.images,
                    "prototypes": hashlib.sha256(array).hexdigest(),
                    "crops": {n: hashlib.sha256(c).hexdigest() for n, c in crops.items()},
                }
            ).encode()
            # Last and at once: its presence says that the class is whole.
            digest = hashlib.sha256(body).hexdigest().encode()
            replace_files({self._note(index): digest + b"\n" + body})
        self._finished[index] = saved

    def _array(self, index: int) -> Path:
        return self._path("classes") / f"{index:05d}.npy"

    def _note(self, index: int) -> Path:
        return self._path("classes") / f"{index:05d}.saved"

    def _read(self, index: int) -> Saved:
        """A class as it was saved.

        Raises:
            _DamagedError: Something of it is gone or another.
        """
        try:
            digest, _, body = self._note(index).read_bytes().partition(b"\n")
            if hashlib.sha256(body).hexdigest().encode() != digest:
                raise _DamagedError("its record has changed on the disk")
            content = json.loads(body)
            array = self._array(index).read_bytes()
            if hashlib.sha256(array).hexdigest() != content["prototypes"]:
                raise _DamagedError("its prototypes have changed on the disk")
            for name, expected in content["crops"].items():
                if sha256_of(self.artifact / name) != expected:
                    raise _DamagedError(f"{name} has changed on the disk")
            record = CLASS_RECORD.validate_python(content["record"], strict=False)
            prototypes = np.load(io.BytesIO(array), allow_pickle=False)
            trust = tuple(map(TrainingPartRecord.model_validate, content["trust"]))
            return Saved(record, prototypes, str(content["images"]), trust)
        except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
            raise _DamagedError(f"what was kept of it cannot be read: {error}") from error

    def remove_own(self) -> None:
        """Remove what this export has made so far, but for mark and lock."""
        super().remove_own()
        folder = self._path("classes")
        if folder.exists():
            remove_files(folder, [name for name in files_below(folder) if _SAVED.fullmatch(name)])


def require_place(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse where :class:`Staging` would, and write nothing.

    Raises:
        OutputError: ``out`` is in the way, or an interrupted export left finished classes.
    """
    out = named(out)
    require_free(out, overwrite=overwrite)
    folder = out.with_name(out.name + ".part")
    saved = _saved_in(folder)
    if saved and not resume and not overwrite:
        raise _left_here(folder, len(saved))


def _saved_in(folder: Path) -> list[int]:
    """The finished classes in a work folder, by index."""
    found = (folder / "classes").glob("*.saved")
    return sorted(int(path.stem) for path in found if _SAVED.fullmatch(path.name))


def _left_here(folder: Path, classes: int) -> OutputError:
    return OutputError(
        f"{folder}: an interrupted export left {classes} finished classes here. Pass `resume` to "
        "continue it, or `overwrite` to start anew."
    )
