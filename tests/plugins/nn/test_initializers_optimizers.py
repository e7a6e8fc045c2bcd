"""Initializers against the moments that their papers give, optimizers against their formulas computed another way."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import dataflow
from dataflow import Graph, Model, initializer
from dataflow.errors import OpError, PluginError
from dataflow.registry import registry

# ------------------------------------------------------------------------------------------------ initializers

SHAPE = (300, 200)  # 300 outputs, 200 inputs, as in linear's W
MOMENTS = [
    ("zeros", {}, 0, 0),
    ("ones", {}, 1, 0),
    ("constant", {"value": 0.25}, 0.25, 0),
    ("normal", {}, 0, 1),
    ("normal", {"mean": 2, "std": 0.5}, 2, 0.25),
    ("uniform", {}, 0, 1 / 3),
    ("uniform", {"low": 0, "high": 2}, 1, 1 / 3),
    ("he_normal", {}, 0, 2 / 200),
    ("he_normal", {"fan_in_axis": 0}, 0, 2 / 300),
    ("he_uniform", {}, 0, 2 / 200),
    ("glorot_normal", {}, 0, 2 / 500),
    ("glorot_uniform", {}, 0, 2 / 500),
    ("lecun_normal", {}, 0, 1 / 200),
]


@pytest.mark.parametrize(("name", "attributes", "mean", "variance"), MOMENTS)
def test_mean_and_variance(name: str, attributes: dict, mean: float, variance: float) -> None:
    drawn = registry.initializer(name).draw(np.random.default_rng(0), SHAPE, attributes)
    assert drawn.shape == SHAPE
    assert drawn.dtype == np.float64
    # 60,000 draws: the mean is off by std/245 or so, the variance by at most 1 part in 170; five times that is allowed
    assert drawn.mean() == pytest.approx(mean, abs=5 * math.sqrt(variance) / 245 + 1e-15)
    assert drawn.var() == pytest.approx(variance, rel=0.03, abs=1e-15)


def test_every_initializer_is_in_the_table() -> None:
    assert {name for name, *_ in MOMENTS} == set(registry.registry().initializers)


@pytest.mark.parametrize(("name", "fans"), [("he_uniform", 200), ("glorot_uniform", 250)])
def test_uniform_ones_stay_within_their_bounds_and_reach_them(name: str, fans: int) -> None:
    bound = math.sqrt(6 / fans) if name == "he_uniform" else math.sqrt(6 / 500)
    drawn = registry.initializer(name).draw(np.random.default_rng(0), SHAPE, {})
    assert 0.999 * bound < np.abs(drawn).max() <= bound


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3)])
def test_parameters_without_elements(shape: tuple[int, ...]) -> None:
    for name, kind in registry.registry().initializers.items():
        given = {"value": 1.0} if name == "constant" else {}
        assert kind.draw(np.random.default_rng(0), shape, given).shape == shape


@pytest.mark.parametrize(
    ("name", "shape", "attributes", "message"),
    [
        ("he_normal", (), {}, "needs at least one axis"),
        ("he_normal", (2, 3), {"fan_in_axis": 2}, r"fan_in_axis 2 is out of range for the shape \(2, 3\)"),
        ("constant", (2,), {}, "'value' \\(float\\) is missing"),
        ("constant", (2,), {"value": "1"}, "takes float, not '1'"),
        ("normal", (2,), {"std": -1}, "initializer 'normal' cannot draw: scale < 0"),
        ("normal", (2,), {"sdt": 1}, "unknown attribute 'sdt'; did you mean 'std'"),
        ("uniform", (2,), {"low": 1, "high": 0}, "initializer 'uniform' cannot draw: "),
        ("zeros", (2,), {"value": 1}, "has no attributes"),
    ],
)
def test_initializers_that_cannot_be(name, shape, attributes, message) -> None:
    with pytest.raises(OpError, match=message):
        registry.initializer(name).draw(np.random.default_rng(0), shape, attributes)


def test_an_initializer_of_the_wrong_shape() -> None:
    @initializer
    def wrong(rng, shape):
        """One number, whatever is asked for."""
        return np.zeros(())

    with pytest.raises(PluginError, match=r"gave the shape \(\) where \(2,\) was asked for"):
        wrong.draw(np.random.default_rng(0), (2,), {})


def test_an_initializer_without_a_docstring() -> None:
    with pytest.raises(PluginError, match="no docstring"):
        initializer(lambda rng, shape: np.zeros(shape))


def two(*names: str, seed: int = 0) -> dict[str, np.ndarray]:
    graph = Graph("g")
    for name in names:
        graph.parameter(name, (3, 2), init="normal")
    graph.node("y", graph.value(names[0]) * 1)
    model = Model(graph, ["y"])
    model.parameters.redraw(seed)
    return {name: value.copy() for name, value in model.parameters.items()}


def test_what_is_drawn_depends_on_the_seed_and_the_name_alone() -> None:
    first, turned, alone = two("a", "b"), two("b", "a"), two("b")
    assert all(np.array_equal(first[name], turned[name]) for name in "ab")
    assert np.array_equal(first["b"], alone["b"])
    assert not np.array_equal(first["a"], first["b"])
    assert not np.array_equal(first["a"], two("a", seed=1)["a"])


# ------------------------------------------------------------------------------------------------ optimizers


def run(name: str, gradients: list[list[float]], start: list[float], dtype: str = "float64", **given: object) -> list:
    """The parameters after each step."""
    optimizer = registry.optimizer(name).create(given)
    parameters = np.array(start, dtype)
    state = {key: np.zeros_like(parameters) for key in optimizer.state_names}
    after = []
    for step, gradient in enumerate(gradients, 1):
        optimizer.update(parameters, np.array(gradient, dtype), state, step)
        after.append(parameters.copy())
    return after


def exact(after: list[np.ndarray], expected: list[list[Fraction]]) -> None:
    np.testing.assert_allclose(after, [[float(x) for x in row] for row in expected], rtol=1e-15, atol=1e-15)


GRADIENTS = [[Fraction(1, 2), Fraction(-3)], [Fraction(-1, 4), Fraction(2)], [Fraction(5), Fraction(0)]]
NUMBERS = [[float(x) for x in row] for row in GRADIENTS]
START = [Fraction(1), Fraction(-2)]
RATE, MOMENTUM, DECAY = Fraction(1, 10), Fraction(9, 10), Fraction(1, 100)


def test_sgd_is_gradient_descent_in_fractions() -> None:
    expected, w = [], START
    for g in GRADIENTS:
        w = [a - RATE * b for a, b in zip(w, g, strict=True)]
        expected.append(w)
    exact(run("sgd", NUMBERS, [1, -2], learning_rate=0.1), expected)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decay", [Fraction(0), DECAY])
def test_sgd_with_momentum_and_weight_decay_in_fractions(nesterov: bool, decay: Fraction) -> None:
    """v ← μ·v + (∇f + λ·w); w ← w − ε·v, or w − ε·(∇f + λ·w + μ·v) for Nesterov's."""
    expected, w, v = [], START, [Fraction(0)] * 2
    for g in GRADIENTS:
        full = [b + decay * a for a, b in zip(w, g, strict=True)]
        v = [MOMENTUM * a + b for a, b in zip(v, full, strict=True)]
        move = [b + MOMENTUM * a for a, b in zip(v, full, strict=True)] if nesterov else v
        w = [a - RATE * b for a, b in zip(w, move, strict=True)]
        expected.append(w)
    given = {"momentum": 0.9, "nesterov": nesterov, "weight_decay": float(decay)}
    exact(run("sgd", NUMBERS, [1, -2], learning_rate=0.1, **given), expected)


def test_sgd_multiplies_a_square_by_a_constant() -> None:
    """On f = ½w², w after k steps is (1 − ε)ᵏ; a missing minus would let it grow."""
    optimizer = registry.optimizer("sgd").create({"learning_rate": 0.1})
    w = np.array([1.0])
    for step in range(1, 51):
        optimizer.update(w, w.copy(), {"velocity": np.zeros(1)}, step)
    assert w[0] == pytest.approx(0.9**50, rel=1e-13)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_as_its_paper_writes_it(decay: float) -> None:
    """Algorithm 1 of Kingma and Ba, with the decoupled decay of Loshchilov and Hutter's Algorithm 2, by numbers."""
    rate, b1, b2, epsilon = 0.01, 0.8, 0.95, 1e-6
    expected, w, m, v = [], [1.0, -2.0], [0.0, 0.0], [0.0, 0.0]
    for t, g in enumerate(NUMBERS, 1):
        for i in range(2):
            m[i] = b1 * m[i] + (1 - b1) * g[i]
            v[i] = b2 * v[i] + (1 - b2) * g[i] ** 2
            step = rate * (m[i] / (1 - b1**t)) / (math.sqrt(v[i] / (1 - b2**t)) + epsilon)
            w[i] = w[i] - rate * decay * w[i] - step
        expected.append(list(w))
    given = {"learning_rate": rate, "beta1": b1, "beta2": b2, "epsilon": epsilon, "weight_decay": decay}
    np.testing.assert_allclose(run("adam", NUMBERS, [1, -2], **given), expected, rtol=1e-14)


def test_adams_first_step_is_the_rate_against_the_gradients_sign() -> None:
    """With the bias corrected, m/√v is g/|g| whatever g's size."""
    (after,) = run("adam", [[1e-3, -1e6]], [0.0, 0.0], learning_rate=0.5, epsilon=0.0)
    np.testing.assert_allclose(after, [-0.5, 0.5], rtol=1e-12)


@pytest.mark.parametrize(("name", "given"), [("sgd", {"momentum": 0.9, "weight_decay": 0.1}), ("adam", {})])
def test_float32_stays_float32(name: str, given: dict) -> None:
    narrow, wide = run(name, NUMBERS, [1, -2], "float32", **given), run(name, NUMBERS, [1, -2], **given)
    assert all(w.dtype == np.float32 for w in narrow)
    np.testing.assert_allclose(narrow, wide, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("sgd", {"learning_rate": -0.1}, "learning_rate is a number ≥ 0, not -0.1"),
        ("sgd", {"learning_rate": math.nan}, "learning_rate is a number ≥ 0, not nan"),
        ("sgd", {"learning_rate": math.inf}, "learning_rate is a number ≥ 0, not inf"),
        ("sgd", {"momentum": 1.0}, "momentum lies from 0 up to, not including, 1; it is 1.0"),
        ("sgd", {"nesterov": True}, "nesterov needs a momentum above 0"),
        ("sgd", {"learning_rate": "fast"}, "takes float, not 'fast'"),
        ("sgd", {"learnin_rate": 0.1}, "unknown attribute 'learnin_rate'; did you mean 'learning_rate'"),
        ("adam", {"beta2": 1.0}, "beta2 lies from 0"),
        ("adam", {"epsilon": -1e-8}, "epsilon is a number ≥ 0"),
        ("adam", {"learning_rate": True}, "takes float, not True"),
        ("adam", {"learning_rate": 10**400}, "takes float"),
    ],
)
def test_optimizers_that_cannot_be(name: str, given: dict, message: str) -> None:
    with pytest.raises(OpError, match=message):
        registry.optimizer(name).create(given)


def test_settings_come_back() -> None:
    given = {"learning_rate": 1, "momentum": 0.5, "nesterov": True, "weight_decay": 0.0}
    settings = registry.optimizer("sgd").create(given).settings()
    assert settings == given
    assert type(settings["learning_rate"]) is float
    assert registry.optimizer("sgd").create(settings).settings() == settings


# ------------------------------------------------------------------------------------------------ attributes


def test_a_default_that_does_not_fit_its_type_is_found_when_it_is_declared() -> None:
    with pytest.raises(PluginError, match="its default does not fit its type: attribute 'k' takes int, not 'three'"):

        @dataflow.op
        def faulty(x, *, k: int = "three"):
            """x."""
            return x


def test_defaults_are_canonical_like_what_is_given() -> None:
    @dataflow.op
    def fine(x, *, rate: float = 1, axes: tuple[int, ...] = [0, 1]):
        """x."""
        return x

    assert fine.bind({}) == {"rate": 1.0, "axes": (0, 1)}
    assert type(fine.bind({})["rate"]) is float
    assert fine.bind({"axes": [1]}) == {"rate": 1.0, "axes": (1,)}
