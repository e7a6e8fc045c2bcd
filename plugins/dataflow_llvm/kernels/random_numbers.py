"""The kernel of ``random_uniform``: Philox4x64-10, block by block."""

from __future__ import annotations

from llvmlite import ir

from dataflow_llvm.kernels.assembly import (
    FLOATS,
    I32,
    I64,
    POINTER,
    VOID,
    Operand,
    begin,
    element,
    i64,
    loop,
    minimum,
    store,
)

I128 = ir.IntType(128)
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
ROUNDS = 10
"""The constants of Philox4x64-10."""
BLOCK = {"float64": 4, "float32": 8}
"""The numbers that a block of four words makes."""
RANDOM_ARGUMENTS = [POINTER, I64, I64, I64, I64, I64, I64]


def write_random(module: ir.Module, dtype: str) -> None:
    """``random_T`` (target, count, step, seed, stream, start, stop): the numbers of the blocks ``start`` to ``stop``,
    of ``count`` numbers in all, which lie side by side."""
    builder, arguments = begin(module, f"random_{dtype}", VOID, RANDOM_ARGUMENTS)
    target, count, step, seed, stream, start, stop = arguments
    size, kind = BLOCK[dtype], FLOATS[dtype]
    spare = builder.alloca(ir.ArrayType(kind, size))
    with loop(builder, start, stop) as block:
        numbers = _numbers(builder, dtype, _philox(builder, [builder.add(block, i64(1)), step], [seed, stream]))
        first = builder.mul(block, i64(size))
        place = element(builder, target, first, kind)
        there = minimum(builder, i64(size), builder.sub(count, first))
        is_whole = builder.icmp_signed("==", there, i64(size))
        whole = builder.select(is_whole, place, builder.bitcast(spare, POINTER))
        for i, number in enumerate(numbers):
            store(builder, number, whole, i)
        with builder.if_then(builder.not_(is_whole), likely=False), loop(builder, i64(0), there) as i:
            number = builder.load(element(builder, spare, i, kind), typ=kind)
            builder.store(number, element(builder, place, i, kind))
    builder.ret_void()


def _philox(builder: ir.IRBuilder, counter: list[Operand], key: list[Operand]) -> list[Operand]:
    """The four words of a block; the counter's two upper words are 0."""
    words = [*counter, i64(0), i64(0)]
    for number in range(ROUNDS):
        if number:
            key = [builder.add(word, i64(step)) for word, step in zip(key, KEY_STEPS, strict=True)]
        (high, low), (other_high, other_low) = (
            _product(builder, words[2 * i], factor) for i, factor in enumerate(MULTIPLIERS)
        )
        words = [
            builder.xor(builder.xor(other_high, words[1]), key[0]),
            other_low,
            builder.xor(builder.xor(high, words[3]), key[1]),
            low,
        ]
    return words


def _product(builder: ir.IRBuilder, word: Operand, factor: int) -> tuple[Operand, Operand]:
    """The upper and the lower word of a product."""
    product = builder.mul(builder.zext(word, I128), ir.Constant(I128, factor))
    upper = builder.lshr(product, ir.Constant(I128, 64))
    return builder.trunc(upper, I64), builder.trunc(product, I64)


def _numbers(builder: ir.IRBuilder, dtype: str, words: list[Operand]) -> list[Operand]:
    kind = FLOATS[dtype]
    if dtype == "float64":
        scale = ir.Constant(kind, 2.0**-53)
        return [builder.fmul(builder.uitofp(builder.lshr(word, i64(11)), kind), scale) for word in words]
    halves = [builder.trunc(half, I32) for word in words for half in (word, builder.lshr(word, i64(32)))]
    scale = ir.Constant(kind, 2.0**-24)
    return [builder.fmul(builder.uitofp(builder.lshr(half, I32(8)), kind), scale) for half in halves]
