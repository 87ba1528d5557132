"""What a model says of itself: its preprocessing, the size it is made for, its labels.

timm keeps the first in ``pretrained_cfg``, transformers in ``preprocessor_config.json``; both name
steps that production must take as they were taken in training, or its explanations are wrong.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from serving.artifact import Preprocessing

_logger = logging.getLogger(__name__)

Size = tuple[int, int]

_RESAMPLE = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # Pillow's numbers
_TIMM_SIZE = 224
_TIMM_CROP = 0.875
_SQUASHED_FROM = 384  # ConvNeXt's processor crops below this size only


@dataclass(frozen=True)
class Own:
    """What a model says of itself.

    Attributes:
        preprocessing: How its images are prepared, None where it does not say.
        unsaid: Why it is None although the model says something.
        labels: Labels by class index, empty where it does not say.
    """

    preprocessing: Preprocessing | None = None
    unsaid: str = ""
    labels: Mapping[int, str] | None = None


class _UnsupportedError(ValueError):
    """A step that an artifact's preprocessing has not."""


def own(
    kind: str, config: Mapping[str, Any] | None, labels: object, size: Size | None = None
) -> Own:
    """Read what a model says of itself.

    Args:
        kind: ``timm`` or ``transformers``, whose configuration it is.
        config: The preprocessing's configuration, None where there is none.
        labels: Labels by class index or in order, or anything else, which is left out.
        size: (height, width) asked for, in place of the configured one.

    Returns:
        What could be read; nothing in it raises.
    """
    found = Own(labels=_labels(labels))
    if not config:
        return found
    try:
        read = _from_timm if kind == "timm" else _from_processor
        return replace(found, preprocessing=read(config, size))
    except _UnsupportedError as error:
        return replace(found, unsaid=f"{kind}'s {error}")
    except (ValueError, TypeError, KeyError, IndexError) as error:
        return replace(
            found, unsaid=f"{kind}'s configuration is odd: {' '.join(str(error).split())}"
        )


def as_size(value: object) -> Size | None:
    """(height, width) of anything that says it: 224, "224", (224, 224), a mapping; else None.

    >>> as_size({"height": 10, "width": 20}), as_size("8"), as_size((3, 5, 6)), as_size("big")
    ((10, 20), (8, 8), (5, 6), None)
    """
    if isinstance(value, Mapping):
        if "height" in value:
            return as_size((value["height"], value.get("width", value["height"])))
        return as_size(value.get("shortest_edge"))
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) == 1:
            return as_size(value[0])
        sides = [_side(side) for side in value[-2:]]
        return (sides[0], sides[1]) if len(value) in (2, 3) and all(sides) else None  # type: ignore[return-value]
    side = _side(value)
    return None if side is None else (side, side)


def _side(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        side = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return None
    return side if side > 0 and side == float(value) else None  # type: ignore[arg-type]


def _labels(found: object) -> dict[int, str] | None:
    if isinstance(found, Mapping):
        pairs = [(str(key), value) for key, value in found.items()]
    elif isinstance(found, Sequence) and not isinstance(found, str):
        pairs = [(str(index), value) for index, value in enumerate(found)]
    else:
        return None
    labels = {int(key): value for key, value in pairs if key.isdecimal() and isinstance(value, str)}
    # transformers writes LABEL_0, LABEL_1, … where nobody gave labels.
    unnamed = all(label == f"LABEL_{index}" for index, label in labels.items())
    return None if unnamed or len(labels) < len(pairs) else labels


def _from_timm(config: Mapping[str, Any], size: Size | None) -> Preprocessing:
    channels = 3
    if isinstance(config.get("input_size"), Sequence) and len(config["input_size"]) == 3:
        channels = int(config["input_size"][0])
    crop = size or as_size(config.get("input_size")) or (_TIMM_SIZE, _TIMM_SIZE)
    share = float(config.get("crop_pct") or _TIMM_CROP)
    mode = config.get("crop_mode") or "center"
    resize: int | Size = math.floor(crop[0] / share)
    if mode == "squash":
        resize = (math.floor(crop[0] / share), math.floor(crop[1] / share))
    elif mode != "center" or crop[0] != crop[1]:
        shape = f"{crop[0]} x {crop[1]}"
        raise _UnsupportedError(
            f"crop mode {mode!r} at {shape} resizes in a way an artifact has not"
        )
    interpolation = config.get("interpolation") or "bilinear"
    return Preprocessing(
        resize=resize,
        crop=crop,
        interpolation="bilinear" if interpolation == "random" else interpolation,
        mean=_per_channel(config.get("mean", (0.485, 0.456, 0.406)), channels),
        std=_per_channel(config.get("std", (0.229, 0.224, 0.225)), channels),
        channels=_channels(channels),
    )


def _from_processor(config: Mapping[str, Any], size: Size | None) -> Preprocessing:
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    scale = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    if config.get("do_normalize", not kind.startswith("MobileViT")):
        mean = _per_channel(config.get("image_mean", (0.5,) * 3), 3)
        std = _per_channel(config.get("image_std", (0.5,) * 3), 3)
    if kind.startswith("EfficientNet"):
        if config.get("rescale_offset"):  # pixel * scale - 1 goes into the mean
            mean = tuple(value + 1 for value in mean)
        if config.get("include_top"):  # it divides by the deviation a second time
            std = tuple(value * value for value in std)
    resize, crop = _resized(kind, config, size)
    return Preprocessing(
        resize=resize,
        crop=crop,
        interpolation=_interpolation(config.get("resample", 2)),
        scale=scale,
        mean=mean,
        std=std,
        channels="BGR" if config.get("do_flip_channel_order") else "RGB",
    )


def _resized(
    kind: str, config: Mapping[str, Any], asked: Size | None
) -> tuple[int | Size | None, Size | None]:
    """Resize and crop of a processor, a class of transformers each with a way of its own."""
    given = config.get("size")
    found = as_size(given)
    if not config.get("do_resize", True) or found is None:
        raise _UnsupportedError(f"processor does not resize to one size (size is {given!r})")
    edge = "shortest_edge" in given if isinstance(given, Mapping) else False
    if isinstance(given, Mapping) and {"longest_edge", "max_height"} & given.keys():
        raise _UnsupportedError(f"processor resizes to {dict(given)}, which an artifact has not")
    size = asked or found
    if kind.startswith("ConvNext"):
        if size[0] >= _SQUASHED_FROM:
            return size, None
        return int(size[0] / float(config.get("crop_pct") or 224 / 256)), size
    cropped = bool(config.get("do_center_crop"))
    crop = as_size(config.get("crop_size")) or found
    if kind.startswith("PoolFormer"):
        share = float(config.get("crop_pct") or 1)
        return math.floor((asked or crop)[0] / share), asked or crop
    if kind.startswith("Levit") and edge:
        found = (int(256 / 224 * found[0]),) * 2
    if not edge:
        if not cropped:
            return size, None
        return _scaled(found, crop, asked), asked or crop
    if not cropped:
        raise _UnsupportedError("processor resizes the short side and does not crop: no one size")
    short = found[0] if asked is None else round(found[0] * asked[0] / crop[0])
    return short, asked or crop


def _scaled(resize: Size, crop: Size, asked: Size | None) -> Size:
    """A resize that keeps its share of the crop when the crop is of another size."""
    if asked is None:
        return resize
    return round(resize[0] * asked[0] / crop[0]), round(resize[1] * asked[1] / crop[1])


def _per_channel(values: object, channels: int) -> tuple[float, ...]:
    numbers = tuple(float(v) for v in (values if isinstance(values, Sequence) else [values]))  # type: ignore[arg-type]
    return numbers * channels if len(numbers) == 1 else numbers[:channels]


def _channels(count: int) -> str:
    if count not in (1, 3):
        raise _UnsupportedError(f"input has {count} channels, an artifact's images have 1 or 3")
    return "L" if count == 1 else "RGB"


def _interpolation(resample: object) -> str:
    if isinstance(resample, str):
        return resample.lower()
    return _RESAMPLE[int(resample)]  # type: ignore[call-overload]


def differences(one: Preprocessing, other: Preprocessing) -> list[str]:
    """Where two ways to prepare an image differ, in words, ``one`` first.

    Two that differ in scale, mean and deviation may still compute the same; then they do not.
    """
    found = [
        f"{name} {_plain(getattr(one, name))}, not {_plain(getattr(other, name))}"
        for name in ("resize", "crop", "interpolation", "channels")
        if getattr(one, name) != getattr(other, name)
    ]
    if not np.allclose(_range(one), _range(other), rtol=0, atol=0.02):
        names = ("mean", "std") if one.scale == other.scale else ("scale", "mean", "std")
        found += [
            f"{name} {_plain(getattr(one, name))}, not {_plain(getattr(other, name))}"
            for name in names
            if getattr(one, name) != getattr(other, name)
        ]
    return found


def _range(wanted: Preprocessing) -> np.ndarray:
    """(2, 3): what a black and a white pixel become, of red, green and blue, in deviations."""
    mean, std = np.array(wanted.mean), np.array(wanted.std)
    ends = np.stack([(end * wanted.scale - mean) / std for end in (0, 255)])
    ends = ends[:, ::-1] if wanted.channels == "BGR" else ends
    return np.broadcast_to(ends, (2, 3))


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_plain, value)) + ")"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def in_words(wanted: Preprocessing) -> str:
    """A preprocessing in one line."""
    steps = [f"resize {_plain(wanted.resize)}"] if wanted.resize else []
    steps += [f"crop {_plain(wanted.crop)}"] if wanted.crop else []
    numbers = f"mean {_plain(wanted.mean)}, deviation {_plain(wanted.std)}"
    return ", ".join([*steps, wanted.interpolation, wanted.channels, numbers])


def fitting_labels(found: Own, data: Path) -> dict[int, str] | None:
    """The model's own labels, where the class folders are named by them.

    Args:
        found: What the model says of itself.
        data: Folder with one folder of images for each class.

    Returns:
        The labels, None where it has none or no folder is named by one. Both are logged.
    """
    if not found.labels or not data.is_dir():
        return None
    folders = {path.name for path in data.iterdir() if path.is_dir()}
    if folders & set(found.labels.values()):
        _logger.warning("using the model's own %d labels", len(found.labels))
        return dict(found.labels)
    first = next(iter(found.labels.values()))
    _logger.warning(
        "no class folder is named by one of the model's own labels (%r, …): they are left out, and "
        "the folders belong to the classes in the order of their names",
        first,
    )
    return None
