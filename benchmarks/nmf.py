"""Our NMF beside the paper's updates and scikit-learn's, on the features of a real network.

    python benchmarks/nmf.py MODEL.onnx PREPROCESS.json IMAGES [--classes 5]

MODEL ends in a global mean and a linear layer; IMAGES holds one folder of photographs a class.
Everything runs on one thread. The solvers take turns in every round, so that a busy machine
slows all of them alike, and every round has a seed of its own. Seconds are the median over
rounds, errors the mean; a table shows the median over classes.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from exporter.decompose import multiplicative, nmf
from exporter.source.presets import read_preprocessing
from serving.artifact import Preprocessing
from serving.model.preprocess import decode, preprocess

Floats = npt.NDArray[np.float32]
Result = TypeVar("Result")

BATCH = 8
PAPER = "paper's updates"
OURS = "ours"


class Network:
    """A classifier whose pooled tensor can be read."""

    def __init__(self, path: Path) -> None:
        model = onnx.load(path)
        pools = [n for n in model.graph.node if n.op_type in ("GlobalAveragePool", "ReduceMean")]
        self._output = pools[-1].input[0]
        self._input = model.graph.input[0].name
        model.graph.output.append(onnx.ValueInfoProto(name=self._output))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def read(self, folder: Path, preprocessing: Preprocessing) -> Floats:
        """The features (n, p, d) of the images of one class."""
        paths = sorted(path for path in folder.iterdir() if path.is_file())
        images = np.stack([preprocess(decode(path), preprocessing) for path in paths])
        batches = np.split(images, range(BATCH, len(images), BATCH))
        maps = np.concatenate(
            [self._session.run([self._output], {self._input: batch})[0] for batch in batches]
        )
        count, channels = maps.shape[:2]
        return np.ascontiguousarray(maps.reshape(count, channels, -1).transpose(0, 2, 1))


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    """Returns the seconds that a call took, and its result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def scikit_learn(features: Floats, prototypes: int, seed: int) -> nmf.Factors:
    """Factorises by scikit-learn's coordinate descent, its fastest solver."""
    model = NMF(prototypes, init="nndsvda", solver="cd", max_iter=200, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return nmf.Factors(model.fit_transform(features), model.components_)


SOLVERS: dict[str, Callable[[Floats, int, int], nmf.Factors]] = {
    PAPER: lambda features, k, seed: multiplicative.factorize(features, k, seed).value,
    "scikit-learn (cd, nndsvda)": scikit_learn,
    OURS: lambda features, k, seed: nmf.factorize(features, k, seed).value,
}


def relative_error(features: Floats, factors: nmf.Factors) -> float:
    """Returns |F - E P| / |F|, in float64."""
    residual = features - factors.presence.astype(np.float64) @ factors.prototypes
    return float(np.linalg.norm(residual) / np.linalg.norm(features.astype(np.float64)))


def compare(features: Floats, prototypes: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Returns mean error and median seconds of every solver on one class, a seed a round."""
    runs: dict[str, list[tuple[float, nmf.Factors]]] = {name: [] for name in SOLVERS}
    for seed in range(rounds):
        for name, solve in SOLVERS.items():
            runs[name].append(timed(partial(solve, features, prototypes, seed)))
    return {
        name: (
            float(np.mean([relative_error(features, factors) for _, factors in found])),
            float(np.median([seconds for seconds, _ in found])),
        )
        for name, found in runs.items()
    }


def print_solvers(classes: list[Floats], counts: list[int], rounds: int) -> None:
    """Prints the solvers side by side."""
    print("| k | solver | relative error | worse than the paper's in | seconds | times as fast |")
    print("| --- | --- | --- | --- | --- | --- |")
    for k in counts:
        flat = [maps.reshape(-1, maps.shape[2]) for maps in classes]
        results = [compare(np.maximum(features, 0), k, rounds) for features in flat]
        for name in SOLVERS:
            error, seconds = np.median([result[name] for result in results], axis=0)
            # Random starts alone move the error by some 2e-4.
            worse = sum(result[name][0] > result[PAPER][0] + 1e-4 for result in results)
            gain = np.median([result[PAPER][1] / result[name][1] for result in results])
            print(
                f"| {k} | {name} | {error:.4f} | {worse} of {len(results)} classes "
                f"| {seconds:.4f} | {gain:.1f} |"
            )


def main() -> None:
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="ONNX classifier: ..., global mean, linear")
    parser.add_argument("preprocess", type=Path, help="its preprocessing, as for export")
    parser.add_argument("images", type=Path, help="one folder of photographs a class")
    parser.add_argument("--classes", type=int, default=5, help="folders to use, spread evenly")
    parser.add_argument("--rounds", type=int, default=5, help="times every solver runs")
    parser.add_argument("-k", type=int, nargs="+", default=[3, 10], help="prototypes")
    options = parser.parse_args()
    folders = sorted(path for path in options.images.iterdir() if path.is_dir())
    chosen = folders[:: max(1, len(folders) // options.classes)][: options.classes]
    network, preprocessing = Network(options.model), read_preprocessing(options.preprocess)
    with threadpool_limits(1):
        classes = [network.read(folder, preprocessing) for folder in chosen]
        print(f"{len(classes)} classes, features {classes[0].shape}\n")
        print_solvers(classes, options.k, options.rounds)


if __name__ == "__main__":
    main()
