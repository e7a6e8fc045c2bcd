"""What is checked of every schedule of the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy

import numpy as np

from dataflow.backends.schedule import Schedule
from dataflow.errors import PluginError, counted
from dataflow.support.arguments import checked

LENGTHS = (1, 2, 40, 1000)
"""Updates of a run."""
LOSSES = (1.0, 0.5, 0.5, 0.75, 0.25, *[0.25] * 20)
"""After each epoch: what a schedule may observe."""


@checked
def assert_schedule(schedule: Schedule) -> None:
    """A ``PluginError`` lists the faults of a schedule. One without gives a finite factor of 0 or more for each update,
    the same whichever updates are asked for together, also when it is made anew from its attributes and observes the
    same losses."""
    faults = [
        f"schedule '{schedule.name}': {name}: {text}" for name, check in CHECKS.items() for text in check(schedule)
    ]
    if faults:
        raise PluginError("\n".join(faults))


def _factors(schedule: Schedule) -> Iterator[str]:
    for length in LENGTHS:
        updates = np.arange(2 * length)
        factors = np.asarray(deepcopy(schedule).factors(updates, length))
        if factors.shape != updates.shape:
            yield f"for {counted(len(updates), 'update')} it gives the shape {factors.shape}"
        elif not (np.isfinite(factors).all() and (factors >= 0).all()):
            wrong = int(np.argmin(np.isfinite(factors) & (factors >= 0)))
            yield f"update {wrong} of a run of {length} has the factor {factors[wrong]}"


def _together(schedule: Schedule) -> Iterator[str]:
    updates = np.arange(40)
    whole = schedule.factors(updates, 40)
    apart = [float(schedule.factors(updates[i : i + 1], 40)[0]) for i in updates]
    if not np.allclose(whole, apart, rtol=1e-12, atol=0):
        yield "an update has another factor where it is asked for alone"


def _length(schedule: Schedule) -> Iterator[str]:
    updates = np.arange(40)
    if not schedule.uses_length and not np.array_equal(schedule.factors(updates, 40), schedule.factors(updates, 80)):
        yield "factors depend on the length of the run, and uses_length is False"


def _made_again(schedule: Schedule) -> Iterator[str]:
    """As a run that goes on makes it: from its attributes, and observing all losses so far at once."""
    begun = type(schedule).create(schedule.settings())
    for epoch in range(len(LOSSES) + 1):
        begun.observe(LOSSES[:epoch])
        again = type(schedule).create(schedule.settings())
        again.observe(LOSSES[:epoch])
        updates = np.arange(epoch, epoch + 5)
        if not np.array_equal(begun.rates(0.1, updates, 40), again.rates(0.1, updates, 40)):
            yield f"after {epoch} epochs it differs from one that is made anew and observes the same losses"
            return


CHECKS: Mapping[str, Callable[[Schedule], Iterator[str]]] = {
    "factors": _factors,
    "one by one": _together,
    "length": _length,
    "going on": _made_again,
}
