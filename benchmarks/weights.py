"""Peak memory of an export of a torch model, in multiples of its weights.

    python benchmarks/weights.py

A convolutional network of 396 MiB with random weights, two classes of noise, in this process; what
it held after it exported a small network is taken off.
"""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from exporter import ExportConfig, export

_SIDE = 16


def network(width: int, layers: int) -> nn.Sequential:
    """Convolutions of one width, pooled, and a linear layer of two classes."""
    torch.manual_seed(0)
    body: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=4), nn.ReLU()]
    for _ in range(layers):
        body += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 2))


def large() -> nn.Sequential:
    """The network that is measured."""
    return network(1024, 11)


def small() -> nn.Sequential:
    """One that loads the same libraries and weighs nothing."""
    return network(8, 1)


def peak() -> int:
    """The largest resident memory of this process so far, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure, and print one line."""
    size = sum(parameter.nbytes for parameter in large().parameters())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label in range(2):
            (folder / "data" / str(label)).mkdir(parents=True)
            for number in range(5):
                generator = np.random.default_rng([label, number])
                pixels = generator.integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "data" / str(label) / f"{number}.png")
        for build in ("small", "large"):
            before = peak()
            config = ExportConfig(
                model=f"{__file__}:{build}",
                data=folder / "data",
                out=folder / build,
                preprocessing="unit",
                input_size=(_SIDE, _SIDE),
                jobs=1,
            )
            export(config)
    print(f"{size / 2**20:.0f} MiB of weights, {(peak() - before) / size:.2f} times at the peak")


if __name__ == "__main__":
    main()
