"""What a trained file says of the run that made it, for people. It comes from a file and may be anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.cli.text import counted, settings_text
from dataflow.digests import graph_digest, parameter_digest
from dataflow.model import Model
from dataflow.results import plain_document
from dataflow.tokens import shorten


def provenance(model: Model) -> dict[str, Any] | None:
    """The manifest of the model's training, its settings, and whether graph and parameters are still those that the
    run left; None for a model that no run has left."""
    record = model.training
    stated = record.get("manifest")
    if not isinstance(stated, Mapping):
        return None
    settings = {key: record.get(key) for key in ("optimizer", "batch_size", "shuffle", "seed", "validation", "backend")}
    found: dict[str, Any] = plain_document({**stated, "epochs": record.get("epochs"), "settings": settings})
    return found | {
        "same_graph": found.get("graph") == graph_digest(model),
        "same_parameters": found.get("parameters") == parameter_digest(model),
    }


def provenance_lines(found: Mapping[str, Any]) -> list[str]:
    """The same as lines for the summary of a check."""
    settings = found["settings"]
    optimizer = settings["optimizer"]
    how = settings_text(optimizer) if isinstance(optimizer, Mapping) and _is_plain(optimizer) else _said(optimizer)
    epochs = found["epochs"]
    run = f"{counted(epochs, 'epoch') if type(epochs) is int else _said(epochs)} of {shorten(how, 80)}"
    others = ", ".join(f"{name.replace('_', ' ')} {_said(settings[name])}" for name in settings if name != "optimizer")
    lines = [f"trained     {run}, {others}"]
    versions = ", ".join(f"{name} {_said(found.get(key))}" for name, key in _VERSIONS)
    lines.append(f"            by {versions}")
    plugins = found.get("plugins")
    for plugin, parts in plugins.items() if isinstance(plugins, Mapping) else ():
        took_part = ", ".join(map(_said, parts)) if isinstance(parts, list) else _said(parts)
        lines.append(f"            {shorten(plugin, 80)}: {shorten(took_part, 200)}")
    lines.append(f"  data      sha256 {_said(found.get('data'))}")
    if found.get("held_out") is not None:
        lines.append(f"  held out  sha256 {_said(found['held_out'])}")
    for what in ("graph", "parameters"):
        if not found[f"same_{what}"]:
            verb = "was" if what == "graph" else "were"
            lines.append(f"  {what} {verb} changed since: sha256 {_said(found.get(what))}")
    return lines


_VERSIONS = (("dataflow", "dataflow"), ("numpy", "numpy"), ("Python", "python"))


def _is_plain(optimizer: Mapping[str, Any]) -> bool:
    return isinstance(optimizer.get("name"), str) and all(
        isinstance(value, str) or (isinstance(value, int | float) and abs(value) < 1e300)
        for value in optimizer.values()
    )


def _said(value: Any) -> str:
    if value is None:
        return "none"
    return shorten(value if isinstance(value, str) else str(value).lower(), 80)
