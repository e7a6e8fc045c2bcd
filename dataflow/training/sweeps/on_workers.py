"""The runs of a sweep on the workers of a cluster: tasks without state, whose files this process writes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgpack

from dataflow.backends.cluster import Workers
from dataflow.errors import DataflowWarning
from dataflow.training.saving.interrupts import Interrupt
from dataflow.training.sweeps.reported import pack_task, unpack
from dataflow.training.sweeps.runs import Outcome, Task


def do_on_workers(
    tasks: Sequence[Task],
    workers: Workers,
    inputs: Sequence[bytes],
    needs: Mapping[str, Any],
    interrupt: Interrupt,
    on_start: Callable[[Task], object],
    on_progress: Callable[[int, Mapping[str, Any]], object],
    on_end: Callable[[Task, Outcome], object],
) -> None:
    """Do the tasks, each on one worker; ``do_tasks`` does them in processes here. When asked to end, each run that has
    begun ends after its minibatch."""
    told: set[str] = set()
    for number, kind, data in workers.each(inputs, needs, map(pack_task, tasks), lambda: interrupt.requested):
        task = tasks[number]
        match kind:
            case "begun":
                on_start(task)
            case "lost":
                on_end(task, Outcome("lost", data.decode(), {}))
            case "ended":
                on_end(task, unpack(task, data))
            case _:
                report = msgpack.unpackb(data)
                if "warning" not in report:
                    on_progress(task.number, report)
                elif report["warning"] not in told:
                    told.add(report["warning"])
                    warnings.warn(report["warning"], DataflowWarning, stacklevel=2)
