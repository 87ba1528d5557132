"""What names a class: one rule for Python, the command line, HTTP and the page.

1. A whole number is an id: the position of the class in the logits, from 0.
2. A text that is the label of a class names that class; of several classes, it is refused.
3. Any other text of digits is an id. Zeros may stand before it, so that an id can be written where
   the labels are digits too.

>>> names = ClassNames(["1", "0"])
>>> names.id_of(1), names.id_of("1"), names.id_of("01")
(1, 0, 1)

docs/format.md has the rule for readers ("What names a class").
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from serving.artifact import ClassRecord
from serving.errors import RequestError

ClassKey = int | str
"""A class by its id, or by its label."""

_DIGITS = 20  # of an id, zeros before it included; int() of endless text takes long
_SHOWN = 80  # characters of a client's words in a message
_HINTED = 2000  # labels up to which near ones are looked for


class ClassNames:
    """The labels of a model, to find classes by.

    Args:
        labels: The class labels in the order of the logits.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._ids: dict[str, list[int]] = {}
        for index, label in enumerate(self._labels):
            self._ids.setdefault(label, []).append(index)

    def __contains__(self, text: object) -> bool:
        """Whether a text is a label."""
        return text in self._ids

    def id_of(self, key: ClassKey) -> int:
        """The id of a class.

        Args:
            key: Its id or its label.

        Raises:
            RequestError: No class has that id or label, or several have that label.
        """
        if isinstance(key, str):
            found = self._ids.get(key, [])
            if len(found) > 1:
                raise RequestError(
                    f"the label {key[:_SHOWN]!r} is shared by the classes {found[:5]}: use an id."
                )
            if found:
                return found[0]
            if not (key.isascii() and key.isdecimal() and len(key) <= _DIGITS):
                raise RequestError(
                    f"expected a label of this model, got {key[:_SHOWN]!r}. {self._hint(key)}"
                )
        index, last = int(key), len(self._labels) - 1
        if not 0 <= index <= last:
            raise RequestError(f"expected a class id from 0 to {last}, got {index}.")
        return index

    def _hint(self, key: str) -> str:
        near = []
        if len(self._labels) <= _HINTED:
            near = difflib.get_close_matches(key[:_SHOWN], self._labels, n=3)
        if near:
            return f"Did you mean {' or '.join(map(repr, near))}?"
        more = ", …" if len(self._labels) > 5 else "."
        return f"There are {', '.join(map(repr, self._labels[:5]))}{more}"


def require_prototype(record: ClassRecord, number: int) -> None:
    """Refuse a number that is no prototype's of a class.

    Raises:
        RequestError: The class has no such prototype.
    """
    count = len(record.prototypes)
    if not 0 <= number < count:
        raise RequestError(
            f"class {record.label!r}: expected a prototype from 0 to {count - 1}, got {number}."
        )
