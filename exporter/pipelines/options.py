"""An export as Python asks for it: options by their names, and what lies beside the model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from exporter.config import ExportConfig, TorchModule
from exporter.errors import OptionError
from exporter.images.dataset import read_labels
from exporter.pipelines.export import export as run_export
from exporter.progress import Progress, shown
from exporter.source.presets import chosen, file_beside, said_beside
from serving.artifact import Artifact

_logger = logging.getLogger(__name__)
_FIELDS = {"input": "input_type"}  # of options that have another name in the config
_OPTIONS = sorted(
    {"preset", "preprocess", "input", *ExportConfig.model_fields}
    - {"model", "preprocessing", "input_type"}
)


def export(
    model: ExportConfig | str | Path | TorchModule, *, progress: Progress = shown, **options: Any
) -> Artifact:
    """Write the artifact of a trained classifier, or nothing.

    Args:
        model: What to export and how; or the model alone, and how as options.
        progress: Called as images are done; by default a notebook shows a bar.
        options: Of a model: those of ``protohead export`` by their names, ``_`` for ``-``, such as
            ``data``, ``out`` and ``preset``; :class:`ExportConfig` says what each means. What is
            not given is what lies beside an ONNX file: ``preprocess.json`` and ``labels.json``.

    Returns:
        The artifact at ``out``, verified.

    Raises:
        OptionError: An option is unknown or out of range.
        ExporterError: It cannot be exported; see :func:`exporter.pipelines.export.export`.
    """
    return run_export(settled(model, options), progress=progress)


def settled(
    model: ExportConfig | str | Path | TorchModule, options: Mapping[str, Any]
) -> ExportConfig:
    """The config of an export, with what lies beside its model.

    Args:
        model: A config, or the model of one.
        options: Of a model: the options by their names on the command line, ``_`` for ``-``.

    Raises:
        OptionError: An option is unknown or out of range, or one is given beside a config.
        SourceError: No preset of that name, or the preprocessing cannot be read.
        DatasetError: The labels cannot be read.
    """
    if not isinstance(model, ExportConfig):
        model = _config(model, options)
    elif options:
        raise OptionError(
            f"expected the options in the config, got {', '.join(options)} beside it. Give the "
            "model and every option, or the config alone."
        )
    wanted, labels = said_beside(model.model, model.preprocessing), model.labels
    if labels is None and (path := file_beside(model.model, "labels.json")) is not None:
        _logger.warning("using %s", path)
        found = read_labels(path)
        labels = dict(found) if isinstance(found, Mapping) else tuple(found)
    return model.model_copy(update={"preprocessing": wanted, "labels": labels})


def _config(model: str | Path | TorchModule, options: Mapping[str, Any]) -> ExportConfig:
    for name in options:
        if name not in (*_OPTIONS, *_FIELDS.values()):
            near = get_close_matches(name, _OPTIONS, n=3)
            hint = (
                f"Did you mean {' or '.join(near)}?"
                if near
                else f"There are {', '.join(_OPTIONS)}."
            )
            raise OptionError(f"expected an option of export, got {name!r}. {hint}")
    given = {_FIELDS.get(name, name): value for name, value in options.items()}
    wanted = chosen(given.pop("preset", None), given.pop("preprocess", None))
    if isinstance(given.get("labels"), str | Path):
        given["labels"] = read_labels(Path(given["labels"]))
    try:
        return ExportConfig(model=model, preprocessing=wanted, **given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        got = "" if first["type"] == "missing" else f", got {first['input']!r}"
        raise OptionError(f"`{name}`: {first['msg']}{got}.") from error
