"""What explaining costs and keeps on CUDA, beside the CPU of the same machine.

    make gpu
    python -m benchmarks.gpu [MODEL ...] [--rounds 30]

MODEL is anything that ``protohead export`` takes; without one the toy birds, a ResNet-50 and a
ViT-B/16 of timm with random weights are measured. Prototypes are random too, three for each of the
five best classes, with heatmaps smoothed as an export has them: neither cost nor sums depend on
what they are. Sessions are those of the server: arrays of the host go in and come out. The plain
graph and the explained one take turns, and a ratio is the median of those of neighbouring calls.

It ends with an error where CUDA does not work.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.heads import explain, sums
from benchmarks.paper.markdown import table
from exporter.errors import ExporterError
from exporter.head import Head
from exporter.source.onnx_file import load_source
from serving.errors import ArtifactError
from serving.model.cuda import try_cuda
from serving.model.runtime import CUDA, Provider, Session, make_session, output_names, run

BATCHES = (1, 8, 32, 128)
_TIMED_ON_CPU = 32  # at most: a larger batch takes seconds there
_TOYBIRDS = Path(__file__).parents[1] / "models" / "toybirds"
MODELS = [
    str(_TOYBIRDS / "toybirds.onnx"),
    str(_TOYBIRDS / "toybirds_vit.onnx"),
    "benchmarks.gpu:resnet50",
    "benchmarks.gpu:vit_b_16",
]
_SIDE = 224
_HOST_BY_DESIGN = {"Shape", "Size"}  # whose results are wanted on the host
Arrays = dict[str, NDArray[Any]]
Tables = list[list[list[str]]]


def resnet50() -> Any:
    """ResNet-50 of timm, random weights that leave its residual branches alive."""
    return _timm("resnet50", zero_init_last=False)


def vit_b_16() -> Any:
    """ViT-B/16 of timm, random weights."""
    return _timm("vit_base_patch16_224")


def _timm(name: str, **options: Any) -> Any:
    import torch

    from exporter.source.torch_timm import build_timm

    torch.manual_seed(0)
    return build_timm(name, {}, {"model_args": options}).eval()


@dataclass(frozen=True)
class Subject:
    """A classifier and its explained graph, as files.

    Attributes:
        name: For people.
        head: Its head.
        input: Name of its input.
        shape: Of one image.
        plain: The file of the classifier.
        explained: The file of its explained graph.
    """

    name: str
    head: Head
    input: str
    shape: tuple[int, ...]
    plain: Path
    explained: Path

    @classmethod
    def of(cls, model: str, folder: Path) -> Subject:
        """Explain a model, and write both graphs into a folder.

        Raises:
            ExporterError: It cannot be read, or its head cannot be decomposed.
        """
        source = load_source(model)
        head, graph = explain(source.model, smooth=True)
        name = model.rpartition(":")[2] if ":" in model else Path(model).stem
        files = folder / f"{name}.onnx", folder / f"{name}.explained.onnx"
        for file, written in zip(files, (source.model, graph), strict=True):
            ir.save(written, file)
        sizes = (
            3 if size is None and axis == 0 else size or _SIDE
            for axis, size in enumerate(source.input.shape[1:])
        )
        return cls(name, head, source.input.name, tuple(sizes), *files)

    def images(self, count: int) -> Arrays:
        """Noise as images."""
        noise = np.random.default_rng(count).normal(size=(count, *self.shape))
        return {self.input: noise.astype(np.float32)}

    def open(self, provider: Provider) -> tuple[Session, Session]:
        """The sessions of both graphs."""
        return make_session(self.plain, provider=provider), make_session(
            self.explained, provider=provider
        )


def answer(session: Session, feeds: Arrays) -> Arrays:
    """Every output."""
    return run(session, output_names(session), feeds)


def same(first: Arrays, second: Arrays) -> bool:
    """Whether all outputs of the first have the same bits in the second."""
    return all(second[name].tobytes() == value.tobytes() for name, value in first.items())


def promises(subject: Subject, cuda: tuple[Session, Session], cpu: Session) -> list[list[str]]:
    """What CUDA keeps, and how far it is from the CPU; a row for each batch."""
    plain, explained = cuda
    other = make_session(subject.explained, provider="cuda")
    rows = []
    for batch in BATCHES:
        feeds = subject.images(batch)
        own, there = answer(explained, feeds), answer(cpu, feeds)
        again = [answer(session, feeds) for session in (explained, other)]
        residual, _ = sums(subject.head, own)
        rows.append(
            [
                subject.name,
                str(batch),
                _yes(same(answer(plain, feeds), own)),
                _yes(all(same(own, found) for found in again)),
                f"{residual:.0e}",
                *_distances(subject.head, own, there),
            ]
        )
    return rows


def _yes(kept: bool) -> str:
    return "yes" if kept else "no"


def _distances(head: Head, own: Arrays, there: Arrays) -> list[str]:
    """Largest differences relative to the largest value, then shares of agreement."""
    chosen = own["class_ids"] == there["class_ids"]  # (b, t)

    def distance(name: str, where: NDArray[np.bool_] | slice) -> str:
        a, b = own[name][where].astype(np.float64), there[name][where].astype(np.float64)
        return f"{np.abs(a - b).max() / np.abs(b).max():.0e}" if b.size else "-"

    maps = [
        found["heatmaps"][chosen].reshape(chosen.sum(), found["heatmaps"].shape[2], -1)
        for found in (own, there)
    ]
    best = [found[head.logits].reshape(len(chosen), -1).argmax(axis=1) for found in (own, there)]
    peaks = [found.argmax(axis=2) for found in maps]
    return [
        distance(head.logits, slice(None)),
        distance("contributions", chosen),
        distance("heatmaps", chosen),
        f"{(best[0] == best[1]).mean():.1%}",
        f"{chosen.mean():.1%}",
        f"{(peaks[0] == peaks[1]).mean():.1%}",
    ]


def on_the_host(subject: Subject, folder: Path) -> list[str]:
    """Which nodes of each graph the profiler sees on the CPU, and which copy to or from it."""
    cells = []
    for file in (subject.plain, subject.explained):
        found: Counter[str] = Counter()
        for node in _profile(file, subject.images(8), folder):
            kind = str(node["op_name"])
            if kind.startswith("Memcpy") or (
                node["provider"] != CUDA and kind not in _HOST_BY_DESIGN
            ):
                found[kind] += 1
        cells.append(
            ", ".join(f"{count} {kind}" for kind, count in sorted(found.items())) or "none"
        )
    return [subject.name, *cells]


def _profile(file: Path, feeds: Arrays, folder: Path) -> list[dict[str, Any]]:
    """The nodes of one run."""

    class Options(ort.SessionOptions):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            super().__init__()
            self.enable_profiling = True
            self.profile_file_prefix = str(folder / "profile")

    with mock.patch.object(ort, "SessionOptions", Options):
        session: Any = make_session(file, provider="cuda")
    answer(session, feeds)
    events = json.loads(Path(session.end_profiling()).read_text())
    return [e["args"] for e in events if e.get("cat") == "Node" and "provider" in e.get("args", {})]


def timed(
    subject: Subject, pair: tuple[Session, Session], batch: int, rounds: int
) -> tuple[float, float, float]:
    """Median seconds of the plain and the explained graph, and of their ratio."""
    feeds = subject.images(batch)
    for session in pair * 2:  # warms up
        answer(session, feeds)
    times = []
    for turn in range(rounds):
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        found = [0.0, 0.0]
        for index in order:
            start = time.perf_counter()
            answer(pair[index], feeds)
            found[index] = time.perf_counter() - start
        times.append(found)
    plain, explained = (statistics.median(column) for column in zip(*times, strict=True))
    return plain, explained, statistics.median(after / before for before, after in times)


def costs(
    subject: Subject, cuda: tuple[Session, Session], cpu: tuple[Session, Session], rounds: int
) -> list[list[str]]:
    """A row for each batch."""
    rows = []
    for batch in BATCHES:
        plain, explained, ratio = timed(subject, cuda, batch, rounds)
        row = [subject.name, str(batch), f"{plain * 1e3:.2f}", f"{explained * 1e3:.2f}"]
        row += [f"{ratio:.2f}", f"{batch / explained:.0f}"]
        if batch <= _TIMED_ON_CPU:
            *_, there, ratio = timed(subject, cpu, batch, max(3, rounds // 10))
            row += [f"{batch / there:.0f}", f"{ratio:.2f}"]
        rows.append(row if batch <= _TIMED_ON_CPU else [*row, "", ""])
    return rows


def start(subject: Subject) -> list[str]:
    """Seconds to the first answer and memory of the device, in a process for each graph."""
    cells = []
    for file in (subject.plain, subject.explained):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, memory = pool.apply(_first_answer, (subject, file))
        cells += [f"{seconds:.1f}", *(f"{found:.0f}" for found in memory)]
    return [subject.name, *cells]


def _first_answer(subject: Subject, file: Path) -> tuple[float, list[float]]:
    before = used_memory()
    begun = time.perf_counter()
    session = make_session(file, provider="cuda")
    answer(session, subject.images(1))
    seconds, memory = time.perf_counter() - begun, [used_memory() - before]
    answer(session, subject.images(BATCHES[-1]))
    return seconds, [*memory, used_memory() - before]


def used_memory() -> float:
    """MiB of the first card that are taken."""
    return float(_smi("memory.used"))


def _smi(field: str) -> str:
    words = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader,nounits", "--id=0"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Measure and print."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0]
    )
    parser.add_argument("model", nargs="*", default=MODELS)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    tables: Tables = [[], [], [], []]
    failed = False
    try:
        try_cuda()
    except ArtifactError as error:
        sys.exit(f"{parser.prog}: {error}")
    versions = _smi("name"), _smi("driver_version"), ort.__version__
    print("{}, driver {}, onnxruntime {}\n".format(*versions), flush=True)
    with tempfile.TemporaryDirectory() as name:
        for model in options.model:
            try:
                _measure(Subject.of(model, Path(name)), Path(name), options.rounds, tables)
            except (ExporterError, ArtifactError) as error:
                print(f"{parser.prog}: {model}: {error}", file=sys.stderr)
                failed = True
    for heading, rows in zip(HEADINGS, tables, strict=True):
        print(table(heading, rows) + "\n")
    sys.exit(failed)


def _measure(subject: Subject, folder: Path, rounds: int, tables: Tables) -> None:
    """Add a model's rows to every table."""
    tables[3].append(start(subject))
    cuda, cpu = subject.open("cuda"), subject.open("cpu")
    tables[0] += promises(subject, cuda, cpu[1])
    tables[1].append(on_the_host(subject, folder))
    tables[2] += costs(subject, cuda, cpu, rounds)


HEADINGS = (
    (
        *("model", "batch", "bits kept", "bits again", "residual", "logits", "contributions"),
        *("heatmaps", "best class", "five best", "peaks"),
    ),
    ("model", "plain: nodes on the CPU, copies", "explained: nodes on the CPU, copies"),
    (
        *("model", "batch", "plain, ms", "explained, ms", "ratio", "explained, images/s"),
        *("CPU, images/s", "CPU, ratio"),
    ),
    (
        *("model", "plain, first answer, s", "MiB at 1", "MiB at 128"),
        *("explained, first answer, s", "MiB at 1", "MiB at 128"),
    ),
)


if __name__ == "__main__":
    main()
