"""Philox4x64-10, whose numbers every backend gives, in arithmetic of 64 bits."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dataflow_jax.table.entries import Call

MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
WHOLE = 2**64


def random_uniform(call: Call, step: Any, shape: Any, dtype: str, seed: int, stream: int) -> Any:
    """As the op says: key (seed, stream), counter (block, step, 0, 0) with blocks from 1."""
    count = math.prod(shape)
    per_block = 4 if dtype == "float64" else 8
    with jax.enable_x64(True):
        blocks = jnp.arange(1, -(-count // per_block) + 1, dtype=jnp.uint64)
        zeros = jnp.zeros_like(blocks)
        step = jnp.asarray(step).astype(np.int64).astype(np.uint64)
        counter = [blocks, jnp.broadcast_to(step.reshape(()), blocks.shape), zeros, zeros]
        key = [seed, stream]
        for _ in range(10):
            (high0, low0), (high1, low1) = (
                _product(counter[place], number) for place, number in zip((0, 2), MULTIPLIERS, strict=True)
            )
            first, second = (np.uint64(number) for number in key)
            counter = [high1 ^ counter[1] ^ first, low1, high0 ^ counter[3] ^ second, low0]
            key = [(number + more) % WHOLE for number, more in zip(key, KEY_STEPS, strict=True)]
        words = jnp.stack(counter, axis=-1)
        if dtype == "float64":
            numbers = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        else:
            halves = jnp.stack([words & np.uint64(0xFFFFFFFF), words >> np.uint64(32)], axis=-1)
            numbers = (halves >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
        return numbers.reshape(-1)[:count].reshape(shape).astype(call.dtype)


def _product(a: Any, number: int) -> tuple[Any, Any]:
    """The upper and the lower 64 bits of a product."""
    low_bits, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    high_b, low_b = np.uint64(number >> 32), np.uint64(number & 0xFFFFFFFF)
    high_a, low_a = a >> half, a & low_bits
    low = low_a * low_b
    middle = high_a * low_b + (low >> half)
    other = low_a * high_b + (middle & low_bits)
    return high_a * high_b + (middle >> half) + (other >> half), a * np.uint64(number)
