"""The chain of a head in words, from the places of the image to the logits.

    patches 14 x 14 -> 12 x (LayerNorm, attention, sum, LayerNorm, MLP with GELU, sum) -> LayerNorm
    -> linear layer 'classifier' (1000 x 768)

What only moves numbers, biases and factors that are one number are not drawn; what repeats is
drawn once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from exporter.chain.affine import Linear, Scale
from exporter.chain.attention import Attention
from exporter.chain.gate import Activation, Product
from exporter.chain.pool import Pool
from exporter.chain.step import Chain, Link
from exporter.chain.sums import Join, Repeat, RowMean, Start, Sum
from exporter.head import Head

_LINEAR, _ATTENTION, _NORM, _SCALE = "linear layer", "attention", "LayerNorm", "scale"
_SUM, _JOINED = "sum", "joined"
_CONSTANTS, _DIVISION = "constants added", "division by a number of the image"
_SPELLED = ("mean of its numbers", _SUM, _DIVISION)  # a LayerNorm in single operations
_POOLS = {"mean": "mean", "maximum": "maximum", "flatten": "all positions"}


@dataclass(frozen=True)
class Drawing:
    """A chain in words.

    Attributes:
        steps: From the places to the logits; repeated ones are one entry.
        held: What steps hold of each image, one kind of step an entry.
        unplaced: What adds to logits from no place; empty where nothing does.
    """

    steps: tuple[str, ...]
    held: tuple[str, ...]
    unplaced: tuple[str, ...]


class _Part(NamedTuple):
    """A step as it is drawn, what it holds, and whether another branch begins with it."""

    name: str
    holds: str = ""
    begins: bool = False


def draw(head: Head) -> Drawing:
    """Draw the chain of a head; empty for a mean and a linear layer."""
    chain = head.chain
    if chain is None:
        return Drawing((), (), ())
    parts = _without_spelling(list(_parts(chain)))
    held = {f"{part.name}: {part.holds}": None for part in parts if part.holds}
    names = _grouped([f"beside it {part.name}" if part.begins else part.name for part in parts])
    classes = len(head.weight)
    steps = (
        _places(chain),
        *_folded(names),
        f"{_LINEAR} {head.linear!r} ({classes} x {chain.size})",
    )
    return Drawing(steps, tuple(held), tuple(_unplaced(chain)))


def _places(chain: Chain) -> str:
    h, w = chain.grid
    if chain.map is None:
        return f"patches {h} x {w}"
    return f"feature map {chain.map.value!r} {h} x {w} x {chain.map.channels}"


def _parts(chain: Chain) -> Iterator[_Part]:
    """What is drawn of the links that h is linear in; of several tokens of one value, one."""
    seen: set[str] = set()
    before = ""
    for link in _in_order(chain):
        if link.spot.value in seen:
            continue
        seen.add(link.spot.value)
        part = _part(link, before)
        if part is not None:
            yield part._replace(begins=isinstance(link.step, Pool) and bool(before))
            before = part.name
    if len(chain.ends) > 1:
        yield _Part(_JOINED)


def _in_order(chain: Chain) -> Iterator[Link]:
    """The links that h is linear in, one branch to its end before the next."""
    links = {link.spot.key: link for link in chain.links}
    waiting = [(spot.key, False) for spot in reversed(chain.ends)]
    done: set[tuple[str, bytes]] = set()
    while waiting:
        key, read = waiting.pop()
        if read:
            yield links[key]
        elif key not in done:
            done.add(key)
            waiting.append((key, True))
            waiting += [(spot.key, False) for spot in reversed(links[key].reads)]


def _part(link: Link, before: str) -> _Part | None:
    """One link as it is drawn behind another."""
    step = link.step
    if isinstance(step, Scale):
        name = _scale(step, before)
        return None if name is None else _Part(name)
    if isinstance(step, Start | Repeat) or (isinstance(step, Join) and len(link.reads) < 2):
        return None
    if isinstance(step, Pool):
        return _Part(_POOLS[step.kind], step.holds)
    if isinstance(step, Product):
        return _product(step)
    if isinstance(step, RowMean):
        return _Part(_SPELLED[0] if step.kind == "ReduceMean" else step.words)
    known = {Linear: _LINEAR, Attention: _ATTENTION, Sum: _SUM, Join: _JOINED}
    name = known.get(type(step), step.words)
    return _Part(name, "its gate" if isinstance(step, Activation) else step.holds)


def _scale(step: Scale, before: str) -> str | None:
    """Stored numbers that are more than a bias, a position's vector at the start, or one number."""
    if step.words == "BatchNorm":
        return step.words
    if not before or before == _DIVISION:  # what follows a division is gamma and beta of a norm
        return None
    if step.factor is None:
        return None if before in (_LINEAR, _CONSTANTS, _SCALE) else _CONSTANTS
    return None if np.ptp(step.factor) == 0 else _SCALE


def _product(step: Product) -> _Part:
    if step.divided:
        return _Part(_DIVISION, step.holds)
    if step.kind == "Erf":
        return _Part("GELU", "its gate")
    return _Part(f"{step.kind} gate" if step.kind else "product", "the gate")


def _without_spelling(parts: list[_Part]) -> list[_Part]:
    """The parts, with a LayerNorm in single operations as one."""
    found, at = list[_Part](), 0
    while at < len(parts):
        names = tuple(part.name for part in parts[at : at + len(_SPELLED)])
        spelled = names == _SPELLED
        found.append(_Part(_NORM, "its deviation") if spelled else parts[at])
        at += len(_SPELLED) if spelled else 1
    return found


def _grouped(names: Sequence[str]) -> list[str]:
    """Names, with attention and its linear layers as one, and an MLP beside a skip as one."""
    found = list[str]()
    for name in names:
        if name == _ATTENTION and found and found[-1] == _LINEAR:
            found.pop()
        if name == _LINEAR and found and found[-1] == _ATTENTION:
            continue
        scale = found[-1:] if found[-1:] == [_SCALE] else []
        layers = found[len(found) - len(scale) - 3 : len(found) - len(scale)]
        if name == _SUM and layers[::2] == [_LINEAR, _LINEAR]:
            found[-3 - len(scale) :] = [f"MLP with {layers[1]}", *scale]
        found.append(name)
    return found


def _folded(names: Sequence[str]) -> list[str]:
    """Names, with what repeats as one entry: the stretch that covers most, and around it again."""
    if len(names) < 3:
        return list(names)
    numbers = np.unique(names, return_inverse=True)[1]
    covered, length, start, count = max(
        (_longest(numbers, length) for length in range(1, len(names) // 2 + 1)),
        key=lambda found: (found[0], -found[1]),
    )
    if count < (3 if length == 1 else 2):
        return list(names)
    body = ", ".join(names[start : start + length])
    return [
        *_folded(names[:start]),
        f"{count} x ({body})" if length > 1 else f"{count} x {body}",
        *_folded(names[start + covered :]),
    ]


def _longest(numbers: np.ndarray, length: int) -> tuple[int, int, int, int]:
    """The longest stretch that repeats every ``length``: covered, length, start, repetitions."""
    best, run = (0, length, 0, 1), 0
    for at, same in enumerate(numbers[:-length] == numbers[length:]):
        run = run + 1 if same else 0
        count = run // length + 1
        if count > 1 and count * length > best[0]:
            best = count * length, length, at + 1 - run, count
    return best


def _unplaced(chain: Chain) -> Iterator[str]:
    """What links that h is linear in add from no place."""
    adding = [
        link.step
        for link in chain.links
        if link.spot.key in chain.linear and link.step.shift is not None
    ]
    if any(not isinstance(step, Start) for step in adding):
        yield "biases"
    if any(isinstance(step, Start) for step in adding):
        yield "stored vectors such as a class token"
