"""A heatmap that is not laid out as its picture is found out, in either graph."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import patches
import pytest
from graphs import ints
from manifests import write_manifest
from numpy.typing import NDArray
from onnx.numpy_helper import from_array

from exporter import export as run_export
from exporter import verify
from exporter.errors import VerificationError
from exporter.source.embedded import embedded_source
from exporter.verification.grid_gate import grid_gate
from serving import Artifact, Predictor, load_artifact
from serving.artifact import GateRecord

MODEL, STEERABLE, MANIFEST = "model.onnx", "steerable.onnx", "manifest.json"
Numbers = NDArray[np.int64]


def gate(folder: Path) -> GateRecord:
    predictor = Predictor(load_artifact(folder), threads=1)
    return grid_gate(predictor, embedded_source(predictor.artifact).model, threads=1)


@pytest.fixture(scope="module", params=patches.TAILS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """An artifact of each layout, on a grid of 16 x 4."""
    folder = tmp_path_factory.mktemp(request.param)
    artifact = run_export(patches.write(folder, tail=patches.TAILS[request.param]))
    assert artifact.manifest.head.layout == request.param
    return artifact


@pytest.fixture
def square(tiny_export: tuple[Any, Artifact], tmp_path: Path) -> Path:
    """A copy of an artifact with a grid of 12 x 12, whose cells see beyond their own place."""
    return Path(shutil.copytree(tiny_export[1].folder, tmp_path / "artifact"))


def rewrite(folder: Path, graph: str, change: Callable[[onnx.ModelProto], None]) -> None:
    """Change a graph, and the hash in the manifest with it."""
    model = onnx.load(folder / graph)
    change(model)
    onnx.save(model, folder / graph)
    content = json.loads((folder / MANIFEST).read_text())
    content["files"][graph] = hashlib.sha256((folder / graph).read_bytes()).hexdigest()
    write_manifest(folder, content)


def say_grid(folder: Path, grid: tuple[int, int]) -> None:
    content = json.loads((folder / MANIFEST).read_text())
    content["head"]["grid"] = grid
    write_manifest(folder, content)


def rearranged(order: Numbers, grid: tuple[int, int]) -> Callable[[onnx.ModelProto], None]:
    """Each cell shows the heat of the cell whose number it has in ``order``."""
    own = "protohead/moved/"  # taken away with all that was added to the source

    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            node.output[:] = [own + "heat" if n == "heatmaps" else n for n in node.output]
        constants = {"line": ints(0, 0, 0, -1), "order": order.ravel(), "map": ints(0, 0, 0, *grid)}
        model.graph.initializer.extend(from_array(v, own + n) for n, v in constants.items())
        steps = [
            ("Reshape", ["heat", "line"], "a", {}),
            ("Gather", ["a", "order"], "b", {"axis": 3}),
            ("Reshape", ["b", "map"], "c", {}),
        ]
        for kind, reads, name, options in steps:
            output = "heatmaps" if name == "c" else own + name
            inputs = [own + read for read in reads]
            node = onnx.helper.make_node(kind, inputs, [output], own + name, **options)
            model.graph.node.append(node)
        declared = next(value for value in model.graph.output if value.name == "heatmaps")
        for axis, size in zip((3, 4), grid, strict=True):
            declared.type.tensor_type.shape.dim[axis].dim_value = size

    return change


def cells(grid: tuple[int, int]) -> Numbers:
    """(h, w): every cell's own number."""
    return np.arange(grid[0] * grid[1]).reshape(grid)


ORDERS: dict[str, Callable[[Numbers], Numbers]] = {
    "column by column": lambda own: own.T.reshape(own.shape),
    "mirrored": lambda own: own[:, ::-1],
    "upside down": lambda own: own[::-1],
    "turned": lambda own: own[::-1, ::-1],
    "shuffled": lambda own: np.random.default_rng(0).permutation(own.ravel()).reshape(own.shape),
    "one row too low": lambda own: np.roll(own, 1, axis=0),
    "one column too far": lambda own: np.roll(own, 1, axis=1),
}


def test_every_layout_passes_with_a_margin(exported: Artifact) -> None:
    (found,) = [gate for gate in exported.manifest.verification if gate.name == "grid"]
    assert (found.state, found.limit) == ("passed", 0.3)
    assert found.value is not None
    assert found.value < 0.1  # at most 0.2 on every network that was measured


def test_cells_that_see_beyond_their_place_pass(square: Path) -> None:
    found = gate(square)
    assert found.state == "passed"
    assert found.value is not None
    assert found.value < 0.1


@pytest.mark.parametrize("graphs", [(MODEL,), (STEERABLE,), (MODEL, STEERABLE)])
@pytest.mark.parametrize("name", ORDERS)
def test_heat_that_is_not_where_its_features_are_fails(
    square: Path, name: str, graphs: tuple[str, ...]
) -> None:
    for graph in graphs:
        rewrite(square, graph, rearranged(ORDERS[name](cells((12, 12))), (12, 12)))
    found = gate(square)
    assert (found.state, found.limit) == ("failed", 0.01)
    assert found.value is not None
    assert found.value > 0.5


@pytest.mark.parametrize("graphs", [(MODEL,), (STEERABLE,), (MODEL, STEERABLE)])
@pytest.mark.parametrize("name", ["column by column", "shuffled", "one row too low"])
def test_so_it_does_in_every_layout(
    exported: Artifact, name: str, graphs: tuple[str, ...], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(exported.folder, tmp_path / "artifact"))
    for graph in graphs:
        rewrite(folder, graph, rearranged(ORDERS[name](cells((16, 4))), (16, 4)))
    found = gate(folder)
    assert found.state == "failed"
    assert found.value is not None
    assert found.value > 0.5


def test_no_other_gate_sees_a_shuffled_heatmap(square: Path) -> None:
    rewrite(square, STEERABLE, rearranged(ORDERS["shuffled"](cells((12, 12))), (12, 12)))
    assert [gate.name for gate in verify(square) if gate.state == "failed"] == ["grid"]


def test_a_grid_that_only_the_manifest_has_fails(exported: Artifact, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported.folder, tmp_path / "artifact"))
    say_grid(folder, (8, 8))
    found = gate(folder)
    assert found.state == "failed"
    assert "the manifest says a grid of 8 x 8" in found.detail


def test_a_grid_that_the_source_does_not_have_fails(exported: Artifact, tmp_path: Path) -> None:
    # what an export wrote that took 64 tokens for 8 x 8
    folder = Path(shutil.copytree(exported.folder, tmp_path / "artifact"))
    say_grid(folder, (8, 8))
    for graph in (MODEL, STEERABLE):
        rewrite(folder, graph, rearranged(cells((8, 8)), (8, 8)))
    found = gate(folder)
    assert found.state == "failed"
    assert "8 x 8, the source's features have 16 x 4" in found.detail


# Against pictures: what the graph does not tell


def mixed(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> dict[str, Any]:
    """A model whose cells are mixed row by row and column by column, where no walk sees order."""
    tail = (
        "m = MatMul (rows, r) n = MatMul (m, columns) "
        "z = ReduceMean <axes = [2, 3], keepdims = 0> (n)"
    )
    weights = {"rows": rows.astype(np.float32), "columns": columns.astype(np.float32)}
    return {"tail": tail, "weights": weights}


def test_a_map_that_the_network_itself_turns_upside_down_is_not_exported(tmp_path: Path) -> None:
    config = patches.write(tmp_path, **mixed(np.eye(16)[::-1], np.eye(4)))
    with pytest.raises(
        VerificationError, match=r"1 of 14.*grid: .* places apart is in other cells"
    ):
        run_export(config)


def test_a_map_of_unknown_order_that_is_upright_is_exported(tmp_path: Path) -> None:
    artifact = run_export(patches.write(tmp_path, **mixed(np.eye(16), np.eye(4))))
    assert {gate.state for gate in artifact.manifest.verification} == {"passed"}


def test_a_network_that_looks_at_no_place_is_not_judged(square: Path) -> None:
    def blind(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name == "w1":
                tensor.CopyFrom(from_array(np.zeros(tensor.dims, np.float32), "w1"))

    for graph in (MODEL, STEERABLE):
        rewrite(square, graph, blind)
    found = gate(square)
    assert found.state == "skipped"
    assert "the heat does not change where a picture does" in found.detail


def test_a_network_that_sees_the_whole_picture_from_every_cell_is_not_judged(
    tmp_path: Path,
) -> None:
    artifact = run_export(
        patches.write(tmp_path, **mixed(np.full((16, 16), 1 / 16), np.full((4, 4), 1 / 4)))
    )
    found = {gate.name: gate for gate in artifact.manifest.verification}["grid"]
    assert found.state == "skipped"
    assert "too little to tell places apart" in found.detail


def test_a_single_cell_has_no_wrong_place(tmp_path: Path) -> None:
    artifact = run_export(patches.write(tmp_path, patch=(64, 64)))
    found = {gate.name: gate for gate in artifact.manifest.verification}["grid"]
    assert (found.state, artifact.manifest.head.grid) == ("skipped", (1, 1))
    assert "one cell" in found.detail


def test_a_graph_of_fixed_batch_size_passes(tmp_path: Path) -> None:
    artifact = run_export(patches.write(tmp_path, batch=3))
    assert gate(artifact.folder).state == "passed"


def test_the_gate_gives_the_same_value_each_time(square: Path) -> None:
    assert gate(square) == gate(square)


@pytest.mark.parametrize("patch", [(64, 64), (32, 32), (16, 16), (4, 4)])
def test_the_gate_runs_the_network_on_about_64_pictures(
    patch: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_export(patches.write(tmp_path, patch=patch)).folder
    seen, run = [], Predictor.run

    def counted(self: Predictor, batch: NDArray[np.float32], **options: Any) -> Any:
        if options.get("classes") is not None:
            seen.append(len(batch))
        return run(self, batch, **options)

    monkeypatch.setattr(Predictor, "run", counted)
    gate(folder)
    assert sum(seen) <= 64 + 10
