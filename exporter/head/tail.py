"""The linear map between a pooled vector and the logits, built up on the way from the logits.

    logits = weight @ z + bias,        z the value reached so far, one vector an image.

Going above z = A @ y + t turns (weight, bias) into (weight @ A, weight @ t + bias).
One positive number N of the image is the one exception to linearity that can be carried along
(docs/method.md, "Exactness"), for instance the deviation of a LayerNormalization or an L2 norm:

    z = (a * y + u * mean(y)) / N(y) + t
    weight @ z + bias = (g @ y) / N(y) + (weight @ t + bias),
    g = a * weight + mean(u * weight) in each row,

so above it nothing but reshaping may follow. Symbols: c classes, d channels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from exporter.graph.forms import Linear, Normalisation
from exporter.graph.read import dimensions, how_to_tell, name_of, refusal, shown


@dataclass(frozen=True, eq=False)
class Rounding:
    """Where a quantised head rounds, on the way from the pooled vector to the logits.

    z -> clip(z to the nearest multiple of ``step``, low, high)

    Attributes:
        node: Name of the node.
        step: How far apart the numbers are that it gives.
        low: The smallest of them.
        high: The largest.
        weight: What the logits are of its z: (c, d) of a pooled vector, or a factor of each logit,
            (c,) or (1,).
        bias: The bias behind it, (c,) or (1,).
    """

    node: str
    step: float
    low: float
    high: float
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    @property
    def of_logits(self) -> bool:
        """Whether it rounds the logits, and not the pooled vector."""
        return self.weight.ndim == 1

    @property
    def words(self) -> str:
        """What it rounds, for people."""
        what = "the logits" if self.of_logits else "the pooled vector"
        return f"{what} to steps of {self.step:.2g} from {self.low:.3g} to {self.high:.3g}"

    def most(self, pooled: NDArray[np.float64], logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """The most that it changes logits by: half a step, and what lies beyond its range.

        Args:
            pooled: Pooled vectors (b, d).
            logits: Logits before any rounding (b, c).

        Returns:
            (b, c), logit units.
        """
        if self.of_logits:
            ends = [self.weight * end + self.bias for end in (self.low, self.high)]
            beyond = np.maximum(np.minimum(*ends) - logits, logits - np.maximum(*ends))
            return np.asarray(np.abs(self.weight) * self.step / 2 + np.maximum(beyond, 0))
        beyond = np.maximum(self.low - pooled, pooled - self.high)
        return np.asarray((self.step / 2 + np.maximum(beyond, 0)) @ np.abs(self.weight).T)


@dataclass(frozen=True)
class Tail:
    """logits = weight @ z + bias, or with ``normalisation`` weight @ z / N(z) + bias.

    Attributes:
        weight: (c, d); while nothing has been met but factors a diagonal, (c,) or (1,).
        bias: (c,) or (1,).
        linear: Name of the linear layer nearest to the logits, None while there is none.
        normalisation: The number N that has been met, if any.
        roundings: Where it rounds; of a quantised head.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    linear: str | None = None
    normalisation: Normalisation | None = None
    roundings: tuple[Rounding, ...] = ()

    def above_matrix(self, matrix: NDArray[Any], node: ir.Node) -> Tail:
        """The tail above z = matrix @ y, matrix (m, d)."""
        matrix = np.asarray(matrix, np.float64)
        weight = self.weight[:, None] * matrix if self.weight.ndim == 1 else self.weight @ matrix
        return replace(self, weight=weight, linear=self.linear or name_of(node))

    def above_scale(self, scale: NDArray[Any]) -> Tail:
        """The tail above z = scale * y, scale (d,) or (1,)."""
        return replace(self, weight=self.weight * np.asarray(scale, np.float64))

    def above_shift(self, shift: NDArray[Any]) -> Tail:
        """The tail above z = y + shift, shift (d,) or (1,)."""
        shift = np.asarray(shift, np.float64)
        if self.weight.ndim == 1:
            return replace(self, bias=self.bias + self.weight * shift)
        shift = np.broadcast_to(shift, self.weight.shape[1:])
        return replace(self, bias=self.bias + self.weight @ shift)

    def above_form(self, form: Linear, length: int) -> Tail:
        """The tail above z = (own * y + shared * mean(y)) / N(y) + shift, behind a matrix.

        Args:
            form: What z is of y.
            length: d of y.
        """
        shared = (self.weight * form.shared).sum(axis=1, keepdims=True) / length
        weight = np.broadcast_to(self.weight * form.own + shared, (len(self.weight), length))
        return replace(self.above_shift(form.shift), weight=weight, normalisation=form.number)

    def above_pick(self, picked: NDArray[np.int64], length: int) -> Tail:
        """The tail above z = y[picked], y of this length; a number that is none of y gives 0."""
        weight = _dense(self.weight, len(picked))
        inside = (picked >= 0) & (picked < length)
        found = np.zeros((length, len(weight)))
        np.add.at(found, picked[inside], weight.T[inside])
        return replace(self, weight=found.T)

    def above_sum(self, factor: float, length: int) -> Tail:
        """The tail above z = factor * sum(y), one number, y of this length."""
        weight = _dense(self.weight, 1) * factor
        return replace(self, weight=np.repeat(weight, length, axis=1))

    def above_rounding(self, node: ir.Node, step: float, low: float, high: float) -> Tail:
        """The tail above z = y rounded to multiples of a step, from low to high."""
        own = Rounding(name_of(node), step, low, high, self.weight, self.bias)
        return replace(self, roundings=(*self.roundings, own))

    def without_bias(self) -> Tail:
        """The same tail, for a value beside one that the bias is counted with."""
        return replace(self, bias=np.zeros(1))

    def plus(self, other: Tail, node: ir.Node) -> Tail:
        """The sum of two tails of one value; ``node`` is the one that reads it."""
        require_linear(node, self)
        require_linear(node, other)
        if self.roundings != other.roundings:
            raise refusal(
                node,
                "joins values of which each is rounded on its own: the head is quantised. Export "
                "the float model, or quantise all but its head.",
            )
        first, second = self.weight, other.weight
        if first.ndim != second.ndim:  # one is a diagonal
            first, second = (_dense(each, max(len(first), len(second))) for each in (first, second))
        return replace(
            self,
            weight=first + second,
            bias=self.bias + other.bias,
            linear=self.linear or other.linear,
        )


def _dense(weight: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    return weight if weight.ndim == 2 else np.diag(np.broadcast_to(weight, (size,)))


IDENTITY = Tail(weight=np.ones(1), bias=np.zeros(1))


def vector_length(value: ir.Value, node: ir.Node) -> int:
    """The length of a value that holds one vector an image: (b, d), (b, d, 1, 1), (b, 1, d).

    Args:
        value: The value.
        node: The node that reads it, for the error.

    Raises:
        HeadError: It holds more than one vector an image, or its shape is not known.
    """
    shape = dimensions(value)
    if shape is None or len(shape) < 2 or None in shape[1:]:
        raise refusal(
            node,
            f"reads {value.name!r} of shape {shown(shape)}: expected (batch, d) with d known. "
            f"{how_to_tell(value)}",
        )
    sizes = [size for size in shape[1:] if size is not None and size != 1]
    if len(sizes) > 1:
        raise refusal(
            node,
            f"reads {value.name!r} of shape {shown(shape)}, so every position has weights of its "
            "own: expected one pooled vector an image. A model that averages over all positions "
            "before its linear layer would do.",
        )
    return sizes[0] if sizes else 1


def require_linear(node: ir.Node, tail: Tail) -> None:
    """Refuse a computation between the pooling and a normalisation.

    Raises:
        HeadError: The tail already holds a normalisation.
    """
    if tail.normalisation is not None:
        what = tail.normalisation.words
        raise refusal(
            node,
            f"lies between the pooling and a {what}: expected nothing but reshaping there. "
            f"Pooling, {what}, linear in this order can be decomposed.",
        )
