"""Shapes and dtypes, known before anything runs. A size is an int, or symbolic: ``"n"``, ``"2*n+1"``,
``"(n+1)//2"``."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from dataflow.errors import DtypeError, ShapeError, counted, listed, nearest
from dataflow.limits import spend

MAX_AXES = 32
MAX_TERMS = 1000
"""How many terms a symbolic size may have, those inside its divisions counted; how large its degree and the depth of
its divisions may be is below: a few ops can square a size, or double it by dividing it in several ways, and so a short
file would make one that fills any memory, or takes for ever to compare."""
MAX_DEGREE = 64
MAX_DIVISIONS = 32
MAX_ENTRIES = 2**60
"""No array has so many entries; nor has a size, or a coefficient of one."""

MADE = "?"
"""With this begins the name of a size that a node makes: it depends on values, and is known when they are. A shape rule
names one such as ``made_size("count")``, the graph numbers them, ``?1``, so that each call has its own."""

FLOATS = ("float64", "float32", "float16")
WHOLE = ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")
DTYPES: Mapping[str, np.dtype] = {name: np.dtype(name) for name in (*FLOATS, *WHOLE, "bool")}
TRAINED: Mapping[str, np.dtype] = {name: DTYPES[name] for name in ("float64", "float32")}
"""The dtypes of parameters: narrower floats have too few digits for the sums of training."""
SINCE_VERSION_1 = ("float64", "float32", "int64", "int32", "bool")
"""The dtypes that every reader of files knows."""


@dataclass(frozen=True, slots=True)
class FloorDivision:
    """``numerator // denominator``, which no polynomial can say: what a strided slice of a symbolic axis leaves."""

    numerator: Size
    denominator: int

    def __str__(self) -> str:
        numerator = str(self.numerator)
        return f"{numerator if numerator.isidentifier() else f'({numerator})'}//{self.denominator}"


class Size:
    """A size that is not known yet: a polynomial with integer coefficients over names. Immutable, hashable.

    Arithmetic with ints and other sizes gives an int wherever the result is constant.
    """

    __slots__ = ("_hash", "_terms", "divisions", "weight")

    def __init__(self, terms: Iterable[tuple[tuple[Atom, ...], int]]) -> None:
        self._terms = tuple(terms)
        self._hash = hash(self._terms)
        inner = [atom.numerator for atoms, _ in self._terms for atom in atoms if isinstance(atom, FloorDivision)]
        self.divisions: int = max((1 + numerator.divisions for numerator in inner), default=0)
        """How deep divisions are nested."""
        self.weight: int = len(self._terms) + sum(numerator.weight for numerator in inner)
        """How many terms there are, those inside divisions counted."""
        if self.weight > MAX_TERMS:
            raise ShapeError(f"a symbolic size has at most {MAX_TERMS} terms, those inside divisions counted")
        if self.divisions > MAX_DIVISIONS:
            raise ShapeError(f"a symbolic size is divided more than {MAX_DIVISIONS} times, one division in another")

    @classmethod
    def symbol(cls, name: str) -> Size:
        return cls([((name,), 1)])

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and self._terms == other._terms

    def __str__(self) -> str:
        text = ""
        for atoms, coefficient in self._terms:
            alone = len(atoms) == 1 and abs(coefficient) == 1
            factors = [str(atom) if alone or isinstance(atom, str) else f"({atom})" for atom in atoms]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            text += ("-" if coefficient < 0 else "+" if text else "") + "*".join(factors)
        return text

    def __repr__(self) -> str:
        return f"Size({str(self)!r})"

    def __add__(self, other: Dim) -> Dim:
        terms = dict(self._terms)
        for atoms, coefficient in _terms(other):
            terms[atoms] = terms.get(atoms, 0) + coefficient
        return _simplified(terms)

    def __mul__(self, other: Dim) -> Dim:
        if isinstance(other, Size) and len(self._terms) * len(other._terms) > 10 * MAX_TERMS:
            raise ShapeError(f"a symbolic size has at most {MAX_TERMS} terms")
        spend(len(self._terms) * len(_terms(other)))
        terms: dict[tuple[Atom, ...], int] = {}
        for left, a in self._terms:
            for right, b in _terms(other):
                atoms = tuple(sorted(left + right, key=str))
                terms[atoms] = terms.get(atoms, 0) + a * b
        return _simplified(terms)

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + -1 * other

    def __rsub__(self, other: Dim) -> Dim:
        return -self + other

    def __floordiv__(self, other: int) -> Dim:
        if other <= 0:
            raise ShapeError(f"a symbolic size is divided by positive integers only, not by {other}")
        # What divides goes outside, so that (n+4)//2 and n//2+2 are one size.
        whole = _simplified({atoms: coefficient // other for atoms, coefficient in self._terms})
        rest = _simplified({atoms: coefficient % other for atoms, coefficient in self._terms})
        if isinstance(rest, int):
            return whole + rest // other
        return whole + Size([((FloorDivision(rest, other),), 1)])

    __radd__ = __add__
    __rmul__ = __mul__

    @property
    def names(self) -> frozenset[str]:
        """The names that must be bound before the size is a number."""
        found: set[str] = set()
        for atoms, _ in self._terms:
            for atom in atoms:
                found |= {atom} if isinstance(atom, str) else atom.numerator.names
        return frozenset(found)

    @property
    def as_symbol(self) -> str | None:
        """The name, if the size is one name and nothing else."""
        match self._terms:
            case ((((str() as name,), 1)),):
                return name
        return None

    def substitute(self, sizes: Mapping[str, Dim]) -> Dim:
        """The size with names replaced by numbers or sizes; still symbolic where one is missing."""
        total: Dim = 0
        for atoms, coefficient in self._terms:
            product: Dim = coefficient
            for atom in atoms:
                if isinstance(atom, str):
                    product = product * sizes.get(atom, Size.symbol(atom))
                else:
                    product = product * (atom.numerator.substitute(sizes) // atom.denominator)
            total = total + product
        return total

    @property
    def linear(self) -> tuple[str, int, int] | None:
        """``(name, a, b)`` if the size is ``a*name + b``."""
        match self._terms:
            case ((((str() as name,), factor)),):
                return name, factor, 0
            case ((((str() as name,), factor)), ((), constant)):
                return name, factor, constant
        return None

    def exact_quotient(self, divisor: Dim) -> Dim | None:
        """``self / divisor`` if that is a size again, else ``None``."""
        parts = _terms(divisor)
        if len(parts) != 1:
            return 1 if self == divisor else None
        ((atoms, coefficient),) = parts
        terms: dict[tuple[Atom, ...], int] = {}
        for own, factor in self._terms:
            left = list(own)
            for atom in atoms:
                if atom not in left:
                    return None
                left.remove(atom)
            if factor % coefficient:
                return None
            terms[tuple(left)] = factor // coefficient
        return _simplified(terms)


Atom: TypeAlias = str | FloorDivision
Dim: TypeAlias = int | Size
Shape: TypeAlias = tuple[Dim, ...]
Terms: TypeAlias = Mapping[tuple[Atom, ...], int]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What is known of a node's result before it is computed: its shape and its dtype."""

    shape: Shape
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether a derivative with respect to it makes sense."""
        return self.dtype.kind == "f"

    def __str__(self) -> str:
        return f"{self.dtype} {format_shape(self.shape)}"


@lru_cache(maxsize=8192)
def spec_of(shape: Shape, dtype: np.dtype) -> TensorSpec:
    """The spec, one object for all nodes that have it: it takes no memory for each, and is found in tables at once."""
    return TensorSpec(shape, dtype)


def _terms(size: Dim) -> Sequence[tuple[tuple[Atom, ...], int]]:
    if isinstance(size, Size):
        return size._terms
    return [((), size)] if size else []


def _simplified(terms: Terms) -> Dim:
    spend(1 + len(terms))
    kept = {atoms: coefficient for atoms, coefficient in terms.items() if coefficient}
    if not kept:
        return 0
    if kept.keys() == {()}:
        return kept[()]
    if len(kept) > MAX_TERMS:
        raise ShapeError(f"a symbolic size has at most {MAX_TERMS} terms")
    if max(map(len, kept)) > MAX_DEGREE or max(map(abs, kept.values())) >= MAX_ENTRIES:
        raise ShapeError(f"a symbolic size has at most the degree {MAX_DEGREE}, and numbers below 2^60")
    return Size(sorted(kept.items(), key=lambda term: (-len(term[0]), [str(atom) for atom in term[0]])))


# ------------------------------------------------------------------------------------------------ reading and writing

_TOKEN = re.compile(r"\s*(?:(?P<number>[0-9]{1,18})|(?P<name>[^\W\d]\w*|\?[0-9]{1,9})|(?P<operator>//|[-+*()]))")


@lru_cache(maxsize=4096, typed=True)
def parse_dim(size: int | str | Size) -> Dim:
    """An int ≥ 0 as it is; a text such as ``"n"``, ``"2*n+1"`` or ``"(n+1)//2"`` as a symbolic size."""
    if isinstance(size, Size):
        return size
    if isinstance(size, bool) or not isinstance(size, (int, str)):
        raise ShapeError(f'a size is an integer ≥ 0 or a name such as "n", not {size!r}')
    if isinstance(size, int):
        if size < 0:
            raise ShapeError(f'a size is an integer ≥ 0 or a name such as "n", not {size}')
        if size >= 2**62:
            raise ShapeError(f"size {size} is larger than any array")
        return size
    if len(size) > 200:
        raise ShapeError("a symbolic size has at most 200 characters; give sizes shorter names")
    dim = _parse_sum(_tokens(size), size)
    return parse_dim(dim) if isinstance(dim, int) else dim


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    normal = unicodedata.normalize("NFKC", text).rstrip()
    while position < len(normal):
        match = _TOKEN.match(normal, position)
        if match is None:
            raise _unreadable(text)
        tokens.append(match.group().strip())
        position = match.end()
    return tokens[::-1]


def _parse_sum(tokens: list[str], text: str, depth: int = 0) -> Dim:
    sign = -1 if tokens and tokens[-1] == "-" and tokens.pop() else 1
    total = sign * _parse_product(tokens, text, depth)
    while tokens and tokens[-1] in "+-":
        sign = 1 if tokens.pop() == "+" else -1
        total = total + sign * _parse_product(tokens, text, depth)
    if tokens and (depth == 0 or tokens[-1] != ")"):
        raise _unreadable(text)
    return total


def _parse_product(tokens: list[str], text: str, depth: int) -> Dim:
    product = _parse_atom(tokens, text, depth)
    while tokens and tokens[-1] in ("*", "//"):
        if tokens.pop() == "*":
            product = product * _parse_atom(tokens, text, depth)
            continue
        divisor = _parse_atom(tokens, text, depth)
        if not isinstance(divisor, int) or divisor <= 0:
            raise _unreadable(text)
        product = product // divisor
    return product


def _parse_atom(tokens: list[str], text: str, depth: int) -> Dim:
    if not tokens or depth > 8:
        raise _unreadable(text)
    token = tokens.pop()
    if token == "(":
        inner = _parse_sum(tokens, text, depth + 1)
        if not tokens or tokens.pop() != ")":
            raise _unreadable(text)
        return inner
    if token.isdecimal():
        return int(token)
    if not token.isidentifier() and not token.startswith(MADE):
        raise _unreadable(text)
    return Size.symbol(token)


def _unreadable(text: str) -> ShapeError:
    return ShapeError(f'a size is an integer ≥ 0, a name such as "n" or a formula such as "2*n+1", not {text[:60]!r}')


def parse_shape(shape: object) -> Shape:
    """A list or tuple of sizes as a shape."""
    if type(shape) is tuple and all(type(size) is int for size in shape):
        return _parse_numbers(shape)
    if isinstance(shape, (str, bytes)) or not isinstance(shape, Sequence):
        raise ShapeError(f'a shape is a list of sizes such as ["n", 2], not {shape!r}')
    _check_axes(len(shape))
    for size in shape:
        if not isinstance(size, (int, str, Size, np.integer)):
            raise ShapeError(f'a size is an integer ≥ 0 or a name such as "n", not {size!r}')
    parsed = tuple(parse_dim(int(size) if isinstance(size, np.integer) else size) for size in shape)
    check_shape(parsed)
    return parsed


@lru_cache(maxsize=4096)
def _parse_numbers(shape: tuple[int, ...]) -> Shape:
    _check_axes(len(shape))
    parsed = tuple(map(parse_dim, shape))
    check_shape(parsed)
    return parsed


def format_shape(shape: Sequence[Dim]) -> str:
    """``(n, 2)``; a single axis as ``(3,)``, as in Python."""
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def parse_dtype(dtype: object) -> np.dtype:
    """One of ``DTYPES`` by name or as a numpy dtype."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", getattr(dtype, "__name__", None))
    if isinstance(name, str) and name in DTYPES:
        return DTYPES[name]
    raise DtypeError(f"unknown dtype {dtype!r}" + nearest(str(name), DTYPES))


# ------------------------------------------------------------------------------------------------ arithmetic of shapes


def made_size(name: str) -> Size:
    """For shape rules: a size that depends on values. What one call calls by one name is one size."""
    return Size.symbol(MADE + name)


def made_names(shape: Iterable[Dim]) -> set[str]:
    """The names in a shape of sizes that nodes make."""
    return {name for size in shape if isinstance(size, Size) for name in size.names if name.startswith(MADE)}


def renamed(shape: Shape, names: Mapping[str, Dim]) -> Shape:
    """The shape with other names, or numbers, for some of its symbolic sizes."""
    return tuple(size.substitute(names) if isinstance(size, Size) else size for size in shape)


def axes_with(shape: Sequence[Dim], name: str) -> list[int]:
    """The axes whose size depends on what a name stands for."""
    return [axis for axis, size in enumerate(shape) if isinstance(size, Size) and name in size.names]


def element_count(shape: Sequence[Dim]) -> Dim:
    """How many elements an array of that shape has."""
    count: Dim = 1
    for size in shape:
        count = count * size
    return count


def check_shape(shape: Sequence[Dim]) -> None:
    """A ``ShapeError`` for a shape that no array can have, whatever its symbolic sizes are."""
    _check_axes(len(shape))
    count = 1
    for size in shape:
        if isinstance(size, int):
            count *= size or 1
    if count >= MAX_ENTRIES:
        raise ShapeError(f"the shape {format_shape(shape)} is larger than any array")


def _check_axes(count: int) -> None:
    if count > MAX_AXES:
        raise ShapeError(f"a shape has at most {MAX_AXES} axes, not {count}")


def broadcast_shapes(*shapes: Shape) -> Shape:
    """numpy's broadcasting; a symbolic size fits itself and 1. A ``ShapeError`` names both shapes."""
    result: Shape = ()
    for shape in shapes:
        result = _broadcast_two(result, shape)
    return result


@lru_cache(maxsize=8192)
def _broadcast_two(left: Shape, right: Shape) -> Shape:
    if left == right:
        return left
    ndim = max(len(left), len(right))
    padded = zip((1,) * (ndim - len(left)) + left, (1,) * (ndim - len(right)) + right, strict=True)
    sizes: list[Dim] = []
    for a, b in padded:
        if a != b and a != 1 and b != 1:
            raise ShapeError(f"shapes {format_shape(left)} and {format_shape(right)} do not broadcast: {a} against {b}")
        sizes.append(b if a == 1 else a)
    return tuple(sizes)


def normalize_axis(axis: int, ndim: int) -> int:
    """``axis`` counted from the front; negative ones count from the end."""
    if not -ndim <= axis < ndim:
        raise ShapeError(
            f"axis {axis} is out of range for {counted(ndim, 'axis')}" + (" (a scalar has none)" if ndim == 0 else "")
        )
    return axis % ndim


def normalize_axes(axis: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """The axes counted from the front, in ascending order; ``None`` means all of them."""
    if axis is None:
        return tuple(range(ndim))
    axes = [normalize_axis(one, ndim) for one in ((axis,) if isinstance(axis, int) else axis)]
    if len(set(axes)) != len(axes):
        raise ShapeError(f"an axis is named twice in {tuple(axes)}")
    return tuple(sorted(axes))


def bind(shape: Shape, concrete: Sequence[int], sizes: MutableMapping[str, int]) -> str | None:
    """Fit ``concrete`` to ``shape``, adding to ``sizes`` what the names stand for; what does not fit is returned
    as text."""
    if len(shape) != len(concrete):
        return (
            f"{counted(len(shape), 'axis')} {format_shape(shape)} {'is' if len(shape) == 1 else 'are'} "
            f"expected, {len(concrete)} found {format_shape(concrete)}"
        )
    for axis, (expected, found) in enumerate(zip(shape, concrete, strict=True)):
        known: Dim = expected
        if isinstance(expected, Size):
            name = expected.as_symbol
            known = expected.substitute(sizes) if name is None else sizes.setdefault(name, int(found))
        if isinstance(known, Size):
            if known.linear is not None:
                name, factor, constant = known.linear
                solution, remainder = divmod(int(found) - constant, factor)
                if remainder or solution < 0:
                    problem = f"axis {axis} is {expected} for no {name}"
                    return f"shape {format_shape(shape)} is expected, {format_shape(concrete)} found: {problem}"
                sizes[name] = solution
        elif known != found:
            value = f"{expected} = {known}" if isinstance(expected, Size) else str(expected)
            wanted, given = format_shape(shape), format_shape(concrete)
            return f"shape {wanted} is expected, {given} found: axis {axis} should be {value}"
    return None


def substitute(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape as numbers; a ``ShapeError`` names the size that nothing determines."""
    result = []
    for size in shape:
        known = size.substitute(sizes) if isinstance(size, Size) else size
        if isinstance(known, Size):
            missing = listed(sorted(known.names))
            raise ShapeError(f"the size {missing} in {format_shape(shape)} is not determined by any input")
        if known < 0:
            raise ShapeError(f"the size {size} in {format_shape(shape)} is {known}, which is negative")
        result.append(known)
    return tuple(result)


def is_static(shape: Shape) -> bool:
    """Whether every size is a number."""
    return all(isinstance(size, int) for size in shape)


def byte_count(shape: Sequence[int], dtype: np.dtype) -> int:
    """Bytes of an array, in Python integers, which do not overflow."""
    return math.prod(shape) * dtype.itemsize
