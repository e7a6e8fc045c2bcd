"""The attack folder: each file gives the error that ``expected.toml`` says, at its place, and does nothing else.

The files are made by ``tools/make_attacks.py``. They are read in a process of their own under an audit hook, as a
model that is loaded and run or as data, and again by ``dataflow check``.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from checkout import ATTACKS, HELPERS, ROOT

import dataflow

pytestmark = pytest.mark.xdist_group("attacks")  # they are read once
EXPECTED: dict[str, list[str]] = tomllib.loads((ATTACKS / "expected.toml").read_text(encoding="utf-8"))
INSIDE = ("mmap.__new__", "array.__new__", "builtins.id", "object.__getattr__")
"""What an audit hook hears of that is no effect on anything outside: views of memory, arrays, inspection."""
LITERALS = "compile (b"
"""What it hears when NumPy reads the header of an array: a literal is parsed. Were it run, "exec" came, too."""
SECONDS, MEMORY = 2.0, 256 * 2**20


LARGE = (
    *("bomb-rows.csv.gz", "empty-arrays.toml", "empty-tables.toml", "expression-operators.toml"),
    *("fan-in-expression.toml", "fan-in-variadic.toml", "header-empty-maps.msgpack"),
)
"""What takes half a second and more, seven tenths of the time of all: in the slow tests."""
NAMES = [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in EXPECTED]


@pytest.fixture(scope="module")
def came_of(request: pytest.FixtureRequest) -> dict[str, Any]:
    """For each file that is asked for what came of it."""
    asked = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    names = [name for name in EXPECTED if name in asked]
    command = [sys.executable, HELPERS / "attacks_under_watch.py", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    rows: dict[str, Any] = json.loads(done.stdout)
    return rows


def test_there_are_files_of_every_kind() -> None:
    found = {path.name for path in ATTACKS.iterdir()} - {"expected.toml", "host.toml"}
    assert found == EXPECTED.keys()
    kinds = {".toml": 80, ".msgpack": 80, ".csv": 10, ".csv.gz": 5, ".json": 8, ".npz": 10, ".onnx": 40}
    for ending, least in kinds.items():
        assert sum(name.endswith(ending) for name in found) >= least
    assert all(
        error for name, (error, _) in EXPECTED.items() if name not in ("dunder-names.toml", "plugins-hostile.msgpack")
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_error_its_place_and_nothing_else(name: str, came_of: dict[str, Any]) -> None:
    """Only that file is read, in bounded time and memory, and ``check`` says the same on one line."""
    error, text = EXPECTED[name]
    found = came_of[name]
    assert found["error"] == (error or None), found["text"]
    where = f"{ATTACKS}{os.sep}{text[1:] if text.startswith('@') else name + text}"
    assert found["text"].startswith(where if error else ""), found["text"]
    assert len(found["text"]) < 2100 + len(str(ATTACKS))
    if error:
        assert issubclass(getattr(dataflow, error), dataflow.DataflowError)
    own, host = (f"open {ATTACKS / file}" for file in (name, "host.toml"))
    for key, allowed in ("events", {own}), ("check_events", {own, host}):
        harmless = (*INSIDE, LITERALS) if name.endswith(".npz") else INSIDE
        assert [event for event in found[key] if event not in allowed and not event.startswith(harmless)] == []
    assert found["seconds"] < SECONDS
    assert found["memory"] < MEMORY + 3 * (ATTACKS / name).stat().st_size
    assert found["status"] == int(bool(error))
    if error:
        *warnings, last = found["stderr"].splitlines()
        assert all(line.startswith("Warning: ") for line in warnings)
        assert last.startswith("Error: ")
        assert last.removeprefix("Error: ") == found["text"]
        assert last.isprintable()


def test_the_watch_hears() -> None:
    """An attack that succeeds would be heard of: a plugin's format that imports, opens and connects."""
    code = f"""
import sys; sys.path.insert(0, {str(HELPERS)!r})
import attacks_under_watch as watch
sys.addaudithook(watch.hook)
def read():
    import antigravity_is_not_there
def attack():
    open({str(ATTACKS / "expected.toml")!r}).close()
    __import__("socket").socket().close()
    eval("1")
    __import__("os").system("true")
    read()
try:
    watch.watched(attack)
except ImportError:
    pass
"""
    code += "events = []\nwatch.heard = events\ntry:\n    attack()\nexcept ImportError:\n    pass\nwatch.heard = None\n"
    code += "print('|'.join(event.split()[0] for event in events))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert {"open", "import", "socket.__new__", "compile", "exec", "os.system"} <= set(done.stdout.strip().split("|"))


def test_a_link_that_leads_out_of_the_folder(tmp_path: Path) -> None:
    """Loading asks where it leads, and opens nothing."""
    folder = tmp_path / "models"
    folder.mkdir()
    secret = tmp_path / "secret.csv"
    secret.write_text("x\n1\n")
    (folder / "link.csv").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    for file in ("link.csv", "up/secret.csv"):
        path = folder / "model.toml"
        path.write_text(f"dataflow = 1\ninputs.x = {{ shape = ['n'] }}\ndata.file = '{file}'\n")
        with pytest.raises(dataflow.DataError, match="lies outside the folder of its model"):
            dataflow.load(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
@pytest.mark.parametrize("ending", [".toml", ".msgpack", ".onnx"])
def test_a_pipe_is_not_waited_for(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"pipe{ending}"
    os.mkfifo(path)
    with pytest.raises(dataflow.FileFormatError, match="a device, pipe or socket"):
        dataflow.load(path)


def test_the_files_are_those_that_the_script_makes() -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        spec = importlib.util.spec_from_file_location("make_attacks", ROOT / "tools" / "make_attacks.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        made = module.files()
    finally:
        sys.path.remove(str(ROOT / "tools"))
    for name, data in made.items():
        if not name.endswith((".gz", ".npz")):  # what is packed depends on the version of zlib
            assert (ATTACKS / name).read_bytes() == data, f"{name} is out of date: run tools/make_attacks.py"
