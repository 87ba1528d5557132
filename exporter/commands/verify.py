"""`protohead verify`: an artifact held to every promise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from exporter.commands.common import (
    artifact_folder,
    channels_option,
    complete_paths,
    input_size_option,
    need_export_extra,
    output_option,
    weights_option,
    write,
)
from exporter.commands.progress import ProgressLine
from serving.artifact import MANIFEST, GateRecord, sha256_of


@click.command()
@click.argument("artifact", shell_complete=complete_paths)
@click.option(
    "--model",
    shell_complete=complete_paths,
    help="The source model; by default it is taken out of the artifact.",
)
@weights_option
@input_size_option
@channels_option
@output_option
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Compare on every image below this folder too.",
)
@click.option(
    "--signature",
    is_flag=True,
    help="Require a signature, by --public-key or by a certificate that leads to --certificate.",
)
@click.option(
    "--public-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file with the public key of who signs.",
)
@click.option(
    "--certificate",
    "certificates",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file with certificates that are trusted. Repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML to this file."
)
@click.option(
    "--summary",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append the Markdown summary to this file.",
)
def verify(
    artifact: str,
    model: str | None,
    weights: Path | None,
    input_size: tuple[int, int] | None,
    channels: int | None,
    output: str | None,
    data: Path | None,
    signature: bool,
    public_key: Path | None,
    certificates: tuple[Path, ...],
    as_json: bool,
    junit: Path | None,
    summary: Path | None,
) -> None:
    """Reload ARTIFACT and hold it to every promise. Exit 0 when all gates pass, else 1.

    ARTIFACT is a folder, or an address such as hf://owner/name. With --signature, nothing of it is
    opened unless the signature is good.
    """
    if signature != (bool(public_key) != bool(certificates)):
        raise click.UsageError("--signature takes --public-key or --certificate, one of them.")
    need_export_extra()
    from exporter.images.dataset import find_images
    from exporter.source.onnx_file import load_source
    from exporter.text import as_text
    from exporter.verification.listed import unmeasured
    from exporter.verification.report import timed, to_json, to_junit, to_markdown
    from exporter.verification.run import each_gate, passed

    folder = artifact_folder(artifact)
    source = None
    if model:
        source = load_source(
            model, weights=weights, input_size=input_size, channels=channels, output=output
        ).original
    images = find_images(data).paths if data else ()
    progress = ProgressLine()

    def gates() -> Iterator[GateRecord]:
        if signature:
            from exporter.hub.signature import Trusted, signature_gate

            gate = signature_gate(folder, Trusted(public_key, certificates))
            yield gate
            if gate.state == "failed":
                yield from unmeasured(folder, [gate])
                return
        yield from each_gate(folder, source, images, data, 0, partial(progress, "verify"))

    found = list(timed(gates()))
    progress.close()
    records = [each.gate for each in found]
    title = as_text(folder.name if folder == Path(artifact) else artifact)
    markdown = to_markdown(records, title)
    if junit:
        write(junit, to_junit(found, title))
    if summary:
        write(summary, markdown.encode(), append=True)
    if as_json:
        manifest = folder / MANIFEST
        sha256 = sha256_of(manifest) if manifest.is_file() else None
        click.echo(to_json(found, sha256))
    else:
        click.echo(markdown.rstrip())
    if not passed(records):
        sys.exit(1)
