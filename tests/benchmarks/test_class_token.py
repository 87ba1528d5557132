"""What is compared with the explanation of a class token, on the toy birds' transformer."""

import sys

import numpy as np
import pytest
from places import ROOT, TOYBIRDS

sys.path.insert(0, str(ROOT))  # benchmarks is run from the root, not installed

from benchmarks.token_maps import Rollout, Torch
from exporter.source.graph_session import open_session
from exporter.source.onnx_file import load_source
from serving.model.runtime import run


@pytest.fixture(scope="module")
def model():
    return load_source(str(TOYBIRDS / "toybirds_vit.onnx")).model


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).normal(size=(2, 3, 128, 128)).astype(np.float32)


def test_gradients_are_taken_of_the_network_that_is_explained(model, pictures):
    graph = run(open_session(model, threads=1), ["logits"], {"image": pictures})["logits"]
    tokens, grad_cam, logits = Torch(model)(pictures, 3)
    np.testing.assert_allclose(logits, graph, atol=1e-4)
    assert tokens.shape == (2, 256, 96)
    assert grad_cam.shape == (2, 256, 1)
    assert (grad_cam >= 0).all()


def test_rollout_divides_the_class_token_among_the_tokens(model, pictures):
    found = Rollout(model, "image")(pictures)
    assert found.shape == (2, 256, 1)
    assert (found > 0).all()
    # Each of four blocks leaves the class token at least half of itself.
    assert (found.sum(axis=(1, 2)) < 1 - 1 / 2**4).all()
