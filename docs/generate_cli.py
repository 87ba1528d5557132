"""Write docs/cli.md from the program's own help and settings; ``--check`` fails when it is old."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from exporter.cli import cli
from exporter.source.presets import OWN, PRESETS
from serving.process.settings import PREFIX, Settings

TARGET = Path(__file__).with_name("cli.md")
_WIDTH = 96
_COMPLETION = """\
```sh
eval "$(_PROTOHEAD_COMPLETE=bash_source protohead)"   # ~/.bashrc; bash 4.4 or newer
eval "$(_PROTOHEAD_COMPLETE=zsh_source protohead)"    # ~/.zshrc, behind compinit
_PROTOHEAD_COMPLETE=fish_source protohead | source    # ~/.config/fish/config.fish
```"""


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    """As click makes it when the command is run, but for the width, which is not the terminal's."""
    width = {"terminal_width": _WIDTH, "max_content_width": _WIDTH}
    return click.Context(
        command, info_name=name, parent=parent, **{**command.context_settings, **width}
    )


def _settings() -> list[str]:
    """A line for each environment variable of the server."""
    text = (Settings.__doc__ or "").replace("``", "`")
    entries = re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)$", text, re.MULTILINE)
    words = {name: " ".join(entry.split()) for name, entry in entries}
    lines = ["| variable | default | what |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) else field.default
        lines.append(f"| `{PREFIX}{name.upper()}` | {default} | {words[name]} |")
    return lines


def render() -> str:
    """The page: the help of every verb, the presets and the server's settings."""
    top = _context(cli, "protohead", None)
    parts = [
        "# Command line",
        "Written from the program's own help by `make docs`; do not edit.",
        "Exit codes: 0 success, 1 an expected failure (one line on stderr says what to do), "
        "2 wrong usage, 130 interrupted.",
        f"```\n{top.get_help()}\n```",
        "## Completion",
        "A shell completes verbs, options, presets and paths after one line in its start file, "
        "where `protohead` is found on the PATH:",
        _COMPLETION,
    ]
    for name, command in sorted(cli.commands.items()):
        said = _context(command, name, top).get_help()
        parts += [f"## protohead {name}", f"```\n{said}\n```"]
    parts += ["## Presets", "For `--preset`; size and layout are those of the network's input."]
    parts += [
        f"- `{OWN}`: what timm or transformers say of the model, its labels too\n"
        + "\n".join(f"- `{name}`: {what}" for name, (what, _) in PRESETS.items())
    ]
    parts += ["## Settings of the server", "Environment variables; options of `serve` win."]
    parts += ["\n".join(_settings())]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page, or compare it."""
    page = render()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(page, encoding="utf-8")
    elif not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != page:
        sys.exit("docs/cli.md is out of date: run make docs")


if __name__ == "__main__":
    main()
