"""What an explanation costs: the explained graph against the source graph.

    python benchmarks/explained_graph.py SOURCE ARTIFACT

One thread, both graphs in one process, called in turn so that drift of the machine hits both. The
figure is the median of the ratios of neighbouring calls.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import onnx_ir as ir

from exporter.source.onnx_file import load_source
from serving.artifact import MODEL, load_artifact
from serving.model.runtime import Session, make_session


def seconds(session: Session, feed: dict[str, np.ndarray]) -> float:
    """Wall time of one call that computes every output."""
    start = time.perf_counter()
    session.run(None, feed)
    return time.perf_counter() - start


def compare(plain: Session, explained: Session, feed: dict[str, np.ndarray], rounds: int) -> str:
    """One line of the table for one batch."""
    for session in (plain, explained) * 3:
        seconds(session, feed)
    times = []
    for turn in range(rounds):
        order = (plain, explained) if turn % 2 == 0 else (explained, plain)
        pair = {id(session): seconds(session, feed) for session in order}
        times.append((pair[id(plain)], pair[id(explained)]))
    ratios = sorted(after / before for before, after in times)
    low, high = ratios[rounds // 4], ratios[3 * rounds // 4]
    before, after = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
    batch = len(next(iter(feed.values())))
    ratio = statistics.median(ratios)
    return f"| {batch} | {before:.2f} | {after:.2f} | {ratio:.3f} | {low:.3f} to {high:.3f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="the model that was exported, as for protohead export")
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    artifact = load_artifact(options.artifact)
    source = ir.to_proto(load_source(options.source).model).SerializeToString()
    plain = make_session(source, threads=1)
    explained = make_session(artifact.path(MODEL), threads=1)
    shape = artifact.manifest.input.shape[1:]
    print("| batch | source, ms | explained, ms | ratio, median | quartiles |")
    print("| ----- | ---------- | ------------- | ------------- | --------- |")
    for batch in (1, 8):
        data = np.random.default_rng(0).uniform(-1, 1, (batch, *shape)).astype(np.float32)
        feed = {artifact.manifest.input.name: data}
        print(compare(plain, explained, feed, max(9, options.rounds // batch)), flush=True)


if __name__ == "__main__":
    main()
