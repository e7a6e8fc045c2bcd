"""The commands predict and score."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from dataflow import load
from dataflow.cli.group import main

MODEL = """\
dataflow = 2
name = "kinds"
inputs.x = { shape = ["n", 2] }
inputs.y = { shape = ["n", 2] }
parameters.W = { value = [[1.0, -1.0], [0.0, 1.0]] }
[nodes]
z = "x @ W"
loss = "softmax_cross_entropy(z, y)"
[model]
outputs = ["z"]
loss = "loss"
[data]
file = "t.csv"
columns = { x = ["a", "b"], y = "kind" }
one_hot = { y = ["no", "yes"] }
missing = { a = "drop" }
"""
TABLE = "id,a,b,kind\np,1,0,no\nq,,1,yes\nr,0,2,yes\ns,1,1,yes\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "m.toml").write_text(MODEL)
    (tmp_path / "t.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*words, status=0, **more):
    result = CliRunner().invoke(main, list(words), **more)
    assert result.exit_code == status, result.output
    return result


def test_predictions_as_csv(folder):
    (folder / "new.csv").write_text("b,a,id\n0,1,u\n1,,v\n")
    said = call("predict", "m.toml", "--data", "new.csv", "-o", "p.csv", "--columns", "id").output
    assert said.startswith("Wrote 2 rows of id, z, z_no, z_yes to p.csv.")
    with open("p.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "z", "z_no", "z_yes"]
    assert rows[1][:2] == ["u", "no"]
    assert float(rows[1][2]) == pytest.approx(1 / (1 + np.exp(-2)), rel=1e-12)
    assert rows[2] == ["v", "", "", ""]


CODES = ["00501", "02139", "10001", "94105"]


@pytest.mark.parametrize("stream", [(), ("--stream", "--chunk-rows", "2")], ids=["in memory", "stream"])
@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_what_is_carried_over_stays_as_it_is_written(ending, stream, folder):
    """Zeros in front, and digits that no number has; but for columns of inputs, which are numbers."""
    columns = {"zip": CODES, "account": [f"{i}2345678901234567890123" for i in range(1, 5)], "n": [1, 2, 3, 4]}
    columns |= {"a": [1, 2, 3, 4], "b": ["007", "1", "2", "3"] if ending in ("csv", "tsv") else [7, 1, 2, 3]}
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    path = folder / f"new.{ending}"
    if ending == "json":
        path.write_text(json.dumps(rows))
    elif ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif ending == "parquet":
        pq = pytest.importorskip("pyarrow.parquet")
        pq.write_table(pytest.importorskip("pyarrow").table(columns), path)
    else:
        separator = "," if ending == "csv" else "\t"
        path.write_text(
            "".join(separator.join(map(str, row)) + "\n" for row in [columns, *(row.values() for row in rows)])
        )
    if ending == "json" and stream:
        pytest.skip("a JSON document is not read piece by piece")
    call("predict", "m.toml", "--data", path.name, "-o", "p.json", "--columns", "zip,account,n,b", *stream)
    found = json.loads((folder / "p.json").read_text())
    for name in ("zip", "account", "n"):
        assert [row[name] for row in found] == columns[name]
    assert [row["b"] for row in found] == [7, 1, 2, 3]
    call("predict", "m.toml", "--data", path.name, "-o", "p.csv", "--columns", "zip,account", *stream)
    with open("p.csv", newline="") as file:
        assert [row["zip"] for row in csv.DictReader(file)] == CODES


def test_predictions_in_other_files(folder):
    for ending in ("json", "npz", "parquet"):
        call("predict", "m.toml", "-o", f"p.{ending}", "--columns", "id,kind")
    rows = json.loads((folder / "p.json").read_text())
    assert [row["z"] for row in rows] == ["no", None, "yes", "no"]
    assert [row["kind"] for row in rows] == ["no", "yes", "yes", "yes"]
    arrays = np.load("p.npz")
    assert arrays["z"].tolist() == ["no", "", "yes", "no"]
    assert np.isnan(arrays["z_probabilities"]).tolist() == [[False] * 2, [True] * 2, [False] * 2, [False] * 2]
    assert arrays["z_classes"].tolist() == ["no", "yes"]
    assert [*arrays] == ["id", "kind", "z", "z_probabilities", "z_classes"]
    parquet = pytest.importorskip("pyarrow.parquet").read_table("p.parquet")
    assert parquet["z"].to_pylist() == ["no", None, "yes", "no"]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_array_file_holds_outputs_as_they_are(folder, dtype):
    """Of any number of axes, and once where they belong to no row; a table has a column for each entry."""
    (folder / "a.toml").write_text(
        f"dataflow = 2\ndtype = '{dtype}'\ninputs.x.shape = ['n', 2, 2]\nparameters.w.value = [0.5, 2.0]\n"
        "nodes = { p = 'x * w', q = 'sum(x * w, axis=[1, 2])', r = 'w * w' }\nmodel.outputs = ['p', 'q', 'r']\n"
        "data.x = [[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[0, 1], [0, 1]]]\n"
    )
    for command in ("predict", "run"):
        call(command, "a.toml", "-o", f"{command}.npz")
        arrays = np.load(f"{command}.npz")
        assert arrays["p"].tolist() == [[[0.5, 4], [1.5, 8]], [[2.5, 12], [3.5, 16]], [[0, 2], [0, 2]]]  # by hand
        assert arrays["q"].tolist() == [14, 34, 4]
        assert arrays["r"].tolist() == [0.25, 4]
        assert len(arrays) == 3
    call("predict", "a.toml", "-o", "p.csv")
    assert (folder / "p.csv").read_text().splitlines()[:2] == ["p0,p1,p2,p3,q,r0,r1", "0.5,4.0,1.5,8.0,14.0,0.25,4.0"]


def test_predictions_on_the_screen_and_as_json(folder):
    lines = call("predict", "m.toml", "--columns", "id").output.splitlines()
    assert lines[0].split() == ["id", "z", "z_no", "z_yes"]
    assert lines[2] == "q"
    document = json.loads(call("predict", "m.toml", "--json").output)
    assert document["count"] == 4
    assert document["rows"][1] == {"z": None, "z_no": None, "z_yes": None}
    from_input = call("predict", "m.toml", "--data", "-", "--json", input="a,b\n1,0\n").output
    assert json.loads(from_input)["rows"][0]["z"] == "no"


def test_scores(folder):
    document = json.loads(call("score", "m.toml", "--json").output)
    assert document["metrics"]["confusion_matrix"] == [[1, 0], [1, 1]]
    assert document["metrics"]["accuracy"] == pytest.approx(2 / 3)
    assert document["classes"]["confusion_matrix"] == ["no", "yes"]
    assert (document["examples"], document["loss"]) == (3, load("m.toml").score()["loss"])
    text = call("score", "m.toml").output
    assert "accuracy" in text
    assert [line.split() for line in text.splitlines()[-3:]] == [["no", "yes"], ["no", "1", "0"], ["yes", "1", "1"]]
    asked = json.loads(call("score", "m.toml", "--metrics", "top_1,f1", "--json").output)
    assert list(asked["metrics"]) == ["top_1", "f1"]


def test_pictures(folder):
    call("score", "m.toml", "--plot", "c.svg")
    picture = (folder / "c.svg").read_text()
    assert ">yes<" in picture
    assert ">predicted class<" in picture
    (folder / "n.toml").write_text(
        "dataflow = 1\ninputs.x.shape = ['n']\ninputs.y.shape = ['n']\nparameters.w.value = 1.0\n[nodes]\n"
        "p = 'x * w'\nloss = 'mse(p, y)'\n[model]\noutputs = ['p']\nloss = 'loss'\n[data]\nx = [1, 2]\ny = [1, 3]\n"
    )
    call("score", "n.toml", "--plot", "n.svg")
    assert ">predicted<" in (folder / "n.svg").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "m.toml", "-o", "p.txt"], "tables are written to files that end in .csv, .json, .npz"),
        (["predict", "m.toml", "--columns", "ID"], "unknown column 'ID'; did you mean 'id'"),
        (["predict", "m.toml", "--data", "none.csv"], "none.csv"),
        (["score", "m.toml", "--metrics", "rmse"], "'rmse' is for numbers, and the loss compares classes"),
        (["score", "m.toml", "--plot", "p.txt"], "pictures end in"),
    ],
)
def test_errors_are_one_line(folder, words, message):
    result = call(*words, status=1)
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout


def test_a_score_needs_what_is_predicted(folder):
    (folder / "new.csv").write_text("a,b\n1,0\n")
    assert "'y'" in call("score", "m.toml", "--data", "new.csv", status=1).stderr


@pytest.mark.parametrize("more", [[], ["--data", "t.csv"]])
def test_columns_to_carry_over_are_looked_for_in_the_whole_table(folder, more):
    said = call("predict", "m.toml", *more, "--columns", "ID", status=1)
    assert said.stderr.endswith("t.csv:1: unknown column 'ID'; did you mean 'id'?\n")
    said = call("predict", "m.toml", *more, "--columns", "zzz", status=1)
    assert said.stderr.endswith("t.csv:1: unknown column 'zzz'; available: 'id', 'a', 'b', 'kind'\n")


def test_standard_input_teaches_and_carries_over(folder):
    """What an untrained model learns of standard input, and the columns carried over, come from one reading."""
    (folder / "m.toml").write_text(MODEL + 'standardize = ["x"]\n')
    said = call("predict", "m.toml", "--data", "-", "--columns", "id", "--json", input=TABLE).output
    assert [row["id"] for row in json.loads(said)["rows"]] == ["p", "q", "r", "s"]


LACKING = "which is not given; a table has it as 'kind'"
LACKS = "which the data lacks; a table has it as 'kind'"
NEEDING = {
    "score": f"'loss' needs the input 'y', {LACKING}",
    "score --stream": f"'loss' needs the input 'y', {LACKING}",
    "train --epochs 1 -o o.toml": f"the loss needs the input 'y', {LACKS}",
    "train --epochs 1 -o o.toml --stream --batch-size 1": f"the loss needs the input 'y', {LACKS}",
    "gradients --wrt W": f"'loss' needs the input 'y', {LACKING}",
    "jacobian --of loss --wrt W": f"'loss' needs the input 'y', {LACKING}",
    "check --of loss": f"'loss' needs the input 'y', {LACKING}",
    "check --of loss --stream": f"'loss' needs the input 'y', {LACKING}",
    "explain --of loss --wrt W": f"'loss' needs the input 'y', {LACKING}",
    "profile": "a step needs the input 'y', which the data lacks",
}


@pytest.mark.parametrize("words", NEEDING)
def test_a_table_that_lacks_a_column_is_named(folder, words):
    (folder / "new.csv").write_text("a,b\n1,0\n")
    command, *more = words.split()
    assert call(command, "m.toml", "--data", "new.csv", *more, status=1).stderr == f"Error: new.csv: {NEEDING[words]}\n"


GIVE = "give it with --data or --set"
ALONE = {
    "run --output o.json": f"'z' needs the input 'x', which is not given; {GIVE}",
    "check --of z": f"'z' needs the input 'x', which is not given; {GIVE}",
    "explain --wrt W": f"'loss' needs the inputs 'x', 'y', which are not given; {GIVE}",
    "jacobian --of z --wrt W": f"'z' needs the input 'x', which is not given; {GIVE}",
    "gradients --mode hessian --wrt W": f"'loss' needs the inputs 'x', 'y', which are not given; {GIVE}",
    "score": f"there is no data: the model's file declares none, and none is given; {GIVE}",
    "score --stream": f"there is no data: the model's file declares none, and none is given; {GIVE}",
    "draw --both --values -o o.svg": f"there is no example 0, as no data is given; {GIVE}",
    "run --example 2": f"there is no example 2, as no data is given; {GIVE}",
}


@pytest.mark.parametrize("words", ALONE)
def test_a_model_without_data_says_how_it_is_given(folder, words):
    """Where no table is given, each command names those of its own options that give one."""
    (folder / "m.toml").write_text(MODEL.partition("[data]")[0].replace("dataflow = 2", "dataflow = 1"))
    command, *more = words.split()
    assert call(command, "m.toml", *more, status=1).stderr.endswith(f"Error: m.toml: {ALONE[words]}\n")


def test_standard_input_that_lacks_a_column_is_named(folder):
    for command, more in (("score", []), ("score", ["--stream"]), ("gradients", ["--wrt", "W"])):
        said = call(command, "m.toml", "--data", "-", *more, input="a,b\n1,0\n", status=1).stderr
        assert said == f"Error: standard input: 'loss' needs the input 'y', {LACKING}\n"


def test_the_model_is_named_where_no_table_is_given(folder):
    (folder / "m.toml").write_text(MODEL.partition("[data]")[0] + "[data]\nx = [[1, 2]]\n")
    for command in ("score", "train"):
        said = call(command, "m.toml", *(["-o", "o.toml"] if command == "train" else []), status=1).stderr
        assert said.startswith("Error: m.toml: ")


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_a_table_without_a_row_that_can_be_used(folder, stream):
    """Each row is predicted as one that is left out, as docs/data.md says; there is nothing to score or check."""
    (folder / "new.csv").write_text("id,a,b,kind\np,,0,no\nq,,1,yes\n")
    call("predict", "m.toml", "--data", "new.csv", "--columns", "id", "-o", "p.csv", *stream)
    assert (folder / "p.csv").read_text() == "id,z,z_no,z_yes\np,,,\nq,,,\n"
    for command in ("score", "check"):
        said = call(command, "m.toml", "--data", "new.csv", *stream, status=1).stderr
        assert 'new.csv: every row has a missing cell in a column with missing = "drop"\n' in said


def test_predictions_of_a_table_without_a_row_that_can_be_used(folder):
    (folder / "new.csv").write_text("a,b\n,0\n,1\n")
    model = load("m.toml")
    pieces = [model.predict("new.csv"), *model.predict("new.csv", stream=True)]
    for found in pieces:
        assert found["z"].tolist() == [None, None]
        assert found.left_out.tolist() == [True, True]
        assert np.isnan(found.probabilities["z"]).all()
        assert found.probabilities["z"].shape == (2, 2)


def test_a_stream_without_a_training_row_is_named(folder):
    (folder / "new.csv").write_text("id,a,b,kind\np,,0,no\nq,,1,yes\n")
    words = ["--epochs", "1", "--stream", "--batch-size", "1", "-o", "o.toml"]
    said = call("train", "m.toml", "--data", "new.csv", *words, status=1).stderr
    assert said == "Error: new.csv: no training row is left\n"


@pytest.mark.parametrize("rows", [["p,,0", "q,,1"], ["p,,0", "q,1,1"], ["p,1,0", "q,,1"]], ids=str)
def test_parquet_says_what_the_cells_of_left_out_rows_would_be(folder, rows):
    """In memory as with --stream, however many rows are left out."""
    parquet = pytest.importorskip("pyarrow.parquet")
    (folder / "new.csv").write_text("\n".join(["id,a,b", *rows, ""]))
    words = ["predict", "m.toml", "--data", "new.csv", "--columns", "id"]
    call(*words, "-o", "memory.parquet")
    call(*words, "-o", "stream.parquet", "--stream", "--chunk-rows", "1")
    memory, stream = parquet.read_table("memory.parquet"), parquet.read_table("stream.parquet")
    assert [str(field.type) for field in memory.schema] == ["string", "string", "double", "double"]
    assert memory.schema == stream.schema
    assert memory == stream
