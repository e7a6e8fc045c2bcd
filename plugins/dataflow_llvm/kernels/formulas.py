"""Which elementwise instructions have a formula, and what each computes, written once for vectors and for scalars.

Nothing is rearranged: each formula rounds as numpy's function does, those of ``elementary_functions`` excepted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dataflow.operations.engine_ops import cast, identity, masked, where
from dataflow.operations.op import Op
from dataflow_llvm.kernels.assembly import Lanes, Operand
from dataflow_llvm.kernels.elementary_functions import cos, erf, erfc, exp, expm1, log, log1p, power, sin, tanh
from dataflow_ops import functions


@dataclass(frozen=True)
class Formula:
    """``write(lanes, *operands)``; ``takes`` says of each operand whether it is a number ("n") or a mask ("m"), and
    ``gives`` likewise of the result. ``weight`` is about how many instructions of the processor it is."""

    name: str
    takes: str
    gives: str
    write: Callable[..., Operand]
    weight: int = 1


def maximum(lanes: Lanes, a: Operand, b: Operand) -> Operand:
    """The larger; NaN where either is."""
    return lanes.select(lanes.either(lanes.compare(">", a, b), lanes.is_nan(a)), a, b)


def minimum(lanes: Lanes, a: Operand, b: Operand) -> Operand:
    """The smaller; NaN where either is."""
    return lanes.select(lanes.either(lanes.compare("<", a, b), lanes.is_nan(a)), a, b)


def choose_kept(lanes: Lanes, x: Operand, keep: Operand, source: Operand) -> Operand:
    """x where it is kept, else 0; NaN where the source is."""
    return lanes.select(lanes.is_nan(source), source, lanes.select(keep, x, lanes.number(0.0)))


def _comparison(name: str, how: str) -> Formula:
    return Formula(name, "nn", "m", lambda lanes, a, b: lanes.compare(how, a, b))


FORMULA_OF: dict[np.ufunc | Op, Formula] = {
    np.add: Formula("add", "nn", "n", Lanes.add),
    np.subtract: Formula("subtract", "nn", "n", Lanes.subtract),
    np.multiply: Formula("multiply", "nn", "n", Lanes.multiply),
    np.true_divide: Formula("divide", "nn", "n", Lanes.divide),
    np.negative: Formula("negative", "n", "n", lambda lanes, x: lanes.builder.fneg(x)),
    np.absolute: Formula("abs", "n", "n", lambda lanes, x: lanes.call("fabs", x)),
    np.sqrt: Formula("sqrt", "n", "n", lambda lanes, x: lanes.call("sqrt", x)),
    np.power: Formula("power", "nn", "n", power, weight=60),
    np.floor: Formula("floor", "n", "n", lambda lanes, x: lanes.call("floor", x)),
    np.ceil: Formula("ceil", "n", "n", lambda lanes, x: lanes.call("ceil", x)),
    np.trunc: Formula("trunc", "n", "n", lambda lanes, x: lanes.call("trunc", x)),
    np.rint: Formula("round", "n", "n", lambda lanes, x: lanes.call("rint", x)),
    np.expm1: Formula("expm1", "n", "n", expm1, weight=40),
    np.log1p: Formula("log1p", "n", "n", log1p, weight=40),
    functions.erf: Formula("erf", "n", "n", erf, weight=60),
    functions.erfc: Formula("erfc", "n", "n", erfc, weight=60),
    np.exp: Formula("exp", "n", "n", exp, weight=25),
    np.log: Formula("log", "n", "n", log, weight=30),
    np.tanh: Formula("tanh", "n", "n", tanh, weight=30),
    np.sin: Formula("sin", "n", "n", sin, weight=60),
    np.cos: Formula("cos", "n", "n", cos, weight=60),
    np.maximum: Formula("maximum", "nn", "n", maximum),
    np.minimum: Formula("minimum", "nn", "n", minimum),
    np.equal: _comparison("equal", "=="),
    np.not_equal: _comparison("not_equal", "!="),
    np.less: _comparison("less", "<"),
    np.less_equal: _comparison("less_equal", "<="),
    np.greater: _comparison("greater", ">"),
    np.greater_equal: _comparison("greater_equal", ">="),
    where: Formula("where", "mnn", "n", Lanes.select),
    masked: Formula("masked", "nmn", "n", choose_kept),
    identity: Formula("identity", "n", "n", lambda lanes, x: x),
}
"""By the ufunc that an op is; by the op itself where it is none."""
FORMULA_OF[cast] = FORMULA_OF[identity]
JOINED = (
    Formula(
        "masked_greater",
        "nnn",
        "n",
        lambda lanes, x, source, bound: choose_kept(lanes, x, lanes.compare(">", source, bound), source),
    ),
    Formula(
        "maximum_number", "nn", "n", lambda lanes, a, b: lanes.select(lanes.builder.fcmp_unordered(">", a, b), a, b)
    ),
)
"""``masked`` whose mask is source > bound, and ``maximum`` with a number that is not NaN: relu and its derivative."""
FORMULAS = {formula.name: formula for formula in (*FORMULA_OF.values(), *JOINED)}
"""By name, in the order of their codes."""
