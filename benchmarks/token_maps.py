"""What is drawn of a transformer, patch by patch, joined to one map that every method reads.

deliveries  what each patch gives of what the linear layer reads                     H
tokens      the last block's patch tokens behind the final norm                      H
rollout     attention rollout, Abnar & Zuidema, ACL 2020, arXiv:2005.00928           1
grad_cam    Grad-CAM at the last block's first norm, as pytorch-grad-cam does it     1

Grad-CAM is the gradient of a class, so the joined map is that of one class.

Symbols: n images, p = h*w patches, t = 1 + p tokens, H the width, c classes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray

from exporter.graph.write import expose, find_value
from exporter.images.features import FeatureReader
from exporter.source.graph_session import open_session
from serving.model.runtime import run

sys.path.append(str(Path(__file__).parents[1] / "models" / "toybirds"))
from networks import Transformer

Floats = NDArray[np.float32]
_BATCH = 8


class Rollout:
    """Attention rollout: what of the class token each patch makes, if nothing but attention mixed.

    Args:
        model: A transformer's graph whose attention weights are what its Softmax nodes give.
        name: Name of its input.
    """

    def __init__(self, model: ir.Model, name: str) -> None:
        tapped = model.clone()
        softmax = [node for node in tapped.graph if node.op_type == "Softmax"]
        self._names = [str(node.outputs[0].name) for node in softmax]
        for weights in self._names:
            expose(tapped, find_value(tapped, weights), rank=4)
        self._session, self._input = open_session(tapped, threads=1), name

    def __call__(self, tensors: Floats) -> Floats:
        """Maps (n, p, 1) of input tensors."""
        found = run(self._session, self._names, {self._input: tensors})
        row = None  # what the class token is made of, (n, 1, t)
        for name in reversed(self._names):
            mixed = found[name].mean(axis=1)  # (n, t, t), over heads
            mixed = (mixed + np.eye(mixed.shape[1], dtype=np.float32)) / 2
            row = mixed[:, :1] if row is None else row @ mixed
        return row[:, 0, 1:, None]


class Torch:
    """The same transformer in torch, for what gradients need.

    Args:
        model: The graph that ``models/toybirds/train.py`` wrote.
    """

    def __init__(self, model: ir.Model) -> None:
        arrays = {
            name: torch.from_numpy(np.array(value.const_value.numpy()))
            for name, value in model.graph.initializers.items()
        }
        for node in model.graph:
            # Weights of linear layers over tokens lost their names; their biases did not.
            added = [str(value.name) for value in node.inputs]
            bias = next((name for name in added if name.endswith(".bias")), None)
            product = node.inputs[0].producer() if node.op_type == "Add" else None
            if bias is not None and product is not None and product.op_type == "MatMul":
                weight = arrays[str(product.inputs[1].name)].T.contiguous()
                arrays[bias.removesuffix("bias") + "weight"] = weight
        self._network = Transformer(len(arrays["head.bias"])).folded()
        wanted = self._network.state_dict().keys()
        self._network.load_state_dict({name: arrays[name] for name in wanted})
        self._network.requires_grad_(requires_grad=False)

    def __call__(self, tensors: Floats, index: int) -> tuple[Floats, Floats, Floats]:
        """Read tokens and Grad-CAM of a class.

        Returns:
            Tokens (n, p, H), Grad-CAM (n, p, 1), logits (n, c).
        """
        kept: dict[str, torch.Tensor] = {}
        network = self._network
        last = network.blocks[-1]

        def leaf(_module: torch.nn.Module, _inputs: object, out: torch.Tensor) -> torch.Tensor:
            kept["read"] = out.detach().requires_grad_()
            return kept["read"]

        def tokens(_module: torch.nn.Module, _inputs: object, out: torch.Tensor) -> None:
            kept["tokens"] = network.norm(out[:, 1:])

        hooks = [last.norm1.register_forward_hook(leaf), last.register_forward_hook(tokens)]
        logits = network(torch.from_numpy(tensors))
        for hook in hooks:
            hook.remove()
        (gradient,) = torch.autograd.grad(logits[:, index].sum(), kept["read"])
        weights = gradient[:, 1:].mean(dim=1, keepdim=True)  # (n, 1, H)
        seen = (kept["read"][:, 1:] * weights).sum(dim=2, keepdim=True).relu()
        found = (kept["tokens"], seen, logits)
        return tuple(value.detach().numpy() for value in found)


class JoinedReader:
    """Reads all maps at once, as a trial asks for them.

    Attributes:
        grid: (h, w).
        index: The class whose gradient Grad-CAM takes.
        differs: The largest difference between the logits of torch and of the graph so far.
    """

    def __init__(self, reader: FeatureReader, rollout: Rollout, network: Torch) -> None:
        self._reader, self._rollout, self._network = reader, rollout, network
        self.grid, self.index, self.differs = reader.grid, 0, 0.0

    def run(self, tensors: Floats) -> tuple[Floats, Floats]:
        """Maps (n, p, 2 H + 2), joined, and logits (n, c)."""
        maps, logits = [], []
        for start in range(0, len(tensors), _BATCH):
            batch = tensors[start : start + _BATCH]
            given, found = self._reader.run(batch)
            tokens, seen, other = self._network(batch, self.index)
            self.differs = max(self.differs, float(np.abs(found - other).max()))
            maps.append(np.concatenate([given, tokens, self._rollout(batch), seen], axis=2))
            logits.append(found)
        return np.concatenate(maps), np.concatenate(logits)
