"""What is measured of random prototypes, and where it cannot be."""

import subprocess
import sys

import numpy as np
import onnx_ir as ir
import pytest
import tiny
from places import ROOT
from waiting import PATIENCE

sys.path.insert(0, str(ROOT))  # benchmarks is run from the root, not installed

from benchmarks.gpu import answer, same
from benchmarks.heads import explain, sums
from exporter.source.graph_session import open_session
from serving.model.cuda import cuda_works

# Sums of float32 in another order than the logit's own, relative to what is summed.
ROUNDING = 2e-6


@pytest.mark.parametrize("smooth", [False, True])
def test_random_prototypes_keep_the_bits_and_sum_to_the_logits(smooth):
    model = ir.from_proto(tiny.model())
    head, graph = explain(model, smooth=smooth)
    shape = (4, 3, tiny.SIZE, tiny.SIZE)
    feeds = {"image": np.random.default_rng(0).uniform(size=shape).astype(np.float32)}
    plain, explained = (answer(open_session(one, threads=1), feeds) for one in (model, graph))
    assert same(plain, explained)
    residual, _ = sums(head, explained)
    assert residual < ROUNDING


@pytest.mark.skipif(cuda_works(), reason="CUDA works here")
def test_without_cuda_one_line_says_what_is_missing():
    command = [sys.executable, "-m", "benchmarks.gpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert "CUDA" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
