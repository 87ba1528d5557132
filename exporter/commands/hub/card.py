"""`protohead card`: the README of a model."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.commands.common import write
from exporter.commands.hub.options import (
    base_model_option,
    card_options,
    evaluation_option,
    license_option,
)


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@evaluation_option
@license_option
@base_model_option
@click.option("--overwrite", is_flag=True, help="Replace a card that is there.")
def card(
    artifact: Path,
    evaluation: Path | None,
    license_name: str | None,
    base_model: str | None,
    overwrite: bool,
) -> None:
    """Write README.md into ARTIFACT: what the model is, its classes, gates, use and limits.

    It is Markdown with the metadata of Hugging Face in front, and is not of the artifact: change it
    as you like.
    """
    from exporter.errors import OutputError
    from exporter.hub.card import write_card
    from serving.artifact import CARD, load_artifact

    target = artifact / CARD
    found = load_artifact(artifact)
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: a card is already here. Pass `overwrite` to replace it.")
    options = card_options(found, evaluation, license_name, base_model)
    write(target, write_card(found, options).encode())
    click.echo(target)
