"""Train a toybirds classifier and export it: `python models/toybirds/train.py --data DIR`.

DIR is what `generate.py --out DIR --train 400` wrote; the transformer wants `--train 800`. Colours
are shifted and at times taken away in training: shapes and patterns have to count.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from networks import Convolutional, Network, Transformer

HERE = Path(__file__).parent
MEAN, STD = 0.5, 0.25


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, and where it goes."""

    network: Callable[[int], Network]  # takes the number of classes
    file: str
    epochs: int
    peak: float  # learning rate, reached after three tenths of the steps
    decay: float  # of the weights


RECIPES = {
    "convolutional": Recipe(Convolutional, "toybirds.onnx", 9, 6e-3, 0.02),
    "transformer": Recipe(Transformer, "toybirds_vit.onnx", 12, 2e-3, 0.05),
}


def read_folder(folder: Path) -> tuple[Tensor, Tensor, list[str]]:
    """All pictures (n, 3, h, w) uint8 of a folder of classes, their labels, the class names."""
    names = sorted(path.name for path in folder.iterdir())
    files = [(path, i) for i, n in enumerate(names) for path in sorted((folder / n).iterdir())]
    pixels = np.stack([np.asarray(Image.open(path)) for path, _ in files])
    labels = torch.tensor([label for _, label in files])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), labels, names


def augmented(images: Tensor, random: torch.Generator) -> Tensor:
    """Shift, mirror, relight, recolour and partly hide a batch (n, 3, h, w) of 0..1."""
    n, _, h, w = images.shape

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.rand(shape, generator=random) * (high - low) + low

    images = torch.where(uniform(n, 1, 1, 1) < 0.5, images.flip(3), images)
    turn = uniform(n, low=-0.15, high=0.15)
    zoom = uniform(n, low=0.85, high=1.1)
    rows = torch.stack([zoom * turn.cos(), -zoom * turn.sin(), uniform(n, low=-0.12, high=0.12)])
    more = torch.stack([zoom * turn.sin(), zoom * turn.cos(), uniform(n, low=-0.12, high=0.12)])
    grid = functional.affine_grid(torch.stack([rows, more]).permute(2, 0, 1), [n, 3, h, w], False)
    images = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    grey = images.mean(1, keepdim=True)
    # Mix the channels a little for everyone, and take a quarter of the pictures' colour away.
    mixing = torch.eye(3) + 0.12 * torch.randn((n, 3, 3), generator=random)
    images = torch.einsum("nij,njhw->nihw", mixing, images)
    images = torch.where(uniform(n, 1, 1, 1) < 0.25, grey.expand_as(images), images)
    images = images * uniform(n, 1, 1, 1, low=0.75, high=1.25)
    images = images + 0.02 * torch.randn(images.shape, generator=random)
    y, x = torch.arange(h)[:, None], torch.arange(w)
    cy, cx = uniform(n, 1, 1, 1, high=float(h)), uniform(n, 1, 1, 1, high=float(w))
    hole = ((y - cy).abs() < 14) & ((x - cx).abs() < 14)
    return torch.where(hole, uniform(n, 3, 1, 1), images).clamp(0, 1)


def train(images: Tensor, labels: Tensor, classes: int, recipe: Recipe, seed: int) -> Network:
    """Fit a classifier to pictures (n, 3, h, w) uint8 and their labels (n,)."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    model = recipe.network(classes).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=recipe.decay)
    batch = 64
    steps = recipe.epochs * (len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.peak, total_steps=steps)
    start = time.monotonic()
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(images), generator=random)
        losses = []
        for chosen in order[: len(images) // batch * batch].view(-1, batch):
            pixels = augmented(images[chosen].float() / 255, random)
            pixels = ((pixels - MEAN) / STD).contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(model(pixels), labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        seconds = time.monotonic() - start
        loss, done = np.mean(losses), f"{epoch + 1}/{recipe.epochs}"
        print(f"epoch {done} loss {loss:.3f} {seconds:.0f} s", flush=True)
    return model


def export(model: Network, size: int, path: Path) -> None:
    """Write one ONNX file with a dynamic batch and nothing in it but the network."""
    program = torch.onnx.export(
        model.folded(),
        (torch.zeros(2, 3, size, size),),
        dynamo=True,
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
        opset_version=18,
        verbose=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        program.save(Path(folder) / "model.onnx", external_data=False)
        proto = onnx.load(Path(folder) / "model.onnx")
    _strip(proto)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def _strip(proto: onnx.ModelProto) -> None:
    """Remove what the exporter noted about the machine it ran on."""
    graph = proto.graph
    things = [proto, graph, *graph.node, *graph.input, *graph.output, *graph.value_info]
    for thing in [*things, *graph.initializer]:
        thing.ClearField("metadata_props")
        thing.ClearField("doc_string")
    graph.name = "toybirds"


def main() -> None:
    """Read the command line, train, and write the model with its labels and preprocessing."""
    parser = argparse.ArgumentParser(description="Train a toybirds classifier.")
    parser.add_argument("--data", type=Path, required=True, help="folder of generate.py")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the model")
    parser.add_argument("--network", choices=RECIPES, default="convolutional")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images, labels, names = read_folder(args.data / "train")
    recipe = RECIPES[args.network]
    model = train(images, labels, len(names), recipe, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    size = images.shape[-1]
    export(model, size, args.out / recipe.file)
    preprocess = {
        "resize": size,
        "crop": size,
        "interpolation": "bilinear",
        "scale": 1 / 255,
        "mean": [MEAN] * 3,
        "std": [STD] * 3,
        "layout": "NCHW",
        "channels": "RGB",
    }
    for name, content in (("labels", names), ("preprocess", preprocess)):
        text = json.dumps(content, indent=2) + "\n"
        (args.out / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
