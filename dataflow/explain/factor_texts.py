"""What is said of a factor: the expression that it comes from, and its local Jacobian as a formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast
from weakref import WeakKeyDictionary

from dataflow.explain.chain import Factor
from dataflow.explain.explanation import Explanation
from dataflow.notation.formulas import Formula, forward_formula, is_named, local_formula
from dataflow.notation.names import Names

MOST_FORMULAS = 2000
"""An explanation of more factors has no formulas: each takes more work than the factor."""


def expression_of(factor: Factor, names: Names) -> Formula:
    """What the factor's node is: ``ŷ = hW⁽²⁾ᵀ + b⁽²⁾``; between nodes inside an expression, the op."""
    if not all(is_named(names.graph, name) for name in (factor.of, factor.wrt)):
        return Formula(f"op {factor.op}", rf"\text{{op {factor.op}}}".replace("_", r"\_"))
    right = cast(Formula, _kept(names, forward_formula, factor.of))
    return Formula(f"{names.text(factor.of)} = {right.text}", f"{names.latex(factor.of)} = {right.latex}")


def formula_of(factor: Factor, explanation: Explanation) -> Formula | None:
    """The local Jacobian; ``None`` where it is not short, or the factor is by one of several arguments, or there are
    very many. Of a batch the formula is that of one example, so that there is none where the factor has several."""
    names = explanation.names
    several = explanation.example is None and explanation.examples not in (None, 1)
    if len(explanation.shared_with) > MOST_FORMULAS or factor.argument is not None:
        return None
    if several and names.graph.node_of(factor.of).shape:
        return None
    return _kept(names, local_formula, factor.of, factor.wrt)


def structure_of(factor: Factor, formula: Formula | None) -> str:
    """The structure in a word or two; the formula says what is in it."""
    return factor.structure.partition(",")[0] if formula is not None else factor.structure


_FORMULAS: WeakKeyDictionary[Names, dict[tuple[str, ...], Formula | None]] = WeakKeyDictionary()
"""What was written of a graph's nodes and of pairs of them, as long as its names are in use."""


def _kept(names: Names, write: Callable[..., Formula | None], *nodes: str) -> Formula | None:
    formulas = _FORMULAS.setdefault(names, {})
    if nodes not in formulas:
        formulas[nodes] = write(names.graph, *nodes, names)
    return formulas[nodes]
