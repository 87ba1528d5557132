"""`protohead sign`: a signature over the manifest."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option(
    "--key",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file with an elliptic curve private key (P-256, P-384 or P-521).",
)
@click.option(
    "--certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file with the certificate of the key; verifiers then need no key, but a root.",
)
@click.option(
    "--chain",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file with certificates between it and the root. Repeatable.",
)
def sign(artifact: Path, key: Path, certificate: Path | None, chain: tuple[Path, ...]) -> None:
    """Sign ARTIFACT's manifest, whose hashes name every other file, into its signature.json.

    Check it with `protohead verify --signature`. The password of an encrypted key is read from
    SIGNING_KEY_PASSWORD; with --certificate the key must not be encrypted.
    """
    from exporter.hub.signature import Signer
    from exporter.hub.signature import sign as run_sign

    if chain and not certificate:
        raise click.UsageError("--chain belongs to --certificate.")
    password = os.environ.get("SIGNING_KEY_PASSWORD")
    click.echo(run_sign(artifact, Signer(key, password, certificate, chain)))
