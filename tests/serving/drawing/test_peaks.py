"""Where heatmaps peak: one answer for what is drawn and what is judged."""

import numpy as np
import pytest
from heatmaps import smooth
from PIL import Image

from serving.drawing import picture
from serving.drawing.peaks import peak, peaks, upsample
from serving.model.explanation import ClassExplanation, Explanation, PrototypeExplanation


def test_a_cell_alone_peaks_in_its_middle():
    heatmap = np.zeros((7, 7))
    heatmap[2, 4] = 1.0
    # Cell (2, 4) covers rows 40..59 and columns 80..99; of its equal middle pixels it is the first.
    assert peak(heatmap, (140, 140)) == (89, 49)


@pytest.mark.parametrize("grid", [(7, 7), (5, 9), (14, 14), (1, 1)])
def test_one_heatmap_peaks_where_it_does_among_many(grid):
    heatmaps = smooth(12, grid, seed=1)
    found = peaks(heatmaps.reshape(3, 4, *grid), (90, 150))
    assert found.shape == (3, 4, 2)
    for heatmap, (x, y) in zip(heatmaps, found.reshape(-1, 2), strict=True):
        assert peak(heatmap, (150, 90)) == (x, y)
        assert upsample(heatmap, (90, 150)).argmax() == y * 150 + x


def test_a_picture_numbers_a_prototype_where_the_metrics_find_its_peak(monkeypatch):
    drawn = []
    monkeypatch.setattr(picture, "apart", lambda points, *_: drawn.append(points) or points)
    heatmaps = smooth(60, (7, 7), seed=2)
    view = Image.new("RGB", (picture.PHOTOGRAPH, picture.PHOTOGRAPH))
    for heatmap in heatmaps:
        parts = tuple(PrototypeExplanation(number, "", 1.0, heatmap, ()) for number in range(2))
        explained = ClassExplanation(0, "a", 2.0, 0.5, 0.0, 0.0, 0.0, 0.0, False, parts)
        picture.draw(Explanation(view, (explained,)))
    judged = peaks(heatmaps, (picture.PHOTOGRAPH, picture.PHOTOGRAPH))
    np.testing.assert_array_equal([points[0] for points in drawn], judged)
