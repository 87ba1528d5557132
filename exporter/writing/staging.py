"""Where an export works until its artifact may appear: beside ``out``, then one rename.

``OUT.part/state.json``   what is being exported, so that ``resume`` continues only the same
``OUT.part/classes/``     the finished classes: prototypes and record
``OUT.part/artifact/``    the artifact so far
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporter.errors import OutputError
from exporter.text import as_text, is_text
from exporter.writing.atomic import is_full, refusal, replace_files
from serving.artifact import CLASS_RECORD, MANIFEST, ClassRecord

Fingerprint = Mapping[str, object]


class Staging:
    """The work folder of one export.

    Postcondition of :meth:`publish`: ``out`` is the finished artifact and the work folder is
    gone. Until then nothing at ``out`` has changed, and every class saved can be resumed.

    Args:
        out: Where the artifact will appear; ``.`` is the folder of that path, as any other.
        fingerprint: What decides the result, by name; JSON values.
        resume: Continue the finished classes of an interrupted export.
        overwrite: Replace an artifact at ``out``, or the remains of an interrupted export.

    Attributes:
        out: Where the artifact will appear, by a path that stays right when it has.
        artifact: The artifact so far.

    Raises:
        OutputError: ``out`` is in the way, or the remains belong to another export.
    """

    def __init__(
        self, out: Path, fingerprint: Fingerprint, *, resume: bool, overwrite: bool
    ) -> None:
        self.out = named(out)
        self._folder = self.out.with_name(self.out.name + ".part")
        self._classes = self._folder / "classes"
        self.artifact = self._folder / "artifact"
        self._replaced = self._folder / "replaced"
        with self.writing():
            if self._replaced.exists() and not self.out.exists():
                # A kill between the two renames of publish: the older artifact goes back first.
                self._replaced.rename(self.out)
            self._check_out(overwrite)
            if self._folder.exists():
                self._take_over(fingerprint, resume, overwrite)
            self._classes.mkdir(parents=True, exist_ok=True)
            self.artifact.mkdir(exist_ok=True)
            state = json.dumps(fingerprint, indent=1).encode()
            replace_files({self._folder / "state.json": state})

    def _check_out(self, overwrite: bool) -> None:
        if not self.out.exists() and not self.out.is_symlink():
            return
        if not self.out.is_dir() or self.out.is_symlink():
            raise OutputError(f"{self.out}: expected a new folder, a file or link is in the way.")
        if not any(self.out.iterdir()):
            return
        if not (self.out / MANIFEST).is_file():
            raise OutputError(
                f"{self.out}: expected a new folder, this one holds other files than an "
                "artifact's. Choose another `out`; nothing was changed."
            )
        if not overwrite:
            raise OutputError(
                f"{self.out}: an artifact is already here. Pass `overwrite` to replace it, or "
                "choose another `out`."
            )

    def _take_over(self, fingerprint: Fingerprint, resume: bool, overwrite: bool) -> None:
        if not resume:
            if not overwrite:
                raise OutputError(
                    f"{self._folder}: an interrupted export left {len(self.finished())} finished "
                    "classes here. Pass `resume` to continue it, or `overwrite` to start anew."
                )
            shutil.rmtree(self._folder)
            return
        try:
            earlier = json.loads((self._folder / "state.json").read_bytes())
        except (OSError, ValueError):
            earlier = {}
        current = json.loads(json.dumps(fingerprint))
        changed = [key for key in current if current[key] != earlier.get(key)]
        if changed:
            raise OutputError(
                f"{self._folder}: cannot resume, this export differs from the interrupted one in "
                f"{', '.join(changed)}. Call it as before, or pass `overwrite` without `resume` "
                "to start anew."
            )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn the operating system's refusals into an :class:`OutputError`."""
        try:
            yield
        except OSError as error:
            kept = f"{self.out} is as it was before."
            if is_full(error):
                kept = f"{len(self.finished())} finished classes are kept."
            raise refusal(error, self._folder, kept, "do the same with `resume`") from error

    def finished(self) -> frozenset[int]:
        """Indices of the classes that are done."""
        return frozenset(int(path.stem) for path in self._classes.glob("*.json"))

    def save(
        self,
        record: ClassRecord,
        prototypes: NDArray[np.float32],
        crops: Mapping[str, bytes],
    ) -> None:
        """Keep a finished class; afterwards it survives an interruption.

        Args:
            record: The class's record.
            prototypes: (k, d) float32.
            crops: Bytes of its evidence files by name below the artifact.
        """
        with self.writing():
            for name, content in crops.items():
                path = self.artifact / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            stem = self._classes / f"{record.index:05d}"
            np.save(stem.with_suffix(".npy"), prototypes, allow_pickle=False)
            # Last and at once: its presence says that the class is whole.
            replace_files({stem.with_suffix(".json"): record.model_dump_json().encode()})

    def read(self, index: int) -> tuple[ClassRecord, NDArray[np.float32]]:
        """A finished class, as it was saved."""
        stem = self._classes / f"{index:05d}"
        record = CLASS_RECORD.validate_json(stem.with_suffix(".json").read_bytes())
        return record, np.load(stem.with_suffix(".npy"), allow_pickle=False)

    def publish(self) -> None:
        """Let the artifact appear at ``out``, whole; an older one is kept until it has."""
        with self.writing():
            if self.out.exists():
                self.out.rename(self._replaced)
            try:
                self.artifact.rename(self.out)
            except OSError:
                if self._replaced.exists():
                    self._replaced.rename(self.out)
                raise
            shutil.rmtree(self._folder)


def named(out: Path) -> Path:
    """The path itself if it ends in a name, else that of the same folder which does.

    Raises:
        OutputError: The folder has no name, as the root, or one that onnxruntime cannot open.
    """
    if not is_text(str(out.absolute())):
        raise OutputError(f"{as_text(str(out))}: expected a path in UTF-8. Choose another `out`.")
    found = out if out.name not in ("", "..") else out.resolve()
    if not found.name:
        raise OutputError(f"{found}: expected a folder with a name. Choose another `out`.")
    return found
