"""What MLflow loads of a packaged artifact: the answers of ``/v1/``, a row an image.

MLflow calls :func:`_load_pyfunc` with the folder of the artifact, then ``predict`` with what it has
held to the signature. It is imported by name from the code beside the model, and imports nothing of
MLflow itself.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from pydantic import ValidationError

from serving.answers.answerer import Answerer, Picture, dump
from serving.answers.problems import ProblemError, wrong_options
from serving.answers.schema import ExplainOptions, PredictOptions
from serving.errors import RequestError
from serving.model.predictor import Predictor
from serving.process.live import Served
from serving.process.settings import Settings


class Model:
    """An artifact behind MLflow's ``predict``.

    Args:
        folder: The artifact.

    Raises:
        ArtifactError: It is damaged, or does not answer its golden batch.
    """

    def __init__(self, folder: Path) -> None:
        settings = Settings(artifact=folder, workers=1)  # which has all cores
        self._answerer = Answerer(
            served=Served.load(folder, settings),
            max_pixels=settings.max_pixels,
            max_classes=settings.max_classes,
            max_drawn=settings.max_drawn,
            deadline=math.inf,
            observe=lambda _label, _residual: None,
        )

    def get_raw_model(self) -> Predictor:
        """The predictor, as MLflow's ``get_raw_model`` gives it: muting, arrays, pictures."""
        return self._answerer.served.predictor

    def predict(
        self, model_input: Any, params: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The answer for each image, best class first.

        Args:
            model_input: A table with the column ``image``: bytes of an image file, the same in
                base64, or an input tensor without batch axis.
            params: ``explain``: whether contributions are given too; ``top``: classes given;
                ``classes``: explain these instead; ``heatmaps``: their form, as ``/v1/explain``
                has it.

        Returns:
            One result of ``/v1/predict`` or ``/v1/explain`` for each row.

        Raises:
            ArtifactError: An image or option is wrong.
        """
        given = {"explain": False, "top": None, "classes": [], "heatmaps": "none", **(params or {})}
        pictures = [
            self._picture(value, number) for number, value in enumerate(model_input["image"])
        ]
        try:
            if not given["explain"]:
                asked = {} if given["top"] is None else {"top": int(given["top"])}
                found = self._answerer.predictions(pictures, PredictOptions(**asked))
            else:
                options = _explain_options(given)
                found = self._answerer.explanations(pictures, options)
        except ValidationError as error:
            raise RequestError(wrong_options(error).detail) from error
        except ProblemError as error:
            raise RequestError(error.detail) from error
        return [
            _without_links(result) for result in orjson.loads(dump({"results": found}))["results"]
        ]

    def _picture(self, value: object, row: int) -> Picture:
        if isinstance(value, bytes):
            return value
        if isinstance(value, str):
            try:
                return base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError) as error:
                raise RequestError(f"row {row}: expected base64: {error}.") from error
        shape = self.get_raw_model().manifest.input.shape[1:]
        try:
            tensor = np.asarray(value, dtype=np.float32)
        except (TypeError, ValueError):
            tensor = np.empty(0, dtype=np.float32)
        if tensor.shape != shape:
            raise RequestError(
                f"row {row}: expected bytes of an image file, base64, or a tensor of shape "
                f"{shape}, got {type(value).__name__}{list(tensor.shape) if tensor.size else ''}."
            )
        return tensor


def _explain_options(given: Mapping[str, Any]) -> ExplainOptions:
    classes = tuple(str(name) for name in given["classes"])
    chosen = {"classes": classes} if classes else {"top": given["top"]}
    return ExplainOptions(heatmaps=given["heatmaps"], **chosen)


def _without_links(result: dict[str, Any]) -> dict[str, Any]:
    """A result without the links to crops, which only a server has, and without what muting did."""
    result.pop("before", None)
    for found in result["classes"]:
        for prototype in found.get("prototypes", ()):
            for crop in prototype["evidence"]:
                del crop["url"], crop["context"]
    return result


def _load_pyfunc(folder: str) -> Model:
    """What MLflow calls by its name."""
    return Model(Path(folder))
