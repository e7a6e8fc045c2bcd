"""Kernels for sums and largest elements of an array seen as (outer, reduced, inner)."""

from __future__ import annotations

from llvmlite import ir

from dataflow_llvm.kernels.assembly import (
    FLOATS,
    I64,
    POINTER,
    SIZES,
    VOID,
    Lanes,
    Machine,
    Operand,
    accumulating,
    begin,
    element,
    function,
    i64,
    load,
    loop,
    minimum,
    store,
)
from dataflow_llvm.kernels.formulas import maximum

PIECE = 256
"""Elements that are added in their own dtype; the sums of such pieces are added in float64, so that errors do not grow
with the number of elements."""


def write_reductions(module: ir.Module, dtype: str, machine: Machine) -> None:
    """``sum_T`` and ``max_T`` (source, target, reduced, inner, stride outer, stride reduced, start, stop): the rows
    ``start`` to ``stop`` of the outer axis. Inner elements lie side by side, and the target's all do. ``piece_T``
    (source, count) is the sum of a piece, ``total_T`` (source, target, count) that of the sums of pieces."""
    _write_piece(module, dtype, machine)
    _write_total(module, dtype)
    for name in ("sum", "max"):
        arguments = [POINTER, POINTER, *[I64] * 6]
        builder, (source, target, reduced, inner, outer_step, step, start, stop) = begin(
            module, f"{name}_{dtype}", VOID, arguments
        )
        single = Lanes(builder, dtype, 1)
        with loop(builder, start, stop) as o:
            row = element(builder, source, builder.mul(o, outer_step), single.kind)
            result = element(builder, target, builder.mul(o, inner), single.kind)
            in_line = builder.and_(builder.icmp_signed("==", inner, i64(1)), builder.icmp_signed("==", step, i64(1)))
            with builder.if_else(in_line) as (then, otherwise):
                with then:
                    along = _sum_along if name == "sum" else _max_along
                    store(builder, along(builder, dtype, machine, row, reduced), result, 0)
                with otherwise:
                    _across(builder, dtype, machine, name, row, result, reduced, inner, step)
        builder.ret_void()


def _write_piece(module: ir.Module, dtype: str, machine: Machine) -> None:
    scalar = FLOATS[dtype]
    builder, (base, length) = begin(module, f"piece_{dtype}", scalar, [POINTER, I64])
    lanes = Lanes(builder, dtype, machine.vector_bytes // SIZES[dtype])
    fours = builder.and_(length, i64(-4 * lanes.count))
    sums = [lanes.number(0.0)] * 4
    with accumulating(builder, i64(0), fours, i64(4 * lanes.count), sums) as (i, values):
        for k in range(4):
            place = element(builder, base, builder.add(i, i64(k * lanes.count)), scalar)
            values[k] = lanes.add(values[k], lanes.load(place))
    ones = builder.and_(length, i64(-lanes.count))
    rest = [lanes.add(lanes.add(sums[0], sums[1]), lanes.add(sums[2], sums[3]))]
    with accumulating(builder, fours, ones, i64(lanes.count), rest) as (i, values):
        values[0] = lanes.add(values[0], lanes.load(element(builder, base, i, scalar)))
    last = [_horizontal(lanes, "fadd", rest[0])]
    with accumulating(builder, ones, length, i64(1), last) as (i, values):
        values[0] = builder.fadd(values[0], load(builder, base, i, scalar))
    builder.ret(last[0])


def _write_total(module: ir.Module, dtype: str) -> None:
    builder, (source, target, count) = begin(module, f"total_{dtype}", VOID, [POINTER, POINTER, I64])
    total: list[Operand] = [ir.Constant(FLOATS["float64"], 0.0)]
    with accumulating(builder, i64(0), count, i64(1), total) as (i, totals):
        totals[0] = builder.fadd(totals[0], _wide(builder, load(builder, source, i, FLOATS[dtype])))
    store(builder, _narrow(builder, total[0], dtype), target, 0)
    builder.ret_void()


def _sum_along(builder: ir.IRBuilder, dtype: str, machine: Machine, row: Operand, count: Operand) -> Operand:
    piece = function(builder.module, f"piece_{dtype}", FLOATS[dtype], [POINTER, I64])
    total: list[Operand] = [ir.Constant(FLOATS["float64"], 0.0)]
    with accumulating(builder, i64(0), count, i64(PIECE), total) as (start, totals):
        length = minimum(builder, i64(PIECE), builder.sub(count, start))
        added = builder.call(piece, [element(builder, row, start, FLOATS[dtype]), length])
        totals[0] = builder.fadd(totals[0], _wide(builder, added))
    return _narrow(builder, total[0], dtype)


def _wide(builder: ir.IRBuilder, x: Operand) -> Operand:
    return x if x.type == FLOATS["float64"] else builder.fpext(x, FLOATS["float64"])


def _narrow(builder: ir.IRBuilder, x: Operand, dtype: str) -> Operand:
    return x if dtype == "float64" else builder.fptrunc(x, FLOATS[dtype])


def _max_along(builder: ir.IRBuilder, dtype: str, machine: Machine, row: Operand, count: Operand) -> Operand:
    single = Lanes(builder, dtype, 1)
    lanes = Lanes(builder, dtype, machine.vector_bytes // SIZES[dtype])
    full = builder.and_(count, i64(-lanes.count))
    largest = [lanes.number(float("-inf"))]
    with accumulating(builder, i64(0), full, i64(lanes.count), largest) as (i, values):
        values[0] = maximum(lanes, values[0], lanes.load(element(builder, row, i, single.kind)))
    last = [_horizontal(lanes, "fmaximum", largest[0])]
    with accumulating(builder, full, count, i64(1), last) as (i, values):
        values[0] = maximum(single, values[0], single.load(element(builder, row, i, single.kind)))
    return last[0]


def _horizontal(lanes: Lanes, how: str, vector: Operand) -> Operand:
    name = f"llvm.vector.reduce.{how}.v{lanes.count}f{lanes.bits}"
    if how == "fadd":
        return lanes.total(vector)
    made = function(lanes.builder.module, name, lanes.scalar, [lanes.kind])
    return lanes.builder.call(made, [vector])


def _across(
    builder: ir.IRBuilder,
    dtype: str,
    machine: Machine,
    name: str,
    row: Operand,
    result: Operand,
    reduced: Operand,
    inner: Operand,
    step: Operand,
) -> None:
    """Columns side by side: first four vectors of them at once, then one, then the columns that are left."""
    width = machine.vector_bytes // SIZES[dtype]
    start: Operand = i64(0)
    for lanes, vectors in (
        (Lanes(builder, dtype, width), 4),
        (Lanes(builder, dtype, width), 1),
        (Lanes(builder, dtype, 1), 1),
    ):
        single = Lanes(builder, dtype, 1)
        columns = lanes.count * vectors
        stop = builder.sub(inner, builder.srem(builder.sub(inner, start), i64(columns)))
        with loop(builder, start, stop, i64(columns)) as j:
            first = lanes.number(0.0 if name == "sum" else float("-inf"))
            results = [first] * vectors
            base = element(builder, row, j, single.kind)
            with accumulating(builder, i64(0), reduced, i64(1), results) as (r, values):
                line = element(builder, base, builder.mul(r, step), single.kind)
                for k in range(vectors):
                    value = lanes.load(element(builder, line, i64(k * lanes.count), single.kind))
                    values[k] = lanes.add(values[k], value) if name == "sum" else maximum(lanes, values[k], value)
            for k in range(vectors):
                place = element(builder, result, builder.add(j, i64(k * lanes.count)), single.kind)
                lanes.store(results[k], place)
        start = stop
