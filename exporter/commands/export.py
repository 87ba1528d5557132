"""`protohead export`: a trained classifier in, an artifact out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exporter.commands.common import (
    beside,
    channels_option,
    complete_paths,
    form_options,
    input_size_option,
    max_images_option,
    need_export_extra,
    output_option,
    preprocess_option,
    preprocessing_of,
    preset_option,
    saying_what_is_understood,
    seed_option,
    weights_option,
)
from exporter.commands.progress import ProgressLine
from exporter.commands.summaries import dry_run_summary, export_summary

if TYPE_CHECKING:
    from exporter.config import ExportConfig


@click.command()
@click.argument("model", shell_complete=complete_paths)
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with one folder of training images for each class.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The artifact's folder; it appears whole or not at all.",
)
@click.option(
    "-k",
    "--prototypes",
    default=3,
    show_default=True,
    type=click.IntRange(1, 32),
    help="Prototypes of each class.",
)
@click.option(
    "--method",
    default="evidence",
    show_default=True,
    type=click.Choice(["evidence", "paper", "naive"]),
    help="How each head row is split.",
)
@click.option(
    "--start",
    type=click.Choice(["zeros", "even", "naive"]),
    help="Where the solver of --method paper begins. [default: zeros]",
)
@click.option(
    "--reference",
    type=click.Choice(["mean", "none"]),
    help="What is common to all classes is told apart (mean) or split with the rest (none). "
    "[default: mean for softmax, none for sigmoid]",
)
@click.option("--multilabel", is_flag=True, help="The logits are read through a sigmoid.")
@click.option(
    "--top",
    default=5,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Classes explained for each image.",
)
@preprocess_option
@preset_option
@click.option(
    "--labels",
    "labels_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Class labels: a JSON list, a JSON object by class index, or text with one a line. "
    "[default: labels.json beside MODEL, else the model's own, else the folder names]",
)
@max_images_option
@click.option(
    "--min-images",
    default=5,
    show_default=True,
    type=click.IntRange(2),
    help="Below this many usable images a class keeps its head row whole.",
)
@click.option(
    "--min-accuracy",
    type=click.FloatRange(0, 1),
    metavar="RATE",
    help="Fail unless the model gives at least this share of the images used, 0 to 1, to their "
    "class: a low one means wrong preprocessing or labels.",
)
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="RATE",
    help="Leave about this share of the images for evaluate and report, which find them again with "
    "--holdout in the same folder.",
)
@click.option(
    "--context",
    is_flag=True,
    help="Keep small whole training images beside the crops of them. This publishes training data: "
    "whoever has the artifact sees them.",
)
@click.option(
    "--jobs",
    default=0,
    type=click.IntRange(0),
    help="Threads; changes no byte of the result. [default: all cores]",
)
@seed_option
@form_options
@click.option("--resume", is_flag=True, help="Continue an interrupted export.")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier export left at --out.")
@weights_option
@input_size_option
@channels_option
@output_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Read a few images, say which classes and images would be used and what the export would "
    "take, and write nothing. It fails where the export would be refused.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def export(
    model: str,
    preprocess_file: Path | None,
    preset: str | None,
    labels_file: Path | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Write the artifact of MODEL: its ONNX graph with prototypes, heatmaps and evidence.

    MODEL is an .onnx file; package.module:NAME or file.py:NAME, a torch.nn.Module or what returns
    one; timm:NAME with --weights; or hf:FOLDER, a classifier of transformers on disk.
    """
    if options["start"] and options["method"] != "paper":
        raise click.UsageError("--start is of --method paper alone.")
    need_export_extra()
    from exporter.config import ExportConfig
    from exporter.images.dataset import read_labels
    from exporter.pipelines.export import export as run_export

    labels_file = labels_file or beside(model, "labels.json")
    config = ExportConfig(
        model=model,
        preprocessing=preprocessing_of(model, preprocess_file, preset),
        labels=read_labels(labels_file) if labels_file else None,
        **options,
    )
    if dry_run:
        _try(config, as_json=as_json)
        return
    progress = ProgressLine()
    try:
        with saying_what_is_understood():
            artifact = run_export(config, progress=progress)
    except KeyboardInterrupt:
        progress.close()
        click.echo(
            f"Interrupted. What was finished is kept in {config.out}.part; run the same command "
            "with --resume to continue.",
            err=True,
        )
        raise
    finally:
        progress.close()
    if as_json:
        click.echo(json.dumps(artifact.manifest.model_dump(mode="json"), indent=1))
    else:
        click.echo(export_summary(config.out, artifact))
    if config.holdout is not None:
        click.echo(
            f"measure on the images held out: protohead evaluate {config.out} --data {config.data} "
            "--holdout",
            err=True,
        )


def _try(config: ExportConfig, *, as_json: bool) -> None:
    """Say what the export would come to."""
    from exporter.pipelines.dry_run import dry_run

    progress = ProgressLine()
    try:
        with saying_what_is_understood():
            found = dry_run(config, progress=progress)
    finally:
        progress.close()
    click.echo(found.model_dump_json(indent=1) if as_json else dry_run_summary(found))
