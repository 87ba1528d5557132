"""What splitting a class costs beside running the network over its images.

    python -m benchmarks.class_cost MODEL PREPROCESS FOLDER [--images 30 100 300 1300]

FOLDER holds photographs of one class. Where it has fewer than are asked for, random crops of them,
every other one mirrored, fill it up: other pictures of the same things. CPU seconds, one thread
each, the median over rounds in which both take turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from threadpoolctl import threadpool_limits

from exporter.decompose import decompose, smoothing_of
from exporter.head import find_head
from exporter.head.rows import split_reference
from exporter.images.features import FeatureReader
from exporter.smoothing import smooth_features
from exporter.source.onnx_file import load_source
from exporter.source.presets import read_preprocessing
from serving.artifact import Preprocessing
from serving.model.preprocess import decode, preprocess

Floats = NDArray[np.float32]


def pictures(folder: Path, count: int) -> list[Image.Image]:
    """The photographs of a folder, then crops of them, as many as are asked for."""
    found = [decode(path) for path in sorted(folder.iterdir()) if path.is_file()][:count]
    random, whole = np.random.default_rng(0), list(found)
    for number in range(count - len(whole)):
        picture = whole[number % len(whole)]
        width, height = picture.size
        share = random.uniform(0.6, 0.95)
        left, top = random.uniform(0, 1 - share, 2) * (width, height)
        box = (int(left), int(top), int(left + share * width), int(top + share * height))
        cropped = picture.crop(box)
        found.append(ImageOps.mirror(cropped) if number % 2 else cropped)
    return found


def cpu_seconds(work: Callable[[], Any]) -> float:
    """What a call takes, of all threads together."""
    start = time.process_time()
    work()
    return time.process_time() - start


def network_seconds(
    reader: FeatureReader, images: list[Image.Image], preprocessing: Preprocessing
) -> tuple[float, Floats, Floats]:
    """Seconds in the network, and the maps (n, p, d) and logits (n, c) of the images."""
    seconds, maps, logits = 0.0, [], []
    for start in range(0, len(images), 32):
        batch = np.stack([preprocess(image, preprocessing) for image in images[start : start + 32]])
        begun = time.process_time()
        features, found = reader.run(batch)
        seconds += time.process_time() - begun
        maps.append(features)
        logits.append(found)
    return seconds, np.concatenate(maps), np.concatenate(logits)


def main() -> None:
    """Measure and print a table."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="as for protohead export, an ONNX file")
    parser.add_argument("preprocess", type=Path, help="its preprocessing, as for export")
    parser.add_argument("folder", type=Path, help="photographs of one class")
    parser.add_argument("--images", type=int, nargs="+", default=[30, 100, 300, 1300])
    parser.add_argument("-k", type=int, nargs="+", default=[3, 10], help="prototypes")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    source = load_source(options.model)
    head, preprocessing = find_head(source.model), read_preprocessing(options.preprocess)
    rows = split_reference(head, "mean", multilabel=False).rows
    columns = "".join(f" k = {k}, s | share |" for k in options.k)
    print(f"| images | network, s |{columns}")
    print("| --- | --- |" + " --- | --- |" * len(options.k))
    with threadpool_limits(1, user_api="blas"), FeatureReader(source, head, preprocessing, 1) as r:
        for count in options.images:
            images = pictures(options.folder, count)
            network: list[float] = []
            split: dict[int, list[float]] = {k: [] for k in options.k}
            for _ in range(options.rounds):
                seconds, maps, logits = network_seconds(r, images, preprocessing)
                network.append(seconds)
                row = rows[logits.sum(axis=0).argmax()]
                maps = smooth_features(maps, r.grid, smoothing_of("evidence", r.grid))
                for k in options.k:
                    split[k].append(
                        cpu_seconds(
                            lambda k=k, maps=maps, row=row: decompose(
                                maps, row, method="evidence", prototypes=k, seed=0
                            )
                        )
                    )
            base = float(np.median(network))
            cells = "".join(
                f" {np.median(split[k]):.2f} | {np.median(split[k]) / base:.0%} |"
                for k in options.k
            )
            print(f"| {count} | {base:.2f} |{cells}", flush=True)


if __name__ == "__main__":
    main()
