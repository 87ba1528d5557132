import subprocess
import sys

import pytest

HEAVY = {"torch", "onnx", "onnx_ir", "scipy", "sklearn", "cvxpy", "transformers"}


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    "statement",
    [
        "import serving",
        "import serving.predictor, serving.picture",
        "import serving.api",
        "import exporter.cli",
    ],
)
def test_running_an_artifact_needs_nothing_of_the_export_extra(statement):
    assert not modules_after(statement) & HEAVY


def test_serving_never_imports_the_exporter():
    assert "exporter" not in modules_after("import serving, serving.picture, serving.api")


def test_exporting_an_onnx_model_needs_no_torch():
    assert "torch" not in modules_after("import exporter.pipeline, exporter.inspection")


@pytest.mark.parametrize("package", ["exporter", "serving"])
def test_every_exported_name_exists(package):
    module = __import__(package)
    assert all(hasattr(module, name) for name in module.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018
