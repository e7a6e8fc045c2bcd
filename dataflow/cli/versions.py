"""The version of dataflow and of each distribution that brings a plugin."""

from __future__ import annotations

from typing import Any

from dataflow.cli.terminal_text import clean
from dataflow.registry import registry
from dataflow.registry.owners import distribution_of
from dataflow.support.version import installed_version


def version_document() -> dict[str, Any]:
    """The versions, and which plugins each distribution brings."""
    found = registry.registry()
    plugins = []
    for owner in found.plugins:
        if owner.point is not None:
            name, number = distribution_of(owner.point)
            plugins.append(
                {"name": owner.name, "distribution": name, "version": number, "broken": owner in found.broken}
            )
    return {"dataflow": installed_version(), "plugins": plugins}


def version_text(document: dict[str, Any]) -> str:
    """``dataflow 0.2.0``, then a line for each distribution with its plugins."""
    lines: dict[str, list[str]] = {}
    for plugin in document["plugins"]:
        name = " ".join(filter(None, (plugin["distribution"], plugin["version"]))) or "no distribution"
        lines.setdefault(name, []).append(
            plugin["name"] + (" (broken: see 'dataflow plugins')" if plugin["broken"] else "")
        )
    parts = [f"dataflow {document['dataflow']}"]
    parts += [clean(f"plugins of {name}: {', '.join(plugins)}") for name, plugins in lines.items()]
    return "\n".join(parts)
