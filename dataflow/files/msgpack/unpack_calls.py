"""The blocks that a msgpack file declares, and their calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.errors import DataflowError, GraphError, OpError, counted, nearest
from dataflow.files.plain_checks import brief, check_keys, name_of, row_of, sequence, typed
from dataflow.files.toml.blocks import Blocks
from dataflow.files.toml.document import Document
from dataflow.files.toml.known_keys import VERSION, Fields
from dataflow.files.toml.read_block import attribute_of
from dataflow.graph.graph import Graph
from dataflow.graph.node_names import check_name
from dataflow.support.texts import quoted


def unpack_blocks(header: Mapping[str, Any], graph: Graph) -> dict[str, Any]:
    """The declarations, read as those of a TOML file are: what is refused there is refused here."""
    blocks: dict[str, Any] = typed(header["blocks"], dict, "blocks")
    try:
        document = Document({"dataflow": VERSION, "blocks": blocks}, "", None)
        Blocks(Fields(document, blocks, ("blocks",), "[blocks]"), graph.dtype)
    except DataflowError as error:
        error.message = f"in the blocks: {error.message}"
        raise
    return blocks


def unpack_calls(header: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The calls of blocks by their paths."""
    calls: dict[str, dict[str, Any]] = {}
    for i, row in enumerate(sequence(header["calls"], "calls")):
        path, call = row_of(row, 2, f"call {i}")
        check_name(name_of(path, f"call {i}"))
        if path in calls:
            raise GraphError(f"the call '{path}' is there twice")
        calls[path] = typed(call, dict, f"call '{path}'")
        check_keys(call, {"block", "share", "inputs"}, f"call '{path}'", {"attributes"})
    return calls


def check_calls(graph: Graph, blocks: Mapping[str, Any], calls: Mapping[str, dict[str, Any]]) -> None:
    """Refuse calls that no TOML file could have made."""
    for path, call in calls.items():
        block, share = call["block"], call["share"]
        if not isinstance(block, str) or block not in blocks:
            raise GraphError(f"call '{path}': there is no block {quoted(block)}")
        if share is not None and (not isinstance(share, str) or share not in calls):
            raise GraphError(f"call '{path}' shares the parameters of {quoted(share)}, which is no call")
        if share is not None and calls[share]["share"] is not None:
            raise GraphError(f"call '{path}' shares the parameters of '{share}', which has none of its own")
        if share is not None and calls[share]["block"] != block:
            raise GraphError(f"call '{path}' of block '{block}' shares the parameters of '{share}', of another block")
        if path not in graph:
            raise GraphError(f"call '{path}' has no node for its output")
        _check_attributes(path, call.get("attributes", {}), blocks[block])
        arguments = sequence(call["inputs"], f"inputs of call '{path}'")
        if len(arguments) != (count := len(blocks[block].get("inputs", []))):
            raise GraphError(f"call '{path}' has {counted(len(arguments), 'input')}, and block '{block}' takes {count}")
        for argument in arguments:
            if argument not in graph if isinstance(argument, str) else type(argument) not in (int, float, bool):
                raise GraphError(f"call '{path}': {brief(argument)} is neither a node nor a number")


def _check_attributes(path: str, given: Any, block: Mapping[str, Any]) -> None:
    known = block.get("attributes", {})
    for name, value in typed(given, dict, f"attributes of call '{path}'").items():
        if name not in known:
            raise OpError(f"call '{path}': its block has no attribute {quoted(name)}{nearest(str(name), known)}")
        try:
            attribute_of(name, known[name]).check(value)
        except OpError as error:
            raise OpError(f"call '{path}': {error.message}") from None
