"""Where prototypes point on training images left out: what the method is chosen by.

    python -m benchmarks.cross_validation ARTIFACT --train DIR [--parts PARTS] [-k K ...]

Image i of a class belongs to fold i mod F. Prototypes are found on the other folds, by the method
and with the reference of the artifact, and measured on this one. A figure is the mean over the
folds of a class, then over classes.

Folds are small, and consistency asks for 80 % of a fold's images: it looks higher here than on
many images. Read differences between methods, not the figures themselves.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.paper.markdown import table
from benchmarks.paper.measure import Figures, measure
from benchmarks.paper.methods import own
from exporter.commands.progress import ProgressLine
from exporter.errors import ExporterError
from exporter.evaluate.annotations import read_annotations
from exporter.evaluate.arithmetic.statistics import mean_defined
from exporter.evaluate.metrics.catalog import metric_named
from exporter.evaluate.tables import DASH, number
from exporter.evaluate.trial.run import Conditions, Trial, run_trial
from exporter.evaluate.trial.subject import Subject, open_subject
from exporter.images.dataset import read_dataset
from serving.artifact import load_artifact
from serving.errors import ArtifactError

METRICS = ("consistency", "stability", "distinctiveness", "distinct_parts", "norm_sum")


def cross_validate(
    subject: Subject, trial: Trial, prototypes: int, folds: int, seed: int
) -> Figures:
    """The figures of one class, each the mean over its folds.

    Args:
        subject: The artifact.
        trial: The training images of the class.
        prototypes: k.
        folds: At least 2, each with two images or more left to learn from.
        seed: Seed of discovery.
    """
    row = subject.head.weight[trial.index].astype(np.float64) - subject.reference
    fold = np.arange(len(trial.pictures)) % folds
    found: list[Figures] = []
    for one in range(folds):
        left_out = fold == one
        method = own(subject, trial.maps[~left_out], row, prototypes, seed)
        found.append(measure(subject, trial.only(left_out), method, 0))
    return {name: mean_defined(_values(found, name)) for name in METRICS}


def trials(subject: Subject, train: Path, parts: Path | None, seed: int) -> Iterator[Trial]:
    """The training images of each class that the artifact decomposes, what is done on stderr."""
    manifest = subject.artifact.manifest
    dataset = read_dataset(
        train,
        class_count=len(manifest.classes),
        labels=manifest.labels,
        max_images=manifest.method.max_images,
        seed=manifest.method.seed,
    )
    entries = [
        entry
        for entry in dataset.classes
        if entry.paths and manifest.classes[entry.index].state == "decomposed"
    ]
    annotations = None if parts is None else read_annotations(parts)
    progress, done = ProgressLine(), 0
    with subject.reader(0) as reader:
        conditions = Conditions(
            subject,
            reader,
            subject.predictor(0),
            annotations,
            truth=None,
            seeds=1,
            seed=seed,
            jobs=0,
        )
        for entry in entries:
            progress("validate", done, sum(len(entry.paths) for entry in entries))
            done += len(entry.paths)
            trial = run_trial(conditions, entry)
            if trial is None:
                print(f"{entry.label}: left out, no image can be measured", file=sys.stderr)
            else:
                yield trial
    progress.close()


def main() -> None:
    """Run and print."""
    options = _options()
    tasks = sorted(options.k, reverse=True)  # the longest first
    try:
        subject = open_subject(load_artifact(options.artifact))
        found: dict[int, list[Figures]] = {k: [] for k in tasks}
        with (
            threadpool_limits(limits=1, user_api="blas"),  # as in an export
            ThreadPoolExecutor(os.cpu_count()) as pool,
        ):
            for trial in trials(subject, options.train, options.parts, options.seed):
                validate = partial(
                    cross_validate, subject, trial, folds=options.folds, seed=options.seed
                )
                figures = pool.map(validate, tasks)
                for k, one in zip(tasks, figures, strict=True):
                    found[k].append(one)
    except (ExporterError, ArtifactError) as error:
        sys.exit(str(error))
    rows = ([str(k), *(_mean(found[k], name) for name in METRICS)] for k in sorted(found))
    print(table(["k", *(metric_named(name).title for name in METRICS)], rows))


def _values(found: list[Figures], metric: str) -> NDArray[np.float64]:
    """A metric of each; NaN where it is not defined."""
    return np.array([figures.get(metric) for figures in found], dtype=np.float64)


def _mean(classes: list[Figures], metric: str) -> str:
    mean = mean_defined(_values(classes, metric))
    return DASH if mean is None else number(mean)


def _options() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cross_validation", description=__doc__.splitlines()[0]
    )
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--train", type=Path, required=True, help="training images")
    parser.add_argument("--parts", type=Path, help="part annotations, as for protohead evaluate")
    parser.add_argument("-k", type=int, nargs="+", default=[3, 5, 10])
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
