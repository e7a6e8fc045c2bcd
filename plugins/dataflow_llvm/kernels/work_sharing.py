"""How threads share a program: the first carries it out, the others take parts of what can be shared.

Parts are taken one by one, so that a thread that is late, or held up by other work of the machine, is not waited for
unless it has begun a part.
"""

from __future__ import annotations

from enum import IntEnum

from llvmlite import ir

from dataflow_llvm.kernels.assembly import (
    I32,
    I64,
    POINTER,
    VOID,
    Operand,
    begin,
    element,
    function,
    i64,
    load,
    store,
)

PERFORM = [POINTER, POINTER, I64, I64, I64]
"""Instruction, context, thread, part, parts."""
PARTS = 4
"""Parts of an instruction for each thread."""
SPINS = 1000
"""How often a waiting thread looks at what the others do before it yields the processor."""
SHARED_WORDS = 32
END = -1
ALL_TAKEN = 2**32 - 1
"""A turn with no part left to take."""


class Shared(IntEnum):
    """Entries of the table that all threads see; those that are written often in cache lines of their own."""

    TURN = 0
    """The number of the shared instruction times 2³², and how many of its parts are taken; ``END`` when all is done."""
    DONE = 8
    """How many of its parts are done."""
    PARTS = 16
    INSTRUCTION = 17
    CONTEXT = 18
    THREADS = 19


def write_team(module: ir.Module) -> None:
    """``execute`` (code, words, context, shared), for the first thread; ``assist`` (shared, thread), for the others,
    until ``dismiss`` (shared)."""
    _write_take(module)
    _write_execute(module)
    _write_assist(module)
    builder, (shared,) = begin(module, "dismiss", VOID, [POINTER])
    _exchange(builder, shared, Shared.TURN, i64(END))
    builder.ret_void()


def _write_take(module: ir.Module) -> None:
    """``take`` (shared, thread): carry out parts of the present instruction until all are taken. A thread that
    takes one has read the right instruction: the next begins only when all parts of this one are done."""
    builder, (shared, thread) = begin(module, "take", VOID, [POINTER, I64])
    look, attempt, work, end = (builder.append_basic_block(name) for name in ("look", "attempt", "work", "end"))
    builder.branch(look)
    builder.position_at_end(look)
    turn = _seen(builder, shared, Shared.TURN)
    instruction = load(builder, shared, int(Shared.INSTRUCTION), POINTER)
    context = load(builder, shared, int(Shared.CONTEXT), POINTER)
    parts = load(builder, shared, int(Shared.PARTS), I64)
    taken = builder.and_(turn, i64(ALL_TAKEN))
    open_ = builder.and_(builder.icmp_signed("<", taken, parts), builder.icmp_signed("!=", turn, i64(END)))
    builder.cbranch(open_, attempt, end)
    builder.position_at_end(attempt)
    place = element(builder, shared, i64(int(Shared.TURN)), I64)
    result = builder.cmpxchg(place, turn, builder.add(turn, i64(1)), "acq_rel", "acquire")
    builder.cbranch(builder.extract_value(result, 1), work, look)
    builder.position_at_end(work)
    perform = function(module, "perform", VOID, PERFORM)
    builder.call(perform, [instruction, context, thread, taken, parts])
    builder.atomic_rmw("add", element(builder, shared, i64(int(Shared.DONE)), I64), i64(1), "acq_rel")
    builder.branch(look)
    builder.position_at_end(end)
    builder.ret_void()


def _write_execute(module: ir.Module) -> None:
    builder, (code, words, context, shared) = begin(module, "execute", VOID, [POINTER, I64, POINTER, POINTER])
    threads = load(builder, shared, int(Shared.THREADS), I64)
    alone = builder.icmp_signed("<=", threads, i64(1))
    position = builder.alloca(I64)
    builder.store(i64(0), position)
    head, body, end = (builder.append_basic_block(name) for name in ("head", "body", "end"))
    builder.branch(head)
    builder.position_at_end(head)
    at = builder.load(position, typ=I64)
    builder.cbranch(builder.icmp_signed("<", at, words), body, end)
    builder.position_at_end(body)
    instruction = element(builder, code, at, I64)
    builder.store(builder.add(at, load(builder, instruction, 1, I64)), position)
    single = builder.icmp_signed("==", load(builder, instruction, 2, I64), i64(0))
    with builder.if_else(builder.or_(alone, single)) as (then, otherwise):
        with then:
            perform = function(module, "perform", VOID, PERFORM)
            builder.call(perform, [instruction, context, i64(0), i64(0), i64(1)])
        with otherwise:
            parts = builder.mul(threads, i64(PARTS))
            store(builder, parts, shared, int(Shared.PARTS))
            store(builder, builder.ptrtoint(instruction, I64), shared, int(Shared.INSTRUCTION))
            store(builder, builder.ptrtoint(context, I64), shared, int(Shared.CONTEXT))
            _exchange(builder, shared, Shared.DONE, i64(0))
            turn = builder.lshr(_seen(builder, shared, Shared.TURN), i64(32))
            _exchange(builder, shared, Shared.TURN, builder.shl(builder.add(turn, i64(1)), i64(32)))
            builder.call(function(module, "take", VOID, [POINTER, I64]), [shared, i64(0)])
            _wait_while(builder, lambda: builder.icmp_signed("<", _seen(builder, shared, Shared.DONE), parts))
    builder.branch(head)
    builder.position_at_end(end)
    builder.ret_void()


def _write_assist(module: ir.Module) -> None:
    builder, (shared, thread) = begin(module, "assist", VOID, [POINTER, I64])
    head, body, end = (builder.append_basic_block(name) for name in ("head", "body", "end"))
    builder.branch(head)
    builder.position_at_end(head)

    def nothing_open() -> Operand:
        turn = _seen(builder, shared, Shared.TURN)
        parts = load(builder, shared, int(Shared.PARTS), I64)
        all_taken = builder.icmp_signed(">=", builder.and_(turn, i64(ALL_TAKEN)), parts)
        return builder.and_(all_taken, builder.icmp_signed("!=", turn, i64(END)))

    _wait_while(builder, nothing_open)
    builder.cbranch(builder.icmp_signed("==", _seen(builder, shared, Shared.TURN), i64(END)), end, body)
    builder.position_at_end(body)
    builder.call(function(module, "take", VOID, [POINTER, I64]), [shared, thread])
    builder.branch(head)
    builder.position_at_end(end)
    builder.ret_void()


def _wait_while(builder: ir.IRBuilder, condition) -> None:
    spins = builder.alloca(I64)
    builder.store(i64(0), spins)
    look, again, done = (builder.append_basic_block(name) for name in ("look", "again", "done"))
    builder.branch(look)
    builder.position_at_end(look)
    builder.cbranch(condition(), again, done)
    builder.position_at_end(again)
    count = builder.add(builder.load(spins, typ=I64), i64(1))
    builder.store(count, spins)
    with builder.if_then(builder.icmp_signed(">", count, i64(SPINS))):
        builder.call(function(builder.module, "sched_yield", I32, []), [])
    builder.branch(look)
    builder.position_at_end(done)


def _seen(builder: ir.IRBuilder, shared: Operand, entry: Shared) -> Operand:
    return builder.load_atomic(element(builder, shared, i64(int(entry)), I64), "acquire", 8, typ=I64)


def _exchange(builder: ir.IRBuilder, shared: Operand, entry: Shared, value: Operand) -> None:
    builder.atomic_rmw("xchg", element(builder, shared, i64(int(entry)), I64), value, "acq_rel")
