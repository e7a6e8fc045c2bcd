"""Building a graph from declared nodes, in their order, and from the blocks that they call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from dataflow.errors import DataflowError, DtypeError, GraphError, OpError, ShapeError
from dataflow.expressions.build_nodes import NUMBERS, build
from dataflow.files.toml.blocks import Blocks
from dataflow.files.toml.bodies import Bodies
from dataflow.files.toml.declarations import check_attributes
from dataflow.files.toml.known_keys import Fields
from dataflow.files.toml.nodes import Call, Level, Node
from dataflow.files.toml.read_block import Block
from dataflow.graph.graph import Graph
from dataflow.graph.node import CONSTANT
from dataflow.graph.value import Value
from dataflow.limits import advice, current, spend
from dataflow.operations.attributes import plain
from dataflow.operations.engine_ops import identity
from dataflow.operations.operands import refuse_outputs
from dataflow.operations.outputs import Outputs, several_outputs
from dataflow.registry import registry
from dataflow.support.texts import shorten

Result: TypeAlias = "Value | Outputs | int | float | None"


@dataclass(frozen=True)
class Site:
    """Where nodes are built: in the file itself, or in the call of a block at ``path``."""

    level: Level
    path: str = ""
    owner: str = ""
    """The path of the call whose parameters are used."""
    block: Block | None = None
    caller: str = ""
    """The call and where it stands, for messages."""

    def name(self, name: str) -> str:
        """The full name of what is called ``name`` here."""
        return f"{self.path}.{name}" if self.path else name


class Builder:
    """Adds nodes to a graph. What is wrong with one is an error with its place."""

    def __init__(self, graph: Graph, blocks: Blocks, bodies: Bodies | None = None) -> None:
        self.graph = graph
        self.bodies = bodies or Bodies(blocks, graph.dtype, _add_body, [len(graph)])
        self.blocks = blocks
        self.calls: dict[str, dict[str, Any]] = {}
        """For each call of a block by its path: the block, whose parameters it shares, its inputs, the attributes that
        it changes."""
        self.registered: dict[str, Any] = {}
        """The declarations of the blocks that were called and that plugins have."""
        self._members: dict[str, dict[str, Result]] = {}

    def add(self, site: Site, scope: dict[str, Result]) -> None:
        """Add all nodes of a level. ``scope`` has what else is declared there, and gets the nodes."""
        for name in site.level.order:
            node = site.level.nodes[name]
            try:
                scope[name] = self._add_node(node, scope, site)
            except DataflowError as error:
                raise _placed(error, node, site) from None

    def _add_node(self, node: Node, scope: Mapping[str, Result], site: Site) -> Value | Outputs:
        is_output = site.block is not None and site.block.output == node.name
        namer = _Namer(self.graph, site, site.name(node.name))
        result = self._evaluate(node, scope, site, namer)
        if node.calls_block and not is_output:
            assert isinstance(result, Value)
            return result
        if isinstance(result, Outputs):
            self._check_outputs(result, node.name, is_output)
        if node.calls:
            namer.name_all(but=result)
        return namer.finish(site.path if is_output else namer.target, result)

    def _check_outputs(self, outputs: Outputs, name: str, is_output: bool) -> None:
        """Refuse more nodes than a file may have, which nobody counts before, and a block that gives several arrays."""
        if len(self.graph) + len(outputs) > (most := current().nodes):
            message = f"with all outputs of ops there are more than {most} nodes"
            raise GraphError(message + advice("nodes", len(self.graph) + len(outputs)))
        if is_output:
            message = f"the output of a block is one array, and '{name}'"
            raise GraphError(several_outputs(message, outputs.names, lambda output: f"{name}['{output}']"))

    def _evaluate(self, node: Node, scope: Mapping[str, Result], site: Site, namer: _Namer) -> Result:
        known: Any = scope  # a block's input may be a number, which an expression takes as well as a value
        if node.text is None:
            return self._apply(node, scope, site, namer)
        call = partial(self._next_call, iter(node.calls), site, namer)
        functions: dict[str, Callable[..., Value]] = dict.fromkeys(self.blocks.names, call)
        bodies = partial(self.bodies.with_graphs, level=site.level.fields)
        return build(node.text, self.graph, known, functions, site.level.attributes, bodies, parses=True)

    def _apply(self, node: Node, scope: Mapping[str, Result], site: Site, namer: _Namer) -> Value | Outputs:
        """A node in the long form."""
        arguments = [_argument(item, scope) for item in node.inputs]
        if node.calls:
            return self._call(node.calls[0], arguments, site, namer)
        try:
            op = registry.lookup(node.op)
        except OpError as error:
            raise node.placed(error, "op") from None
        try:
            attributes = self.bodies.with_graphs(op, node.attributes, node.level)
        except DataflowError as error:
            raise node.placed(error, "attributes") from None
        fields = Fields(node.level.document, node.attributes, (*node.level.path, node.key, "attributes"), "attributes")
        check_attributes(fields, op.attributes, attributes, f"op '{op.name}'")
        try:
            if op.has_outputs:
                return self.graph.apply_outputs(op, arguments, attributes)
            return self.graph.apply(op, arguments, attributes)
        except OpError as error:
            raise node.placed(error, "inputs") from None

    def _next_call(self, pending: Iterator[Call], site: Site, namer: _Namer, *arguments: Any, **_: Any) -> Value:
        # Blocks are called in the order in which the calls were collected; the keywords were read then.
        return self._call(next(pending), arguments, site, namer)

    def _call(self, call: Call, arguments: Sequence[Any], site: Site, namer: _Namer) -> Value:
        namer.name_all()
        block = self.blocks.of(call)
        for name, argument in zip(block.inputs, arguments, strict=True):
            refuse_outputs(argument)
            if argument is None:
                raise OpError(f"input '{name}' of block '{block.name}' takes a value or a number, not None")
        if call.repeat is None:
            return self._enter(call.path, block, arguments, site)
        for number in range(1, call.repeat + 1):
            arguments = [self._enter(f"{call.path}.{number}", block, arguments, site)]
        spend(10, site.name(call.path))
        result: Value = self.graph.apply(identity, arguments, name=site.name(call.path))
        self.graph.change_node(result.name, block=site.path or None)
        return result

    def _enter(self, call_path: str, block: Block, arguments: Sequence[Any], site: Site) -> Value:
        """Add the nodes of one call, whose path is counted from the level of ``site``."""
        path = site.name(call_path)
        spend(60, path)
        if not self.blocks.is_own(block):
            self._check_name(block)
            self.registered[block.name] = block.fields.data
        found = self.blocks.owner(site.level, call_path)
        assert found is not None
        owner = f"{site.owner}.{found[0]}" if site.owner else found[0]
        self.calls[path] = {
            "block": block.name,
            "share": owner if owner != path else None,
            "inputs": [argument.name if isinstance(argument, Value) else argument for argument in arguments],
        }
        if block.changed:
            self.calls[path]["attributes"] = {name: plain(value) for name, value in block.changed.items()}
        inner = Site(block.level, path, owner, block, f"call '{path}' of block '{block.name}'")
        scope = {**dict(zip(block.inputs, arguments, strict=True)), **self._declared(owner, block), **block.numbers}
        self.add(inner, scope)
        assert block.output is not None
        output = scope[block.output]
        if block.output not in block.level.nodes:
            output = _Namer(self.graph, inner, path).finish(path, output)
        assert isinstance(output, Value)
        return output

    def _check_name(self, block: Block) -> None:
        if block.name in self.blocks.own:
            message = (
                f"a block of a plugin calls the plugin's block '{block.name}', and the file has another of that name; "
                "call the file's something else"
            )
            raise self.blocks.fields.placed(GraphError(message), block.name)

    def _declared(self, owner: str, block: Block) -> dict[str, Result]:
        """The parameters and constants of a call and of those that share with it."""
        if owner not in self._members:
            members: dict[str, Result] = {}
            for name, declaration in block.declarations.items():
                full = f"{owner}.{name}"
                members[name] = declaration.add(self.graph, full)
                self.graph.change_node(full, block=owner)
            self._members[owner] = members
        return self._members[owner]


def _add_body(graph: Graph, level: Level, scope: dict[str, Result], bodies: Bodies) -> None:
    """Add the nodes of a block whose graph an attribute holds."""
    Builder(graph, bodies.blocks, bodies).add(Site(level), scope)
    for name, value in scope.items():
        if isinstance(value, int | float):
            scope[name] = graph.constant(None, value)


class _Namer:
    """Names the inner nodes of one declared node: NODE.OP, NODE.OP_2, ..., in the order of evaluation."""

    def __init__(self, graph: Graph, site: Site, target: str) -> None:
        self.graph = graph
        self.block = site.path or None
        self.target = target
        self.counts: dict[str, int] = {}

    def name_all(self, but: Result | None = None) -> None:
        """Name what has no name yet: before each call of a block, lest its inputs be taken for its nodes."""
        for name in list(self.graph.unnamed):
            if isinstance(but, Value) and name == but.name:
                continue
            base = self.graph.node_of(name).op or CONSTANT
            self.counts[base] = self.counts.get(base, 0) + 1
            suffix = f"_{self.counts[base]}" if self.counts[base] > 1 else ""
            self.graph.change_node(name, block=self.block)
            self.graph.node(f"{self.target}.{base}{suffix}", self.graph.value(name))

    def finish(self, name: str, result: Result) -> Value | Outputs:
        """Give the result its name; a plain number becomes a node as well."""
        if not isinstance(result, Value | Outputs):
            result = self.graph.apply(identity, [result])
        if self.block is not None:
            for unnamed in self.graph.unnamed:
                self.graph.change_node(unnamed, block=self.block)
        named = self.graph.node(name, result, inner=self.target)
        if self.block is not None:
            for value in [named] if isinstance(named, Value) else list(named):
                self.graph.change_node(value.name, block=self.block)
        return named


def _argument(item: str | float, scope: Mapping[str, Result]) -> Result:
    if not isinstance(item, str):
        return item
    if item == "None":
        return None
    name, colon, output = item.partition(":")
    if colon:
        outputs = scope[name]
        if not isinstance(outputs, Outputs):
            raise OpError(f"'{name}' is one array, and has no output '{output}'")
        value: Value = outputs[output]
        return value
    return scope[name] if name in scope else NUMBERS[name]


def _placed(error: DataflowError, node: Node, site: Site) -> DataflowError:
    """The error with its place; where shapes do not fit, also the node, what it is, and the call that it is for."""
    if error.line is None and isinstance(error, ShapeError | DtypeError):
        error.at(node=site.name(node.name))
        if node.text is not None and node.text.replace(" ", "") not in error.message.replace(" ", ""):
            error.message += f', in "{shorten(node.text, 80)}"'
        if site.caller:
            error.message += f", for the {site.caller}"
    return node.placed(error)
