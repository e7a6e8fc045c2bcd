"""The words that messages are made of."""

from __future__ import annotations

import ast
import copy
import pickle
import re
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

from dataflow.errors import DataflowError, counted
from dataflow.files.toml.read import loads_toml
from dataflow.support.texts import quoted

SOURCES = [*Path("dataflow").rglob("*.py"), *Path("plugins").rglob("*.py")]


@pytest.mark.parametrize(
    ("noun", "texts"),
    [
        ("input", ["0 inputs", "1 input", "1,000 inputs"]),
        ("entry", ["0 entries", "1 entry", "1,000 entries"]),
        ("axis", ["0 axes", "1 axis", "1,000 axes"]),
        ("matrix", ["0 matrices", "1 matrix", "1,000 matrices"]),
        ("class", ["0 classes", "1 class", "1,000 classes"]),
        ("scalar parameter", ["0 scalar parameters", "1 scalar parameter", "1,000 scalar parameters"]),
    ],
)
def test_a_count_has_its_noun_in_the_right_number(noun: str, texts: list[str]) -> None:
    assert [counted(count, noun) for count in (0, 1, 1000)] == texts


def test_what_is_quoted_is_one_short_line() -> None:
    assert quoted("W1") == "'W1'"
    assert quoted("a\nb") == "'a\\nb'"
    assert quoted("x" * 1000) == f"'{'x' * 55}...'"


LONG = "start_" + "x" * 900 + "_end"


@pytest.mark.parametrize(
    "text",
    [
        f'y = "sum(x, {LONG}=1)"',
        f'{LONG} = "x + [1, 2]"',
        f'{LONG} = "relu({LONG})"',
        f'y = "relu(1)"\n[model]\noutputs = ["{LONG}"]',
        f'y = "relu(1)"\n[parameters]\nW = {{ shape = [2], init = "{LONG}" }}',
        f'y = "relu(1)"\n[train]\noptimizer = "{LONG}"',
    ],
)
def test_of_a_long_name_a_message_shows_both_ends(text: str) -> None:
    with pytest.raises(DataflowError) as caught:
        loads_toml(f"dataflow = 1\n[inputs]\nx = {{ shape = [3] }}\n[nodes]\n{text}\n", "model.toml")
    message = str(caught.value)
    assert "start_" in message
    assert "_end" in message
    assert len(message) < 400


def test_what_len_counts_in_an_error_is_not_given_a_noun_by_hand() -> None:
    plain = re.compile(r"^ (inputs|outputs|parameters|nodes|entries|axes|columns|rows|examples|cells|results|arrays)\b")
    found = []
    for path in SOURCES:
        for raised in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(raised, ast.Raise):
                continue
            for text in (node for node in ast.walk(raised) if isinstance(node, ast.JoinedStr)):
                if "too many" in ast.unparse(text) or "more than" in ast.unparse(text):
                    continue  # not one
                for value, after in zip(text.values, text.values[1:], strict=False):
                    is_count = isinstance(value, ast.FormattedValue) and ast.unparse(value.value).startswith("len(")
                    if is_count and isinstance(after, ast.Constant) and plain.match(str(after.value)):
                        found.append(f"{path}:{text.lineno}: {ast.unparse(value.value)}{after.value}")
    assert SOURCES
    assert not found, "use dataflow.errors.counted"


def every_error(kind: type[DataflowError] = DataflowError) -> list[type[DataflowError]]:
    """The class and all that are derived from it."""
    return [kind, *(error for below in kind.__subclasses__() for error in every_error(below))]


def test_errors_travel_between_processes() -> None:
    for module in [path for path in SOURCES if re.search(r"^class \w+Error\(", path.read_text("utf-8"), re.MULTILINE)]:
        with suppress(ImportError):  # of a package that is not installed
            import_module(".".join(module.with_suffix("").parts).removeprefix("plugins."))
    kinds = every_error()
    assert len(kinds) > 20
    for kind in kinds:
        error = kind("what is wrong").at(file="m.toml", line=3, node="h")
        for copied in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
            assert type(copied) is kind
            assert (str(copied), copied.node) == (str(error), "h")
