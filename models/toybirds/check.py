"""Measure a committed model on fresh pictures: `python models/toybirds/check.py`.

Prints, as Markdown, the accuracy on held-out pictures as they are, without colour, with turned
hues and before backdrops that no training picture has; what colours alone can tell; the
accuracy of each species; and what the true class's logit loses when one part is left out.
"""

import argparse
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from birds import NEW_BACKDROPS, PARTS, SPECIES, SPLITS, draw, scene
from birds.folder import pool_of

HERE = Path(__file__).parent
FIRST = SPLITS["test"] + 10_000  # beyond the pictures that generate.py writes

Pictures = NDArray[np.uint8]  # (n, size, size, 3)


def pictures(
    species: str,
    first: int,
    number: int,
    backdrops: tuple[str | None, ...] = (None,),
    without: tuple[str, ...] = (),
) -> Pictures:
    """Draw one species from the seed `first` on, taking turns through the backdrops."""
    scenes = [scene(first + i, species, backdrops[i % len(backdrops)]) for i in range(number)]
    return np.stack([draw(s, without).image for s in scenes])


class Model:
    """A classifier in onnxruntime, with the labels and the preprocessing beside it."""

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options)
        self.labels = json.loads(path.with_name("labels.json").read_text())
        self.preprocess = json.loads(path.with_name("preprocess.json").read_text())

    def logits(self, images: Pictures) -> NDArray[np.float32]:
        """Logits (n, c) of pictures (n, size, size, 3)."""
        mean, std = (np.float32(self.preprocess[key]) for key in ("mean", "std"))
        pixels = (images * np.float32(self.preprocess["scale"]) - mean) / std
        inputs = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        batches = np.array_split(inputs, -(-len(inputs) // 64))
        return np.concatenate([self.session.run(["logits"], {"image": b})[0] for b in batches])

    def accuracy(self, images: dict[str, Pictures]) -> dict[str, float]:
        """Share of the pictures of each species that are recognised."""
        return {
            name: float(np.mean(self.logits(batch).argmax(1) == self.labels.index(name)))
            for name, batch in images.items()
        }


def grey(images: Pictures) -> Pictures:
    """The pictures without colour."""
    return np.repeat(images.mean(axis=3, keepdims=True), 3, axis=3).astype(np.uint8)


def hues_turned(images: Pictures) -> Pictures:
    """The pictures with red, green and blue exchanged in turn."""
    return np.roll(images, 1, axis=3)


def histograms(images: Pictures) -> NDArray[np.float64]:
    """Square roots of the shares of 6 x 6 x 6 colours, and a constant: (n, 217)."""
    bins = (images.astype(np.int64) * 6 // 256) @ np.array([36, 6, 1])
    counts = np.stack([np.bincount(b.ravel(), minlength=216) for b in bins])
    shares = np.pad(counts / bins[0].size, ((0, 0), (0, 1)), constant_values=1)
    return np.asarray(np.sqrt(shares))


def colour_only(train: dict[str, Pictures], test: dict[str, Pictures]) -> float:
    """Accuracy of a linear classifier (ridge) that sees nothing but colour histograms."""
    x = np.concatenate([histograms(batch) for batch in train.values()])
    y = np.repeat(np.eye(len(train)), [len(batch) for batch in train.values()], axis=0)
    weights = np.linalg.solve(x.T @ x + 1e-2 * np.eye(x.shape[1]), x.T @ y)
    right = [(histograms(batch) @ weights).argmax(1) == i for i, batch in enumerate(test.values())]
    return float(np.mean(right))


def deletion(model: Model, number: int, draw_all: Callable[..., dict[str, Pictures]]) -> None:
    """Print the mean drop of the true logit, and the accuracy, without each part."""
    whole = draw_all(FIRST, number)
    print("\n| left out | mean drop of the true logit | accuracy |\n| --- | --- | --- |")
    for part in ((), *((p,) for p in PARTS)):
        lacking = draw_all(FIRST, number, without=part)
        drops = [
            model.logits(whole[s])[:, i] - model.logits(lacking[s])[:, i]
            for i, s in enumerate(model.labels)
        ]
        accuracy = np.mean(list(model.accuracy(lacking).values()))
        print(f"| {part[0] if part else 'nothing'} | {np.mean(drops):.2f} | {accuracy:.1%} |")


def main() -> None:
    """Read the command line and print the figures."""
    parser = argparse.ArgumentParser(description="Measure a toybirds classifier.")
    parser.add_argument("--model", type=Path, default=HERE / "toybirds.onnx", help="ONNX file")
    parser.add_argument("--images", type=int, default=50, help="pictures a species")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    args = parser.parse_args()
    model = Model(args.model, args.jobs)
    with pool_of(args.jobs) as pool:

        def draw_all(first: int, number: int, **options: Any) -> dict[str, Pictures]:
            one = partial(pictures, first=first, number=number, **options)
            return dict(zip(SPECIES, pool.map(one, SPECIES), strict=True))

        held_out = draw_all(FIRST, args.images)
        elsewhere = draw_all(FIRST, args.images, backdrops=NEW_BACKDROPS)
        settings = {
            "held-out pictures": held_out,
            "the same in grey": {s: grey(batch) for s, batch in held_out.items()},
            "the same, hues turned": {s: hues_turned(batch) for s, batch in held_out.items()},
            f"new backdrops ({', '.join(NEW_BACKDROPS)})": elsewhere,
        }
        rows = {name: model.accuracy(images) for name, images in settings.items()}
        print("| pictures | accuracy |\n| --- | --- |")
        for name, of in rows.items():
            print(f"| {name} | {np.mean(list(of.values())):.1%} |")
        alone = colour_only(draw_all(SPLITS["train"], 2 * args.images), held_out)
        print(f"| held-out pictures, colour histogram alone | {alone:.1%} |")
        print(f"\n| species | {' | '.join(rows)} |\n| --- |{' --- |' * len(rows)}")
        for species in SPECIES:
            print(f"| {species} | {' | '.join(f'{of[species]:.0%}' for of in rows.values())} |")
        deletion(model, max(1, args.images // 5), draw_all)


if __name__ == "__main__":
    main()
