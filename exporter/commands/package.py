"""`protohead package`: an artifact in the form of a host of models."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.commands.common import need_host_packages

_NEXT = {
    "bentoml": 'bentoml models import "{out}"/*.bentomodel',
    "mlflow": "mlflow models serve --env-manager local -m {out}",
    "triton": "tritonserver --model-repository={out}",
}


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option(
    "--for",
    "host",
    required=True,
    type=click.Choice(sorted(_NEXT)),
    help="triton: a model repository; mlflow: a model of the pyfunc flavor; bentoml: a file for "
    "its model store.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="A new folder; it appears whole or not at all.",
)
@click.option(
    "--name",
    help="The model's name in triton and bentoml. [default: the source model's file]",
)
def package(artifact: Path, host: str, out: Path, name: str | None) -> None:
    """Write ARTIFACT in the form in which another host of models takes it."""
    if host == "mlflow" and name is not None:
        raise click.UsageError("--name: MLflow names a model where it is logged or registered.")
    need_host_packages(host)
    from exporter.pipelines.package import package as run_package

    run_package(artifact, host, out, name=name)  # type: ignore[arg-type]  # one of the choices
    click.echo(f"{out}\n  next: {_NEXT[host].format(out=out)}")
