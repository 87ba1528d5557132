"""Pictures as files: one folder a species, and the keypoints in one table."""

import csv
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .draw import Sample, draw
from .scene import NEW_BACKDROPS, SPLITS, scene
from .species import PARTS, SPECIES

COLUMNS = ("split", "species", "file", "part", "x", "y", "visible")
QUALITY = 92
TRUTH_SPLIT = "test"


def write_folder(
    out: Path,
    counts: dict[str, int],
    size: int,
    jobs: int,
    *,
    truth: bool = False,
    drawn: Callable[[str, str], None] = lambda _split, _species: None,
) -> None:
    """Draw a data set; the folder appears whole or not at all.

    Args:
        out: folder to create.
        counts: number of pictures a species for each split, keys of `SPLITS`.
        size: side of the pictures in pixels.
        jobs: processes that draw, at least 1.
        truth: write with each picture of `TRUTH_SPLIT` its masks, and the same scene without
            each part that shows and before each new backdrop.
        drawn: called with split and species as each is done.

    Raises:
        FileExistsError: `out` is there already.
    """
    if out.exists():
        raise FileExistsError(f"{out}: expected a folder to create, but it exists; remove it")
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    tasks = [(split, species, n) for split, n in counts.items() for species in SPECIES]
    for split, species, _ in tasks:
        (part / split / species).mkdir(parents=True)
    with pool_of(jobs) as pool, (part / "parts.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(COLUMNS)
        found = pool.map(partial(_write_species, part, size, truth), tasks)
        for (split, species, _), rows in zip(tasks, found, strict=True):
            writer.writerows(rows)
            drawn(split, species)
    part.rename(out)


def pool_of(jobs: int) -> ProcessPoolExecutor:
    """Processes that draw; fresh ones, since forking a process with threads can hang."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, context, initializer=_end_with_parent)


def _end_with_parent() -> None:
    """End this process with the one that started it: a killed one cannot tell it to."""

    def wait() -> None:
        if (parent := multiprocessing.parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _write_species(
    out: Path, size: int, truth: bool, task: tuple[str, str, int]
) -> list[tuple[object, ...]]:
    """Draw one species of one split; return its rows of the table."""
    split, species, number = task
    rows: list[tuple[object, ...]] = []
    for i in range(number):
        sample = draw(scene(SPLITS[split] + i, species), size=size)
        name = f"{i:04d}.jpg"
        _save(sample, out / split / species / name)
        if truth and split == TRUTH_SPLIT:
            _write_truth(out, size, SPLITS[split] + i, sample, f"{split}/{species}/{name}")
        rows += [(split, species, name, *values) for values in _keypoint_rows(sample)]
    return rows


def _write_truth(out: Path, size: int, seed: int, sample: Sample, name: str) -> None:
    """Write the masks of a picture and what else can be drawn of its scene."""
    mask = (out / "masks" / name).with_suffix(".png")
    mask.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_bits(sample)).save(mask)
    for part in PARTS:
        if sample.masks[part].any():
            lacking = draw(scene(seed, sample.label), {part}, size)
            _save(lacking, out / "without" / part / name)
    for backdrop in NEW_BACKDROPS:
        elsewhere = draw(scene(seed, sample.label, backdrop), size=size)
        _save(elsewhere, out / "backdrops" / backdrop / name)


def _bits(sample: Sample) -> NDArray[np.uint8]:
    """Masks as one picture: bit i is set where part i of `PARTS` shows, bit 7 where any bird."""
    shown = np.stack([*(sample.masks[part] for part in PARTS), sample.bird])  # (8, size, size)
    return np.packbits(shown, axis=0, bitorder="little")[0]


def _save(sample: Sample, path: Path) -> None:
    """Save a picture as every picture of the set is saved."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sample.image).save(path, quality=QUALITY, subsampling=0)


def _keypoint_rows(sample: Sample) -> Iterator[tuple[object, ...]]:
    """The part, x, y and visible of each keypoint; x and y are empty where it is hidden."""
    for part, (x, y, visible) in sample.keypoints.items():
        yield (part, int(x), int(y), 1) if visible else (part, "", "", 0)
