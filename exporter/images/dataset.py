"""Class folders -> the images of each class."""

from __future__ import annotations

import json
import logging
import os
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from exporter.errors import DatasetError
from exporter.images.folders import Labels, Match, match_folders
from exporter.images.holdout import Split
from exporter.images.subfolders import are_splits, folders_in, meant
from exporter.text import as_text
from serving.model.preprocess import SUFFIXES

_logger = logging.getLogger(__name__)
_KINDS = 4  # suffixes that are named


@dataclass(frozen=True)
class ClassImages:
    """The training images of one class.

    Attributes:
        index: Position of the class in the logits.
        label: Its label.
        paths: Its images in the order of their names; empty where there is no folder.
        others: Files of its folder that are no images by their suffix.
        split_off: Images of its folder that are on the other side of a split.
    """

    index: int
    label: str
    paths: tuple[Path, ...]
    others: int = 0
    split_off: int = 0


@dataclass(frozen=True)
class Dataset:
    """Every class of the model in the order of the logits, with its images."""

    root: Path
    classes: tuple[ClassImages, ...]

    @property
    def image_count(self) -> int:
        """Number of images of all classes."""
        return sum(len(entry.paths) for entry in self.classes)

    def image_id(self, path: Path) -> str:
        """The name of an image: its path below the data folder, with forward slashes."""
        return _image_id(self.root, path)


def read_labels(path: Path) -> Labels:
    """Read class labels from a file.

    Args:
        path: A JSON list in the order of the logits, a JSON object from class index to label (it
            may leave classes out), or text with one label a line.

    Returns:
        The labels as the file gives them.

    Raises:
        DatasetError: The file cannot be read or has another form.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix.lower() != ".json":
            return [line.strip() for line in text.splitlines() if line.strip()]
        content = json.loads(text)
        json.dumps(content, ensure_ascii=False).encode()  # JSON can escape what is no text
    except OSError as error:
        raise DatasetError(f"{path}: cannot read the labels: {error.strerror}.") from error
    except ValueError as error:
        raise DatasetError(f"{path}: expected UTF-8 text or JSON: {error}.") from error
    if isinstance(content, list) and all(isinstance(label, str) for label in content):
        return content
    if isinstance(content, dict) and all(
        key.isdecimal() and isinstance(label, str) for key, label in content.items()
    ):
        return {int(key): label for key, label in content.items()}
    raise DatasetError(
        f"{path}: expected a JSON list of labels in the order of the logits, or an object from "
        "class index to label."
    )


def read_dataset(
    root: Path,
    *,
    class_count: int,
    labels: Labels | None,
    max_images: int,
    seed: int,
    split: Split | None = None,
) -> Dataset:
    """Find the images of each class.

    A folder belongs to the class whose label is its name. Without labels, folders named by
    numbers belong to the class of that index, and as many folders as classes belong to them in
    the order of their names, as people count; see :mod:`exporter.images.folders`.

    Args:
        root: Folder with one folder of images for each class, at any depth below it.
        class_count: Number of classes of the model.
        labels: The labels, if known.
        max_images: Images kept of each class, drawn by ``seed`` where there are more.
        seed: Seed of the draw; each class is drawn on its own.
        split: The side of the images that is taken, before the draw; None takes all.

    Returns:
        The dataset; a class without a folder has no images.

    Raises:
        DatasetError: No folder, a folder that is no label, or labels that do not fit the model.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: expected a folder with one folder of images for each class.")
    folders = folders_in(root)
    if not folders:
        raise DatasetError(
            f"{root}: expected one folder of images for each class, found no folder in it."
        )
    match = _matched(root, [folder.name for folder in folders], labels, class_count)
    found = {
        match.folders[folder.name]: find_images(folder)
        for folder in folders
        if folder.name in match.folders
    }
    if not any(images.paths for images in found.values()):
        raise DatasetError(
            f"{root}: expected images ({', '.join(sorted(SUFFIXES))}) in the class folders, "
            "found none."
        )
    classes = []
    for index, label in enumerate(match.labels):
        paths, others = found.get(index, Found((), 0))
        side = tuple(p for p in paths if split is None or split.has(_image_id(root, p)))
        drawn = _drawn(side, max_images, f"{seed}/{index}")
        classes.append(ClassImages(index, label, drawn, others, len(paths) - len(side)))
    if split is not None and not any(entry.paths for entry in classes):
        raise DatasetError(
            f"{root}: expected images on both sides of a `holdout` of {split.share:g}, all "
            f"{sum(entry.split_off for entry in classes)} are on the other. Choose another share, "
            "or give more images."
        )
    return Dataset(root=root, classes=tuple(classes))


def _matched(root: Path, names: list[str], labels: Labels | None, class_count: int) -> Match:
    """The class of each folder; if there is none, perhaps the folders below are meant."""
    reason: DatasetError | None = None
    # Of two classes, train and val would be taken for them.
    if labels is not None or not are_splits(names):
        try:
            return match_folders(root, names, labels, class_count)
        except DatasetError as error:
            reason = error
    near = meant(root, labels, class_count)
    if near is not None:
        shown = ", ".join(map(as_text, names[:_KINDS])) + (", …" if len(names) > _KINDS else "")
        raise DatasetError(
            f"{root}: expected one folder of images for each class, found {shown}. Did you mean "
            f"{near}?"
        ) from reason
    if reason is not None:
        raise reason
    return match_folders(root, names, labels, class_count)


def _image_id(root: Path, path: Path) -> str:
    return as_text(path.relative_to(root).as_posix())


class Found(NamedTuple):
    """The images below a folder, in the order of their names, and how many other files."""

    paths: tuple[Path, ...]
    others: int


def find_images(folder: Path) -> Found:
    """Every image at any depth below a folder.

    Links to folders are followed, each folder once. Hidden files and folders, such as
    ``.ipynb_checkpoints``, are left out, and a warning counts their images; another counts the
    files that are no images by their suffix.
    """
    found: list[Path] = []
    others: Counter[str] = Counter()
    hidden = 0
    seen: set[str] = set()
    for where, folders, files in os.walk(folder, followlinks=True):
        here = Path(where)
        seen.add(os.path.realpath(where))
        images = [name for name in files if Path(name).suffix.lower() in SUFFIXES]
        if any(part.startswith(".") for part in here.relative_to(folder).parts):
            hidden += len(images)
            continue
        hidden += sum(name.startswith(".") for name in images)
        found += [here / name for name in images if not name.startswith(".")]
        rest = set(files).difference(images)
        others.update(_kind(name) for name in rest if not name.startswith("."))
        folders[:] = [name for name in folders if os.path.realpath(here / name) not in seen]
    if hidden:
        _logger.warning("%s: %d hidden images are left out", folder, hidden)
    if others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in others.most_common(_KINDS))
        _logger.warning(
            "%s: %d files are no images by their suffix and are skipped: %s%s",
            as_text(str(folder)),
            others.total(),
            as_text(kinds),
            ", …" if len(others) > _KINDS else "",
        )
    return Found(tuple(sorted(found)), others.total())


def _kind(name: str) -> str:
    return Path(name).suffix.lower() or "without a suffix"


def _drawn(paths: tuple[Path, ...], max_images: int, seed: str) -> tuple[Path, ...]:
    if len(paths) > max_images:
        return tuple(sorted(random.Random(seed).sample(paths, max_images)))  # noqa: S311
    return paths
