"""The same sums between processes of this machine, over sockets of 127.0.0.1, with a latency that is injected."""

from __future__ import annotations

import multiprocessing
import queue
import socket
import statistics
import struct
import threading
import time
from typing import Any

import numpy as np

from scaling.patterns import PATTERNS, Pieces, Send, piece_count

_HEAD = struct.Struct("<dqq")  # when it left, the number of a piece, its bytes


def measure(pattern: str, size: int, workers: int, latency: float, rounds: int) -> float:
    """Seconds until the last worker has the sum of vectors of ``size`` bytes, the median of the rounds. A message is
    used no earlier than ``latency`` seconds after it left."""
    context = multiprocessing.get_context("fork")
    links = _links(workers)
    barrier, results = context.Barrier(workers), context.Queue()
    members = [
        context.Process(
            target=_work, args=(pattern, rank, workers, size, latency, rounds, links, barrier, results), daemon=True
        )
        for rank in range(workers)
    ]
    for member in members:
        member.start()
    times = [results.get(timeout=120) for _ in members]
    for member in members:
        member.join()
    for pair in links.values():
        pair.close()
    return statistics.median(max(one) for one in zip(*times, strict=True))


def _work(
    pattern: str,
    rank: int,
    workers: int,
    size: int,
    latency: float,
    rounds: int,
    links: dict[tuple[int, int], socket.socket],
    barrier: Any,
    results: Any,
) -> None:
    leaving: queue.SimpleQueue[tuple[int, Pieces]] = queue.SimpleQueue()

    def send() -> None:
        while True:
            to, pieces = leaving.get()
            now, link = time.monotonic(), links[rank, to]
            link.sendall(_HEAD.pack(now, len(pieces), 0))
            for number, array in pieces.items():
                link.sendall(_HEAD.pack(now, number, array.nbytes))
                link.sendall(array)

    threading.Thread(target=send, daemon=True).start()
    times, count = [], piece_count(pattern, workers)
    for _ in range(rounds + 1):
        own: Pieces = dict(enumerate(np.array_split(np.full(size // 4, rank, np.float32), count)))
        barrier.wait()
        begin = time.monotonic()
        steps, got = PATTERNS[pattern](rank, workers, own), None
        try:
            while True:
                step = steps.send(got)  # type: ignore[arg-type]
                got = None
                if isinstance(step, Send):
                    leaving.put((step.to, step.pieces))
                else:
                    got = _receive(links[rank, step.source], latency)
        except StopIteration:
            times.append(time.monotonic() - begin)
        assert all((piece == workers * (workers - 1) / 2).all() for piece in own.values()), "a worker has another sum"
    barrier.wait()
    results.put(times[1:])


def _receive(link: socket.socket, latency: float) -> Pieces:
    left, count, _ = _HEAD.unpack(_exactly(link, _HEAD.size))
    pieces = {}
    for _ in range(count):
        _, number, length = _HEAD.unpack(_exactly(link, _HEAD.size))
        pieces[number] = np.frombuffer(_exactly(link, length), np.float32)
    time.sleep(max(0.0, left + latency - time.monotonic()))
    return pieces


def _exactly(link: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        view = view[link.recv_into(view) :]
    return data


def _links(workers: int) -> dict[tuple[int, int], socket.socket]:
    """A connection between any two workers, by who uses this end and who is at the other."""
    links = {}
    with socket.create_server(("127.0.0.1", 0)) as server:
        for first in range(workers):
            for second in range(first):
                here = socket.create_connection(server.getsockname())
                there, _ = server.accept()
                for end in (here, there):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                links[first, second], links[second, first] = here, there
    return links
