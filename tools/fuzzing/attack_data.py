"""Attacks in data files."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile

from fuzzing.datasets import bomb

HEADER = b"x0,x1,y\n"
HOST = """dataflow = 1
inputs.x = { shape = ["n", 2] }
inputs.y = { shape = ["n", 1] }
nodes.loss = "sum((x @ [1.0, 2.0] - y[:, 0]) ** 2)"
model.loss = "loss"
"""


def files() -> dict[str, bytes]:
    """Files by name."""
    return {"host.toml": HOST.encode(), **_tables(), **_packed(), **_json(), **_archives()}


def _tables() -> dict[str, bytes]:
    return {
        "empty.csv": b"",
        "header-only.csv": HEADER,
        "nul.csv": HEADER + b"1,2,\0\n",
        "not-utf8.csv": HEADER + b"1,2,\xff\n",
        "utf16.csv": ("x0,x1,y\n" + "1,2,3\n" * 9).encode("utf-16-le"),
        "ragged.csv": HEADER + b"1,2,3\n1,2\n",
        "open-quote.csv": HEADER + b'1,2,"3\n4,5,6\n',
        "missing.csv": HEADER + b"1,,3\n",
        "nan.csv": HEADER + b"1,nan,3\n",
        "digits.csv": HEADER + b"1,2," + b"9" * 100_000 + b"x\n",
        "formula.csv": HEADER + b"1,2,=cmd|' /C calc'!A0\n",
        "column-twice.csv": b"x0,x0,y\n1,2,3\n",
        "terminal-escape.csv": b"\x1b]0;owned\x07,a\n1,2\n",
        "long-names.csv": b"a" * 100_000 + b",b\n1,2\n",
    }


def _packed() -> dict[str, bytes]:
    sound = gzip.compress(HEADER + b"1,2,3\n" * 50, mtime=0)
    return {
        "bomb-zeros.csv.gz": bomb(b"\0", 64 * 2**20),
        "bomb-lines.csv.gz": bomb(b"\n", 64 * 2**20),
        "bomb-rows.csv.gz": gzip.compress(HEADER, mtime=0) + bomb(b"1,2,3\n" + b" " * 1024 + b"1,2,3\n", 64 * 2**20),
        "bomb-header.csv.gz": bomb(b"a,", 64 * 2**20),
        "cut.csv.gz": sound[:-9],
        "flipped.csv.gz": sound[:20] + bytes([sound[20] ^ 0xFF]) + sound[21:],
        "not-packed.csv.gz": HEADER + b"1,2,3\n",
    }


def _json() -> dict[str, bytes]:
    return {
        "empty.json": b"",
        "deep.json": b"[" * 100_000,
        "deep-objects.json": b'{"x":' * 20_000,
        "deep-value.json": b'{"x": ' + b"[" * 40 + b"1" + b"]" * 40 + b"}",
        "key-twice.json": b'{"x": [[1, 2]], "x": [[3, 4]]}',
        "digits.json": b'{"x": [[1, ' + b"9" * 100_000 + b"]]}",
        "not-finite.json": b'{"x": [[1, 1e999]], "y": [["infinity"]]}',
        "ragged.json": b'{"x": [[1, 2], [3]], "y": [[1], [2]]}',
        "lists.json": b'{"x": [' + b"[]," * 5_000 + b"[]]}",
        "text.json": b'{"x": "os.system"}',
        "not-utf8.json": b'{"x": "\xff"}',
    }


def _archives() -> dict[str, bytes]:
    numbers = bytes(64)
    return {
        "empty.npz": b"",
        "not-zip.npz": b"\x93NUMPY\x01\x00" + bytes(100),
        "is-pickle.npz": pickle.dumps({"x": 1}, 4),
        "is-pickle.pkl": pickle.dumps({"x": 1}, 4),
        "objects.npz": _archive(x=_array("|O", "(2,)", pickle.dumps([1, 2], 4))),
        "shape-overflows.npz": _archive(x=_array("<f8", "(4294967296, 4294967296)", b"")),
        "shape-lies.npz": _archive(x=_array("<f8", "(1000000000, 2)", numbers)),
        "shape-negative.npz": _archive(x=_array("<f8", "(-4, -2)", numbers)),
        "header-code.npz": _archive(x=_array("<f8", "(__import__('os').system('true'),)", numbers)),
        "header-deep.npz": _archive(x=_array("<f8", "(" * 9000 + ")" * 9000, numbers)),
        "header-long.npz": _archive(x=_array("<f8", "(4, 2)" + " " * 60_000, numbers)),
        "array-twice.npz": _archive(x=_array("<f8", "(4, 2)", numbers), **{"x.npy": _array("<f8", "(4, 2)", numbers)}),
        "bomb.npz": _archive(x=_array("<f8", "(5000000, 2)", bytes(80_000_000))),
        "cut.npz": _archive(x=_array("<f8", "(4, 2)", numbers))[:-30],
        "lzma.npz": _archive(zipfile.ZIP_LZMA, x=_array("<f8", "(4, 2)", numbers)),
    }


def _array(descr: str, shape: str, data: bytes) -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x02\x00" + len(header).to_bytes(4, "little") + header + data


def _archive(packing: int = zipfile.ZIP_DEFLATED, **arrays: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as made:
        for name, data in arrays.items():
            info = zipfile.ZipInfo(name if name.endswith(".npy") else f"{name}.npy" if "x.npy" not in arrays else name)
            info.compress_type = packing
            made.writestr(info, data)
    return buffer.getvalue()
