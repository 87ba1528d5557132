"""What failed, as lines that GitHub Actions shows on the page of a run.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions: a line on stdout or
stderr, ``::error title=TITLE::TEXT``. Ours go to stderr, so that --json on stdout stays JSON.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import click

from exporter.errors import ExporterError
from exporter.text import as_text
from serving.errors import ArtifactError

_IN_TEXT = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_TITLE = _IN_TEXT | str.maketrans({":": "%3A", ",": "%2C"})


class Annotations:
    """Tells GitHub Actions what failed, where it listens.

    Args:
        github: Whether it does.
    """

    def __init__(self, github: bool) -> None:
        self._github = github

    def error(self, title: str, text: str) -> None:
        """Say what fails the run."""
        self._say("error", title, text)

    def warning(self, title: str, text: str) -> None:
        """Say what a person should look at."""
        self._say("warning", title, text)

    @contextmanager
    def failures(self, title: str) -> Iterator[None]:
        """Say what ends the block as an expected failure; it goes on."""
        try:
            yield
        except (ExporterError, ArtifactError) as error:
            self.error(title, str(error))
            raise

    def _say(self, kind: Literal["error", "warning"], title: str, text: str) -> None:
        if self._github:
            # Text of others: nothing in it may end the line or begin another command.
            title, text = as_text(title).translate(_IN_TITLE), as_text(text).translate(_IN_TEXT)
            click.echo(f"::{kind} title={title}::{text}", err=True)


def _chosen(_context: click.Context, _option: click.Parameter, value: str | None) -> Annotations:
    default = "github" if os.environ.get("GITHUB_ACTIONS") == "true" else "none"
    return Annotations((value or default) == "github")


annotations_option = click.option(
    "--annotations",
    type=click.Choice(["github", "none"]),
    callback=_chosen,
    help="Say what failed as annotations of a CI system too. [default: github in GitHub Actions]",
)
