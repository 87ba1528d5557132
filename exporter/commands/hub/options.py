"""What a card is told beside the artifact, as options."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.commands.common import need_export_extra
from exporter.errors import DatasetError
from serving.artifact import MANIFEST, Artifact

if TYPE_CHECKING:
    from exporter.hub.card import CardOptions

evaluation_option = click.option(
    "--evaluation",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="evaluation.json of this artifact, whose figures the card shows.",
)
license_option = click.option(
    "--license",
    "license_name",
    metavar="NAME",
    help="Licence of the model in the card, such as apache-2.0. [default: not said]",
)
base_model_option = click.option(
    "--base-model",
    metavar="OWNER/NAME",
    help="The model on the hub that was explained. [default: not said]",
)


def card_options(
    artifact: Artifact, evaluation: Path | None, license_name: str | None, base_model: str | None
) -> CardOptions:
    """What a card says beside the artifact.

    Raises:
        DatasetError: The evaluation cannot be read, or is of another artifact.
    """
    from exporter.hub.card import CardOptions

    found = None
    if evaluation is not None:
        need_export_extra()
        from exporter.evaluate.results import read_evaluation

        found = read_evaluation(evaluation)
        own = hashlib.sha256((artifact.folder / MANIFEST).read_bytes()).hexdigest()
        if found.artifact != own:
            raise DatasetError(
                f"{evaluation}: it is the evaluation of another artifact than {artifact.folder}. "
                "Run `protohead evaluate` on this one."
            )
    return CardOptions(license=license_name, base_model=base_model, evaluation=found)
