"""Which onnxruntime runs, and what is said when it cannot."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import tiny
from onnxruntime.capi.onnxruntime_pybind11_state import EPFail
from waiting import PATIENCE

from serving.errors import InferenceError, RuntimeSetupError
from serving.model import cuda, runtime
from serving.model.cuda import cuda_works, try_cuda
from serving.model.runtime import make_session, output_names, run

MISSING = "sys.modules['onnxruntime'] = None"
# As onnxruntime-gpu 1.31.1 says it where there is a driver and no device.
NO_DEVICE = (
    "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, "
    "void, common::Status> = void] CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; "
    "hostname=there ; file=/onnxruntime_src/cuda_execution_provider.cc ; line=355 ; "
    "expr=cudaSetDevice(info_.device_id); \n\n"
)
BOTH = """
import importlib.metadata as metadata
real = metadata.distribution
metadata.distribution = lambda name: real('onnxruntime' if name == 'onnxruntime-gpu' else name)
"""


def command_line(preparation: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys\n{preparation}\nfrom exporter.cli import main\nmain()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("preparation", "message"),
    [
        (MISSING, "pip install 'protohead[cpu]' or 'protohead[gpu]'"),
        (BOTH, "found both, which overwrite each other. Run: pip uninstall -y onnxruntime"),
    ],
)
@pytest.mark.parametrize("verb", ["verify", "explain"])
def test_none_or_both_runtimes_are_one_line_that_names_the_mend(preparation, message, verb):
    more = ("a.jpg", "--out", "p") if verb == "explain" else ()
    done = command_line(preparation, verb, "artifact", *more)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_needs_no_runtime():
    assert command_line(MISSING, "--help").returncode == 0


def test_bytes_that_are_no_model_are_refused():
    with pytest.raises(RuntimeSetupError, match="cannot load the model"):
        make_session(b"no model")


def test_cuda_that_cannot_run_is_an_error_and_never_a_silent_fallback(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(RuntimeSetupError, match="expected the CUDA provider"):
        make_session(tiny.model().SerializeToString(), provider="cuda")


def test_cuda_that_is_offered_but_does_not_start_is_an_error_too(monkeypatch):
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    made = SimpleNamespace(get_providers=lambda: both[1:])  # as without its libraries
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: made)
    with pytest.raises(RuntimeSetupError, match="fell back to the CPU"):
        make_session(b"", provider="cuda")
    assert make_session(b"", provider="auto") is made


def test_where_cuda_finds_no_device_auto_takes_the_cpu_and_cuda_says_what_failed(
    monkeypatch, capsys
):
    real = onnxruntime.InferenceSession

    def opened(model, options, providers, **more):
        if providers[0][0] == "CUDAExecutionProvider":
            raise RuntimeError(NO_DEVICE)
        return real(model, options, providers=providers, **more)

    offer(monkeypatch, [])
    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    assert make_session(cuda._NEGATION, provider="auto").get_providers() == ["CPUExecutionProvider"]
    with pytest.raises(RuntimeSetupError) as error:
        make_session(cuda._NEGATION, provider="cuda")
    assert str(error.value) == (
        "onnxruntime cannot load the model: CUDA failure 100: no CUDA-capable device is detected. "
        "Check the driver and the CUDA libraries (pip install 'protohead[gpu]' brings them), or "
        "ask for provider cpu."
    )
    assert capsys.readouterr().out == ""


def test_what_a_device_fails_at_is_an_error_and_is_not_run_again_elsewhere(monkeypatch, capsys):
    session = make_session(cuda._NEGATION)
    inner = session._sess

    class Failing:
        def run(self, *_):
            raise EPFail("CudaCall() CUDNN_FE failure 8: HEURISTIC_QUERY_FAILED ; GPU=0 ;\n")

        def __getattr__(self, name):
            return getattr(inner, name)

    monkeypatch.setattr(session, "_sess", Failing())
    with pytest.raises(
        InferenceError, match=r"on the inputs x \(1,\): CUDNN_FE failure 8: HEURISTIC_QUERY_FAILED$"
    ):
        run(session, ["y"], {"x": np.float32([2])})
    assert capsys.readouterr().out == ""


def offer(monkeypatch, running):
    """An onnxruntime built for CUDA, whose sessions run elsewhere or there."""
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: both)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: sys.stdout.write("no libcudnn"))

    class Session:
        def get_inputs(self):
            return []

        def __init__(self, *_, **__):
            pass

        def get_providers(self):
            return running

        def run(self, names, feeds):
            return [-feeds["x"]]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)


def test_what_cudas_loader_prints_does_not_reach_the_output(monkeypatch, capsys):
    offer(monkeypatch, ["CUDAExecutionProvider"])
    make_session(b"", provider="cuda")
    try_cuda()
    assert capsys.readouterr().out == ""


def test_cuda_is_tried_in_another_process_and_only_where_it_is_offered(monkeypatch):
    cuda_works.cache_clear()
    assert not cuda_works()  # this onnxruntime has none
    tried = []
    monkeypatch.setattr(cuda, "cuda_offered", lambda: True)
    real = subprocess.run
    monkeypatch.setattr(
        cuda.subprocess, "run", lambda *a, **k: tried.append(real(*a, **k)) or tried[-1]
    )
    cuda_works.cache_clear()
    assert not cuda_works()
    assert not cuda_works()
    (done,) = tried
    assert b"expected the CUDA provider, this onnxruntime has" in done.stderr
    cuda_works.cache_clear()


def test_the_graph_that_is_tried_is_one_that_onnxruntime_runs():
    found = run(make_session(cuda._NEGATION), ["y"], {"x": np.float32([2])})
    assert found["y"].tolist() == [-2]


def test_an_operator_has_as_many_threads_as_are_asked_for(monkeypatch):
    found = []

    def opened(_model, options, **_):
        found.append(options.intra_op_num_threads)
        return SimpleNamespace()

    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    make_session(b"", threads=3)
    assert found == [3]


def test_auto_runs_where_there_is_no_cuda():
    session = make_session(tiny.model().SerializeToString(), provider="auto", threads=1)
    assert "CPUExecutionProvider" in session.get_providers()
    assert output_names(session) == ["logits"]


def test_a_missing_input_is_an_inference_error():
    session = make_session(tiny.model().SerializeToString())
    with pytest.raises(InferenceError):
        run(session, ["logits"], {})


def test_on_cuda_products_keep_all_bits_of_float32(monkeypatch):
    asked = []

    class Session:
        def __init__(self, model, options, providers, **_):
            asked.extend(providers)

        def get_providers(self):
            return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    monkeypatch.setattr(runtime.ort, "InferenceSession", Session)
    monkeypatch.setattr(
        runtime.ort,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    make_session(b"", provider="cuda")
    assert asked == [("CUDAExecutionProvider", {"use_tf32": "0"}), ("CPUExecutionProvider", {})]
