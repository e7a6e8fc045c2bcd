"""TOML with places: whatever ``tomllib`` reads has a place, and whatever it refuses is one clear error."""

from __future__ import annotations

import os
import sys
import time
import tomllib
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dataflow
from dataflow.data.source import read_data
from dataflow.errors import DataflowError, ExpressionError, FileFormatError, ShapeError, nearest
from dataflow.files.toml import document as lines
from dataflow.files.toml.document import Document, Place, parse_toml, read_toml
from dataflow.files.toml.places import measure
from dataflow.limits import Limits

EXAMPLE = """\
# a comment with a quote " and a [bracket
dataflow = 1
name = "xor"   # after a value
doc = \"\"\"
Two lines,
with "quotes" and z = 1.\"\"\"

[inputs]
x = { shape = ["n", 2] }
"y\\u0020z" = {shape=[ "n",1 ], dtype = 'float32'}

[parameters]
  W1 = { shape = [2, 2], init = "he_normal" }
W2.value = [[0.7, -1.3]]

[nodes]
z = "x @ W1.T + b1"
h = 'relu(z)'
long = \"\"\"\\
    x +
    matmull(x)\"\"\"
text = '''
a
b'''

[data]
x = [ # the first
  [0, 0], # ]
  [0, 1],
]

[[runs]]
seed = 1
[runs.more]
k = 1
[[runs]]
seed = 2
more = { k.a = 3, k."b c" = 4 }
"""


@pytest.mark.parametrize(
    ("keys", "place", "value"),
    [
        (("dataflow",), (2, 1), (2, 12)),
        (("name",), (3, 1), (3, 9)),
        (("doc",), (4, 1), (5, 1)),
        (("inputs",), (8, 2), (8, 2)),
        (("inputs", "x"), (9, 1), (9, 5)),
        (("inputs", "x", "shape"), (9, 7), (9, 15)),
        (("inputs", "x", "shape", 0), (9, 16), (9, 17)),
        (("inputs", "x", "shape", 1), (9, 21), (9, 21)),
        (("inputs", "y z", "dtype"), (10, 32), (10, 41)),
        (("parameters", "W1", "init"), (13, 26), (13, 34)),
        (("parameters", "W2"), (14, 1), (14, 1)),
        (("parameters", "W2", "value"), (14, 4), (14, 12)),
        (("parameters", "W2", "value", 0, 1), (14, 19), (14, 19)),
        (("nodes", "z"), (17, 1), (17, 6)),
        (("nodes", "h"), (18, 1), (18, 6)),
        (("nodes", "long"), (19, 1), (20, 5)),
        (("nodes", "text"), (22, 1), (23, 1)),
        (("data", "x"), (27, 1), (27, 5)),
        (("data", "x", 1), (29, 3), (29, 3)),
        (("runs",), (32, 3), (32, 3)),
        (("runs", 0, "more", "k"), (35, 1), (35, 5)),
        (("runs", 1), (36, 3), (36, 3)),
        (("runs", 1, "seed"), (37, 1), (37, 8)),
        (("runs", 1, "more", "k", "b c"), (38, 21), (38, 29)),
        # what is not there: its nearest beginning
        (("nodes", "q"), (16, 2), (16, 2)),
        (("data", "x", 7, 3), (27, 1), (27, 1)),
        (("nodes", "z", "shape"), (17, 1), (17, 1)),
        (("nowhere",), (None, None), (None, None)),
        ((), (None, None), (None, None)),
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_places(keys: tuple[str | int, ...], place: Any, value: Any, ending: str, mark: str) -> None:
    document = parse_toml(mark + EXAMPLE.replace("\n", ending), "example.toml")
    assert document.data == tomllib.loads(EXAMPLE)
    assert document.place(*keys) == place
    assert document.value_place(*keys) == value


def test_nothing_is_scanned_before_a_place_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "scan", lambda text: pytest.fail("scanned"))
    assert parse_toml(EXAMPLE).data["dataflow"] == 1


def test_locate_maps_columns_of_expressions() -> None:
    document = parse_toml(EXAMPLE, "example.toml")
    error = document.locate(ExpressionError("here", column=3), "nodes", "z")
    assert str(error) == "example.toml:17:8: here"
    expression = document.data["nodes"]["long"]
    error = document.locate(ExpressionError("here", column=expression.index("matmull") + 1), "nodes", "long")
    assert str(error) == "example.toml:21:5: here"
    whole = document.locate(ShapeError("whole"), "parameters", "W1")
    assert str(whole) == "example.toml:13:3: whole"
    # a column means nothing where there is no string
    assert str(document.locate(ExpressionError("no", column=4), "inputs", "x")) == "example.toml:9:1: no"
    # what is located stays
    assert document.locate(ExpressionError("x", file="other", line=1, column=1), "nodes").line == 1


# ------------------------------------------------------------------------------------------ agreement with tomllib

TEXT = st.text(st.sampled_from("ab\"'\\#[]{}.,=\n\t \r\u00e9\U0001f600"), max_size=8)
SCALARS = st.one_of(
    st.integers(-9, 999).map(str),
    st.sampled_from(
        ["true", "inf", "-nan", "1.5", "6.02e+23", "0x1F", "1_000", "1979-05-27 07:32:00", "1979-05-27T07:32:00Z"]
    ),
)
BLANKS = st.sampled_from(["", " ", "\t ", "\n", " # ] } \" ''' =\n", "\r\n  "])
SPACES = st.sampled_from(["", " ", "\t"])


def basic(text: str) -> str:
    return "".join({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(c, c) for c in text)


@st.composite
def string(draw: st.DrawFn, text: str | None = None) -> str:
    text = draw(TEXT) if text is None else text
    forms = ["basic", "escaped"]
    if not {"'", "\n", "\r"} & set(text):
        forms.append("literal")
    if "'''" not in text and "\r" not in text and not text.endswith("'"):
        forms.append("long literal")
    if "\r" not in text:
        forms += ["long", "joined"]
    form = draw(st.sampled_from(forms))
    if form == "literal":
        return f"'{text}'"
    if form == "long literal":
        return f"'''{draw(st.sampled_from([chr(10), chr(13) + chr(10)]))}{text}'''"
    if form == "long":
        inside = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        return f'"""\n{inside}"""' if not inside.endswith('"""') else f'"""\n{basic(text)}"""'
    if form == "joined":
        return f'"""\\\n \t{basic(text)}\\  \n\n   """' if text.strip() == text else f'"""{basic(text)}"""'
    if form == "escaped":
        return '"' + "".join(f"\\U{ord(c):08x}" for c in text) + '"'
    return f'"{basic(text)}"'


@st.composite
def key(draw: st.DrawFn, name: str) -> str:
    forms = [name] if name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name) else []
    if not {"'", "\n", "\r"} & set(name):
        forms.append(f"'{name}'")
    forms.append(f'"{basic(name)}"')
    return draw(st.sampled_from(forms))


NAMES = st.one_of(st.sampled_from(["a", "b", "1", "x-y", "W_1"]), TEXT)


@st.composite
def value(draw: st.DrawFn, depth: int = 0) -> str:
    kind = draw(
        st.sampled_from(["scalar", "string", "string", "array", "table"] if depth < 3 else ["scalar", "string"])
    )
    if kind == "scalar":
        return draw(SCALARS)
    if kind == "string":
        return draw(string())
    if kind == "array":
        items = draw(st.lists(value(depth + 1), max_size=3))
        blank = lambda: draw(BLANKS)  # noqa: E731
        text = ",".join(f"{blank()}{item}{blank()}" for item in items)
        return f"[{text}{',' if items and draw(st.booleans()) else ''}{blank()}]"
    pairs = draw(pairs_of(depth + 1))
    return "{" + ",".join(f" {pair} " for pair in pairs) + "}"


@st.composite
def pairs_of(draw: st.DrawFn, depth: int) -> list[str]:
    """``key = value`` for different keys, some of them dotted with one first part."""
    found = []
    for name in draw(st.lists(NAMES, unique=True, max_size=3)):
        space = draw(SPACES)
        if draw(st.booleans()):
            found.append(f"{draw(key(name))}{space}={space}{draw(value(depth))}")
        else:
            inner = draw(st.lists(NAMES, unique=True, min_size=1, max_size=2))
            found += [f"{draw(key(name))}{space}.{space}{draw(key(i))} = {draw(value(depth))}" for i in inner]
    return found


@st.composite
def documents(draw: st.DrawFn) -> str:
    parts = [draw(BLANKS), *(f"{pair}\n" for pair in draw(pairs_of(0)))]
    for name in draw(st.lists(st.sampled_from(["t", "u.v", "u", "w", "w.x", "'q r'"]), unique=True, max_size=4)):
        parts.append(f"[{name}] # header\n")
        parts += [f"{draw(SPACES)}{pair}\n{draw(BLANKS)}" for pair in draw(pairs_of(0))]
    for _ in range(draw(st.integers(0, 2))):
        parts.append(f"[[ many . list ]]{draw(SPACES)}\n")
        parts += [f"{pair}\n" for pair in draw(pairs_of(1))]
        if draw(st.booleans()):
            parts.append("[many.list.inside]\nk = 1\n")
    return "".join(parts)


def offset_of(document: Document, place: Place) -> int:
    assert place.line is not None
    assert place.column is not None
    before = document.text.split("\n")[: place.line - 1]
    return sum(map(len, before)) + len(before) + place.column - 1


def check_places(document: Document, data: Any, path: tuple[str | int, ...]) -> int:
    """Every key below ``path`` has a place where it stands, and every string's every character too."""
    count = 0
    if isinstance(data, dict | list):
        children = data.items() if isinstance(data, dict) else enumerate(data)
        for name, child in children:
            inner = (*path, name)
            offset = offset_of(document, document.place(*inner))
            if isinstance(name, str):
                written = document.text[offset:]
                if written[0] in "\"'":
                    end = 1 + next(
                        i
                        for i in range(1, len(written))
                        if written[i] == written[0] and _closes(written[: i + 1], name)
                    )
                    assert tomllib.loads(f"k = {written[:end]}")["k"] == name
                else:
                    assert written.startswith(name)
            count += 1 + check_places(document, child, inner)
    elif isinstance(data, str) and path:
        for i, character in enumerate(data):
            offset = offset_of(document, document.text_place(*path, offset=i))
            assert document.text[offset] in (character, "\\"), (path, i)
        closing = offset_of(document, document.text_place(*path, offset=len(data)))
        assert document.text[closing] in "\"'"
        first = document.value_place(*path)
        assert first == document.text_place(*path, offset=0)
    elif path:
        offset = offset_of(document, document.value_place(*path))
        written = document.text[offset : offset + 40]
        rest = written.splitlines()[0]
        assert any(_is_value(rest[:end], data) for end in range(1, len(rest) + 1))
    return count


def _closes(written: str, name: str) -> bool:
    try:
        return bool(tomllib.loads(f"k = {written}")["k"] == name)
    except tomllib.TOMLDecodeError:
        return False


def _is_value(written: str, expected: Any) -> bool:
    try:
        return repr(tomllib.loads(f"k = {written}")["k"]) == repr(expected)
    except tomllib.TOMLDecodeError:
        return False


@given(documents())
def test_every_key_that_tomllib_reads_has_its_place(text: str) -> None:
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(FileFormatError):
            parse_toml(text)
        return
    document = parse_toml(text)
    assert repr(document.data) == repr(expected)
    check_places(document, document.data, ())


def test_places_test_tests_something() -> None:
    document = parse_toml(EXAMPLE)
    assert check_places(document, document.data, ()) > 40


@given(st.text(st.sampled_from("ab=[]{}\"'#.,\\\n \r1"), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(FileFormatError) as caught:
            parse_toml(text, "f.toml")
        assert "\n" not in str(caught.value)
        assert caught.value.line is not None
        return
    document = parse_toml(text)
    assert document.data == expected
    check_places(document, document.data, ())


# ------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a = 1\nb = \n", 2, 5, 'invalid value; text stands in quotes, as in name = "xor"'),
        ("a = 1\nb = xor\n", 2, 5, "quotes"),
        ("a\n", 1, 2, "expected '='"),
        ("a = 'x\nb = 1\n", 1, 5, "this ' is never closed"),
        ("a = 'x\nb = 'y'\n", 1, 7, "invalid character"),
        ('a = """x\nb = 1\n', 1, 5, "never closed"),
        ("a = [1,\n2\n", 1, 5, "this '[' is never closed"),
        ("b = 1\na =", 2, None, "at the end of the file"),
        ('a = "', 1, 5, "never closed"),
        ("a = 1 b = 2", 1, 7, "expected newline"),
        ("[a\nb = 1", 1, 3, "expected ']'"),
        ("\n\na = 1\n'a' = 2\n", 4, 1, "'a' is given twice, first on line 3"),
        ("[nodes]\nz = 'x'\nh = 'y'\nz = \"q\"\n", 4, 1, "'z' is given twice, first on line 2"),
        ("[a]\n[b]\n[a]\n", 3, 2, "'a' is given twice, first on line 1"),
        ("[a]\nb = 1\n[a.b]\n", 3, 4, "'a.b' is given twice, first on line 2"),
        ("a = {x = 1}\na.y = 2\n", 2, 1, "'a' is given twice, first on line 1"),
        ("a.b = 1\n[a]\n", 2, 2, "'a' is given twice, first on line 1"),
        ("a = []\n[[a]]\n", 2, 3, "'a' is given twice, first on line 1"),
        ("a = {x = 1, x = 2}", 1, None, "uplicate inline table key"),
        ("a = 2023-02-30", 1, 5, "invalid date"),
        ("a = \x01", 1, 5, "nvalid"),
        ("a = " + "1" * 5000, 1, 5, "too many digits"),
        ("a = " + "[" * 65 + "]" * 65, 1, 69, "nested more than 64 deep"),
        ("a = " + "{a = " * 10_000, 1, None, "nested more than 64 deep"),
        ("\na = " + "[" * 200_000, 2, 69, "nested more than 64 deep"),
        (".".join("a" * 200_000) + " = 1", 1, 128, "nested more than 64 deep"),
        ("[" + ".".join(["'a.b'"] * 65) + "]", 1, None, "nested more than 64 deep"),
        ("[a\n" * 100, 1, 3, "expected ']'"),
        ("\n".join(["x = 1", *["[a"] * 100]), 2, 3, "expected ']'"),
    ],
)
def test_errors(text: str, line: int | None, column: int | None, words: str) -> None:
    with pytest.raises(FileFormatError) as caught:
        parse_toml(text, "net.toml")
    error = caught.value
    assert words in error.message
    assert error.file == "net.toml"
    assert error.line == line
    if column is not None:
        assert error.column == column
    assert len(str(error)) < 300
    assert "\n" not in str(error)
    assert "(at " not in str(error)


@pytest.mark.parametrize("count", [64, 65])
@pytest.mark.parametrize("form", ["array", "dotted", "header"])
def test_depth_is_exact(form: str, count: int) -> None:
    text = {"array": f"a = {'[' * count}{']' * count}", "dotted": ".".join("a" * count) + " = 1.5"}.get(
        form, f"[{'.'.join('a' * count)}]"
    )
    if count == 64:
        document = parse_toml(text)
        path = ("a", *[0] * 63) if form == "array" else ("a",) * 64
        assert document.place(*path).line == 1
        assert document.place(*path).column in (5 + 63, 127, 128)
    else:
        with pytest.raises(FileFormatError, match="64 deep"):
            parse_toml(text)


@pytest.mark.parametrize(
    "text",
    [
        'a = "' + "[" * 100 + '"',
        "a = '" + "{" * 100 + "'",
        "a = '''\n" + "[\n" * 100 + "'''",
        'a = """' + '\\"""[' * 100 + '"""',
        "a = 1 # " + "[" * 100,
        "a = '" + "." * 100 + "'",
        "a = [" + "1.5, " * 100 + "]",
        "a = [" + "[1.5], " * 100 + "]",
        "a = {" + ", ".join(f"x{i} = {{y = 1.5}}" for i in range(100)) + "}",
        "\n".join(f"a{i}.b = 1.5" for i in range(100)),
    ],
)
def test_depth_counts_no_strings_and_no_siblings(text: str) -> None:
    assert parse_toml(text).data == tomllib.loads(text)


def test_recursion_becomes_an_error() -> None:
    """Deep in somebody's call stack even 64 levels may be too many."""
    text = "a = " + "[" * 60 + "]" * 60
    limit = sys.getrecursionlimit()

    def deeper(count: int) -> Document:
        return deeper(count - 1) if count else parse_toml(text, "f.toml")

    depth = len(_frames())
    with pytest.raises(FileFormatError, match="nested too deep"):
        deeper(limit - depth - 80)


def _frames() -> list[Any]:
    frame, found = sys._getframe(), []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back  # type: ignore[assignment]
    return found


# ------------------------------------------------------------------------------------------ files


def test_files(tmp_path: Any) -> None:
    good = tmp_path / "xor.toml"
    good.write_bytes(b"\xef\xbb\xbfname = 'xor'\r\nz = 1\r\n")
    document = read_toml(good)
    assert document.data == {"name": "xor", "z": 1}
    assert document.file == str(good)
    assert document.place("z") == (2, 1)
    with pytest.raises(FileFormatError, match=r"no such file; did you mean '.*xor.toml'") as caught:
        read_toml(tmp_path / "xr.toml")
    assert str(caught.value).startswith(str(tmp_path / "xr.toml") + ": ")
    with pytest.raises(FileFormatError, match="no such file; check the name$"):
        read_toml(tmp_path / "folder" / "xor.toml")
    with pytest.raises(FileFormatError, match="expected a file, found a folder"):
        read_toml(tmp_path)
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_toml(str(good) + "/x.toml")
    with pytest.raises(FileFormatError, match="cannot be a file's name"):
        read_toml("a\0b")


@pytest.mark.parametrize(
    ("content", "line", "column", "words"),
    [
        (b"a = 1\nb = '\xff'\n", 2, 6, "not UTF-8: the byte 0xff"),
        ("é = 1\n# é".encode() + b"\xe9\n", 2, 4, "not UTF-8: the byte 0xe9"),
        ("a = 1".encode("utf-16"), 1, None, "UTF-16"),
        (b"a = '\xe2\x82", 1, 6, "not UTF-8"),
    ],
)
def test_not_utf8(tmp_path: Any, content: bytes, line: int, column: int | None, words: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=words) as caught:
        read_toml(path)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="may read everything")
def test_no_permission(tmp_path: Any) -> None:
    path = tmp_path / "closed.toml"
    path.write_text("a = 1")
    path.chmod(0)
    with pytest.raises(FileFormatError, match="permission"):
        read_toml(path)


def test_no_permission_is_an_error(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.toml").touch()

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(FileFormatError, match="permission denied"):
        read_toml(tmp_path / "a.toml")


def test_too_large(tmp_path: Any) -> None:
    path = tmp_path / "large.toml"
    with Limits(structure=100):
        path.write_text("#" * 100)
        assert read_toml(path).data == {}
        path.write_text("#" * 101)
        with pytest.raises(FileFormatError, match="larger than .*raise the limit: DATAFLOW_LIMITS=structure=1MiB"):
            read_toml(path)
    assert read_toml(path).data == {}


@pytest.mark.parametrize(
    "part", ["a{} = {{}}\n", "[a{}]\n", "a{}.b.c = 1\n", "a{} = 1\n", "a{} = ''\n", "a{} = [[], [{{}}]]\n"]
)
def test_memory_is_bounded_before_anything_is_read(part: str) -> None:
    """What tomllib takes is within what the measure says, for whatever takes much of it."""
    text = "".join(map(part.format, range(5000)))
    tracemalloc.start()
    data = tomllib.loads(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(data) == 5000
    _, cost = measure(text, 64)
    assert peak < cost + 3 * len(text) + 20_000
    with Limits(structure=max(len(text), cost // 4 - len(text))), pytest.raises(FileFormatError, match="of memory"):
        parse_toml(text)


def test_time_grows_with_the_text() -> None:
    def seconds(count: int) -> float:
        text = "".join(f"[t{i}]\nx = [[0.5, 1.5], [2.5, 3.5]]\nz = 'a + b'\n" for i in range(count))
        document = parse_toml(text)
        start = time.process_time()
        document.place(f"t{count - 1}", "x", 1, 0)
        parse_toml("# " + text.replace("\n", " "))
        return time.process_time() - start

    seconds(100)
    assert seconds(8000) < 8 * 4 * seconds(1000) + 0.1


@pytest.mark.parametrize(
    "text",
    [
        'a = "' + "\\\\" * 200_000,
        "a = '''" + "''" * 1,
        "a = " + "'\"" * 100_000,
        "#" * 300_000,
        "a" * 300_000,
        "\\" * 9999,
    ],
)
def test_hostile_texts_are_refused_quickly(text: str) -> None:
    start = time.process_time()
    if text.startswith("#"):
        assert parse_toml(text).data == {}
    else:
        with pytest.raises(FileFormatError):
            parse_toml(text)
    assert time.process_time() - start < 2


SLIPS = [
    ("value = [.2]", "a number needs a digit before the point: 0.2"),
    ("value = +.5", "a number needs a digit before the point: +0.5"),
    ("value = -.5e3", "a number needs a digit before the point: -0.5e3"),
    ("value = 2.", "a number needs a digit after the point: 2.0"),
    ("value = [1, 2.]", "a number needs a digit after the point: 2.0"),
    ("value = 1.e5", "a number needs a digit after the point: 1.0e5"),
    ("value = 1e5.", "an exponent has no point: 1e5"),
    ("value = 1e", "an exponent needs a digit: 1e0"),
    ("value = 1e+", "an exponent needs a digit: 1e+0"),
    ("value = 0x", "a hexadecimal number is 0x and digits, as in 0x1f"),
    ("value = 0X1F", "a hexadecimal number is 0x and digits, as in 0x1f"),
    ("value = 0o8", "an octal number is 0o and digits, as in 0o17"),
    ("value = 0b2", "a binary number is 0b and digits, as in 0b101"),
    ("value = -01.5", "a number does not begin with 0: -1.5"),
    ("value = 1__0", "an underscore stands between two digits, as in 1_000"),
    ("value = 1_", "an underscore stands between two digits, as in 1_000"),
    ("value = 1,5", "a decimal point is a point, not a comma"),
    ("value = 1.5f", "a number has no letters or signs after it: 1.5"),
    ("value = 50%", "a number has no letters or signs after it: 50"),
    ("value = 1/2", "nothing is computed here; write the result"),
    ("value = True", "it is written true"),
    ("value = [FALSE]", "it is written false"),
    ("value = None", "TOML has no word for nothing; leave the key out"),
    ("value = null", "TOML has no word for nothing; leave the key out"),
    ("value = NaN", "not a number is written nan"),
    ("value = -Infinity", "infinity is written -inf"),
    ("value = \u201cxor\u201d", 'text stands in straight quotes, as in name = "xor"'),
    ("value = xor", 'text stands in quotes, as in name = "xor"'),
    ("value = (1, 2)", "a list stands in brackets, as in [1, 2]"),
    ("value = [1 2]", "a list has commas between its entries"),
    ("value = [1; 2]", "TOML has no ;, and a list has commas"),
    ("value = [1,, 2]", "a value is missing here"),
    ("value = 3;", "TOML has no ;, and a list has commas"),
    ("value = 3 // three", "a comment begins with #"),
    ("// three", "a comment begins with #"),
    ("value: 3", "between a key and its value stands ="),
    ("value = {x: 1}", "between a key and its value stands ="),
    ("value == 3", "between a key and its value stands one ="),
    ("value => 3", "between a key and its value stands one ="),
    ("value = {x = 1,}", "no comma stands before the }"),
    ('value = "mse(p, y, reduction="mean")"', "a text with double quotes in it stands in single quotes"),
    ('value = "sum(p, axis="0")"', "a text with double quotes in it stands in single quotes"),
    ('value = "f(p, mode="")"', "a text with double quotes in it stands in single quotes"),
    ("value = 'mse(p, y, reduction='mean')'", "a text with single quotes in it stands in double quotes"),
    ('value = { p = "mse(p, y, reduction="mean")" }', "a text with double quotes in it stands in single quotes"),
    ('value = ["a" "b"]', "a list has commas between its entries"),
]


@pytest.mark.parametrize(("line", "advice"), SLIPS)
def test_common_slips_are_told_what_to_write(line, advice):
    with pytest.raises(FileFormatError) as caught:
        parse_toml(f"[parameters]\n{line}\nb = 1\n", "net.toml")
    assert (caught.value.file, caught.value.line) == ("net.toml", 2)
    assert str(caught.value).endswith("; " + advice) or (advice.startswith("a decimal") and advice in str(caught.value))


def test_a_slip_in_a_very_long_line_is_found_in_linear_time():
    start = time.process_time()
    with pytest.raises(FileFormatError):
        parse_toml("value = " + "1" * 4000 + "a" * 2_000_000 + "[", "net.toml")
    assert time.process_time() - start < 5  # 0.1 on an idle machine


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_other_encodings_are_named(tmp_path, encoding):
    name = encoding[:6].upper()
    for ending, text in (("toml", "dataflow = 1\n[inputs]\n"), ("csv", "x,y\n1,2\n"), ("json", '{"x": [1, 2]}')):
        path = tmp_path / f"a.{ending}"
        path.write_bytes(text.encode(encoding))
        built = dataflow.Graph("net")
        built.input("x", ("n",))
        if ending == "csv" and len(encoding) == 6:  # a table with a mark is read
            assert read_data(path, built)["x"].tolist() == [1]
            continue
        with pytest.raises(DataflowError, match=rf"a\.{ending}:1: .*{name}.*save it as UTF-8"):
            _ = read_toml(path) if ending == "toml" else read_data(path, built)


def test_names_are_matched_whatever_their_case_and_in_bounded_time():
    assert nearest("ReLU", ["relu", "tanh"]) == "; did you mean 'relu'?"
    assert nearest("MatMull", ["matmul", "mean"]) == "; did you mean 'matmul'?"
    assert nearest("w1", ["W1", "W2"]) == "; did you mean 'W1'?"
    assert nearest("x", []) == ""
    for names in (
        [f"{'a' * 10_000}{i}" for i in range(3000)],
        [f"{'a' * i}" for i in range(1, 3000)],
        [f"p{i:05}" for i in range(100_000)],
        [f"{'ab' * 29}{i:02}" for i in range(100)],
    ):
        start = time.process_time()
        found = nearest(names[-1][:-1] + "A", names)
        assert time.process_time() - start < 2  # 0.2 on an idle machine
        assert len(found) < 2000
