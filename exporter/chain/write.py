"""Write a chain into a graph: its values, what is pushed down it, and rows that are pulled up."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import onnx_ir as ir

from exporter.chain.pool import Pool, features, mean_of, read_off
from exporter.chain.rows import RowWriter
from exporter.chain.step import Chain, Link, Place, Spot

Key = tuple[str, bytes]


class ChainWriter:
    """Appends what explanations need of a chain.

    Args:
        write: Writer of rows on the graph that the chain was read from, or on a copy of it.
        chain: The chain.
    """

    def __init__(self, write: RowWriter, chain: Chain) -> None:
        self._write = write
        self._chain = chain
        self._links = {link.spot.key: link for link in chain.links}
        self._values: dict[Key, ir.Value] = {}
        self._add_values()

    def _add_values(self) -> None:
        """The vectors whose values are needed, those first that others are computed from."""
        needed = {spot.key for spot in self._chain.ends}
        for key in self._chain.linear:
            needed |= {spot.key for spot in self._held(self._links[key])}
        for link in reversed(self._chain.links):
            if link.spot.key in needed and not (link.located or link.tapped):
                needed |= {spot.key for spot in (*link.reads, *link.held)}
        for link in self._chain.links:
            if link.spot.key not in needed:
                continue
            if link.tapped:
                tap = self._write.tap(link.spot.value)
                found = self._write.reshape(tap, [-1, 1, link.spot.size])
            else:
                found = link.step.value(self._write, _Known(self, link))
            self._values[link.spot.key] = found

    def _held(self, link: Link) -> tuple[Spot, ...]:
        own = (link.spot,) if link.step.knows_own else ()
        return (*(link.reads if link.step.knows_reads else ()), *link.held, *own)

    def value(self, spot: Spot) -> ir.Value:
        """The vector itself, (b, 1, m)."""
        return self._values[spot.key]

    def whole(self) -> ir.Value:
        """The vector h itself, (b, 1, H)."""
        return self._write.join([self.value(spot) for spot in self._chain.ends])

    def unplaced(self) -> ir.Value | None:
        """What of h comes from no place, (b, 1, H); None where that is nothing."""
        return None if self._chain.whole else self._push(delivered=False)

    def located(self) -> ir.Value:
        """P times what each place gives of h (b, p, H), behind the map (b, p, d) if any."""
        given = self._push(delivered=True)
        if given is None:
            raise ValueError("expected a chain that reads places")
        if self._chain.map is None:
            return given
        own = features(self._write, self._chain.map, self._chain.places)
        if self._chain.map.layout == "NCHW":
            own = self._write.transpose(own, 0, 2, 1)
        return self._write.join([own, given])

    def pooled(self, unplaced: ir.Value | None) -> ir.Value:
        """The mean over places of what :meth:`located` gives, (b, 1, d + H).

        Args:
            unplaced: (b, 1, H), what is not counted.
        """
        placed = self.whole()
        if unplaced is not None:
            placed = self._write.sub(placed, unplaced)
        if self._chain.map is None:
            return placed
        mean = mean_of(self._write, self._chain.map, self._chain.places)
        mean = self._write.reshape(mean, [0, 1, self._chain.mapped])
        return self._write.join([mean, placed])

    def heat(self, rows: ir.Value) -> ir.Value:
        """What rows (b, r, H) see of each place, (b, r, p)."""
        return self._pulled(
            rows, lambda link, part: cast("Place", link.step).heat(self._write, part)
        )

    def heat_of_parts(self, rows: ir.Value, classes: ir.Value, k: int) -> ir.Value:
        """What the k parts of each class see of each place of the map, (b, t * k, p).

        Behind the map all parts of a class are multiples of one row, which is pulled up once.

        Args:
            rows: Parts (b, t * k, d + H): c_i of the map's channels, and w_i v behind them.
            classes: v (b, t, H), the rows of their classes.
            k: Parts of a class.
        """
        write, chain = self._write, self._chain
        if chain.map is None:
            raise ValueError("expected a chain with a map")
        own = write.slice(rows, 2, 0, chain.mapped)
        further = write.slice(rows, 2, chain.mapped, chain.mapped + chain.size)
        evidence = write.reshape(self.heat(classes), [0, -1, 1, chain.places])
        shares = self._shares(write.reshape(further, [0, -1, k, chain.size]), classes)
        shared = write.reshape(write.mul(shares, evidence), [0, -1, chain.places])
        found = features(write, chain.map, chain.places)
        return write.node("Add", [read_off(write, own, found, chain.map), shared])

    def _shares(self, parts: ir.Value, classes: ir.Value) -> ir.Value:
        """The shares w_i (b, t, k, 1) of parts w_i v (b, t, k, H) of rows v (b, t, H).

        They are (w_i v) . v / v . v, read off the parts and not stored, so that a part that is
        muted has none.
        """
        write, size = self._write, self._chain.size
        columns = write.reshape(classes, [0, -1, size, 1])
        square = write.matmul(write.reshape(classes, [0, -1, 1, size]), columns)
        least = write.floats(np.array(np.finfo(np.float32).tiny))  # a row of zeros has no shares
        return write.div(write.matmul(parts, columns), write.node("Max", [square, least]))

    def _push(self, *, delivered: bool) -> ir.Value | None:
        """What comes from no place (b, 1, H), or what comes from each (b, p, H)."""
        write, streams = self._write, dict[Key, ir.Value | None]()
        for link in self._chain.links:
            if link.spot.key not in self._chain.linear:
                continue
            stream = link.step.push(write, [streams[s.key] for s in link.reads], _Known(self, link))
            if delivered and link.located:
                stream = write.add(stream, cast("Place", link.step).deliver(write))
            elif not delivered and link.step.shift is not None:
                shift = link.step.shift
                stream = (
                    write.for_each_image(shift)
                    if stream is None
                    else write.add(stream, write.floats(shift))
                )
            streams[link.spot.key] = stream
        ends = self._chain.ends
        if all(streams[spot.key] is not None for spot in ends):
            return write.join([found for spot in ends if (found := streams[spot.key]) is not None])
        start, whole = 0, None
        for spot in ends:
            stream = streams[spot.key]
            if stream is not None:
                own = np.arange(start, start + spot.size)
                whole = write.add(whole, write.scatter(stream, own, self._chain.size))
            start += spot.size
        return whole

    def at_map(self, rows: ir.Value) -> ir.Value:
        """Rows (b, r, H) as rows of the chain's map, the mean over places, (b, r, d)."""
        return self._pulled(
            rows, lambda link, part: cast(Pool, link.step).at_map(self._write, part)
        )

    def _pulled(self, rows: ir.Value, read: Callable[[Link, ir.Value], ir.Value]) -> ir.Value:
        """The sum of what is read of rows (b, r, H) where they reach places."""
        write, waiting = self._write, dict[Key, ir.Value | None]()
        start = 0
        for spot in self._chain.ends:
            part = rows
            if len(self._chain.ends) > 1:
                part = write.slice(rows, 2, start, start + spot.size)
            start += spot.size
            waiting[spot.key] = write.add(waiting.get(spot.key), part)
        heat = None
        for link in reversed(self._chain.links):
            pulled = waiting.pop(link.spot.key, None)
            if pulled is None or link.spot.key not in self._chain.linear:
                continue
            if link.located:
                heat = write.add(heat, read(link, pulled))
            if not link.reads:
                continue
            parts = link.step.pull(write, pulled, _Known(self, link))
            for spot, part in zip(link.reads, parts, strict=True):
                waiting[spot.key] = write.add(waiting.get(spot.key), part)
        if heat is None:
            raise ValueError("expected a chain that reads places")
        return heat


class _Known:
    """What a link may ask for."""

    def __init__(self, writer: ChainWriter, link: Link) -> None:
        self._writer, self._link = writer, link

    def read(self, number: int = 0) -> ir.Value:
        """The vector that the step reads."""
        return self._writer.value(self._link.reads[number])

    def held(self, number: int = 0) -> ir.Value:
        """A vector that the step holds."""
        return self._writer.value(self._link.held[number])

    def own(self) -> ir.Value:
        """The vector that the step computes."""
        return self._writer.value(self._link.spot)
