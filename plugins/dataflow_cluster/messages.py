"""Messages on a socket between two processes of ours: a map in msgpack, and bytes of arrays behind it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np


def send(to: socket.socket, message: Mapping[str, Any], *arrays: np.ndarray) -> None:
    """Send a message with the bytes of arrays."""
    flat = [np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in arrays]
    head = msgpack.packb([dict(message), [len(one) for one in flat]])
    to.sendall(len(head).to_bytes(8, "little") + head)
    for one in flat:
        to.sendall(one)


def receive(of: socket.socket) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The next message, and the bytes of its arrays; an ``EOFError`` if the other end is gone."""
    length = int.from_bytes(_read(of, 8).tobytes(), "little")
    message, sizes = msgpack.unpackb(_read(of, length).tobytes())
    return message, [_read(of, size) for size in sizes]


def _read(of: socket.socket, size: int) -> np.ndarray:
    found = np.empty(size, np.uint8)
    left = memoryview(found)
    while left:
        try:
            count = of.recv_into(left)
        except ConnectionError:
            count = 0
        if not count:
            raise EOFError
        left = left[count:]
    return found
