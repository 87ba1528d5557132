"""`protohead verify`: an artifact held to every promise."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from exporter.commands.common import (
    channels_option,
    input_size_option,
    need_export_extra,
    output_option,
    weights_option,
    write,
)
from exporter.commands.progress import ProgressLine
from exporter.commands.summaries import gates_json


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--model", help="The source model; by default it is taken out of the artifact.")
@weights_option
@input_size_option
@channels_option
@output_option
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Compare on every image below this folder too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML to this file."
)
@click.option(
    "--summary",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append the Markdown summary to this file.",
)
def verify(
    artifact: Path,
    model: str | None,
    weights: Path | None,
    input_size: tuple[int, int] | None,
    channels: int | None,
    output: str | None,
    data: Path | None,
    as_json: bool,
    junit: Path | None,
    summary: Path | None,
) -> None:
    """Reload ARTIFACT and hold it to every promise. Exit 0 when all gates pass, else 1."""
    need_export_extra()
    from exporter.images.dataset import find_images
    from exporter.source.onnx_file import load_source
    from exporter.text import as_text
    from exporter.verification.report import to_junit, to_markdown
    from exporter.verification.run import passed
    from exporter.verification.run import verify as run_verify

    source = None
    if model:
        source = load_source(
            model, weights=weights, input_size=input_size, channels=channels, output=output
        ).original
    images = find_images(data).paths if data else ()
    progress = ProgressLine()
    gates = run_verify(
        artifact, source=source, images=images, data=data, progress=partial(progress, "verify")
    )
    progress.close()
    title = as_text(artifact.name)
    markdown = to_markdown(gates, title)
    if junit:
        write(junit, to_junit(gates, title))
    if summary:
        write(summary, markdown.encode(), append=True)
    click.echo(gates_json(gates) if as_json else markdown.rstrip())
    if not passed(gates):
        sys.exit(1)
