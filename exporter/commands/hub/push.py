"""`protohead push`: an artifact to an address."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.commands.hub.options import (
    base_model_option,
    card_options,
    evaluation_option,
    license_option,
)


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.argument("address")
@click.option("--public", is_flag=True, help="Let everybody see a repository that has to be made.")
@evaluation_option
@license_option
@base_model_option
def push(
    artifact: Path,
    address: str,
    public: bool,
    evaluation: Path | None,
    license_name: str | None,
    base_model: str | None,
) -> None:
    """Put ARTIFACT where others can pull it, and print the address that names just this one.

    ADDRESS is hf://owner/name[@branch][/path], s3://, gs:// or file:// with a path. A model hub
    gets a card, as `protohead card` writes it, unless there is one; a new repository is private.
    Evidence crops are pieces of training images, and an export with --context keeps small whole
    ones: they are pushed with it.
    """
    from exporter.hub.push import push as run_push
    from serving.artifact import load_artifact

    options = card_options(load_artifact(artifact), evaluation, license_name, base_model)
    click.echo(run_push(artifact, address, public=public, card=options))
