"""Static quantisation to 8 bits by onnxruntime's own tool: ranges from pictures, before serving.

QDQ, activations in unsigned and weights in signed 8 bits by channel. Of what was tried on the CPU
it alone is fast, read by other runtimes (OpenVINO refuses QLinearConv by channel) and keeps the
bits of the logits where it is explained (head/obstacles.py); docs/results.md has the figures.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from exporter.errors import SourceError
from exporter.text import whole_cause

LEAST_OPSET = 13
"""Of a DequantizeLinear with a scale for each channel."""


def write_int8(
    model: ir.Model,
    body: Sequence[ir.Node],
    batches: Iterable[NDArray[Any]],
    path: Path,
    *,
    reduce_range: bool = False,
) -> None:
    """Write a classifier whose body computes in 8 bits.

    Args:
        model: The classifier, of :data:`LEAST_OPSET` or newer; it is not changed.
        body: Those of its nodes that may.
        batches: Input tensors to take the ranges from, as the graph reads them; batches of the size
            that it fixes, if it does.
        path: Where the ONNX file is written.
        reduce_range: Weights in 7 bits, for x86 processors without VNNI: their sums of two products
            saturate in 16 bits otherwise.

    Raises:
        SourceError: The tool cannot quantise it.
    """
    own = [node in set(body) for node in model.graph]
    named = model.clone()
    _name_nodes(named)
    rest = [node.name or "" for node, inside in zip(named.graph, own, strict=True) if not inside]
    taken = next(value.name for value in named.graph.inputs if not value.is_initializer())
    with TemporaryDirectory() as folder, _Quiet():
        source = Path(folder) / "float32.onnx"
        ir.save(named, source)
        try:
            quantize_static(
                source,
                path,
                _Pictures(str(taken), batches),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=reduce_range,
                nodes_to_exclude=rest,
            )
        except Exception as error:  # the tool raises whatever its parts raise
            raise SourceError(
                f"onnxruntime cannot quantise this classifier: {whole_cause(error)}. Quantise `to` "
                "float16, or export an artifact of a classifier that you quantised yourself."
            ) from error


class _Pictures(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Batches of input tensors as the tool asks for them."""

    def __init__(self, name: str, batches: Iterable[NDArray[Any]]) -> None:
        self._feeds: Iterator[dict[str, NDArray[Any]]] = ({name: batch} for batch in batches)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next batch by the name of the input; None behind the last."""
        return next(self._feeds, None)


class _Quiet(logging.Filter):
    """Holds back what the tool says to those who call it by hand, on the root logger."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "onnxruntime" not in record.pathname

    def __enter__(self) -> None:
        logging.getLogger().addFilter(self)

    def __exit__(self, *_error: object) -> None:
        logging.getLogger().removeFilter(self)


def _name_nodes(model: ir.Model) -> None:
    """Give every node a name of its own: the tool tells nodes apart by it."""
    seen: set[str] = set()
    for number, node in enumerate(model.graph):
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}_{number}"
        while node.name in seen:
            node.name += "_"
        seen.add(node.name)
