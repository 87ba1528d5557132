"""Classifiers with other heads on the same feature map, to see what a head does to explanations.

    python -m benchmarks.hidden_layers MODEL PREPROCESS TRAIN LABELS --out DIR

Trains a linear layer, hidden layers of 256 with several activations, fastai's head (maximum and
mean, BatchNorm, Dropout) and a linear layer on maximum and mean on the features that MODEL averages
of the images of TRAIN, and writes MODEL with each of them in place of its own head: DIR/relu.onnx
and so on. `protohead export` and `protohead evaluate` do the rest. Needs torch.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, nn

from exporter.head import Head, find_head
from exporter.images.dataset import read_dataset
from exporter.images.features import FeatureReader
from exporter.source.onnx_file import Source, load_source
from serving.artifact import Preprocessing

HIDDEN, STEPS, RATE = 256, 1500, 1e-3
BOTH = ("fastai", "linear-both")


def heads(channels: int, classes: int) -> dict[str, nn.Sequential]:
    """The heads, by name; those of BOTH read maximum and mean, (2 d)."""
    two = {"relu": nn.ReLU(), "hardswish": nn.Hardswish(), "gelu": nn.GELU()}
    found = {
        name: nn.Sequential(nn.Linear(channels, HIDDEN), act, nn.Linear(HIDDEN, classes))
        for name, act in two.items()
    }
    fastai = nn.Sequential(
        nn.BatchNorm1d(2 * channels),
        nn.Dropout(0.25),
        nn.Linear(2 * channels, HIDDEN),
        nn.ReLU(),
        nn.BatchNorm1d(HIDDEN),
        nn.Dropout(0.5),
        nn.Linear(HIDDEN, classes),
    )
    both = nn.Sequential(nn.BatchNorm1d(2 * channels), nn.Linear(2 * channels, classes))
    linear = nn.Sequential(nn.Linear(channels, classes))
    return {"linear": linear, **found, "fastai": fastai, "linear-both": both}


def pooled(
    source: Source, head: Head, preprocessing: Preprocessing, data: Path, labels: list[str]
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (n, d) and maximum (n, d) of the feature map of every image, and its class (n,)."""
    dataset = read_dataset(
        data, class_count=len(labels), labels=tuple(labels), max_images=10**6, seed=0
    )
    means: list[NDArray[np.float32]] = []
    largest: list[NDArray[np.float32]] = []
    classes: list[int] = []
    with FeatureReader(source, head, preprocessing, 0) as reader:
        for entry in dataset.classes:
            if entry.paths:
                maps = reader.read(entry.paths).maps
                means.append(maps.mean(axis=1))
                largest.append(maps.max(axis=1))
                classes += [entry.index] * len(maps)
    return (
        torch.tensor(np.concatenate(means)),
        torch.tensor(np.concatenate(largest)),
        torch.tensor(classes),
    )


def train(network: nn.Sequential, features: Tensor, classes: Tensor) -> None:
    """Fit a head to features (n, d), a fifth of which is dropped each time."""
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    for module in network:
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)
    network.train()
    for _ in range(STEPS):
        chosen = torch.randint(len(features), (128,), generator=random)
        kept = torch.rand((128, features.shape[1]), generator=random) > 0.2
        logits = network(features[chosen] * kept / 0.8)
        loss = nn.functional.cross_entropy(logits, classes[chosen], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()


def with_head(
    model: ir.Model, head: Head, network: nn.Sequential, *, both: bool
) -> onnx.ModelProto:
    """The classifier with another head; ``both`` for one that reads maximum and mean."""
    proto = ir.to_proto(model)
    needed, nodes = {head.feature}, []
    for node in reversed(proto.graph.node):
        if set(node.output) & needed:
            nodes.insert(0, node)
            needed |= set(node.input)
    weights = [stored for stored in proto.graph.initializer if stored.name in needed]
    nodes += [
        helper.make_node("GlobalAveragePool", [head.feature], ["new/mean"]),
        helper.make_node("Flatten", ["new/mean"], ["new/means"]),
    ]
    value = "new/means"
    if both:
        nodes += [
            helper.make_node("GlobalMaxPool", [head.feature], ["new/max"]),
            helper.make_node("Flatten", ["new/max"], ["new/maxima"]),
            helper.make_node("Concat", ["new/maxima", "new/means"], ["new/both"], axis=1),
        ]
        value = "new/both"
    for number, module in enumerate(network):
        for node, stored in _written(module, value, f"new/{number}"):
            nodes.append(node)
            weights += [numpy_helper.from_array(array, name) for name, array in stored.items()]
            value = node.output[0]
    nodes.append(helper.make_node("Identity", [value], ["logits"]))
    classes = network[-1].out_features
    batch = proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param or "batch"
    output = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [batch, classes])
    graph = helper.make_graph(nodes, "classifier", list(proto.graph.input), [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def _written(
    module: nn.Module, value: str, name: str
) -> Iterator[tuple[onnx.NodeProto, dict[str, NDArray[np.float32]]]]:
    """The node of a module, and what it stores; none for Dropout."""
    if isinstance(module, nn.Linear):
        stored = {f"{name}/w": module.weight, f"{name}/b": module.bias}
        node = helper.make_node("Gemm", [value, *stored], [name], transB=1)
    elif isinstance(module, nn.BatchNorm1d):
        stored = {
            f"{name}/scale": module.weight,
            f"{name}/shift": module.bias,
            f"{name}/mean": module.running_mean,
            f"{name}/variance": module.running_var,
        }
        node = helper.make_node("BatchNormalization", [value, *stored], [name], epsilon=module.eps)
    elif isinstance(module, nn.Dropout):
        return
    else:
        kinds = {nn.ReLU: "Relu", nn.Hardswish: "HardSwish", nn.GELU: "Gelu"}
        stored, node = {}, helper.make_node(kinds[type(module)], [value], [name])
    yield node, {key: found.detach().numpy() for key, found in stored.items()}


def main() -> None:
    """Train and write."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hidden_layers", description=__doc__.splitlines()[0]
    )
    for name in ("model", "preprocess", "train", "labels"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    source = load_source(str(options.model))
    head = find_head(source.model)
    preprocessing = Preprocessing.model_validate_json(options.preprocess.read_bytes())
    labels = json.loads(options.labels.read_text(encoding="utf-8"))
    means, largest, classes = pooled(source, head, preprocessing, options.train, labels)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, network in heads(means.shape[1], len(labels)).items():
        both = name in BOTH
        features = torch.cat([largest, means], dim=1) if both else means
        train(network, features, classes)
        onnx.save(with_head(source.model, head, network, both=both), options.out / f"{name}.onnx")
        right = (network(features).argmax(1) == classes).float().mean()
        print(f"{name}: {right:.1%} of the training images", flush=True)


if __name__ == "__main__":
    main()
