"""Torch models become ONNX graphs that compute the same, or are refused with the reason."""

from __future__ import annotations

import itertools
import pickle
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from places import ROOT
from safetensors.torch import save_file
from torch import nn

from exporter.errors import MissingExtraError, SourceError
from exporter.source.onnx_file import Source, load_source
from serving.model.runtime import make_session

pytestmark = pytest.mark.usefixtures("torchlib_once")

CLASSIFIERS = """
import types, torch
from torch import nn

class Tiny(nn.Module):
    def __init__(self, classes=4, side=16):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
            self.drop = nn.Dropout(0.5)
            self.head = nn.Linear(8, classes)
        self.config = types.SimpleNamespace(image_size=side, num_channels=3)

    def pooled(self, image):
        return self.drop(self.features(image).mean((2, 3)))

    def forward(self, image):
        return self.head(self.pooled(image))

class InDict(Tiny):
    def forward(self, image):
        return {"loss": None, "logits": super().forward(image)}

class InObject(Tiny):
    def forward(self, image):
        return types.SimpleNamespace(logits=super().forward(image), hidden_states=image)

class TwoTables(Tiny):
    def forward(self, image):
        return super().forward(image), self.pooled(image), image

class Noisy(Tiny):
    def forward(self, image):
        logits = super().forward(image)
        return logits + torch.rand_like(logits)

class NotFinite(Tiny):
    def forward(self, image):
        return super().forward(image) / 0

class FixedBatch(Tiny):
    def forward(self, image):
        return super().forward(image) + image.shape[0] * torch.ones(image.shape[0])[:, None] \
            if image.shape[0] == 2 else super().forward(image)

class OneByOne(Tiny):
    def forward(self, image):
        return torch.cat([super(OneByOne, self).forward(part[None]) for part in image])

class Branching(Tiny):
    def forward(self, image):
        logits = super().forward(image)
        return logits if logits.sum() > 0 else -logits

class OneSize(Tiny):
    def forward(self, image):
        return self.head(self.features(image).reshape(len(image), 8, 36).mean(2))

class Tokens(Tiny):
    def pooled(self, image):
        tokens = self.features(image).flatten(2).transpose(1, 2)  # (b, tokens, d)
        norm = nn.functional.layer_norm(tokens, (8,))
        return nn.functional.adaptive_avg_pool1d(norm.transpose(1, 2), 1).flatten(1)

class ChannelsLast(Tiny):
    def pooled(self, image):
        norm = nn.functional.layer_norm(self.features(image).permute(0, 2, 3, 1), (8,))
        return nn.functional.adaptive_avg_pool2d(norm.permute(0, 3, 1, 2), 1).flatten(1)

class TooLarge(Tiny):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.zeros(1).expand(2**29))  # 2 GiB that take no memory

class Group:
    tiny = Tiny

def talkative():
    print("building")
    return Tiny()

def unconfigured():
    model = Tiny()
    del model.config
    return model

def rectangular():
    return Tiny(side=(12, 20))

def failing():
    raise RuntimeError("no weights today")

def needs_an_argument(path):
    return Tiny()

def no_module():
    return 3
"""


class Evil:
    """Runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.marker,)


_numbers = itertools.count()


@pytest.fixture
def classifiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a module of classifiers that only the current folder holds."""
    name = f"classifiers_{next(_numbers)}"
    (tmp_path / f"{name}.py").write_text(CLASSIFIERS)
    monkeypatch.chdir(tmp_path)
    return name


def run(source: Source, images: torch.Tensor) -> np.ndarray:
    session = make_session(ir.to_proto(source.model).SerializeToString())
    (logits,) = session.run(["logits"], {source.input.name: images.numpy()})
    return logits


def module(name: str, attribute: str = "Tiny") -> Any:
    """A name of the module of classifiers, read without importing it."""
    return runpy.run_path(f"{name}.py")[attribute]


def state(name: str) -> dict[str, torch.Tensor]:
    """Weights of the tiny classifier that are not those it is built with."""
    return {key: value + 1 for key, value in module(name)().state_dict().items()}


@pytest.mark.parametrize("attribute", ["Tiny", "Group.tiny", "InDict", "InObject"])
def test_a_callable_becomes_a_graph_that_computes_the_same(
    classifiers: str, attribute: str
) -> None:
    source = load_source(f"{classifiers}:{attribute}")
    assert source.name == f"{attribute}.onnx"
    assert source.input.shape == (None, 3, 16, 16)
    for batch in (1, 2, 5):
        images = torch.randn(batch, 3, 16, 16)
        expected = (
            module(classifiers)().eval()(images).detach().numpy()
        )  # eval: no dropout, fixed norm
        # two runtimes add the same float32 products in another order
        np.testing.assert_allclose(run(source, images), expected, atol=1e-6)


def test_the_current_folder_is_importable_only_meanwhile(classifiers: str) -> None:
    before = list(sys.path)
    load_source(f"{classifiers}:Tiny")
    assert sys.path == before


def test_nothing_goes_to_stdout(classifiers: str, capfd: pytest.CaptureFixture[str]) -> None:
    load_source(f"{classifiers}:talkative")
    output = capfd.readouterr()
    assert output.out == ""
    assert "building" in output.err


def test_the_same_model_gives_the_same_bytes_in_another_process(
    classifiers: str, tmp_path: Path
) -> None:
    digests = [load_source(f"{classifiers}:Tiny").sha256 for _ in range(2)]
    code = (
        "from exporter.source.onnx_file import load_source as l; "
        f"print(l('{classifiers}:Tiny').sha256)"
    )
    root = str(ROOT)
    other = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": root, "PYTHONHASHSEED": "1"},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert {*digests, other.stdout.strip()} == {digests[0]}


def test_the_bytes_name_no_path_of_this_machine(classifiers: str, tmp_path: Path) -> None:
    data = ir.to_proto(load_source(f"{classifiers}:Tiny").model).SerializeToString()
    for path in (str(tmp_path), torch.__path__[0], sys.prefix, ".py"):
        assert path.encode() not in data


@pytest.mark.parametrize("attribute", ["Tokens", "ChannelsLast"])
def test_adaptive_pooling_behind_a_transpose_stays_a_mean(classifiers: str, attribute: str) -> None:
    source = load_source(f"{classifiers}:{attribute}")
    operators = [node.op_type for node in source.model.graph]
    assert operators.count("ReduceMean") == 1
    assert "Gather" not in operators


@pytest.mark.parametrize(
    ("attribute", "asked", "shape"),
    [
        ("Tiny", None, (None, 3, 16, 16)),
        ("Tiny", (10, 14), (None, 3, 10, 14)),
        ("rectangular", None, (None, 3, 12, 20)),
        ("unconfigured", None, (None, 3, 224, 224)),
    ],
)
def test_the_input_size_is_the_asked_one_else_the_models_own(
    classifiers: str,
    attribute: str,
    asked: tuple[int, int] | None,
    shape: tuple[int | None, ...],
) -> None:
    source = load_source(f"{classifiers}:{attribute}", input_size=asked)
    assert source.input.shape == shape


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_replace_those_of_the_callable(
    classifiers: str, tmp_path: Path, suffix: str
) -> None:
    untrained = load_source(f"{classifiers}:Tiny")
    weights = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state(classifiers), weights)
    source = load_source(f"{classifiers}:Tiny", weights=weights)
    network = module(classifiers)().eval()
    network.load_state_dict(state(classifiers))
    images = torch.randn(2, 3, 16, 16)
    expected = network(images).detach().numpy()
    # two runtimes add the same float32 products in another order
    np.testing.assert_allclose(run(source, images), expected, rtol=1e-5)
    assert source.sha256 != untrained.sha256


def test_weights_of_another_model_are_refused_by_name(classifiers: str, tmp_path: Path) -> None:
    weights = state(classifiers)
    weights["fc.weight"] = weights.pop("head.weight")
    torch.save(weights, tmp_path / "weights.pt")
    with pytest.raises(SourceError, match=r"missing head\.weight; unexpected fc\.weight"):
        load_source(f"{classifiers}:Tiny", weights=tmp_path / "weights.pt")
    weights["head.weight"] = weights.pop("fc.weight")[:3]
    torch.save(weights, tmp_path / "weights.pt")
    with pytest.raises(SourceError, match=r"size mismatch for head\.weight"):
        load_source(f"{classifiers}:Tiny", weights=tmp_path / "weights.pt")


@pytest.mark.parametrize("form", ["zip", "plain"])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(
    classifiers: str, tmp_path: Path, form: str
) -> None:
    marker = tmp_path / "it_ran"
    weights = tmp_path / "weights.pt"
    evil = {"head.weight": Evil(marker)}
    if form == "zip":
        torch.save(evil, weights)
    else:
        weights.write_bytes(pickle.dumps(evil, protocol=2))
    with pytest.raises(SourceError, match="could run code and are not loaded"):
        load_source(f"{classifiers}:Tiny", weights=weights)
    assert not marker.exists()
    if form == "plain":
        pickle.loads(weights.read_bytes())
        assert marker.exists()  # where it is let, it does run


def test_files_that_are_no_state_dict_are_refused(classifiers: str, tmp_path: Path) -> None:
    model = f"{classifiers}:Tiny"
    with pytest.raises(SourceError, match="found none"):
        load_source(model, weights=tmp_path / "absent.pt")
    torch.save({"layers": 4, "epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(SourceError, match="found layers, epoch"):
        load_source(model, weights=tmp_path / "a.pt")
    torch.save(torch.zeros(3), tmp_path / "b.pt")
    with pytest.raises(SourceError, match="found Tensor"):
        load_source(model, weights=tmp_path / "b.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_damaged_weights_are_refused(classifiers: str, tmp_path: Path, suffix: str) -> None:
    weights = tmp_path / f"weights{suffix}"
    save = save_file if suffix == ".safetensors" else torch.save
    save({"head.weight": torch.zeros(4, 8)}, weights)
    data = weights.read_bytes()
    for length in (0, 4, 20, len(data) // 2, len(data) - 1):
        weights.write_bytes(data[:length])
        with pytest.raises(SourceError, match="weights"):
            load_source(f"{classifiers}:Tiny", weights=weights)


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        ("absent", "cannot be imported: AttributeError"),
        ("failing", "without arguments failed: RuntimeError: no weights today"),
        ("needs_an_argument", "without arguments failed: TypeError"),
        ("no_module", r"returns a torch\.nn\.Module.* got int"),
        ("TwoTables", r"a tuple \(0: shape \(2, 4\), 1: shape \(2, 8\), .*`output`"),
        ("TooLarge", r"2\.0 GiB of weights"),
        ("NotFinite", "expected finite logits"),
        ("OneSize", "failed on random images .*`input_size`"),
        ("Branching", "torch.export cannot trace it"),
        ("OneByOne", "cannot trace it with a free batch size: UserError: .*batch as dynamic but"),
        ("FixedBatch", "depend on the rest of its batch: alone they differ by"),
        ("Noisy", "two runs on the same images differ .* dropout does that is always on"),
    ],
)
def test_a_torch_model_that_cannot_become_a_graph_is_refused(
    classifiers: str, attribute: str, reason: str
) -> None:
    with pytest.raises(SourceError, match=reason) as refusal:
        load_source(f"{classifiers}:{attribute}")
    assert "\n" not in str(refusal.value)


def test_a_missing_module_is_named() -> None:
    with pytest.raises(SourceError, match="No module named 'absent_package'"):
        load_source("absent_package.models:build")


class TimmStub(ModuleType):
    """What this road uses of timm, which cannot be imported without torchvision."""

    def __init__(self, build: Callable[[], Any]) -> None:
        super().__init__("timm")
        self.build = build

    def create_model(self, name: str, *, pretrained: bool) -> nn.Module:
        assert not pretrained  # pretrained=True downloads
        if name != "tiny.a1_in1k":
            raise RuntimeError(f"Unknown model ({name})")
        network = self.build()
        network.config = SimpleNamespace()
        network.pretrained_cfg = {"input_size": (3, 12, 12), "classifier": "head"}
        network.num_classes = 4
        network.reset_classifier = lambda n: setattr(network, "head", nn.Linear(8, n))
        return network


@pytest.fixture
def timm(classifiers: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, "timm", TimmStub(module(classifiers)))
    return classifiers


@pytest.mark.parametrize("classes", [4, 7])
def test_a_timm_model_takes_size_from_timm_and_classes_from_the_weights(
    timm: str, tmp_path: Path, classes: int
) -> None:
    network = module(timm)(classes).eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    source = load_source("timm:tiny.a1_in1k", weights=tmp_path / "weights.safetensors")
    assert source.name == "tiny.a1_in1k.onnx"
    assert source.input.shape == (None, 3, 12, 12)
    images = torch.randn(2, 3, 12, 12)
    expected = network(images).detach().numpy()
    # two runtimes add the same float32 products in another order
    np.testing.assert_allclose(run(source, images), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["local-dir:x", "../x", "hf-hub:a", ""])
def test_a_timm_name_with_a_source_is_refused(timm: str, name: str) -> None:
    with pytest.raises(SourceError, match="plain name of a timm model"):
        load_source(f"timm:{name}", weights=None)


def test_a_timm_model_without_weights_is_refused(timm: str) -> None:
    with pytest.raises(SourceError, match=r"random, not a trained model.*`weights`"):
        load_source("timm:tiny.a1_in1k")


def test_an_unknown_timm_model_is_refused(timm: str, tmp_path: Path) -> None:
    torch.save(state(timm), tmp_path / "weights.pt")
    with pytest.raises(SourceError, match=r"Unknown model \(huge\).*timm\.list_models"):
        load_source("timm:huge", weights=tmp_path / "weights.pt")


def test_without_timm_the_package_is_named(
    classifiers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"head.weight": torch.zeros(4, 8)}, tmp_path / "weights.pt")
    monkeypatch.setitem(sys.modules, "timm", None)  # what makes `import timm` fail
    with pytest.raises(MissingExtraError, match=r"needs timm, .* pip install timm"):
        load_source("timm:resnet18", weights=tmp_path / "weights.pt")
