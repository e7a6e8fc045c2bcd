"""Kernels for the optimizers' updates, each element rounded as numpy rounds it."""

from __future__ import annotations

from llvmlite import ir

from dataflow_numba.assembly import (
    FLOATS,
    I1,
    I64,
    POINTER,
    SIZES,
    Lanes,
    Machine,
    Operand,
    accumulating,
    begin,
    element,
    function,
    i64,
    load,
)

OPTIMIZERS = ("sgd", "adam")
RATE, DECAY, MOMENTUM, NESTEROV = range(4)
BETA1, BETA2, EPSILON = range(2, 5)
"""Where an optimizer's numbers stand, float64: the first two are those of both."""
UPDATE_ARGUMENTS = [POINTER, POINTER, POINTER, POINTER, I64, I64, POINTER, I64]
"""Parameters, gradients, the state's two vectors, first and last element, the optimizer's numbers, the step."""


def write_updates(module: ir.Module, dtype: str, machine: Machine) -> None:
    """``sgd_T`` and ``adam_T``: whether something that they wrote is not finite."""
    _write_sgd(module, dtype, machine)
    _write_adam(module, dtype, machine)


class _Update:
    """A loop over the elements of vectors, in whole vectors and then one by one; it returns whether something that it
    wrote is not finite."""

    def __init__(self, module: ir.Module, name: str, dtype: str, machine: Machine) -> None:
        self.builder, parameters = begin(module, f"{name}_{dtype}", I1, UPDATE_ARGUMENTS)
        self.vectors, (start, stop, self.numbers, self.step) = parameters[:4], parameters[4:]
        self.dtype, self.start, self.stop = dtype, start, stop
        self.width = machine.vector_bytes // SIZES[dtype]

    def number(self, index: int) -> Operand:
        return load(self.builder, self.numbers, index, FLOATS["float64"])

    def rounded(self, double: Operand) -> Operand:
        """A float64 in the vectors' dtype."""
        return double if self.dtype == "float64" else self.builder.fptrunc(double, FLOATS[self.dtype])

    def write(self, formula) -> None:
        """``formula(lanes, load, store)``, where ``load(i)`` and ``store(i, value)`` mean an element of vector i."""
        builder = self.builder
        length = builder.sub(self.stop, self.start)
        middle = builder.sub(self.stop, builder.srem(length, i64(self.width)))
        bad: Operand = I1(0)
        for lanes, first, last in (
            (Lanes(builder, self.dtype, self.width), self.start, middle),
            (Lanes(builder, self.dtype, 1), middle, self.stop),
        ):
            tests = [lanes.number(0.0)]
            with accumulating(builder, first, last, i64(lanes.count), tests) as (i, values):
                places = [element(builder, vector, i, FLOATS[self.dtype]) for vector in self.vectors]
                # 0 · x is 0 for a finite x and NaN for any other
                test = values[0]

                def write(index: int, value: Operand) -> None:
                    nonlocal test
                    lanes.store(value, places[index])  # noqa: B023 (called in this round)
                    test = lanes.fma(value, lanes.number(0.0), test)  # noqa: B023

                formula(lanes, lambda index: lanes.load(places[index]), write)  # noqa: B023
                values[0] = test
            mask = lanes.is_nan(tests[0])
            if lanes.count > 1:
                whole = ir.IntType(lanes.count)
                mask = builder.icmp_unsigned("!=", builder.bitcast(mask, whole), whole(0))
            bad = builder.or_(bad, mask)
        builder.ret(bad)


def _write_sgd(module: ir.Module, dtype: str, machine: Machine) -> None:
    update = _Update(module, "sgd", dtype, machine)
    builder = update.builder
    rate, decay, momentum = (update.rounded(update.number(i)) for i in (RATE, DECAY, MOMENTUM))
    zero = ir.Constant(FLOATS["float64"], 0.0)
    with_momentum = builder.fcmp_ordered("!=", update.number(MOMENTUM), zero)
    nesterov = builder.fcmp_ordered("!=", update.number(NESTEROV), zero)
    with_decay = builder.fcmp_ordered("!=", update.number(DECAY), zero)
    plain = builder.not_(builder.or_(with_momentum, with_decay))
    simple, full = builder.append_basic_block("simple"), builder.append_basic_block("full")
    builder.cbranch(plain, simple, full)
    builder.position_at_end(simple)

    def descend(lanes, read, write):
        write(0, lanes.subtract(read(0), lanes.multiply(read(1), lanes.splat(rate))))

    update.write(descend)
    builder.position_at_end(full)

    def with_velocity(lanes, read, write):
        w, g = read(0), read(1)
        g = lanes.select(_everywhere(lanes, with_decay), lanes.add(g, lanes.multiply(lanes.splat(decay), w)), g)
        velocity = lanes.add(lanes.multiply(read(2), lanes.splat(momentum)), g)
        ahead = lanes.add(g, lanes.multiply(lanes.splat(momentum), velocity))
        step = lanes.select(_everywhere(lanes, nesterov), ahead, velocity)
        step = lanes.select(_everywhere(lanes, with_momentum), step, g)
        write(2, lanes.select(_everywhere(lanes, with_momentum), velocity, read(2)))
        write(0, lanes.subtract(w, lanes.multiply(step, lanes.splat(rate))))

    update.write(with_velocity)


def _write_adam(module: ir.Module, dtype: str, machine: Machine) -> None:
    update = _Update(module, "adam", dtype, machine)
    builder = update.builder
    one = ir.Constant(FLOATS["float64"], 1.0)
    rate, decay, beta1, beta2, epsilon = (update.number(i) for i in (RATE, DECAY, BETA1, BETA2, EPSILON))
    power = function(module, "llvm.pow.f64", FLOATS["float64"], [FLOATS["float64"]] * 2)
    step = builder.sitofp(update.step, FLOATS["float64"])
    first, second = (builder.fsub(one, builder.call(power, [beta, step])) for beta in (beta1, beta2))
    numbers = {
        "kept": builder.fsub(one, builder.fmul(rate, decay)),
        "beta1": beta1,
        "beta2": beta2,
        "new1": builder.fsub(one, beta1),
        "new2": builder.fsub(one, beta2),
        "second": second,
        "rate": builder.fdiv(rate, first),
        "epsilon": epsilon,
    }
    scalars = {name: update.rounded(number) for name, number in numbers.items()}
    with_decay = builder.fcmp_ordered("!=", decay, ir.Constant(FLOATS["float64"], 0.0))

    def adapt(lanes, read, write):
        n = {name: lanes.splat(scalar) for name, scalar in scalars.items()}
        w, g = read(0), read(1)
        mean = lanes.add(lanes.multiply(read(2), n["beta1"]), lanes.multiply(n["new1"], g))
        square = lanes.multiply(lanes.multiply(n["new2"], g), g)
        square = lanes.add(lanes.multiply(read(3), n["beta2"]), square)
        w = lanes.select(_everywhere(lanes, with_decay), lanes.multiply(w, n["kept"]), w)
        unbiased = lanes.add(lanes.call("sqrt", lanes.divide(square, n["second"])), n["epsilon"])
        write(2, mean)
        write(3, square)
        write(0, lanes.subtract(w, lanes.divide(lanes.multiply(n["rate"], mean), unbiased)))

    update.write(adapt)


def _everywhere(lanes: Lanes, flag: Operand) -> Operand:
    """One flag as a mask."""
    if lanes.count == 1:
        return flag
    first = lanes.builder.insert_element(ir.Constant(lanes.mask, ir.Undefined), flag, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes.count), [0] * lanes.count)
    return lanes.builder.shuffle_vector(first, ir.Constant(lanes.mask, ir.Undefined), zeros)
