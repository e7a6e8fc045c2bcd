"""Hostile data files: CSV, packed CSV, JSON and NumPy archives."""

from __future__ import annotations

import gzip
import io
import json
import struct
import warnings
import zipfile
import zlib
from random import Random
from typing import Any

from fuzzing.toml import as_tree
from fuzzing.values import FLOATS, INTEGERS, NAMES, Pairs, Raw, Tree, mangle, mutate

_CELLS = (
    *("", " "),
    *"nan NaN inf -inf 1e400 1e-400 1_000 0x10 1.5 -0 true".split(),
    *("'1'", '"1"', '"', '""', '"a', "9" * 400, "1" * 5000),
    *"٣ １ 1,2 1;2".split(),
    *("\t1", "1e5", "--1", "x", "#", "\0", "é", "\u2028", "9223372036854775808", "a" * 300),
)


def csv(rng: Random, seeds: list[bytes]) -> bytes:
    """Cells, rows and bytes of a table changed."""
    rows = [line.split(",") for line in rng.choice(seeds).decode().splitlines()]
    for _ in range(rng.choice((1, 1, 2, 3))):
        row = rng.choice(rows)
        i = rng.randrange(len(row) + 1)
        kind = rng.randrange(8)
        if kind < 3:
            row[i : i + 1] = [rng.choice(_CELLS)]
        elif kind == 3:
            row[i:i] = [rng.choice(_CELLS)]
        elif kind == 4:
            del row[i : i + 1]
        elif kind == 5:
            row[i : i + 1] = [str(rng.choice((*INTEGERS, *FLOATS, *NAMES)))]
        elif kind == 6:
            rows.insert(rng.randrange(len(rows) + 1), list(rng.choice((row, [], [""], ["0"] * 50))))
        elif len(rows) > 1:
            rows.remove(row)
    data = rng.choice(("\n", "\n", "\n", "\r\n", "\r")).join(",".join(row) for row in rows).encode("utf-8", "replace")
    return mangle(rng, data, rng.choice(seeds)) if rng.random() < 0.2 else data


def packed_csv(rng: Random, seeds: list[bytes]) -> bytes:
    """A packed table: the table changed, the packing changed, much packed into little, or one packing after another."""
    kind = rng.randrange(8)
    if kind == 0:
        unit = rng.choice((b"\0", b"\n", b"x,y\n", b"1,", b'"', b"x\n1\n"))
        return gzip.compress(unit * rng.choice((1000, 60_000)), 9, mtime=0)
    if kind == 1:
        return _packed(csv(rng, seeds)) + _packed(csv(rng, seeds))
    data = _packed(csv(rng, seeds))
    if kind < 5:
        data = mangle(rng, data, b"")
    elif kind == 5:
        data += rng.choice((b"\0" * 9, b"x", b"\x1f\x8b", data))
    return data


def _packed(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def json_file(rng: Random, seeds: list[bytes]) -> bytes:
    """What a JSON file holds changed, and its bytes."""
    if rng.random() < 0.3:
        return mangle(rng, rng.choice(seeds), rng.choice(seeds))
    data, other = (as_tree(json.loads(rng.choice(seeds))) for _ in range(2))
    holder = [data]
    for _ in range(rng.choice((1, 1, 2))):
        mutate(rng, holder, [other], (_odd,))
    return _written(holder[0] if holder else None).encode("utf-8", "replace")


def archive(rng: Random, seeds: list[bytes]) -> bytes:
    """An .npz file: its bytes changed, or built with headers that lie."""
    if rng.random() < 0.3:
        return mangle(rng, rng.choice(seeds), rng.choice(seeds))
    buffer = io.BytesIO()
    packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(buffer, "w", packing) as made:
        for name in ("x", "y"):
            if rng.random() < 0.95:
                info = zipfile.ZipInfo(
                    rng.choice((f"{name}.npy",) * 8 + (name, f"../{name}.npy", f"{name}.npy/", "a" * 300))
                )
                info.compress_type = packing
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # that a name stands twice is meant
                    made.writestr(info, _member(rng, name))
    data = buffer.getvalue()
    return mangle(rng, data, b"") if rng.random() < 0.2 else data


def _member(rng: Random, name: str) -> bytes:
    shape = (4, 2) if name == "x" else (4, 1)
    descr, order, tail = "<f8", "False", bytes(8 * shape[0] * shape[1])
    shown = str(shape)
    kind = rng.randrange(10)
    if kind == 0:
        shown = rng.choice(
            (
                "(4294967296, 4294967296)",
                "(-4, -2)",
                "(1,)*99",
                "()",
                "(4, 2, 0)",
                "[4, 2]",
                "(4, 2",
                "(True, 8)",
                "(4.0, 2)",
            )
        )
    elif kind == 1:
        descr = rng.choice(
            ("|O", "<f4", ">f8", "<c16", "|S8", "<M8[s]", "f8, f8", "|V8", "<i8", "|u1", "<f2", "<g", "x" * 300)
        )
    elif kind == 2:
        tail = tail[: rng.randrange(len(tail))] if rng.random() < 0.5 else tail + bytes(rng.choice((1, 8, 64)))
    elif kind == 3:
        order = rng.choice(("True", "None", "1", "__import__('os')", "(" * 500 + ")" * 500))
    elif kind == 4:
        tail = struct.pack("<d", rng.choice(FLOATS)) * (len(tail) // 8)
    text = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shown}, }}"
    if kind == 5:
        text = rng.choice(
            (
                "",
                "{}",
                "1",
                "(" * 3000,
                "{'a': 1}",
                text + text,
                text.replace("'", '"'),
                text[:-3],
                "[" * 100 + "]" * 100,
            )
        )
    header = text.encode() + b" " * (-(len(text) + 11) % 64) + b"\n"
    version = rng.choice((1,) * 8 + (2, 3, 9))
    length = len(header) if kind != 6 else rng.choice((0, 1, 65535, len(header) + 8))
    packed = struct.pack("<H" if version == 1 else "<I", length)
    return b"\x93NUMPY" + bytes((version, 0)) + packed + header + tail


def _odd(rng: Random) -> Tree:
    return Raw(
        rng.choice(
            (b"NaN", b"-Infinity", b"1e999", b"1" * 5000, b"[" * 5000, b'"\\ud800"', b"{", b"1,2", b"tru", b"'a'")
        )
    )


def _written(item: Tree) -> str:
    """JSON that may hold a key twice, and texts that are no JSON; trees deeper than Python likes are cut."""
    return _json(item, 0)


def _json(item: Any, depth: int) -> str:
    if depth > 150:
        return "[" * 2000
    if isinstance(item, Pairs):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {_json(inner, depth + 1)}" for key, inner in item.items) + "}"
    if isinstance(item, list):
        return "[" + ", ".join(_json(inner, depth + 1) for inner in item) + "]"
    return item.data.decode() if isinstance(item, Raw) else json.dumps(item)


def bomb(unit: bytes, size: int) -> bytes:
    """A gzip file that unpacks to ``size`` bytes, made without ever holding them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = unit * (2**20 // len(unit))
    pieces = [packer.compress(block) for _ in range(size // len(block))]
    return b"".join([*pieces, packer.flush()])
