"""Temporary folders of processes that are killed go later; those of others, and of processes that live, stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataflow.support import temporary
from dataflow.support.temporary import remove_stale, temporary_folder

KEPT_OPEN = """
import sys
from dataflow.support.temporary import temporary_folder
with temporary_folder("mpi", sys.argv[1]) as folder:
    (folder / "arrays").write_text("much")
    print(folder, flush=True)
    sys.stdin.read()
"""


def aged(folder: Path) -> Path:
    os.utime(folder, (0, 0))
    return folder


def test_a_folder_goes_at_the_end(tmp_path: Path) -> None:
    with temporary_folder("sweep", tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith("dataflow-sweep-")
        remove_stale(tmp_path)
        remove_stale(aged(folder).parent)  # however old: this process lives
        assert folder.is_dir()
    assert not [*tmp_path.iterdir()]


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KEPT_OPEN, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        remove_stale(aged(left).parent)
        assert (left / "arrays").exists()  # it lives
        process.kill()
        process.wait()
    with temporary_folder("run", tmp_path):
        assert not left.exists()


def test_what_may_be_anothers_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def left(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / temporary.OWNER).touch()
        return aged(folder)

    unmarked = tmp_path / "dataflow-notes"
    unmarked.mkdir()
    aged(unmarked)
    elsewhere, young = left("elsewhere"), left("dataflow-run-young")
    os.utime(young)
    link = tmp_path / "dataflow-run-link"
    link.symlink_to(elsewhere)
    remove_stale(tmp_path)
    assert all(folder.exists() for folder in (unmarked, elsewhere, young, link))
    old = left("dataflow-run-old")
    if hasattr(os, "getuid"):
        with monkeypatch.context() as patch:
            patch.setattr(os, "getuid", lambda: old.stat().st_uid + 1)
            remove_stale(tmp_path)
            assert old.exists()  # it is another user's
    remove_stale(tmp_path)
    assert not old.exists()
