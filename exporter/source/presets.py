"""Preprocessing by file, by name, or as the model says."""

from __future__ import annotations

import json
import logging
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from exporter.errors import SourceError
from exporter.source.own import Own, differences, in_words
from serving.artifact import Preprocessing

_logger = logging.getLogger(__name__)

OWN = "model"
"""The preset that takes what the model says of itself."""

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_CLIP = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}
_HALF = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
_CAFFE = {"scale": 1.0, "mean": (103.939, 116.779, 123.68), "channels": "BGR"}
_LOAD_IMG = {"crop": None, "interpolation": "nearest"}
"""Of `keras.utils.load_img` with a size: stretched to it, by the nearest pixel."""

PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "imagenet": ("ImageNet mean and deviation, bilinear (torchvision)", _IMAGENET),
    "imagenet-bicubic": (
        "ImageNet mean and deviation, bicubic (timm)",
        {**_IMAGENET, "interpolation": "bicubic"},
    ),
    "half": (
        "pixels from -1 to 1, bicubic (Inception, MobileNet, ViT)",
        {**_HALF, "interpolation": "bicubic"},
    ),
    "unit": ("pixels from 0 to 1, bilinear", {}),
    "raw": ("pixels from 0 to 255, bilinear", {"scale": 1.0}),
    "caffe": (
        "pixels from 0 to 255, BGR, minus the mean, bilinear (Caffe)",
        _CAFFE,
    ),
    "clip": ("CLIP's mean and deviation, bicubic", {**_CLIP, "interpolation": "bicubic"}),
    "keras-raw": (
        "pixels from 0 to 255, stretched as Keras' load_img does (EfficientNet, ConvNeXt)",
        {"scale": 1.0, **_LOAD_IMG},
    ),
    "keras-unit": (
        "pixels from 0 to 1, stretched as load_img does (Rescaling(1 / 255))",
        _LOAD_IMG,
    ),
    "keras-tf": (
        "pixels from -1 to 1, stretched as load_img does (MobileNet, Inception, Xception)",
        {**_HALF, **_LOAD_IMG},
    ),
    "keras-caffe": (
        "pixels from 0 to 255, BGR, minus the mean, stretched as load_img does (ResNet, VGG)",
        {**_CAFFE, **_LOAD_IMG},
    ),
    "keras-torch": (
        "ImageNet mean and deviation, stretched as load_img does (DenseNet)",
        {**_IMAGENET, **_LOAD_IMG},
    ),
}
"""Name -> what it is, and its options beside size and layout."""

_ANY_SIZE = 224
"""Crop of a network that takes any size: what most are trained at."""

_CROP_SHARE = 0.875
"""Centre crop over the resized short side, as ImageNet models are evaluated."""


def preset(
    name: str, *, size: tuple[int, int], layout: str = "NCHW", grey: bool = False
) -> Preprocessing:
    """Preprocessing by name: short side resized so that the crop is 87.5 % of it, or stretched.

    Args:
        name: A key of :data:`PRESETS`.
        size: Height and width of the network's input, pixels.
        layout: Axis order of the input tensor, ``NCHW`` or ``NHWC``.
        grey: The input has one channel.

    Returns:
        The preprocessing.

    Raises:
        SourceError: No preset of that name, or it is for three channels alone.
    """
    if name not in PRESETS:
        raise SourceError(f"`preset`: expected one of {', '.join(PRESETS)}, got {name!r}.")
    options = {"crop": size, **PRESETS[name][1]}
    if grey:
        for number in ("mean", "std"):
            values = set(options.get(number, {1.0 if number == "std" else 0.0}))
            if len(values) > 1:
                raise SourceError(
                    f"`preset` {name} is for three channels, the network takes one. Give "
                    "`preprocessing` with channels L and one mean and std."
                )
            options[number] = tuple(values)
        options["channels"] = "L"
    resize = size if options["crop"] is None else round(min(size) / _CROP_SHARE)
    return Preprocessing(resize=resize, layout=layout, **options)


def require_preset(wanted: Preprocessing | str) -> None:
    """Refuse the name of no preset, before anything is read.

    Raises:
        SourceError: There is none of that name; the message has the near ones.
    """
    if isinstance(wanted, str) and wanted not in (OWN, *PRESETS):
        near = get_close_matches(wanted, PRESETS, n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise SourceError(
            f"`preset`: expected one of {', '.join([OWN, *PRESETS])}, got {wanted!r}.{hint}"
        )


def chosen(
    preset: str | None, preprocess: Preprocessing | Path | str | None
) -> Preprocessing | str:
    """The preprocessing that two options ask for: a preset, a file's, or by default the model's.

    Args:
        preset: Name of a preset.
        preprocess: The preprocessing, or a JSON file with it.

    Raises:
        SourceError: Both are given, or the file cannot be read.
    """
    if preset is not None and preprocess is not None:
        raise SourceError("expected `preset` or `preprocess`, got both. Leave one out.")
    if isinstance(preprocess, Path | str):
        return read_preprocessing(Path(preprocess))
    return preprocess or preset or OWN


def file_beside(model: object, name: str) -> Path | None:
    """The file of a name beside an ONNX model, where both are."""
    if not (isinstance(model, str | Path) and str(model).endswith(".onnx")):
        return None
    path = Path(model).with_name(name)
    return path if path.is_file() else None


def said_beside(model: object, wanted: Preprocessing | str) -> Preprocessing | str:
    """What is asked for; where that is the model's own, what lies beside an ONNX file.

    Raises:
        SourceError: No preset of that name, or ``preprocess.json`` cannot be read.
    """
    require_preset(wanted)
    if wanted != OWN or (path := file_beside(model, "preprocess.json")) is None:
        return wanted
    _logger.warning("using %s", path)
    return read_preprocessing(path)


def fitting_preprocessing(
    wanted: Preprocessing | str, shape: tuple[int | None, ...], own: Own | None = None
) -> Preprocessing:
    """The preprocessing asked for, checked against the network's input.

    Args:
        wanted: The preprocessing, or the name of a preset, which takes size and layout from the
            input; ``model`` takes what the model says.
        shape: Shape of the input, None for any size.
        own: What the model says of itself; a preset that contradicts it is logged as a warning.

    Returns:
        Preprocessing whose tensors the network takes.

    Raises:
        SourceError: No preset of that name, or size, layout or channels do not fit.
    """
    channels_last = shape[1] not in (1, 3) and shape[3] in (1, 3)
    layout = "NHWC" if channels_last else "NCHW"
    channels, *size = (shape[3], *shape[1:3]) if channels_last else shape[1:]
    own = own or Own()
    if wanted == OWN:
        wanted = _own_preprocessing(own)
    elif isinstance(wanted, str):
        height, width = (length or _ANY_SIZE for length in size)
        named = preset(wanted, size=(height, width), layout=layout, grey=channels == 1)
        if own.preprocessing and (other := differences(named, own.preprocessing)):
            _logger.warning(
                "the preset %s contradicts what the model says of itself: %s. Explanations of "
                "wrongly prepared images are wrong; the preset model takes its own.",
                wanted,
                "; ".join(other),
            )
        return named
    found = (len(wanted.channels), *wanted.size)
    fits = wanted.layout == layout and all(
        expected in (None, given) for expected, given in zip((channels, *size), found, strict=True)
    )
    if not fits:
        raise SourceError(
            f"preprocessing: the network's input is {layout} {_words(shape)}, the preprocessing "
            f"gives {wanted.layout} with {found[0]} channels of {found[1]} x {found[2]} pixels. "
            "Correct crop, layout or channels."
        )
    return wanted


def require_pixels(preprocessing: Preprocessing, dtype: str) -> None:
    """Refuse to scale what a network takes as whole numbers.

    Args:
        preprocessing: The preprocessing.
        dtype: Of the network's input.

    Raises:
        SourceError: The network takes uint8, and the preprocessing computes something of pixels.
    """
    plain = (
        preprocessing.scale == 1 and set(preprocessing.std) == {1} and not any(preprocessing.mean)
    )
    if dtype == "uint8" and not plain:
        raise SourceError(
            "preprocessing: the network takes uint8, pixels from 0 to 255, and scales them itself: "
            "expected scale 1, mean 0 and std 1. `preset` raw would do."
        )


def _own_preprocessing(own: Own) -> Preprocessing:
    if own.preprocessing is None:
        reason = f" ({own.unsaid})" if own.unsaid else ""
        raise SourceError(
            "How does an image become the input tensor? The model does not say it in a way that "
            f"can be taken over{reason}. Give `preprocessing`, or `preset` with one of "
            f"{', '.join(PRESETS)}. Explanations of wrongly prepared images are wrong."
        )
    _logger.warning("using the model's own preprocessing: %s", in_words(own.preprocessing))
    return own.preprocessing


def _words(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


def read_preprocessing(path: Path) -> Preprocessing:
    """Read preprocessing from a JSON file with the fields of :class:`Preprocessing`.

    Raises:
        SourceError: The file cannot be read, or a field is unknown or out of range.
    """
    try:
        return Preprocessing.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SourceError(f"{path}: cannot read the preprocessing: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "preprocessing"
        raise SourceError(f"{path}: {where}: {first['msg']}, got {first['input']!r}.") from error
    except ValueError as error:
        raise SourceError(f"{path}: expected JSON: {error}.") from error
