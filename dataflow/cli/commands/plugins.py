"""``dataflow plugins``: each plugin that was found, what it registered, and what failed and why."""

from __future__ import annotations

import textwrap
from typing import Any

import click

from dataflow.cli import common
from dataflow.cli.command import Command, example_text
from dataflow.cli.group import Session
from dataflow.cli.terminal_text import clean, width
from dataflow.errors import plural
from dataflow.registry import registry
from dataflow.registry.owners import Owner, distribution_of


@click.command("plugins", cls=Command, epilog=example_text("dataflow plugins", "dataflow plugins --json"))
@common.output_options
@click.pass_obj
def command(session: Session) -> None:
    """List the plugins that are installed: the distribution and the entry point of each, what it registered, what
    failed and why.

    A plugin that is broken, or that registers nothing, is listed with what to do.
    """
    plugins = registry.registry()
    session.take()  # what was warned of stands in the list
    documents = [_document(plugins, owner) for owner in plugins.plugins]
    others = [text for owner, text in plugins.notes if owner is None]
    if session.as_json:
        session.print_json({"plugins": documents, "warnings": others})
        return
    blocks: dict[str, list[str]] = {}
    for document in documents:
        name, version = document["distribution"], document["version"]
        distribution = "built in" if name is None else f"{name} {version}"
        lines = _lines(document)
        known = blocks.setdefault(distribution, [])
        known += lines[1:] if lines[0] in known else lines  # what is built in has one name
    text = [line for name, lines in blocks.items() for line in (clean(name), *lines, "")]
    text += [line for note in others for line in _wrap(f"warning: {note}", "")]
    session.say("\n".join(text).rstrip())


def _document(plugins: registry.Registry, owner: Owner) -> dict[str, Any]:
    point = owner.point
    name, version = (None, None) if point is None else distribution_of(point)
    return {
        "name": owner.name,
        "entry_point": None if point is None else point.value,
        "distribution": name,
        "version": version,
        "registered": plugins.registered(owner),
        "error": plugins.broken.get(owner),
        "warnings": [text for plugin, text in plugins.notes if plugin is owner],
    }


def _lines(document: dict[str, Any]) -> list[str]:
    value = document["entry_point"]
    lines = [clean(f"  {document['name']}" + ("" if value is None else f" = {value!r}"))]
    for kind, names in document["registered"].items():
        lines += _wrap(f"{plural(kind, len(names))}: {', '.join(names)}")
    if document["error"] is not None:
        lines += _wrap(f"broken and left out: {document['error']}")
    for text in document["warnings"]:
        lines += _wrap(f"warning: {text}")
    return lines


def _wrap(text: str, indent: str = "    ") -> list[str]:
    return textwrap.wrap(clean(text), width(), initial_indent=indent, subsequent_indent=f"{indent}  ")
