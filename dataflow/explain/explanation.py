"""What an explanation holds: for each wrt its paths, factors, partial products, product and gradient, and its cost."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from dataflow.explain.chain import Edge, Factor
from dataflow.explain.order import Elimination
from dataflow.notebook import bundle

HEADING = 3
"""The level at which headings begin in a notebook, below its own."""


@dataclass(frozen=True)
class PathExplanation:
    """One path: its factors from ``of`` to the wrt, and their products from the left, as back-propagation takes
    them."""

    factors: list[Factor]
    partials: list[np.ndarray]
    """After each factor: (entries of ``of``, entries of the factor's wrt)."""


@dataclass(frozen=True)
class Term:
    """What a node's cotangent gets from one of the nodes that use it: cotangent(of) · factor."""

    factor: Factor
    value: np.ndarray


@dataclass(frozen=True)
class NodeExplanation:
    """A node's cotangent ∂of/∂node, as the sum of its terms; ``of`` itself has none."""

    node: str
    terms: list[Term]
    cotangent: np.ndarray
    """(entries of ``of``, entries of the node)."""


@dataclass(frozen=True)
class Multiplications:
    """Multiplications of dense products for one example, identities and diagonals included."""

    separate: int
    """Each path by itself, from the left."""
    shared: int
    """From the left, with what paths have in common computed once."""
    reverse: int
    """The same as ``shared``, for this wrt alone."""
    forward: int
    """From the right, with what paths have in common computed once."""
    markowitz: int
    """Always eliminating the node that is cheapest to eliminate next."""
    best: int
    """In the cheapest order that is known."""
    order: Elimination
    with_structure: int
    """From the left, with identities, diagonals and Kronecker products taken as what they are."""


@dataclass(frozen=True)
class WrtExplanation:
    """The derivative of ``of`` with respect to one name."""

    of: str
    wrt: str
    paths: list[PathExplanation] | None
    """``None`` where there are more than 100; ``nodes`` has the derivation then."""
    path_count: int
    nodes: list[NodeExplanation]
    product: np.ndarray
    """The sum of the paths' products: the Jacobian ∂vec(of)/∂vec(wrt)."""
    gradient: np.ndarray
    """Of ``sum(of)``, in the shape of the wrt."""
    multiplications: Multiplications | None
    """``None`` where there is no path."""


@dataclass(frozen=True)
class ChosenOrder:
    """Accumulation in an order that the user chose."""

    elimination: Elimination
    """With its multiplications, dense, for one example."""
    jacobians: dict[str, np.ndarray]
    """What came out for each wrt."""
    largest_difference: float
    """From the products taken from the left; rounding aside it is 0."""


MOST_CHARACTERS = 1_000_000
"""Of what a notebook is shown, which keeps it in its file."""


@dataclass(frozen=True, repr=False)
class Explanation:
    """``dataflow.explain(...)``: one derivative, or several and what they share. It prints as text, and shows
    itself in notebooks."""

    model: str
    of: str
    value: np.ndarray
    wrt: list[str]
    explained: dict[str, WrtExplanation]
    shared_with: Mapping[Edge, list[str]]
    """For each factor, as (of, wrt, argument), all wrts whose paths it lies on."""
    separate: int
    shared: int
    """Multiplications for all wrts together: each by itself, and with common factors' products computed once."""
    examples: int | None
    example: int | None
    warnings: list[str]
    chosen: ChosenOrder | None = None

    def __str__(self) -> str:
        return str(self._written("text", "text"))

    def __repr__(self) -> str:
        names = ", ".join(self.wrt[:4]) + (", ..." if len(self.wrt) > 4 else "")
        where = "" if self.example is None else f", example {self.example}"
        return f"<explanation of ∂{self.of}/∂({names}) of '{self.model}'{where}>"

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, str]:
        """For Jupyter: HTML, LaTeX and text; where they are long, how to get them."""
        forms = {"text/plain": self.__str__, "text/html": self._html, "text/latex": self._latex}
        found = bundle(forms, include, exclude)
        if sum(map(len, found.values())) <= MOST_CHARACTERS:
            return found
        advice = "too long for a notebook: explain fewer derivatives, with wrt=, or write to_html() to a file"
        return bundle({"text/plain": lambda: f"{self!r}\n({advice})"}, include, exclude)

    def _html(self) -> str:
        return str(self._written("page", "body", level=HEADING))

    def _latex(self) -> str:
        return str(self._written("latex", "fragment"))

    def to_json(self, *, dense: bool = False) -> dict[str, Any]:
        """Plain data; a Jacobian of over 10⁶ entries is ``None`` unless ``dense``."""
        return dict(self._written("document", "document", dense=dense))

    def to_latex(self) -> str:
        """A LaTeX document that compiles with amsmath."""
        return str(self._written("latex", "latex"))

    def to_html(self) -> str:
        """One self-contained page."""
        return str(self._written("page", "page"))

    def _written(self, module: str, function: str, **options: Any) -> Any:
        # the writers know this class, so it finds them when it is asked
        return getattr(import_module(f"dataflow.explain.{module}"), function)(self, **options)
