"""Building a graph from declared nodes, in their order, and from the blocks that they call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from dataflow import registry
from dataflow.errors import DataflowError, DtypeError, OpError, ShapeError
from dataflow.expression import NUMBERS, build
from dataflow.files.blocks import Block, Blocks
from dataflow.files.declarations import check_attributes
from dataflow.files.fields import Fields
from dataflow.files.nodes import Call, Level, Node
from dataflow.graph import CONSTANT, Graph
from dataflow.tokens import shorten
from dataflow.value import Value

Result: TypeAlias = "Value | int | float"


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

    def __init__(self, graph: Graph, blocks: Blocks) -> None:
        self.graph = graph
        self.blocks = blocks
        self.calls: dict[str, dict[str, Any]] = {}
        """For each call of a block by its path: the block, whose parameters it shares, its inputs."""
        self._members: dict[str, dict[str, Result]] = {}

    def add(self, site: Site, scope: dict[str, Result]) -> None:
        """Add all nodes of a level. ``scope`` has what else is declared there, and gets the nodes."""
        for name in site.level.order:
            node = site.level.nodes[name]
            try:
                scope[name] = self._add_node(node, scope, site)
            except DataflowError as error:
                raise _placed(error, node, site) from None

    def _add_node(self, node: Node, scope: Mapping[str, Result], site: Site) -> Value:
        is_output = site.block is not None and site.block.output == node.name
        namer = _Namer(self.graph, site, site.name(node.name))
        result = self._evaluate(node, scope, site, namer)
        if node.calls_block and not is_output:
            assert isinstance(result, Value)
            return result
        if node.calls:
            namer.name_all(but=result)
        return namer.finish(site.path if is_output else namer.target, result)

    def _evaluate(self, node: Node, scope: Mapping[str, Result], site: Site, namer: _Namer) -> Result:
        known: Any = scope  # a block's input may be a number, which an expression takes as well as a value
        if node.text is None:
            return self._apply(node, scope, site, namer)
        call = partial(self._next_call, iter(node.calls), site, namer)
        functions: dict[str, Callable[..., Value]] = dict.fromkeys(self.blocks, call)
        return build(node.text, self.graph, known, functions)

    def _apply(self, node: Node, scope: Mapping[str, Result], site: Site, namer: _Namer) -> Value:
        """A node in the long form."""
        arguments = [_argument(item, scope) for item in node.inputs]
        if node.calls:
            return self._call(node.calls[0], arguments, site, namer)
        try:
            op = registry.lookup(node.op)
        except OpError as error:
            raise node.placed(error, "op") from None
        fields = Fields(node.level.document, node.attributes, (*node.level.path, node.key, "attributes"), "attributes")
        check_attributes(fields, op.attributes, node.attributes, f"op '{op.name}'")
        try:
            return self.graph.apply(op, arguments, node.attributes)
        except OpError as error:
            raise node.placed(error, "inputs") from None

    def _next_call(self, pending: Iterator[Call], site: Site, namer: _Namer, *arguments: Any, **_: Any) -> Value:
        # Blocks are called in the order in which the calls were collected; the keywords were read then.
        return self._call(next(pending), arguments, site, namer)

    def _call(self, call: Call, arguments: Sequence[Any], site: Site, namer: _Namer) -> Value:
        namer.name_all()
        block = self.blocks[call.block]
        for name, argument in zip(block.inputs, arguments, strict=True):
            if argument is None:
                raise OpError(f"input '{name}' of block '{block.name}' takes a value or a number, not None")
        found = self.blocks.owner(site.level, call.path)
        assert found is not None
        path = site.name(call.path)
        owner = f"{site.owner}.{found[0]}" if site.owner else found[0]
        self.calls[path] = {
            "block": block.name,
            "share": owner if owner != path else None,
            "inputs": [argument.name if isinstance(argument, Value) else argument for argument in arguments],
        }
        inner = Site(block.level, path, owner, block, f"call '{path}' of block '{block.name}'")
        scope = {**dict(zip(block.inputs, arguments, strict=True)), **self._declared(owner, block)}
        self.add(inner, scope)
        output = scope[block.output]
        if block.output not in block.level.nodes:
            return _Namer(self.graph, inner, path).finish(path, output)
        assert isinstance(output, Value)
        return output

    def _declared(self, owner: str, block: Block) -> dict[str, Result]:
        """The parameters and constants of a call and of those that share with it."""
        if owner not in self._members:
            members: dict[str, Result] = {}
            for name, declaration in block.declarations.items():
                full = f"{owner}.{name}"
                members[name] = declaration.add(self.graph, full)
                self.graph.nodes[full]["block"] = owner
            self._members[owner] = members
        return self._members[owner]


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
            base = self.graph.nodes[name].get("op", CONSTANT)
            self.counts[base] = self.counts.get(base, 0) + 1
            suffix = f"_{self.counts[base]}" if self.counts[base] > 1 else ""
            self.graph.nodes[name]["block"] = self.block
            self.graph.node(f"{self.target}.{base}{suffix}", self.graph.value(name))

    def finish(self, name: str, result: Result) -> Value:
        """Give the result its name; a plain number becomes a node as well."""
        if not isinstance(result, Value):
            result = self.graph.apply(registry.lookup("identity"), [result])
        if self.block is not None:
            for unnamed in self.graph.unnamed:
                self.graph.nodes[unnamed]["block"] = self.block
        value = self.graph.node(name, result, inner=self.target)
        self.graph.nodes[name]["block"] = self.block
        return value


def _argument(item: str | float, scope: Mapping[str, Result]) -> Result:
    if not isinstance(item, str):
        return item
    return scope[item] if item in scope else NUMBERS[item]


def _placed(error: DataflowError, node: Node, site: Site) -> DataflowError:
    """The error with its place; where shapes do not fit, also the node, what it is, and the call that it is for."""
    if error.line is None and isinstance(error, ShapeError | DtypeError):
        error.at(node=site.name(node.name))
        if node.text is not None:
            error.message += f', in "{shorten(node.text, 80)}"'
        if site.caller:
            error.message += f", for the {site.caller}"
    return node.placed(error)
