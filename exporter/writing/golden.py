"""The golden batch and the golden pictures: what another runtime tests itself on.

The batch is made of training images, as the network sees them. The pictures are drawn, not taken
from the data, so that they may go wherever the artifact goes; they have odd sides and other
proportions than the input, so that every step from a file to the tensor is exercised.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from exporter.errors import DatasetError
from exporter.images.dataset import Dataset
from exporter.source.onnx_file import ModelInput
from serving.artifact import GOLDEN, MODEL, Preprocessing, picture_file
from serving.errors import ImageError
from serving.model.golden import Golden, save_golden
from serving.model.padding import run_in_batches
from serving.model.preprocess import decode, preprocess
from serving.model.runtime import make_session, output_names, run

_IMAGES = 4
# Sides of the pictures over those of the input, (width, height): made smaller, larger, and grey,
# which is so tall that Pillow resizes its columns first.
_SIDES = ((1.7, 1.2), (0.6, 0.85), (1.15, 2.6))
_LONGEST = 1025
_SHAPES = 24


def write_golden(
    folder: Path, entry: ModelInput, preprocessing: Preprocessing, dataset: Dataset
) -> tuple[str, ...]:
    """Write ``golden.npz`` and the pictures beside it; ``model.onnx`` must be there.

    Args:
        folder: The artifact.
        entry: The input of its graph.
        preprocessing: Image to input.
        dataset: Where the golden batch is from.

    Returns:
        The names of the pictures.

    Raises:
        DatasetError: Not one image can be decoded for the batch.
    """
    names = _write_pictures(folder, preprocessing)
    paths = [folder / name for name in names]
    tensors = [preprocess(decode(path), preprocessing) for path in paths]
    session = make_session(folder / MODEL, threads=1)
    answer = partial(run, session, output_names(session))

    def recorded(values: list[NDArray[np.float32]]) -> Golden:
        inputs = np.stack(values).astype(entry.dtype)
        return Golden(inputs, run_in_batches(answer, {entry.name: inputs}, entry.shape[0]))

    batch = recorded(_batch(entry.shape[0] or _IMAGES, preprocessing, dataset))
    save_golden(folder / GOLDEN, entry.name, batch, recorded(tensors))
    return names


def _batch(size: int, preprocessing: Preprocessing, dataset: Dataset) -> list[NDArray[np.float32]]:
    """One image of each of the first classes; again from the start where there are too few."""
    tensors: list[NDArray[np.float32]] = []
    for found in dataset.classes:
        for path in found.paths:
            try:
                image = decode(path, preprocessing=preprocessing)
                tensors.append(preprocess(image, preprocessing))
            except ImageError:
                continue  # reported and counted when its features were read
            break
        if len(tensors) == size:
            break
    if not tensors:
        raise DatasetError(f"{dataset.root}: not one image can be decoded.")
    return [tensors[index % len(tensors)] for index in range(size)]


def _write_pictures(folder: Path, preprocessing: Preprocessing) -> tuple[str, ...]:
    height, width = preprocessing.size
    names = []
    for number, (across, down) in enumerate(_SIDES):
        picture = _drawing(_odd(width * across), _odd(height * down), number)
        names.append(picture_file(number))
        path = folder / names[-1]
        path.parent.mkdir(exist_ok=True)
        last = number == len(_SIDES) - 1
        (picture.convert("L") if last else picture).save(path)
    return tuple(names)


def _odd(length: float) -> int:
    return min(int(length), _LONGEST) | 1


def _drawing(width: int, height: int, seed: int) -> Image.Image:
    """Shapes of random colours on a slope of light: edges, fine lines and even ground."""
    slope = Image.linear_gradient("L").resize((width, height), Image.Resampling.BOX)
    picture = Image.merge("RGB", (slope, slope.transpose(Image.Transpose.ROTATE_180), slope))
    pen = ImageDraw.Draw(picture)
    generator = np.random.default_rng(seed)
    longest = max(3, min(width, height) // 2)
    for number in range(_SHAPES):
        left, top = generator.integers(0, width), generator.integers(0, height)
        w, h = generator.integers(1, longest, 2)
        colour = tuple(generator.integers(0, 256, 3).tolist())
        box = (int(left), int(top), int(left + w), int(top + h))
        draw = (pen.rectangle, pen.ellipse, pen.line)[number % 3]
        draw(box, fill=colour)
    return picture
