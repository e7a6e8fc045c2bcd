"""The same file, data and seed give the same bytes in every process."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from checkout import MODELS

FILES = [
    "train models/digits.toml --epochs 2 -o digits.msgpack --checkpoint run",
    "train models/xor.toml --epochs 20 -o xor.toml --plot loss.svg",
    "train models/wine.toml --epochs 3 --plot loss.pdf --seed 7 -o wine.msgpack",
    "convert models/deep.toml deep.msgpack",
    "convert deep.msgpack deep.toml",
    "draw models/xor.toml --backward --values -o xor.svg",
    "draw models/deep.toml --backward -o deep.dot",
    "draw models/xor.toml --both -o xor.tex",
    "draw models/xor.toml -o xor.mmd",
    "draw models/deep.toml --backward -o deep.png",
    "explain models/xor.toml --wrt W1 --example 3 --format html --output explained.html",
]
PRINTED = [
    "explain models/xor.toml --wrt W1,W2 --json",
    "explain models/xor.toml --wrt W1 --format latex",
    "run models/wine.toml --json",
    "check models/deep.toml --json",
    "jacobian models/xor.toml --of yhat --wrt W1 --json",
    "gradients models/xor.toml --mode hessian --json",
    "explain models/xor-scalars.toml --wrt w1 --symbolic",
    "train models/wine.toml --epochs 2 --batch-size 16 --json",
    "ops --json",
    "ops",
]
COMMANDS = [*FILES, *PRINTED]
FEW = [FILES[0], FILES[3], FILES[5], PRINTED[0], PRINTED[2]]
"""One of each kind, for many processes."""
SCRIPT = """
import contextlib, sys
from dataflow.cli import main
for number, line in enumerate(sys.stdin.read().splitlines()):
    with open(f"printed-{number}.txt", "w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        try:
            main(line.split())
        except SystemExit as end:
            assert not end.code, (line, end.code)
"""


def bytes_of_everything(commands: list[str], folder: Path, hash_seed: int) -> dict[str, str]:
    """A digest of each file that a process leaves behind."""
    folder.mkdir()
    shutil.copytree(MODELS, folder / "models")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input="\n".join(commands),
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = sorted(path for path in folder.rglob("*") if path.is_file() and "models" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in made}


@pytest.mark.parametrize(
    ("count", "commands"),
    [(2, FEW), pytest.param(2, COMMANDS, marks=pytest.mark.slow), pytest.param(20, FEW, marks=pytest.mark.slow)],
    ids=["2", "2, all commands", "20"],
)
def test_the_same_bytes_from_every_process(tmp_path: Path, count: int, commands: list[str]) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, *others = pool.map(
            lambda i: bytes_of_everything(commands, tmp_path / f"process{i}", 7919 * i), range(count)
        )
    named = {words[words.index("-o") + 1] for line in commands if "-o" in (words := line.split())}
    assert {*named, "run/checkpoint-000002-000000.msgpack"} <= first.keys()
    assert len(first) >= len(commands) + len(named)
    for other in others:
        assert other == first
