"""What a request asks for."""

import pytest

from serving.answers.plan import drawn_size
from serving.answers.schema import HeatmapOptions


@pytest.mark.parametrize(
    ("upsample", "view", "drawn"),
    [
        (None, (200, 100), (200, 100)),
        (96, (200, 100), (96, 48)),
        (96, (100, 200), (48, 96)),
        (1, (200, 100), (1, 1)),
    ],
)
def test_heatmaps_are_drawn_with_their_longer_side_as_asked_for(upsample, view, drawn):
    width, height = view
    options = HeatmapOptions(heatmaps="png", upsample=upsample)
    assert drawn_size(options, width=width, height=height) == drawn
