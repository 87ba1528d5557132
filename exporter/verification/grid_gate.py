"""The gate "grid": a cell of a heatmap is the place of the picture that it is laid over.

Means are blind to it: permuted positions have the same mean. Two questions:

1. Is the heat at a row and a column what prototypes and features give there? Of both graphs; the
   features are the source's own, on the grid that its graph says. All heatmaps together are

       distance = sqrt(sum of (found - expected)² / sum of (expected - mean of its map)²)

   away from prototypes @ features, smoothed. The limit is 0.01. Measured: 7e-8 to 1.2e-6, the
   rounding of float32 sums over channels, on the toy birds, the bird species, tests/tiny.py, tokens
   and 23 networks of tests/architectures.py; one row too low, transposed, flipped or permuted 0.7
   to 1.8.
2. Is a place hot where it is painted? Each place of a few pictures is inverted in turn. How much
   more a cell changes for a place than it does for others is its lead: log |change|, less its mean
   over places and its mean over cells. The best assignment of cells to places is found on half of
   the pictures and its lead measured on the others, so that noise finds nothing.

       misplaced = 1 - lead of each place's own cell / lead of the best cells

   The limit is 0.3. Measured on the same, over several seeds: at most 0.20 (bird species 0.04, toy
   birds 0.01); transposed, flipped or permuted at least 0.37 with random weights and 0.77 with
   trained ones, on a grid of other sides at least 0.46. One row too low may pass, 0.1 to 0.5 where
   neighbours look alike: that is what the first question is for.

A network whose cells tell places apart by less than 15 % cannot be asked the second: skipped. With
random weights on a grid of 2 x 2, where every cell sees the whole picture, it is 0 to 1 %.

Symbols: n pictures, q places painted, t classes, k prototypes, d channels, p = h*w cells.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file
from scipy.optimize import linear_sum_assignment

from exporter.errors import ExporterError, VerificationError
from exporter.head import find_head
from exporter.images.features import feature_rows
from exporter.smoothing import smooth_heatmaps
from exporter.source.graph_session import open_session
from exporter.surgery import ROW, features_of, fix_input_size, tap_features
from exporter.verification.gates import COMPLETENESS, limit_gate, worst
from serving.artifact import PROTOTYPES, GateRecord, Manifest
from serving.errors import ArtifactError
from serving.model.outputs import Outputs
from serving.model.padding import run_in_batches
from serving.model.predictor import Predictor
from serving.model.preprocess import to_tensor
from serving.model.runtime import run

NAME = "grid"
_DISTANCE = 0.01
_MISPLACED = 0.3
_LEAST_LEAD = math.log(1.15)
_PLACES = 32
_RUNS = 64
_CLASSES = 8
_BATCH = 8
_ROUNDING = COMPLETENESS  # of the largest heat: what changes less changes by float32 rounding
_FLAT = 1e-3  # of the sum of |prototype| |feature|: a map that varies less than that is flat
_TINY = float(np.finfo(np.float64).tiny)
_FLOOR = 1e-6  # of the largest change: where a cell sees nothing of a place, its log is not endless
Array = NDArray[Any]


def grid_gate(predictor: Predictor, graph: ir.Model, *, threads: int = 0) -> GateRecord:
    """Hold the grid of an artifact against the graph and against pictures.

    Args:
        predictor: The artifact.
        graph: Its source.
        threads: Threads inside an operator; 0 takes all cores.

    Returns:
        The gate; skipped where the network does not tell one place from another.
    """
    pictures = _pictures(predictor)
    try:
        distance = _distance(predictor, graph, pictures, threads)
        if not distance <= _DISTANCE:
            unit = "of what varies over the cells lies between heatmaps and prototypes @ features"
            return limit_gate(NAME, distance, _DISTANCE, unit)
        return _held_against(predictor, pictures)
    except (ExporterError, ArtifactError) as error:
        return GateRecord(name=NAME, state="failed", detail=str(error))


def _pictures(predictor: Predictor) -> list[Array]:
    """Pictures of seeded noise, coarse to fine, (H, W, 3) uint8."""
    height, width = predictor.manifest.input.preprocessing.size
    generator = np.random.default_rng(0)
    found = []
    for number in range(max(2, _RUNS // (1 + len(_places(predictor.manifest.head.grid))))):
        cells = 8 * 2 ** (number % 4)
        pixels = generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
        found.append(np.asarray(picture))
    return found


def _places(grid: tuple[int, int]) -> NDArray[np.int64]:
    """Some cells of a grid, evenly spread, by their number (q,)."""
    cells = grid[0] * grid[1]
    return np.linspace(0, cells - 1, min(cells, _PLACES)).round().astype(np.int64)


# 1. The heat at a cell, against the features there


def _distance(predictor: Predictor, graph: ir.Model, pictures: list[Array], threads: int) -> float:
    """The largest distance of a graph's heatmaps from prototypes @ features."""
    table = load_file(predictor.artifact.path(PROTOTYPES))["prototypes"]
    batches = _batches(predictor, pictures[:_BATCH])
    found = 0.0
    features = _features(predictor.manifest, graph, batches, threads)
    for batch, rows in zip(batches, features, strict=True):
        own = predictor.run(batch)
        asked = predictor.run(batch, classes=own.class_ids)
        for outputs in (own, asked):
            found = worst(found, _distance_of(outputs, rows, table, predictor.manifest))
    return found


def _features(
    manifest: Manifest, graph: ir.Model, batches: list[NDArray[np.float32]], threads: int
) -> list[Array]:
    """The source's feature maps of some batches, (n, p, d) each."""
    model = graph.clone()
    fix_input_size(model, manifest.input.preprocessing.size)
    head = find_head(model, output=manifest.head.output)
    session = open_session(tap_features(model, head), threads=threads)
    given: dict[str, NDArray[np.generic]] = {}
    if head.chain is not None and head.chain.map is not None:
        given[ROW] = np.zeros((1, 1, head.chain.size), np.float32)  # of no class: it is not read
    found = []
    for batch in batches:
        values = run_in_batches(
            lambda feeds: run(session, [features_of(head)], {**feeds, **given}),
            {manifest.input.name: batch},
            manifest.input.shape[0],
        )
        rows, grid = feature_rows(values[features_of(head)], head)
        if grid != manifest.head.grid:
            raise _disagreement(manifest.head.grid, "the source's features", grid)
        found.append(rows)
    return found


def _disagreement(told: tuple[int, ...], what: str, found: tuple[int, ...]) -> VerificationError:
    shown = [" x ".join(str(size) for size in sizes) for sizes in (told, found)]
    return VerificationError(f"the manifest says a grid of {shown[0]}, {what} have {shown[1]}")


def _distance_of(outputs: Outputs, rows: Array, table: Array, manifest: Manifest) -> float:
    """Of the heatmaps (n, t, k, h, w) of one graph, features (n, p, d), prototypes (c, k, d)."""
    grid = manifest.head.grid
    if outputs.heatmaps.shape[3:] != grid:
        raise _disagreement(grid, "a graph's heatmaps", outputs.heatmaps.shape[3:])
    chosen = table[outputs.class_ids].reshape(len(rows), -1, table.shape[2]).astype(np.float64)
    features = rows.transpose(0, 2, 1).astype(np.float64)  # (n, d, p)
    expected = chosen @ features  # (n, t * k, p)
    sharp = expected.reshape(*expected.shape[:2], *grid)
    expected = smooth_heatmaps(sharp, manifest.method.smoothing).reshape(expected.shape)
    heat = outputs.heatmaps.reshape(expected.shape).astype(np.float64)
    shown = heat.any(axis=2, keepdims=True)  # a muted prototype has no heat anywhere
    parts = _norm(_FLAT * (np.abs(chosen) @ np.abs(features)) * shown)
    varying = _norm((expected - expected.mean(axis=2, keepdims=True)) * shown)
    return _norm((heat - expected) * shown) / max(varying, parts, _TINY)


def _norm(values: Array) -> float:
    return float(np.linalg.norm(values.ravel()))


# 2. The heat of a place, against the picture


def _held_against(predictor: Predictor, pictures: list[Array]) -> GateRecord:
    """Where the heat is when a place is painted."""
    grid = predictor.manifest.head.grid
    if grid == (1, 1):
        return _skipped("the grid has one cell")
    places = _places(grid)
    changes = [_changes(predictor, picture, places) for picture in pictures]
    leads = np.array([_lead(change) for change in changes if change is not None])
    if len(leads) < 2:
        return _skipped("the heat does not change where a picture does")
    own = float(leads[:, np.arange(len(places)), places].mean())
    best = _best_lead(leads[::2].mean(axis=0), leads[1::2].mean(axis=0))
    if best < _LEAST_LEAD:
        return _skipped(
            f"a cell is {math.expm1(max(best, 0)):.0%} hotter for one place than for others, too "
            "little to tell places apart"
        )
    value = max(0.0, 1 - own / best)
    return limit_gate(
        NAME, value, _MISPLACED, f"of what tells {len(places)} places apart is in other cells"
    )


def _skipped(reason: str) -> GateRecord:
    detail = f"heat and features agree at every cell; not held against pictures: {reason}"
    return GateRecord(name=NAME, state="skipped", detail=detail)


def _changes(
    predictor: Predictor, picture: Array, places: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """How much each cell changes when a place is inverted, (q, p); None if by rounding at most."""
    grid = predictor.manifest.head.grid
    painted = [_inverted(picture, grid, int(place)) for place in places]
    count = len(predictor.manifest.classes)
    ids = np.linspace(0, count - 1, min(count, _CLASSES)).round().astype(np.int64)
    heat = []
    for batch in _batches(predictor, [picture, *painted]):
        outputs = predictor.run(batch, classes=np.tile(ids, (len(batch), 1)))
        heat.append(outputs.heatmaps.reshape(len(batch), -1, grid[0] * grid[1]))
    values = np.concatenate(heat).astype(np.float64)  # (1 + q, t * k, p)
    changes: NDArray[np.float64] = np.abs(values[1:] - values[0]).sum(axis=1)
    heard = changes.max() > _ROUNDING * np.abs(values[0]).sum(axis=0).max()
    return changes if heard else None


def _inverted(picture: Array, grid: tuple[int, int], place: int) -> Array:
    """The picture with the pixels of one cell inverted."""
    corner = divmod(place, grid[1])
    rows, columns = (
        slice(index * size // cells, max((index + 1) * size // cells, index * size // cells + 1))
        for index, size, cells in zip(corner, picture.shape, grid, strict=False)
    )
    painted = picture.copy()
    painted[rows, columns] = 255 - painted[rows, columns]
    return painted


def _batches(predictor: Predictor, pictures: list[Array]) -> list[NDArray[np.float32]]:
    """Input tensors in batches, as many as a graph takes that fixes their size."""
    size = predictor.manifest.input.shape[0] or _BATCH
    tensors = [
        to_tensor(Image.fromarray(picture), predictor.manifest.input.preprocessing)
        for picture in pictures
    ]
    return [np.stack(tensors[i : i + size]) for i in range(0, len(tensors), size)]


def _lead(changes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lead of each cell for each place, (q, p), of changes (q, p)."""
    logs = np.log(np.maximum(changes, _FLOOR * changes.max()))
    lead: NDArray[np.float64] = logs - logs.mean(axis=0) - logs.mean(axis=1)[:, None] + logs.mean()
    return lead


def _best_lead(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The mean lead of the best cells for the places, found on one half, measured on the other."""
    found = []
    for here, there in ((first, second), (second, first)):
        found.append(there[linear_sum_assignment(-here)].mean())
    return float(np.mean(found))
