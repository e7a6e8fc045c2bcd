"""The topological sort, held against graphlib's."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from hypothesis import given
from hypothesis import strategies as st

from dataflow.support.topological import topological_order

NEEDS = st.integers(1, 8).flatmap(
    lambda count: st.lists(st.lists(st.integers(0, count - 1), max_size=3), min_size=count, max_size=count)
)


@given(NEEDS)
def test_each_comes_after_what_it_needs_or_a_cycle_is_named(listed: list[list[int]]) -> None:
    needs = dict(enumerate(listed))
    order, cycle = topological_order(needs)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError:
        assert cycle[0] == min(cycle)
        assert len(set(cycle)) == len(cycle)
        assert all(source in needs[target] for source, target in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    else:
        assert not cycle
        assert sorted(order) == list(needs)
        assert all(order.index(source) < order.index(target) for target in needs for source in needs[target])


@given(NEEDS)
def test_an_order_that_is_topological_stays(listed: list[list[int]]) -> None:
    needs = {i: [j for j in sources if j < i] for i, sources in enumerate(listed)}
    assert topological_order(needs) == (list(needs), [])


def test_a_long_chain_is_sorted_without_recursion() -> None:
    needs: dict[int, list[int]] = {i: [i + 1] for i in range(100_000)} | {100_000: []}
    assert topological_order(needs)[0] == list(range(100_000, -1, -1))
