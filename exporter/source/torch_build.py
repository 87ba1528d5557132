"""A torch module from the place where its owner has it: a callable, an instance, a file of code."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import operator
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from exporter.errors import SourceError
from exporter.text import whole_cause

_EXPECTED = "Expected package.module:callable, importable from the current folder or installed."


def build(module: str, attribute: str) -> nn.Module:
    """Find a module, or call what makes one.

    Args:
        module: ``package.module``, or the path of a ``.py`` file.
        attribute: A ``torch.nn.Module`` in it, or a callable that returns one without arguments.

    Returns:
        The module, as its owner left it.

    Raises:
        SourceError: The code cannot be imported, fails, or gives something else.
    """
    where = f"{module}:{attribute}"
    with _as_a_script_of_its_own(module):
        found = _attribute(module, attribute, where)
        if not isinstance(found, nn.Module):
            found = _called(found, where)
    return require_module(found, where)


def require_module(found: object, where: str) -> nn.Module:
    """What was found or given, if it is a module that can be exported; compiled ones unwrapped.

    Raises:
        SourceError: It is something else, or a module whose code was lost.
    """
    if isinstance(found, torch.jit.ScriptModule):
        raise SourceError(
            f"{where}: a TorchScript module, whose Python code was lost. Give the module that it "
            "was compiled from, or export it to ONNX yourself and pass the .onnx file."
        )
    if isinstance(found, torch.export.ExportedProgram):
        raise SourceError(
            f"{where}: a program of torch.export, expected the torch.nn.Module that it was "
            "exported from. Or export it with torch.onnx.export and pass the .onnx file."
        )
    if not isinstance(found, nn.Module):
        raise SourceError(
            f"{where}: expected a callable that returns a torch.nn.Module, or such a module, got "
            f"{type(found).__name__}"
        )
    while True:
        inner: Any = getattr(found, "_orig_mod", None)
        if isinstance(found, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = found.module
        if not isinstance(inner, nn.Module):
            break
        found = inner
    return found


def _attribute(module: str, attribute: str, where: str) -> Any:
    errors = io.StringIO()
    try:
        # What argparse prints as it ends the program would look like our own usage.
        with contextlib.redirect_stderr(errors):
            loaded = _from_file(Path(module)) if module.endswith(".py") else _by_name(module)
    except SystemExit as error:
        last = errors.getvalue().strip().splitlines()[-1:] or [""]
        raise SourceError(
            f"{where}: importing it ended the program, as a script does{_said(last[0], error)}. "
            "Put what it runs under if __name__ == '__main__', or the model into another file."
        ) from error
    except SourceError:
        raise
    except Exception as error:  # the module is the user's code, and may fail in any way
        sys.stderr.write(errors.getvalue())
        raise SourceError(
            f"{where}: cannot be imported: {whole_cause(error)}. {_EXPECTED}"
        ) from error
    sys.stderr.write(errors.getvalue())
    try:
        return operator.attrgetter(attribute)(loaded)
    except AttributeError as error:
        raise SourceError(
            f"{where}: cannot be imported: {whole_cause(error)}. {_EXPECTED}"
        ) from error


def _said(line: str, error: SystemExit) -> str:
    return f" ({line})" if line else f" (exit code {error.code})"


def _by_name(module: str) -> ModuleType:
    return importlib.import_module(module)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise SourceError(f"{path}: expected a file of Python code, found none. Check the path.")
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SourceError(f"{path}: expected a file of Python code.")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses look their module up while it is imported
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(path.resolve().parent))
        if before is not None:  # a file that happens to be called like a module
            sys.modules[name] = before
    return module


def _called(builder: Any, where: str) -> Any:
    try:
        return builder()
    except SystemExit as error:
        raise SourceError(
            f"{where}: calling it ended the program (exit code {error.code}). Give a callable that "
            "only builds the model, without reading a command line."
        ) from error
    except Exception as error:
        advice = cuda_advice(error)
        raise SourceError(
            f"{where}: calling it without arguments failed: {advice or whole_cause(error)}"
        ) from error


def cuda_advice(error: BaseException) -> str:
    """What to do where code asks for a GPU that is not there; empty for any other error."""
    words = whole_cause(error)
    asked = ("CUDA", "cuda", "NVIDIA", "Found no NVIDIA driver", "on the same device")
    if not any(word in words for word in asked) or "out of memory" in words:
        return ""
    return (
        f"its code asks for CUDA ({words}). The export runs on the CPU: load with "
        "map_location='cpu', and make new tensors on the device of the images"
    )


@contextlib.contextmanager
def _as_a_script_of_its_own(module: str) -> Iterator[None]:
    """The user's code sees a command line without our arguments."""
    before = sys.argv
    sys.argv = [module]
    try:
        yield
    finally:
        sys.argv = before
