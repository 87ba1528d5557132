"""What several test files share."""

import functools
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import tiny
import two_layers
from hypothesis import settings
from places import TOYBIRDS
from quantised import write_quantised

from exporter import ExportConfig, export
from exporter.cli import main
from serving import Artifact

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def toybirds() -> ModuleType:
    """The toybirds generator, models/toybirds/generate.py, as a module."""
    sys.path.insert(0, str(TOYBIRDS))  # as when the script is run, so that it finds `birds`
    spec = importlib.util.spec_from_file_location("toybirds", TOYBIRDS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def torchlib_once() -> Iterator[None]:
    """torch.onnx parses its 500 translations anew for each export: 1.4 s of 2.4 s for a small one.

    Here they are parsed once; that another process gives the same bytes is a test of its own.
    """
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(ONNXRegistry.from_torchlib)
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(once))
        yield


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the program in this process: exit code, stdout, stderr."""

    def run_(*arguments):
        monkeypatch.setattr(sys, "argv", ["protohead", *map(str, arguments)])
        monkeypatch.delenv("GITHUB_ACTIONS", raising=False)  # a test that wants it says so
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return stopped.value.code, out, err

    return run_


@pytest.fixture(scope="session")
def tiny_export(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportConfig, Artifact]:
    """The tiny classifier's export: its config and its artifact. Copy before you change it."""
    config = tiny.write(tmp_path_factory.mktemp("tiny"))
    return config, export(config)


@pytest.fixture(scope="session")
def two_layers_export(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportConfig, Artifact]:
    """The same with a head of two layers, of whose logits something is unplaced."""
    config = two_layers.write(tmp_path_factory.mktemp("two_layers"))
    return config, export(config)


@pytest.fixture(scope="session")
def rounded_export(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExportConfig, Artifact]:
    """The same quantised to 8 bits, its head too, which rounds the logits."""
    folder = tmp_path_factory.mktemp("rounded")
    config = tiny.write(folder)
    write_quantised(config.model, folder, form="QDQ", whole=True)
    return config, export(config)
