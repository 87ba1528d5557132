"""Whether CUDA works here, which onnxruntime offers wherever its package was built for it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import numpy as np

from serving.model.runtime import cuda_offered, make_session, run

_NEGATION = (  # y = -x of one float32, as onnx writes it
    b'\x08\x08:4\n\r\n\x01x\x12\x01y"\x03Neg:\x00\x12\x01g'
    b"Z\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01"
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)


@cache
def cuda_works() -> bool:
    """Whether a session really runs on CUDA; looked at once, and only where it is offered.

    In a process of its own, because this one would hold memory of the device ever after.
    """
    if not cuda_offered():
        return False
    words = [sys.executable, "-c", f"from {__name__} import try_cuda; try_cuda()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, env=environment, capture_output=True, check=False)  # noqa: S603 - our own command
    return done.returncode == 0


def try_cuda() -> None:
    """Run a graph of one node on CUDA.

    Raises:
        RuntimeSetupError: It does not run there.
        InferenceError: It runs there, and fails.
    """
    run(make_session(_NEGATION, provider="cuda"), ["y"], {"x": np.ones(1, np.float32)})
