"""Exponential, logarithm, tanh, sine, cosine, power and the error function, written once for vectors and for scalars.

All but the power, erfc, and erf in float64 are our own: the argument is reduced to a small interval, where a few terms
of a series suffice. They are right to about two units in the last place, over the whole range, and keep NaN,
infinities, signed zeros and (exp, log) numbers below the smallest normal one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from llvmlite import ir

from dataflow_llvm.kernels.assembly import I32, Lanes, Operand, function

LN2 = Fraction("0.69314718055994530941723212145817656807550013436025525412068")
HALF_PI = Fraction("1.57079632679489661923132169163975144209858469968755291048747")
EXPONENTIAL = [Fraction(1, math.factorial(n)) for n in range(14)]
"""The series of eʳ, from the lowest power up."""
FAR = float(2**20)
"""Beyond this the argument of sine and cosine is not reduced here: the C library's functions do that."""


def exp(lanes: Lanes, x: Operand) -> Operand:
    """2ᵏ·eʳ with k whole and |r| ≤ ½ ln 2."""
    double = lanes.dtype == "float64"
    least, most = (-746.0, 710.0) if double else (-104.0, 89.0)
    x = lanes.select(lanes.compare("<", x, lanes.number(least)), lanes.number(least), x)
    x = lanes.select(lanes.compare(">", x, lanes.number(most)), lanes.number(most), x)
    k, whole, r = _reduced_by_ln2(lanes, x)
    value = lanes.polynomial(r, _economized(EXPONENTIAL[: 14 if double else 8], 2 if double else 1))
    if lanes.can_scale:
        return lanes.scale(value, k)
    # in two factors, since 2ᵏ may be below the smallest normal number
    half = lanes.builder.ashr(whole, lanes.integer(1))
    value = lanes.multiply(value, _power_of_two(lanes, half))
    return lanes.multiply(value, _power_of_two(lanes, lanes.builder.sub(whole, half)))


def tanh(lanes: Lanes, x: Operand) -> Operand:
    """m / (m + 2) with m = e^2|x| − 1 = 2ᵏ·(eʳ − 1) + (2ᵏ − 1), which loses nothing near 0; with the sign of x."""
    twice = lanes.multiply(lanes.call("fabs", x), lanes.number(2.0))
    most = lanes.number(44.0 if lanes.dtype == "float64" else 20.0)
    m = _exp_less_one(lanes, lanes.select(lanes.compare(">", twice, most), most, twice))
    return lanes.call("copysign", lanes.divide(m, lanes.add(m, lanes.number(2.0))), x)


def expm1(lanes: Lanes, x: Operand) -> Operand:
    """2ᵏ·(eʳ − 1) + (2ᵏ − 1) near 0, eˣ − 1 elsewhere; −0 stays what it is."""
    one = lanes.number(1.0)
    near = lanes.compare("<", lanes.call("fabs", x), one)
    value = lanes.select(near, _exp_less_one(lanes, lanes.select(near, x, one)), lanes.subtract(exp(lanes, x), one))
    return lanes.select(lanes.compare("==", x, lanes.number(0.0)), x, value)


def _exp_less_one(lanes: Lanes, x: Operand) -> Operand:
    """For |x| up to 20, or what is so large that the error of ln 2 does not count."""
    _, whole, r = _reduced_by_ln2(lanes, x, parts=2 if lanes.dtype == "float64" else 1)
    series = lanes.polynomial(r, _economized(EXPONENTIAL[2 : 14 if lanes.dtype == "float64" else 8], 1))
    less_one = lanes.fma(lanes.multiply(r, r), series, r)
    scale = _power_of_two(lanes, whole)
    return lanes.fma(scale, less_one, lanes.subtract(scale, lanes.number(1.0)))


def log1p(lanes: Lanes, x: Operand) -> Operand:
    """ln u with u = 1 + x, and near 0 what u lost in rounding, divided by u; −0 stays what it is."""
    one = lanes.number(1.0)
    u = lanes.add(x, one)
    lost = lanes.divide(lanes.subtract(x, lanes.subtract(u, one)), u)
    near = lanes.compare("<", lanes.call("fabs", x), one)
    value = lanes.add(log(lanes, u), lanes.select(near, lost, lanes.number(0.0)))
    return lanes.select(lanes.compare("==", x, lanes.number(0.0)), x, value)


def log(lanes: Lanes, x: Operand) -> Operand:
    """k·ln 2 + ln(1 + f) with 1 + f between √½ and √2; ln(1 + f) = 2·artanh(s), s = f / (2 + f)."""
    double = lanes.dtype == "float64"
    builder = lanes.builder
    fraction, least = (52, 2.0**-1022) if double else (23, 2.0**-126)
    tiny = lanes.compare("<", x, lanes.number(least))
    normal = lanes.select(tiny, lanes.multiply(x, lanes.number(2.0**54)), x)
    root = _bits_of_root_half(double)
    bits = lanes.to_bits(normal)
    k = builder.ashr(builder.sub(bits, lanes.integer(root)), lanes.integer(fraction))
    f = lanes.subtract(lanes.from_bits(builder.sub(bits, builder.shl(k, lanes.integer(fraction)))), lanes.number(1.0))
    exponent = builder.sitofp(k, lanes.kind)
    exponent = lanes.select(tiny, lanes.subtract(exponent, lanes.number(54.0)), exponent)
    s = lanes.divide(f, lanes.add(f, lanes.number(2.0)))
    z = lanes.multiply(s, s)
    terms = 10 if double else 5
    rest = lanes.multiply(z, lanes.polynomial(z, [2 / (2 * n + 1) for n in reversed(range(1, terms))]))
    high, low = _split(LN2, 32 if double else 12)
    part = lanes.fma(exponent, lanes.number(low), lanes.multiply(s, lanes.subtract(rest, f)))
    value = lanes.add(lanes.multiply(exponent, lanes.number(high)), lanes.add(f, part))
    value = lanes.select(lanes.compare("==", x, lanes.number(math.inf)), x, value)
    value = lanes.select(lanes.compare("==", x, lanes.number(0.0)), lanes.number(-math.inf), value)
    return lanes.select(builder.fcmp_unordered("<", x, lanes.number(0.0)), lanes.number(math.nan), value)


def sin(lanes: Lanes, x: Operand) -> Operand:
    """Sine; −0 stays what it is."""
    return lanes.select(lanes.compare("==", x, lanes.number(0.0)), x, _wave(lanes, x, 0, "sin"))


def cos(lanes: Lanes, x: Operand) -> Operand:
    """Cosine."""
    return _wave(lanes, x, 1, "cos")


def power(lanes: Lanes, a: Operand, b: Operand) -> Operand:
    """The C library's function as it is: LLVM would make the less exact exp2(n·b) of (2ⁿ) to the power b."""
    return _of_c_library(lanes, "pow", a, b)


ERF_OVER_X = (
    7.85385768323e-05,
    -0.000801019251334,
    0.00518832755909,
    -0.0268538118686,
    0.11283585147,
    -0.376126258241,
    1.12837916573,
)
"""erf(√t) / √t for t in [0, 1], to 1.3e-9 of it; from the highest power down. Both are least-squares fits at 400
Chebyshev nodes, weighted again and again until the largest errors are equal; the values are mpmath's."""
LOG_OF_ERFC = (
    2.16976390985e-05,
    -0.000441472917735,
    0.00420528590334,
    -0.0252103423224,
    0.108422102699,
    0.633216394917,
    1.12958031192,
    -0.000188467790379,
)
"""−ln erfc(x) for x in [1, 4], so that erf is right to 3e-11."""


def erf(lanes: Lanes, x: Operand) -> Operand:
    """The C library's error function; for float32, which has few digits, our own: 1 − e^(ln erfc |x|) with the sign of
    x, and near 0 a multiple of x. From 4 on it is 1."""
    if lanes.dtype == "float64":
        return _of_c_library(lanes, "erf", x)
    size, most, one = lanes.call("fabs", x), lanes.number(4.0), lanes.number(1.0)
    near = lanes.multiply(x, lanes.polynomial(lanes.multiply(x, x), ERF_OVER_X))
    size_below = lanes.select(lanes.compare(">", size, most), most, size)
    exponent = lanes.subtract(lanes.number(-0.0), lanes.polynomial(size_below, LOG_OF_ERFC))
    far = lanes.call("copysign", lanes.subtract(one, exp(lanes, exponent)), x)
    return lanes.select(lanes.compare("<", size, one), near, far)


def erfc(lanes: Lanes, x: Operand) -> Operand:
    """The C library's complementary error function."""
    return _of_c_library(lanes, "erfc", x)


def _of_c_library(lanes: Lanes, name: str, *operands: Operand) -> Operand:
    name = name if lanes.dtype == "float64" else f"{name}f"
    made = function(lanes.builder.module, name, lanes.scalar, [lanes.scalar] * len(operands))
    made.attributes.add("nobuiltin")
    if lanes.count == 1:
        return lanes.builder.call(made, operands)
    result: Operand = ir.Constant(lanes.kind, ir.Undefined)
    for lane in range(lanes.count):
        entries = [lanes.builder.extract_element(x, I32(lane)) for x in operands]
        result = lanes.builder.insert_element(result, lanes.builder.call(made, entries), I32(lane))
    return result


def _reduced_by_ln2(lanes: Lanes, x: Operand, parts: int = 2) -> tuple[Operand, Operand, Operand]:
    """k, k again, and r with x = k·ln 2 + r: k is the whole number nearest to x / ln 2, first as a float, then as a
    whole number of as many bits. In one part ln 2 is 1.9e-9 too large in float32."""
    # Adding 1.5·2^52 (2^23) rounds to a whole number, which then stands in the lowest bits.
    shift = 1.5 * 2.0 ** (52 if lanes.dtype == "float64" else 23)
    moved = lanes.fma(x, lanes.number(float(1 / LN2)), lanes.number(shift))
    k = lanes.subtract(moved, lanes.number(shift))
    r = x
    for part in _split(LN2, 53 if lanes.dtype == "float64" else 24)[:parts]:
        r = lanes.fma(k, lanes.number(-part), r)
    whole = lanes.builder.sub(lanes.to_bits(moved), lanes.to_bits(lanes.number(shift)))
    return k, whole, r


def _economized(series: Sequence[Fraction], count: int) -> list[float]:
    """A series for |r| ≤ ½ ln 2 without so many of its highest powers, from the highest left down: each makes way for
    the lower powers that come nearest to it, those of the Chebyshev polynomial of its degree (Lanczos, 1938)."""
    left = list(series)
    for _ in range(count):
        highest = left.pop()
        degree = len(left)
        chebyshev = np.polynomial.chebyshev.cheb2poly([0] * degree + [1])
        for power, whole in enumerate(chebyshev[:-1]):
            left[power] -= highest * (LN2 / 2) ** (degree - power) * Fraction(round(whole), 2 ** (degree - 1))
    return [float(coefficient) for coefficient in reversed(left)]


def _power_of_two(lanes: Lanes, whole: Operand) -> Operand:
    fraction, bias = (52, 1023) if lanes.dtype == "float64" else (23, 127)
    exponent = lanes.builder.add(whole, lanes.integer(bias))
    return lanes.from_bits(lanes.builder.shl(exponent, lanes.integer(fraction)))


def _wave(lanes: Lanes, x: Operand, quarter: int, name: str) -> Operand:
    """Sine of x + quarter·π/2, in float64 always: float32 has too few digits to reduce its argument."""
    builder = lanes.builder
    far = builder.fcmp_unordered(">", lanes.call("fabs", x), lanes.number(FAR))
    anywhere = far
    if lanes.count > 1:
        whole = builder.bitcast(far, _bits(lanes.count))
        anywhere = builder.icmp_unsigned("!=", whole, _bits(lanes.count)(0))
    wide = Lanes(builder, "float64", lanes.count)
    near = x if lanes.dtype == "float64" else builder.fpext(x, wide.kind)
    reduced = _near_wave(wide, near, quarter)
    own = reduced if lanes.dtype == "float64" else builder.fptrunc(reduced, lanes.kind)
    own_block = builder.block
    with builder.if_then(anywhere, likely=False):
        # Lane by lane: what a number gives must not depend on its neighbours, which may be padding.
        mixed = lanes.select(far, lanes.call(name, x), own)
        mixed_block = builder.block
    result = builder.phi(lanes.kind)
    result.add_incoming(mixed, mixed_block)
    result.add_incoming(own, own_block)
    return result


def _near_wave(lanes: Lanes, x: Operand, quarter: int) -> Operand:
    builder = lanes.builder
    shift = lanes.number(1.5 * 2.0**52)
    moved = lanes.fma(x, lanes.number(float(1 / HALF_PI)), shift)
    k = lanes.subtract(moved, shift)
    first = float(HALF_PI)
    second = float(HALF_PI - Fraction(first))
    third = float(HALF_PI - Fraction(first) - Fraction(second))
    r = x
    for piece in (first, second, third):
        r = lanes.fma(k, lanes.number(-piece), r)
    z = lanes.multiply(r, r)
    sine_terms = [(-1) ** n / math.factorial(2 * n + 1) for n in reversed(range(1, 9))]
    sine = lanes.fma(lanes.multiply(r, z), lanes.polynomial(z, sine_terms), r)
    cosine = lanes.polynomial(z, [(-1) ** n / math.factorial(2 * n) for n in reversed(range(10))])
    turns = builder.add(lanes.to_bits(moved), lanes.integer(quarter))
    odd = builder.icmp_unsigned("!=", builder.and_(turns, lanes.integer(1)), lanes.integer(0))
    value = lanes.select(odd, cosine, sine)
    sign = builder.shl(builder.and_(turns, lanes.integer(2)), lanes.integer(62))
    return lanes.from_bits(builder.xor(lanes.to_bits(value), sign))


def _bits(count: int) -> Any:
    return ir.IntType(count)


def _split(value: Fraction, bits: int) -> tuple[float, float]:
    """A number as the sum of two; the first has a limited number of bits after the point."""
    high = Fraction(round(value * 2**bits), 2**bits)
    return float(high), float(value - high)


def _bits_of_root_half(double: bool) -> int:
    import struct

    text = struct.pack("<d" if double else "<f", math.sqrt(0.5))
    return int.from_bytes(text, "little")
