"""Model-parameter randomisation: does the explanation depend on what the network has learned?

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018. The network's weights are
destroyed from the top layer down (their cascading randomisation); an explanation that still looks
the same explains the picture, not the network:

    similarity = mean over n, i of Spearman over positions of (heatmap_ni before, after)

without absolute values, as a heatmap's sign means something. A good explanation comes near 0.

Weights are shuffled within each tensor rather than drawn anew: the distribution stays what it was,
so activations keep their scale and a normalisation's variance stays positive.

Symbols: n images, k prototypes, h×w grid.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from exporter.evaluate.arithmetic.statistics import flattened, mean_defined, rank_correlation
from exporter.evaluate.trial.case import Need
from exporter.evaluate.trial.metric import Metric
from serving.drawing.peaks import Floats

# Their float initialisers are settings, not weights.
_SETTINGS = {"Clip", "DequantizeLinear", "Pad", "QuantizeLinear", "Resize", "Upsample"}

# They pass a weight on; the layer is the one that uses what comes out.
_RELAYS = {"Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}


def similarity(before: Floats, after: Floats) -> float | None:
    """How alike the heatmaps of the trained and the randomised network are.

    Args:
        before: (n, k, h, w).
        after: (n, k, h, w), of the same images and prototypes.

    Returns:
        -1 to 1; constant heatmaps are left out, None if none remains.
    """
    return mean_defined(rank_correlation(flattened(before), flattened(after)))


def shuffle_weights(
    model: ir.Model, seed: int, *, share: float = 1.0, keep: Collection[str] = ()
) -> ir.Model:
    """A copy of a model with the weights of its upper layers shuffled.

    A layer is a node with float initialisers of more than one element. Biases and normalisations
    belong to the node that uses them. A larger share shuffles the same layers the same way, and
    more of them.

    Args:
        model: Any model; it is not changed.
        seed: Decides how they are shuffled.
        share: How many of the layers, counted from the top, 0 to 1; a layer begun is shuffled
            whole.
        keep: Names of initialisers that stay as they are, for instance the prototypes.

    Returns:
        The copy. Single numbers, integers and settings (the scales of Resize) stay as they are.
    """
    copy = model.clone()
    layers = _layers(copy.graph, keep)
    generator = np.random.default_rng(seed)
    for layer in layers[: math.ceil(share * len(layers))]:
        for value in layer:
            _shuffle(value, generator)
    return copy


def _layers(graph: ir.Graph, keep: Collection[str]) -> list[list[ir.Value]]:
    """The weights of each layer, the top layer first."""
    places = {node: place for place, node in enumerate(graph)}
    layers: dict[int, list[ir.Value]] = {}
    for name, value in graph.initializers.items():
        tensor = value.const_value
        if name in keep or tensor is None or tensor.size < 2:
            continue
        if tensor.dtype.is_floating_point() and (place := _place(value, places)) is not None:
            layers.setdefault(place, []).append(value)
    return [layers[place] for place in sorted(layers, reverse=True)]


def _place(value: ir.Value, places: dict[ir.Node, int]) -> int | None:
    """The place of the last node that computes with a weight; None if it is none."""
    found: list[int] = []
    for node in value.consumers():
        if node.op_type in _SETTINGS or node not in places:
            continue
        place = _place(node.outputs[0], places) if node.op_type in _RELAYS else places[node]
        if place is not None:
            found.append(place)
    return max(found, default=None)


def _shuffle(value: ir.Value, generator: np.random.Generator) -> None:
    tensor = value.const_value
    if tensor is None:
        return
    array = tensor.numpy()
    shuffled = array.ravel()[generator.permutation(array.size)].reshape(array.shape)
    value.const_value = ir.Tensor(shuffled, dtype=tensor.dtype, name=value.name)


METRICS = (
    Metric(
        name="randomisation",
        title="Randomised network",
        better="lower",
        meaning="rank correlation of the heatmaps with those of a network of shuffled weights",
        source="Adebayo et al., NeurIPS 2018",
        blind="To depend on the weights is not to be right: random directions do too.",
        needs=(Need.PROTOTYPES, Need.SHUFFLED),
        measure=lambda case: similarity(case.heatmaps, case.heatmaps_of(case.runs.shuffled)),
    ),
)
