"""What authors of plugins overlook: nothing fails, and what they wrote is not there. Each is told with what to do."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

ALIKE = 0.85
"""From this similarity on, a name is taken for a misspelt one."""


def is_nearly(name: str, group: str) -> bool:
    """Whether a group of entry points is called so, or has a name that may be meant for it."""
    letters = re.sub(r"[^a-z]", "", name.lower())
    return letters.startswith(group) or SequenceMatcher(None, letters, group).ratio() >= ALIKE


def misplaced(points: Iterable[EntryPoint], group: str) -> list[str]:
    """A line for each of these entry points whose group is not ours, of a distribution that is written for us."""
    found = []
    for name in sorted({point.group for point in points}):
        if name == group:
            continue
        for point in points:
            if point.group == name and _is_meant(point, group):
                whose = f" of {point.dist.name}" if point.dist is not None else ""
                found.append(
                    f"the entry point '{point.name}'{whose} stands in the group '{name}' and is not loaded; plugins "
                    f"stand in [project.entry-points.{group}]"
                )
    return found


def mistakes(plugin: object, point: EntryPoint, hookspecs: ModuleType, *, nothing: bool) -> list[str]:
    """What is odd about a plugin that was loaded, each as the rest of a sentence that begins with its name;
    ``nothing`` says that it registered nothing."""
    hooks = [name for name in vars(hookspecs) if name.startswith("register_")]
    if inspect.isroutine(plugin):
        where = point.value.split(":")[0].strip()
        return [f'registers nothing: its entry point names a function; name the module: {point.name} = "{where}"']
    found = []
    for name, function in _own_functions(plugin):
        meant = get_close_matches(name, hooks, 1, ALIKE)
        if meant and not hasattr(function, f"{hookspecs.hookimpl.project_name}_impl"):
            other = "" if name in meant else f" and the name {meant[0]}"
            found.append(f"has a function {name} that is not called: give it @dataflow.hookimpl{other}")
    if nothing and not found:
        given = [name for name in hooks if hasattr(plugin, name)]
        if given:
            found.append(f"registers nothing: {' and '.join(given)} {'give' if len(given) > 1 else 'gives'} no entry")
        else:
            found.append(
                f"registers nothing: it has no hook; write one, such as register_ops, with @dataflow.hookimpl "
                f"(available: {', '.join(hooks)})"
            )
    return found


def _own_functions(plugin: object) -> list[tuple[str, Any]]:
    """The functions called ``register...`` that a plugin itself defines, not those that it imports."""
    own = plugin.__name__ if isinstance(plugin, ModuleType) else None
    found = ((name, getattr(plugin, name, None)) for name in dir(plugin) if name.startswith("register"))
    return [
        (name, value)
        for name, value in found
        if inspect.isroutine(value) and own in (None, getattr(value, "__module__", None))
    ]


def _is_meant(point: EntryPoint, group: str) -> bool:
    """Whether a distribution is written for us: others may have groups of such a name, too."""
    ours = any(
        re.match(rf"{group}[-_.]autodiff\b", one, re.IGNORECASE) for one in (point.dist and point.dist.requires) or ()
    )
    return ours or point.value.startswith(f"{group}_")
