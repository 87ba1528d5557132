"""Pictures changed before the network sees them, in both layouts."""

import numpy as np
import pytest

from exporter.evaluate.trial.alterations import mirrored, shifted

PICTURE = np.arange(2 * 4 * 6, dtype=np.float32).reshape(1, 2, 4, 6)
LAYOUTS = pytest.mark.parametrize("layout", ["NCHW", "NHWC"])


def laid_out(pictures, layout):
    return pictures if layout == "NCHW" else np.moveaxis(pictures, 1, -1)


@LAYOUTS
def test_a_mirrored_picture_has_left_and_right_exchanged(layout):
    found = mirrored(laid_out(PICTURE, layout), layout)
    np.testing.assert_array_equal(found, laid_out(PICTURE[..., ::-1], layout))
    assert found.flags.c_contiguous  # as the network takes it


@LAYOUTS
def test_a_shifted_picture_moves_one_cell_right_and_down_and_repeats_its_edge(layout):
    found = shifted(laid_out(PICTURE, layout), layout, (4, 3))  # cells of 1 x 2 pixels
    rows, columns = [0, 0, 1, 2], [0, 0, 0, 1, 2, 3]
    expected = PICTURE[:, :, rows][..., columns]
    np.testing.assert_array_equal(found, laid_out(expected, layout))
    assert found.flags.c_contiguous
