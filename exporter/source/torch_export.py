"""A torch module becomes an ONNX graph that computes the same.

1. Run it: the output must be finite logits, the same each time, each image's own.
2. Trace it with torch.export, batch axis free.
3. Translate the trace with the dynamo exporter, without anything that names this machine.
4. Compare the ONNX graph with the module on random images.

The weights are in memory once: the graph, the session that checks it and the module share them.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import onnx_ir as ir
import onnxscript  # noqa: F401  # torch.onnx imports it late; here its absence is told early
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from exporter.errors import SourceError
from exporter.source.graph_session import open_session
from exporter.source.torch_checks import check_agreement, first_run, images
from exporter.source.torch_outputs import Logits
from exporter.text import whole_cause

if TYPE_CHECKING:
    from torch.export import ExportedProgram

# The lowest opset the dynamo exporter writes: the lower, the more runtimes load the artifact.
_OPSET = 18
_WEIGHTS_LIMIT = 2**31 - 2**24  # protobuf's 2 GiB, with room for the graph itself


def export_module(
    network: nn.Module, shape: tuple[int, ...], where: str, *, output: str | None = None
) -> ir.Model:
    """Export a classifier in eval mode, on the CPU, in float32.

    Args:
        network: The module; its output is the logits (batch, c), or holds them.
        shape: (d, h, w) of one image.
        where: The model, for errors.
        output: Where the logits are in the output, a name or an index; None finds out.

    Returns:
        The ONNX graph: input ``image`` (batch, d, h, w) float32, output ``logits`` (batch, c),
        batch axis free. The same module gives the same graph. It shares the module's weights.

    Raises:
        SourceError: The module fails, cannot be traced, has an operator ONNX has not, or the
            graph computes something else.
    """
    size = sum(t.nbytes for t in (*network.parameters(), *network.buffers()))
    if size > _WEIGHTS_LIMIT:
        raise SourceError(
            f"{where}: {size / 2**30:.1f} GiB of weights; an artifact is one ONNX file, which "
            "cannot exceed 2 GiB"
        )
    wrapped = Logits(network, output, where).eval()
    with torch.no_grad():
        first_run(wrapped, shape, where)
        model = _to_onnx(_trace(wrapped, images(2, shape), where), where)
        check_agreement(wrapped, open_session(model, reorder=False), shape, where)
    return model


def _trace(network: nn.Module, batch: torch.Tensor, where: str) -> ExportedProgram:
    free = torch.export.Dim("batch")
    logger = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = logger.level
    logger.setLevel(logging.ERROR)  # else it prints the graph so far; the error says the rest
    try:
        # The fused attention kernels give strides that the exporter's own decomposition of them
        # does not reproduce, and Swin fails on it; the plain kernel is the same mathematics.
        with sdpa_kernel(SDPBackend.MATH):
            program = torch.export.export(
                network, (batch,), dynamic_shapes={"image": {0: free}}, strict=False
            )
    except Exception as error:  # torch.export raises what tracing the user's code raises
        raise SourceError(
            f"{where}: torch.export cannot trace it with a free batch size: {whole_cause(error)}. "
            "Change the model, or export it to ONNX yourself and pass the .onnx file."
        ) from error
    finally:
        logger.setLevel(level)
    _pool_by_mean(program)
    return program


def _pool_by_mean(program: ExportedProgram) -> None:
    """Turn adaptive average pooling to one cell into the mean that it is.

    Behind a transpose (Swin) torch decomposes it into as_strided, which becomes a Gather of
    computed indices: right, but no longer a pooling that anyone could recognise.
    """
    aten = torch.ops.aten
    axes = {aten.adaptive_avg_pool1d.default: [-1], aten.adaptive_avg_pool2d.default: [-2, -1]}
    for node in program.graph.nodes:
        if node.target in axes and all(size == 1 for size in node.args[1]):
            node.args = (node.args[0], axes[node.target], True)
            node.target = aten.mean.dim


def _to_onnx(program: ExportedProgram, where: str) -> ir.Model:
    try:
        with _quiet_exporter():
            exported = torch.onnx.export(
                program,
                input_names=["image"],
                output_names=["logits"],
                dynamic_shapes={"image": {0: "batch"}},
                opset_version=_OPSET,
                verbose=False,
            )
    except Exception as error:  # it raises what its own passes raise, not its own errors alone
        raise SourceError(
            f"{where}: torch.onnx cannot express it: {whole_cause(error)}. Change the model, or "
            "export it to ONNX in another way and pass the .onnx file."
        ) from error
    if exported is None:
        raise SourceError(f"{where}: torch.onnx returned no model")
    return _plain(exported.model)


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # else it lists the torchvision operators it does without
    try:
        with warnings.catch_warnings():
            # torch.onnx copies pytree specs, which torch itself has deprecated.
            warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _plain(model: ir.Model) -> ir.Model:
    """Without what differs between machines (stack traces hold paths), and without torch.

    The weights become arrays over the memory of the module's own.
    """
    ClearMetadataAndDocStringPass()(model)
    model.doc_string = None
    model.metadata_props.clear()
    for graph in model.graphs():
        for name, value in graph.initializers.items():
            if value.const_value is not None:
                tensor = value.const_value
                if tensor.dtype in (ir.DataType.FLOAT, ir.DataType.INT64):
                    value.const_value = ir.Tensor(tensor.numpy(), name=name)
        values = [*graph.inputs, *graph.initializers.values()]
        for value in [*values, *(output for node in graph for output in node.outputs)]:
            value.doc_string = None
            value.metadata_props.clear()
    return model
