"""The work folder beside ``out``, and how what is made in it takes its place.

``OUT.part/mark.json``   proves that the folder is ours, and says what is made there and of what
``OUT.part/lock``        held while a process works here
``OUT.part/artifact/``   the artifact so far
``OUT.part/replaced/``   an older artifact, between its replacement and its removal

At every moment the older artifact or the new one is at ``out``. Where the system can exchange two
folders, that holds through any kill; where it cannot, a kill between two renames is mended by
whoever works here next.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from exporter.errors import OutputError
from exporter.text import as_text, is_text
from exporter.writing.atomic import is_full, refusal, replace_files, sync
from exporter.writing.exchange import exchange
from exporter.writing.lock import Lock, holder
from exporter.writing.ownership import (
    files_below,
    is_artifact_name,
    listed_files,
    remove_files,
    strangers,
)
from serving.artifact import MANIFEST

Fingerprint = Mapping[str, object]
Work = Literal["export", "edit", "convert", "pull", "quantize"]

_FORMAT = "protohead-work/1"
_MARK, _LOCK = "mark.json", "lock"
_logger = logging.getLogger(__name__)


class WorkFolder:
    """The folder in which one artifact is made; a context that ends its work.

    Postcondition of :meth:`publish`: ``out`` is the finished artifact and the work folder is gone.
    Until then nothing at ``out`` has changed.

    Args:
        out: Where the artifact will appear; ``.`` is the folder of that path, as any other.
        work: What makes it.
        overwrite: Replace an artifact at ``out``.

    Attributes:
        out: Where the artifact will appear, by a path that stays right when it has.
        artifact: The artifact so far.

    Raises:
        OutputError: ``out`` is in the way, another process works on it, or what lies beside it is
            not ours.
    """

    def __init__(self, out: Path, work: Work, *, overwrite: bool) -> None:
        self.out = named(out)
        self.artifact = self._path("artifact")
        self._work = work
        self._lock: Lock | None = None
        with self.writing():
            self._require_mark()
            new = not self.folder.exists()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            try:
                self._recover()
                require_free(self.out, overwrite=overwrite)
            except BaseException:
                self.close()
                if new:
                    remove_files(self.folder, [_LOCK])
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let others work here."""
        if self._lock is not None:
            self._lock.release()

    @property
    def folder(self) -> Path:
        """The work folder itself, ``OUT.part``."""
        return self.out.with_name(self.out.name + ".part")

    def _path(self, name: str) -> Path:
        return self.folder / name

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn the operating system's refusals into an :class:`OutputError`."""
        try:
            yield
        except OSError as error:
            kept = f"{self.out} is as it was before."
            if is_full(error):
                kept = self.kept()
            raise refusal(error, self.folder, kept, "do the same with `resume`") from error

    def kept(self) -> str:
        """What survives when the disk is full, in a sentence."""
        return f"{self.out} is as it was before."

    # Whose it is

    def _require_mark(self) -> None:
        """Refuse a work folder that nothing proves to be ours."""
        if not self.folder.exists() and not self.folder.is_symlink():
            return
        ours = self.folder.is_dir() and not self.folder.is_symlink()
        if ours and {path.name for path in self.folder.iterdir()} <= {_LOCK}:
            return  # another process is about to write its mark
        if not ours or self.mark() is None:
            raise OutputError(
                f"{self.folder}: expected nothing, or what an interrupted export left; found files "
                "of something else, which are left alone. Move them, or choose another `out`."
            )

    def mark(self) -> dict[str, object] | None:
        """What is made here, by the mark; None where there is none of ours."""
        try:
            content = json.loads(self._path(_MARK).read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        ours = isinstance(content, dict) and content.get("format") == _FORMAT
        return content if ours else None

    def require_no_export(self) -> None:
        """Refuse to take the place of finished classes of an interrupted export."""
        mark = self.mark()
        if mark is not None and mark.get("work") == "export":
            raise OutputError(
                f"{self.folder}: an interrupted export left finished classes here, which are left "
                "alone. Resume that export, or choose another `out`."
            )

    def write_mark(self, fingerprint: Fingerprint) -> None:
        """Say that the folder is ours, and what is made in it."""
        content = {"format": _FORMAT, "work": self._work, "of": fingerprint}
        replace_files({self._path(_MARK): json.dumps(content, indent=1).encode()})
        self.artifact.mkdir(exist_ok=True)

    def _take_lock(self) -> None:
        try:
            self._lock = Lock(self._path(_LOCK))
        except BlockingIOError as error:
            raise OutputError(
                f"{self.out}: {holder(self._path(_LOCK))} is making an artifact there now. Wait "
                "for it, or choose another `out`."
            ) from error

    # What comes and goes

    def _recover(self) -> None:
        """Mend what a kill left between the two renames of a replacement, or before its removal."""
        replaced = self._path("replaced")
        if not replaced.exists():
            return
        if self.out.exists():
            self._remove_artifact(replaced)
        else:
            replaced.rename(self.out)

    def publish(self, files: frozenset[str]) -> None:
        """Let the artifact appear at ``out``, whole.

        Args:
            files: Names of its files; whatever else lies among them stays in the work folder.

        Raises:
            OutputError: It cannot be put in place; ``out`` is as it was.
        """
        with self.writing():
            self.keep_only(files)
            remove_files(self.artifact, ())  # junk, and folders that are empty now
            for name in files_below(self.artifact):
                sync(self.artifact / name)
            self._put_in_place()
        try:
            self._clean()
        except OSError as error:
            _logger.warning(
                "%s is complete; %s cannot be removed: %s", self.out, self.folder, error.strerror
            )

    def keep_only(self, files: frozenset[str]) -> None:
        """Take everything but these files out of the artifact: ours goes, the rest is set aside."""
        for name in strangers(self.artifact, files):
            if is_artifact_name(name):  # a crop of a class that was made again
                (self.artifact / name).unlink()
                continue
            target = self._path("others") / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (self.artifact / name).rename(target)

    def _put_in_place(self) -> None:
        replaced = self._path("replaced")
        if self.out.exists() and any(self.out.iterdir()):
            if exchange(self.artifact, self.out):
                self.artifact.rename(replaced)
            else:
                self._rename_twice(replaced)
        else:
            self.artifact.rename(self.out)
        sync(self.out.parent)

    def _rename_twice(self, replaced: Path) -> None:
        self.out.rename(replaced)
        try:
            self.artifact.rename(self.out)
        finally:
            if not self.out.exists():
                replaced.rename(self.out)

    def _clean(self) -> None:
        """Remove what is no longer needed; what is not ours stays, and is named."""
        with suppress(FileNotFoundError):
            self._remove_artifact(self._path("replaced"))
        self.remove_own()
        remove_files(self.folder, [_LOCK, _MARK])
        self.close()
        if self.folder.exists():
            _logger.warning("%s: left alone, these files are not ours", self.folder)

    def discard(self) -> None:
        """Give up: remove what was made, and the work folder."""
        with suppress(OSError):
            self._recover()
            self.remove_own()
            remove_files(self.folder, [_LOCK, _MARK])

    def remove_own(self) -> None:
        """Remove what this work has made so far, but for mark and lock."""
        if self.artifact.exists():
            names = filter(is_artifact_name, files_below(self.artifact))
            remove_files(self.artifact, list(names))

    def _remove_artifact(self, folder: Path) -> None:
        if folder.exists():
            # The manifest last: it alone proves to the next run whose the other files are.
            names = sorted(listed_files(folder) or (), key=lambda name: (name == MANIFEST, name))
            remove_files(folder, names)


def require_free(out: Path, *, overwrite: bool) -> None:
    """Refuse a place where an artifact may not appear.

    Args:
        out: Where it will appear.
        overwrite: Whether an artifact there may be replaced.

    Raises:
        OutputError: Something is in the way.
    """
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir() or out.is_symlink():
        raise OutputError(f"{out}: expected a new folder, a file or link is in the way.")
    if not any(out.iterdir()):
        return
    listed = listed_files(out)
    if listed is None:
        raise OutputError(
            f"{out}: expected a new folder, this one holds other files than an "
            "artifact's. Choose another `out`; nothing was changed."
        )
    if not overwrite:
        raise OutputError(
            f"{out}: an artifact is already here. Pass `overwrite` to replace it, or "
            "choose another `out`."
        )
    others = strangers(out, listed)
    if others:
        raise OutputError(
            f"{out}: an artifact is here, and files that are not of it: "
            f"{', '.join(others[:3])}{', …' if len(others) > 3 else ''}. Move them, or choose "
            "another `out`; nothing was changed."
        )


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
