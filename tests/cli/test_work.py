"""What a command may do with a small file: it ends, or says on one line what was too much and how to allow it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from checkout import MODELS
from click.testing import CliRunner
from demanding import FILES, chain

import dataflow
from dataflow.cli.group import main
from dataflow.limits import VARIABLE, Limits, allowance, counted_calls, grant, hold, spend

XOR = MODELS / "xor.toml"
COMMANDS = {
    "run": [],
    "check": [],
    "jacobian": ["--of", "yhat", "--wrt", "W1"],
    "gradients": ["--of", "loss", "--wrt", "W1"],
    "explain": [],
    "draw": ["-o", "xor.svg"],
    "view": ["-o", "xor.html"],
    "profile": ["--no-run"],
    "convert": ["xor.msgpack"],
}
EVERY = [
    "run m.toml",
    "check m.toml",
    "jacobian m.toml --of loss --wrt {name}",
    "gradients m.toml --mode hessian",
    "gradients m.toml --mode jvp --order 3",
    "gradients m.toml --mode per-example",
    "explain m.toml",
    "explain m.toml --symbolic --wrt {name}",
    "draw m.toml --both --values -o m.svg",
    "view m.toml -o m.html",
    "profile m.toml --no-run",
    "convert m.toml m.msgpack",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_too_much_work_is_one_line(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [command, str(XOR), *COMMANDS[command]]
    monkeypatch.setenv(VARIABLE, "work=25")
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert f"Error: {command} takes more than 25 steps of work, at node '" in done.stderr
    assert done.stderr.endswith(f"; raise the limit if you can wait: {VARIABLE}=work=250\n")


@pytest.mark.parametrize("command", ["run", "check"])
def test_too_much_memory_is_one_line(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "memory=100")
    done = CliRunner().invoke(main, [command, str(XOR)])
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert f"the arrays of {command} take more than" in done.stderr
    assert f"{VARIABLE}=memory=1MiB" in done.stderr


def test_training_and_python_take_as_long_as_they_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "work=25")
    target = tmp_path / "xor.msgpack"
    done = CliRunner().invoke(main, ["train", str(XOR), "--epochs", "3", "-o", str(target)])
    assert done.exit_code == 0, done.stderr
    assert dataflow.load(target).run()["yhat"].shape == (4, 1)


def test_who_gives_more_to_read_may_do_more() -> None:
    with Limits(work=10, memory=10), allowance("run"):
        grant(2**19)
        grant(2**19)
        spend(10)
        grant(2**20 + 5)
        spend(10)
        hold(20, "a")
        hold(-5, "a")
        hold(5, "a")
        with allowance("view"):  # a part with its own
            spend(10)
    with (
        Limits(work=10),
        pytest.raises(dataflow.DataflowError, match=r"^run takes more than 10 steps of work, at node 'b'"),
        allowance("run"),
    ):
        spend(11, "b")
    with (
        Limits(work=10),
        pytest.raises(dataflow.WorkLimitError, match=r"^run takes more than 50 steps of work, at node 'd'"),
        allowance("run"),
    ):
        grant(2**18 - 1)
        grant(5 * 2**18)  # five quarters of a MiB and a little
        spend(50, "c")
        spend(1, "d")
    spend(10**12)  # nothing runs that is limited


def test_nobody_takes_the_end_of_the_work_for_something_else() -> None:
    with Limits(work=1), pytest.raises(dataflow.DataflowError, match="more than 1 steps"), allowance("run"):
        try:
            spend(2)
        except Exception:  # noqa: BLE001 (as whoever tries an op and goes on without it)
            pytest.fail("caught")


def test_calls_are_counted_on_where_python_drops_an_error() -> None:
    """What is raised in a generator that is being closed is dropped, wherever in it the calls were used up."""

    def step() -> None:
        pass

    def generator() -> Iterator[None]:
        try:
            yield
        finally:
            for _ in range(3):
                step()

    for work in range(1, 60):
        with Limits(work=work), pytest.raises(dataflow.WorkLimitError), allowance("run"), counted_calls():
            for _ in range(30):
                next(generator())


def test_entries_are_priced_by_what_is_done_with_them() -> None:
    graph = dataflow.Graph("square")
    w = graph.input("w", (100, 100))
    graph.node("y", w @ w)
    square = dataflow.Model(graph, ["y"])
    # 2 * 100 ** 2 entries are read, 20 steps; 100 ** 3 products and 100 ** 2 * 99 sums, 49 steps; a node, 6
    array = np.ones((100, 100))
    with Limits(work=75), allowance("run"):
        square.run(w=array)
    with Limits(work=74), pytest.raises(dataflow.DataflowError, match="at node 'y'"), allowance("run"):
        square.run(w=array)


def test_columns_and_one_hot_rows_share_one_total(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """400 labels of 1,000 classes are 3,200,000 bytes in float64; two such inputs do not fit what suffices for one."""
    path = tmp_path / "hot.toml"
    inputs = "".join(f"{name} = {{ shape = ['n', 1000] }}\n" for name in "xy")
    labels = ",".join(["0"] * 400)
    data = "[data]\none_hot = { x = 1000, y = 1000 }\n" + "".join(f"{name} = [{labels}]\n" for name in "xy")
    path.write_text(f"dataflow = 1\n[inputs]\n{inputs}[nodes]\nz = 'sum(x)'\n{data}")
    for memory, fits in (("3MiB", False), ("6MiB", False), ("7MiB", True)):
        monkeypatch.setenv(VARIABLE, f"memory={memory}")
        done = CliRunner().invoke(main, ["run", str(path)])
        assert (done.exit_code == 0) == fits, done.stderr
        assert fits or f"{VARIABLE}=memory=" in done.stderr


def test_what_a_file_may_take_is_not_set_aside_before_it_is_read() -> None:
    with Limits(structure=10**12):
        assert dataflow.load(XOR).run()["yhat"].shape == (4, 1)


def test_a_chain_of_many_nodes_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked many times is looked up once, and the comparison with 50 digits is left out where it is too much:
    a node of the chain is built for 20 steps and checked for 61 at most, in 3 entries with 11 evaluations in all."""
    path = tmp_path / "chain.toml"
    path.write_text(chain(500))
    monkeypatch.setenv(VARIABLE, f"work={500 * 82}")
    done = CliRunner().invoke(main, ["check", str(path)])
    assert done.exit_code == 0, done.stderr
    assert "All gradients agree." in done.stdout
    assert "with 50 digits" not in done.stdout


SECONDS = 30
"""Three times what a command takes at most on a quiet machine that does a million calls in a tenth of a second: on a
busy one, processor time grows too."""
CHILD = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_CPU, (900, 900))
from click.testing import CliRunner
from dataflow.cli.group import main

def spent():
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

def call(table, key):
    return table.get(key)

table, times = dict.fromkeys(range(1000)), []
for _ in range(3):
    began = time.process_time()
    for i in range(1_000_000):
        call(table, i % 1000)
    times.append(time.process_time() - began)
limit = float(sys.argv[1]) * max(1, min(times) / 0.1)
for line in sys.argv[2:]:
    began = spent()
    done = CliRunner().invoke(main, line.split())
    took = spent() - began
    fault = "" if done.exit_code in (0, 1) and "inside dataflow" not in done.stderr else done.stderr or "no status"
    print(f"{line}: {took:.1f} of {limit:.1f} s", "TOO LONG" if took > limit else "", fault, flush=True)
"""


ALL_OF_IT = ("chain", "deep")
OWN_WORK = [
    line for line in EVERY if line.split()[0] in ("check", "explain", "draw") or "jvp" in line or "per-" in line
]
"""For the other files the commands that share no code: ``check`` does what ``run`` and a Jacobian do and more, and the
others are derivatives of higher order, those of single examples, derivations in words and symbols, and a picture.
``view`` draws and explains; ``profile`` and ``convert`` walk the nodes once, which a chain of 20,000 shows."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", FILES)
def test_every_command_ends_on_every_file(kind: str, tmp_path: Path) -> None:
    """In processor time, so that what else the machine does counts little."""
    text, name = FILES[kind]
    (tmp_path / "table.csv").write_text("a:b\n1\n2\n")
    (tmp_path / "m.toml").write_text(text)
    assert len(text) < 2**20
    lines = [line.format(name=name) for line in (EVERY if kind in ALL_OF_IT else OWN_WORK)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(SECONDS), *lines],
        check=False,
        capture_output=True,
        text=True,
        timeout=1500,
        cwd=tmp_path,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    print(done.stdout)
    told = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(told) == len(lines)
    assert all(line.endswith("s  ") for line in told), done.stdout
