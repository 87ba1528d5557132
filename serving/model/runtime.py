"""onnxruntime sessions: the one place that chooses provider and threads."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from serving.errors import InferenceError, RuntimeSetupError


def _installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


if _installed("onnxruntime") and _installed("onnxruntime-gpu"):
    # They unpack into the same folder, so the one installed last silently wins.
    raise RuntimeSetupError(
        "expected one of onnxruntime and onnxruntime-gpu, found both, which overwrite each other. "
        "Run: pip uninstall -y onnxruntime onnxruntime-gpu, then pip install 'protohead[cpu]' "
        "or 'protohead[gpu]'."
    )
# It tells its makers of every session and of the machine, unless told otherwise before it loads.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
try:
    import onnxruntime as ort
except ImportError as error:
    raise RuntimeSetupError(
        "expected onnxruntime, found none that imports. Run: pip install 'protohead[cpu]' or "
        "'protohead[gpu]'."
    ) from error

Provider = Literal["auto", "cpu", "cuda"]


class Session(Protocol):
    """What is used of an onnxruntime session, which has no types of its own."""

    def run(self, names: list[str] | None, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The named outputs for these inputs."""

    def get_inputs(self) -> list[Any]:
        """The graph's inputs; each has ``name``, ``shape`` and ``type``."""

    def get_outputs(self) -> list[Any]:
        """The graph's outputs, likewise."""

    def get_providers(self) -> list[str]:
        """The execution providers that run, the preferred one first."""


CUDA = "CUDAExecutionProvider"
_NAMES = {"cpu": "CPUExecutionProvider", "cuda": CUDA}
_OPTIONS: dict[str, dict[str, str]] = {
    # TensorFloat-32 keeps 10 bits of a product: contributions would no longer add up to the logit.
    "cuda": {"use_tf32": "0"},
}
_CUDA_FAILURE = re.compile(r"[A-Z_]+ failure -?\d+: [^;]+")  # CUDA, CUDNN_FE, CUBLAS
_CHECK_CUDA = (
    "Check the driver and the CUDA libraries (pip install 'protohead[gpu]' brings them), or ask "
    "for provider cpu."
)


def cuda_offered() -> bool:
    """Whether this onnxruntime comes with CUDA; :mod:`serving.model.cuda` says whether it works."""
    return _NAMES["cuda"] in ort.get_available_providers()


def make_session(
    model: Path | bytes,
    *,
    provider: Provider = "cpu",
    threads: int = 0,
    weights: Mapping[str, NDArray[Any]] | None = None,
    reorder: bool = True,
    quiet: bool = False,
) -> Session:
    """Open an ONNX model.

    Args:
        model: Path of the model, or its bytes.
        provider: ``auto`` takes CUDA where it works; asking for ``cuda`` where it does not work
            is an error, never a silent fall-back.
        threads: Threads inside an operator; 0 lets onnxruntime take all cores.
        weights: Initializers that the model declares as external data, by name; they are used
            where they lie, without a copy of ours, and must not change while the session lives.
        reorder: Let onnxruntime reorder weights for this processor: faster runs, and the weights
            twice more in memory while it loads.
        quiet: onnxruntime itself prints nothing of a run that fails, which is no fault where it is
            tried.

    Returns:
        The session.

    Raises:
        RuntimeSetupError: The provider cannot run, or onnxruntime cannot load the model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4 if quiet else 3
    values = [ort.OrtValue.ortvalue_from_numpy(array) for array in (weights or {}).values()]
    if values:
        options.add_external_initializers(list(weights or {}), values)
    if not reorder:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    available = ort.get_available_providers()
    if provider == "cuda" and _NAMES["cuda"] not in available:
        raise RuntimeSetupError(
            f"expected the CUDA provider, this onnxruntime has {', '.join(available)}. "
            "Run: pip uninstall -y onnxruntime, then pip install 'protohead[gpu]'."
        )
    wanted = ["cpu"] if provider == "cpu" else ["cuda", "cpu"]
    if "cuda" in wanted and _NAMES["cuda"] in available:
        # CUDA's libraries lie in packages of Python, where no linker looks. Misses are printed.
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()
    providers = [
        (_NAMES[name], _OPTIONS.get(name, {})) for name in wanted if _NAMES[name] in available
    ]
    try:
        session: Session = ort.InferenceSession(
            str(model) if isinstance(model, Path) else model,
            options,
            providers=providers,
            # It would print, open itself again on the CPU in the middle of a run, and stay there.
            enable_fallback=0,
        )
    except Exception as error:  # onnxruntime raises its own untyped exceptions
        if provider == "auto" and len(providers) > 1:  # a driver without a device, say
            return make_session(
                model,
                provider="cpu",
                threads=threads,
                weights=weights,
                reorder=reorder,
                quiet=quiet,
            )
        name = model.name if isinstance(model, Path) else "the model"
        advice = f". {_CHECK_CUDA}" if _CUDA_FAILURE.search(str(error)) else ""
        raise RuntimeSetupError(
            f"onnxruntime cannot load {name}: {_reason(error)}{advice}"
        ) from error
    session.weights = values  # type: ignore[attr-defined]  # they live as long as it does
    if provider == "cuda" and _NAMES["cuda"] not in session.get_providers():
        raise RuntimeSetupError(
            f"expected to run on CUDA, onnxruntime fell back to the CPU. {_CHECK_CUDA}"
        )
    return session


def _reason(error: Exception) -> str:
    """What onnxruntime says, in one line; of what CUDA fails at, without the code around it."""
    text = " ".join(str(error).split())
    found = _CUDA_FAILURE.search(text)
    return found[0].rstrip() if found else text


def run(
    session: Session, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Run a session.

    Args:
        session: The session.
        names: Outputs to compute.
        feeds: Every input by name; float32 is rounded where the graph takes uint8.

    Returns:
        The outputs by name.

    Raises:
        InferenceError: An input is missing or does not fit, an output does not exist, or an
            operator fails.
    """
    feeds = _as_declared(session, feeds)
    try:
        values = session.run(list(names), feeds)
    except Exception as error:  # onnxruntime raises its own untyped exceptions
        shapes = ", ".join(f"{name} {value.shape}" for name, value in feeds.items())
        raise InferenceError(
            f"onnxruntime fails on the inputs {shapes}: {_reason(error)}"
        ) from error
    return dict(zip(names, values, strict=True))


def _as_declared(session: Session, feeds: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """Pixels as whole numbers for a graph that asks for them."""
    whole = {value.name for value in session.get_inputs() if value.type == "tensor(uint8)"}
    return {
        name: np.clip(np.rint(array), 0, 255).astype(np.uint8)
        if name in whole and array.dtype == np.float32
        else array
        for name, array in feeds.items()
    }


def output_names(session: Session) -> list[str]:
    """The names of a graph's outputs in order."""
    return [output.name for output in session.get_outputs()]
