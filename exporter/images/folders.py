"""Which class a folder of images belongs to, and how that is said.

By its label where labels are known. Without labels by its number, or by its place among the others
as people count: class2 before class10. One logit speaks for one class of two: the images of the
other, the negative class, explain nothing of it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from exporter.errors import DatasetError
from exporter.text import as_text, did_you_mean

_logger = logging.getLogger(__name__)
_SHOWN = 12  # classes of an order that is said

Labels = Sequence[str] | Mapping[int, str]
"""Every label in the order of the logits, or some labels by class index. For one logit there may be
two, of the negative and of the positive class."""


class Match(NamedTuple):
    """Labels and folders of a model.

    Attributes:
        labels: The label of every class, in the order of the logits.
        folders: The class of each folder by its name; those that are of no class are left out.
    """

    labels: list[str]
    folders: dict[str, int]


def natural_order(names: Sequence[str]) -> list[str]:
    """Names as people count them: class2 before class10."""
    return sorted(names, key=lambda name: (_counted(name), name))


def _counted(name: str) -> list[str | int]:
    parts = re.split("([0-9]+)", name)  # text and digits by turns, text first
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def match_folders(
    root: Path, folders: Sequence[str], labels: Labels | None, class_count: int
) -> Match:
    """Find the class of each folder; what no label decides is logged.

    Args:
        root: Where the folders are, for errors.
        folders: Their names, at least one.
        labels: The labels, if known.
        class_count: Number of classes of the model.

    Raises:
        DatasetError: They do not fit the model, or do not say which is which.
    """
    if class_count == 1:
        return _match_one_logit(root, folders, labels)
    if labels is not None:
        names = _complete(labels, class_count)
        return Match(names, {folder: _index_of(root, folder, names) for folder in folders})
    if all(folder.isdecimal() for folder in folders):
        return _by_number(root, folders, class_count)
    if len(folders) == class_count:
        return _in_order(root, natural_order(folders))
    raise DatasetError(
        f"{root}: the model has {class_count} classes and there are {len(folders)} folders, so "
        "their order does not tell which is which. Give `labels`, or name the folders by "
        "class index."
    )


def _match_one_logit(root: Path, folders: Sequence[str], labels: Labels | None) -> Match:
    """The folder of the class that one logit speaks for; one of the other may be beside it."""
    if labels is None:
        known = [as_text(name) for name in natural_order(folders)[-1:]]
        positive = natural_order(folders)[-1]
    elif len(labels) == 2:
        # A mapping's labels in the order of its indices.
        pairs = sorted(labels.items()) if isinstance(labels, Mapping) else enumerate(labels)
        known = [label for _, label in pairs]
        positive = known[-1]
    else:
        known = _complete(labels, 1)
        positive = known[0]
    others = [name for name in folders if name != positive]
    unknown = [name for name in others if len(known) == 2 and name not in known]
    if len(others) > 1 or unknown or (labels is not None and len(others) == len(folders) == 1):
        if unknown or len(folders) == 1:
            _index_of(root, (unknown or others)[0], known)
        raise DatasetError(
            f"{root}: the model has one logit, so expected a folder of the class that it speaks "
            f"for and at most one of the other, found {len(folders)} folders. Give `labels`, the "
            "negative class first."
        )
    if others and labels is None:
        _logger.warning(
            "%s: the model has one logit, taken for the second folder: %r is the class, %r is not "
            "it and explains nothing; give labels, the negative class first, if it is the other",
            *map(as_text, (str(root), positive, others[0])),
        )
    elif others:
        _logger.warning(
            "%s: the model has one logit, for %r; the images of %r are of no class and explain "
            "nothing",
            *map(as_text, (str(root), positive, others[0])),
        )
    return Match(known[-1:], {positive: 0} if positive in folders else {})


def _by_number(root: Path, folders: Sequence[str], class_count: int) -> Match:
    """Folders named by class indices from 0, or all of them numbered from 1."""
    numbers = {folder: int(folder) for folder in folders}
    found = sorted(numbers.values())
    names = [str(index) for index in range(class_count)]
    how = "the folders are class indices by number"
    if found == list(range(1, class_count + 1)):
        numbers = {folder: number - 1 for folder, number in numbers.items()}
        names = [str(number) for number in found]
        how = f"the folders count from 1, so 1 is the first class and {class_count} the last"
    elif len(set(found)) < len(found) or found[-1] >= class_count:
        raise DatasetError(
            f"{root}: expected folders named by different class indices from 0 to "
            f"{class_count - 1}, or by all numbers from 1 to {class_count}, got {folders[:5]} … "
            f"{folders[-1]!r}. Give `labels`, or rename the folders."
        )
    _logger.warning("%s: without labels %s%s", as_text(str(root)), how, _unlike_text(folders))
    return Match(names, numbers)


def _in_order(root: Path, folders: list[str]) -> Match:
    """As many folders as classes, in the order of the logits."""
    shown = [f"{as_text(name)} = {index}" for index, name in enumerate(folders)]
    if len(shown) > _SHOWN:
        shown[_SHOWN - 1 : -1] = ["…"]
    _logger.warning(
        "%s: without labels the folders are the classes in this order: %s%s",
        as_text(str(root)),
        ", ".join(shown),
        _unlike_text(folders),
    )
    return Match(
        [as_text(folder) for folder in folders],
        {folder: index for index, folder in enumerate(folders)},
    )


def _unlike_text(folders: Sequence[str]) -> str:
    """What to do if the model was trained on the other order that people use."""
    counted, as_words = natural_order(folders), sorted(folders)
    if counted == as_words:
        return ""
    first = next(here for here, there in zip(as_words, counted, strict=True) if here != there)
    return (
        f"; sorted as text, as torchvision and Keras do, {as_text(first)!r} would come earlier: "
        "give labels in that order if the model was trained so"
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
    raise DatasetError(
        f"{root / folder}: expected a folder name that is a label of the model."
        f"{did_you_mean(folder, names)} Rename or remove the folder, or correct the labels."
    )
