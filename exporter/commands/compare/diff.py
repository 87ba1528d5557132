"""`protohead diff`: what changed from one artifact to another."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from exporter.commands.common import artifact_folder, need_export_extra, require_place, write
from exporter.commands.progress import ProgressLine


@click.command()
@click.argument("old")
@click.argument("new")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of images: run both artifacts on them, and say which best classes changed and how "
    "far contributions shifted.",
)
@click.option(
    "--max-images",
    default=200,
    show_default=True,
    type=click.IntRange(1),
    help="Images of --data that are run, evenly over their names where there are more.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write JSON to this file; - prints it instead of the Markdown.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one HTML file with the crops of both side by side.",
)
@click.option(
    "--summary",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append the Markdown to this file.",
)
@click.option("--exit-code", is_flag=True, help="Exit 1 where they differ in any byte.")
def diff(
    old: str,
    new: str,
    data: Path | None,
    max_images: int,
    json_file: Path | None,
    html: Path | None,
    summary: Path | None,
    exit_code: bool,
) -> None:
    """Say what changed from the artifact OLD to NEW: classes, parts, options, gates, files.

    OLD and NEW are folders, or addresses such as hf://owner/name. A part is the same where its
    vector points the same way; of another classifier, where its heatmaps are hot at the same places
    of the images of --data, or without them where its training crops are the same places.
    """
    need_export_extra()
    from exporter.comparing.markdown import to_markdown
    from exporter.comparing.page import render
    from exporter.comparing.run import diff as run_diff
    from serving.artifact import load_artifact

    printed = json_file is not None and str(json_file) == "-"
    written = None if printed else json_file
    for path in filter(None, (written, html, summary)):
        require_place(path)
    artifacts = load_artifact(artifact_folder(old)), load_artifact(artifact_folder(new))
    progress = ProgressLine()
    try:
        found = run_diff(
            *artifacts, names=(old, new), data=data, max_images=max_images, progress=progress
        )
    finally:
        progress.close()
    markdown = to_markdown(found)
    if written:
        write(written, found.dump())
    if html:
        write(html, render(found, artifacts))
    if summary:
        write(summary, markdown.encode(), append=True)
    click.echo(found.dump().decode().rstrip() if printed else markdown.rstrip())
    if exit_code and not found.is_same:
        sys.exit(1)
