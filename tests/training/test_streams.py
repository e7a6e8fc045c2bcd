"""Training on a stream: the run that the same data in memory gives, a shuffle of known quality, positions that are gone
back to bit for bit, and little memory."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkout import HELPERS
from click.testing import CliRunner
from nets import bits
from stream_run import OPTIONS, net, write_rows

import dataflow
from dataflow import DataflowWarning, TrainingError
from dataflow.cli.group import main
from dataflow.training import StopTraining, Trainer, train
from dataflow.training.minibatches import backend_loop, streamed
from dataflow.training.minibatches.streamed import StreamMinibatches

COUNT = 1003


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("stream") / "rows", COUNT)


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """All rows in one file."""
    parts = [path.read_text().splitlines() for path in sorted(folder.glob("*.csv"))]
    place = folder.parent / "whole.csv"
    place.write_text("\n".join([parts[0][0], *(line for part in parts for line in part[1:])]))
    return place


def epoch_of(batches: StreamMinibatches) -> np.ndarray:
    """The targets of an epoch, which tell the rows apart, in their order."""
    found = []
    for _ in range(batches.per_epoch):
        found.append(batches.current()["y"].ravel().copy())
        batches.advance()
    return np.concatenate(found)


# ------------------------------------------------------------------------------------------------ the same as in memory


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_without_shuffling_it_is_the_run_in_memory(
    folder: Path, whole: Path, backend: str, accumulate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_loop, "BLOCK_BYTES", 7 * 16 * 32)  # blocks of seven minibatches, or of nine
    same = {"backend": backend, "accumulate": accumulate, "shuffle": False, "schedule": "cosine", "clip": {"norm": 1.0}}
    same = {**OPTIONS, **same, "stream": False, "shuffle_window": None}
    expected, model = net(scale={"x": 0.5}), net(scale={"x": 0.5})
    there = train(expected, whole, **same)
    here = train(model, folder, **{**same, "stream": True})
    assert bits(model) == bits(expected)
    assert (here.loss, here.metrics) == (there.loss, there.metrics)


def test_examples_are_weighed_and_a_file_is_held_out(folder: Path, whole: Path) -> None:
    same = {**OPTIONS, "shuffle": False, "stream": False, "validation": {"file": str(whole)}}
    expected, model = net(weights="t"), net(weights="t")
    there = train(expected, whole, **same)
    here = train(model, folder, **{**same, "stream": True})
    assert bits(model) == bits(expected)
    assert (here.loss, here.metrics) == (there.loss, there.metrics)
    with pytest.raises(TrainingError, match="are a column of it"):
        train(net(), folder, weights=np.ones(COUNT), **OPTIONS)


def test_a_stream_of_python_can_be_told_from_another(folder: Path) -> None:
    rows = [{"a": float(i), "b": 1.0, "c": 2.0, "t": 0.5} for i in range(40)]
    given: list[Any] = [list(rows), lambda: iter(rows), rows[:20] * 2]
    first, same, other = (Trainer(net(), data, **_without_epochs()).batches.digest() for data in given)
    assert first == same != other


def _without_epochs() -> dict[str, Any]:
    return {name: value for name, value in OPTIONS.items() if name != "epochs"}


# ------------------------------------------------------------------------------------------------ the shuffle


@pytest.mark.parametrize("window", [1, 120, 10_000])
def test_each_epoch_has_each_row_once_in_an_order_of_its_own(folder: Path, window: int) -> None:
    def orders(**options: Any) -> list[np.ndarray]:
        trainer = Trainer(
            net(), folder, **{**_without_epochs(), "validation": 0.0, "shuffle_window": window, **options}
        )
        return [epoch_of(trainer.batches) for _ in range(3)]  # type: ignore[arg-type]

    found = orders()
    for order in found:
        np.testing.assert_allclose(np.sort(order), np.arange(COUNT) / COUNT, atol=1e-12)
    assert not np.array_equal(found[0], found[1])
    for order, again, other in zip(found, orders(), orders(seed=1), strict=True):
        np.testing.assert_array_equal(order, again)
        assert not np.array_equal(order, other)
    assert abs(np.corrcoef(found[0], np.arange(COUNT))[0, 1]) < 0.7  # chunks of 50 rows: 21 of them in any order


@pytest.mark.parametrize("parts", [4, 16])
def test_the_mean_of_a_minibatch_varies_as_the_docs_say(parts: int, tmp_path: Path) -> None:
    """Rows sorted by their target t, chunks of c = 64 rows, k chunks in a window, minibatches of B = 32: the variance
    of the mean of t in a minibatch is that of drawing B of all rows, σ²/B, times 1 + (B − 1) / k, up to terms in 1/c
    and in k over the number of chunks."""
    count, chunk, size = 64 * 256, 64, 32
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x-0.npy", rng.normal(size=(count, 3)))
    np.save(tmp_path / "y-0.npy", (np.arange(count) / count)[:, None])
    options = {**_without_epochs(), "validation": 0.0, "chunk_rows": chunk, "shuffle_window": parts * chunk}
    batches = Trainer(net(), tmp_path, **{**options, "batch_size": size}).batches
    means = np.concatenate([epoch_of(batches).reshape(-1, size).mean(axis=1) for _ in range(6)])  # type: ignore[arg-type]
    factor = means.var() / (1 / 12 / size)
    expected = 1 + (size - 1) / parts
    assert 0.75 * expected < factor < 1.25 * expected


# ------------------------------------------------------------------------------------------------ going on


@pytest.fixture(scope="module")
def lines(folder: Path) -> Path:
    """The same rows as JSON lines."""
    place = folder.parent / "lines"
    place.mkdir()
    for path in folder.glob("*.csv"):
        with path.open() as file:
            rows = [{name: float(cell) for name, cell in row.items()} for row in csv.DictReader(file)]
        (place / f"{path.stem}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


def test_json_lines_give_the_run_that_csv_gives(folder: Path, lines: Path) -> None:
    left, right = net(standardize=["x"]), net(standardize=["x"])
    assert train(left, folder, **OPTIONS).loss == train(right, lines, **OPTIONS).loss
    assert bits(left) == bits(right)


@pytest.mark.parametrize(("backend", "kind"), [("numpy", "csv"), ("llvm", "csv"), ("numpy", "jsonl")])
def test_a_run_that_is_stopped_anywhere_goes_on_bit_for_bit(
    folder: Path, lines: Path, tmp_path: Path, backend: str, kind: str
) -> None:
    folder = lines if kind == "jsonl" else folder
    expected = net(standardize=["x"])
    whole = train(expected, folder, backend=backend, **OPTIONS)
    for stop in (7, 57, 58):  # an epoch has 57
        seen = 0

        def on_batch(progress: object, stop: int = stop) -> None:
            nonlocal seen
            seen += 1
            if seen == stop:
                raise StopTraining

        model = net(standardize=["x"])
        place = tmp_path / f"{backend}-{stop}"
        train(model, folder, backend=backend, checkpoint=place, on_batch=on_batch, **OPTIONS)
        model = net(standardize=["x"])
        history = train(model, folder, backend=backend, checkpoint=place, resume=True, **OPTIONS)
        assert bits(model) == bits(expected)
        assert (history.loss, history.metrics) == (whole.loss, whole.metrics)


def test_what_python_gives_goes_on_bit_for_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    given = [dict(zip("abct", row, strict=True)) for row in rng.normal(size=(300, 4)).tolist()]
    chunks = [{"x": rng.normal(size=(30, 3)), "y": rng.normal(size=(30, 1))} for _ in range(10)]
    for number, data in enumerate((lambda: iter(given), chunks)):
        expected, model = net(standardize=["x"]), net(standardize=["x"])
        train(expected, data, **OPTIONS)
        train(net(standardize=["x"]), data, checkpoint=tmp_path / str(number), **{**OPTIONS, "epochs": 1})
        train(model, data, checkpoint=tmp_path / str(number), resume=True, **OPTIONS)
        assert bits(model) == bits(expected)


def test_a_checkpoint_of_other_data_or_another_window_is_refused(folder: Path, tmp_path: Path) -> None:
    train(net(), folder, checkpoint=tmp_path / "c", **OPTIONS)
    with pytest.raises(TrainingError, match="shuffle_window = 120"):
        train(net(), folder, checkpoint=tmp_path / "c", resume=True, **{**OPTIONS, "shuffle_window": 60})
    other = write_rows(tmp_path / "other", COUNT - 1)
    with pytest.raises(TrainingError, match="other data"):
        train(net(), other, checkpoint=tmp_path / "c", resume=True, **OPTIONS)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_killed_at_random_moments(folder: Path, tmp_path: Path) -> None:
    def started(name: str) -> subprocess.Popen[bytes]:
        words = [
            sys.executable,
            str(HELPERS / "stream_run.py"),
            str(folder),
            str(tmp_path / name),
            str(tmp_path / "out"),
        ]
        return subprocess.Popen(words)

    begin = time.perf_counter()
    assert started("whole").wait() == 0
    seconds, expected = time.perf_counter() - begin, (tmp_path / "out").read_bytes()
    rng, killed = random.Random(0), 0
    for number in range(4):
        (tmp_path / "out").unlink()
        for share in (rng.uniform(0.3, 1), rng.uniform(0.3, 1)):
            run = started(str(number))
            try:
                run.wait(share * seconds)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                killed += run.wait() == -signal.SIGKILL
        assert started(str(number)).wait() == 0
        assert (tmp_path / "out").read_bytes() == expected
    assert killed


# ------------------------------------------------------------------------------------------------ memory

MEASURED = """
import resource, sys, numpy as np, dataflow
sys.path.insert(0, {helpers!r})
from stream_run import net, OPTIONS
options = {{**OPTIONS, "epochs": 1, "batch_size": 1024, "validation": 0.001, "shuffle_window": 2**17}}
def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
dataflow.train(net(standardize=["x"]), {small!r}, **options)
before = most()
history = dataflow.train(net(standardize=["x"]), {large!r}, **options)
print(most() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="bytes are counted otherwise")
def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    """250 MB of rows, of which a window has 2¹⁷ of 32 bytes, 4 MiB. What Python, numpy and pyarrow take is left out."""
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rng = np.random.default_rng(0)
    for name, files in (("small", 1), ("large", 8)):
        (tmp_path / name).mkdir()
        for number in range(files):
            rows = 10**6 if name == "large" else 2 * 10**5
            table = pa.table({column: rng.normal(size=rows) for column in "abct"})
            parquet.write_table(
                table, tmp_path / name / f"{number}.parquet", row_group_size=2**16, use_dictionary=False
            )
    small, large = str(tmp_path / "small"), str(tmp_path / "large")
    code = MEASURED.format(helpers=str(HELPERS), small=small, large=large)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 64 * 2**20


# ------------------------------------------------------------------------------------------------ bad input


def test_what_a_stream_cannot_be_is_said(folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(message: str, data: Any = folder, **options: Any) -> None:
        with pytest.raises(dataflow.DataflowError, match=message):
            train(net(), data, **{**OPTIONS, **options})

    refused("say how many examples each has: batch_size", batch_size=None)
    refused("a share is held out from its end", validation={"share": 0.1, "shuffle": True})
    refused("a share is held out from its end", validation={"share": 0.1, "stratify": "t"})
    refused("in memory already", {"x": np.zeros((3, 3)), "y": np.zeros((3, 1))})
    refused("there is no data to train on|in memory already", None)
    refused('on_error is "error" or "skip"', on_error="ignore")
    refused("add stream = true", whole, stream=False, on_error="skip")
    refused("is a folder", stream=False)
    monkeypatch.setattr(streamed, "HELD_OUT_BYTES", 1600)
    refused(r"holds out 101 examples.*hold out less, such as 0\.05, or a file of its own")


def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b,c,t\n" + "1,2,3,4\n" * 9 + "1,two,3,4\n1,2\n" + "1,2,3,4\n" * 9)
    with pytest.warns(DataflowWarning, match=r"2 rows that cannot be used are left out \(.*line 11; .*line 12\)"):
        history = train(net(), tmp_path, **{**OPTIONS, "on_error": "skip", "batch_size": 6})
    assert history.epochs == OPTIONS["epochs"]


def test_the_command(folder: Path, tmp_path: Path) -> None:
    model = net(standardize=["x"])
    dataflow.save(model, tmp_path / "net.toml")
    words = [
        "train",
        tmp_path / "net.toml",
        "--data",
        folder,
        "--stream",
        "--batch-size",
        16,
        "--shuffle",
        "--epochs",
        2,
    ]
    done = CliRunner().invoke(main, [*map(str, words), "--shuffle-window", "120", "-o", str(tmp_path / "net.msgpack")])
    assert done.exit_code == 0, done.output
    trained = dataflow.load(tmp_path / "net.msgpack")
    assert trained.train_settings.stream is False  # the file's own setting
    assert trained.training["stream"] is True
    assert trained.data.learned.input("x").mean.shape == (3,)


def test_the_loss_is_that_of_a_sample_where_there_are_many_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed, "SAMPLE_ROWS", 160)
    batches = Trainer(net(), folder, **{**_without_epochs(), "validation": 0.0}).batches
    targets = batches.everything()["y"].ravel()
    assert len(targets) == 160  # ten of each of 16 of the 21 chunks, from the first to the last
    assert targets.min() == 0
    assert targets.max() > 0.95
