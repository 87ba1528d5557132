"""`protohead inspect`: the parts of a model's head."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.commands.common import (
    channels_option,
    complete_paths,
    input_size_option,
    need_export_extra,
    output_option,
    preprocess_option,
    preprocessing_of,
    preset_option,
    saying_what_is_understood,
    weights_option,
)
from exporter.source.presets import OWN


@click.command()
@click.argument("model", shell_complete=complete_paths)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of images, or of one folder for each class: run a few of them, to see how much of "
    "what decides has a place in the picture.",
)
@preprocess_option
@preset_option
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
    data: Path | None,
    preprocess_file: Path | None,
    preset: str | None,
    as_json: bool,
) -> None:
    """Name the parts of MODEL's head, or say why it cannot be decomposed.

    MODEL is an .onnx file; package.module:NAME or file.py:NAME, a torch.nn.Module or what returns
    one; timm:NAME with --weights; or hf:FOLDER, a classifier of transformers on disk.
    """
    if data is None and (preprocess_file or preset):
        raise click.UsageError("--preprocess and --preset prepare the images of --data alone.")
    need_export_extra()
    from exporter.pipelines.inspect import inspect_model

    prepared = preprocessing_of(model, preprocess_file, preset) if data else OWN
    with saying_what_is_understood():
        report = inspect_model(
            model,
            weights=weights,
            input_size=input_size,
            channels=channels,
            output=output,
            data=data,
            preset=prepared if isinstance(prepared, str) else None,
            preprocess=None if isinstance(prepared, str) else prepared,
        )
    if as_json:
        click.echo(report.model_dump_json(indent=1))
        return
    rows = report.rows()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:{width}}  {value}")
