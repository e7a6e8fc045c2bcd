"""Which ops a model uses that cannot be translated, all of them named at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import onnx

import dataflow_onnx.translations  # noqa: F401 — fills the table
from dataflow import limits
from dataflow.errors import FileFormatError
from dataflow_onnx.call import TABLE
from dataflow_onnx.control import CONTROL
from dataflow_onnx.sequences import SEQUENCES

DEEPEST = 32
"""How deep functions are nested."""


ML = "ai.onnx.ml"
"""The domain of what skl2onnx writes."""
DOMAINS = ("", ML, "ai.onnx.preview", "ai.onnx.preview.training")
"""Whose ops are translated. That of ONNX itself has no name in the table of opsets."""


def check_supported(proto: onnx.ModelProto, opset: int) -> None:
    """A ``FileFormatError`` that lists every op that is missing, how often it is used, and the opset."""
    own_functions = {(function.domain, function.name): function for function in proto.functions}
    own = own_functions.keys()
    missing: Counter[str] = Counter()
    count = 0
    versions = opsets_of(proto) | {"": opset}
    bodies: list[Iterable[Any]] = [proto.graph.node, *(function.node for function in proto.functions)]
    while bodies:
        for node in bodies.pop():
            count += 1
            if (node.domain, node.op_type) not in own and not is_supported(node.domain, node.op_type, versions):
                missing[f"{node.domain}.{node.op_type}" if node.domain else node.op_type] += 1
            bodies += [attribute.g.node for attribute in node.attribute if attribute.HasField("g")]
    if missing:
        listed = ", ".join(f"{name} ({number}×)" for name, number in missing.most_common())
        raise FileFormatError(f"of the ops of opset {opset} that the model uses, these are not supported: {listed}")
    count += sum(_inside(own_functions, node, 0, {}) for node in proto.graph.node)
    if count > limits.current().nodes:
        most = limits.current().nodes
        raise FileFormatError(
            f"with its functions the model has {count:,} nodes, more than {most:,}{limits.advice('nodes', count)}"
        )


def _inside(functions: dict[Any, Any], node: onnx.NodeProto, depth: int, known: dict[Any, int]) -> int:
    """How many nodes stand for a call of a function, those of the functions that it calls included. What calls itself,
    or goes too deep, is for the translation to refuse."""
    key = (node.domain, node.op_type)
    if key not in functions or depth > DEEPEST:
        return 0
    if key not in known:
        known[key] = 0
        known[key] = sum(1 + _inside(functions, step, depth + 1, known) for step in functions[key].node)
    return known[key]


def opsets_of(proto: onnx.ModelProto | onnx.FunctionProto) -> dict[str, int]:
    """The opset of each domain that a model or a function uses."""
    return {plain_domain(entry.domain): entry.version for entry in proto.opset_import}


def plain_domain(domain: str) -> str:
    """ONNX's own domain has two names."""
    return "" if domain == "ai.onnx" else domain


def is_supported(domain: str, op: str, opsets: Mapping[str, int]) -> bool:
    """Whether an op has a translation for an opset, or ONNX defines it by other ops that have."""
    schema = schema_of(op, opsets, domain)
    if schema is None:
        return False
    since, until, _ = TABLE.get(op, (1, 0, None))
    if since <= schema.since_version <= until or op in CONTROL or op in SEQUENCES:
        return True
    if schema.has_context_dependent_function:  # which ops that takes, its types tell
        return True
    if schema.has_function:
        return all(is_supported(node.domain, node.op_type, opsets) for node in schema.function_body.node)
    return False


def schema_of(op: str, opsets: Mapping[str, int], domain: str = "") -> Any:
    """What ONNX says of an op in the opset of its domain; nothing where there is no such op, or it is no longer."""
    domain = plain_domain(domain)
    if domain not in DOMAINS:
        return None
    try:
        schema = onnx.defs.get_schema(op, opsets.get(domain, 1), domain)
    except onnx.defs.SchemaError:
        return None
    return None if schema.deprecated else schema
