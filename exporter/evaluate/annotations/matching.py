"""Which annotation belongs to a file: names compared from their end.

Annotations name an image by some of its path (`test/kettlefinch/0003.jpg`, or the file alone), and
the image may lie in another folder today. The longest run of trailing components that any
annotation shares with the path decides:

1. One annotation shares it: that one.
2. Several share it: none, since nothing tells which is meant.
3. The components before the run say that these are different images: none. They do when the path
   has a folder there that the annotations use for other images, or when both are names of a split
   and not of the same one: `train/a/0.jpg` is not the annotated `test/a/0.jpg`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

Parts = tuple[str, ...]

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


class Names:
    """The names of annotated images, to be found from paths."""

    def __init__(self, names: Iterable[str]) -> None:
        self._found: dict[Parts, str | None] = {}  # trailing components -> name, None if several
        self._folders: set[tuple[int, str]] = set()  # depth from the end, component
        for name in names:
            parts = _components(name)
            for start in range(len(parts)):
                tail = parts[start:]
                self._found[tail] = None if tail in self._found else name
            self._folders |= {(depth, part) for depth, part in enumerate(reversed(parts))}

    def find(self, path: Path) -> str | None:
        """The name that belongs to a path; None where there is none, or more than one."""
        parts = path.parts
        for start in range(len(parts)):
            tail = parts[start:]
            if tail in self._found:
                name = self._found[tail]
                return None if name is None or self._differ(parts, name, len(tail)) else name
        return None

    def _differ(self, path: Parts, name: str, run: int) -> bool:
        """Whether the components before the shared run tell two images apart."""
        parts = _components(name)
        if len(parts) == run or len(path) == run:
            return False
        theirs, ours = path[-run - 1], parts[-run - 1]
        kinds = {_SPLITS.get(theirs.lower()), _SPLITS.get(ours.lower())}
        return (run, theirs) in self._folders or (None not in kinds and len(kinds) == 2)


def _components(name: str) -> Parts:
    return PurePosixPath(name.replace("\\", "/")).parts
