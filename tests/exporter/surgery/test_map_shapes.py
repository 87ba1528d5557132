"""Where a feature map tells its shape, what is added to the graph agrees with it."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
from graphs import split_head
from head_forms import FORMS

from exporter.errors import SurgeryError
from exporter.head import find_head
from exporter.surgery import add_prototype_outputs, tap_features

SHAPES = {
    "GlobalAveragePool, Flatten": ("b", 6, 4, 3),
    "NHWC": ("b", 4, 3, 6),
    "tokens": ("b", 12, 6),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_grid_fits_the_positions_of_the_map_wherever_its_channels_are(name: str) -> None:
    model = FORMS[name].model()
    head = find_head(model)
    prototypes, _ = split_head(head.weight)
    feature = next(v for node in model.graph for v in node.outputs if v.name == head.feature)
    feature.shape = ir.Shape(SHAPES[name])
    add_prototype_outputs(model, head, prototypes, reference=None, top=1, grid=(4, 3))
    with pytest.raises(SurgeryError, match=r"12 positions .* got 3 x 6"):
        add_prototype_outputs(model, head, prototypes, reference=None, top=1, grid=(3, 6))


@pytest.mark.parametrize("name", SHAPES)
def test_a_tapped_feature_map_is_declared_with_the_rank_it_has(name: str) -> None:
    model = FORMS[name].model()
    tapped = tap_features(model, find_head(model))
    onnx.checker.check_model(ir.to_proto(tapped), full_check=True)
