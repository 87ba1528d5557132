"""Whatever a file of weights is, it becomes tensors by the module's names, or one right line."""

from __future__ import annotations

import argparse
import collections
import json
import os
import pickle
import random
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from exporter.errors import SourceError
from exporter.source.torch_weights.load import load_weights
from exporter.source.torch_weights.read import read_weights


class Network(nn.Module):
    """Three kinds of tensors: weights, statistics, a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(image).mean((2, 3)))


class Evil:
    """Runs code when it is unpickled, by a function that looks harmless."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


class Options:
    """An object of a class that only its owner's code knows."""

    rate = 0.1


def state() -> dict[str, torch.Tensor]:
    return {
        key: (torch.arange(value.numel()) + number).reshape(value.shape).to(value.dtype)
        for number, (key, value) in enumerate(Network().state_dict().items())
    }


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in state().items()}


def loaded(path: Path) -> dict[str, torch.Tensor]:
    network = Network()
    load_weights(network, read_weights(path), "network")
    return network.state_dict()


def assert_loaded(path: Path) -> None:
    for key, value in loaded(path).items():
        assert torch.equal(value, state()[key]), key


def other() -> dict[str, torch.Tensor]:
    return {key: torch.zeros_like(value) for key, value in state().items()}


LIGHTNING = {
    "epoch": 9,
    "global_step": 90,
    "pytorch-lightning_version": "2.5.0",
    "state_dict": prefixed("model.") | {"criterion.weight": torch.ones(2)},
    "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}}],
    "hyper_parameters": {"rate": 0.1},
}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (state(), None),
        (collections.OrderedDict(state()), None),
        ({"state_dict": state(), "epoch": 3}, "its 'state_dict'; left out: epoch"),
        ({"model": state(), "optimizer": {"state": {}}}, "its 'model'; left out: optimizer"),
        ({"model_state_dict": state(), "loss": 0.5}, "its 'model_state_dict'; left out: loss"),
        ({"state_dict": other(), "state_dict_ema": state()}, "'state_dict_ema'; left out: state_d"),
        ({"model": other(), "model_ema": prefixed("module.")}, "its 'model_ema'; left out: model"),
        ({"model_ema": prefixed("module.") | {"n_averaged": torch.tensor(3)}}, "out: n_averaged"),
        ({"checkpoint": {"model": {"state_dict": state()}}}, "its 'checkpoint.model.state_dict'"),
        ({"model": {"net": prefixed("module.")}}, "its 'model.net'"),
        ({"trained": state(), "epoch": 1}, "its 'trained'"),
        (state() | {"epoch": 3}, "its tensors; left out: epoch"),
        (LIGHTNING, "'model.' was taken off the names of the weights; left out: criterion.weight"),
        (prefixed("module."), "'module.' was taken off"),
        (prefixed("net."), "'net.' was taken off"),
        (prefixed("_orig_mod."), "'_orig_mod.' was taken off"),
        (prefixed("module._orig_mod.model."), "'module.model.' was taken off"),
        (prefixed("model.backbone."), "'model.backbone.' was taken off"),
    ],
)
def test_a_checkpoint_is_unwrapped_and_it_is_said(tmp_path, caplog, content, said):
    torch.save(content, tmp_path / "weights.ckpt")
    assert_loaded(tmp_path / "weights.ckpt")
    assert said in caplog.text if said else not caplog.text
    assert "\n" not in caplog.text.strip() or len(caplog.records) > 1  # a line each


def test_the_names_of_a_wrapped_module_are_put_on(tmp_path, caplog):
    torch.save(state(), tmp_path / "weights.pt")
    wrapped = nn.Module()
    wrapped.model = Network()
    load_weights(wrapped, read_weights(tmp_path / "weights.pt"), "wrapped")
    assert torch.equal(wrapped.model.head.bias, state()["head.bias"])
    assert "'model.' was put before" in caplog.text


def test_two_networks_that_fit_are_refused_by_their_names(tmp_path):
    torch.save(prefixed("student.") | prefixed("teacher."), tmp_path / "weights.pt")
    with pytest.raises(SourceError, match=r"several .* fit, under 'student\.', 'teacher\.'"):
        loaded(tmp_path / "weights.pt")


def test_a_prefix_does_not_hide_that_the_weights_are_of_another_model(tmp_path):
    weights = prefixed("module.")
    weights["module.fc.bias"] = weights.pop("module.head.bias")
    torch.save(weights, tmp_path / "weights.pt")
    with pytest.raises(SourceError, match=r"missing head\.bias; unexpected fc\.bias"):
        loaded(tmp_path / "weights.pt")


def test_a_file_without_counters_of_batches_is_whole(tmp_path):
    old = {key: value for key, value in state().items() if "num_batches" not in key}
    save_file(old, tmp_path / "weights.safetensors")
    assert torch.equal(loaded(tmp_path / "weights.safetensors")["head.bias"], old["head.bias"])


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize("given", ["index", "shard"])
def test_shards_are_read_by_their_index(tmp_path, suffix, given):
    names = [f"model-0000{number}-of-00002.{suffix}" for number in (1, 2)]
    weights = list(state().items())
    parts = [dict(weights[:3]), dict(weights[3:])]
    for name, part in zip(names, parts, strict=True):
        (save_file if suffix == "safetensors" else torch.save)(part, tmp_path / name)
    table = {key: name for name, part in zip(names, parts, strict=True) for key in part}
    index = tmp_path / f"model.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": table}))
    assert_loaded(index if given == "index" else tmp_path / names[0])
    (tmp_path / names[1]).unlink()
    with pytest.raises(SourceError, match="1 of its 2 shards are missing, first model-00002"):
        read_weights(index)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": "../b.bin"}}', "[" * 9999],
)
def test_what_is_no_index_is_refused(tmp_path, content):
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(SourceError, match=r"an index of shards|an empty file"):
        read_weights(tmp_path / "model.safetensors.index.json")


@pytest.mark.parametrize("zipped", [True, False])
def test_objects_beside_the_tensors_stay_dead_and_the_tensors_are_read(tmp_path, caplog, zipped):
    content = {
        "state_dict": state(),
        "args": argparse.Namespace(lr=0.1, path=Path("a")),
        "best": np.float64(0.9),
        "options": Options(),
    } | ({"loss": nn.CrossEntropyLoss()} if zipped else {})
    path = tmp_path / "weights.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    assert_loaded(path)
    assert "left out: args, best, options" in caplog.text


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("where", ["beside", "inside", "alone"])
def test_no_code_of_a_file_ever_runs(tmp_path, zipped, where):
    marker = tmp_path / "it_ran"
    evil = Evil(marker)
    content = {"beside": {"state_dict": state(), "a": evil}, "inside": {"a": evil}, "alone": evil}
    path = tmp_path / "weights.pt"
    torch.save(content[where], path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(SourceError):  # torch itself blocks the module os, stand-in or not
        read_weights(path)
    assert not marker.exists()


def lfs(path: Path) -> None:
    path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n")


def whole(path: Path) -> None:
    torch.save(Network(), path)


def whole_inside(path: Path) -> None:
    torch.save({"model": Network(), "epoch": 3}, path)


def learner(path: Path) -> None:
    kind = type("Learner", (), {"__module__": "fastai.learner", "__reduce__": None})
    del kind.__reduce__
    import sys
    from types import ModuleType

    module = ModuleType("fastai.learner")
    module.Learner = kind
    sys.modules |= {"fastai": ModuleType("fastai"), "fastai.learner": module}
    try:
        torch.save(kind(), path)
    finally:
        del sys.modules["fastai"], sys.modules["fastai.learner"]


def script(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)


def exported(path: Path) -> None:
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),)), path)


def namespace(path: Path) -> None:
    torch.save(argparse.Namespace(a=1), path)


def keras(path: Path) -> None:
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99))


def arrays(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.ones(3))


def page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html><body>Sign in</body></html>")


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": np.ones(3)}))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".pth", ".pkl"])
@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lfs, "a Git LFS pointer, .* Run git lfs pull"),
        (
            whole,
            r"whole pickled object \(.*Network\), .*: torch\.save\(model\.state_dict\(\), FILE",
        ),
        (whole_inside, r"whole pickled object \(.*Network, in its 'model'\)"),
        (learner, r"a fastai learner, .* torch\.save\(learn\.model\.state_dict\(\), FILE\)"),
        (script, r"a TorchScript archive, .* Give the module that it was compiled from"),
        (exported, r"torch\.export \(\.pt2\), not weights"),
        (namespace, r"whole pickled object \(argparse\.Namespace\)"),
        (keras, "an HDF5 file, as Keras writes it"),
        (arrays, "an archive of NumPy"),
        (page, "a web page, not weights"),
        (pickled, "expected tensors only, found pickled Python objects"),
    ],
)
def test_what_is_no_state_dict_is_refused_by_what_it_is(tmp_path, suffix, write, reason):
    path = tmp_path / f"weights{suffix}"
    write(path)
    with pytest.raises(SourceError, match=reason) as refusal:
        read_weights(path)
    assert "\n" not in str(refusal.value)
    assert "weights_only" not in str(refusal.value)


def test_content_decides_not_the_suffix(tmp_path):
    torch.save(state(), tmp_path / "a.safetensors")
    save_file(state(), tmp_path / "b.pt")
    assert_loaded(tmp_path / "a.safetensors")
    assert_loaded(tmp_path / "b.pt")


def mutated(data: bytes, generator: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(generator.choice([1, 1, 4, 32])):
        place = generator.randrange(len(damaged))
        damaged[place] = generator.choice([0, 255, 0x80, generator.randrange(256)])
    if generator.random() < 0.3:
        cut = generator.randrange(len(damaged))
        length = generator.randrange(64)
        damaged[cut : cut + length] = generator.randbytes(generator.choice([0, length]))
    return bytes(damaged[: generator.choice([len(damaged)] * 3 + [len(damaged) // 2])])


@pytest.mark.parametrize("form", ["safetensors", "zip", "pickle of a zip", "legacy", "index"])
def test_a_damaged_file_gives_weights_or_a_source_error(tmp_path, form):
    content = {"state_dict": state(), "args": argparse.Namespace(lr=0.1), "epoch": 3}
    path = tmp_path / ("model.safetensors.index.json" if form == "index" else "weights.pt")
    if form in ("safetensors", "index"):
        save_file(state(), tmp_path / "a.safetensors")
        data = (tmp_path / "a.safetensors").read_bytes()
        if form == "index":
            data = json.dumps({"weight_map": dict.fromkeys(state(), "a.safetensors")}).encode()
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form != "legacy")
        data = path.read_bytes()
    generator = random.Random(form)
    lines: list[str] = []
    outcomes = {"read": 0, "refused": 0}
    for _ in range(150):
        if form == "pickle of a zip":  # a zip whose checksums are right: the pickle is reached
            with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
                torch.save(content, tmp_path / "s.pt")
                with zipfile.ZipFile(tmp_path / "s.pt") as source:
                    for name in source.namelist():
                        part = source.read(name)
                        damaged = mutated(part, generator) if name.endswith(".pkl") else part
                        archive.writestr(name, damaged)
            path.write_bytes((tmp_path / "whole.zip").read_bytes())
        else:
            path.write_bytes(mutated(data, generator))
        try:
            read = read_weights(path)
        except SourceError as error:
            outcomes["refused"] += 1
            lines.append(str(error))
        else:
            outcomes["read"] += 1
            assert all(isinstance(value, torch.Tensor) for value in read.values())
    assert outcomes["refused"] > 0
    assert not any("\n" in line for line in lines)
