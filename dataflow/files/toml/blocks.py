"""Blocks: groups of nodes that a file declares once and calls like ops, each call with parameters of its own.

A call has a path: ``h`` for ``h = "layer(x)"``, and ``h.layer`` inside ``h = "relu(layer(x))"``. Its parameters,
constants and nodes are ``PATH.NAME``, its output is ``PATH``. A call that shares has the parameters and constants of
another, its owner. A block may call blocks, whose calls have paths that begin with the path of the call they are in. A
call that repeats stands for calls whose paths are ``PATH.1``, ``PATH.2`` and so on.

What a block is depends on its attributes, so that it is read once for all calls that give it the same. Besides its own
blocks a file calls those of plugins; these see only each other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.errors import DataflowError, GraphError, OpError, counted, nearest
from dataflow.files.toml.declarations import Names
from dataflow.files.toml.known_keys import Fields, shown
from dataflow.files.toml.nodes import CALL_KEYWORDS, Call, Level, check_ops
from dataflow.files.toml.read_block import Block, Heading, read_block, read_heading
from dataflow.files.toml.registered_blocks import registered_block
from dataflow.graph.node_names import is_repetition, known_beginning
from dataflow.limits import advice, current
from dataflow.operations import attributes as attribute_module
from dataflow.registry import registry
from dataflow.support.topological import topological_order

MAX_DEPTH = 32
"""How deep calls of blocks may be nested."""
LEAST = 128
"""As so many nodes counts at least each reading of a block for other attributes: a few letters can ask for many."""


@dataclass(frozen=True)
class Measure:
    """How many nodes a call of a block adds, inner calls counted, and how deep calls are nested in it."""

    size: int
    depth: int


class Blocks:
    """All blocks that a file can call, checked. ``names`` are what its nodes can call."""

    def __init__(self, fields: Fields, default: np.dtype) -> None:
        self.fields = fields
        self._default = default
        self._registered = registry.registry().blocks.keys()
        names = Names(fields.document)
        self._own = {names.claim(key, "block", (*fields.path, key)): key for key in fields.data}
        self.names: Collection[str] = self._own.keys() | self._registered
        for name, key in self._own.items():
            if name in registry.registry().ops:
                raise fields.placed(GraphError(f"there is an op '{name}'; call the block something else"), key)
        self._headings: dict[tuple[bool, str], Heading] = {}
        self._blocks: dict[tuple[bool, str, str], Block] = {}
        self._measures: dict[Block, Measure] = {}
        self._extra = 0
        own = [self._with(True, name, {}) for name in self._own]
        self._check_order(own)
        for block in own:
            self.check_calls(block.level)
            check_ops(block.level)

    @property
    def own(self) -> dict[str, Any]:
        """The declarations of the file's own blocks by name."""
        return {name: self.fields.data[key] for name, key in self._own.items()}

    def is_own(self, block: Block) -> bool:
        """Whether the file declares the block, and no plugin."""
        return block.fields.document is self.fields.document

    def of(self, call: Call) -> Block:
        """The block that is called, with the attributes that the call gives it."""
        is_own = call.block in self._own and call.node.level.document is self.fields.document
        heading = self._heading(is_own, call.block)
        known = [*heading.attributes, *CALL_KEYWORDS]
        for name in call.attributes:
            if name not in heading.attributes:
                message = f"block '{call.block}' has no attribute '{name}'{nearest(name, known)}"
                raise call.placed(OpError(message), "attributes", name)
            try:
                heading.attributes[name].check(call.attributes[name])
            except OpError as error:
                error.message = f"block '{call.block}': {error.message}"
                raise call.placed(error, "attributes", name) from None
        return self._with(is_own, call.block, call.attributes, call)

    def named(self, name: str, level: Fields) -> Block:
        """The block of that name that nodes of this level see, with the attributes that it has unless a call gives
        others."""
        is_own = name in self._own and level.document is self.fields.document
        if not is_own and name not in self._registered:
            raise GraphError(f"there is no block '{name}'{nearest(name, self.names)}")
        return self._with(is_own, name, {})

    def check_calls(self, level: Level, besides: int = 0) -> None:
        """Refuse calls with inputs, keywords or a size that cannot be: thirty blocks that each call another twice are
        enough to fill any memory. There are ``besides`` nodes already."""
        size, most = besides + level.size, current().nodes
        if size > most:
            raise level.fields.placed(GraphError(_too_many(size, most)))
        for call in level.calls.values():
            self._check_keywords(call)
            block = self.of(call)
            if block.output is None:
                message = f"block '{block.name}' has several outputs: it is a graph for an op's attribute, not called"
                raise call.placed(OpError(message))
            if call.count != len(block.inputs):
                takes = counted(len(block.inputs), "input")
                listed = f" ({', '.join(block.inputs)})" if block.inputs else ""
                message = f"block '{block.name}' takes {takes}{listed}, {call.count} given"
                raise call.placed(OpError(message), "inputs")
            size += self._measure_call(call)
            if size > most:
                raise call.placed(GraphError(_too_many(size, most)))
        for call in level.calls.values():
            if call.share is not None:
                self._check_share(level, call, call.share)

    def owner(self, level: Level, path: str) -> tuple[str, Block] | None:
        """The path of the call whose parameters the call at ``path`` has, and the block that it calls; both paths count
        from ``level``. None if there is no such call; a ``GraphError`` if it shares with itself."""
        seen: dict[str, None] = {}
        sharing: dict[str, None] = {}
        found: tuple[str, Block] | None = None
        while found is None:
            if path in level.owners:
                found = level.owners[path]
                break
            if path.count(".") > 3 * MAX_DEPTH:  # a call adds three parts at most
                return None
            seen[path] = None
            head, rest = _split(level, path)
            if head is None:
                return None
            start = head.path
            if head.repeat is not None:
                number, _, rest = rest.partition(".")
                if not is_repetition(number) or int(number) > head.repeat:
                    return None
                start += f".{number}"
            if head.path in sharing:  # its share leads back to it, maybe to a call inside itself, and so on for ever
                circle = " -> ".join([*list(sharing)[list(sharing).index(head.path) :], head.path])
                raise GraphError(f"calls share in a circle, so that none has parameters: {circle}")
            if head.share is not None:
                sharing[head.path] = None
                path = f"{head.share}.{rest}" if rest else head.share
            elif rest:
                inner = self.owner(self.of(head).level, rest)
                if inner is None:
                    return None
                found = f"{start}.{inner[0]}", inner[1]
            else:
                found = start, self.of(head)
        level.owners.update(dict.fromkeys(seen, found))
        return found

    # -------------------------------------------------------------------------------------------- internals

    def _heading(self, is_own: bool, name: str) -> Heading:
        if (is_own, name) not in self._headings:
            parent, key = (self.fields, self._own[name]) if is_own else registered_block(name)
            self._headings[is_own, name] = read_heading(parent, key, name)
        return self._headings[is_own, name]

    def _with(self, is_own: bool, name: str, given: dict[str, Any], call: Call | None = None) -> Block:
        """The block, read for these attributes."""
        heading = self._heading(is_own, name)
        values = attribute_module.bind(heading.attributes, given, f"block '{name}'")
        key = is_own, name, repr(values)
        if key not in self._blocks:
            try:
                block = read_block(heading, values, self.names if is_own else self._registered, self._default)
            except DataflowError as error:
                if call is not None:
                    error.message += f", for the call '{call.path}' of block '{name}'"
                raise
            self._blocks[key] = block
            if call is not None:
                self._extra += max(block.size, LEAST)
                if self._extra > current().nodes:
                    message = "blocks are called with too many different attributes: each time they are read anew"
                    raise call.placed(GraphError(message + advice("nodes", self._extra)))
                check_ops(block.level)
        return self._blocks[key]

    def _check_keywords(self, call: Call) -> None:
        share, repeat = call.keywords.get("share"), call.keywords.get("repeat")
        wrong, keyword = None, "share"
        if share is not None and not isinstance(share, str):
            wrong = f"share takes the path of another call in quotes, not {shown(share)}"
        elif "repeat" in call.keywords:
            keyword = "repeat"
            if type(repeat) is not int or not 0 < repeat < 2**63:
                wrong = f"repeat takes how often the block is called, a whole number from 1, not {shown(repeat)}"
            elif share is not None:
                wrong = "a call that repeats has parameters of its own, so that it cannot share"
            elif call.node.level.version < 2:
                wrong = "repeat needs format 2; begin the file with: dataflow = 2"
            elif len(inputs := self.of(call).inputs) != 1:
                takes = f"takes {', '.join(inputs)}" if inputs else "takes none"
                wrong = f"repeat needs a block with one input, which goes on to the next; '{call.block}' {takes}"
        if wrong is not None:
            raise call.placed(OpError(wrong), "attributes", keyword)

    def _check_share(self, level: Level, call: Call, share: str) -> None:
        try:
            found = self.owner(level, share)
        except GraphError as error:
            raise call.placed(error, "attributes", "share") from None
        if found is None:
            known = [
                other.path if other.repeat is None else f"{other.path}.1"
                for other in level.calls.values()
                if other.block == call.block and other is not call
            ]
            hint = nearest(share, known) or "; no other node here calls it"
            message = f"there is no call {shown(share)} of block '{call.block}' to share with{hint}"
            raise call.placed(OpError(message), "attributes", "share")
        if found[1].name != call.block:
            message = f"'{share}' is a call of block '{found[1].name}', and '{call.block}' cannot use its parameters"
            raise call.placed(OpError(message), "attributes", "share")
        if found[1] is not self.of(call):
            other = ", ".join(f"{name}={shown(value)}" for name, value in found[1].attributes.items())
            message = f"'{share}' is a call with other attributes, so that its parameters are others; it has {other}"
            raise call.placed(OpError(message), "attributes", "share")

    def _check_order(self, own: list[Block]) -> None:
        """Refuse blocks that call themselves, or that are nested too deep."""
        by_name = {block.name: block for block in own}
        needs = {
            name: [call.block for call in block.level.calls.values() if call.block in by_name]
            for name, block in by_name.items()
        }
        order, cycle = topological_order(needs)
        if cycle:
            circle = " -> ".join([*cycle, cycle[0]][::-1])
            message = f"block '{cycle[0]}' calls itself: {circle}; a block is no loop"
            raise by_name[cycle[0]].fields.placed(GraphError(message))
        depths: dict[str, int] = {}
        for name in order:
            depths[name] = 1 + max((depths[inner] for inner in needs[name]), default=0)
            if depths[name] > MAX_DEPTH:
                raise by_name[name].fields.placed(GraphError(_TOO_DEEP))

    def _measure_call(self, call: Call, around: tuple[str, ...] = ()) -> int:
        """How many nodes a call adds."""
        measure = self._measure(call, around)
        return min(measure.size if call.repeat is None else measure.size * call.repeat + 1, 2**62)

    def _measure(self, call: Call, around: tuple[str, ...]) -> Measure:
        block = self.of(call)
        if block not in self._measures:
            if block.name in around and not self.is_own(block):
                raise block.fields.placed(GraphError(f"block '{block.name}' calls itself; a block is no loop"))
            inside = (*around, block.name)
            if len(inside) > 2 * MAX_DEPTH:
                raise block.fields.placed(GraphError(_TOO_DEEP))
            size, depth = block.size, 1
            for inner in block.level.calls.values():
                self._check_keywords(inner)
                size += self._measure_call(inner, inside)
                depth = max(depth, 1 + self._measures[self.of(inner)].depth)
            if depth > MAX_DEPTH:
                raise block.fields.placed(GraphError(_TOO_DEEP))
            self._measures[block] = Measure(min(size, 2**62), depth)
        return self._measures[block]


_TOO_DEEP = f"blocks are nested more than {MAX_DEPTH} deep"


def _too_many(size: int, most: int) -> str:
    return f"with all calls of blocks there are {size} nodes; a file has at most {most}" + advice("nodes", size)


def _split(level: Level, path: str) -> tuple[Call | None, str]:
    """The call of this level that ``path`` begins with, and what of the path is inside it."""
    head = known_beginning(path, level.calls)
    return (level.calls[head], path[len(head) + 1 :]) if head else (None, path)
