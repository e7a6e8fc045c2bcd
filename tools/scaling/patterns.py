"""How workers sum a vector, step by step. A pattern yields what a worker does: ``Send`` goes on at once, ``Receive``
gets the next message from another worker. The vector is a list of pieces, which travel alone or together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Pieces: TypeAlias = "dict[int, Any]"


@dataclass(frozen=True)
class Send:
    """Pieces for another worker."""

    to: int
    pieces: Pieces


@dataclass(frozen=True)
class Receive:
    """The next pieces from a worker."""

    source: int


Steps: TypeAlias = "Generator[Send | Receive, Pieces, None]"


def star(rank: int, workers: int, own: Pieces) -> Steps:
    """All send to the first, which sends the sum back."""
    if rank:
        yield Send(0, dict(own))
        own |= yield Receive(0)
        return
    for other in range(1, workers):
        _add(own, (yield Receive(other)))
    for other in range(1, workers):
        yield Send(other, dict(own))


def tree(rank: int, workers: int, own: Pieces) -> Steps:
    """Sums go up a binomial tree, and the last comes down it."""
    distance = 1
    while distance < workers and not rank & distance:
        if rank + distance < workers:
            _add(own, (yield Receive(rank + distance)))
        distance *= 2
    if rank:
        yield Send(rank - distance, dict(own))
        own |= yield Receive(rank - distance)
    while distance := distance // 2:
        if rank + distance < workers:
            yield Send(rank + distance, dict(own))


def ring(rank: int, workers: int, own: Pieces) -> Steps:
    """One piece at a time goes to the next worker, once round to be added to, once to be shared."""
    after, before = (rank + 1) % workers, (rank - 1) % workers
    for step in range(workers - 1):
        piece = (rank - step) % workers
        yield Send(after, {piece: own[piece]})
        _add(own, (yield Receive(before)))
    for step in range(workers - 1):
        piece = (rank + 1 - step) % workers
        yield Send(after, {piece: own[piece]})
        own |= yield Receive(before)


def halving(rank: int, workers: int, own: Pieces) -> Steps:
    """A half, a quarter, ... goes to partners farther and nearer, and comes back as a sum."""
    power = 1 << (workers.bit_length() - 1)
    if rank >= power:
        yield Send(rank - power, dict(own))
        own |= yield Receive(rank - power)
        return
    if rank + power < workers:
        _add(own, (yield Receive(rank + power)))
    low, high, distance = 0, len(own), power // 2
    kept = []
    while distance:
        middle, partner = (low + high) // 2, rank ^ distance
        kept.append((low, high, partner))
        mine, other = ((middle, high), (low, middle)) if rank & distance else ((low, middle), (middle, high))
        yield Send(partner, {i: own[i] for i in range(*other)})
        _add(own, (yield Receive(partner)))
        (low, high), distance = mine, distance // 2
    for before, behind, partner in reversed(kept):
        yield Send(partner, {i: own[i] for i in range(low, high)})
        own |= yield Receive(partner)
        low, high = before, behind
    if rank + power < workers:
        yield Send(rank + power, dict(own))


PATTERNS: Mapping[str, Callable[[int, int, Pieces], Steps]] = {
    "star": star,
    "tree": tree,
    "ring": ring,
    "halving": halving,
}


def piece_count(pattern: str, workers: int) -> int:
    """Into how many pieces of one length the vector is divided: as many as a pattern can send in equal shares."""
    return 1 << (workers.bit_length() - 1) if pattern == "halving" else workers


def _add(own: Pieces, others: Pieces) -> None:
    for piece, content in others.items():
        own[piece] = own[piece] + content
