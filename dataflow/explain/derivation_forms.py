"""A derivation in symbols as LaTeX, Markdown, text and plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dataflow.explain import latex, markdown
from dataflow.explain.latex_lines import LINE, RELATION, Equation, aligned_lines, set_width, terms
from dataflow.explain.symbolic import Derivation, SymbolicFactor, load_sympy
from dataflow.limits import allowance, counted_calls


def derivation_latex(derivation: Derivation, line: float = LINE) -> str:
    """What each node is, the chain, the factors, the result, in an ``align*`` block."""
    return latex.aligned(_lines(derivation, line))


def derivation_markdown(derivation: Derivation, line: float = LINE) -> str:
    """The same in Markdown."""
    partial = derivation.names.partial(derivation.of, derivation.wrt, latex=True, inline=True)
    return f"## ${partial}$\n\n{markdown.aligned(_lines(derivation, line))}\n{where(derivation)}\n"


def derivation_text(derivation: Derivation) -> str:
    """The same for a terminal."""
    with allowance(f"the derivation of '{derivation.of}' as text"), counted_calls():
        return "\n\n".join(_texts(derivation, load_sympy())) + "\n"


def derivation_document(derivation: Derivation) -> dict[str, Any]:
    """Plain data: the derivation in LaTeX, and the entries of the result and of the gradient as text."""
    sympy = load_sympy()
    named = _unicode_symbols(derivation, sympy)

    def written(entries: Any) -> np.ndarray:
        return np.array([str(entry.xreplace(named)) for entry in entries], dtype=object)

    gradient = derivation.gradient
    shape = derivation.shapes[derivation.wrt]
    return {
        "of": derivation.of,
        "wrt": derivation.wrt,
        "example": derivation.example,
        "latex": derivation_latex(derivation),
        "jacobian": written(derivation.result).reshape(derivation.result.shape).tolist(),
        "gradient": None if gradient is None else written(gradient).reshape(shape).tolist(),
    }


def where(derivation: Derivation) -> str:
    """The sentence that says with which numbers it was compared."""
    place = "" if derivation.example is None else f" of example {derivation.example}"
    return f"The result was compared with the numbers{place}."


# ------------------------------------------------------------------------------------------------ LaTeX


def _lines(derivation: Derivation, line: float) -> list[str]:
    with allowance(f"the derivation of '{derivation.of}' in LaTeX"), counted_calls():
        return aligned_lines(list(_equations(derivation, load_sympy(), line)), line)


def _equations(derivation: Derivation, sympy: Any, line: float) -> Iterator[Equation]:
    def partial(of: str, wrt: str) -> str:
        return derivation.names.partial(of, wrt, latex=True)

    for name, column in derivation.definitions.items():
        for symbol, entry in zip(derivation.symbols[name], column, strict=True):
            yield Equation(sympy.latex(symbol), terms(sympy.latex(entry)))
    whole = partial(derivation.of, derivation.wrt)
    gradient_left = rf"\nabla_{{{derivation.names.latex(derivation.wrt)}}}\, {derivation.names.latex(derivation.of)}"
    room = line - max(set_width(whole), set_width(gradient_left)) - RELATION
    product = _has_product(derivation)
    if product:
        factors = derivation.factors
        large = {key for key, factor in factors.items() if set_width(_matrix(sympy, factor.matrix)) > room}
        yield Equation(whole, list(_sum(derivation, lambda factor: partial(factor.of, factor.wrt))))
        for key in large:
            yield from _entries(derivation, sympy, *key, factors[key].matrix)

        def written(factor: SymbolicFactor) -> str:
            key = (factor.of, factor.wrt)
            return partial(*key) if key in large else _bracketed(sympy, factor.matrix)

        yield Equation("", list(_sum(derivation, written)))
    result = _matrix(sympy, derivation.result)
    if set_width(result) > room and derivation.result.shape != (1, 1):
        yield from _entries(derivation, sympy, derivation.of, derivation.wrt, derivation.result)
    else:
        single = derivation.result.shape == (1, 1)
        yield Equation("" if product else whole, terms(result) if single else [("=", result)])
    gradient = derivation.gradient
    if gradient is not None and gradient.shape != derivation.result.shape:
        text = _matrix(sympy, gradient)
        if set_width(text) > room:  # its entries stand above
            above, below = derivation.symbols[derivation.of][0], derivation.symbols[derivation.wrt]
            symbols = [sympy.Symbol(_partial_of_entries(sympy, above, entry)) for entry in below]
            text = _matrix(sympy, sympy.Matrix(*gradient.shape, symbols))
        yield Equation(gradient_left, [("=", text)])


def _has_product(derivation: Derivation) -> bool:
    """Whether the derivative has factors: with one alone, or none, the result says it all."""
    return sum(map(len, derivation.paths)) > 1


def _sum(derivation: Derivation, write: Any) -> Iterator[tuple[str, str]]:
    """The sum over the paths of products of factors, as pieces."""
    for i, path in enumerate(derivation.paths):
        for j, factor in enumerate(path):
            yield ("=" if i == j == 0 else "+" if j == 0 else ""), write(factor)


def _entries(derivation: Derivation, sympy: Any, of: str, wrt: str, matrix: Any) -> Iterator[Equation]:
    """An equation for each entry that is not 0, of a matrix that does not fit in a line."""
    for i, above in enumerate(derivation.symbols[of]):
        for j, below in enumerate(derivation.symbols[wrt]):
            if matrix[i, j] != 0:
                yield Equation(_partial_of_entries(sympy, above, below), terms(sympy.latex(matrix[i, j])))


def _partial_of_entries(sympy: Any, above: Any, below: Any) -> str:
    return rf"\frac{{\partial {sympy.latex(above)}}}{{\partial {sympy.latex(below)}}}"


def _matrix(sympy: Any, entries: Any) -> str:
    if entries.shape == (1, 1):
        return str(sympy.latex(entries[0, 0]))
    return str(sympy.latex(entries, mat_str="pmatrix", mat_delim=""))


def _bracketed(sympy: Any, entries: Any) -> str:
    text = _matrix(sympy, entries)
    return rf"\left({text}\right)" if entries.shape == (1, 1) else text


# ------------------------------------------------------------------------------------------------ text


def _texts(derivation: Derivation, sympy: Any) -> Iterator[str]:
    names, named = derivation.names, _unicode_symbols(derivation, sympy)

    def equation(left: str, right: Any) -> str:
        shown = _pretty(right.xreplace(named)).split("\n")
        middle = (len(shown) - 1) // 2
        lead = f"{left} = "
        return "\n".join((lead if i == middle else " " * len(lead)) + text for i, text in enumerate(shown))

    whole = names.partial(derivation.of, derivation.wrt)
    yield f"{whole} in symbols\n{where(derivation)}"
    for name, column in derivation.definitions.items():
        for symbol, entry in zip(derivation.symbols[name], column, strict=True):
            yield equation(named[symbol].name, entry)
    if _has_product(derivation):
        products = [" · ".join(names.partial(factor.of, factor.wrt) for factor in path) for path in derivation.paths]
        yield f"{whole} = {' + '.join(products)}"
        for (of, wrt), factor in derivation.factors.items():
            yield equation(names.partial(of, wrt), _unpacked(factor.matrix))
    gradient = derivation.gradient
    if gradient is None or gradient.shape == derivation.result.shape:
        yield equation(whole, _unpacked(derivation.result))
    else:
        yield equation(f"∇{names.text(derivation.wrt)} {names.text(derivation.of)}", gradient)


def _pretty(expression: Any) -> str:
    """As sympy prints it, but each symbol as it is named: sympy would make b₁ of b1."""
    from sympy.printing.pretty import pretty_symbology
    from sympy.printing.pretty.pretty import PrettyPrinter

    class Printer(PrettyPrinter):
        def _print_Symbol(self, symbol: Any, bold_name: bool = False) -> Any:
            return self._print_basestring(symbol.name)

    before = pretty_symbology.pretty_use_unicode(True)
    try:
        return str(Printer({"use_unicode": True, "wrap_line": False}).doprint(expression))
    finally:
        pretty_symbology.pretty_use_unicode(before)


def _unpacked(matrix: Any) -> Any:
    return matrix[0, 0] if matrix.shape == (1, 1) else matrix


def _unicode_symbols(derivation: Derivation, sympy: Any) -> dict[Any, Any]:
    """Each symbol as it is written in Unicode."""
    named = {}
    for name, column in derivation.symbols.items():
        for symbol, text in zip(column, _entry_names(derivation, name), strict=True):
            named[symbol] = sympy.Symbol(text, real=True)
    return named


def _entry_names(derivation: Derivation, name: str) -> Sequence[str]:
    shape = derivation.shapes[name]
    if len(derivation.symbols[name]) == 1:
        return [derivation.names.text(name)]
    symbol = derivation.names.symbol(name)
    return [symbol.at(place, digits_apart=max(shape) > 9).as_text for place in np.ndindex(*shape)]
