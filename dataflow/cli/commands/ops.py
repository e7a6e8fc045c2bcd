"""``dataflow ops``: the registered ops, or all about one."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby
from typing import Any

import click

from dataflow.cli import common
from dataflow.cli.block_texts import all_about_block, block_document, blocks_list
from dataflow.cli.command import Command, example_text
from dataflow.cli.completing import complete_ops
from dataflow.cli.group import Session
from dataflow.cli.progress import show_chunks
from dataflow.cli.terminal_text import room, table, width
from dataflow.errors import OpError, counted, listed
from dataflow.graph.cost import says_its_cost
from dataflow.operations import attributes as attribute_module
from dataflow.operations.op import Op
from dataflow.registry import registry
from dataflow.testing import CHECKS, PARTS, Finding, check_op, check_part

SIGNATURE = 30
"""The widest signature beside which the summary stands; longer ones have it below."""


@click.command(
    "ops",
    cls=Command,
    epilog=example_text(
        "dataflow ops",
        "dataflow ops relu",
        "dataflow ops relu --check",
        "dataflow ops --check                 everything that is installed",
    ),
)
@click.argument("name", required=False, shell_complete=complete_ops)
@click.option("--check", "checked", is_flag=True, help="Check that the op (that each) is what it says.")
@common.output_options
@click.pass_obj
def command(session: Session, name: str | None, checked: bool) -> None:
    """List the registered ops and blocks by plugin, or show all about the op or the block NAME.

    Attributes go by keyword: sum(x, axis=0). With --check, every op runs the checks of dataflow.testing (shapes,
    derivatives against each other, finite differences and 50 digits, broadcasting, empty arrays, float32, kinks).
    Without NAME, optimizers, schedules, initializers, metrics, backends, file formats and the commands of plugins are
    checked, too: changes in place, state that is declared, what repeats, examples in help. The exit status is 1 if one
    of them fails.
    """
    if name in registry.registry().blocks:
        if checked:
            raise OpError(f"'{name}' is a block; --check is for ops")
        block = block_document(str(name))
        if session.as_json:
            session.print_json(block)
        else:
            session.say(all_about_block(block))
        return
    ops = {name: registry.lookup(name)} if name is not None else registry.all_ops()
    findings = _findings(session, ops) if checked else {}
    parts = _part_faults() if checked and name is None else {}
    if session.as_json:
        documents = [
            _document(op) | ({"findings": list(map(_finding, findings[op.name]))} if checked else {})
            for op in ops.values()
        ]
        documents += [
            {"name": part, "kind": kind, "plugin": _owner_of(kind, part), "findings": [{"message": x} for x in faults]}
            for (kind, part), faults in parts.items()
        ]
        session.print_json(documents[0] if name is not None else documents)
    elif checked:
        session.say(_results(findings))
        if parts:
            session.say(f"\n{_part_results(parts)}")
    elif name is not None:
        session.say(_all_about(ops[name]))
    else:
        session.say(_list(list(ops.values())) + blocks_list())
    faulty = sorted(name for name in findings if findings[name])
    if faulty:
        first = findings[faulty[0]][0]
        more = f"; {len(faulty) - 1} more are not right either" if len(faulty) > 1 else ""
        session.end(f"op '{first.op}' ({_owner_of('op', first.op)}) is not right: {_describe(first)}{more}")
    for (kind, part), faults in parts.items():
        if faults:
            session.end(f"{kind} '{part}' ({_owner_of(kind, part)}) is not right: {faults[0]}")


def rules(op: Op) -> dict[str, str]:
    """Say where each of the op's rules comes from."""
    by_input = [op.inputs[i] for i in sorted(op.vjp_rules_by_input)]
    derived = "derived by tracing the body" if not op.is_primitive else "none"
    if op.vjp_rule is not None:
        vjp = "given"
    elif by_input:
        vjp = f"given for {', '.join(by_input)}"
    else:
        vjp = "derived from the jacobian" if op.jacobian_rule is not None else derived
    inferred = "broadcast of the inputs" if op.elementwise else derived
    return {
        "kernel": "primitive" if op.is_primitive else "composite: written with other ops",
        "shape": "given" if op.shape_rule is not None else inferred,
        "vjp": vjp,
        "jacobian": "given" if op.jacobian_rule is not None else "derived from the vjp" if vjp != "none" else "none",
        "kink": op.kink_rule.convention if op.kink_rule is not None else "none",
        **({"training": _training(op)} if op.training_rule is not None else {}),
        "cost": _cost(op),
    }


def _training(op: Op) -> str:
    state = listed([op.inputs[i] for i in op.state_inputs])
    return f"another body, which gives new values of {state}" if state else "another body"


def _cost(op: Op) -> str:
    if not says_its_cost(op):
        return "not said"
    if op.cost_rule is not None or not op.is_primitive:
        return "given" if op.is_primitive else "derived by tracing the body"
    if op.operation == "none" or (op.operation is None and op.structure == "selection"):
        return "nothing, it only moves entries"
    return "additions of entries" if op.operation is None else f"{op.operation}, one for each entry of the result"


def _list(ops: list[Op]) -> str:
    parts = []
    owners = {op.name: _owner_of("op", op.name) for op in ops}
    for plugin, group in groupby(sorted(ops, key=lambda op: (owners[op.name], op.name)), lambda op: owners[op.name]):
        lines = [plugin]
        for op in group:
            head = f"  {op.signature}"
            body = textwrap.wrap(op.summary, width() - SIGNATURE - 4)
            if len(head) <= SIGNATURE + 2:
                lines.append(f"{head:<{SIGNATURE + 4}}{body[0]}")
                body = body[1:]
            else:
                lines.append(head)
            lines += [" " * (SIGNATURE + 4) + line for line in body]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _all_about(op: Op) -> str:
    paragraphs = [textwrap.fill(" ".join(text.split()), width()) for text in op.doc.split("\n\n")]
    required = op.inputs[: op.required_inputs]
    inputs = [f"*{op.inputs[0]}"] if op.variadic else [x if x in required else f"{x} (optional)" for x in op.inputs]
    outputs = [("outputs", op.outputs_text)] if op.has_outputs else []
    facts = [("inputs", ", ".join(inputs)), *outputs, *rules(op).items(), ("from", _owner_of("op", op.name))]
    text = f"{op.signature}\n\n" + "\n\n".join(paragraphs) + "\n"
    if op.attributes:
        rows = [
            (x.name, "required" if x.required else repr(attribute_module.plain(x.default)), x.type_text)
            for x in op.attributes.values()
        ]
        text += f"\n{table(('attribute', 'default', 'type'), rows)}\n"
    return text + "\n" + "\n".join(f"{label:<10}{fact}" for label, fact in facts)


def _document(op: Op) -> dict[str, Any]:
    return {
        "name": op.name,
        "signature": op.signature,
        "summary": op.summary,
        "doc": op.doc,
        "inputs": list(op.inputs),
        "required_inputs": op.required_inputs,
        "variadic": op.variadic,
        **({"outputs": op.outputs_text} if op.has_outputs else {}),
        "attributes": {
            x.name: {"type": x.type_text, "required": x.required}
            | ({} if x.required else {"default": attribute_module.plain(x.default)})
            for x in op.attributes.values()
        },
        "rules": rules(op),
        "plugin": _owner_of("op", op.name),
    }


def _findings(session: Session, ops: dict[str, Op]) -> dict[str, list[Finding]]:
    """Check each op, with a progress bar on a terminal."""
    findings = {}
    with show_chunks(session, "checking ops") as on_checked:
        for name, op in ops.items():
            findings[name] = check_op(op)
            on_checked(len(findings), len(ops))
    return findings


def _results(findings: dict[str, list[Finding]]) -> str:
    headers = ("op", "check")
    columns = min(room(headers, [(name, "") for name in findings]), width())
    rows = []
    for name, faults in findings.items():
        lines = [*map(_describe, faults), f"(from {_owner_of('op', name)})"] if faults else ["ok"]
        rows.append((name, "\n".join(part for line in lines for part in textwrap.wrap(line, columns))))
    wrong = sum(bool(faults) for faults in findings.values())
    verdict = f"{wrong} not right" if wrong else "all right"
    return f"{table(headers, rows)}\n\n{counted(len(rows), 'op')}, {len(CHECKS)} checks on each sample: {verdict}"


def _part_faults() -> dict[tuple[str, str], list[str]]:
    """The faults of whatever else is registered, by kind and name."""
    found = registry.registry()
    return {
        (kind, name): check_part(kind, part)
        for kind in PARTS
        for name, part in sorted(getattr(found, f"{kind.replace(' ', '_')}s").items())
    }


def _owner_of(kind: str, name: str) -> str:
    """Name the plugin that registered it, or the op of which it is an output."""
    return str(registry.registry().owners[kind, name.partition(":")[0]])


def _part_results(parts: Mapping[tuple[str, str], list[str]]) -> str:
    rows = [
        (kind, name, "\n".join((faults and [*faults, f"(from {_owner_of(kind, name)})"]) or ["ok"]))
        for (kind, name), faults in parts.items()
    ]
    wrong = sum(map(bool, parts.values()))
    return f"{table(('kind', 'name', 'check'), rows)}\n\n{f'{wrong} not right' if wrong else 'all right'}"


def _describe(finding: Finding) -> str:
    return str(finding).removeprefix(f"op '{finding.op}': ")


def _finding(finding: Finding) -> dict[str, str]:
    document = asdict(finding)
    document.pop("op")
    return document
