"""`protohead quantize`: an artifact whose network computes in fewer bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from exporter.commands.common import max_images_option, need_export_extra, seed_option
from exporter.commands.progress import ProgressLine
from exporter.commands.summaries import quantize_summary
from serving.artifact import MODEL

_SHARE = click.FloatRange(0, 1)


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of images, or of one folder of images for each class.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The new artifact's folder; it appears whole or not at all.",
)
@click.option(
    "--to",
    type=click.Choice(["int8", "float16"]),
    default="int8",
    show_default=True,
    help="What the network computes in.",
)
@click.option(
    "--calibration",
    default=128,
    show_default=True,
    type=click.IntRange(1),
    help="Images that the ranges of int8 are taken from, at most half; the others are compared on.",
)
@click.option(
    "--reduce-range",
    is_flag=True,
    help="Weights in 7 bits, for x86 processors without VNNI, where 8 would saturate.",
)
@click.option(
    "--min-agreement",
    type=_SHARE,
    metavar="RATE",
    help="Fail if fewer images keep their best class.",
)
@click.option(
    "--min-peaks",
    type=_SHARE,
    metavar="RATE",
    help="Fail if fewer heatmaps peak in the same cell.",
)
@click.option(
    "--max-difference",
    type=click.FloatRange(0),
    metavar="RATE",
    help="Fail if contributions differ by more in the median, over the size of their summands.",
)
@max_images_option
@seed_option
@click.option("--overwrite", is_flag=True, help="Replace an artifact at --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def quantize(
    artifact: Path,
    data: Path,
    out: Path,
    to: Literal["int8", "float16"],
    calibration: int,
    reduce_range: bool,
    min_agreement: float | None,
    min_peaks: float | None,
    max_difference: float | None,
    max_images: int,
    seed: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make a new artifact of ARTIFACT whose network computes in 8 bits or in float16.

    Its head stays in float32, so contributions sum to the logit as before. How far it agrees with
    ARTIFACT is measured on images that set no range, and kept in its manifest.
    """
    need_export_extra()
    from exporter.pipelines.quantize import quantize as run_quantize

    if reduce_range and to != "int8":
        raise click.UsageError("--reduce-range is for --to int8.")
    progress = ProgressLine()
    try:
        made = run_quantize(
            artifact,
            out,
            data=data,
            to=to,
            calibration=calibration,
            reduce_range=reduce_range,
            max_images=max_images,
            seed=seed,
            min_agreement=min_agreement,
            min_peaks=min_peaks,
            max_difference=max_difference,
            overwrite=overwrite,
            progress=progress,
        )
    finally:
        progress.close()
    if as_json:
        click.echo(json.dumps(made.manifest.model_dump(mode="json"), indent=1))
    else:
        click.echo(quantize_summary(out, made, (artifact / MODEL).stat().st_size))
