"""The answer in one sentence: what it says, how sure it is, and which parts speak for it.

What the interface calls a prototype people call a part. A part has two names: the one it has in
the artifact, and in one picture its rank, from 1, the part that speaks for its class most first.
``page/sentence.js`` and ``page/parts.js`` say the same; a test holds them together.
"""

from __future__ import annotations

from collections.abc import Sequence

from serving.artifact.classes import words
from serving.drawing.lettering import percent
from serving.model.explanation import ClassExplanation, Explanation, PrototypeExplanation, Score

MOST = 3  # parts that are named
ENOUGH = 0.8  # share of what speaks for a class that the named ones hold
UNSURE = 0.5  # probability below which an answer is not sure


def ranked(explained: ClassExplanation) -> list[PrototypeExplanation]:
    """The parts of an explained class, those that speak for it most first."""
    return sorted(explained.prototypes, key=lambda part: (-part.contribution, part.index))


def sentence_of(explanation: Explanation) -> str:
    """An explanation in one sentence; in two where the best class is not among those asked for.

    Raises:
        ValueError: No class is explained.
    """
    if not explanation.classes:
        raise ValueError("expected at least one explained class")
    scores = explanation.best or sorted(explanation.classes, key=lambda c: -c.probability)
    found = {explained.class_id: explained for explained in explanation.classes}
    best = found.get(scores[0].class_id)
    if best is not None:
        return say(scores, best, explanation.activation)
    own, reason = _reason(explanation.classes[0])
    asked = _said(explanation.classes[0])
    return f"It says {_said(scores[0])}. {f'{asked}. {reason}' if own else f'{asked} {reason}.'}"


def say(
    scores: Sequence[Score | ClassExplanation], explained: ClassExplanation, activation: str
) -> str:
    """The sentence of an answer.

    Args:
        scores: The most probable classes, best first; two of them are enough.
        explained: The best one, as explained.
        activation: ``softmax`` or ``sigmoid``, of which classes do not compete.
    """
    best = scores[0]
    rival = None
    if activation == "softmax" and scores[1:] and 2 * scores[1].probability >= best.probability:
        rival = scores[1]
    own, reason = _reason(explained)
    if best.probability >= UNSURE and rival is None:
        return f"It says {_said(best)}{'.' if own else ','} {reason}{'' if own else '.'}"
    also = f", also {_said(rival)}" if rival else ""
    if not own:
        named = f"{words(best.label)} {reason}" if rival else reason[0].upper() + reason[1:]
        reason = f"{named}."
    return f"It is not sure: {_said(best)}{also}. {reason}"


def _said(score: Score | ClassExplanation) -> str:
    return f"{words(score.label)} ({percent(score.probability)})"


def _reason(explained: ClassExplanation) -> tuple[bool, str]:
    """What decided for a class: whether it is a sentence of its own, and the end of one."""
    if explained.whole:
        return True, "This class is not split into parts."
    if explained.placed < 0.5:
        return False, "mostly from no place in the picture"
    parts = _main_parts(explained)
    if not parts:
        return False, "though no part speaks for it"
    return False, f"mostly for {_listed_parts(parts)}"


def _main_parts(explained: ClassExplanation) -> list[PrototypeExplanation]:
    """The strongest parts that hold most of what speaks for the class, at most three."""
    speaking = [part for part in ranked(explained) if part.contribution > 0]
    total = sum(part.contribution for part in speaking)
    parts: list[PrototypeExplanation] = []
    held = 0.0
    for part in speaking[:MOST]:
        if held < ENOUGH * total:
            parts.append(part)
        held += part.contribution
    return parts


def _listed_parts(parts: list[PrototypeExplanation]) -> str:
    if not any(part.is_named for part in parts):
        numbers = _listed([str(rank) for rank in range(1, len(parts) + 1)])
        return f"{'part' if len(parts) == 1 else 'parts'} {numbers}"
    said = []
    article = "the "
    for rank, part in enumerate(parts, 1):
        if part.is_named:
            said.append(f"{article}{words(part.name)} ({rank})")
            article = ""
        else:
            said.append(f"part {rank}")
    return _listed(said)


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
