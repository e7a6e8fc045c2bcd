"""An op and its derivative against a second evaluation, with 50 digits and without any derivative rule."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from dataflow.analysis.high_precision import Precise
from dataflow.errors import MissingExtraError, RuleError
from dataflow.operations.engine_ops import sum_to
from dataflow.shapes import substitute
from dataflow.testing.cases import Case
from dataflow.testing.derivative_checks import has_derivative, touched
from dataflow.testing.values import name_of

TOLERANCE = 1e-11
"""Relative to the sum of the magnitudes of what is added up."""


def fifty_digits(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """⟨u, f(x)⟩ and its derivative along a direction are what mpmath gives. Says nothing where mpmath is not installed,
    and of ops of which no symbolic rule tells what they compute."""
    if not has_derivative(case) or touched(case).any():
        return
    graph, known, y = case.graph()
    if graph.makes_sizes:
        return
    u = rng.normal(size=substitute(y.shape, {}))
    graph.node("f", sum_to(y * graph.constant("u", u), shape=()))
    try:
        precise = Precise(graph, "f", known, {})
        value = precise.value()
    except (MissingExtraError, RuleError):
        return
    yield from _compare("⟨u, f(x)⟩", u * case.run(), value)
    for i, share in enumerate(case.pullback(u)):
        if i in case.floats:
            direction = rng.uniform(0.5, 1.5, share.shape)
            what = f"the derivative of ⟨u, f(x)⟩ along a direction of {name_of(case, i)}"
            yield from _compare(what, share * direction, precise.slope(f"x{i}", direction))


def _compare(what: str, terms: np.ndarray, expected: Any) -> Iterator[str]:
    """A line unless the terms add up to the number that was expected, but for rounding."""
    total, scale = math.fsum(terms.reshape(-1)), float(np.abs(terms).sum())
    if not abs(total - expected) <= TOLERANCE * max(scale, abs(expected)):
        yield f"{what} is {total:.17g}, an evaluation with 50 digits says {float(expected):.17g}"
