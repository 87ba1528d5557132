"""Class folders -> the images of each class."""

from __future__ import annotations

import difflib
import json
import logging
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exporter.errors import DatasetError
from exporter.text import as_text
from serving.model.preprocess import SUFFIXES

_logger = logging.getLogger(__name__)

Labels = Sequence[str] | Mapping[int, str]
"""Every label in the order of the logits, or some labels by class index."""


@dataclass(frozen=True)
class ClassImages:
    """The training images of one class.

    Attributes:
        index: Position of the class in the logits.
        label: Its label.
        paths: Its images in the order of their names; empty where there is no folder.
    """

    index: int
    label: str
    paths: tuple[Path, ...]


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
        return as_text(path.relative_to(self.root).as_posix())


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
    root: Path, *, class_count: int, labels: Labels | None, max_images: int, seed: int
) -> Dataset:
    """Find the images of each class.

    A folder belongs to the class whose label is its name. Without labels, folders named by
    numbers belong to the class of that index, and as many folders as classes belong to them in
    the order of their names.

    Args:
        root: Folder with one folder of images for each class, at any depth below it.
        class_count: Number of classes of the model.
        labels: The labels, if known.
        max_images: Images kept of each class, drawn by ``seed`` where there are more.
        seed: Seed of the draw; each class is drawn on its own.

    Returns:
        The dataset; a class without a folder has no images.

    Raises:
        DatasetError: No folder, a folder that is no label, or labels that do not fit the model.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: expected a folder with one folder of images for each class.")
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise DatasetError(
            f"{root}: expected one folder of images for each class, found no folder in it."
        )
    names, indices = _match(root, [folder.name for folder in folders], labels, class_count)
    found = {
        index: _images(folder, max_images, f"{seed}/{index}")
        for folder, index in zip(folders, indices, strict=True)
    }
    if not any(found.values()):
        raise DatasetError(
            f"{root}: expected images ({', '.join(sorted(SUFFIXES))}) in the class folders, "
            "found none."
        )
    classes = tuple(
        ClassImages(index, label, found.get(index, ())) for index, label in enumerate(names)
    )
    return Dataset(root=root, classes=classes)


def find_images(folder: Path) -> tuple[Path, ...]:
    """Every image at any depth below a folder, in the order of their names.

    Links to folders are followed, each folder once. Hidden files and folders, such as
    ``.ipynb_checkpoints``, are left out, and a warning counts their images.
    """
    found: list[Path] = []
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
        folders[:] = [name for name in folders if os.path.realpath(here / name) not in seen]
    if hidden:
        _logger.warning("%s: %d hidden images are left out", folder, hidden)
    return tuple(sorted(found))


def _images(folder: Path, max_images: int, seed: str) -> tuple[Path, ...]:
    paths = find_images(folder)
    if len(paths) > max_images:
        return tuple(sorted(random.Random(seed).sample(paths, max_images)))  # noqa: S311
    return paths


def _match(
    root: Path, folders: list[str], labels: Labels | None, class_count: int
) -> tuple[list[str], list[int]]:
    """The label of every class, and the class of every folder."""
    if labels is not None:
        names = _complete(labels, class_count)
        return names, [_index_of(root, folder, names) for folder in folders]
    if all(folder.isdecimal() for folder in folders):
        indices = [int(folder) for folder in folders]
        if len(set(indices)) < len(indices) or max(indices) >= class_count:
            raise DatasetError(
                f"{root}: expected folders named by different class indices from 0 to "
                f"{class_count - 1}, got {folders[:5]} … {folders[-1]!r}."
            )
        return [str(index) for index in range(class_count)], indices
    if len(folders) == class_count:
        return list(map(as_text, folders)), list(range(class_count))
    raise DatasetError(
        f"{root}: the model has {class_count} classes and there are {len(folders)} folders, so "
        "their order does not tell which is which. Give `labels`, or name the folders by "
        "class index."
    )


def _complete(labels: Labels, class_count: int) -> list[str]:
    if isinstance(labels, Mapping):
        outside = [index for index in labels if not 0 <= index < class_count]
        if outside:
            raise DatasetError(
                f"labels: expected class indices from 0 to {class_count - 1}, got {outside[:3]}."
            )
        return [labels.get(index, f"class {index}") for index in range(class_count)]
    if len(labels) != class_count:
        raise DatasetError(
            f"labels: expected {class_count} labels, one for each logit, got {len(labels)}."
        )
    return list(labels)


def _index_of(root: Path, folder: str, names: list[str]) -> int:
    indices = [index for index, name in enumerate(names) if name == folder]
    if len(indices) == 1:
        return indices[0]
    if indices:
        raise DatasetError(
            f"{root / folder}: the classes {indices} share this label, so the folder could belong "
            "to either. Give them different labels."
        )
    near = difflib.get_close_matches(folder, names, n=3)
    hint = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    raise DatasetError(
        f"{root / folder}: expected a folder name that is a label of the model.{hint} "
        "Rename or remove the folder, or correct the labels."
    )
