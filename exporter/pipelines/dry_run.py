"""An export tried on a few of its images: the stages in order, and nothing is written.

what an export reads and refuses -> a few images -> one class split -> what all of it will take
"""

from __future__ import annotations

import math
import shutil
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

from exporter.config import ExportConfig
from exporter.errors import DatasetError, VerificationError
from exporter.head.rows import split_reference
from exporter.images.dataset import ClassImages
from exporter.images.features import ClassFeatures, FeatureReader
from exporter.inspection.forecast import DryRun, Job, Measured, forecast
from exporter.pipelines.export import VERIFIED_IMAGES, Splitting, explain_class, require_apart
from exporter.pipelines.inputs import read_inputs
from exporter.progress import Progress, silent
from exporter.source.onnx_file import Source
from exporter.writing.artifact import recognised
from exporter.writing.staging import require_place
from exporter.writing.work import named

_Item = TypeVar("_Item")

_GOLDEN = 7  # inputs of the golden batch and the golden pictures, most often
_CLASSES, _OF_EACH = 8, 8
_OF_THE_LARGEST = 32
"""Images of the class that is split; of a class of more, splitting takes more."""


def dry_run(config: ExportConfig, *, progress: Progress = silent) -> DryRun:
    """Try an export on a few images.

    Args:
        config: What to export and how.
        progress: Called as images are done.

    Returns:
        What the export would use, and about what it would take.

    Raises:
        ExporterError: The export would be refused, for the reason that it would give: model, head,
            images, place, or a smaller share of recognised images than was asked for.
    """
    begun = time.perf_counter()
    require_apart(config)
    inputs = read_inputs(config)
    rows = split_reference(inputs.head, config.reference, multilabel=config.multilabel)
    ready = Splitting(inputs.config, inputs.dataset, inputs.preprocessing, inputs.head, rows)
    require_place(config.out, resume=config.resume, overwrite=config.overwrite)
    before = _peak()
    with FeatureReader(inputs.source, ready.head, ready.preprocessing, config.jobs) as reader:
        reading = time.perf_counter()
        sample = _read(ready, reader, progress)
        seconds = time.perf_counter() - reading
        measured = replace(
            _split(ready, sample.largest, sample.features),
            begun=reading - begun,
            read=seconds / sample.images,
            computed=sample.computed / sample.images,
            before=before,
            peak=_peak(),
        )
    counts = [len(entry.paths) for entry in ready.dataset.classes]
    job = Job(
        images=counts,
        least=config.min_images,
        weights=_weights(inputs.source),
        head=rows.rows.size * config.prototypes,
        graphs=0 if config.form.is_own else 1,
        golden=_GOLDEN * math.prod(ready.preprocessing.size) * len(ready.preprocessing.channels),
        verified=min(VERIFIED_IMAGES, sum(counts)),
    )
    found = forecast(job, measured, len(sample.features.paths))
    made = DryRun(
        model=inputs.source.name,
        images={entry.label: len(entry.paths) for entry in ready.dataset.classes},
        held_out=sum(entry.split_off for entry in ready.dataset.classes),
        least=config.min_images,
        other_files=sum(entry.others for entry in ready.dataset.classes),
        sampled=sample.images,
        unreadable=sample.skipped,
        recognised=sample.recognised,
        seconds=found.seconds,
        memory=found.memory,
        disk=found.disk,
        free=_free(config.out),
    )
    _require_recognised(made, config)
    return made


@dataclass(frozen=True)
class _Sample:
    """What a few images gave.

    Attributes:
        largest: The class with the most images, and its features.
        features: Of a few of them.
        images: How many were read, of all classes.
        computed: Seconds of all cores together.
        recognised: How many the model gives to their class.
        skipped: Why some could not be read.
    """

    largest: ClassImages
    features: ClassFeatures
    images: int
    computed: float
    recognised: int
    skipped: tuple[str, ...]


def _read(ready: Splitting, reader: FeatureReader, progress: Progress) -> _Sample:
    """Read some images of some classes, evenly over them; most of the largest class."""
    entries = [entry for entry in ready.dataset.classes if entry.paths]
    largest = max(entries, key=lambda entry: len(entry.paths))
    others = [entry for entry in entries if entry is not largest]
    chosen = [(largest, _spread(largest.paths, _OF_THE_LARGEST))]
    chosen += [(entry, _spread(entry.paths, _OF_EACH)) for entry in _spread(others, _CLASSES - 1)]
    total = sum(len(paths) for _, paths in chosen)
    done, right, skipped = 0, 0, list[str]()
    kept: ClassFeatures | None = None
    before = time.process_time()
    for entry, paths in chosen:
        features = reader.read(tuple(paths), row=ready.rows.rows[entry.index])
        if kept is None:
            kept = features
        if features.paths:
            right += recognised(features.logits, entry.index, ready.rows.activation)
        skipped += features.skipped
        done += len(paths)
        progress("sample", done, total)
    if kept is None or len(skipped) == total:
        raise DatasetError(
            f"{ready.dataset.root}: expected images that can be read, of {total} tried there is "
            f"none: {skipped[0]}"
        )
    computed = time.process_time() - before
    return _Sample(largest, kept, total, computed, right, tuple(skipped))


def _split(ready: Splitting, entry: ClassImages, features: ClassFeatures) -> Measured:
    """Split one class, of half of its images and of all, and count what is held meanwhile."""
    count = len(features.paths)
    sizes = sorted({max(1, count // 2), count}) if count else []
    split, held, files = list[tuple[int, float]](), list[tuple[int, float]](), 0
    for size in sizes:
        with threadpool_limits(limits=1, user_api="blas"), _traced() as peak:  # as in an export
            started = time.perf_counter()
            _, crops = explain_class(ready, entry, _first(features, size))
            split.append((size, time.perf_counter() - started))
            held.append((size, peak()))
        files = sum(map(len, crops.values()))
    if count < ready.config.min_images:
        split = []
    return Measured(0.0, 0.0, 0.0, split, held, None, None, files)


@contextmanager
def _traced() -> Iterator[Callable[[], int]]:
    """Count the bytes that Python and NumPy hold; gives what tells the most at once so far."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _first(features: ClassFeatures, count: int) -> ClassFeatures:
    """The first of the images; splitting changes the maps, so these are copies."""
    return replace(
        features,
        maps=features.maps[:count].copy(),
        logits=features.logits[:count],
        paths=features.paths[:count],
        doubts=features.doubts if count == len(features.paths) else (),  # said once
    )


def _spread(items: Sequence[_Item], count: int) -> list[_Item]:
    """At most so many of the items, evenly over them."""
    count = min(count, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _weights(source: Source) -> int:
    """Bytes of the weights of the graph."""
    stored = source.model.graph.initializers.values()
    return sum(value.const_value.nbytes for value in stored if value.const_value is not None)


def _peak() -> int | None:
    """Bytes that this process has held at its peak; None where the system does not tell."""
    try:
        import resource  # not on Windows
    except ImportError:
        return None
    import sys

    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


def _free(out: Path) -> int:
    """Bytes free where an artifact will appear."""
    place = named(out).absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _require_recognised(made: DryRun, config: ExportConfig) -> None:
    least = config.min_accuracy
    if least is not None and made.accuracy < least:
        raise VerificationError(
            f"the export would fail if all images were like these: the model gives "
            f"{made.accuracy:.1%} of {made.sampled} images their class, expected at least "
            f"{least:.1%} (`min_accuracy`). Check the preprocessing and the order of the labels."
        )
