"""What several verbs share: options, the files beside a model, and writing what was asked for."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from exporter.commands.progress import ProgressLine
from exporter.errors import HeadError, MissingExtraError, OutputError
from exporter.hub.address import is_address
from exporter.source.presets import OWN, PRESETS, file_beside, read_preprocessing
from exporter.writing.atomic import refusal, replace_files, writing

if TYPE_CHECKING:
    from serving.artifact import Preprocessing

_EXPORT_PACKAGES = (
    "cvxpy",
    "jinja2",
    "matplotlib",
    "onnx",
    "onnx_ir",
    "scipy",
    "threadpoolctl",
    "tqdm",
)

_HEADS = "docs/heads.md"
_SERVE_PACKAGES = ("bentoml", "fastapi", "orjson", "prometheus_client", "python_multipart")

weights_option = click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights of a torch model: .safetensors, shards by their index, or a state dict or "
    "checkpoint saved by torch.",
)
input_size_option = click.option(
    "--input-size",
    type=(int, int),
    metavar="H W",
    help="Input height and width of a torch model that does not say.",
)
channels_option = click.option(
    "--channels",
    type=click.Choice(["1", "3"]),
    callback=lambda _context, _option, value: value and int(value),
    help="Channels of the images of a torch model that does not say: 3, or 1 for greyscale.",
)
output_option = click.option(
    "--output",
    help="The output with the logits, where there are several: a name, or an index for torch.",
)

preprocess_option = click.option(
    "--preprocess",
    "preprocess_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON with the preprocessing. [default: preprocess.json beside MODEL]",
)
preset_option = click.option(
    "--preset",
    type=click.Choice([OWN, *PRESETS]),
    metavar="NAME",  # of a dozen, which the refusal of any other lists
    help="Preprocessing by name, such as imagenet, keras-tf or any other that docs/cli.md lists; "
    "model takes what timm or transformers say. [default: model, for torch models]",
)

held_out_option = click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with one folder of held-out images for each class.",
)
holdout_option = click.option(
    "--holdout",
    is_flag=True,
    help="Only the images that export --holdout left; --data is the folder that it was given.",
)
parts_option = click.option(
    "--parts",
    type=click.Path(exists=True, path_type=Path),
    help="Part annotations: a table of keypoints, a CUB-200-2011 folder, or COCO keypoints JSON.",
)
max_images_option = click.option(
    "--max-images",
    default=200,
    show_default=True,
    type=click.IntRange(1),
    help="Images used of each class, drawn by seed.",
)
open_option = click.option(
    "--open", "browser", is_flag=True, help="Open it in the browser, where there is one."
)
seed_option = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1)
)


def form_options(verb: Callable[..., None]) -> Callable[..., None]:
    """The options that say which further graph is written."""
    options = (
        click.option(
            "--variant",
            default="explained",
            show_default=True,
            type=click.Choice(["explained", "dense"]),
            help="dense writes a graph for converters to phones: all classes, no TopK, no Gather.",
        ),
        click.option(
            "--input",
            "input_type",
            default="float32",
            show_default=True,
            type=click.Choice(["float32", "uint8"]),
            help="uint8 writes a graph that takes the resized and cropped picture and prepares it "
            "inside, with the same bits.",
        ),
        click.option(
            "--input-layout",
            default="NHWC",
            show_default=True,
            type=click.Choice(["NCHW", "NHWC"]),
            help="Axes of the pictures of --input uint8.",
        ),
    )
    for option in reversed(options):
        verb = option(verb)
    return verb


def complete_paths(
    _context: click.Context, _parameter: click.Parameter, begun: str
) -> list[CompletionItem]:
    """What a shell completes where a path may stand, or an address, or a model by name."""
    return [CompletionItem(begun, type="file")]


def artifact_folder(given: str) -> Path:
    """The folder of an artifact that was given as a path, or as an address: its cached copy."""
    if not is_address(given):
        return Path(given)
    from exporter.hub.cache import cached

    progress = ProgressLine("file")
    try:
        return cached(given, progress=progress)
    finally:
        progress.close()


def need_export_extra() -> None:
    """Refuse, by the name of what is missing, before a verb imports it."""
    _need("export", _EXPORT_PACKAGES)


def need_serve_extra() -> None:
    """Refuse, by the name of what is missing, before the server is imported."""
    _need("serve", _SERVE_PACKAGES)


def need_host_packages(host: str) -> None:
    """Refuse, by the name of what is missing, before a host's own packages are imported."""
    if host == "mlflow":
        _need("mlflow", ("mlflow", "orjson", "pandas", "starlette"))
    if host == "bentoml":
        _need("serve", ("bentoml",))


def _need(extra: str, packages: Sequence[str]) -> None:
    missing = [name for name in packages if not _is_installed(name)]
    if missing:
        raise MissingExtraError(
            f"this verb needs {', '.join(missing)}. Run: pip install 'protohead[{extra},cpu]'"
        )


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # a module without a spec, put in place of one
        return False


def beside(model: str, name: str) -> Path | None:
    """A file of this name beside an ONNX model, announced where it is used."""
    path = file_beside(model, name)
    if path is not None:
        click.echo(f"using {path}", err=True)
    return path


def preprocessing_of(model: str, file: Path | None, preset: str | None) -> Preprocessing | str:
    """The preset, or what the file given says, the one beside the model, or the model itself."""
    if file and preset:
        raise click.UsageError("Pass --preprocess or --preset, not both.")
    if preset:
        return preset
    file = file or beside(model, "preprocess.json")
    if file is None and not model.endswith(".onnx"):
        return OWN
    if file is None:
        raise click.UsageError(
            "How does an image become the input tensor? Pass --preprocess FILE, or --preset with "
            f"one of {', '.join(PRESETS)}. Explanations of wrongly prepared images are wrong."
        )
    return read_preprocessing(file)


@contextmanager
def saying_what_is_understood() -> Iterator[None]:
    """Let the refusal of a head end with where to read more."""
    try:
        yield
    except HeadError as error:
        message = str(error)
        if _HEADS in message:
            raise
        raise HeadError(f"{message} {_HEADS} lists what is understood.") from error


def require_place(path: Path, *, folder: bool = False) -> None:
    """Find out before the work whether its result can be written.

    Args:
        path: What will be written; its folder is made.
        folder: Whether it is itself a folder.

    Raises:
        OutputError: It cannot.
    """
    place = path if folder else path.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise refusal(error, path, "Nothing was begun.") from error
    if not folder and path.is_dir():
        raise OutputError(f"{path}: expected a file or nothing, found a folder.")


def write(path: Path, content: bytes, *, append: bool = False) -> None:
    """Write a file that was asked for; its folder is made."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # What is no plain file, such as /dev/stdout, must stay what it is.
        special = path.is_symlink() or (path.exists() and not path.is_file())
        if append or special:
            with path.open("ab" if append else "wb") as file:
                file.write(content)
        else:
            replace_files({path: content})
