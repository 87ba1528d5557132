"""What explaining a head costs and keeps, with prototypes drawn at random.

    python -m benchmarks.heads MODEL.onnx [MODEL.onnx ...] [--batch 1 8] [--rounds 10]

The cost of an explained graph does not depend on what its prototypes are, nor do its sums, so any
classifier can be asked before it is exported: are its logits bit-identical, does what is summed
give them, and how long does the explained graph take beside the plain one. One thread, five
classes, three prototypes each; processor time, the plain graph and the explained one in turns.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from benchmarks.paper.markdown import table
from exporter.decompose import smoothing_of
from exporter.errors import ExporterError
from exporter.graph.read import dimensions, image_input
from exporter.head import Head, find_head
from exporter.head.rows import round_exactly, split_reference
from exporter.smoothing import NONE
from exporter.source.graph_session import open_session
from exporter.source.onnx_file import load_source
from exporter.surgery import add_prototype_outputs
from serving.errors import ArtifactError
from serving.model.runtime import Session, output_names, run

TOP, PROTOTYPES, BATCHES = 5, 3, (1, 8)
_SIDE = 224
HEADINGS = ("model", "batch", "bits kept", "residual", "unplaced", "explained / plain", "plain, ms")


class Explained(NamedTuple):
    """A classifier beside its explained graph."""

    head: Head
    plain: Session
    explained: Session
    input: str
    shape: tuple[int | None, ...]


def explain(model: ir.Model, *, smooth: bool = False) -> tuple[Head, ir.Model]:
    """Explain a classifier by random prototypes that sum to its rows, less their mean.

    Args:
        model: The classifier; it is not changed.
        smooth: With smoothed heatmaps, as an export has them.

    Returns:
        Its head, and the explained graph.

    Raises:
        ExporterError: Its head cannot be decomposed.
    """
    head = find_head(model)
    split = split_reference(head, None, multilabel=False)
    random = np.random.default_rng(0)
    rows = split.rows
    parts = random.normal(scale=np.abs(rows).mean(), size=(len(rows), PROTOTYPES, rows.shape[1]))
    if head.chain is not None and head.chain.map is not None:
        behind = slice(head.chain.mapped, None)
        parts[:, :, behind] = random.normal(size=parts.shape[:2])[..., None] * rows[:, None, behind]
    parts[:, -1] = rows - parts[:, :-1].sum(axis=1)
    prototypes = np.stack([round_exactly(own, row) for own, row in zip(parts, rows, strict=True)])
    grid = head.grid or (1, 1)
    passes = smoothing_of("evidence", grid) if smooth else NONE
    graph = add_prototype_outputs(
        model,
        head,
        prototypes,
        reference=split.reference,
        top=TOP,
        grid=grid,
        smoothing=passes,
    )
    return head, graph


def build(path: Path) -> Explained:
    """A classifier beside its explained graph, both on one thread.

    Raises:
        ExporterError: It cannot be read, or its head cannot be decomposed.
    """
    model = load_source(str(path)).model
    head, graph = explain(model)
    found = image_input(model.graph)
    if found is None:
        raise ExporterError("expected one image as input.")
    shape = dimensions(found[0]) or ()
    return Explained(
        head,
        open_session(model, threads=1),
        open_session(graph, threads=1),
        found[0].name or "",
        shape,
    )


class Cost(NamedTuple):
    """What explaining a classifier keeps and costs at one size of batch.

    Attributes:
        batch: Images.
        kept: Whether every output of the plain graph has its bits.
        residual: The largest error of the sums, of what is summed.
        unplaced: Share of the evidence without a place.
        ratio: Time of the explained graph over the plain one's, the median of the rounds.
        plain: The plain graph's shortest time, seconds.
    """

    batch: int
    kept: bool
    residual: float
    unplaced: float
    ratio: float
    plain: float


def costs(path: Path, batches: Sequence[int], rounds: int) -> list[Cost]:
    """Measure a classifier at each size of batch.

    Raises:
        ExporterError: It cannot be read, or its head cannot be decomposed.
        ArtifactError: One of the graphs does not run.
    """
    one = build(path)
    return [_cost(one, batch, rounds) for batch in batches]


def rows_of(path: Path, batches: Sequence[int], rounds: int) -> list[list[str]]:
    """A row of the table for each batch."""
    try:
        return [_row(path.stem, cost) for cost in costs(path, batches, rounds)]
    except (ExporterError, ArtifactError) as error:
        return [[path.stem, "", f"refused: {error}", "", "", "", ""]]


def _row(name: str, cost: Cost) -> list[str]:
    return [
        name,
        str(cost.batch),
        "yes" if cost.kept else "no",
        f"{cost.residual:.0e}",
        f"{cost.unplaced:.0%}",
        f"{cost.ratio:.2f}",
        f"{1e3 * cost.plain:.0f}",
    ]


def _cost(one: Explained, batch: int, rounds: int) -> Cost:
    shape = [batch, *(_SIDE if size is None else size for size in one.shape[1:])]
    feeds = {one.input: np.random.default_rng(1).normal(size=shape).astype(np.float32)}
    plain, own = (_timed(session, feeds, 1)[0] for session in (one.plain, one.explained))
    kept = all(own[name].tobytes() == value.tobytes() for name, value in plain.items())
    times = np.array(
        [[_timed(s, feeds, 1)[1] for s in (one.plain, one.explained)] for _ in range(rounds)]
    )
    ratio = float(np.median(times[:, 1] / times[:, 0]))
    return Cost(batch, kept, *sums(one.head, own), ratio, float(times[:, 0].min()))


def _timed(
    session: Session, feeds: dict[str, NDArray[np.float32]], times: int
) -> tuple[dict[str, NDArray[Any]], float]:
    start = time.process_time()
    for _ in range(times):
        found = run(session, output_names(session), feeds)
    return found, time.process_time() - start


def sums(head: Head, found: dict[str, NDArray[Any]]) -> tuple[float, float]:
    """The largest residual, of what is summed, and the share of the evidence without a place."""
    ids = found["class_ids"]
    logits = np.take_along_axis(found[head.logits].reshape(len(ids), -1), ids, axis=1)
    unplaced = found.get("unplaced", np.zeros(ids.shape))
    placed = found["contributions"].sum(axis=2, dtype=np.float64)
    rest = head.bias[ids] + found["common"].astype(np.float64) + found.get("rounding", 0.0)
    size = np.abs(found["contributions"]).sum(axis=2) + np.abs(unplaced) + np.abs(rest)
    residual = np.abs(placed + unplaced + rest - logits) / size
    share = np.abs(unplaced).sum() / (np.abs(unplaced) + np.abs(placed)).sum()
    return float(residual.max()), float(share)


def main() -> None:
    """Measure and print."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.heads", description=__doc__.splitlines()[0]
    )
    parser.add_argument("model", type=Path, nargs="+")
    parser.add_argument("--batch", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    rows = [row for path in options.model for row in rows_of(path, options.batch, options.rounds)]
    print(table(HEADINGS, rows))
    sys.exit(any("refused" in row[2] for row in rows))


if __name__ == "__main__":
    main()
