"""What an answer says of logits that are equal, or no numbers."""

from types import SimpleNamespace

import numpy as np
import pytest

from serving.answers.answerer import Answerer
from serving.answers.problems import ProblemError
from serving.answers.schema import PredictOptions

COUNT = 100


def predicted(logits, top=5):
    """The ids that are answered for an image with these logits."""
    classes = [SimpleNamespace(label=f"class {index}") for index in range(COUNT)]
    manifest = SimpleNamespace(classes=classes, activation="softmax", input=None)
    predictor = SimpleNamespace(manifest=manifest, logits=lambda _batch: logits[None])
    answerer = Answerer(
        served=SimpleNamespace(predictor=predictor),
        max_pixels=1,
        max_classes=1,
        max_drawn=1,
        deadline=np.inf,
        observe=lambda _label, _residual: None,
    )
    tensor = np.zeros((3, 1, 1), np.float32)
    (found,) = answerer.predictions([tensor], PredictOptions(top=top))
    return [score["id"] for score in found["classes"]]


def test_of_equal_logits_the_first_classes_are_best():
    assert predicted(np.zeros(COUNT, np.float32)) == [0, 1, 2, 3, 4]
    assert predicted((np.arange(COUNT) % 2).astype(np.float32)) == [1, 3, 5, 7, 9]


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_one_logit_that_is_no_number_or_infinite_is_no_answer(value):
    logits = np.zeros(COUNT, np.float32)
    logits[7] = value
    with pytest.raises(ProblemError, match="expected finite logits"):
        predicted(logits)
