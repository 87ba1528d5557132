"""The records of an artifact's graphs, for readers that cannot ask a graph what it is.

docs/format.md, "Further graphs".
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from serving.artifact.layout import ImageLayout
from serving.artifact.values import FileName, Record

Variant = Literal["explained", "steerable", "dense"]


class TensorRecord(Record):
    """An input or output of a graph; None in the shape is any size, the batch as a rule.

    ``layout`` and ``channels`` are of a picture alone; ``meaning`` is the doc string in the graph.
    """

    name: str
    dtype: Literal["float32", "uint8", "int64"]
    shape: tuple[int | None, ...]
    layout: ImageLayout | None = Field(default=None, exclude_if=lambda layout: layout is None)
    channels: Literal["RGB", "BGR", "L"] | None = Field(
        default=None, exclude_if=lambda channels: channels is None
    )
    meaning: str


class GraphRecord(Record):
    """One graph of an artifact: its file, its kind, and what goes in and comes out."""

    file: FileName
    variant: Variant
    inputs: tuple[TensorRecord, ...] = Field(min_length=1)
    outputs: tuple[TensorRecord, ...] = Field(min_length=1)
