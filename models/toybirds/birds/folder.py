"""Pictures as files: one folder a species, and the keypoints in one table."""

import csv
import multiprocessing
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

from .draw import Sample, draw
from .scene import SPLITS, scene
from .species import SPECIES

COLUMNS = ("split", "species", "file", "part", "x", "y", "visible")
QUALITY = 92


def write_folder(out: Path, counts: dict[str, int], size: int, jobs: int) -> None:
    """Draw a data set; the folder appears whole or not at all.

    Args:
        out: folder to create.
        counts: number of pictures a species for each split, keys of `SPLITS`.
        size: side of the pictures in pixels.
        jobs: processes that draw, at least 1.

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
        for rows in pool.map(partial(_write_species, part, size), tasks):
            writer.writerows(rows)
    part.rename(out)


def pool_of(jobs: int) -> ProcessPoolExecutor:
    """Processes that draw; fresh ones, since forking a process with threads can hang."""
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"))


def _write_species(out: Path, size: int, task: tuple[str, str, int]) -> list[tuple[object, ...]]:
    """Draw one species of one split; return its rows of the table."""
    split, species, number = task
    rows: list[tuple[object, ...]] = []
    for i in range(number):
        sample = draw(scene(SPLITS[split] + i, species), size=size)
        name = f"{i:04d}.jpg"
        picture = Image.fromarray(sample.image)
        picture.save(out / split / species / name, quality=QUALITY, subsampling=0)
        rows += [(split, species, name, *values) for values in _keypoint_rows(sample)]
    return rows


def _keypoint_rows(sample: Sample) -> Iterator[tuple[object, ...]]:
    """The part, x, y and visible of each keypoint; x and y are empty where it is hidden."""
    for part, (x, y, visible) in sample.keypoints.items():
        yield (part, int(x), int(y), 1) if visible else (part, "", "", 0)
