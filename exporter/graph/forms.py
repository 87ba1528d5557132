"""What a value is as a function of one vector, computed and not matched.

Exporters spell a normalisation in many ways; each is a few sums, products and a root. With z a
vector (d,), z' its mean, q the mean of its squares and N one positive number of it, every value on
the way is a polynomial in z, z', q and 1/N whose coefficients are constants:

    c = z - z'                  {z: 1, z': -1}
    v = mean(c * c)             {q: 1, z'z': -1}
    s = Sqrt(v + 1e-5)          {N: 1},    N = sqrt(var(z) + 1e-5)
    y = z / s - z' / s          {z/N: 1, z'/N: -1}

so that x * inv + (beta - mean * inv) is a LayerNormalization because it computes one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ROUNDED = 1e-6  # relative; constants are float32, so that what cancels leaves a rounding
_NO_LENGTH = 1e-6  # a pooled vector that is shorter holds nothing but zeros
_MOST = 4  # factors; what normalises has no more


class NoForm(Exception):  # noqa: N818 - an answer, which the caller turns into an error
    """A value is no function of the vector that can be written so."""


@dataclass(frozen=True)
class Normalisation:
    """The positive number that a vector z (d,) is divided by.

    number = max(sqrt(q + epsilon), floor) + offset, where q is the mean or the sum of the squares
    of z, or of z - mean(z).

    Attributes:
        reduction: Whether q is a mean or a sum.
        centred: Whether the mean of z is taken off before.
        epsilon: Added under the root.
        floor: The root is at least this.
        offset: Added to the root.
    """

    reduction: Literal["mean", "sum"]
    centred: bool
    epsilon: float = 0.0
    floor: float = 0.0
    offset: float = 0.0

    @property
    def is_layer_norm(self) -> bool:
        """Whether it is the deviation that a LayerNormalization divides by."""
        plain = self.floor == 0 and self.offset == 0
        return self.reduction == "mean" and self.centred and plain

    @property
    def words(self) -> str:
        """What a person calls a division by it."""
        if self.is_layer_norm:
            return "LayerNormalization"
        root = "mean square" if self.reduction == "mean" else "sum of squares"
        return f"division by the root of the {root}" + (" about the mean" if self.centred else "")

    def of(self, vectors: Floats) -> Floats:
        """The numbers (n,) of vectors (n, d)."""
        if self.centred:
            vectors = vectors - vectors.mean(axis=1, keepdims=True)
        squares = np.square(vectors)
        q = squares.mean(axis=1) if self.reduction == "mean" else squares.sum(axis=1)
        root = np.maximum(np.sqrt(q + self.epsilon), self.floor)
        return np.asarray(root + self.offset)


class Powers(NamedTuple):
    """Of z, of its mean z', of q, and of 1/N, in one product."""

    z: int = 0
    mean: int = 0
    squares: int = 0
    inverse: int = 0


_ONE = Powers()
_SQUARES, _MEAN_SQUARED = Powers(squares=1), Powers(mean=2)


@dataclass(frozen=True)
class Form:
    """A polynomial in a vector z, its mean, the mean of its squares and 1/N.

    Attributes:
        terms: The coefficients (d,) or (1,) of each product.
        length: d.
        number: N; None where no product has it.
    """

    terms: Mapping[Powers, Floats]
    length: int
    number: Normalisation | None = None

    def __add__(self, other: Form) -> Form:
        terms = dict(self.terms)
        for powers, factor in other.terms.items():
            terms[powers] = terms[powers] + factor if powers in terms else factor
        return self._with(terms, other)

    def __neg__(self) -> Form:
        return replace(self, terms={powers: -factor for powers, factor in self.terms.items()})

    def __sub__(self, other: Form) -> Form:
        return self + -other

    def __mul__(self, other: Form) -> Form:
        terms: dict[Powers, Floats] = {}
        for mine, factor in self.terms.items():
            for its, by in other.terms.items():
                powers = Powers(*(a + b for a, b in zip(mine, its, strict=True)))
                if powers.z + powers.mean + 2 * powers.squares > _MOST:
                    raise NoForm
                terms[powers] = terms[powers] + factor * by if powers in terms else factor * by
        return self._with(terms, other)

    def _with(self, terms: Mapping[Powers, Floats], other: Form) -> Form:
        """What two forms make together; of two different numbers nothing is known."""
        if None not in (self.number, other.number) and self.number != other.number:
            raise NoForm
        return _form(terms, self.length, self.number or other.number)

    def mean(self) -> Form:
        """The mean over the vector, one number."""
        terms: dict[Powers, Floats] = {}
        for powers, factor in self.terms.items():
            if powers.z > 2:
                raise NoForm
            if powers.z:
                factor = np.full(1, uniform(factor))
            reduced = Powers(
                0,
                powers.mean + (powers.z == 1),
                powers.squares + (powers.z == 2),
                powers.inverse,
            )
            terms[reduced] = terms.get(reduced, np.zeros(1)) + factor.mean(keepdims=True)
        return _form(terms, self.length, self.number)

    def times(self, factor: float) -> Form:
        """Every coefficient times one number."""
        return self * fixed(np.full(1, factor), self.length)

    def constant(self) -> Floats | None:
        """The value of a form that does not depend on the vector; None for any other."""
        return self.terms.get(_ONE, np.zeros(1)) if set(self.terms) <= {_ONE} else None


def variable(length: int) -> Form:
    """The vector z (d,) itself."""
    return Form({Powers(z=1): np.ones(1)}, length)


def fixed(array: NDArray[np.generic], length: int) -> Form:
    """A constant, (d,) or (1,)."""
    return _form({_ONE: np.asarray(array, np.float64).reshape(-1)}, length, None)


def power(form: Form, exponent: float) -> Form:
    """A form to a power; to one that is not whole, or below 1, only where one number is left.

    Raises:
        NoForm: The result is no polynomial in 1/N.
    """
    constant = form.constant()
    if constant is not None:
        return fixed(constant**exponent, form.length)
    if exponent == 1:
        return form
    if exponent == 2:
        return form * form
    form = _one_number(form)
    ((powers, factor),) = form.terms.items()
    inverse = powers.inverse * exponent
    if inverse != round(inverse) or not (factor > 0).all():
        raise NoForm
    return Form({Powers(inverse=round(inverse)): factor**exponent}, form.length, form.number)


def at_least(form: Form, least: float) -> Form:
    """The larger of one number and a constant.

    Raises:
        NoForm: The result is no N.
    """
    constant = form.constant()
    if constant is not None:
        return fixed(np.maximum(constant, least), form.length)
    one = _one_number(form)
    ((powers, factors),) = one.terms.items()
    number = one.number
    if number is None or (factors <= 0).any() or powers.inverse not in (-1, -2):
        raise NoForm
    if least <= 0:
        return form
    bounds = (least / factors) ** (-1 / powers.inverse) - number.offset
    if np.ptp(bounds) != 0 and bounds.max() > _NO_LENGTH:
        raise NoForm  # another N for each class
    return replace(one, number=replace(number, floor=max(number.floor, float(bounds.max()))))


def normalised(
    form: Form,
    reduction: Literal["mean", "sum"],
    *,
    centred: bool,
    epsilon: float,
    floor: float = 0,
) -> Form:
    """A form divided by the number that :class:`Normalisation` takes of it."""
    if centred:
        form = form - form.mean()
    squares = (form * form).mean()
    if reduction == "sum":
        squares = squares.times(form.length)
    root = power(squares + fixed(np.full(1, epsilon), form.length), 0.5)
    return form * power(at_least(root, floor), -1)


def uniform(factor: Floats) -> float:
    """The one number that all coefficients are."""
    if np.ptp(factor) != 0:
        raise NoForm
    return float(factor[0])


class Linear(NamedTuple):
    """(own * z + shared * mean(z)) / N + shift, each (d,) or (1,); N = 1 where there is none."""

    own: Floats
    shared: Floats
    shift: Floats
    number: Normalisation | None


def linear(form: Form) -> Linear:
    """Read a form as a linear map of the vector, divided by its number.

    Raises:
        NoForm: It is none.
    """
    inverse = 0 if form.number is None else 1
    own, shared = Powers(z=1, inverse=inverse), Powers(mean=1, inverse=inverse)
    found = {powers: _largest(factor) for powers, factor in form.terms.items()}
    limit = _ROUNDED * max(found.get(own, 0), found.get(shared, 0))
    if not limit or any(found[p] > limit for p in found.keys() - {own, shared, _ONE}):
        raise NoForm
    parts = [form.terms.get(powers, np.zeros(1)) for powers in (own, shared, _ONE)]
    return Linear(parts[0], parts[1], parts[2], form.number)


class Factor(NamedTuple):
    """factor / number, factor (1,) or one for each class."""

    factor: Floats
    number: Normalisation


def over_number(form: Form) -> Factor:
    """Read a form as a constant over a number.

    Raises:
        NoForm: It is none.
    """
    if form.number is None or set(form.terms) != {Powers(inverse=1)}:
        raise NoForm
    return Factor(form.terms[Powers(inverse=1)], form.number)


def _form(terms: Mapping[Powers, Floats], length: int, number: Normalisation | None) -> Form:
    """A form without what is zero, and without a number that it does not have."""
    left = {powers: factor for powers, factor in terms.items() if factor.any()}
    has = any(powers.inverse for powers in left)
    return Form(left, length, number if has else None)


def _one_number(form: Form) -> Form:
    """The same form as one power of 1/N, with an N that is made for it."""
    others = form.terms.keys() - {_ONE}
    if form.number is None:
        return _squared(form)
    if len(others) != 1:
        raise NoForm
    (powers,) = others
    if powers != Powers(inverse=powers.inverse):
        raise NoForm
    if _ONE not in form.terms:
        return form
    return _shifted(form, powers)


def _squared(form: Form) -> Form:
    """Mean or sum of squares, centred or not, plus a constant, as N squared."""
    if not form.terms.keys() <= {_SQUARES, _MEAN_SQUARED, _ONE}:
        raise NoForm
    if form.terms.keys() == {_SQUARES} and np.ptp(form.terms[_SQUARES]) != 0:
        return _squared_for_each(form)
    zero = np.zeros(1)
    squares, mean, shift = (
        uniform(form.terms.get(powers, zero)) for powers in (_SQUARES, _MEAN_SQUARED, _ONE)
    )
    centred = math.isclose(mean, -squares, rel_tol=_ROUNDED)
    if squares <= 0 or shift < 0 or not (centred or abs(mean) <= _ROUNDED * squares):
        raise NoForm
    summed = form.length > 1 and math.isclose(squares, form.length, rel_tol=_ROUNDED)
    factor = squares / form.length if summed else squares
    number = Normalisation("sum" if summed else "mean", centred, epsilon=shift / factor)
    return Form({Powers(inverse=-2): np.full(1, factor)}, form.length, number)


def _squared_for_each(form: Form) -> Form:
    """The sum of squares, times another number for each class."""
    factors = form.terms[_SQUARES] / form.length
    if (factors <= 0).any():
        raise NoForm
    return Form({Powers(inverse=-2): factors}, form.length, Normalisation("sum", centred=False))


def _shifted(form: Form, powers: Powers) -> Form:
    """N plus a constant as another number, or N squared plus a constant."""
    factor, number = uniform(form.terms[powers]), form.number
    shift = uniform(form.terms[_ONE]) / factor
    if number is None or shift < 0:
        raise NoForm
    if powers.inverse == -1:
        number = replace(number, offset=number.offset + shift)
    elif powers.inverse == -2 and number.offset == 0:
        floor = math.sqrt(number.floor**2 + shift) if number.floor else 0.0
        number = replace(number, epsilon=number.epsilon + shift, floor=floor)
    else:
        raise NoForm
    return Form({powers: np.full(1, factor)}, form.length, number)


def _largest(factor: Floats) -> float:
    return float(np.abs(factor).max())
