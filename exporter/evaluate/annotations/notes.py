"""What a reader left out or took in its own way, counted, so that a person is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from exporter.evaluate.annotations.place import one_line


@dataclass
class Tally:
    """Counts what has to be said of a source, in the order in which it was met."""

    _found: dict[str, tuple[int, str]] = field(default_factory=dict)

    def say(self, note: str) -> None:
        """Say something once."""
        self._found.setdefault(note, (1, ""))

    def add(self, note: str, where: str) -> None:
        """Count one more of a kind.

        Args:
            note: What to say; ``{n}`` becomes the count, and ``{s}`` an s unless that is 1.
            where: Where this one is, like "line 3"; the first is named behind the note.
        """
        count, first = self._found.get(note, (0, where))
        self._found[note] = count + 1, first

    def lines(self) -> tuple[str, ...]:
        """One line for each kind."""
        return tuple(_line(note, *found) for note, found in self._found.items())


def plural(count: int, noun: str) -> str:
    """Like ``3 images``, or ``1 image``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _line(note: str, count: int, first: str) -> str:
    told = note.replace("{n}", str(count)).replace("{s}", "" if count == 1 else "s")
    return one_line(f"{told} (first: {first})" if first else told)
