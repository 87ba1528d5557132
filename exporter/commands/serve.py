"""`protohead serve`: an artifact over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from exporter.commands.common import artifact_folder, complete_paths, need_serve_extra


@click.command()
@click.argument("artifact", shell_complete=complete_paths)
@click.option("--host", help="IP address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="TCP port. [default: 3000]")
@click.option("--workers", type=click.IntRange(0), help="Processes. [default: one for each core]")
@click.option(
    "--threads",
    type=click.IntRange(0),
    help="Threads of each worker. [default: the cores, shared between the workers]",
)
@click.option(
    "--provider",
    type=click.Choice(["auto", "cpu", "cuda"]),
    help="Where it runs; auto takes CUDA where it works. [default: auto]",
)
@click.option(
    "--tokens",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with one bearer token a line; without it everybody may ask.",
)
@click.option(
    "--grpc-port",
    type=click.IntRange(1, 65535),
    help="TCP port of the Open Inference Protocol over gRPC. [default: not offered]",
)
@click.option(
    "--audit",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="File for one JSON line an answered image; - is stdout. [default: none]",
)
@click.option(
    "--open",
    "browser",
    is_flag=True,
    default=None,
    help="Open the page in the browser, where there is one, once the server answers.",
)
def serve(artifact: str, **options: Any) -> None:
    """Serve ARTIFACT, a folder or an address such as hf://owner/name, with a page for people.

    ARTIFACT may be a link: pointing it at another artifact swaps the model while requests run.
    Every limit is an environment variable; see docs/serving.md.
    """
    need_serve_extra()
    from serving.process.settings import PREFIX, Settings
    from serving.web.launch import launch

    given = {"artifact": artifact_folder(artifact), **options}
    variables = {PREFIX + name.upper(): str(v) for name, v in given.items() if v is not None}
    launch(Settings.from_environment({**os.environ, **variables}))
