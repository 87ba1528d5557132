"""A graph runs and has a digest without a second copy of its weights."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx_ir as ir
import tiny
from places import ROOT

from exporter.source.graph_session import digest, open_session, own_arrays, split
from serving.model.runtime import make_session


def model() -> ir.Model:
    graph = ir.from_proto(tiny.model())
    own_arrays(graph)
    return graph


def test_large_weights_leave_the_message_and_the_model_keeps_them():
    graph = model()
    data, weights = split(graph)
    assert set(weights) == {"w2"}  # (16, 8, 3, 3), the only one above a kibibyte
    assert len(data) < weights["w2"].nbytes
    assert np.shares_memory(weights["w2"], graph.graph.initializers["w2"].const_value.numpy())


def test_a_session_of_shared_weights_gives_the_same_bits():
    images = np.random.default_rng(0).normal(size=(3, 3, 24, 24)).astype(np.float32)
    expected = make_session(tiny.model().SerializeToString()).run(None, {"image": images})
    for reorder in (True, False):
        got = open_session(model(), reorder=reorder).run(None, {"image": images})
        # in another order of the weights, float32 sums round differently: 2e-6 of the largest seen
        tolerance = 0 if reorder else 1e-5 * abs(expected[0]).max()
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


def test_every_weight_counts_in_the_digest():
    found = {digest(model())}
    for name in ("w1", "w2"):
        graph = model()
        value = graph.graph.initializers[name]
        value.const_value = ir.Tensor(value.const_value.numpy() + np.float32(1), name=name)
        found.add(digest(graph))
    assert len(found) == 3


_PEAK = """
import resource, torch
from torch import nn
from exporter.source.onnx_file import load_source
def network(width):
    layers = [nn.Conv2d(3, width, 4, stride=4), nn.ReLU()]
    for _ in range(2):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
load_source(network(8), input_size=(16, 16))
before, model = peak(), network(1280)
load_source(model, input_size=(16, 16))
print((peak() - before) / sum(p.nbytes for p in model.parameters()))
"""


def test_reading_a_torch_model_holds_its_weights_twice_and_no_more():
    done = subprocess.run(
        [sys.executable, "-c", _PEAK],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    # The module's own, and the copy that onnxruntime makes for the check; the rest is activations
    # and the allocator's. It was 5 when the graph went through its message.
    assert float(done.stdout) < 2.7
