"""All that a page shows, as plain data. Nodes, calls and factors are numbered, so that no name is ever a key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dataflow.draw.picture.calls import Calls
from dataflow.draw.picture.picture import Kind, Picture
from dataflow.execution.inputs import batch_symbol
from dataflow.graph.node import INPUT
from dataflow.model.model import Model
from dataflow.notation.names import Names
from dataflow.viewer.fitting import cut_to_fit, left_out
from dataflow.viewer.graphs import OPEN_AT_FIRST, Layout, find_folding, lay_out, title_of, widest_picture
from dataflow.viewer.numbers import matrix, short
from dataflow.viewer.page_texts import NodeWriter
from dataflow.viewer.pass_numbers import Pass, find_passes
from dataflow.viewer.replay import Observer
from dataflow.viewer.settings import Settings
from dataflow.viewer.steps import Walk, find_walk
from dataflow.viewer.trained import training_data

LONGEST_DOC = 4000


def page_content(
    model: Model, settings: Settings, inputs: Mapping[str, Any] | None, observer: Observer | None = None
) -> dict[str, Any]:
    """Collect the data of a page, which JSON can hold. ``inputs`` are the model's, else those that it declares."""
    folding = find_folding(model, settings.max_nodes)
    picture = widest_picture(model, folding, settings.max_nodes)
    walk = find_walk(model, picture, settings.of, settings.wrt)
    every_pass = find_passes(model, walk, inputs, settings.examples, settings.example)
    names = _names(model, picture, walk, folding.calls.calls)
    number = {name: i for i, name in enumerate(names)}
    writer = NodeWriter(model, picture, Names(model.graph, settings.notation), number, walk.visible)
    side, passes = cut_to_fit(every_pass.passes, names, walk, settings.examples)
    folded = [note.partition(";")[0] for note in picture.notes]  # what follows is advice on another command
    notes = [*folding.notes, *folded, *walk.notes, *every_pass.notes, *left_out(every_pass, passes)]
    moving = model.graph.depending_on(model.graph.names(INPUT))
    fixed, changing = ([name for name in names if (name in moving) == changes] for changes in (False, True))
    lengths = _lengths(passes, names)
    layouts = list(lay_out(model, folding, lengths, settings))
    calls = list(folding.calls.calls)
    known = model.feed(inputs)[0]
    return {
        "title": model.name or "model",
        "doc": model.doc.strip()[:LONGEST_DOC],
        "nodes": [writer.node(name) for name in names],
        "forward": [number[name] for name in walk.forward],
        "of": None if walk.of is None else number[walk.of],
        "why_not": walk.why_not,
        "factors": _factors(walk, number, writer),
        "ways": [{"wrt": number[name], "factors": list(walk.ways[name])} for name in walk.wrt if walk.of is not None],
        "side": side,
        "fixed": _values(passes[0], fixed, number, side),
        "passes": [_pass(page_pass, walk, changing, number, side) for page_pass in passes],
        "pass": _first_pass(passes, walk),
        "quiz": settings.quiz,
        "batch": batch_symbol(model.graph),
        "calls": [{"path": path, "title": title_of(folding.calls, path, writer.names)} for path in calls],
        "layouts": [_layout(layout, number, folding.calls, lengths) for layout in layouts],
        "layout": _first(layouts),
        "training": training_data(model, known, settings.frames, observer),
        "notes": list(dict.fromkeys(notes)),
    }


def _names(model: Model, picture: Picture, walk: Walk, calls: Iterable[str]) -> list[str]:
    """List the nodes that the page knows, in topological order; a folded call shows its output."""
    wanted = (
        {node.key for node in picture.nodes} | set(walk.forward) | set(walk.cotangents) | set(walk.wrt) | set(calls)
    )
    return [name for name in model.graph.schedule() if name in wanted]


# ------------------------------------------------------------------------------------------------ the parts


def _lengths(passes: Sequence[Pass], names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return the lengths of the longest texts that the page will write into each node."""
    none = len("not computed")
    return {
        name: (
            max(len(short(page_pass.values[name])) if name in page_pass.values else none for page_pass in passes),
            max(
                (len(_short_cotangent(page_pass, name)) for page_pass in passes if name in page_pass.cotangents),
                default=0,
            ),
        )
        for name in names
    }


def _factors(walk: Walk, number: Mapping[str, int], writer: NodeWriter) -> list[dict[str, Any]]:
    shared: dict[int, list[int]] = {}
    for wrt, way in walk.ways.items():
        for i in way:
            shared.setdefault(i, []).append(number[wrt])
    return [
        {
            "of": number[edge[0]],
            "wrt": number[edge[1]],
            "argument": edge[2],
            "inside": walk.inside[edge],
            "formula": writer.local_formula(edge[0], edge[1], edge[2]),
            "shared": shared.get(i, []),
        }
        for i, edge in enumerate(walk.factors)
    ]


def _first_pass(passes: Sequence[Pass], walk: Walk) -> int:
    """The example to begin with: the first of those whose gradients have the fewest zeros, so that there is something
    to see on every way back."""

    def zeros(page_pass: Pass) -> int:
        return sum(int((page_pass.cotangents[name] == 0).sum()) for name in walk.wrt if name in page_pass.cotangents)

    examples = [i for i, page_pass in enumerate(passes) if page_pass.example is not None and page_pass.cotangents]
    return min(examples, key=lambda i: zeros(passes[i]), default=0)


def _values(page_pass: Pass, names: Sequence[str], number: Mapping[str, int], side: int) -> dict[str, Any]:
    known = [name for name in names if name in page_pass.values]
    return {
        "values": {str(number[name]): matrix(page_pass.values[name], side) for name in known},
        "short": {str(number[name]): short(page_pass.values[name]) for name in known},
    }


def _pass(page_pass: Pass, walk: Walk, names: Sequence[str], number: Mapping[str, int], side: int) -> dict[str, Any]:
    cotangents = {str(number[name]): array for name, array in page_pass.cotangents.items()}
    return {
        "label": page_pass.label,
        "example": page_pass.example,
        **_values(page_pass, names, number, side),
        "missing": {str(number[name]): inputs for name, inputs in page_pass.missing.items() if name in number},
        "notes": page_pass.notes,
        "problem": page_pass.problem,
        "cotangents": {key: matrix(array, side) for key, array in cotangents.items()},
        "shaped": {
            str(number[name]): matrix(array.reshape(page_pass.values[name].shape), side)
            for name, array in page_pass.cotangents.items()
            if len(array) == 1 and page_pass.values[name].shape[:-1] and array.size != page_pass.values[name].shape[-1]
        },
        "short_cotangents": {str(number[name]): _short_cotangent(page_pass, name) for name in page_pass.cotangents},
        "factors": [
            {**matrix(page_pass.factors[edge], side), "structure": page_pass.factors[edge].structure}
            if edge in page_pass.factors
            else None
            for edge in walk.factors
        ],
        "terms": {
            str(i): matrix(page_pass.terms[edge], side)
            for i, edge in enumerate(walk.factors)
            if edge in page_pass.terms
        },
    }


def _short_cotangent(page_pass: Pass, name: str) -> str:
    array = page_pass.cotangents[name]
    return short(array.reshape(page_pass.values[name].shape) if len(array) == 1 else array)


def _layout(
    layout: Layout, number: Mapping[str, int], calls: Calls, lengths: Mapping[str, tuple[int, int]]
) -> dict[str, Any]:
    picture = layout.picture
    position = {path: i for i, path in enumerate(calls.calls)}
    keys = {node.key: i for i, node in enumerate(picture.nodes)}
    of_cluster = {cluster.key: cluster.key.removeprefix("forward:") for cluster in picture.clusters}
    return {
        "open": [i for path, i in position.items() if path in layout.open],
        "svg": layout.svg,
        "nodes": [
            {
                "node": number.get(node.key),
                "kind": str(node.kind),
                "label": node.lines[0].text if node.lines else node.key,
                "members": list(node.members),
                "call": position[node.key] if node.kind == Kind.BLOCK else None,
                "inside": [position[path] for path in calls.around(of_cluster.get(node.cluster or ""))],
                "room": [bool(length) for length in lengths.get(node.key, (0, 0))],
            }
            for node in picture.nodes
        ],
        "edges": [[keys[edge.source], keys[edge.target]] for edge in picture.edges],
        "clusters": [position[of_cluster[cluster.key]] for cluster in picture.clusters],
    }


def _first(layouts: Sequence[Layout]) -> int:
    """Choose the first layout: all unfolded, unless that is a large graph."""
    last = len(layouts) - 1
    return last if len(layouts[last].picture.nodes) <= OPEN_AT_FIRST else 0
