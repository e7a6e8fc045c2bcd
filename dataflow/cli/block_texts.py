"""What ``dataflow ops`` says of the blocks that plugins register."""

from __future__ import annotations

import textwrap
from typing import Any

from dataflow.cli.terminal_text import table, width
from dataflow.files.toml.read_block import read_heading
from dataflow.files.toml.registered_blocks import registered_block
from dataflow.files.toml.toml_values import value
from dataflow.operations.attributes import plain
from dataflow.registry import registry


def block_document(name: str) -> dict[str, Any]:
    """All about a registered block, as plain data."""
    heading = read_heading(*registered_block(name), name)
    declared = heading.fields.data
    given = [f"{key}={plain(attribute.default)!r}" for key, attribute in heading.attributes.items()]
    return {
        "name": name,
        "kind": "block",
        "signature": f"{name}({', '.join([*heading.inputs, *given])})",
        "doc": declared.get("doc", ""),
        "inputs": list(heading.inputs),
        "attributes": {
            key: {"type": attribute.type_text, "default": plain(attribute.default)}
            for key, attribute in heading.attributes.items()
        },
        "plugin": str(registry.registry().owners["block", name]),
        "declaration": declared,
    }


def all_about_block(document: dict[str, Any]) -> str:
    """The same for a terminal: what a call gives, and the declaration."""
    lines = [document["signature"], "", *textwrap.wrap(document["doc"], width()), ""]
    if document["attributes"]:
        rows = [(key, repr(one["default"]), one["type"]) for key, one in document["attributes"].items()]
        lines += [table(("attribute", "default", "type"), rows), ""]
    for section, content in document["declaration"].items():
        if isinstance(content, dict) and section != "attributes":
            lines += [f"{section}.{key} = {value(item)}" for key, item in content.items()]
    lines += [f"output = {value(document['declaration']['output'])}", "", f"a block, from {document['plugin']}"]
    return "\n".join(lines)


def blocks_list() -> str:
    """The registered blocks, by plugin."""
    lines: list[str] = []
    for name in sorted(registry.registry().blocks):
        document = block_document(name)
        lines += ["", f"{document['signature']}: a block of {document['plugin']}"]
        lines += textwrap.wrap(document["doc"], width() - 4, initial_indent="    ", subsequent_indent="    ")
    return "\n" + "\n".join(lines) if lines else ""
