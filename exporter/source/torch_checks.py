"""What a torch classifier must do before it can be explained, and what its graph must compute.

Each check names one reason: the wrong size, chance in the forward pass, another type of number, a
GPU, other images of the batch, weights that were never trained.
"""

from __future__ import annotations

import copy
import logging
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from exporter.errors import SourceError
from exporter.source.torch_build import cuda_advice
from exporter.source.torch_outputs import Logits, OutputError
from exporter.text import whole_cause
from serving.model.runtime import Session

_logger = logging.getLogger(__name__)

# float32 rounding through a deep network stays near 1e-5 of the largest logit; a wrongly
# translated operator is off by far more than this.
AGREEMENT = 1e-4
# Of a wrong operator the graph is off, and torch is not: both are measured against float64.
_ROUNDING = 10.0
_SIDES = (224, 32, 28, 64, 96, 128, 256, 299, 384, 512)
_SHAPE_WORDS = ("shape", "size", "dimension", "channels", "expected input", "mat1", "out of range")
_TYPE_WORDS = ("dtype", "Half", "BFloat16", "Double", "bias type", "scalar type")
_LEAST_VALUES = 64  # below, uniform numbers cannot be told from others
_UNIFORM = 0.05  # share by which the deviation of a few thousand uniform numbers may be off


def images(batch: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Random images, the same each time."""
    generator = torch.Generator().manual_seed(batch)
    return torch.randn((batch, *shape), generator=generator)


def first_run(network: Logits, shape: tuple[int, ...], where: str) -> None:
    """Run a classifier for the first time.

    Args:
        network: In eval mode, on the CPU.
        shape: (d, h, w) of one image.
        where: The model, for errors.

    Raises:
        SourceError: It fails, or its logits are not finite float32, the same each time, and each
            image's own.
    """
    logits = run(network, images(2, shape), where)
    if logits.dtype != torch.float32:
        raise SourceError(
            f"{where}: its logits are {_name(logits.dtype)}, expected float32: its forward "
            "computes in another type, under autocast or by a cast. Take that out of the forward; "
            "contributions cannot add up to a rounded logit."
        )
    if not logits.isfinite().all():
        raise SourceError(f"{where}: expected finite logits on random images, got NaN or infinity")
    again = run(network, images(2, shape), where)
    if (difference := float((logits - again).abs().max())) > _allowed(logits):
        raise SourceError(
            f"{where}: two runs on the same images differ by {difference:.3g}: it draws random "
            "numbers in eval mode, as dropout does that is always on (functional.dropout without "
            "training=self.training). Take that out of the forward."
        )
    _check_alone(network, logits, shape, where)


def run(network: Logits, batch: torch.Tensor, where: str) -> torch.Tensor:
    """The logits of a batch.

    Raises:
        SourceError: The classifier fails, with the advice that fits.
    """
    try:
        logits: torch.Tensor = network(batch)
    except OutputError as error:
        raise SourceError(f"{where}: {error}.") from error
    except Exception as error:  # the model is the user's code, and may fail in any way
        raise SourceError(
            f"{where}: failed on random images of shape {tuple(batch.shape)}: "
            f"{_advice(network, batch, error)}"
        ) from error
    return logits


def _advice(network: Logits, batch: torch.Tensor, error: Exception) -> str:
    """The cause of a failed run, and what to do as far as that can be found out."""
    if advice := cuda_advice(error):
        return f"{advice}."
    cause = f"{whole_cause(error)}."
    if any(word in str(error) for word in _TYPE_WORDS) and "shape" not in str(error):
        return (
            f"{cause} Its forward mixes types of numbers; expected float32 throughout. Take casts "
            "(.half(), .double(), .to(dtype)) and autocast out of the forward."
        )
    if works := _works_at(network, tuple(batch.shape[1:])):
        channels, height, width = works
        if channels != batch.shape[1]:
            size = "" if (height, width) == tuple(batch.shape[2:]) else f" at {height} x {width}"
            return f"{cause} It runs on {channels} channel{size}: give `channels` {channels}" + (
                f" and `input_size` {height} {width}." if size else "."
            )
        return f"{cause} It runs at {height} x {width}: give `input_size` {height} {width}."
    if any(word in str(error).lower() for word in _SHAPE_WORDS):
        return f"{cause} Give `input_size` (height, width) if it expects another size."
    return cause


def _works_at(network: Logits, shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Another shape of image that the classifier runs on."""
    channels, *size = shape
    sizes = [tuple(size), *((side, side) for side in _SIDES if [side, side] != size)]
    tried = [(count, *side) for count in dict.fromkeys((channels, 3, 1)) for side in sizes]
    for found in tried:
        if found == shape:
            continue
        try:
            network(images(2, found))
        except OutputError:
            return found  # type: ignore[return-value]
        except Exception:  # noqa: S112  # that it fails is what was asked
            continue
        return found  # type: ignore[return-value]
    return None


def _check_alone(
    network: Logits, together: torch.Tensor, shape: tuple[int, ...], where: str
) -> None:
    """An image's logits must not depend on the other images of its batch."""
    batch = images(2, shape)
    norms = [
        name.removeprefix("model.")
        for name, module in network.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None
    ]
    culprit = f" BatchNorm without running statistics ({norms[0]}) does that." if norms else ""
    try:
        alone = torch.cat([network(image[None]) for image in batch])
    except Exception as error:
        raise SourceError(
            f"{where}: runs on two images and fails on one alone: {whole_cause(error)}.{culprit}"
        ) from error
    if alone.shape != together.shape:
        raise SourceError(
            f"{where}: expected one row of logits for each image, got {tuple(together.shape)} for "
            f"two together and {tuple(alone.shape)} for each alone."
        )
    difference = float((alone - together).abs().max())
    if not difference <= AGREEMENT * _largest(together) and not _is_rounding(
        network, difference, shape
    ):
        raise SourceError(
            f"{where}: the logits of an image depend on the rest of its batch: alone they differ "
            f"by {difference:.3g}.{culprit} Expected a network that sees each image on its own."
        )


def _is_rounding(network: Logits, difference: float, shape: tuple[int, ...]) -> bool:
    exact = in_float64(network, images(2, shape))
    if exact is None:
        return False
    own = np.abs(network(images(2, shape)).numpy() - exact).max()
    return bool(difference <= _ROUNDING * own)


def _largest(logits: torch.Tensor) -> float:
    return float(logits.abs().max())


def _allowed(logits: torch.Tensor) -> float:
    """What threads that add in another order may change between two runs."""
    return AGREEMENT / 10 * _largest(logits)


def check_agreement(network: Logits, session: Session, shape: tuple[int, ...], where: str) -> None:
    """Compare the exported graph with the module on random images.

    Raises:
        SourceError: They differ by more than the rounding of float32, which a run of the module
            in float64 tells from a wrong operator.
    """
    for batch in (1, 3):  # traced at 2: any other batch shows an axis that was not free
        given = images(batch, shape)
        expected = run(network, given, where).numpy()
        (logits,) = session.run(["logits"], {"image": given.numpy()})
        if logits.shape != expected.shape:
            raise SourceError(
                f"{where}: expected logits of shape {expected.shape} from the exported graph, "
                f"got {logits.shape}"
            )
        difference, largest = abs(logits - expected).max(), abs(expected).max()
        if difference <= AGREEMENT * largest:
            continue
        said = (
            f"the exported graph differs from the torch model by {difference:.3g} at logits up to "
            f"{largest:.3g}"
        )
        exact = in_float64(network, given)
        if exact is None:
            raise SourceError(
                f"{where}: {said}, and the model cannot run in float64, which would tell rounding "
                "from a wrong operator. Export it in another way and pass the .onnx file."
            )
        wrong, own = abs(logits - exact).max(), abs(expected - exact).max()
        if not wrong <= _ROUNDING * own:
            raise SourceError(
                f"{where}: {said}, more than rounding, which moves torch's own by {own:.3g}. "
                "torch.onnx translates one of its operators wrongly; export it in another way and "
                "pass the .onnx file."
            )
        _logger.warning(
            "%s: %s. Both are as far from exact arithmetic: the network magnifies the rounding of "
            "float32, and any other runtime or machine will differ as much",
            where,
            said,
        )
        return


def in_float64(network: nn.Module, given: torch.Tensor) -> NDArray[np.float64] | None:
    """The logits in double precision, None where the module cannot."""
    try:
        logits = copy.deepcopy(network).double()(given.double())
    except Exception:  # the module is the user's code, and may fail in any way
        return None
    found: NDArray[np.float64] = logits.numpy()
    return found if found.dtype == np.float64 and np.isfinite(found).all() else None


def warn_untrained(network: nn.Module, where: str) -> None:
    """Say so where every weight looks as it was drawn, before any training."""
    reason = _why_untrained(network)
    if reason:
        _logger.warning(
            "%s: its weights look freshly initialised (%s). An explanation of a network that was "
            "never trained explains nothing: load its weights where it is built, or give them",
            where,
            reason,
        )


def _why_untrained(network: nn.Module) -> str:
    """Why a network looks untrained, empty where one weight says that it is not."""
    norms, drawn = 0, 0
    for module in network.modules():
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if not isinstance(weight, torch.Tensor):
            continue
        mean, var = getattr(module, "running_mean", None), getattr(module, "running_var", None)
        if isinstance(mean, torch.Tensor) and isinstance(var, torch.Tensor):
            if mean.any() or (var != 1).any():
                return ""
            norms += 1
        if weight.ndim == 1:
            if (weight != weight[:1]).any() or (bias is not None and bias.any()):
                return ""
            norms += 1
        elif isinstance(module, (nn.Linear, nn.Conv2d)):
            if not _drawn_by_default(weight):
                continue
            drawn += 1
    layers = sum(isinstance(m, (nn.Linear, nn.Conv2d)) for m in network.modules())
    if norms:
        return "every normalisation is still the identity"
    if layers and drawn == layers:
        return "every layer still holds the uniform numbers that torch draws"
    return ""


def _drawn_by_default(weight: torch.Tensor) -> bool:
    """Whether a weight is uniform up to 1 / sqrt(fan in), as torch draws it."""
    values = weight.detach()
    if values.numel() < _LEAST_VALUES:
        return True
    bound = 1 / math.sqrt(values[0].numel())
    spread = float(values.std()) * math.sqrt(3) / bound
    sampled = _UNIFORM + 3 / math.sqrt(values.numel())
    return float(values.abs().max()) <= bound * (1 + 1e-5) and abs(spread - 1) < sampled


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
