"""The training loop inside: minibatches, the program, what is not finite, and the optimizer's update.

Everything that the loop needs to know stands in tables of whole numbers of 64 bits, whose entries are named here.
"""

from __future__ import annotations

from enum import IntEnum

from llvmlite import ir

from dataflow_llvm.kernels.assembly import (
    FLOATS,
    I1,
    I8,
    I64,
    POINTER,
    VOID,
    Operand,
    begin,
    element,
    function,
    i64,
    load,
    loop,
    store,
)
from dataflow_llvm.kernels.interpreter import FLOAT_NAMES, Context


class Loop(IntEnum):
    """Entries of the loop's table."""

    STEPS = 0
    BATCH = 1
    PER_EPOCH = 2
    BATCH_SIZE = 3
    LAST_SIZE = 4
    ORDER = 5
    """The address of the examples' order in this epoch; 0 where they come as they lie."""
    INPUTS = 6
    INPUT_TABLE = 7
    PROGRAM = 8
    LAST_PROGRAM = 9
    LOSSES = 10
    """The address of a float64 for each step."""
    UPDATES = 11
    UPDATE_WORDS = 12
    """The code of the updates, and its length."""
    STEP = 13
    """The number of the update."""
    FLAG = 14
    """Whether an update was not finite."""
    SHARED = 15
    ACCUMULATE = 16
    """Minibatches that make an update."""
    GATHERS = 17
    GATHER_WORDS = 18
    """The code that adds their gradients, and its length: 0 where each minibatch makes an update."""
    GATHER_NUMBERS = 19
    """The address of two float64 that the loop sets for it: whether gradients are added to those before, and kept."""
    RATES = 20
    """The address of the learning rate of the next update, with those after it; 0 where it stays as it is."""
    RATE = 21
    """The address of the optimizer's learning rate."""
    DONE = 22
    """How many steps were done; one that is not finite is not counted, though it may have changed the parameters."""
    NUMBER = 23
    """The address of the number of the minibatch."""
    STATES = 24
    STATE_TABLE = 25


class State(IntEnum):
    """Entries for each array that has a new value after a minibatch."""

    ARRAY = 0
    NEW = 1
    COUNT = 2
    DTYPE = 3


class Input(IntEnum):
    """Entries for each input that has a row for each example."""

    DATA = 0
    ROW_BYTES = 1
    BUFFER = 2
    BASE = 3


class ProgramTable(IntEnum):
    """Entries for a program."""

    CODE = 0
    WORDS = 1
    CONTEXT = 2
    LOSS = 3
    LOSS_DTYPE = 4
    FUNCTION = 5
    """The address of a function that was generated for this program; 0 where the interpreter runs it."""


def write_training(module: ir.Module) -> None:
    """``train`` (table)."""
    _Train(module).write()


class _Train:
    def __init__(self, module: ir.Module) -> None:
        self.module = module

    def write(self) -> None:
        builder, (self.table,) = begin(self.module, "train", VOID, [POINTER])
        self.builder = builder
        number = builder.alloca(I64)
        builder.store(i64(0), number)
        place = builder.alloca(I64)
        builder.store(builder.srem(self._entry(Loop.BATCH), self._entry(Loop.PER_EPOCH)), place)
        head, body, finite, end = (builder.append_basic_block(name) for name in ("head", "body", "finite", "end"))
        builder.branch(head)
        builder.position_at_end(head)
        n = builder.load(number, typ=I64)
        builder.cbranch(builder.icmp_signed("<", n, self._entry(Loop.STEPS)), body, end)
        builder.position_at_end(body)
        batch = builder.load(place, typ=I64)
        last = builder.icmp_signed("==", batch, builder.sub(self._entry(Loop.PER_EPOCH), i64(1)))
        program = builder.select(last, self._pointer(Loop.LAST_PROGRAM), self._pointer(Loop.PROGRAM))
        rows = builder.select(last, self._entry(Loop.LAST_SIZE), self._entry(Loop.BATCH_SIZE))
        self._place_minibatch(program, batch, rows)
        self._run(program)
        builder.cbranch(builder.and_(self._loss(program, n), self._has_no_fault(program)), finite, end)
        builder.position_at_end(finite)
        self._take_state()
        context = self._pointer_in(program, ProgramTable.CONTEXT)
        gather, update, after = (builder.append_basic_block(name) for name in ("gather", "update", "after"))
        every = builder.icmp_signed("==", self._entry(Loop.GATHER_WORDS), i64(0))
        builder.cbranch(every, update, gather)
        builder.position_at_end(gather)
        builder.cbranch(self._gather(batch, last, context), update, after)
        builder.position_at_end(update)
        self._update(context)
        builder.branch(after)
        builder.position_at_end(after)
        # a step that is not finite ends the loop uncounted
        good = builder.icmp_signed("==", self._entry(Loop.FLAG), i64(0))
        builder.store(builder.select(good, builder.add(n, i64(1)), n), number)
        builder.store(builder.select(last, i64(0), builder.add(batch, i64(1))), place)
        builder.cbranch(good, head, end)
        builder.position_at_end(end)
        self._set(Loop.DONE, builder.load(number, typ=I64))
        builder.ret_void()

    def _gather(self, batch: Operand, last: Operand, context: Operand) -> Operand:
        """Add the gradients of the minibatches before; whether the update is due."""
        builder, double = self.builder, FLOATS["float64"]
        number = builder.srem(batch, self._entry(Loop.ACCUMULATE))
        is_due = builder.icmp_signed("==", builder.add(number, i64(1)), self._entry(Loop.ACCUMULATE))
        is_due = builder.or_(is_due, last)
        numbers = self._pointer(Loop.GATHER_NUMBERS)
        for place, flag in enumerate((builder.icmp_signed("!=", number, i64(0)), builder.not_(is_due))):
            store(builder, builder.uitofp(flag, double), numbers, place)
        self._execute(self._pointer(Loop.GATHERS), self._entry(Loop.GATHER_WORDS), context)
        return is_due

    def _update(self, context: Operand) -> None:
        builder, double = self.builder, FLOATS["float64"]
        rates = self._entry(Loop.RATES)
        with builder.if_then(builder.icmp_signed("!=", rates, i64(0))):
            rate = builder.load(builder.inttoptr(rates, POINTER), typ=double)
            builder.store(rate, self._pointer(Loop.RATE))
            self._set(Loop.RATES, builder.add(rates, i64(8)))
        self._set(Loop.STEP, builder.add(self._entry(Loop.STEP), i64(1)))
        self._execute(self._pointer(Loop.UPDATES), self._entry(Loop.UPDATE_WORDS), context)

    def _take_state(self) -> None:
        """Give state its new values, and count the minibatch. A value that is not finite sets the flag."""
        builder, place = self.builder, self._pointer(Loop.NUMBER)
        builder.store(builder.add(builder.load(place, typ=I64), i64(1)), place)
        table = self._pointer(Loop.STATE_TABLE)
        with loop(builder, i64(0), self._entry(Loop.STATES)) as i:
            entry = element(builder, table, builder.mul(i, i64(len(State))), I64)
            array, new = self._pointer_in(entry, State.ARRAY), self._pointer_in(entry, State.NEW)
            count, dtype = (load(builder, entry, int(part), I64) for part in (State.COUNT, State.DTYPE))
            for number, name in enumerate(FLOAT_NAMES):
                kind = FLOATS[name]
                is_it = builder.icmp_signed("==", dtype, i64(number))
                with builder.if_then(is_it), loop(builder, i64(0), count) as k:
                    value = load(builder, new, k, kind)
                    store(builder, value, array, k)
                    zero = builder.fmul(value, ir.Constant(kind, 0.0))
                    finite = builder.fcmp_ordered("==", zero, ir.Constant(kind, 0.0))
                    with builder.if_then(builder.not_(finite), likely=False):
                        self._set(Loop.FLAG, i64(1))

    def _place_minibatch(self, program: Operand, batch: Operand, rows: Operand) -> None:
        builder = self.builder
        start = builder.mul(batch, self._entry(Loop.BATCH_SIZE))
        context = self._pointer_in(program, ProgramTable.CONTEXT)
        bases = self._pointer_in(context, Context.BASES)
        order = self._entry(Loop.ORDER)
        inputs = self._pointer(Loop.INPUT_TABLE)
        with loop(builder, i64(0), self._entry(Loop.INPUTS)) as i:
            entry = element(builder, inputs, builder.mul(i, i64(len(Input))), I64)
            data, buffer = self._pointer_in(entry, Input.DATA), self._pointer_in(entry, Input.BUFFER)
            size = load(builder, entry, int(Input.ROW_BYTES), I64)
            base = element(builder, bases, load(builder, entry, int(Input.BASE), I64), POINTER)
            with builder.if_else(builder.icmp_signed("==", order, i64(0))) as (then, otherwise):
                with then:
                    builder.store(element(builder, data, builder.mul(start, size), I8), base)
                with otherwise:
                    with loop(builder, i64(0), rows) as row:
                        example = load(builder, builder.inttoptr(order, POINTER), builder.add(start, row), I64)
                        target = element(builder, buffer, builder.mul(row, size), I8)
                        self._copy(target, element(builder, data, builder.mul(example, size), I8), size)
                    builder.store(buffer, base)

    def _copy(self, target: Operand, source: Operand, size: Operand) -> None:
        move = function(self.module, "llvm.memcpy.p0.p0.i64", VOID, [POINTER, POINTER, I64, I1])
        self.builder.call(move, [target, source, size, I1(0)])

    def _run(self, program: Operand) -> None:
        builder = self.builder
        context = self._pointer_in(program, ProgramTable.CONTEXT)
        own = load(builder, program, int(ProgramTable.FUNCTION), I64)
        with builder.if_else(builder.icmp_signed("==", own, i64(0))) as (then, otherwise):
            with then:
                words = load(builder, program, int(ProgramTable.WORDS), I64)
                self._execute(self._pointer_in(program, ProgramTable.CODE), words, context)
            with otherwise:
                made = builder.inttoptr(own, ir.FunctionType(VOID, [POINTER]).as_pointer())
                builder.call(made, [self._pointer_in(context, Context.BASES)])

    def _execute(self, code: Operand, words: Operand, context: Operand) -> None:
        made = function(self.module, "execute", VOID, [POINTER, I64, POINTER, POINTER])
        self.builder.call(made, [code, words, context, self._pointer(Loop.SHARED)])

    def _loss(self, program: Operand, n: Operand) -> Operand:
        """Note the loss; whether it is finite."""
        builder = self.builder
        place = self._pointer_in(program, ProgramTable.LOSS)
        double = FLOATS["float64"]
        dtype = load(builder, program, int(ProgramTable.LOSS_DTYPE), I64)
        with builder.if_else(builder.icmp_signed("==", dtype, i64(FLOAT_NAMES.index("float64")))) as (then, otherwise):
            with then:
                wide = builder.load(place, typ=double)
                wide_block = builder.block
            with otherwise:
                narrow = builder.fpext(builder.load(place, typ=FLOATS["float32"]), double)
                narrow_block = builder.block
        loss = builder.phi(double)
        loss.add_incoming(wide, wide_block)
        loss.add_incoming(narrow, narrow_block)
        store(builder, loss, self._pointer(Loop.LOSSES), n)
        zero = builder.fmul(loss, ir.Constant(double, 0.0))
        return builder.fcmp_ordered("==", zero, ir.Constant(double, 0.0))

    def _has_no_fault(self, program: Operand) -> Operand:
        """Whether all indices were in range. What was wrong is told where the step is done again."""
        builder = self.builder
        place = element(builder, self._pointer_in(program, ProgramTable.CONTEXT), i64(int(Context.FAULT)), I64)
        fault = builder.load(place, typ=I64)
        builder.store(i64(0), place)
        return builder.icmp_signed("==", fault, i64(0))

    def _entry(self, entry: Loop) -> Operand:
        return load(self.builder, self.table, int(entry), I64)

    def _set(self, entry: Loop, value: Operand) -> None:
        store(self.builder, value, self.table, int(entry))

    def _pointer(self, entry: Loop) -> Operand:
        return load(self.builder, self.table, int(entry), POINTER)

    def _pointer_in(self, table: Operand, entry: IntEnum) -> Operand:
        return load(self.builder, table, int(entry), POINTER)
