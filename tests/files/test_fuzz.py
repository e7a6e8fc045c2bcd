"""Hostile files by the hundred in each test run, and 50,000 with the slow tests; ``tools/fuzz.py`` runs more.

What reads a file loads it or raises a ``DataflowError`` that names the file on one line, in bounded time and memory.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
from checkout import CORPUS, ROOT
from hypothesis import example, given
from hypothesis import strategies as st

import dataflow
from dataflow.errors import DataflowError
from dataflow.files.msgpack.container import read_container
from dataflow.files.toml.read import loads_toml

TOOLS = ROOT / "tools"
COUNT = 600


@pytest.fixture(scope="module")
def fuzz() -> Iterator[ModuleType]:
    """``tools/fuzz.py`` as a module."""
    sys.path.insert(0, str(TOOLS))
    try:
        import fuzz

        yield fuzz
    finally:
        sys.path.remove(str(TOOLS))


def watched(fuzz: ModuleType, case: Any, folder: Path, use: float) -> Any:
    path = folder / f"case{case.ending}"
    path.write_bytes(case.data)
    return fuzz.watch(case.kind, path, case.rng, use=use)


def test_hostile_files_of_every_kind(fuzz: ModuleType, tmp_path: Path) -> None:
    cases = fuzz.Cases(CORPUS, seed=11)
    results: dict[str, Counter[str]] = {kind: Counter() for kind in fuzz.KINDS}
    messages, used = set(), 0
    for number in range(COUNT):
        outcome = watched(fuzz, cases[number], tmp_path, use=0.2)
        assert not outcome.fault, f"--seed 11 --only {number}: {outcome}\n{outcome.details}"
        results[outcome.kind][outcome.result] += 1
        messages.add(outcome.message)
        used += bool(outcome.used)
    # The files must be worth reading: of each kind some are accepted, most are not, and for many reasons. Of changed
    # bytes of msgpack none need be: every byte is under a checksum.
    bytes_alone = results.pop("msgpack, any byte")
    assert bytes_alone.total() > bytes_alone["loaded"]
    results["data"] = sum((results.pop(kind) for kind in ("CSV", "packed CSV", "JSON", "NumPy archive")), Counter())
    assert all(counts["loaded"] and counts.total() > counts["loaded"] for counts in results.values()), results
    assert len(messages) > 150
    assert used > 10


def test_a_case_follows_from_its_number(fuzz: ModuleType) -> None:
    one, again, other = (fuzz.Cases(CORPUS, seed) for seed in (3, 3, 4))
    assert all(one[i].data == again[i].data for i in range(100))
    assert sum(one[i].data != other[i].data for i in range(100)) > 80


@pytest.mark.slow
def test_the_sound_files_stay_sound_in_a_long_run(fuzz: ModuleType) -> None:
    """What is kept from case to case must not change with them."""
    from fuzzing import containers

    seeds = [path.read_bytes() for path in sorted(CORPUS.glob("*.msgpack"))]
    for i in range(3000):
        containers.header_tree(Random(i), seeds)
        containers.tensors(Random(i), seeds)
    assert [containers.put_together(containers._parts(data)) for data in seeds] == seeds


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (ValueError("no"), "ValueError while reading"),
        (RecursionError(), "RecursionError while reading"),
        (SystemExit(3), "SystemExit while reading"),
        (DataflowError("no file is named"), "an error without the file"),
        (MemoryError(), "MemoryError while reading"),
    ],
)
def test_faults_are_seen(
    broken: BaseException, fault: str, fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise broken

    monkeypatch.setattr(dataflow, "load", fail)
    path = tmp_path / "case.toml"
    path.touch()
    assert fuzz.watch("TOML", path, Random(0), use=1).fault == fault


def test_long_and_large_and_unprintable_are_faults(
    fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "case.toml"
    path.touch()

    def spin(_: object) -> None:
        total = 0
        while sum(range(1000)) and total < 10**4:
            total += 1

    monkeypatch.setattr("fuzzing.watch.SECONDS", 0.01)
    monkeypatch.setattr(dataflow, "load", spin)
    assert fuzz.watch("TOML", path, Random(0), use=1).fault == "too slow"
    monkeypatch.undo()

    monkeypatch.setattr(DataflowError, "__str__", lambda error: f"{error.file}: {error.message}")
    path.write_text('dataflow = 1\n"\\u001b[2J" = 1\n')
    monkeypatch.setattr(dataflow, "load", lambda path: (_ for _ in ()).throw(DataflowError("\x1b[2J", file=path)))
    assert fuzz.watch("TOML", path, Random(0), use=1).fault == "an error that is not one printable line"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("touched", [True, False])
def test_memory_is_a_fault(touched: bool, fuzz: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzzing.watch.MEMORY", 2**23)
    if touched:  # far more than what the kernel may miss, and within the cap
        monkeypatch.setattr("fuzzing.watch._SLACK", 2**29)
    monkeypatch.setattr(dataflow, "load", lambda _: (b"x" * (400 * 2**20) if touched else bytearray(2**30)) and None)
    path = tmp_path / "case.toml"
    path.touch()
    fault = fuzz.watch("TOML", path, Random(0), use=1).fault
    assert fault == ("too much memory" if touched else "MemoryError while reading")


def test_a_process_that_dies_is_a_fault_of_its_case_and_the_rest_goes_on(
    fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "BLOCK", 60)
    options = fuzz.parser().parse_args(["--count", "150", "--seed", "2"])
    found = []
    for block in fuzz.blocks(options, 0.0):
        found.append(block)
        if len(found) == 1:
            (worker,) = multiprocessing.active_children()
            worker.kill()
    assert sum(block.count for block in found) == 150
    faults = [fault for block in found for fault in block.faults]
    assert len(faults) == 1
    number, fault, _ = faults[0]
    assert 60 <= number < 120
    assert fault.startswith("the process died")


@pytest.mark.slow
def test_figures(fuzz: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--count", "60", "--seed", "2", "--faults", str(tmp_path / "faults")]
    assert fuzz.main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["count"] == 60
    assert sum(document["results"].values()) == sum(kind["cases"] for kind in document["kinds"].values()) == 60
    assert document["faults"] == []
    assert fuzz.main(words) == 0
    assert "60 cases of seed 2: " in capsys.readouterr().out


@pytest.mark.slow
def test_50_000_hostile_files(fuzz: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = fuzz.main(["--count", "50000", "--seed", "50", "--jobs", "2", "--faults", str(tmp_path / "faults")])
    report = capsys.readouterr().out
    print(report)
    assert status == 0, report


# ------------------------------------------------------------------------------------------------ hypothesis

WORDS = st.sampled_from(
    [
        *("dataflow", "=", "1", "[inputs]", "[nodes]", "[parameters]", "[model]", "[blocks.b]", "[data]", "[train]"),
        *("x", "y", "W", "shape", "value", "init", "loss", "outputs", "inputs", "output", "file", "seed", "\n"),
        *("{", "}", "[", "]", ",", ".", "#", "'''", "2", "-1", "1e9", "nan", "true"),
        *("'n'", "'x'", "'x @ W'", "'zeros'", "'b(x)'", "'d.csv'"),
    ]
)


@given(st.lists(WORDS, max_size=40))
@example(["dataflow", "=", "1", "\n", "[inputs]", "\n", "x", "=", "{", "}"])
def test_any_words_as_toml(words: list[str]) -> None:
    with contextlib.suppress(DataflowError):
        loads_toml(" ".join(words), "net.toml")


@given(st.text(max_size=60))
def test_any_text_as_toml_and_as_an_expression(text: str) -> None:
    with contextlib.suppress(DataflowError):
        loads_toml(text, "net.toml")
    declared = json.dumps(text).replace("\x7f", "\\u007f")
    with contextlib.suppress(DataflowError):
        loads_toml(f'dataflow = 1\ninputs.x = {{ shape = ["n", 2] }}\nnodes.z = {declared}\n', "net.toml")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(data=st.data())
def test_any_value_anywhere_in_a_header(data: st.DataObject, tmp_path: Path, fuzz: ModuleType) -> None:
    """One value of a sound header is replaced by any other; whoever reads it says so, or takes it."""
    from fuzzing.containers import put_together, take_apart
    from fuzzing.values import places, put

    parts = take_apart(
        (CORPUS / data.draw(st.sampled_from(["version1", "trained", "blocks"]))).with_suffix(".msgpack").read_bytes()
    )
    found = places(parts.header)
    put(found[data.draw(st.integers(0, len(found) - 1))], data.draw(PLAIN))
    path = tmp_path / "model.msgpack"
    path.write_bytes(put_together(parts))
    with contextlib.suppress(DataflowError):
        read_container(path)
        model = dataflow.load(path)
        dataflow.save(model, tmp_path / "again.msgpack")
        dataflow.load(tmp_path / "again.msgpack")
