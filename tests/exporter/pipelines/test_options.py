"""The options of an export are the same from Python as from the command line."""

import json

import pytest
import tiny

from exporter import ExportConfig, export, inspect_model
from exporter.cli import cli
from exporter.errors import DatasetError, OptionError, SourceError
from exporter.pipelines.options import _OPTIONS, settled
from serving.artifact import Preprocessing

PREPROCESSING = Preprocessing(crop=tiny.SIZE)
REQUIRED = {"data": "train", "out": "artifact"}


@pytest.fixture
def model(tmp_path):
    """A file that is no model yet: nothing here reads it."""
    (tmp_path / "classifier.onnx").write_bytes(b"")
    return tmp_path / "classifier.onnx"


def test_options_have_the_names_of_the_command_line():
    flags = {
        max(option.opts, key=len).removeprefix("--").replace("-", "_")
        for option in cli.commands["export"].params
        if option.param_type_name == "option"
    }
    assert set(_OPTIONS) <= flags


def test_an_option_means_what_it_means_in_a_config(model):
    given = settled(model, {**REQUIRED, "preset": "unit", "input": "uint8", "prototypes": 5})
    assert given == ExportConfig(
        model=model, preprocessing="unit", input_type="uint8", prototypes=5, **REQUIRED
    )
    assert settled(given, {}) == given


def test_what_lies_beside_the_model_is_used_and_said(model, caplog):
    model.with_name("preprocess.json").write_text(PREPROCESSING.model_dump_json())
    model.with_name("labels.json").write_text(json.dumps(["a", "b"]))
    for config in (
        settled(model, REQUIRED),
        settled(ExportConfig(model=str(model), **REQUIRED), {}),
    ):
        assert (config.preprocessing, config.labels) == (PREPROCESSING, ("a", "b"))
    assert f"using {model.with_name('labels.json')}" in caplog.text
    assert f"using {model.with_name('preprocess.json')}" in caplog.text


def test_what_is_asked_for_comes_before_what_lies_beside(model, tmp_path):
    model.with_name("preprocess.json").write_text("broken")
    model.with_name("labels.json").write_text("broken")
    (tmp_path / "own.json").write_text(PREPROCESSING.model_dump_json())
    (tmp_path / "own.txt").write_text("a\nb\n")
    more = {"labels": str(tmp_path / "own.txt"), "preprocess": str(tmp_path / "own.json")}
    config = settled(model, REQUIRED | more)
    assert (config.preprocessing, config.labels) == (PREPROCESSING, ("a", "b"))
    config = settled(model, REQUIRED | {"labels": {1: "b"}, "preset": "unit"})
    assert (config.preprocessing, config.labels) == ("unit", {1: "b"})
    with pytest.raises(SourceError, match=r"preprocess\.json: expected JSON"):
        settled(model, REQUIRED | {"labels": ("a", "b")})
    with pytest.raises(DatasetError, match=r"labels\.json: expected UTF-8 text or JSON"):
        settled(model, REQUIRED | {"preset": "unit"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prototype": 3}, r"got 'prototype'\. Did you mean prototypes"),
        ({"zzz": 3}, r"got 'zzz'\. There are channels, "),
        ({"prototypes": 99}, r"`prototypes`: Input should be less than or equal to 32, got 99\."),
        ({"out": None}, "`out`: Input is not a valid path"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(model, options, message):
    with pytest.raises(OptionError, match=message) as told:
        export(model, **REQUIRED | {"preset": "unit"} | options)
    assert "\n" not in str(told.value)


def test_options_beside_a_config_and_two_ways_to_prepare_are_refused(model):
    with pytest.raises(OptionError, match="got top beside it"):
        export(ExportConfig(model=model, **REQUIRED), top=3)
    with pytest.raises(SourceError, match="expected `preset` or `preprocess`, got both"):
        export(model, **REQUIRED, preset="unit", preprocess=PREPROCESSING)


def test_a_wrong_preset_fails_before_the_model_is_read(model, tmp_path):
    """The model is an empty file, and would be refused."""
    told = r"got 'imagnet'\. Did you mean 'imagenet' or 'imagenet-bicubic'\?"
    with pytest.raises(SourceError, match=told):
        export(model, **REQUIRED, preset="imagnet")
    with pytest.raises(SourceError, match=told):
        export(ExportConfig(model=model, preprocessing="imagnet", **REQUIRED))
    with pytest.raises(SourceError, match=told):
        inspect_model(model, data=tmp_path, preset="imagnet")
