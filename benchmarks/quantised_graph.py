"""What fewer bits save, and what explaining costs in them.

    python benchmarks/quantised_graph.py PARENT QUANTISED [QUANTISED ...]

PARENT is an artifact, the others what `protohead quantize` made of it. Of each its classifier alone
and its explained graph; one thread, all of them in one process and called in turn, so that drift of
the machine hits all. Times are those of the processor, not of the wall, so that others on it do not
count; ratios are medians of those of neighbouring calls.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx_ir as ir

from exporter.source.embedded import embedded_source
from serving.artifact import MODEL, Artifact, load_artifact
from serving.model.runtime import Session, make_session


def sessions(artifact: Artifact) -> tuple[int, Session, Session]:
    """The bytes of the classifier alone, its session, and that of the explained graph."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "plain.onnx"
        ir.save(embedded_source(artifact).model, path)
        plain = make_session(path, threads=1)
        return path.stat().st_size, plain, make_session(artifact.path(MODEL), threads=1)


def seconds(session: Session, feed: dict[str, np.ndarray]) -> float:
    """Processor time of one call that computes every output."""
    start = time.thread_time()
    session.run(None, feed)
    return time.thread_time() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("artifacts", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    loaded = [load_artifact(path) for path in options.artifacts]
    opened = [sessions(artifact) for artifact in loaded]
    declared = loaded[0].manifest.input
    print("| batch | bits | classifier, MB | classifier, ms | over the parent's | explained |")
    print("| ----- | ---- | -------------- | -------------- | ----------------- | --------- |")
    for batch in (1, 8):
        data = np.random.default_rng(0).uniform(-1, 1, (batch, *declared.shape[1:]))
        feed = {declared.name: data.astype(np.float32)}
        flat = [session for _, *pair in opened for session in pair]
        for session in flat * 2:
            seconds(session, feed)
        rounds = max(9, options.rounds // batch)
        times = np.array([[seconds(session, feed) for session in flat] for _ in range(rounds)])
        for number, (artifact, (size, *_)) in enumerate(zip(loaded, opened, strict=True)):
            plain, explained = times[:, 2 * number], times[:, 2 * number + 1]
            record = artifact.manifest.quantised
            kind = record.to if record else "float32"
            print(
                f"| {batch} | {kind} | {size / 1e6:.2f} | {1e3 * statistics.median(plain):.2f} | "
                f"{np.median(plain / times[:, 0]):.2f} | {np.median(explained / plain):.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
