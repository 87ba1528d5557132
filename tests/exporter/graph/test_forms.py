from __future__ import annotations

import numpy as np
import pytest

from exporter.graph.forms import (
    Form,
    NoForm,
    Normalisation,
    at_least,
    fixed,
    linear,
    over_number,
    power,
    variable,
)

D = 7
Z = variable(D)
VECTORS = np.random.default_rng(0).normal(size=(5, D)) * np.array([[1e-3], [0.3], [1], [4], [50]])
Q = (VECTORS**2).sum(axis=1)


def number(form: Form) -> Normalisation:
    found = linear(Z * power(form, -1)).number
    assert found is not None
    return found


def constant(value: float) -> Form:
    return fixed(np.full(1, value), D)


SUM = (Z * Z).mean().times(D)
VARIANCE = ((Z - Z.mean()) * (Z - Z.mean())).mean()

NUMBERS = {
    "a norm": (power(SUM, 0.5), np.sqrt(Q)),
    "a norm of at least": (at_least(power(SUM, 0.5), 2.0), np.maximum(np.sqrt(Q), 2)),
    "the root of at least": (power(at_least(SUM, 4.0), 0.5), np.maximum(np.sqrt(Q), 2)),
    "a norm and a number": (power(SUM, 0.5) + constant(2.0), np.sqrt(Q) + 2),
    "of at least, and a number": (
        at_least(power(SUM, 0.5), 2.0) + constant(1.0),
        np.maximum(np.sqrt(Q), 2) + 1,
    ),
    "a number, and at least": (
        at_least(power(SUM, 0.5) + constant(1.0), 2.0),
        np.maximum(np.sqrt(Q) + 1, 2),
    ),
    "a number under the root of at least": (
        power(at_least(SUM, 4.0) + constant(1.0), 0.5),
        np.sqrt(np.maximum(Q, 4) + 1),
    ),
    "two numbers under the root": (
        power(SUM + constant(1.0) + constant(2.0), 0.5),
        np.sqrt(Q + 3),
    ),
    "at least of two": (at_least(at_least(power(SUM, 0.5), 2.0), 1.0), np.maximum(np.sqrt(Q), 2)),
    "a deviation": (power(VARIANCE + constant(0.5), 0.5), np.sqrt(VECTORS.var(axis=1) + 0.5)),
    "the inverse of an inverse": (
        power(power(VARIANCE + constant(0.5), -0.5), -1),
        np.sqrt(VECTORS.var(axis=1) + 0.5),
    ),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_the_number_is_what_the_operations_compute(name: str) -> None:
    form, expected = NUMBERS[name]
    np.testing.assert_allclose(number(form).of(VECTORS), expected, rtol=1e-12)


def test_factors_of_a_number_go_to_the_vector() -> None:
    found = linear(Z * power(power(SUM.times(9.0), 0.5), -1))
    assert found.number is not None
    # The sum times 9 is 63 times the mean.
    values = found.own / found.number.of(VECTORS)[:, None] * VECTORS
    np.testing.assert_allclose(values, VECTORS / np.sqrt(9 * Q)[:, None], rtol=1e-12)


def test_a_mean_that_is_taken_off_twice_is_taken_off_once() -> None:
    once, twice = Z - Z.mean(), (Z - Z.mean()) - (Z - Z.mean()).mean()
    assert once.terms.keys() == twice.terms.keys()


REFUSED = {
    "a square": lambda: linear(Z * Z),
    "a cube": lambda: (Z * Z * Z).mean(),
    "a vector over its square": lambda: linear(Z * power(SUM, -1)),
    "two numbers": lambda: linear(Z * power(SUM, -0.5) + Z * power(VARIANCE + constant(1.0), -0.5)),
    "a product of two numbers": lambda: Z * power(SUM, -0.5) * power(VARIANCE, -0.5),
    "a root of each channel": lambda: power(Z, 0.5),
    "a number below nothing under the root": lambda: power(SUM + constant(-1.0), 0.5),
    "a root of the mean": lambda: power(Z.mean() * Z.mean(), 0.5),
    "at most, by an inverse": lambda: at_least(power(SUM, -0.5), 1.0),
    "a shift that is divided too": lambda: linear((Z + constant(1.0)) * power(SUM, -0.5)),
    "a number that is weighed by channel": lambda: power(
        (Z * fixed(np.arange(D), D) * Z).mean(), 0.5
    ),
    "products of many factors": lambda: Z * Z * Z * Z * Z,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_vector_over_one_number_has_no_form(name: str) -> None:
    with pytest.raises(NoForm):
        REFUSED[name]()


def test_a_norm_times_a_number_for_each_class_keeps_one_number_of_the_vector() -> None:
    own = np.array([0.5, 1.0, 3.0])
    lengths = power(SUM * fixed(own**2, D), 0.5)
    found = over_number(power(at_least(lengths, 1e-8), -1))
    expected = 1 / (np.sqrt(Q)[:, None] * own)
    np.testing.assert_allclose(found.factor / found.number.of(VECTORS)[:, None], expected)


def test_a_least_length_of_its_own_for_each_class_is_no_one_number() -> None:
    lengths = power(SUM * fixed(np.array([0.25, 1.0, 9.0]), D), 0.5)
    with pytest.raises(NoForm):
        at_least(lengths, 0.1)


def test_a_negative_square_of_one_class_is_no_length() -> None:
    with pytest.raises(NoForm):
        power(SUM * fixed(np.array([0.25, -1.0, 9.0]), D), 0.5)
