"""What authors of plugins overlook: nothing fails, and what they wrote is not there. Each is told with what to do."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

from dataflow.errors import nearest

ALIKE = 0.85
"""From this similarity on, a name is taken for a misspelt one."""
DECORATORS = {"op": "@dataflow.op", "initializer": "@dataflow.initializer", "metric": "@dataflow.metric(...)"}
FILES = 200
"""The most files of a plugin that are searched."""


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


def wrong_item(hook: str, kind: str, item: object, expected: Any) -> str:
    """What is wrong about an item that a hook gave; nothing if it is what it should be."""
    if isinstance(item, expected):
        if not isinstance(item, type) or isinstance(getattr(item, "name", None), str):
            return ""
        return f'{kind} {item.__name__} has no name; write name = "{item.__name__.lower()}" in it'
    if expected is type:
        name = type(item).__name__
        return f"hook {hook} gave {item!r}, which is no class; {kind}s are registered as classes: return [{name}]"
    decorator = DECORATORS.get(kind)
    if decorator is not None and inspect.isfunction(item):
        return f"hook {hook} gave the function {item.__name__}, which is no {kind}; decorate it with {decorator}"
    if inspect.isclass(item):
        return f"hook {hook} gave the class {item.__name__}, which is no {kind}; return [{item.__name__}()]"
    return f"hook {hook} gave {item!r}, which is no {kind}"


def no_list(hook: str, given: object) -> str:
    """What is wrong about a hook that gives something else than a list."""
    return f"hook {hook} gave {given!r}; it gives a list: return [...]"


def unknown_hooks(plugin: object, hookspecs: ModuleType) -> list[str]:
    """A line for each function with ``@hookimpl`` whose name is no hook's."""
    known = [name for name in vars(hookspecs) if name.startswith("register_")]
    return [
        f"{name} has @dataflow.hookimpl and is no hook{nearest(name, known)}"
        for name in dir(plugin)
        if name not in known and hasattr(getattr(plugin, name, None), "dataflow_impl")
    ]


def defines(point: EntryPoint, name: str) -> bool:
    """Whether a plugin's source has a definition of this name. Nothing is imported for that."""
    try:
        spec = importlib.util.find_spec(point.module.partition(".")[0])
        places = [] if spec is None else [*map(Path, spec.submodule_search_locations or ()), Path(spec.origin or "")]
        files = [file for place in places for file in (place.rglob("*.py") if place.is_dir() else [place])]
        pattern = re.compile(rf"^(def {re.escape(name)}_?\b|{re.escape(name)}_?\s*=)", re.MULTILINE)
        return any(pattern.search(file.read_text("utf-8", "replace")) for file in files[:FILES] if file.suffix == ".py")
    except (AttributeError, ImportError, OSError, ValueError):
        return False


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
