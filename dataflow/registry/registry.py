"""Finds plugins by entry point and looks names up. A broken plugin warns; two claims on one name are an error."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from dataflow.errors import BackendError, DataflowWarning, FileFormatError, OpError, PluginError, nearest
from dataflow.operations.op import Op
from dataflow.registry import hookspecs
from dataflow.registry.misnamed_hooks import defines, is_nearly, misplaced, mistakes, no_list, unknown_hooks, wrong_item
from dataflow.registry.owners import Owner, reason
from dataflow.support.gc_pause import collector_paused

if TYPE_CHECKING:
    import click

T = TypeVar("T")
GROUP = "dataflow"
Names = Callable[[Any], Iterable[str]]
KINDS: dict[str, tuple[type | tuple[type, ...], Names]] = {}
"""What plugins register, by name of its kind: the class of each item, and the names under which it is found."""
_builtin: list[tuple[object, str]] = []
_current: list[Registry] = []


@dataclass
class Registry:
    """Everything that plugins have registered, by name."""

    ops: dict[str, Op] = field(default_factory=dict)
    blocks: dict[str, Any] = field(default_factory=dict)
    initializers: dict[str, Any] = field(default_factory=dict)
    optimizers: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    schedules: dict[str, Any] = field(default_factory=dict)
    backends: dict[str, Any] = field(default_factory=dict)
    file_formats: dict[str, Any] = field(default_factory=dict)
    clusters: dict[str, Any] = field(default_factory=dict)
    commands: dict[str, click.Command] = field(default_factory=dict)
    owners: dict[tuple[str, str], Owner] = field(default_factory=dict)
    """Which plugin registered what: ``str(owners["op", "relu"])``."""
    renamed: dict[tuple[str, str], str] = field(default_factory=dict)
    """The present name for each former one, by kind. An item lists its former names in ``former_names``."""
    plugins: list[Owner] = field(default_factory=list)
    """All that were found, in the order in which they were loaded."""
    broken: dict[Owner, str] = field(default_factory=dict)
    """Why a plugin was left out."""
    notes: list[tuple[Owner | None, str]] = field(default_factory=list)
    """What was warned of, and for which plugin, where it is about one."""
    pending: list[EntryPoint] = field(default_factory=list)
    """Plugins that are still to be loaded."""
    waiting: list[EntryPoint] = field(default_factory=list)
    """Plugins that are being imported by somebody else, who asked for an op meanwhile: they offer nothing yet."""

    def add(self, plugin: object, owner: Owner | str) -> None:
        """Take in all that one plugin offers, or nothing of it: a fault is a ``PluginError``."""
        owner = Owner(name=owner) if isinstance(owner, str) else owner
        manager = pluggy.PluginManager(GROUP)
        manager.add_hookspecs(hookspecs)
        for fault in unknown_hooks(plugin, hookspecs):
            raise PluginError(f"{owner}: {fault}")
        try:
            manager.register(plugin, owner.name)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"{owner}: {' '.join(str(error).split())}") from None
        claims: list[tuple[dict[str, Any], str, str, Any]] = []
        for kind, (expected, names) in KINDS.items():
            hook = f"{kind.replace(' ', '_')}s"
            for given in getattr(manager.hook, f"register_{hook}")():
                if not isinstance(given, Iterable) or isinstance(given, str):
                    raise PluginError(f"{owner}: {no_list(f'register_{hook}', given)}")
                for item in given:
                    if fault := wrong_item(f"register_{hook}", kind, item, expected):
                        raise PluginError(f"{owner}: {fault}")
                    claims += [(getattr(self, hook), kind, name, item) for name in names(item)]
        mine: set[tuple[str, str]] = set()
        for _, kind, name, _ in claims:
            if (kind, name) in self.owners or (kind, name) in mine:
                first = self.owners.get((kind, name), owner)
                raise ClashError(f"the {kind} '{name}' is registered twice: by {first} and by {owner}; uninstall one")
            mine.add((kind, name))
            other = {"op": "block", "block": "op"}.get(kind, "")
            if (other, name) in self.owners or (other, name) in mine:  # files call both by their names
                claimed = f"the {other} of {self.owners.get((other, name), owner)} and the {kind} of {owner}"
                raise ClashError(f"{claimed} are both called '{name}'; uninstall one")
            for former in getattr(item, "former_names", ()):
                if self.renamed.get((kind, former), name) != name:
                    other = self.renamed[kind, former]
                    raise ClashError(f"'{former}' is a former name of two {kind}s: {other} and {name}; uninstall one")
        for table, kind, name, item in claims:
            table[name] = item
            self.owners[kind, name] = owner
            self.renamed |= {(kind, former): name for former in getattr(item, "former_names", ())}

    def registered(self, owner: Owner) -> dict[str, list[str]]:
        """The names that a plugin registered, by kind."""
        mine = [key for key, one in self.owners.items() if one is owner]
        return {kind: [name for other, name in mine if other == kind] for kind, _ in mine}

    def warn(self, text: str, owner: Owner | None = None) -> None:
        """Tell the user what is odd about a plugin or its distribution, and keep it for ``dataflow plugins``."""
        self.notes.append((owner, text))
        warnings.warn(text if owner is None else f"{owner} {text}", DataflowWarning, stacklevel=3)

    def present_name(self, kind: str, name: str) -> str:
        """The name of today for a former one, with a warning that says it; any other name as it is."""
        if (kind, name) in self.owners or (kind, name) not in self.renamed:
            return name
        present = self.renamed[kind, name]
        warnings.warn(f"the {kind} '{name}' is called '{present}' now: write {present}", DataflowWarning, stacklevel=3)
        return present

    def find(self, kind: str, table: Mapping[str, T], name: str, error: type[Exception] = PluginError) -> T:
        """The entry of that name, or of that former name, or an error with the nearest names."""
        name = self.present_name(kind, name)
        if name not in table:
            raise error(f"unknown {kind} '{name}'{self.where_it_is(str(name)) or nearest(str(name), table)}")
        return table[name]

    def where_it_is(self, name: str) -> str:
        """The broken plugin that defines something of this name, for an error; nothing if there is none."""
        found = (owner for owner in self.broken if owner.point is not None and defines(owner.point, name))
        return next((f"; {owner} defines it, and is broken: {self.broken[owner]}" for owner in found), "")


def declare_kind(kind: str, items: type | tuple[type, ...], names: Names = lambda item: [item.name]) -> None:
    """Let plugins register items of a class, which stands above this module: the hook ``register_<kind>s`` gives
    them."""
    KINDS[kind] = items, names


declare_kind("op", Op)
declare_kind("command", object)


class ClashError(PluginError):
    """Two plugins claim one name, which no order of loading may decide."""


def registry() -> Registry:
    """What all installed plugins offer. They are loaded when this is first called; while they are, it is what has been
    loaded so far, so that a plugin may look up another's ops when it is imported."""
    if not _current:
        _current.append(Registry())
        try:
            with collector_paused():
                load_plugins(_current[0])
        except BaseException:
            _current.clear()
            raise
    found = _current[0]
    for point in [point for point in found.waiting if not _is_being_imported(point)]:
        found.waiting.remove(point)  # before it is loaded, which may lead here again
        try:
            _load(found, point)
        except BaseException:
            found.waiting.append(point)
            raise
    return found


def load_plugins(found: Registry) -> None:
    """Fill a registry with what is built in and with what all entry points offer."""
    for plugin, name in _builtin:
        owner = Owner(name)
        found.add(plugin, owner)
        found.plugins.append(owner)
    points = _entry_points()
    for text in misplaced(points, GROUP):
        found.warn(text)
    found.pending = sorted(
        (point for point in points if point.group == GROUP), key=lambda point: (point.name, point.value)
    )
    while found.pending:
        _load(found, found.pending.pop(0))


def _entry_points() -> list[EntryPoint]:
    """Those of our group, and of groups that are nearly called so. Metadata that cannot be read stop networkx before
    they could stop us here."""
    every: Any = entry_points()
    return [point for group in every.groups if is_nearly(group, GROUP) for point in every.select(group=group)]


def _load(found: Registry, point: EntryPoint) -> None:
    owner = Owner(point.name, point)
    try:
        if _is_being_imported(point):
            found.waiting.append(point)
            return
        plugin = point.load()
        found.add(plugin, owner)
        for text in mistakes(plugin, point, hookspecs, nothing=not found.registered(owner)):
            found.warn(text, owner)
    except (ClashError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 (whatever a plugin does, the rest go on)
        found.broken[owner] = reason(error).removeprefix("PluginError: ").removeprefix(f"{owner}: ")
        warnings.warn(f"{owner} is broken and was left out: {found.broken[owner]}", DataflowWarning, stacklevel=2)
    found.plugins.append(owner)


def _is_being_imported(point: EntryPoint) -> bool:
    """Whether a program imports the plugin's module right now: what it will define is not all there. A ``PluginError``
    where the entry point names no module."""
    try:
        module = point.module
    except (AssertionError, AttributeError, ValueError):  # one or the other, as Python's version has it
        raise PluginError(f'its entry point is {point.value!r}; it names a module, as in "dataflow_mine"') from None
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def register_builtin(plugin: object, name: str) -> None:
    """Register a part of dataflow that is a plugin in all but its entry point; before anything is looked up."""
    _builtin.append((plugin, name))


def lookup(name: str) -> Op:
    """The op of that name, such as ``relu``, or ``topk:values`` for one output of an op with several; an ``OpError``
    gives the nearest names."""
    found = registry()
    family, colon, output = name.partition(":") if isinstance(name, str) else (name, "", "")
    while family not in found.ops and found.pending:  # asked by a plugin that is being loaded
        _load(found, found.pending.pop(0))
    op = found.find("op", found.ops, family, OpError)
    return op.output(output) if colon else op


def is_registered(op: Op) -> bool:
    """Whether a plugin registers this very op, or the one of which it gives an output."""
    return registry().ops.get(op.family_name) is (op.family or op)


def all_ops() -> dict[str, Op]:
    """Every registered op by name, in alphabetical order."""
    return dict(sorted(registry().ops.items()))


def initializer(name: str) -> Any:
    """The initializer of that name."""
    return registry().find("initializer", registry().initializers, name)


def optimizer(name: str) -> Any:
    """The optimizer class of that name."""
    return registry().find("optimizer", registry().optimizers, name)


def metric(name: str) -> Any:
    """The metric of that name; ``top_5`` is that of ``top_k`` for k = 5."""
    metrics = registry().metrics
    stem, _, number = name.rpartition("_")
    if name not in metrics and f"{stem}_k" in metrics:
        if not re.fullmatch("[1-9][0-9]{0,8}", number):
            raise unnumbered(f"{stem}_k", name)
        return metrics[f"{stem}_k"].numbered_with(int(number))
    return registry().find("metric", metrics, name)


def unnumbered(family: str, name: str) -> PluginError:
    """The error for a metric of a family whose number is none."""
    example = f"{family.removesuffix('k')}5"
    wanted = f"the metric '{family}' takes a whole number from 1 in the place of k, as in '{example}'"
    return PluginError(f"{wanted}; '{name}' found")


def schedule(name: str) -> Any:
    """The schedule class of that name."""
    return registry().find("schedule", registry().schedules, name)


def backend(name: str) -> Any:
    """The backend of that name; ``jax:gpu`` is that on a kind of device."""
    stem, *device = name.split(":", 1)
    found = registry().find("backend", registry().backends, stem, BackendError)
    return found.on(*device) if device else found


def present_name(kind: str, name: str) -> str:
    """The name of today for a former one, with a warning that says it; any other name as it is."""
    return registry().present_name(kind, name)


def file_format(ending: str) -> Any:
    """The format of files with that ending, such as ``".toml"``."""
    formats = registry().file_formats
    if ending.lower() not in formats:
        known = ", ".join(sorted(formats))
        if not ending:
            raise FileFormatError(f"the name has no ending, which would tell the format; available: {known}")
        raise FileFormatError(f"files ending in '{ending}' are of no known format; available: {known}")
    return formats[ending.lower()]
