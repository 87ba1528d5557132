"""Part annotations of any known format, told apart by what is at the path."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from exporter.errors import DatasetError
from exporter.evaluate.annotations.coco import read_coco
from exporter.evaluate.annotations.cub import read_cub
from exporter.evaluate.annotations.notes import plural
from exporter.evaluate.annotations.parts import Annotations
from exporter.evaluate.annotations.place import encoding_of, one_line
from exporter.evaluate.annotations.table import read_table

_FORMATS = (
    "a CSV table of keypoints, COCO keypoints JSON, the CUB-200-2011 folder, or a toybirds folder "
    "with parts.csv"
)


def read_annotations(path: Path) -> Annotations:
    """Read part annotations.

    1. A folder with images.txt or parts/part_locs.txt, or with CUB_200_2011 in it: CUB-200-2011.
    2. A folder with parts.csv: that table.
    3. A file that ends in .json or starts with a brace: COCO keypoints.
    4. Any other file but XML: a table.

    Args:
        path: File or folder.

    Returns:
        The annotations, whatever their format; their notes tell what was left out.

    Raises:
        DatasetError: Nothing is there, or it is malformed, or no part is visible in any image; the
            message names file and line.
    """
    if path.is_dir():
        return _look_over(_read_folder(path))
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder. Expected {_FORMATS}.")
    start = _start(path)
    if path.suffix.lower() == ".json" or start in ("{", "["):
        return _look_over(read_coco(path))
    if start == "<":
        raise DatasetError(
            f"{path}: expected {_FORMATS}, found XML. Export one of these from your tool."
        )
    return _look_over(read_table(path))


def _look_over(annotations: Annotations) -> Annotations:
    """Refuse annotations that show nothing, and note parts and images that show nothing."""
    images = annotations.images
    points = np.stack([image.points for image in images.values()])  # (n, q, 2)
    shown = np.asarray(np.isfinite(points).all(axis=2))  # (n, q)
    if not shown.any():
        raise DatasetError(
            f"{annotations.source}: expected parts that are visible, found none in any of "
            f"{plural(len(images), 'image')}. Correct the flags: visible is 1, in COCO v is 2, "
            "where a part shows."
        )
    notes = list(annotations.notes)
    never = [part for q, part in enumerate(annotations.parts) if not shown[:, q].any()]
    if never:
        notes.append(one_line(f"no image shows {', '.join(never)}"))
    empty = [name for n, name in enumerate(images) if not shown[n].any()]
    if empty:
        told = f"{len(empty)} of {plural(len(images), 'annotated image')}"
        notes.append(one_line(f"{told}: no part shows (first: {empty[0]})"))
    return replace(annotations, notes=tuple(notes))


def _read_folder(folder: Path) -> Annotations:
    for root in (folder, folder / "CUB_200_2011"):
        if (root / "images.txt").is_file() or (root / "parts" / "part_locs.txt").is_file():
            return read_cub(root)
    if (folder / "parts.csv").is_file():
        return read_table(folder / "parts.csv")
    raise DatasetError(
        f"{folder}: expected {_FORMATS}; found neither images.txt nor parts.csv in this folder."
    )


def _start(path: Path) -> str:
    """The first character of a file that is not blank."""
    try:
        with path.open("rb") as file:
            data = file.read(64)
    except OSError:
        return ""  # the reader says why
    return data.decode(encoding_of(data), "ignore").lstrip("\ufeff \t\r\n")[:1]
