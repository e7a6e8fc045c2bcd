"""The runs of a sweep on the workers of a cluster: tasks without state, whose files this process writes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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
    given_names: Mapping[str, str],
    needs: Mapping[str, Any],
    interrupt: Interrupt,
    on_start: Callable[[Task], object],
    on_progress: Callable[[int, Mapping[str, Any]], object],
    on_end: Callable[[Task, Outcome], object],
) -> None:
    """Do the tasks, each on one worker; ``do_tasks`` does them in processes here. When asked to end, each run that has
    begun ends after its minibatch. Files are named as they were given."""
    told: set[str] = set()

    def named(text: str) -> str:
        for whole in sorted(given_names, key=len, reverse=True):
            text = text.replace(whole, given_names[whole])
        return text

    for number, kind, data in workers.each(inputs, needs, map(pack_task, tasks), lambda: interrupt.requested):
        task = tasks[number]
        match kind:
            case "begun":
                on_start(task)
            case "lost":
                on_end(task, Outcome("lost", data.decode(), {}))
            case "ended":
                outcome = unpack(task, data)
                on_end(task, replace(outcome, error=None if outcome.error is None else named(outcome.error)))
            case _:
                report = msgpack.unpackb(data)
                if "warning" not in report:
                    on_progress(task.number, report)
                elif (warning := named(report["warning"])) not in told:
                    told.add(warning)
                    warnings.warn(warning, DataflowWarning, stacklevel=2)
