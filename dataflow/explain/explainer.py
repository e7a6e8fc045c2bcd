"""Explain a derivative: the factors of every path, the cotangent of every node, and what it costs."""

from __future__ import annotations

import operator
from collections.abc import Collection, Mapping, Sequence
from functools import reduce

import numpy as np

from dataflow.autodiff.reverse import check_differentiable
from dataflow.errors import ShapeError
from dataflow.execution.forward import kink_warnings, made_sizes, non_finite_warnings
from dataflow.explain.chain import Chain, Edge
from dataflow.explain.counts import separate_count, shared_count
from dataflow.explain.explanation import (
    ChosenOrder,
    Explanation,
    Multiplications,
    NodeExplanation,
    PathExplanation,
    Term,
    WrtExplanation,
)
from dataflow.explain.order_search import accumulate, cheapest, orders, price
from dataflow.model.asked import lacking
from dataflow.model.model import Model
from dataflow.notation.names import Names
from dataflow.operations.jacobians import DENSE_LIMIT, Jacobian
from dataflow.support.arguments import checked
from dataflow.support.arrays import read_only


@checked
@np.errstate(all="ignore")  # notes say what is not finite
def explain(
    model: Model,
    *,
    of: str | None = None,
    wrt: Sequence[str] | str | None = None,
    example: int | None = None,
    inner: bool = False,
    order: Sequence[str] | None = None,
    dense: bool = False,
    notation: str = "math",
    data: Mapping[str, object] | None = None,
    **inputs: object,
) -> Explanation:
    """Explain the derivative of ``of`` (by default the loss) with respect to ``wrt`` (by default every parameter).

    ``example`` takes one example of the batch; otherwise the batch is taken whole and gradients are summed over
    it. With ``inner`` the nodes inside expressions have factors of their own. ``order`` lists the inner nodes in the
    order of their elimination; the explanation then says what that costs, and checks that the result is the same. A
    matrix of over 16 MiB is a ``ShapeError`` unless ``dense``. ``notation`` is "math", which sets names as symbols, or
    "plain", which leaves them as the file has them.
    """
    known = model.given(data, inputs)
    target = model.target(of)
    names = list(model.parameters) if wrt is None else [wrt] if isinstance(wrt, str) else list(dict.fromkeys(wrt))
    if example is not None:
        known = model.one_example(known, example)
    chain = chain_of(model, target, names, known, inner=inner)
    notes = non_finite_warnings(model.graph, chain.order, chain.values)
    on_the_way = model.graph.depending_on(names)
    notes += kink_warnings(
        model.graph, [name for name in model.graph.schedule([target]) if name in on_the_way], chain.values
    )
    rows = chain.values[target].size
    if not dense:
        _check_sizes(chain, rows)
    edges = {name: chain.edges(name) for name in names}
    shared_with: dict[Edge, list[str]] = {}
    for name in names:
        for edge in edges[name]:
            shared_with.setdefault(edge, []).append(name)
    cotangents: dict[str, NodeExplanation] = {}
    explained = {name: _explain_wrt(chain, name, rows, cotangents) for name in names}
    counts = [
        explanation.multiplications for explanation in explained.values() if explanation.multiplications is not None
    ]
    return Explanation(
        model.name,
        target,
        chain.values[target],
        names,
        explained,
        shared_with,
        sum(count.separate for count in counts),
        shared_count(chain, list(shared_with)),
        model.sizes_of(known).get(chain.batch) if chain.batch else None,
        example,
        notes,
        Names(model.graph, notation),
        None if order is None else _in_order(chain, explained, list(shared_with), order, dense),
    )


def _check_sizes(chain: Chain, rows: int) -> None:
    """Raise a ``ShapeError`` if a cotangent of several rows, or the result, would take over 16 MiB."""
    on_the_way = set(chain.wrt).union(*map(chain.leading_to, chain.wrt))
    for name in [*chain.wrt, *(name for name in reversed(chain.order) if name in on_the_way)]:
        columns = chain.values[name].size
        if rows > 1 and 8 * rows * columns > DENSE_LIMIT:
            size = f"{rows}×{columns} matrix, too large to explain ({rows * columns >> 17:,} MiB)"
            raise ShapeError(
                f"∂{chain.of}/∂{name} is a {size}: take one example (--example) or an entry of '{chain.of}', or ask "
                f"for it all the same (--dense); 'dataflow jacobian' with --output saves a matrix to a file"
            )


def _in_order(
    chain: Chain, explained: Mapping[str, WrtExplanation], edges: Sequence[Edge], order: Sequence[str], dense: bool
) -> ChosenOrder:
    jacobians: dict[tuple[str, str], np.ndarray] = {}
    for (of, source), jacobian in _added(chain, edges).items():
        if jacobian.dense_bytes > DENSE_LIMIT and not dense:
            rows, columns = jacobian.shape
            raise ShapeError(f"∂{of}/∂{source} is {rows}×{columns}, too large to multiply densely; take one example")
        jacobians[source, of] = jacobian.dense()
    names = list(explained)
    products, _ = accumulate(jacobians, names, chain.of, order, limit=None if dense else DENSE_LIMIT // 8)
    difference = max((float(np.abs(products[n] - explained[n].product).max(initial=0)) for n in names), default=0.0)
    kept = {name: read_only(jacobian) for name, jacobian in products.items()}
    return ChosenOrder(price(chain.example_sizes, jacobians, names, chain.of, order), kept, difference)


def chain_of(
    model: Model,
    of: str,
    wrt: Sequence[str],
    inputs: Mapping[str, object] | None,
    *,
    inner: bool = False,
    visible: Collection[str] | None = None,
) -> Chain:
    """Make the chain from ``of`` to ``wrt`` with the values of a forward pass; a missing input is a ``DataError``."""
    check_differentiable(model.graph, of, wrt)
    result = model.evaluate(of=of, data=inputs)
    if any(name not in result.values and name not in result.not_computed for name in wrt):
        result = model.evaluate(data=inputs)  # a wrt that `of` does not need
    for name in (of, *wrt):
        if name not in result.values:
            raise lacking(model.data, name, result.not_computed[name])
    sizes = made_sizes(model.graph, result.values, model.sizes_of(inputs))
    return Chain(model.graph, of, wrt, result.values, sizes, inner, visible)


def _explain_wrt(chain: Chain, wrt: str, rows: int, known: dict[str, NodeExplanation]) -> WrtExplanation:
    shape = chain.values[wrt].shape
    size = chain.values[wrt].size
    count = chain.path_count(wrt)
    if count == 0:
        empty = np.zeros((rows, size))
        return WrtExplanation(chain.of, wrt, [], 0, [], empty, np.zeros_like(chain.values[wrt]), None)
    nodes = _by_node(chain, wrt, rows, known)
    all_paths = chain.paths(wrt)
    product = nodes[-1].cotangent
    paths = None if all_paths is None else [_along(chain, path, rows) for path in all_paths]
    return WrtExplanation(
        chain.of,
        wrt,
        paths,
        count,
        nodes,
        product,
        product.sum(axis=0).reshape(shape).astype(chain.values[wrt].dtype, copy=False),
        _multiplications(chain, wrt),
    )


def _along(chain: Chain, path: Sequence[Edge], rows: int) -> PathExplanation:
    factors = [chain.factor(*edge) for edge in path]
    partials: list[np.ndarray] = []
    for factor in factors:
        partials.append(read_only(factor.jacobian.left(partials[-1] if partials else np.eye(rows))))
    return PathExplanation(factors, partials)


def _by_node(chain: Chain, wrt: str, rows: int, known: dict[str, NodeExplanation]) -> list[NodeExplanation]:
    """The cotangent of each node on the way to ``wrt``, with its terms; ``known`` keeps them over several wrts."""
    on = chain.leading_to(wrt)
    users: dict[str, list[Edge]] = {}
    for edge in chain.edges(wrt):
        users.setdefault(edge[1], []).append(edge)
    nodes = []
    for name in reversed([name for name in chain.order if name in on]):
        if name not in known:
            terms = []
            for edge in users.get(name, []):
                factor = chain.factor(*edge)
                terms.append(Term(factor, factor.jacobian.left(known[edge[0]].cotangent)))
            cotangent = np.eye(rows) if name == chain.of else reduce(operator.add, (term.value for term in terms))
            known[name] = NodeExplanation(name, terms, cotangent)
        nodes.append(known[name])
    return nodes


def _multiplications(chain: Chain, wrt: str) -> Multiplications:
    sizes, edges = chain.example_sizes, chain.edges(wrt)
    rows, columns = sizes[chain.of], sizes[wrt]
    together = _added(chain, edges)
    separate, reverse = separate_count(chain, edges, wrt), shared_count(chain, edges)
    forward = sum(columns * sizes[of] * sizes[source] for of, source in together if source != wrt)
    structured = 0
    for (of, _), jacobian in together.items():
        if of != chain.of:
            cost = jacobian.multiplications
            examples = chain.sizes[chain.batch] if chain.batch and chain.is_by_example(of) else 1
            structured += rows * cost // max(1, examples)
    known = orders(sizes, [(source, of) for of, source in together], wrt, chain.of)
    best, markowitz = cheapest(known), known["Markowitz"].multiplications
    return Multiplications(separate, reverse, reverse, forward, markowitz, best.multiplications, best, structured)


def _added(chain: Chain, edges: Sequence[Edge]) -> dict[tuple[str, str], Jacobian]:
    """The factor between each two neighbours. Where an op takes one node several times, the factors of these arguments
    are added before they are multiplied, in whatever order: additions are not counted."""
    total: dict[tuple[str, str], Jacobian] = {}
    for of, source, argument in edges:
        jacobian = chain.factor(of, source, argument).jacobian
        total[of, source] = total[of, source] + jacobian if (of, source) in total else jacobian
    return total
