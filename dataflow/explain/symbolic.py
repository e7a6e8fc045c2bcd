"""Derive a gradient in symbols, as a lecture would: the chain rule for scalars and small vectors, in LaTeX.

Every local derivative is found with sympy (the extra ``[symbolic]``) from the ops' definitions, not from their
derivative rules, and the result is compared with the numbers before it is handed out.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np

from dataflow.analysis.interpret import Interpretation, array_of
from dataflow.errors import GraphError, MissingExtraError, RuleError, ShapeError, WorkLimitError, counted
from dataflow.explain.chain import Chain, Edge
from dataflow.explain.explainer import chain_of
from dataflow.graph.node import OP
from dataflow.limits import allowance, counted_calls, spend, work_left
from dataflow.model.model import Model
from dataflow.notation.names import Names
from dataflow.support.arguments import checked
from dataflow.support.mimebundle import bundle

LARGEST = 16
"""Entries of the largest node that is written in symbols."""


@dataclass(frozen=True)
class SymbolicFactor:
    """∂of/∂wrt as a sympy matrix in the symbols of neighbouring nodes."""

    of: str
    wrt: str
    matrix: Any


@dataclass(frozen=True)
class Derivation:
    """``dataflow.derive(...)``: definitions, factors and their product, in symbols."""

    of: str
    wrt: str
    definitions: dict[str, Any]
    """Each node on the way as a sympy matrix of one column, in the symbols of the nodes it is computed from."""
    paths: list[list[SymbolicFactor]]
    result: Any
    """∂of/∂wrt as a sympy matrix, in the symbols of all nodes on the way."""
    symbols: dict[str, Any]
    """Each node's symbols, a matrix of one column."""
    shapes: dict[str, tuple[int, ...]]
    """Each node's shape, without the axis of the batch."""
    names: Names
    """How names are set."""
    example: int | None
    """The example of the batch with whose numbers the result was compared; ``None`` without a batch."""
    largest_error: float
    """By how much the result, with numbers put in, differs from the Jacobian that was computed."""

    def to_latex(self) -> str:
        """An ``align*`` block that compiles with amsmath."""
        # the writers know this class, so it finds them when it is asked
        return str(import_module("dataflow.explain.derivation_forms").derivation_latex(self))

    @property
    def factors(self) -> dict[tuple[str, str], SymbolicFactor]:
        """The factors of all paths, each once, by ``of`` and ``wrt``."""
        return {(factor.of, factor.wrt): factor for path in self.paths for factor in path}

    @property
    def gradient(self) -> Any:
        """The result as a sympy matrix in the shape of the wrt, where ``of`` is a number; all but the last of its axes
        are one. ``None`` where ``of`` has several entries."""
        if self.result.shape[0] != 1:
            return None
        shape = self.shapes[self.wrt]
        columns = shape[-1] if shape else 1
        return self.result.reshape(self.result.shape[1] // max(1, columns), columns)

    def __str__(self) -> str:
        return self.to_latex()

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, str]:
        """For Jupyter, which sets it."""
        return bundle({"text/plain": self.__str__, "text/latex": self.__str__}, include, exclude)


@checked
def derive(
    model: Model,
    *,
    of: str | None = None,
    wrt: str,
    example: int | None = None,
    notation: str = "math",
    data: Mapping[str, Any] | None = None,
    **inputs: Any,
) -> Derivation:
    """Derive ∂of/∂wrt (``of`` is by default the loss) in symbols, for one example (the first unless given), and check
    it against the numbers there. ``notation`` is "math", which sets names as symbols, or "plain", which leaves them as
    the file has them.

    The limit ``work`` bounds it: at most half of that goes into simplifying the result, and a derivation that needs
    more than all of it is a ``WorkLimitError``."""
    sympy = load_sympy()
    target = model.target(of)
    known = model.given(data, inputs)
    if example is None and model.has_batch:
        example = 0
    if example is not None:
        known = model.one_example(known, example)
    chain = chain_of(model, target, [wrt], known)
    expected = model.jacobian(of=target, wrt=[wrt], data=known)
    with allowance(f"the derivation of '{target}' with respect to '{wrt}' in symbols"), counted_calls():
        derivation = _derived(sympy, chain, target, wrt, Names(model.graph, notation))
        derivation = replace(derivation, result=_simplified(sympy, derivation.result))
        numbers = {
            symbol: sympy.Float(float(value), 30)
            for name, column in derivation.symbols.items()
            for symbol, value in zip(column, chain.values[name].reshape(-1), strict=True)
        }
        error = _largest_error(sympy, derivation.result, numbers, expected)
        return replace(derivation, example=example, largest_error=error)


def _simplified(sympy: Any, matrix: Any) -> Any:
    """The matrix simplified with at most half of the work that is left; as it is where that does not suffice, for there
    is no bound on what sympy takes to simplify."""
    half = work_left() // 2
    spend(half)
    try:
        with allowance("", half), counted_calls():
            return matrix.applyfunc(sympy.simplify)
    except WorkLimitError:
        return matrix


def _derived(sympy: Any, chain: Chain, target: str, wrt: str, names: Names) -> Derivation:
    """Multiply the factors; the result is neither simplified nor compared yet."""
    if not chain.path_count(wrt):
        raise GraphError(f"no path leads from '{target}' back to '{wrt}': the derivative is zero", node=wrt)
    shapes = {name: _shape(chain, name) for name in _neighbours(chain)}
    symbols = {name: _symbols(sympy, name, shape, names) for name, shape in shapes.items()}
    definitions = {
        name: _definition(sympy, chain, name, symbols) for name in chain.order if chain.graph.node_of(name).kind == OP
    }
    paths = chain.paths(wrt)
    if paths is None:
        raise ShapeError(f"{chain.path_count(wrt)} paths lead from '{target}' to '{wrt}', too many to write in symbols")
    factors = [[_factor(sympy, chain, edge, definitions, symbols) for edge in path] for path in paths]
    rows, columns = chain.values[target].size, chain.values[wrt].size
    total = sympy.zeros(rows, columns)
    for path in factors:
        product = sympy.eye(rows)
        for factor in path:
            product = product * factor.matrix
        total += product
    return Derivation(target, wrt, definitions, factors, total, symbols, shapes, names, None, 0.0)


def load_sympy() -> Any:
    """Import the extra."""
    try:
        import sympy
    except ImportError:
        raise MissingExtraError('symbolic derivations need sympy: pip install "dataflow-autodiff[symbolic]"') from None
    return sympy


def _neighbours(chain: Chain) -> list[str]:
    """Return the nodes on the paths and those that they are computed from."""
    neighbours = dict.fromkeys(chain.order)
    for name in chain.order:
        neighbours |= dict.fromkeys(chain.entering(chain.inside(name)))
    return list(neighbours)


def _shape(chain: Chain, name: str) -> tuple[int, ...]:
    """A node's shape, without the axis of the batch."""
    shape: tuple[int, ...] = chain.values[name].shape
    return shape[1:] if chain.is_by_example(name) else shape


def _symbols(sympy: Any, name: str, shape: tuple[int, ...], names: Names) -> Any:
    size = math.prod(shape)
    if not size:
        raise ShapeError(f"'{name}' has no entries, so that there is nothing to write in symbols", node=name)
    if size > LARGEST:
        raise ShapeError(
            f"'{name}' has {counted(size, 'entry')}; symbols are written for up to {LARGEST}. Explain it in "
            f"numbers instead",
            node=name,
        )
    if size == 1:
        return sympy.Matrix([sympy.Symbol(names.latex(name), real=True)])
    entries = (names.symbol(name).at(place, digits_apart=max(shape) > 9) for place in np.ndindex(*shape))
    return sympy.Matrix([sympy.Symbol(entry.as_latex, real=True) for entry in entries])


def _definition(sympy: Any, chain: Chain, name: str, symbols: Mapping[str, Any]) -> Any:
    """A node's entries in the symbols of its neighbours, by running the ops inside it on arrays of symbols."""
    inside = chain.inside(name)
    known = {source: array_of(chain.values[source].shape, symbols[source]) for source in chain.entering(inside)}
    entries = _interpretation(sympy).values(chain.graph, inside, known, chain.sizes)[name]
    return sympy.Matrix(list(np.asarray(entries, dtype=object).reshape(-1)))


def _factor(
    sympy: Any, chain: Chain, edge: Edge, definitions: Mapping[str, Any], symbols: Mapping[str, Any]
) -> SymbolicFactor:
    of, wrt, argument = edge
    if argument is None:
        return SymbolicFactor(of, wrt, definitions[of].jacobian(symbols[wrt]))
    # The same node is several arguments of one op: only this one is taken as a variable.
    graph = chain.graph
    fresh = sympy.Matrix([sympy.Symbol(f"{symbol.name}'", real=True) for symbol in symbols[wrt]])
    arguments = [
        _exact(sympy, a)
        if not isinstance(a, str)
        else array_of(chain.values[a].shape, fresh if i == argument else symbols[a])
        for i, a in enumerate(graph.arguments(of))
    ]
    op = graph.op_of(of)
    entries = np.asarray(
        _interpretation(sympy).apply(op, op.complete(arguments), graph.node_of(of).attributes), dtype=object
    )
    jacobian = sympy.Matrix(list(entries.reshape(-1))).jacobian(fresh)
    return SymbolicFactor(of, wrt, jacobian.subs(dict(zip(fresh, symbols[wrt], strict=True))))


def _largest_error(sympy: Any, result: Any, numbers: Mapping[Any, Any], expected: np.ndarray) -> float:
    exact = np.array(result.subs(numbers).evalf(20).tolist(), dtype=object)
    try:
        values = exact.astype(np.float64)
    except TypeError:
        raise RuleError(f"the derivation left symbols without a number: {sympy.latex(result)}") from None
    difference = np.abs(values - expected)
    error = float(np.nanmax(difference, initial=0.0))
    if error > 1e-9 * (1 + float(np.nanmax(np.abs(expected), initial=0.0))):
        raise RuleError(
            f"the derivation in symbols gives {values.tolist()}, the numbers {expected.tolist()}; "
            f"a derivative rule and its op's definition disagree (dataflow ops --check tells which)"
        )
    return error


def _exact(sympy: Any, number: Any) -> Any:
    if number is None:
        return None
    return {math.pi: sympy.pi, math.e: sympy.E}.get(number) or sympy.nsimplify(number, rational=True)


def _interpretation(sympy: Any) -> Interpretation:
    return Interpretation(sympy, lambda number: _exact(sympy, number), "it cannot be written in symbols")
