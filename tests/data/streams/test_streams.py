"""Streams: what is read piece by piece is what a table in memory would be; faults say where; little is read at a time.

What is expected comes from reading the same rows at once (``DataSource``), from numpy, and from the rows as they were
written here."""

from __future__ import annotations

import gc
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from later import Later

import dataflow
from dataflow.backends import threads
from dataflow.data.preparation.learned import Preparation
from dataflow.data.source import DataSource
from dataflow.data.streams import learner
from dataflow.data.streams.learner import Moments, Sample
from dataflow.data.streams.prefetch import Ahead
from dataflow.data.streams.stream import Stream
from dataflow.errors import DataError, DataflowError

pa = Later("pyarrow")

COUNT = 103
GAPS: dict[str, Any] = {"a": "median", "b": {"fill": "mean", "indicator": True}, "kind": "most_frequent"}
RULES: list[dict[str, Any]] = [
    {},
    {"standardize": ["x"], "scale": {"y": 0.5}},
    {"missing": GAPS, "categories": {"kind": "one_hot"}, "standardize": ["x", "y"]},
    {"missing": GAPS | {"a": 7}, "categories": {"kind": "index"}, "standardize": ["x"]},
    {"missing": {"a": "drop", "b": "drop", "kind": "drop"}, "categories": {"kind": {"kind": "index"}}},
    {"missing": {"a": "most_frequent", "b": 0, "kind": "none"}, "categories": {"kind": "one_hot"}},
]


def rows(gaps: bool) -> list[dict[str, Any]]:
    """Rows with three columns for x, and what is missing of them in some."""
    rng = np.random.default_rng(7)
    made = []
    for i in range(COUNT):
        row: dict[str, Any] = {"a": float(rng.integers(0, 9)), "b": float(rng.normal(3, 2)), "kind": f"k{i * i % 5}"}
        for name in list(row) if gaps else ():
            row[name] = None if rng.random() < 0.1 else row[name]
        made.append({**row, "t": float(i), "w": float(i % 3)})
    return made


def write(kind: str, folder: Path, table: list[dict[str, Any]]) -> Any:
    """The rows in three files, the second of a single row, or what a program would give."""
    import csv
    import gzip

    import pyarrow.parquet as parquet

    if kind == "rows":
        return table
    if kind == "function":
        return lambda: iter(table)
    if kind == "chunks":
        return [pa.Table.from_pylist(table[start : start + 20]) for start in range(0, COUNT, 20)]
    for number, (start, stop) in enumerate([(0, 40), (40, 41), (41, COUNT)]):
        place = folder / f"part-{number}.{kind}"
        part = pa.Table.from_pylist(table[start:stop] if kind in ("parquet", "arrow") else [])
        if kind == "parquet":
            parquet.write_table(part, place, row_group_size=15)
        elif kind == "arrow":
            with pa.OSFile(str(place), "wb") as file, pa.ipc.new_file(file, part.schema) as writer:
                writer.write_table(part, max_chunksize=17)
        elif kind.startswith("jsonl"):
            with gzip.open(place, "wt") if kind.endswith("gz") else place.open("w") as file:
                for row in table[start:stop]:
                    cells = row if row["t"] % 10 == 3 else {name: x for name, x in row.items() if x is not None}
                    file.write(json.dumps(cells) + ("\n \n" if row["t"] % 10 == 3 else "\n"))
        else:
            with gzip.open(place, "wt") if kind.endswith("gz") else place.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(table[0]), quoting=csv.QUOTE_NONNUMERIC)
                writer.writeheader()
                for row in table[start:stop]:
                    file.write("\n" if row["t"] % 10 == 3 else "")
                    writer.writerow(row)
    return folder


def graph() -> dataflow.Graph:
    made = dataflow.Graph("net")
    made.input("x", ("n", "features"))
    made.input("y", ("n", 1))
    return made


def declared(**more: Any) -> DataSource:
    columns = ["a", "b", "kind"] if "categories" in more else ["a", "b"]
    return DataSource(columns={"x": columns, "y": "t"}, **more)


def read(stream: Stream, parts: Any) -> dict[str, np.ndarray]:
    pieces = list(stream.examples(parts))
    arrays = {name: np.concatenate([piece.arrays[name] for piece in pieces]) for name in pieces[0].arrays}
    if pieces[0].weights is not None:
        arrays["weights"] = np.concatenate([piece.weights for piece in pieces])
    return arrays


def assert_same_preparation(left: Preparation, right: Preparation) -> None:
    assert left.columns.keys() == right.columns.keys()
    assert left.inputs.keys() == right.inputs.keys()
    for name, column in left.columns.items():
        assert column.names == right.columns[name].names
        if isinstance(column.fill, float):
            np.testing.assert_allclose(column.fill, right.columns[name].fill, rtol=1e-13)
        else:
            assert column.fill == right.columns[name].fill
    for name, given in left.inputs.items():
        assert given.names == right.inputs[name].names
        for own, other in ((given.mean, right.inputs[name].mean), (given.deviation, right.inputs[name].deviation)):
            np.testing.assert_allclose(own, other, rtol=1e-12)


# ------------------------------------------------------------------------------------------------ the same as in memory

KINDS = ["parquet", "arrow", "csv", "csv.gz", "jsonl", "jsonl.gz", "rows", "function", "chunks"]


@pytest.mark.parametrize("rules", RULES, ids=range(len(RULES)))
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_learned_and_read_is_what_a_table_in_memory_gives(tmp_path: Path, kind: str, rules: dict) -> None:
    table = rows("missing" in rules)
    source, shapes = declared(weights="w", **rules), graph()
    whole = source.at(table)
    training = np.arange(COUNT - 11)  # a tenth is held out, rounded up
    taught = whole.learn(shapes, training)
    prepared = taught.prepared(shapes)
    stream = Stream(replace(source, origin=write(kind, tmp_path, table)), shapes, 16, skip=False)
    assert_same_preparation(stream.learn(0.1, 0).learned or Preparation(), taught.learned or Preparation())
    inside = np.ones(COUNT, bool) if prepared.rows is None else np.isin(np.arange(COUNT), prepared.rows)
    cut = int(inside[: len(training)].sum())
    for parts, those in ((stream.training, slice(0, cut)), (stream.held_out, slice(cut, None))):
        arrays = read(stream, parts)
        for name, array in prepared.arrays.items():
            np.testing.assert_allclose(arrays[name], array[those], rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(arrays["weights"], prepared.weights[those])


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_shards_of_arrays(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 2, 3)), rng.normal(size=(50, 1)).astype(np.float32)
    for number, part in enumerate((slice(0, 20), slice(20, 50))):
        if kind == "npz":
            np.savez(tmp_path / f"{number}.npz", x=x[part], y=y[part])
        else:
            np.save(tmp_path / f"x-{number}.npy", x[part])
            np.save(tmp_path / f"y-{number}.npy", y[part])
    shapes = dataflow.Graph("net")
    shapes.input("x", ("n", 2, 3))
    shapes.input("y", ("n", 1))
    stream = Stream(DataSource(standardize=["x"], origin=tmp_path), shapes, 8, skip=False)
    learned = stream.learn(0.2, 0).learned
    assert learned is not None
    np.testing.assert_allclose(learned.input("x").mean, x[:40].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(learned.input("x").deviation, x[:40].std(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(read(stream, stream.training)["y"], y[:40])
    expected = (x[40:] - x[:40].mean(axis=0)) / x[:40].std(axis=0)
    np.testing.assert_allclose(read(stream, stream.held_out)["x"], expected, rtol=1e-10)


def test_the_rows_are_told_by_the_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(replace(declared(), origin=write("parquet", tmp_path, rows(False))), graph(), 16, skip=False)
    assert sum(stream.shards.sizes()) == COUNT  # before any row group was read
    calls = []
    shards = stream.shards
    original = type(shards).read
    monkeypatch.setattr(
        type(shards), "read", lambda self, order, skip: calls.append(order) or original(self, order, skip)
    )
    stream.learn(0.0, 0)
    assert calls == [[0]]  # one, for the names of its columns
    assert [part.rows for part in stream.training] == [15, 15, 10, 1, 15, 15, 15, 15, 2]


def test_a_folder_of_partitions_says_a_column(tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    for year in (2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        parquet.write_table(pa.table({"x": [1.0, 2.0]}), tmp_path / f"year={year}" / "rows.parquet")
    source = DataSource(columns={"x": ["x"], "y": "year"}, origin=tmp_path)
    shapes = graph()
    stream = Stream(source, shapes, 16, skip=False)
    stream.learn(0.0, 0)
    assert read(stream, stream.training)["y"].ravel().tolist() == [2023, 2023, 2024, 2024]


# ------------------------------------------------------------------------------------------------ the parts of learning


def test_moments_of_parts_are_those_of_the_whole() -> None:
    values = np.random.default_rng(0).normal(1e6, 1e-2, 1000)
    moments = Moments()
    for part in np.split(values, [1, 1, 10, 500]):
        moments.add(part)
    mean, deviation = moments.standard("x", "a")
    np.testing.assert_allclose(mean, values.mean(), rtol=1e-15)
    np.testing.assert_allclose(deviation, values.std(), rtol=1e-7)  # of differences of 1e-8 of the numbers
    assert Moments().standard("x", "a") == (0.0, 1.0)
    assert Moments().repeated(3.0, 5).standard("x", "a") == (3.0, 1.0)
    filled = moments.repeated(0.0, 1000).standard("x", "a")
    both = np.concatenate([values, np.zeros(1000)])
    np.testing.assert_allclose(filled, [both.mean(), both.std()], rtol=1e-12)


def test_the_median_of_very_many_is_that_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 2**12
    monkeypatch.setattr(learner, "MEDIAN_ROWS", most)
    first, second = Sample(0), Sample(0)
    for sample in (first, second):
        for start in range(0, 30 * most, most // 2):  # sorted, which a sample must not mind
            sample.add(np.arange(start, start + most // 2))
    assert len(first.numbers) == most
    assert abs(np.median(first.numbers) / (30 * most) - 0.5) < 5 / (2 * most**0.5)  # five standard deviations
    np.testing.assert_array_equal(first.numbers, second.numbers)


# ------------------------------------------------------------------------------------------------ faults


def _spoilt(kind: str, folder: Path) -> Any:
    """Row 61 of the third file, of all 103 the 102nd, holds no number in column b."""
    table = rows(False)
    table[101]["b"] = None if kind in ("parquet", "arrow", "npy") else "oops"
    if kind == "npy":
        values = np.array([[row["a"], np.nan if row["b"] is None else row["b"]] for row in table])
        np.save(folder / "x-0.npy", values[:41])
        np.save(folder / "x-1.npy", values[41:])
        np.save(folder / "y-0.npy", np.zeros((41, 1)))
        np.save(folder / "y-1.npy", np.zeros((62, 1)))
        return folder
    if kind.startswith("csv"):
        for row in table:
            row["kind"] = "two\nlines" if row["t"] in (70, 80) else row["kind"]
    return write(kind, folder, table)


PLACES = {
    "parquet": "part-2.parquet: column 'b' of row 61: the cell is missing",
    "arrow": "part-2.arrow: column 'b' of row 61: the cell is missing",
    "csv": "part-2.csv:70: column 'b': a number is expected, 'oops' found",  # header, 6 empty lines, 2 in quotes
    "csv.gz": "part-2.csv.gz:70: column 'b': a number is expected, 'oops' found",
    "jsonl": "part-2.jsonl:67: column 'b': a number is expected, 'oops' found",  # 6 blank lines
    "jsonl.gz": "part-2.jsonl.gz:67: column 'b': a number is expected, 'oops' found",
    "npy": "x-1.npy: column 2 of row 61 of 'x': a finite number is expected, nan found",
    "rows": "chunk 7 of the stream: column 'b' of row 102: a number is expected, 'oops' found",
}


@pytest.mark.parametrize("kind", PLACES)
def test_a_bad_row_is_an_error_with_its_place_or_is_left_out(tmp_path: Path, kind: str) -> None:
    source = replace(declared(), origin=_spoilt(kind, tmp_path))
    stream = Stream(source, graph(), 16, skip=False)
    with pytest.raises(DataError) as error:
        stream.learn(0.0, 0)
        read(stream, stream.training)
    assert PLACES[kind] in str(error.value)
    stream = Stream(source, graph(), 16, skip=True)
    stream.learn(0.0, 0)
    assert stream.skipped.total() == 1
    number = PLACES[kind].split("csv:")[-1].split("jsonl:")[-1].split("gz:")[-1].partition(":")[0]
    expected = "61" if "61" in PLACES[kind] else "102" if kind == "rows" else number
    assert stream.skipped_places[0].endswith(f" {expected}")
    assert len(read(stream, stream.training)["x"]) == COUNT - 1


def test_a_bad_row_changes_no_other_number(tmp_path: Path) -> None:
    """The column is one of texts then, and 2⁵³ + 1 none that float64 holds."""
    (tmp_path / "a.csv").write_text("k\n9007199254740993\nx\n-1\n")
    shapes = dataflow.Graph("g")
    shapes.input("k", ("n",), dtype="int64")
    stream = Stream(DataSource(origin=tmp_path / "a.csv"), shapes, 16, skip=True)
    assert [prepared.arrays["k"].tolist() for _, _, prepared in stream.chunks()] == [[2**53 + 1, -1]]


def test_a_column_of_json_lines_that_comes_late_is_no_other_number(tmp_path: Path) -> None:
    """A pattern takes the columns of the first chunk; where a later one has more, that is an error."""
    lines = [json.dumps({"a": i, "t": i}) for i in range(20)]
    source = DataSource(columns={"x": "*", "y": "t"}, origin=tmp_path / "rows.jsonl")
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    stream = Stream(source, graph(), 8, skip=False)
    stream.learn(0.0, 0)
    assert read(stream, stream.training)["x"].ravel().tolist() == list(range(20))
    lines[12] = json.dumps({"a": 12, "b": 5, "t": 12})
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    stream = Stream(source, graph(), 8, skip=False)
    stream.learn(0.0, 0)
    with pytest.raises(DataError, match=r"rows\.jsonl: has other columns than the chunks before it"):
        read(stream, stream.training)


def test_rows_of_another_length_are_left_out_and_counted(tmp_path: Path) -> None:
    lines = ["a,b,t", *(f"{i},{i},{i}" for i in range(30))]
    lines[5], lines[25], lines[26] = "1,2", "1,2,3,4", "x,1,2"
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    stream = Stream(replace(declared(), origin=tmp_path / "rows.csv"), graph(), 8, skip=True)
    stream.learn(0.5, 0)
    assert stream.skipped == {str(tmp_path / "rows.csv"): 3}
    assert [place.rpartition(" ")[2] for place in stream.skipped_places] == ["6", "26", "27"]
    there = np.concatenate([read(stream, stream.training)["y"], read(stream, stream.held_out)["y"]]).ravel()
    assert there.tolist() == [i for i in range(30) if i not in (4, 24, 25)]


def test_faults_of_data_sets(tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    def refused(message: str, origin: Any, **more: Any) -> None:
        with pytest.raises(DataflowError, match=message):
            Stream(replace(declared(**more), origin=origin), graph(), 16, skip=False).learn(0.1, 0)

    refused("has no data", tmp_path)
    (tmp_path / "b").mkdir()
    parquet.write_table(pa.table({"a": [1.0], "b": [2.0], "t": [0.0]}), tmp_path / "b" / "0.parquet")
    parquet.write_table(pa.table({"a": [1.0], "t": [0.0]}), tmp_path / "b" / "1.parquet")
    refused("1.parquet: has no column 'b'", tmp_path / "b")
    (tmp_path / "b" / "1.parquet").write_bytes(b"PAR1 and no more")
    refused("no Parquet file that can be read", tmp_path / "b")
    (tmp_path / "b" / "2.csv").write_text("a,b,t\n1,2,3\n")
    refused("files of several kinds", tmp_path / "b")
    refused("no such file", tmp_path / "none.csv")
    refused("no such file or folder", tmp_path / "none")
    (tmp_path / "rows.json").write_text("[]")
    refused("is not read piece by piece", tmp_path / "rows.json")
    refused("can be gone through once", iter(rows(False)))
    refused("in memory already", pa.table({"a": [1.0]}))
    refused("the stream has no rows", [])
    refused("holds out 1 of 1 example and", tmp_path / "b" / "2.csv")
    with pa.OSFile(str(tmp_path / "s.arrow"), "wb") as file, pa.ipc.new_stream(file, pa.schema([("a", "f8")])):
        pass
    refused("holds a stream of Arrow", tmp_path / "s.arrow")
    (tmp_path / "16.csv").write_bytes("a,b,t\n1,2,3\n".encode("utf-16"))
    refused("is UTF-16 text, .* save it as UTF-8", tmp_path / "16.csv")
    np.save(tmp_path / "x-0.npy", np.zeros((3, 2)))
    np.save(tmp_path / "y-0.npy", np.zeros((4, 1)))
    (tmp_path / "n").mkdir()
    for name in ("x-0.npy", "y-0.npy"):
        (tmp_path / name).rename(tmp_path / "n" / name)
    refused("has 4 rows, and x-0.npy beside it 3", tmp_path / "n")
    np.save(tmp_path / "n" / "y-0.npy", np.zeros((3, 1), order="F") @ np.zeros((1, 2)).T[:1])
    np.save(tmp_path / "n" / "x-0.npy", np.asfortranarray(np.zeros((3, 2))))
    refused("columns side by side", tmp_path / "n")


def test_a_model_from_a_stranger_reads_nothing_elsewhere(tmp_path: Path) -> None:
    for name in ("model", "elsewhere"):
        (tmp_path / name / "rows").mkdir(parents=True)
    (tmp_path / "elsewhere" / "rows" / "0.csv").write_text("a,b,t\n1,2,3\n")
    link = tmp_path / "model" / "rows" / "0.csv"
    link.symlink_to(tmp_path / "elsewhere" / "rows" / "0.csv")
    source = declared(file=Path("rows"), folder=tmp_path / "model")
    with pytest.raises(DataError, match="0.csv: leads out of the folder"):
        Stream(source, graph(), 16, skip=False)
    with pytest.raises(DataError, match="lies outside the folder of its model"):
        Stream(replace(source, file=Path("../elsewhere/rows")), graph(), 16, skip=False)
    link.unlink()
    link.write_text("a,b,t\n1,2,3\n")
    assert Stream(source, graph(), 16, skip=False).shards.sizes() == [1]


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    place = tmp_path / "rows.csv"
    place.write_text("a,b,t\n" + "1,2,3\n" * 20)
    stream = Stream(replace(declared(), origin=place), graph(), 8, skip=False)
    stream.learn(0.0, 0)
    place.write_text("a,b,t\n" + "1,2,3\n" * 10)
    with pytest.raises(DataError, match="rows.csv: has"):
        read(stream, stream.training)


# ------------------------------------------------------------------------------------------------ the thread


def test_no_more_than_two_items_are_there_at_a_time() -> None:
    made = []

    def items() -> Iterator[int]:
        for i in range(6):
            made.append(i)
            yield i

    ahead = Ahead(items())
    for i in range(6):
        assert next(ahead) == i
        time.sleep(0.01)
        assert len(made) <= i + 2
    with pytest.raises(StopIteration):
        next(ahead)


def test_an_error_is_raised_where_its_item_would_be() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise DataError("no more")

    ahead = Ahead(items())
    assert next(ahead) == 1
    with pytest.raises(DataError, match="no more"):
        next(ahead)


def test_others_leave_a_processor_to_the_thread_while_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_cores", lambda: 4)
    begun, end = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        begun.set()
        assert end.wait(10)
        yield 1

    ahead = Ahead(items())
    assert begun.wait(10)
    assert [threads.threads_beside(most) for most in (1, 3, 4, 8)] == [1, 3, 3, 3]
    with threads.working_ahead(), threads.working_ahead(), threads.working_ahead():
        assert threads.threads_beside(8) == 1
    end.set()
    assert next(ahead) == 1
    with pytest.raises(StopIteration):
        next(ahead)
    assert threads.threads_beside(8) == 8


def test_the_thread_ends_with_what_it_was_for() -> None:
    def count() -> int:
        return sum(thread.name == "dataflow-stream" for thread in threading.enumerate())

    before = count()
    ahead = Ahead(iter(range(10)))
    next(ahead)
    assert count() == before + 1
    del ahead
    gc.collect()
    for _ in range(100):
        if count() == before:
            return
        time.sleep(0.02)
    raise AssertionError("the thread goes on")


def test_without_threads_items_are_made_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert list(Ahead(iter(range(3)))) == [0, 1, 2]
