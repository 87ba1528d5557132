"""Classifiers that onnxruntime's own tool has quantised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
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
