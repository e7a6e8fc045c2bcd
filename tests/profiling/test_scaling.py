"""The cost model of many workers: formulas worked by hand, and a simulation that knows nothing of them."""

from __future__ import annotations

import sys

import pytest
from checkout import ROOT

from dataflow.profiling import scaling
from dataflow.profiling.scaling import Compression, Network, Work

LINK = Network(latency=1.0, bandwidth=10.0)
WORK = Work(fixed=2.0, per_example=0.5, gradient_bytes=80)


@pytest.mark.parametrize(
    ("pattern", "workers", "seconds"),
    [
        # 80 bytes are 8 s; a message has 1 s more
        *(("star", 1, 0), ("tree", 1, 0), ("ring", 1, 0), ("halving", 1, 0)),
        ("star", 4, 2 * (1 + 3 * 8)),  # three gradients in, three sums out
        ("tree", 4, 2 * 2 * 9),  # two levels, up and down
        ("tree", 5, 2 * (2 * 1 + 3 * 8)),  # two messages to the root from the farthest, three that it takes
        ("ring", 4, 6 * (1 + 2)),  # six messages of 20 bytes
        ("ring", 8, 14 * (1 + 1)),
        ("halving", 4, 2 * (1 + 4) + 2 * (1 + 2)),  # 40 bytes and 20, there and back
        ("halving", 5, 16 + 2 * 9),  # the fifth gives its 80 bytes first and gets 80 at the end
    ],
)
def test_sums_by_hand(pattern, workers, seconds) -> None:
    assert scaling.PATTERNS[pattern](80, workers, LINK) == pytest.approx(seconds)


def test_steps_by_hand() -> None:
    """Ten examples on four workers: three at most, 2 + 1.5 s, and 18 s for the ring."""
    assert scaling.step_seconds(WORK, 10, 1, LINK) == 7
    assert scaling.step_seconds(WORK, 10, 4, LINK) == pytest.approx(3.5 + 18)
    assert scaling.step_seconds(WORK, 10, 4, LINK, sync_every=6) == pytest.approx(3.5 + 3)
    half = Compression(ratio=0.5, seconds_per_byte=0.05)
    assert scaling.step_seconds(WORK, 10, 4, LINK, compression=half) == pytest.approx(3.5 + 6 * 2 + 4)
    assert scaling.efficiency(WORK, 10, 4, LINK) == pytest.approx(7 / (4 * 21.5))


def test_where_it_stops_paying_by_hand() -> None:
    """128 examples of a second each, and messages of a second with nothing in them: 128 / p, rounded up, and twice the
    logarithm of p, rounded down."""
    work, link = Work(0.0, 1.0, 0), Network(1.0, 1.0)
    assert scaling.step_seconds(work, 128, 64, link, scaling.tree) == 2 + 12
    seconds = {p: -(-128 // p) + 2 * (p.bit_length() - 1) for p in scaling.worker_counts(128)}
    assert scaling.fastest(work, 128, link, scaling.tree) == min(seconds, key=seconds.get)
    assert scaling.most_workers(work, 128, link, scaling.tree) == max(
        p for p, total in seconds.items() if 128 / (p * total) >= 0.5
    )
    assert scaling.most_workers(work, 128, Network(1e9, 1.0)) == 1


def test_memory_by_hand() -> None:
    assert scaling.worker_bytes(100, 2, 7, 3) == 400 + 21
    assert scaling.worker_bytes(100, 2, 7, 3, sharded_over=4) == 100 + 21


def test_a_pipeline_by_hand() -> None:
    """Stages of 1, 3 and 2 s and three pieces: 6 s for the first, 3 s for each other; a slow link of 5 s decides."""
    assert scaling.pipeline_seconds([1, 3, 2], [0, 0], 3) == 12
    assert scaling.pipeline_seconds([1, 3, 2], [5, 0], 3) == 6 + 5 + 10


def test_a_line_is_found_again() -> None:
    amounts = [0, 1, 10, 1000]
    assert scaling.fit_line(amounts, [3 + 0.25 * x for x in amounts]) == pytest.approx((3, 0.25))
    assert scaling.fit_line([1, 2, 4], [1, 2, 4.1])[0] == pytest.approx(0, abs=0.05)
    assert scaling.fit_line([1, 2], [1, 3]) == pytest.approx((0, (1 + 2 / 3) / (1 + 4 / 9)))  # not below 0
    assert scaling.fit_line([1, 2], [2, 1])[1] == 0


@pytest.fixture(scope="module")
def simulation():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from scaling import simulation

        yield simulation
    finally:
        sys.path.remove(str(ROOT / "tools"))


@pytest.mark.parametrize("pattern", ["star", "tree", "ring", "halving"])
@pytest.mark.parametrize("workers", [2, 3, 4, 5, 6, 7, 8, 11, 16])
def test_the_simulation_agrees(simulation, pattern, workers) -> None:
    """Messages one by one through links that are busy or free, and vectors that have to be summed at the end."""
    for link in (Network(1e-3, 1e9), Network(1e-5, 1e7)):
        found = simulation.simulate(pattern, 2_000_000, workers, link.latency, link.bandwidth)
        formula = scaling.PATTERNS[pattern](2_000_000, workers, link)
        # with other numbers some messages overlap, of which the formulas of these two know nothing
        is_near = pattern in ("tree", "halving") and workers.bit_count() > 1
        close = 0.2 if is_near else 1e-9
        assert found == pytest.approx(formula, rel=close)


def test_the_simulation_sees_what_the_formula_does_not(simulation) -> None:
    """Where workers are not alike, everyone waits for the last: a ring of which one starts 1 s late ends 1 s later."""
    even = simulation.simulate("ring", 1000, 4, 1e-3, 1e6)
    assert simulation.simulate("ring", 1000, 4, 1e-3, 1e6, starts=[0, 0, 1.0, 0]) == pytest.approx(even + 1)
