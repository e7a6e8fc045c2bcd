"""``dataflow ops``: the registered ops, or all about one."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import Any

import click

from dataflow import attributes as attribute_module
from dataflow import registry
from dataflow.cli import common
from dataflow.cli.common import example_text
from dataflow.cli.group import Session
from dataflow.cli.text import table, width
from dataflow.cost import says_its_cost
from dataflow.errors import MissingExtraError
from dataflow.op import Op

SIGNATURE = 30
"""The widest signature beside which the summary stands; longer ones have it below."""


@click.command(
    "ops",
    epilog=example_text(
        "dataflow ops",
        "dataflow ops relu",
        "dataflow ops relu --check",
    ),
)
@click.argument("name", required=False)
@click.option("--check", "checked", is_flag=True, help="Test the rules of the op (of all) against finite differences.")
@common.output_options
@click.pass_obj
def command(session: Session, name: str | None, checked: bool, as_json: bool, quiet: bool) -> None:
    """List the registered ops by plugin, or show all about the op NAME.

    Attributes go by keyword: sum(x, axis=0).
    """
    ops = {name: registry.lookup(name)} if name is not None else registry.all_ops()
    faults = _faults(ops) if checked else {}
    if as_json:
        documents = [_document(op) | ({"fault": faults.get(op.name)} if checked else {}) for op in ops.values()]
        common.print_json(documents[0] if name is not None else documents)
    elif checked:
        rows = [(op.name, faults.get(op.name, "ok")) for op in ops.values()]
        session.say(table(("op", "check"), rows))
    elif name is not None:
        session.say(_all_about(ops[name]))
    else:
        session.say(_list(list(ops.values())))
    if faults:
        first = min(faults)
        more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
        session.fail(f"op '{first}' ({owner(first)}) is not right: {faults[first]}{more}")
        raise click.exceptions.Exit(1)


def owner(name: str) -> str:
    """Which plugin registered the op."""
    return str(registry.registry().owners["op", name])


def rules(op: Op) -> dict[str, str]:
    """Where each of the op's rules comes from, in words."""
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
        "cost": _cost(op),
    }


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
    for plugin, group in groupby(sorted(ops, key=lambda op: (owner(op.name), op.name)), lambda op: owner(op.name)):
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
    facts = [("inputs", ", ".join(inputs)), *rules(op).items(), ("from", owner(op.name))]
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
        "attributes": {
            x.name: {"type": x.type_text, "required": x.required}
            | ({} if x.required else {"default": attribute_module.plain(x.default)})
            for x in op.attributes.values()
        },
        "rules": rules(op),
        "plugin": owner(op.name),
    }


def _faults(ops: dict[str, Op]) -> dict[str, str]:
    """What is wrong with each op that does not pass the general tests."""
    try:
        from dataflow.testing import check_op
    except ImportError as error:
        raise MissingExtraError(
            f"checking ops needs what tests need ({error.name}): pip install 'dataflow-autodiff[test]'"
        ) from None
    faults = {}
    for name, op in ops.items():
        if findings := check_op(op):
            more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
            faults[name] = str(findings[0]).removeprefix(f"op '{name}': ") + more
    return faults
