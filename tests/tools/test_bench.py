"""The benchmark: everyone does the same work, ratios are what they are called, and the page is made of the numbers."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import ROOT

TOOLS = ROOT / "tools"


@pytest.fixture(scope="module")
def tools() -> Iterator[Any]:
    """The modules of the benchmark, which are no part of the package."""
    sys.path.insert(0, str(TOOLS))
    try:
        import benchmark
        from benchmark import (  # noqa: F401  # noqa: F401
            by_hand,
            judge,
            memory,
            merge,
            ours,
            page,
            peers,
            pictures,
            products,
            report,
            steps,
            workloads,
        )

        yield benchmark
    finally:
        sys.path.remove(str(TOOLS))


def small(tools: Any) -> list[Any]:
    net = tools.workloads.Net
    return [
        tools.workloads.WORKLOADS["a32"],
        net("squares", "", (5, 4, 3), 6, "mse"),
        net("classes", "", (5, 4, 4, 3), 6, "ce"),
        tools.workloads.Wave("wave", "", 50, 3),
        tools.workloads.Chain("chain", "", 7),
    ]


@pytest.mark.parametrize("number", range(5))
def test_by_hand_and_ours_do_the_same_work(tools: Any, number: int) -> None:
    work = small(tools)[number]
    results = []
    peers = [tools.by_hand.Numpy(work, 1), tools.ours.Ours(work, 1, "numpy")]
    if hasattr(work, "sizes"):
        peers.append(tools.ours.ByStep(work, 1, "numpy"))
    for peer in peers:
        peer.run(3)
        results.append(peer.result())
    start = work.data().start() if hasattr(work, "sizes") else np.zeros_like(results[0])
    change = np.linalg.norm(results[0] - start)
    assert change > 1e-3
    for other in results[1:]:
        assert np.linalg.norm(results[0] - other) < 1e-5 * change
    if len(results) > 2:
        np.testing.assert_array_equal(results[1], results[2])


def test_products_alone_are_those_of_a_step(tools: Any) -> None:
    net = tools.workloads.Net("net", "", (5, 4, 3), 6, "mse")
    shapes = [(a.shape, b.shape) for a, b in tools.products._factors(net.data(), net)]
    assert shapes == [((6, 5), (5, 4)), ((5, 6), (6, 4)), ((6, 4), (4, 3)), ((4, 6), (6, 3)), ((6, 3), (3, 4))]
    at_work = tools.products.Products(net, 1)
    at_work.run(2)
    assert at_work.result() is None
    left, right = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    call = tools.products._numpys(left, right)
    np.testing.assert_array_equal(call(), [[20, 23, 26, 29], [56, 68, 80, 92]])  # by hand
    assert call() is call()


@pytest.mark.parametrize(
    ("peer", "package"), [("torch", "torch"), ("jax.jit", "jax"), ("jax loop", "jax")], ids=["torch", "jax", "jax loop"]
)
def test_frameworks_do_the_same_work(tools: Any, peer: str, package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed; it comes with the extra [bench]")
    for work in small(tools)[: 3 if peer == "jax loop" else 5]:
        by_hand, other = tools.by_hand.Numpy(work, 1), tools.peers.PEERS[peer].make(work, 1)
        by_hand.run(3)
        other.run(3)
        np.testing.assert_allclose(other.result(), by_hand.result(), rtol=1e-4, atol=1e-6)


LAYERS = ("conv", "transformer", "lstm")


def test_models_of_layers_have_the_parameters_that_everyone_begins_with(tools: Any) -> None:
    for name in LAYERS:
        work = tools.workloads.WORKLOADS[name]
        model = tools.ours.dataflow.load(work.path)
        assert {key: array.shape for key, array in model.parameters.items()} == dict(work.shapes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("peer", "package"), [("torch", "torch"), ("jax.jit", "jax"), ("jax loop", "jax")], ids=["torch", "jax", "jax loop"]
)
def test_frameworks_do_the_same_work_with_layers(tools: Any, peer: str, package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed; it comes with the extra [bench]")
    for name in LAYERS:
        work = dataclasses.replace(tools.workloads.WORKLOADS[name], batch=2)
        ours, other = tools.ours.Ours(work, 1, "numpy"), tools.peers.PEERS[peer].make(work, 1)
        ours.run(3)
        other.run(3)
        change = np.linalg.norm(ours.result() - work.data().start())
        assert change > 0
        assert np.linalg.norm(other.result() - ours.result()) < 1e-3 * change


def test_the_ratio_is_of_medians_and_its_interval_holds_it(tools: Any) -> None:
    assert tools.judge.ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]).value == 2
    together = tools.judge.ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert (together.low, together.high) == (2, 2)  # a round that is slow for one is slow for both
    apart = tools.judge.ratio([2.0, 4.0, 6.0], [2.0, 2.0, 2.0])
    assert (apart.value, apart.low, apart.high) == (2, 1, 3)


@pytest.mark.slow
def test_the_interval_holds_the_truth_about_as_often_as_it_says(tools: Any) -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):  # both times of a round share what the machine does in it
        busy = rng.lognormal(sigma=0.2, size=20)
        found = tools.judge.ratio(
            (3.0 * busy * rng.lognormal(sigma=0.05, size=20)).tolist(),
            (2.0 * busy * rng.lognormal(sigma=0.05, size=20)).tolist(),
        )
        held += found.low <= 1.5 <= found.high
    assert held >= 180


def times(seconds: float) -> dict[str, Any]:
    return {"seconds": [seconds * (1 + 0.001 * i) for i in range(20)], "memory": 50.0}


def test_bounds_are_judged_by_the_whole_interval(tools: Any) -> None:
    steps = {
        "c32": {
            "dataflow numpy@1": times(1.2),
            "dataflow llvm@1": times(0.95),
            "numpy by hand@1": times(1.0),
            "torch@1": {"error": "broken"},
            "jax loop@1": times(0.9),
        },
        "a32": {"dataflow numpy@1": times(2.0), "numpy by hand@1": times(1.0)},
    }
    verdicts = {
        (row["ours"], row["workload"], row["peer"], row["bound"], row["threads"]): row["verdict"]
        for row in tools.judge.judged(steps)
    }
    assert verdicts["dataflow numpy", "c32", "numpy by hand", 1.1, 1] == "missed"
    assert verdicts["dataflow numpy", "a32", "numpy by hand", 1.1, 1] == "goal, not reached"
    assert verdicts["dataflow llvm", "c32", "the fastest peer", 0.9, 1] == "missed"
    assert verdicts["dataflow llvm", "c32", "dataflow numpy", 1.25, 1] == "met"
    assert verdicts["dataflow numpy", "c32", "torch", 0.75, 1] == "not measured"
    assert verdicts["dataflow llvm", "d", "the fastest peer", 1.05, 2] == "not measured"
    assert len(verdicts) == len(tools.judge.BOUNDS)


def test_an_interval_too_wide_misses_the_bounds_that_count_most(tools: Any) -> None:
    spread = {"seconds": [1.0, 2.0] * 10, "memory": 50.0}
    steps = {
        "a32": {
            "dataflow numpy step()@1": spread,
            "dataflow llvm step()@1": times(0.25),
            "dataflow numpy@1": spread,
            "numpy by hand@1": times(2.0),
            "jax.jit@1": times(1.0),
        }
    }
    verdicts = {(row["ours"], row["peer"]): row["verdict"] for row in tools.judge.judged(steps) if "ratio" in row}
    assert verdicts["dataflow numpy step()", "numpy by hand"] == "missed, too wide"
    assert verdicts["dataflow numpy", "numpy by hand"] == "met"
    assert verdicts["dataflow llvm step()", "jax.jit"] == "met"


def test_the_fastest_peer_is_neither_one_of_ours_nor_a_limit(tools: Any) -> None:
    found = {"dataflow numpy step()@1": times(0.1), "torch@1": times(1), "jax loop@1": times(0.5)}
    found |= {"products alone@1": times(0.01), "torch@2": times(0.01)}
    assert tools.judge.fastest(found, 1) == "jax loop@1"
    assert tools.judge.fastest({}, 1) is None


def test_calls_have_a_table_of_their_own(tools: Any) -> None:
    measured = {
        "dataflow numpy step()@1": times(1.2e-6),
        "dataflow numpy@1": times(1e-6),
        "numpy by hand@1": times(1e-6),
    }
    headers, ((what, *row),) = tools.report.calls_table({"a32": measured, "d": {"numpy by hand@1": times(1.0)}})
    assert headers[:3] == ["", "dataflow numpy step()", "dataflow numpy run(n)"]
    assert (what, row[0], row[1], row[2]) == ("a32", "1.21 µs", "1.01 µs", "")
    assert row[6].startswith("1.2 [")
    assert row[7] == ""
    _, rows = tools.report.steps_table("a32", measured, 1)
    assert [name for name, *_ in rows] == ["dataflow numpy run(n)", "numpy by hand", "dataflow numpy step()"]


def part(**sections: Any) -> dict[str, Any]:
    machine = {"processor": "A (AVX2)", "day": "2026-01-01"}
    empty: dict[str, Any] = {"steps": {}, "memory": [], "start": {}, "growth": {}, "plans": []}
    return {"machine": machine, "settings": {"threads": [1]}, "note": "", **empty, **sections}


def test_parts_of_a_run_are_one_where_the_machine_is_one(tools: Any) -> None:
    second = part(steps={"a32": {"torch@1": times(2.0)}, "b": {}}, plans=[{"size": 1}], settings={"threads": [2]})
    second["machine"] = {"processor": "A (AVX2)", "day": "2026-01-02"}
    conv, other = {"workload": "conv", "backend": "numpy"}, {"workload": "conv", "backend": "llvm"}
    second["memory"] = [conv | {"limit": 0}, conv | {"limit": 7}]
    first = part(
        memory=[conv | {"limit": 5}, other],
        steps={"c32": {}, "a32": {"torch@1": times(1.0), "jax.jit@1": {}}},
        growth={"width": {}},
    )
    whole = tools.merge.merged([first, second])
    assert list(whole["steps"]) == ["a32", "b", "c32"]
    assert whole["steps"]["a32"] == {"torch@1": times(2.0), "jax.jit@1": {}}
    assert (whole["growth"], whole["plans"], whole["settings"]) == ({"width": {}}, [{"size": 1}], {"threads": [1, 2]})
    assert whole["memory"] == [other, *second["memory"]]
    assert whole["machine"]["day"] == "2026-01-02"
    with pytest.raises(SystemExit, match=r"different machines or versions: processor A \(AVX2\), and processor B"):
        tools.merge.merged([first, part(machine={"processor": "B"})])


def test_what_a_part_was_measured_without_is_no_other_machine(tools: Any) -> None:
    """A part that needs no peer is measured where none is installed."""
    here = {"processor": "A", "day": "2026-01-01"}
    whole = tools.merge.merged([part(machine=here | {"torch": "2.0"}), part(machine=here, large=[{"size": 5}])])
    assert (whole["machine"], whole["large"]) == (here | {"torch": "2.0"}, [{"size": 5}])
    whole = tools.merge.merged([part(machine=here), part(machine=here | {"torch": "2.0"})])
    assert whole["machine"] == here | {"torch": "2.0"}
    with pytest.raises(SystemExit, match=r"torch 2\.0, and torch 3\.0"):
        tools.merge.merged([part(machine=here | {"torch": "2.0"}), part(machine=here | {"torch": "3.0"})])


def test_the_table_of_large_graphs_has_the_ratio_to_the_smaller(tools: Any) -> None:
    steps = dict.fromkeys(tools.large.STEPS, 1.0)
    small = {"form": "chain", "size": 10**5, "seconds": steps, "memory": {"run": 1024.0}}
    large = {"form": "chain", "size": 10**6, "seconds": steps | {"plan": 12.0}, "memory": {"run": 2048.0}}
    failed = {"form": "layers", "size": 10**5, "error": "takes longer"}
    headers, rows = tools.large.table([small, large, failed])
    assert {len(row) for row in rows} == {len(headers)}
    plan = headers.index("plan")
    assert [row[plan] for row in rows[:2]] == ["10", "12 (1.2×)"]
    assert [row[-1] for row in rows] == ["5 s, 1 GiB", "16 s, 2 GiB", ""]
    assert rows[2][2] == "takes longer"


@pytest.mark.slow
def test_memory_limits_go_down_to_the_least(tools: Any) -> None:
    (_, most), *limited = tools.memory.limits(dataclasses.replace(tools.workloads.WORKLOADS["transformer"], batch=1))
    assert 1 <= len(limited) <= 2
    used = [found for _, found in limited]
    assert most > used[0]
    assert used == sorted(used, reverse=True)
    assert all(found <= limit for limit, found in limited)


def test_a_limit_on_memory_has_to_give_the_same_parameters(tools: Any) -> None:
    rows = [{"workload": "conv", "backend": "numpy", "limit": limit, "parameters": 1.0} for limit in (0, 10)]
    assert tools.memory.disagreements(rows) == []
    rows[1]["parameters"] = 1.5
    rows.append({"workload": "conv", "backend": "numpy", "limit": 5, "error": "killed"})
    assert tools.memory.disagreements(rows) == [
        "conv: numpy with a limit of 10 bytes has other parameters than without",
        "conv: numpy with a limit of 5 bytes: killed",
    ]


def test_limits_on_plans_and_starts(tools: Any) -> None:
    plans = [{"size": 10**k, "seconds": 2e-5 * 10**k, "memory": 3e-3 * 10**k} for k in (3, 4, 5)]
    start = {"a32": {"dataflow numpy": {"warm": [0.5, 0.6, 0.7]}, "dataflow llvm": {"warm": [1.0, 1.1, 1.2]}}}
    rows = {row["what"]: (row["measured"], row["verdict"]) for row in tools.judge.limits(start, plans)}
    assert rows["a plan of 100,000 ops"] == ("2.00 s", "met")
    assert rows["its memory, the graph's apart"] == ("300 MiB", "met")
    assert rows["its time grows with the ops to the power"] == ("1.00", "met")
    assert [found for what, found in rows.items() if what.startswith("a32")] == [("0.50 s", "missed")]
    assert {row["verdict"] for row in tools.judge.limits({}, [])} == {"not measured"}


def test_results_that_differ_are_told(tools: Any, tmp_path: Path) -> None:
    found = {f"{name}@1": times(1.0) for name in ("numpy by hand", "torch", "jax.jit")}
    start = tools.workloads.WORKLOADS["a32"].data().start()
    for key, change in (("numpy-by-hand@1", 1e-2), ("torch@1", 1.000001e-2), ("jax.jit@1", 1.1e-2)):
        np.save(tmp_path / f"a32-{key}.npy", start + change)
    (line,) = tools.steps.disagreements("a32", found, tmp_path)
    assert line == "a32: after the same steps, jax.jit@1 differs from numpy by hand@1 by 0.1 of the change"
    assert math.isclose(found["torch@1"]["distance"], 1e-6, rel_tol=0.1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.81e-8, "0.0381 µs"), (1.234e-5, "12.3 µs"), (0.0456, "45.6 ms"), (7.0, "7 s"), (74.2, "74.2 s")],
)
def test_durations_are_written_with_their_units(tools: Any, seconds: float, text: str) -> None:
    assert tools.report.duration(seconds) == text


@pytest.mark.slow
def test_the_pages_are_made_of_the_numbers(tools: Any) -> None:
    result = json.loads((ROOT / "docs" / "performance.json").read_text(encoding="utf-8"))
    drawn = [f"performance-{kind}.svg" for kind in ("steps-1", "steps-2", "growth")]
    assert {path.name for path in (ROOT / "docs").glob("performance-*.svg")} == set(drawn)
    for name, made in (("performance.md", tools.page.page), ("performance_tables.md", tools.page.tables)):
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert text == made(result, drawn), "run tools/bench.py --document docs/performance.json"
    assert result["bounds"] == list(tools.judge.judged(result["steps"]))
    assert result["limits"] == list(tools.judge.limits(result["start"], result["plans"]))


def test_the_summary_has_the_faster_way_of_each_framework(tools: Any) -> None:
    steps = {
        "c32": {
            "dataflow llvm@1": times(0.5),
            "dataflow llvm@2": times(0.1),
            "numpy by hand@1": times(4.0),
            "torch@1": times(2.0),
            "torch.compile@1": times(1.0),
            "jax.jit@1": {"error": "broken"},
        }
    }
    headers, ((what, *row),) = tools.report.summary_table(steps)
    assert headers == ["", "dataflow llvm", "dataflow numpy", "numpy by hand", "PyTorch", "JAX", headers[-1]]
    assert what.startswith("c32: ")
    middle = 1 + 0.001 * 9.5  # what the median of `times` is of its argument
    assert row[:5] == [f"{0.5 * middle * 1e3:.3g} ms", "", f"{4 * middle:.3g} s", f"{middle:.3g} s", ""]
    assert row[5] == "0.5"  # of PyTorch's faster way


@pytest.mark.slow
def test_a_quick_run_measures_everything(tmp_path: Path) -> None:
    result, picture = tmp_path / "result.json", tmp_path / "result.png"
    done = subprocess.run(
        [sys.executable, TOOLS / "bench.py", "--quick", "-p", "numpy by hand", "-o", result, "--picture", picture],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(result.read_text(encoding="utf-8"))
    assert set(found["steps"]) == {"a32", "c32", "f"}
    for steps in found["steps"].values():
        for key in ("dataflow numpy@1", "numpy by hand@1"):
            assert len(steps[key]["seconds"]) == 3
            assert min(steps[key]["seconds"]) > 0
            assert steps[key]["memory"] > 10
            assert steps[key]["distance"] <= 1e-3
    assert found["start"]["c32"]["dataflow numpy"]["cold"] > 0
    assert [one["size"] for one in found["growth"]["depth"]["dataflow numpy"]] == [1, 4, 16, 64]
    assert found["plans"][0]["size"] == 1000
    assert {path.name for path in tmp_path.glob("*.png")} == {"result-steps-1.png", "result-growth.png"}
    assert "What has to come out" in done.stdout


def test_names_are_checked(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, TOOLS / "bench.py", "-w", "c33"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "unknown name 'c33'; available: a32, b" in done.stderr


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the states of processes are read from /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_stopped_children_end_with_their_parent(number: int, tmp_path: Path) -> None:
    """One child waits for steps and is stopped, as another peer is measured; however the parent ends, both go, and so
    does the folder, which only SIGKILL leaves."""
    command = [
        sys.executable,
        TOOLS / "bench.py",
        "--only",
        "steps",
        "-w",
        "a32",
        "-p",
        "numpy by hand",
        "-r",
        "100000",
    ]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as parent:
        try:
            stopped = waited_for(lambda: [pid for pid, state in children_of(parent.pid).items() if state == "T"])
            all_children = children_of(parent.pid)
        finally:
            parent.send_signal(number)
        parent.wait(30)
    assert stopped
    assert waited_for(lambda: not any(map(is_running, all_children)))
    assert any(tmp_path.glob("dataflow-bench-*")) == (number == signal.SIGKILL)


def waited_for(found: Callable[[], Any], seconds: float = 60) -> Any:
    """What is found at last; nothing where it takes too long."""
    end = time.monotonic() + seconds
    while not (result := found()) and time.monotonic() < end:
        time.sleep(0.05)
    return result


def children_of(parent: int) -> dict[int, str]:
    """The state of each child, by its process number: T where it is stopped."""
    states = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            number, rest = path.parent.name, path.read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(rest[1]) == parent:
                states[int(number)] = rest[0]
    return states


def is_running(number: int) -> bool:
    """Whether there is such a process that has not ended; one that nobody waited for has."""
    try:
        return Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
