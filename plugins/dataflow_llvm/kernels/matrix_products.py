"""Kernels for matrix products. Blocks of the result stay in vector registers; the left factor may have any strides, the
right one's rows lie side by side, or else it is turned round first."""

from __future__ import annotations

from itertools import product

from llvmlite import ir

from dataflow_llvm.kernels.assembly import (
    I32,
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
    interleaved,
    load,
    loop,
    minimum,
    store,
)
from dataflow_llvm.kernels.formulas import FORMULAS

DIRECT, PACKED, TURNED = range(3)
AS_IT_IS, FINISHES = 0, {"maximum_number": 1, "masked_greater": 2}
"""How a product is finished before it is written: relu, or the derivative of relu at ``source``, which lies as the
result does. The formulas' number is 0."""
COLUMNS = ((2, False), (1, False), (1, True))
"""How many vectors of columns a block has, and whether they are not whole."""
DEPTH = 512
"""Products that are added up before the next block's: a panel of so many rows, of 64 KiB at most, stays in the second
cache, whose lines come ahead of their use, and what was added up is stored and read again the more seldom."""
BLOCK = [I64, POINTER, I64, I64, POINTER, I64, POINTER, I64, POINTER, I64, POINTER, I64, I64, I64]
"""Of a block's kernel: length of the sum, left, its two strides, right, its stride from row to row, result, its
stride, what is added and its stride, the source and its stride, how the product is finished, how many columns count."""
PRODUCT_ARGUMENTS = [
    *(I64, I64, I64, POINTER, I64, I64, POINTER, I64, POINTER, I64, POINTER, I64, POINTER, I64, I64, POINTER, I64, I64)
]
"""Of a product's kernel."""


def write_product(module: ir.Module, dtype: str, machine: Machine) -> None:
    """``product_T`` (rows, columns, length, left, its strides by row and along, right, its stride, result, its stride,
    addend, its stride, panel, how, adding, source, its stride, finish): strides in elements; where ``adding`` is 1,
    onto the addend, which may be what the result holds; ``finish`` is ``AS_IT_IS`` or one of ``FINISHES``. ``how`` the
    right factor is read: ``DIRECT``; ``PACKED``, each panel of columns copied first, for rows so far apart that they
    would crowd each other out of the cache; ``TURNED``, the same for a right factor that lies transposed, whose stride
    is then that from column to column. A panel is two vectors times ``length``, or ``DEPTH`` if that is less."""
    width = machine.vector_bytes // SIZES[dtype]
    heights = (machine.product_rows, *(h for h in (4, 2, 1) if h < machine.product_rows))
    for height, (vectors, masked), adds in product(heights, COLUMNS, (False, True)):
        _write_block(module, dtype, width, height, vectors, masked, adds)
    builder, parameters = begin(module, f"product_{dtype}", VOID, PRODUCT_ARGUMENTS)
    rows, columns, length, left, by_row, along, right, step, result, result_step = parameters[:10]
    addend, addend_step, panel, how, adding, source, source_step, finish = parameters[10:]
    anew = builder.icmp_signed("==", adding, i64(0))
    kind = Lanes(builder, dtype, 1).kind
    direct = builder.icmp_signed("==", how, i64(DIRECT))
    turned = builder.icmp_signed("==", how, i64(TURNED))
    packed_step = builder.select(direct, step, i64(2 * width))
    pack, turn = _write_pack(module, dtype, width), _declared_turn(module, dtype)
    first_column: Operand = i64(0)
    for vectors, masked in COLUMNS:
        wide = vectors * width
        rest = builder.sub(columns, first_column)
        stop = columns if masked else builder.sub(columns, builder.srem(rest, i64(wide)))
        with loop(builder, first_column, stop, i64(wide)) as j, loop(builder, i64(0), length, i64(DEPTH)) as k:
            depth = minimum(builder, i64(DEPTH), builder.sub(length, k))
            valid = builder.sub(columns, j)
            ends_here = builder.icmp_signed("==", builder.add(k, depth), length)
            finish_now = builder.select(ends_here, finish, i64(AS_IT_IS))
            count = valid if masked else i64(wide)
            there = element(builder, right, builder.add(builder.mul(k, step), j), kind)
            with builder.if_else(turned) as (then, otherwise):
                with then:
                    turned_there = element(builder, right, builder.add(builder.mul(j, step), k), kind)
                    builder.call(turn, [count, depth, turned_there, step, panel, i64(2 * width)])
                with otherwise, builder.if_then(builder.not_(direct)):
                    builder.call(pack, [depth, count, there, step, panel])
            base = builder.select(direct, there, panel)
            first: Operand = i64(0)
            for height in heights:
                last = builder.sub(rows, builder.srem(builder.sub(rows, first), i64(height)))
                with loop(builder, first, last, i64(height)) as i:
                    start = builder.add(builder.mul(i, by_row), builder.mul(k, along))
                    place = element(builder, result, builder.add(builder.mul(i, result_step), j), kind)
                    ends = [element(builder, left, start, kind), by_row, along, base, packed_step, place, result_step]
                    begins = builder.icmp_signed("==", k, i64(0))
                    added = element(builder, addend, builder.add(builder.mul(i, addend_step), j), kind)
                    ends += [builder.select(begins, added, place), builder.select(begins, addend_step, result_step)]
                    by = element(builder, source, builder.add(builder.mul(i, source_step), j), kind)
                    ends += [by, source_step, finish_now]
                    with builder.if_else(builder.and_(anew, begins)) as (then, otherwise):
                        for branch, adds in ((then, False), (otherwise, True)):
                            with branch:
                                block = function(module, _block(dtype, height, vectors, masked, adds), VOID, BLOCK)
                                builder.call(block, [depth, *ends, valid])
                first = last
        first_column = stop
    builder.ret_void()


def _declared_turn(module: ir.Module, dtype: str) -> ir.Function:
    return function(module, f"turn_{dtype}", VOID, [I64, I64, POINTER, I64, POINTER, I64])


def _write_pack(module: ir.Module, dtype: str, width: int) -> ir.Function:
    """(rows, columns, source, its stride, panel): copied into rows of two vectors."""
    builder, (rows, columns, source, step, panel) = begin(
        module, f"pack_{dtype}", VOID, [I64, I64, POINTER, I64, POINTER]
    )
    lanes, single = Lanes(builder, dtype, width), Lanes(builder, dtype, 1)
    full = builder.and_(columns, i64(-width))
    with loop(builder, i64(0), rows) as k:
        line = element(builder, source, builder.mul(k, step), single.kind)
        place = element(builder, panel, builder.mul(k, i64(2 * width)), single.kind)
        with loop(builder, i64(0), full, i64(width)) as j:
            lanes.store(lanes.load(element(builder, line, j, single.kind)), element(builder, place, j, single.kind))
        with loop(builder, full, columns) as j:
            store(builder, load(builder, line, j, single.kind), place, j)
    builder.ret_void()
    return builder.function


def write_turn(module: ir.Module, dtype: str, machine: Machine) -> None:
    """``turn_T`` (rows, columns, source, its stride, target, its stride): a matrix transposed, in squares that fit into
    vector registers."""
    builder, (rows, columns, source, step, target, target_step) = begin(
        module, f"turn_{dtype}", VOID, [I64, I64, POINTER, I64, POINTER, I64]
    )
    lanes = Lanes(builder, dtype, machine.vector_bytes // SIZES[dtype])
    kind = Lanes(builder, dtype, 1).kind
    square = i64(lanes.count)
    full_rows, full_columns = builder.and_(rows, i64(-lanes.count)), builder.and_(columns, i64(-lanes.count))
    with loop(builder, i64(0), full_rows, square) as i:
        with loop(builder, i64(0), full_columns, square) as j:
            lines = []
            for k in range(lanes.count):
                place = builder.add(builder.mul(builder.add(i, i64(k)), step), j)
                lines.append(lanes.load(element(builder, source, place, kind)))
            for k, line in enumerate(_turned(lanes, lines)):
                place = builder.add(builder.mul(builder.add(j, i64(k)), target_step), i)
                lanes.store(line, element(builder, target, place, kind))
        square_rows, rest = (i, builder.add(i, square)), (full_columns, columns)
        _turn_one_by_one(builder, kind, square_rows, rest, source, step, target, target_step)
    _turn_one_by_one(builder, kind, (full_rows, rows), (i64(0), columns), source, step, target, target_step)
    builder.ret_void()


def _block(dtype: str, height: int, vectors: int, masked: bool, adds: bool) -> str:
    return f"block_{dtype}_{height}x{vectors}{'_masked' if masked else ''}{'_adds' if adds else ''}"


def _write_block(
    module: ir.Module, dtype: str, width: int, height: int, vectors: int, masked: bool, adds: bool
) -> None:
    """A block of the result; one that ``adds`` goes on with the sums that stand in what is added."""
    builder, parameters = begin(module, _block(dtype, height, vectors, masked, adds), VOID, BLOCK)
    builder.function.linkage = "internal"
    length, left, by_row, along, right, step, result, result_step, addend, addend_step = parameters[:10]
    source, source_step, finish, valid = parameters[10:]
    lanes, single = Lanes(builder, dtype, width), Lanes(builder, dtype, 1)
    move = Masked(lanes, valid) if masked else lanes
    rows = [element(builder, left, builder.mul(by_row, i64(i)), single.kind) for i in range(height)]

    def vectors_of(matrix: Operand, stride: Operand) -> list[Operand]:
        lines = [element(builder, matrix, builder.mul(stride, i64(i)), single.kind) for i in range(height)]
        return [element(builder, line, i64(v * width), single.kind) for line in lines for v in range(vectors)]

    places = vectors_of(result, result_step)
    sums: list[Operand] = [lanes.number(0.0)] * (height * vectors)
    if adds:
        sums = [move.load(place) for place in vectors_of(addend, addend_step)]
    with accumulating(builder, i64(0), length, i64(1), sums) as (k, values):
        line = element(builder, right, builder.mul(k, step), single.kind)
        loaded = [move.load(element(builder, line, i64(v * width), single.kind)) for v in range(vectors)]
        at = builder.mul(k, along)
        for i, row in enumerate(rows):
            factor = lanes.splat(load(builder, row, at, single.kind))
            for v in range(vectors):
                values[i * vectors + v] = lanes.fma(factor, loaded[v], values[i * vectors + v])
    zero = lanes.number(0.0)
    branches = {number: builder.append_basic_block("finish") for number in (AS_IT_IS, *FINISHES.values())}
    switch = builder.switch(finish, branches[AS_IT_IS])
    for name, number in FINISHES.items():
        switch.add_case(i64(number), branches[number])
        builder.position_at_end(branches[number])
        takes_source = len(FORMULAS[name].takes) > 2
        ends = [places, sums, vectors_of(source, source_step)]
        for place, value, by in zip(*ends, strict=True):
            sources = [move.load(by)] if takes_source else []
            move.store(FORMULAS[name].write(lanes, value, *sources, zero), place)
        builder.ret_void()
    builder.position_at_end(branches[AS_IT_IS])
    for place, value in zip(places, sums, strict=True):
        move.store(value, place)
    builder.ret_void()


class Masked:
    """Loads and stores of the first columns of a vector alone."""

    def __init__(self, lanes: Lanes, valid: Operand) -> None:
        builder, self.lanes = lanes.builder, lanes
        counts = ir.VectorType(I32, lanes.count)
        first = builder.insert_element(ir.Constant(counts, ir.Undefined), builder.trunc(valid, I32), I32(0))
        all_lanes = builder.shuffle_vector(
            first, ir.Constant(counts, ir.Undefined), ir.Constant(counts, [0] * lanes.count)
        )
        self.mask = builder.icmp_signed("<", ir.Constant(counts, list(range(lanes.count))), all_lanes)
        self.suffix = f"v{lanes.count}f{lanes.bits}.p0"

    def load(self, address: Operand) -> Operand:
        lanes = self.lanes
        made = function(
            lanes.builder.module, f"llvm.masked.load.{self.suffix}", lanes.kind, [POINTER, I32, lanes.mask, lanes.kind]
        )
        return lanes.builder.call(made, [address, I32(lanes.bits // 8), self.mask, lanes.number(0.0)])

    def store(self, value: Operand, address: Operand) -> None:
        lanes = self.lanes
        made = function(
            lanes.builder.module, f"llvm.masked.store.{self.suffix}", VOID, [lanes.kind, POINTER, I32, lanes.mask]
        )
        lanes.builder.call(made, [value, address, I32(lanes.bits // 8), self.mask])


def _turned(lanes: Lanes, lines: list[Operand]) -> list[Operand]:
    """The transpose of a square of as many vectors as each has lanes, by interleaving halves again and again."""
    count = lanes.count
    for _ in range(count.bit_length() - 1):
        lines = [interleaved(lanes, lines[i // 2], lines[i // 2 + count // 2], upper=bool(i % 2)) for i in range(count)]
    return lines


def _turn_one_by_one(
    builder: ir.IRBuilder,
    kind: ir.Type,
    rows: tuple[Operand, Operand],
    columns: tuple[Operand, Operand],
    source: Operand,
    step: Operand,
    target: Operand,
    target_step: Operand,
) -> None:
    with loop(builder, *columns) as j, loop(builder, *rows) as i:
        value = load(builder, source, builder.add(builder.mul(i, step), j), kind)
        store(builder, value, target, builder.add(builder.mul(j, target_step), i))
