"""``mpi:N``: processes of MPI here, started for a run. This process is none of them, and outlives them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from dataflow.backends.cluster import Shards, Task, Workers
from dataflow.backends.joined import Joined
from dataflow.errors import MissingExtraError, TrainingError
from dataflow.support.temporary import temporary_folder
from dataflow.support.texts import shorten
from dataflow_cluster.messages import receive, send
from dataflow_cluster.packing import HEAD, packed, shared

SECONDS = 60
"""How long MPI may take to start."""
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from dataflow_cluster.mpi_served import serve_locally; serve_locally(sys.argv[2])"
)
"""The path is this process's, so that the same plugins are found."""


class LocalRanks(Workers):
    """So many processes, to whose rank 0 a socket of Unix leads."""

    def __init__(self, count: int) -> None:
        self.count, self._stack = count, ExitStack()
        scripts = sysconfig.get_path("scripts")
        # the first starts processes here alone, and listens on no port
        found = (shutil.which(name, path=scripts) for name in ("mpiexec.gforker", "mpiexec"))
        mpiexec = next(filter(None, found), None) or shutil.which("mpiexec")
        if mpiexec is None:
            raise MissingExtraError('mpi:N needs mpiexec: pip install "dataflow-autodiff[mpi]", which brings MPICH')
        try:
            self._open(mpiexec)
        except BaseException:
            self.close()
            raise

    def place(self, setup: bytes, needs: Mapping[str, Any], shards: Shards) -> None:
        answer, _ = self._ask({"setup": setup, "needs": dict(needs)})
        while "shard" in answer:
            own = shards(answer["shard"])
            kinds = [[name, array.dtype.str, list(array.shape)] for name, array in own.items()]
            answer, _ = self._ask({"arrays": kinds}, *own.values())
        taken, given = ([(tuple(shape), np.dtype(kind)) for shape, kind in answer[key]] for key in ("taken", "given"))
        self._given = Joined(given)
        size = len(Joined(taken).bytes)
        memory = self._shared(size + self.count * (HEAD + len(self._given.bytes)))
        self._taken, self._results = Joined(taken, memory), memory[size:].reshape(self.count, -1)

    def run(self, arrays: Sequence[np.ndarray], tasks: Sequence[Task]) -> list[list[np.ndarray]]:
        self._taken.take(arrays)
        self._ask({"tasks": len(tasks)}, *packed(tasks))
        return [self._given.views(row[HEAD:]) for row in self._results[: len(tasks)]]

    def each(
        self,
        inputs: Sequence[bytes],
        needs: Mapping[str, Any],
        tasks: Iterable[bytes],
        asked_to_end: Callable[[], bool],
    ) -> Iterator[tuple[int, str, bytes]]:
        following = iter(tasks)
        message, arrays = self._ask({"each": dict(needs)}, *(np.frombuffer(one, np.uint8) for one in inputs))
        while (want := message.get("want")) != "nothing":
            if want is None:
                yield message["number"], message["kind"], arrays[0].tobytes()
            task = next(following, None) if want == "task" else None
            answer = {"end": asked_to_end()} if want == "end" else {}
            message, arrays = self._ask(answer, *([] if task is None else [np.frombuffer(task, np.uint8)]))

    def close(self) -> None:
        self._stack.close()

    def _open(self, mpiexec: str) -> None:
        folder = self._stack.enter_context(temporary_folder("mpi"))
        self._errors = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
        listening = self._stack.enter_context(socket.socket(socket.AF_UNIX))
        path = str(folder / "ranks")
        listening.bind(path)
        listening.listen(1)
        listening.settimeout(0.1)
        folders = json.dumps([os.path.abspath(folder) for folder in sys.path])
        # what the ranks tell each other need not leave this machine
        own = {"HYDRA_IFACE": "lo", "UCX_NET_DEVICES": "lo", "FI_TCP_IFACE": "lo"} if sys.platform == "linux" else {}
        self._job = subprocess.Popen(
            [mpiexec, "-n", str(self.count), sys.executable, "-P", "-c", _START, folders, path],
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
            env={**own, **os.environ},
            start_new_session=True,  # Ctrl-C at the terminal reaches this process alone
        )
        self._stack.callback(self._end)
        until = time.monotonic() + SECONDS
        while True:
            try:
                self._rank, _ = listening.accept()
            except TimeoutError:
                if self._job.poll() is not None or time.monotonic() > until:
                    raise TrainingError(f"MPI does not start{self._reason()}") from None
                continue
            self._stack.callback(self._rank.close)
            return

    def _shared(self, size: int) -> np.ndarray:
        """Memory that rank 0 sees as well."""
        for folder in ("/dev/shm", None):
            try:
                inside = self._stack.enter_context(temporary_folder("mpi", folder))
                memory = shared(path := str(inside / "arrays"), size)
                break
            except OSError as error:  # there is none of the first, or it is too small
                lack = error.strerror
        else:
            raise TrainingError(f"there is no room for {size} bytes in a temporary folder: {lack}")
        self._ask({"shared": path})
        Path(path).unlink()  # both have it by now, and nothing is left if this process is killed
        return memory

    def _ask(self, message: Mapping[str, Any], *arrays: np.ndarray) -> tuple[dict[str, Any], list[np.ndarray]]:
        try:
            send(self._rank, message, *arrays)
            answer, found = receive(self._rank)
        except (EOFError, OSError):
            raise TrainingError(
                f"a process of MPI has died, and with it the others{self._reason()}; resume goes on from the last "
                "checkpoint, if there is one"
            ) from None
        if "error" in answer:
            raise TrainingError(answer["error"])
        return answer, found

    def _end(self) -> None:
        """Wait for the job, whose rank 0 sees that the socket is closed; end it if that takes too long."""
        try:
            self._job.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._job.terminate()
            try:
                self._job.wait(5)
            except subprocess.TimeoutExpired:
                self._job.kill()
                self._job.wait()

    def _reason(self) -> str:
        try:
            self._job.wait(5)
        except subprocess.TimeoutExpired:
            return ""
        self._errors.seek(0)
        lines = [line.strip("=| \t") for line in self._errors.read()[-4000:].decode("utf-8", "replace").splitlines()]
        told = [line for line in lines if "Error" in line or "EXIT STRING" in line or "EXIT CODE" in line]
        return f": {shorten(told[-1], 200)}" if told else ""
