"""Rank 0 of ``mpi:N``: it does what the process says that started all, on a socket of Unix."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dataflow.backends.joined import Joined
from dataflow.errors import DataflowError
from dataflow_cluster.messages import receive, send
from dataflow_cluster.mpi_ranks import Ranks, join
from dataflow_cluster.packing import shared


def serve_locally(path: str) -> None:
    """What a process of ``mpi:N`` does: rank 0 gets what to say from the process that started all, on a socket."""
    join()
    ranks, taken = Ranks(), np.empty(0, np.uint8)
    with socket.socket(socket.AF_UNIX) as parent:
        parent.connect(path)
        while True:
            try:
                message, arrays = receive(parent)
                if "setup" in message:
                    ranks.place(message["setup"], message["needs"], lambda number: shard_from(parent, number))
                    send(parent, {"taken": _kinds(ranks.work.taken), "given": _kinds(ranks.work.given)})
                elif "each" in message:
                    relay(parent, ranks, message["each"], arrays)
                elif "shared" in message:
                    taken = ranks.share(shared(message["shared"]))
                    send(parent, {})
                else:
                    ranks.step(message["tasks"], *arrays, taken)
                    send(parent, {})
            except DataflowError as error:
                send(parent, {"error": str(error)})
            except (EOFError, BrokenPipeError):  # it has ended, in whatever way
                return


def shard_from(parent: socket.socket, number: int) -> dict[str, np.ndarray]:
    """What a rank keeps, which the process that started all has."""
    send(parent, {"shard": number})
    message, arrays = receive(parent)
    return {
        name: array.view(dtype).reshape(shape)
        for (name, dtype, shape), array in zip(message["arrays"], arrays, strict=True)
    }


def relay(parent: socket.socket, ranks: Ranks, needs: Mapping[str, Any], inputs: Sequence[np.ndarray]) -> None:
    """Do what ``LocalRanks.each`` wants: each message asks for a task or whether to end, or tells, and gets an
    answer."""

    def ask(message: Mapping[str, Any], *arrays: np.ndarray) -> tuple[dict[str, Any], list[np.ndarray]]:
        send(parent, message, *arrays)
        return receive(parent)

    def tasks() -> Iterator[bytes]:
        while (answer := ask({"want": "task"}))[1]:
            yield answer[1][0].tobytes()

    packed_inputs = [one.tobytes() for one in inputs]
    for number, kind, data in ranks.each(packed_inputs, needs, tasks(), lambda: bool(ask({"want": "end"})[0]["end"])):
        ask({"number": number, "kind": kind}, np.frombuffer(data, np.uint8))
    send(parent, {"want": "nothing"})


def _kinds(joined: Joined) -> list[Any]:
    return [[list(array.shape), array.dtype.str] for array in joined.arrays]
