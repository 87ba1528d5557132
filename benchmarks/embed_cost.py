"""What an explanation costs in the runtimes of the kits: explained graph against source graph.

    python -m benchmarks.embed_cost SOURCE ARTIFACT

One thread, a batch of one, both graphs in one process, called in turn so that drift of the machine
hits both. The figure is the median of the ratios of neighbouring calls. `make embed` installs what
the kits need.
"""

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx_ir as ir
import openvino

from exporter.source.onnx_file import load_source
from serving.artifact import MODEL, load_artifact
from serving.model.golden import read_golden

EMBED = Path(__file__).parents[1] / "examples" / "embed"
SCRIPT = """
import {{ readFileSync }} from "node:fs";
import * as ort from "{module}";

const [graphs, tensor, name, dims, rounds] = {asked};
const data = new Float32Array(new Uint8Array(readFileSync(tensor)).buffer);
const options = {{ executionProviders: ["{provider}"], intraOpNumThreads: 1 }};
if (ort.env.wasm) ort.env.wasm.numThreads = 1;
const sessions = [];
for (const graph of graphs) {{
  sessions.push(await ort.InferenceSession.create(new Uint8Array(readFileSync(graph)), options));
}}
const feed = {{ [name]: new ort.Tensor("float32", data, dims) }};
const times = [];
for (let turn = -5; turn < rounds; turn += 1) {{
  const pair = [0, 0];
  for (const which of turn % 2 === 0 ? [0, 1] : [1, 0]) {{
    const start = performance.now();
    await sessions[which].run(feed);
    pair[which] = performance.now() - start;
  }}
  if (turn >= 0) times.push(pair);
}}
console.log(JSON.stringify(times));
"""
Times = list[list[float]]
"""Of each turn, plain and explained, milliseconds."""


def in_node(module: str, provider: str, asked: list[object]) -> Times:
    """The times of onnxruntime in Node, or of WebAssembly in it."""
    code = SCRIPT.format(module=module, provider=provider, asked=json.dumps(asked))
    command = ["node", "--input-type=module", "--eval", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=EMBED, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def in_openvino(graphs: list[str], batch: np.ndarray, rounds: int) -> Times:
    """OpenVINO in float32."""
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    core = openvino.Core()
    requests = [core.compile_model(g, "CPU", options).create_infer_request() for g in graphs]
    times = []
    for turn in range(-5, rounds):
        pair = [0.0, 0.0]
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            start = time.perf_counter()
            requests[which].infer([batch], share_inputs=True, share_outputs=True)
            pair[which] = (time.perf_counter() - start) * 1e3
        if turn >= 0:
            times.append(pair)
    return times


def row(name: str, times: Times) -> str:
    """A line of the table."""
    ratios = sorted(explained / plain for plain, explained in times)
    plain, explained = (statistics.median(column) for column in zip(*times, strict=True))
    low, high = ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]
    middle = statistics.median(ratios)
    return f"| {name} | {plain:.2f} | {explained:.2f} | {middle:.3f} | {low:.3f} to {high:.3f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="the model that was exported, as for protohead export")
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--rounds", type=int, default=200)
    asked = parser.parse_args()
    artifact = load_artifact(asked.artifact)
    batch = read_golden(artifact).inputs[:1]
    print("| runtime | plain, ms | explained, ms | ratio, median | quartiles |")
    print("| --- | --- | --- | --- | --- |")
    with TemporaryDirectory() as folder:
        plain, tensor = Path(folder) / "plain.onnx", Path(folder) / "tensor"
        plain.write_bytes(ir.to_proto(load_source(asked.source).model).SerializeToString())
        tensor.write_bytes(batch.tobytes())
        graphs = [str(plain), str(artifact.path(MODEL))]
        wanted = [graphs, str(tensor), artifact.manifest.input.name, batch.shape, asked.rounds]
        print(row("onnxruntime-node", in_node("onnxruntime-node", "cpu", wanted)))
        print(row("onnxruntime-web, WebAssembly", in_node("onnxruntime-web", "wasm", wanted)))
        print(row("OpenVINO", in_openvino(graphs, batch, asked.rounds)))


if __name__ == "__main__":
    main()
