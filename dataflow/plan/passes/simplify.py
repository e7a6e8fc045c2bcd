"""Identities simplified: x · 1, x − 0, −(−x), and others that hold for every x, infinity and −0 included.

x + 0 stays, which is 0 where x is −0, and so does x · 0. Only the powers 2 and 3 become products, which are as exact as
the power is but may differ from it in the last bits. A comparison of x becomes one of max(x, c) or min(x, c) where that
says the same, so that x need not be kept for it, as in relu's derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from dataflow.operations.engine_ops import add, cast, masked, multiply, negative, subtract, sum_to, where
from dataflow.plan.passes.rewrite_plan import Replacement, Rewriting, rewritten, with_inputs, with_op
from dataflow.plan.structure import Instruction, Plan


def simplify(plan: Plan) -> Plan:
    """Replace instructions by simpler ones with the same result."""

    def visit(state: Rewriting, instruction: Instruction) -> Replacement:
        op = instruction.op
        rule = _RULES.get(op.ufunc) if op.ufunc is not None else None
        if rule is not None:
            return rule(state, instruction)
        if op is cast or op is sum_to or op.reduces is np.maximum:  # not sum: that of −0 alone is 0
            return _instead(state, instruction, instruction.inputs[0])
        if op is masked:
            return _masked(state, instruction)
        return _where(state, instruction) if op is where else None

    return rewritten(plan, visit)


def _instead(state: Rewriting, instruction: Instruction, slot: int) -> int | None:
    """``slot`` in place of the result, where it has its shape and dtype."""
    return slot if state.specs[slot] == state.specs[instruction.output] else None


def _add(state: Rewriting, instruction: Instruction) -> Replacement:
    for x, y in (instruction.inputs, instruction.inputs[::-1]):
        if _is_zero(state, instruction, y, negative=True) and _instead(state, instruction, x) is not None:
            return x
        if (negated := _negated(state, instruction, y)) is not None:
            return with_op(instruction, subtract, (x, negated))
    return None


def _subtract(state: Rewriting, instruction: Instruction) -> Replacement:
    x, y = instruction.inputs
    if _is_zero(state, instruction, y, negative=False) and _instead(state, instruction, x) is not None:
        return x
    if (negated := _negated(state, instruction, y)) is not None:
        return with_op(instruction, add, (x, negated))
    return None


def _negated(state: Rewriting, instruction: Instruction, y: int) -> int | None:
    """What ``y`` is the negative of, unless that is an integer of another dtype than the result: −1 is 255 in uint8."""
    negation, spec, result = state.made_by(y, np.negative), state.specs[y], state.specs[instruction.output]
    if negation is None or spec is None or result is None or not (spec.is_float or spec.dtype == result.dtype):
        return None
    return negation.inputs[0]


def _multiply(state: Rewriting, instruction: Instruction) -> Replacement:
    for x, y in (instruction.inputs, instruction.inputs[::-1]):
        factor = state.uniform(y)
        if factor in (1, -1) and _instead(state, instruction, x) is not None:
            return x if factor == 1 else with_op(instruction, negative, (x,))
        if factor is not None and (scaled := _scaled_once(state, instruction, x, factor)) is not None:
            return scaled
    return None


def _scaled_once(state: Rewriting, instruction: Instruction, x: int, factor: float) -> Instruction | None:
    """(a · p) · q as a · (p · q), as in a mean of half squares, where p or q is a power of 2: then a normal number is
    rounded once either way, and one below the smallest normal number once in place of twice. Neither factor is above
    1, as a product in between may overflow, and p · q is a normal number."""
    spec = state.specs[instruction.output]
    inner = state.made_by(x, np.multiply)
    if inner is None or spec is None or spec.dtype.kind != "f" or state.specs[x] != spec:
        return None
    for a, p in (inner.inputs, inner.inputs[::-1]):
        other = state.uniform(p)
        if other is None or state.specs[a] != spec:
            continue
        with np.errstate(over="ignore"):
            factors = [float(np.asarray(number, spec.dtype)) for number in (other, factor)]
        together = factors[0] * factors[1]
        is_exact = any(abs(math.frexp(number)[0]) == 0.5 for number in factors)
        if is_exact and max(map(abs, factors)) <= 1 and abs(together) >= np.finfo(spec.dtype).tiny:
            return with_inputs(instruction, (a, state.array(np.array(together, spec.dtype))))
    return None


def _divide(state: Rewriting, instruction: Instruction) -> Replacement:
    x, y = instruction.inputs
    divisor = state.uniform(y)
    spec = state.specs[x]
    if divisor is None or spec is None or spec != state.specs[instruction.output]:
        return None
    if divisor == 1:
        return x
    if not _has_exact_inverse(divisor, spec.dtype):
        return None
    inverse = state.number(1 / divisor)
    if (beside := state.specs[y]) is not None:
        inverse = state.array(np.full((), 1 / divisor, beside.dtype if beside.is_float else spec.dtype))
    product = with_op(instruction, multiply, (x, inverse))
    return _scaled_once(state, product, x, 1 / divisor) or product


def _negative(state: Rewriting, instruction: Instruction) -> Replacement:
    negated = state.made_by(instruction.inputs[0], np.negative)
    return negated.inputs[0] if negated is not None else None


def _power(state: Rewriting, instruction: Instruction) -> Replacement:
    x, y = instruction.inputs
    exponent = state.uniform(y)
    if exponent not in (1, 2, 3) or _instead(state, instruction, x) is None:
        return None
    if exponent == 1:
        return x
    if exponent == 2:
        return with_op(instruction, multiply, (x, x))
    square = state.emit(multiply, (x, x), state.specs[x], {}, instruction.node)
    return with_op(instruction, multiply, (square, x))


def _where(state: Rewriting, instruction: Instruction) -> Replacement:
    condition, a, b = instruction.inputs
    chosen = a if a == b else None
    if (known := state.uniform(condition)) is not None:
        chosen = a if known else b
    return None if chosen is None else _instead(state, instruction, chosen)


def _beyond(bound: np.ufunc, state: Rewriting, instruction: Instruction) -> Replacement:
    """x > c is max(x, c) > c, and x < c is min(x, c) < c, for every x and c, NaN included."""
    x, limit = instruction.inputs
    bounded = state.result(bound, instruction.inputs)
    if bounded is None or state.uniform(limit) is None or state.specs[bounded] != state.specs[x]:
        return None
    return with_inputs(instruction, (bounded, limit))


def _masked(state: Rewriting, instruction: Instruction) -> Replacement:
    """max(x, c) is NaN where x is, if c is a number: what the comparison reads tells that, too."""
    x, keep, source = instruction.inputs
    for comparison, bound in _BOUND.items():
        compared = state.made_by(keep, comparison)
        bounded = None if compared is None else state.made_by(compared.inputs[0], bound)
        if compared is None or bounded is None or bounded.inputs != (source, compared.inputs[1]):
            continue
        limit = state.uniform(compared.inputs[1])
        if limit is not None and limit == limit and state.specs[bounded.output] == state.specs[source]:
            return with_inputs(instruction, (x, keep, bounded.output))
    return None


_BOUND: Mapping[np.ufunc, np.ufunc] = {np.greater: np.maximum, np.less: np.minimum}
_RULES: Mapping[np.ufunc, Callable[[Rewriting, Instruction], Replacement]] = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.true_divide: _divide,
    np.negative: _negative,
    np.power: _power,
    **{comparison: partial(_beyond, bound) for comparison, bound in _BOUND.items()},
}


def _is_zero(state: Rewriting, instruction: Instruction, slot: int, negative: bool) -> bool:
    """Whether a slot is 0 of that sign, or any 0 where the result is an integer."""
    value, result = state.uniform(slot), state.specs[instruction.output]
    if value is None or value != 0:
        return False
    return (result is not None and not result.is_float) or (math.copysign(1, value) < 0) == negative


def _has_exact_inverse(divisor: float, dtype: np.dtype) -> bool:
    """Whether x / divisor and x · (1 / divisor) round the same number: divisor is a power of 2."""
    if divisor == 0 or not math.isfinite(divisor) or dtype.kind != "f":
        return False
    limits = np.finfo(dtype)
    return math.frexp(abs(divisor))[0] == 0.5 and limits.tiny <= abs(divisor) <= 1 / limits.tiny
