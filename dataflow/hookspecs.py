"""What a plugin may add. A plugin is a module that a distribution names under the entry-point group ``dataflow``::

    [project.entry-points.dataflow]
    mine = "dataflow_mine"

and that implements any of these hooks with ``@dataflow.hookimpl``. Entry points are the only way in: a model file never
makes a plugin load.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from dataflow.interfaces import Backend, FileFormat, Initializer, Optimizer
    from dataflow.op import Op

hookspec = pluggy.HookspecMarker("dataflow")
hookimpl = pluggy.HookimplMarker("dataflow")


@hookspec
def register_ops() -> Iterable[Op]:  # type: ignore[empty-body]
    """Ops. ``return dataflow.ops_in(sys.modules[__name__])`` gives all that the module defines."""


@hookspec
def register_initializers() -> Iterable[Initializer]:  # type: ignore[empty-body]
    """Initializers: functions decorated with ``@dataflow.initializer``."""


@hookspec
def register_optimizers() -> Iterable[type[Optimizer]]:  # type: ignore[empty-body]
    """Optimizers: subclasses of ``dataflow.Optimizer``."""


@hookspec
def register_backends() -> Iterable[Backend]:  # type: ignore[empty-body]
    """Backends: what runs a plan."""


@hookspec
def register_file_formats() -> Iterable[FileFormat]:  # type: ignore[empty-body]
    """File formats: an ending, and functions that load and save a model."""


@hookspec
def register_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]
    """Commands for ``dataflow`` on the command line."""
