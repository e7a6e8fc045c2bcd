"""Predictions, scores and checks of a stream: what the same rows in memory give, whatever the chunks; faults say where.

What is expected comes from the same rows in memory, which other tests hold against scikit-learn, and from the rows as
they were written here."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from later import Later

import dataflow
from dataflow import DataflowError, DataflowWarning
from dataflow.cli.group import main
from dataflow.metrics import totals
from dataflow.ops import mse, sigmoid_cross_entropy, softmax_cross_entropy

pa = Later("pyarrow")

COUNT = 101
KINDS = ["csv", "csv.gz", "tsv", "jsonl", "jsonl.gz", "parquet", "arrow"]
NAMES = ["blue", "green", "red"]

MODEL = """\
dataflow = 2
name = "kinds"
inputs.x = { shape = ["n", 5] }
inputs.y = { shape = ["n", 3] }
inputs.t = { shape = ["n", 1] }
parameters.W = { shape = [3, 5], init = "he_normal" }
parameters.V = { shape = [1, 5], init = "he_normal" }
[nodes]
z = "x @ W.T"
share = "softmax(z)"
v = "x @ V.T"
loss = 'softmax_cross_entropy(z, y, reduction="REDUCTION") + mse(v, t, reduction="REDUCTION")'
[model]
outputs = ["share", "v"]
loss = "loss"
[data]
file = "t.csv"
columns = { x = ["a", "b", "place"], y = "kind", t = "t" }
one_hot = { y = ["blue", "green", "red"] }
categories = { place = { kind = "one_hot", names = ["north", "south", "west"] } }
missing = { a = "drop", b = 0.5 }
standardize = ["t"]
"""


def rows() -> list[dict[str, Any]]:
    """Rows with missing cells in a and b; ids that are numbers in all rows but one, and counts that are whole in all
    but one."""
    rng = np.random.default_rng(3)
    return [
        {
            "id": "x7" if i == 90 else str(i),
            "count": 2.5 if i == 95 else float(i),
            "a": None if i % 17 == 5 else float(rng.normal()),
            "b": None if i % 11 == 3 else float(rng.normal()),
            "place": ["north", "south", "west"][int(rng.integers(3))],
            "kind": NAMES[int(rng.integers(3))],
            "t": float(rng.normal(50, 10)),
            "w": float(i % 4),
        }
        for i in range(COUNT)
    ]


def write(path: Path, table: list[dict[str, Any]]) -> Path:
    """The rows in a file of the kind that its ending says."""
    name = path.name
    if name.endswith((".parquet", ".arrow")):
        import pyarrow.parquet as parquet

        found = pa.Table.from_pylist(table)
        if name.endswith(".parquet"):
            parquet.write_table(found, path, row_group_size=23)
        else:
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, found.schema) as writer:
                writer.write_table(found, max_chunksize=40)
        return path
    text = io.StringIO()
    if "jsonl" in name:
        for i, row in enumerate(table):
            given = {key: value for key, value in row.items() if value is not None or i % 2}
            text.write(json.dumps(given) + ("\n \n" if i % 13 == 0 else "\n"))
    else:
        writer = csv.DictWriter(text, list(table[0]), delimiter="\t" if "tsv" in name else ",")
        writer.writeheader()
        writer.writerows(table)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stream")
    table = rows()
    for kind in KINDS:
        write(folder / f"t.{kind}", table)
    for number, start in enumerate(range(0, COUNT, 40)):
        (folder / "parts").mkdir(exist_ok=True)
        write(folder / "parts" / f"{number}.csv", table[start : start + 40])
    return folder


@pytest.fixture(scope="module")
def models(place: Path) -> dict[str, dataflow.Model]:
    made = {}
    for reduction in ("sum", "mean"):
        path = place / f"{reduction}.toml"
        path.write_text(MODEL.replace("REDUCTION", reduction))
        model = dataflow.load(path)
        dataflow.train(model, epochs=3, learning_rate=0.01)
        made[reduction] = model
    dataflow.save(made["mean"], place / "m.msgpack")
    return made


def joined(pieces: Any) -> dict[str, np.ndarray]:
    found = [piece.columns() for piece in pieces]
    return {name: np.concatenate([piece[name] for piece in found]) for name in found[0]}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """The same cells: numbers to the last digits, as a product of fewer rows may be added in another order."""
    assert list(found) == list(expected)
    for name, column in expected.items():
        for one, other in zip(found[name], column, strict=True):
            assert type(one) is type(other), name
            assert one == other or (isinstance(other, float) and abs(one - other) <= 1e-14 * max(1, abs(other))), name


# ------------------------------------------------------------------------------------------------ the same as in memory


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("kind", [*KINDS, "parts"])
def test_predictions_and_scores_are_those_of_the_table_in_memory(
    place: Path, models: dict[str, dataflow.Model], kind: str, backend: str
) -> None:
    data = place / ("parts" if kind == "parts" else f"t.{kind}")
    whole = place / ("t.csv" if kind == "parts" else f"t.{kind}")
    for model in models.values():
        expected = model.predict(whole, columns=["id", "count", "kind"], backend=backend)
        pieces = model.predict(data, columns=["id", "count", "kind"], backend=backend, stream=True, chunk_rows=16)
        assert_same(joined(pieces), expected.columns())
        scores = model.score(whole, backend=backend)
        found = model.score(data, backend=backend, stream=True, chunk_rows=16)
        assert list(found) == list(scores)
        assert (found.examples, found.classes) == (scores.examples, scores.classes)
        for name, value in scores.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-12, err_msg=name)
        np.testing.assert_array_equal(found["confusion_matrix"], scores["confusion_matrix"])
        assert found["accuracy"] == scores["accuracy"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    chunk=st.integers(1, COUNT + 5), kind=st.sampled_from(["csv", "jsonl", "arrow", "parts"]), weighted=st.booleans()
)
def test_whatever_the_chunks(
    place: Path, models: dict[str, dataflow.Model], chunk: int, kind: str, weighted: bool
) -> None:
    data = place / ("parts" if kind == "parts" else f"t.{kind}")
    whole = place / ("t.csv" if kind == "parts" else f"t.{kind}")
    model = models["mean"]
    model.data.weights = "w" if weighted else None  # type: ignore[union-attr]
    try:
        assert_same(
            joined(model.predict(data, columns=["id"], stream=True, chunk_rows=chunk)),
            model.predict(whole, columns=["id"]).columns(),
        )
        expected, found = model.score(whole), model.score(data, stream=True, chunk_rows=chunk)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-15, err_msg=name)
    finally:
        model.data.weights = None  # type: ignore[union-attr]


def test_what_is_written_is_what_a_table_in_memory_gives(
    place: Path, tmp_path: Path, models: dict[str, dataflow.Model]
) -> None:
    import pyarrow.parquet as parquet

    for data in ("t.csv", "t.jsonl", "t.parquet"):
        for ending in ("csv", "json", "parquet"):
            words = ["predict", str(place / "m.msgpack"), "--data", str(place / data), "--columns", "id,count,a"]
            paths = [tmp_path / f"{how}.{ending}" for how in ("whole", "stream")]
            said = CliRunner().invoke(main, [*words, "-o", str(paths[0])])
            more = ["--stream", "--chunk-rows", "1000"]  # as many as there are: the same bits
            streamed = CliRunner().invoke(main, [*words, *more, "-o", str(paths[1])])
            assert said.exit_code == streamed.exit_code == 0, streamed.output
            assert streamed.output == said.output.replace("whole", "stream")
            if ending == "parquet":
                left, right = (parquet.read_table(path) for path in paths)
                assert left.schema == right.schema
                assert_same(*({name: t[name].to_pylist() for name in t.column_names} for t in (right, left)))
            elif data != "t.parquet":
                assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_first_chunk_of_which_nothing_is_left(place: Path, tmp_path: Path, models: dict[str, dataflow.Model]) -> None:
    import pyarrow.parquet as parquet

    table = rows()
    for row in table[:20]:
        row["a"] = row["count"] = None
    data = write(tmp_path / "t.csv", table)
    words = ["predict", str(place / "m.msgpack"), "--data", str(data), "--columns", "count"]
    for more in (["-o", "p.parquet"], ["-o", "q.parquet", "--stream", "--chunk-rows", "10"]):
        done = CliRunner().invoke(main, [*words, *more[:1], str(tmp_path / more[1]), *more[2:]])
        assert done.exit_code == 0, done.output
    left, right = (parquet.read_table(tmp_path / name) for name in ("p.parquet", "q.parquet"))
    assert left.schema == right.schema
    assert_same(*({name: t[name].to_pylist() for name in t.column_names} for t in (right, left)))
    for backend in ("numpy", "llvm"):
        scores = models["mean"].score(data, stream=True, chunk_rows=10, backend=backend)
        assert scores.examples == models["mean"].score(data).examples


@pytest.mark.parametrize(
    "cells",
    [
        ["5", "18446744073709551615"],
        ["-5", "18446744073709551615"],
        ["", "5", "18446744073709551615"],
        ["9007199254740993", "2.0"],
        ["9007199254740993", "0.5"],
        ["1", "true"],
        ["true", ""],
        ["none", "x"],
        ["none", "1"],
        ["007", "x"],
        ["007", "5", "1e3"],
        ["1.50", "-", "00501"],
        ["-0.5", "0", "0.25"],
        ["12345678901234567890123", "1"],
        ["true", "00"],
        ["0", "-0.0"],
    ],
    ids=str,
)
def test_carried_cells_whichever_chunks_they_lie_in(
    cells: list[str], tmp_path: Path, models: dict[str, dataflow.Model]
) -> None:
    header = ["a", "b", "kind", "place", "id"]
    (tmp_path / "t.csv").write_text("\n".join([",".join(header), *(f"1.5,2.5,k1,north,{cell}" for cell in cells)]))
    found = joined(models["mean"].predict(tmp_path / "t.csv", columns=["id"], stream=True, chunk_rows=1))["id"]
    expected = models["mean"].predict(tmp_path / "t.csv", columns=["id"]).columns()["id"]
    assert [(type(cell), repr(cell)) for cell in found] == [(type(cell), repr(cell)) for cell in expected]


def test_shards_and_python_and_float32(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(70, 2)), rng.integers(0, 2, (70, 1)).astype(float)
    graph = dataflow.Graph("net", dtype="float32")
    value, target = graph.input("x", ("n", 2)), graph.input("y", ("n", 1))
    z = graph.node("z", value @ graph.parameter("W", (2, 1), init="he_normal"))
    graph.node("loss", sigmoid_cross_entropy(z, target, reduction="mean"))
    model = dataflow.Model(graph, ["z"], "loss")
    expected, predictions = model.score({"x": x, "y": y}), model.predict({"x": x})
    for number, part in enumerate((slice(0, 30), slice(30, 70))):
        np.savez(tmp_path / f"{number}.npz", x=x[part], y=y[part])
    np.save(tmp_path / "x.npy", x)
    chunks = [{"x": x[i : i + 9], "y": y[i : i + 9]} for i in range(0, 70, 9)]
    table = [{"x0": a, "x1": b, "y": c} for (a, b), (c,) in zip(x.tolist(), y.tolist(), strict=True)]
    (tmp_path / "z").mkdir()
    for path in tmp_path.glob("*.npz"):
        path.rename(tmp_path / "z" / path.name)
    for data in (tmp_path / "z", chunks, lambda: iter(table), table):
        found = model.score(data, stream=True, chunk_rows=13)
        for name, number in expected.items():
            np.testing.assert_allclose(found[name], number, rtol=1e-6, err_msg=name)
    for given_data in (tmp_path / "x.npy", tmp_path / "z"):
        pieces = [piece["z"] for piece in model.predict(given_data, stream=True, chunk_rows=13)]
        np.testing.assert_allclose(np.concatenate(pieces), predictions["z"], rtol=1e-6, atol=1e-7)


def test_what_was_not_learned_is_learned_from_the_rows_that_training_would_take(place: Path) -> None:
    text = MODEL.replace("REDUCTION", "mean").replace(
        'missing = { a = "drop", b = 0.5 }', 'missing = { a = "mean", b = "median" }'
    )
    (place / "untaught.toml").write_text(text + "[train]\nvalidation = 0.2\n")
    model = dataflow.load(place / "untaught.toml")
    expected = model.score()
    found = model.score(stream=True, chunk_rows=10)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-10, err_msg=name)


# ------------------------------------------------------------------------------------------------ losses


def loss_net(text: str, reduction: str = "mean") -> dataflow.Model:
    graph = dataflow.Graph("net")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 1))
    W = graph.parameter("W", (2, 1), value=[[0.5], [-1.0]])
    z = graph.node("z", x @ W)
    ops = dataflow.ops
    losses = {
        "mean by hand": lambda: ops.mean((z - y) ** 2),
        "sum by hand": lambda: ops.sum(ops.abs(z - y)),
        "mean and penalty": lambda: mse(z, y, reduction="mean") + 0.1 * ops.sum(W * W),
        "sum and penalty": lambda: mse(z, y) + 0.1 * ops.sum(W * W),
        "root": lambda: ops.sqrt(ops.mean((z - y) ** 2)),
    }
    graph.node("loss", losses[text]())
    return dataflow.Model(graph, ["z"], "loss", targets={"z": "y"})


@pytest.mark.parametrize("text", ["mean by hand", "sum by hand", "mean and penalty", "sum and penalty", "root"])
def test_losses_are_put_together_or_refused(text: str) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 2)), rng.normal(size=(50, 1))
    model = loss_net(text)
    chunks = [{"x": x[i : i + 7], "y": y[i : i + 7]} for i in range(0, 50, 7)]
    if text in ("sum and penalty", "root"):
        with pytest.raises(DataflowError, match="takes all rows at once"):
            model.score(chunks, stream=True)
        assert model.score([{"x": x, "y": y}], stream=True)["loss"] == model.score({"x": x, "y": y})["loss"]
    else:
        expected, found = model.score({"x": x, "y": y}), model.score(chunks, stream=True)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-12, err_msg=name)


def test_an_output_that_mixes_rows_is_refused() -> None:
    graph = dataflow.Graph("net")
    x = graph.input("x", ("n", 2))
    graph.node("c", dataflow.ops.cumsum(x, axis=0))
    graph.node("m", dataflow.ops.mean(x, axis=0))
    for name, size in (("c", 4), ("c", 1), ("m", 4)):
        chunks = [{"x": np.ones((size, 2))}] * 3
        with pytest.raises(DataflowError, match=f"output '{name}' takes all rows at once"):
            list(dataflow.Model(graph, [name]).predict(chunks, stream=True))


def test_points_to_draw_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "SHOWN", 40)
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(500, 2)), np.arange(500.0)[:, None]
    chunks = [{"x": x[i : i + 7], "y": y[i : i + 7]} for i in range(0, 500, 7)]
    scores = loss_net("mean by hand").score(chunks, stream=True)
    shown = scores.compared["rmse"][1].target.ravel()
    assert 30 < len(shown) <= 80
    assert len({*np.diff(shown).tolist()}) == 1  # every so-manieth


# ------------------------------------------------------------------------------------------------ commands and faults


def call(*words: Any, status: int = 0, **more: Any) -> str:
    done = CliRunner().invoke(main, list(map(str, words)), **more)
    assert done.exit_code == status, done.output
    return str(done.output)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "parquet"])
def test_standard_input_is_read_piece_by_piece(
    place: Path, tmp_path: Path, models: dict[str, dataflow.Model], kind: str
) -> None:
    data = (place / f"t.{kind}").read_bytes()
    for name, more in (("predict", ["-o", tmp_path / "p.csv"]), ("score", ["--json"]), ("check", [])):
        words = [name, place / "m.msgpack", *more, "--data"]
        expected = call(*words, place / f"t.{kind}", "--stream")
        assert call(*words, "-", "--stream", "--chunk-rows", 16384, input=data) == expected
    said = call("score", place / "m.msgpack", "--data", "-", "--stream", input=b"", status=1)
    assert "standard input: is empty" in said
    bad = b'{"a": 1, "b": 2, "place": "north", "kind": "red", "t": 5}\n{"a": 1,\n'
    said = call("score", place / "m.msgpack", "--data", "-", "--stream", input=bad, status=1)
    assert "standard input:2:9: is not JSON" in said


def test_faults_are_counted_over_all_pieces(place: Path, tmp_path: Path, models: dict[str, dataflow.Model]) -> None:
    table = rows()
    table[40]["b"] = table[80]["b"] = table[100]["b"] = "oops"
    table[70]["place"] = "moon"
    data = write(tmp_path / "t.csv", table)
    words = [place / "m.msgpack", "--data", data]
    chunked = ["--stream", "--chunk-rows", 10]
    said = call("check", *words, *chunked, status=1)
    assert "3 cells of column 'b' are not a number (lines 42 'oops', 82 'oops', 102 'oops')" in said
    assert said.splitlines()[-1] == call("check", *words, status=1).splitlines()[-1]
    said = call("predict", *words, *chunked, status=1)
    assert f"{data}:42: column 'b': a number is expected, 'oops' found" in said
    assert not (tmp_path / "p.csv").exists()
    call("predict", *words, *chunked, "-o", tmp_path / "p.csv", status=1)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(("p.", ".dataflow"))] == []
    said = call("predict", *words, *chunked, "--on-error", "skip", "-o", tmp_path / "p.csv")
    assert "4 rows that cannot be used are left out" in said
    assert "line 42" in said
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert len(lines) == COUNT + 1
    assert lines[41] == lines[71] == lines[81] == lines[101] == ",,,,"
    said = call("score", *words, *chunked, "--on-error", "skip")
    assert f"kinds: {COUNT - 6 - 4} examples" in said
    with pytest.warns(DataflowWarning, match="4 rows"):
        models["mean"].score(data, stream=True, on_error="skip")


@pytest.mark.parametrize("text", ["a,b,place\n1,2\n", "a,b,c\n1,2,3\n", "", 'a,b,place\n1,2,"x\n'])
def test_a_table_that_cannot_be_read_keeps_nobody_from_the_model(tmp_path: Path, text: str) -> None:
    """As in memory: what is wrong with the table comes last, what is said of the model before it."""
    (tmp_path / "m.toml").write_text(
        'dataflow = 2\ninputs.x = { shape = ["n", 3] }\nparameters.W = { shape = [1, 3], init = "he_normal" }\n'
        '[nodes]\nz = "x @ W.T"\n[model]\noutputs = ["z"]\n[data]\ncolumns = { x = ["a", "b", "place"] }\n'
    )
    (tmp_path / "t.csv").write_text(text)
    expected, found = (
        call("check", tmp_path / "m.toml", "--data", tmp_path / "t.csv", *more, status=1) for more in ([], ["--stream"])
    )
    assert "All gradients agree" in found
    assert found == expected


def test_rows_of_json_that_are_none(place: Path, tmp_path: Path, models: dict[str, dataflow.Model]) -> None:
    lines = (place / "t.jsonl").read_text().splitlines()
    lines[20], lines[60], lines[61] = "{", "[1, 2]", '{"a": [1], "b": 2}'
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    with pytest.raises(DataflowError, match=r"t\.jsonl:21:2: is not JSON"):
        models["mean"].score(tmp_path / "t.jsonl", stream=True, chunk_rows=7)
    with pytest.warns(DataflowWarning, match=r"3 rows that cannot be used .*line 21; .*line 61; .*line 62"):
        models["mean"].score(tmp_path / "t.jsonl", stream=True, chunk_rows=7, on_error="skip")


def test_what_cannot_be_done(place: Path, tmp_path: Path, models: dict[str, dataflow.Model]) -> None:
    model = models["mean"]
    (tmp_path / "t.csv").write_text("a,b,place,kind,t\n")
    (tmp_path / "t.jsonl").write_text("\n \n")
    for name in ("t.csv", "t.jsonl"):
        with pytest.raises(DataflowError, match="no rows"):
            model.score(tmp_path / name, stream=True)
    with pytest.raises(DataflowError, match="stream has no rows"):
        model.score([], stream=True)
    with pytest.raises(DataflowError, match="in memory already"):
        model.score({"x": np.ones((2, 5))}, stream=True)
    with pytest.raises(DataflowError, match="add stream=True"):
        model.score(place / "t.csv", on_error="skip")
    with pytest.raises(DataflowError, match="which the stream gives"):
        model.score(place / "t.csv", stream=True, x=np.ones((COUNT, 5)))
    with pytest.raises(DataflowError, match="unknown column 'idd'; did you mean 'id'"):
        list(model.predict(place / "t.csv", stream=True, columns=["idd"]))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "0.csv").write_text("a,b,place,kind,t\n1,2,north,red,3\n")
    (tmp_path / "b" / "1.csv").write_text("a,b,place,kind\n1,2,north,red\n")
    with pytest.raises(DataflowError, match=r"1\.csv: has other columns"):
        model.score(tmp_path / "b", stream=True)
    words = [place / "m.msgpack", "--data", place / "t.csv"]
    assert "written to files that end in .csv, .json or .parquet" in call(
        "predict", *words, "--stream", "-o", tmp_path / "p.npz", status=1
    )
    assert "write them: -o FILE" in call("predict", *words, "--stream", "--json", status=2)
    assert "add --stream" in call("score", *words, "--on-error", "skip", status=2)
    document = json.loads(call("predict", *words, "--stream", "--json", "-o", tmp_path / "p.csv"))
    assert document == {"count": COUNT, "file": str(tmp_path / "p.csv"), "warnings": []}
    assert "... and 81 more rows; -o FILE.csv has all" in call("predict", *words, "--stream", "--chunk-rows", 7)


def test_classes_by_number_stay_whole_numbers() -> None:
    graph = dataflow.Graph("net")
    x, y = graph.input("x", ("n", 2)), graph.input("y", ("n", 2))
    z = graph.node("z", x @ graph.parameter("W", (2, 2), value=np.eye(2)))
    graph.node("loss", softmax_cross_entropy(z, y))
    model = dataflow.Model(graph, ["z"], "loss")
    pieces = model.predict([{"x": np.eye(2)}] * 2, stream=True)
    assert joined(pieces)["z"].tolist() == [0, 1, 0, 1]
