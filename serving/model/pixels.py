"""An image in any form that Python has it in becomes an RGB picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.artifact import Preprocessing
from serving.errors import ImageError
from serving.model.preprocess import decode


class Pixels(Protocol):
    """What numpy takes for an array: its own, and torch's tensors."""

    def __array__(self, *arguments: Any, **options: Any) -> NDArray[Any]:
        """The array."""


ImageLike = Image.Image | Path | str | bytes | Pixels
"""An image, a path, the bytes of an image file, or pixels as :func:`to_picture` takes them."""


def to_picture(image: ImageLike, preprocessing: Preprocessing) -> Image.Image:
    """An image as an RGB picture.

    Args:
        image: An image, a path, or the bytes of an image file; or pixels from 0 to 255 in uint8, an
            array (h, w, 3), RGB, or (h, w), grey, or a torch tensor (3, h, w) or (1, h, w), as
            torchvision's ``decode_image`` gives it.
        preprocessing: What it will be prepared by.

    Raises:
        ImageError: Not an image, damaged, too large, or pixels of another type or shape.
    """
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if isinstance(image, str | Path):
        return decode(Path(image), preprocessing=preprocessing)
    if isinstance(image, bytes):
        return decode(image, preprocessing=preprocessing)
    if not hasattr(image, "__array__"):
        raise ImageError(
            "expected an image, a path, the bytes of an image file or an array of pixels, got "
            f"{type(image).__name__}."
        )
    return _from_pixels(image)


def _from_pixels(image: Any) -> Image.Image:
    is_tensor = hasattr(image, "permute")
    pixels = np.asarray(image.detach().cpu() if is_tensor else image)
    axes = "(3, h, w) or (1, h, w)" if is_tensor else "(h, w, 3) or (h, w)"
    if pixels.dtype != np.uint8:
        raise ImageError(
            f"expected pixels from 0 to 255 in uint8, {axes}, got {pixels.dtype} of the shape "
            f"{pixels.shape}. Scale and convert them; tensors that are prepared already go to "
            "`run` of the predictor."
        )
    found = np.moveaxis(pixels, 0, -1) if is_tensor and pixels.ndim == 3 else pixels
    if found.ndim == 3 and found.shape[2] == 1:
        found = found[..., 0]
    if not (found.size and (found.ndim == 2 or (found.ndim == 3 and found.shape[2] in (3, 4)))):
        raise ImageError(
            f"expected one image of pixels {axes}, got the shape {pixels.shape}. Reorder its axes, "
            "or take one image of the batch."
        )
    return Image.fromarray(np.ascontiguousarray(found)).convert("RGB")
