"""The line that the longest chain of a large picture stands in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TypeAlias

from dataflow.draw.picture.picture import Flow, Kind, Picture

Spine: TypeAlias = tuple[str, ...]

FEWEST = 2
"""A chain through fewer calls of blocks or folded layers needs no help to be straight."""
WEIGHT = 100
"""How much Graphviz does for an edge of a spine to be short and straight; for others it is 1."""


def find_spines(picture: Picture) -> list[Spine]:
    """The longest chain of each pass in the order of its ranks, where it leads through several calls of blocks or
    folded layers. Of chains of one length, it is that from an input or to the loss."""
    kind_of = {node.key: node.kind for node in picture.nodes}
    lengths: dict[Flow, dict[str, dict[str, float]]] = {Flow.VALUE: {}, Flow.GRADIENT: {}}
    for edge in picture.edges:
        if edge.flow in lengths and edge.source != edge.target:
            bonus = 0.25 * (kind_of[edge.source] == Kind.INPUT) + 0.25 * (kind_of[edge.target] == Kind.LOSS)
            ends = (edge.target, edge.source) if _runs_up(edge.flow, picture) else (edge.source, edge.target)
            lengths[edge.flow].setdefault(ends[1], {})[ends[0]] = 1 + bonus
    spines = [_longest_chain(lengths_to) for lengths_to in lengths.values()]
    stage_of = _stages(picture)
    return [spine for spine in spines if len({stage_of[key] for key in spine if key in stage_of}) >= FEWEST]


def _longest_chain(lengths_to: Mapping[str, Mapping[str, float]]) -> Spine:
    """The longest way along edges, whose lengths are given by target and source; empty where there is a circle."""
    farthest: dict[str, tuple[float, str | None]] = {}
    try:
        for key in TopologicalSorter(lengths_to).static_order():
            ways = [(farthest[source][0] + length, source) for source, length in lengths_to.get(key, {}).items()]
            farthest[key] = max(ways, key=lambda way: way[0], default=(0.0, None))
    except CycleError:
        return ()
    chain: list[str] = []
    before: str | None = max(farthest, key=lambda end: farthest[end][0], default=None)
    while before is not None:
        chain.insert(0, before)
        before = farthest[before][1]
    return tuple(chain)


def _stages(picture: Picture) -> dict[str, str]:
    """For each node that stands in a call of a block, or for it or for layers, the frame or the node itself."""
    frames = {cluster.key for cluster in picture.clusters if not cluster.is_pass}
    stages = {node.key: node.cluster for node in picture.nodes if node.cluster in frames}
    return stages | {node.key: node.key for node in picture.nodes if node.kind in (Kind.BLOCK, Kind.LAYERS)}


def find_spacers(picture: Picture, spines: Sequence[Spine]) -> Iterator[tuple[str, str]]:
    """Pairs of nodes, the second of which stands in a later rank: where a spine enters a frame, all of the frame comes
    after the node that it comes from. Frames whose ranks overlap cannot stand under each other."""
    frames_of = {node.key: _frames_around(node.cluster, picture) for node in picture.nodes}
    has_earlier = {
        edge.source if _runs_up(edge.flow, picture) else edge.target
        for edge in picture.edges
        if edge.flow in (Flow.VALUE, Flow.GRADIENT)
    }
    for spine in spines:
        for before, after in pairwise(spine):
            for frame in frames_of[after] - frames_of[before]:
                for key, frames in frames_of.items():
                    if frame in frames and key not in has_earlier:
                        yield before, key


def _runs_up(flow: Flow, picture: Picture) -> bool:
    """Whether the target of an edge stands in the earlier rank: beside the forward pass, the backward pass runs up."""
    return flow == Flow.GRADIENT and bool(picture.beside)


def _frames_around(cluster: str | None, picture: Picture) -> frozenset[str]:
    parent_of = {frame.key: frame.parent for frame in picture.clusters}
    frames = set()
    while cluster is not None:
        frames.add(cluster)
        cluster = parent_of[cluster]
    return frozenset(frames)
