"""Blocks: groups of nodes that a file declares once and calls like ops, each call with parameters of its own.

A call has a path: ``h`` for ``h = "layer(x)"``, and ``h.layer`` inside ``h = "relu(layer(x))"``. Its parameters,
constants and nodes are ``PATH.NAME``, its output is ``PATH``. A call that shares has the parameters and constants of
another, its owner. A block may call blocks, whose calls have paths that begin with the path of the call they are in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow import registry
from dataflow.errors import DataflowError, GraphError, OpError, nearest
from dataflow.files.declarations import Declaration, Names, normal, read_declaration
from dataflow.files.fields import KEYS, Fields, shown
from dataflow.files.nodes import Call, Level, check_ops, sort
from dataflow.limits import advice, current

MAX_DEPTH = 32
"""How deep calls of blocks may be nested."""


@dataclass(frozen=True, eq=False)
class Block:
    """A declared block. ``output`` is the name of one of its nodes, or of what else it declares."""

    name: str
    fields: Fields
    inputs: tuple[str, ...]
    declarations: Mapping[str, Declaration]
    level: Level
    output: str

    @property
    def size(self) -> int:
        """How many nodes of the graph a call adds, without those of inner calls."""
        return len(self.declarations) + self.level.size + 1


class Blocks(Mapping[str, Block]):
    """All blocks of a file, checked."""

    def __init__(self, fields: Fields, default: np.dtype) -> None:
        self.fields = fields
        names = Names(fields.document)
        keys = {names.claim(key, "block", (*fields.path, key)): key for key in fields.data}
        for name, key in keys.items():
            if name in registry.registry().ops:
                raise fields.placed(GraphError(f"there is an op '{name}'; call the block something else"), key)
        self._blocks = {name: _read_block(fields, key, name, keys.keys(), default) for name, key in keys.items()}
        self._sizes = self._measure()
        for block in self._blocks.values():
            self.check_calls(block.level)
            check_ops(block.level)

    def __getitem__(self, name: str) -> Block:
        return self._blocks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)

    def check_calls(self, level: Level, besides: int = 0) -> None:
        """Refuse calls with inputs, a share or a size that cannot be: thirty blocks that each call another twice are
        enough to fill any memory. There are ``besides`` nodes already."""
        size, most = besides + level.size, current().nodes
        if size > most:
            raise level.fields.placed(GraphError(_too_many(size, most)))
        for call in level.calls.values():
            block = self[call.block]
            for keyword, value in call.keywords.items():
                if keyword != "share":
                    message = f"block '{block.name}' takes nothing by keyword but share, not '{keyword}'"
                    raise call.placed(OpError(message), "attributes", keyword)
                if not isinstance(value, str):
                    message = f"share takes the path of another call in quotes, not {shown(value)}"
                    raise call.placed(OpError(message), "attributes", keyword)
            if call.count != len(block.inputs):
                takes = f"{len(block.inputs)} input{'s' if len(block.inputs) != 1 else ''}"
                listed = f" ({', '.join(block.inputs)})" if block.inputs else ""
                message = f"block '{block.name}' takes {takes}{listed}, {call.count} given"
                raise call.placed(OpError(message), "inputs")
            size += self._sizes[block.name]
            if size > most:
                raise call.placed(GraphError(_too_many(size, most)))
        for call in level.calls.values():
            if call.share is not None:
                self._check_share(level, call, call.share)

    def owner(self, level: Level, path: str) -> tuple[str, str] | None:
        """The path of the call whose parameters the call at ``path`` has, and the block that it calls; both paths count
        from ``level``. None if there is no such call; a ``GraphError`` if it shares with itself."""
        seen: dict[str, None] = {}
        found: tuple[str, str] | None = None
        while found is None:
            if path in level.owners:
                found = level.owners[path]
                break
            if path in seen:
                circle = " -> ".join([*list(seen)[list(seen).index(path) :], path])
                raise GraphError(f"calls share in a circle, so that none has parameters: {circle}")
            seen[path] = None
            head, rest = _split(level, path)
            if head is None:
                return None
            if head.share is not None:
                path = f"{head.share}.{rest}" if rest else head.share
            elif rest:
                inner = self.owner(self[head.block].level, rest)
                if inner is None:
                    return None
                found = f"{head.path}.{inner[0]}", inner[1]
            else:
                found = head.path, head.block
        level.owners.update(dict.fromkeys(seen, found))
        return found

    def _check_share(self, level: Level, call: Call, share: str) -> None:
        try:
            found = self.owner(level, share)
        except GraphError as error:
            raise call.placed(error, "attributes", "share") from None
        if found is None:
            known = [other.path for other in level.calls.values() if other.block == call.block and other is not call]
            hint = nearest(share, known) or "; no other node here calls it"
            message = f"there is no call {shown(share)} of block '{call.block}' to share with{hint}"
            raise call.placed(OpError(message), "attributes", "share")
        if found[1] != call.block:
            message = f"'{share}' is a call of block '{found[1]}', and '{call.block}' cannot use its parameters"
            raise call.placed(OpError(message), "attributes", "share")

    def _measure(self) -> dict[str, int]:
        """How many nodes a call of each block adds, inner calls counted. A block that calls itself is an error."""
        needs = {name: [call.block for call in block.level.calls.values()] for name, block in self.items()}
        order, cycle = sort(needs)
        if cycle:
            circle = " -> ".join([*cycle, cycle[0]][::-1])
            message = f"block '{cycle[0]}' calls itself: {circle}; a block is no loop"
            raise self[cycle[0]].fields.placed(GraphError(message))
        sizes: dict[str, int] = {}
        depths: dict[str, int] = {}
        for name in order:
            depths[name] = 1 + max((depths[inner] for inner in needs[name]), default=0)
            if depths[name] > MAX_DEPTH:
                raise self[name].fields.placed(GraphError(f"blocks are nested more than {MAX_DEPTH} deep"))
            sizes[name] = min(self[name].size + sum(sizes[inner] for inner in needs[name]), 2**62)
        return sizes


def _too_many(size: int, most: int) -> str:
    return f"with all calls of blocks there are {size} nodes; a file has at most {most}" + advice("nodes", size)


def _split(level: Level, path: str) -> tuple[Call | None, str]:
    """The call of this level that ``path`` begins with, and what of the path is inside it."""
    head = path
    while head:
        if head in level.calls:
            return level.calls[head], path[len(head) + 1 :]
        head = head.rpartition(".")[0]
    return None, path


def _read_block(parent: Fields, key: str, name: str, blocks: Any, default: np.dtype) -> Block:
    fields = parent.table(key, f"block '{name}'")
    fields.check_keys(KEYS["block"])
    fields.text("doc")
    names = Names(fields.document)
    listed = fields.names("inputs", "names")
    inputs = [names.claim(item, "block input", (*fields.path, "inputs", i)) for i, item in enumerate(listed)]
    declarations = {}
    for section, kind in ("parameters", "parameter"), ("constants", "constant"):
        table = fields.table(section, f"{section} of block '{name}'")
        for declared in table.data:
            inner = names.claim(declared, kind, (*table.path, declared))
            declarations[inner] = read_declaration(table.table(declared, f"{kind} '{inner}'"), kind, default)
    level = Level(fields.table("nodes", f"nodes of block '{name}'"), names, blocks)
    output = fields.text("output", "the name of a node of the block")
    if output is not None:
        output = normal(output)
    else:
        fields.fail(f"block '{name}' has no output; name one of its nodes")
    if output not in names.taken:
        error: DataflowError = GraphError(f"block '{name}' has no node {shown(output)}{nearest(output, level.nodes)}")
        raise fields.placed_at_value(error, "output")
    return Block(name, fields, tuple(inputs), declarations, level, output)
