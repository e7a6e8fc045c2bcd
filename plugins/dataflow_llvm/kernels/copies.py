"""Kernels that move entries and compute nothing: between arrays of any strides and the registers of a region, and from
one array to another."""

from __future__ import annotations

from llvmlite import ir

from dataflow_llvm.kernels.assembly import (
    FLOATS,
    I1,
    I8,
    I64,
    POINTER,
    SIZES,
    VOID,
    Lanes,
    Machine,
    Operand,
    address_at,
    begin,
    element,
    function,
    i64,
    load,
    loop,
    minimum,
    store,
)

MOST_AXES = 16
"""The most axes of a walk; arrays with more are left to numpy."""


def write_register_moves(module: ir.Module, dtype: str, machine: Machine) -> None:
    """``load_T`` and ``store_T`` (register, walk, bases, at, count): entries ``at`` to ``at + count`` of an array, in
    row-major order, from or to a register.

    A walk is whole numbers: base, offset in bytes, whether the entries are booleans (one byte each), the number of
    axes, their sizes, their strides in entries.
    """
    for name in ("load", "store"):
        arguments = [POINTER, POINTER, POINTER, I64, I64]
        builder, (register, walk, bases, at, count) = begin(module, f"{name}_{dtype}", VOID, arguments)
        base = address_at(builder, bases, load(builder, walk, 0, I64), load(builder, walk, 1, I64))
        boolean = builder.icmp_signed("!=", load(builder, walk, 2, I64), i64(0))
        with _runs(builder, element(builder, walk, i64(3), I64), at, count) as (done, run, offset, step):
            place = element(builder, register, done, FLOATS[dtype])
            with builder.if_else(boolean, likely=False) as (then, otherwise):
                for branch, kind in ((then, I8), (otherwise, FLOATS[dtype])):
                    with branch:
                        move = _Move(builder, dtype, machine, name == "load", kind is I8)
                        move.write(place, element(builder, base, offset, kind), run, step)
        builder.ret_void()


def write_copy(module: ir.Module, size: int) -> None:
    """``copy_SIZE`` (walk, bases, at, count): entries of ``size`` bytes from one array to another of the same shape.
    The walk: source and its offset, target and its offset, the axes, their sizes, the source's strides, the
    target's."""
    kind = ir.IntType(8 * size)
    builder, (walk, bases, at, count) = begin(module, f"copy_{size}", VOID, [POINTER, POINTER, I64, I64])
    source = address_at(builder, bases, load(builder, walk, 0, I64), load(builder, walk, 1, I64))
    target = address_at(builder, bases, load(builder, walk, 2, I64), load(builder, walk, 3, I64))
    with _double_runs(builder, element(builder, walk, i64(4), I64), at, count) as (run, places, steps):
        a, b = element(builder, source, places[0], kind), element(builder, target, places[1], kind)
        ones = builder.and_(builder.icmp_signed("==", steps[0], i64(1)), builder.icmp_signed("==", steps[1], i64(1)))
        long = builder.and_(ones, builder.icmp_signed(">=", run, i64(16)))
        with builder.if_else(long) as (then, otherwise):
            with then:
                move = function(module, "llvm.memcpy.p0.p0.i64", VOID, [POINTER, POINTER, I64, I1])
                builder.call(move, [b, a, builder.mul(run, i64(size)), I1(0)])
            with otherwise, loop(builder, i64(0), run) as i:
                value = load(builder, a, builder.mul(i, steps[0]), kind)
                store(builder, value, b, builder.mul(i, steps[1]))
    builder.ret_void()


def write_plus_zero(module: ir.Module, dtype: str, machine: Machine) -> None:
    """``plus_zero_T``: as ``copy_SIZE``, but 0 where an entry is −0."""
    builder, (walk, bases, at, count) = begin(module, f"plus_zero_{dtype}", VOID, [POINTER, POINTER, I64, I64])
    single = Lanes(builder, dtype, 1)
    lanes = Lanes(builder, dtype, machine.vector_bytes // SIZES[dtype])
    source = address_at(builder, bases, load(builder, walk, 0, I64), load(builder, walk, 1, I64))
    target = address_at(builder, bases, load(builder, walk, 2, I64), load(builder, walk, 3, I64))
    with _double_runs(builder, element(builder, walk, i64(4), I64), at, count) as (run, places, steps):
        a, b = (
            element(builder, base, place, single.kind) for base, place in zip((source, target), places, strict=True)
        )
        ones = builder.and_(builder.icmp_signed("==", steps[0], i64(1)), builder.icmp_signed("==", steps[1], i64(1)))
        full = builder.select(ones, builder.and_(run, i64(-lanes.count)), i64(0))
        with loop(builder, i64(0), full, i64(lanes.count)) as i:
            value = lanes.load(element(builder, a, i, single.kind))
            lanes.store(lanes.add(value, lanes.number(0.0)), element(builder, b, i, single.kind))
        with loop(builder, full, run) as i:
            value = load(builder, a, builder.mul(i, steps[0]), single.kind)
            store(builder, single.add(value, single.number(0.0)), b, builder.mul(i, steps[1]))
    builder.ret_void()


class _Move:
    """A stretch of the last axis: whole vectors where its entries lie side by side or are all the same one, then entry
    by entry."""

    def __init__(self, builder: ir.IRBuilder, dtype: str, machine: Machine, loading: bool, boolean: bool) -> None:
        self.builder, self.loading, self.boolean = builder, loading, boolean
        self.single = Lanes(builder, dtype, 1)
        self.lanes = Lanes(builder, dtype, machine.vector_bytes // SIZES[dtype])
        self.entry = I8 if boolean else self.single.kind

    def write(self, register: Operand, array: Operand, run: Operand, step: Operand) -> None:
        builder, count = self.builder, self.lanes.count
        full = builder.and_(run, i64(-count))
        start = builder.alloca(I64)
        builder.store(i64(0), start)
        with builder.if_then(builder.icmp_signed("==", step, i64(1))):
            with loop(builder, i64(0), full, i64(count)) as i:
                self._move(self.lanes, element(builder, register, i, self.single.kind), self._entry(array, i))
            builder.store(full, start)
        if self.loading:
            with builder.if_then(builder.icmp_signed("==", step, i64(0))):
                value = self.lanes.splat(self._read(self.single, array))
                with loop(builder, i64(0), full, i64(count)) as i:
                    self.lanes.store(value, element(builder, register, i, self.single.kind))
                builder.store(full, start)
        with loop(builder, builder.load(start, typ=I64), run) as i:
            place = element(builder, register, i, self.single.kind)
            self._move(self.single, place, self._entry(array, builder.mul(i, step)))

    def _entry(self, array: Operand, index: Operand) -> Operand:
        return element(self.builder, array, index, self.entry)

    def _move(self, lanes: Lanes, register: Operand, array: Operand) -> None:
        if self.loading:
            lanes.store(self._read(lanes, array), register)
        elif self.boolean:
            mask = lanes.as_mask(lanes.load(register))
            self.builder.store(self.builder.zext(mask, _bytes(lanes)), array, align=1)
        else:
            lanes.store(lanes.load(register), array)

    def _read(self, lanes: Lanes, array: Operand) -> Operand:
        if not self.boolean:
            return lanes.load(array)
        kind = _bytes(lanes)
        zero = ir.Constant(kind, 0 if lanes.count == 1 else [0] * lanes.count)
        return lanes.as_number(self.builder.icmp_unsigned("!=", self.builder.load(array, typ=kind, align=1), zero))


def _bytes(lanes: Lanes) -> ir.Type:
    return I8 if lanes.count == 1 else ir.VectorType(I8, lanes.count)


class _runs:  # noqa: N801 (a context manager, read as a statement)
    """``with _runs(builder, axes, at, count) as (done, run, offset, step)``: for each stretch of the last axis."""

    sets = 1

    def __init__(self, builder: ir.IRBuilder, axes: Operand, at: Operand, count: Operand) -> None:
        self.builder, self.count = builder, count
        variable = lambda: builder.alloca(I64)  # noqa: E731
        self.ndim = load(builder, axes, 0, I64)
        self.sizes = element(builder, axes, i64(1), I64)
        self.strides = [element(builder, self.sizes, self.ndim, I64)]
        for _ in range(self.sets - 1):
            self.strides.append(element(builder, self.strides[-1], self.ndim, I64))
        self.last = builder.sub(self.ndim, i64(1))
        self.index = builder.alloca(I64, MOST_AXES)
        self.done = variable()
        self.offsets = [variable() for _ in range(self.sets)]
        rest, axis = variable(), variable()
        builder.store(i64(0), self.done)
        for offset in self.offsets:
            builder.store(i64(0), offset)
        builder.store(at, rest)
        builder.store(self.last, axis)
        # the place of entry number ``at``, axis by axis from the last
        with loop(builder, i64(0), self.ndim):
            d = builder.load(axis, typ=I64)
            left, size = builder.load(rest, typ=I64), load(builder, self.sizes, d, I64)
            place = builder.urem(left, size)
            store(builder, place, self.index, d)
            builder.store(builder.udiv(left, size), rest)
            for offset, strides in zip(self.offsets, self.strides, strict=True):
                self._move(offset, builder.mul(place, load(builder, strides, d, I64)))
            builder.store(builder.sub(d, i64(1)), axis)
        self.steps = [load(builder, strides, self.last, I64) for strides in self.strides]
        self.length = load(builder, self.sizes, self.last, I64)
        self.axis = axis

    def __enter__(self):
        builder = self.builder
        self.head, self.body, self.end = (builder.append_basic_block(name) for name in ("run", "move", "moved"))
        builder.branch(self.head)
        builder.position_at_end(self.head)
        done = builder.load(self.done, typ=I64)
        builder.cbranch(builder.icmp_signed("<", done, self.count), self.body, self.end)
        builder.position_at_end(self.body)
        self.place = load(builder, self.index, self.last, I64)
        self.run = minimum(builder, builder.sub(self.length, self.place), builder.sub(self.count, done))
        return self._given(done, [builder.load(offset, typ=I64) for offset in self.offsets])

    def _given(self, done, offsets):
        return done, self.run, offsets[0], self.steps[0]

    def __exit__(self, *failure):
        builder = self.builder
        builder.store(builder.add(builder.load(self.done, typ=I64), self.run), self.done)
        store(builder, builder.add(self.place, self.run), self.index, self.last)
        for offset, step in zip(self.offsets, self.steps, strict=True):
            self._move(offset, builder.mul(self.run, step))
        builder.store(self.last, self.axis)
        # carry into the axis before, as long as one is at its end
        test, carry = builder.append_basic_block("test"), builder.append_basic_block("carry")
        builder.branch(test)
        builder.position_at_end(test)
        d = builder.load(self.axis, typ=I64)
        ended = builder.icmp_signed("==", load(builder, self.index, d, I64), load(builder, self.sizes, d, I64))
        builder.cbranch(builder.and_(ended, builder.icmp_signed(">", d, i64(0))), carry, self.head)
        builder.position_at_end(carry)
        store(builder, i64(0), self.index, d)
        before = builder.sub(d, i64(1))
        size = load(builder, self.sizes, d, I64)
        for offset, strides in zip(self.offsets, self.strides, strict=True):
            back = builder.mul(size, load(builder, strides, d, I64))
            self._move(offset, builder.sub(load(builder, strides, before, I64), back))
        store(builder, builder.add(load(builder, self.index, before, I64), i64(1)), self.index, before)
        builder.store(before, self.axis)
        builder.branch(test)
        builder.position_at_end(self.end)

    def _move(self, variable: Operand, by: Operand) -> None:
        self.builder.store(self.builder.add(self.builder.load(variable, typ=I64), by), variable)


class _double_runs(_runs):  # noqa: N801
    """The same for two arrays at once: ``(run, offsets, steps)``."""

    sets = 2

    def _given(self, done, offsets):
        return self.run, offsets, self.steps
