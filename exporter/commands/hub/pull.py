"""`protohead pull`: an artifact from an address."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.commands.progress import ProgressLine


@click.command()
@click.argument("address")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The artifact's folder; it appears whole and checked, or not at all.",
)
@click.option("--overwrite", is_flag=True, help="Replace an artifact at --out.")
def pull(address: str, out: Path, overwrite: bool) -> None:
    """Fetch the artifact at ADDRESS, every file held to the hash in its manifest.

    ADDRESS is hf://owner/name[@revision][/path], s3://, gs:// or file:// with a path, or the
    http(s):// URL of the artifact's folder. A pull that broke off goes on when it is run again.
    """
    from exporter.hub.pull import pull as run_pull

    progress = ProgressLine("file")
    try:
        found = run_pull(address, out, overwrite=overwrite, progress=progress)
    finally:
        progress.close()
    click.echo(f"{found.folder}\n  {len(found.manifest.files)} files, each as its hash says")
