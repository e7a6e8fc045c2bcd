"""Kernels for windows that slide over the last axes of an array: the products of convolutions, and the largest entries.

Nothing is written out as columns: tables say how far each entry of a window, and each row of windows, lies from the
first. A walk is the places of three arrays, base and offset each, the numbers of ``Walk``, the distances of the
entries, and those of the rows. All count entries.
"""

from __future__ import annotations

from enum import IntEnum

from llvmlite import ir

from dataflow_llvm.kernels.assembly import (
    FLOATS,
    I8,
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
from dataflow_llvm.kernels.matrix_products import Masked

KINDS = ("correlate", "correlate_single", "correlate_kernel", "largest", "spread", "mend", "spread_inside")
"""Each is ``KIND_T`` (walk, bases, start, stop)."""
ARGUMENTS = [POINTER, POINTER, I64, I64]
BLOCK = [I64, POINTER, I64, POINTER, POINTER, POINTER, I64, I64]
"""Of a block of a correlation: entries, left, its stride, right, distances, result, its stride, how many columns
count."""
SIDE = 4
"""Results of ``correlate_kernel`` that are added up at once are a square with this side."""


class Walk(IntEnum):
    """Entries of a walk behind the places."""

    OUTER = 6
    """Examples, times groups for a correlation; for pooling, times channels."""
    CHANNELS = 7
    """Of the array with the windows' results; of one group for a correlation."""
    ENTRIES = 8
    ROWS = 9
    COLUMNS = 10
    STEP = 11
    """From window to window along the last axis; 1 but for ``spread`` and ``spread_inside``."""
    OUTER_STEP = 12
    """From one to the next of ``OUTER`` in the array that windows slide over, and in the other."""
    RESULT_OUTER_STEP = 13
    RESULT_CHANNEL_STEP = 14
    PLANE = 15
    """From channel to channel of the array that windows slide over."""
    INSIDE = 16
    INSIDE_OFFSET = 17
    """For ``mend`` and ``spread_inside``, the place of a byte for each entry of a plane: whether it counts."""
    GROUPS = 18
    GROUP_STEP = 19
    """For ``correlate_kernel``, from group to group of the array that windows slide over."""
    TABLES = 20


def write_windows(module: ir.Module, dtype: str, machine: Machine) -> None:
    """All kernels for windows."""
    width = machine.vector_bytes // SIZES[dtype]
    heights = [h for h in (8, 4, 2, 1) if h <= machine.product_rows]
    for height in heights:
        for vectors, masked in ((2, False), (1, False), (1, True)):
            _write_block(module, dtype, width, height, vectors, masked)
    _write_correlate(module, dtype, width, heights)
    for rows in (SIDE, 1):
        for entries in (SIDE, 1):
            _write_square(module, dtype, width, rows, entries)
    _write_mend(module, dtype)
    _write_correlate_kernel(module, dtype)
    for name in ("correlate_single", "largest"):
        _write_single(module, name, dtype, width, (4, 2, 1) if machine.product_rows == 8 else (2, 1))
    _write_spread(module, dtype, masked=False)
    _write_spread(module, dtype, masked=True)


class _Given:
    """The arguments of a kernel."""

    def __init__(self, builder: ir.IRBuilder, walk: Operand, bases: Operand) -> None:
        self.builder, self.walk = builder, walk
        self.first, self.second, self.result = (
            element(
                builder,
                load(builder, bases, load(builder, walk, 2 * i, I64), POINTER),
                load(builder, walk, 2 * i + 1, I64),
                I8,
            )
            for i in range(3)
        )
        self.entries, self.rows, self.columns = (
            self.number(entry) for entry in (Walk.ENTRIES, Walk.ROWS, Walk.COLUMNS)
        )
        self.distances = element(builder, walk, i64(int(Walk.TABLES)), I64)
        self.row_distances = element(builder, self.distances, self.entries, I64)

    def number(self, entry: Walk) -> Operand:
        return load(self.builder, self.walk, int(entry), I64)

    def weights(self, outer: Operand, channels: Operand, kind: ir.Type) -> Operand:
        """The kernel of the group that an example's part belongs to."""
        group = self.builder.srem(outer, self.number(Walk.GROUPS))
        size = self.builder.mul(channels, self.entries)
        return element(self.builder, self.first, self.builder.mul(group, size), kind)


def _block(dtype: str, height: int, vectors: int, masked: bool) -> str:
    return f"window_block_{dtype}_{height}x{vectors}{'_masked' if masked else ''}"


def _write_block(module: ir.Module, dtype: str, width: int, height: int, vectors: int, masked: bool) -> None:
    """A block of a correlation's result: as that of a product, whose right rows lie anywhere."""
    builder, parameters = begin(module, _block(dtype, height, vectors, masked), VOID, BLOCK)
    builder.function.linkage = "internal"
    entries, left, by_row, right, distances, result, result_step, valid = parameters
    lanes, single = Lanes(builder, dtype, width), Lanes(builder, dtype, 1)
    move = Masked(lanes, valid) if masked else lanes
    rows = [element(builder, left, builder.mul(by_row, i64(i)), single.kind) for i in range(height)]
    sums: list[Operand] = [lanes.number(0.0)] * (height * vectors)
    with accumulating(builder, i64(0), entries, i64(1), sums) as (k, values):
        line = element(builder, right, load(builder, distances, k, I64), single.kind)
        loaded = [move.load(element(builder, line, i64(v * width), single.kind)) for v in range(vectors)]
        for i, row in enumerate(rows):
            factor = lanes.splat(load(builder, row, k, single.kind))
            for v in range(vectors):
                values[i * vectors + v] = lanes.fma(factor, loaded[v], values[i * vectors + v])
    for i in range(height):
        line = element(builder, result, builder.mul(result_step, i64(i)), single.kind)
        for v in range(vectors):
            move.store(sums[i * vectors + v], element(builder, line, i64(v * width), single.kind))
    builder.ret_void()


def _write_correlate(module: ir.Module, dtype: str, width: int, heights: list[int]) -> None:
    """Rows ``start`` to ``stop`` of all results, example after example and group after group: kernel, array, result."""
    builder, (walk, bases, start, stop) = begin(module, f"correlate_{dtype}", VOID, ARGUMENTS)
    given, kind = _Given(builder, walk, bases), FLOATS[dtype]
    channels, channel_step = given.number(Walk.CHANNELS), given.number(Walk.RESULT_CHANNEL_STEP)
    with loop(builder, start, stop) as number:
        n, r = builder.sdiv(number, given.rows), builder.srem(number, given.rows)
        weights = given.weights(n, channels, kind)
        there = builder.add(builder.mul(n, given.number(Walk.OUTER_STEP)), load(builder, given.row_distances, r, I64))
        source = element(builder, given.second, there, kind)
        here = builder.add(builder.mul(n, given.number(Walk.RESULT_OUTER_STEP)), builder.mul(r, given.columns))
        target = element(builder, given.result, here, kind)
        first_column: Operand = i64(0)
        for vectors, masked in ((2, False), (1, False), (1, True)):
            wide = vectors * width
            rest = builder.sub(given.columns, first_column)
            last_column = given.columns if masked else builder.sub(given.columns, builder.srem(rest, i64(wide)))
            with loop(builder, first_column, last_column, i64(wide)) as j:
                first: Operand = i64(0)
                for height in heights:
                    last = builder.sub(channels, builder.srem(builder.sub(channels, first), i64(height)))
                    with loop(builder, first, last, i64(height)) as i:
                        block = function(module, _block(dtype, height, vectors, masked), VOID, BLOCK)
                        left = element(builder, weights, builder.mul(i, given.entries), kind)
                        place = element(builder, target, builder.add(builder.mul(i, channel_step), j), kind)
                        right = element(builder, source, j, kind)
                        ends = [right, given.distances, place, channel_step, builder.sub(given.columns, j)]
                        builder.call(block, [given.entries, left, given.entries, *ends])
                    first = last
            first_column = last_column
    builder.ret_void()


def _write_single(module: ir.Module, name: str, dtype: str, width: int, counts: tuple[int, ...]) -> None:
    """Examples ``start`` to ``stop``, with one channel for each group: weights, array, result; or the largest entries
    of windows, without weights. Several rows are computed at once."""
    builder, (walk, bases, start, stop) = begin(module, f"{name}_{dtype}", VOID, ARGUMENTS)
    given, lanes, kind = _Given(builder, walk, bases), Lanes(builder, dtype, width), FLOATS[dtype]
    with loop(builder, start, stop) as p:
        weights = given.weights(p, i64(1), kind)
        source = element(builder, given.second, builder.mul(p, given.number(Walk.OUTER_STEP)), kind)
        target = element(builder, given.result, builder.mul(p, given.number(Walk.RESULT_OUTER_STEP)), kind)
        first_row: Operand = i64(0)
        for height in (4, 2, 1):
            rest = builder.sub(given.rows, first_row)
            last_row = builder.sub(given.rows, builder.srem(rest, i64(height)))
            with loop(builder, first_row, last_row, i64(height)) as r:
                numbers = [builder.add(r, i64(i)) for i in range(height)]
                lines = [
                    element(builder, source, load(builder, given.row_distances, number, I64), kind)
                    for number in numbers
                ]
                ends = [element(builder, target, builder.mul(number, given.columns), kind) for number in numbers]
                first_column: Operand = i64(0)
                for vectors, masked in (*((count, False) for count in counts), (1, True)):
                    wide = vectors * width
                    rest = builder.sub(given.columns, first_column)
                    last_column = given.columns if masked else builder.sub(given.columns, builder.srem(rest, i64(wide)))
                    with loop(builder, first_column, last_column, i64(wide)) as j:
                        move = Masked(lanes, builder.sub(given.columns, j)) if masked else lanes
                        sums = _reduced(
                            given,
                            lanes,
                            move,
                            [element(builder, line, j, kind) for line in lines],
                            vectors,
                            weights if name == "correlate_single" else None,
                        )
                        places = [
                            element(builder, end, builder.add(j, i64(v * width)), kind)
                            for end in ends
                            for v in range(vectors)
                        ]
                        for value, place in zip(sums, places, strict=True):
                            move.store(value, place)
                    first_column = last_column
            first_row = last_row
    builder.ret_void()


def _reduced(
    given: _Given, lanes: Lanes, move: Lanes | Masked, lines: list[Operand], vectors: int, weights: Operand | None
) -> list[Operand]:
    """Over the entries of the windows that begin at each line: the sum of their products with the weights, or without
    any the largest."""
    builder, kind = given.builder, lanes.scalar
    sums: list[Operand] = [lanes.number(float("-inf") if weights is None else 0.0)] * (len(lines) * vectors)
    with accumulating(builder, i64(0), given.entries, i64(1), sums) as (k, values):
        distance = load(builder, given.distances, k, I64)
        factor = None if weights is None else lanes.splat(load(builder, weights, k, kind))
        for i, line in enumerate(lines):
            window = element(builder, line, distance, kind)
            for v in range(vectors):
                entry, at = move.load(element(builder, window, i64(v * lanes.count), kind)), i * vectors + v
                values[at] = (
                    maximum(lanes, values[at], entry) if factor is None else lanes.fma(factor, entry, values[at])
                )
    return sums


def _write_mend(module: ir.Module, dtype: str) -> None:
    """``correlate`` once more, one by one, where the kernel is not finite: what does not count is then no 0 · ∞."""
    builder, (walk, bases, start, stop) = begin(module, f"mend_{dtype}", VOID, ARGUMENTS)
    given, single = _Given(builder, walk, bases), Lanes(builder, dtype, 1)
    kind, zero = single.kind, single.number(0.0)
    channels, plane = given.number(Walk.CHANNELS), given.number(Walk.PLANE)
    base = load(builder, bases, given.number(Walk.INSIDE), POINTER)
    inside = element(builder, base, given.number(Walk.INSIDE_OFFSET), I8)
    check: list[Operand] = [zero]  # stays 0 where all weights are finite
    weights = builder.mul(builder.mul(channels, given.entries), given.number(Walk.GROUPS))
    with accumulating(builder, i64(0), weights, i64(1), check) as (k, values):
        values[0] = single.fma(load(builder, given.first, k, kind), zero, values[0])
    broken, end = builder.append_basic_block("broken"), builder.append_basic_block("end")
    builder.cbranch(single.is_nan(check[0]), broken, end)
    builder.position_at_end(broken)
    with (
        loop(builder, start, stop) as n,
        loop(builder, i64(0), channels) as i,
        loop(builder, i64(0), given.rows) as r,
        loop(builder, i64(0), given.columns) as j,
    ):
        near = builder.add(load(builder, given.row_distances, r, I64), j)
        there = builder.add(builder.mul(n, given.number(Walk.OUTER_STEP)), near)
        weights = element(builder, given.weights(n, channels, kind), builder.mul(i, given.entries), kind)
        total: list[Operand] = [zero]
        with accumulating(builder, i64(0), given.entries, i64(1), total) as (k, values):
            distance = load(builder, given.distances, k, I64)
            counts = load(builder, inside, builder.add(near, builder.srem(distance, plane)), I8)
            entry = load(builder, given.second, builder.add(there, distance), kind)
            part = single.multiply(load(builder, weights, k, kind), entry)
            values[0] = single.add(values[0], builder.select(builder.icmp_signed("!=", counts, I8(0)), part, zero))
        here = builder.add(builder.mul(n, given.number(Walk.RESULT_OUTER_STEP)), builder.mul(r, given.columns))
        here = builder.add(builder.add(here, builder.mul(i, given.number(Walk.RESULT_CHANNEL_STEP))), j)
        store(builder, total[0], given.result, here)
    builder.branch(end)
    builder.position_at_end(end)
    builder.ret_void()


def _square(dtype: str, rows: int, entries: int) -> str:
    return f"window_square_{dtype}_{rows}x{entries}"


def _write_square(module: ir.Module, dtype: str, width: int, rows: int, entries: int) -> None:
    """(walk, bases, channel, entry): some results of ``correlate_kernel``. Sums of examples are added in float64."""
    builder, (walk, bases, channel, entry) = begin(module, _square(dtype, rows, entries), VOID, ARGUMENTS)
    builder.function.linkage = "internal"
    given, single, lanes = _Given(builder, walk, bases), Lanes(builder, dtype, 1), Lanes(builder, dtype, width)
    kind, double = single.kind, FLOATS["float64"]
    channel_step = given.number(Walk.RESULT_CHANNEL_STEP)
    distances = [load(builder, given.distances, builder.add(entry, i64(k)), I64) for k in range(entries)]
    full = builder.and_(given.columns, i64(-width))
    masked = Masked(lanes, builder.sub(given.columns, full))
    per_group = builder.sdiv(given.number(Walk.CHANNELS), given.number(Walk.GROUPS))
    group_start = builder.mul(builder.sdiv(channel, per_group), given.number(Walk.GROUP_STEP))
    array = element(builder, given.second, group_start, kind)
    totals: list[Operand] = [ir.Constant(double, 0.0)] * (rows * entries)
    with accumulating(builder, i64(0), given.number(Walk.OUTER), i64(1), totals) as (n, total):
        sums: list[Operand] = [lanes.number(0.0)] * (rows * entries)
        source = element(builder, array, builder.mul(n, given.number(Walk.OUTER_STEP)), kind)
        here = builder.add(builder.mul(n, given.number(Walk.RESULT_OUTER_STEP)), builder.mul(channel, channel_step))
        cotangents = element(builder, given.first, here, kind)

        def add(move, values, r, j):
            line = element(builder, source, builder.add(load(builder, given.row_distances, r, I64), j), kind)
            right = [move.load(element(builder, line, distance, kind)) for distance in distances]
            left = element(builder, cotangents, builder.add(builder.mul(r, given.columns), j), kind)
            for i in range(rows):
                factor = move.load(element(builder, left, builder.mul(channel_step, i64(i)), kind))
                for k in range(entries):
                    values[i * entries + k] = lanes.fma(factor, right[k], values[i * entries + k])

        with accumulating(builder, i64(0), given.rows, i64(1), sums) as (r, values):
            inner = list(values)
            with accumulating(builder, i64(0), full, i64(width), inner) as (j, parts):
                add(lanes, parts, r, j)
            with accumulating(builder, full, given.columns, i64(width), inner) as (j, parts):
                add(masked, parts, r, j)
            values[:] = inner
        for i, vector in enumerate(sums):
            one = lanes.total(vector)
            total[i] = builder.fadd(total[i], one if dtype == "float64" else builder.fpext(one, double))
    for i in range(rows):
        row = builder.mul(builder.add(channel, i64(i)), given.entries)
        for k in range(entries):
            one = totals[i * entries + k]
            place = builder.add(row, builder.add(entry, i64(k)))
            store(builder, one if dtype == "float64" else builder.fptrunc(one, kind), given.result, place)
    builder.ret_void()


def _write_correlate_kernel(module: ir.Module, dtype: str) -> None:
    """Channels ``start`` to ``stop`` of the kernel: cotangents, array, kernel."""
    builder, (walk, bases, start, stop) = begin(module, f"correlate_kernel_{dtype}", VOID, ARGUMENTS)
    given = _Given(builder, walk, bases)
    per_group = builder.sdiv(given.number(Walk.CHANNELS), given.number(Walk.GROUPS))
    last_group = builder.sdiv(builder.add(stop, builder.sub(per_group, i64(1))), per_group)
    with loop(builder, builder.sdiv(start, per_group), last_group) as group:
        low, high = builder.mul(group, per_group), builder.mul(builder.add(group, i64(1)), per_group)
        first: Operand = builder.select(builder.icmp_signed(">", start, low), start, low)
        end = minimum(builder, stop, high)
        for rows in (SIDE, 1):
            last = builder.sub(end, builder.srem(builder.sub(end, first), i64(rows)))
            with loop(builder, first, last, i64(rows)) as i:
                first_entry: Operand = i64(0)
                for entries in (SIDE, 1):
                    rest = builder.sub(given.entries, first_entry)
                    last_entry = builder.sub(given.entries, builder.srem(rest, i64(entries)))
                    with loop(builder, first_entry, last_entry, i64(entries)) as k:
                        square = function(module, _square(dtype, rows, entries), VOID, ARGUMENTS)
                        builder.call(square, [walk, bases, i, k])
                    first_entry = last_entry
            first = last
    builder.ret_void()


def _windows(given: _Given, start: Operand, stop: Operand, kind: ir.Type):
    """For each window of some channels its first entry's place, and the number of its result, from loops that the
    caller closes."""
    builder = given.builder
    outer = loop(builder, start, stop)
    p = outer.__enter__()
    rows = loop(builder, i64(0), given.rows)
    r = rows.__enter__()
    columns = loop(builder, i64(0), given.columns)
    j = columns.__enter__()
    there = builder.add(builder.mul(p, given.number(Walk.OUTER_STEP)), load(builder, given.row_distances, r, I64))
    there = builder.add(there, builder.mul(j, given.number(Walk.STEP)))
    number = builder.add(builder.mul(builder.add(builder.mul(p, given.rows), r), given.columns), j)
    return there, number, (columns, rows, outer)


def _top(given: _Given, single: Lanes, window: Operand) -> Operand:
    largest: list[Operand] = [single.number(float("-inf"))]
    builder = given.builder
    with accumulating(builder, i64(0), given.entries, i64(1), largest) as (k, values):
        entry = load(builder, window, load(builder, given.distances, k, I64), single.kind)
        values[0] = maximum(single, values[0], entry)
    return largest[0]


def _write_spread(module: ir.Module, dtype: str, masked: bool) -> None:
    """Channels ``start`` to ``stop``: array, cotangents of the windows, result, which lies as the array and holds
    zeros. ``masked``, entries of the padding, which are −∞, take no share: else they would where all are −∞."""
    name = "spread_inside" if masked else "spread"
    builder, (walk, bases, start, stop) = begin(module, f"{name}_{dtype}", VOID, ARGUMENTS)
    given, single = _Given(builder, walk, bases), Lanes(builder, dtype, 1)
    there, number, loops = _windows(given, start, stop, single.kind)
    window = element(builder, given.first, there, single.kind)
    target = element(builder, given.result, there, single.kind)
    top = _top(given, single, window)
    ties: list[Operand] = [single.number(0.0)]
    if masked:
        base = load(builder, bases, given.number(Walk.INSIDE), POINTER)
        first = builder.sub(
            there, builder.mul(builder.sdiv(there, given.number(Walk.OUTER_STEP)), given.number(Walk.OUTER_STEP))
        )
        inside = element(builder, element(builder, base, given.number(Walk.INSIDE_OFFSET), I8), first, I8)
    with accumulating(builder, i64(0), given.entries, i64(1), ties) as (k, values):
        distance = load(builder, given.distances, k, I64)
        less = single.compare("<", load(builder, window, distance, single.kind), top)
        if masked:
            less = builder.or_(less, builder.icmp_signed("==", load(builder, inside, distance, I8), I8(0)))
        values[0] = single.add(values[0], single.select(less, single.number(0.0), single.number(1.0)))
    share = single.divide(load(builder, given.second, number, single.kind), ties[0])
    share = single.select(single.is_nan(top), top, share)
    with loop(builder, i64(0), given.entries) as k:
        distance = load(builder, given.distances, k, I64)
        less = single.compare("<", load(builder, window, distance, single.kind), top)
        part = single.select(less, single.number(0.0), share)
        store(builder, single.add(load(builder, target, distance, single.kind), part), target, distance)
    for each in loops:
        each.__exit__(None, None, None)
    builder.ret_void()
