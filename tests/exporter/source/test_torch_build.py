"""What users hold as a model is found, unwrapped, or told from what it is."""

from __future__ import annotations

import copy
import sys
import types
import warnings
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn
from transformers.modeling_outputs import ImageClassifierOutput

import exporter
from exporter.errors import SourceError
from exporter.source.onnx_file import load_source
from exporter.source.torch_build import build, require_module
from exporter.source.torch_outputs import Logits, OutputError, pick
from serving.model.runtime import make_session

# torch.compile imports what torch itself has deprecated.
pytestmark = [
    pytest.mark.usefixtures("torchlib_once"),
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
]

CODE = """
from dataclasses import dataclass
import torch
from torch import nn
import helper

@dataclass
class Options:
    classes: int = 4

class Tiny(nn.Module):
    def __init__(self, channels=3):
        super().__init__()
        self.features = nn.Conv2d(channels, 8, 3)
        self.head = nn.Linear(8, Options().classes)
    def forward(self, image):
        return self.head(torch.relu(self.features(image)).mean((2, 3)))

instance = Tiny()
compiled = torch.compile(Tiny())
parallel = nn.DataParallel(Tiny())
def leaves(): raise SystemExit(3)
def on_gpu(): return Tiny().to("cuda")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "my-model.py").write_text(CODE)
    (tmp_path / "code" / "helper.py").write_text("")
    (tmp_path / "script.py").write_text(
        "import argparse\nparser = argparse.ArgumentParser()\n"
        "parser.add_argument('--data', required=True)\nprint(parser.parse_args())\n"
    )
    (tmp_path / "quits.py").write_text("import sys\nsys.exit('nothing to train')")
    (tmp_path / "broken.py").write_text("def build(:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["Tiny", "instance", "compiled", "parallel"])
def test_a_file_of_code_gives_its_module(folder, name):
    path = list(sys.path)
    found = build("code/my-model.py", name)
    assert type(found).__name__ == "Tiny"
    assert sys.path == path


def test_on_the_command_line_a_file_and_an_instance_are_models(folder, run):
    for model in ("code/my-model.py:instance", f"{folder}/code/my-model.py:Tiny"):
        code, out, err = run("inspect", model, "--input-size", 16, 16)
        assert code == 0, err
        assert "D = 8, C = 4" in out


@pytest.mark.parametrize(
    ("module", "name", "reason"),
    [
        ("code/absent.py", "Tiny", "a file of Python code, found none"),
        ("code/my-model.py", "absent", "AttributeError: .* has no attribute 'absent'"),
        ("broken.py", "build", "cannot be imported: SyntaxError"),
        ("script", "build", r"ended the program, .*\(script: error: .* required: --data\)"),
        ("script.py", "build", r"ended the program, .*\(script.py: error: .*--data\)"),
        ("quits.py", "build", r"ended the program, .*\(exit code nothing to train\)"),
        ("code/my-model.py", "leaves", r"calling it ended the program \(exit code 3\)"),
        ("code/my-model.py", "on_gpu", "its code asks for CUDA .*runs on the CPU"),
    ],
)
def test_code_that_fails_is_one_line_and_prints_no_usage(folder, capsys, module, name, reason):
    with pytest.raises(SourceError, match=reason) as refusal:
        build(module, name)
    assert "\n" not in str(refusal.value)
    assert "usage" not in capsys.readouterr().err


def test_the_users_code_does_not_see_our_command_line(folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["protohead", "inspect"])
    (folder / "reads.py").write_text(
        "import sys\nfrom torch import nn\nargs = sys.argv[:]\nnet = nn.Linear(1, 1)"
    )
    build("reads.py", "net")
    assert sys.modules["reads"].args == ["reads.py"]
    assert sys.argv == ["protohead", "inspect"]


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(nn.Linear(2, 2))


def program() -> torch.export.ExportedProgram:
    return torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (scripted, "a TorchScript module, whose Python code was lost"),
        (program, "a program of torch.export, expected the torch.nn.Module"),
        (dict, "a torch.nn.Module, or such a module, got dict"),
    ],
)
def test_what_is_no_module_is_told_what_it_is(make, reason):
    with pytest.raises(SourceError, match=reason):
        require_module(make(), "model")


class Tiny(nn.Module):
    """A classifier that a test changes."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.features = nn.Conv2d(channels, 8, 3)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(torch.relu(self.features(image)).mean((2, 3))))


def logits(source, images):
    session = make_session(ir.to_proto(source.model).SerializeToString())
    return session.run(["logits"], {"image": images.numpy()})[0]


def test_a_module_in_python_is_exported_and_left_as_it_was():
    model = Tiny().double().train()
    model.features.eval()
    before = copy.deepcopy(model.state_dict())
    source = load_source(model, input_size=(16, 16))
    assert source.name == "Tiny.onnx"
    images = torch.randn(2, 3, 16, 16)
    expected = copy.deepcopy(model).float().eval()(images).detach().numpy()
    np.testing.assert_allclose(logits(source, images), expected, atol=1e-6)  # float32 rounding
    assert (model.training, model.features.training, model.drop.training) == (True, False, True)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_python_takes_a_module_where_it_takes_a_path(tmp_path):
    report = exporter.inspect_model(Tiny(), input_size=(16, 16))
    assert (report.channels, report.classes) == (8, 4)
    config = exporter.ExportConfig(model=Tiny(), data=tmp_path, out=tmp_path / "out")
    assert isinstance(config.model, nn.Module)
    with pytest.raises(ValueError, match="model"):
        exporter.ExportConfig(model=3, data=tmp_path, out=tmp_path / "out")


def test_compiled_parts_are_unwrapped_and_put_back():
    model = Tiny().eval()
    model.features = torch.compile(model.features)
    model.compile()
    part, call = model.features, model._compiled_call_impl
    source = load_source(model, input_size=(16, 16))
    assert logits(source, torch.randn(2, 3, 16, 16)).shape == (2, 4)
    assert model.features is part
    assert model._compiled_call_impl is call


class ByKeyword(Tiny):
    def forward(self, *, pixel_values, labels=None):
        return super().forward(pixel_values)


class TextFirst(Tiny):
    def forward(self, input_ids=None, pixel_values=None):
        return super().forward(pixel_values)


class AnyKeyword(Tiny):
    def forward(self, *, picture):
        return super().forward(picture)


class Unclear(Tiny):
    def forward(self, *, left=None, right=None):
        return super().forward(left)


@pytest.mark.parametrize("kind", [Tiny, ByKeyword, TextFirst, AnyKeyword])
def test_images_go_where_the_forward_takes_them(kind):
    assert Logits(kind(), None, "model")(torch.randn(2, 3, 8, 8)).shape == (2, 4)


def test_a_forward_that_names_no_images_is_refused():
    with pytest.raises(SourceError, match="takes left, right by name"):
        Logits(Unclear(), None, "model")


def test_keyword_only_inputs_go_all_the_way():
    assert load_source(ByKeyword(), input_size=(16, 16)).input.name == "image"


TABLE, OTHER, MAP = torch.ones(2, 4), torch.ones(2, 8), torch.ones(2, 3, 8, 8)
Named = namedtuple("Named", "logits features")


@dataclass
class Answer:
    scores: torch.Tensor
    features: torch.Tensor


@pytest.mark.parametrize(
    ("found", "output"),
    [
        (TABLE, None),
        (TABLE, "logits"),
        (ImageClassifierOutput(logits=TABLE, hidden_states=(OTHER,)), None),
        ({"logits": TABLE, "other": OTHER}, None),
        ({"out": TABLE, "map": MAP}, None),
        ({"a": TABLE, "b": OTHER}, "a"),
        ((TABLE, MAP), None),
        ([MAP, TABLE], None),
        ((OTHER, TABLE), "1"),
        (Named(TABLE, OTHER), None),
        (types.SimpleNamespace(logits=TABLE, other=OTHER), None),
        (Answer(TABLE, OTHER), "scores"),
        (Answer(TABLE, MAP), None),
    ],
)
def test_the_logits_are_found_in_any_output(found, output):
    assert pick(found, output) is TABLE


@pytest.mark.parametrize(
    ("found", "output", "reason"),
    [
        ((TABLE, OTHER), None, r"a tuple \(0: shape \(2, 4\), 1: shape \(2, 8\)\).*`output`"),
        ({"a": TABLE, "b": OTHER}, "c", r"has no output 'c'.*a dict \(a: shape"),
        ((TABLE,), "7", "has no output '7'"),
        (MAP, None, r"expected logits \(batch, classes\), got shape \(2, 3, 8, 8\)"),
        ((), None, "got tuple"),
        (None, None, "got NoneType"),
        ({"logits": None}, None, "got NoneType"),
    ],
)
def test_an_output_without_logits_is_told_what_it_is(found, output, reason):
    with pytest.raises(OutputError, match=reason):
        pick(found, output)


class Two(Tiny):
    def __init__(self):
        super().__init__()
        self.other = nn.Linear(8, 2)

    def forward(self, image):
        return super().forward(image), self.other(torch.relu(self.features(image)).mean((2, 3)))


def test_an_output_is_chosen_by_its_index(tmp_path):
    assert exporter.inspect_model(Two(), input_size=(16, 16), output="1").classes == 2


def test_greyscale_is_an_option():
    source = load_source(Tiny(channels=1), input_size=(16, 16), channels=1)
    assert source.input.shape == (None, 1, 16, 16)
    with pytest.raises(SourceError, match="It runs on 1 channel: give `channels` 1"):
        load_source(Tiny(channels=1), input_size=(16, 16))
    with pytest.raises(SourceError, match="`channels`: expected 1 or 3, got 4"):
        load_source(Tiny(), channels=4)


@pytest.mark.parametrize("size", ["wide", (0, 8), (8, None), {}, -3])
def test_an_odd_input_size_is_refused(size):
    with pytest.raises(SourceError, match="`input_size`: expected"):
        load_source(Tiny(), input_size=size)


@pytest.mark.parametrize("size", ["16", (16, 16), {"height": 16, "width": 16}, [3, 16, 16]])
def test_an_odd_configuration_is_read_or_said(size, caplog):
    model = Tiny()
    model.config = types.SimpleNamespace(image_size=size, num_channels=None)
    assert load_source(model).input.shape == (None, 3, 16, 16)


def test_a_configured_size_that_is_none_is_said(caplog):
    from exporter.source.own import Own
    from exporter.source.torch_model import TorchOptions, _image_shape

    model = Tiny()
    model.config = types.SimpleNamespace(image_size={"longest": 3}, num_channels="three")
    assert _image_shape(model, TorchOptions(), Own(), "model") == (3, 224, 224)
    assert "image size as {'longest': 3}, which is none; 224 x 224 is used" in caplog.text


def meta() -> nn.Module:
    with torch.device("meta"):
        return Tiny()


def exported() -> nn.Module:
    return torch.export.export(Tiny().eval(), (torch.randn(2, 3, 16, 16),)).module()


@pytest.mark.parametrize(
    ("make", "reason"),
    [(meta, "on the meta device, which holds no numbers"), (exported, "a module of torch.export")],
)
def test_modules_without_numbers_or_modes_are_refused(make, reason):
    with pytest.raises(SourceError, match=reason):
        load_source(make(), input_size=(16, 16))


def test_what_a_forward_does_not_implement_is_no_module_of_torch_export():
    class Unfinished(Tiny):
        def forward(self, image):
            raise NotImplementedError("the head comes later")

    with pytest.raises(SourceError, match="the head comes later") as caught:
        load_source(Unfinished(), input_size=(16, 16))
    assert "torch.export" not in str(caught.value)
