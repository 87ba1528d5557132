"""Draw the toybirds: `python models/toybirds/generate.py --out DIR`.

The module also offers the generator itself: `draw(scene(seed, species))` is one picture with
its masks and keypoints.
"""

import argparse
import os
import sys
from pathlib import Path

from birds import (
    BACKDROPS,
    MANTLES,
    NEW_BACKDROPS,
    PALETTE,
    PARTS,
    SPECIES,
    SPLITS,
    Look,
    Sample,
    Scene,
    Species,
    draw,
    scene,
)
from birds.folder import write_folder

__all__ = [
    "BACKDROPS",
    "MANTLES",
    "NEW_BACKDROPS",
    "PALETTE",
    "PARTS",
    "SPECIES",
    "SPLITS",
    "Look",
    "Sample",
    "Scene",
    "Species",
    "draw",
    "scene",
]


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(description="Draw the toybirds data set.")
    parser.add_argument("--out", type=Path, required=True, help="folder to create")
    parser.add_argument("--train", type=int, default=40, help="training pictures a species")
    parser.add_argument("--test", type=int, default=10, help="held-out pictures a species")
    parser.add_argument("--size", type=int, default=128, help="side of a picture, pixels")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument(
        "--truth",
        action="store_true",
        help="with the held-out pictures also their masks, the same without each part, and the "
        "same before new backdrops; each then takes eleven times as long",
    )
    args = parser.parse_args()
    counts = {"train": args.train, "test": args.test}

    def told(split: str, species: str) -> None:
        print(f"  {split}/{species}: {counts[split]} drawn", file=sys.stderr)

    try:
        write_folder(args.out, counts, args.size, args.jobs, truth=args.truth, drawn=told)
    except FileExistsError as error:
        sys.exit(str(error))
    print(args.out)


if __name__ == "__main__":
    main()
