"""`protohead evaluate`: explanations measured beside the baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from exporter.commands.common import (
    held_out_option,
    holdout_option,
    max_images_option,
    need_export_extra,
    parts_option,
    require_place,
    seed_option,
    write,
)
from exporter.commands.progress import ProgressLine


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@held_out_option
@holdout_option
@parts_option
@click.option(
    "--train",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The training images, for the baselines that are found on them.",
)
@click.option(
    "--baseline",
    "baseline_names",
    multiple=True,
    type=click.Choice(["centre", "random", "cam", "nmf", "naive", "even", "paper"]),
    help="Compare with this one. Repeatable. [default: all; paper takes 20 s a class at d = 1280]",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for JSON and figures."
)
@click.option(
    "--seeds",
    default=3,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Draws of the noise.",
)
@seed_option
@max_images_option
@click.option(
    "--network-images",
    default=4,
    show_default=True,
    type=click.IntRange(1),
    help="Images of each class for the metrics that run the network many times.",
)
@click.option("--jobs", default=0, type=click.IntRange(0), help="Threads. [default: all cores]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--summary",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append the Markdown to this file.",
)
def evaluate(
    artifact: Path,
    baseline_names: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    summary: Path | None,
    **options: Any,
) -> None:
    """Measure ARTIFACT's explanations on held-out images, beside the baselines."""
    need_export_extra()
    from exporter.evaluate import EvaluationConfig, to_markdown
    from exporter.pipelines.evaluate import evaluate as run_evaluate
    from exporter.pipelines.evaluate import write_evaluation

    if baseline_names:
        options["baselines"] = baseline_names
    if out:
        require_place(out, folder=True)
    if summary:
        require_place(summary)
    progress = ProgressLine()
    try:
        found = run_evaluate(EvaluationConfig(artifact=artifact, **options), progress=progress)
    finally:
        progress.close()
    markdown = to_markdown(found)
    click.echo(found.dump().decode() if as_json else markdown.rstrip())
    if out:
        for path in write_evaluation(found, out):
            click.echo(path, err=True)
    if summary:
        write(summary, markdown.encode(), append=True)
