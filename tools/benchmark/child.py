"""A process of its own for each peer: pinned to its processors, stopped while others run."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.peers import find
from benchmark.workloads import WORKLOADS

BENCH = Path(__file__).resolve().parent.parent / "bench.py"
SAME_STEPS = 10
"""After so many steps every peer's parameters are compared."""
_GUARD = 'read -r line; kill -s KILL -- "-$0"'
"""What ends a group of processes at the end of its standard input, which comes with the end of the parent, however
that ends. A stopped child could not see it."""
_CHILDREN: list[Child] = []


def serve(peer: str, workload: str, threads: int, result: str) -> None:
    """The child: build, take the first step, write the result of ten steps to the file ``result``, then run as many
    steps as each line on standard input says, and answer with the seconds."""
    say = answers()
    start = time.perf_counter()
    work = find(peer).make(WORKLOADS[workload], threads)
    built = time.perf_counter()
    work.run(1)
    first = time.perf_counter()
    say(build=built - start, first=first - built)
    work.run(SAME_STEPS - 1)
    if result and (found := work.result()) is not None:
        np.save(result, found)
    say(memory=peak_memory())
    for line in sys.stdin:
        steps = int(line)
        begun = time.perf_counter()
        work.run(steps)
        say(seconds=time.perf_counter() - begun, memory=peak_memory())


def peak_memory() -> float:
    """The most memory that this process has held, in MiB."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # what getrusage says includes the parent's
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except (OSError, StopIteration):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


class Child:
    """The parent's side. ``failed`` says what went wrong, if something did; it is empty once the child has ended as it
    should."""

    def __init__(self, arguments: list[str], threads: int, log: Path, caches: Path) -> None:
        self.failed: str | None = None
        self.started = time.perf_counter()
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(BENCH), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(threads, caches),
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _CHILDREN.append(self)
        _pin(self._process.pid, threads)
        assert self._process.stdout is not None
        self._answers, self._said = self._process.stdout.fileno(), b""

    def answer(self, timeout: float) -> dict[str, Any]:
        """The next line; an empty one where the child failed or takes too long."""
        end = time.perf_counter() + timeout
        while b"\n" not in self._said:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.perf_counter()))
            more = os.read(self._answers, 65536) if ready else b""
            if not more:
                self.failed = self._reason() if ready else f"takes longer than {timeout:.0f} s"
                self.end()
                return {}
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ready(self, timeout: float) -> dict[str, Any]:
        """What the child says when it has built, and when it has taken its first steps."""
        said = self.answer(timeout)
        return said | self.answer(timeout) if self.failed is None else said

    def time(self, steps: int, timeout: float = 300) -> float:
        """Seconds for so many steps; NaN where it failed."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n".encode())
        self._process.stdin.flush()
        return float(self.answer(timeout).get("seconds", "nan"))

    def pause(self) -> None:
        """Let others run."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        self._send(signal.SIGCONT)

    def end(self) -> None:
        """End the process and wait for it."""
        for process in (self._guard, self._process):
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.wait()

    def _send(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _reason(self) -> str:
        if self._process.wait() == 0:
            return ""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else f"ended with status {self._process.wait()}"


def end_all() -> None:
    """End every child that is left."""
    while _CHILDREN:
        _CHILDREN.pop().end()


def environment(threads: int, caches: Path) -> dict[str, str]:
    """So many threads for everyone, compilers' caches in a folder of this run, OpenBLAS's own choice of kernels."""
    kept = {name: value for name, value in os.environ.items() if name not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    counts = ("OMP", "OPENBLAS", "MKL")
    return {
        **kept,
        **{f"{name}_NUM_THREADS": str(threads) for name in counts},
        "DATAFLOW_THREADS": str(threads),
        "XDG_CACHE_HOME": str(caches),
        "DATAFLOW_CACHE": str(caches / "dataflow"),
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
        "JAX_PLATFORMS": "cpu",
    }


def _pin(process: int, threads: int) -> None:
    """Let the process run on as many processors as it has threads; at once, before it has read a line of Python."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process, sorted(os.sched_getaffinity(0))[-threads:])


def answers() -> Any:
    """A function that writes one line of JSON to standard output, which nothing else gets from here on."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**answer: Any) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    return say
