"""Twenty answers as learners hand them in: right ones, rounded ones, and known mistakes. Their numbers come from
formulas written out by hand, with numpy alone."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from nets import DEEP, XOR, deep_net, xor

from dataflow import save
from dataflow.cli.group import main

P = {name: np.array(value) for name, value in DEEP.items()}
X, Y = (np.array(XOR[name], float) for name in ("x", "y"))
ALL = ("W1", "b1", "W2", "b2", "W3", "b3")


def deep_by_hand(mistake: str = "", rows: slice = slice(None), divisor: float = 1.0) -> dict[str, np.ndarray]:
    """The gradients of the 2-2-2-1 net, as a lecture derives them, with one mistake."""
    x, y = X[rows], Y[rows]
    z1 = x @ P["W1"].T + (0 if mistake == "no b1" else P["b1"])
    a1 = np.tanh(z1)
    z2 = a1 @ P["W2"].T + P["b2"]
    a2 = 1 / (1 + np.exp(-z2))
    d3 = (a2 @ P["W3"].T + P["b3"] - y) / divisor
    d3 = {"minus": -d3, "twice": 2 * d3, "half": d3 / 2}.get(mistake, d3)
    at_a = 1 / (1 + np.exp(-a2))
    slope2 = {
        "σ′(a)": at_a * (1 - at_a),
        "σ′ = z(1 − z)": z2 * (1 - z2),
        "no σ′": np.ones_like(a2),
    }.get(mistake, a2 * (1 - a2))
    d2 = d3 @ P["W3"] * slope2
    through = {"W2ᵀ": P["W2"].T, "W1 for W2": P["W1"]}.get(mistake, P["W2"])
    slope1 = {
        "1 − z²": 1 - z1**2,
        "1 − a": 1 - a1,
        "no tanh′": np.ones_like(a1),
    }.get(mistake, 1 - a1**2)
    d1 = d2 @ through * slope1
    return {
        "W1": d1.T @ x,
        "b1": np.zeros(2) if mistake == "no b1" else d1.sum(axis=0),
        "W2": d2.T @ a1,
        "b2": d2.sum(axis=0),
        "W3": d3.T @ a2,
        "b3": d3.sum(axis=0),
    }


def written(arrays: dict[str, np.ndarray], decimals: int | None = None) -> dict[str, Any]:
    return {name: (array if decimals is None else array.round(decimals)).tolist() for name, array in arrays.items()}


def mixed_text(arrays: dict[str, np.ndarray]) -> str:
    """A table in which each number has three decimals, the first of all six."""
    lines = []
    for i, (name, array) in enumerate(arrays.items()):
        cells = [f"{x:.{6 if i == j == 0 else 3}f}" for j, x in enumerate(array.reshape(-1))]
        lines.append(", ".join([name, *cells]))
    return "\n".join(lines)


right = deep_by_hand()
TWO = {**right, "W1": -right["W1"], "b1": -right["b1"], "W3": 2 * right["W3"]}
SLIP = {**right, "W2": right["W2"] + [[0, 0], [0.01, 0]]}
ANSWERS: dict[str, tuple[Any, list[tuple[str, tuple[str, ...]]]]] = {
    # who: what is handed in; the mistakes by name, each with the parameters that it explains
    "anna": (written(right), []),
    "ben": (written(right, 3), []),
    "carla": (mixed_text(right), []),
    "deniz": ({"W3": written(right, 4)["W3"], "b3": round(float(right["b3"][0]), 1)}, []),
    "emil": (written(deep_by_hand("minus"), 3), [("missing minus", ALL)]),
    "fatma": (written(deep_by_hand("twice"), 4), [("forgotten ½", ALL)]),
    "georg": (written(deep_by_hand("half")), [("forgotten 2", ALL)]),
    "hana": (mixed_text(deep_by_hand("1 − z²")), [("tanh′ = 1 − z²", ("W1", "b1"))]),
    "ivan": (written(deep_by_hand("1 − a"), 3), [("tanh′ = 1 − a", ("W1", "b1"))]),
    "jana": (written(deep_by_hand("σ′(a)"), 4), [("derivative taken at a", ("W1", "b1", "W2", "b2"))]),
    "karim": (written(deep_by_hand("σ′ = z(1 − z)"), 5), [("σ′ = z(1 − z)", ("W1", "b1", "W2", "b2"))]),
    "lena": (written(deep_by_hand(divisor=4), 4), [("mean instead of sum", ALL)]),
    "mario": (written(deep_by_hand(rows=slice(1, 2)), 4), [("wrong example", ALL)]),
    "nele": (written({**right, "W3": right["W3"].T}, 4), [("transposed matrix", ("W3",))]),
    "omar": (written({**right, "W1": right["W1"].T}, 4), [("transposed matrix", ("W1",))]),
    "paula": (mixed_text(deep_by_hand("W2ᵀ")), [("transposed weights", ("W1", "b1"))]),
    "quirin": (written(deep_by_hand("W1 for W2"), 4), [("weights of another layer", ("W1", "b1"))]),
    "rosa": (written(deep_by_hand("no tanh′"), 3), [("forgotten derivative", ("W1", "b1"))]),
    "sven": (written(deep_by_hand("no σ′")), [("forgotten derivative", ("W1", "b1", "W2", "b2"))]),
    "tara": (written(TWO, 4), [("missing minus", ("W1", "b1")), ("forgotten ½", ("W3",))]),
    "ugur": (written(deep_by_hand("no b1"), 4), [("forgotten bias", ALL)]),
    "vera": (written(SLIP, 5), []),  # no mistake that is known: a slip of 0.01 in one entry
    "xaver": (written(right, 1), []),
    "yara": ({"b3": [float((right["b3"][0] + 0.2).round(1))]}, []),  # wrong in the first decimal
    "wim": (written(deep_by_hand(rows=slice(3, 4)), 4), [("last example only", ALL)]),
}


def check(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", "net.toml", *words])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save(deep_net(), "net.toml")
    answers = tmp_path / "answers"
    answers.mkdir()
    for who, (answer, _) in ANSWERS.items():
        ending = "csv" if isinstance(answer, str) else "json"
        answers.joinpath(f"{who}.{ending}").write_text(answer if ending == "csv" else json.dumps(answer))
    return answers


def test_a_folder_of_answers_is_marked(folder: Path) -> None:
    assert len(ANSWERS) >= 20
    done = check("--against", "answers", "--json", "--report", "report.csv")
    assert done.exit_code == 1
    slips = {"vera": ["W2"], "yara": ["b3"]}
    marked = {each["who"]: each for each in json.loads(done.stdout)["answers"]}
    for who, (_, expected) in ANSWERS.items():
        found = [(one["fault"], {*one["parameters"]}) for one in marked[who]["explained"]]
        assert found == [(fault, {*names}) for fault, names in expected], who
        assert marked[who]["ok"] == (not expected and who not in slips), who
        assert marked[who]["unexplained"] == slips.get(who, []), who
    assert marked["vera"]["closest"]["W2"] == {
        "fault": None,
        "mistake": None,
        "off": pytest.approx(0.01, abs=1e-5),
        "at": [1, 0],
        "entries": 1,
    }
    lines = Path("report.csv").read_text(encoding="utf-8").splitlines()
    rows = {row["who"]: row for row in csv.DictReader(lines)}
    assert list(rows) == sorted(ANSWERS)
    assert (rows["anna"]["right"], rows["anna"]["wrong"], rows["anna"]["mistake"]) == ("6", "0", "")
    assert (rows["deniz"]["right"], rows["deniz"]["not_given"]) == ("2", "W1 b1 W2 b2")
    assert (rows["rosa"]["right"], rows["rosa"]["wrong"]) == ("4", "2")
    assert rows["rosa"]["mistake"] == "W1 and b1: forgotten derivative"
    assert rows["tara"]["mistake"] == "W1 and b1: missing minus; W3: forgotten ½"
    assert rows["vera"]["mistake"] == "W2: no known mistake (closest: the right numbers, off by 0.01)"


@pytest.mark.parametrize(
    ("written", "is_right"),
    [
        ("0.3", True),
        ("0.2", False),
        ("0.4", False),
        ("3e-1", True),
        ("0.29", True),
        ("0.28", False),
        ("0.30", False),
        ("0.2857", True),
        ("0", False),  # a whole number alone is exact
        ("1", False),
    ],
)
def test_a_number_is_right_if_the_exact_one_rounds_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, is_right: bool
) -> None:
    """The gradient of w·x with respect to w is x: 2/7 = 0.285714…"""
    monkeypatch.chdir(tmp_path)
    parameter = 'w = { shape = [], init = "zeros" }'
    text = f'dataflow = 1\n[inputs]\nx = {{}}\n[parameters]\n{parameter}\n[nodes]\nf = "w * x"\n[model]\nloss = "f"\n'
    Path("net.toml").write_text(text)
    Path("mine.csv").write_text(f"w,{written}")
    done = check("--against", "mine.csv", "--set", f"x={2 / 7!r}")
    assert (done.exit_code, done.stderr) == (0 if is_right else 1, "")


def test_the_table_says_who_and_what_and_the_others_are_marked_all_the_same(folder: Path) -> None:
    for who in set(ANSWERS) - {"anna", "tara"}:
        for path in folder.glob(f"{who}.*"):
            path.unlink()
    (folder / "notes.txt").write_text("no answer")
    (folder / "zoe.json").write_text('{"W11": 1}')
    (folder / "yan.json").write_text('{"W1": [1, 2]}')
    (folder / ".hidden").write_text("")
    (folder / "inside").mkdir()
    done = check("--against", "answers")
    assert done.exit_code == 1
    heading, _, header, first = done.stdout.splitlines()[:4]
    assert heading == "answers against 'deep': 5 answers"
    assert header.split() == ["who", "right", "wrong", "which", "mistake"]
    assert first.split() == ["anna", "6", "0"]
    text = " ".join(done.stdout.split())
    assert "tara 3 3 W1 and b1: missing minus; W3: forgotten ½" in text
    assert "notes not an answer: answers end in .json, .npz or .csv" in text
    assert "zoe not an answer: unknown parameter 'W11'; did you mean 'W1'" in text
    assert "yan not an answer: 'W1' has the shape [2, 2], an array of [2] is given; give a list for each row" in text
    assert text.endswith("1 of 5 answers is right, 3 could not be read.")
    assert done.stderr == ""


def test_one_answer_says_what_is_closest(folder: Path) -> None:
    answer = deep_by_hand("minus")
    answer["W2"] = answer["W2"] + [[0, 0], [0, 0.002]]
    Path("mine.json").write_text(json.dumps(written({"W2": answer["W2"]})))
    done = check("--against", "mine.json", "--report", "one.csv")
    assert done.exit_code == 1
    text = " ".join(done.stdout.split())
    assert "W2: no known mistake gives these numbers; closest are those of 'missing minus'" in text
    assert "from which they are off by 0.002 at [1, 1]." in text
    assert "closest: missing minus, off by 0.002" in Path("one.csv").read_text()


def test_another_example_than_the_one_that_was_asked_for(folder: Path) -> None:
    Path("mine.json").write_text(json.dumps(written(deep_by_hand(rows=slice(2, 3)), 4)))
    done = check("--against", "mine.json", "--example", "1")
    assert done.exit_code == 1
    assert "these are the numbers of example 2 alone" in " ".join(done.stdout.split())
    assert check("--against", "mine.json", "--example", "2").exit_code == 0


def test_a_mean_that_was_divided_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(deep_net(reduction="mean"), "net.toml")
    Path("mine.json").write_text(json.dumps(written(deep_by_hand(divisor=16))))
    assert "divided by n twice" in check("--against", "mine.json").stdout
    Path("mine.json").write_text(json.dumps(written(deep_by_hand(divisor=4))))
    assert check("--against", "mine.json").exit_code == 0


def test_what_two_mistakes_give_is_said_of_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two examples, a mean instead of a sum is half of it, as is a forgotten 2."""
    monkeypatch.chdir(tmp_path)
    model = xor("S3")
    save(model, "net.toml")
    gradients = {"b2": [0.1 / 2]}  # ŷ of the examples with z and h written out: 0.27 − 0 and 0.38 − 0.55
    Path("mine.json").write_text(json.dumps(gradients))
    done = check("--against", "mine.json", "--set", "x=[[0,0],[0,0]]", "--set", "y=[[0.17],[0.27]]", "--json")
    (one,) = json.loads(done.stdout)["explained"]
    assert {one["fault"], *one["also"]} >= {"forgotten 2", "mean instead of sum"}


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--against", "empty"], 1, "empty: there is no answer in this folder; put a file for each learner there"),
        (["--report", "r.csv"], 2, "--report is of answers: --against FILE or FOLDER"),
        (["--against", "answers", "--report", "answers/r.csv"], 1, "r.csv: a report would lie among the answers"),
        (["--against", "answers", "--report", "r.txt"], 1, "r.txt: tables are written to files that end in"),
        (
            ["--against", "answers/anna.json", "--report", "answers/anna.json"],
            1,
            "is read by this command, and is kept",
        ),
        (["--against", "none"], 1, "none: there is no such file or folder; check the name"),
    ],
)
def test_what_cannot_be_marked(folder: Path, words: list[str], status: int, message: str) -> None:
    Path("empty").mkdir()
    done = check(*words)
    assert done.exit_code == status
    assert message in done.stderr
    assert done.stderr.count("\n") == 1 or status == 2
