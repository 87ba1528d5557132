"""Which prototypes to mute and to rename, checked against an artifact.

Symbols: c classes, k prototypes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from exporter.errors import EditError
from serving.artifact import MODEL, STEERABLE, ClassRecord, Manifest
from serving.artifact.edits import PrototypeKey, RenamedRecord
from serving.artifact.trust import Trust
from serving.errors import RequestError
from serving.model.class_key import ClassKey, ClassNames, require_prototype

_LONGEST = 200  # characters of a name: it has to fit on a page
_PROTOTYPE = re.compile(r"(?P<label>.+):(?P<number>[0-9]+)", re.DOTALL)
_NAME = re.compile(r"(?P<label>.+?):(?P<number>[0-9]+)=(?P<name>.*)", re.DOTALL)


@dataclass(frozen=True)
class Decision:
    """What an edit does, in records of the manifest, in the order of classes and prototypes.

    ``trust`` are the figures it puts in, None where it leaves those there are.
    """

    reason: str
    muted: tuple[PrototypeKey, ...]
    renamed: tuple[RenamedRecord, ...]
    trust: Trust | None = None


def parse_prototype(text: str) -> tuple[str, int]:
    """Read ``label:2``, split at the last colon.

    Raises:
        ValueError: It has another form.
    """
    found = _PROTOTYPE.fullmatch(text)
    if found is None:
        raise ValueError(f"expected LABEL:NUMBER, such as 'kite:2', got {text!r}")
    return found["label"], int(found["number"])


def parse_name(text: str) -> tuple[tuple[str, int], str]:
    """Read ``label:0=red crest``, split at the first colon that is followed by a number and =.

    Raises:
        ValueError: It has another form.
    """
    found = _NAME.fullmatch(text)
    if found is None:
        raise ValueError(
            f"expected LABEL:NUMBER=NAME, for instance 'kite:0=red crest', got {text!r}"
        )
    return (found["label"], int(found["number"])), found["name"]


def decide(
    manifest: Manifest,
    *,
    mute: Iterable[tuple[ClassKey, int]],
    names: Iterable[tuple[tuple[ClassKey, int], str]],
    reason: str,
    trust: Trust | None = None,
) -> Decision:
    """Check a decision.

    Args:
        manifest: The artifact's.
        mute: Class and number of each prototype to mute.
        names: Class and number of a prototype, and its new name.
        reason: Why; it is kept in the artifact.
        trust: Held-out figures to put in, as ``read_held_out`` of trust.py gives them.

    Returns:
        The decision; what is asked for twice is done once.

    Raises:
        EditError: No such class or prototype, nothing to do, a reason or name that is empty or no
            text, or a class that would keep no prototype.
    """
    _require_reason(reason)
    find = partial(_resolve, manifest, ClassNames(manifest.labels))
    muted = sorted({find(key, number) for key, number in mute})
    renamed = [_renamed(manifest, find(*key), name.strip()) for key, name in names]
    if not muted and not renamed and trust is None:
        raise EditError("nothing to do: expected a prototype to mute or to name, or figures.")
    _require_no_further_graphs(manifest, muted)
    _require_mutable(manifest, muted)
    _require_distinct(manifest, renamed)
    return Decision(
        reason=reason.strip(),
        muted=tuple(PrototypeKey(class_index=index, prototype=number) for index, number in muted),
        renamed=tuple(sorted(renamed, key=lambda name: (name.class_index, name.prototype))),
        trust=trust,
    )


def _require_no_further_graphs(manifest: Manifest, muted: Sequence[tuple[int, int]]) -> None:
    if muted and manifest.graphs:
        raise EditError(
            f"expected an artifact of {MODEL} and {STEERABLE} alone, found "
            f"{len(manifest.graphs)} graphs, of which an edit reaches these two. Edit the artifact "
            "before `protohead convert` and convert the edited one."
        )


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise EditError("expected a reason, got none: it tells who comes later why this was done.")
    try:
        reason.encode()
    except UnicodeEncodeError as error:
        raise EditError(f"expected a reason in UTF-8, got {reason[:_LONGEST]!r}.") from error


def _resolve(manifest: Manifest, names: ClassNames, key: ClassKey, number: int) -> tuple[int, int]:
    try:
        record = manifest.classes[names.id_of(key)]
        require_prototype(record, number)
    except RequestError as error:
        raise EditError(str(error)) from error
    return record.index, number


def _renamed(manifest: Manifest, key: tuple[int, int], name: str) -> RenamedRecord:
    index, number = key
    record = manifest.classes[index]
    if not name or len(name) > _LONGEST or not name.isprintable():
        raise EditError(
            f"{record.label}:{number}: expected a name of one line and at most {_LONGEST} "
            f"characters, got {name[:_LONGEST]!r}."
        )
    before = record.prototypes[number].name
    if name == before:
        raise EditError(f"{record.label}:{number} is named {name!r} already.")
    return RenamedRecord(class_index=index, prototype=number, before=before, after=name)


def _require_distinct(manifest: Manifest, renamed: list[RenamedRecord]) -> None:
    """Within a class a name stands for one prototype, in answers too."""
    keys = [(name.class_index, name.prototype) for name in renamed]
    for index, number in keys:
        if keys.count((index, number)) > 1:
            raise EditError(f"{manifest.classes[index].label}:{number} is given two names.")
    for index in {index for index, _ in keys}:
        record = manifest.classes[index]
        names = [prototype.name for prototype in record.prototypes]
        for name in renamed:
            if name.class_index == index:
                names[name.prototype] = name.after
        for name in renamed:
            if name.class_index == index and names.count(name.after) > 1:
                raise EditError(
                    f"{record.label}:{name.prototype}: another prototype of the class is named "
                    f"{name.after!r}. Choose a name that tells them apart."
                )


def _require_mutable(manifest: Manifest, muted: list[tuple[int, int]]) -> None:
    for index, number in muted:
        record = manifest.classes[index]
        if record.state == "whole":
            raise EditError(
                f"{record.label!r} was kept whole: its one prototype is all of its head row. "
                "Without it the class would get the same logit for every image; it can be named, "
                "not muted."
            )
        if (index, number) in manifest.muted:
            raise EditError(f"{record.label}:{number} {_mutedness(manifest, index, number)}")
    for index in {index for index, _ in muted}:
        _require_rest(manifest.classes[index], manifest.muted.union(muted))


def _mutedness(manifest: Manifest, index: int, number: int) -> str:
    key = PrototypeKey(class_index=index, prototype=number)
    edit = next(edit for edit in manifest.edits if key in edit.muted)
    return f"is muted already: {edit.reason}"


def _require_rest(record: ClassRecord, muted: frozenset[tuple[int, int]]) -> None:
    if all((record.index, number) in muted for number in range(len(record.prototypes))):
        raise EditError(
            f"{record.label!r} would keep no prototype: it would get the same logit for every "
            "image, and could still be the best class. Leave it one, or train the model again "
            "without the class."
        )
