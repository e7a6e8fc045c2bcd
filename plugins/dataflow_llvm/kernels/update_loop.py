"""What kernels of updates have in common: their numbers, and the loop over the elements of vectors."""

from __future__ import annotations

from llvmlite import ir

from dataflow_llvm.kernels.assembly import (
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
    i64,
    load,
)

NUMBERS = {
    "sgd": ("learning_rate", "weight_decay", "momentum", "nesterov"),
    "adam": ("learning_rate", "weight_decay", "beta1", "beta2", "epsilon"),
    "rmsprop": ("learning_rate", "weight_decay", "decay", "momentum", "epsilon"),
    "adagrad": ("learning_rate", "weight_decay", "epsilon"),
    "lion": ("learning_rate", "weight_decay", "beta1", "beta2"),
    "gather": ("adds", "keeps"),
    "squares": ("norm", "total"),
    "clip_norm": ("norm", "total"),
    "clip_value": ("value",),
}
"""For each kernel, in the order of their numbers: the numbers that it reads, side by side in float64. Those of an
optimizer's kernel are its attributes, the learning rate first."""
KERNELS = tuple(NUMBERS)
UPDATE_ARGUMENTS = [POINTER, POINTER, POINTER, POINTER, I64, I64, POINTER, I64]
"""Parameters, gradients, the state's two vectors, first and last element, the optimizer's numbers, the step."""


class Update:
    """A loop over the elements of vectors, in whole vectors and then one by one; it returns whether something that it
    wrote is not finite."""

    def __init__(self, module: ir.Module, name: str, dtype: str, machine: Machine) -> None:
        self.builder, parameters = begin(module, f"{name}_{dtype}", I1, UPDATE_ARGUMENTS)
        self.vectors, (start, stop, self.table, self.step) = parameters[:4], parameters[4:]
        self.names = NUMBERS[name]
        self.dtype, self.start, self.stop = dtype, start, stop
        self.width = machine.vector_bytes // SIZES[dtype]

    def number(self, name: str) -> Operand:
        """One of the kernel's numbers."""
        return load(self.builder, self.table, self.names.index(name), FLOATS["float64"])

    def is_on(self, name: str) -> Operand:
        """Whether a number is not zero."""
        return self.builder.fcmp_ordered("!=", self.number(name), ir.Constant(FLOATS["float64"], 0.0))

    def rest(self, name: str) -> Operand:
        """What is left of 1 besides a number."""
        return self.builder.fsub(ir.Constant(FLOATS["float64"], 1.0), self.number(name))

    def kept(self) -> Operand:
        """What decoupled weight decay leaves of a parameter."""
        builder, one = self.builder, ir.Constant(FLOATS["float64"], 1.0)
        return builder.fsub(one, builder.fmul(self.number("learning_rate"), self.number("weight_decay")))

    def scalars(self, **numbers: Operand) -> dict[str, Operand]:
        """Numbers in the vectors' dtype."""
        return {name: self.rounded(number) for name, number in numbers.items()}

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


def everywhere(lanes: Lanes, flag: Operand) -> Operand:
    """One flag as a mask."""
    if lanes.count == 1:
        return flag
    first = lanes.builder.insert_element(ir.Constant(lanes.mask, ir.Undefined), flag, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes.count), [0] * lanes.count)
    return lanes.builder.shuffle_vector(first, ir.Constant(lanes.mask, ir.Undefined), zeros)
