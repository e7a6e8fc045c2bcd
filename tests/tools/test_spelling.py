"""The spell checker finds what is wrong where it stands, and leaves code, names and formulas alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkout import ROOT
from spelling import WORDS, Dictionary, files, texts, words


@pytest.fixture(scope="module")
def dictionary() -> Dictionary:
    return Dictionary()


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ("recieve", "write receive"),
        ("gradeint", "unknown"),
        ("color", "write colour"),
        ("behaviors", "write behaviours"),
        ("Normalise", "write normalize"),
        ("dataflwo's", "unknown"),
    ],
)
def test_what_is_wrong_with_a_word(dictionary: Dictionary, wrong: str, fault: str) -> None:
    assert dictionary.fault(wrong) == fault


@pytest.mark.parametrize("right", ["colour", "standardized", "Jacobians", "neighbour's", "dataflow", "doesn't"])
def test_words_that_are_right(dictionary: Dictionary, right: str) -> None:
    assert dictionary.fault(right) is None


def test_own_words_are_sorted_and_no_misspellings(dictionary: Dictionary) -> None:
    own = WORDS.read_text(encoding="utf-8").splitlines()
    assert own == sorted(set(own))
    assert len(own) > 200
    assert not dictionary.own & dictionary.typos.keys()


def test_every_own_word_is_used(dictionary: Dictionary) -> None:
    prose = "\n".join(path.read_text(encoding="utf-8").lower() for path in _files())
    assert not {word for word in dictionary.own if word not in prose}


def _files() -> list[Path]:
    return [path for path in files() if path.name != "test_spelling.py"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.md", "One wrod.\n```text\nxyzzy\n```\n`plugh` and a_name, $plover$, [link](frotz.md)\nTwo.\n", [1, 5, 6]),
        ("a.py", '"""A wrod."""\n\n# Two.\nNAME = "plugh"\nraise E(f"there is no such file, {name}s")\n', [1, 3, 5]),
        ("a.toml", 'plugh = "frotz"\n# One wrod.\n', [2]),
        ("a.html", "<style>\n.plugh {}\n</style>\n<p class='frotz'>One wrod.</p>\n", [4]),
        ("a.js", 'plugh("frotz")\nsay("one wrod and no more"); // Two.\n', [2]),
    ],
)
def test_prose_is_found_with_its_lines(tmp_path: Path, name: str, content: str, expected: list[int]) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    found = {first + number: word for first, text in texts(path) for number, word in words(text)}
    assert not {"xyzzy", "plugh", "plover", "frotz", "names", "s"} & set(found.values())
    assert sorted(found)[: len(expected)] == expected


def test_the_documentation_and_the_code_are_looked_at() -> None:
    found = {str(path.relative_to(ROOT)) for path in files()}
    assert {"README.md", "docs/index.md", "dataflow/cli/group.py", "dataflow/viewer/assets/page.html"} <= found
    assert not any("/vendor/" in name for name in found)
