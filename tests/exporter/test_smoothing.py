"""Smoothing keeps every sum, whatever the grid, and is the same on features and on heatmaps."""

import numpy as np
import pytest
from graphs import GRID, images, run, split_head
from head_forms import FORMS
from hypothesis import given
from hypothesis import strategies as st

from exporter.head import find_head
from exporter.smoothing import NONE, matrix, passes_for, smooth_features, smooth_heatmaps
from exporter.surgery import add_prototype_outputs, add_steering

sides = st.integers(1, 24)
passes = st.integers(0, 9)


@given(sides, passes)
def test_rows_and_columns_add_up_to_one_exactly(cells, count):
    found = matrix(cells, count).astype(np.float64)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(found.sum(axis=0), np.ones(cells))
    assert (found >= 0).all()


@given(sides, sides, passes, passes)
def test_the_mean_of_a_heatmap_stays_and_none_rises_above_its_peak(rows, columns, down, across):
    maps = np.random.default_rng(rows).normal(size=(2, 3, rows, columns))
    found = smooth_heatmaps(maps, (down, across))
    np.testing.assert_allclose(found.mean(axis=(2, 3)), maps.mean(axis=(2, 3)), atol=1e-12)
    assert (found.max(axis=(2, 3)) <= maps.max(axis=(2, 3)) + 1e-12).all()


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 4), st.integers(0, 4))
def test_smoothed_features_have_smoothed_heatmaps(rows, columns, down, across):
    generator = np.random.default_rng(rows + 10 * columns)
    features = generator.normal(size=(3, rows * columns, 5)).astype(np.float32)
    prototypes = generator.normal(size=(5, 2)).astype(np.float32)
    smoothed = smooth_features(features, (rows, columns), (down, across))
    sharp = (features @ prototypes).transpose(0, 2, 1).reshape(3, 2, rows, columns)
    expected = smooth_heatmaps(sharp, (down, across)).reshape(3, 2, -1)
    np.testing.assert_allclose((smoothed @ prototypes).transpose(0, 2, 1), expected, atol=1e-5)
    again = features.copy()
    smooth_features(again, (rows, columns), (down, across), out=again)
    np.testing.assert_array_equal(again, smoothed)


def test_a_blur_is_as_wide_on_every_grid():
    widths = {}
    for cells in (7, 8, 9, 12, 14, 16, 24, 32):
        count, _ = passes_for((cells, cells))
        widths[cells] = np.sqrt(count / 2) / cells
    assert all(width == pytest.approx(0.1, abs=0.015) for width in widths.values()), widths
    assert passes_for((1, 4)) == (0, 0)  # a cell there is wider than the blur


@pytest.mark.parametrize("name", FORMS)
def test_a_graph_smooths_its_heatmaps_and_changes_nothing_else(name):
    source = FORMS[name].model()
    head = find_head(source)
    prototypes, reference = split_head(head.weight)
    grid = head.grid or GRID
    options = {"reference": reference, "grid": grid}
    feeds = {"image": images(3)}
    for add, more, asked in (
        (add_prototype_outputs, {"top": 2}, {}),
        (
            add_steering,
            {},
            {
                "prototype_mask": np.ones(prototypes.shape[:2], np.float32),
                "classes": np.full((3, 2), -1, np.int64),
            },
        ),
    ):
        sharp, smooth = (
            run(add(source, head, prototypes, **options, **more, smoothing=way), feeds | asked)
            for way in (NONE, (1, 3))
        )
        expected = smooth_heatmaps(sharp["heatmaps"].astype(np.float64), (1, 3))
        largest = np.abs(expected).max()
        np.testing.assert_allclose(smooth["heatmaps"], expected, atol=2e-6 * largest)
        for output in sharp.keys() - {"heatmaps"}:
            np.testing.assert_array_equal(smooth[output], sharp[output])
