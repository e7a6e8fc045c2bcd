"""The decoder of untrusted msgpack: what passes is what msgpack makes of it, and nothing takes more than it may."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import tracemalloc

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflow.errors import FileFormatError
from dataflow.files.msgpack.scan import NESTING, decode, scan

PLENTY = 2**28

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=25,
)


def array(items: list[bytes]) -> bytes:
    return b"\xdd" + len(items).to_bytes(4, "big") + b"".join(items)


@settings(max_examples=15)
@given(st.dictionaries(TEXT, VALUES))
def test_what_msgpack_packs_comes_back(value):
    assert decode(msgpack.packb(value), memory=PLENTY) == value


@settings(max_examples=30)
@given(VALUES)
def test_every_prefix_and_every_suffix_is_refused(value):
    data = msgpack.packb({"value": value})
    for end in range(max(0, len(data) - 40), len(data)):
        with pytest.raises(FileFormatError):
            decode(data[:end], memory=PLENTY)
    with pytest.raises(FileFormatError, match="1 bytes more"):
        decode(data + b"\xc0", memory=PLENTY)


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes_are_scanned_as_msgpack_reads_them(data):
    """Whatever the scan lets pass is one whole object to msgpack; what msgpack cannot read never passes."""
    try:
        scan(data, memory=PLENTY)
    except FileFormatError:
        return
    unpacker = msgpack.Unpacker(strict_map_key=False, raw=True, object_pairs_hook=lambda pairs: pairs)
    unpacker.feed(data)
    unpacker.unpack()
    assert unpacker.tell() == len(data)


@pytest.mark.parametrize("code", range(256))
def test_every_first_byte(code):
    """The scan's table of types, against msgpack's own reading."""
    data = bytes([code]) + b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
    unpacker = msgpack.Unpacker(strict_map_key=False, raw=True, object_pairs_hook=lambda pairs: pairs)
    unpacker.feed(data)
    try:
        value = unpacker.unpack()
    except msgpack.UnpackException:
        value, end = None, None
    except ValueError:
        value, end = None, None
    else:
        end = unpacker.tell()
    is_map = 0x81 <= code <= 0x8F  # whose keys are numbers here
    allowed = end is not None and not is_map and not isinstance(value, msgpack.ExtType)
    if isinstance(value, bytes) and code in (0xC4, 0xC5, 0xC6):
        allowed = False
    if allowed:
        scan(data[:end], memory=PLENTY)
    else:
        with pytest.raises(FileFormatError):
            scan(data[:end], memory=PLENTY)


def test_floats_that_are_not_finite_pass():
    value = decode(msgpack.packb({"a": [math.nan, math.inf, -math.inf]}), memory=PLENTY)["a"]
    assert math.isnan(value[0])
    assert value[1:] == [math.inf, -math.inf]


def nested(levels: int, opener: bytes) -> bytes:
    return b"\x81\xa1a" + opener * (levels - 1) + b"\xc0"


@pytest.mark.parametrize("opener", [b"\x91", b"\x81\xa1a", b"\xdc\x00\x01", b"\xdf\x00\x00\x00\x01\xa1a"])
def test_nesting(opener):
    decode(nested(NESTING, opener), memory=PLENTY)
    for levels in (NESTING + 1, 100_000):
        with pytest.raises(FileFormatError, match="at most 64 levels of nesting"):
            decode(nested(levels, opener), memory=PLENTY)


def test_empty_containers_count_as_levels():
    with pytest.raises(FileFormatError, match="nesting"):
        decode(b"\x81\xa1a" + b"\x91" * (NESTING - 1) + b"\x90", memory=PLENTY)


TWICE = {
    "short key": (b"\x82\xa1a\x01\xa1a\x02", "found 'a' twice"),
    "two encodings of one key": (b"\x82\xa1a\x01\xd9\x01a\x02", "found 'a' twice"),
    "deep": (b"\x81\xa1b\x91\x83\xa1a\x01\xa1c\xc0\xa1a\x01", "found 'a' twice"),
}
TYPES = {
    "ext": (msgpack.packb({"a": msgpack.ExtType(5, b"x")}), "extension type or timestamp"),
    "ext 8": (msgpack.packb({"a": msgpack.ExtType(5, b"xyz")}), "extension type or timestamp"),
    "ext 32": (msgpack.packb({"a": msgpack.ExtType(5, b"x" * 70_000)}), "extension type or timestamp"),
    "timestamp": (
        msgpack.packb({"a": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}, datetime=True),
        "extension type or timestamp",
    ),
    "bin": (msgpack.packb({"a": b"x"}), r"binary data \(bin\)"),
    "0xc1": (b"\x81\xa1a\xc1", "0xc1"),
    "integer key": (b"\x81\x01\x01", "key to be text"),
    "nil key": (b"\x81\xc0\x01", "key to be text"),
    "bin key": (b"\x81\xc4\x01a\x01", "key to be text"),
    "array as key": (b"\x81\x91\xa1a\x01", "key to be text"),
    "map as key": (b"\x81\xa1a\x81\x80\x01", "key to be text"),
    "not UTF-8": (b"\x81\xa1a\xa2\xff\xfe", "UTF-8"),
    "a surrogate": (b"\x81\xa1a\xa3\xed\xa0\x80", "UTF-8"),
    "key not UTF-8": (b"\x81\xa1\xff\xc0", "UTF-8"),
    "no map": (b"\x91\x01", "to be a map"),
    "text": (b"\xa1a", "to be a map"),
    "nothing": (b"", "to be a map"),
}
HUGE = {
    "array of 2^32 - 1": b"\x81\xa1a\xdd\xff\xff\xff\xff",
    "map of 2^32 - 1": b"\xdf\xff\xff\xff\xff",
    "array of 2^16 - 1": b"\x81\xa1a\xdc\xff\xff\xc0",
    "text of 2^32 - 1": b"\x81\xa1a\xdb\xff\xff\xff\xff",
    "key of 2^32 - 1": b"\x81\xdb\xff\xff\xff\xff",
    "head cut off": b"\x81\xa1a\xdd\xff",
    "number cut off": b"\x81\xa1a\xcf\xff",
    "arrays within arrays": b"\x81\xa1a" + b"\xdd\x00\x00\xff\xff" * 60 + b"\xc0" * 70_000,
}


@pytest.mark.parametrize(("data", "message"), (TWICE | TYPES).values(), ids=(TWICE | TYPES))
def test_what_is_not_allowed(data, message):
    with pytest.raises(FileFormatError, match=message) as caught:
        decode(data, memory=PLENTY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", HUGE.values(), ids=HUGE)
def test_declared_lengths_allocate_nothing(data):
    tracemalloc.start()
    with pytest.raises(FileFormatError):
        decode(data, memory=PLENTY)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


N = 8_000
WIDE = b"\xc0"
for _ in range(30):
    WIDE = b"\xde\x03\xe9" + b"".join(b"\xa5%05d\xc0" % i for i in range(1000)) + b"\xa1z" + WIDE
MEMORY = {
    "empty arrays": array([b"\x90"] * N),
    "empty maps": array([b"\x80"] * N),
    "arrays of one": array([b"\x91\xc0"] * N),
    "maps of one": array([b"\x81\xa1a\xc0"] * N),
    **{
        f"maps of {n}": array([bytes([0x80 + n]) + b"".join(b"\xa1%c\xc0" % (65 + i) for i in range(n))] * N)
        for n in (6, 11)
    },
    "different keys": array([b"\x81\xa5%05d\xc0" % i for i in range(N)]),
    "a wide map": b"\xde\x2a\xab" + b"".join(b"\xa5%05d\xc0" % i for i in range(10_923)),
    "wide maps, nested": WIDE,
    "towers": array([b"\x91" * 60 + b"\xc0"] * 1000),
    "nils": array([b"\xc0"] * N),
    "numbers": array([b"\xcd\x10\x00"] * N),
    "large numbers": array([b"\xcf" + b"\xff" * 8] * N),
    "floats": array([b"\xca\x01\x01\x01\x01"] * N),
    "short text": array([b"\xa2ab"] * N),
    "text that one character widens": array([b"\xbf" + b"a" * 27 + "\U0001f600".encode()] * N),
    "a long text that one character widens": b"\xdb\x00\x0f\x42\x40" + b"a" * 999_996 + "\U0001f600".encode(),
}


QUICK = ("a wide map", "numbers", "short text")


@pytest.mark.parametrize(
    "data",
    [pytest.param(data, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, data in MEMORY.items()],
)
def test_memory_is_within_what_the_scan_adds_up(data):
    data = b"\x81\xa1a" + data

    def passes(memory):
        with contextlib.suppress(FileFormatError):
            scan(data, memory=memory)
            return True
        return False

    low, high = 0, 2**30
    while high - low > 4096:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    # The least of three: the table of interned names, which is the whole process's, grows in leaps.
    peaks = []
    for _ in range(3):
        tracemalloc.start()
        decode(data, memory=high)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert min(peaks) < 1.02 * high + 20_000


@pytest.mark.parametrize("item", [b"\x80", b"\x90", b"\x81\xa1a\x90"])
def test_two_megabytes_of_empty_containers(item):
    data = b"\x81\xa1a" + array([item] * (2_000_000 // len(item)))
    tracemalloc.start()
    with pytest.raises(FileFormatError, match="at most 4 MiB of memory, found a larger one"):
        decode(data, memory=2**22)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
