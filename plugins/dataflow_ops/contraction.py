"""einsum: products summed over named axes, carried out as matrix products."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from itertools import accumulate

from dataflow import OpError, ShapeError, element_count, format_shape, op, sample
from dataflow.errors import counted
from dataflow.operations.engine_ops import broadcast_to, expand_dims, reshape, transpose, where
from dataflow_ops.reductions import sum_
from dataflow_ops.shaping import diagonal_number

_EQUATION = re.compile(
    r"((?:[A-Za-z]*(?:\.\.\.)?[A-Za-z]*,)*[A-Za-z]*(?:\.\.\.)?[A-Za-z]*)(?:->([A-Za-z]*(?:\.\.\.)?[A-Za-z]*))?"
)


@op
def einsum(*xs, equation: str):
    """Products of entries, summed over axes, as numpy's einsum: "ij,jk->ik" is a matrix product. Each input's axes have
    a letter each; an axis with the same letter is the same; letters that the result does not have are summed over.
    "..." stands for further axes, which broadcast. Without "->" the result has the letters that occur once, in
    alphabetical order, behind those of "...". A letter twice in one input is its diagonal."""
    inputs, output = _letters(equation, [x.ndim for x in xs])
    _check_sizes(equation, xs, inputs)
    terms = [_without_repeats(x, letters) for x, letters in zip(xs, inputs, strict=True)]
    later = [
        *accumulate((letters for _, letters in terms[:1:-1]), lambda known, more: known | {*more}, initial={*output})
    ]
    value, letters = terms[0]
    for (other, other_letters), needed in zip(terms[1:], later[::-1], strict=False):
        value, letters = _product(value, letters, other, other_letters, needed)
    value, letters = _summed(value, letters, set(output))
    return _ordered(value, letters, output)


def _letters(equation: str, ndims: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each input and of the result; what "..." stands for has letters of its own."""
    match = _EQUATION.fullmatch(equation.replace(" ", ""))
    if match is None:
        raise OpError(f"the equation '{equation[:60]}' of einsum is not of the form \"ij,jk->ik\"")
    inputs, output = match[1].split(","), match[2]
    if len(inputs) != len(ndims):
        raise OpError(f"the equation '{equation}' of einsum is for {counted(len(inputs), 'input')}, {len(ndims)} given")
    widths = [ndim - len(letters.replace("...", "")) for letters, ndim in zip(inputs, ndims, strict=True)]
    for letters, ndim, width in zip(inputs, ndims, widths, strict=True):
        if width < 0 or (width > 0 and "..." not in letters):
            raise ShapeError(f"einsum: '{letters}' in '{equation}' does not fit {ndim} axes")
    widest = max([0, *widths])
    if output is None:
        once = sorted(letter for letter in set(equation) if letter.isalpha() and equation.count(letter) == 1)
        output = ("..." if widest else "") + "".join(once)
    free = [letter for letter in string.ascii_letters if letter not in equation]
    if widest > len(free):
        raise ShapeError(f"einsum: '{equation}' and its inputs have more than {len(string.ascii_letters)} axes")
    ellipsis = "".join(free[:widest])
    if widest and "..." not in output:
        raise OpError(f"the result in the equation '{equation}' of einsum lacks the axes of '...'")
    expanded = [s.replace("...", ellipsis[widest - max(width, 0) :]) for s, width in zip(inputs, widths, strict=True)]
    output = output.replace("...", ellipsis)
    if len(set(output)) != len(output) or not set(output) <= set("".join(expanded)) | set(ellipsis):
        raise OpError(
            f"the result in the equation '{equation}' of einsum names a letter twice, or one that no input has"
        )
    return expanded, output


def _check_sizes(equation, xs, inputs) -> None:
    sizes: dict[str, object] = {}
    named = set(equation)
    for x, letters in zip(xs, inputs, strict=True):
        for letter, size in zip(letters, x.shape, strict=True):
            known = sizes.setdefault(letter, size)
            if known == 1 and letter not in named:
                sizes[letter] = size
            elif size != known and not (size == 1 and letter not in named):
                raise ShapeError(
                    f"einsum: an axis in '{equation}' is of size {known} and of size {size}, in {format_shape(x.shape)}"
                )


def _without_repeats(x, letters):
    """The diagonal where a letter occurs twice."""
    while repeated := next((letter for letter in letters if letters.count(letter) > 1), None):
        first = letters.index(repeated)
        second = letters.index(repeated, first + 1)
        order = (*(i for i in range(x.ndim) if i not in (first, second)), first, second)
        x = transpose(x, axes=order)
        x = sum_(where(diagonal_number(x) == 0, x, 0), axis=-1)
        letters = "".join(letters[i] for i in order[:-1])
    return x, letters


def _summed(x, letters, needed):
    """x summed over the letters that nothing needs."""
    axes = tuple(i for i, letter in enumerate(letters) if letter not in needed)
    return (sum_(x, axis=axes) if axes else x), "".join(letter for letter in letters if letter in needed)


def _product(a, a_letters, b, b_letters, needed):
    """The product of two, summed over the letters that nothing else needs, as a product of (stacks of) matrices."""
    a, a_letters = _summed(a, a_letters, needed | set(b_letters))
    b, b_letters = _summed(b, b_letters, needed | set(a_letters))
    sizes = _sizes((a, a_letters), (b, b_letters))
    both = [letter for letter in a_letters if letter in b_letters]
    inner = [letter for letter in both if letter not in needed]
    stacked = [letter for letter in both if letter in needed]
    rows = [letter for letter in a_letters if letter not in both]
    columns = [letter for letter in b_letters if letter not in both]
    letters = "".join([*stacked, *rows, *columns])
    if not inner:
        return _placed(a, a_letters, letters) * _placed(b, b_letters, letters), letters
    left = _as_matrix(a, a_letters, stacked, rows, inner, sizes)
    right = _as_matrix(b, b_letters, stacked, inner, columns, sizes)
    return reshape(left @ right, shape=tuple(sizes[letter] for letter in letters)), letters


def _sizes(*terms) -> Mapping[str, object]:
    sizes: dict[str, object] = {}
    for x, letters in terms:
        for letter, size in zip(letters, x.shape, strict=True):
            if sizes.get(letter, 1) == 1:
                sizes[letter] = size
    return sizes


def _placed(x, letters, wanted):
    """x with its axes in the wanted order, and axes of size 1 for the letters that it lacks."""
    x = _ordered(x, letters, [letter for letter in wanted if letter in letters])
    missing = tuple(i for i, letter in enumerate(wanted) if letter not in letters)
    return expand_dims(x, axis=missing) if missing else x


def _as_matrix(x, letters, stacked, rows, columns, sizes):
    """x as (..., rows, columns), all the letters of one side in one axis."""
    order = [*stacked, *rows, *columns]
    x = _ordered(x, letters, order)
    whole = tuple(sizes[letter] for letter in order)
    x = x if x.shape == whole else broadcast_to(x, shape=whole)
    shape = (
        *(sizes[letter] for letter in stacked),
        element_count([sizes[letter] for letter in rows]),
        element_count([sizes[letter] for letter in columns]),
    )
    return x if x.shape == shape else reshape(x, shape=shape)


def _ordered(x, letters, wanted):
    order = tuple(letters.index(letter) for letter in wanted)
    return x if order == tuple(range(x.ndim)) else transpose(x, axes=order)


@einsum.samples
def _(rng):
    yield sample(rng.normal(size=(2, 3)), rng.normal(size=(3, 2)), equation="ij,jk->ki")
    yield sample(rng.normal(size=(2, 1, 2)), rng.normal(size=(3, 2)), rng.normal(size=2), equation="b...i,...i,i->...b")
    yield sample(rng.normal(size=(3, 3)), equation="ii")
