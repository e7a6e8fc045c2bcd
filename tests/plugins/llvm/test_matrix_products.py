"""The shape of the blocks of a product is chosen for the processor, and decides nothing about its bits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from llvmlite import ir

from dataflow_llvm.compiling import machine_code
from dataflow_llvm.kernels.assembly import Machine
from dataflow_llvm.kernels.matrix_products import (
    AS_IT_IS,
    DEPTH,
    DIRECT,
    FINISHES,
    PACKED,
    PRODUCT_ARGUMENTS,
    TURNED,
    write_product,
    write_turn,
)
from dataflow_llvm.kernels.row_products import write_row_products

MACHINES = [Machine(32, 4), Machine(32, 6), Machine(64, 8)]
SIZES = [(1, 1, 1), (7, 10, 9), (13, 47, 31), (25, 37, DEPTH + 3), (6, 16, 2 * DEPTH)]
"""Rows, columns, length: with what is left over for each height and width, and longer than a panel."""


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"avx512f": True, "fma": True}, Machine(64, 8)),
        ({"avx512f": False, "avx2": True, "fma": True}, Machine(32, 6)),
        ({"neon": True}, Machine(32, 6)),
        ({"sse2": True}, Machine(32, 4)),
        ({}, Machine(32, 4)),
    ],
)
def test_a_block_fits_into_the_registers(features: dict[str, bool], expected: Machine) -> None:
    machine = Machine.of(features)
    assert machine == expected
    registers, size = (32, 64) if features.get("avx512f") else (32, 16) if features.get("neon") else (16, 32)
    if features.get("fma") or features.get("neon"):  # sums, two vectors of the right factor, one of the left
        assert (2 * machine.product_rows + 2) * machine.vector_bytes // size + 1 <= registers


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_shape_of_blocks_gives_the_same_bits(dtype: str) -> None:
    rng = np.random.default_rng(0)
    size = np.dtype(dtype).itemsize
    panel = np.zeros(DEPTH * 2 * 64 // size, dtype)
    found: dict[tuple, np.ndarray] = {}
    factors = {sizes: [rng.standard_normal(shape).astype(dtype) for shape in _shapes(*sizes)] for sizes in SIZES}
    for machine in MACHINES:
        module = ir.Module("product")
        write_turn(module, dtype, machine)
        write_product(module, dtype, machine)
        library = machine_code.Library(machine_code._compiled(str(module)))
        product = library.function(f"product_{dtype}", len(PRODUCT_ARGUMENTS))
        for (rows, columns, length), (a, b, before) in factors.items():
            for how in (DIRECT, PACKED, TURNED):
                right = np.ascontiguousarray(b.T) if how == TURNED else b
                for adding, finish in itertools.product((0, 1), (AS_IT_IS, *FINISHES.values())):
                    result = np.full((rows + 1, columns + 3), 7, dtype)
                    sides = (a.ctypes.data, length, 1, right.ctypes.data, right.shape[1])
                    others = (before.ctypes.data, columns, panel.ctypes.data, how, adding)
                    ends = (before[::-1].ctypes.data, -columns, finish)
                    product(rows, columns, length, *sides, result.ctypes.data, columns + 3, *others, *ends)
                    assert (result[rows:] == 7).all()
                    assert (result[:, columns:] == 7).all(), "it writes beside its result"
                    same = found.setdefault((rows, columns, length, adding, finish), result)
                    np.testing.assert_array_equal(result, same, err_msg=f"{machine}, {how}")
    for (rows, columns, length, adding, finish), result in found.items():
        if finish != AS_IT_IS:
            plain = found[rows, columns, length, adding, AS_IT_IS][:rows, :columns]
            source = plain if finish == FINISHES["maximum_number"] else factors[rows, columns, length][2][::-1]
            np.testing.assert_array_equal(result[:rows, :columns], np.where(source > 0, plain, 0))
            continue
        a, b, before = factors[rows, columns, length]
        expected = a.astype(np.longdouble) @ b.astype(np.longdouble) + adding * before
        scale = np.abs(a) @ np.abs(b) + 1
        assert (np.abs(result[:rows, :columns] - expected) < scale * length * np.finfo(dtype).eps).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("machine", [Machine(32, 6), Machine(64, 8)], ids=str)
def test_a_row_times_a_vector_has_the_same_bits_wherever_it_stands(dtype: str, machine: Machine) -> None:
    rng = np.random.default_rng(1)
    module = ir.Module("dots")
    write_row_products(module, dtype, machine)
    library = machine_code.Library(machine_code._compiled(str(module)))
    dots = library.function(f"dots_{dtype}", 8)
    for rows, length, adding in itertools.product((1, 3, 4, 7, 8), (1, 15, 32, 70), (0, 1)):
        left, right = (rng.standard_normal(shape).astype(dtype) for shape in ((rows, length + 1), length))
        before = rng.standard_normal((rows, 2)).astype(dtype)
        together, alone = before.copy(), before.copy()
        ends = (right.ctypes.data, together.ctypes.data, 2, adding)
        dots(rows, length, left.ctypes.data, left.strides[0] // left.itemsize, *ends)
        for line, result in zip(left, alone, strict=True):
            dots(1, length, line.ctypes.data, length, right.ctypes.data, result.ctypes.data, 2, adding)
        np.testing.assert_array_equal(together, alone)
        np.testing.assert_array_equal(together[:, 1], before[:, 1], err_msg="it writes beside its result")
        factor, whole = left[:, :length], np.longdouble
        expected = factor.astype(whole) @ right.astype(whole) + adding * before[:, 0]
        scale = np.abs(factor) @ np.abs(right) + 1
        assert (np.abs(together[:, 0] - expected) < scale * length * np.finfo(dtype).eps).all()


def _shapes(rows: int, columns: int, length: int) -> tuple[tuple[int, int], ...]:
    return (rows, length), (length, columns), (rows, columns)
