"""Models of transformers and timm from disk, and what they say of themselves; no network."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import tiny
import torch
import transformers
from safetensors.torch import save_file
from torch import nn

from exporter.errors import MissingExtraError, SourceError
from exporter.source import torch_timm
from exporter.source.onnx_file import load_source
from serving.artifact import load_artifact

pytestmark = pytest.mark.usefixtures("torchlib_once")

LABELS = dict(enumerate(tiny.LABELS))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A trained-looking ResNet as `save_pretrained` leaves it, beside its processor."""
    folder = tmp_path_factory.mktemp("hub") / "my-resnet"
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], id2label=LABELS
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = transformers.ResNetForImageClassification(config)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, mean=1, std=0.1)
    network.save_pretrained(folder)
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 24, "width": 24},
        "image_mean": [0.4, 0.5, 0.6],
        "image_std": [0.2, 0.2, 0.2],
        "resample": 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    return shutil.copytree(saved, tmp_path / "my-resnet")


def test_a_folder_is_exported_with_its_own_preprocessing_and_labels(folder, tmp_path, run, caplog):
    tiny.write(tmp_path)
    code, _, err = run(
        "export",
        f"hf:{folder}",
        "--data",
        tmp_path / "data",
        "--out",
        tmp_path / "artifact",
        "-k",
        2,
    )
    assert code == 0, err
    assert (
        "using the model's own preprocessing: resize (24, 24), bicubic, RGB, mean (0.4"
        in caplog.text
    )
    assert "using the model's own 3 labels" in caplog.text
    assert "freshly initialised" not in caplog.text
    manifest = load_artifact(tmp_path / "artifact").manifest
    assert manifest.labels == tiny.LABELS
    assert manifest.source.file == "my-resnet.onnx"
    assert manifest.input.preprocessing.mean == (0.4, 0.5, 0.6)
    assert manifest.input.shape == (None, 3, 24, 24)


def test_a_preset_that_contradicts_the_folder_is_warned_of(folder, tmp_path, run, caplog):
    tiny.write(tmp_path)
    out = ("--out", tmp_path / "artifact", "-k", 2, "--preset", "half")
    assert run("export", f"hf:{folder}", "--data", tmp_path / "data", *out)[0] == 0
    assert "the preset half contradicts what the model says of itself: resize 27" in caplog.text


def edit_config(folder: Path, **change: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def pointer(folder: Path) -> None:
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n"
    (folder / "model.safetensors").write_text(text)


def headless(folder: Path) -> None:
    edit_config(folder, architectures=["ResNetModel"])
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in weights.items() if not key.startswith("classifier")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def other_kind(folder: Path) -> None:
    edit_config(folder, model_type="bert", architectures=["BertModel"])


def own_code(folder: Path) -> None:
    edit_config(folder, model_type="mine", auto_map={"AutoModelForImageClassification": "m.M"})


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def bad_config(folder: Path) -> None:
    (folder / "config.json").write_text("[1]")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (pointer, "a Git LFS pointer"),
        (headless, r"2 weights are not in its files and would be random, first classifier"),
        (other_kind, "cannot load it as an image classifier: ValueError: Unrecognized config"),
        (own_code, "cannot load it as an image classifier: ValueError"),
        (no_weights, r"expected weights \(model.safetensors or .* found config.json"),
        (no_config, "cannot read config.json: No such file"),
        (bad_config, "expected a JSON object in config.json"),
    ],
)
def test_a_folder_that_is_no_trained_classifier_is_refused(folder, spoil, reason):
    spoil(folder)
    with pytest.raises(SourceError, match=reason) as refusal:
        load_source(f"hf:{folder}")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["microsoft/resnet-50", "absent"])
def test_a_name_of_the_hub_is_not_downloaded(name):
    with pytest.raises(SourceError, match=r"found none\. Nothing is downloaded here: write one"):
        load_source(f"hf:{name}")


def test_weights_beside_a_folder_are_refused(folder):
    with pytest.raises(SourceError, match="the folder carries its weights"):
        load_source(f"hf:{folder}", weights=folder / "model.safetensors")


def test_a_folder_given_without_hf_is_told_how(folder):
    with pytest.raises(SourceError, match=f"is given as hf:{folder}"):
        load_source(str(folder))


def test_without_transformers_the_package_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"needs transformers, .* pip install transformers"):
        load_source(f"hf:{folder}")


class Small(nn.Module):
    """What timm would build."""

    def __init__(self, classes: int = 4, heads: tuple[str, ...] = ("head",)) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 8, 3)
        for head in heads:
            setattr(self, head, nn.Linear(8, classes))
        self.heads, self.num_classes = heads, classes
        self.pretrained_cfg = {
            "input_size": (3, 12, 12),
            "classifier": heads[0] if len(heads) == 1 else heads,
            "crop_pct": 0.5,
            "mean": (0.1, 0.2, 0.3),
            "std": (0.5, 0.5, 0.5),
            "interpolation": "bicubic",
        }

    def reset_classifier(self, classes: int) -> None:
        for head in self.heads:
            setattr(self, head, nn.Linear(8, classes))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        pooled = torch.relu(self.features(image)).mean((2, 3))
        return sum(getattr(self, head)(pooled) for head in self.heads) / len(self.heads)


class Timm(ModuleType):
    """What this road uses of timm."""

    def create_model(self, name: str, *, pretrained: bool, **options) -> nn.Module:
        assert not pretrained  # pretrained=True downloads
        heads = {"small.a1": ("head",), "small": ("head",), "distilled": ("head", "head_dist")}
        if name not in heads:
            raise RuntimeError(f"Unknown model ({name})")
        return Small(heads=heads[name], **options)


@pytest.fixture
def timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", Timm("timm"))


def test_a_timm_models_preprocessing_is_its_own(timm, tmp_path):
    save_file(Small().state_dict(), tmp_path / "weights.safetensors")
    source = load_source("timm:small.a1", weights=tmp_path / "weights.safetensors")
    found = source.own.preprocessing
    assert (found.resize, found.crop, found.mean) == (24, (12, 12), (0.1, 0.2, 0.3))


def test_a_distilled_model_takes_its_classes_from_either_classifier(timm, tmp_path):
    weights = Small(7, ("head", "head_dist")).state_dict()
    torch.save({f"module.{key}": value for key, value in weights.items()}, tmp_path / "w.pt")
    source = load_source("timm:distilled", weights=tmp_path / "w.pt")
    assert source.model.graph.outputs[0].shape[1] == 7


def test_a_name_of_the_hub_takes_local_weights_and_their_config(timm, tmp_path, caplog):
    save_file(Small(3).state_dict(), tmp_path / "model.safetensors")
    source = load_source("timm:hf-hub:me/small.a1", weights=tmp_path / "model.safetensors")
    assert (source.name, source.own.labels) == ("small.a1.onnx", None)
    content = {
        "architecture": "small",
        "num_classes": 3,
        "label_names": ["red", "green", "blue"],
        "pretrained_cfg": {"input_size": [3, 16, 16], "mean": [0.9, 0.9, 0.9]},
    }
    (tmp_path / "config.json").write_text(json.dumps(content))
    for model, weights in (
        ("timm:hf-hub:me/birds", tmp_path / "model.safetensors"),
        (f"hf:{tmp_path}", None),
    ):
        source = load_source(model, weights=weights)
        assert source.own.labels == LABELS
        assert source.own.preprocessing.mean == (0.9, 0.9, 0.9)
        assert source.input.shape == (None, 3, 16, 16)


def broken_torchvision(folder: Path) -> None:
    (folder / "torchvision").mkdir()
    code = "raise RuntimeError('operator torchvision::nms does not exist')"
    (folder / "torchvision" / "__init__.py").write_text(code)


IMPORTS = """
import enum
from torchvision import datasets, transforms
from torchvision.ops.misc import FrozenBatchNorm2d
from torchvision.transforms import functional as F
from torchvision.datasets import CIFAR10
try:
    from torchvision.models.feature_extraction import create_feature_extractor
    extracts = True
except ImportError:
    extracts = False
class MaybeToTensor(transforms.ToTensor): pass
names = {F.InterpolationMode.BICUBIC: "bicubic"}
"""


@pytest.mark.parametrize("spoil", [None, broken_torchvision])
def test_timm_is_imported_where_torchvision_is_not(tmp_path, monkeypatch, spoil):
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / "__init__.py").write_text(IMPORTS)
    if spoil:
        spoil(tmp_path)
    else:
        monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    try:
        found = torch_timm._import_timm("timm:x")
        assert not found.extracts
        assert not isinstance(nn.BatchNorm2d(3), found.FrozenBatchNorm2d)
        assert not isinstance(sys.modules.get("torchvision"), torch_timm._StandIn)
    finally:
        sys.modules.pop("timm", None)


def test_what_else_timm_lacks_is_named(tmp_path, monkeypatch):
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / "__init__.py").write_text("import absent_package_of_timm")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with pytest.raises(MissingExtraError, match="needs absent_package_of_timm"):
        torch_timm._import_timm("timm:x")


def test_the_real_timm_goes_the_whole_road(tmp_path):
    library = torch_timm._import_timm("timm:resnet10t")
    network = library.create_model("resnet10t", num_classes=5)
    torch.save({"state_dict_ema": network.state_dict()}, tmp_path / "checkpoint.pth.tar")
    source = load_source("timm:resnet10t", weights=tmp_path / "checkpoint.pth.tar")
    assert source.input.shape == (None, 3, 176, 176)
    assert source.own.preprocessing.interpolation == "bicubic"
    assert SimpleNamespace(**network.pretrained_cfg).input_size == (3, 176, 176)
