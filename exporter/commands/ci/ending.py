"""How a verb ends whose work is done, but whose result is not what was asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from exporter.commands.ci.annotations import Annotations


def end_failed(verb: str, failures: Sequence[str], annotations: Annotations) -> None:
    """End with exit code 1 and a line for each failure, if there is one.

    Args:
        verb: What was done.
        failures: One sentence each; empty ones are none.
        annotations: Where they are said too.
    """
    failed = [text for text in failures if text]
    for text in failed:
        annotations.error(f"protohead {verb}", text)
        click.echo(f"protohead: {text}", err=True)
    if failed:
        sys.exit(1)
