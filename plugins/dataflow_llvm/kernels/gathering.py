"""Kernels that read pieces of an array from places which another array names, and put pieces there."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from llvmlite import ir

from dataflow_llvm.kernels.assembly import (
    FLOATS,
    I1,
    I32,
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
    store,
)

KINDS = ("gather_1", "gather_4", "gather_8", "put_1", "put_4", "put_8", "add_float32", "add_float64")
"""The kernels: pieces of entries of so many bytes that are read or put, and floats that are added."""
ARGUMENTS = [POINTER, POINTER, I64, I64, POINTER]


class Walk(IntEnum):
    """Entries of a walk. A place is a base and an offset; distances count entries."""

    ARRAY = 0
    """Where pieces are read, or put."""
    INDICES = 2
    INDEX_BYTES = 4
    OTHER = 5
    """Pieces side by side: the result of reading, or what is put."""
    DEPTH = 7
    """Indices for each piece."""
    EACH = 8
    OUTER = 9
    """The first of so many pieces lies so far from that of the ones before."""
    INNER = 10
    """So many pieces after each other lie one entry apart, before their indices count."""
    PIECE = 11
    """Entries of a piece."""
    WRAPS = 12
    """Whether a negative index counts from the end."""
    AXES = 13
    """The size and the stride of each axis that the indices name."""


def write_gathering(module: ir.Module, machine: Machine) -> None:
    """For each kind a kernel (walk, bases, start, stop, fault): the pieces ``start`` to ``stop``, one after the other.
    ``fault`` is set to 1 where an index is out of range, in whose place the first entry is taken."""
    for name in KINDS:
        how, _, of = name.partition("_")
        kind = FLOATS[of] if how == "add" else ir.IntType(8 * int(of))
        builder, (walk, bases, start, stop, fault) = begin(module, name, VOID, ARGUMENTS)
        array, indices, other = (_address(builder, walk, bases, e) for e in (Walk.ARRAY, Walk.INDICES, Walk.OTHER))
        piece, each, outer, inner = (_entry(builder, walk, e) for e in (Walk.PIECE, Walk.EACH, Walk.OUTER, Walk.INNER))
        move = _mover(builder, how, of, machine)
        offset = builder.alloca(I64)
        with loop(builder, start, stop) as number:
            first = builder.mul(builder.sdiv(number, each), outer)
            builder.store(builder.add(first, builder.srem(number, inner)), offset)
            _add_indices(builder, walk, indices, number, offset, fault)
            place = element(builder, array, builder.load(offset, typ=I64), kind)
            move(place, element(builder, other, builder.mul(number, piece), kind), piece)
        builder.ret_void()


def _add_indices(
    builder: ir.IRBuilder, walk: Operand, indices: Operand, number: Operand, offset: Operand, fault: Operand
) -> None:
    depth, wraps = _entry(builder, walk, Walk.DEPTH), _entry(builder, walk, Walk.WRAPS)
    is_long = builder.icmp_signed("==", _entry(builder, walk, Walk.INDEX_BYTES), i64(8))
    axes = element(builder, walk, i64(int(Walk.AXES)), I64)
    with loop(builder, i64(0), depth) as axis:
        at = builder.add(builder.mul(number, depth), axis)
        with builder.if_else(is_long) as (then, otherwise):
            with then:
                long, long_block = load(builder, indices, at, I64), builder.block
            with otherwise:
                short, short_block = builder.sext(load(builder, indices, at, I32), I64), builder.block
        index = builder.phi(I64)
        index.add_incoming(long, long_block)
        index.add_incoming(short, short_block)
        end = builder.mul(axis, i64(2))
        size, step = load(builder, axes, end, I64), load(builder, axes, builder.add(end, i64(1)), I64)
        behind = builder.and_(builder.icmp_signed("<", index, i64(0)), builder.icmp_signed("!=", wraps, i64(0)))
        index = builder.select(behind, builder.add(index, size), index)
        wrong = builder.icmp_unsigned(">=", index, size)
        with builder.if_then(wrong, likely=False):
            builder.store(i64(1), fault)
        inside = builder.select(wrong, i64(0), index)
        builder.store(builder.add(builder.load(offset, typ=I64), builder.mul(inside, step)), offset)


def _mover(builder: ir.IRBuilder, how: str, of: str, machine: Machine) -> Callable[[Operand, Operand, Operand], None]:
    """What is done with a piece: its place, the other side, its length."""
    if how == "add":
        return lambda place, other, piece: _add(builder, of, machine, place, other, piece)

    def moved(place: Operand, other: Operand, piece: Operand) -> None:
        source, target = (place, other) if how == "gather" else (other, place)
        kind = ir.IntType(8 * int(of))
        with builder.if_else(builder.icmp_signed("==", piece, i64(1))) as (then, otherwise):
            with then:
                builder.store(builder.load(source, typ=kind), target)
            with otherwise:
                copy = function(builder.module, "llvm.memcpy.p0.p0.i64", VOID, [POINTER, POINTER, I64, I1])
                builder.call(copy, [target, source, builder.mul(piece, i64(int(of))), I1(0)])

    return moved


def _add(builder: ir.IRBuilder, dtype: str, machine: Machine, place: Operand, other: Operand, piece: Operand) -> None:
    lanes = Lanes(builder, dtype, machine.vector_bytes // SIZES[dtype])
    single = Lanes(builder, dtype, 1)
    full = builder.and_(piece, i64(-lanes.count))
    with loop(builder, i64(0), full, i64(lanes.count)) as i:
        target = element(builder, place, i, single.kind)
        lanes.store(lanes.add(lanes.load(target), lanes.load(element(builder, other, i, single.kind))), target)
    with loop(builder, full, piece) as i:
        total = single.add(load(builder, place, i, single.kind), load(builder, other, i, single.kind))
        store(builder, total, place, i)


def _entry(builder: ir.IRBuilder, walk: Operand, entry: Walk) -> Operand:
    return load(builder, walk, int(entry), I64)


def _address(builder: ir.IRBuilder, walk: Operand, bases: Operand, entry: Walk) -> Operand:
    base, offset = load(builder, walk, int(entry), I64), load(builder, walk, int(entry) + 1, I64)
    return address_at(builder, bases, base, offset)
