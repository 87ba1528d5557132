"""The example notebook runs from its first cell to its last, on a model that is small."""

import ast
import json

import numpy as np
import tiny
from places import ROOT

NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
LONGEST = 2000  # characters of a value's text


def cells():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def last_value(source: str, names: dict):
    """Run a cell as a notebook does: the value of its last expression, or None."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return last and eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_it_is_kept_without_what_it_printed():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells())


def test_every_cell_runs_and_shows_little(tmp_path, monkeypatch):
    """In folders as `make demo` leaves them, the tiny classifier in the place of the birds'."""
    folder = tmp_path / "models" / "toybirds"
    folder.mkdir(parents=True)
    config = tiny.write(folder)
    (folder / "tiny.onnx").rename(folder / "toybirds.onnx")
    (folder / "preprocess.json").write_text(config.preprocessing.model_dump_json())
    (folder / "labels.json").write_text(json.dumps(tiny.LABELS))
    (tmp_path / "demo" / "data" / "test").mkdir(parents=True)
    config.data.rename(tmp_path / "demo" / "data" / "train")
    for index in range(3):
        tiny.image(index, 500).save(tmp_path / "demo" / "data" / "test" / f"{index}.jpg")
    (tmp_path / "examples").mkdir()
    monkeypatch.chdir(tmp_path / "examples")

    names: dict = {}
    shown = [last_value("".join(cell["source"]), names) for cell in cells()]
    assert max(len(repr(value)) for value in shown) < LONGEST
    html = [value._repr_html_() for value in shown if hasattr(value, "_repr_html_")]
    assert [text.partition(" ")[0].partition(">")[0] for text in html] == [
        "<table", "<table", "<img", "<img", "<img",
    ]  # fmt: skip
    (lost,) = [value for value in shown if isinstance(value, tuple)]
    np.testing.assert_allclose(*lost, atol=1e-4)  # float32 sums of values below 10
