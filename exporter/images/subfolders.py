"""Where the class folders are, if not in the folder that was given: data/train for data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from exporter.images.folders import Labels
from serving.model.preprocess import SUFFIXES

_DEPTH = 2
_LOOKED_AT = 30  # folders of a level, and entries of a class folder: this is said of an error
_SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "holdout"}


def folders_in(root: Path) -> list[Path]:
    """The folders in a folder but for hidden ones, by name."""
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def are_splits(names: Iterable[str]) -> bool:
    """Whether all folders are named as parts of a data set are, such as train and val."""
    return all(name.casefold() in _SPLITS for name in names)


def meant(root: Path, labels: Labels | None, class_count: int) -> Path | None:
    """The folder below one whose own folders are classes: a training one first, else by name."""
    level = [root]
    for _ in range(_DEPTH):
        level = [p for folder in level for p in islice(_readable(folder), _LOOKED_AT)]
        found = [p for p in level[: _LOOKED_AT**2] if _has_classes(p, labels, class_count)]
        if found:
            return min(found, key=lambda p: (not p.name.casefold().startswith("train"), p))
    return None


def _has_classes(folder: Path, labels: Labels | None, class_count: int) -> bool:
    folders = _readable(folder)
    names = [path.name for path in folders]
    if not names or are_splits(names):
        return False
    if labels is not None:
        known = set(labels.values() if isinstance(labels, Mapping) else labels)
        fits = known.issuperset(names)
    else:
        fits = len(names) in ({1, 2} if class_count == 1 else {class_count})
    return fits and any(_has_images(path) for path in folders[:_LOOKED_AT])


def _has_images(folder: Path) -> bool:
    try:
        return any(p.suffix.lower() in SUFFIXES for p in islice(folder.iterdir(), _LOOKED_AT))
    except OSError:
        return False


def _readable(folder: Path) -> list[Path]:
    try:
        return folders_in(folder)
    except OSError:
        return []
