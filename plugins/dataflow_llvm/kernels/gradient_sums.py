"""Kernels for what comes before an optimizer's rule: gradients that are added up or clipped."""

from __future__ import annotations

from llvmlite import ir

from dataflow_llvm.kernels.assembly import (
    FLOATS,
    I1,
    Lanes,
    Operand,
    accumulating,
    element,
    function,
    i64,
)
from dataflow_llvm.kernels.update_loop import Update, everywhere


def write_gather(update: Update) -> None:
    """Add the gradients that are kept, the third vector, to the second, if ``adds``; keep the result, if ``keeps``."""
    adds, keeps = update.is_on("adds"), update.is_on("keeps")

    def add(lanes, read, write):
        kept = read(2)
        total = lanes.select(everywhere(lanes, adds), lanes.add(read(1), kept), read(1))
        write(1, total)
        write(2, lanes.select(everywhere(lanes, keeps), total, kept))

    update.write(add)


def write_squares(update: Update) -> None:
    """Add the squares of the gradients to ``total``, which begins with those of group 0, the number that stands in the
    place of the step's. One thread does it: the order of the additions decides the bits."""
    builder, double = update.builder, FLOATS["float64"]
    place = element(builder, update.table, i64(update.names.index("total")), double)
    zero = ir.Constant(double, 0.0)
    before = builder.select(builder.icmp_signed("==", update.step, i64(0)), zero, builder.load(place, typ=double))
    wide, side_by_side = Lanes(builder, "float64", update.width), 4
    several = i64(side_by_side * update.width)
    middle = builder.sub(update.stop, builder.srem(builder.sub(update.stop, update.start), several))
    sums = [wide.number(0.0)] * side_by_side
    with accumulating(builder, update.start, middle, several, sums) as (i, values):
        for k in range(side_by_side):
            g = _widened(update, Lanes(builder, update.dtype, update.width), builder.add(i, i64(k * update.width)))
            values[k] = wide.fma(g, g, values[k])
    total = wide.add(wide.add(sums[0], sums[1]), wide.add(sums[2], sums[3]))
    rest = [builder.fadd(before, wide.total(total))]
    single = Lanes(builder, "float64", 1)
    with accumulating(builder, middle, update.stop, i64(1), rest) as (i, values):
        g = _widened(update, Lanes(builder, update.dtype, 1), i)
        values[0] = single.fma(g, g, values[0])
    builder.store(rest[0], place)
    builder.ret(I1(0))


def _widened(update: Update, lanes: Lanes, index: Operand) -> Operand:
    """Gradients as float64."""
    g = lanes.load(element(update.builder, update.vectors[1], index, FLOATS[update.dtype]))
    wide = Lanes(update.builder, "float64", lanes.count).kind
    return g if update.dtype == "float64" else update.builder.fpext(g, wide)


def write_clip_norm(update: Update) -> None:
    """Scale the gradients where the root of ``total`` is larger than ``norm``. Where it is not finite, nor are they."""
    builder, double = update.builder, FLOATS["float64"]
    total = update.number("total")
    root = builder.call(function(builder.module, "llvm.sqrt.f64", double, [double]), [total])
    bound = update.number("norm")
    clips, end = builder.append_basic_block("clips"), builder.append_basic_block("end")
    builder.cbranch(builder.fcmp_unordered(">", root, bound), clips, end)
    builder.position_at_end(end)
    builder.ret(I1(0))
    builder.position_at_end(clips)
    nothing = builder.fmul(total, ir.Constant(double, 0.0))
    factor = update.rounded(builder.fadd(builder.fdiv(bound, root), nothing))

    def scale(lanes, read, write):
        write(1, lanes.multiply(read(1), lanes.splat(factor)))

    update.write(scale)


def write_clip_value(update: Update) -> None:
    """Bring the gradients to ``value`` in size where they are larger. Where one is not finite, it becomes NaN."""
    value = update.rounded(update.number("value"))

    def bound(lanes, read, write):
        g, most = read(1), lanes.splat(value)
        least = lanes.subtract(lanes.number(0.0), most)
        within = lanes.select(lanes.compare("<", g, least), least, g)
        within = lanes.select(lanes.compare(">", g, most), most, within)
        write(1, lanes.fma(g, lanes.number(0.0), within))

    update.write(bound)
