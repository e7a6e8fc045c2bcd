"""What is checked of an op where a number is NaN or infinite: that it is not hidden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dataflow.errors import DataflowError
from dataflow.testing.cases import Case, entries, frozen
from dataflow.testing.derivative_checks import Traced, has_derivative
from dataflow.testing.values import name_of

PROBES = (-60.5, -0.25, 0.0, 60.5)
"""Values for an entry: what changes between them depends on the entry."""
FAR = (1e150, 1e300)
"""Large values for an entry: where both give the same, that is taken for the limit."""
ENTRIES = 3
"""The most entries of an argument that are replaced, one at a time."""


def nan(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """NaN in an entry of an argument gives NaN in every entry of the result, of a cotangent and of a tangent that
    depends on it, unless the op is declared with ``hides_nan=True``."""
    if case.op.hides_nan:
        return
    outputs = _Outputs(case, rng)
    for i, place in _places(case, rng):
        near = [output for probe in PROBES if (output := outputs.at(i, place, probe)) is not None]
        at_nan = outputs.at(i, place, np.nan)
        if at_nan is None:
            continue  # refused, and so not hidden
        for what, value in at_nan.items():
            depends = np.zeros(value.shape, bool)
            for output in near:
                depends |= (output[what] != near[0][what]) & ~(np.isnan(output[what]) & np.isnan(near[0][what]))
            hidden = np.argwhere(depends & ~np.isnan(value))
            if len(hidden):
                at = [int(index) for index in hidden[0]]
                yield (
                    f"{name_of(case, i)}{list(place) or ''} is NaN, and {what}{at or ''}, which depends on it, is "
                    f"{value[tuple(at)]:g}; a choice by comparison hides NaN (see dataflow.ops.masked), or the op is "
                    f"to be declared with hides_nan=True"
                )
                return


def infinity(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """Where the result, a cotangent or a tangent settles as an entry of an argument grows, it is the same at infinity,
    or NaN."""
    for i, place, sign, what, value, limit in settled(case, rng):
        wrong = np.argwhere(~np.isnan(value) & ~np.isclose(value, limit, rtol=1e-9, atol=1e-100, equal_nan=True))
        if len(wrong):
            at = [int(index) for index in wrong[0]]
            yield (
                f"{name_of(case, i)}{list(place) or ''} is {sign * np.inf}, and {what}{at or ''} is "
                f"{value[tuple(at)]:g}; it is {limit[tuple(at)]:g} for large numbers"
            )
            return


def settled(
    case: Case, rng: np.random.Generator
) -> Iterator[tuple[int, tuple[int, ...], int, str, np.ndarray, np.ndarray]]:
    """Argument, place, sign, what is looked at, its values at infinity, and those for large numbers where they settle:
    elsewhere both are 0."""
    outputs = _Outputs(case, rng)
    for i, place in _places(case, rng):
        for sign in (1, -1):
            near, far, at_infinity = (outputs.at(i, place, sign * size) for size in (*FAR, np.inf))
            if near is None or far is None or at_infinity is None:
                continue
            for what, value in at_infinity.items():
                if value.dtype.kind != "f":
                    continue  # whether a number is infinite may be what the op tells
                calm = np.isfinite(far[what]) & np.isclose(near[what], far[what], rtol=1e-12, atol=1e-60)
                yield i, place, sign, what, np.where(calm, value, 0), np.where(calm, far[what], 0)


class _Outputs:
    """What an op gives, the result, the cotangents and the tangent, as its arguments change."""

    def __init__(self, case: Case, rng: np.random.Generator) -> None:
        self.case = case
        self.traced = Traced(case, rng) if has_derivative(case) else None
        self.tangent = None if self.traced is None else self.traced.tangent_of()

    def at(self, i: int, place: tuple[int, ...], value: float) -> dict[str, np.ndarray] | None:
        """``None`` where the op refuses it."""
        changed = np.array(self.case.arguments[i])
        changed[place] = value
        case = self.case.changed({i: frozen(changed)})
        try:
            outputs: dict[str, Any] = {"the result": case.run()}
            if self.traced is not None and self.tangent is not None:
                for j, share in enumerate(case.pullback(self.traced.known["u"])):
                    if j in case.floats:
                        outputs[f"the cotangent of {name_of(case, j)}"] = share
                outputs["the tangent"] = self.tangent({f"x{i}": changed})
        except DataflowError:
            return None
        return {what: np.asarray(array) for what, array in outputs.items()}


def _places(case: Case, rng: np.random.Generator) -> Iterator[tuple[int, tuple[int, ...]]]:
    for i in case.floats:
        for place in entries(case.arguments[i], rng, ENTRIES):
            yield i, place
