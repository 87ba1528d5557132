"""What an export will come to, from what a few of its images took.

Symbols: n images of a class, c classes, k prototypes, d channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

_RUNS = 3  # of the network in a verification, for each image, by one thread
_OPEN, _VERIFYING = 2, 3  # copies of the weights beside the graph's while reading, while verifying
_ACTIVATIONS = 2.5  # those of a verification, over those of the network alone
_GRAPHS = 2  # that every artifact has
_FLOAT = 4  # bytes
_NAMED = 3  # classes that are named


@dataclass(frozen=True)
class Measured:
    """What a sample took.

    Attributes:
        begun: Seconds until the first image was read.
        read: Seconds for each image, all threads at work.
        computed: Seconds of one core for each image.
        split: (images, seconds) of splitting one class, of fewer and of more images.
        held: (images, bytes) of what is held meanwhile, at most.
        before: Bytes of this process at its peak before images were read; None where the system
            does not tell.
        peak: The same afterwards.
        files: Bytes of evidence of one class.
    """

    begun: float
    read: float
    computed: float
    split: Sequence[tuple[int, float]]
    held: Sequence[tuple[int, float]]
    before: int | None
    peak: int | None
    files: int


@dataclass(frozen=True)
class Job:
    """What is to be exported.

    Attributes:
        images: Of each class.
        least: Images below which a class is kept whole.
        weights: Bytes of the model.
        head: Numbers of all prototypes, c * k * d.
        graphs: How many are written beyond those of every artifact.
        golden: Numbers of the inputs of the golden batch and the golden pictures.
        verified: Images that are verified on.
    """

    images: Sequence[int]
    least: int
    weights: int
    head: int
    graphs: int
    golden: int
    verified: int


@dataclass(frozen=True)
class Forecast:
    """About what an export takes.

    Attributes:
        seconds: From its start to its end.
        memory: Bytes at the peak; None where the system does not tell.
        disk: Bytes of the artifact.
    """

    seconds: float
    memory: int | None
    disk: int


def forecast(job: Job, measured: Measured, sampled: int) -> Forecast:
    """Foretell an export.

    Args:
        job: What is to be exported.
        measured: What the sample took.
        sampled: Images of the class that was split.
    """
    split = [n for n in job.images if n >= job.least]
    constant, each = _line(measured.split)
    seconds = (
        measured.begun
        + measured.read * sum(job.images)
        + constant * len(split)
        + each * sum(split)
        + measured.computed * _RUNS * job.verified
    )
    graphs = (_GRAPHS + job.graphs) * (job.weights + _FLOAT * job.head)
    evidence = measured.files * sum(n > 0 for n in job.images)
    disk = graphs + _FLOAT * (job.head + job.golden) + evidence
    return Forecast(seconds, _memory(job, measured, sampled), disk)


def _memory(job: Job, measured: Measured, sampled: int) -> int | None:
    """The larger of what splitting the largest class takes, and verifying."""
    if measured.before is None or measured.peak is None:
        return None
    grown = measured.peak - measured.before
    more = _line(measured.held)[1] * max(0, max(job.images) - sampled)
    activations = _ACTIVATIONS * max(0, grown - _OPEN * job.weights)
    return measured.before + int(max(grown + more, _VERIFYING * job.weights + activations))


def _line(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """What a class takes, and each of its images: neither below zero."""
    if not points:
        return 0.0, 0.0
    (few, less), (many, more) = points[0], points[-1]
    each = max(0.0, (more - less) / (many - few)) if many > few else more / many
    each = min(each, more / many)
    return more - each * many, each


class DryRun(BaseModel):
    """What an export would do.

    Attributes:
        model: The source's name.
        images: Images used of each class, by label.
        held_out: Images left for measuring.
        least: Images below which a class is kept whole.
        other_files: Files that are no images by their suffix.
        sampled: Images that were read.
        unreadable: Why some of them could not be.
        recognised: How many of the others the model gives to their class.
        seconds, memory, disk: As :class:`Forecast` has them.
        free: Bytes free where the artifact will appear.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    images: dict[str, int]
    held_out: int
    least: int
    other_files: int
    sampled: int
    unreadable: tuple[str, ...]
    recognised: int
    seconds: float
    memory: int | None
    disk: int
    free: int

    @property
    def accuracy(self) -> float:
        """The share of the images read that the model gives to their class."""
        return self.recognised / max(1, self.sampled - len(self.unreadable))

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of each line that a person reads."""
        counts = [count for count in self.images.values() if count]
        empty = [label for label, count in self.images.items() if not count]
        whole = [label for label, count in self.images.items() if 0 < count < self.least]
        classes = f"{len(self.images)}, {len(counts)} of them with images"
        if empty:
            classes += f"; without: {_named(empty)}"
        if whole:
            classes += f"; fewer than {self.least} images, so kept whole: {_named(whole)}"
        each = f"{min(counts)} to {max(counts)}, {int(np.median(counts))} in the median"
        images = f"{sum(counts)}, of a class {each if min(counts) < max(counts) else counts[0]}"
        if self.held_out:
            images += f"; {self.held_out} more are held out"
        read = self.sampled - len(self.unreadable)
        skipped = f"{self.other_files} files are no images by their suffix"
        if self.unreadable:
            skipped += f"; of {self.sampled} read {len(self.unreadable)}: {self.unreadable[0]}"
        rows = [
            ("model", self.model),
            ("classes", classes),
            ("images", images),
            ("skipped", skipped if self.other_files or self.unreadable else "none so far"),
            ("recognised", f"{self.recognised} of {read} images read ({self.accuracy:.0%})"),
            ("time", f"about {_time(self.seconds)}"),
        ]
        if self.memory is not None:
            rows.append(("memory", f"about {_size(self.memory)} at the peak"))
        disk = f"about {_size(self.disk)}"
        if self.disk > self.free:
            disk += f", but {_size(self.free)} are free"
        return [*rows, ("disk", disk)]


def _named(labels: Sequence[str]) -> str:
    more = len(labels) - _NAMED
    return ", ".join(labels[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _size(count: float) -> str:
    """Bytes in words."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB"
