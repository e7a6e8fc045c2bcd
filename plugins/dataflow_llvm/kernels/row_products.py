"""Rows of a matrix times a vector."""

from __future__ import annotations

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
    i64,
    interleaved,
    load,
    loop,
)


def write_row_products(module: ir.Module, dtype: str, machine: Machine) -> None:
    """``dots_T`` (rows, length, left, its stride by row, right, result, its stride, adding): each row of the left
    factor times one vector, both lying side by side; where ``adding`` is 1, onto what the result holds. Four rows are
    done at once, with the same bits as one."""
    builder, parameters = begin(module, f"dots_{dtype}", VOID, [I64, I64, POINTER, I64, POINTER, POINTER, I64, I64])
    rows, length, left, by_row, right, result, result_step, adding = parameters
    single = Lanes(builder, dtype, 1)
    lanes = Lanes(builder, dtype, machine.vector_bytes // SIZES[dtype])
    added = builder.icmp_signed("!=", adding, i64(0))
    fours = builder.and_(rows, i64(-4))
    for together, first, stop in ((4, i64(0), fours), (1, fours, rows)):
        with loop(builder, first, stop, i64(together)) as i:
            numbers = [builder.add(i, i64(number)) for number in range(together)]
            lines = [element(builder, left, builder.mul(number, by_row), single.kind) for number in numbers]
            twos = builder.and_(length, i64(-2 * lanes.count))
            sums = [lanes.number(0.0)] * (2 * together)
            with accumulating(builder, i64(0), twos, i64(2 * lanes.count), sums) as (k, values):
                for part in range(2):
                    at = builder.add(k, i64(part * lanes.count))
                    factor = lanes.load(element(builder, right, at, single.kind))
                    for number, line in enumerate(lines):
                        a = lanes.load(element(builder, line, at, single.kind))
                        values[2 * number + part] = lanes.fma(a, factor, values[2 * number + part])
            last = _totals(lanes, [lanes.add(*sums[2 * number : 2 * number + 2]) for number in range(together)])
            with accumulating(builder, twos, length, i64(1), last) as (k, values):
                factor = load(builder, right, k, single.kind)
                values[:] = [
                    single.fma(load(builder, line, k, single.kind), factor, value)
                    for line, value in zip(lines, values, strict=True)
                ]
            for number, value in zip(numbers, last, strict=True):
                place = element(builder, result, builder.mul(number, result_step), single.kind)
                single.store(single.select(added, single.add(value, single.load(place)), value), place)
    builder.ret_void()


def _totals(lanes: Lanes, vectors: list[Operand]) -> list[Operand]:
    """The sum of each vector: halves are added until one lane is left, those of several vectors side by side. The bits
    do not depend on how many there are."""
    builder, count = lanes.builder, lanes.count
    while len(vectors) > 1:
        half = len(vectors) // 2
        vectors = [
            lanes.add(*(interleaved(lanes, a, b, upper) for upper in (False, True)))
            for a, b in zip(vectors[:half], vectors[half:], strict=True)
        ]
        count //= 2
    (total,) = vectors
    size, together = lanes.count, lanes.count // count
    while size > together:
        size //= 2
        undefined = ir.Constant(total.type, ir.Undefined)
        orders = [ir.Constant(ir.VectorType(I32, size), list(range(start, start + size))) for start in (0, size)]
        total = lanes.add(*(builder.shuffle_vector(total, undefined, order) for order in orders))
    return [builder.extract_element(total, I32(place)) for place in range(together)]
