"""Blocks that plugins register: TOML files, or texts, that declare nothing but ``[blocks]``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from dataflow.files.toml.document import parse_toml, read_toml
from dataflow.files.toml.known_keys import Fields, check_version, shown
from dataflow.graph.node_names import check_name, normal_name
from dataflow.registry import registry
from dataflow.registry.registry import declare_kind


def registered_block(name: str) -> tuple[Fields, str]:
    """Where the block of that name is declared: the table of its file's blocks, and its key there."""
    item = registry.registry().blocks[name]
    return _tables(item), _names(item)[name]


def declaration(name: str) -> dict[str, Any]:
    """What the file of a registered block says of it."""
    fields, key = registered_block(name)
    declared: dict[str, Any] = fields.data[key]
    return declared


def _names(item: str | Path) -> dict[str, str]:
    return {normal_name(key): key for key in _tables(item).data}


@lru_cache(maxsize=1024)
def _tables(item: str | Path) -> Fields:
    document = read_toml(item) if isinstance(item, Path) else parse_toml(item, "<blocks of a plugin>")
    fields = Fields(document, document.data, (), "the file")
    check_version(fields)
    for key in fields.data:
        if key not in ("dataflow", "blocks"):
            fields.fail(f"a file of blocks holds nothing but [blocks], not {shown(key)}", key)
    tables = fields.table("blocks", "[blocks]")
    for key in tables.data:
        check_name(normal_name(key))
    return tables


declare_kind("block", (str, Path), _names)
