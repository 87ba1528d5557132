"""A model of BentoML's store, as one file that ``bentoml models import`` reads.

The artifact lies in its folder ``artifact``; labels and metadata say which it is. The version is
the beginning of the manifest's hash: the same artifact has the same tag. BentoML writes the time
into it.
"""

from __future__ import annotations

import os

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # read when bentoml is imported

from pathlib import Path
from tempfile import TemporaryDirectory

import bentoml
from bentoml._internal.models import ModelStore

from exporter.writing.folder import copy_artifact
from serving.artifact import MANIFEST, Artifact, sha256_of


def write(artifact: Artifact, folder: Path, name: str) -> None:
    """Write ``NAME-VERSION.bentomodel``.

    Args:
        artifact: What is packaged.
        folder: An empty folder.
        name: Of the model.
    """
    manifest = artifact.manifest
    sha256 = sha256_of(artifact.path(MANIFEST))
    tag = f"{name}:{sha256[:16]}"
    # A store of its own: the user's is changed by nothing but `bentoml models import`.
    with TemporaryDirectory() as place:
        store = ModelStore(place)
        with bentoml.models.create(
            tag,
            labels={"made-by": "protohead", "activation": manifest.activation},
            metadata={
                "classes": list(manifest.labels),
                "format": manifest.format,
                "manifest_sha256": sha256,
                "prototypes": manifest.prototypes,
                "source": manifest.source.file,
            },
            _model_store=store,
        ) as model:
            copy_artifact(artifact, Path(model.path_of("artifact")))
        store.get(tag).export(str(folder / f"{name}-{sha256[:16]}.bentomodel"))
