"""Classifiers that onnxruntime's own tool has quantised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import tiny
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

FORMATS = {"QDQ": QuantFormat.QDQ, "QOperator": QuantFormat.QOperator}


class _Pictures(CalibrationDataReader):
    """One batch of pictures."""

    def __init__(self, pictures: NDArray[np.float32]) -> None:
        self._left = [{"image": pictures}]

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:  # type: ignore[override]
        return self._left.pop() if self._left else None


def quantised(
    model: onnx.ModelProto,
    pictures: NDArray[np.float32],
    folder: Path,
    *,
    form: str,
    exclude: Sequence[str] = (),
    per_channel: bool = False,
    activations: QuantType = QuantType.QUInt8,
) -> onnx.ModelProto:
    """The model in 8 bits, calibrated on pictures, all but some of its nodes."""
    onnx.save(model, folder / "float.onnx")
    quantize_static(
        folder / "float.onnx",
        folder / "quantised.onnx",
        _Pictures(pictures),
        quant_format=FORMATS[form],
        per_channel=per_channel,
        activation_type=activations,
        nodes_to_exclude=list(exclude),
    )
    return onnx.load(folder / "quantised.onnx")


def write_quantised(path: Path, folder: Path, *, form: str, whole: bool) -> NDArray[np.float32]:
    """Write the tiny classifier in 8 bits, its head too or not; returns some of its pictures."""
    model = onnx.ModelProto()
    model.CopyFrom(tiny.model())
    for number, node in enumerate(model.graph.node):
        node.name = f"node{number}"
    head = [] if whole else [node.name for node in model.graph.node[-3:]]
    pictures = np.stack([tiny.tensor(tiny.image(n % 3, n)) for n in range(12)])
    onnx.save(quantised(model, pictures, folder, form=form, exclude=head), path)
    return pictures
