"""Where a vector is made of the positions of one map: mean, maximum, and all of them one by one.

    mean       z = scale * mean of x               place p gives  scale * x_p
    maximum    z_d = max over p of x_pd            place p gives  P x_pd where it is, shared
    flatten    z = (x_pd)                          place p gives  P x_pd at its own numbers

The places of maxima are held.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from exporter.chain.rows import Floats, RowWriter
from exporter.chain.step import FeatureMap, Known, Link, Spot
from exporter.chain.sums import Join
from exporter.errors import HeadError
from exporter.graph.elements import Index, sizes
from exporter.graph.pooling import (
    CHANNEL_AXIS,
    Order,
    above_rearrangement,
    axes_pooled,
    is_pooling,
    map_layout,
    read_pooling,
)
from exporter.graph.read import attribute, constant, name_of, source

_MAXIMA = {"GlobalMaxPool", "MaxPool", "ReduceMax"}


@dataclass(frozen=True)
class Pool:
    """A vector of the positions of a map (b, d, h, w), (b, h, w, d) or tokens (b, l, d).

    Attributes:
        map: The map.
        places: P.
        channels: Numbers of the channels of z, (m,); of channel and position of a flattened map.
        kind: "mean", "maximum" or "flatten".
        scale: What a mean is multiplied by.
    """

    map: FeatureMap
    places: int
    channels: Index
    kind: str
    scale: float = 1.0
    knows_reads: bool = False
    knows_own: bool = False
    shift: Floats | None = None

    @property
    def words(self) -> str:
        """Its name."""
        names = {"mean": "mean", "maximum": "maximum", "flatten": "all positions"}
        return f"{names[self.kind]} of {self.map.value!r}"

    @property
    def holds(self) -> str:
        """The places of maxima."""
        return "where each channel is largest" if self.kind == "maximum" else ""

    def value(self, write: RowWriter, _known: Known) -> ir.Value:
        """The vector z itself."""
        if self.kind == "flatten":
            length = self.map.channels * self.places
            flat = write.reshape(self._map(write), [0, 1, length])
            return write.pick(flat, 2, self.channels, length)
        pooled = self._largest(write) if self.kind == "maximum" else self._mean(write)
        pooled = write.reshape(pooled, [0, 1, self.map.channels])
        return write.pick(pooled, 2, self.channels, self.map.channels)

    def push(
        self, _write: RowWriter, _streams: Sequence[ir.Value | None], _known: Known
    ) -> ir.Value | None:
        """Nothing: all of it is delivered."""
        return None

    def pull(self, _write: RowWriter, _rows: ir.Value, _known: Known) -> list[ir.Value]:
        """Nothing: all of it is heat."""
        return []

    def deliver(self, write: RowWriter) -> ir.Value:
        """P times what each place gives, (b, p, m)."""
        d, p = self.map.channels, self.places
        if self.kind != "flatten":
            given = self._given(write)
            given = write.transpose(given, 0, 2, 1) if self._channels_first else given
            return write.pick(given, 2, self.channels, d)
        own = np.eye(p)[None, :, None, :] * p  # (1, p, 1, p)
        x = write.reshape(self._map(write), [0, 1, d, p])
        spread = write.reshape(write.mul(x, write.floats(own)), [0, p, d * p])
        return write.pick(spread, 2, self.channels, d * p)

    def heat(self, write: RowWriter, rows: ir.Value) -> ir.Value:
        """P times what rows see of each place, (b, r, p)."""
        d, p = self.map.channels, self.places
        if self.kind == "flatten":
            rows = write.reshape(write.scatter(rows, self.channels, d * p), [0, -1, d, p])
            x = write.reshape(self._map(write), [0, 1, d, p])
            return write.scale(write.total(write.mul(rows, x), 2), p)
        return read_off(write, write.scatter(rows, self.channels, d), self._given(write), self.map)

    def at_map(self, write: RowWriter, rows: ir.Value) -> ir.Value:
        """Rows (b, r, m) as rows of the map's channels, summed over places, (b, r, d)."""
        d, p = self.map.channels, self.places
        if self.kind != "flatten":
            return write.scale(write.scatter(rows, self.channels, d), self.scale)
        rows = write.scatter(rows, self.channels, d * p)
        return write.total(write.reshape(rows, [0, -1, d, p]), 3)

    @property
    def _channels_first(self) -> bool:
        return self.map.layout == "NCHW"

    def _map(self, write: RowWriter) -> ir.Value:
        return features(write, self.map, self.places)

    def _mean(self, write: RowWriter) -> ir.Value:
        return write.scale(mean_of(write, self.map, self.places), self.scale)

    def _largest(self, write: RowWriter) -> ir.Value:
        axis = 2 if self._channels_first else 1
        return write.once((id(self), "largest"), lambda: write.largest(self._map(write), axis))

    def _given(self, write: RowWriter) -> ir.Value:
        """P times what each place gives of each channel, as the map lies."""
        if self.kind == "mean":
            return write.scale(self._map(write), self.scale)
        return write.once((id(self), "given"), lambda: self._at_maxima(write))

    def _at_maxima(self, write: RowWriter) -> ir.Value:
        x = self._map(write)
        there = write.node("Equal", [x, self._largest(write)])
        there = write.node("Cast", [there], to=int(ir.DataType.FLOAT))
        if self._channels_first:
            ties = write.scale(write.mean(there, self.places), self.places)
        else:
            ties = write.matmul(write.floats(np.ones((1, self.places))), there)
        return write.scale(write.mul(x, write.div(there, ties)), self.places)


def features(write: RowWriter, source_map: FeatureMap, places: int) -> ir.Value:
    """A feature map with its positions in one axis, (b, d, p) or, channels last, (b, p, d)."""
    sizes_of = [source_map.channels, places]
    shape = [0, *(sizes_of if source_map.layout == "NCHW" else sizes_of[::-1])]
    tap = write.tap(source_map.value)
    return write.once((hash(source_map), "map"), lambda: write.reshape(tap, shape))


def mean_of(write: RowWriter, source_map: FeatureMap, places: int) -> ir.Value:
    """The mean of a feature map over its positions, (b, d, 1) or, channels last, (b, 1, d)."""
    x = features(write, source_map, places)

    def make() -> ir.Value:
        if source_map.layout == "NCHW":
            return write.mean(x, places)
        return write.matmul(write.floats(np.full((1, places), 1 / places)), x)

    return write.once((hash(source_map), "mean"), make)


def read_off(write: RowWriter, rows: ir.Value, given: ir.Value, source_map: FeatureMap) -> ir.Value:
    """Rows (b, r, d) at each position of a map as it lies, (b, r, p).

    Channels last, the rows are transposed and never the features: a runtime would merge that node
    with one of the source's.
    """
    if source_map.layout == "NCHW":
        return write.matmul(rows, given)
    by_position = write.matmul(given, write.transpose(rows, 0, 2, 1))
    return write.transpose(by_position, 0, 2, 1)


def read_pool(value: ir.Value, index: Index) -> Link | None:
    """Read a mean or a maximum over all positions of a map."""
    node, shape = value.producer(), sizes(value)
    if node is None or shape is None or len(index) < 2:
        return None
    if node.op_type in _MAXIMA:
        found = _maximum(node)
        if found is None:
            return None
        source_map, places = found
        pool = Pool(source_map, places, index, "maximum")
    elif is_pooling(node):
        try:
            pooling = read_pooling(node)
            layout = map_layout(pooling)
        except HeadError:
            return None
        if pooling.matrix is not None:
            return None
        described = _described(pooling.feature, layout)
        if described is None:
            return None
        pool = Pool(*described, index, "mean", pooling.scale)
    else:
        return None
    if int(index.max()) >= pool.map.channels:
        return None
    if pool.places == 1 and pool.scale == 1:
        step = Join((np.arange(len(index)),), len(index), words="moved")
        return Link(
            Spot(value.name or "", index), name_of(node), step, (Spot(pool.map.value, index),)
        )
    return Link(Spot(value.name or "", index), name_of(node), pool, located=True)


def read_flattened(value: ir.Value, index: Index) -> Link | None:
    """A vector that is every element of a map (b, d, h, w)."""
    shape = sizes(value)
    if shape is None or len(shape) != 4 or len(index) != math.prod(shape):
        return None
    if shape[1] == 1 or shape[2] * shape[3] == 1 or constant(value) is not None:
        return None  # one channel: a vector (b, 1, 1, d)
    pool = Pool(
        FeatureMap(value.name or "", "NCHW", shape[1]), shape[2] * shape[3], index, "flatten"
    )
    node = value.producer()
    return Link(
        Spot(value.name or "", index), "" if node is None else name_of(node), pool, located=True
    )


def _maximum(node: ir.Node) -> tuple[FeatureMap, int] | None:
    """The map whose maximum over all positions a node takes."""
    read = source(node)
    shape, pooled = sizes(read), sizes(node.outputs[0])
    if shape is None or pooled is None:
        return None
    if node.op_type == "MaxPool":
        pads = any(attribute(node, "pads", ()))
        if pads or any(size != 1 for size in pooled[2:]) or math.prod(shape[2:]) == 1:
            return None
        if tuple(attribute(node, "kernel_shape", ())) != tuple(shape[2:]):
            return None
    layout = axes_pooled(node, len(shape))
    if layout is None:
        return None
    value, order = above_rearrangement(read, layout)
    return None if order == "NCL" else _described(value, order)


def _described(value: ir.Value, layout: Order) -> tuple[FeatureMap, int] | None:
    """A map, and its number of positions."""
    shape = sizes(value)
    if shape is None or layout == "NCL":
        return None
    channels = shape[CHANNEL_AXIS[layout]]
    return FeatureMap(value.name or "", layout, channels), math.prod(shape[1:]) // channels
