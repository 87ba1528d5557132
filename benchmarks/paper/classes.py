"""Run the network once over the images of each class, and find every method for every k and seed.

Classes come one after another, so memory holds the feature maps of one.

Symbols: n images, p positions, d channels, k prototypes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.paper.measure import Figures, measure
from benchmarks.paper.methods import Doubles, Floats, Initial, initial, others, own, prototypes_of
from exporter.errors import DecompositionError
from exporter.evaluate.annotations import read_annotations, read_truth
from exporter.evaluate.baselines.methods import OURS, Method
from exporter.evaluate.metrics.robustness.seed_overlap import seed_overlap
from exporter.evaluate.trial.run import Conditions, Trial, run_trial
from exporter.evaluate.trial.subject import Subject
from exporter.images.dataset import ClassImages, Dataset, read_dataset
from exporter.images.features import FeatureReader


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        data: Folder with one folder of held-out images for each class.
        train: Folder with one folder of training images for each class.
        parts: Part annotations, if there are any.
        counts: The k that all methods are compared at.
        sweep: More k, at which the paper's solver does not run.
        seeds: Runs, each with another seed of discovery and another draw of the noise.
        classes: Classes to use, spread evenly; None for all.
        paper_classes: Classes that the paper's solver runs on, spread evenly; None for all.
        paper_counts: The k that it runs at.
        measured: Whether the figures of the heatmaps are wanted.
        jobs: Threads; 0 takes all cores.
    """

    data: Path
    train: Path
    parts: Path | None = None
    counts: tuple[int, ...] = (3, 5, 10)
    sweep: tuple[int, ...] = ()
    seeds: int = 3
    classes: int | None = None
    paper_classes: int | None = None
    paper_counts: tuple[int, ...] = (3,)
    measured: bool = True
    jobs: int = 0

    @property
    def all_counts(self) -> tuple[int, ...]:
        """Every k, rising."""
        return tuple(sorted({*self.counts, *self.sweep}))

    @property
    def threads(self) -> int:
        """Threads that find and measure."""
        return self.jobs or os.cpu_count() or 1


@dataclass(frozen=True)
class Split:
    """The methods of one class for one k and one seed.

    Attributes:
        k: Prototypes.
        seed: Number of the seed, from 0.
        methods: Every method by its name.
        start: Scaled prototypes of NMF, of the whole head row.
        start_less_mean: The start of the head row less the reference.
        figures: Every figure by method, then metric.
    """

    k: int
    seed: int
    methods: dict[str, Method]
    start: Initial
    start_less_mean: Initial
    figures: dict[str, Figures] = field(default_factory=dict)


@dataclass(frozen=True)
class ClassRun:
    """One class.

    Attributes:
        number: Its place among the classes used, from 0.
        trial: Its held-out images, as every method sees them.
        training: (n, p, d), feature maps of its training images.
        row: (d,), its head row.
        splits: The split for every k and seed.
    """

    number: int
    trial: Trial
    training: Floats
    row: Doubles
    splits: tuple[Split, ...]

    def split(self, k: int, seed: int) -> Split:
        """That of one k and seed."""
        return next(one for one in self.splits if (one.k, one.seed) == (k, seed))


def stream(subject: Subject, plan: Plan) -> Iterator[ClassRun]:
    """Run one class after another; what is done stands on stderr.

    Args:
        subject: The artifact: its classifier, its reference and its method are used.
        plan: What to run.

    Raises:
        DatasetError: Folders or annotations do not fit the artifact.
    """
    held_out, training = _dataset(subject, plan.data), _dataset(subject, plan.train)
    entries = chosen(subject, held_out, training, plan.classes)
    paper = set(spread_evenly(entries, plan.paper_classes))
    with (
        subject.reader(plan.jobs) as reader,
        threadpool_limits(limits=1, user_api="blas"),  # as in an export
        ThreadPoolExecutor(plan.threads) as pool,
    ):
        run = _Run(subject, plan, reader, _conditions(subject, plan, reader), pool)
        report = _reporter(len(entries))
        for number, entry in enumerate(entries):
            found = run.one(number, entry, training.classes[entry.index].paths, entry in paper)
            report(number + 1, entry.label)
            if found is not None:
                yield found


def chosen(
    subject: Subject, held_out: Dataset, training: Dataset, limit: int | None
) -> tuple[ClassImages, ...]:
    """The held-out classes that the artifact decomposes and that have training images."""
    records = subject.artifact.manifest.classes
    usable = [
        entry
        for entry in held_out.classes
        if entry.paths
        and records[entry.index].state == "decomposed"
        and training.classes[entry.index].paths
    ]
    return spread_evenly(usable, limit)


def spread_evenly(
    entries: list[ClassImages] | tuple[ClassImages, ...], limit: int | None
) -> tuple[ClassImages, ...]:
    """At most so many of them, spread evenly; all without a limit."""
    if limit is None or limit >= len(entries):
        return tuple(entries)
    places = np.linspace(0, len(entries), limit, endpoint=False).astype(int)
    return tuple(entries[place] for place in places)


@dataclass(frozen=True)
class _Run:
    """What every class needs."""

    subject: Subject
    plan: Plan
    reader: FeatureReader
    conditions: Conditions
    pool: ThreadPoolExecutor

    def one(
        self, number: int, entry: ClassImages, training: tuple[Path, ...], with_paper: bool
    ) -> ClassRun | None:
        """One class; None where none of its images can be measured."""
        maps = self.reader.read(training).maps
        trial = run_trial(self.conditions, entry)
        if trial is None or not len(maps):
            print(f"{entry.label}: left out, no image can be measured", file=sys.stderr)
            return None
        row = self.subject.head.weight[entry.index].astype(np.float64)
        tasks = [
            (k, seed, with_paper and k in self.plan.paper_counts)
            for k in reversed(self.plan.all_counts)  # the longest first
            for seed in range(self.plan.seeds)
        ]
        try:
            splits = tuple(self.pool.map(lambda task: self._split(trial, maps, row, *task), tasks))
        except DecompositionError as error:
            print(f"{entry.label}: left out: {error}", file=sys.stderr)
            return None
        if self.plan.measured:
            list(self.pool.map(lambda k: _agree(trial, splits, k), self.plan.counts))
        return ClassRun(number, trial, maps, row, splits)

    def _split(
        self, trial: Trial, maps: Floats, row: Doubles, k: int, seed: int, with_paper: bool
    ) -> Split:
        methods = others(row, maps, k, seed, with_paper=with_paper)
        own_row = row - self.subject.reference
        methods[OURS] = own(self.subject, maps, own_row, k, seed)
        basis = prototypes_of(methods["nmf"])
        figures = {}
        if self.plan.measured:
            figures = {
                name: measure(self.subject, trial, method, seed) for name, method in methods.items()
            }
        return Split(k, seed, methods, initial(basis, row), initial(basis, own_row), figures)


def _agree(trial: Trial, splits: tuple[Split, ...], k: int) -> None:
    """How alike the heatmaps of one seed and the next are, written into the figures."""
    of_count = sorted((one for one in splits if one.k == k), key=lambda one: one.seed)
    for first, second in pairwise(of_count):
        for name, method in first.methods.items():
            one = method.heatmaps(trial.maps, trial.grid)
            other = second.methods[name].heatmaps(trial.maps, trial.grid)
            found = seed_overlap(one, other, trial.size)
            first.figures[name]["seed_overlap"] = None if found is None else found.correlation


def _conditions(subject: Subject, plan: Plan, reader: FeatureReader) -> Conditions:
    return Conditions(
        subject=subject,
        reader=reader,
        predictor=subject.predictor(plan.jobs),
        annotations=None if plan.parts is None else read_annotations(plan.parts),
        truth=None if plan.parts is None else read_truth(plan.parts),
        seeds=plan.seeds,
        seed=0,
        jobs=plan.jobs,
    )


def _dataset(subject: Subject, root: Path) -> Dataset:
    manifest = subject.artifact.manifest
    return read_dataset(
        root,
        class_count=len(manifest.classes),
        labels=manifest.labels,
        max_images=manifest.method.max_images,
        seed=manifest.method.seed,
    )


def _reporter(total: int) -> Callable[[int, str], None]:
    """Says on stderr how far the run is and how long it will last."""
    start = time.monotonic()

    def report(done: int, label: str) -> None:
        spent = (time.monotonic() - start) / 60
        left = spent / done * (total - done)
        line = f"class {done} of {total}: {label}, {spent:.1f} min, {left:.1f} min left"
        print(line, file=sys.stderr, flush=True)

    return report
