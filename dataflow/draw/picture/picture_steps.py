"""The steps in which a picture is built up, and the picture after some of them.

The forward pass has a step for each node that is computed, in the order of evaluation. Then the backward pass has a
step for each of them, in reverse order, in which it hands its gradient on to what it was computed from.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import replace

from dataflow.draw.picture.picture import Caption, Flow, Kind, Part, Picture, PictureEdge
from dataflow.errors import DataError

GIVEN = (Kind.INPUT, Kind.PARAMETER, Kind.CONSTANT)
"""What is there before the first step."""


def number_steps(picture: Picture, owners: Mapping[str, int] | None = None) -> Picture:
    """Give each element the step that computes it. ``owners`` has, for each node of the backward pass, the position in
    the forward pass of the node that it is computed for; a picture whose gradients are edges between the nodes of the
    forward pass needs none."""
    steps = {node.key: 0 for node in picture.nodes if not node.backward and (node.kind in GIVEN or node.saved)}
    forward = [node.key for node in picture.nodes if not node.backward and node.key not in steps]
    values = [edge for edge in picture.edges if edge.flow == Flow.VALUE]
    steps |= {key: step for step, key in enumerate(_in_order(forward, values), 1)}
    gradients = [edge for edge in picture.edges if edge.flow == Flow.GRADIENT]
    ranks = _ranks(picture, gradients, owners or {})
    hands_on = {edge: -steps[edge.source] for edge in gradients if edge.source in steps}
    step_of = {rank: len(forward) + i for i, rank in enumerate(sorted({*ranks.values(), *hands_on.values()}), 1)}
    steps |= {key: step_of[rank] for key, rank in ranks.items()}

    def of_edge(edge: PictureEdge) -> int:
        return step_of[hands_on[edge]] if edge in hands_on else max(steps[edge.source], steps[edge.target])

    edges = tuple(replace(edge, step=of_edge(edge)) for edge in picture.edges)
    return replace(
        picture,
        nodes=tuple(replace(node, step=steps[node.key]) for node in picture.nodes),
        edges=edges,
        captions=tuple(_number_parts(caption, edges) for caption in picture.captions),
    )


def _number_parts(caption: Caption, edges: Iterable[PictureEdge]) -> Caption:
    """Each factor comes with its arrow, and all numbers with the last arrow that leads to the gradient: a product of
    some of the factors is not what stands before the equals sign. An operator comes with what it leads to: before a
    number that is not computed yet it is left out as the number is."""
    step_of = {(edge.source, edge.target): edge.step for edge in edges if edge.flow == Flow.GRADIENT}
    factors = [step_of.get(part.factor, 0) if part.factor else 0 for part in caption.parts]
    last = max([*factors, *(step for (_, target), step in step_of.items() if target == caption.wrt)])
    parts: list[Part] = []
    step = last
    for i, part in reversed(list(enumerate(caption.parts))):
        step = last if part.is_result else factors[i] if part.factor else step if i else 0
        leads = part.is_operator and bool(parts) and parts[0].comes_with_numbers
        parts.insert(0, replace(part, step=step, leads_to_result=leads))
    return replace(caption, parts=tuple(parts))


def at_step(picture: Picture, step: int) -> Picture:
    """The picture after ``step`` steps; what is computed later is pending. A ``DataError`` if there are not so many."""
    count = picture.steps
    if not 0 <= step <= count:
        raise DataError(f"there is no step {step}: the picture has {count} steps; choose 0 (the inputs) to {count}")
    return replace(
        picture,
        description=f"Step {step} of {count}. {picture.description}",
        nodes=tuple(replace(node, pending=node.step > step) for node in picture.nodes),
        edges=tuple(replace(edge, pending=edge.step > step) for edge in picture.edges),
        captions=tuple(
            replace(caption, parts=tuple(replace(part, pending=part.step > step) for part in caption.parts))
            for caption in picture.captions
        ),
    )


def _ranks(picture: Picture, gradients: list[PictureEdge], owners: Mapping[str, int]) -> dict[str, int]:
    """When each node of the backward pass is computed: after the last node that hands a gradient on to it, or first of
    all if none does. The later a node is in the forward pass, the lower its rank."""
    first = -max(owners.values(), default=0)
    sources: dict[str, list[str]] = {}
    for edge in gradients:
        sources.setdefault(edge.target, []).append(edge.source)
    ranks: dict[str, int] = {}
    for key in _in_order([node.key for node in picture.nodes if node.backward], gradients):
        arrived = [
            max(ranks.get(source, first), -owners[source] if owners[source] != owners[key] else first)
            for source in sources.get(key, ())
        ]
        ranks[key] = max(arrived, default=first)
    return ranks


def _in_order(keys: Iterable[str], edges: Iterable[PictureEdge]) -> list[str]:
    """The keys in an order that respects the edges, else as they come; a circle of folded nodes is broken."""
    position = {key: i for i, key in enumerate(keys)}
    names = list(position)
    following: dict[str, set[str]] = {key: set() for key in position}
    for edge in edges:
        if edge.source in position and edge.target in position and edge.source != edge.target:
            following[edge.source].add(edge.target)
    waiting = dict.fromkeys(position, 0)
    for targets in following.values():
        for target in targets:
            waiting[target] += 1
    ready = [position[key] for key, count in waiting.items() if not count]
    ordered: list[str] = []
    while ready:
        key = names[heapq.heappop(ready)]
        ordered.append(key)
        for target in following[key]:
            waiting[target] -= 1
            if not waiting[target]:
                heapq.heappush(ready, position[target])
    return [*ordered, *(key for key in names if waiting[key])]
