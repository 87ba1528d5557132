"""Which files are ours: what a format line proves, and nothing else, may be replaced or removed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from serving.artifact import MANIFEST, MANIFEST_HASH, SIGNATURE
from serving.artifact.values import inside

_FORMAT = re.compile(r"protohead/[0-9]+")
_NAME = re.compile(
    r"(manifest\.json|manifest\.sha256|(model|dense)(_uint8)?\.onnx|steerable\.onnx"
    r"|prototypes\.safetensors|golden\.npz|trust\.json"
    r"|signature\.json|golden/\d+\.png|evidence/\d{5,}/\d+-\d+(-context)?\.jpg"
    r"|parents/\d+/(manifest\.json|golden\.npz|trust\.json))(\.\d+\.tmp)?"
)
_JUNK = {".DS_Store", "Thumbs.db", "desktop.ini"}
LARGEST_MANIFEST = 1 << 28  # bytes; another program's file of this name may be of any size


def listed_files(folder: Path) -> frozenset[str] | None:
    """The files of the artifact in a folder, by its manifest's own list.

    Args:
        folder: Any folder.

    Returns:
        Names below it, those of the manifest, its hash and its signature among them; None where no
        format line proves that an artifact is there, or a name would leave the folder.
    """
    path = folder / MANIFEST
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_MANIFEST:
            return None
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("format"), str):
        return None
    files = content.get("files")
    if not _FORMAT.fullmatch(content["format"]) or not isinstance(files, dict):
        return None
    try:
        return frozenset([MANIFEST, MANIFEST_HASH, SIGNATURE, *map(inside, files)])
    except ValueError:
        return None


def strangers(folder: Path, own: Iterable[str]) -> list[str]:
    """The files below a folder that are not listed, by name; what file managers leave is no file.

    Args:
        folder: The folder.
        own: Names below it, with forward slashes.
    """
    known = set(own)
    return [name for name in files_below(folder) if name not in known and not is_junk(name)]


def files_below(folder: Path) -> Iterator[str]:
    """Every file or link at any depth below a folder, by name with forward slashes, in order."""
    found = (p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
    yield from sorted(path.relative_to(folder).as_posix() for path in found)


def is_artifact_name(name: str) -> bool:
    """Whether a name is one that an artifact's file has, finished or not."""
    return _NAME.fullmatch(name) is not None


def is_junk(name: str) -> bool:
    """Whether a name is of the files that a file manager leaves wherever it looks."""
    last = name.rpartition("/")[2]
    return last in _JUNK or last.startswith("._")


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove files of ours, junk, and the folders that are empty then; others stay.

    Args:
        folder: The folder; it goes too if nothing is left in it.
        names: Names below it.

    Raises:
        OSError: One cannot be removed; the others are.
    """
    failure: OSError | None = None
    junk = [name for name in files_below(folder) if is_junk(name)]
    for path in (folder / name for name in (*names, *junk)):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            failure = failure or error
    for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        _remove_if_empty(path)
    _remove_if_empty(folder)
    if failure is not None:
        raise failure


def _remove_if_empty(folder: Path) -> None:
    if not folder.is_symlink() and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
