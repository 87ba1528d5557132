"""`protohead explain`: pictures of what was looked for."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from exporter.commands.common import write
from exporter.commands.summaries import explanation_record, explanation_summary


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the pictures, one PNG for each image.",
)
@click.option(
    "--top", default=3, show_default=True, type=click.IntRange(1), help="Classes in a picture."
)
@click.option(
    "--class",
    "classes",
    multiple=True,
    help="Explain this class, by label or id, instead of the best ones. Repeatable.",
)
@click.option(
    "--font",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Font file for labels that are not in Latin letters.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the explanations as JSON.")
def explain(
    artifact: Path,
    images: tuple[Path, ...],
    out: Path,
    top: int,
    classes: tuple[str, ...],
    font: Path | None,
    as_json: bool,
) -> None:
    """Say and draw what ARTIFACT's model looked for in IMAGES, where, and how much it counted.

    Of each image one sentence, the parts of the best class from the strongest on, with what each
    adds to its logit and its share of what speaks for the class, and the file of the picture.
    """
    from serving.drawing.picture import draw
    from serving.model.predictor import Predictor

    predictor = Predictor(artifact)
    answers = []
    for path, target in zip(images, _picture_paths(images, out), strict=True):
        explanation = predictor.explain(path, classes=classes or None)
        content = io.BytesIO()
        picture = draw(explanation, title=path.name, top=len(classes) or top, font=font)
        picture.save(content, "PNG")
        write(target, content.getvalue())
        answers.append(
            {"image": str(path), "picture": str(target), **explanation_record(explanation)}
        )
        if not as_json:
            click.echo(explanation_summary(str(path), explanation, len(classes) or 1))
            click.echo(f"  {target}")
    if as_json:
        click.echo(json.dumps(answers, indent=1, ensure_ascii=False))


def _picture_paths(images: Sequence[Path], out: Path) -> list[Path]:
    """One file for each image; images of the same name get a number."""
    seen: Counter[str] = Counter()
    paths = []
    for image in images:
        seen[image.stem] += 1
        number = f"-{seen[image.stem]}" if seen[image.stem] > 1 else ""
        paths.append(out / f"{image.stem}{number}.png")
    return paths
