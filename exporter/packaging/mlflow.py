"""A model of MLflow's pyfunc flavor: the artifact, serving/pyfunc.py before it, and a signature.

Nothing is pickled and nothing of the model runs while it is saved: MLflow notes the module that
loads it, and the code of ``serving/`` travels beside it. Where MLflow would write a time or an
identity drawn by chance, the artifact's hash and the epoch stand: same artifact and packages, same
bytes.
"""

from __future__ import annotations

import os

# It reports what is used, and copies a uv.lock of the folder that one happens to be in.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ["MLFLOW_UV_AUTO_DETECT"] = "false"

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow.pyfunc
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Object, Property

import serving
from exporter.writing.folder import copy_artifact
from serving.artifact import MANIFEST, Artifact, Manifest, sha256_of

_LOADER = "serving.pyfunc"
_ROOT = Path(serving.__file__).parent
_TERMS = ("bias", "common", "unplaced", "rounding", "placed")
_EPOCH = "1970-01-01 00:00:00.000000"
# What serving/pyfunc.py runs on; of two names of one package the one that is installed.
_PACKAGES = (
    ("mlflow", "mlflow-skinny"),
    ("numpy",),
    ("onnxruntime", "onnxruntime-gpu"),
    ("orjson",),
    ("pandas",),
    ("pillow",),
    ("pydantic",),
    ("safetensors",),
    ("starlette",),
    ("typing-extensions",),
)


def write(artifact: Artifact, folder: Path, _name: str) -> None:
    """Save the model; MLflow names one where it is logged or registered.

    Args:
        artifact: What is packaged.
        folder: An empty folder.
    """
    sha256 = sha256_of(artifact.path(MANIFEST))
    model = Model(model_uuid=sha256[:32], utc_time_created=_EPOCH)
    with _parts(artifact) as parts:
        mlflow.pyfunc.save_model(folder, mlflow_model=model, **parts)


def log_model(artifact: Artifact, name: str) -> Any:
    """Log the model in MLflow's active run, or a new one.

    Args:
        artifact: What is logged.
        name: Of the model there.

    Returns:
        MLflow's ``ModelInfo``; its ``model_uri`` is what ``mlflow.pyfunc.load_model`` takes.
    """
    with _parts(artifact) as parts:
        return mlflow.pyfunc.log_model(name=name, **parts)


@contextmanager
def _parts(artifact: Artifact) -> Iterator[dict[str, Any]]:
    """What is saved and logged alike: copies, since MLflow takes all that lies in a folder."""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        # It would like an example of an input, to write it down with the model.
        warnings.filterwarnings("ignore", ".*input example", UserWarning)
        data, code = Path(folder) / "artifact", Path(folder) / _ROOT.name
        copy_artifact(artifact, data)
        for path in sorted(_ROOT.rglob("*.py")):
            target = code / path.relative_to(_ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        yield {
            "loader_module": _LOADER,
            "data_path": str(data),
            "code_paths": [str(code)],
            "signature": signature(artifact.manifest),
            "pip_requirements": requirements(),
            "metadata": {"protohead_manifest_sha256": sha256_of(artifact.path(MANIFEST))},
        }


def signature(manifest: Manifest) -> ModelSignature:
    """What ``predict`` takes and gives; an explanation has the optional properties too."""
    terms = [Property(name, DataType.double, required=False) for name in _TERMS]
    prototype = Object(
        [
            Property("index", DataType.long),
            Property("name", DataType.string),
            Property("contribution", DataType.double),
            Property("share", DataType.double),
        ]
    )
    found = Object(
        [
            Property("id", DataType.long),
            Property("label", DataType.string),
            Property("logit", DataType.double),
            Property("probability", DataType.double),
            *terms,
            Property("prototypes", Array(prototype), required=False),
        ]
    )
    top = min(manifest.top, len(manifest.classes))
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, "image")]),
        outputs=Schema([ColSpec(Array(found), "classes")]),
        params=ParamSchema(
            [
                ParamSpec("explain", DataType.boolean, default=False),
                ParamSpec("top", DataType.long, default=top),
                ParamSpec("classes", DataType.string, default=[], shape=(-1,)),
                ParamSpec("heatmaps", DataType.string, default="none"),
            ]
        ),
    )


def requirements() -> list[str]:
    """What the saved model needs, each of the version that is installed here."""
    return [_pinned(names) for names in _PACKAGES]


def _pinned(names: tuple[str, ...]) -> str:
    for name in names:
        try:
            return f"{name}=={metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
    return names[0]
