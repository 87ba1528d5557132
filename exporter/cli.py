"""The command line: the verbs, each with its options. Only it and progress.py print.

Results go to stdout, everything else to stderr. Exit codes: 0 success, 1 an expected failure,
2 wrong usage, 130 interrupted.

The verbs import what they need when they run: the base install lacks the export extra, and
``--help`` should not wait for cvxpy.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from exporter.errors import ExporterError, MissingExtraError, OutputError
from exporter.presets import PRESETS, read_preprocessing
from exporter.progress import Progress
from exporter.wording import explanation_record, export_summary, gates_json
from serving.errors import ArtifactError

if TYPE_CHECKING:
    from serving.artifact import Preprocessing

_EXPORT_PACKAGES = ("cvxpy", "onnx", "onnx_ir", "scipy", "threadpoolctl", "tqdm")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="protohead")
@click.option("-v", "--verbose", is_flag=True, help="Say more of what is done, on stderr.")
def cli(verbose: bool) -> None:
    """Make a trained image classifier say what it looked for, and where.

    Not one bit of its predictions changes.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(message)s", stream=sys.stderr
    )


_weights_option = click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights of a torch model: .safetensors, or a state dict saved by torch.",
)
_input_size_option = click.option(
    "--input-size",
    type=(int, int),
    metavar="H W",
    help="Input height and width of a torch model that does not say.",
)
_output_option = click.option(
    "--output", help="The output with the logits, where there are several."
)


@cli.command()
@click.argument("model")
@_weights_option
@_input_size_option
@_output_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(
    model: str,
    weights: Path | None,
    input_size: tuple[int, int] | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Name the parts of MODEL's head, or say why it cannot be decomposed.

    MODEL is an .onnx file, package.module:callable that returns a torch.nn.Module, or timm:NAME.
    """
    _need_export_extra()
    from exporter.inspection import inspect_model

    report = inspect_model(model, weights=weights, input_size=input_size, output=output)
    if as_json:
        click.echo(report.model_dump_json(indent=1))
        return
    rows = report.rows()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:{width}}  {value}")


@cli.command()
@click.argument("model")
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with one folder of training images for each class.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The artifact's folder; it appears whole or not at all.",
)
@click.option(
    "-k",
    "--prototypes",
    default=3,
    show_default=True,
    type=click.IntRange(1, 32),
    help="Prototypes of each class.",
)
@click.option(
    "--method",
    default="evidence",
    show_default=True,
    type=click.Choice(["evidence", "paper", "naive"]),
    help="How each head row is split.",
)
@click.option(
    "--reference",
    type=click.Choice(["mean", "none"]),
    help="What is common to all classes is told apart (mean) or split with the rest (none). "
    "[default: mean for softmax, none for sigmoid]",
)
@click.option("--multilabel", is_flag=True, help="The logits are read through a sigmoid.")
@click.option(
    "--top",
    default=5,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Classes explained for each image.",
)
@click.option(
    "--preprocess",
    "preprocess_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON with the preprocessing. [default: preprocess.json beside MODEL]",
)
@click.option("--preset", type=click.Choice(list(PRESETS)), help="Preprocessing by name.")
@click.option(
    "--labels",
    "labels_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Class labels: a JSON list, a JSON object by class index, or text with one a line. "
    "[default: labels.json beside MODEL, else the folder names]",
)
@click.option(
    "--max-images",
    default=200,
    show_default=True,
    type=click.IntRange(1),
    help="Images used of each class, drawn by seed.",
)
@click.option(
    "--min-images",
    default=5,
    show_default=True,
    type=click.IntRange(2),
    help="Below this many usable images a class keeps its head row whole.",
)
@click.option(
    "--jobs",
    default=0,
    type=click.IntRange(0),
    help="Threads; changes no byte of the result. [default: all cores]",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1))
@click.option("--resume", is_flag=True, help="Continue an interrupted export.")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier export left at --out.")
@_weights_option
@_input_size_option
@_output_option
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def export(
    model: str,
    preprocess_file: Path | None,
    preset: str | None,
    labels_file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Write the artifact of MODEL: its ONNX graph with prototypes, heatmaps and evidence.

    MODEL is an .onnx file, package.module:callable that returns a torch.nn.Module, or timm:NAME.
    """
    if preprocess_file and preset:
        raise click.UsageError("Pass --preprocess or --preset, not both.")
    _need_export_extra()
    from exporter.config import ExportConfig
    from exporter.dataset import read_labels
    from exporter.pipeline import export as run_export

    labels_file = labels_file or _beside(model, "labels.json")
    config = ExportConfig(
        model=model,
        preprocessing=preset or _preprocessing(model, preprocess_file),
        labels=read_labels(labels_file) if labels_file else None,
        **options,
    )
    progress = Progress()
    try:
        artifact = run_export(config, progress=progress)
    except KeyboardInterrupt:
        progress.close()
        click.echo(
            f"Interrupted. What was finished is kept in {config.out}.part; run the same command "
            "with --resume to continue.",
            err=True,
        )
        raise
    finally:
        progress.close()
    if as_json:
        click.echo(json.dumps(artifact.manifest.model_dump(mode="json"), indent=1))
    else:
        click.echo(export_summary(config.out, artifact))


@cli.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--model", help="The source model; by default it is taken out of the artifact.")
@_weights_option
@_input_size_option
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Compare on every image below this folder too.",
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
    artifact: Path,
    model: str | None,
    weights: Path | None,
    input_size: tuple[int, int] | None,
    data: Path | None,
    as_json: bool,
    junit: Path | None,
    summary: Path | None,
) -> None:
    """Reload ARTIFACT and hold it to every promise. Exit 0 when all gates pass, else 1."""
    _need_export_extra()
    from exporter.dataset import find_images
    from exporter.source import load_source
    from exporter.verification import passed
    from exporter.verification import verify as run_verify
    from exporter.verification_report import to_junit, to_markdown

    source = load_source(model, weights=weights, input_size=input_size).model if model else None
    images = find_images(data) if data else ()
    progress = Progress()
    gates = run_verify(artifact, source=source, images=images, progress=partial(progress, "verify"))
    progress.close()
    markdown = to_markdown(gates, artifact.name)
    if junit:
        _write(junit, to_junit(gates, artifact.name))
    if summary:
        _write(summary, markdown.encode(), append=True)
    click.echo(gates_json(gates) if as_json else markdown.rstrip())
    if not passed(gates):
        sys.exit(1)


@cli.command()
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
    """Draw what ARTIFACT's model looked for in each of IMAGES, where, and how much it counted."""
    from serving.picture import draw
    from serving.predictor import Predictor

    predictor = Predictor(artifact)
    answers = []
    for path, target in zip(images, _picture_paths(images, out), strict=True):
        keys = [int(key) if key.isdecimal() else key for key in classes] or None
        explanation = predictor.explain(path, classes=keys)
        content = io.BytesIO()
        picture = draw(explanation, title=path.name, top=len(classes) or top, font=font)
        picture.save(content, "PNG")
        _write(target, content.getvalue())
        answers.append(
            {"image": str(path), "picture": str(target), **explanation_record(explanation)}
        )
        if not as_json:
            click.echo(target)
    if as_json:
        click.echo(json.dumps(answers, indent=1, ensure_ascii=False))


@cli.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option(
    "--mute",
    multiple=True,
    metavar="LABEL:NUMBER",
    help="Prototype that shall not count any more. Repeatable; a class without a label of this "
    "name may be given by its number.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="LABEL:NUMBER=NAME",
    help="New name of a prototype. Repeatable.",
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
    reason: str | None,
    data: Path | None,
    undo: bool,
    out: Path,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Mute or name prototypes of ARTIFACT in a new artifact, or take the last edit back.

    The logits of every class without a muted prototype keep their bits, and what is left of the
    others sums to their new logits. --undo gives back the artifact before, byte for byte.
    """
    _need_export_extra()
    from exporter.editing.decision import parse_name, parse_prototype
    from exporter.editing.edit import edit as run_edit
    from exporter.editing.edit import undo_edit
    from exporter.editing.wording import edit_summary, undo_summary

    if undo and (mute or names or reason or data):
        raise click.UsageError("--undo takes --out and --overwrite alone.")
    if not undo and not (mute or names):
        raise click.UsageError("Pass --mute or --name, or --undo to take the last edit back.")
    if not undo and not (reason or "").strip():
        raise click.UsageError("Pass --reason TEXT: it tells who comes later why this was done.")
    try:
        muted, renamed = [parse_prototype(text) for text in mute], list(map(parse_name, names))
    except ValueError as error:
        raise click.UsageError(f"{error}.") from error
    progress = Progress()
    try:
        if undo:
            made = undo_edit(artifact, out, overwrite=overwrite)
        else:
            made = run_edit(
                artifact, out, reason=reason or "", mute=muted, names=renamed, data=data,
                overwrite=overwrite, progress=progress,
            )  # fmt: skip
    finally:
        progress.close()
    if as_json:
        click.echo(json.dumps(made.manifest.model_dump(mode="json"), indent=1))
    else:
        click.echo(undo_summary(out, made) if undo else edit_summary(out, made))


@cli.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with one folder of held-out images for each class.",
)
@click.option(
    "--parts",
    type=click.Path(exists=True, path_type=Path),
    help="Part annotations: a table of keypoints, a CUB-200-2011 folder, or COCO keypoints JSON.",
)
@click.option(
    "--train",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The training images, for the baselines that are found on them.",
)
@click.option(
    "--baseline",
    "baseline_names",
    multiple=True,
    type=click.Choice(["centre", "random", "cam", "nmf", "naive", "even", "paper"]),
    help="Compare with this one. Repeatable. [default: all; paper takes 20 s a class at D = 1280]",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for JSON and figures."
)
@click.option(
    "--seeds",
    default=3,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Draws of the noise.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1))
@click.option(
    "--max-images",
    default=200,
    show_default=True,
    type=click.IntRange(1),
    help="Images used of each class, drawn by seed.",
)
@click.option(
    "--network-images",
    default=4,
    show_default=True,
    type=click.IntRange(1),
    help="Images of each class for the metrics that run the network many times.",
)
@click.option("--jobs", default=0, type=click.IntRange(0), help="Threads. [default: all cores]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--summary",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append the Markdown to this file.",
)
def evaluate(
    artifact: Path,
    baseline_names: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    summary: Path | None,
    **options: Any,
) -> None:
    """Measure ARTIFACT's explanations on held-out images, beside the baselines."""
    _need_export_extra()
    from exporter.evaluate import EvaluationConfig, to_markdown, write_evaluation
    from exporter.evaluate import evaluate as run_evaluate

    if baseline_names:
        options["baselines"] = baseline_names
    progress = Progress()
    try:
        found = run_evaluate(EvaluationConfig(artifact=artifact, **options), progress=progress)
    finally:
        progress.close()
    markdown = to_markdown(found)
    if out:
        for path in write_evaluation(found, out):
            click.echo(path, err=True)
    if summary:
        _write(summary, markdown.encode(), append=True)
    click.echo(found.dump().decode() if as_json else markdown.rstrip())


@cli.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with one folder of held-out images for each class.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The HTML file; it appears whole or not at all.",
)
@click.option(
    "--evaluation",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="evaluation.json of this artifact, to show its metrics against the baselines.",
)
@click.option(
    "--parts",
    type=click.Path(exists=True, path_type=Path),
    help="Part annotations, for warnings that know where the parts are; as for evaluate.",
)
@click.option(
    "--images",
    default=3,
    show_default=True,
    type=click.IntRange(1, 12),
    help="Held-out images shown of each class, from the most certain to the least.",
)
@click.option(
    "--classes",
    multiple=True,
    metavar="LABEL",
    help="Report this class, by label or number. Repeatable. [default: all]",
)
@click.option(
    "--max-classes",
    default=100,
    show_default=True,
    type=click.IntRange(1),
    help="Classes shown with pictures; of more, those with the most warnings. All are measured.",
)
@click.option(
    "--max-images",
    default=200,
    show_default=True,
    type=click.IntRange(1),
    help="Held-out images measured of each class, drawn by seed.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1))
@click.option(
    "--summary",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append a Markdown summary to this file.",
)
def report(artifact: Path, out: Path, summary: Path | None, **options: Any) -> None:
    """Show what ARTIFACT explains, and how far to trust it, in one HTML file.

    The file holds its images, needs no script and asks for nothing.
    """
    _need_export_extra()
    from exporter.report import ReportConfig, make_report, write_page

    progress = Progress()
    try:
        made = make_report(ReportConfig(artifact=artifact, **options), progress=progress)
    finally:
        progress.close()
    write_page(made, out)
    if summary:
        _write(summary, made.markdown.encode(), append=True)
    click.echo(made.summary(out))


@cli.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--host", help="IP address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="TCP port. [default: 3000]")
@click.option("--workers", type=click.IntRange(0), help="Processes. [default: one for each core]")
@click.option(
    "--threads",
    type=click.IntRange(0),
    help="Threads of each worker. [default: the cores, shared between the workers]",
)
@click.option(
    "--provider",
    type=click.Choice(["auto", "cpu", "cuda"]),
    help="Where it runs; auto takes CUDA where it works. [default: auto]",
)
@click.option(
    "--tokens",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with one bearer token a line; without it everybody may ask.",
)
def serve(artifact: Path, **options: Any) -> None:
    """Serve ARTIFACT over HTTP, with a page for people.

    ARTIFACT may be a link: pointing it at another artifact swaps the model while requests run.
    Every limit is an environment variable; see docs/serving.md.
    """
    from serving.launch import launch
    from serving.settings import PREFIX, Settings

    given = {"artifact": artifact, **options}
    variables = {PREFIX + name.upper(): str(v) for name, v in given.items() if v is not None}
    launch(Settings.from_environment({**os.environ, **variables}))


def _picture_paths(images: Sequence[Path], out: Path) -> list[Path]:
    """One file for each image; images of the same name get a number."""
    seen: Counter[str] = Counter()
    paths = []
    for image in images:
        seen[image.stem] += 1
        number = f"-{seen[image.stem]}" if seen[image.stem] > 1 else ""
        paths.append(out / f"{image.stem}{number}.png")
    return paths


def _need_export_extra() -> None:
    missing = [name for name in _EXPORT_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"this verb needs {', '.join(missing)}. Run: pip install 'protohead[export,cpu]'"
        )


def _beside(model: str, name: str) -> Path | None:
    """A file of this name beside an ONNX model, announced where it is used."""
    path = Path(model).with_name(name) if model.endswith(".onnx") else None
    if path is None or not path.is_file():
        return None
    click.echo(f"using {path}", err=True)
    return path


def _preprocessing(model: str, file: Path | None) -> Preprocessing:
    file = file or _beside(model, "preprocess.json")
    if file is None:
        raise click.UsageError(
            "How does an image become the input tensor? Pass --preprocess FILE, or --preset with "
            f"one of {', '.join(PRESETS)}. Explanations of wrongly prepared images are wrong."
        )
    return read_preprocessing(file)


def _write(path: Path, content: bytes, *, append: bool = False) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab" if append else "wb") as file:
            file.write(content)
    except OSError as error:
        raise OutputError(f"{path}: cannot write: {error.strerror}.") from error


def main() -> None:
    """Run the command line; every expected failure becomes one line and an exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (ExporterError, ArtifactError) as error:
        click.echo(f"protohead: {error}", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Treat SIGTERM like Ctrl-C, so that the same message and the same clean-up follow."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
