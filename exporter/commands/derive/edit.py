"""`protohead edit`: a decision about prototypes, baked in or taken back."""

from __future__ import annotations

import json
from pathlib import Path

import click

from exporter.commands.common import need_export_extra
from exporter.commands.progress import ProgressLine
from exporter.commands.summaries import edit_summary, undo_summary


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option(
    "--mute",
    multiple=True,
    metavar="LABEL:NUMBER",
    help="Prototype that shall not count any more; its class by label or id. Repeatable.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="LABEL:NUMBER=NAME",
    help="New name of a prototype. Repeatable.",
)
@click.option(
    "--trust",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `protohead report --trust` measured of ARTIFACT on held-out images, to put in.",
)
@click.option("--reason", help="Why; kept in the artifact. Required but for --undo.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with one folder of images for each class, to measure what the edit changes.",
)
@click.option("--undo", is_flag=True, help="Give back the artifact before the last edit instead.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The new artifact's folder; it appears whole or not at all.",
)
@click.option("--overwrite", is_flag=True, help="Replace an artifact at --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def edit(
    artifact: Path,
    mute: tuple[str, ...],
    names: tuple[str, ...],
    trust: Path | None,
    reason: str | None,
    data: Path | None,
    undo: bool,
    out: Path,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Mute or name parts of ARTIFACT in a new artifact, add held-out figures, or undo that.

    The logits of every class without a muted prototype keep their bits, and what is left of the
    others sums to their new logits. --undo gives back the artifact before, byte for byte.
    """
    need_export_extra()
    from exporter.editing.decision import parse_name, parse_prototype
    from exporter.pipelines.edit import edit as run_edit
    from exporter.pipelines.edit import undo_edit

    if undo and (mute or names or trust or reason or data):
        raise click.UsageError("--undo takes --out and --overwrite alone.")
    if not undo and not (mute or names or trust):
        raise click.UsageError(
            "Pass --mute, --name or --trust, or --undo to take the last edit back."
        )
    if not undo and not (reason or "").strip():
        raise click.UsageError("Pass --reason TEXT: it tells who comes later why this was done.")
    try:
        muted, renamed = [parse_prototype(text) for text in mute], list(map(parse_name, names))
    except ValueError as error:
        raise click.UsageError(f"{error}.") from error
    progress = ProgressLine()
    try:
        if undo:
            made = undo_edit(artifact, out, overwrite=overwrite)
        else:
            made = run_edit(
                artifact, out, reason=reason or "", mute=muted, names=renamed, trust=trust,
                data=data, overwrite=overwrite, progress=progress,
            )  # fmt: skip
    finally:
        progress.close()
    if as_json:
        click.echo(json.dumps(made.manifest.model_dump(mode="json"), indent=1))
    else:
        click.echo(undo_summary(out, made) if undo else edit_summary(out, made))
