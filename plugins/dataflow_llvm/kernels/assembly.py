"""Writing LLVM instructions: types, loops and the arithmetic that every kernel is made of.

A ``Lanes`` is one way to hold numbers, such as sixteen float32 side by side, or one float64. Formulas are written once,
with its methods, and serve vectors in the interpreter's kernels and scalars in generated code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

POINTER = ir.PointerType()
VOID = ir.VoidType()
I1, I8, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))
FLOATS: dict[str, ir.Type] = {"float32": ir.FloatType(), "float64": ir.DoubleType()}
SIZES = {"float32": 4, "float64": 8}

Operand = Any
"""An LLVM value: ``ir.Value`` and the like."""


@dataclass(frozen=True)
class Machine:
    """What code is generated for: the bytes in a vector, and the rows of a block of a product, which is two vectors
    wide. Neither decides the bits of a product."""

    vector_bytes: int
    product_rows: int

    @classmethod
    def of(cls, features: dict[str, bool]) -> Machine:
        """The machine with the processor's features, as LLVM names them. The sums of a block, two vectors of the right
        factor and one of the left stay in registers: that leaves room for 14 rows in the 32 of AVX-512, of which 8 are
        as fast, and for 6 in the 16 of AVX, or in the 32 of NEON, of which each vector takes two."""
        if features.get("avx512f"):
            return cls(64, 8)
        return cls(32, 6 if features.get("fma") or features.get("neon") else 4)


def i64(value: int) -> ir.Constant:
    """A constant of 64 bits."""
    return ir.Constant(I64, value)


def function(module: ir.Module, name: str, result: ir.Type, arguments: Sequence[ir.Type]) -> ir.Function:
    """The module's function of that name, declared if it is not there."""
    if name in module.globals:
        declared = module.globals[name]
        assert isinstance(declared, ir.Function)
        return declared
    return ir.Function(module, ir.FunctionType(result, list(arguments)), name)


def begin(module: ir.Module, name: str, result: ir.Type, arguments: Sequence[ir.Type]) -> tuple[ir.IRBuilder, list]:
    """A new function, to be filled in: a builder at its start, and its arguments."""
    made = function(module, name, result, arguments)
    return ir.IRBuilder(made.append_basic_block("entry")), list(made.args)


def element(builder: ir.IRBuilder, base: Operand, index: Operand, kind: ir.Type) -> Operand:
    """The address of an element."""
    return builder.gep(base, [index], source_etype=kind)


def load(builder: ir.IRBuilder, base: Operand, index: Operand | int, kind: ir.Type) -> Operand:
    """``base[index]``."""
    place = i64(index) if isinstance(index, int) else index
    return builder.load(element(builder, base, place, kind), typ=kind)


def store(builder: ir.IRBuilder, value: Operand, base: Operand, index: Operand | int) -> None:
    """``base[index] = value``."""
    place = i64(index) if isinstance(index, int) else index
    builder.store(value, element(builder, base, place, value.type))


def address_at(builder: ir.IRBuilder, bases: Operand, base: Operand, offset: Operand) -> Operand:
    """The address that lies so many bytes from the base of that number."""
    return element(builder, load(builder, bases, base, POINTER), offset, I8)


@contextmanager
def loop(builder: ir.IRBuilder, start: Operand, stop: Operand, step: Operand | None = None) -> Iterator[Operand]:
    """``for index in range(start, stop, step)``; what is inside may have blocks of its own."""
    head, body, end = (builder.append_basic_block(name) for name in ("head", "body", "end"))
    before = builder.block
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(I64)
    index.add_incoming(start, before)
    builder.cbranch(builder.icmp_signed("<", index, stop), body, end)
    builder.position_at_end(body)
    yield index
    index.add_incoming(builder.add(index, i64(1) if step is None else step), builder.block)
    builder.branch(head)
    builder.position_at_end(end)


@contextmanager
def accumulating(
    builder: ir.IRBuilder, start: Operand, stop: Operand, step: Operand, values: list[Operand]
) -> Iterator[tuple[Operand, list[Operand]]]:
    """A loop that carries values from round to round: what is inside replaces the entries of the list that it is
    given, which after the loop holds the last ones (also where there was no round)."""
    head, body, end = (builder.append_basic_block(name) for name in ("head", "body", "end"))
    before = builder.block
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(I64)
    index.add_incoming(start, before)
    carried = [builder.phi(value.type) for value in values]
    for phi, value in zip(carried, values, strict=True):
        phi.add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", index, stop), body, end)
    builder.position_at_end(body)
    values[:] = carried
    yield index, values
    index.add_incoming(builder.add(index, step), builder.block)
    for phi, value in zip(carried, values, strict=True):
        phi.add_incoming(value, builder.block)
    builder.branch(head)
    builder.position_at_end(end)
    values[:] = carried


def minimum(builder: ir.IRBuilder, a: Operand, b: Operand) -> Operand:
    """The smaller of two whole numbers."""
    return builder.select(builder.icmp_signed("<", a, b), a, b)


class Lanes:
    """Numbers of one float dtype, ``count`` side by side (a scalar if 1), and arithmetic on them with a builder."""

    def __init__(self, builder: ir.IRBuilder, dtype: str, count: int) -> None:
        self.builder, self.dtype, self.count = builder, dtype, count
        self.scalar = FLOATS[dtype]
        self.bits = 8 * SIZES[dtype]
        whole = ir.IntType(self.bits)
        self.kind: ir.Type = self.scalar if count == 1 else ir.VectorType(self.scalar, count)
        self.whole: ir.Type = whole if count == 1 else ir.VectorType(whole, count)
        self.mask: ir.Type = I1 if count == 1 else ir.VectorType(I1, count)
        self._suffix = f"f{self.bits}" if count == 1 else f"v{count}f{self.bits}"

    def number(self, value: float) -> ir.Constant:
        """A constant in every lane."""
        return ir.Constant(self.kind, value if self.count == 1 else [value] * self.count)

    def integer(self, value: int) -> ir.Constant:
        """A whole number, as wide as the floats, in every lane."""
        return ir.Constant(self.whole, value if self.count == 1 else [value] * self.count)

    def load(self, address: Operand) -> Operand:
        """As many numbers as there are lanes, from an address that need not be a multiple of their size."""
        return self.builder.load(address, typ=self.kind, align=SIZES[self.dtype])

    def store(self, value: Operand, address: Operand) -> None:
        self.builder.store(value, address, align=SIZES[self.dtype])

    def splat(self, scalar: Operand) -> Operand:
        """One scalar in every lane."""
        if self.count == 1:
            return scalar
        first = self.builder.insert_element(ir.Constant(self.kind, ir.Undefined), scalar, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, self.count), [0] * self.count)
        return self.builder.shuffle_vector(first, ir.Constant(self.kind, ir.Undefined), zeros)

    def call(self, name: str, *operands: Operand) -> Operand:
        """An LLVM intrinsic of this type, such as ``fma``."""
        made = function(self.builder.module, f"llvm.{name}.{self._suffix}", self.kind, [self.kind] * len(operands))
        return self.builder.call(made, operands)

    def add(self, a: Operand, b: Operand) -> Operand:
        return self.builder.fadd(a, b)

    def subtract(self, a: Operand, b: Operand) -> Operand:
        return self.builder.fsub(a, b)

    def multiply(self, a: Operand, b: Operand) -> Operand:
        return self.builder.fmul(a, b)

    def divide(self, a: Operand, b: Operand) -> Operand:
        return self.builder.fdiv(a, b)

    def fma(self, a: Operand, b: Operand, c: Operand) -> Operand:
        """a·b + c, rounded once."""
        return self.call("fma", a, b, c)

    @property
    def can_scale(self) -> bool:
        """Whether the processor has ``scale`` as one instruction; vectors of 64 bytes come with it."""
        return self.count * self.bits == 512

    def scale(self, x: Operand, k: Operand) -> Operand:
        """x·2ᵏ for whole k, rounded once."""
        name = f"llvm.x86.avx512.mask.scalef.p{'d' if self.dtype == 'float64' else 's'}.512"
        every = ir.IntType(self.count)
        made = function(self.builder.module, name, self.kind, [self.kind] * 3 + [every, I32])
        as_it_is_set = I32(4)  # the rounding mode
        return self.builder.call(made, [x, k, x, every(-1), as_it_is_set])

    def total(self, x: Operand) -> Operand:
        """The sum of the lanes, in whatever order is fast."""
        if self.count == 1:
            return x
        name = f"llvm.vector.reduce.fadd.{self._suffix}"
        made = function(self.builder.module, name, self.scalar, [self.scalar, self.kind])
        return self.builder.call(made, [ir.Constant(self.scalar, 0.0), x], fastmath=("reassoc",))

    def polynomial(self, x: Operand, coefficients: Sequence[float]) -> Operand:
        """Horner's rule, the highest power's coefficient first."""
        value: Operand = self.number(coefficients[0])
        for coefficient in coefficients[1:]:
            value = self.fma(value, x, self.number(coefficient))
        return value

    def compare(self, how: str, a: Operand, b: Operand) -> Operand:
        """A mask; false where either is NaN, except for ``!=``."""
        if how == "!=":
            return self.builder.fcmp_unordered("!=", a, b)
        return self.builder.fcmp_ordered(how, a, b)

    def select(self, mask: Operand, a: Operand, b: Operand) -> Operand:
        return self.builder.select(mask, a, b)

    def either(self, a: Operand, b: Operand) -> Operand:
        """Where one of two masks holds."""
        return self.builder.or_(a, b)

    def is_nan(self, x: Operand) -> Operand:
        return self.builder.fcmp_unordered("uno", x, x)

    def as_mask(self, x: Operand) -> Operand:
        """Where a number counts as true: where it is not zero."""
        return self.compare("!=", x, self.number(0.0))

    def as_number(self, mask: Operand) -> Operand:
        """1 where a mask holds, else 0."""
        return self.builder.select(mask, self.number(1.0), self.number(0.0))

    def fitting(self, x: Operand, kind: str) -> Operand:
        """A number or a mask as a number ("n") or a mask ("m")."""
        is_mask = x.type == self.mask
        if kind == "m":
            return x if is_mask else self.as_mask(x)
        return self.as_number(x) if is_mask else x

    def to_bits(self, x: Operand) -> Operand:
        return self.builder.bitcast(x, self.whole)

    def from_bits(self, x: Operand) -> Operand:
        return self.builder.bitcast(x, self.kind)


def interleaved(lanes: Lanes, a: Operand, b: Operand, upper: bool) -> Operand:
    """The lanes of the lower or the upper halves of two vectors in turn."""
    start = lanes.count // 2 if upper else 0
    order = [index for i in range(start, start + lanes.count // 2) for index in (i, lanes.count + i)]
    return lanes.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, lanes.count), order))
