"""Kinks that are not declared: places, easily hit by accident, at which an op has no derivative."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dataflow.errors import DataflowError
from dataflow.testing.cases import Case, entries, frozen
from dataflow.testing.derivative_checks import has_derivative, touched
from dataflow.testing.values import name_of

PROBES = (0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 6.0, -6.0)
STEPS = (1e-4, 1e-5, 1e-6)
ENTRIES = 6


def undeclared(case: Case, rng: np.random.Generator) -> Iterator[str]:
    """At 0, at small whole numbers, at the values of attributes and at ties: where the derivatives from the left
    and from the right differ, or the op jumps, its kink is declared and true, and its derivative lies between the
    two, and is the one that the declaration gives, if it gives one."""
    if not has_derivative(case):
        return
    for probe in _probes(case, rng):
        try:
            y = probe.run()
        except DataflowError:
            continue  # outside the op's domain
        mask = touched(probe)
        for i in probe.floats:
            yield from _probed(probe, i, y, mask, rng)


def _probed(probe: Case, i: int, y: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> Iterator[str]:
    argument = probe.arguments[i]
    for direction in _directions(probe, i, rng):
        sides = [_one_sided(probe, i, direction, y, step) for step in STEPS]
        kinked, jumps = _kinked(sides), _jumps(sides)
        for place in map(tuple, np.argwhere((kinked | jumps) & np.isfinite(y))):
            left, right = float(sides[-1][0][place]), float(sides[-1][1][place])
            entry = place if argument.shape == y.shape else tuple(np.argwhere(direction)[0])
            at = f"at {name_of(probe, i)} = {argument[tuple(entry)]:g} ({probe.label})"
            if not mask[place]:
                how = (
                    "the op jumps"
                    if jumps[place]
                    else f"the derivative is {left:.6g} from below, {right:.6g} from above"
                )
                yield f"{how} {at}, and no kink is declared there (@op.kink)"
                return
            if jumps[place]:
                continue
            slope = _derivative(probe, i, direction, place)
            if not min(left, right) - 1e-3 <= slope <= max(left, right) + 1e-3:
                yield f"{at} the derivative is taken as {slope:.6g}, outside {left:.6g} (below) and {right:.6g} (above)"
                return
            declared = probe.op.kink_rule.derivative if probe.op.kink_rule is not None else None
            if declared is not None and abs(slope - declared) > 1e-9:
                yield f"{at} the derivative is taken as {slope:.6g}, and declared to be taken as {declared:.6g}"
                return


def _probes(case: Case, rng: np.random.Generator) -> Iterator[Case]:
    numbers = [x for x in case.attributes.values() if type(x) is float]
    values = np.array([*PROBES, *numbers, *(-x for x in numbers)])
    if case.op.elementwise or (case.elementwise and case.arrays):
        drawn = {
            i: rng.choice(case.arguments[i].reshape(-1), values.size) for i in case.arrays if case.arguments[i].size
        }
        for group in dict.fromkeys((case.floats, *((i,) for i in case.floats))):
            which = " = ".join(name_of(case, i) for i in group)
            yield case.changed({**drawn, **dict.fromkeys(group, values)}, f"probing {which}")
        return
    for value in (0.0, 1.0):
        for group in dict.fromkeys((case.floats, *((i,) for i in case.floats))):
            which = " and ".join(name_of(case, i) for i in group)
            filled = {i: np.full(case.arguments[i].shape, value) for i in group}
            yield case.changed(filled, f"{case.label}, with {which} all {value:g}")


def _directions(probe: Case, i: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    argument = probe.arguments[i]
    if probe.elementwise:
        yield np.ones(argument.shape)  # each entry of the result tells of its own entry of the argument
        return
    for place in entries(argument, rng, ENTRIES):
        direction = np.zeros(argument.shape)
        direction[place] = 1.0
        yield direction


def _one_sided(probe: Case, i: int, direction: np.ndarray, y: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    def at(signed: float) -> np.ndarray:
        arguments = list(probe.arguments)
        arguments[i] = frozen(arguments[i] + signed * direction)
        return probe.run(arguments)

    return (y - at(-step)) / step, (at(step) - y) / step


def _kinked(sides: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The two derivatives stay apart however small the step: where the op is smooth, their gap shrinks with it."""
    gaps = [np.abs(right - left) for left, right in sides]
    size = 1 + np.maximum(np.abs(sides[-1][0]), np.abs(sides[-1][1]))
    return np.asarray(np.isfinite(gaps[0]) & (gaps[-1] > 1e-3 * size) & (gaps[-1] > 0.3 * gaps[-2]) & ~_jumps(sides))


def _jumps(sides: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The result does not come nearer as the step shrinks, on one side at least."""
    jumps = np.zeros(sides[0][0].shape, bool)
    for side in (0, 1):
        differences = [np.abs(both[side]) * step for both, step in zip(sides, STEPS, strict=True)]
        jumps |= np.isfinite(differences[0]) & (differences[-1] > 1e-3) & (differences[-1] > 0.9 * differences[0])
    return jumps


def _derivative(probe: Case, i: int, direction: np.ndarray, place: tuple[int, ...]) -> float:
    g = np.zeros(probe.run().shape)
    g[place] = 1.0
    return float(np.sum(probe.pullback(g)[i] * direction))
