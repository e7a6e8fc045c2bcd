"""Training on processes of MPI, real ones. The numbers to agree with are those of one machine."""

import importlib.util
import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dataflow
from dataflow import MissingExtraError, TrainingError
from dataflow.backends.cluster import Part
from dataflow_cluster.packing import packed, task_of

needs_mpi = pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None, reason="needs the extra [mpi]")

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
train = { epochs = 15, batch_size = 32, shuffle = true, optimizer = { name = "adam", learning_rate = 0.01 } }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    np.savez(tmp_path / "net.npz", x=rng.normal(size=(203, 5)), y=rng.normal(size=(203, 2)))
    path = tmp_path / "net.toml"
    path.write_text(MODEL)
    return path


def words(*arguments: object, ranks: int | None = None) -> list[str]:
    scripts = sysconfig.get_path("scripts")
    before = [] if ranks is None else [os.path.join(scripts, "mpiexec"), "-n", str(ranks)]
    command = [sys.executable, "-c", "from dataflow_start import main; main()", "train"]
    return [*before, *command, *map(str, arguments)]


def run(*arguments: object, ranks: int | None = None) -> subprocess.CompletedProcess[str]:
    # mpiexec ends the whole session of who calls it, where a process dies
    return subprocess.run(
        words(*arguments, ranks=ranks),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )


def parameters(path: Path) -> dict[str, np.ndarray]:
    return dict(dataflow.load(path).parameters)


def distance(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    return max(float(np.abs(a[name] - b[name]).max()) for name in a)


def killed(rank: int, arguments: str) -> None:
    """Kill a rank among the processes that have this among their arguments."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            own = (process / "environ").read_bytes().split(b"\0")
            if f"PMI_RANK={rank}".encode() in own and arguments.encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
                return
        except OSError:
            continue
    raise AssertionError("no such rank")


def test_tasks_are_found_again() -> None:
    first, second = np.array([4, 2]), np.array([1, 0, 3])
    tasks = [
        [Part(first, np.array([0, 3]), 5, 7), Part(np.array([9]), np.array([1]), 3, 8)],
        [],
        [Part(second, np.array([1, 2, 4]), 5, 7)],
    ]
    for rank, task in enumerate(tasks):
        found = task_of(rank, len(tasks), *packed(tasks))
        assert found is not None
        for one, other in zip(found, task, strict=True):
            assert one.rows.tolist() == other.rows.tolist()
            assert one.places.tolist() == other.places.tolist()
            assert (one.size, one.number) == (other.size, other.number)
    assert task_of(3, len(tasks), *packed(tasks)) is None


@pytest.mark.parametrize("cluster", ["mpi", "mpi:2"])
def test_a_missing_extra_is_named(cluster: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setattr("dataflow_cluster.mpi_engine.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "dataflow_cluster.mpi_ranks", raising=False)
    with pytest.raises(MissingExtraError, match=r"\[mpi\]"):
        dataflow.train(dataflow.load(file), cluster=cluster)


@pytest.mark.slow
@needs_mpi
def test_the_number_of_processes_does_not_matter(file: Path) -> None:
    alone = dataflow.load(file)
    dataflow.train(alone)  # 15 epochs of 7 minibatches
    found = {}
    for cluster, ranks in (("mpi", 1), ("mpi", 2), ("mpi", 4), ("mpi:2", None), ("mpi:3", None)):
        out = file.with_name(f"{cluster.replace(':', '-')}-{ranks}.msgpack")
        done = run(file, "--cluster", cluster, "-o", out, ranks=ranks)
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(f"workers: {ranks or cluster[-1]}\n")  # once: the others are silent
        found[cluster, ranks] = parameters(out)
        assert distance(found[cluster, ranks], dict(alone.parameters)) < 1e-12
    assert distance(found["mpi", 2], found["mpi:2", None]) == 0
    assert distance(found["mpi", 2], dict(alone.parameters)) > 0  # other sums: it was not computed here
    other = dataflow.load(file)
    dataflow.train(other, seed=1)
    assert distance(found["mpi", 2], dict(other.parameters)) > 1e-3  # the comparison can fail


@pytest.mark.slow
@needs_mpi
@pytest.mark.parametrize(("cluster", "ranks", "rank"), [("mpi:2", None, 1), ("mpi:2", None, 0), ("mpi", 2, 1)])
def test_a_rank_that_dies_ends_the_job(cluster: str, ranks: int | None, rank: int, file: Path) -> None:
    folder, out = file.with_name("run"), file.with_name("out.msgpack")
    options = [file, "--cluster", cluster, "--checkpoint", folder, "--checkpoint-every", "3", "-o", out]
    begun = subprocess.Popen(
        words(*options, "--epochs", 10**6, ranks=ranks),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while len(list(folder.glob("checkpoint-*"))) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    killed(rank, "serve_locally" if ranks is None else str(folder))
    _, errors = begun.communicate(timeout=60)
    assert begun.returncode not in (0, None)
    if ranks is None:
        assert "a process of MPI has died" in errors
        assert "resume" in errors
        assert "Traceback" not in errors
    epochs = 2 + max(int(path.name.split("-")[1]) for path in folder.glob("checkpoint-*"))
    out.unlink(missing_ok=True)
    done = run(*options, "--resume", "--epochs", epochs, ranks=ranks)
    assert done.returncode == 0, done.stderr
    whole = file.with_name("whole.msgpack")
    assert run(file, "--cluster", "mpi:2", "--epochs", epochs, "-o", whole).returncode == 0
    assert distance(parameters(out), parameters(whole)) == 0


LACKING = """
import numpy, sys
from mpi4py import MPI
import dataflow
from dataflow.training.minibatches import part_work
if MPI.COMM_WORLD.Get_rank() == 1:
    {change}
try:
    dataflow.train(dataflow.load(sys.argv[1]), cluster="mpi")
except dataflow.TrainingError as error:
    print(error)
"""


@pytest.mark.slow
@needs_mpi
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("part_work.installed_version = lambda: '99'", "rank 1 of MPI, on "),
        ("part_work.PartGradients._step = None", "rank 1 of MPI: "),
    ],
)
def test_what_is_wrong_on_a_rank_is_told(change: str, says: str, file: Path) -> None:
    command = [os.path.join(sysconfig.get_path("scripts"), "mpiexec"), "-n", "2", sys.executable, "-c"]
    done = subprocess.run(
        [*command, LACKING.format(change=change), str(file)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0
    assert done.stdout.startswith(says)
    assert done.stdout.count("\n") == 1


@pytest.mark.slow
@needs_mpi
def test_mpi_without_mpiexec(file: Path) -> None:
    done = run(file, "--cluster", "mpi")
    assert done.returncode == 1
    assert "mpiexec -n 2 dataflow train" in done.stderr


@pytest.mark.slow
@needs_mpi
def test_mpi_that_does_not_start(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken: Any = file.with_name("mpiexec")
    broken.write_text("#!/bin/sh\necho 'Error: no such thing' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr("dataflow_cluster.mpi_local.sysconfig.get_path", lambda name: str(file.parent))
    with pytest.raises(TrainingError, match="MPI does not start: Error: no such thing"):
        dataflow.train(dataflow.load(file), cluster="mpi:2")
