"""Compiled code that is kept on disk: what somebody else could have put there is never run."""

import errno
import hashlib
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from dataflow import DataflowWarning, Graph, ops
from dataflow.execution.program import Program
from dataflow_llvm.compiling import code_cache, machine_code

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="nothing is kept on this system")

KEY = hashlib.sha256(b"what it was made from").digest()
CODE = b"code"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that waits for a pipe ends with an error; warnings of earlier tests are forgotten."""
    code_cache._warn_once.cache_clear()
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits"))
    signal.alarm(60)
    yield
    signal.alarm(0)
    code_cache._warn_once.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in another one, with one file in it."""
    found = tmp_path / "above" / "cache"
    monkeypatch.setenv("DATAFLOW_CACHE", str(found))
    code_cache.write("net", KEY, CODE)
    assert read_quietly() == CODE
    return found


def read_quietly() -> bytes | None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return code_cache.read("net", KEY)


def file_in(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def replaced(folder: Path, make: Callable[[Path], object]) -> None:
    path = file_in(folder)
    path.rename(folder.parent / "moved")
    make(path)


def link_to_the_same(path: Path) -> None:
    path.symlink_to(path.parent.parent / "moved")


def large(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(code_cache.MOST_BYTES + 1)
    path.chmod(0o600)


ATTACKS: dict[str, tuple[Callable[[Path], object], str | None]] = {
    "a folder that all can write to": (lambda f: f.chmod(0o777), "others can write to .*cache; chmod go-w"),
    "a folder that a group can write to": (lambda f: f.chmod(0o770), "others can write to .*cache; chmod go-w"),
    "a sticky folder that all can write to": (lambda f: f.chmod(0o1777), "others can write to .*cache; chmod go-w"),
    "a folder above": (lambda f: f.parent.chmod(0o777), "others can write to .*above; chmod go-w"),
    "a group's folder above": (lambda f: f.parent.chmod(0o770), "others can write to .*above; chmod go-w"),
    "a file that all can write to": (lambda f: file_in(f).chmod(0o606), "others can write to net-"),
    "a file that a group can write to": (lambda f: file_in(f).chmod(0o620), "others can write to net-"),
    "a link to the file": (lambda f: replaced(f, link_to_the_same), None),
    "a pipe": (lambda f: replaced(f, os.mkfifo), "is not a regular file"),
    "a folder for the file": (lambda f: replaced(f, os.mkdir), "is not a regular file"),
    "a device": (lambda f: replaced(f, lambda path: path.symlink_to("/dev/zero")), None),
    "a large file": (lambda f: replaced(f, large), "has 67108865 bytes"),
    "an empty file": (lambda f: file_in(f).write_bytes(b""), None),
    "another byte": (lambda f: file_in(f).write_bytes(file_in(f).read_bytes()[:-1] + b"E"), None),
    "code alone": (lambda f: file_in(f).write_bytes(hashlib.sha256(CODE).digest() + CODE), None),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_others_could_have_planted_is_not_read(folder: Path, attack: str) -> None:
    spoil, reason = ATTACKS[attack]
    spoil(folder)
    if reason is None:
        assert read_quietly() is None
        return
    with pytest.warns(DataflowWarning, match=f"compiled code is not kept: .*{reason}"):
        assert code_cache.read("net", KEY) is None
    assert read_quietly() is None, "it is said once"


@pytest.mark.parametrize("attack", [name for name in ATTACKS if "folder" not in name])
def test_a_file_that_is_refused_is_replaced(folder: Path, attack: str) -> None:
    ATTACKS[attack][0](folder)
    code_cache.write("net", KEY, CODE)
    assert read_quietly() == CODE
    assert file_in(folder).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("attack", [name for name in ATTACKS if "folder" in name and "file" not in name])
def test_nothing_is_written_where_others_can_write(folder: Path, attack: str) -> None:
    file_in(folder).unlink()
    ATTACKS[attack][0](folder)
    with pytest.warns(DataflowWarning):
        code_cache.write("net", KEY, CODE)
    assert list(folder.iterdir()) == []


def test_another_users_folder_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with ``sudo -E``, which keeps HOME."""
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.warns(DataflowWarning, match="belongs to (root|another user); set DATAFLOW_CACHE"):
        assert code_cache.read("net", KEY) is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("what", ["folder", "above", "file", "link"])
def test_what_belongs_to_another_user_is_not_used(
    folder: Path, what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    path = {"folder": folder, "above": folder.parent, "file": file_in(folder), "link": link}[what]
    os.chown(path, 12345, 12345, follow_symlinks=False)
    if what == "link":
        monkeypatch.setenv("DATAFLOW_CACHE", str(link))
    with pytest.warns(DataflowWarning, match="another user|others can write"):
        assert code_cache.read("net", KEY) is None


def test_a_file_under_the_name_of_another_is_not_taken_for_it(folder: Path) -> None:
    other = hashlib.sha256(b"another version").digest()
    file_in(folder).rename(folder / code_cache._file_name("net", other))
    assert code_cache.read("net", other) is None
    code_cache.write("net", KEY, CODE)
    assert code_cache.read("other", KEY) is None


def test_links_and_sticky_folders_of_ones_own_are_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "absolute").symlink_to(folder)
    (tmp_path / "relative").symlink_to("above/../above/cache")
    (tmp_path / "chain").symlink_to("relative")
    for name in ("absolute", "relative", "chain", "above/../absolute"):
        monkeypatch.setenv("DATAFLOW_CACHE", str(tmp_path / name))
        assert read_quietly() == CODE, name
    folder.parent.chmod(0o1777)
    assert read_quietly() == CODE
    (tmp_path / "circle").symlink_to("circle")
    monkeypatch.setenv("DATAFLOW_CACHE", str(tmp_path / "circle"))
    assert read_quietly() is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"DATAFLOW_CACHE": "cache"}, None),
        ({"DATAFLOW_CACHE": "~/cache"}, None),
        ({"XDG_CACHE_HOME": "caches", "HOME": "/home/ada"}, "/home/ada/.cache/dataflow"),
        ({"XDG_CACHE_HOME": "", "HOME": "/home/ada"}, "/home/ada/.cache/dataflow"),
        ({"XDG_CACHE_HOME": "/caches", "HOME": "/home/ada"}, "/caches/dataflow"),
        ({"HOME": "ada"}, None),
        ({"HOME": "~"}, None),
    ],
)
def test_only_absolute_folders_are_used(
    settings: dict[str, str], expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(code_cache.sys, "platform", "linux")
    for name in ("DATAFLOW_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    if expected is None:
        with pytest.warns(DataflowWarning, match="absolute path of a folder"):
            code_cache.write("net", KEY, CODE)
    else:
        assert code_cache._place() == Path(expected)
    assert list(tmp_path.iterdir()) == []


def test_without_any_home_there_is_no_folder_called_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATAFLOW_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # a user whom the system does not know
    with pytest.warns(DataflowWarning, match="no home folder; set DATAFLOW_CACHE"):
        code_cache.write("net", KEY, CODE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["open", "rename", "mkdir"])
def test_without_room_it_goes_on_in_silence(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAFLOW_CACHE", str(tmp_path / "cache"))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code_cache.write("net", KEY, CODE)
    monkeypatch.undo()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_write_that_is_cut_short_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        code_cache.write("net", KEY, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    assert len(list(folder.iterdir())) == 1
    assert read_quietly() == CODE


def test_planted_code_is_compiled_instead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Graph("net")
    x = graph.input("x", (3,))
    graph.node("y", ops.exp(x) + 1)
    folder.chmod(0o777)
    machine_code.interpreter.cache_clear()
    with pytest.warns(DataflowWarning, match="compiled code is not kept") as caught:
        (result,) = Program(graph, ["y"], "llvm").run({"x": np.zeros(3)})
    np.testing.assert_array_equal(result, [2, 2, 2])
    assert len(caught) == 1
    machine_code.interpreter.cache_clear()


def processor(monkeypatch: pytest.MonkeyPatch) -> None:
    binding = machine_code._binding()
    monkeypatch.setattr(binding, "get_host_cpu_name", lambda: "another")


def features(monkeypatch: pytest.MonkeyPatch) -> None:
    binding = machine_code._binding()
    fewer = binding.get_host_cpu_features()
    fewer["a feature more"] = True
    monkeypatch.setattr(binding, "get_host_cpu_features", lambda: fewer)


def compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llvmlite.__version__", "0.1")


def sources(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path.name == "formulas.py"))


@pytest.mark.parametrize("other", [processor, features, compiler, sources])
def test_code_of_another_processor_or_version_is_made_again(
    other: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATAFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(machine_code, "_compiled", lambda text: text.encode())
    monkeypatch.setattr(machine_code, "Library", lambda code: code)
    made: list[bytes] = []

    def text_here(where: str) -> bytes:
        machine_code._environment.cache_clear()
        return machine_code.generated("net", "made from", lambda: made.append(where) or where)  # type: ignore[return-value]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert text_here("here") == b"here"
        with monkeypatch.context() as patch:
            other(patch)
            assert text_here("there") == b"there", "it read the code of another processor or version"
            assert text_here("there again") == b"there"
        assert text_here("here again") == b"here"
    machine_code._environment.cache_clear()
    assert made == ["here", "there"]
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.slow
@pytest.mark.parametrize("full", ["a full disk", "a disk that is full in the middle of a file", "a disk to read alone"])
def test_a_model_runs_where_nothing_can_be_kept(full: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("DATAFLOW_CACHE", str(folder))
    graph = Graph("net")
    x = graph.input("x", (3,))
    graph.node("y", ops.exp(x) + 1)
    opened = os.open

    def refused(path: str, flags: int, *others: Any, **more: Any) -> int:
        if flags & os.O_CREAT and str(path).endswith(".part"):
            code = errno.ENOSPC if full == "a full disk" else errno.EROFS
            raise OSError(code, os.strerror(code), path)
        return opened(path, flags, *others, **more)

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    machine_code.interpreter.cache_clear()
    try:
        if "middle" in full:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        else:
            monkeypatch.setattr(os, "open", refused)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(2):
                (result,) = Program(graph, ["y"], "llvm").run({"x": np.zeros(3)})
                np.testing.assert_array_equal(result, [2, 2, 2])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        machine_code.interpreter.cache_clear()
    assert list(folder.iterdir()) == []


# ------------------------------------------------------------------------------------------------ what is taken away

DAY = 86400


def key_of(i: int) -> bytes:
    return hashlib.sha256(bytes([i])).digest()


def aged(folder: Path, i: int, days: float) -> Path:
    """A file written, whose last use is so long ago."""
    code_cache.write("net", key_of(i), CODE)
    path = folder / f"net-{key_of(i).hex()}.o"
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def test_what_nobody_used_for_long_goes_and_all_else_stays(folder: Path) -> None:
    first = file_in(folder)
    old, recent = aged(folder, 1, 91), aged(folder, 2, 89)
    other, abandoned, half = folder / "notes.o", folder / f"{'a' * 16}.part", folder / f"{'b' * 16}.part"
    for path in (other, abandoned, half):
        path.write_bytes(b"")
    os.utime(other, (0, 0))
    os.utime(abandoned, (0, 0))
    code_cache.write("net", key_of(3), CODE)
    written = folder / f"net-{key_of(3).hex()}.o"
    assert {*folder.iterdir()} == {first, recent, other, half, written}
    assert not old.exists()


def test_beyond_the_most_bytes_those_go_that_were_not_used_for_longest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_in(folder).unlink()
    size = 32 + len(CODE)
    paths = [aged(folder, i, days) for i, days in enumerate((3, 1, 2))]
    monkeypatch.setattr(code_cache, "MOST_KEPT", 3 * size)
    code_cache.write("net", key_of(9), CODE)
    assert {*folder.iterdir()} == {paths[1], paths[2], folder / f"net-{key_of(9).hex()}.o"}
    monkeypatch.setattr(code_cache, "MOST_KEPT", size - 1)
    code_cache.write("net", key_of(8), CODE)
    assert file_in(folder).name == f"net-{key_of(8).hex()}.o", "what was just written stays"


def test_a_use_is_noted_once_a_day(folder: Path) -> None:
    path = aged(folder, 1, 80)
    assert code_cache.read("net", key_of(1)) == CODE
    noted = path.stat().st_mtime
    assert time.time() - noted < 60
    os.utime(path, (noted - DAY / 2,) * 2)
    assert code_cache.read("net", key_of(1)) == CODE
    assert path.stat().st_mtime == pytest.approx(noted - DAY / 2)


def test_processes_that_prune_at_once_disturb_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process takes each file away between the look at it and the taking away."""
    for i in range(4):
        aged(folder, i, 100 if i < 2 else 10)
    unlink = os.unlink

    def taken(name: str, **where: Any) -> None:
        unlink(name, **where)
        unlink(name, **where)

    monkeypatch.setattr(os, "unlink", taken)
    monkeypatch.setattr(code_cache, "MOST_KEPT", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code_cache.write("net", key_of(9), CODE)
    assert file_in(folder).name == f"net-{key_of(9).hex()}.o"
