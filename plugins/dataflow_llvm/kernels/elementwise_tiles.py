"""The kernel that runs a region: elementwise instructions, tile by tile, so that what they pass on stays in cache."""

from __future__ import annotations

from llvmlite import ir

from dataflow_llvm.kernels.assembly import (
    I8,
    I32,
    I64,
    POINTER,
    SIZES,
    VOID,
    Lanes,
    Machine,
    Operand,
    begin,
    element,
    function,
    i64,
    load,
    loop,
    minimum,
    store,
)
from dataflow_llvm.kernels.formulas import FORMULAS

LOAD, STORE, OWN, PARTIAL, FIRST_FORMULA = range(5)
MOVES = {"load": LOAD, "store": STORE, "own": OWN, "partial": PARTIAL}
CODES = {name: code for code, name in enumerate(FORMULAS, FIRST_FORMULA)}
"""An operation's number: what moves entries, then the formulas in their order."""
WORDS = 5
"""Of 32 bits in an instruction: operation, result, two operands, and a third one or, of what moves entries, the number
of a walk. ``own`` calls a function that was generated for the region: at the walk stand its address and the places that
it reads or writes. ``partial`` adds up a tile; at the walk stands where the first tile's sum goes.

An operand is twice its place, in units, and 1 more for an array of the arena, whose tile it is then; what is no array
is a register, whose place is in the scratch memory.
"""
UNIT, SHORT = 64, 16
"""The bytes of a unit; in a short region, which is a single vector of so many bytes, 16."""
OWN_ARGUMENTS = [POINTER, POINTER, POINTER, I64, I64]
"""Of a region's own function: its places, the arena at the tile, the scratch memory, bytes before the tile, and of the
tile."""


def write_region(module: ir.Module, dtype: str, machine: Machine, short: bool) -> None:
    """``region_T`` (instructions, how many, walks, arena, scratch, bases, start, stop, tile), or ``short_T``, whose
    tile is one vector."""
    arguments = [POINTER, I64, POINTER, POINTER, POINTER, POINTER, I64, I64, I64]
    builder, parameters = begin(module, f"{'short' if short else 'region'}_{dtype}", VOID, arguments)
    instructions, how_many, walks, arena, scratch, bases, start, stop, tile = parameters
    vector_bytes, unit = (SHORT, SHORT) if short else (machine.vector_bytes, UNIT)
    lanes = Lanes(builder, dtype, vector_bytes // SIZES[dtype])
    with loop(builder, start, stop, tile) as at:
        count = minimum(builder, tile, builder.sub(stop, at))
        size = builder.mul(count, i64(SIZES[dtype]))
        size = builder.and_(builder.add(size, i64(vector_bytes - 1)), i64(-vector_bytes))
        begins = builder.mul(at, i64(SIZES[dtype]))
        array = element(builder, arena, begins, I8)
        with loop(builder, i64(0), how_many) as number:
            words = [
                builder.load(
                    element(builder, instructions, builder.add(builder.mul(number, i64(WORDS)), i64(i)), I32), typ=I32
                )
                for i in range(WORDS)
            ]
            places = [_place(builder, word, array, scratch, unit) for word in words[1:]]
            walk = element(builder, walks, builder.zext(words[4], I64), I64)
            after = builder.append_basic_block("after")
            cases = {code: builder.append_basic_block(name) for name, code in CODES.items()}
            others = {code: builder.append_basic_block("other") for code in (LOAD, STORE, OWN, PARTIAL)}
            switch = builder.switch(words[0], after)
            for code, block in {**others, **cases}.items():
                switch.add_case(I32(code), block)
            for code, name in ((LOAD, "load"), (STORE, "store")):
                builder.position_at_end(others[code])
                move = function(module, f"{name}_{dtype}", VOID, [POINTER, POINTER, POINTER, I64, I64])
                builder.call(move, [places[0] if code == LOAD else places[1], walk, bases, at, count])
                builder.branch(after)
            builder.position_at_end(others[OWN])
            own = builder.inttoptr(load(builder, walk, 0, I64), ir.FunctionType(VOID, OWN_ARGUMENTS).as_pointer())
            builder.call(own, [element(builder, walk, i64(1), I64), array, scratch, begins, size])
            builder.branch(after)
            builder.position_at_end(others[PARTIAL])
            added = function(module, f"piece_{dtype}", lanes.scalar, [POINTER, I64])
            sums = element(
                builder, load(builder, bases, load(builder, walk, 0, I64), POINTER), load(builder, walk, 1, I64), I8
            )
            store(builder, builder.call(added, [places[0], count]), sums, builder.sdiv(at, tile))
            builder.branch(after)
            for name, code in CODES.items():
                builder.position_at_end(cases[code])
                _write_formula(lanes, name, places, i64(vector_bytes) if short else size)
                builder.branch(after)
            builder.position_at_end(after)
    builder.ret_void()


def _place(builder: ir.IRBuilder, word: Operand, array: Operand, scratch: Operand, unit: int) -> Operand:
    offset = builder.mul(builder.zext(builder.lshr(word, I32(1)), I64), i64(unit))
    is_array = builder.trunc(word, ir.IntType(1))
    return element(builder, builder.select(is_array, array, scratch), offset, I8)


def _write_formula(lanes: Lanes, name: str, places: list[Operand], size: Operand) -> None:
    builder = lanes.builder
    formula = FORMULAS[name]
    with loop(builder, i64(0), size, i64(lanes.count * lanes.bits // 8)) as offset:
        values = [
            lanes.load(element(builder, place, offset, I8)) for place, _ in zip(places[1:], formula.takes, strict=False)
        ]
        operands = [
            lanes.as_mask(value) if takes == "m" else value for value, takes in zip(values, formula.takes, strict=True)
        ]
        result = formula.write(lanes, *operands)
        if formula.gives == "m":
            result = lanes.as_number(result)
        lanes.store(result, element(builder, places[0], offset, I8))
