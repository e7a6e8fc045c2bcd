"""The rules by which a formula is made short before it is written: a table of patterns and results.

They hold for real numbers, up to rounding, and change only what is shown: what is computed stays as it is. A variable
of a pattern stands for any term or number; of a sum and of a product both orders are tried. A result that is smaller
than what it stands for is broadcast.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dataflow.errors import DataflowError
from dataflow.notation.terms import Term, apply, number_like, with_shape
from dataflow.operations.engine_ops import (
    add,
    broadcast_to,
    cast,
    expand_dims,
    greater,
    identity,
    index,
    less_equal,
    masked,
    matmul,
    multiply,
    negative,
    place,
    reshape,
    stack,
    sum_to,
    transpose,
    where,
)
from dataflow.operations.indexing import parse_key
from dataflow.operations.op import Op
from dataflow.support.conversion import is_real

MOST_ENTRIES = 8
"""Entries of the longest vector that is written entry by entry."""
MOST_STEPS = 500
"""Rewrites of one formula, and no more."""
_COMMUTATIVE = (add, multiply)
_ANY = (("*", None),)


@dataclass(frozen=True)
class Rule:
    """Where ``pattern`` is found, ``result`` says the same. A function as result is given what the variables stand
    for, and the term; where it gives ``None`` the rule does not apply."""

    pattern: Term
    result: Any
    why: str


def any_of(op: Op, *arguments: Any) -> Term:
    """A pattern for an op, whatever its attributes are; without ``arguments``, whatever it is applied to."""
    return Term(op, arguments, _ANY)


def simplify(term: Any) -> Any:
    """The term, or number, after the rules were applied from the inside out until none does."""
    return _Simplifier().simplify(term)


# ------------------------------------------------------------------------------------------------ results that look


def _fold(found: Mapping[str, Any], term: Term) -> Any:
    first, second = found["a"], found["b"]
    return first * second * found["x"] if _is_round(first) and _is_round(second) else None


def _swap(found: Mapping[str, Any], term: Term) -> Any:
    first, second = term.arguments
    return apply(multiply, [second, first]) if is_real(second) and not is_real(first) else None


def _outwards(found: Mapping[str, Any], term: Term) -> Any:
    fine = is_real(found["a"]) and not is_real(found["x"]) and not is_real(found["y"])
    return found["a"] * apply(multiply, [found["x"], found["y"]]) if fine else None


def _outwards_from_second(found: Mapping[str, Any], term: Term) -> Any:
    first, second = term.arguments
    if not isinstance(second, Term) or second.op is not multiply or not is_real(second.arguments[0]):
        return None
    if is_real(first):
        return None
    return second.arguments[0] * apply(multiply, [first, second.arguments[1]])


def _zero(found: Mapping[str, Any], term: Term) -> Any:
    return number_like(0, term)


def _itself(found: Mapping[str, Any], term: Term) -> Any:
    inner = found["x"]
    if not isinstance(inner, Term):
        return inner if not term.shape else None
    return inner if inner.shape == term.shape and inner.dtype.kind == term.dtype.kind else None


def _indicated(found: Mapping[str, Any], term: Term) -> Any:
    condition = found["c"]
    if isinstance(condition, Term) and condition.op is greater and condition.arguments[1] == -math.inf:
        return found["x"] if isinstance(found["x"], Term) and found["x"].shape == term.shape else None
    return found["x"] * _indicator(condition, term)


def _indicated_otherwise(found: Mapping[str, Any], term: Term) -> Any:
    condition = found["c"]
    if not isinstance(condition, Term) or condition.op is not less_equal:
        return None
    return found["x"] * _indicator(greater(*condition.arguments), term)


def _indicator(condition: Any, term: Term) -> Any:
    return apply(cast, [condition], {"dtype": term.dtype.name})


def _twice_transposed(found: Mapping[str, Any], term: Term) -> Any:
    return found["x"] if term.attribute("axes") is term.arguments[0].attribute("axes") is None else None


def _product_transposed(found: Mapping[str, Any], term: Term) -> Any:
    first, second = found["a"], found["b"]
    fine = term.attribute("axes") is None and all(isinstance(f, Term) and f.ndim == 2 for f in (first, second))
    return second.T @ first.T if fine else None


def _fraction_transposed(found: Mapping[str, Any], term: Term) -> Any:
    above, below = found["x"], found["y"]
    fine = term.attribute("axes") is None and isinstance(above, Term) and above.shape == term.arguments[0].shape
    return above.T / below if fine and not (isinstance(below, Term) and below.shape) else None


def _vector_behind(found: Mapping[str, Any], term: Term) -> Any:
    vector, matrix = found["a"], found["b"]
    fine = isinstance(vector, Term) and isinstance(matrix, Term) and vector.ndim == 1 and matrix.ndim == 2
    return apply(matmul, [apply(transpose, [matrix]), vector]) if fine else None


def _times_one_entry(found: Mapping[str, Any], term: Term) -> Any:
    for matrix, entry in (term.arguments, term.arguments[::-1]):
        if isinstance(entry, Term) and entry.shape == (1, 1) and isinstance(matrix, Term) and matrix.ndim == 2:
            return matrix * entry
    return None


def _number(found: Mapping[str, Any], term: Term) -> Any:
    inner = found["x"].arguments[0] if isinstance(found["x"], Term) and found["x"].op is broadcast_to else found["x"]
    return number_like(inner, term) if is_real(inner) else None


def _row(found: Mapping[str, Any], term: Term) -> Any:
    inner = found["x"]
    if not isinstance(inner, Term) or inner.ndim != 1 or term.ndim != 2 or term.shape[0] != 1 or inner.shape == (1,):
        return None
    return apply(expand_dims, [inner], {"axis": 1}).T


def _flat(found: Mapping[str, Any], term: Term) -> Any:
    inner = found["x"]
    return inner if isinstance(inner, Term) and inner.shape == term.shape else None


def _entry_of_vector(found: Mapping[str, Any], term: Term) -> Any:
    vector, key = term.arguments[0], parse_key(term.attribute("key"))
    if vector.attribute("axis") != 0 or len(key) != 1 or not isinstance(key[0], int):
        return None
    return vector.arguments[key[0]]


def _entry_of_one(found: Mapping[str, Any], term: Term) -> Any:
    inner = found["x"]
    return inner if not isinstance(inner, Term) or not inner.shape else None


def _placed(found: Mapping[str, Any], term: Term) -> Any:
    key, size = parse_key(term.attribute("key")), term.shape[0] if term.ndim == 1 else None
    if not isinstance(size, int) or size > MOST_ENTRIES or len(key) != 1 or not isinstance(key[0], int):
        return None
    return apply(stack, [found["x"] if i == key[0] % size else 0 for i in range(size)])


def _by_entries(found: Mapping[str, Any], term: Term) -> Any:
    first, second = term.arguments
    if first.shape != second.shape or any(v.attribute("axis") != 0 for v in (first, second)):
        return None
    # a backward pass adds what comes last in the forward pass first
    pairs = zip(second.arguments, first.arguments, strict=True)
    return apply(stack, [apply(add, pair) for pair in pairs])


def _is_round(value: Any) -> bool:
    return is_real(value) and float(8 * value).is_integer()


# ------------------------------------------------------------------------------------------------ the table

a, b, c, x, y = (Term(leaf=name) for name in "abcxy")

RULES: tuple[Rule, ...] = (
    Rule(x * 1, x, "a factor of 1"),
    Rule(x * -1, -x, "a factor of −1"),
    Rule(x * 0, _zero, "a factor of 0"),
    Rule(x + 0, x, "an added 0"),
    Rule(x - 0, x, "a subtracted 0"),
    Rule(0 - x, -x, "a difference from 0"),
    Rule(0 / x, _zero, "0 divided"),
    Rule(apply(negative, [0]), 0, "minus 0"),
    Rule(x / 1, x, "a divisor of 1"),
    Rule(x**1, x, "a power of 1"),
    Rule(apply(negative, [-x]), x, "two signs"),
    Rule((-x) * y, -(x * y), "the sign stands before a product"),
    Rule((-x) / y, -(x / y), "the sign stands before a fraction"),
    Rule(x / (-y), -(x / y), "the sign stands before a fraction"),
    Rule(x + (-y), x - y, "an added negative is a difference"),
    Rule(x - (-y), x + y, "a subtracted negative is a sum"),
    Rule(x * any_of(broadcast_to, y), x * y, "a product broadcasts by itself"),
    Rule(x + any_of(broadcast_to, y), x + y, "so does a sum"),
    Rule(x - any_of(broadcast_to, y), x - y, "and a difference"),
    Rule(any_of(broadcast_to, x) - y, x - y, "and a difference"),
    Rule(-any_of(broadcast_to, x), -x, "and a sign"),
    Rule(any_of(broadcast_to, x) / y, x / y, "and a fraction"),
    Rule(x / any_of(broadcast_to, y), x / y, "and a fraction"),
    Rule(any_of(broadcast_to, any_of(broadcast_to, x)), x, "broadcast twice"),
    Rule((a * x) * y, _outwards, "a number stands first"),
    Rule(x * y, _outwards_from_second, "a number stands first"),
    Rule(x * y, _swap, "a number stands first"),
    Rule(a * (b * x), _fold, "one number in a product"),
    Rule(x * x, x**2, "a square"),
    Rule(x**2 * x, x**3, "a cube"),
    Rule((y * x) * x, y * x**2, "a square in a product"),
    Rule(a * (x / y), (a * x) / y, "one fraction"),
    Rule((x / y) / c, x / (y * c), "one fraction"),
    Rule(any_of(masked, x, c, y), _indicated, "g where z > 0, else 0, is g · 1[z > 0]; z > −∞ always holds"),
    Rule(any_of(where, c, x, 0), _indicated, "g where z > 0, else 0, is g · 1[z > 0]; z > −∞ always holds"),
    Rule(any_of(where, c, 0, x), _indicated_otherwise, "0 where z ≤ 0, else g, is g · 1[z > 0]"),
    Rule(any_of(identity, x), _itself, "a second name"),
    Rule(any_of(cast, x), _itself, "a cast between floats"),
    Rule(any_of(sum_to, x), _itself, "a sum over no axis"),
    Rule(any_of(broadcast_to, x), _itself, "broadcast to the same shape"),
    Rule(any_of(reshape, x), _itself, "reshaped to the same shape"),
    Rule(any_of(transpose, any_of(transpose, x)), _twice_transposed, "transposed and back"),
    Rule(any_of(transpose, x / y), _fraction_transposed, "a divisor without axes stays below"),
    Rule(any_of(transpose, a @ b), _product_transposed, "(a b)ᵀ is bᵀ aᵀ"),
    Rule(a @ b, _times_one_entry, "a matrix of one entry is a number"),
    Rule(any_of(reshape, x), _number, "a number in another shape"),
    Rule(any_of(expand_dims, x), _number, "a number in another shape"),
    Rule(a @ b, _vector_behind, "vectors are columns: x W is Wᵀ x"),
    Rule(any_of(expand_dims, x), _row, "vectors are columns: a row is transposed"),
    Rule(any_of(reshape, x), _row, "vectors are columns: a row is transposed"),
    Rule(any_of(reshape, any_of(expand_dims, x)), _flat, "a column made a vector again"),
    Rule(any_of(reshape, any_of(transpose, any_of(expand_dims, x))), _flat, "a row made a vector again"),
    Rule(any_of(index, any_of(stack)), _entry_of_vector, "an entry of (a, b, c)"),
    Rule(any_of(index, any_of(broadcast_to, x)), _entry_of_one, "an entry of what is the same everywhere"),
    Rule(any_of(place, x), _placed, "an entry placed among zeros is a vector"),
    Rule(any_of(stack) + any_of(stack), _by_entries, "vectors are added entry by entry"),
)
"""Each is tried at each term, from the inside out, until none applies."""
_BY_OP: dict[Op, list[Rule]] = {}
for _rule in RULES:
    assert _rule.pattern.op is not None, "a pattern begins with an op"
    _BY_OP.setdefault(_rule.pattern.op, []).append(_rule)


# ------------------------------------------------------------------------------------------------ applying it


def match(pattern: Any, term: Any, found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Each way in which a term is what the pattern says, as what its variables stand for."""
    if not isinstance(pattern, Term):
        if is_real(term) and term == pattern:
            yield found
    elif isinstance(pattern.leaf, str):
        if pattern.leaf not in found:
            yield {**found, pattern.leaf: term}
        elif found[pattern.leaf] == term:
            yield found
    elif isinstance(term, Term) and term.op is pattern.op and pattern.attributes in (_ANY, term.attributes):
        if not pattern.arguments:
            yield found
        elif len(pattern.arguments) == len(term.arguments):
            yield from _match_all(pattern.arguments, term.arguments, found)
            if term.op in _COMMUTATIVE:
                yield from _match_all(pattern.arguments, term.arguments[::-1], found)


def _match_all(patterns: Any, terms: Any, found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if not patterns:
        yield found
        return
    for first in match(patterns[0], terms[0], found):
        yield from _match_all(patterns[1:], terms[1:], first)


def fill_in(pattern: Any, found: Mapping[str, Any]) -> Any:
    """The pattern with what its variables stand for."""
    if not isinstance(pattern, Term):
        return pattern
    if isinstance(pattern.leaf, str):
        return found[pattern.leaf]
    assert pattern.op is not None, "a pattern has variables and ops"
    return apply(pattern.op, [fill_in(part, found) for part in pattern.arguments], dict(pattern.attributes))


def rewrite(rule: Rule, term: Term) -> Any:
    """What a rule makes of a term, with the term's shape; ``None`` where it does not apply."""
    for found in match(rule.pattern, term, {}):
        try:
            result = rule.result(found, term) if callable(rule.result) else fill_in(rule.result, found)
        except DataflowError:
            continue
        if result is not None and (fitting := with_shape(result, term)) is not None and fitting != term:
            return fitting
    return None


class _Simplifier:
    def __init__(self) -> None:
        self.known: dict[Term, Any] = {}
        self.steps = MOST_STEPS

    def simplify(self, term: Any) -> Any:
        if not isinstance(term, Term) or term.op is None:
            return term
        if term not in self.known:
            self.known[term] = self._simplify(term)
        return self.known[term]

    def _simplify(self, term: Any) -> Any:
        while isinstance(term, Term) and term.op is not None and self.steps:
            arguments = tuple(self.simplify(argument) for argument in term.arguments)
            if arguments != term.arguments:
                term = Term(term.op, arguments, term.attributes, term.spec)
            result = next(
                (result for rule in _BY_OP.get(term.op, ()) if (result := rewrite(rule, term)) is not None), None
            )
            if result is None:
                return term
            self.steps -= 1
            term = result
        return term
