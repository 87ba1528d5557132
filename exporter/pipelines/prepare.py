"""What an export reads and refuses before its work: model, head, images, in this order.

And the key of all that, for the cache of a pipeline.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata

from exporter.config import ExportConfig
from exporter.decompose import require_feasible
from exporter.errors import OutputError
from exporter.head import Head, find_head
from exporter.head.grid import warn_of_one_cell
from exporter.head.rows import HeadRows, split_reference
from exporter.images.dataset import Dataset, read_dataset
from exporter.images.features import sha256_of_images
from exporter.images.holdout import Split
from exporter.source.onnx_file import Source, load_source
from exporter.source.own import fitting_labels
from exporter.source.presets import fitting_preprocessing, require_pixels
from exporter.surgery import fix_input_size, require_room
from exporter.writing.further import require_form
from serving.artifact import Preprocessing

# The preprocessing counts as it fits the model, not by the name of a preset.
_NO_OPTIONS = {
    *("model", "data", "out", "weights", "jobs"),
    *("resume", "overwrite", "preprocessing"),
}


@dataclass(frozen=True)
class Prepared:
    """What every stage of one export needs; nothing of it is written yet."""

    config: ExportConfig
    dataset: Dataset
    preprocessing: Preprocessing
    source: Source
    head: Head
    rows: HeadRows


def prepare(config: ExportConfig) -> Prepared:
    """Read what an export is made of.

    Args:
        config: What to export and how.

    Returns:
        All of it; the labels of its config are those known of the model.

    Raises:
        SourceError: The model cannot be read, or does not fit the preprocessing.
        HeadError: Its head cannot be decomposed.
        DecompositionError: Too many prototypes for this head or method.
        DatasetError: The image folders do not fit the model.
        SurgeryError: The outputs cannot be added to its graph.
        OutputError: ``config.out`` is among the images.
    """
    _require_apart(config)
    source = load_source(
        config.model,
        weights=config.weights,
        input_size=config.input_size,
        channels=config.channels,
        output=config.output,
    )
    preprocessing = fitting_preprocessing(config.preprocessing, source.input.shape, source.own)
    require_pixels(preprocessing, source.input.dtype)
    if config.labels is None:
        labels = fitting_labels(source.own, config.data)
        config = config.model_copy(update={"labels": labels})
    fix_input_size(source.model, preprocessing.size)
    head = find_head(source.model, output=source.output)
    require_room(source.model, head, config.prototypes)
    require_form(config.form, source.model, head, source.input.dtype)
    warn_of_one_cell(head.grid, source.name)
    mapped = 0 if head.chain is None else head.chain.mapped
    require_feasible(config.method, config.prototypes, head.weight.shape[1], mapped)
    dataset = read_dataset(
        config.data,
        class_count=len(head.weight),
        labels=config.labels,
        max_images=config.max_images,
        seed=config.seed,
        split=None if config.holdout is None else Split(config.holdout, config.seed),
    )
    rows = split_reference(head, config.reference, multilabel=config.multilabel)
    return Prepared(config, dataset, preprocessing, source, head, rows)


def cache_key(config: ExportConfig) -> str:
    """A word that is another one where the artifact would be another one.

    Model, preprocessing and the images used count by their bytes, wherever they lie; folders, what
    is at ``out`` and the number of threads do not count.

    Returns:
        A sha256 in hexadecimal.

    Raises:
        ExporterError: The export could not begin, as in :func:`prepare`.
    """
    ready = prepare(config)
    content = {
        "protohead": metadata.version("protohead"),
        "model": [ready.source.name, ready.source.sha256],
        "options": ready.config.model_dump(mode="json", exclude=_NO_OPTIONS),
        "preprocessing": ready.preprocessing.model_dump(mode="json"),
        "classes": [
            {
                "label": entry.label,
                "others": entry.others,
                "images": [ready.dataset.image_id(path) for path in entry.paths],
                "sha256": sha256_of_images(entry.paths),
            }
            for entry in ready.dataset.classes
        ],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _require_apart(config: ExportConfig) -> None:
    """Refuse an artifact among the class folders: the next export would take it for one."""
    out, data = config.out.resolve(), config.data.resolve()
    if out.is_relative_to(data):
        raise OutputError(
            f"{config.out}: expected a folder outside of the images in {config.data}, where it "
            "would be taken for one of their class folders. Choose another `out`."
        )
