"""What a head that cannot be decomposed has to be told."""

from __future__ import annotations

import pytest
from graphs import LINEAR, Weights, classifier

from exporter.errors import HeadError
from exporter.head import find_head


def require_refused(tail: str, weights: Weights, expected: tuple[str, ...]) -> None:
    """Hold the refusal of a classifier to the words that it has to have.

    Args:
        tail: Its nodes behind the feature map.
        weights: Its constants beside those of the linear layer.
        expected: Parts of the message.
    """
    with pytest.raises(HeadError) as error:
        find_head(classifier(tail, {**LINEAR, **weights}))
    assert [part for part in expected if part not in str(error.value)] == [], error.value
