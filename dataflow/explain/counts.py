"""How many multiplications a product of local Jacobians takes, dense and for one example."""

from __future__ import annotations

from collections.abc import Sequence

from dataflow.explain.chain import Chain, Edge


def shared_count(chain: Chain, edges: Sequence[Edge]) -> int:
    """With what several paths share computed once, from ``of`` back."""
    sizes = chain.example_sizes
    pairs = {(of, source) for of, source, _ in edges if of != chain.of}
    return sum(sizes[chain.of] * sizes[of] * sizes[source] for of, source in pairs)


def separate_count(chain: Chain, edges: Sequence[Edge], wrt: str) -> int:
    """With each path to ``wrt`` by itself, without listing them: a factor counts once for each path that it lies on."""
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
