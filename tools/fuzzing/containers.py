"""Hostile msgpack files: the container taken apart, changed, and put together again with right checksums."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import Any

import msgpack

from fuzzing.values import INTEGERS, Pairs, Raw, Tree, mangle, mutate, scalar

PREFIX = 64
FILLER = b"\xc0"


@dataclass
class Parts:
    """A container taken apart: its version, its header without the tensor table, and each tensor's line and payload."""

    version: int
    header: Pairs
    tensors: list[tuple[str, Pairs, bytes]]


def take_apart(data: bytes) -> Parts:
    """The parts of a sound file."""
    end = PREFIX + int.from_bytes(data[38:46], "big")
    header = msgpack.unpackb(data[PREFIX:end], object_pairs_hook=Pairs)
    table = next(line for key, line in header.items if key == "tensors")
    base = -(-end // 64) * 64
    tensors = []
    for name, line in table.items:
        known = dict(line.items)
        start = base + known["offset"]
        tensors.append((name, line, data[start : start + known["size"]]))
    version = int.from_bytes(data[26:30], "big")
    return Parts(version, Pairs([(key, part) for key, part in header.items if key != "tensors"]), tensors)


def put_together(parts: Parts, rng: Random | None = None, lies: Collection[str] = ()) -> bytes:
    """A file of these parts. Without ``rng`` it is sound if they are, but for what of the first line ``lies``; with it,
    its table or its bytes may be not, while checksums stay right most of the time."""
    lines = [(name, Pairs(list(line.items)), payload) for name, line, payload in parts.tensors]
    kept = [lies if i == 0 else () for i in range(len(lines))]
    for (_, line, payload), keep in zip(lines, kept, strict=True):
        _fill_in(line, "offset", Offset(0), keep)
        _fill_in(line, "crc32", zlib.crc32(payload), keep)
    header = Pairs([*parts.header.items, ("tensors", Pairs([(name, line) for name, line, _ in lines]))])
    at = end = PREFIX + len(encode(header))
    base = -(-end // 64) * 64
    tail = b""
    for (_, line, payload), keep in zip(lines, kept, strict=True):
        start = -(-(at + 5) // 64) * 64
        tail += FILLER * (start - at - 5) + b"\xc6" + struct.pack(">I", len(payload)) + payload
        _fill_in(line, "offset", Offset(start - base), keep)
        at = start + len(payload)
    if rng is not None and rng.random() < 0.5 and header.items[-1][1].items:
        _change_line(rng, rng.choice(header.items[-1][1].items))
    data = encode(header)
    if rng is not None and rng.random() < 0.15:
        data = mangle(rng, data, tail)
    if rng is not None and rng.random() < 0.1:
        tail = mangle(rng, tail, data)
    if rng is not None and rng.random() < 0.03:
        tail += bytes(rng.randrange(1, 70))
    return envelope(data, tail, rng, parts.version)


def _fill_in(line: Pairs, key: str, right: Any, keep: Collection[str]) -> None:
    """Give a line of the tensor table the right value, unless it is to keep its own."""
    for i, (name, old) in enumerate(line.items):
        if name == key and key not in keep:
            line.items[i] = (key, right)
        elif name == key == "offset" and isinstance(old, int):
            line.items[i] = (key, Offset(old))


def envelope(data: bytes, tail: bytes, rng: Random | None = None, version: int = 1) -> bytes:
    """The bytes of a file with this encoded header; with ``rng``, now and then a false version, length or checksum."""
    length, change = len(data), 0
    if rng is not None and rng.random() < 0.04:
        version = rng.choice((0, 1, 2, 3, 2**32 - 1))
    if rng is not None and rng.random() < 0.04:
        length = rng.choice((0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1)) % 2**64
    if rng is not None and rng.random() < 0.04:
        change = 1 << rng.randrange(32)
    head = b"\x85\xa6format\xa8dataflow\xa7version\xce" + struct.pack(">I", version)
    head += b"\xa6length\xcf" + struct.pack(">Q", length)
    crc = zlib.crc32(data[:length], zlib.crc32(head)) ^ change
    return head + b"\xa5crc32\xce" + struct.pack(">I", crc) + b"\xa6header" + data + tail


@dataclass(frozen=True)
class Offset:
    """An integer that always takes nine bytes."""

    value: Any


def encode(tree: Tree) -> bytes:
    """Any tree as msgpack, also what no reader should take."""
    packer = msgpack.Packer()
    pieces: list[bytes] = []
    pending: list[Any] = [tree]
    while pending:
        item = pending.pop()
        if isinstance(item, Pairs):
            pieces.append(packer.pack_map_header(len(item.items)))
            for key, inner in reversed(item.items):
                pending += [inner, key]
        elif isinstance(item, list | tuple):
            if all(type(inner) in _PLAIN and (type(inner) is not int or abs(inner) < 2**63) for inner in item):
                pieces.append(packer.pack(item))
            else:
                pieces.append(packer.pack_array_header(len(item)))
                pending += reversed(item)
        elif isinstance(item, Raw):
            pieces.append(item.data)
        elif isinstance(item, Offset):
            pieces.append(
                b"\xcf" + struct.pack(">Q", item.value % 2**64) if isinstance(item.value, int) else encode(item.value)
            )
        elif isinstance(item, int) and not -(2**63) <= item < 2**64:
            pieces.append(packer.pack(item % 2**64))
        elif isinstance(item, str):
            pieces.append(packer.pack(item.encode("utf-8", "surrogatepass").decode("utf-8", "replace")))
        else:
            pieces.append(packer.pack(item))
    return b"".join(pieces)


_PLAIN = {float, bool, int, type(None)}


def copied(tree: Tree) -> Tree:
    """A tree that shares no container with the first."""
    if isinstance(tree, Pairs):
        return Pairs([(key, copied(inner)) for key, inner in tree.items])
    return [copied(inner) for inner in tree] if isinstance(tree, list) else tree


def _change_line(rng: Random, line: tuple[str, Pairs]) -> None:
    """Let a line of the tensor table lie."""
    _, pairs = line
    if not pairs.items:
        return
    i = rng.randrange(len(pairs.items))
    key, old = pairs.items[i]
    number = old.value if isinstance(old, Offset) else old
    kind = rng.randrange(8)
    if kind == 0:
        del pairs.items[i]
    elif kind == 1:
        pairs.items.append((rng.choice(("offset", "size", "shape", "__class__")), scalar(rng)))
    elif kind == 2:
        pairs.items[i] = (key, scalar(rng))
    elif key == "shape" and isinstance(number, list):
        pairs.items[i] = (key, rng.choice(_SHAPES) if rng.random() < 0.5 else [*number, rng.choice(INTEGERS)])
    elif key == "dtype":
        pairs.items[i] = (
            key,
            rng.choice(("<f4", "<f8", "<i4", "<i8", "|b1", "|O", ">f8", "<f2", "<c16", "|V8", "<M8[s]")),
        )
    elif isinstance(number, int):
        new = number + rng.choice((1, -1, 8, -8, 64, -64, 2**32, 2**63 - 1)) if kind < 6 else rng.choice(INTEGERS)
        pairs.items[i] = (key, Offset(new) if isinstance(old, Offset) else new)


_SHAPES: tuple[list[Any], ...] = (
    *(
        [],
        [0],
        [1],
        [-1],
        [2**32, 2**32],
        [2**62, 4],
        [2**63],
        [0, 2**62, 2**62],
        [1] * 32,
        [1] * 33,
        [1] * 64,
        [1] * 65,
    ),
    *([2.0], ["n"], [None], [True], [[2]], [2**31, 2**31, 2], [3, 2], [2, 3], [6]),
)


# ------------------------------------------------------------------------------------------------ the kinds


def any_bytes(rng: Random, seeds: list[bytes]) -> bytes:
    """Any byte of a file changed; a checksum tells most of it."""
    data, other = rng.choice(seeds), rng.choice(seeds)
    return mangle(rng, data, other)


def header_bytes(rng: Random, seeds: list[bytes]) -> bytes:
    """Any byte of the header changed, with length and checksum made right."""
    data, other = rng.choice(seeds), rng.choice(seeds)
    end = PREFIX + int.from_bytes(data[38:46], "big")
    header = mangle(rng, data[PREFIX:end], other)
    return envelope(
        header, data[end:] if rng.random() < 0.7 else FILLER * ((end - PREFIX - len(header)) % 64) + data[end:]
    )


def header_tree(rng: Random, seeds: list[bytes]) -> bytes:
    """The structure of the header changed, with everything else made right."""
    known, other = _parts(rng.choice(seeds)), _parts(rng.choice(seeds))
    parts = Parts(known.version, copied(known.header), known.tensors)
    # A copy as well: what is taken from it may be changed by the next mutation, and the parts are kept for other cases.
    taken = copied(other.header)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
        mutate(rng, parts.header, taken, _EXTRA)
    return put_together(parts)


def tensors(rng: Random, seeds: list[bytes]) -> bytes:
    """The tensor table and the tensors changed, with offsets and checksums made right most of the time."""
    known = _parts(rng.choice(seeds))
    parts = Parts(known.version, known.header, list(known.tensors))
    lines = parts.tensors
    if lines and rng.random() < 0.5:
        i = rng.randrange(len(lines))
        name, line, payload = lines[i]
        kind = rng.randrange(6)
        if kind == 0:
            del lines[i]
        elif kind == 1:
            lines.insert(rng.randrange(len(lines) + 1), lines[i])
        elif kind == 2:
            lines[i] = (
                rng.choice(("", name + ".", "data/x", "parameters/zzz", "training/0", "x" * 2000)),
                line,
                payload,
            )
        elif kind == 3:
            rng.shuffle(lines)
        elif kind == 4:
            lines[i] = (name, line, bytes(rng.randrange(256) for _ in payload))
        else:
            special = struct.pack("<d", rng.choice((float("nan"), float("inf"), 1e308, 5e-324)))
            lines[i] = (name, line, (special * len(payload))[: len(payload)])
    return put_together(parts, rng)


_CACHE: dict[bytes, Parts] = {}


def _parts(data: bytes) -> Parts:
    if data not in _CACHE:
        _CACHE[data] = take_apart(data)
    return _CACHE[data]


def _raw(*options: bytes) -> Any:
    return lambda rng: Raw(rng.choice(options))


_EXTRA = (
    _raw(b"\xd6\xff" + bytes(4), b"\xd7\xff" + bytes(8), b"\xc7\x0c\xff" + bytes(12), b"\xd4\x01\x00", b"\xc7\x00\x05"),
    _raw(b"\xc4\x03abc", b"\xc5\x00\x01a", b"\xc6\x00\x00\x00\x02ab", b"\xc1", b"\xc6\xff\xff\xff\xff"),
    _raw(
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xdc\xff\xff",
        b"\xde\x00\x02\xa1a\x01\xa1a\x02",
    ),
    _raw(
        b"\xa4\xff\xfe\xfd\xfc",
        b"\xa2\xc3\x28",
        b"\xa3\xed\xa0\x80",
        b"\xd9\x05abc",
        b"\xd9\x01a",
        b"\xce\x00\x00\x00\x01",
    ),
    _raw(
        b"\x81\x01\x02",
        b"\x81\xc0\xc0",
        b"\x82\xa1a\xc0\xa1a\xc0",
        b"\x91" * 70 + b"\xc0",
        (b"\x81\xa1a" * 70) + b"\xc0",
    ),
    lambda rng: Raw(b"\xdc\x27\x10" + rng.choice((b"\x80", b"\x90", b"\xa0", b"\x91\xc0")) * 10_000),
)
