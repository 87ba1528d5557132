"""The model that is served, and its replacement while requests run.

The served path is a folder or a link to one. When it comes to hold another artifact, the new one
is loaded and tested beside the old one, and takes its place by one assignment: a request keeps the
model it began with. One that fails is refused, and the old one goes on.
"""

from __future__ import annotations

import io
import logging
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from PIL import Image

from serving.artifact import (
    GOLDEN,
    MANIFEST,
    Artifact,
    EvidenceRecord,
    Preprocessing,
    load_artifact,
    sha256_of,
)
from serving.artifact.layout import channel_axis
from serving.errors import ArtifactError, IntegrityError
from serving.model.golden import GOLDEN_TOLERANCE, Golden, golden_error, read_golden
from serving.model.predictor import Predictor
from serving.model.runtime import CUDA, Provider, cuda_offered
from serving.process.settings import Settings

_log = logging.getLogger("protohead.live")
Fingerprint = tuple[object, ...]


@dataclass(frozen=True)
class Served:
    """An artifact that answers, with what every answer needs of it made once.

    Attributes:
        predictor: Runs it.
        sha256: Hash of the manifest, which names every other file by hash.
        samples: Golden inputs as JPEG, as the network sees them.
        asked: The provider that was asked for.
    """

    predictor: Predictor
    sha256: str
    samples: tuple[bytes, ...]
    asked: Provider = "cpu"

    @classmethod
    def load(cls, folder: Path, settings: Settings) -> Served:
        """Load an artifact, check its hashes, and let it answer its golden batch.

        Raises:
            ArtifactError: It cannot be served; the message says why.
        """
        artifact = load_artifact(folder)
        predictor = Predictor(artifact, provider=settings.provider, threads=settings.thread_count)
        golden = read_golden(artifact)
        samples = _as_jpeg(artifact, golden.inputs)
        sha256 = sha256_of(artifact.path(MANIFEST))
        served = cls(predictor, sha256, samples, settings.provider)
        served.test(golden)
        if served.doubt:
            _log.warning("%s", served.doubt)
        return served

    def test(self, golden: Golden) -> None:
        """Compare with what the exporter saw; this also opens both sessions before requests.

        The recorded classes are asked for by name: where two logits are all but equal, another
        machine may find another order of the best.

        Raises:
            IntegrityError: An output is not that of the golden batch.
        """
        manifest = self.predictor.manifest
        best = self.predictor.run(golden.inputs)
        logits, prefix = manifest.head.logits, manifest.prefix
        named = self.predictor.run(golden.inputs, classes=golden.outputs[prefix + "class_ids"])
        found = {**named.by_name(manifest), **best.source, "steerable": named.logits}
        same = golden.outputs[logits].reshape(named.logits.shape)
        recorded = {**golden.outputs, "steerable": same}
        known = {name: value for name, value in recorded.items() if name in found}
        error = golden_error(found, known, logits={logits, "steerable"}, prefix=prefix)
        if not error <= GOLDEN_TOLERANCE:
            raise IntegrityError(
                f"{self.predictor.artifact.folder}: expected the outputs of {GOLDEN} within "
                f"{GOLDEN_TOLERANCE:g} of the largest value, the model answers otherwise "
                f"({error:.2g}). Export again."
            )

    @cached_property
    def doubt(self) -> str | None:
        """What whoever runs the server should know of where it runs; None where all is as asked."""
        if self.asked == "auto" and cuda_offered() and CUDA not in self.running:
            return (
                "CUDA is offered but does not run here, so the CPU does: check the driver and the "
                "CUDA libraries, or set the provider cpu"
            )
        return None

    @property
    def running(self) -> tuple[str, ...]:
        """The execution providers that run, as onnxruntime names them, the preferred one first."""
        return self.predictor.providers

    @cached_property
    def name(self) -> str:
        """The model's name: the source's file name without its ending."""
        return Path(self.predictor.manifest.source.file).stem

    @cached_property
    def heading(self) -> orjson.Fragment:
        """Which model answers, as JSON."""
        source = self.predictor.manifest.source
        return _fragment({"name": self.name, "sha256": source.sha256, "artifact": self.sha256})

    def link(self, crop: EvidenceRecord, prefix: str) -> dict[str, Any]:
        """A crop as answers link it, with the whole image around it where there is one."""
        context = crop.context
        return {
            "url": self._url(crop.file, prefix),
            "image": crop.image,
            "value": crop.value,
            "context": context and {"url": self._url(context.file, prefix), "box": context.box},
        }

    def _url(self, file: str, prefix: str) -> str:
        """Where a file is served; the hash lets it be cached for ever."""
        return f"{prefix}/v1/{file}?v={self.predictor.manifest.files[file][:12]}"

    def evidence(self, index: int, prefix: str) -> tuple[orjson.Fragment, ...]:
        """The evidence links of each prototype of a class, as JSON.

        Args:
            index: Id of the class.
            prefix: Of a proxy, before every path.
        """
        # Those of a prefix are not kept: it may be the client's own word.
        return self._links(index, prefix) if prefix else self._evidence[index]

    @cached_property
    def _evidence(self) -> tuple[tuple[orjson.Fragment, ...], ...]:
        classes = range(len(self.predictor.manifest.classes))
        return tuple(self._links(index, "") for index in classes)

    def _links(self, index: int, prefix: str) -> tuple[orjson.Fragment, ...]:
        return tuple(
            _fragment([self.link(crop, prefix) for crop in prototype.evidence])
            for prototype in self.predictor.manifest.classes[index].prototypes
        )


class Live:
    """The served model, now.

    Args:
        settings: Names the path, and how often it is looked at.

    Raises:
        ArtifactError: The first artifact cannot be served.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen = _fingerprint(settings.artifact)
        self.current = Served.load(settings.artifact, settings)

    def check(self) -> bool:
        """Look at the path; take what it holds when that is new and good.

        Returns:
            Whether the model was replaced.
        """
        found = _fingerprint(self._settings.artifact)
        if found == self._seen:
            return False
        self._seen = found  # a bad artifact is refused once, until it changes again
        try:
            served = Served.load(self._settings.artifact, self._settings)
        except ArtifactError as error:
            _log.error("refused, the old model goes on: %s", error)
            return False
        except Exception:
            _log.exception("refused, the old model goes on")
            return False
        self.current = served
        _log.warning("now serving %s, artifact %s", served.name, served.sha256[:12])
        return True

    def watch(self, stop: threading.Event) -> None:
        """Check again and again until told to stop; runs in a thread of its own."""
        while not stop.wait(self._settings.reload):
            self.check()


def _fingerprint(folder: Path) -> Fingerprint:
    """What changes when the folder is replaced, relinked, or written to."""
    try:
        root = folder.resolve(strict=True)
        files = sorted((path.name, path.stat()) for path in root.iterdir())
    except (OSError, RuntimeError):  # gone for a moment, or a loop of links
        return ()
    return (root, *((name, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in files))


def _fragment(value: object) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(value))


def _as_jpeg(artifact: Artifact, inputs: NDArray[np.float32]) -> tuple[bytes, ...]:
    preprocessing = artifact.manifest.input.preprocessing
    return tuple(_to_jpeg(tensor, preprocessing) for tensor in inputs)


def _to_jpeg(tensor: NDArray[np.float32], preprocessing: Preprocessing) -> bytes:
    """Undo :func:`serving.model.preprocess.to_tensor`, to 8 bits and JPEG."""
    pixels = np.moveaxis(tensor, channel_axis(preprocessing.layout) - 1, -1)
    std, mean = np.asarray(preprocessing.std), np.asarray(preprocessing.mean)
    values = (pixels * std + mean) / preprocessing.scale
    shades = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    if preprocessing.channels == "BGR":
        shades = shades[..., ::-1]
    picture = Image.fromarray(shades[..., 0] if preprocessing.channels == "L" else shades)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=95, subsampling=0)
    return content.getvalue()
