"""Sizes, shapes and dtypes: what a text means, what fits what, and slices of axes whose size is not known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dataflow.errors import DtypeError, OpError, ShapeError
from dataflow.graph.graph import Graph
from dataflow.operations.indexing import format_key, indexed_shape, parse_key
from dataflow.shapes import (
    DTYPES,
    Size,
    bind,
    broadcast_shapes,
    byte_count,
    element_count,
    format_shape,
    normalize_axes,
    parse_dim,
    parse_dtype,
    parse_shape,
    substitute,
)

N = Size.symbol("n")


@pytest.mark.parametrize(
    ("text", "canonical", "at_5"),
    [
        ("n", "n", 5),
        ("2*n+1", "2*n+1", 11),
        ("1 + n*2", "2*n+1", 11),
        ("(n+1)//2", "(n+1)//2", 3),
        ("n//2", "n//2", 2),
        ("2*(n//2)", "2*(n//2)", 4),
        ("2*n//2", "n", 5),
        ("(n+5)//2", "(n+1)//2+2", 5),
        ("(3*n)//2", "n+n//2", 7),
        ("n*n-n", "n*n-n", 20),
        ("-2+n", "n-2", 3),
        ("((n))", "n", 5),
        ("(n//2)*(n//2)", "(n//2)*(n//2)", 4),
    ],
)
def test_a_text_as_a_size(text: str, canonical: str, at_5: int) -> None:
    size = parse_dim(text)
    assert isinstance(size, Size)
    assert str(size) == canonical
    assert parse_dim(canonical) == size
    assert size.substitute({"n": 5}) == at_5


@pytest.mark.parametrize(("text", "number"), [("3", 3), ("2*3", 6), ("n-n", 0), ("n-n+4", 4), ("(7)//2", 3)])
def test_a_text_that_is_a_number(text: str, number: int) -> None:
    assert parse_dim(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "-3", "2n", "n/2", "n**2", "n//0", "n//m", "n//-1", "1.5", "(n", "n)", "a.b", "n n", "9" * 19, "(" * 9],
)
def test_a_text_that_is_no_size(text: str) -> None:
    with pytest.raises(ShapeError):
        parse_dim(text)


def test_a_product_of_numbers_that_no_array_has() -> None:
    with pytest.raises(ShapeError, match="larger than any array"):
        parse_dim("999999999999999999*999999999999999999")


def test_numpys_integers_are_sizes() -> None:
    assert parse_shape((np.int64(3), "n")) == (3, N)
    assert all(type(size) is not np.int64 for size in parse_shape((np.int64(3),)))


ATOMS = st.sampled_from(["n", "m", "batch", "größe"])


@st.composite
def formulas(draw: st.DrawFn) -> int | Size:
    size: int | Size = draw(st.integers(-4, 4))
    for _ in range(draw(st.integers(0, 3))):
        term: int | Size = Size.symbol(draw(ATOMS)) * draw(st.integers(-3, 3))
        if draw(st.booleans()) and isinstance(term, Size):
            term = (term + draw(st.integers(-3, 3))) // draw(st.integers(1, 4))
        if draw(st.booleans()):
            term = term * Size.symbol(draw(ATOMS))
        size = size + term
    return size


VALUES = st.fixed_dictionaries({name: st.integers(0, 12) for name in ("n", "m", "batch", "größe")})


def number(size: int | Size, at: dict[str, int]) -> int:
    result = size.substitute(at) if isinstance(size, Size) else size
    assert isinstance(result, int)
    return result


@given(formulas(), formulas(), st.integers(1, 6), VALUES)
def test_putting_numbers_in_commutes_with_arithmetic(a, b, divisor: int, at: dict[str, int]) -> None:
    assert number(a + b, at) == number(a, at) + number(b, at)
    assert number(a - b, at) == number(a, at) - number(b, at)
    assert number(a * b, at) == number(a, at) * number(b, at)
    assert number(a // divisor, at) == number(a, at) // divisor


@given(formulas(), VALUES)
def test_a_size_reads_back_what_it_writes(size, at: dict[str, int]) -> None:
    assume(isinstance(size, Size))
    again = parse_dim(str(size))
    assert again == size
    assert hash(again) == hash(size)
    assert number(again, at) == number(size, at)


@given(formulas(), VALUES, st.sampled_from(["n", "m"]))
def test_names_can_be_put_in_one_after_the_other(size, at: dict[str, int], first: str) -> None:
    half = size.substitute({first: at[first]}) if isinstance(size, Size) else size
    assert number(half, at) == number(size, at)


@given(formulas(), formulas(), VALUES)
def test_an_exact_quotient_is_one(a, b, at: dict[str, int]) -> None:
    assume(isinstance(a, Size) and b != 0)
    quotient = a.exact_quotient(b)
    if quotient is not None:
        assert number(quotient, at) * number(b, at) == number(a, at)


@pytest.mark.parametrize(
    ("count", "divisor", "quotient"), [("6*n", 2, "3*n"), ("n*m", "n", "m"), ("2*n", "n", 2), ("n", 2, None)]
)
def test_exact_quotients(count: str, divisor: int | str, quotient: int | str | None) -> None:
    expected = None if quotient is None else parse_dim(quotient)
    assert parse_dim(count).exact_quotient(parse_dim(divisor)) == expected


# ------------------------------------------------------------------------------------------------ fitting


@pytest.mark.parametrize(
    ("shape", "concrete", "known", "after"),
    [
        (["n", 2], (4, 2), {}, {"n": 4}),
        (["n", "n"], (3, 3), {}, {"n": 3}),
        (["2*n+1"], (7,), {}, {"n": 3}),
        (["n-1"], (0,), {}, {"n": 1}),
        (["n", "n+1"], (0, 1), {}, {"n": 0}),
        (["n*m"], (12,), {"m": 4}, {"m": 4, "n": 3}),
        ([], (), {}, {}),
    ],
)
def test_shapes_that_fit(shape, concrete, known, after) -> None:
    assert bind(parse_shape(shape), concrete, known) is None
    assert known == after


@pytest.mark.parametrize(
    ("shape", "concrete", "known", "text"),
    [
        (["n", 2], (4, 3), {}, "shape (n, 2) is expected, (4, 3) found: axis 1 should be 2"),
        (["n", 2], (4,), {}, "2 axes (n, 2) are expected, 1 found (4,)"),
        (["n"], (4,), {"n": 5}, "axis 0 should be n = 5"),
        (["n", "n"], (3, 4), {}, "axis 1 should be n = 3"),
        (["2*n+1"], (6,), {}, "axis 0 is 2*n+1 for no n"),
        (["n+3"], (2,), {}, "axis 0 is n+3 for no n"),
    ],
)
def test_shapes_that_do_not_fit(shape, concrete, known, text) -> None:
    problem = bind(parse_shape(shape), concrete, known)
    assert problem is not None
    assert text in problem


def test_a_shape_as_numbers() -> None:
    shape = parse_shape(["n", "n-2", 3])
    assert substitute(shape, {"n": 4}) == (4, 2, 3)
    with pytest.raises(ShapeError, match="'n' in .* is not determined"):
        substitute(shape, {})
    with pytest.raises(ShapeError, match="n-2 .* is -1, which is negative"):
        substitute(shape, {"n": 1})


@pytest.mark.parametrize(
    ("shapes", "result"),
    [
        ([("n", 2), (2,)], ("n", 2)),
        ([("n", 1), (1, "m")], ("n", "m")),
        ([(), ("n",)], ("n",)),
        ([(1,), (0,)], (0,)),
        ([("2*n",), ("n+n",)], ("2*n",)),
        ([], ()),
    ],
)
def test_symbolic_sizes_broadcast_with_themselves_and_1(shapes, result) -> None:
    assert broadcast_shapes(*map(parse_shape, shapes)) == parse_shape(result)


@pytest.mark.parametrize("pair", [(("n",), ("m",)), (("n",), (3,)), (("n",), ("n+1",)), ((0,), (2,))])
def test_what_does_not_broadcast_names_both_shapes(pair) -> None:
    left, right = map(parse_shape, pair)
    with pytest.raises(ShapeError) as caught:
        broadcast_shapes(left, right)
    assert format_shape(left) in str(caught.value)
    assert format_shape(right) in str(caught.value)


def test_counts() -> None:
    assert element_count(()) == 1
    assert element_count((2, 0, 3)) == 0
    assert str(element_count(parse_shape(["n", 2, "n"]))) == "2*n*n"
    assert byte_count((2**32, 2**32), np.dtype("float64")) == 2**67  # where numpy's own product is 0


def test_axes() -> None:
    assert normalize_axes(None, 3) == (0, 1, 2)
    assert normalize_axes(-1, 3) == (2,)
    assert normalize_axes((2, 0), 3) == (0, 2)
    for axis in (3, -4, (0, 0), (0, -3)):
        with pytest.raises(ShapeError):
            normalize_axes(axis, 3)


def test_texts_of_shapes() -> None:
    assert [format_shape(shape) for shape in ((), (3,), (N, 2))] == ["()", "(3,)", "(n, 2)"]


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32"), np.dtype(">f4")])
def test_dtypes(dtype: object) -> None:
    assert parse_dtype(dtype) == DTYPES["float32"]


@pytest.mark.parametrize("dtype", ["float3", "float8", "f8", float, 3, None, np.complex128])
def test_no_dtypes(dtype: object) -> None:
    with pytest.raises(DtypeError, match="unknown dtype"):
        parse_dtype(dtype)


def test_a_misspelt_dtype_names_the_nearest() -> None:
    with pytest.raises(DtypeError, match="did you mean 'float32'"):
        parse_dtype("flaot32")


# ------------------------------------------------------------------------------------------------ indexing

BOUNDS = st.none() | st.integers(-4, 4)
SLICES = st.builds(slice, BOUNDS, BOUNDS, st.none() | st.sampled_from([1, 2, 3, -1, -2, -3]))


@given(SLICES, st.integers(9, 20))
def test_a_slice_of_a_symbolic_axis_is_as_long_as_numpys_where_the_axis_is_long_enough(item: slice, n: int) -> None:
    try:
        (size,) = indexed_shape((N,), (item,))
    except ShapeError as error:
        assert "count both its ends from the same side" in str(error)
        # bounds counted from different sides: empty for every axis that is long enough
        assert np.arange(n)[item].size == 0
        return
    assert number(size, {"n": n}) == np.arange(n)[item].size


ITEMS = st.one_of(st.integers(-3, 2), SLICES, st.none())


@given(st.lists(ITEMS, max_size=4), st.none() | st.integers(0, 4), st.lists(st.integers(1, 4), max_size=4))
def test_a_key_says_the_shape_that_numpy_gives(items: list, dots: int | None, shape: list[int]) -> None:
    if dots is not None:
        items.insert(min(dots, len(items)), Ellipsis)
    key = tuple(items)
    assume(key)
    assert parse_key(format_key(key)) == key
    array = np.zeros(shape)
    try:
        expected = array[key].shape
    except IndexError:
        with pytest.raises(ShapeError):
            indexed_shape(tuple(shape), key)
    else:
        assert indexed_shape(tuple(shape), key) == expected


@pytest.mark.parametrize(
    ("key", "shape"),
    [("0", "(4,)"), (":, 1:3", "(n, 2)"), ("1:", "(n-1, 4)"), ("::2", "((n+1)//2, 4)"), ("..., newaxis", "(n, 4, 1)")],
)
def test_keys_of_a_symbolic_axis(key: str, shape: str) -> None:
    assert format_shape(indexed_shape((N, 4), parse_key(key))) == shape


@pytest.mark.parametrize("text", ["", "a", "1.5", "1:2:3:4", "..., ...", "0,,1", "True", "1;2", "９"])
def test_texts_that_are_no_key(text: str) -> None:
    with pytest.raises(OpError):
        parse_key(text)


def test_indices_that_are_out_of_range() -> None:
    with pytest.raises(ShapeError, match="index 4 is out of range for axis 1 of size 4"):
        indexed_shape((N, 4), (0, 4))
    with pytest.raises(ShapeError, match="indexes 3 axes"):
        indexed_shape((N, 4), (0, 0, 0))
    with pytest.raises(ShapeError, match="step is not 0"):
        indexed_shape((4,), (slice(None, None, 0),))


# ------------------------------------------------------------------------------------------------ too large


def product(count: int) -> str:
    return "*".join(
        f"({a}+{b})" for a, b in zip("abcdefghijklmnopqr"[:count], "ABCDEFGHIJKLMNOPQR"[:count], strict=True)
    )


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (product(16), "at most 1000 terms"),  # 2 ** 16 of them
        ("*".join(["(a+b+c+d+e+f)"] * 13), "at most 1000 terms"),
        ("*".join("n" * 65), "at most the degree 64"),
        ("n*" + "*".join(["999999999"] * 7), r"numbers below 2\^60"),
    ],
)
def test_a_size_that_would_fill_the_memory(size: str, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        parse_dim(size)


def test_sizes_up_to_the_limits() -> None:
    assert str(parse_dim("*".join("n" * 64))) == "*".join("n" * 64)
    assert len(parse_dim(product(9)).names) == 18  # 512 terms


def test_divisions_are_nested_32_deep() -> None:
    size = parse_dim("n+1")
    for _ in range(32):
        size = (size + 1) // 2
    with pytest.raises(ShapeError, match="divided more than 32 times"):
        (size + 1) // 2


@pytest.mark.parametrize("shape", [[2**30, 2**30], [2**61], [0, 2**40, 2**40], ["n", 2**59, 2]])
def test_a_shape_with_too_many_entries(shape: list[int | str]) -> None:
    with pytest.raises(ShapeError, match="larger than any array"):
        parse_shape(shape)
    assert parse_shape([2**29, 2**30, "n", 0])


def test_results_are_held_to_the_same_limits() -> None:
    graph = Graph("limits")
    x = graph.input("x", (2**31,))
    with pytest.raises(ShapeError, match=r"multiply\(index, index_2\): the shape \(2147483648, 2147483648\) is larger"):
        x[:, None] * x[None, :]
    y = graph.input("y", (1,) * 32)
    with pytest.raises(ShapeError, match="at most 32 axes, not 33"):
        y[None]
    with pytest.raises(ShapeError, match="at most 32 axes, not 33"):
        graph.constant("c", np.zeros((1,) * 33))
