"""Sweeps on the workers of a cluster. The files to agree with are those of the same sweep in this process."""

from __future__ import annotations

import importlib.util
import os
import queue
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataflow
from dataflow import DataflowError, DataflowWarning, TrainingError
from dataflow.backends.cluster import Shards, Task, Workers, open_workers
from dataflow.training.saving.interrupts import Interrupt
from dataflow.training.sweep import Sweep, sweep
from dataflow.training.sweeps.reported import do_packed, do_reported
from dataflow.training.sweeps.runs import HISTORY, TRAINED
from dataflow.training.sweeps.runs import Task as Run

MODEL = """
dataflow = 1
name = "net"
inputs = { x = { shape = ["n", 5] }, y = { shape = ["n", 2] } }
parameters.W1 = { shape = [8, 5], init = "he_normal" }
parameters.W2 = { shape = [2, 8], init = "he_normal" }
nodes.h = "dropout(relu(x @ W1.T), rate=0.3)"
nodes.yhat = "h @ W2.T"
nodes.loss = 'mse(yhat, y, reduction="mean")'
model = { outputs = ["yhat"], loss = "loss" }
data = { file = "net.npz" }
[train]
epochs = 5
batch_size = 32
shuffle = true
validation = 0.1
optimizer = { name = "sgd", learning_rate = 0.01 }
"""
OVER: dict[str, Any] = {"learning_rate": [0.01, 0.02, 1e200], "seed": [0, 1]}
needs_dask = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="needs the extra [cluster]")
needs_mpi = pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None, reason="needs the extra [mpi]")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    np.savez(tmp_path / "net.npz", x=rng.normal(size=(203, 5)), y=rng.normal(size=(203, 2)))
    path = tmp_path / "net.toml"
    path.write_text(MODEL)
    return path


def files(folder: Path) -> dict[str, bytes]:
    """All that the runs left behind, checkpoints too."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*/*")}
    return {name: data for name, data in found.items() if not name.endswith("lock")}


class Threads(Workers):
    """Workers that are threads of this process."""

    def __init__(self, count: int) -> None:
        self.count = count

    def place(self, setup: bytes, needs: Mapping[str, Any], shards: Shards) -> None:
        raise NotImplementedError

    def run(self, arrays: Sequence[np.ndarray], tasks: Sequence[Task]) -> list[list[np.ndarray]]:
        raise NotImplementedError

    def each(
        self,
        inputs: Sequence[bytes],
        needs: Mapping[str, Any],
        tasks: Iterable[bytes],
        asked_to_end: Callable[[], bool],
    ) -> Iterator[tuple[int, str, bytes]]:
        assert all(isinstance(one, bytes) for one in inputs)
        events: queue.SimpleQueue[tuple[int, str, bytes]] = queue.SimpleQueue()
        interrupt, following, going = Interrupt(), enumerate(tasks), 0

        def work(number: int, task: bytes) -> None:
            events.put((number, "begun", b""))
            events.put((number, "ended", do_packed(inputs, task, lambda x: events.put((number, "told", x)), interrupt)))

        while True:
            interrupt.requested = interrupt.requested or asked_to_end()
            while going < self.count and not interrupt.requested and (one := next(following, None)):
                threading.Thread(target=work, args=one).start()
                going += 1
            if not going:
                return
            try:
                event = events.get(timeout=0.02)
            except queue.Empty:
                continue
            going -= event[1] == "ended"
            yield event

    def close(self) -> None:
        pass


@pytest.mark.parametrize("place", ["faulty.csv", "./faulty.csv", "data/faulty.csv", "../data/faulty.csv", None])
@pytest.mark.parametrize("how", ["own", "given", "folder"])
def test_errors_name_files_as_they_were_given(
    place: str | None, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "data").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    spelled = str(tmp_path / "whole.csv") if place is None else place
    Path(spelled).write_text("a,b,c,d,e,y,z\n" + "1,2,3,4,5,6,7\n" * 5 + "1,2,3,4,oh,6,7\n")
    own = MODEL.replace('data = { file = "net.npz" }', f'data = {{ file = "{spelled}" }}' if how != "given" else "")
    own = own.replace("validation = 0.1", "")
    model = Path("net.toml")
    model.write_text(own)
    if how == "folder":
        monkeypatch.chdir(tmp_path)
        model = Path("here/net.toml")
    said = []
    for cluster in (None, Threads(1)):
        with pytest.raises(DataflowError) as caught:
            data = spelled if how == "given" else None
            sweep(dataflow.load(model), data, over={"seed": [0, 1]}, cluster=cluster)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert Path(spelled).name in said[0]
    outside = place is not None and place.startswith("..") and how != "given"  # the error says which folder it lies in
    assert (str(tmp_path) in said[0]) == (place is None or outside)


def test_runs_are_those_of_this_process(file: Path, tmp_path: Path) -> None:
    seen = set[str]()
    here = sweep(dataflow.load(file), over=OVER, checkpoint=tmp_path / "here")
    there = sweep(
        dataflow.load(file),
        over=OVER,
        cluster=Threads(1),
        checkpoint=tmp_path / "there",
        on_change=lambda done: seen.update(run.state for run in done.runs),
    )
    assert files(tmp_path / "here") == files(tmp_path / "there")
    assert seen == {"waiting", "running", "finished", "failed"}
    assert [run.state for run in there.runs] == ["finished"] * 4 + ["failed"] * 2
    assert [str(run.error) for run in here.runs] == [str(run.error) for run in there.runs]
    assert here.best is not None
    assert there.best is not None
    assert there.best.name == here.best.name
    assert there.best.history.loss == here.best.history.loss
    assert there.best.history.checkpoint is not None
    assert there.best.history.checkpoint.exists()
    more = {**OVER, "seed": [0, 1, 2]}
    sweep(dataflow.load(file), over=more, checkpoint=tmp_path / "here", resume=True, epochs=7)
    sweep(dataflow.load(file), over=more, cluster=Threads(1), checkpoint=tmp_path / "there", resume=True, epochs=7)
    assert files(tmp_path / "here") == files(tmp_path / "there")


def test_arrays_and_weights_travel(file: Path) -> None:
    rng = np.random.default_rng(4)
    data = {"x": rng.normal(size=(50, 5)), "y": rng.normal(size=(50, 2))}
    options: dict[str, Any] = {"over": {"seed": [0, 1]}, "weights": np.arange(50) % 3}
    here = sweep(dataflow.load(file), data, **options)
    there = sweep(dataflow.load(file), data, cluster=Threads(1), **options)
    assert [run.history.loss for run in here.runs] == [run.history.loss for run in there.runs]
    with pytest.raises(TrainingError, match="leave out one"):
        sweep(dataflow.load(file), data, jobs=2, cluster=Threads(1), **options)


@pytest.mark.slow
def test_an_interrupt_ends_the_runs_and_they_go_on(file: Path, tmp_path: Path) -> None:
    over = {"learning_rate": [0.01, 0.02, 0.03], "seed": [0]}
    sweep(dataflow.load(file), over=over, checkpoint=tmp_path / "whole", epochs=300)

    def interrupt(done: Sweep) -> None:
        if done.runs[1].history.epochs and not done.interrupted:
            done.interrupted = True
            signal.raise_signal(signal.SIGINT)

    options: dict[str, Any] = {"over": over, "cluster": Threads(1), "checkpoint": tmp_path / "s", "epochs": 300}
    with pytest.raises(KeyboardInterrupt):
        sweep(dataflow.load(file), on_change=interrupt, **options)
    left = files(tmp_path / "s")
    assert "learning_rate=0.01,seed=0/" + TRAINED in left
    assert "learning_rate=0.02,seed=0/" + TRAINED not in left
    assert any(name.startswith("learning_rate=0.02,seed=0/checkpoint-") for name in left)
    sweep(dataflow.load(file), resume=True, **options)
    found, whole = files(tmp_path / "s"), files(tmp_path / "whole")
    assert {name: found[name] for name in whole if name.endswith((TRAINED, HISTORY))} == {
        name: data for name, data in whole.items() if name.endswith((TRAINED, HISTORY))
    }


def test_only_the_warnings_of_a_run_are_told() -> None:
    warned, told = threading.Event(), list[Mapping[str, Any]]()

    def inputs() -> tuple[Any, Any, Any]:
        warnings.warn("of the run", DataflowWarning, stacklevel=1)
        begun.set()
        assert warned.wait(60)
        raise EOFError

    def work() -> None:
        with pytest.raises(EOFError):
            do_reported(Run(0, {}, None, False, None, 1, {}), inputs, told.append)

    begun = threading.Event()
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        thread = threading.Thread(target=work)
        thread.start()
        assert begun.wait(60)
        warnings.warn("of this process", DataflowWarning, stacklevel=1)
        warned.set()
        thread.join()
    assert told == [{"warning": "of the run"}]
    assert [str(one.message) for one in shown] == ["of this process"]


@pytest.mark.slow
@needs_dask
def test_runs_that_have_not_begun_wait_when_all_are_to_end(file: Path) -> None:
    seen = dict[int, set[str]]()

    def interrupt(done: Sweep) -> None:
        for number, run in enumerate(done.runs):
            seen.setdefault(number, set()).add(run.state)
        if done.runs[0].history.epochs and not done.interrupted:
            done.interrupted = True
            signal.raise_signal(signal.SIGINT)

    with open_workers("local:1") as workers:
        assert workers is not None
        with pytest.raises(KeyboardInterrupt):
            sweep(dataflow.load(file), over={"seed": [0, 1, 2]}, epochs=10**5, cluster=workers, on_change=interrupt)
    assert seen == {0: {"running", "interrupted"}, 1: {"waiting"}, 2: {"waiting"}}


@pytest.mark.slow
@needs_dask
@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs masks of signals")
def test_ctrl_c_does_not_reach_workers_that_start() -> None:
    from distributed import LocalCluster

    from dataflow_cluster import engine

    with (
        engine._ctrl_c_waits(),
        LocalCluster(n_workers=1, dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
        cluster.get_client() as client,
    ):
        [masked] = client.run(lambda: signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])).values()
    assert masked
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def command(*words: object) -> list[str]:
    return [sys.executable, "-c", "from dataflow_start import main; main()", "train", *map(str, words)]


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )


SWEEP = ["net.toml", "--sweep", "learning_rate=0.01,0.02,1e200", "--sweep", "seed=0..1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "cluster",
    [
        pytest.param("local:2", marks=needs_dask),
        pytest.param("mpi:2", marks=needs_mpi),
        pytest.param("mpi", marks=needs_mpi),
    ],
)
def test_engines_give_the_files_of_this_process(cluster: str, file: Path, tmp_path: Path) -> None:
    here = run(command(*SWEEP, "--jobs", 1, "--checkpoint", "here", "-o", "here.msgpack"), tmp_path)
    assert here.returncode == 0, here.stderr
    before = [] if cluster != "mpi" else [os.path.join(sysconfig.get_path("scripts"), "mpiexec"), "-n", "2"]
    words = [*before, *command(*SWEEP, "--cluster", cluster, "--checkpoint", "there", "-o", "there.msgpack")]
    there = run(words, tmp_path)
    assert there.returncode == 0, there.stderr
    assert there.stdout.replace("there", "here") == here.stdout
    assert there.stderr.startswith("workers: 2")
    assert "6/6" in there.stderr
    assert files(tmp_path / "here") == files(tmp_path / "there")
    assert (tmp_path / "there.msgpack").read_bytes() == (tmp_path / "here.msgpack").read_bytes()
    again = run([*words, "--resume"], tmp_path)
    assert again.stdout == there.stdout


@pytest.mark.slow
@needs_dask
def test_a_lost_worker_costs_one_run_done_again(file: Path, tmp_path: Path) -> None:
    over = {"seed": range(5)}
    here = sweep(dataflow.load(file), over=over, epochs=400)
    killed, begun = list[int](), list[str]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # distributed's own, of ports and of processes that were killed
        with open_workers("local:2") as workers:
            client: Any = workers.opened._client  # type: ignore[union-attr]

            def kill(done: Sweep) -> None:
                begun[:] = [run.name for run in done.runs if run.state == "running"]
                if done.counted("finished") == 1 and not killed and begun:
                    for address, pids in client.run(processes).items():
                        if pids:
                            killed.append(int(client.run(os.getpid, workers=[address])[address]))
                            os.kill(killed[0], signal.SIGKILL)
                            return

            there = sweep(dataflow.load(file), over=over, epochs=400, cluster=workers, on_change=kill)
    assert len(killed) == 1
    assert [run.state for run in there.runs] == ["finished"] * 5
    assert [run.history.loss for run in there.runs] == [run.history.loss for run in here.runs]


def processes(dask_worker: Any) -> int:
    """How many tasks a worker does."""
    return len(dask_worker.state.executing)


@pytest.mark.slow
@needs_mpi
def test_a_rank_that_dies_leaves_what_had_ended(file: Path, tmp_path: Path) -> None:
    words = command("net.toml", "--sweep", "seed=0..5", "--epochs", 300, "--checkpoint", "s", "--cluster", "mpi:2")
    begun = subprocess.Popen(
        words,
        cwd=tmp_path,
        env={**os.environ, "OF_TEST": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while not list(tmp_path.glob(f"s/*/{HISTORY}")) and time.monotonic() < until:
        time.sleep(0.01)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            own = (process / "environ").read_bytes().split(b"\0")
            if {b"PMI_RANK=1", f"OF_TEST={tmp_path}".encode()} <= {*own}:
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            continue
    _, errors = begun.communicate(timeout=90)
    assert begun.returncode == 1
    assert "a process of MPI has died" in errors
    assert "Traceback" not in errors
    ended = files(tmp_path / "s")
    done = run([*words, "--resume"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (
        run(command("net.toml", "--sweep", "seed=0..5", "--epochs", 300, "--checkpoint", "h"), tmp_path).returncode == 0
    )
    assert files(tmp_path / "s") == files(tmp_path / "h")
    assert ended.items() <= files(tmp_path / "h").items()
