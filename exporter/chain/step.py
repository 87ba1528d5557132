"""A chain: how the vector h that the last linear layer reads is computed from places of the image.

A step computes one vector of an image from others. Once the numbers that it *holds* are given
(gates, deviations, attention weights, the place of a maximum) it is linear in what it reads:

    z = L(held) y + t

so every step can do three things, all of them as nodes of a graph:

    value   z itself, of the image
    push    u  ->  L u          what part of h comes from where: features, and what has no place
    pull    r  ->  Lᵀ r         which rows see of y what r sees of z: heatmaps of a class

Steps that read places of the image begin the chain (:class:`Place`). Numbers are held as Gradient x
Input holds the gates of a ReLU network (Ancona et al., 2018) and AttnLRP those of a transformer
(Achtibat et al., 2024), so what is pushed and what is pulled add up exactly.

Symbols: b images, r rows, m and n lengths of vectors, p places, h the vector (b, H).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.chain.rows import RowWriter
from exporter.graph.elements import Index

Layout = Literal["NCHW", "NHWC", "NLC"]


class Spot(NamedTuple):
    """One vector of an image: elements of a value of the graph.

    Attributes:
        value: Name of the value.
        at: Numbers of the elements in one image, (m,).
    """

    value: str
    at: Index

    @property
    def key(self) -> tuple[str, bytes]:
        """What two spots have in common that are the same."""
        return self.value, self.at.tobytes()

    @property
    def size(self) -> int:
        """The length m."""
        return len(self.at)


class Known(Protocol):
    """What is known of an image at one link: values of the graph, (b, 1, m) each."""

    def read(self, number: int = 0) -> ir.Value:
        """The vector that the step reads."""
        ...

    def held(self, number: int = 0) -> ir.Value:
        """A vector that the step holds."""
        ...

    def own(self) -> ir.Value:
        """The vector that the step computes."""
        ...


class Step(Protocol):
    """One step. Shapes: values (b, 1, m), rows and streams (b, r, m)."""

    @property
    def words(self) -> str:
        """What it is, for people."""
        ...

    @property
    def holds(self) -> str:
        """What it holds, for people; empty for a step that is linear as it is."""
        ...

    @property
    def knows_reads(self) -> bool:
        """Whether what it holds is computed from the vectors that it reads."""
        ...

    @property
    def knows_own(self) -> bool:
        """Whether what it holds is computed from the vector that it computes."""
        ...

    @property
    def shift(self) -> NDArray[np.float32] | None:
        """The shift t (m,), which comes from no place; None where it is zero."""
        ...

    def value(self, write: RowWriter, known: Known) -> ir.Value:
        """The vector z itself, (b, 1, m)."""
        ...

    def push(
        self, write: RowWriter, streams: Sequence[ir.Value | None], known: Known
    ) -> ir.Value | None:
        """L u (b, r, m) of a stream (b, r, n) for each vector that is read; None is zero."""
        ...

    def pull(self, write: RowWriter, rows: ir.Value, known: Known) -> list[ir.Value]:
        """Lᵀ r (b, r, n) for each vector that is read, of rows (b, r, m)."""
        ...


class Plain:
    """What most steps have: they hold nothing that is computed, and nothing comes from no place."""

    holds: str = ""
    knows_reads: bool = False
    knows_own: bool = False
    shift: NDArray[np.float32] | None = None


class Place(Step, Protocol):
    """A step that reads places of the image."""

    def deliver(self, write: RowWriter) -> ir.Value:
        """P times what each place gives of z, (b, p, m)."""
        ...

    def heat(self, write: RowWriter, rows: ir.Value) -> ir.Value:
        """P times what rows (b, r, m) see of each place, (b, r, p)."""
        ...


@dataclass(frozen=True)
class Link:
    """A step at its place in a graph.

    Attributes:
        spot: The vector that it computes.
        node: Name of the node that it was read from; empty for a constant.
        step: The step.
        reads: The vectors that it is linear in.
        held: Other vectors whose values it holds.
        located: Whether the step reads places too.
        tapped: Whether the value of the graph is the vector and nothing else, and one that runtimes
            keep when they fuse operations: it is read instead of computed again.
    """

    spot: Spot
    node: str
    step: Step
    reads: tuple[Spot, ...] = ()
    held: tuple[Spot, ...] = ()
    located: bool = False
    tapped: bool = False


@dataclass(frozen=True)
class FeatureMap:
    """The one map that all places of a chain are positions of.

    Attributes:
        value: Its name.
        layout: (b, d, h, w), (b, h, w, d), or tokens (b, l, d).
        channels: d.
    """

    value: str
    layout: Layout
    channels: int


@dataclass(frozen=True)
class Chain:
    """How h is computed from places.

    Attributes:
        ends: The vectors that make up h, joined.
        links: Every link that is needed for values, those that are read before those that read.
        linear: Keys of the links that h is linear in.
        grid: (h, w) of the places, row by row.
        map: The map that places are positions of; None where h is fed by attention, which reads
            another map in every block.
    """

    ends: tuple[Spot, ...]
    links: tuple[Link, ...]
    linear: frozenset[tuple[str, bytes]]
    grid: tuple[int, int]
    map: FeatureMap | None

    @property
    def places(self) -> int:
        """P = h * w."""
        return self.grid[0] * self.grid[1]

    @property
    def size(self) -> int:
        """H, the length of h."""
        return sum(spot.size for spot in self.ends)

    @property
    def mapped(self) -> int:
        """Channels of the map, 0 where there is none: in front of h in a located feature."""
        return 0 if self.map is None else self.map.channels

    @property
    def words(self) -> tuple[str, ...]:
        """The steps that are linear in places, from h upwards; "moved" is none."""
        found = (link.step.words for link in reversed(self.links) if link.spot.key in self.linear)
        return tuple(words for words in found if words not in ("moved", "constant"))

    @property
    def whole(self) -> bool:
        """Whether all of h comes from places."""
        return all(link.step.shift is None for link in self.links if link.spot.key in self.linear)
