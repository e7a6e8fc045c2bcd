"""The msgpack container: bit for bit, readable by any reader, mapped, and closed to every file that is not one."""

from __future__ import annotations

import errno
import mmap
import os
import pickle
import re
import subprocess
import sys
import time
import tracemalloc
import zlib

import hypothesis.extra.numpy as hnp
import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflow.errors import FileFormatError
from dataflow.files.msgpack import container, envelope
from dataflow.files.msgpack.container import read_container, verify_container, write_container

DTYPES = ["<f2", "<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|b1"]
ANY_ORDER = [*DTYPES, ">f4", ">f8", ">i4", ">i8"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
HEADERS = st.dictionaries(
    TEXT.filter(lambda key: key != "tensors"),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXT,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
        max_leaves=15,
    ),
    max_size=5,
)
ARRAYS = st.sampled_from(ANY_ORDER).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)
TENSORS = st.dictionaries(TEXT, ARRAYS, max_size=5)
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX")

HEADER = {"name": "xor", "nodes": [{"op": "add", "rate": 0.1}]}
SMALL = {
    "W": np.arange(6, dtype="<f8").reshape(2, 3),
    "b": np.array([1.5, -2.5], dtype="<f4"),
    "none": np.zeros((0, 3), dtype="<i4"),
    "step": np.array(7, dtype="<i8"),
    "mask": np.array([True, False, True]),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.msgpack"


@pytest.fixture
def small(path):
    write_container(path, HEADER, SMALL)
    return path


def assert_same(found, expected):
    """Same shapes, dtypes up to the byte order, and bits."""
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype.newbyteorder("<")
        assert found[name].tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()
        assert not found[name].flags.writeable
        assert found[name].flags.c_contiguous
        assert found[name].flags.aligned


def refused(path, message=None, **options):
    """Reading (both ways) and verifying refuse the file, in one line that names it; the message without the name."""
    errors = set()
    for read in (lambda: read_container(path, **options), lambda: read_container(path, mapped=False, **options)):
        with pytest.raises(FileFormatError, match=message) as caught:
            read()
        errors.add(str(caught.value))
    with pytest.raises(FileFormatError) as caught:
        verify_container(path, **options)
    errors.add(str(caught.value))
    assert len(errors) == 1
    assert caught.value.file == os.fspath(path)
    assert "\n" not in caught.value.message
    return caught.value.message


def pack(header, payload=b"", *, version=1, length=None, crc=None):
    """A file with a right checksum around any header (bytes, or an object to pack) and payload."""
    data = header if isinstance(header, bytes) else msgpack.packb(header)
    length = len(data) if length is None else length
    head = b"\x85\xa6format\xa8dataflow\xa7version\xce" + version.to_bytes(4, "big")
    head += b"\xa6length\xcf" + length.to_bytes(8, "big")
    crc = zlib.crc32(head + data) if crc is None else crc
    return head + b"\xa5crc32\xce" + crc.to_bytes(4, "big") + b"\xa6header" + data + payload


def padded(header, payload, head=b""):
    """The same with filler, then ``head``, then ``payload`` on a 64-byte boundary."""
    start = pack(header)
    filler = -(len(start) + len(head)) % 64
    return start + b"\xc0" * filler + head + payload


def row(**changes):
    line = {"offset": 0, "dtype": "<f8", "shape": [2], "size": 16, "crc32": 0, "pieces": 1}
    return {key: value for key, value in (line | changes).items() if value is not ...}


def crafted(tensors):
    """A file with one tensor of two zeros, whose table says ``tensors``; the first offset is right."""
    bin_head = b"\xc6\x00\x00\x00\x10"
    for name in tensors if isinstance(tensors, dict) else ():
        line = tensors[name]
        if isinstance(line, dict) and line.get("offset") == 0:
            end = len(pack({"tensors": tensors}))
            line["offset"] = 64 if -end % 64 < 5 else 0
    return padded({"tensors": tensors}, bytes(16), bin_head)


# Round trips


@given(header=HEADERS, tensors=TENSORS)
def test_round_trip(tmp_path, header, tensors):
    path = tmp_path / "model.msgpack"
    write_container(path, header, tensors, sync=False)
    for mapped in (True, False):
        found = read_container(path, mapped=mapped)
        assert found.header == header
        assert list(found.header) == list(header)
        assert found.version == 1
        assert_same(found.tensors, tensors)
    report = verify_container(path)
    assert list(report.tensors) == list(tensors)
    assert report.size == path.stat().st_size
    data = path.read_bytes()
    write_container(path, header, tensors, sync=False)
    assert path.read_bytes() == data


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
def test_every_bit_of_a_float_survives(path, dtype):
    """NaNs with a payload, signalling ones, infinities, minus zero, subnormals."""
    bits = np.dtype(dtype).str.replace("f", "u")
    top = 0x7F80_0000 if dtype.endswith("4") else 0x7FF0_0000_0000_0000
    sign = 0x8000_0000 if dtype.endswith("4") else 0x8000_0000_0000_0000
    patterns = np.array([top, top + 1, top + 0x1234, top | top >> 1, sign, sign | top | 7, 1, sign + 1], dtype=bits)
    write_container(path, {}, {"x": patterns.view(dtype)})
    for mapped in (True, False):
        found = read_container(path, mapped=mapped).tensors["x"]
        assert found.view(bits.replace(">", "<")).tolist() == patterns.tolist()


@pytest.mark.parametrize("view", ["[::2]", "[:, ::-1]", ".T", "[1:, 1]", "[..., None]", "[2:2]"])
def test_layouts(path, view):
    base = np.arange(30.0).reshape(5, 6)
    array = {
        "[::2]": base[::2],
        "[:, ::-1]": base[:, ::-1],
        ".T": base.T,
        "[1:, 1]": base[1:, 1],
        "[..., None]": base[..., None],
        "[2:2]": base[2:2],
    }[view]
    broadcast = np.broadcast_to(array[:1], (3, *array[:1].shape))
    write_container(path, {}, {"a": array, "f": np.asfortranarray(array), "wide": broadcast})
    assert_same(read_container(path).tensors, {"a": array, "f": np.asfortranarray(array), "wide": broadcast})


def test_bools_are_stored_as_0_and_1(path):
    write_container(path, {}, {"x": np.array([0, 1, 2, 255], dtype=np.uint8).view(bool)})
    assert read_container(path).tensors["x"].view(np.uint8).tolist() == [0, 1, 1, 1]


def test_nothing_at_all(path):
    write_container(path, {}, {})
    found = read_container(path)
    assert (found.header, found.tensors) == ({}, {})
    assert path.stat().st_size == 64 + 1 + 8 + 1


def test_headers_hold_floats_that_are_not_finite(path):
    write_container(path, {"x": [float("nan"), float("inf")]}, {})
    found = read_container(path).header["x"]
    assert found[0] != found[0]
    assert found[1] == float("inf")


@pytest.mark.slow
def test_the_same_bytes_in_every_process(path):
    code = (
        "import sys, numpy as np\n"
        "from dataflow.files.msgpack.container import write_container\n"
        "names = ['W1', 'b1', 'W2', 'b2']\n"
        "write_container(sys.argv[1], {k: k for k in names}, {k: np.arange(3.0) for k in names})\n"
    )
    files = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", code, path], check=True, env=environment)
        files.add(path.read_bytes())
    assert len(files) == 1


# The layout


def stream(path):
    """The file's objects as a reader sees them that knows nothing of the format, and where each ends."""
    with open(path, "rb") as file:
        unpacker = msgpack.Unpacker(file)
        return [(unpacker.tell(), value) for value in unpacker]


@given(header=HEADERS, tensors=TENSORS)
def test_any_msgpack_reader_reads_it(tmp_path, header, tensors):
    path = tmp_path / "model.msgpack"
    write_container(path, header, tensors, sync=False)
    (end, first), *rest = stream(path)
    assert (first["format"], first["version"]) == ("dataflow", 1)
    table = first["header"].pop("tensors")
    assert first["header"] == header
    assert first["length"] == end - 64
    data = path.read_bytes()
    assert first["crc32"] == zlib.crc32(data[:46] + data[64:end])
    payloads = [(end, value) for end, value in rest if value is not None]
    assert [value for _, value in payloads] == [
        array.astype(array.dtype.newbyteorder("<")).tobytes() for array in tensors.values()
    ]
    base = (end + 63) // 64 * 64
    for (stop, value), line in zip(payloads, table.values(), strict=True):
        assert (stop - len(value)) % 64 == 0
        assert stop - len(value) == base + line["offset"]
        assert line["size"] == len(value)
        assert line["crc32"] == zlib.crc32(value)
    assert sum(value is None for _, value in rest) < 64 * (1 + len(tensors))
    assert len(data) == (payloads[-1][0] if payloads else end)


@pytest.mark.parametrize("fill", range(64))
def test_every_length_of_header(path, fill):
    """The gap after the header may be too small for the head of the first bin; filler is as short as can be."""
    write_container(path, {"x": "y" * fill}, SMALL, sync=False)
    (end, first), *_ = stream(path)
    start = (end + 63) // 64 * 64 + first["header"]["tensors"]["W"]["offset"]
    assert 5 <= start - end < 5 + 64
    assert_same(read_container(path).tensors, SMALL)


def test_bytes_of_a_known_file(path):
    """The format as it stands: if this fails, the version has to go up."""
    write_container(path, {"a": 1}, {"x": np.array([1.0, 2.0])})
    head = bytes.fromhex(
        "85 a6 666f726d6174 a8 64617461666c6f77 a7 76657273696f6e ce 00000001"
        "a6 6c656e677468 cf 0000000000000045 a5 6372633332 ce 6a6d7a1d a6 686561646572"
    )
    header = bytes.fromhex(
        "82 a1 61 01 a7 74656e736f7273 81 a1 78 86 a6 6f6666736574 cf 0000000000000000 a5 6474797065 a3 3c6638"
        "a5 7368617065 91 02 a4 73697a65 10 a5 6372633332 ce 00000000 a6 706965636573 01"
    )
    payload = bytes.fromhex("000000000000f03f 0000000000000040")
    data = path.read_bytes()
    table = data.index(b"crc32\xce", 64) + 6
    assert data[table : table + 4] == zlib.crc32(payload).to_bytes(4, "big")
    header = header.replace(b"\xce\0\0\0\0", b"\xce" + zlib.crc32(payload).to_bytes(4, "big"))
    assert data[64 : 64 + len(header)] == header
    crc = zlib.crc32(head[:38] + len(header).to_bytes(8, "big") + header)
    assert data[:64] == head[:38] + len(header).to_bytes(8, "big") + head[46:53] + crc.to_bytes(4, "big") + head[57:]
    end = 64 + len(header)
    assert data[end:] == b"\xc0" * (-(end + 5) % 64) + b"\xc6\x00\x00\x00\x10" + payload


def test_pieces(path, monkeypatch):
    monkeypatch.setattr(envelope, "BIN_LIMIT", 100)
    tensors = {"a": np.arange(100.0), "b": np.zeros(3), "c": np.arange(200) % 3 == 0, "d": np.arange(25, dtype="<i4")}
    write_container(path, {}, tensors)
    (_, first), *rest = stream(path)
    assert [line["pieces"] for line in first["header"]["tensors"].values()] == [8, 1, 2, 1]
    payloads = [(end, value) for end, value in rest if value is not None]
    assert [len(value) for _, value in payloads] == [100] * 8 + [24, 100, 100, 100]
    assert all((end - len(value)) % 64 == 0 for end, value in payloads)
    for mapped in (True, False):
        found = read_container(path, mapped=mapped).tensors
        assert_same(found, tensors)
    verify_container(path)
    data = bytearray(path.read_bytes())
    data[payloads[3][0] - 1] ^= 1
    path.write_bytes(data)
    refused(path, "tensor 'a': expected checksum")


# Mapping


@pytest.mark.parametrize("mapped", [True, False, "auto"])
def test_arrays_are_read_only(small, mapped):
    for array in read_container(small, mapped=mapped).tensors.values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@posix
@pytest.mark.parametrize("mapped", [True, False, "auto"])
def test_arrays_outlive_the_file(small, mapped):
    container = read_container(small, mapped=mapped)
    tensors = container.tensors
    write_container(small, {}, {"W": np.full((2, 3), 9.0)})
    small.unlink()
    assert_same(tensors, SMALL)
    assert container.check_unchanged is None or container.check_unchanged() is None


@posix
@pytest.mark.parametrize("size", [2 * 2**10, 2 * 2**20])
@pytest.mark.parametrize("change", ["written over", "cut off"])
def test_what_happens_to_a_file_that_was_read_does_not_matter(path, size, change):
    tensors = {"x": np.arange(size // 8), "flags": np.arange(5) % 2 == 0}
    write_container(path, {}, tensors)
    found = read_container(path)
    with open(path, "r+b") as file:
        if change == "cut off":
            file.truncate(0)
        else:
            file.write(b"\xff" * path.stat().st_size)
    assert_same(found.tensors, tensors)


@posix
@pytest.mark.parametrize("change", ["written over", "cut off", "cut off and deleted", "touched"])
def test_a_mapped_file_that_changed_is_noticed(path, change):
    write_container(path, {}, {"x": np.arange(2.0**17)})
    container = read_container(path, mapped=True)
    container.check_unchanged()
    if change == "touched":
        os.utime(path, ns=(0, 0))
    elif change == "written over":
        path.write_bytes(bytes(path.stat().st_size))
        os.utime(path, ns=(0, 0))  # as after a while, whatever the clock's grain
    else:
        os.truncate(path, 100)
    if change == "cut off and deleted":
        path.unlink()
    with pytest.raises(FileFormatError, match="was changed on disk while its arrays are in use; load it again"):
        container.check_unchanged()


def test_mapping_leaves_the_tensors_unread(path):
    """The checksum of a tensor is no part of mapping, and what would not fit into memory twice is not copied."""
    write_container(path, {}, {"x": np.ones(2**20)})
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    tracemalloc.start()
    assert read_container(path, mapped=True).tensors["x"].shape == (2**20,)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    for check in (
        lambda: read_container(path),
        lambda: read_container(path, mapped=False),
        lambda: verify_container(path),
    ):
        with pytest.raises(FileFormatError, match="tensor 'x': expected checksum"):
            check()


def test_a_file_that_cannot_be_mapped_is_read(small, monkeypatch):
    def fails(*_, **__):
        raise OSError(errno.ENODEV, "no mapping")

    monkeypatch.setattr(mmap, "mmap", fails)
    assert_same(read_container(small, mapped=True).tensors, SMALL)


@pytest.mark.slow
def test_400_megabytes_are_mapped_not_read(path):
    write_container(path, {}, {"W": np.zeros((100, 2**19)), "b": np.zeros(10)}, sync=False)
    assert path.stat().st_size > 400 * 2**20
    read_container(path)  # whatever is done once
    start = time.process_time()
    tensors = read_container(path).tensors
    seconds = time.process_time() - start
    assert tensors["W"].nbytes == 400 * 2**20
    assert seconds < 0.1  # reading takes longer even from the system's cache
    if sys.platform == "linux":
        # Each page that was touched is one of the mapping's resident ones.
        with open("/proc/self/smaps") as file:
            entries = re.findall(rf"{re.escape(str(path))}\nSize: +\d+ kB(?:\n.+?)*?\nRss: +(\d+) kB", file.read())
        assert entries
        assert max(map(int, entries)) < 1024


# Damage


def test_truncation_at_every_byte(small):
    data = small.read_bytes()
    for end in range(len(data)):
        small.write_bytes(data[:end])
        message = refused(small)
        assert ("an empty one" if end == 0 else "the file is cut off") in message


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_flipped_byte_is_noticed(small, flip):
    data = small.read_bytes()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= flip
        small.write_bytes(changed)
        for read in (lambda: read_container(small, mapped=False), lambda: verify_container(small)):
            with pytest.raises(FileFormatError):
                read()


@settings(max_examples=150)
@given(change=st.data())
def test_mutated_files(tmp_path, change):
    """Any change: refused, or (where it changes nothing) read as before; mapped, what is read may differ in values."""
    path = tmp_path / "model.msgpack"
    if not path.exists():
        write_container(path, HEADER, SMALL)
        path.with_name("good").write_bytes(path.read_bytes())
    good = path.with_name("good").read_bytes()
    start = change.draw(st.integers(0, len(good)))
    stop = change.draw(st.integers(start, min(len(good), start + 20)))
    path.write_bytes(good[:start] + change.draw(st.binary(max_size=20)) + good[stop:])
    try:
        found = read_container(path, mapped=False)
    except FileFormatError:
        pass
    else:
        assert path.read_bytes() == good
        assert_same(found.tensors, SMALL)
    try:
        found = read_container(path, mapped=True)
    except FileFormatError:
        pass
    else:
        assert found.header == HEADER
        assert {name: array.shape for name, array in found.tensors.items()} == {n: a.shape for n, a in SMALL.items()}


HEADER_OBJECTS = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**64 - 1) | st.floats() | TEXT | st.sampled_from(DTYPES) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(
    table=st.dictionaries(
        TEXT, st.fixed_dictionaries(dict.fromkeys(row(), HEADER_OBJECTS)) | HEADER_OBJECTS, max_size=3
    )
    | HEADER_OBJECTS,
    payload=st.binary(max_size=100),
)
def test_headers_with_a_right_checksum_and_any_table(tmp_path, table, payload):
    path = tmp_path / "model.msgpack"
    path.write_bytes(pack({"tensors": table}, payload))
    try:
        found = read_container(path)
    except FileFormatError:
        pass
    else:
        assert table == {} or found.tensors


def test_the_length_is_checked_before_mapping(small, monkeypatch):
    data = small.read_bytes()
    small.write_bytes(data[:-1])
    monkeypatch.setattr(mmap, "mmap", lambda *_, **__: pytest.fail("mapped"))
    with pytest.raises(FileFormatError, match="cut off"):
        read_container(small)


def test_a_file_that_shrinks_while_it_is_read(small, monkeypatch):
    write_container(small, {}, {"x": np.zeros(1000)})
    parse = container.parse_header

    def shrinks(*args):
        head = parse(*args)
        os.truncate(small, 5000)
        return head

    monkeypatch.setattr(container, "parse_header", shrinks)
    with pytest.raises(FileFormatError, match="bytes more, found the end"):
        read_container(small, mapped=False)


# Files that are something else


def test_missing(path):
    assert "there is no such file" in refused(path)


def test_a_folder(tmp_path):
    assert "found a folder" in refused(tmp_path)


def test_a_name_that_cannot_be():
    assert "cannot be a file's name" in refused("a\0b")


@posix
def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    assert "found a device, pipe or socket" in refused(path)


@posix
@pytest.mark.parametrize(
    ("code", "message"), [(errno.EACCES, "permission denied; make the file readable"), (errno.EIO, "check the disk")]
)
def test_the_system_refuses(small, monkeypatch, code, message):
    def fails(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("builtins.open", fails)
    assert message in refused(small)


def test_memory_that_is_not_there(small, monkeypatch):
    def fails(*_, **__):
        raise MemoryError

    monkeypatch.setattr(container, "parse_header", fails)
    assert "does not fit into memory" in refused(small)


FOREIGN = {
    "TOML": (b'dataflow = 1\nname = "xor"\n', "text"),
    "text that is not ASCII": (("name = '" + "é" * 40).encode(), "text"),
    "zip": (b"PK\x03\x04" + bytes(100), "a zip archive"),
    "npy": (b"\x93NUMPY\x01\x00", "a numpy .npy file"),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), "a gzip archive"),
    "pickle": (pickle.dumps({"a": 1}), "a pickle"),
    "msgpack map": (msgpack.packb({"a": 1}), "another program's msgpack"),
    "msgpack of another format": (msgpack.packb({"format": "other", "version": 1}), "another program's msgpack"),
    "msgpack stream": (b"\xc0" * 100, "another program's msgpack"),
    "zeros": (bytes(200), "other binary data"),
    "one byte": (b"\x00", "other binary data"),
}


@pytest.mark.parametrize(("data", "kind"), FOREIGN.values(), ids=FOREIGN)
def test_foreign_files(path, data, kind):
    path.write_bytes(data)
    message = refused(path, "expected a dataflow msgpack file")
    assert kind in message


def test_pickles_are_not_loaded(path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("loaded",))

    path.write_bytes(pickle.dumps(Trap()))
    refused(path)


def test_versions(path):
    path.write_bytes(pack({"tensors": {}}, version=3))
    assert refused(path) == "needs dataflow format 3; this reads up to 2; upgrade dataflow"
    path.write_bytes(pack({}, version=3)[:30] + b"whatever comes")
    assert "needs dataflow format 3" in refused(path)
    path.write_bytes(pack({"tensors": {}}, version=0))
    assert "expected dataflow format 1 to 2, found 0" in refused(path)


# Files that were made to deceive

OBJECTS = {
    "deep": (b"\x82\xa7tensors\x80\xa1a" + b"\x91" * 10**5 + b"\xc0", "at most 64 levels of nesting"),
    "a key twice": (b"\x83\xa7tensors\x80\xa1a\x01\xa1a\x02", "found 'a' twice"),
    "two tables": (b"\x82\xa7tensors\x80\xa7tensors\x80", "found 'tensors' twice"),
    "two tensors of one name": (
        b"\x81\xa7tensors\x82" + 2 * (b"\xa1W" + msgpack.packb(row())),
        "found 'W' twice",
    ),
    "extension type": (msgpack.packb({"tensors": {}, "a": msgpack.ExtType(42, b"payload")}), "an extension type"),
    "timestamp": (msgpack.packb({"tensors": {}, "a": msgpack.Timestamp(1)}), "timestamp"),
    "binary data": (msgpack.packb({"tensors": {}, "a": b"payload"}), "binary data"),
    "numbers as keys": (msgpack.packb({"tensors": {}, 1: 1}), "key to be text"),
    "not UTF-8": (b"\x82\xa7tensors\x80\xa1a\xa1\xff", "UTF-8"),
    "two objects": (b"\x81\xa7tensors\x80\x80", "1 bytes more"),
    "nothing": (b"", "to be a map"),
    "no map": (b"\x91\xc0", "to be a map"),
    "no table": (b"\x80", "expected a map 'tensors' in the header, found none"),
    "a list as table": (b"\x81\xa7tensors\x90", "expected a map 'tensors' in the header, found a list"),
    "a huge array": (b"\x82\xa7tensors\x80\xa1a\xdd\xff\xff\xff\xff", "expected 4294967295 objects"),
    "a huge text": (b"\x82\xa7tensors\x80\xa1a\xdb\xff\xff\xff\xff", "found its end"),
}


@pytest.mark.parametrize(("data", "message"), OBJECTS.values(), ids=OBJECTS)
def test_hostile_headers(path, data, message):
    path.write_bytes(pack(data))
    refused(path, message)


ROWS = {
    "no map": (7, "expected exactly the keys"),
    "a key is missing": (row(crc32=...), "expected exactly the keys"),
    "a key more": (row(module="os"), "expected exactly the keys"),
    "overflow": (row(shape=[2**32, 2**32], size=0), "less than 2.63 bytes"),
    "overflow to 16": (row(shape=[2**32, 2**32 + 1, 2], size=16), "less than 2.63 bytes"),
    "overflow behind a zero": (row(shape=[0, 2**62, 2**62], size=0), "less than 2.63 bytes"),
    "negative size": (row(size=-16), "size to be a whole number"),
    "negative length": (row(shape=[-2]), "a shape of at most 64 sizes"),
    "two negative lengths": (row(shape=[-1, -2]), "a shape of at most 64 sizes"),
    "negative offset": (row(offset=-64), "offset to be a whole number"),
    "a float": (row(size=16.0), "size to be a whole number"),
    "a bool": (row(pieces=True), "pieces to be a whole number"),
    "a bool as length": (row(shape=[True, 2]), "a shape of at most 64 sizes"),
    "shape is no list": (row(shape=2), "a shape of at most 64 sizes"),
    "65 axes": (row(shape=[1] * 64 + [2]), "a shape of at most 64 sizes"),
    "size too small": (row(size=8), "expected size 16, found 8"),
    "size too large": (row(size=24), "expected size 16, found 24"),
    "an object dtype": (row(dtype="|O"), "expected dtype <f8 or"),
    "a structured dtype": (row(dtype=[["a", "<f8"]]), "expected dtype <f8 or"),
    "big-endian": (row(dtype=">f8"), "expected dtype <f8 or"),
    "no text as dtype": (row(dtype=None), "expected dtype <f8 or"),
    "offset off by one": (row(offset=1), "expected offset"),
    "far offset": (row(offset=2**63), "expected offset"),
    "no pieces": (row(pieces=0), "expected pieces 1, found 0"),
    "many pieces": (row(pieces=2**40), "expected pieces 1, found"),
    "a checksum too large": (row(crc32=-1), "crc32 to be a whole number"),
    "larger than the file": (row(shape=[2**40], size=2**43), "the file is cut off"),
    "as large as can be": (row(shape=[2**60 - 1], size=2**63 - 8), "the file is cut off"),
}


@pytest.mark.parametrize(("line", "message"), ROWS.values(), ids=ROWS)
def test_hostile_tables(path, line, message):
    path.write_bytes(crafted({"W": line}))
    tracemalloc.start()
    refused(path, message)
    assert tracemalloc.get_traced_memory()[1] < 500_000
    tracemalloc.stop()


def test_the_crafted_file_is_right_but_for_what_is_changed(path):
    path.write_bytes(crafted({"W": row(crc32=zlib.crc32(bytes(16)))}))
    assert read_container(path, mapped=False).tensors["W"].tolist() == [0, 0]


def test_names_are_shown_on_one_short_line(path):
    path.write_bytes(crafted({"a\nb" + "x" * 10_000: row(size=8)}))
    message = refused(path, "size 16")
    assert len(message) < 200


def test_overlap_and_hole(path):
    """Two tensors on one payload, and one that leaves room before it."""
    for offset in (0, 64, 192, 2**32):
        path.write_bytes(crafted({"a": row(), "b": row(offset=offset)}) + bytes(300))
        refused(path, "tensor 'b': expected offset|to end after")


@pytest.mark.parametrize("extra", [b"\x00", b"\xc0", b"\xc0" * 64, b"\xc6\x00\x00\x00\x00"])
def test_nothing_follows_the_end(small, extra):
    small.write_bytes(small.read_bytes() + extra)
    refused(small, rf"found {len(extra)} more; remove them")
    write_container(small, {}, {})
    small.write_bytes(small.read_bytes() + extra)
    refused(small, rf"found {len(extra)} more; remove them")


def test_nothing_hides_in_the_filler(small):
    data = small.read_bytes()
    end = stream(small)[0][0]
    assert data[end] == 0xC0
    small.write_bytes(data[:end] + b"\x01" + data[end + 1 :])
    refused(small, "filler and a bin from byte")


def test_the_bin_must_be_as_long_as_the_table_says(small):
    data = small.read_bytes()
    head = data.index(b"\xc6\x00\x00\x00\x30")
    for other in (b"\xc6\x00\x00\x00\x31", b"\xdb\x00\x00\x00\x30", b"\xc0\xc0\xc0\xc4\x30"):
        small.write_bytes(data[:head] + other + data[head + 5 :])
        refused(small, "filler and a bin from byte")


def test_bools_other_than_0_and_1(path):
    line = row(dtype="|b1", shape=[16], crc32=zlib.crc32(bytes([2] * 16)))
    path.write_bytes(crafted({"W": line})[:-16] + bytes([2] * 16))
    refused(path, "tensor 'W': expected bools to be the byte 0 or 1, found 2")


def test_a_header_of_a_declared_length_that_is_not_there(path):
    for length in (2**64 - 1, 2**32, 1000):
        path.write_bytes(pack({"tensors": {}}, length=length))
        refused(path, "the file is cut off")


def test_limit(path):
    write_container(path, {"text": "x" * 2000}, {})
    assert read_container(path, limit=4000).header["text"] == "x" * 2000
    assert "if you trust the file, raise the limit" in refused(path, "header of at most", limit=1000)


@pytest.mark.parametrize("item", [b"\x80", b"\x90", b"\x81\xa1a\x90", b"\xa0"])
def test_memory_is_bounded(path, item):
    """Two megabytes of containers take no more than 2.5 times the limit and 3 times the file, refused or not."""
    count = 2_000_000 // len(item)
    path.write_bytes(pack(b"\x82\xa7tensors\x80\xa1a\xdd" + count.to_bytes(4, "big") + item * count))
    limit = 2**21
    tracemalloc.start()
    with pytest.raises(FileFormatError, match="of memory, found a larger one"):
        read_container(path, limit=limit)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * limit + 3 * path.stat().st_size


# Writing what cannot be written


@pytest.mark.parametrize("dtype", ["c16", "O", "U3", "M8[s]", "f8,i4"])
def test_dtypes_that_the_format_does_not_have(path, dtype):
    with pytest.raises(FileFormatError, match=r"expected tensor 'W' to be float64, float32.*convert it") as caught:
        write_container(path, {}, {"W": np.zeros(2, dtype=dtype)})
    assert caught.value.file == str(path)
    assert os.listdir(path.parent) == []


LOOP: list[object] = []
LOOP.append(LOOP)
UNWRITABLE = {
    "the format's own key": ({"tensors": {}}, "format's own"),
    "bytes": ({"a": b"x"}, "binary data"),
    "a set": ({"a": {1}}, "cannot be written as msgpack"),
    "a numpy number": ({"a": np.int64(1)}, "cannot be written as msgpack"),
    "a number too large": ({"a": 2**64}, "cannot be written as msgpack"),
    "a number as key": ({"a": {1: 2}}, "key to be text"),
    "half a surrogate pair": ({"a": "\ud800"}, "cannot be written as msgpack"),
    "a loop": ({"a": LOOP}, "cannot be written as msgpack|levels of nesting"),
    "an extension type": ({"a": msgpack.ExtType(1, b"")}, "an extension type"),
}


@pytest.mark.parametrize(("header", "message"), UNWRITABLE.values(), ids=UNWRITABLE)
def test_headers_that_cannot_be_written(small, header, message):
    before = small.read_bytes()
    with pytest.raises(FileFormatError, match=message) as caught:
        write_container(small, header, {})
    assert "\n" not in str(caught.value)
    assert small.read_bytes() == before
    assert os.listdir(small.parent) == [small.name]


@pytest.mark.parametrize("name", ["replace", "fsync", "write"])
def test_a_failing_write_leaves_the_old_file(small, monkeypatch, name):
    def fails(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = small.read_bytes()
    monkeypatch.setattr(os, name, fails)
    with pytest.raises(FileFormatError, match="the disk is full; free some space and save again") as caught:
        write_container(small, {}, {"x": np.ones(1000)})
    monkeypatch.undo()
    assert caught.value.file == str(small)
    assert small.read_bytes() == before
    assert os.listdir(small.parent) == [small.name]
    assert_same(read_container(small).tensors, SMALL)
