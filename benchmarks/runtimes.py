"""Which runtimes read which graph of an artifact, and how far their answers are off.

    protohead convert demo/artifact --out /tmp/dense --variant dense
    python benchmarks/runtimes.py /tmp/dense

Prints a line of a table for each runtime and graph: the largest difference from onnxruntime on the
golden inputs, of the largest value of the output; or the first words of the failure. What is not
installed is left out. Each runs in a process and on a copy of its own, without a network: onnx2tf
overwrites the file that it reads and asks for sample pictures, pnnx writes beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]
Run = Callable[[Path, Arrays, list[str]], list[np.ndarray]]
GRAPHS = ("model.onnx", "steerable.onnx", "dense.onnx", "model_uint8.onnx", "dense_uint8.onnx")
BINARIES = Path(sys.executable).parent


def onnxruntime(graph: Path, feeds: Arrays, names: list[str]) -> list[np.ndarray]:
    """The reference itself: 0 says that it runs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(names, feeds)


def ort_format(graph: Path, feeds: Arrays, names: list[str]) -> list[np.ndarray]:
    """What onnxruntime's mobile packages read."""
    tool = ["-m", "onnxruntime.tools.convert_onnx_models_to_ort", str(graph)]
    call([sys.executable, *tool, "--optimization_style", "Fixed"])
    return onnxruntime(graph.with_suffix(".ort"), feeds, names)


def reference(graph: Path, feeds: Arrays, names: list[str]) -> list[np.ndarray]:
    """ONNX's own evaluator, slow and plain."""
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(str(graph)).run(names, feeds)


def openvino(graph: Path, feeds: Arrays, names: list[str]) -> list[np.ndarray]:
    """On CPUs that can it computes in bfloat16 unless float32 is asked for."""
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(graph, "CPU", options)
    found = compiled(feeds)
    return [found[compiled.output(name)] for name in names]


def opencv(graph: Path, feeds: Arrays, names: list[str]) -> list[np.ndarray]:
    """The dnn module."""
    import cv2

    network = cv2.dnn.readNetFromONNX(str(graph))
    for name, value in feeds.items():
        network.setInput(value, name)
    return list(network.forward(names))


def tract(graph: Path, feeds: Arrays, _names: list[str]) -> list[np.ndarray]:
    """Sonos' engine in Rust."""
    import tract

    runnable = tract.onnx().load(str(graph)).into_model().into_runnable()
    return [value.to_numpy() for value in runnable.run(list(feeds.values()))]


def iree(graph: Path, feeds: Arrays, _names: list[str]) -> list[np.ndarray]:
    """Compiled for this CPU."""
    import iree.compiler.tools
    import iree.runtime

    text = graph.with_suffix(".mlir")
    call([str(BINARIES / "iree-import-onnx"), str(graph), "-o", str(text)])
    compiled = iree.compiler.tools.compile_file(
        str(text),
        target_backends=["llvm-cpu"],
        input_type="onnx",
        extra_args=["--iree-llvmcpu-target-cpu=host"],
    )
    config = iree.runtime.Config("local-sync")
    module = iree.runtime.load_vm_module(
        iree.runtime.VmModule.copy_buffer(config.vm_instance, compiled), config
    )
    own = [name for name in module.vm_module.function_names if not name.startswith("__")]
    (main,) = [name for name in own if not name.endswith("async")]
    return [np.asarray(value) for value in module[main](*feeds.values())]


def tvm(graph: Path, feeds: Arrays, _names: list[str]) -> list[np.ndarray]:
    """Compiled for this CPU."""
    import onnx
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    shapes = {name: list(value.shape) for name, value in feeds.items()}
    kinds = {name: str(value.dtype) for name, value in feeds.items()}
    module = from_onnx(onnx.load(graph), shape_dict=shapes, dtype_dict=kinds)
    machine = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())
    found = machine["main"](*map(tvm.runtime.tensor, feeds.values()))
    return [value.numpy() for value in found]


def ncnn(graph: Path, feeds: Arrays, names: list[str]) -> list[np.ndarray]:
    """Through pnnx, weights in float32; it has no batch, so images one by one."""
    import ncnn

    batch = only_picture(feeds)
    shape = ",".join(map(str, (1, *batch.shape[1:])))
    kind = "u8" if batch.dtype == np.uint8 else "f32"
    found = importlib.util.find_spec("pnnx")  # its own script imports torch, which this leaves out
    assert found is not None
    tool = str(Path(found.origin or "").with_name("pnnx"))
    call([tool, str(graph), f"inputshape=[{shape}]{kind}", "fp16=0"])
    network = ncnn.Net()
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(network.opt, f"use_{option}", False)
    network.load_param(str(graph.with_suffix(".ncnn.param")))
    network.load_model(str(graph.with_suffix(".ncnn.bin")))
    images = []
    for image in batch:
        extractor = network.create_extractor()
        extractor.input("in0", ncnn.Mat(np.ascontiguousarray(image)).clone())
        images.append([np.array(extractor.extract(f"out{i}")[1]) for i in range(len(names))])
    return [np.stack(values) for values in zip(*images, strict=True)]


def tflite(graph: Path, feeds: Arrays, names: list[str]) -> list[np.ndarray]:
    """Through onnx2tf, which makes pictures NHWC, to LiteRT; images one by one."""
    from ai_edge_litert.interpreter import Interpreter

    batch = only_picture(feeds)
    # Under this name it would download pictures otherwise, to compare operators on.
    sample = np.zeros((20, 128, 128, 3), np.float32)
    np.save(graph.parent / "calibration_image_sample_data_20x128x128x3_float32.npy", sample)
    out = graph.parent / "tflite"
    tool = [str(BINARIES / "onnx2tf"), "-i", str(graph), "-o", str(out), "-n", "-b", "1"]
    call(tool, folder=graph.parent)
    model = Interpreter(str(out / f"{graph.stem}_float32.tflite"))
    model.allocate_tensors()
    (given,), told = model.get_input_details(), model.get_output_details()
    images = []
    for image in batch:
        last = image if tuple(given["shape"][1:]) == image.shape else image.transpose(1, 2, 0)
        model.set_tensor(given["index"], np.ascontiguousarray(last)[None])
        model.invoke()
        images.append({value["name"]: model.get_tensor(value["index"])[0] for value in told})
    return [np.stack([image[name] for image in images]) for name in _named(graph, images, names)]


def _named(graph: Path, images: list[Arrays], names: list[str]) -> list[str]:
    """The outputs of a TFLite model in the order of those of its ONNX graph, by their shapes."""
    import onnx

    shapes = {
        value.name: tuple(size.dim_value for size in value.type.tensor_type.shape.dim[1:])
        for value in onnx.load(graph).graph.output
    }
    found = []
    for name in names:
        wanted = shapes[name]
        (own,) = [key for key, value in images[0].items() if value.shape == wanted]
        found.append(own)
    return found


RUNTIMES: dict[str, tuple[str, str, Run]] = {
    "onnxruntime": ("onnxruntime", "onnxruntime", onnxruntime),
    "onnxruntime, .ort format": ("onnxruntime", "onnxruntime", ort_format),
    "ONNX reference evaluator": ("onnx", "onnx", reference),
    "OpenVINO, asked for float32": ("openvino", "openvino", openvino),
    "OpenCV": ("cv2", "opencv-python-headless", opencv),
    "tract": ("tract", "tract", tract),
    "IREE": ("iree.compiler", "iree-base-compiler", iree),
    "TVM": ("tvm", "apache-tvm", tvm),
    "ncnn, through pnnx": ("ncnn", "ncnn", ncnn),
    "LiteRT (TFLite), through onnx2tf": ("ai_edge_litert", "ai-edge-litert", tflite),
}


def only_picture(feeds: Arrays) -> np.ndarray:
    """The one input of a graph."""
    if len(feeds) > 1:
        raise RuntimeError("not tried: a converter of one input")
    return next(iter(feeds.values()))


def call(command: list[str], folder: Path | None = None) -> None:
    """Run a tool in silence; its last line is the error."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or done.stdout.strip()).splitlines()[-1])


def inputs(artifact: Path, graph: str) -> Arrays:
    """Golden inputs for a graph; pixels are noise, muted is one prototype."""
    manifest = json.loads((artifact / "manifest.json").read_bytes())
    prefix, size = manifest.get("prefix", ""), len(manifest["classes"])
    with np.load(artifact / "golden.npz") as golden:
        (name,) = [name for name in golden.files if name.startswith("inputs/")]
        feeds = {name.removeprefix("inputs/"): golden[name]}
        batch = len(golden[name])
    if graph.endswith("_uint8.onnx"):
        (record,) = [record for record in manifest["graphs"] if record["file"] == graph]
        picture = record["inputs"][0]
        shape = batch, *picture["shape"][1:]
        noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        return {picture["name"]: noise}
    if graph == "steerable.onnx":
        mask = np.ones((size, manifest["prototypes"]), np.float32)
        mask[0, 0] = 0
        feeds[prefix + "prototype_mask"] = mask
        feeds[prefix + "classes"] = np.full((batch, manifest["top"]), -1, np.int64)
    return feeds


def expected(graph: Path, feeds: Arrays) -> Arrays:
    """What onnxruntime answers."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def worst(run: Run, artifact: Path, graph: str) -> float:
    """The largest difference of any output, of its largest value."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(artifact / graph, folder))
        feeds = inputs(artifact, graph)
        wanted = expected(copy, feeds)
        found = run(copy, feeds, list(wanted))
        return max(
            float(np.abs(np.reshape(value, other.shape) - other).max() / np.abs(other).max())
            for value, other in zip(found, wanted.values(), strict=True)
        )


def row(name: str, artifact: Path, graph: str) -> str:
    """A line of the table, from a process of its own: one runtime's crash is no other's."""
    module, package, _ = RUNTIMES[name]
    command = [sys.executable, __file__, str(artifact), "--one", name, graph]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode < 0:
        last = f"crashes (signal {-done.returncode})"
    return f"| {name} | {_version(module, package)} | `{graph}` | {last or 'fails'} |"


def _version(module: str, package: str) -> str:
    # OpenCV may be another one than the installed, from a folder of its own.
    found = importlib.import_module(module).__version__ if module == "cv2" else None
    return found or metadata.version(package)


def main() -> None:
    """Print the table, or what one runtime says of one graph."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("RUNTIME", "GRAPH"))
    parser.add_argument("--only", nargs="*", default=list(RUNTIMES), metavar="RUNTIME")
    arguments = parser.parse_args()
    if arguments.one:
        name, graph = arguments.one
        try:
            print(f"{worst(RUNTIMES[name][2], arguments.artifact, graph):.0e}")
        except Exception as error:  # each runtime has its own
            words = " ".join(str(error).split()).replace("|", "/")
            print(words[:90] if words.startswith("not tried") else f"fails: {words[:90]}")
        return
    graphs = [graph for graph in GRAPHS if (arguments.artifact / graph).exists()]
    for name in arguments.only:
        if _installed(RUNTIMES[name][0]):
            for graph in graphs:
                print(row(name, arguments.artifact, graph), flush=True)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    main()
