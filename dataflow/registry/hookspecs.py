"""What a plugin may add. A plugin is a module that a distribution names under the entry-point group ``dataflow``::

    [project.entry-points.dataflow]
    mine = "dataflow_mine"

and that implements any of these hooks with ``@dataflow.hookimpl``. Entry points are the only way in: a model file never
makes a plugin load.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from dataflow.operations.op import Op

if TYPE_CHECKING:
    import click

hookspec = pluggy.HookspecMarker("dataflow")
hookimpl = pluggy.HookimplMarker("dataflow")


@hookspec
def register_ops() -> Iterable[Op]:  # type: ignore[empty-body]
    """Ops. ``return dataflow.ops_in(sys.modules[__name__])`` gives all that the module defines."""


@hookspec
def register_blocks() -> Iterable[str | Path]:  # type: ignore[empty-body]
    """Blocks, which model files call by name like ops: paths of TOML files, or their texts, which hold ``dataflow = 2``
    and ``[blocks.NAME]`` tables and nothing else."""


@hookspec
def register_initializers() -> Iterable[Any]:  # type: ignore[empty-body]
    """Initializers: functions decorated with ``@dataflow.initializer``."""


@hookspec
def register_optimizers() -> Iterable[Any]:  # type: ignore[empty-body]
    """Optimizers: subclasses of ``dataflow.Optimizer``."""


@hookspec
def register_metrics() -> Iterable[Any]:  # type: ignore[empty-body]
    """Metrics: functions decorated with ``@dataflow.metric``."""


@hookspec
def register_schedules() -> Iterable[Any]:  # type: ignore[empty-body]
    """Schedules of the learning rate: subclasses of ``dataflow.Schedule``."""


@hookspec
def register_backends() -> Iterable[Any]:  # type: ignore[empty-body]
    """Backends: instances of subclasses of ``dataflow.Backend``, which run plans."""


@hookspec
def register_file_formats() -> Iterable[Any]:  # type: ignore[empty-body]
    """``dataflow.FileFormat``s: an ending, and functions that load and save a model."""


@hookspec
def register_clusters() -> Iterable[Any]:  # type: ignore[empty-body]
    """Clusters to train on: instances of subclasses of ``dataflow.ClusterEngine``, which open workers."""


@hookspec
def register_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]
    """Commands for ``dataflow`` on the command line."""
