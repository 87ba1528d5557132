"""A classifier of transformers from a local folder; the network is never asked."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from exporter.errors import MissingExtraError, SourceError
from exporter.source.torch_weights.kinds import kind_of
from exporter.text import whole_cause

_PROCESSOR = "preprocessor_config.json"
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_SHOWN = 3


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a folder that a model was saved or downloaded to.

    Raises:
        SourceError: It is no such folder.
    """
    where = f"hf:{folder}"
    if not folder.is_dir():
        raise SourceError(
            f"{where}: expected a local folder with config.json and weights, found "
            f"{'a file' if folder.is_file() else 'none'}. Nothing is downloaded here: write one "
            "with huggingface_hub.snapshot_download(NAME, local_dir=FOLDER), or with "
            "model.save_pretrained(FOLDER)."
        )
    content = _json(folder / "config.json", where)
    if not isinstance(content, dict):
        raise SourceError(f"{where}: expected a JSON object in config.json.")
    return content


def weights_in(folder: Path) -> Path:
    """The file of weights in such a folder, or the index of its shards.

    Raises:
        SourceError: There is none, or it is none that can be read.
    """
    for name in _WEIGHTS:
        for path in (folder / name, folder / f"{name}.index.json"):
            if path.is_file():
                return path
    found = ", ".join(sorted(p.name for p in folder.iterdir())[:6]) or "nothing"
    raise SourceError(
        f"hf:{folder}: expected weights ({' or '.join(_WEIGHTS)}, or shards with their index), "
        f"found {found}."
    )


def build_transformers(folder: Path) -> nn.Module:
    """Build a classifier with its weights.

    Raises:
        SourceError: It is no image classifier, its weights are not whole, or it needs code of its
            own, which is not run.
        MissingExtraError: transformers is not installed.
    """
    where = f"hf:{folder}"
    kind_of(weights_in(folder))  # its own words for a pointer or an archive
    with _offline():
        transformers = _import_transformers(where)
        bars = transformers.utils.logging
        shown = bars.is_progress_bar_enabled()
        bars.disable_progress_bar()
        try:
            network, told = transformers.AutoModelForImageClassification.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                dtype=torch.float32,
            )
        except Exception as error:  # it has no error of its own
            raise SourceError(
                f"{where}: transformers cannot load it as an image classifier: {whole_cause(error)}"
            ) from error
        finally:
            if shown:
                bars.enable_progress_bar()
    lost = [*sorted(map(str, told["missing_keys"])), *sorted(map(str, told["mismatched_keys"]))]
    if lost:
        raise SourceError(
            f"{where}: {len(lost)} weights are not in its files and would be random, first "
            f"{', '.join(lost[:_SHOWN])}. It is a backbone without a trained classifier, or of "
            "another model."
        )
    return network  # type: ignore[no-any-return]


def read_processor(folder: Path) -> dict[str, Any] | None:
    """The preprocessing of such a folder, with the defaults of its class; None without the file."""
    path = folder / _PROCESSOR
    if not path.is_file():
        return None
    content = _json(path, f"hf:{folder}")
    if not isinstance(content, dict):
        raise SourceError(f"{path}: expected a JSON object.")
    with _offline():
        transformers = _import_transformers(f"hf:{folder}")
        try:
            loaded = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        except Exception:  # an old name, or a backend that is missing: what the file says stays
            return content
    return {**content, **loaded.to_dict()}


def labels_of(network: nn.Module) -> object:
    """``id2label`` of a model's configuration, whatever it is."""
    return getattr(getattr(network, "config", None), "id2label", None)


def _json(path: Path, where: str) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(f"{where}: cannot read {path.name}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where}: {path.name} is no JSON: {error}.") from error


def _import_transformers(where: str) -> Any:
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise MissingExtraError(
            f"{where}: needs {error.name or 'transformers'}, which is not installed. Run: pip "
            "install transformers"
        ) from error


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Tell transformers that there is no network, and to keep its own advice to itself."""
    wanted: Mapping[str, str] = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
