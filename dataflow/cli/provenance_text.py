"""Print what a trained file says about the run that made it. The file may say anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataflow.cli.terminal_text import settings_text
from dataflow.data.write_results import plain_document
from dataflow.errors import counted
from dataflow.model.digests import graph_digest, parameter_digest
from dataflow.model.model import Model
from dataflow.model.train_settings import DECIDING_OPTIONS
from dataflow.support.texts import shorten


def provenance(model: Model) -> dict[str, Any] | None:
    """Return the manifest of the model's training run, its settings, and whether graph and parameters are unchanged
    since; ``None`` for a model that was not trained."""
    record = model.training
    stated = record.get("manifest")
    if not isinstance(stated, Mapping):
        return None
    stated_options = [
        name
        for name, option in DECIDING_OPTIONS.items()
        if option.required or record.get(name, option.default) != option.default
    ]
    settings = {name: record.get(name) for name in (*stated_options, "backend")}
    manifest: dict[str, Any] = plain_document({**stated, "epochs": record.get("epochs"), "settings": settings})
    return manifest | {
        "same_graph": manifest.get("graph") == graph_digest(model),
        "same_parameters": manifest.get("parameters") == parameter_digest(model),
    }


def provenance_lines(manifest: Mapping[str, Any]) -> list[str]:
    """Format the manifest as lines for the summary of a check."""
    settings = manifest["settings"]
    optimizer = settings["optimizer"]
    how = settings_text(optimizer) if isinstance(optimizer, Mapping) and _is_plain(optimizer) else _word(optimizer)
    epochs = manifest["epochs"]
    run = f"{counted(epochs, 'epoch') if type(epochs) is int else _word(epochs)} of {shorten(how, 80)}"
    others = ", ".join(f"{name.replace('_', ' ')} {_word(settings[name])}" for name in settings if name != "optimizer")
    lines = [f"trained     {run}, {others}"]
    versions = ", ".join(f"{name} {_word(manifest.get(key))}" for name, key in _VERSIONS)
    lines.append(f"            by {versions}")
    plugins = manifest.get("plugins")
    for plugin, parts in plugins.items() if isinstance(plugins, Mapping) else ():
        took_part = ", ".join(map(_word, parts)) if isinstance(parts, list) else _word(parts)
        lines.append(f"            {shorten(plugin, 80)}: {shorten(took_part, 200)}")
    lines.append(f"  data      {_word(manifest.get('data'))}")
    if manifest.get("held_out") is not None:
        lines.append(f"  held out  {_word(manifest['held_out'])}")
    for what in ("graph", "parameters"):
        if not manifest[f"same_{what}"]:
            verb = "was" if what == "graph" else "were"
            lines.append(f"  {what} {verb} changed since; then it was {_word(manifest.get(what))}")
    return lines


_VERSIONS = (("dataflow", "dataflow"), ("numpy", "numpy"), ("Python", "python"))


def _is_plain(optimizer: Mapping[str, Any]) -> bool:
    return isinstance(optimizer.get("name"), str) and all(
        isinstance(value, str) or (isinstance(value, int | float) and abs(value) < 1e300)
        for value in optimizer.values()
    )


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        value = ", ".join(f"{key} {_word(item)}" for key, item in value.items())
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return shorten(value if isinstance(value, str) else str(value).lower(), 80)
