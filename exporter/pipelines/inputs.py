"""What an export is made of, read once before the work, and what tells it from another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata

from exporter.config import ExportConfig
from exporter.decompose import require_feasible
from exporter.head import Head, find_head
from exporter.head.grid import warn_of_one_cell
from exporter.images.dataset import Dataset, read_dataset
from exporter.images.holdout import Split
from exporter.source.onnx_file import Source, load_source
from exporter.source.own import fitting_labels
from exporter.source.presets import fitting_preprocessing, require_pixels
from exporter.surgery import fix_input_size, require_room
from exporter.writing.further import require_form
from exporter.writing.work import Fingerprint
from serving.artifact import Preprocessing

_OF_THE_RUN = {"model", "data", "out", "weights", "jobs", "resume", "overwrite"}
# Options of no class: of the whole, and of a further graph.
_OF_NO_CLASS = {"min_accuracy", "variant", "input_type", "input_layout"}


@dataclass(frozen=True)
class Inputs:
    """The model, its head and the images of one export.

    Attributes:
        config: The options, the labels that the model says of itself among them.
        source: The classifier.
        preprocessing: How an image becomes its input.
        head: Its head.
        dataset: Its classes and their images.
    """

    config: ExportConfig
    source: Source
    preprocessing: Preprocessing
    head: Head
    dataset: Dataset

    @property
    def fingerprint(self) -> Fingerprint:
        """What decides a class, so that ``resume`` continues only the same export."""
        # What the images hold is kept with each class: a changed one has its class made again.
        images = [self.dataset.image_id(path) for e in self.dataset.classes for path in e.paths]
        return {
            "model": self.source.sha256,
            "images": hashlib.sha256(json.dumps(images).encode()).hexdigest(),
            "options": _options(self.config, without=_OF_THE_RUN | _OF_NO_CLASS),
            "preprocessing": self.preprocessing.model_dump(mode="json"),
            "protohead": metadata.version("protohead"),
        }


def read_inputs(config: ExportConfig) -> Inputs:
    """Read what an export is made of, and refuse what it could not be made of.

    Raises:
        SourceError: The model cannot be read, or does not fit the preprocessing.
        HeadError: Its head cannot be decomposed.
        DecompositionError: Too many prototypes for this head or method.
        DatasetError: The image folders do not fit the model.
        SurgeryError: The outputs cannot be added to its graph.
    """
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
    return Inputs(config, source, preprocessing, head, dataset)


def _options(config: ExportConfig, *, without: set[str]) -> dict[str, object]:
    # The preprocessing is that which fits the model, not the name of a preset.
    return config.model_dump(mode="json", exclude=without | {"preprocessing"})
