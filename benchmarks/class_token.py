"""What a class token's explanation says, beside what else is drawn for transformers, on toy birds.

    python models/toybirds/generate.py --out TOYBIRDS --test 50 --truth
    protohead export models/toybirds/toybirds_vit.onnx --data TOYBIRDS/train --out ARTIFACT
    python -m benchmarks.class_token ARTIFACT --data TOYBIRDS/test --train TOYBIRDS/train \
        --parts TOYBIRDS/parts.csv

Prints Markdown: how much of the evidence has a place, where parts and maps point, and what the
explained graph costs. Prototypes are found on TRAIN and measured on the held-out pictures.

Every method reads the joined map of benchmarks/token_maps.py. Distinctiveness and distinct parts
are asked of several parts only: k copies of one map have 0 of the one, and one part in all.

Symbols: n images, p patches, H the width, c classes, k prototypes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.paper.markdown import spread, table
from benchmarks.token_maps import JoinedReader, Rollout, Torch
from exporter.decompose import decompose, multiplicative
from exporter.evaluate.annotations import read_annotations, read_truth
from exporter.evaluate.arithmetic.statistics import mean_defined, over_seeds
from exporter.evaluate.baselines.methods import Method, ours
from exporter.evaluate.metrics.catalog import metric_named
from exporter.evaluate.tables import DASH
from exporter.evaluate.trial.case import Case
from exporter.evaluate.trial.run import Conditions, Trial, run_trial
from exporter.evaluate.trial.subject import Subject, open_subject
from exporter.head.rows import round_exactly
from exporter.images.dataset import Dataset, read_dataset
from exporter.smoothing import smooth_features
from exporter.source.graph_session import open_session
from serving.artifact import MODEL, load_artifact
from serving.model.runtime import Session, make_session

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

SPLIT_METRICS = ("distinct_parts", "distinctiveness")
"""What one map alone cannot be asked."""
METRICS = ("consistency", *SPLIT_METRICS, "stability", "part_purity", "deletion_share")
_SAME = 1e-4


@dataclass(frozen=True)
class Located:
    """The logits of one class's pictures, by what has a place and what has none; (n, c) each."""

    index: int
    logits: Floats
    placed: Doubles
    unplaced: Doubles

    @classmethod
    def of(cls, subject: Subject, trial: Trial) -> Located:
        """Split the logits of a trial whose maps begin with the deliveries."""
        weight = subject.head.weight
        pooled = trial.maps[:, :, : weight.shape[1]].mean(axis=1, dtype=np.float64)
        placed = pooled @ weight.T
        return cls(trial.index, trial.logits, placed, trial.logits - subject.head.bias - placed)


def shares(found: list[Located]) -> str:
    """How much of the evidence has a place, and what each of the two recognises alone."""

    def line(text: str, placed: Doubles, unplaced: Doubles) -> list[str]:
        share = np.abs(placed) / (np.abs(placed) + np.abs(unplaced))
        return [text, *(f"{values.mean():.2f}" for values in (placed, unplaced, share))]

    def own(name: str, *, apart: bool) -> Doubles:
        """(n,) of all classes; with ``apart`` less what all classes have in common."""
        values = ((one.index, getattr(one, name)) for one in found)
        return np.concatenate([v[:, i] - apart * v.mean(axis=1) for i, v in values])

    def right(name: str) -> str:
        hits = [getattr(one, name).argmax(axis=1) == one.index for one in found]
        return f"{np.concatenate(hits).mean():.3f}"

    pairs = {
        text: [own(name, apart=apart) for name in ("placed", "unplaced")]
        for text, apart in (("logit less bias", False), ("the same less the classes' mean", True))
    }
    head = ["of the true class", "placed", "unplaced", "placed share"]
    rows = [line(text, *pair) for text, pair in pairs.items()]
    accuracy = [right(name) for name in ("logits", "placed", "unplaced")]
    columns = ["accuracy by the logits", "by the placed alone", "by the unplaced alone"]
    return f"{table(head, rows)}\n\n{table(columns, [accuracy])}"


@dataclass(frozen=True)
class Entry:
    """A method of one class.

    Attributes:
        name: For people.
        method: Its prototypes on the joined map.
        parts: k, or 1 for one map.
    """

    name: str
    method: Method
    parts: int


def methods(
    subject: Subject, trial: Trial, training: Floats, counts: list[int], seed: int
) -> Iterator[Entry]:
    """Every method of one class.

    Args:
        subject: The artifact.
        trial: The held-out pictures.
        training: The joined map (n, p, 2 H + 2) of the training images.
        counts: Which k.
        seed: Of discovery.
    """
    weight = subject.head.weight[trial.index].astype(np.float64)
    width, passes = len(weight), subject.smoothing
    joined = trial.maps.shape[2]

    def at(first: int, rows: Doubles) -> Doubles:
        """Rows (k, m) of the channels from the first on, as rows of the joined map."""
        return np.pad(rows, ((0, 0), (first, joined - first - rows.shape[1])))

    def both(name: str, rows: Doubles, first: int) -> Iterator[Entry]:
        method = Method(name, at(first, rows), len(rows))
        yield Entry(name, method, len(rows))
        smooth = Method(name, at(first, rows), len(rows), smoothing=passes)
        yield Entry(f"{name}, smoothed", smooth, len(rows))

    row = weight - subject.reference
    smoothed = smooth_features(training[:, :, :width], trial.grid, passes)
    for k in counts:
        found = decompose(smoothed, row, method="evidence", prototypes=k, seed=seed)
        parts = round_exactly(found.prototypes, row)
        yield Entry("ours", ours(at(0, parts).astype(np.float32), passes), k)
        for number, name in enumerate(("NMF of the deliveries", "NMF of the last tokens")):
            channels = slice(number * width, (number + 1) * width)
            flat = np.maximum(training[:, :, channels].reshape(-1, width), 0)
            basis = multiplicative.factorize(flat, k, seed).value.prototypes
            yield from both(name, basis.astype(np.float64), number * width)
    one = np.ones((1, 1))
    yield from both("exact evidence map", row[None], 0)
    yield from both("class row times the last tokens", row[None], width)
    yield from both("attention rollout", one, 2 * width)
    yield from both("Grad-CAM", one, 2 * width + 1)
    yield Entry("the middle of the picture", Method("centre", None, 1), 1)


def measured(subject: Subject, trial: Trial, entry: Entry) -> dict[str, float]:
    """Every figure of a method that is defined."""
    case = Case(trial, entry.method, subject)
    names = [name for name in METRICS if entry.parts > 1 or name not in SPLIT_METRICS]
    found = {name: metric_named(name).measure(case) for name in names}
    return {n: v[0] if isinstance(v, tuple) else v for n, v in found.items() if v is not None}


class Figures:
    """Collects figures over classes and seeds."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, str], dict[str, dict[int, list[float]]]] = {}

    def add(self, entry: Entry, seed: int, found: dict[str, float]) -> None:
        """Figures of one class."""
        known = self._found.setdefault((entry.parts, entry.name), {})
        for name, value in found.items():
            known.setdefault(name, {}).setdefault(seed, []).append(value)

    def table(self) -> str:
        """Means over classes, with their deviation over seeds; the first k first, one map last."""
        metrics = [metric_named(name) for name in METRICS]
        head = ["k", "method", *(f"{metric.title} {metric.arrow}" for metric in metrics)]
        rows = []
        for k in sorted({k for k, _ in self._found}, key=lambda k: (k == 1, k)):
            for (parts, name), known in self._found.items():
                if parts == k:
                    cells = [self._cell(known.get(metric)) for metric in METRICS]
                    rows.append([str(k) if k > 1 else "one map", name, *cells])
        return table(head, rows)

    @staticmethod
    def _cell(by_seed: dict[int, list[float]] | None) -> str:
        if by_seed is None:
            return DASH
        return spread(over_seeds([mean_defined(values) for values in by_seed.values()]))


def cost(subject: Subject, rounds: int) -> str:
    """CPU seconds of the explained and of the plain graph, one thread each, taking turns."""
    artifact = subject.artifact
    sessions = (
        open_session(subject.source.model, threads=1),
        make_session(artifact.path(MODEL), threads=1),
    )
    manifest, rows = artifact.manifest, []

    def seconds(session: Session, feed: dict[str, Floats]) -> float:
        start = time.process_time()
        session.run(None, feed)
        return time.process_time() - start

    for batch in (1, 8):
        shape = (batch, *manifest.input.shape[1:])
        data = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        times = [[seconds(s, {manifest.input.name: data}) for s in sessions] for _ in range(rounds)]
        plain, explained = np.min(times, axis=0) * 1e3
        rows.append([str(batch), f"{plain:.2f}", f"{explained:.2f}", f"{explained / plain:.2f}"])
    return table(["batch", "plain, ms", "explained, ms", "ratio"], rows)


def main() -> None:
    """Measure and print."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    for name in ("data", "train", "parts"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("-k", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--seeds", type=int, default=3, help="of discovery and of the noise")
    parser.add_argument("--rounds", type=int, default=200, help="of the clock")
    options = parser.parse_args()
    torch.set_num_threads(1)
    subject = open_subject(load_artifact(options.artifact))
    print(f"{cost(subject, options.rounds)}\n", flush=True)
    found, figures = list[Located](), Figures()
    with subject.reader(1) as reader, threadpool_limits(1):
        rollout = Rollout(subject.source.model, subject.source.input.name)
        joined = JoinedReader(reader, rollout, Torch(subject.source.model))
        annotations, truth = read_annotations(options.parts), read_truth(options.parts)
        conditions = Conditions(subject, joined, None, annotations, truth, options.seeds, 0, 1)
        data, train = (_dataset(subject, path) for path in (options.data, options.train))
        for entry in data.classes:
            joined.index = entry.index
            trial = run_trial(conditions, entry)
            if trial is None:
                sys.exit(f"{entry.label}: expected pictures with annotations, found none.")
            found.append(Located.of(subject, trial))
            pictures = subject.pictures(train.classes[entry.index].paths, 1)
            training, _ = joined.run(np.stack([picture.tensor for picture in pictures]))
            for seed in range(options.seeds):
                drawn = replace(trial, noisy=(trial.noisy[seed],))
                for one in methods(subject, drawn, training, options.k, seed):
                    figures.add(one, seed, measured(subject, drawn, one))
            print(f"{entry.label}: {len(trial.pictures)} pictures", file=sys.stderr, flush=True)
    print(f"{shares(found)}\n\n{figures.table()}")
    if joined.differs > _SAME:
        sys.exit(f"expected torch's logits to differ by at most {_SAME}, got {joined.differs:.1e}")


def _dataset(subject: Subject, root: Path) -> Dataset:
    manifest = subject.artifact.manifest
    return read_dataset(
        root, class_count=len(manifest.classes), labels=manifest.labels, max_images=1000, seed=0
    )


if __name__ == "__main__":
    main()
