"""The interpreter: one function that carries out a program's instructions, compiled once for all models.

An instruction is whole numbers of 64 bits: its code, its length, whether threads may share the work, then its operands.
The place of an array is two numbers, a base and an offset in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from itertools import product

from llvmlite import ir

from dataflow_llvm.kernels.assembly import (
    FLOATS,
    I1,
    I8,
    I32,
    I64,
    POINTER,
    SIZES,
    VOID,
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
)
from dataflow_llvm.kernels.copies import write_copy, write_plus_zero, write_register_moves
from dataflow_llvm.kernels.elementwise_tiles import WORDS, write_region
from dataflow_llvm.kernels.gathering import ARGUMENTS as GATHERING_ARGUMENTS
from dataflow_llvm.kernels.gathering import KINDS as GATHERING_KINDS
from dataflow_llvm.kernels.gathering import write_gathering
from dataflow_llvm.kernels.matrix_products import PRODUCT_ARGUMENTS, write_product, write_turn
from dataflow_llvm.kernels.optimizer_updates import write_updates
from dataflow_llvm.kernels.random_numbers import BLOCK, RANDOM_ARGUMENTS, write_random
from dataflow_llvm.kernels.reductions import write_reductions
from dataflow_llvm.kernels.row_products import write_row_products
from dataflow_llvm.kernels.update_loop import KERNELS, UPDATE_ARGUMENTS
from dataflow_llvm.kernels.windows import ARGUMENTS as WINDOW_ARGUMENTS
from dataflow_llvm.kernels.windows import KINDS, write_windows
from dataflow_llvm.kernels.work_sharing import PERFORM, write_team

REGION, SHORT_REGION, SUM, MAX, COPY, ZERO, PRODUCT, DOTS, UPDATE, TOTAL, RANDOM, WINDOWS, GATHERING, TURN = range(14)
FIRST_OPERAND = 3
KEPT_TOGETHER = 2048
"""Elements of a vector that are copied together before they are updated, where what was there before is kept."""
FLOAT_NAMES = tuple(FLOATS)
BY_ROWS, BY_COLUMNS, BY_BATCH = range(3)
"""How threads share a product."""
COPY_SIZES = (1, 4, 8)
TURNED_SIZES = {size: dtype for dtype, size in SIZES.items()}
"""The entries that can be transposed in squares, and the floats that they are moved as."""
PLUS_ZERO = {size: -size for size in SIZES.values()}
"""How a copy of floats of that size makes 0 of −0."""


class Context(IntEnum):
    """Entries of the table that tells what a program's instructions refer to: addresses, the bytes from one
    thread's scratch memory to the next's, and whether something was wrong."""

    REGIONS = 0
    WALKS = 1
    BASES = 2
    SCRATCH = 3
    SCRATCH_STEP = 4
    FAULT = 5
    """1 where an index was out of range."""


def write_interpreter(module: ir.Module, machine: Machine) -> None:
    """All kernels; ``perform``, which carries out an instruction or a part of it; ``execute`` and ``assist``."""
    for size in COPY_SIZES:
        write_copy(module, size)
    for dtype in FLOATS:
        write_plus_zero(module, dtype, machine)
        write_register_moves(module, dtype, machine)
        for short in (False, True):
            write_region(module, dtype, machine, short)
        write_reductions(module, dtype, machine)
        write_turn(module, dtype, machine)
        write_product(module, dtype, machine)
        write_row_products(module, dtype, machine)
        write_updates(module, dtype, machine)
        write_random(module, dtype)
        write_windows(module, dtype, machine)
    write_gathering(module, machine)
    _Perform(module, machine).write()
    write_team(module)


class _Perform:
    """``perform`` (instruction, context, thread, part, parts)."""

    def __init__(self, module: ir.Module, machine: Machine) -> None:
        self.module, self.machine = module, machine

    def write(self) -> None:
        builder, parameters = begin(self.module, "perform", VOID, PERFORM)
        self.builder = builder
        self.instruction, context, thread, self.part, self.parts = parameters
        self.fault = element(builder, context, i64(int(Context.FAULT)), I64)
        self.regions, self.walks, self.bases, scratch = (
            load(builder, context, int(entry), POINTER)
            for entry in (Context.REGIONS, Context.WALKS, Context.BASES, Context.SCRATCH)
        )
        step = load(builder, context, int(Context.SCRATCH_STEP), I64)
        self.scratch = element(builder, scratch, builder.mul(thread, step), I8)
        self.arena = load(builder, self.bases, 0, POINTER)
        cases = {
            REGION: lambda: self._region("region"),
            SHORT_REGION: lambda: self._region("short"),
            SUM: lambda: self._reduction("sum"),
            MAX: lambda: self._reduction("max"),
            COPY: self._copy,
            ZERO: self._zero,
            PRODUCT: self._product,
            DOTS: self._dots,
            UPDATE: self._update,
            TOTAL: self._total,
            RANDOM: self._random,
            WINDOWS: self._windows,
            GATHERING: self._gathering,
            TURN: self._turn,
        }
        end = builder.append_basic_block("end")
        switch = builder.switch(load(builder, self.instruction, 0, I64), end)
        for code, write in cases.items():
            block = builder.append_basic_block("case")
            switch.add_case(i64(code), block)
            builder.position_at_end(block)
            write()
            builder.branch(end)
        builder.position_at_end(end)
        builder.ret_void()

    # -------------------------------------------------------------------------------------------- instructions

    def _region(self, name: str) -> None:
        """dtype, first instruction, how many, elements, tile."""
        dtype, first, how_many, elements, tile = self._operands(5)
        builder = self.builder
        instructions = element(builder, self.regions, builder.mul(first, i64(WORDS)), I32)
        start, stop = self._share(elements, tile)
        arguments = [instructions, how_many, self.walks, self.arena, self.scratch, self.bases, start, stop, tile]
        self._by_dtype(dtype, name, arguments)

    def _reduction(self, name: str) -> None:
        """dtype, source, target, reduced, inner, stride outer, stride reduced, outer."""
        dtype, a, a_offset, b, b_offset, reduced, inner, outer_step, step, outer = self._operands(10)
        start, stop = self._share(outer, i64(1))
        source, target = self._address(a, a_offset), self._address(b, b_offset)
        self._by_dtype(dtype, name, [source, target, reduced, inner, outer_step, step, start, stop])

    def _total(self) -> None:
        """dtype, source, target, how many."""
        dtype, a, a_offset, b, b_offset, count = self._operands(6)
        self._by_dtype(dtype, "total", [self._address(a, a_offset), self._address(b, b_offset), count])

    def _copy(self) -> None:
        """Size of an entry, or how it is copied, number of the walk, entries."""
        size, walk, count = self._operands(3)
        builder = self.builder
        start, stop = self._share(count, i64(64))
        with builder.if_then(builder.icmp_signed("<", start, stop)):
            names = {length: f"copy_{length}" for length in COPY_SIZES}
            names |= {PLUS_ZERO[SIZES[dtype]]: f"plus_zero_{dtype}" for dtype in FLOATS}
            place = element(builder, self.walks, walk, I64)
            arguments = [place, self.bases, start, builder.sub(stop, start)]
            self._one_of(names, size, [POINTER, POINTER, I64, I64], arguments)

    def _turn(self) -> None:
        """Size of an entry, how many matrices, the steps from one to the next in source and target, rows, columns,
        source, its stride, target, its stride: each matrix transposed."""
        size, count, step, target_step, rows, columns, a, a_offset, by_row, b, b_offset, by_column = self._operands(12)
        builder = self.builder
        start, stop = self._share(rows, i64(16))
        for length, name in TURNED_SIZES.items():
            kind, is_it = FLOATS[name], builder.icmp_signed("==", size, i64(length))
            with builder.if_then(is_it), loop(builder, i64(0), count) as k:
                first = builder.add(builder.mul(k, step), builder.mul(start, by_row))
                source = element(builder, self._address(a, a_offset), first, kind)
                place = builder.add(builder.mul(k, target_step), start)
                target = element(builder, self._address(b, b_offset), place, kind)
                made = self.module.globals[f"turn_{name}"]
                builder.call(made, [builder.sub(stop, start), columns, source, by_row, target, by_column])

    def _zero(self) -> None:
        """Place, bytes."""
        base, offset, size = self._operands(3)
        clear = function(self.module, "llvm.memset.p0.i64", VOID, [POINTER, I8, I64, I1])
        self.builder.call(clear, [self._address(base, offset), I8(0), size, I1(0)])

    def _product(self) -> None:
        """dtype, how the right factor is read, whether something is added to the product, how threads share, batch,
        the batch strides of left, right, result, addend and source, rows, columns, length, left, its strides, right,
        its stride, result, its stride, addend, its stride, source, its stride, how the product is finished. The panel
        is the beginning of the scratch memory."""
        operands = self._operands(30)
        dtype, how, adds, sharing, batch = operands[:5]
        left_batch, right_batch, result_batch, addend_batch, source_batch = operands[5:10]
        rows, columns, length, a, a_offset, by_row, along, b, b_offset, step = operands[10:20]
        c, c_offset, result_step, d, d_offset, addend_step, e, e_offset, source_step, finish = operands[20:]
        builder = self.builder
        with_float = [(i64(number), FLOATS[name]) for number, name in enumerate(FLOAT_NAMES)]
        for number, kind in with_float:
            dtype_name = FLOAT_NAMES[int(number.constant)]
            with builder.if_then(builder.icmp_signed("==", dtype, number)):
                first_row, last_row = self._share_if(sharing, BY_ROWS, rows, i64(self.machine.product_rows))
                panel = 2 * self.machine.vector_bytes // SIZES[dtype_name]
                first_column, last_column = self._share_if(sharing, BY_COLUMNS, columns, i64(panel))
                first, last = self._share_if(sharing, BY_BATCH, batch, i64(1))
                across = builder.select(builder.icmp_signed("==", how, i64(2)), step, i64(1))
                with loop(builder, first, last) as number_in_batch:
                    moved = [
                        (left_batch, a, a_offset, builder.mul(first_row, by_row)),
                        (right_batch, b, b_offset, builder.mul(first_column, across)),
                        (result_batch, c, c_offset, builder.add(builder.mul(first_row, result_step), first_column)),
                        (addend_batch, d, d_offset, builder.add(builder.mul(first_row, addend_step), first_column)),
                        (source_batch, e, e_offset, builder.add(builder.mul(first_row, source_step), first_column)),
                    ]
                    left, right, result, addend, source = (
                        element(
                            builder,
                            self._address(base, offset),
                            builder.add(builder.mul(number_in_batch, batch_step), start),
                            kind,
                        )
                        for batch_step, base, offset, start in moved
                    )
                    made = function(self.module, f"product_{dtype_name}", VOID, PRODUCT_ARGUMENTS)
                    sizes = [builder.sub(last_row, first_row), builder.sub(last_column, first_column), length]
                    ends = [left, by_row, along, right, step, result, result_step, addend, addend_step]
                    builder.call(made, [*sizes, *ends, self.scratch, how, adds, source, source_step, finish])

    def _dots(self) -> None:
        """dtype, rows, length, left, its stride by row, right, result, its stride, whether it is added to."""
        dtype, rows, length, a, a_offset, by_row, b, b_offset, c, c_offset, step, adds = self._operands(12)
        builder = self.builder
        left, right, result = (self._address(*place) for place in ((a, a_offset), (b, b_offset), (c, c_offset)))
        start, stop = self._share(rows, i64(16))
        for number, name in enumerate(FLOAT_NAMES):
            with builder.if_then(builder.icmp_signed("==", dtype, i64(number))):
                own_left, own_result = (
                    element(builder, base, builder.mul(start, along), FLOATS[name])
                    for base, along in ((left, by_row), (result, step))
                )
                arguments = [builder.sub(stop, start), length, own_left, by_row, right, own_result, step, adds]
                kinds = [argument.type for argument in arguments]
                builder.call(function(self.module, f"dots_{name}", VOID, kinds), arguments)

    def _update(self) -> None:
        """Number of the kernel, dtype, how many, the addresses of parameters, gradients, the state's two vectors, the
        kernel's numbers, the step's number, and of the flag that is set where something is not finite; then the address
        where what was there before is kept, or 0, and that of how many vectors are: the parameters, then the state."""
        kernel, dtype, count, *addresses, before, how_many = self._operands(12)
        builder = self.builder
        pointers = [builder.inttoptr(address, POINTER) for address in addresses]
        *vectors, numbers, step, flag = pointers
        start, stop = self._share(count, i64(64))
        step_number = builder.load(step, typ=I64)
        keeps = builder.icmp_signed("!=", before, i64(0))
        # a piece that is kept is in the cache when it is updated; an empty share calls the kernel once
        piece = builder.select(keeps, i64(KEPT_TOGETHER), builder.add(builder.sub(stop, start), i64(1)))
        last = builder.select(builder.icmp_signed("<", start, stop), stop, builder.add(start, i64(1)))
        with loop(builder, start, last, piece) as first:
            until = minimum(builder, stop, builder.add(first, piece))
            with builder.if_then(keeps):
                self._keep(dtype, count, vectors, (first, until), before, how_many)
            end = builder.append_basic_block("updated")
            switch = builder.switch(builder.add(builder.mul(kernel, i64(len(FLOAT_NAMES))), dtype), end)
            for code, (name, dtype_name) in enumerate(product(KERNELS, FLOAT_NAMES)):
                block = builder.append_basic_block(f"{name}_{dtype_name}")
                switch.add_case(i64(code), block)
                builder.position_at_end(block)
                made = function(self.module, f"{name}_{dtype_name}", I1, UPDATE_ARGUMENTS)
                arguments = [*vectors, first, until, numbers, step_number]
                with builder.if_then(builder.call(made, arguments), likely=False):
                    builder.store(i64(1), flag)
                builder.branch(end)
            builder.position_at_end(end)

    def _keep(
        self,
        dtype: Operand,
        count: Operand,
        vectors: Sequence[Operand],
        piece: tuple[Operand, Operand],
        before: Operand,
        how_many: Operand,
    ) -> None:
        """Copy a piece of the parameters, and of the state's vectors, to where they are kept, vector after vector."""
        builder, (first, until) = self.builder, piece
        sizes = [i64(SIZES[name]) for name in FLOAT_NAMES]
        size = builder.select(builder.icmp_signed("==", dtype, i64(0)), *sizes)
        kept = builder.load(builder.inttoptr(how_many, POINTER), typ=I64)
        copy = function(self.module, "llvm.memcpy.p0.p0.i64", VOID, [POINTER, POINTER, I64, I1])
        for number, vector in enumerate((vectors[0], *vectors[2:])):
            with builder.if_then(builder.icmp_signed("<", i64(number), kept)):
                place = builder.add(builder.mul(i64(number), count), first)
                target = element(builder, builder.inttoptr(before, POINTER), builder.mul(place, size), I8)
                source = element(builder, vector, builder.mul(first, size), I8)
                builder.call(copy, [target, source, builder.mul(builder.sub(until, first), size), I1(0)])

    def _random(self) -> None:
        """dtype, target, how many, the step, seed, stream."""
        dtype, a, a_offset, count, b, b_offset, seed, stream = self._operands(8)
        builder = self.builder
        step = builder.load(self._address(b, b_offset), typ=I64)
        for number, name in enumerate(FLOAT_NAMES):
            with builder.if_then(builder.icmp_signed("==", dtype, i64(number))):
                blocks = builder.sdiv(builder.add(count, i64(BLOCK[name] - 1)), i64(BLOCK[name]))
                start, stop = self._share(blocks, i64(16))
                made = function(self.module, f"random_{name}", VOID, RANDOM_ARGUMENTS)
                builder.call(made, [self._address(a, a_offset), count, step, seed, stream, start, stop])

    def _windows(self) -> None:
        """Number of the kernel, number of the walk, what threads share, and in which units."""
        kernel, walk, count, unit = self._operands(4)
        names = dict(enumerate("_".join(pair) for pair in product(KINDS, FLOAT_NAMES)))
        arguments = [element(self.builder, self.walks, walk, I64), self.bases, *self._share(count, unit)]
        self._one_of(names, kernel, WINDOW_ARGUMENTS, arguments)

    def _gathering(self) -> None:
        """Number of the kernel, number of the walk, how many pieces."""
        kernel, walk, count = self._operands(3)
        place = element(self.builder, self.walks, walk, I64)
        arguments = [place, self.bases, *self._share(count, i64(64)), self.fault]
        self._one_of(dict(enumerate(GATHERING_KINDS)), kernel, GATHERING_ARGUMENTS, arguments)

    # -------------------------------------------------------------------------------------------- internals

    def _operands(self, count: int) -> list[Operand]:
        return [load(self.builder, self.instruction, FIRST_OPERAND + i, I64) for i in range(count)]

    def _address(self, base: Operand, offset: Operand) -> Operand:
        return address_at(self.builder, self.bases, base, offset)

    def _share(self, count: Operand, unit: Operand) -> tuple[Operand, Operand]:
        """This thread's part of a number of elements, in whole units. One that is alone does not divide, which takes
        longer than much else."""
        builder, before = self.builder, self.builder.block
        with builder.if_then(builder.icmp_signed("!=", self.parts, i64(1))):
            units = builder.sdiv(builder.add(count, builder.sub(unit, i64(1))), unit)
            each = builder.sdiv(builder.add(units, builder.sub(self.parts, i64(1))), self.parts)
            size = builder.mul(each, unit)
            start = minimum(builder, count, builder.mul(self.part, size))
            stop = minimum(builder, count, builder.add(start, size))
            shared = builder.block
        ends = []
        for whole, part in ((i64(0), start), (count, stop)):
            end = builder.phi(I64)
            end.add_incoming(whole, before)
            end.add_incoming(part, shared)
            ends.append(end)
        return ends[0], ends[1]

    def _share_if(self, sharing: Operand, wanted: int, count: Operand, unit: Operand) -> tuple[Operand, Operand]:
        start, stop = self._share(count, unit)
        holds = self.builder.icmp_signed("==", sharing, i64(wanted))
        return self.builder.select(holds, start, i64(0)), self.builder.select(holds, stop, count)

    def _one_of(
        self, names: Mapping[int, str], number: Operand, kinds: Sequence[ir.Type], arguments: Sequence[Operand]
    ) -> None:
        """Call the kernel of that number."""
        builder = self.builder
        end = builder.append_basic_block("called")
        switch = builder.switch(number, end)
        for code, name in names.items():
            block = builder.append_basic_block(name)
            switch.add_case(i64(code), block)
            builder.position_at_end(block)
            builder.call(function(self.module, name, VOID, kinds), arguments)
            builder.branch(end)
        builder.position_at_end(end)

    def _by_dtype(self, dtype: Operand, name: str, arguments: list[Operand]) -> None:
        builder = self.builder
        for number, dtype_name in enumerate(FLOAT_NAMES):
            with builder.if_then(builder.icmp_signed("==", dtype, i64(number))):
                kinds = [argument.type for argument in arguments]
                builder.call(function(self.module, f"{name}_{dtype_name}", VOID, kinds), arguments)
