"""How an image becomes the input tensor, as the manifest says it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, FiniteFloat, model_validator

from serving.artifact.layout import ImageLayout
from serving.artifact.values import Record, Size


class Preprocessing(Record):
    """How an image becomes the input tensor: resize, crop, then (pixel * scale - mean) / std.

    ``resize`` is the length of the short side, or (height, width) exactly; ``crop`` is taken from
    the centre, black where the image is smaller. Both in pixels; None leaves the step out.
    """

    resize: Size | tuple[Size, Size] | None = None
    crop: Size | tuple[Size, Size] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"] = (
        "bilinear"
    )
    scale: float = Field(default=1 / 255, gt=0, allow_inf_nan=False)
    mean: tuple[FiniteFloat, ...] = (0.0, 0.0, 0.0)
    std: tuple[FiniteFloat, ...] = (1.0, 1.0, 1.0)
    layout: ImageLayout = "NCHW"
    channels: Literal["RGB", "BGR", "L"] = "RGB"

    @model_validator(mode="after")
    def _consistent(self) -> Preprocessing:
        expected = len(self.channels)
        if len(self.mean) != expected or len(self.std) != expected:
            raise ValueError(
                f"expected mean and std of {expected} values for channels {self.channels}, "
                f"got {len(self.mean)} and {len(self.std)}"
            )
        if any(value <= 0 for value in self.std):
            raise ValueError(f"expected std above 0, got {self.std}")
        if self.crop is None and not isinstance(self.resize, tuple):
            raise ValueError(
                "expected resize (h, w) or crop, so that every image has the same size"
            )
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input tensor in pixels."""
        wanted = self.resize if self.crop is None else self.crop
        return wanted if isinstance(wanted, tuple) else (int(wanted or 0), int(wanted or 0))
