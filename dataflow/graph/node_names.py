"""What a node may be called."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Mapping
from typing import Any

from dataflow.errors import GraphError, cut
from dataflow.operations.outputs import is_output_name

RESERVED = ("True", "False", "None")
"""The constants of expressions, which cannot be names."""
LONGEST = 1000
_ORDINARY = re.compile(r"(?!.*(?:True|False|None))[a-z_]\w*(?:\.[a-z_]\w*)*", re.ASCII | re.IGNORECASE)


def check_name(name: str) -> None:
    """A ``GraphError`` unless ``name`` is a Unicode identifier, or several joined by dots (inner nodes, blocks), in the
    form in which expressions know it: graphs built by hand and files of every format hold to it. Behind a dot a number
    may stand, that of a repetition; behind a colon the name of an output."""
    if isinstance(name, str) and len(name) <= LONGEST and _ORDINARY.fullmatch(name):
        return
    if not isinstance(name, str) or not all(
        _is_part(part) or (i > 0 and is_repetition(part)) for i, part in enumerate(name.split("."))
    ):
        raise GraphError(
            f"{name!r} is not a name; a name has letters, digits and underscores and does not start with a digit"
        )
    if len(name) > LONGEST:
        raise GraphError(f"a name has at most {LONGEST} characters, '{cut(name, 43)}' has {len(name)}")
    for part in name.replace(":", ".").split("."):
        if part in RESERVED:
            raise GraphError(f"{part} is a constant of expressions and no name")
    if (normal := normal_name(name)) != name:
        raise GraphError(f"'{name}' is written '{normal}', which Unicode counts as the same name (NFKC)")


def check_output(name: str, output: str | None) -> None:
    """A ``GraphError`` where a name without dots has a colon, unless ``output``, which its op gives, follows it. Inner
    nodes and nodes of gradient graphs, whose names come from others, have colons as they come."""
    if ":" in name and "." not in name and name.partition(":")[2] != output:
        raise GraphError(f"'{name}' would be an output of an op with several; a name has no colon", node=name)


def _is_part(part: str) -> bool:
    name, colon, output = part.partition(":")
    return name.isidentifier() and (not colon or is_output_name(output))


def is_repetition(part: str) -> bool:
    """Whether a part of a name is the number of a repetition, counted from 1: ``3`` in ``h.3.W``."""
    return part.isascii() and part.isdigit() and part[0] != "0" and len(part) < 10


def known_beginning(name: str, known: Container[str]) -> str:
    """The longest beginning of a name, of whole parts between its dots, that is known; empty if there is none."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def call_around(path: str, calls: Mapping[str, Any], blocks: Mapping[str, Any]) -> str | None:
    """The innermost call that a call is inside of, by their paths: ``h.layer`` is inside ``h`` only where the block
    that ``h`` calls has a node ``layer``; otherwise it is an argument of that call."""
    head = path
    while head := known_beginning(head.rpartition(".")[0], calls):
        block = blocks.get(calls[head]["block"], {})
        if path[len(head) + 1 :].partition(".")[0] in block.get("nodes", {}):
            return head
    return None


def normal_name(name: str) -> str:
    """The name in the form in which expressions know it."""
    return name if name.isascii() else unicodedata.normalize("NFKC", name)
