"""The data of an explanation: for each wrt its paths, factors, partial products, product and gradient, and its cost."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from dataflow.explain.chain import Edge, Factor
from dataflow.explain.order_search import Elimination
from dataflow.notation.names import Names
from dataflow.support.arguments import checked
from dataflow.support.arrays import Kept
from dataflow.support.mimebundle import bundle

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
class Term(Kept):
    """What a node's cotangent gets from one of the nodes that use it: cotangent(of) · factor."""

    factor: Factor
    value: np.ndarray


@dataclass(frozen=True)
class NodeExplanation(Kept):
    """A node's cotangent ∂of/∂node, as the sum of its terms; ``of`` itself has none."""

    node: str
    terms: list[Term]
    cotangent: np.ndarray
    """(entries of ``of``, entries of the node)."""


@dataclass(frozen=True)
class Multiplications:
    """Multiplications of dense products for one example, identities and diagonals included. Where an op takes one node
    several times, as in x · x, each argument is a path of its own, but for all else their factors are added first."""

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
    """In the cheapest known order."""
    order: Elimination
    with_structure: int
    """From the left, with identities, diagonals and Kronecker products taken as what they are."""

    def rows(self) -> list[tuple[str, int]]:
        """The counts that are shown, each with its name."""
        return [
            ("from the left (reverse)", self.reverse),
            ("from the right (forward)", self.forward),
            ("lowest Markowitz degree", self.markowitz),
            ("the best order" if self.order.is_best else "the cheapest order known", self.best),
            ("reverse with structure", self.with_structure),
        ]


@dataclass(frozen=True)
class WrtExplanation(Kept):
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

    @property
    def gradient_matrix(self) -> np.ndarray:
        """The gradient with at most two axes, as it is written: all but the last become one."""
        gradient = self.gradient
        return gradient if gradient.ndim <= 2 else gradient.reshape(-1, gradient.shape[-1])


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
"""The most characters shown in a notebook, which keeps them in its file."""


@dataclass(frozen=True, repr=False)
class Explanation(Kept):
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
    names: Names
    """How names are set."""
    chosen: ChosenOrder | None = None

    def partial(self, wrt: str, of: str | None = None, *, latex: bool = False) -> str:
        """∂of/∂wrt, by default of what is explained."""
        return self.names.partial(self.of if of is None else of, wrt, latex=latex)

    def sharing(self, factor: Factor, wrt: str) -> list[str]:
        """The other wrts whose paths a factor on the way to ``wrt`` lies on."""
        users = self.shared_with.get((factor.of, factor.wrt, factor.argument), [])
        return [name for name in users if name != wrt]

    def __str__(self) -> str:
        return str(self._write("text", "text"))

    def __repr__(self) -> str:
        names = ", ".join(self.wrt[:4]) + (", ..." if len(self.wrt) > 4 else "")
        where = "" if self.example is None else f", example {self.example}"
        return f"<explanation of ∂{self.of}/∂({names}) of '{self.model}'{where}>"

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, str]:
        """For Jupyter: HTML, LaTeX and text; where they are long, how to get them."""
        forms = {"text/plain": self.__str__, "text/html": self._html, "text/latex": self._latex}
        forms_shown = bundle(forms, include, exclude)
        if sum(map(len, forms_shown.values())) <= MOST_CHARACTERS:
            return forms_shown
        advice = "too long for a notebook: explain fewer derivatives, with wrt=, or write to_html() to a file"
        return bundle({"text/plain": lambda: f"{self!r}\n({advice})"}, include, exclude)

    def _html(self) -> str:
        return str(self._write("html_page", "body", level=HEADING))

    def _latex(self) -> str:
        return str(self._write("latex", "fragment"))

    @checked
    def to_json(self, *, dense: bool = False) -> dict[str, Any]:
        """Plain data; a Jacobian of over 10⁶ entries is ``None`` unless ``dense``."""
        return dict(self._write("json_document", "document", dense=dense))

    @checked
    def to_latex(self, *, standalone: bool = False) -> str:
        """LaTeX to be put into a document that loads amsmath, or with ``standalone`` a document of its own."""
        return str(self._write("latex", "latex", standalone=standalone))

    def to_markdown(self) -> str:
        """Markdown with mathematics between dollar signs."""
        return str(self._write("markdown", "markdown"))

    def to_html(self) -> str:
        """One self-contained page."""
        return str(self._write("html_page", "page"))

    def _write(self, module: str, function: str, **options: Any) -> Any:
        # the writers know this class, so it finds them when it is asked
        return getattr(import_module(f"dataflow.explain.{module}"), function)(self, **options)
