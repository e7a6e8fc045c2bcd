"""Finds plugins by entry point and looks names up. A broken plugin warns; two claims on one name are an error."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

from dataflow import hookspecs
from dataflow.errors import BackendError, DataflowWarning, FileFormatError, OpError, PluginError, nearest
from dataflow.interfaces import Backend, FileFormat, Initializer, Optimizer
from dataflow.op import Op
from dataflow.value import register_lookup

if TYPE_CHECKING:
    import click

T = TypeVar("T")
GROUP = "dataflow"
_builtin: list[tuple[object, str]] = []
_current: list[Registry] = []


@dataclass(frozen=True)
class Owner:
    """A plugin, described only when it is asked for: its distribution's metadata takes long to read."""

    name: str
    point: EntryPoint | None = None

    def __str__(self) -> str:
        return self.name if self.point is None else describe(self.point)


@dataclass
class Registry:
    """Everything that plugins have registered, by name."""

    ops: dict[str, Op] = field(default_factory=dict)
    initializers: dict[str, Initializer] = field(default_factory=dict)
    optimizers: dict[str, type[Optimizer]] = field(default_factory=dict)
    backends: dict[str, Backend] = field(default_factory=dict)
    file_formats: dict[str, FileFormat] = field(default_factory=dict)
    commands: dict[str, click.Command] = field(default_factory=dict)
    owners: dict[tuple[str, str], Owner] = field(default_factory=dict)
    """Which plugin registered what: ``str(owners["op", "relu"])``."""
    pending: list[EntryPoint] = field(default_factory=list)
    """Plugins that are still to be loaded."""
    waiting: list[EntryPoint] = field(default_factory=list)
    """Plugins that are being imported by somebody else, who asked for an op meanwhile: they offer nothing yet."""

    def add(self, plugin: object, owner: Owner | str) -> None:
        """Take in all that one plugin offers, or nothing of it: a fault is a ``PluginError``."""
        owner = Owner(name=owner) if isinstance(owner, str) else owner
        manager = pluggy.PluginManager(GROUP)
        manager.add_hookspecs(hookspecs)
        try:
            manager.register(plugin, owner.name)
            manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"{owner}: {' '.join(str(error).split())}") from None
        claims: list[tuple[dict[str, Any], str, str, Any]] = []
        for hook, kind, expected, table, names in (
            (manager.hook.register_ops, "op", Op, self.ops, lambda op: [op.name]),
            (manager.hook.register_initializers, "initializer", Initializer, self.initializers, lambda i: [i.name]),
            (manager.hook.register_optimizers, "optimizer", type, self.optimizers, lambda o: [o.name]),
            (manager.hook.register_backends, "backend", Backend, self.backends, lambda b: [b.name]),
            (manager.hook.register_file_formats, "file format", FileFormat, self.file_formats, lambda f: f.endings),
            (manager.hook.register_commands, "command", object, self.commands, lambda c: [c.name]),
        ):
            for item in _flatten(hook()):
                if not isinstance(item, expected):
                    raise PluginError(f"{owner}: hook register_{kind.replace(' ', '_')}s gave {item!r}, which is none")
                claims += [(table, kind, name, item) for name in names(item)]
        mine: set[tuple[str, str]] = set()
        for _, kind, name, _ in claims:
            if (kind, name) in self.owners or (kind, name) in mine:
                first = self.owners.get((kind, name), owner)
                raise ClashError(f"the {kind} '{name}' is registered twice: by {first} and by {owner}; uninstall one")
            mine.add((kind, name))
        for table, kind, name, item in claims:
            table[name] = item
            self.owners[kind, name] = owner

    def find(self, kind: str, table: Mapping[str, T], name: str, error: type[Exception] = PluginError) -> T:
        """The entry of that name, or an error with the nearest names."""
        if name not in table:
            raise error(f"unknown {kind} '{name}'{nearest(str(name), table)}")
        return table[name]


class ClashError(PluginError):
    """Two plugins claim one name, which no order of loading may decide."""


def registry() -> Registry:
    """What all installed plugins offer. They are loaded when this is first called; while they are, it is what has been
    loaded so far, so that a plugin may look up another's ops when it is imported."""
    if not _current:
        _current.append(Registry())
        try:
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
        found.add(plugin, name)
    found.pending = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    while found.pending:
        _load(found, found.pending.pop(0))


def _load(found: Registry, point: EntryPoint) -> None:
    if _is_being_imported(point):
        found.waiting.append(point)
        return
    owner = Owner(point.name, point)
    try:
        found.add(point.load(), owner)
    except ClashError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever a plugin does, the rest go on)
        reason = f"{type(error).__name__}: {error}".removeprefix("PluginError: ").removeprefix(f"{owner}: ")
        warnings.warn(f"{owner} is broken and was left out: {reason}", DataflowWarning, stacklevel=2)


def _is_being_imported(point: EntryPoint) -> bool:
    """Whether a program imports the plugin's module right now: what it will define is not all there."""
    spec = getattr(sys.modules.get(point.module), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def register_builtin(plugin: object, name: str) -> None:
    """Register a part of dataflow that is a plugin in all but its entry point; before anything is looked up."""
    _builtin.append((plugin, name))


def describe(point: EntryPoint) -> str:
    """``plugin 'ops' (dataflow-autodiff 0.1.0)``."""
    distribution = f" ({point.dist.name} {point.dist.version})" if point.dist is not None else ""
    return f"plugin '{point.name}'{distribution}"


def lookup(name: str) -> Op:
    """The op of that name; an ``OpError`` gives the nearest names."""
    found = registry()
    while name not in found.ops and found.pending:  # asked by a plugin that is being loaded
        _load(found, found.pending.pop(0))
    return found.find("op", found.ops, name, OpError)


def all_ops() -> dict[str, Op]:
    """Every registered op by name, in alphabetical order."""
    return dict(sorted(registry().ops.items()))


def initializer(name: str) -> Initializer:
    """The initializer of that name."""
    return registry().find("initializer", registry().initializers, name)


def optimizer(name: str) -> type[Optimizer]:
    """The optimizer class of that name."""
    return registry().find("optimizer", registry().optimizers, name)


def backend(name: str) -> Backend:
    """The backend of that name."""
    return registry().find("backend", registry().backends, name, BackendError)


def file_format(ending: str) -> FileFormat:
    """The format of files with that ending, such as ``".toml"``."""
    formats = registry().file_formats
    if ending.lower() not in formats:
        known = ", ".join(sorted(formats))
        if not ending:
            raise FileFormatError(f"the name has no ending, which would tell the format; there is {known}")
        raise FileFormatError(f"files ending in '{ending}' are of no known format; there is {known}")
    return formats[ending.lower()]


def _flatten(results: Iterable[Iterable[T]]) -> list[T]:
    return [item for result in results for item in result]


register_lookup(lookup)
