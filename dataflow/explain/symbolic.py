"""The derivation that a lecture would write: the chain rule in symbols, for scalars and small vectors, in LaTeX.

Every local derivative is found with sympy (the extra ``[symbolic]``) from the ops' definitions, not from their
derivative rules, and the result is compared with the numbers before it is handed out.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.errors import MissingExtraError, RuleError, ShapeError
from dataflow.explain.chain import Chain, Edge
from dataflow.explain.explainer import chain_of
from dataflow.explain.names import latex_name
from dataflow.graph import CONSTANT, OP
from dataflow.interpret import Interpretation, array_of
from dataflow.model import Model
from dataflow.notebook import bundle

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
    largest_error: float
    """By how much the result, with numbers put in, differs from the Jacobian that was computed."""

    def to_latex(self) -> str:
        """A ``align*`` block that compiles with amsmath."""
        return derivation_latex(self)

    def __str__(self) -> str:
        return self.to_latex()

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, str]:
        """For Jupyter, which sets it."""
        return bundle({"text/plain": self.__str__, "text/latex": self.__str__}, include, exclude)


def derivation_latex(derivation: Derivation) -> str:
    """The derivation as an ``align*`` block: what each node is, the chain, the factors, the result."""
    sympy = _sympy()

    def matrix(found: Any) -> str:
        if found.shape == (1, 1):
            return str(sympy.latex(found[0, 0]))
        return str(sympy.latex(found, mat_str="pmatrix", mat_delim=""))

    def bracketed(found: Any) -> str:
        text = matrix(found)
        return rf"\left({text}\right)" if found.shape == (1, 1) else text

    def set_name(name: str) -> str:
        return latex_name(name, layered=len(derivation.symbols[name]) > 1)

    def partial(of: str, wrt: str) -> str:
        return rf"\frac{{\partial {set_name(of)}}}{{\partial {set_name(wrt)}}}"

    lines = []
    for name, column in derivation.definitions.items():
        for symbol, entry in zip(derivation.symbols[name], column, strict=True):
            lines.append(f"{sympy.latex(symbol)} &= {sympy.latex(entry)}")
    left = partial(derivation.of, derivation.wrt)
    products = [" ".join(partial(factor.of, factor.wrt) for factor in path) for path in derivation.paths]
    lines.append(f"{left} &= " + (" + ".join(products) or matrix(derivation.result)))
    if derivation.paths and any(derivation.paths):
        products = [" ".join(bracketed(factor.matrix) for factor in path) for path in derivation.paths]
        lines.append("&= " + " + ".join(products))
        lines.append(f"&= {matrix(derivation.result)}")
    return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}\n"


def derive(
    model: Model,
    *,
    of: str | None = None,
    wrt: str,
    example: int = 0,
    data: Mapping[str, Any] | None = None,
    **inputs: Any,
) -> Derivation:
    """Derive ∂of/∂wrt (of the loss unless said) in symbols, for one example, and check it against the numbers there."""
    sympy = _sympy()
    target = model.target(of)
    given = model.given(data, inputs)
    if model.has_batch:
        given = model.one_example(given, example)
    chain = chain_of(model, target, [wrt], given)
    symbols = {name: _symbols(sympy, chain, name) for name in _neighbours(chain)}
    definitions = {
        name: _definition(sympy, chain, name, symbols) for name in chain.order if chain.graph.nodes[name]["kind"] == OP
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
    result = total.applyfunc(sympy.simplify)
    numbers = {
        symbol: sympy.Float(float(value), 30)
        for name, column in symbols.items()
        for symbol, value in zip(column, chain.values[name].reshape(-1), strict=True)
    }
    error = _largest_error(sympy, result, numbers, model.jacobian(of=target, wrt=[wrt], data=given))
    return Derivation(target, wrt, definitions, factors, result, symbols, error)


def _sympy() -> Any:
    try:
        import sympy
    except ImportError:
        raise MissingExtraError('symbolic derivations need sympy: pip install "dataflow-autodiff[symbolic]"') from None
    return sympy


def _neighbours(chain: Chain) -> list[str]:
    """The nodes on the way and those that they are computed from."""
    found = dict.fromkeys(chain.order)
    for name in chain.order:
        inside = chain.inside(name)
        for one in inside:
            for argument in chain.graph.arguments(one):
                if isinstance(argument, str) and argument not in inside:
                    found[argument] = None
    return list(found)


def _symbols(sympy: Any, chain: Chain, name: str) -> Any:
    size = chain.values[name].size
    if size > LARGEST:
        raise ShapeError(
            f"'{name}' has {size} entries; symbols are written for up to {LARGEST}. Explain it in numbers instead",
            node=name,
        )
    shape = chain.values[name].shape
    if chain.is_by_example(name):
        shape = shape[1:]
    base = latex_name(name, layered=size > 1)
    if size == 1:
        return sympy.Matrix([sympy.Symbol(base, real=True)])
    comma = "," if max(shape) > 9 else ""
    places = [comma.join(str(i + 1) for i in place) for place in np.ndindex(*shape)]
    return sympy.Matrix([sympy.Symbol(f"{base}_{{{place}}}", real=True) for place in places])


def _definition(sympy: Any, chain: Chain, name: str, symbols: Mapping[str, Any]) -> Any:
    """A node's entries in the symbols of its neighbours, by running the ops inside it on arrays of symbols."""
    known: dict[str, Any] = {}
    inside = chain.inside(name)
    for one in inside:
        arguments = []
        for argument in chain.graph.arguments(one):
            if not isinstance(argument, str):
                arguments.append(_exact(sympy, argument))
            elif argument in known:
                arguments.append(known[argument])
            elif chain.graph.nodes[argument]["kind"] == CONSTANT and argument not in symbols:
                arguments.append(
                    array_of(
                        chain.values[argument].shape, (_exact(sympy, x.item()) for x in chain.values[argument].flat)
                    )
                )
            else:
                arguments.append(array_of(chain.values[argument].shape, symbols[argument]))
        op = chain.graph.op_of(one)
        known[one] = _interpretation(sympy).apply(op, op.complete(arguments), chain.graph.nodes[one]["attributes"])
    return sympy.Matrix(list(np.asarray(known[name], dtype=object).reshape(-1)))


def _factor(
    sympy: Any, chain: Chain, edge: Edge, definitions: Mapping[str, Any], symbols: Mapping[str, Any]
) -> SymbolicFactor:
    of, wrt, argument = edge
    if argument is None:
        return SymbolicFactor(of, wrt, definitions[of].jacobian(symbols[wrt]))
    # The same node is several arguments of one op: only this one is taken as a variable.
    graph = chain.graph
    fresh = sympy.Matrix([sympy.Symbol(f"{symbol.name}'", real=True) for symbol in symbols[wrt]])
    shape = chain.values[wrt].shape
    arguments = [
        _exact(sympy, a)
        if not isinstance(a, str)
        else array_of(chain.values[a].shape, fresh if i == argument else symbols[a])
        for i, a in enumerate(graph.arguments(of))
    ]
    op = graph.op_of(of)
    entries = np.asarray(
        _interpretation(sympy).apply(op, op.complete(arguments), graph.nodes[of]["attributes"]), dtype=object
    )
    jacobian = sympy.Matrix(list(entries.reshape(-1))).jacobian(fresh)
    assert jacobian.shape[1] == int(np.prod(shape))
    return SymbolicFactor(of, wrt, jacobian.subs(dict(zip(fresh, symbols[wrt], strict=True))))


def _largest_error(sympy: Any, result: Any, numbers: Mapping[Any, Any], expected: np.ndarray) -> float:
    found = np.array(result.subs(numbers).evalf(20).tolist(), dtype=object)
    try:
        values = found.astype(np.float64)
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
    return None if number is None else sympy.nsimplify(number, rational=True)


def _interpretation(sympy: Any) -> Interpretation:
    return Interpretation(sympy, lambda number: _exact(sympy, number), "it cannot be written in symbols")
