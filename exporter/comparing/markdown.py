"""A difference as GitHub's Markdown, for terminals, pull requests and CI summaries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from exporter.comparing.record import Difference, Shifts
from exporter.comparing.wording import (
    became,
    called,
    class_facts,
    likeness,
    shift_texts,
    size,
    statements,
    value,
)
from exporter.text import as_text, escaped
from serving.artifact.classes import words
from serving.drawing.lettering import percent

_ROWS = 20  # of a table


def to_markdown(found: Difference) -> str:
    """The verdict, then a table of everything that changed."""
    old, new = (as_text(side.name) for side in (found.old, found.new))
    verdict = "no difference" if found.is_same else "what changed"
    blocks = [
        f"### {old} → {new}: {verdict}",
        "\n".join(f"- {text}" for text in statements(found, _cell)),
        _table(
            "Options",
            ("option", "old", "new"),
            (
                (_code(c.name), _cell(value(c, c.old)), _cell(value(c, c.new)))
                for c in found.options
            ),
        ),
        _table("Classes", ("class", "what changed"), _classes(found)),
        _table("Parts", ("class", "old", "new", "what became of it", "alike"), _parts(found)),
        *([] if found.shifts is None else _images(found.shifts)),
        _table(
            "Gates",
            ("gate", "old", "new"),
            ((_cell(c.name), _cell(value(c, c.old)), _cell(value(c, c.new))) for c in found.gates),
        ),
        _table(
            "Files",
            ("file", "old", "new"),
            ((_code(file.name), size(file.old), size(file.new)) for file in found.files),
        ),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _classes(found: Difference) -> Iterator[Sequence[str]]:
    for change in found.classes:
        if facts := class_facts(change):
            yield _label(change.label), _cell("; ".join(facts))


def _parts(found: Difference) -> Iterator[Sequence[str]]:
    for change in found.classes:
        for part in change.parts:
            if part.is_change:
                yield (
                    _label(change.label),
                    _part(called(part.old)),
                    _part(called(part.new)),
                    became(part),
                    likeness(change, part),
                )


def _images(shifts: Shifts) -> list[str]:
    predictions = (
        (
            _cell(found.image),
            f"{_label(found.old)} ({percent(found.old_probability)})",
            f"{_label(found.new)} ({percent(found.new_probability)})",
        )
        for found in shifts.predictions
    )
    parts = (
        (_label(found.label), _part(found.name), *shift_texts(found), _cell(found.image))
        for found in shifts.parts
    )
    head = ("class", "part", "old mean", "new mean", "largest change", "on")
    return [
        _table("Images whose best class changed", ("image", "old", "new"), predictions),
        _table("How much parts contribute, the largest changes first", head, parts),
    ]


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A heading and a table, nothing without rows."""
    lines = [_row(row) for row in rows]
    if not lines:
        return ""
    more = len(lines) - _ROWS
    rest = f"\n\nand {more} more, which --json has." if more > 0 else ""
    table = "\n".join([_row(head), _row(["---"] * len(head)), *lines[:_ROWS]])
    return f"#### {title}\n\n{table}{rest}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return escaped(as_text(text))


def _label(text: str) -> str:
    return _cell(words(text))


def _part(name: str) -> str:
    """A name, or a number: in code, or GitHub would link it as that of an issue."""
    return _code(name) if name[:1] == "#" and name[1:].isdecimal() else _cell(name)


def _code(text: str) -> str:
    return f"`{text}`"
