"""Explaining a derivative: the factors of every path, the cotangent of every node, and what it all costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dataflow.autodiff import check_differentiable
from dataflow.errors import DataError, ShapeError
from dataflow.evaluate import kink_warnings, non_finite_warnings
from dataflow.explain.chain import Chain, Edge
from dataflow.explain.explanation import (
    ChosenOrder,
    Explanation,
    Multiplications,
    NodeExplanation,
    PathExplanation,
    Term,
    WrtExplanation,
)
from dataflow.explain.order import accumulate, cheapest, orders, price
from dataflow.model import Model
from dataflow.operators import DENSE_LIMIT


def explain(
    model: Model,
    *,
    of: str | None = None,
    wrt: Sequence[str] | str | None = None,
    example: int | None = None,
    inner: bool = False,
    order: Sequence[str] | None = None,
    dense: bool = False,
    data: Mapping[str, object] | None = None,
    **inputs: object,
) -> Explanation:
    """Explain the derivative of ``of`` (of the loss unless said) with respect to ``wrt`` (to every parameter
    unless said).

    ``example`` takes one example of the batch; otherwise the batch is taken whole and gradients are summed over
    it. With ``inner`` the nodes inside expressions have factors of their own. ``order`` lists the inner nodes as
    they are to be eliminated; what that costs and that the same comes out is then part of the explanation. A matrix of
    over 16 MiB is a ``ShapeError`` unless ``dense``.
    """
    with np.errstate(all="ignore"):  # what is not finite is told as a note
        return _explain(model, of, wrt, example, inner, order, dense, model.given(data, inputs))


def _explain(
    model: Model,
    of: str | None,
    wrt: Sequence[str] | str | None,
    example: int | None,
    inner: bool,
    order: Sequence[str] | None,
    dense: bool,
    given: Mapping[str, object] | None,
) -> Explanation:
    target = model.target(of)
    names = list(model.parameters) if wrt is None else [wrt] if isinstance(wrt, str) else list(dict.fromkeys(wrt))
    if example is not None:
        given = model.one_example(given, example)
    chain = chain_of(model, target, names, given, inner=inner)
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
    explained = {name: _explained(chain, name, rows, cotangents) for name in names}
    counts = [one.multiplications for one in explained.values() if one.multiplications is not None]
    return Explanation(
        model.name,
        target,
        chain.values[target],
        names,
        explained,
        shared_with,
        sum(count.separate for count in counts),
        _reverse_count(chain, list(shared_with)),
        model.sizes_of(given).get(chain.batch) if chain.batch else None,
        example,
        notes,
        None if order is None else _in_order(chain, explained, list(shared_with), order, dense),
    )


def _check_sizes(chain: Chain, rows: int) -> None:
    """A ``ShapeError`` where a cotangent of several rows, or the result, would take over 16 MiB."""
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
    for of, source, argument in edges:
        jacobian = chain.factor(of, source, argument).jacobian
        if jacobian.dense_bytes > DENSE_LIMIT and not dense:
            rows, columns = jacobian.shape
            raise ShapeError(f"∂{of}/∂{source} is {rows}×{columns}, too large to multiply densely; take one example")
        known = jacobians.get((source, of))
        jacobians[source, of] = jacobian.dense() if known is None else known + jacobian.dense()
    names = list(explained)
    found, _ = accumulate(jacobians, names, chain.of, order, limit=None if dense else DENSE_LIMIT // 8)
    difference = max((float(np.abs(found[n] - explained[n].product).max(initial=0)) for n in names), default=0.0)
    return ChosenOrder(price(chain.example_sizes, jacobians, names, chain.of, order), found, difference)


def chain_of(
    model: Model, of: str, wrt: Sequence[str], given: Mapping[str, object] | None, *, inner: bool = False
) -> Chain:
    """The chain from ``of`` to ``wrt`` with the values of a forward pass; a ``DataError`` where an input is missing."""
    check_differentiable(model.graph, of, wrt)
    result = model.evaluate(of=of, data=given)
    if any(name not in result.values and name not in result.not_computed for name in wrt):
        result = model.evaluate(data=given)  # a name that `of` does not need is asked for too
    for name in (of, *wrt):
        if name not in result.values:
            missing = ", ".join(f"'{one}'" for one in result.not_computed.get(name, [])) or "nothing that it depends on"
            raise DataError(f"'{name}' is not computed: {missing} is not given", node=name)
    return Chain(model.graph, of, wrt, result.values, model.sizes_of(given), inner)


def _explained(chain: Chain, wrt: str, rows: int, known: dict[str, NodeExplanation]) -> WrtExplanation:
    shape = chain.values[wrt].shape
    size = chain.values[wrt].size
    count = chain.path_count(wrt)
    if count == 0:
        empty = np.zeros((rows, size))
        return WrtExplanation(chain.of, wrt, [], 0, [], empty, np.zeros_like(chain.values[wrt]), None)
    nodes = _by_node(chain, wrt, rows, known)
    found = chain.paths(wrt)
    product = nodes[-1].cotangent
    paths = None if found is None else [_along(chain, path, rows) for path in found]
    return WrtExplanation(
        chain.of,
        wrt,
        paths,
        count,
        nodes,
        product,
        product.sum(axis=0).reshape(shape).astype(chain.values[wrt].dtype, copy=False),
        _multiplications(chain, wrt, found),
    )


def _along(chain: Chain, path: Sequence[Edge], rows: int) -> PathExplanation:
    factors = [chain.factor(*edge) for edge in path]
    partials: list[np.ndarray] = []
    for factor in factors:
        partials.append(factor.jacobian.left(partials[-1] if partials else np.eye(rows)))
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
            cotangent = np.eye(rows) if name == chain.of else _total([term.value for term in terms])
            known[name] = NodeExplanation(name, terms, cotangent)
        nodes.append(known[name])
    return nodes


def _total(values: Sequence[np.ndarray]) -> np.ndarray:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _multiplications(chain: Chain, wrt: str, paths: Sequence[Sequence[Edge]] | None) -> Multiplications:
    sizes, edges = chain.example_sizes, chain.edges(wrt)
    rows, columns = sizes[chain.of], sizes[wrt]
    reverse = _reverse_count(chain, edges)
    forward = sum(columns * sizes[of] * sizes[source] for of, source, _ in edges if source != wrt)
    if paths is None:
        separate = _separate_count(chain, edges, wrt)
    else:
        separate = sum(rows * sizes[of] * sizes[source] for path in paths for of, source, _ in path[1:])
    structured = 0
    for of, source, argument in edges:
        if of != chain.of:
            cost = chain.factor(of, source, argument).jacobian.multiplications
            examples = chain.sizes[chain.batch] if chain.batch and chain.is_by_example(of) else 1
            structured += rows * cost // max(1, examples)
    known = orders(sizes, [(source, of) for of, source, _ in edges], wrt, chain.of)
    best, markowitz = cheapest(known), known["Markowitz"].multiplications
    return Multiplications(separate, reverse, reverse, forward, markowitz, best.multiplications, best, structured)


def _reverse_count(chain: Chain, edges: Sequence[Edge]) -> int:
    sizes = chain.example_sizes
    return sum(sizes[chain.of] * sizes[of] * sizes[source] for of, source, _ in edges if of != chain.of)


def _separate_count(chain: Chain, edges: Sequence[Edge], wrt: str) -> int:
    """The same over all paths, when there are too many to list: a factor counts once for each path that it lies on."""
    sizes = chain.example_sizes
    from_of = {chain.of: 1}
    to_wrt = {wrt: 1}
    for of, source, _ in edges:
        from_of[source] = from_of.get(source, 0) + from_of.get(of, 0)
    for of, source, _ in reversed(edges):
        to_wrt[of] = to_wrt.get(of, 0) + to_wrt.get(source, 0)
    return sum(
        from_of[of] * to_wrt[source] * sizes[chain.of] * sizes[of] * sizes[source]
        for of, source, _ in edges
        if of != chain.of
    )
