"""Attacks in msgpack: each a sound file in which one thing is not as it should be."""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzzing.containers import FILLER, PREFIX, Parts, encode, envelope, put_together, take_apart
from fuzzing.values import Pairs, Raw, Tree

SOUND = Path(__file__).parent.parent.parent / "tests" / "corpus" / "version1.msgpack"
ZERO = struct.pack("<d", 0.0)


def files() -> dict[str, bytes]:
    """Names without their ending, and what is in each."""
    contents = {**_files(), **_headers()}
    for name, change in _CHANGES.items():
        parts = take_apart(SOUND.read_bytes())
        change(parts)
        contents[name] = put_together(parts)
    for name, line in _LINES.items():
        contents[name] = _with_line(line)
    return contents


# ------------------------------------------------------------------------------------------------ around the header


def _files() -> dict[str, bytes]:
    sound = SOUND.read_bytes()
    end = PREFIX + int.from_bytes(sound[38:46], "big")
    header, tail = sound[PREFIX:end], sound[end:]
    flipped = bytearray(sound)
    flipped[-1] ^= 1
    in_header = bytearray(sound)
    in_header[end - 1] ^= 1
    return {
        "empty": b"",
        "cut-in-prefix": sound[:50],
        "cut-in-header": sound[: end - 10],
        "cut-in-tensor": sound[:-3],
        "checksum-of-header": bytes(in_header),
        "version-newer": _versioned(sound, 3),
        "version-zero": _versioned(sound, 0),
        "length-beyond": _lengthened(sound, 2**63),
        "length-limit": _lengthened(sound, 2**27) + bytes(2**10),
        "is-pickle": pickle.dumps(["os.system", "true"], 4),
        "is-zip": b"PK\x03\x04" + bytes(100),
        "is-npy": b"\x93NUMPY\x01\x00" + bytes(100),
        "is-toml": b"dataflow = 1\n[inputs]\nx = {}\n",
        "is-other-msgpack": encode(Pairs([("a", 1), ("b", [2])])),
        "trailing-byte": sound + b"\xc0",
        "trailing-zip": sound + b"PK\x03\x04" + bytes(60),
        "trailing-toml": sound + b"\ndataflow = 1\n",
        "two-models": sound + sound,
        "filler": envelope(header, tail.replace(FILLER, b"\xc3", 1)),
    }


def _versioned(data: bytes, version: int) -> bytes:
    changed = data[:26] + struct.pack(">I", version) + data[30:]
    end = PREFIX + int.from_bytes(data[38:46], "big")
    crc = zlib.crc32(changed[PREFIX:end], zlib.crc32(changed[:46]))
    return changed[:53] + struct.pack(">I", crc) + changed[57:]


def _lengthened(data: bytes, length: int) -> bytes:
    return data[:38] + struct.pack(">Q", length) + data[46:]


# ------------------------------------------------------------------------------------------------ any header


def _headers() -> dict[str, bytes]:
    """Headers that are refused before anybody asks what they mean."""
    made = {
        "header-no-map": b"\x93\x01\x02\x03",
        "header-deep": b"\x81\xa1a" + b"\x91" * 64 + b"\xc0",
        "header-very-deep": b"\x81\xa1a" + b"\x81\xa1a" * 100_000 + b"\xc0",
        "header-timestamp": b"\x81\xa1a\xd6\xff" + bytes(4),
        "header-extension": b"\x81\xa1a\xc7\x04\x05abcd",
        "header-extension-empty": b"\x81\xa1a\xc7\x00\x05",
        "header-bin": b"\x81\xa1a\xc4\x03abc",
        "header-never-used": b"\x81\xa1a\xc1",
        "header-key-twice": b"\x82\xa1a\x01\xa1a\x02",
        "header-key-twice-inside": b"\x81\xa1a\x82\xa1b\x01\xa1b\x02",
        "header-key-number": b"\x81\x01\x02",
        "header-key-nil": b"\x81\xc0\x02",
        "header-key-array": b"\x81\x91\x01\x02",
        "header-not-utf8": b"\x81\xa1a\xa2\xff\xfe",
        "header-key-not-utf8": b"\x81\xa2\xff\xfe\x01",
        "header-surrogate": b"\x81\xa1a\xa3\xed\xa0\x80",
        "header-array-of-4-billion": b"\x81\xa1a\xdd\xff\xff\xff\xff",
        "header-map-of-4-billion": b"\x81\xa1a\xdf\xff\xff\xff\xff",
        "header-text-of-4-billion": b"\x81\xa1a\xdb\xff\xff\xff\xff",
        "header-cut": b"\x82\xa1a\x01\xa1b",
        "header-more": b"\x81\xa1a\x01\xc0",
        "header-empty-maps": b"\x81\xa1a\xdd" + struct.pack(">I", 1_200_000) + b"\x80" * 1_200_000,
        "header-no-tensors": b"\x81\xa1a\x01",
        "header-tensors-no-map": b"\x81\xa7tensors\x90",
        "header-of-nothing": b"\x81\xa7tensors\x80",
    }
    return {name: envelope(data, b"") for name, data in made.items()}


# ------------------------------------------------------------------------------------------------ the tensor table


def _with_line(changes: dict[str, Any]) -> bytes:
    """A file whose first tensor has a line that lies; all else is made right for it."""
    parts = take_apart(SOUND.read_bytes())
    name, line, payload = parts.tensors[0]
    kept = [(key, changes.get(key, old)) for key, old in line.items if changes.get(key, old) is not ...]
    parts.tensors[0] = (
        name,
        Pairs([*kept, *((key, new) for key, new in changes.items() if key not in dict(line.items))]),
        payload,
    )
    return put_together(parts, lies=set(changes))


_LINES: dict[str, dict[str, Any]] = {
    "tensor-shape-overflows": {"shape": [2**32, 2**32], "size": 0},
    "tensor-shape-zero-and-huge": {"shape": [0, 2**62, 2**62], "size": 0},
    "tensor-shape-negative": {"shape": [-1, -2]},
    "tensor-shape-float": {"shape": [2.0]},
    "tensor-shape-65-axes": {"shape": [1] * 64 + [2]},
    "tensor-shape-too-small": {"shape": [1]},
    "tensor-shape-text": {"shape": "2"},
    "tensor-size-too-large": {"size": 2**40, "shape": [2**37]},
    "tensor-size-lies": {"size": 8},
    "tensor-overlaps": {"offset": 0x40000000},
    "tensor-hole": {"offset": 64 * 7},
    "tensor-offset-negative": {"offset": -64},
    "tensor-offset-float": {"offset": 0.5},
    "tensor-of-objects": {"dtype": "|O"},
    "tensor-big-endian": {"dtype": ">f8"},
    "tensor-of-text": {"dtype": "<U4"},
    "tensor-dtype-list": {"dtype": ["<f8"]},
    "tensor-pieces": {"pieces": 2**32},
    "tensor-checksum-missing": {"crc32": ...},
    "tensor-with-more": {"__reduce__": "os.system"},
}


# ------------------------------------------------------------------------------------------------ the model


def _set(key: str, value: Tree) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        parts.header.items = [(name, value if name == key else old) for name, old in parts.header.items]

    return change


def _get(parts: Parts, key: str) -> Any:
    return next(value for name, value in parts.header.items if name == key)


def _row(i: int, place: int, value: Tree) -> Callable[[Parts], None]:
    """A node's row changed: 0 name, 1 spec, 2 call, 3 application, 4 arguments."""

    def change(parts: Parts) -> None:
        row = _get(parts, "nodes")[i]
        if place < len(row):
            row[place] = value
        else:
            row.append(value)

    return change


def _block(expression: str) -> Callable[[Parts], None]:
    """A declaration of a block with one node."""
    body = [("inputs", ["a"]), ("nodes", Pairs([("o", expression)])), ("output", "o")]
    return _set("blocks", Pairs([("b", Pairs(body))]))


def _inside(key: str, name: str, value: Tree) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        inner = _get(parts, key)
        inner.items = [(other, old) for other, old in inner.items if other != name] + [(name, value)]

    return change


def _without(key: str) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        parts.header.items = [(name, value) for name, value in parts.header.items if name != key]

    return change


def _with(key: str, value: Tree) -> Callable[[Parts], None]:
    return lambda parts: parts.header.items.append((key, value))


def _extra_tensor(parts: Parts) -> None:
    _, line, payload = parts.tensors[0]
    parts.tensors.append(("parameters/../../etc", line, payload))


def _lost_tensor(parts: Parts) -> None:
    del parts.tensors[0]


def _bools(parts: Parts) -> None:
    name, _, payload = parts.tensors[0]
    kept = {"offset": 0, "dtype": "|b1", "shape": [len(payload)], "size": len(payload), "crc32": 0, "pieces": 1}
    parts.tensors[0] = (name, Pairs(list(kept.items())), b"\x02" * len(payload))


def _loss(parts: Parts) -> int:
    return len(_get(parts, "nodes")) - 1


def _data(**changes: Any) -> Callable[[Parts], None]:
    source = {"arrays": None, "file": None, "columns": Pairs([]), "one_hot": Pairs([]), "scale": Pairs([])}
    return _set("data", Pairs(list({**source, **changes}.items())))


_TEXT = "\x1b]0;owned\x07"
_CHANGES: dict[str, Callable[[Parts], None]] = {
    "key-missing": _without("nodes"),
    "key-more": _with("__class__", "os"),
    "name-steers-a-terminal": _set("name", _TEXT),
    "name-no-text": _set("name", 7),
    "doc-no-text": _set("doc", ["a"]),
    "dtype-unknown": _set("dtype", "float16"),
    "nodes-no-array": _set("nodes", Pairs([])),
    "node-name-twice": _row(1, 0, "x"),
    "node-name-of-module": _row(-1, 0, "os..system"),
    "node-name-empty": _row(-1, 0, ""),
    "node-name-long": _row(-1, 0, "a" * 1001),
    "node-cycle": lambda parts: (_row(-2, 4, [len(_get(parts, "nodes")) - 1])(parts), None)[1],
    "node-self-loop": lambda parts: _row(-1, 4, [_loss(parts)])(parts),
    "node-dangling": _row(-1, 4, [10**6]),
    "node-negative": _row(-1, 4, [-1]),
    "node-fan-in": _row(-1, 4, [0] * 100_000),
    "node-of-nothing": _row(-1, 4, []),
    "node-argument-text": _row(-1, 4, ["x"]),
    "node-spec-beyond": _row(-1, 1, 99),
    "node-spec-lies": _row(-1, 1, 0),
    "node-application-beyond": _row(-1, 3, 99),
    "node-call-beyond": _row(-1, 2, 5),
    "node-kind-unknown": _row(0, 3, "pickle"),
    "node-row-short": lambda parts: _get(parts, "nodes").__setitem__(0, ["x"]),
    "spec-overflows": lambda parts: _get(parts, "specs").__setitem__(0, ["float64", [2**63]]),
    "spec-negative": lambda parts: _get(parts, "specs").__setitem__(0, ["float64", [-2]]),
    "spec-formula": lambda parts: _get(parts, "specs").__setitem__(0, ["float64", ["(" * 90 + "n"]]),
    "spec-object": lambda parts: _get(parts, "specs").__setitem__(0, ["object", [2]]),
    "op-unknown": lambda parts: _get(parts, "applications").__setitem__(0, ["matmull", Pairs([])]),
    "op-of-module": lambda parts: _get(parts, "applications").__setitem__(0, ["os.system", Pairs([])]),
    "op-antigravity": lambda parts: _get(parts, "applications").__setitem__(0, ["antigravity", Pairs([])]),
    "op-attribute-unknown": lambda parts: _get(parts, "applications").__setitem__(
        0, ["sum", Pairs([("__class__", 1)])]
    ),
    "op-attribute-wrong-type": lambda parts: _get(parts, "applications").__setitem__(
        0, ["sum", Pairs([("axis", "0")])]
    ),
    "op-attribute-huge": lambda parts: _get(parts, "applications").__setitem__(
        0, ["reshape", Pairs([("shape", [2**62, 2**62])])]
    ),
    "init-unknown": _row(3, 4, Pairs([("name", "os.system")])),
    "loss-unknown": _set("loss", "__class__"),
    "outputs-no-names": _set("outputs", [["z"]]),
    "block-calls-itself": _block("b(a)"),
    "call-shares-with-itself": lambda parts: (
        _block("-a")(parts),
        _set("calls", [["h", Pairs([("block", "b"), ("share", "h"), ("inputs", ["x"])])]])(parts),
        None,
    )[2],
    "node-name-true": _row(-1, 0, "True"),
    "node-name-full-width": _row(-1, 0, "\uff58"),
    "blocks-hostile": _set("blocks", Pairs([("b", Pairs([("__class__", 1)]))])),
    "calls-hostile": _set("calls", [["a", Pairs([("block", "b"), ("share", None), ("inputs", [])])]]),
    "data-path-up": _data(file="../../etc/passwd"),
    "data-path-absolute": _data(file="/etc/passwd"),
    "data-path-drive": _data(file="C:\\x.csv"),
    "data-path-nul": _data(file="a\0.csv"),
    "data-without-tensor": _data(arrays=["x"]),
    "data-classes": _data(one_hot=Pairs([("x", 2**40)])),
    "data-missing": _data(missing=Pairs([("a", Pairs([("fill", "median"), ("__class__", 1)]))])),
    "data-categories": _data(categories=Pairs([("a", Pairs([("kind", "index"), ("names", [1])]))])),
    "data-standardize": _data(standardize=["__class__"]),
    "data-root": _data(root=7),
    "data-learned": _data(learned=Pairs([("inputs", Pairs([("x", Pairs([("mean", [0.0]), ("deviation", [0.0])]))]))])),
    "data-learned-names": _data(learned=Pairs([("columns", Pairs([("a", Pairs([("names", ["b", "b"])]))]))])),
    "data-learned-nothing": _data(learned=[1]),
    "data-scale": _data(scale=Pairs([("x", float("inf"))])),
    "train-epochs": _inside("train", "epochs", -1),
    "train-validation": _inside("train", "validation", float("nan")),
    "train-optimizer": _inside("train", "optimizer", Pairs([("name", 3)])),
    "train-rate": _inside("train", "optimizer", Pairs([("name", "sgd"), ("learning_rate", "fast")])),
    "seed-no-number": _set("seed", "0"),
    "training-no-map": _set("training", [1]),
    "training-part-nowhere": _set("parts", [[["__class__", "__init__"], "training/0"]]),
    "training-part-twice": _set("parts", [[[], "training/0"]]),
    "training-integer": lambda parts: (
        _set("training", Pairs([("a", None)]))(parts),
        _set("parts", [[["a"], Pairs([("integer", "0x" + "f" * 2000)])]])(parts),
        None,
    )[2],
    "tensor-of-nobody": _extra_tensor,
    "tensor-lost": _lost_tensor,
    "tensor-bools": _bools,
    "plugins-hostile": _set("plugins", Pairs([("add", "plugin 'os' (os.system)"), ("__class__", 3)])),
    "raw-in-plugins": _set("plugins", Raw(b"\xd4\x00\x00")),
}
