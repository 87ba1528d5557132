"""The generated docs say what the program says, on every terminal, and are found out of date."""

import importlib.util
import sys

import click
import pytest
from places import ROOT

from exporter.cli import cli


@pytest.fixture
def docs(monkeypatch, tmp_path):
    """docs/generate_cli.py as a module, which writes to a temporary file."""
    spec = importlib.util.spec_from_file_location("generate_cli", ROOT / "docs" / "generate_cli.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "TARGET", tmp_path / "cli.md")
    return module


def check(docs, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["generate_cli.py", "--check"])
    docs.main()


def test_the_docs_name_every_option_of_every_verb(docs):
    _, *sections = docs.render().split("\n## protohead ")
    assert [section.split("\n")[0] for section in sections] == sorted(cli.commands)
    for section, (_, verb) in zip(sections, sorted(cli.commands.items()), strict=True):
        options = [
            name for each in verb.params if isinstance(each, click.Option) for name in each.opts
        ]
        for name in [*options, "-h, --help"]:
            assert name in section


@pytest.mark.parametrize("columns", ["40", "240"])
def test_the_docs_are_the_same_on_every_terminal(docs, monkeypatch, columns):
    expected = docs.render()
    monkeypatch.setenv("COLUMNS", columns)
    assert docs.render() == expected


@pytest.mark.parametrize(
    "change", [("-h, --help", "--help"), ("Usage: ", "usage: "), ("\n\n", "\n")]
)
def test_docs_that_differ_anywhere_fail_the_check(docs, monkeypatch, change):
    docs.TARGET.write_text(docs.render(), encoding="utf-8")
    check(docs, monkeypatch)
    docs.TARGET.write_text(docs.render().replace(*change, 1), encoding="utf-8")
    with pytest.raises(SystemExit, match="out of date"):
        check(docs, monkeypatch)


def test_docs_that_are_not_there_fail_the_check(docs, monkeypatch):
    with pytest.raises(SystemExit, match="out of date"):
        check(docs, monkeypatch)
