"""Values that have broken readers of files, and mutations of trees of plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias


@dataclass
class Pairs:
    """A map as a list of pairs, so that a key may stand twice or be no text."""

    items: list[tuple[Any, Any]]


@dataclass(frozen=True)
class Raw:
    """Bytes that stand in the file as they are, where a value is expected."""

    data: bytes


Tree: TypeAlias = Any
"""Plain data with ``Pairs`` for its maps."""

INTEGERS = (
    *(0, 1, -1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 1000, 65535, 65536, 10**6, 2**31 - 1, 2**31),
    *(2**32 - 1, 2**32, 2**40, 2**53 + 1, 2**61, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -2, -128, -(2**31), -(2**63)),
)
FLOATS = (0.0, -0.0, 0.5, 1.0, -1.0, 1.5, 1e-3, 1e300, -1e308, 5e-324, float("inf"), float("-inf"), float("nan"))
NAMES = (
    *"x y W b h z loss n m h.matmul h.W first pi e newaxis None True".split(),
    *"__class__ __init__ __import__ os.system dataflow numpy builtins sys file share".split(),
    *"sum relu matmul reshape index where transpose broadcast_to concatenate one_hot".split(),
    *"softmax_cross_entropy mse layer identity stack ﬁ größe ℵ".split(),
    *("x\u0301", "\u202ex", "x y", "2x"),
)
TEXTS = (
    *("", " ", "\n", "\0", "\x1b[2J", "\ud7ff", "\U0001f600", "é" * 30, "x" * 300, "x" * 1001, "a" * 3000),
    *"float64 float32 int64 int32 bool float16 object <f8 |O complex128 normal zeros".split(),
    *("2*n+1", "(n+1)//2", "n*n*n*n*n*n*n*n", "n//0", "-n", "((((((((((n))))))))))", "n" + "+n" * 90, "9" * 19),
    *"../x.csv /etc/passwd C:\\x.csv a/../../b.csv digits.csv.gz data.csv p0:p63 nan sgd adam".split(),
    *("0, :, ...", "::0", "::-1", "99999999999999999999", "newaxis, newaxis", "parameters/W", "constants/c", "data/x"),
)


def scalar(rng: Random) -> Any:
    """A number, a text, a boolean or nil."""
    kind = rng.randrange(12)
    if kind < 4:
        return rng.choice(INTEGERS) + rng.choice((0, 0, 0, 1, -1))
    if kind < 6:
        return rng.choice(FLOATS)
    if kind < 8:
        return rng.choice(NAMES)
    if kind < 10:
        return rng.choice(TEXTS) if rng.random() < 0.9 else rng.choice(TEXTS) * rng.choice((2, 3, 70))
    return rng.choice((True, False, None))


def value(rng: Random) -> Tree:
    """A scalar, or a small tree; now and then a deep one."""
    kind = rng.randrange(20)
    if kind < 13:
        return scalar(rng)
    if kind < 16:
        return [scalar(rng) for _ in range(rng.choice((0, 0, 1, 2, 3, 33, 65)))]
    if kind < 18:
        return Pairs([(rng.choice(NAMES), scalar(rng)) for _ in range(rng.choice((0, 1, 2, 3)))])
    if kind < 19:
        return [rng.randrange(-3, 4)] * rng.choice((100, 1000))
    return nested(rng, rng.choice((5, 20, 31, 33, 60, 62, 63, 64, 65, 70, 200)))


def nested(rng: Random, depth: int) -> Tree:
    """A tree of that depth with one leaf."""
    inner: Tree = scalar(rng)
    as_map = rng.random() < 0.5
    for _ in range(depth):
        inner = Pairs([("a", inner)]) if as_map else [inner]
    return inner


Place: TypeAlias = tuple[Any, int]
"""A container and a position in it."""


def places(tree: Tree) -> list[Place]:
    """Every value in a tree by the container that it is in; without recursion."""
    path_list: list[Place] = []
    pending = [tree]
    while pending:
        container = pending.pop()
        items = container.items if isinstance(container, Pairs) else container
        for i in range(len(items)):
            path_list.append((container, i))
            item = items[i][1] if isinstance(container, Pairs) else items[i]
            if isinstance(item, (Pairs, list)):
                pending.append(item)
    return path_list


def get(place: Place) -> Tree:
    """What stands at a place."""
    container, i = place
    return container.items[i][1] if isinstance(container, Pairs) else container[i]


def put(place: Place, new: Tree) -> None:
    """Let something else stand at a place."""
    container, i = place
    if isinstance(container, Pairs):
        container.items[i] = (container.items[i][0], new)
    else:
        container[i] = new


def mutate(rng: Random, tree: Tree, other: Tree, extra: Sequence[Callable[[Random], Tree]] = ()) -> None:
    """Change one thing in a tree, in place. ``other`` is a tree from which parts may be taken; ``extra`` makes values
    that only one format has."""
    targets = places(tree)
    if not targets:
        return
    place = rng.choice(targets)
    if rng.random() < 0.4:
        # A container first and then a place in it, so that a long list of nodes does not take every change.
        containers = list({id(container): container for container, _ in targets}.values())
        chosen = rng.choice(containers)
        place = rng.choice([place for place in targets if place[0] is chosen])
    container, i = place
    items = container.items if isinstance(container, Pairs) else container
    old = get(place)
    kind = rng.randrange(14)
    if kind < 3:
        put(place, value(rng))
    elif kind == 3:
        del items[i]
    elif kind == 4:
        items.insert(rng.randrange(len(items) + 1), items[i])
    elif kind == 5:
        put(place, get(rng.choice(targets)))
    elif kind == 6 and (taken := places(other)):
        put(place, get(rng.choice(taken)))
    elif kind == 7 and isinstance(container, Pairs):
        key = rng.choice((rng.choice(NAMES), rng.choice(TEXTS), rng.choice(items)[0], scalar(rng)))
        items[i] = (key if isinstance(key, str) or extra else str(key), old)
    elif kind == 8:
        put(place, rng.choice(([old], [old, old], Pairs([("name", old)]), [])))
    elif kind == 9 and isinstance(old, list) and old:
        put(place, old * rng.choice((2, 3, 40)) if len(old) < 50 else old[: rng.randrange(len(old))])
    elif kind == 10 and extra:
        put(place, rng.choice(extra)(rng))
    elif kind == 11 and isinstance(container, list):
        rng.shuffle(container)
    else:
        put(place, nearby(rng, old))
    if unbounded(tree):
        put(place, None)


def nearby(rng: Random, old: Tree) -> Tree:
    """Something of the same kind."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return old + rng.choice((1, -1, 2, -2, 64, 2**31, -old, -2 * old, old * 2**20 if abs(old) < 2**40 else 0))
    if isinstance(old, float):
        return rng.choice((-old, old * 1e300, old + 1, int(old) if abs(old) < 1e18 else 0, *FLOATS))
    if isinstance(old, str):
        return text(rng, old)
    return value(rng)


def text(rng: Random, old: str) -> str:
    """A text with a character or a part of it changed."""
    i = rng.randrange(len(old) + 1)
    new = rng.choice(
        (
            rng.choice(NAMES),
            rng.choice("()[]+-*/@.,:'\"\\=<> \n\0e0_"),
            chr(rng.choice((127, 0xE9, 0x2028, 0xFFFD, 0x1F600))),
        )
    )
    j = min(len(old), i + rng.choice((0, 0, 1, 1, 2, 5)))
    return old[:i] + (new if rng.random() < 0.7 else "") + old[j:]


def unbounded(tree: Tree) -> bool:
    """Whether a tree has grown beyond what a case should take: it may hold one part many times."""
    count = 0
    pending = [tree]
    while pending:
        item = pending.pop()
        if isinstance(item, Pairs):
            pending += [inner for _, inner in item.items]
        elif isinstance(item, list):
            pending += item
        count += len(item) if isinstance(item, str) else 8
        if count > 400_000:
            return True
    return False


def mangle(rng: Random, data: bytes, other: bytes) -> bytes:
    """Bytes with a few of them changed, taken out, doubled, or taken from elsewhere."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        i = rng.randrange(len(result) + 1)
        length = min(len(result) - i, rng.choice((1, 1, 1, 2, 4, 8, 64)))
        kind = rng.randrange(8)
        if kind == 0 and length:
            result[i] ^= 1 << rng.randrange(8)
        elif kind == 1:
            result[i : i + length] = bytes(
                rng.choice((0, 255, 0x7F, 0x80, 0xC0, rng.randrange(256))) for _ in range(length)
            )
        elif kind == 2:
            del result[i : i + length]
        elif kind == 3:
            result[i:i] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 2, 5))))
        elif kind == 4:
            j = rng.randrange(len(result) + 1)
            result[i:i] = result[j : j + rng.choice((4, 32, 200))]
        elif kind == 5 and other:
            j = rng.randrange(len(other))
            result[i : i + length] = other[j : j + rng.choice((4, 32, 200))]
        elif kind == 6:
            number = (rng.choice(INTEGERS) % 2**64).to_bytes(8, rng.choice(("big", "little")))
            result[i : i + 8] = number
        elif rng.random() < 0.2:
            del result[i:]
    return bytes(result)
