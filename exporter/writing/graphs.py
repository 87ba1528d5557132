"""A classifier and its prototypes -> the graphs of an artifact, and where their head is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.head import Head
from exporter.smoothing import Passes
from exporter.surgery import add_prototype_outputs, add_steering
from exporter.writing.further import save_graph
from serving.artifact import MODEL, STEERABLE, HeadRecord, Manifest, NormalisationRecord


@dataclass(frozen=True)
class HowExplained:
    """What the graphs of an artifact say of a classifier.

    Attributes:
        prototypes: (c, k, d) float32.
        reference: (d,) float32, or None for no reference.
        top: Classes that ``model.onnx`` explains.
        grid: (h, w) of the feature map.
        smoothing: Passes over the heatmaps, down and across.
    """

    prototypes: NDArray[np.float32]
    reference: NDArray[np.float32] | None
    top: int
    grid: tuple[int, int]
    smoothing: Passes


def write_graphs(
    folder: Path,
    model: ir.Model,
    head: Head,
    how: HowExplained,
    manifest: Manifest,
    tensors: Mapping[str, NDArray[np.float32]],
) -> None:
    """Write ``model.onnx`` and ``steerable.onnx``.

    Args:
        folder: The artifact.
        model: The classifier; it is not changed.
        head: Its head, found in this graph.
        how: How they explain.
        manifest: Of the artifact, which the graphs say some of; its files may still be open.
        tensors: What ``prototypes.safetensors`` holds.

    Raises:
        SurgeryError: The outputs cannot be added to this graph.
    """
    explained = add_prototype_outputs(
        model,
        head,
        how.prototypes,
        reference=how.reference,
        top=how.top,
        grid=how.grid,
        smoothing=how.smoothing,
    )
    save_graph(explained, folder / MODEL, "explained", manifest, tensors)
    steerable = add_steering(
        model,
        head,
        how.prototypes,
        reference=how.reference,
        grid=how.grid,
        smoothing=how.smoothing,
    )
    save_graph(steerable, folder / STEERABLE, "steerable", manifest, tensors)


def head_record(head: Head, grid: tuple[int, int]) -> HeadRecord:
    """Where a head was found, on a grid (h, w), for the manifest."""
    number = head.normalisation
    layer_norm = number is not None and number.is_layer_norm
    return HeadRecord(
        output=head.output,
        logits=head.logits,
        feature=head.feature,
        pooling=head.pooling,
        linear=head.linear,
        layout=head.layout,
        grid=grid,
        channels=head.weight.shape[1],
        layer_norm_epsilon=number.epsilon if number and layer_norm else None,
        normalisation=NormalisationRecord(**asdict(number)) if number and not layer_norm else None,
        logits_shape=None if len(head.logits_shape) == 1 else head.logits_shape,
        steps=() if head.chain is None else head.chain.words,
        mapped=0 if head.chain is None else head.chain.mapped,
        unplaced=head.chain is not None and not head.chain.whole,
        rounding=bool(head.roundings),
    )
