import subprocess
import sys
from pathlib import Path

import pytest
import tiny

HEAVY = {"torch", "onnx", "onnx_ir", "scipy", "sklearn", "cvxpy", "transformers"}


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "statement",
    [
        "import serving",
        "import serving.model.predictor, serving.drawing.picture",
        "import serving.web.api",
        "import exporter.cli",
    ],
)
def test_running_an_artifact_needs_nothing_of_the_export_extra(statement):
    assert not modules_after(statement) & HEAVY


WEB = ("bentoml", "fastapi", "starlette", "uvicorn", "orjson", "prometheus_client", "multipart")


def test_embedding_an_artifact_needs_no_web_server(tiny_export, tmp_path):
    """As where only the base is installed: what the extras bring cannot be imported."""
    tiny.image(0, 1).save(tmp_path / "a.png")
    code = f"""
import sys
sys.modules.update(dict.fromkeys({[*WEB, *sorted(HEAVY)]}))
import serving
explained = serving.Predictor({str(tiny_export[1].folder)!r}).explain({str(tmp_path / "a.png")!r})
print(explained.residual < 1e-4)
from exporter.cli import cli
cli(["explain", {str(tiny_export[1].folder)!r}, {str(tmp_path / "a.png")!r}, "--out", "pictures"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    said = done.stdout.split()
    assert (said[0], said[-1]) == ("True", "pictures/a.png")


def test_serving_without_its_extra_names_it(tiny_export):
    code = f"""
import sys
sys.modules.update(dict.fromkeys({WEB}))
sys.argv = ["protohead", "serve", {str(tiny_export[1].folder)!r}]
from exporter.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("protohead: this verb needs bentoml, fastapi, orjson")
    assert "pip install 'protohead[serve,cpu]'" in done.stderr


def test_serving_never_imports_the_exporter():
    assert "exporter" not in modules_after(
        "import serving, serving.drawing.picture, serving.web.api"
    )


def test_exporting_an_onnx_model_needs_no_torch():
    assert "torch" not in modules_after(
        "import exporter.pipelines.export, exporter.pipelines.inspect"
    )


@pytest.mark.parametrize("package", ["exporter", "protohead", "serving"])
def test_every_exported_name_exists_and_is_listed(package):
    module = __import__(package)
    assert all(hasattr(module, name) for name in module.__all__)
    public = [name for name in dir(module) if not name.startswith("_")]
    assert public == sorted(module.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018


def test_one_name_has_what_both_have_and_costs_nothing_to_import():
    import exporter
    import protohead
    import serving

    assert sorted(protohead.__all__) == sorted([*exporter.__all__, *serving.__all__])
    for package in (exporter, serving):
        assert all(getattr(protohead, name) is getattr(package, name) for name in package.__all__)
    heavy = {*HEAVY, "numpy", "pydantic", "onnxruntime", "exporter", "serving"}
    assert not modules_after("import protohead") & heavy
    assert not modules_after("import protohead; protohead.Predictor") & HEAVY


@pytest.mark.parametrize("package", ["exporter", "serving"])
def test_no_module_hides_an_exported_name(package):
    """Importing ``exporter.verify`` as a module would put it in the place of the function."""
    module = __import__(package)
    found = {path.stem for path in Path(module.__file__).parent.iterdir()}
    assert not found & set(module.__all__)
