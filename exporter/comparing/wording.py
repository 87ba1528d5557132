"""A difference in sentences, which Markdown and the page share; labels and names are as given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from exporter.comparing.record import (
    STATES,
    Change,
    ClassChange,
    Difference,
    MatchedBy,
    PartChange,
    PartRecord,
    Shift,
)
from exporter.report.words import number_of, per_cent
from serving.artifact.classes import fixed_name, words
from serving.drawing.lettering import decimals_for, signed

Quote = Callable[[str], str]
NOTHING = "·"
_NAMED = 5  # labels in a sentence
_FACTS = {
    "label": "label",
    "state": "split",
    "images": "training images",
    "skipped": "files skipped",
    "accuracy": "training accuracy",
    "placed": "evidence with a place",
}
_TOLD: dict[MatchedBy, str] = {
    "heatmaps": "their heatmaps, hot at the same places of the same images",
    "crops": "their training crops, the same places of the same images; images to run both on "
    "(--data) tell more",
}
_STATES = {"decomposed": "into parts", "whole": "kept whole"}


def statements(found: Difference, quote: Quote) -> Iterator[str]:
    """What changed, the most important first.

    Args:
        found: The difference.
        quote: Makes what comes from others fit where it is written.
    """
    if found.is_same:
        yield "They are one artifact, byte for byte."
        return
    yield _source(found, quote)
    gained = [words(c.label) for c in found.classes if c.old is None]
    lost = [words(c.label) for c in found.classes if c.new is None]
    if gained:
        yield f"{number_of(len(gained), 'class', 'classes')} gained: {_some(gained, quote)}."
    if lost:
        yield f"{number_of(len(lost), 'class', 'classes')} lost: {_some(lost, quote)}."
    yield _parts(found)
    for how, by in _TOLD.items():
        if how in found.matched_by:
            yield f"The heads differ: parts are taken for the same by {by}."
    for reasons, what in ((found.edits_gained, "gained"), (found.edits_lost, "taken back")):
        if reasons:
            yield f"{number_of(len(reasons), 'edit')} {what}: {_some(list(reasons), quote)}."
    failed = [gate.name for gate in found.gates if gate.new == "failed"]
    if failed:
        yield f"Gates that fail now: {_some(failed, quote)}."
    if found.shifts is not None:
        yield _images(found, quote)


def _source(found: Difference, quote: Quote) -> str:
    old, new = quote(found.old.source), quote(found.new.source)
    if found.same_source:
        return f"Both explain the same classifier, {new}, bit for bit."
    if old == new:
        return f"The classifier is another one of the same name, {new}."
    return f"The classifier is another one: {new}, it was {old}."


def _parts(found: Difference) -> str:
    parts = [part for change in found.classes for part in change.parts]
    counted = [f"{found.parts[state]} {state}" for state in STATES if found.parts[state]]
    renamed = sum(part.is_renamed for part in parts)
    muted = sum(part.is_switched and part.new is not None and part.new.muted for part in parts)
    counted += [f"{renamed} renamed"] if renamed else []
    counted += [f"{muted} muted"] if muted else []
    return f"Parts: {', '.join(counted)}."


def _images(found: Difference, quote: Quote) -> str:
    shifts = found.shifts
    if shifts is None:
        return ""
    changed = len(shifts.predictions)
    text = f"On {number_of(shifts.images, 'image')} of {quote(shifts.data)}, "
    if not changed:
        return text + "no best class changed."
    text += f"the best class of {changed} changed"
    return f"{text}: {shifts.corrected} corrected, {shifts.broken} broken."


def _some(texts: list[str], quote: Quote) -> str:
    more = len(texts) - _NAMED
    return ", ".join(map(quote, texts[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def fact(change: Change) -> str:
    """A fact of a class, before and after: ``training images 40 → 30``."""
    return (
        f"{_FACTS.get(change.name, change.name)} {value(change, change.old)} → "
        f"{value(change, change.new)}"
    )


def value(change: Change, found: Any) -> str:
    """One side of a change."""
    if found is None:
        return NOTHING
    if change.name in ("accuracy", "placed"):
        return per_cent(found, 1)
    if change.name == "state":
        return _STATES.get(found, str(found))
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def became(part: PartChange) -> str:
    """What became of a part, in words: ``moved, renamed``."""
    words: list[str] = [part.state]
    if part.is_renamed:
        words.append("renamed")
    if part.is_switched and part.new is not None:
        words.append("muted" if part.new.muted else "no longer muted")
    return ", ".join(words)


def called(part: PartRecord | None) -> str:
    """What a part is called in its artifact."""
    return NOTHING if part is None else fixed_name(part.number, part.name)


def likeness(change: ClassChange, part: PartChange) -> str:
    """How alike a part of a class is in both."""
    if part.likeness is None:
        return ""
    if change.matched_by == "vectors":
        return f"cosine {part.likeness:.2f}"
    if change.matched_by == "heatmaps":
        return f"heatmaps correlate by {part.likeness:.2f}"
    return f"crops overlap by {per_cent(part.likeness)}"


def class_facts(change: ClassChange) -> list[str]:
    """What changed of a class beside its parts."""
    if change.old is None:
        return ["gained"]
    if change.new is None:
        return ["lost"]
    return [
        *map(fact, change.facts),
        *(f"new warning: {text}" for text in change.warnings_gained),
        *(f"warning gone: {text}" for text in change.warnings_lost),
    ]


def shift_texts(shift: Shift) -> tuple[str, str, str]:
    """Mean contribution before and after, and the largest change, in logit units."""
    values = shift.old_mean, shift.new_mean, shift.largest
    decimals = decimals_for(max(map(abs, values)))
    before, after, largest = (signed(value, decimals) for value in values)
    return (
        NOTHING if shift.old is None else before,
        NOTHING if shift.new is None else after,
        largest,
    )


def size(number: int | None) -> str:
    """Bytes for people."""
    if number is None:
        return NOTHING
    return f"{number / 1e6:.2f} MB" if number >= 1e5 else f"{number / 1e3:.1f} kB"
