"""Run an artifact: image in, prediction with its explanation out. No HTTP, no torch.

Symbols: b images, c classes, t explained classes, k prototypes, h×w grid.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.artifact import (
    MODEL,
    STEERABLE,
    Artifact,
    load_artifact,
)
from serving.artifact.trust import read_doubts
from serving.errors import InferenceError, RequestError
from serving.model.class_key import ClassKey, ClassNames, require_prototype
from serving.model.explanation import (
    ClassExplanation,
    Evidence,
    Explanation,
    PrototypeExplanation,
    Score,
)
from serving.model.outputs import (
    ROUNDING,
    UNPLACED,
    Outputs,
    activate,
    added_names,
    read_bias,
    require_outputs,
)
from serving.model.padding import run_in_batches
from serving.model.pixels import ImageLike, to_picture
from serving.model.preprocess import make_view, to_tensor
from serving.model.runtime import Provider, Session, make_session, output_names, run


class Predictor:
    """An artifact, ready to answer.

    Args:
        artifact: The artifact's folder, or one already loaded.
        provider: ``cpu``, ``cuda``, or ``auto``: CUDA where it works.
        threads: Threads inside an operator; 0 takes all cores.

    Attributes:
        artifact: The artifact.
        manifest: Its manifest.
        names: What its classes are named by.
        bias: (c,) float32, the head's bias, logit units.
        doubts: What there is to doubt about each part, by class and number.

    Raises:
        ManifestError: The manifest is missing, malformed or of another version.
        IntegrityError: A file is missing or changed.
        RuntimeSetupError: onnxruntime cannot run the model as asked.

    Example:
        >>> predictor = Predictor("models/toybirds/artifact")  # doctest: +SKIP
        >>> best = predictor.explain("bird.jpg").classes[0]  # doctest: +SKIP
        >>> best.label, [p.contribution for p in best.prototypes]  # doctest: +SKIP
    """

    def __init__(
        self,
        artifact: Artifact | Path | str,
        *,
        provider: Provider = "cpu",
        threads: int = 0,
    ) -> None:
        loaded = artifact if isinstance(artifact, Artifact) else load_artifact(Path(artifact))
        self.artifact = loaded
        self.manifest = loaded.manifest
        self.names = ClassNames(loaded.manifest.labels)
        self._open = partial(make_session, provider=provider, threads=threads)
        self._session = self._open(loaded.path(MODEL))
        require_outputs(self._session, loaded.manifest)
        self.bias = read_bias(loaded)
        self.doubts = read_doubts(loaded)

    @cached_property
    def _steerable(self) -> Session:
        # Opened on first use: most callers never mute, and it holds a second copy of the weights.
        return self._open(self.artifact.path(STEERABLE))

    @property
    def input_elements(self) -> int:
        """Numbers in the input tensor of one image."""
        return math.prod(size or 1 for size in self.manifest.input.shape[1:])

    @property
    def session(self) -> Session:
        """The session of ``model.onnx``, for callers that bring tensors of their own."""
        return self._session

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers that run, the preferred one first."""
        return tuple(self._session.get_providers())

    def preprocess(self, image: ImageLike) -> tuple[Image.Image, NDArray[np.float32]]:
        """What the network sees of an image, and its input tensor.

        Args:
            image: An image, a path, the bytes of an image file, or pixels, see ``to_picture``.

        Returns:
            The view, RGB, and the tensor without batch axis, float32.

        Raises:
            ImageError: Not an image, damaged, or too large.
        """
        preprocessing = self.manifest.input.preprocessing
        view = make_view(to_picture(image, preprocessing), preprocessing).image
        return view, to_tensor(view, preprocessing)

    def run(
        self,
        batch: NDArray[np.float32],
        *,
        mask: NDArray[np.float32] | None = None,
        classes: NDArray[np.int64] | None = None,
    ) -> Outputs:
        """Run a preprocessed batch.

        Args:
            batch: (b, channels, h, w) float32, or (b, h, w, channels) as the input's layout says;
                of any size, also where the source model fixes one.
            mask: (c, k) float32, 0 mutes a prototype, 1 leaves it alone; see :meth:`mask`.
            classes: (b, t) int64, the classes to explain; -1 is the next best.

        Returns:
            Every output of the graph. Without mask and classes the source's own outputs are
            bit-identical to the source model's.

        Raises:
            InferenceError: The batch does not fit the graph.
        """
        feeds: dict[str, NDArray[Any]] = {self.manifest.input.name: batch}
        session, constants, prefix = self._session, {}, self.manifest.prefix
        if mask is not None or classes is not None:
            session = self._steerable
            constants[prefix + "prototype_mask"] = self.mask(()) if mask is None else mask
            feeds[prefix + "classes"] = (
                np.full((len(batch), self._top), -1, dtype=np.int64) if classes is None else classes
            )
        values = self._run(session, output_names(session), feeds, constants)
        added = added_names(self.manifest)
        missing = {*added, self.manifest.head.logits} - values.keys()
        if missing:
            raise InferenceError(f"expected the outputs {sorted(missing)}, the graph lacks them.")
        found = {field: values[name] for name, field in added.items()}
        for name in (UNPLACED, ROUNDING):
            found.setdefault(name, np.zeros(found["class_ids"].shape, dtype=np.float32))
        return Outputs(
            source={name: value for name, value in values.items() if name not in added},
            logits=self._flat(values[self.manifest.head.logits]),
            **found,
        )

    def predict(self, images: Iterable[ImageLike]) -> NDArray[np.float32]:
        """The logits of images.

        Args:
            images: Each as in :meth:`preprocess`.

        Returns:
            (b, c) float32, bit-identical to the source model's for the same batch.

        Raises:
            ImageError: One of them is not an image, damaged, or too large.
        """
        tensors = [self.preprocess(image)[1] for image in images]
        if not tensors:
            return np.empty((0, len(self.manifest.classes)), dtype=np.float32)
        return self.logits(np.stack(tensors))

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits of a preprocessed batch, without its explanation: (b, c) float32.

        Args:
            batch: As in :meth:`run`.

        Raises:
            InferenceError: The batch does not fit the graph.
        """
        name = self.manifest.head.logits
        found = self._run(self._session, [name], {self.manifest.input.name: batch}, {})[name]
        return self._flat(np.asarray(found))

    def _flat(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits as (b, c), where the source gives them other axes: the same bits."""
        return logits.reshape(-1, len(self.manifest.classes))

    def _run(
        self,
        session: Session,
        names: Sequence[str],
        feeds: Mapping[str, NDArray[Any]],
        constants: Mapping[str, NDArray[Any]],
    ) -> dict[str, NDArray[Any]]:
        """Run a graph on images, and what else it is given for each and for all of them."""

        def run_piece(piece: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            return run(session, names, {**piece, **constants})

        return run_in_batches(run_piece, feeds, self.manifest.input.shape[0])

    def mask(self, muted: Iterable[tuple[int, int]]) -> NDArray[np.float32]:
        """What the graph is given to switch prototypes off, (c, k) float32: 0 off, 1 on.

        Args:
            muted: Pairs of class id and prototype number, as :meth:`prototype_key` gives them.
        """
        found = np.ones((len(self.manifest.classes), self.manifest.prototypes), dtype=np.float32)
        for index, number in muted:
            found[index, number] = 0.0
        return found

    def explain(
        self,
        image: ImageLike,
        *,
        classes: ClassKey | Sequence[ClassKey] | None = None,
        mute: Iterable[tuple[ClassKey, int]] = (),
    ) -> Explanation:
        """Explain one image: which parts were looked for, where, and how much each counted.

        The decomposition is that of "Post-hoc Part-prototype Networks" (ICML 2024), equations 7
        and 8: the prototypes of a class sum to its head row, so the contributions sum to its
        logit.

        Args:
            image: As in :meth:`preprocess`.
            classes: Ids or labels of the classes to explain, or one of them; by default the best
                ones, as many as the artifact was exported with.
            mute: Pairs of class and prototype number to switch off; the logits answer as if
                they were not there.

        Returns:
            The explanation.

        Raises:
            ImageError: Not an image, damaged, or too large.
            RequestError: An unknown class or prototype.
        """
        view, tensor = self.preprocess(image)
        muted = [self.prototype_key(key, number) for key, number in mute]
        ids = None
        if classes is not None:
            keys = [classes] if isinstance(classes, str | int | np.integer) else list(classes)
            if not keys:
                raise RequestError("expected at least one class to explain, got none.")
            ids = np.array([[self.class_id(key) for key in keys]], dtype=np.int64)
        outputs = self.run(tensor[None], mask=self.mask(muted) if muted else None, classes=ids)
        probabilities = activate(outputs.logits[0], self.manifest.activation)
        return Explanation(
            view=view,
            classes=self._explained(outputs, probabilities),
            best=tuple(
                Score(index, self.manifest.classes[index].label, float(probabilities[index]))
                for index in np.argsort(-outputs.logits[0], kind="stable")[:2].tolist()
            ),
            activation=self.manifest.activation,
        )

    @property
    def _top(self) -> int:
        return min(self.manifest.top, len(self.manifest.classes))

    def class_id(self, key: ClassKey) -> int:
        """The position of a class in the logits.

        Args:
            key: Its id or its label.

        Raises:
            RequestError: The artifact has no such class.
        """
        return self.names.id_of(key)

    def prototype_key(self, key: ClassKey, number: int) -> tuple[int, int]:
        """A prototype by class id and number.

        Args:
            key: Id or label of its class.
            number: Its number there, from 0.

        Raises:
            RequestError: The artifact has no such class, or the class no such prototype.
        """
        record = self.manifest.classes[self.class_id(key)]
        require_prototype(record, number)
        return record.index, number

    def _explained(
        self, outputs: Outputs, probabilities: NDArray[np.float64]
    ) -> tuple[ClassExplanation, ...]:
        explained = []
        for slot, index in enumerate(outputs.class_ids[0].tolist()):
            record = self.manifest.classes[index]
            prototypes = tuple(
                PrototypeExplanation(
                    index=number,
                    name=prototype.name,
                    contribution=float(outputs.contributions[0, slot, number]),
                    heatmap=outputs.heatmaps[0, slot, number],
                    evidence=tuple(
                        Evidence(self.artifact.path(crop.file), crop.image, crop.value)
                        for crop in prototype.evidence
                    ),
                    doubts=self.doubts[index][number],
                )
                for number, prototype in enumerate(record.prototypes)
            )
            explained.append(
                ClassExplanation(
                    class_id=index,
                    label=record.label,
                    logit=float(outputs.logits[0, index]),
                    probability=float(probabilities[index]),
                    bias=float(self.bias[index]),
                    common=float(outputs.common[0, 0]),
                    unplaced=float(outputs.unplaced[0, slot]),
                    rounding=float(outputs.rounding[0, slot]),
                    whole=record.state == "whole",
                    prototypes=prototypes,
                )
            )
        return tuple(explained)
