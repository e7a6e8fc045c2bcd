"""The nodes of a file or of a block before anything is built: what each uses, what it calls, their order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from dataflow.errors import DataflowError, ExpressionError, GraphError, OpError, nearest
from dataflow.expressions.build_nodes import NUMBERS
from dataflow.expressions.literals import fill_sizes
from dataflow.expressions.parser import Silent, parse
from dataflow.files.toml.declarations import Names
from dataflow.files.toml.known_keys import KEYS, Fields, shown
from dataflow.graph.node_names import normal_name
from dataflow.limits import advice, current
from dataflow.operations.indexing import Key as Index
from dataflow.operations.op import Op
from dataflow.registry import registry
from dataflow.support.conversion import is_real
from dataflow.support.topological import topological_order

Argument: TypeAlias = "str | int | float | bool"

MAX_OPERATIONS = 10_000
"""How many operators and calls an expression may have: each becomes a node."""


CALL_KEYWORDS = ("share", "repeat")
"""What a call of a block takes by keyword besides the attributes of the block."""


@dataclass(frozen=True)
class Call:
    """A block that a node calls. ``path`` is NODE if the call is the whole node, else NODE.BLOCK, NODE.BLOCK_2, ..."""

    path: str
    block: str
    count: int
    keywords: Mapping[str, Any]
    node: Node
    column: int | None

    @property
    def attributes(self) -> dict[str, Any]:
        """The values that it gives the attributes of the block."""
        return {name: value for name, value in self.keywords.items() if name not in CALL_KEYWORDS}

    @property
    def repeat(self) -> int | None:
        """How often the block is called, one call after the other; their paths end with their numbers."""
        return self.keywords.get("repeat")

    @property
    def share(self) -> str | None:
        """The path of the call whose parameters this one uses."""
        share = self.keywords.get("share")
        return normal_name(share) if isinstance(share, str) else None

    def placed(self, error: DataflowError, *keys: str) -> DataflowError:
        """The error with the place of the call; of one of its ``keys`` where the node is a table."""
        error.column = self.column
        return self.node.placed(error, *keys)


@dataclass(eq=False)
class Node:
    """A declared node: an expression, or an op with its inputs and attributes."""

    name: str
    key: str
    level: Fields
    text: str | None
    op: str = ""
    inputs: Sequence[Argument] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    uses: list[str] = field(default_factory=list)
    """The names it uses, of whatever kind."""
    calls: list[Call] = field(default_factory=list)
    """The blocks it calls, in the order of evaluation."""
    ops: list[tuple[str, int | None]] = field(default_factory=list)
    """The ops it calls by name, each with its column."""
    size: int = 1
    """How many nodes of the graph it is, without those of blocks; where it has more than four edges for each, as many
    as that would be for so many edges."""
    calls_block: bool = False
    """Whether the whole node is the last of ``calls``."""

    def placed(self, error: DataflowError, *keys: str | int) -> DataflowError:
        """The error with its place: a column is one of the expression, ``keys`` lead into the long form."""
        if self.text is None and keys:
            return self.level.placed_at_value(error, self.key, *keys)
        return self.level.placed(error, self.key)


class Level:
    """All nodes that are declared side by side, in a file or in a block."""

    def __init__(
        self, fields: Fields, names: Names, blocks: Collection[str], attributes: Mapping[str, Any] | None = None
    ) -> None:
        self.fields = fields
        self.attributes = attributes or {}
        """The attributes of the block, which names stand for."""
        self.nodes: dict[str, Node] = {}
        for key, declared in fields.data.items():
            name = names.claim(key, "node", (*fields.path, key))
            self.nodes[name] = _read_node(fields, key, name, declared)
        self.calls: dict[str, Call] = {}
        self.owners: dict[str, tuple[str, Any]] = {}
        """For paths of calls, what ``Blocks.owner`` found."""
        known = names.taken
        for node in self.nodes.values():
            _analyse(node, known, blocks, self.attributes)
            self.calls.update((call.path, call) for call in node.calls)
        self.order = self._sorted()

    @property
    def size(self) -> int:
        """How many nodes of the graph these are, without those of blocks."""
        return sum(node.size for node in self.nodes.values())

    def _sorted(self) -> list[str]:
        needs = {name: [used for used in node.uses if used in self.nodes] for name, node in self.nodes.items()}
        order, cycle = topological_order(needs)
        if cycle:
            message = f"the nodes form a cycle: {' -> '.join([*cycle, cycle[0]])}"
            raise self.nodes[cycle[0]].placed(GraphError(message))
        return order

    def unused(self, besides: str | None) -> list[str]:
        """The nodes that no other node uses; one that ``besides`` alone uses counts as unused, itself not."""
        used = {name for node in self.nodes.values() if node.name != besides for name in node.uses}
        return [name for name in self.nodes if name not in used and name != besides]


# ------------------------------------------------------------------------------------------------ one node


def _read_node(level: Fields, key: str, name: str, declared: Any) -> Node:
    if isinstance(declared, str):
        return Node(name, key, level, declared)
    if not isinstance(declared, dict):
        examples = 'an expression such as "relu(z)", or a table such as { op = "relu", inputs = ["z"] }'
        level.fail_value(f"node '{name}' takes {examples}, not {shown(declared)}", key)
    fields = level.table(key, f"node '{name}'")
    fields.check_keys(KEYS["node"])
    for needed in ("op", "inputs"):
        if needed not in declared:
            fields.fail(f"node '{name}' has no {needed}; a node in the long form has op and inputs")
    inputs = fields.get("inputs", lambda value: isinstance(value, list), "a list of names and numbers")
    for i, item in enumerate(inputs):
        if not isinstance(item, str | int | float):
            fields.fail_value(f"inputs takes names and numbers, not {shown(item)}", "inputs", i)
    attributes = fields.table("attributes", f"attributes of node '{name}'").data
    inputs = [normal_name(item) if isinstance(item, str) else item for item in inputs]
    return Node(name, key, level, None, normal_name(fields.text("op", "the name of an op")), inputs, attributes)


def _analyse(node: Node, known: Mapping[str, Any], blocks: Collection[str], attributes: Mapping[str, Any]) -> None:
    """Fill in what the node uses and calls. A name that is not declared is an error."""
    if node.text is None:
        _analyse_long_form(node, known, blocks, attributes)
        return
    found = _Uses()
    try:
        root = parse(node.text, found, attributes)
        if found.size > MAX_OPERATIONS:
            message = f"an expression has at most {MAX_OPERATIONS} operators and calls, this one has {found.size}"
            raise ExpressionError(f"{message}; name an inner part", column=1)
        if found.inputs > current().inputs:
            raise ExpressionError(_too_many_inputs(found.inputs), column=1)
        for name, column in found.names:
            if name in known:
                _check_number(name, attributes, column)
                node.uses.append(name)
            elif name not in NUMBERS:
                raise ExpressionError(_unknown_name(name, known, blocks), column=column)
    except DataflowError as error:
        raise node.placed(error) from None
    node.size = max(1, found.size, len(found.names) // 4)
    counts: dict[str, int] = {}
    for i, (name, count, keywords, column) in enumerate(found.calls):
        if name not in blocks:
            node.ops.append((name, column))
            continue
        path = node.name
        if i != root:
            counts[name] = counts.get(name, 0) + 1
            path += f".{name}" + (f"_{counts[name]}" if counts[name] > 1 else "")
        node.calls.append(Call(path, name, count, keywords, node, column))
        node.calls_block = i == root


def _too_many_inputs(count: int) -> str:
    return f"an op has at most {current().inputs} inputs in a file, this one has {count}" + advice("inputs", count)


def _check_number(name: str, attributes: Mapping[str, Any], column: int | None = None) -> None:
    """Refuse an attribute of the block that is used as a value and is no number."""
    if name in attributes and not is_real(attributes[name]):
        message = f"the attribute '{name}' is {shown(attributes[name])}, no number: it is given to a call by keyword"
        raise ExpressionError(message, column=column)


def _analyse_long_form(
    node: Node, known: Mapping[str, Any], blocks: Collection[str], attributes: Mapping[str, Any]
) -> None:
    node.attributes = {name: fill_sizes(value, attributes) for name, value in node.attributes.items()}
    if len(node.inputs) > current().inputs:
        raise node.placed(GraphError(_too_many_inputs(len(node.inputs))), "inputs")
    node.size = max(1, len(node.inputs) // 4)
    for i, item in enumerate(node.inputs):
        if isinstance(item, str) and (declared := item.partition(":")[0]) in known:
            try:
                _check_number(declared, attributes)
            except ExpressionError as error:
                raise node.placed(error, "inputs", i) from None
            node.uses.append(declared)
        elif isinstance(item, str) and item == "None":
            continue
        elif isinstance(item, str) and item not in NUMBERS:
            raise node.placed(ExpressionError(_unknown_name(item, known, blocks)), "inputs", i)
    if node.op in blocks:
        node.calls.append(Call(node.name, node.op, len(node.inputs), node.attributes, node, None))
        node.calls_block = True
    else:
        node.ops.append((node.op, None))


def _unknown_name(name: str, known: Iterable[str], blocks: Collection[str]) -> str:
    if name in blocks or name in registry.registry().ops:
        return f"'{name}' is called with its inputs: {name}(...)"
    return f"unknown name {shown(name)}{nearest(name, known)}"


def check_ops(level: Level) -> None:
    """Look every op up that is called by name: for nodes that nobody may ever build."""
    for node in level.nodes.values():
        for name, column in node.ops:
            try:
                registry.lookup(name)
            except OpError as error:
                error.column = column
                raise node.placed(error, "op") from None


class _Uses(Silent):
    """The actions that collect what an expression uses. The result is the position of the outermost call, else None."""

    def __init__(self) -> None:
        self.names: list[tuple[str, int]] = []
        self.calls: list[tuple[str, int, Mapping[str, Any], int]] = []
        self.size = 0
        self.inputs = 0
        """The most of one op."""

    def name(self, text: str, column: int) -> None:
        self.names.append((text, column))

    def negative(self, operand: int | None, column: int) -> None:
        self.size += 1

    def binary(self, op: Op, left: int | None, right: int | None, column: int) -> None:
        self.size += 1

    def transpose(self, operand: int | None, column: int) -> None:
        self.size += 1

    def index(self, operand: int | None, key: Index, column: int) -> None:
        self.size += 1

    def stack(self, items: Sequence[int | None], column: int) -> None:
        self.size += 1
        self.inputs = max(self.inputs, len(items))

    def call(self, name: str, arguments: Sequence[int | None], keywords: Mapping[str, Any], column: int) -> int:
        self.size += 1
        self.inputs = max(self.inputs, len(arguments))
        self.calls.append((name, len(arguments), keywords, column))
        return len(self.calls) - 1
