"""Part annotations of any known format, told apart by what is at the path."""

from __future__ import annotations

from pathlib import Path

from exporter.errors import DatasetError
from exporter.evaluate.annotations.coco import read_coco
from exporter.evaluate.annotations.cub import read_cub
from exporter.evaluate.annotations.parts import Annotations
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
    4. Any other file: a table.

    Args:
        path: File or folder.

    Returns:
        The annotations, whatever their format.

    Raises:
        DatasetError: Nothing is there, or it is malformed; the message names file and line.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder. Expected {_FORMATS}.")
    if path.suffix.lower() == ".json" or _starts_with_brace(path):
        return read_coco(path)
    return read_table(path)


def _read_folder(folder: Path) -> Annotations:
    for root in (folder, folder / "CUB_200_2011"):
        if (root / "images.txt").is_file() or (root / "parts" / "part_locs.txt").is_file():
            return read_cub(root)
    if (folder / "parts.csv").is_file():
        return read_table(folder / "parts.csv")
    raise DatasetError(
        f"{folder}: expected {_FORMATS}; found neither images.txt nor parts.csv in this folder."
    )


def _starts_with_brace(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"["))
    except OSError:
        return False  # the reader says why
