"""`protohead page`: an artifact as a static site."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import click

from exporter.commands.common import artifact_folder, need_serve_extra
from serving.browser import open_page


@click.command()
@click.argument("artifact")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The site's folder; it appears whole or not at all.",
)
@click.option("--overwrite", is_flag=True, help="Replace a site at --out.")
@click.option(
    "--onnxruntime-web",
    type=click.Path(exists=True, path_type=Path),
    help="Folder or .tgz of the npm package that runs the graph. [default: npm fetches it, once]",
)
@click.option(
    "--open",
    "browser",
    is_flag=True,
    help="Show the site in the browser, at an address of this machine, until Ctrl-C.",
)
def page(
    artifact: str, out: Path, overwrite: bool, onnxruntime_web: Path | None, browser: bool
) -> None:
    """Write the page of ARTIFACT, a folder or an address, as a site of plain files.

    The visitor's browser runs the model; no server does, and no picture leaves it. For GitHub
    Pages, a Space, or any host of files. It publishes the model and its training crops.
    """
    need_serve_extra()
    from exporter.site.runtime import runtime_files
    from exporter.site.write import write_site
    from serving.artifact import load_artifact
    from serving.frozen import frozen

    found = load_artifact(artifact_folder(artifact))
    runtime = runtime_files(onnxruntime_web)
    loaded = write_site(
        found, out, answers=frozen(found.folder), runtime=runtime, overwrite=overwrite
    )
    click.echo(f"{out}\n  a visitor's first picture loads {loaded / 1e6:.1f} MB")
    if browser:
        _show(out)
    else:
        click.echo(f'  next: python -m http.server --bind 127.0.0.1 --directory "{out}"')


def _show(site: Path) -> None:
    from exporter.site.show import shown

    with shown(site) as address, suppress(KeyboardInterrupt):
        click.echo(f"  at {address} until Ctrl-C")
        open_page(address)
        threading.Event().wait()
