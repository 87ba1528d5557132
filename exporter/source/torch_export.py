"""A torch module becomes the bytes of an ONNX file that computes the same.

1. Run it: the output must be finite logits.
2. Trace it with torch.export, batch axis free.
3. Translate the trace with the dynamo exporter, without anything that names this machine.
4. Compare the ONNX graph with the module on random images.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import onnx_ir as ir
import onnxscript  # noqa: F401  # torch.onnx imports it late; here its absence is told early
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from exporter.errors import SourceError
from serving.model.runtime import make_session

if TYPE_CHECKING:
    from torch.export import ExportedProgram

# The lowest opset the dynamo exporter writes: the lower, the more runtimes load the artifact.
_OPSET = 18
# float32 rounding through a deep network stays near 1e-5 of the largest logit; a wrongly
# translated operator is off by far more than this.
_AGREEMENT = 1e-4
_WEIGHTS_LIMIT = 2**31 - 2**24  # protobuf's 2 GiB, with room for the graph itself


class _Logits(nn.Module):
    """A classifier whose output is the logits tensor alone, whatever it was wrapped in."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        output = self.model(image)
        if isinstance(output, Mapping):
            output = output.get("logits")
        logits = getattr(output, "logits", output)
        if not isinstance(logits, torch.Tensor) or logits.ndim != 2:
            found = f"shape {tuple(logits.shape)}" if hasattr(logits, "shape") else type(output)
            raise TypeError(f"expected logits (batch, classes) or an output with them, got {found}")
        return logits


def export_module(network: nn.Module, shape: tuple[int, ...], where: str) -> bytes:
    """Export a classifier in eval mode, on the CPU.

    Args:
        network: The module; its output is the logits (batch, c), or a mapping or an object that
            holds them as ``logits``.
        shape: (d, h, w) of one image.
        where: The model, for errors.

    Returns:
        The bytes of the ONNX file: input ``image`` (batch, d, h, w) float32, output ``logits``
        (batch, c), batch axis free. The same module gives the same bytes.

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
    wrapped = _Logits(network).eval()
    with torch.no_grad():
        _run(wrapped, _images(2, shape), where)
        data = _to_onnx(_trace(wrapped, _images(2, shape), where), where)
        _check_agreement(wrapped, data, shape, where)
    return data


def _images(batch: int, shape: tuple[int, ...]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(batch)
    return torch.randn((batch, *shape), generator=generator)


def _run(network: nn.Module, images: torch.Tensor, where: str) -> torch.Tensor:
    try:
        logits: torch.Tensor = network(images)
    except Exception as error:  # the model is the user's code, and may fail in any way
        raise SourceError(
            f"{where}: failed on random images of shape {tuple(images.shape)}: "
            f"{root_cause(error)}. Give `input_size` (height, width) if it expects another size."
        ) from error
    if not logits.isfinite().all():
        raise SourceError(f"{where}: expected finite logits on random images, got NaN or infinity")
    return logits


def _trace(network: nn.Module, images: torch.Tensor, where: str) -> ExportedProgram:
    batch = torch.export.Dim("batch")
    try:
        # The fused attention kernels give strides that the exporter's own decomposition of them
        # does not reproduce, and Swin fails on it; the plain kernel is the same mathematics.
        with sdpa_kernel(SDPBackend.MATH):
            program = torch.export.export(
                network, (images,), dynamic_shapes={"image": {0: batch}}, strict=False
            )
    except Exception as error:  # torch.export raises what tracing the user's code raises
        raise SourceError(
            f"{where}: torch.export cannot trace it with a free batch size: {root_cause(error)}. "
            "Change the model, or export it to ONNX yourself and pass the .onnx file."
        ) from error
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


def _to_onnx(program: ExportedProgram, where: str) -> bytes:
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
    except torch.onnx.OnnxExporterError as error:
        raise SourceError(
            f"{where}: torch.onnx cannot express it: {root_cause(error)}. Change the model, or "
            "export it to ONNX in another way and pass the .onnx file."
        ) from error
    if exported is None:
        raise SourceError(f"{where}: torch.onnx returned no model")
    return _deterministic_bytes(exported.model)


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


def _deterministic_bytes(model: ir.Model) -> bytes:
    """Serialise without what differs between machines: stack traces hold paths."""
    ClearMetadataAndDocStringPass()(model)
    model.doc_string = None
    model.metadata_props.clear()
    for graph in model.graphs():
        values = [*graph.inputs, *graph.initializers.values()]
        for value in [*values, *(output for node in graph for output in node.outputs)]:
            value.doc_string = None
            value.metadata_props.clear()
    data: bytes = ir.to_proto(model).SerializeToString(deterministic=True)
    return data


def _check_agreement(network: nn.Module, data: bytes, shape: tuple[int, ...], where: str) -> None:
    session = make_session(data)
    for batch in (1, 3):  # traced at 2: any other batch shows an axis that was not free
        images = _images(batch, shape)
        expected = _run(network, images, where).numpy()
        (logits,) = session.run(["logits"], {"image": images.numpy()})
        if logits.shape != expected.shape:
            raise SourceError(
                f"{where}: expected logits of shape {expected.shape} from the exported graph, "
                f"got {logits.shape}"
            )
        difference, largest = abs(logits - expected).max(), abs(expected).max()
        if not difference <= _AGREEMENT * largest:
            raise SourceError(
                f"{where}: the exported graph differs from the torch model by {difference:.3g} "
                f"at logits up to {largest:.3g}, more than rounding. torch.onnx translates one "
                "of its operators wrongly; export it in another way and pass the .onnx file."
            )


def root_cause(error: BaseException) -> str:
    """Say in one line which error started it all."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
