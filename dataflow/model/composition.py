"""Composition: one model applied to another's outputs, as one model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dataflow.errors import GraphError, ShapeError, nearest
from dataflow.graph.graph import Graph
from dataflow.graph.node import INPUT, Node
from dataflow.graph.value import Value
from dataflow.graph.walk import walk
from dataflow.model.model import Model
from dataflow.operations.op import Op
from dataflow.shapes import Dim, Shape, Size, format_shape, renamed
from dataflow.support.arguments import checked


@checked
def compose(f: Model, g: Model, connect: Mapping[str, str] | None = None) -> Model:
    """The model f∘g: what f computes of what g computes.

    ``connect`` names, for inputs of f, the nodes of g that take their place. Unless given, f's inputs are g's outputs
    of the same name, or f's only input is g's only output. What is not connected stays an input. A name of f that g
    has too gets ``_2`` at its end; sizes that both call the same are the same. Parameters keep their values and blocks
    their names; outputs, loss and training settings are f's, declared data is g's. The same ops run in the same order
    as in f after g, so the results are the same bit for bit.
    """
    connected = dict(connect) if connect is not None else _matched(f, g)
    graph = Graph(f"{f.name}_of_{g.name}", f.graph.dtype)
    model_of = {name: name for name in g.graph}
    _copied(g.graph, graph, model_of, set(), {})
    sizes: dict[str, Dim] = {}
    for name, source in connected.items():
        if name not in f.graph or f.graph.node_of(name).kind != INPUT:
            raise GraphError(f"'{f.name}' has no input '{name}'{nearest(name, f.graph.names(INPUT))}")
        if source not in g.graph:
            raise GraphError(f"'{g.name}' has no node '{source}'{nearest(source, g.graph)}")
        _fit(name, f.graph.node_of(name).shape, source, g.graph.node_of(source).shape, sizes)
        if f.graph.node_of(name).dtype != g.graph.node_of(source).dtype:
            expected, found = f.graph.node_of(name).dtype, g.graph.node_of(source).dtype
            raise GraphError(f"input '{name}' is {expected}, '{source}' is {found}; declare it so")
    heads = _free_names({_head(name) for name in f.graph} - set(connected), {_head(name) for name in graph})
    names = {name: heads[_head(name)] + name[len(_head(name)) :] for name in f.graph if name not in connected}
    names.update(connected)
    _copied(f.graph, graph, names, set(connected), sizes)
    _copy_blocks(g.graph, graph, model_of)
    _copy_blocks(f.graph, graph, names)
    graph.classes.update(g.graph.classes)
    own = {name: texts for name, texts in f.graph.classes.items() if name not in connected}
    graph.classes.update({names[name]: texts for name, texts in own.items()})
    composed = Model(
        graph,
        [names[name] for name in f.outputs],
        None if f.loss is None else names[f.loss],
        targets={names[output]: names[target] for output, target in f.targets.items() if target not in connected},
        doc=f"{f.name or 'f'} of {g.name or 'g'}",
        data=None if g.data is None else replace(g.data),
        train=f.train_settings,
    )
    for part, mapping in ((g, model_of), (f, names)):
        for name in part.parameters:
            composed.parameters[mapping[name]] = part.parameters[name]
    return composed


def _matched(f: Model, g: Model) -> dict[str, str]:
    inputs = f.graph.names(INPUT)
    same = {name: name for name in inputs if name in g.outputs}
    if same:
        return same
    if len(inputs) == 1 and len(g.outputs) == 1:
        return {inputs[0]: g.outputs[0]}
    raise GraphError(
        f"which output of '{g.name}' ({', '.join(g.outputs)}) is which input of '{f.name}' ({', '.join(inputs)})? "
        "Say so with connect={'INPUT': 'OUTPUT'}"
    )


def _fit(name: str, expected: Shape, source: str, found: Shape, sizes: dict[str, Dim]) -> None:
    """Learn what the symbolic sizes of f stand for; a ``ShapeError`` names both shapes."""
    fits = len(expected) == len(found)
    for left, right in zip(expected, found, strict=False):
        known = left.substitute(sizes) if isinstance(left, Size) else left
        symbol = known.as_symbol if isinstance(known, Size) else None
        if symbol is not None and symbol not in sizes:
            sizes[symbol] = right
        elif known != right:
            fits = False
    if not fits:
        raise ShapeError(
            f"input '{name}' has the shape {format_shape(expected)}, '{source}' has {format_shape(found)} instead"
        )


def _head(name: str) -> str:
    """What a node inside an expression or a block is named after, and what all outputs of an op are."""
    return name.partition(".")[0].partition(":")[0]


def _free_names(own: Collection[str], taken: Collection[str]) -> dict[str, str]:
    """For each name one that is not taken, and not another's own."""
    found = {}
    for name in own:
        free, number = name, 2
        while free in taken or (free != name and free in own):
            free, number = f"{name}_{number}", number + 1
        found[name] = free
    return found


def _copy_blocks(source: Graph, target: Graph, names: Mapping[str, str]) -> None:
    """The blocks that a graph declares, their calls, and which call each node belongs to."""
    paths = {_head(name): _head(new) for name, new in names.items()}

    def moved(path: str) -> str:
        return names[path] if path in names else paths.get(_head(path), _head(path)) + path[len(_head(path)) :]

    declared = target.blocks
    blocks = {
        name: name if declared.get(name) == block else new
        for (name, block), new in zip(
            source.blocks.items(),
            _free_names(source.blocks, declared).values(),
            strict=True,
        )
    }
    for name, block in source.blocks.items():
        declared[blocks[name]] = block
    calls = target.calls
    for path, call in source.calls.items():
        calls[moved(path)] = {
            **call,
            "block": blocks[call["block"]],
            "share": None if call.get("share") is None else moved(call["share"]),
            "inputs": [moved(one) if isinstance(one, str) else one for one in call["inputs"]],
        }
    for name, node in source.node_items():
        if node.block is not None:
            target.change_node(names[name], block=moved(node.block))


def _copied(
    source: Graph, target: Graph, names: Mapping[str, str], skipped: set[str], sizes: Mapping[str, Dim]
) -> None:
    def declare(name: str, node: Node) -> Value:
        match node.kind:
            case "input":
                return target.input(names[name], renamed(node.shape, sizes), node.dtype)
            case "constant":
                return target.constant(names[name], node.value, node.dtype)
        shape = None if node.init is None else node.shape
        return target.parameter(names[name], shape, init=node.init, value=node.value, dtype=node.dtype)

    def apply(name: str, op: Op, node: Node, arguments: Sequence[Any]) -> Value:
        attributes = dict(node.attributes)
        for attribute in op.shape_attributes:
            if attributes[attribute] is not None:
                attributes[attribute] = renamed(attributes[attribute], sizes)
        return target.apply(op, arguments, attributes, name=names[name])

    known = {name: target.value(names[name]) for name in skipped}
    walk(source, source.schedule(), known, apply, declare)
