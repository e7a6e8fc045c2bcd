"""Training on workers. The numbers to agree with are those of the same run on one machine, which other tests hold
against independent ones; what is added here is that the workers are asked, and for which parts."""

import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import MODELS

import dataflow
from dataflow import (
    DataflowError,
    Graph,
    MissingExtraError,
    Model,
    NonFiniteError,
    StopTraining,
    TrainingError,
    primitive,
)
from dataflow.backends.cluster import LateWorkers, Part, Shards, Task, Workers, open_workers
from dataflow.graph.subgraph import Subgraph
from dataflow.ops import (
    batch_norm,
    cast,
    conv,
    cross_entropy,
    cumsum,
    dropout,
    exp,
    expand_dims,
    gather,
    log_softmax,
    loop,
    max_pool,
    mean,
    mse,
    nll,
    one_hot,
    pad,
    relu,
    reshape,
    stack,
)
from dataflow.ops import max as max_of
from dataflow.ops import sum as sum_of
from dataflow.registry import registry
from dataflow.training.minibatches.additive_loss import is_mean
from dataflow.training.minibatches.part_work import PartGradients, compute, missing
from dataflow.training.minibatches.shared_gradients import owners

RUN: dict[str, Any] = {
    "epochs": 15,
    "batch_size": 32,
    "shuffle": True,
    "optimizer": {"name": "adam", "learning_rate": 0.01},
}


STEP = {name: value for name, value in RUN.items() if name != "epochs"}


class Here(Workers):
    """Workers that are this process, and keep what they were asked for."""

    def __init__(self, count: int) -> None:
        self.count, self.asked = count, list[list[Part]]()

    def place(self, setup: bytes, needs: Mapping[str, Any], shards: Shards) -> None:
        assert missing(needs) is None
        self._setup, self.shards = setup, [shards(number) for number in range(self.count)]

    def run(self, arrays: Sequence[np.ndarray], tasks: Sequence[Task]) -> list[list[np.ndarray]]:
        self.tasks = tasks
        self.asked.append([part for task in tasks for part in task])
        return [
            compute(self._setup, number, self.shards[number], arrays, task) if task else []
            for number, task in enumerate(tasks)
        ]

    def each(
        self,
        inputs: Sequence[bytes],
        needs: Mapping[str, Any],
        tasks: Iterable[bytes],
        asked_to_end: Callable[[], bool],
    ) -> Iterator[tuple[int, str, bytes]]:
        raise NotImplementedError

    def close(self) -> None:
        pass


def net(reduction: str = "mean", penalty: float = 0.001, norm: bool = False) -> Model:
    graph = Graph("net")
    x, y = graph.input("x", ("n", 5)), graph.input("y", ("n", 2))
    W1, W2 = graph.parameter("W1", (8, 5), init="he_normal"), graph.parameter("W2", (2, 8), init="he_normal")
    z = x @ W1.T
    if norm:
        scale, shift = graph.parameter("scale", (8,), init="ones"), graph.parameter("shift", (8,), init="zeros")
        mean, variance = graph.parameter("mean", (8,), init="zeros"), graph.parameter("variance", (8,), init="ones")
        z = batch_norm(z, scale, shift, mean, variance)
    h = graph.node("h", dropout(relu(z), rate=0.3))
    loss = mse(graph.node("yhat", h @ W2.T), y, reduction=reduction)
    graph.node("loss", loss + penalty * sum_of(W1 * W1) if penalty else loss)
    return Model(graph, outputs=["yhat"], loss="loss")


@pytest.fixture
def data() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {"x": rng.normal(size=(203, 5)), "y": rng.normal(size=(203, 2))}


def distance(a: Model, b: Model) -> float:
    return max(float(np.abs(a.parameters[name] - b.parameters[name]).max()) for name in a.parameters)


@pytest.mark.parametrize("count", [1, 2, 4, 40])
@pytest.mark.parametrize(("reduction", "penalty"), [("mean", 0.001), ("sum", 0)])
def test_the_number_of_workers_does_not_matter(
    count: int, reduction: str, penalty: float, data: dict[str, np.ndarray]
) -> None:
    alone, shared, workers = net(reduction, penalty), net(reduction, penalty), Here(count)
    dataflow.train(alone, data, **RUN)
    dataflow.train(shared, data, cluster=workers, **RUN)
    assert len(workers.asked) == 15 * 7  # every minibatch: ceil(203 / 32) in an epoch
    assert sum(len(part.rows) for part in workers.asked[0]) == 32
    assert sorted(place for part in workers.asked[-1] for place in part.places) == [*range(203 % 32)]
    sizes = [len(shard["x"]) for shard in workers.shards]
    assert sum(sizes) == 203  # each example is kept by one alone
    assert max(sizes) <= 203 // min(count, 32) + 7  # a minibatch's remainder goes to some
    assert distance(alone, shared) < 1e-12
    other = net(reduction, penalty)
    dataflow.train(other, data, cluster=Here(count), **RUN, seed=1)
    assert distance(alone, other) > 1e-3  # the comparison can fail


@pytest.mark.parametrize(("count", "batch_size", "workers"), [(203, 32, 4), (10, 4, 3), (7, 7, 2), (5, 2, 4)])
def test_who_keeps_an_example(count: int, batch_size: int, workers: int) -> None:
    """By hand: of each run of ``batch_size`` examples worker i has those from size·i // workers on."""
    owner, at = owners(count, batch_size, workers)
    seen = [0] * workers
    for row in range(count):
        place = row % batch_size
        size = min(batch_size, count - (row - place))
        expected = max(i for i in range(workers) if size * i // workers <= place)
        assert (owner[row], at[row]) == (expected, seen[expected])
        seen[expected] += 1


@pytest.mark.parametrize("shuffle", [False, True])
def test_each_worker_computes_with_what_it_keeps(shuffle: bool, data: dict[str, np.ndarray]) -> None:
    """The examples that workers are asked for are those of the minibatch of one machine, at its places."""
    workers, seen = Here(3), list[np.ndarray]()
    trainer = dataflow.Trainer(net(), data, cluster=workers, **{**STEP, "shuffle": shuffle})
    for _ in range(16):
        minibatch = trainer.batches.current()["x"]
        trainer.step()
        found = np.full_like(minibatch, np.nan)
        for task, shard in zip(workers.tasks, workers.shards, strict=True):
            for part in task:
                found[part.places] = shard["x"][part.rows]
        np.testing.assert_array_equal(found, minibatch)
        seen.append(found)
    assert (seen[0] == seen[7]).all() != shuffle  # the second epoch begins


def test_inputs_without_examples_are_kept_by_all() -> None:
    graph = Graph("net")
    x, c = graph.input("x", ("n", 3)), graph.input("c", (3,))
    W = graph.parameter("W", (2, 3), init="he_normal")
    graph.node("loss", mse((x * c) @ W.T, (x * 2) @ W.T + 1, reduction="mean"))
    data, workers = {"x": np.random.default_rng(1).normal(size=(9, 3)), "c": np.array([1.0, 2.0, 3.0])}, Here(2)
    alone, shared = Model(graph, [], "loss"), Model(graph, [], "loss")
    options: dict[str, Any] = {"epochs": 4, "batch_size": 4, "shuffle": True, "learning_rate": 0.1}
    dataflow.train(alone, data, **options)
    dataflow.train(shared, data, cluster=workers, **options)
    assert [shard["c"].tolist() for shard in workers.shards] == [[1, 2, 3]] * 2
    assert distance(alone, shared) < 1e-12


@pytest.mark.parametrize(("reduction", "penalty"), [("mean", 0.001), ("sum", 0)])
def test_parts_have_few_sizes(
    reduction: str, penalty: float, monkeypatch: pytest.MonkeyPatch, data: dict[str, np.ndarray]
) -> None:
    """100 shuffled minibatches of 100 examples on 2 workers have parts of many sizes; filled up to multiples of an
    eighth of their mean, 6, they are computed in few."""
    monkeypatch.setattr("dataflow.training.minibatches.shared_gradients.GRAINS", 8)
    computed, asked = set[int](), set[int]()
    compute = PartGradients._compute

    def watched(work: PartGradients, data: Mapping[str, np.ndarray], part: Part) -> None:
        computed.add(len(part.rows))
        compute(work, data, part)

    monkeypatch.setattr(PartGradients, "_compute", watched)
    alone, shared, workers = net(reduction, penalty), net(reduction, penalty), Here(2)
    options = {**RUN, "batch_size": 100, "epochs": 34}
    dataflow.train(alone, data, **options)
    dataflow.train(shared, data, cluster=workers, **options)
    asked = {len(part.rows) for parts in workers.asked for part in parts}
    assert len(asked) > 15
    assert computed - {1} <= {*range(6, 101, 6)}
    assert distance(alone, shared) < 1e-12


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda: net("sum", 0.001), "mixes examples"),
        (lambda: net(norm=True), "mean"),
    ],
)
def test_what_is_no_sum_over_parts_is_refused(model: Any, says: str, data: dict[str, np.ndarray]) -> None:
    with pytest.raises(TrainingError, match=says):
        dataflow.train(model(), data, cluster=Here(2))


@pytest.mark.parametrize(
    "mixes",
    [
        lambda x: x[1:] - x[:-1],  # each example and the next
        lambda x: x - x[::-1],
        lambda x: cumsum(x, axis=0),
        lambda x: x - mean(x, axis=0),
        lambda x: x @ x.T,
        lambda x: exp(sum_of(x)),
        lambda x: sum_of(x) + 1,
        lambda x: max_of(x, axis=0),
        lambda x: x[0],
        lambda x: reshape(x.T, shape=x.shape) * x,
        lambda x: reshape(x, shape=(3, x.shape[0])) * x.T,
        lambda x: gather(x, cast(x[:, 0] > 0, dtype="int64"), axis=0),
        lambda x: pad(x, padding=((1, 1), (0, 0)), value=1),
        lambda x: pad(x, padding=((1, -1),), axes=(0,)),
        lambda x: max_pool(x.T[None], kernel=3, padding=1, strides=1),
        lambda x: conv(x.T[None], np.ones((1, 3, 3)), padding=1),
        lambda x: repeated(lambda h: h - mean(h, axis=0), x),
    ],
)
def test_what_mixes_examples_is_refused(mixes: Any) -> None:
    assert not is_mean(*squares(lambda x: x[:, 1:] * 2))
    assert is_mean(*squares(lambda x: mean(x * x) + 1))
    with pytest.raises(TrainingError, match="mixes examples"):
        is_mean(*squares(mixes))


@primitive
def centred(x):
    """Each row less the mean of all: no attribute tells what it does along them."""
    return x - x.mean(axis=0)


@centred.shape
def _(x):
    return x.shape


@centred.vjp
def _(g, y, x):
    return g - mean(g, axis=0)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_what_shapes_do_not_tell_is_tried_on_examples(reduction: str, data: dict[str, np.ndarray]) -> None:
    graph = Graph("net")
    x, y = graph.input("x", ("n", 5)), graph.input("y", ("n", 2))
    last = graph.parameter("W", (2, 5), init="zeros")  # the loss alone tells nothing yet
    graph.node("loss", mse(graph.node("yhat", centred(x) @ last.T), y, reduction=reduction))
    model = Model(graph, outputs=["yhat"], loss="loss")
    assert is_mean(graph, "loss") == (reduction == "mean")
    with pytest.raises(TrainingError, match="gradient of 3 examples.*mixes examples"):
        dataflow.train(model, data, cluster=Here(2))
    few = {name: array[:2] for name, array in data.items()}  # too few for a trial
    dataflow.train(net("sum", 0), few, cluster=Here(2), epochs=1)


def repeated(step: Any, h: Any) -> Any:
    """A loop of two steps."""
    count, more, number = (h.graph.constant(f"c{i}", np.array(c)) for i, c in enumerate((2, True, 0)))
    specs = {"i": number.spec, "h": h.spec}
    body = Subgraph.traced(lambda i, h: [i >= 0, step(h)], specs, ["more", "h"], "step")
    return loop(count, more, h, body=body)["h"]


@pytest.mark.parametrize(
    "keeps",
    [
        lambda x: reshape(expand_dims(x, axis=-1), shape=(-1,)),
        lambda x: reshape(x, shape=(1, x.shape[0], 3)),
        lambda x: gather(np.eye(2), cast(x[:, 0] > 0, dtype="int64"), axis=0),
        lambda x: pad(x, padding=((0, 0), (1, 1)), value=1),
        lambda x: max_pool(x[:, None], kernel=2),
        lambda x: conv(x[:, None], np.ones((1, 1, 3)), padding=1),
    ],
)
def test_what_keeps_examples_apart_is_shared(keeps: Any) -> None:
    assert not is_mean(*squares(keeps))


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize(
    "loss",
    [
        lambda x, k, **how: cross_entropy(x, k, **how),
        lambda x, k, **how: cross_entropy(x, k, ignore_index=1, smoothing=0.1, **how),
        lambda x, k, **how: nll(log_softmax(x), k, **how),
        lambda x, k, **how: mse(stack(x[:, 0], x[:, 1], axis=-1), one_hot(k, classes=2), **how),
        lambda x, k, **how: mse(stack(x, x, axis=0), expand_dims(one_hot(k, classes=3), axis=0), **how),
        lambda x, k, **how: mse(x[:, :1], expand_dims(cast(k, dtype="float64"), axis=-1), **how),
    ],
)
def test_labels_by_number_are_shared_among_workers(loss: Any, reduction: str) -> None:
    """A new axis is counted in the result, so that the last one is not that of the examples. The parts' gradients,
    added, are those of the whole minibatch in one process."""
    graph = Graph("net")
    x, k = graph.input("x", ("n", 4)), graph.input("k", ("n",), "int64")
    W = graph.parameter("W", (3, 4), init="he_normal")
    graph.node("loss", loss(x @ W.T, k, reduction=reduction))
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=(10, 4)), "k": rng.integers(0, 2, 10)}
    alone, together = (Model(graph, [], "loss") for _ in range(2))
    settings: dict[str, Any] = {"epochs": 3, "batch_size": 5, "learning_rate": 0.1}
    dataflow.train(alone, data, **settings)
    dataflow.train(together, data, cluster=Here(2), **settings)
    np.testing.assert_allclose(together.parameters["W"], alone.parameters["W"], rtol=1e-12)


def squares(make: Any) -> tuple[Graph, str]:
    """A graph with the sum of something made of examples, and the name of the sum."""
    graph = Graph("net")
    x = graph.input("x", ("n", 3))
    w = graph.parameter("w", (3,), init="ones")
    graph.node("loss", sum_of(make(x * w)))
    return graph, "loss"


def test_weights_are_refused(data: dict[str, np.ndarray]) -> None:
    with pytest.raises(TrainingError, match="no weights"):
        dataflow.train(net(), data, weights=np.ones(203), cluster=Here(2))


def test_a_run_goes_on_bit_for_bit(data: dict[str, np.ndarray], tmp_path: Any) -> None:
    whole, stopped, resumed = net(), net(), net()
    dataflow.train(whole, data, cluster=Here(2), **RUN)

    def stop(progress: Any) -> None:
        if progress.epoch == 4 and progress.batch == 3:
            raise StopTraining

    dataflow.train(stopped, data, cluster=Here(2), checkpoint=tmp_path, on_batch=stop, **RUN)
    dataflow.train(resumed, data, cluster=Here(2), checkpoint=tmp_path, resume=True, **RUN)
    assert distance(whole, resumed) == 0


def by_hand(data: dict[str, np.ndarray], every: int, steps: int) -> dict[str, np.ndarray]:
    """Two workers' local steps and their means: plain gradient descent with momentum on mse(x Wᵀ, y), in numpy."""
    W, v = np.array(linear().parameters["W"]), np.zeros((2, 5))
    for first in range(0, steps, every):
        found = []
        for worker in range(2):
            own, speed = W.copy(), v.copy()
            for number in range(first, min(first + every, steps)):
                rows = slice(20 * number + 10 * worker, 20 * number + 10 * worker + 10)
                x, y = data["x"][rows], data["y"][rows]
                gradient = 2 * (x @ own.T - y).T @ x / y.size
                speed = 0.9 * speed + gradient
                own = own - 0.1 * speed
            found.append((own, speed))
        W, v = ((a + b) / 2 for a, b in zip(*found, strict=True))
    return {"W": W, "v": v}


def linear() -> Model:
    graph = Graph("linear")
    x, y = graph.input("x", ("n", 5)), graph.input("y", ("n", 2))
    W = graph.parameter("W", (2, 5), init="he_normal")
    graph.node("loss", mse(x @ W.T, y, reduction="mean"))
    return Model(graph, outputs=[], loss="loss")


@pytest.mark.parametrize("every", [1, 2, 3, 100])
def test_local_steps_are_those_by_hand(every: int, data: dict[str, np.ndarray]) -> None:
    few = {name: array[:140] for name, array in data.items()}
    model = linear()
    momentum = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9}
    dataflow.train(model, few, cluster=Here(2), batch_size=20, optimizer=momentum, sync_every=every)
    hand = by_hand(few, every, 7)
    np.testing.assert_allclose(model.parameters["W"], hand["W"], rtol=1e-12, atol=1e-14)
    [state] = model.training["state"].values()
    np.testing.assert_allclose(np.abs(state["velocity"]).reshape(2, 5), np.abs(hand["v"]), rtol=1e-11, atol=1e-14)
    if every > 1:
        apart = by_hand(few, 1, 7)
        assert np.abs(apart["W"] - hand["W"]).max() > 1e-6  # the comparison can fail


def test_a_round_is_whole_and_goes_on_bit_for_bit(data: dict[str, np.ndarray], tmp_path: Any) -> None:
    options: dict[str, Any] = {**RUN, "sync_every": 3, "schedule": "cosine", "clip": {"norm": 0.5}}
    whole, stopped, resumed, seen = net(), net(), net(), list[int]()
    dataflow.train(whole, data, cluster=Here(3), on_batch=lambda progress: seen.append(progress.batch), **options)
    assert seen[:6] == [3, 6, 7, 3, 6, 7]  # 7 minibatches in an epoch

    def stop(progress: Any) -> None:
        if progress.epoch == 4 and progress.batch == 3:
            raise StopTraining

    dataflow.train(stopped, data, cluster=Here(3), checkpoint=tmp_path, checkpoint_every=2, on_batch=stop, **options)
    dataflow.train(resumed, data, cluster=Here(3), checkpoint=tmp_path, resume=True, **options)
    assert distance(whole, resumed) == 0
    with pytest.raises(TrainingError, match="sync_every"):
        other = {**options, "sync_every": 2}
        dataflow.train(net(), data, cluster=Here(3), checkpoint=tmp_path, resume=True, **other)


def test_what_local_steps_exclude(data: dict[str, np.ndarray]) -> None:
    with pytest.raises(TrainingError, match="for the workers of a cluster"):
        dataflow.train(net(), data, sync_every=2)
    with pytest.raises(TrainingError, match="exclude each other"):
        dataflow.train(net(), data, cluster=Here(2), accumulate=2, sync_every=2)
    with pytest.raises(TrainingError, match="takes the mean"):
        dataflow.train(net("sum", 0), data, cluster=Here(2), sync_every=2)


def test_local_steps_that_overflow(data: dict[str, np.ndarray]) -> None:
    model = linear()
    before = dict(model.parameters)
    optimizer = {"name": "sgd", "learning_rate": 1e200}
    with pytest.raises(NonFiniteError, match="batch 2 of 11: .* from before the round of batch 1"):
        dataflow.train(model, data, cluster=Here(2), batch_size=20, optimizer=optimizer, sync_every=5)
    assert all((model.parameters[name] == before[name]).all() for name in before)


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
def test_any_backend_computes(backend: str, data: dict[str, np.ndarray]) -> None:
    alone, shared = net(), net()
    dataflow.train(alone, data, backend=backend, **RUN)
    dataflow.train(shared, data, backend=backend, cluster=Here(2), **RUN)
    assert 0 < distance(alone, shared) < 1e-12


def test_two_runs_on_one_folder(data: dict[str, np.ndarray], tmp_path: Any) -> None:
    def second(progress: Any) -> None:
        with pytest.raises(TrainingError, match="another run uses this folder"):
            dataflow.train(net(), data, cluster=Here(2), checkpoint=tmp_path, resume=True, **RUN)
        raise StopTraining

    dataflow.train(net(), data, cluster=Here(2), checkpoint=tmp_path, on_batch=second, **RUN)


def test_what_a_worker_lacks_is_named() -> None:
    needs = {
        "version": dataflow.__version__,
        "numpy": np.__version__,
        "ops": {"relu": "nn"},
        "backends": ["numpy"],
        "optimizers": ["sgd"],
    }
    assert missing(needs) is None
    assert "not 99" in str(missing({**needs, "version": "99"}))
    assert "'swirl', which mine has" in str(missing({**needs, "ops": {"swirl": "mine"}}))
    assert "no backend 'abacus'" in str(missing({**needs, "backends": ["numpy", "abacus"]}))
    assert "no optimizer 'leap'" in str(missing({**needs, "optimizers": ["leap"]}))


def test_an_unknown_cluster_is_refused(data: dict[str, np.ndarray]) -> None:
    with pytest.raises(TrainingError, match="local:N"):
        dataflow.train(net(), data, cluster="local:none")


@pytest.mark.parametrize(
    "fault",
    [
        {"data": "missing.csv"},
        {"weights": np.ones(203)},
        {"optimizer": "leap"},
        {"epochs": -1},
        {"batch_size": 0},
        {"early_stopping": {"metric": "beauty"}},
        {"resume": True},
        {"checkpoint": "file"},
        {"loss": "sum"},
    ],
    ids=str,
)
def test_what_is_wrong_without_workers_is_told_before_they_are_opened(
    fault: dict[str, Any], data: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    opened = list[str]()
    engine = next(iter(registry.registry().clusters.values()))
    monkeypatch.setattr(type(engine), "open", lambda engine, cluster: opened.append(cluster))
    model = net(fault.pop("loss", "mean"))
    options = {"data": data, **RUN, **fault}
    with pytest.raises(DataflowError) as caught:
        dataflow.train(model, cluster="local:2", **options)
    assert "local" not in str(caught.value)
    assert not opened
    with pytest.raises(AttributeError):  # the comparison can fail
        dataflow.train(net(), data, cluster="local:2", **RUN)
    assert opened == ["local:2"]


def test_a_missing_extra_is_named(data: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"\[cluster\]"):
        dataflow.train(net(), data, cluster="local:2")


@pytest.fixture
def two_workers() -> Iterator[Any]:
    pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # distributed's own, of ports and of processes that were killed
        with open_workers("local:2") as workers:
            assert isinstance(workers, LateWorkers)
            yield workers.opened


KILLS = 20


@pytest.mark.slow
def test_killed_workers_change_nothing(two_workers: Any, data: dict[str, np.ndarray]) -> None:
    client, killed, ended, moments = two_workers._client, list[int](), threading.Event(), random.Random(5)
    assert all(address.startswith("tcp://127.0.0.1:") for address in client.scheduler_info()["workers"])

    def kill() -> None:
        while not ended.wait(moments.uniform(0.2, 1.0)) and len(killed) < KILLS:
            workers = client.run_on_scheduler(lambda dask_scheduler: [*dask_scheduler.workers])
            if workers:
                address = moments.choice(workers)
                try:
                    pid = client.run(os.getpid, workers=[address])[address]
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                except Exception:  # noqa: BLE001 (it was gone before)
                    continue

    steps = 0

    def count(progress: Any) -> None:
        nonlocal steps
        steps += 1
        if len(killed) == KILLS and steps >= 100:
            raise StopTraining

    def stop(progress: Any) -> None:
        if (progress.epoch - 1) * progress.batches + progress.batch == steps:
            raise StopTraining

    options = {**RUN, "epochs": 10**6}
    alone, here, lossy = net(), net(), net()
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        dataflow.train(lossy, data, cluster=two_workers, on_batch=count, **options)
    finally:
        ended.set()
        killer.join()
    assert len(set(killed)) == KILLS
    dataflow.train(here, data, cluster=Here(2), on_batch=stop, **options)
    assert distance(here, lossy) == 0
    dataflow.train(alone, data, on_batch=stop, **options)
    assert distance(alone, lossy) > 0


@pytest.mark.slow
def test_a_worker_here_is_started_again_however_late(data: dict[str, np.ndarray]) -> None:
    """Dask's own setting gives a worker up that has not come back by then."""
    pytest.importorskip("distributed")  # whose defaults come before the setting
    import dask

    setting = "distributed.deploy.lost-worker-timeout"
    killed = list[int]()

    def kill(progress: Any) -> None:
        if progress.batch == 2 and len(killed) < 3:
            [pid] = workers.opened._client.run(os.getpid).values()
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    with dask.config.set({setting: "20ms"}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # distributed's own, of processes that were killed
        with open_workers("local:1") as workers:
            dataflow.train(net(), data, cluster=workers.opened, on_batch=kill, **RUN)
        assert dask.config.get(setting) == "20ms"
    assert len(set(killed)) == 3


@pytest.mark.slow
def test_a_lost_worker_costs_one_task(
    two_workers: Any, data: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, sent, done = two_workers._client, list[int](), list[int]()
    submit, place, steps = two_workers._submit, two_workers._place, 0
    monkeypatch.setattr(two_workers, "_submit", lambda number, *rest: (done.append(number), submit(number, *rest))[1])
    monkeypatch.setattr(two_workers, "_place", lambda numbers: (sent.extend(numbers), place(numbers))[1])

    def kill(progress: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == 10:
            where = {number: address for number, (address, _) in two_workers._placed.items()}
            assert len(set(where.values())) == 2  # each keeps one shard
            held = client.run(
                lambda dask_worker: [len(one[2]["x"]) for one in dask_worker.data.values() if isinstance(one, tuple)]
            )
            assert {number: sum(held[address]) for number, address in where.items()} == {0: 101, 1: 102}
            pid = client.run(os.getpid, workers=[where[1]])[where[1]]
            os.kill(pid, signal.SIGKILL)
        elif steps == 30:
            raise StopTraining

    here, lossy = net(), net()
    dataflow.train(lossy, data, cluster=two_workers, on_batch=kill, **RUN)
    assert sent[:3] == [0, 1, 1]  # what the lost one had
    assert len(done) == 2 * 30 + 1
    assert done.count(1) == 31

    def stop(progress: Any) -> None:
        if (progress.epoch - 1) * progress.batches + progress.batch == 30:
            raise StopTraining

    dataflow.train(here, data, cluster=Here(2), on_batch=stop, **RUN)
    assert distance(here, lossy) == 0


@pytest.mark.slow
def test_an_open_client_stays_open(two_workers: Any, data: dict[str, np.ndarray]) -> None:
    client = two_workers._client
    for options in ({**RUN, "backend": "llvm"}, {**RUN, "sync_every": 3}):
        here, there = net(), net()
        dataflow.train(here, data, cluster=Here(2), **options)
        dataflow.train(there, data, cluster=client, **options)
        assert distance(here, there) == 0
    assert client.status == "running"
    client.run(exec, "from dataflow.training.minibatches import part_work; part_work.installed_version = lambda: '99'")
    with pytest.raises(TrainingError, match=r"worker tcp://127.0.0.1:[0-9]+ has dataflow 99, not .*; install the same"):
        dataflow.train(net(), data, cluster=client, **RUN)


@pytest.mark.parametrize(
    ("address", "warns"),
    [("tcp://192.0.2.1:8786", True), ("tls://192.0.2.1:8786", False), ("tcp://127.0.0.1:9", False)],
)
def test_who_could_run_code_is_told(
    address: str, warns: bool, data: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distributed = pytest.importorskip("distributed")

    def refuse(*arguments: Any, **more: Any) -> None:
        raise OSError("no answer")

    monkeypatch.setattr(distributed, "Client", refuse)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with pytest.raises(TrainingError, match=f"no scheduler answers at {address} within 10 s"):
            dataflow.train(net(), data, cluster=address)
    assert any("can run code as you" in str(one.message) for one in told) == warns


@pytest.mark.slow
def test_a_scheduler_that_is_not_there(data: dict[str, np.ndarray]) -> None:
    pytest.importorskip("distributed")
    begun = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(TrainingError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9"):
            dataflow.train(net(), data, cluster="tcp://127.0.0.1:9")
    assert time.monotonic() - begun < 60


@pytest.mark.slow
def test_ctrl_c_at_a_terminal_leaves_the_workers_to_the_process_that_trains(tmp_path):
    """It reaches all processes of the group, the workers among them."""
    pytest.importorskip("distributed")
    call = [sys.executable, "-m", "dataflow", "train", str(MODELS / "digits.toml"), "--epochs", "100000"]
    call += ["-o", str(tmp_path / "t.msgpack"), "--cluster", "local:1", "--checkpoint", str(tmp_path / "c")]
    process = subprocess.Popen(call, start_new_session=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (tmp_path / "c").exists() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted after" in errors
    assert "Traceback" not in errors
    assert "--resume" in errors


def certificates(folder: Path) -> dict[str, str]:
    """The files of an authority, and of a certificate for this machine that it has signed."""
    trustme = pytest.importorskip("trustme")
    folder.mkdir()
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    own.private_key_and_cert_chain_pem.write_to_path(folder / "own.pem")
    return {"ca": str(folder / "ca.pem"), "own": str(folder / "own.pem")}


def of_client(files: dict[str, str]) -> dict[str, str]:
    """What a user puts into Dask's configuration."""
    key = "distributed.comm.tls"
    return {f"{key}.ca-file": files["ca"], f"{key}.client.cert": files["own"], f"{key}.client.key": files["own"]}


@pytest.fixture
def tls_cluster(tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of two workers, and the files that a client needs."""
    distributed = pytest.importorskip("distributed")
    files = certificates(tmp_path / "own")
    roles = ("scheduler", "worker", "client")
    given = {f"tls_{role}_{what}": files["own"] for role in roles for what in ("cert", "key")}
    security = distributed.Security(tls_ca_file=files["ca"], require_encryption=True, **given)
    options: dict[str, Any] = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(2, threads_per_worker=1, protocol="tls://", security=security, **options) as own:
            yield own.scheduler_address, files


def test_a_client_that_no_scheduler_answers_is_gone_at_once(
    data: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it collected while the next one starts, it would wait for ever for Dask's lock."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("dataflow_cluster.engine.SECONDS", 1)
    made = list[weakref.ref[Any]]()
    start = distributed.Client.start

    def watched(client: Any, **given: Any) -> Any:
        made.append(weakref.ref(client))
        return start(client, **given)

    monkeypatch.setattr(distributed.Client, "start", watched)
    collector_ran = gc.isenabled()
    gc.disable()
    try:
        with pytest.raises(TrainingError, match="no scheduler answers"):
            dataflow.train(net(), data, cluster="tcp://127.0.0.1:1", epochs=1)
        assert [client() for client in made] == [None]
    finally:
        if collector_ran:
            gc.enable()


@pytest.mark.slow
def test_training_over_tls(
    tls_cluster: tuple[str, dict[str, str]],
    data: dict[str, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dataflow_cluster.engine.SECONDS", 2)
    dask = pytest.importorskip("dask")
    address, files = tls_cluster
    assert address.startswith("tls://127.0.0.1:")
    here, there = net(), net()
    dataflow.train(here, data, cluster=Here(2), **RUN)
    with dask.config.set(of_client(files)), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        dataflow.train(there, data, cluster=address, **RUN)
    assert distance(here, there) == 0
    assert not any("can run code as you" in str(one.message) for one in told)
    others: list[dict[str, str]] = [{}, of_client(certificates(tmp_path / "others"))]
    for configuration in others:  # none, and those of another authority
        with dask.config.set(configuration), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(TrainingError, match=f"no scheduler answers at {address}"):
                dataflow.train(net(), data, cluster=address, **RUN)
    plain = address.replace("tls", "tcp")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(TrainingError, match=f"no scheduler answers at {plain}"):
            dataflow.train(net(), data, cluster=plain, **RUN)
