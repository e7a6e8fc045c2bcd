"""One block as it is declared: what a call may give it, and what it is with these attributes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataflow.errors import DataflowError, GraphError, nearest
from dataflow.expressions.tokens import INTEGER_LIMIT
from dataflow.files.toml.declarations import Declaration, Names, read_declarations
from dataflow.files.toml.known_keys import KEYS, Fields, shown
from dataflow.files.toml.nodes import CALL_KEYWORDS, Level
from dataflow.graph.node_names import normal_name
from dataflow.operations.attributes import Attribute
from dataflow.support.conversion import is_real


@dataclass(frozen=True, eq=False)
class Heading:
    """What a call of a block may give it."""

    name: str
    fields: Fields
    inputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, eq=False)
class Block:
    """A declared block with certain attributes. ``output`` is the name of one of its nodes, or of what else it
    declares; ``outputs`` are several, by their own names, and then there is no ``output``: such a block is not called,
    but is the graph that an op's attribute holds."""

    name: str
    fields: Fields
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    changed: Mapping[str, Any]
    """The attributes that are not as they are unless a call gives them."""
    declarations: Mapping[str, Declaration]
    level: Level
    output: str | None
    outputs: Mapping[str, str]

    @property
    def size(self) -> int:
        """How many nodes of the graph a call adds, without those of inner calls."""
        return len(self.declarations) + self.level.size + 1

    @property
    def numbers(self) -> dict[str, int | float]:
        """The attributes that may stand where a value does."""
        return {name: value for name, value in self.attributes.items() if is_real(value)}


def read_heading(parent: Fields, key: str, name: str) -> Heading:
    """What is given to the block that ``parent`` declares at ``key``."""
    fields = parent.table(key, f"block '{name}'")
    fields.check_keys(KEYS["block"])
    fields.needs_version(2, "attributes", "a block with attributes")
    inputs = tuple(normal_name(item) for item in fields.names("inputs", "names"))
    table = fields.table("attributes", f"attributes of block '{name}'")
    attributes = {normal_name(key): _read_attribute(table, key) for key in table.data}
    return Heading(name, fields, inputs, attributes)


def read_block(heading: Heading, values: Mapping[str, Any], blocks: Collection[str], default: np.dtype) -> Block:
    """The block with these attributes. ``blocks`` are the names of those that it may call, ``default`` is the dtype of
    what says nothing else."""
    fields, name = heading.fields, heading.name
    fields.text("doc")
    names = Names(fields.document)
    for i, item in enumerate(fields.data.get("inputs", ())):
        names.claim(item, "block input", (*fields.path, "inputs", i))
    for key in fields.data.get("attributes", ()):
        names.claim(key, "block attribute", (*fields.path, "attributes", key))
    declarations = dict(read_declarations(fields, names, default, values))
    level = Level(fields.table("nodes", f"nodes of block '{name}'"), names, blocks, values)
    output, outputs = _read_outputs(fields, names, level, name)
    changed = {key: value for key, value in values.items() if repr(value) != repr(heading.attributes[key].default)}
    return Block(name, fields, heading.inputs, values, changed, declarations, level, output, outputs)


def _read_outputs(fields: Fields, names: Names, level: Level, name: str) -> tuple[str | None, dict[str, str]]:
    if "outputs" not in fields.data:
        output = fields.text("output", "the name of a node of the block")
        if output is None:
            fields.fail(f"block '{name}' has no output; name one of its nodes")
        output = _check_output(fields, names, level, name, output, "output")
        return output, {output: output}
    fields.needs_version(2, "outputs", "a block with several outputs")
    if "output" in fields.data:
        fields.fail(f"block '{name}' has an output and outputs; name its outputs in one of them", "outputs")
    given = fields.data["outputs"]
    if isinstance(given, list) and all(isinstance(item, str) for item in given):
        given = {item: item for item in given}
    if not isinstance(given, dict) or not given or not all(isinstance(item, str) for item in given.values()):
        example = 'a list of names of nodes, or a table such as { h = "new" }'
        fields.fail_value(f"outputs takes {example}, not {shown(fields.data['outputs'])}", "outputs")
    return None, {
        normal_name(key): _check_output(fields, names, level, name, node, "outputs") for key, node in given.items()
    }


def _check_output(fields: Fields, names: Names, level: Level, name: str, output: str, key: str) -> str:
    output = normal_name(output)
    if output not in names.taken or output in level.attributes:
        error: DataflowError = GraphError(f"block '{name}' has no node {shown(output)}{nearest(output, level.nodes)}")
        raise fields.placed_at_value(error, key)
    return str(output)


def _read_attribute(table: Fields, key: str) -> Attribute:
    """An attribute, whose type is that of the value which it has unless a call gives another."""
    value = table.data[key]
    if key in CALL_KEYWORDS:
        table.fail(f"'{key}' names no attribute of a block, because every call may have it; rename it", key)
    items = value if isinstance(value, list) else [value]
    if {type(item) for item in items} not in ({bool}, {int}, {float}, {str}, {int, float}):
        what = "a number, text, true, false, or a list of such, which it has unless a call gives another"
        table.fail_value(f"attribute '{key}' takes {what}, not {shown(value)}", key)
    if any(type(item) is int and not -INTEGER_LIMIT <= item < INTEGER_LIMIT for item in items):
        table.fail_value(f"attribute '{key}' has more than 64 bits", key)
    return attribute_of(normal_name(key), value)


def attribute_of(name: str, value: Any) -> Attribute:
    """The attribute that is ``value`` unless a call gives another."""
    items = value if isinstance(value, list) else [value]
    kind: Any = float if any(isinstance(item, float) for item in items) else type(items[0])
    annotation: Any = tuple[kind, ...] if isinstance(value, list) else kind
    return Attribute(name, annotation, Attribute(name, annotation, None).check(value))
