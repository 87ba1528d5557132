"""`protohead inspect`: the parts of a model's head."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.commands.common import (
    channels_option,
    input_size_option,
    need_export_extra,
    output_option,
    weights_option,
)


@click.command()
@click.argument("model")
@weights_option
@input_size_option
@channels_option
@output_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(
    model: str,
    weights: Path | None,
    input_size: tuple[int, int] | None,
    channels: int | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Name the parts of MODEL's head, or say why it cannot be decomposed.

    MODEL is an .onnx file; package.module:NAME or file.py:NAME, a torch.nn.Module or what returns
    one; timm:NAME with --weights; or hf:FOLDER, a classifier of transformers on disk.
    """
    need_export_extra()
    from exporter.pipelines.inspect import inspect_model

    report = inspect_model(
        model, weights=weights, input_size=input_size, channels=channels, output=output
    )
    if as_json:
        click.echo(report.model_dump_json(indent=1))
        return
    rows = report.rows()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:{width}}  {value}")
