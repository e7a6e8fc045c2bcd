"""Every registered schedule passes the checks, and each check finds a schedule that is faulty in its way."""

from __future__ import annotations

import numpy as np
import pytest

from dataflow import PluginError, Schedule
from dataflow.registry import registry
from dataflow.testing import assert_schedule

REQUIRED = {"step": {"every": 3}, "exponential": {"factor": 0.9}}


@pytest.mark.parametrize("warmup", [0, 7])
@pytest.mark.parametrize("name", sorted(registry.registry().schedules))
def test_ours(name: str, warmup: int) -> None:
    assert_schedule(registry.schedule(name).create({"warmup": warmup, **REQUIRED.get(name, {})}))


class Negative(Schedule):
    """Falls below 0."""

    name = "negative"

    def factors(self, updates, length):
        return 10.0 - updates


class Short(Schedule):
    """One factor for all."""

    name = "short"

    def factors(self, updates, length):
        return np.ones(1)


class Relative(Schedule):
    """Depends on what is asked for together."""

    name = "relative"

    def factors(self, updates, length):
        return 1.0 / (1 + updates - updates[0])


class Unsaid(Schedule):
    """Depends on the length without saying so."""

    name = "unsaid"

    def factors(self, updates, length):
        return np.maximum(1 - updates / length, 0)


class Forgetful(Schedule):
    """Counts how often it was called."""

    name = "forgetful"
    calls = 0

    def observe(self, losses):
        self.calls += 1

    def factors(self, updates, length):
        return np.full(len(updates), 1.0 / (1 + self.calls))


@pytest.mark.parametrize(
    ("faulty", "text"),
    [
        (Negative, "schedule 'negative': factors: update 11 of a run of 40 has the factor -1.0"),
        (Short, "schedule 'short': factors: for 2 updates it gives the shape (1,)"),
        (Relative, "schedule 'relative': one by one: an update has another factor where it is asked for alone"),
        (Unsaid, "schedule 'unsaid': length: factors depend on the length of the run, and uses_length is False"),
        (Forgetful, "schedule 'forgetful': going on: after 1 epochs it differs from one that is made anew"),
    ],
)
def test_faulty_ones(faulty: type[Schedule], text: str) -> None:
    with pytest.raises(PluginError) as caught:
        assert_schedule(faulty())
    assert text in str(caught.value)
