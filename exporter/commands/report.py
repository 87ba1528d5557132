"""`protohead report`: an artifact and its measurements as one page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from exporter.commands.common import (
    held_out_option,
    holdout_option,
    max_images_option,
    need_export_extra,
    open_option,
    parts_option,
    require_place,
    seed_option,
    write,
)
from exporter.commands.progress import ProgressLine
from exporter.commands.summaries import report_summary
from serving.browser import open_page


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@held_out_option
@holdout_option
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The HTML file; it appears whole or not at all.",
)
@click.option(
    "--evaluation",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="evaluation.json of this artifact, to show its metrics against the baselines.",
)
@parts_option
@click.option(
    "--images",
    default=3,
    show_default=True,
    type=click.IntRange(1, 12),
    help="Held-out images shown of each class, from the most certain to the least.",
)
@click.option(
    "--classes",
    multiple=True,
    metavar="LABEL",
    help="Report this class, by label or id. Repeatable. [default: all]",
)
@click.option(
    "--max-classes",
    default=100,
    show_default=True,
    type=click.IntRange(1),
    help="Classes shown with pictures; of more, those with the most warnings. All are measured.",
)
@max_images_option
@seed_option
@click.option(
    "--trust",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what held for each part to this JSON file, for protohead edit --trust.",
)
@click.option(
    "--summary",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append a Markdown summary to this file.",
)
@open_option
def report(
    artifact: Path,
    out: Path,
    trust: Path | None,
    summary: Path | None,
    browser: bool,
    **options: Any,
) -> None:
    """Show what ARTIFACT explains, and how far to trust it, in one HTML file.

    The file holds its images, needs no script and asks for nothing.
    """
    if out.suffix.lower() in {".md", ".markdown"}:
        raise click.UsageError(
            f"--out {out}: the report is one HTML file. Name it .html, or pass --summary {out} for "
            "Markdown."
        )
    need_export_extra()
    from exporter.pipelines.report import make_report, write_page
    from exporter.report import ReportConfig
    from serving.artifact.trust import dump_trust

    for path in filter(None, (out, trust, summary)):
        require_place(path)
    progress = ProgressLine()
    try:
        made = make_report(ReportConfig(artifact=artifact, **options), progress=progress)
    finally:
        progress.close()
    write_page(made, out)
    if trust:
        write(trust, dump_trust(made.trust))
    if summary:
        write(summary, made.markdown.encode(), append=True)
    click.echo(report_summary(out, made))
    if browser:
        open_page(out.resolve().as_uri())
