"""Saving: the old file or the new one, whatever fails, and nothing else in the folder."""

from __future__ import annotations

import errno
import os
import stat
import sys

import pytest

from dataflow.errors import FileFormatError
from dataflow.support.atomic import check_target, replace_file

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.msgpack"
    path.write_bytes(b"old")
    return path


def listing(path):
    return sorted(os.listdir(path.parent))


def test_writes_all_chunks(file):
    replace_file(file, [b"a", memoryview(b"bc"), b"", b"d" * 100_000])
    assert file.read_bytes() == b"abc" + b"d" * 100_000
    assert listing(file) == ["model.msgpack"]


def test_short_writes_go_on(file, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    replace_file(file, [b"x" * 100])
    assert file.read_bytes() == b"x" * 100


@pytest.mark.parametrize("name", ["replace", "fsync", "write", "chmod", "close"])
@pytest.mark.parametrize(
    ("code", "advice"), [(errno.ENOSPC, "the disk is full; free some space"), (errno.EIO, "check the disk")]
)
def test_a_failure_leaves_the_old_file_alone(file, monkeypatch, name, code, advice):
    def fails(*args):
        if name == "close":
            close(*args)
        raise OSError(code, os.strerror(code))

    close = os.close
    monkeypatch.setattr(os, name, fails)
    with pytest.raises(FileFormatError, match=advice) as caught:
        replace_file(file, [b"new"])
    monkeypatch.undo()
    assert caught.value.file == str(file)
    assert "\n" not in str(caught.value)
    assert file.read_bytes() == b"old"
    assert listing(file) == ["model.msgpack"]


@pytest.mark.parametrize("failing", range(5))
def test_a_failure_at_any_write(file, monkeypatch, failing):
    calls = 0
    write = os.write

    def fails(descriptor, data):
        nonlocal calls
        calls += 1
        if calls > failing:
            raise OSError(errno.ENOSPC, "full")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", fails)
    with pytest.raises(FileFormatError, match="disk is full"):
        replace_file(file, [b"12345"] * 5)
    assert file.read_bytes() == b"old"
    assert listing(file) == ["model.msgpack"]


def test_a_system_that_writes_nothing_is_an_error(file, monkeypatch):
    monkeypatch.setattr(os, "write", lambda *_: 0)
    with pytest.raises(FileFormatError, match="wrote nothing"):
        replace_file(file, [b"new"])
    assert file.read_bytes() == b"old"


def test_an_interrupt_cleans_up(file):
    def chunks():
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(file, chunks())
    assert file.read_bytes() == b"old"
    assert listing(file) == ["model.msgpack"]


@posix
def test_sync_order(file, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace

    def log_fsync(descriptor):
        events.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def log_replace(*names):
        events.append("rename")
        replace(*names)

    monkeypatch.setattr(os, "fsync", log_fsync)
    monkeypatch.setattr(os, "replace", log_replace)
    replace_file(file, [b"new"])
    assert events == ["file", "rename", "folder"]
    events.clear()
    replace_file(file, [b"newer"], sync=False)
    assert events == ["rename"]


@posix
@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_a_folder_that_cannot_be_synced(file, monkeypatch, code):
    fsync = os.fsync

    def fails(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fails)
    if code == errno.EINVAL:
        replace_file(file, [b"new"])
    else:
        with pytest.raises(FileFormatError, match="was written, but the folder cannot be synced"):
            replace_file(file, [b"new"])
    assert file.read_bytes() == b"new"
    assert listing(file) == ["model.msgpack"]


@posix
def test_permissions(file):
    file.chmod(0o640)
    replace_file(file, [b"new"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    fresh = file.with_name("fresh")
    mask = os.umask(0o027)
    try:
        replace_file(fresh, [b"new"])
    finally:
        os.umask(mask)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o640


@posix
def test_a_write_protected_file_is_kept(file, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for anyone but root
    with pytest.raises(FileFormatError, match="permission denied"):
        replace_file(file, [b"new"])
    assert file.read_bytes() == b"old"


@posix
def test_a_link_stays_a_link(file):
    link = file.with_name("link")
    link.symlink_to(file.name)
    replace_file(link, [b"new"])
    assert link.is_symlink()
    assert file.read_bytes() == b"new"


@posix
def test_a_folder_and_a_pipe_are_refused(file):
    pipe = file.with_name("pipe")
    os.mkfifo(pipe)
    for path, kind in [(file.parent, "a folder"), (pipe, "a device, pipe or socket")]:
        with pytest.raises(FileFormatError, match=kind):
            replace_file(path, [b"new"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none/model.msgpack", "there is no folder"),
        ("model.msgpack/x", "is not a folder"),
        ("a\0b", "cannot be a file's name"),
        pytest.param("x" * 300, "cannot be written", marks=pytest.mark.skipif(sys.platform == "win32", reason="POSIX")),
    ],
)
def test_names_that_cannot_be(file, name, message):
    with pytest.raises(FileFormatError, match=message):
        replace_file(os.path.join(file.parent, name), [b"new"])
    assert listing(file) == ["model.msgpack"]


@posix
def test_a_file_that_replaces_another_is_never_open_to_more_people(file, monkeypatch):
    file.chmod(0o600)
    opened = []
    own = os.open

    def watched(path, flags, mode=0o777, **more):
        descriptor = own(path, flags, mode, **more)
        if flags & os.O_CREAT:
            opened.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", watched)
    replace_file(file, [b"new"])
    assert opened == [0o600]


@posix
def test_a_target_is_checked_without_a_trace(file):
    check_target(file)
    check_target(file.with_name("new.msgpack"))
    assert listing(file) == ["model.msgpack"]
    for wrong in (file.parent, file / "x.msgpack", file.parent / "nowhere" / "x.msgpack", "/dev/null"):
        with pytest.raises(FileFormatError) as caught:
            check_target(wrong)
        assert caught.value.file == str(wrong)
