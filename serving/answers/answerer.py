"""Images and options to the JSON of an answer, straight from the arrays.

serving/answers/schema.py documents the shapes; nothing here is validated again, because the numbers
are our own. Logits and what sums to them are written as float64, which holds each float32 exactly;
heatmaps as the shortest text that reads back as the same float32.

Symbols: c classes, t explained classes, k prototypes, h×w grid.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from serving.answers.plan import Draw, Plan, drawer, drawn_size, muted_pairs
from serving.answers.problems import ProblemError, too_long
from serving.answers.record import record
from serving.answers.schema import (
    ContrastOptions,
    ExplainOptions,
    HeatmapOptions,
    PredictOptions,
)
from serving.errors import RequestError
from serving.model.explanation import completeness_residual, placed_share
from serving.model.outputs import Outputs, activate
from serving.model.preprocess import SERVED, decode, preprocess
from serving.process.live import Served

Observe = Callable[[str, float | None], None]
"""Told the label of the best class of each image, and the residual of an explanation."""
Picture = bytes | NDArray[np.float32]
"""The bytes of an image file, or an input tensor without batch axis."""

_REST = ("bias", "common", "unplaced", "rounding")
"""What a logit is the sum of beside contributions."""


@dataclass(frozen=True)
class Answerer:
    """Answers for one served model.

    Attributes:
        served: The model.
        max_pixels: Width times height of an image, checked before it is decoded.
        max_classes: Classes that a request may name.
        max_drawn: Pixels of all heatmaps that a request may have drawn.
        deadline: When nobody waits any more, by ``time.monotonic``.
        observe: Told of each image's answer, for the metrics.
        prefix: Of a proxy, before the path of every link.
        records: Where the audit record of each image is added; None where none is kept.
    """

    served: Served
    max_pixels: int
    max_classes: int
    max_drawn: int
    deadline: float
    observe: Observe
    prefix: str = ""
    records: list[dict[str, Any]] | None = None

    def predict(self, images: Sequence[bytes], options: PredictOptions) -> bytes:
        """The answer of ``/v1/predict``."""
        return dump({"results": self.predictions(images, options)})

    def explain(self, images: Sequence[bytes], options: ExplainOptions) -> bytes:
        """The answer of ``/v1/explain``."""
        return dump({**self._heading(), "results": self.explanations(images, options)})

    def predictions(
        self, pictures: Sequence[Picture], options: PredictOptions
    ) -> list[dict[str, Any]]:
        """The results of ``/v1/predict``, ready for :func:`dump`."""
        return [self._prediction(picture, options) for picture in pictures]

    def explanations(
        self, pictures: Sequence[Picture], options: ExplainOptions
    ) -> list[dict[str, Any]]:
        """The results of ``/v1/explain``, ready for :func:`dump`."""
        plan = Plan.make(self.served, options, self.max_classes)
        self._require_drawable(options, len(pictures) * plan.classes)
        return [self._explanation(picture, options, plan) for picture in pictures]

    def contrast(self, image: bytes, options: ContrastOptions) -> bytes:
        """The answer of ``/v1/contrast``."""
        predictor = self.served.predictor
        ids = [predictor.class_id(options.a), predictor.class_id(options.b)]
        if ids[0] == ids[1]:
            raise RequestError("expected two classes a and b that differ, got the same one twice.")
        self._require_drawable(options, 2)
        muted = muted_pairs(self.served, options.mute)
        batch = self._prepare(image)
        outputs = self._run(batch, muted, np.array([ids], dtype=np.int64))
        draw = drawer(options, **self._view)
        a, b = self._explained(outputs, 2, draw, muted)
        difference = a["logit"] - b["logit"]
        terms = _terms(a, b)
        residual = abs(sum(term["value"] for term in terms) - difference)
        self._observe(outputs.logits[0], residual)
        self._record("contrast", image, (a, b), muted)
        answer = {
            "view": self._view,
            "a": a,
            "b": b,
            "logit_difference": difference,
            "terms": terms,
            "residual": residual,
            "before": self._before(batch, outputs, 2) if muted else None,
        }
        return dump({**self._heading(), **answer})

    def _heading(self) -> dict[str, Any]:
        grid = self.served.predictor.manifest.head.grid
        return {"model": self.served.heading, "heatmap_grid": grid}

    def _require_drawable(self, options: HeatmapOptions, classes: int) -> None:
        """Refuse to draw more than allowed, before anything is computed."""
        if options.heatmaps != "png":
            return
        width, height = drawn_size(options, **self._view)
        pixels = classes * self.served.predictor.manifest.prototypes * width * height
        if pixels > self.max_drawn:
            raise ProblemError(
                "too-large",
                f"expected heatmaps of at most {self.max_drawn} pixels in all, asked for {pixels}. "
                "Ask for fewer images or classes, a smaller upsample, or values.",
            )

    def _prepare(self, picture: Picture) -> NDArray[np.float32]:
        """The batch of one that the network is given; no more of them after the deadline."""
        if time.monotonic() > self.deadline:
            raise too_long()
        declared = self.served.predictor.manifest.input
        if isinstance(picture, bytes):
            upright = decode(
                picture,
                max_pixels=self.max_pixels,
                formats=SERVED,
                preprocessing=declared.preprocessing,
            )
            picture = preprocess(upright, declared.preprocessing)
        # Images run one by one: a batch is no faster on a CPU, and an answer must not depend on
        # what else is in the request.
        return picture[None]

    @property
    def _view(self) -> dict[str, int]:
        height, width = self.served.predictor.manifest.input.preprocessing.size
        return {"width": width, "height": height}

    def _logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return _finite(self.served.predictor.logits(batch)[0])

    def _run(
        self,
        batch: NDArray[np.float32],
        muted: frozenset[tuple[int, int]],
        ids: NDArray[np.int64] | None,
    ) -> Outputs:
        predictor = self.served.predictor
        mask = predictor.mask(muted) if muted else None
        outputs = predictor.run(batch, mask=mask, classes=ids)
        _finite(outputs.logits[0])
        return outputs

    def _observe(self, logits: NDArray[np.float32], residual: float | None) -> None:
        best = self.served.predictor.manifest.classes[int(logits.argmax())]
        self.observe(best.label, residual)

    def _record(
        self,
        verb: str,
        picture: Picture,
        classes: Sequence[dict[str, Any]],
        muted: frozenset[tuple[int, int]] = frozenset(),
    ) -> None:
        if self.records is not None:
            self.records.append(record(verb, self.served.sha256, picture, classes, muted))

    def _prediction(self, picture: Picture, options: PredictOptions) -> dict[str, Any]:
        logits = self._logits(self._prepare(picture))
        self._observe(logits, None)
        answer: dict[str, Any] = {"classes": self._scores(logits, _best(logits, options.top))}
        self._record("predict", picture, answer["classes"])
        if options.logits:
            answer["logits"] = logits.tolist()
        return answer

    def _scores(self, logits: NDArray[np.float32], ids: Sequence[int]) -> list[dict[str, Any]]:
        manifest = self.served.predictor.manifest
        probabilities = activate(logits, manifest.activation)
        return [
            {
                "id": index,
                "label": manifest.classes[index].label,
                "logit": logits.item(index),
                "probability": probabilities.item(index),
            }
            for index in ids
        ]

    def _explanation(self, picture: Picture, options: ExplainOptions, plan: Plan) -> dict[str, Any]:
        batch = self._prepare(picture)
        outputs = self._run(batch, plan.muted, plan.ids)
        draw = drawer(options, **self._view)
        classes = self._explained(outputs, plan.classes, draw, plan.muted)
        residual = max(_residual(explained) for explained in classes)
        self._observe(outputs.logits[0], residual)
        self._record("explain", picture, classes, plan.muted)
        return {
            "view": self._view,
            "classes": classes,
            "residual": residual,
            "before": self._before(batch, outputs, plan.classes) if plan.muted else None,
        }

    def _before(
        self, batch: NDArray[np.float32], outputs: Outputs, count: int
    ) -> list[dict[str, Any]]:
        """The explained classes, and as many of the best, as they were before muting."""
        logits = self._logits(batch)
        ids = {*outputs.class_ids[0, :count].tolist(), *_best(logits, count)}
        return self._scores(logits, sorted(ids, key=lambda index: (-logits[index], index)))

    def _explained(
        self,
        outputs: Outputs,
        count: int,
        draw: Draw,
        muted: frozenset[tuple[int, int]],
    ) -> list[dict[str, Any]]:
        """The first classes that the graph explains, as many as asked for."""
        scores = self._scores(outputs.logits[0], outputs.class_ids[0, :count].tolist())
        unplaced: list[float] = outputs.unplaced[0].tolist()
        rounding: list[float] = outputs.rounding[0].tolist()
        return [
            {
                **score,
                "bias": self.served.predictor.bias.item(score["id"]),
                "common": outputs.common.item(0, 0),
                "unplaced": unplaced[slot],
                "rounding": rounding[slot],
                "placed": placed_share(outputs.contributions[0, slot].tolist(), unplaced[slot]),
                "whole": self.served.predictor.manifest.classes[score["id"]].state == "whole",
                "prototypes": self._prototypes(score["id"], outputs, slot, draw, muted),
            }
            for slot, score in enumerate(scores)
        ]

    def _prototypes(
        self,
        index: int,
        outputs: Outputs,
        slot: int,
        draw: Draw,
        muted: frozenset[tuple[int, int]],
    ) -> list[dict[str, Any]]:
        evidence = self.served.evidence(index, self.prefix)
        doubts = self.served.predictor.doubts[index]
        contributions: list[float] = outputs.contributions[0, slot].tolist()
        positive = sum(value for value in contributions if value > 0.0)
        heatmaps = outputs.heatmaps[0, slot]
        return [
            {
                "index": number,
                "name": prototype.name,
                "contribution": contributions[number],
                "share": contributions[number] / positive if positive else 0.0,
                "muted": (index, number) in muted,
                "heatmap": draw(number, heatmaps[number]),
                "evidence": evidence[number],
                "doubts": doubts[number],
            }
            for number, prototype in enumerate(
                self.served.predictor.manifest.classes[index].prototypes
            )
        ]


def _best(logits: NDArray[np.float32], count: int) -> list[int]:
    """Ids of the largest logits, best first; of equal ones the first, as in the graph."""
    ids: list[int] = np.argsort(-logits, kind="stable")[:count].tolist()
    return ids


def _finite(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(logits).all():
        raise ProblemError("image", "expected finite logits, the network overflows on this image.")
    return logits


def _residual(explained: dict[str, Any]) -> float:
    contributions = np.array([found["contribution"] for found in explained["prototypes"]])
    rest = sum(explained[name] for name in _REST)
    return float(completeness_residual(contributions, rest, explained["logit"]))


def _terms(a: dict[str, Any], b: dict[str, Any]) -> list[dict[str, Any]]:
    terms = [
        {
            "kind": "prototype",
            "side": side,
            "index": prototype["index"],
            "name": prototype["name"],
            "value": sign * prototype["contribution"],
        }
        for side, sign, explained in (("a", 1.0, a), ("b", -1.0, b))
        for prototype in explained["prototypes"]
    ]
    terms += [
        {"kind": kind, "side": None, "index": None, "name": kind, "value": a[kind] - b[kind]}
        for kind in _REST
    ]
    return sorted(terms, key=lambda term: -abs(term["value"]))


def dump(answer: dict[str, Any]) -> bytes:
    """The JSON of an answer that may hold arrays."""
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
