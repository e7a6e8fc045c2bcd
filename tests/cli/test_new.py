"""``dataflow new``: a model file for a table, which trains as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checkout import MODELS
from commands import invoke

WINE = MODELS / "wine.csv"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "wine.csv").write_bytes(WINE.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_file_trains_by_the_command_that_is_shown(folder: Path) -> None:
    done = invoke("new", "wine.toml", "--data", "wine.csv", "--target", "alcohol")
    assert done.exit_code == 0, done.output
    assert done.stdout == (
        "Wrote wine.toml: predicts 'alcohol' from 12 columns.\nTrain it: dataflow train wine.toml -o wine.msgpack\n"
    )
    done = invoke("train", "wine.toml", "-o", "wine.msgpack")
    assert done.exit_code == 0, done.output
    assert invoke("check", "wine.toml").exit_code == 0


def test_json(folder: Path) -> None:
    done = invoke("new", "wine.toml", "--data", "wine.csv", "--target", "alcohol", "--json")
    document = json.loads(done.stdout)
    assert document.keys() == {"model", "target", "prediction", "inputs", "left_out", "train", "warnings"}
    assert document["inputs"][0] == "malic_acid"
    assert document["train"] == ["dataflow", "train", "wine.toml", "-o", "wine.msgpack"]


def test_data_outside_the_folder_of_the_model_are_read_where_the_user_says_so(folder: Path) -> None:
    (folder / "models").mkdir()
    done = invoke("new", "models/wine.toml", "--data", "wine.csv", "--target", "alcohol", "--json")
    command = json.loads(done.stdout)["train"]
    assert "--data-root" in command
    assert invoke(*command[1:], "--epochs", "2").exit_code == 0
    refused = invoke("train", "models/wine.toml", "--epochs", "2")
    assert refused.exit_code == 1
    assert "--data-root" in refused.stderr


def test_an_existing_file_is_kept_unless_forced(folder: Path) -> None:
    (folder / "wine.toml").write_text("mine", encoding="utf-8")
    words = ["new", "wine.toml", "--data", "wine.csv", "--target", "alcohol"]
    done = invoke(*words)
    assert done.exit_code == 1
    assert done.stderr == "Error: wine.toml: exists already, and is kept; --force replaces it\n"
    assert (folder / "wine.toml").read_text(encoding="utf-8") == "mine"
    assert invoke(*words, "--force", "--quiet").stdout == ""
    assert (folder / "wine.toml").read_text(encoding="utf-8").startswith("dataflow = 2\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["new.toml", "--data", "wine.csv"],
            "say which column to predict with --target; available: 'alcohol', 'malic_acid'",
        ),
        (
            ["new.toml", "--data", "wine.csv", "--target", "Alcohol"],
            "unknown column 'Alcohol'; did you mean 'alcohol'?",
        ),
        (["new.toml", "--data", "wines.csv", "--target", "alcohol"], "wines.csv: "),
        (["new.msgpack", "--data", "wine.csv", "--target", "alcohol"], "give it a name that ends in .toml"),
        (["none/new.toml", "--data", "wine.csv", "--target", "alcohol"], "none"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(folder: Path, words: list[str], message: str) -> None:
    done = invoke("new", *words)
    assert done.exit_code == 1
    assert message in done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["wine.csv"]


def test_without_a_table_it_is_wrong_usage(folder: Path) -> None:
    done = invoke("new", "new.toml")
    assert done.exit_code == 2
    assert "--data" in done.stderr
