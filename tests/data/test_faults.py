"""All faults of a table's cells in one error."""

from __future__ import annotations

import re

import numpy as np
import pytest
from checkout import MODELS
from click.testing import CliRunner

import dataflow
from dataflow.cli.group import main
from dataflow.data.faults import Faults
from dataflow.data.raw_table import RawColumn, RawTable
from dataflow.data.readers.dialect import added_to_numbers
from dataflow.errors import DataError

COLUMNS = {"year": RawColumn(np.zeros(20)), "rooms": RawColumn(np.zeros(20))}
WITH_LINES = RawTable(COLUMNS, range(2, 22), "houses.csv")
WITHOUT = RawTable(COLUMNS, None, "the DataFrame")


def fill(table: RawTable, **rows: list[int]) -> Faults:
    faults = Faults(table)
    for column, listed in rows.items():
        accept = f'missing = {{ {column} = "median" }}'
        faults.add(column, "missing", listed, lambda row: "the cell is missing", accept=accept)
    return faults


def test_no_fault():
    assert not fill(WITH_LINES, year=[])
    fill(WITH_LINES).check()


def test_one_fault_says_where_it_is():
    advice = 'the cell is missing; to accept it, declare missing = { year = "median" }'
    assert str(fill(WITH_LINES, year=[3]).error()) == f"houses.csv:5: column 'year': {advice}"
    assert str(fill(WITHOUT, year=[3]).error()) == f"the DataFrame: column 'year' of row 4: {advice}"


def test_many_faults_are_counted_and_the_first_five_named():
    faults = fill(WITH_LINES, year=list(range(7)), rooms=[4])
    faults.add("rooms", "not a number", [0, 9], lambda row: "", show=lambda row: "'two'")
    assert str(faults.error()) == (
        "houses.csv: 10 cells cannot be used: 7 cells of column 'year' are missing (lines 2, 3, 4, 5, 6, ...), "
        "accepted by missing = { year = \"median\" }; 1 cell of column 'rooms' is missing (line 6), "
        "accepted by missing = { rooms = \"median\" }; 2 cells of column 'rooms' are not a number "
        "(lines 2 'two', 11 'two')"
    )


def test_a_summary_stays_short():
    columns = {f"c{i}": RawColumn(np.zeros(9)) for i in range(1000)}
    faults = fill(RawTable(columns, None, "the DataFrame"), **{name: list(range(9)) for name in columns})
    assert len(str(faults.error())) < 2000
    assert str(faults.error()).endswith("8892 cells in 988 more columns")


def test_check_says_all_faults_of_the_data_and_goes_on_to_the_model(tmp_path):
    rows = ["1,2", "NA,3", "two,4", "5,", "6,1e999"]
    (tmp_path / "a.csv").write_text("x,y\n" + "\n".join(rows) + "\n")
    (tmp_path / "m.toml").write_text(
        'dataflow = 1\n[inputs]\nx = { shape = ["n"] }\ny = { shape = ["n"] }\n[parameters]\nw = { value = 0.5 }\n'
        '[nodes]\nloss = "mse(w * x, y)"\n[model]\nloss = "loss"\n[data]\nfile = "a.csv"\n'
    )
    done = CliRunner().invoke(main, ["check", str(tmp_path / "m.toml")])
    assert done.exit_code == 1
    assert "The data cannot be used" in done.stdout
    assert "w" in done.stdout.partition("gradient")[2]  # the table of gradients
    assert done.stderr.count("\n") == 1
    assert f"{tmp_path / 'a.csv'}: 4 cells cannot be used: 1 cell of column 'x' is missing (line 3)" in done.stderr
    assert "1 cell of column 'x' is not a number (line 4 'two')" in done.stderr
    assert "1 cell of column 'y' is missing (line 5)" in done.stderr
    assert "(line 6 '1e999')" in done.stderr


@pytest.mark.parametrize(
    ("cells", "added"),
    [
        (["5%", "12.5 %"], "'%'"),
        (["$ 5", "+3"], "'$'"),
        (["1.234,50 €", "7"], "'€' and '.' between thousands"),
        (["1 234", "12,345,678.5"], "' ' between thousands and ',' between thousands"),
        (["5%", "two"], ""),
        (["01.02.2020"], ""),
        (["1.23.456"], ""),
        ([""], ""),
        ([], ""),
    ],
)
def test_signs_that_are_added_to_numbers(cells, added):
    assert " and ".join(added_to_numbers(cells)) == added


MODEL = """\
dataflow = 2
inputs.x = { shape = ["n", 1] }
inputs.y = { shape = ["n", 1] }
parameters.W = { value = [[0.5]] }
[nodes]
p = "x @ W"
loss = 'mse(p, y)'
[model]
outputs = ["p"]
loss = "loss"
[data]
file = "a.csv"
columns = { x = ["size m2"], y = "price" }
missing = { "size m2" = "median" }
standardize = ["x"]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "m.toml").write_text(MODEL)
    (tmp_path / "a.csv").write_text("size m2,price\n1,2\n3,3\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failed(*words):
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1, result.output
    return result.stderr


def test_numbers_with_signs_are_no_categories(folder):
    (folder / "a.csv").write_text("size m2;price\n1;5%\n2;6,5%\n")
    assert failed("train", "m.toml").endswith("are not a number (lines 2 '5%', 3 '6,5%'), accepted by percent = true\n")
    (folder / "a.csv").write_text("size m2;price\n1;5 €\n2;6\n")
    assert "number is expected, '5 €' found; write numbers without '€'" in failed("train", "m.toml")


def test_what_an_error_says_to_declare_of_numbers_is_enough(folder):
    (folder / "a.csv").write_text('size m2,price\n"1,250.5",5%\n"2,000",6.5 %\n')
    error = failed("train", "m.toml")
    said = re.findall(r"accepted by (.*?)(?:;|\n|$)", error)
    assert said == ['thousands = ","', "percent = true"]
    (folder / "m.toml").write_text(MODEL + "\n".join(said) + "\n")
    arrays = dataflow.load(folder / "m.toml").own_data()
    assert arrays["y"].tolist() == [[5], [6.5]]
    source = dataflow.load(folder / "m.toml").data
    assert source.learn(dataflow.load(folder / "m.toml").graph).learned.input("x").mean.tolist() == [
        (1250.5 + 2000) / 2
    ]


@pytest.mark.parametrize("fill", ["mean", "median", "most_frequent"])
def test_a_column_without_any_number_is_said_with_all_other_faults(folder, fill):
    (folder / "m.toml").write_text(MODEL.replace("median", fill))
    (folder / "a.csv").write_text("size m2,price\n1.2.2020,1\n,2\n3.2.2020,x\n")
    error = failed("train", "m.toml")
    assert "3 cells cannot be used: 2 cells of column 'size m2' are not a number (lines 2 '1.2.2020'" in error
    assert "1 cell of column 'price' is not a number" in error


def test_a_trained_model_says_where_to_declare(folder):
    assert CliRunner().invoke(main, ["train", "m.toml", "-o", "trained.msgpack"]).exit_code == 0
    (folder / "b.csv").write_text("size m2,price\n1,2\n2,\n")
    words = 'declare missing = { price = "median" }'
    expected = f"Error: b.csv:3: column 'price': the cell is missing; to accept it, {words}"
    assert failed("score", "m.toml", "--data", "b.csv") == f"{expected}\n"
    expected += "; declare it in the TOML file that trained.msgpack was made from"
    convert = "dataflow convert trained.msgpack trained.toml"
    assert failed("score", "trained.msgpack", "--data", "b.csv") == f"{expected}, or make one: {convert}\n"
    assert CliRunner().invoke(main, convert.split()[1:]).exit_code == 0
    assert failed("score", "trained.msgpack", "--data", "b.csv") == f"{expected}\n"  # it would be replaced


def test_a_table_with_faults_teaches_nothing(folder):
    model = dataflow.load("m.toml")
    with pytest.raises(DataError, match="a number is expected, 'x' found"):
        dataflow.train(model, [{"size m2": 100, "price": 1}, {"size m2": 300, "price": "x"}])
    dataflow.train(model)
    assert model.data.learned.inputs["x"].mean == [2.0]


def test_one_row_is_no_arrays(folder):
    model = dataflow.load("m.toml")
    row = {"size m2": 1, "price": 2}
    for call in (model.predict, model.score, lambda row: model.run(data=row), lambda row: model.gradients(data=row)):
        with pytest.raises(DataError, match="arrays by input, and 'price' is a column; a row goes in a list"):
            call(row)
    assert model.predict([row])["p"].shape == (1, 1)


def test_columns_without_names(folder):
    (folder / "a.csv").write_text("size m2,price,,\n1,2,,\n3,3,,\n")
    message = "a.csv:1: 2 columns have no name; give each one, or delete the separators after the last column"
    assert message in failed("new", "n.toml", "--data", "a.csv", "--target", "price")
    assert CliRunner().invoke(main, ["train", "m.toml"]).exit_code == 0  # which does not want them


def test_a_held_out_file_with_other_columns(folder):
    (folder / "b.csv").write_text("area,price\n1,2\n3,3\n")
    expected = "Error: b.csv: the loss needs the input 'x', which the data lacks; a table has it as 'size m2'\n"
    assert failed("train", "m.toml", "--validation.file", "b.csv") == expected
    assert failed("train", "m.toml", "--data", "b.csv").endswith("a table has it as 'size m2'\n")


@pytest.mark.parametrize("words", [["--schedule", "step"], ["--schedule.name=step"]])
def test_a_schedule_without_its_argument(folder, words):
    assert failed("train", "m.toml", *words) == (
        "Error: m.toml: schedule 'step' needs every (int), as in { name = \"step\", every = 100 } or "
        "--schedule.every=100\n"
    )


@pytest.mark.parametrize("schedule", ['{ name = "step" }', '"step"'])
def test_a_schedule_in_a_file_without_its_argument(folder, schedule):
    (folder / "m.toml").write_text(MODEL + f"[train]\nschedule = {schedule}\n")
    expected = "schedule 'step' needs every (int), as in { name = \"step\", every = 100 } or --schedule.every=100\n"
    assert failed("check", "m.toml").endswith(expected)
    (folder / "m.toml").write_text(MODEL + '[train]\nschedule = { name = "step", evry = 3 }\n')
    assert "did you mean 'every'?" in failed("check", "m.toml")


def test_weights_on_the_command_line(folder):
    """An example that weighs nothing changes nothing."""
    (folder / "m.toml").write_text(MODEL + 'weights = "v"\n')
    (folder / "a.csv").write_text("size m2,price,v,w\n1,2,1,1\n3,3,1,0\n")
    weights = {}
    for name, words in {"v": [], "w": ["--weights", "w"], "none": ["--weights", "none"]}.items():
        assert CliRunner().invoke(main, ["train", "m.toml", "-o", f"{name}.msgpack", *words]).exit_code == 0
        model = dataflow.load(folder / f"{name}.msgpack")
        weights[name] = model.parameters["W"].tobytes()
        assert model.data.weights == (None if name == "none" else name)
    assert weights["v"] == weights["none"] != weights["w"]
    assert "unknown column 'u'" in failed("train", "m.toml", "--weights", "u")


def test_weights_that_other_data_lacks(folder):
    """No run is taken for one with weights that had none."""
    (folder / "m.toml").write_text(MODEL + 'weights = "v"\n')
    (folder / "b.csv").write_text("size m2,price\n1,2\n3,3\n")
    np.savez(folder / "b.npz", x=np.ones((2, 1)), y=np.ones((2, 1)))
    other = ("train", "m.toml", "--epochs", "1", "--data")
    assert "b.csv:1: unknown column 'v'" in failed(*other, "b.csv")
    assert "unknown column 'u'" in failed(*other, "b.csv", "--weights", "u")
    assert "there is no array 'v'" in failed(*other, "b.npz")
    assert "leave out --set of inputs" in failed("train", "m.toml", "--weights", "w", "--set", "x=[[1]]")
    given = ("--set", "x=[[1, 0]]", "--set", "y=[[1]]")
    assert "--weights names a column" in failed("train", str(MODELS / "xor.toml"), "--weights", "w", *given)
    assert CliRunner().invoke(main, [*other, "b.csv", "--weights", "none"]).exit_code == 0


@pytest.mark.parametrize(("sign", "decimal"), [(".", ","), (" ", ","), ("\u00a0", "."), ("'", ".")])
def test_new_declares_signs_of_numbers(folder, sign, decimal):
    rows = [(1000 + i, 2.5 * i) for i in range(30)]
    lines = [f"{f'{a:,}'.replace(',', sign)}{decimal}5;{f'{b:.1f}'.replace('.', decimal)} %" for a, b in rows]
    (folder / "a.csv").write_text("size m2;price\n" + "\n".join(lines) + "\n", encoding="utf-8")
    done = CliRunner().invoke(main, ["new", "n.toml", "--data", "a.csv", "--target", "price"])
    assert done.exit_code == 0, done.stderr
    model = dataflow.load(folder / "n.toml")
    source = model.data
    assert (source.thousands, source.percent) == (" " if sign == "\u00a0" else sign, True)
    assert source.cells(model.graph, "x").tolist() == [a + 0.5 for a, _ in rows]
    assert source.cells(model.graph, "y").tolist() == [b for _, b in rows]
    assert CliRunner().invoke(main, ["train", "n.toml", "--epochs", "1"]).exit_code == 0
