"""`protohead convert`: one more graph for an artifact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from exporter.commands.common import form_options, need_export_extra
from exporter.commands.progress import ProgressLine
from exporter.commands.summaries import convert_summary


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The new artifact's folder; it appears whole or not at all.",
)
@form_options
@click.option("--overwrite", is_flag=True, help="Replace an artifact at --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def convert(artifact: Path, out: Path, overwrite: bool, as_json: bool, **form: Any) -> None:
    """Write ARTIFACT with one more graph: dense.onnx, model_uint8.onnx or dense_uint8.onnx.

    Its other files stay what they are, byte for byte; the manifest describes every graph.
    """
    if form["variant"] == "explained" and form["input_type"] == "float32":
        raise click.UsageError("Pass --variant dense, --input uint8 or both.")
    need_export_extra()
    from exporter.config import Form
    from exporter.pipelines.convert import convert as run_convert

    progress = ProgressLine()
    try:
        made = run_convert(artifact, out, Form(**form), overwrite=overwrite, progress=progress)
    finally:
        progress.close()
    if as_json:
        click.echo(json.dumps(made.manifest.model_dump(mode="json"), indent=1))
    else:
        click.echo(convert_summary(out, made))
