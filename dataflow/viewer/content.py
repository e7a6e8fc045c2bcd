"""All that a page shows, as plain data. Nodes, calls and factors are numbered, so that no name is ever a key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataflow.draw.calls import Calls
from dataflow.draw.labels import one_line
from dataflow.draw.picture import Kind, Picture, Role
from dataflow.errors import DataError
from dataflow.graph import INPUT, OP
from dataflow.model import Model
from dataflow.shapes import format_shape
from dataflow.viewer.graphs import MOST_NODES, OPEN_AT_FIRST, Layout, find_folding, lay_out, title_of, widest_picture
from dataflow.viewer.numbers import entries, matrix, short
from dataflow.viewer.passes import EXAMPLES_LIMIT, Pass, Passes, find_passes
from dataflow.viewer.replay import Observer
from dataflow.viewer.trained import training_data
from dataflow.viewer.walk import Walk, find_walk

BUDGET = 150_000
"""So many numbers at most are in a page: matrices are cut down, and then examples left out, until they fit."""
SIDES = (32, 24, 16)
"""To so many rows and columns matrices are cut down, before examples are left out; then further."""
SMALL_SIDES = (12, 8, 4)
LONGEST_DOC = 4000


@dataclass(frozen=True)
class Settings:
    """What the user chose."""

    of: str | None = None
    wrt: tuple[str, ...] | None = None
    example: int | None = None
    examples: int | None = None
    frames: int | None = None
    down: bool = True
    max_nodes: int = MOST_NODES
    engine: str | None = None
    time_limit: float = 60.0


def page_content(
    model: Model, settings: Settings, given: Mapping[str, Any] | None, observer: Observer | None = None
) -> dict[str, Any]:
    """The data of a page, which JSON can hold. ``given`` are the model's inputs, else those that it declares."""
    folding = find_folding(model, settings.max_nodes)
    picture = widest_picture(model, folding, settings.max_nodes)
    walk = find_walk(model, picture, settings.of, settings.wrt)
    found = find_passes(model, walk, given, settings.examples, settings.example)
    names = _names(model, picture, walk, folding.calls.calls)
    number = {name: i for i, name in enumerate(names)}
    side, passes = _cut(found.passes, names, walk, settings.examples)
    folded = [note.partition(";")[0] for note in picture.notes]  # what follows is advice on another command
    notes = [*folding.notes, *folded, *found.notes, *_left_out(found, passes)]
    moving = model.graph.depending_on(model.graph.names(INPUT))
    fixed, changing = ([name for name in names if (name in moving) == one] for one in (False, True))
    lengths = _lengths(passes, names)
    layouts = list(
        lay_out(
            model,
            folding,
            lengths,
            down=settings.down,
            max_nodes=settings.max_nodes,
            engine=settings.engine,
            time_limit=settings.time_limit,
        )
    )
    calls = list(folding.calls.calls)
    known = model.feed(given)[0]
    return {
        "title": model.name or "model",
        "doc": model.doc.strip()[:LONGEST_DOC],
        "nodes": [_node(model, picture, name, number) for name in names],
        "forward": [number[name] for name in walk.forward],
        "of": None if walk.of is None else number[walk.of],
        "why_not": walk.why_not,
        "factors": _factors(walk, number),
        "ways": [{"wrt": number[name], "factors": list(walk.ways[name])} for name in walk.wrt if walk.of is not None],
        "side": side,
        "fixed": _values(passes[0], fixed, number, side),
        "passes": [_pass(one, walk, changing, number, side) for one in passes],
        "calls": [{"path": path, "title": title_of(folding.calls, path)} for path in calls],
        "layouts": [_layout(layout, number, folding.calls, lengths) for layout in layouts],
        "layout": _first(layouts),
        "training": training_data(model, known, settings.frames, observer),
        "notes": list(dict.fromkeys(notes)),
    }


def _names(model: Model, picture: Picture, walk: Walk, calls: Iterable[str]) -> list[str]:
    """The nodes that the page knows, in topological order; a folded call shows its output."""
    wanted = (
        {node.key for node in picture.nodes} | set(walk.forward) | set(walk.cotangents) | set(walk.wrt) | set(calls)
    )
    return [name for name in model.graph.schedule() if name in wanted]


# ------------------------------------------------------------------------------------------------ how much fits


def _cut(passes: Sequence[Pass], names: Sequence[str], walk: Walk, asked: int | None) -> tuple[int, list[Pass]]:
    """To how many rows and columns matrices are cut, and the passes that there is room for: the first ones. Examples
    that were not ``asked`` for are left out before matrices are cut down far."""
    counts = sorted({len(passes), *(count for count in (8, 4, 2, 1) if count < len(passes))}, reverse=True)
    choices = [(count, side) for count in counts for side in SIDES if count >= min(4, len(passes))]
    choices += [(count, side) for count in counts for side in SMALL_SIDES]
    if asked is not None:
        choices = [(len(passes), side) for side in (*SIDES, *SMALL_SIDES)] + choices
    for count, side in choices:
        if sum(_size(one, names, walk, side) for one in passes[:count]) <= BUDGET:
            return side, list(passes[:count])
    return SMALL_SIDES[-1], list(passes[:1])


def _size(one: Pass, names: Sequence[str], walk: Walk, side: int) -> int:
    shapes = [one.values[name].shape for name in names if name in one.values]
    shapes += [array.shape for array in (*one.cotangents.values(), *one.terms.values())]
    shapes += [one.factors[edge].shape for edge in walk.factors if edge in one.factors]
    return sum(entries(shape, side) for shape in shapes)


def _left_out(found: Passes, kept: Sequence[Pass]) -> list[str]:
    """Which examples are not in the page, and why."""
    if found.examples is None:
        return []
    shown = sum(one.example is not None for one in kept)
    notes = []
    if shown < found.examples:
        why = ", as more would make it too large" if len(kept) < len(found.passes) else ""
        choose = "--example takes one of them" if why else "--examples takes more, --example one of them"
        notes.append(f"the page has {shown} of the batch's {found.examples:,} examples{why}; {choose}")
    if found.examples > 1 and all(one.example is not None for one in kept):
        notes.append("the batch as a whole, with its summed gradients, is not in the page")
    return notes


def _lengths(passes: Sequence[Pass], names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The longest texts that the page will write into each node."""
    none = len("not computed")
    return {
        name: (
            max(len(short(one.values[name])) if name in one.values else none for one in passes),
            max((len(_short_cotangent(one, name)) for one in passes if name in one.cotangents), default=0),
        )
        for name in names
    }


# ------------------------------------------------------------------------------------------------ the parts


def _node(model: Model, picture: Picture, name: str, number: Mapping[str, int]) -> dict[str, Any]:
    graph, data = model.graph, model.graph.nodes[name]
    found: dict[str, Any] = {
        "name": name,
        "kind": data["kind"],
        "role": "loss" if name == model.loss else "output" if name in model.outputs else "",
        "shape": format_shape(data["shape"]),
        "dtype": data["dtype"].name,
        "arguments": [],
    }
    if data["kind"] != OP:
        return found
    drawn = next((node for node in picture.nodes if node.key == name), None)
    members = [one for one in drawn.members if graph.nodes[one]["kind"] == OP] if drawn is not None else [name]
    op = graph.op_of(name)
    sources = (
        argument for one in (drawn.members if drawn is not None else members) for argument in graph.arguments(one)
    )
    lines = [line.text for line in drawn.lines if line.role == Role.EXPRESSION] if drawn is not None else []
    return {
        **found,
        "arguments": [number[one] for one in dict.fromkeys(sources) if isinstance(one, str) and one in number],
        "formula": one_line(lines),
        "op": data["op"],
        "ops": [str(graph.nodes[one]["op"]) for one in members],
        "signature": op.signature,
        "summary": op.summary,
    }


def _factors(walk: Walk, number: Mapping[str, int]) -> list[dict[str, Any]]:
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
            "shared": shared.get(i, []),
        }
        for i, edge in enumerate(walk.factors)
    ]


def _values(one: Pass, names: Sequence[str], number: Mapping[str, int], side: int) -> dict[str, Any]:
    known = [name for name in names if name in one.values]
    return {
        "values": {str(number[name]): matrix(one.values[name], side) for name in known},
        "short": {str(number[name]): short(one.values[name]) for name in known},
    }


def _pass(one: Pass, walk: Walk, names: Sequence[str], number: Mapping[str, int], side: int) -> dict[str, Any]:
    cotangents = {str(number[name]): array for name, array in one.cotangents.items()}
    return {
        "label": one.label,
        "example": one.example,
        **_values(one, names, number, side),
        "missing": {str(number[name]): inputs for name, inputs in one.missing.items() if name in number},
        "notes": one.notes,
        "problem": one.problem,
        "cotangents": {key: matrix(array, side) for key, array in cotangents.items()},
        "shaped": {
            str(number[name]): matrix(array.reshape(one.values[name].shape), side)
            for name, array in one.cotangents.items()
            if len(array) == 1 and one.values[name].shape[:-1] and array.size != one.values[name].shape[-1]
        },
        "short_cotangents": {str(number[name]): _short_cotangent(one, name) for name in one.cotangents},
        "factors": [
            {**matrix(one.factors[edge], side), "structure": one.factors[edge].structure}
            if edge in one.factors
            else None
            for edge in walk.factors
        ],
        "terms": {str(i): matrix(one.terms[edge], side) for i, edge in enumerate(walk.factors) if edge in one.terms},
    }


def _short_cotangent(one: Pass, name: str) -> str:
    array = one.cotangents[name]
    return short(array.reshape(one.values[name].shape) if len(array) == 1 else array)


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
    """All unfolded, unless that is a large graph."""
    last = len(layouts) - 1
    return last if len(layouts[last].picture.nodes) <= OPEN_AT_FIRST else 0


def check_settings(settings: Settings) -> None:
    """A ``DataError`` for what cannot be."""
    if settings.examples is not None and not 1 <= settings.examples <= EXAMPLES_LIMIT:
        raise DataError(f"a page has 1 to {EXAMPLES_LIMIT} examples, not examples={settings.examples}")
    if settings.frames is not None and settings.frames < 0:
        raise DataError(f"the number of frames is 0 or more, not {settings.frames}")
    if settings.max_nodes < 1:
        raise DataError(f"a graph has at least one node, not max_nodes={settings.max_nodes}")
