"""An artifact opened for evaluation, and changed copies of its network."""

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import tiny
import two_layers

from exporter.evaluate.trial.subject import open_subject
from exporter.head import find_head
from exporter.source.onnx_file import load_source


def test_a_changed_network_is_read_by_its_own_head(tiny_export, tmp_path):
    source = load_source(two_layers.write(tmp_path).model)
    head = find_head(source.model)
    subject = replace(open_subject(tiny_export[1]), source=source, head=head)
    changed = source.model.clone()
    # Without biases all of the logits has a place, so that the maps add up to them.
    bias = changed.graph.initializers["first_bias"]
    bias.const_value = ir.tensor(np.zeros(two_layers.HIDDEN, np.float32), name="first_bias")
    tensors = np.stack([tiny.tensor(tiny.image(1, 700 + number)) for number in range(3)])
    with subject.reader(1, changed) as reader:
        maps, logits = reader.run(tensors)
    total = maps.mean(axis=1, dtype=np.float64) @ head.weight.T + head.bias
    np.testing.assert_allclose(total, logits, atol=1e-4)  # of terms of some 100
