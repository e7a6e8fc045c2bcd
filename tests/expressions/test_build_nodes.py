"""Expressions: Python's own grammar is the oracle for what they mean, a table for what is refused, and where."""

from __future__ import annotations

import ast
import contextlib
import math
import sys
import time
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import dataflow
from dataflow.errors import DataflowError, ExpressionError, GraphError, OpError, ShapeError
from dataflow.expressions.build_nodes import build, fold
from dataflow.expressions.parser import BINARY, MAX_LENGTH, Silent, parse
from dataflow.expressions.render import ARGUMENT, Piece, piece_of_name, piece_of_number, piece_of_op
from dataflow.expressions.tokens import MAX_DEPTH, quote, tokenize, unquote
from dataflow.graph.value import Value
from dataflow.operations.indexing import Key, format_key, parse_key
from dataflow.operations.op import Op

SYMBOLS = {op.name: text for text, (op, _) in BINARY.items()}


class Tree:
    """Actions that build nested tuples: ``("add", (("name", "x"), ("number", 1)), {})``."""

    def name(self, text: str, column: int) -> Any:
        return ("name", text)

    def number(self, value: float, column: int) -> Any:
        return ("number", value)

    def literal(self, value: bool | None, column: int) -> Any:
        return self.number(value, column)  # type: ignore[arg-type]

    def negative(self, operand: Any, column: int) -> Any:
        return ("number", -operand[1]) if operand[0] == "number" else ("negative", (operand,), {})

    def binary(self, op: Op, left: Any, right: Any, column: int) -> Any:
        return (op.name, (left, right), {})

    def transpose(self, operand: Any, column: int) -> Any:
        return ("transpose", (operand,), {})

    def index(self, operand: Any, key: Key, column: int) -> Any:
        return ("index", (operand,), {"key": format_key(key)})

    def stack(self, items: Sequence[Any], column: int) -> Any:
        return ("stack", tuple(items), {})

    def call(self, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any], column: int) -> Any:
        return (name, tuple(arguments), dict(keywords))


class Parenthesized(Tree):
    """Actions that write every operator with its own parentheses."""

    def name(self, text: str, column: int) -> Any:
        return text

    def number(self, value: float, column: int) -> Any:
        return repr(value)

    def negative(self, operand: Any, column: int) -> Any:
        return f"(-{operand})"

    def binary(self, op: Op, left: Any, right: Any, column: int) -> Any:
        return f"({left} {SYMBOLS[op.name]} {right})"

    def transpose(self, operand: Any, column: int) -> Any:
        return f"({operand}).T"

    def index(self, operand: Any, key: Key, column: int) -> Any:
        return f"({operand})[{format_key(key)}]"

    def stack(self, items: Sequence[Any], column: int) -> Any:
        return f"[{', '.join(items)}]"

    def call(self, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any], column: int) -> Any:
        return f"{name}({', '.join([*arguments, *(f'{k}={v!r}' for k, v in keywords.items())])})"


class Columns(Tree):
    """Actions that note each action with its column."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def name(self, text: str, column: int) -> Any:
        self.seen.append((text, column))

    def number(self, value: float, column: int) -> Any:
        self.seen.append((repr(value), column))

    def negative(self, operand: Any, column: int) -> Any:
        self.seen.append(("negative", column))

    def binary(self, op: Op, left: Any, right: Any, column: int) -> Any:
        self.seen.append((op.name, column))

    def transpose(self, operand: Any, column: int) -> Any:
        self.seen.append((".T", column))

    def index(self, operand: Any, key: Key, column: int) -> Any:
        self.seen.append(("index", column))

    def stack(self, items: Sequence[Any], column: int) -> Any:
        self.seen.append(("stack", column))

    def call(self, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any], column: int) -> Any:
        self.seen.append((name, column))


# ------------------------------------------------------------------------------------------ the grammar


class Plain(ast.NodeTransformer):
    """Python's tree without what makes no difference here: unary plus, lists for tuples, the comma of ``x[1,]``."""

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return node.operand if isinstance(node.op, ast.UAdd) else node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        self.generic_visit(node)
        for inner in ast.walk(node):
            for name, value in ast.iter_fields(inner):
                if isinstance(value, ast.List):
                    setattr(inner, name, ast.Tuple(value.elts, ast.Load()))
                elif isinstance(value, list):
                    value[:] = [ast.Tuple(x.elts, ast.Load()) if isinstance(x, ast.List) else x for x in value]
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.slice, ast.Tuple) and len(node.slice.elts) == 1:
            node.slice = node.slice.elts[0]
        for inner in ast.walk(node.slice):
            if isinstance(inner, ast.Slice) and isinstance(inner.step, ast.Constant) and inner.step.value is None:
                inner.step = None
        return node


def same_as_python(text: str) -> None:
    ours = parse(text, Parenthesized()).replace("newaxis", "None")
    try:
        python = ast.parse(f"({text})", mode="eval")
    except SyntaxError:
        pytest.fail(f"{text!r} is no Python, and was read as {ours}")
    assert ast.dump(Plain().visit(ast.parse(ours, mode="eval"))) == ast.dump(Plain().visit(python))


@pytest.mark.parametrize(
    "text",
    [
        "-x**2", "2**-1", "2**-x**y", "x**y**z", "-x*y", "-x.T", "-x[0]", "x**2.", "a@b*c/d", "a-b-c", "a/b/c", "a*b@c",
        "a+b*c**d", "a<b+c", "a+b==c*d", "(a<b)==c", "--x", "- -x", "+x", "-+-x",
        "a--b", "a- -b*c", "2*-x**-y", "x.T.T[0].T",
        "x[0]", "x[-1]", "x[0, 1:3]", "x[...]", "x[..., 0]", "x[None, :]", "x[::2]",
        "x[1:]", "x[:-1]", "x[5:1:-2]", "x[+1]",
        "x[1,]", "f()", "f(x)", "f(x,)", "f(x, y)", "f(g(x), h(y, z))", "f(x, a=1)", "f(a=1)", "f(x, a=1, b=-2.5,)",
        "f(x, a='s')", "f(x, a=(1, 2))", "f(x, a=(1,))", "f(x, a=())",
        "f(x, a=(1, (2, 3)))", "f(x, a=(1))", "f(x, a=None)",
        "f(x, a=True)", "f(x, a=False)", "[a]", "[a, b,]", "[a+b, [c, d]][0]", "(x)",
        "((x))", "f((x))", "(x+y).T", "[x, y].T",
        "1e-3", "1_000", ".5", "5.", "0x1F", "0b101", "0o17", "1_0.0_1e+1_0", "00", "1E5", "0.1", "1..T", "1.5.T",
        "f(True)", "f(x, None)", "f(None, False,)", "x\n + y", "\tx * ( y\n)", "x!=y", "x>=y", "x<=y", "x>y", "x == y",
        "ﬁ + ℌ", "é", "e\u0301", "变量 * 2", "_x1", "x٣",
        "lambda_ + in_", "f (x)", "x . T", "x [0]", "[x] [0]", "f(x)[0]",
    ],
)  # fmt: skip
def test_means_what_python_means(text: str) -> None:
    same_as_python(text)


LEAVES = st.one_of(
    st.sampled_from(["x", "y", "W1", "pi"]), st.integers(0, 9).map(str), st.sampled_from(["0.5", "1e-3"])
)


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(["+", "-", "*", "/", "**", "@", " - ", " ** "])
    return st.one_of(
        st.tuples(inner, operator, inner).map("".join),
        inner.map(lambda text: f"-{text}"),
        inner.map(lambda text: f"+{text}"),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"({text}).T"),
        inner.map(lambda text: f"f({text}, k=-2)"),
        inner.map(lambda text: f"({text})[1:, ..., -1]"),
        st.lists(inner, min_size=1, max_size=3).map(lambda texts: f"[{', '.join(texts)}]"),
        st.tuples(inner, st.sampled_from(["<", "==", "!=", ">="]), inner).map(lambda parts: f"({''.join(parts)})"),
    )


@given(st.recursive(LEAVES, compound, max_leaves=12))
def test_random_expressions_mean_what_python_means(text: str) -> None:
    same_as_python(text)


class Numeric(Tree):
    """Actions that compute."""

    def number(self, value: float, column: int) -> Any:
        return value

    def negative(self, operand: Any, column: int) -> Any:
        return -operand

    def binary(self, op: Op, left: Any, right: Any, column: int) -> Any:
        return fold(op, left, right)


NUMBERS = st.one_of(st.integers(0, 12).map(str), st.sampled_from(["0.5", "2.5", "1e3", "1e-3"]))


def arithmetic(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(["+", "-", "*", "/", "**", " - "])
    return st.one_of(st.tuples(inner, operator, inner).map("".join), inner.map("-{}".format), inner.map("({})".format))


@given(st.recursive(NUMBERS, arithmetic, max_leaves=8))
def test_numbers_fold_to_what_python_computes(text: str) -> None:
    try:
        ours = parse(text, Numeric())
    except ExpressionError:
        # What is refused: more than 64 bits or beyond float64, division by zero, what is not real; of these only the
        # first is a number in Python too, and its cost is not bounded.
        return
    expected = evaluate(ast.parse(text, mode="eval").body)
    assert type(ours) is type(expected)
    assert ours == expected


def evaluate(node: ast.expr) -> Any:
    """Python's tree of an arithmetic expression, evaluated."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp):
        return -evaluate(node.operand)
    assert isinstance(node, ast.BinOp)
    left, right = evaluate(node.left), evaluate(node.right)
    match node.op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case _:
            return left**right


@given(st.text(st.sampled_from("xf1.2e_T+-*/@<=>()[],: '\"\\n")))
def test_any_text_parses_as_python_or_is_refused(text: str) -> None:
    try:
        parse(text, Tree())
    except ExpressionError as error:
        column, message = error.column or 0, error.message
        assert 1 <= column <= len(text) + 1
        assert "\n" not in message
    else:
        same_as_python(text)


def test_actions_come_in_the_order_of_evaluation_with_their_columns() -> None:
    actions = Columns()
    parse(" é + relu(-x.T[0]) * [2, y] ** 3", actions)
    assert actions.seen == [
        ("é", 2), ("x", 12), (".T", 13), ("index", 15), ("negative", 11), ("relu", 6),
        ("2", 23), ("y", 26), ("stack", 22),
        ("3", 32), ("power", 29), ("multiply", 20), ("add", 4),
    ]  # fmt: skip


class Names(Silent):
    """Every name with its column: those that are used as values, and those that are called."""

    def __init__(self, text: str) -> None:
        self.free: list[tuple[str, int]] = []
        self.called: list[tuple[str, int]] = []
        parse(text, self)

    def name(self, text: str, column: int) -> None:
        self.free.append((text, column))

    def call(self, name: str, arguments: Any, keywords: Any, column: int) -> None:
        self.called.append((name, column))


def test_names_are_normalised_as_python_does() -> None:
    assert Names("ﬁ + ℌ + e\u0301 + x").free == [("fi", 1), ("H", 5), ("é", 9), ("x", 14)]
    assert Names("ﬁ(g(x)) + g(y)").called == [("g", 3), ("fi", 1), ("g", 11)]
    assert Names("2 * pi * x + x").free == [("pi", 5), ("x", 10), ("x", 14)]
    assert Names("relu(x, axis=0)[1]").free == [("x", 6)]


@given(st.text(st.characters(categories=["L", "Nd", "Nl", "Mn", "Mc", "Pc"]), min_size=1, max_size=6))
def test_every_identifier_is_a_name(text: str) -> None:
    assume(text.isidentifier() and text not in ("True", "False", "None"))
    assert parse(text, Tree()) == ("name", unicodedata.normalize("NFKC", text))
    assert Names(f"({text})[0]+1").free == [(unicodedata.normalize("NFKC", text), 2)]


@given(st.characters(min_codepoint=128))
def test_no_other_character_is_part_of_a_name(character: str) -> None:
    if not character.isidentifier():
        with pytest.raises(ExpressionError) as caught:
            parse(f"2 + {character}", Silent())
        assert caught.value.column == 5
    if not f"x{character}".isidentifier():
        with pytest.raises(ExpressionError) as caught:
            parse(f"2 + x{character}", Silent())
        assert caught.value.column == 6


@pytest.mark.parametrize("word", ["lambda", "in", "is", "and", "not", "if"])
def test_words_of_python_may_be_names(word: str) -> None:
    assert parse(f"{word} * x + {word}", Tree()) is not None
    assert Names(f"{word}").free == [(word, 1)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-1", -1), ("+1.5", 1.5), ("-1e-3", -0.001), ("'mean'", "mean"), ('"mean"', "mean"), ("true", True),
        ("false", False), ("True", True), ("False", False), ("None", None), ("(2, -3)",
        (2, -3)), ("[2, 'n']", (2, "n")),
        ("()", ()), ("[]", ()), ("(2,)", (2,)), ("(2)", 2), ("[2]", (2,)), ("[[1, 2], (3,)]", ((1, 2), (3,))),
        ("inf", math.inf), ("-inf", -math.inf), (r"'a\'b\\\n\x41\u00e9\U0001f600'", "a'b\\\nAé\U0001f600"),
        ("'#[('", "#[("), ("-9223372036854775808", -(2**63)), ("0x10", 16), ("[1,]", (1,)),
    ],
)  # fmt: skip
def test_attributes(text: str, value: Any) -> None:
    (attribute,) = parse(f"f(x, k={text})", Tree())[2].values()
    assert type(attribute) is type(value)
    assert attribute == value


def test_attribute_nan() -> None:
    assert math.isnan(parse("f(x, k=nan)", Tree())[2]["k"])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("0", (0,)), ("-1", (-1,)), ("0, 1", (0, 1)), (":", (slice(None),)), ("1:", (slice(1, None),)), ("...", (...,)),
        (":3", (slice(None, 3),)), ("1:3", (slice(1, 3),)), ("::2", (slice(None, None, 2),)), ("newaxis", (None,)),
        ("1:3:-1", (slice(1, 3, -1),)), ("None", (None,)), ("0, 1:3, ..., newaxis",
        (0, slice(1, 3), ..., None)), ("0,", (0,)),
        ("1:3:", (slice(1, 3),)), ("::", (slice(None),)), (" 1 : - 3 ", (slice(1, -3),)),
        ("0x1f", (31,)), ("1_0", (10,)),
    ],
)  # fmt: skip
def test_keys(text: str, key: Key) -> None:
    canonical = parse(f"x[{text}]", Tree())[2]["key"]
    assert canonical == format_key(key)
    assert parse_key(canonical) == key


# ------------------------------------------------------------------------------------------ what is refused

REFUSED = [
    ("", 1, "empty"),
    ("  \n", 1, "empty"),
    ("x +", 4, "expected a value, found the end after '+'"),
    ("x y", 3, "expected an operator, found 'y'; a product"),
    ("2x", 1, "'2x' is neither a number nor a name; a product is written 2 * x"),
    ("2 x", 3, "a product is written with *"),
    ("x 2", 3, "expected an operator, found '2'"),
    ("x^2", 2, "a power is written **"),
    ("x // 2", 3, "unexpected '//'"),
    ("x % 2", 3, "no remainder"),
    ("x & y", 3, "where(condition, a, b)"),
    ("x && y", 3, "where(condition, a, b)"),
    ("x || y", 3, "where(condition, a, b)"),
    ("x and y", 3, "unexpected 'and'; logic is written where"),
    ("x or y", 3, "unexpected 'or'"),
    ("not x", 1, "unexpected 'not'"),
    ("x if y else z", 3, "unexpected 'if'; a choice is written where"),
    ("1 if x else y", 3, "unexpected 'if'"),
    ("1if x else y", 2, "unexpected 'if'"),
    ("x else", 3, "unexpected 'else'"),
    ("lambda x: x", 1, "unexpected 'lambda'"),
    ("lambda: 0", 1, "unexpected 'lambda'"),
    ("[x for x in y]", 4, "unexpected 'for'; there are no loops"),
    ("x is y", 3, "unexpected 'is'; compare with =="),
    ("x = 2", 3, "nothing is assigned"),
    ("x += 2", 4, "nothing is assigned"),
    ("x := 2", 3, "nothing is assigned"),
    ("x; y", 2, "a line of its own"),
    ("x -> y", 3, "defines no functions"),
    ("x << 2", 3, "no shifts"),
    ("x!", 2, "factorial"),
    ("!x", 1, "expected a value, found '!'"),
    ("~x", 1, "expected a value, found '~'"),
    ("x < y < z", 7, "comparisons cannot be chained"),
    ("a == b + c != d", 12, "comparisons cannot be chained"),
    ("x.t", 3, "did you mean .T?"),
    ("x.shape", 3, "a value has nothing but .T"),
    ("x.reshape(2)", 3, "values have no methods; call the op by its name, reshape(...)"),
    ("x.T(0)", 3, "no methods"),
    ("np.exp(x)", 4, "call the op by its name, exp(...)"),
    ("x.", 3, "expected T after the dot, found the end"),
    ("x.T.__class__", 5, "nothing but .T"),
    ("x[y]", 3, "expected an integer, a slice such as 1:3, '...' or newaxis, found 'y'; an index is constant"),
    ("x[1.5]", 3, "found '1.5'"),
    ("x[]", 3, "found ']'"),
    ("x[[0, 1]]", 3, "found '['"),
    ("x[0 + 1]", 5, "an index is constant"),
    ("x[(0, 1)]", 3, "found '('"),
    ("x[::0]", 3, "the step of a slice is not 0"),
    ("x[..., 0, ...]", 11, "at most one '...'"),
    ("x[1:2:3:4]", 8, "found ':'"),
    ("x[0", 4, "expected ',' or ']' for the index at column 3, found the end"),
    ("x[0)", 4, "found ')'"),
    ("x[True]", 3, "found 'True'"),
    ("x[1000000000000000000]", 3, "18 digits"),
    ("x[99999999999999999999]", 3, "64 bits"),
    ("reshape(x, (2, 3))", 12, "an attribute is given by keyword, as in reshape(x, shape=(2, 3))"),
    ("(x, y)", 1, "a tuple is not a value"),
    ("x, y", 2, "values are stacked with [a, b]"),
    ("()", 2, "the parentheses are empty"),
    ("[]", 2, "nothing to stack"),
    ("[,]", 2, "expected a value, found ','"),
    ("f(,)", 3, "expected a value, found ','"),
    ("f(x,,y)", 5, "expected a value, found ','"),
    ("[x,,]", 4, "expected a value, found ','"),
    ("(x,)", 1, "a tuple is not a value"),
    ("'x' + y", 1, "a string stands only after an attribute's '='"),
    ("f('mean')", 3, "a string stands only"),
    ("x 'a'", 3, "expected an operator, found ''a''"),
    ("f(x, a='b)", 8, "this string is never closed"),
    ("f(x, a='\\q')", 8, "unknown escape"),
    ("f(x, a='\\ud800')", 8, "there is no character"),
    ("f(x, a=y)", 8, "expected a constant (a number, a string, true, false, None or a list), found 'y'"),
    ("f(x=x)", 5, "text stands in quotes, and inputs go by their place, not by keyword"),
    ("f(x, a=)", 8, "expected a constant"),
    ("f(x, a=1/3)", 9, "an attribute's value is a constant"),
    ("f(x, a=-y)", 9, "expected a number, found 'y'"),
    ("f(x, a=[1, 2)", 13, "expected ',' or ']' to close the '[' at column 8, found ')'"),
    ("f(x, a=1, a=2)", 11, "attribute 'a' is given twice"),
    ("f(x, a=1, y)", 11, "inputs come before the attributes"),
    ("f(x, a=1", 9, "expected ',' or ')', found the end"),
    ("f(x, a==1, b=2)", 12, None),
    ("f(*x)", 3, "arguments are not unpacked"),
    ("f(x, **y)", 6, "arguments are not unpacked"),
    ("(x", 1, "'(' is never closed"),
    ("f([x", 3, "'[' is never closed"),
    ("f(x", 2, "'(' is never closed"),
    ("x)", 2, "')' closes nothing"),
    ("f(x]", 4, "expected ')' to close the '(' at column 2, found ']'"),
    ("[x)", 3, "expected ']' to close the '[' at column 1, found ')'"),
    ("[x, )", 5, "expected a value, found ')'"),
    ("2(x)", 2, "only an op's name can be called"),
    ("(x)(y)", 4, "only an op's name can be called"),
    ("f(x)(y)", 5, "only an op's name can be called"),
    ("None", 1, "None stands only as an argument of a call"),
    ("f(None + 1)", 3, "None stands only as an argument of a call"),
    ("[True]", 2, "True stands only"),
    ("1j", 1, "complex"),
    ("012", 1, "leading zeros"),
    ("1__0", 1, "not a number"),
    ("1.2.3", 1, "not a number"),
    ("1e999", 1, "beyond float64"),
    ("99999999999999999999", 1, "more than 64 bits"),
    ("x * " + "9" * 5000, 5, "more than 64 bits"),
    ("0x" + "f" * 17, 1, "more than 64 bits"),
    ("x # y", 3, "a comment stands outside"),
    ("x − y", 3, "unexpected character '−'; write -"),
    ("a·b", 2, None),
    ("a×b", 2, "write *"),
    ("x ≤ y", 3, "write <="),
    ("x²", 2, "write **2"),
    ("x\u00a0+ y", 2, "U+00A0, no-break space"),
    ("x \x00", 3, "U+0000"),
    ("x 😀", 3, "unexpected character"),
    ("$x", 1, "unexpected character '$'"),
    ("{x}", 1, "expected a value, found '{'"),
    ("x ? y : z", 3, "unexpected character '?'"),
    ("...", 1, "expected a value, found '...'"),
    ("x : y", 3, "a slice stands only in the brackets"),
    ("* x", 1, "expected a value, found '*'"),
    ("x @@ y", 4, "expected a value, found '@'"),
    ("x == = y", 6, "nothing is assigned"),
    ("f(a b)", 5, "expected an operator, found 'b'"),
]


@pytest.mark.parametrize(("text", "column", "words"), [case for case in REFUSED if case[2] is not None])
def test_refused(text: str, column: int, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text, Silent())
    assert words in caught.value.message
    assert caught.value.column == column
    assert len(caught.value.message) < 250
    assert "\n" not in caught.value.message


def test_first_fault_is_reported() -> None:
    """Also where a later one is of a kind that is found earlier."""
    with pytest.raises(ExpressionError) as caught:
        parse("x y $ 'open", Silent())
    assert caught.value.column == 3


# ------------------------------------------------------------------------------------------ sizes


def test_a_long_chain_takes_time_that_grows_with_its_length() -> None:
    def seconds(count: int) -> float:
        text = " + ".join(["x"] * count)
        start = time.process_time()
        assert len(Names(text).free) == count
        return time.process_time() - start

    seconds(100)
    assert seconds(20_000) < 20 * 8 * seconds(1_000) + 0.1  # 400 times as long if it grew with the square


@pytest.mark.parametrize("operator", ["+", "-", "*", "@", "/"])
def test_left_associative_chains_of_ten_thousand(operator: str) -> None:
    tree = parse(operator.join(["x"] * 10_001), Tree())
    depth = 0
    while tree[0] != "name":
        depth += 1
        assert tree[1][1] == ("name", "x")
        tree = tree[1][0]
    assert depth == 10_000


@pytest.mark.parametrize(
    "text", ["x" + ".T" * 20_000, "x" + "[0]" * 15_000, "+" * 40_000 + "x", "f(" + "x," * 20_000 + ")"]
)
def test_long_and_flat_is_fine(text: str) -> None:
    assert Names(text).free[0][0] == "x"


def test_length_limit() -> None:
    assert Names("x" * MAX_LENGTH).free == [("x" * MAX_LENGTH, 1)]
    for text in ("x" * (MAX_LENGTH + 1), "x+" * 500_000, " " * 1_000_000, "(" * 1_000_000):
        with pytest.raises(ExpressionError, match="at most 100000 characters"):
            parse(text, Silent())


@pytest.mark.parametrize(
    ("opening", "inner", "closing"),
    [
        ("(", "x", ")"), ("[", "x", "]"), ("f(", "x", ")"), ("-", "x", ""), ("x**", "x", ""), ("f(x, a=(", "1", "))"),
        ("f(-", "x", ")"), ("f(a=[[", "1", "]])"),
    ],
)  # fmt: skip
def test_depth_limit(opening: str, inner: str, closing: str) -> None:
    deep = 1 if "=" in opening else len([c for c in opening if c in "([-"]) + ("**" in opening)
    if "=" in opening:
        count = opening.count("[") + opening.count("(")
        text = opening[:-1] + "(" * (MAX_DEPTH - 1) + inner + ")" * (MAX_DEPTH - 1) + closing[1:]
        if count == 2:
            assert parse(text, Tree())
            text = opening[:-1] + "(" * MAX_DEPTH + inner + ")" * MAX_DEPTH + closing[1:]
    else:
        count = MAX_DEPTH // deep
        assert parse(opening * count + inner + closing * count, Tree())
        text = opening * (count + 1) + inner + closing * (count + 1)
    with pytest.raises(ExpressionError, match="nested more than 64 deep"):
        parse(text, Tree())


@pytest.mark.parametrize(
    "text", ["(" * 100_000, "-" * 100_000, "[" * 100_000, "f(" * 50_000, "x**" * 33_333, "f(a=" + "[" * 99_000]
)
def test_hostile_depth_is_refused_quickly(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ExpressionError, match="nested more than 64 deep") as caught:
        parse(text, Silent())
    assert caught.value.column is not None
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "text",
    ["'" + "\\'" * 49_000, "1" * 100_000, "1_" * 50_000, "0x" + "f" * 99_000, "é$" * 50_000, "éé" * 49_000 + "\u00d7"],
)
def test_hostile_tokens_are_refused_quickly(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ExpressionError):
        parse(text, Silent())
    assert time.process_time() - start < 2


def test_parsing_needs_no_stack() -> None:
    text = "f(" * 60 + "x" + ")" * 60

    def deeper(count: int) -> Any:
        return deeper(count - 1) if count else parse(text, Tree())

    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]
    assert deeper(sys.getrecursionlimit() - depth - 30)


# ------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2*pi", 2 * math.pi), ("e", math.e), ("-e**2", -(math.e**2)), ("2**10", 1024), ("2**-1", 0.5), ("7/2", 3.5),
        ("1 - 2 - 3", -4), ("2**62 + 2**62 - 1", 2**63 - 1), ("-2**63", -(2**63)), ("(-8)**2", 64),
        ("0**0", 1), ("1 < 2", True),
        ("1e308 + 1e307", 1.1e308), ("(-1)**1000000001", -1), ("0**1000000000", 0),
    ],
)  # fmt: skip
def test_numbers(text: str, value: float) -> None:
    result = build(text, dataflow.Graph(), {})
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("2**10**9", 2, "more than 64 bits"),
        ("1 + 10**(2**62)", 7, "more than 64 bits"),
        ("2**63 * 2", 7, "more than 64 bits"),
        ("1/0", 2, "division by zero"),
        ("0**-1", 2, "division by zero"),
        ("1e308*10", 6, "beyond float64"),
        ("1e308**2.0", 6, "beyond float64"),
        ("1e308+1e308", 6, "beyond float64"),
        ("(-8)**0.5", 5, "not a real number"),
        ("2 @ 3", 3, "needs an array"),
        ("2[0]", 2, "an index needs an array, and 2 is a plain number"),
        ("pi.T", 3, ".T needs an array"),
        ("2**63", None, None),
    ],
)
def test_numbers_that_are_refused(text: str, column: int | None, words: str | None) -> None:
    if words is None:
        with pytest.raises(ExpressionError, match="more than 64 bits"):
            build(f"x + {text}", *graph_and_scope())
        return
    with pytest.raises(ExpressionError) as caught:
        build(text, dataflow.Graph(), {})
    assert words in caught.value.message
    assert caught.value.column == column


# ------------------------------------------------------------------------------------------ nodes


def graph_and_scope() -> tuple[dataflow.Graph, dict[str, Value]]:
    graph = dataflow.Graph("test")
    names = [graph.input("x", ("n", 2)), graph.input("y", ("n", 1)), graph.parameter("W", (3, 2), init="zeros")]
    return graph, {value.name: value for value in names}


def test_build() -> None:
    graph, scope = graph_and_scope()
    value = build("relu(x @ W.T + 2*pi)[0, 1:] - y[0]", graph, scope)
    assert isinstance(value, Value)
    assert value.shape == (2,)
    graph.node("z", value)
    assert [name for name in graph if name not in scope] == [
        "z.transpose", "z.matmul", "z.add", "z.relu", "z.index", "z.index_2", "z",
    ]  # fmt: skip
    assert graph.arguments("z.add") == ("z.matmul", 2 * math.pi)
    assert graph.node_of("z.index").attributes == {"key": "0, 1:"}
    stacked = build("[x, -x, x * 2]", graph, scope)
    assert isinstance(stacked, Value)
    assert [str(size) for size in stacked.shape] == ["3", "n", "2"]
    reshaped = build("reshape(x, shape=(2, 'n'))", graph, scope)
    assert isinstance(reshaped, Value)
    assert [str(size) for size in reshaped.shape] == ["2", "n"]
    assert build("x", graph, scope) is scope["x"]


@pytest.mark.parametrize(("text", "op"), [(f"x {symbol} x", op) for op, symbol in SYMBOLS.items() if op != "matmul"])
def test_operators_are_ops(text: str, op: str) -> None:
    graph, scope = graph_and_scope()
    value = build(text, graph, scope)
    assert isinstance(value, Value)
    assert graph.node_of(value.name).op == op
    assert graph.arguments(value.name) == ("x", "x")


def test_pi_and_e_may_be_declared() -> None:
    graph = dataflow.Graph()
    scope = {"e": graph.input("e", ())}
    assert build("e", graph, scope) is scope["e"]
    assert build("pi", graph, scope) == math.pi


def test_scope_may_be_a_function() -> None:
    graph, scope = graph_and_scope()
    assert build("x", graph, scope.__getitem__) is scope["x"]
    assert build("pi", graph, scope.__getitem__) == math.pi
    with pytest.raises(ExpressionError, match="unknown name 'q'"):
        build("q", graph, scope.__getitem__)

    def refuse(name: str) -> Value:
        raise GraphError(f"a cycle through {name}", line=7)

    with pytest.raises(GraphError) as caught:
        build("x + e", graph, refuse)
    assert (caught.value.line, caught.value.column) == (7, None)


def test_blocks_are_called_by_name() -> None:
    graph, scope = graph_and_scope()
    seen: list[Any] = []

    def block(*arguments: Any, **attributes: Any) -> Value:
        seen.append((arguments, attributes))
        return arguments[0]

    assert build('layer(x, 2, share="other")', graph, scope, {"layer": block}) is scope["x"]
    assert seen == [((scope["x"], 2), {"share": "other"})]

    def broken(*arguments: Any, **attributes: Any) -> Value:
        raise GraphError("a block takes one input")

    with pytest.raises(GraphError, match="one input") as caught:
        build("x + layer(x)", graph, scope, {"layer": broken})
    assert caught.value.column == 5
    with pytest.raises(OpError, match="unknown op 'layr'; did you mean 'layer'"):
        build("layr(x)", graph, scope, {"layer": block})


@pytest.mark.parametrize(
    ("text", "kind", "column", "words"),
    [
        ("matmull(x, W)", OpError, 1, "unknown op 'matmull'; did you mean 'matmul'?"),
        ("x + relu(xx)", ExpressionError, 10, "unknown name 'xx'; did you mean 'x'?"),
        ("2 * relu", ExpressionError, 5, "'relu' is called with its inputs: relu(...)"),
        ("x(2)", OpError, 1, "'x' is a value, not an op; a product is written with *"),
        ("not(x)", OpError, 1, "unknown op 'not'; logic is written where"),
        ("2 + x @ W", ShapeError, 7, "(n, 2)"),
        ("2 + mean(x, axs=0)", OpError, 5, "unknown attribute 'axs'; did you mean 'axis'?"),
        ("2 * relu(x, x)", OpError, 5, "relu"),
        ("x[0, 0, 0]", ShapeError, 2, "indexes 3 axes"),
        ("x + [x, W.T]", ShapeError, 5, "(n, 2)"),
    ],
)
def test_errors_of_meaning_have_columns(text: str, kind: type[DataflowError], column: int, words: str) -> None:
    graph, scope = graph_and_scope()
    with pytest.raises(kind) as caught:
        build(text, graph, scope)
    assert type(caught.value) is kind
    assert words in caught.value.message
    assert caught.value.column == column


def test_what_does_not_parse_adds_no_nodes() -> None:
    graph, scope = graph_and_scope()
    count = len(graph)
    with pytest.raises(ExpressionError):
        build("relu(x) + + )", graph, scope)
    assert len(graph) == count


def test_a_long_chain_of_nodes() -> None:
    graph, scope = graph_and_scope()
    value = build(" + ".join(["x"] * 10_001), graph, scope)
    assert isinstance(value, Value)
    assert len(graph) == len(scope) + 10_000


# ------------------------------------------------------------------------------------------ and back to text

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
CONSTANTS = st.recursive(
    st.one_of(st.none(), st.booleans(), INTEGERS, FLOATS, st.just(math.inf), st.text(max_size=4)),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)
SMALL = st.one_of(st.none(), st.integers(-9, 9))
STEPS = st.one_of(st.none(), st.integers(1, 3), st.integers(-3, -1))
ITEMS = st.one_of(st.integers(-9, 9), st.builds(slice, SMALL, SMALL, STEPS), st.none())
KEYS = st.lists(ITEMS, min_size=1, max_size=3).map(lambda items: format_key(tuple(items)))
LEAF = st.one_of(
    st.sampled_from(["x", "W1", "é", "if", "pi"]).map(lambda name: ("name", name)),
    st.one_of(INTEGERS, FLOATS, st.booleans(), st.none()).map(lambda number: ("number", number)),
)


def applied(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.tuples(st.sampled_from(sorted(SYMBOLS)), st.tuples(inner, inner), st.just({})),
        st.tuples(st.sampled_from(["negative", "transpose", "relu"]), st.tuples(inner), st.just({})),
        st.tuples(st.just("index"), st.tuples(inner), KEYS.map(lambda key: {"key": key})),
        st.tuples(st.just("stack"), st.lists(inner, max_size=3).map(tuple), st.just({})),
        st.tuples(
            st.sampled_from(["f", "add", "negative", "transpose", "stack"]),
            st.lists(inner, max_size=3).map(tuple),
            st.dictionaries(st.sampled_from(["axis", "k", "é"]), CONSTANTS, max_size=2),
        ),
    )


def render(tree: Any) -> Piece:
    if tree[0] == "name":
        return piece_of_name(tree[1])
    if tree[0] == "number":
        return piece_of_number(tree[1])
    return piece_of_op(tree[0], [render(part) for part in tree[1]], tree[2])


def canonical(tree: Any) -> Any:
    """What is the same op application, written in one way."""
    if tree[0] in ("name", "number"):
        return (tree[0], repr(tree[1]))
    given = dict(tree[2])
    if tree[0] == "stack" and tree[1] and repr(given) == "{'axis': 0}":
        given = {}
    return (tree[0], tuple(canonical(part) for part in tree[1]), repr(given))


@given(st.recursive(LEAF, applied, max_leaves=15))
def test_rendered_trees_parse_back(tree: Any) -> None:
    piece = render(tree)
    assume(piece.depth <= MAX_DEPTH and piece.precedence > ARGUMENT)
    assert canonical(parse(piece.text, Tree())) == canonical(tree)


@given(st.recursive(st.sampled_from([("name", "x"), ("name", "y")]), applied, max_leaves=10))
def test_no_parentheses_are_spare(tree: Any) -> None:
    """Whichever pair is taken away, something else is meant, or nothing."""
    text = render(tree).text
    expected = canonical(parse(text, Tree()))
    tokens = [token for token in tokenize(text) if token.kind != "end"]
    opened: list[int] = []
    for i, token in enumerate(tokens):
        if token.text == "(" and token.kind == "operator":
            opened.append(i)
        elif token.text == ")" and token.kind == "operator":
            start = opened.pop()
            called = start > 0 and tokens[start - 1].kind == "name"
            if not called and not any(t.text == "=" for t in tokens):
                begin, end = tokens[start].column - 1, token.column - 1
                shorter = text[:begin] + text[begin + 1 : end] + text[end + 1 :]
                with contextlib.suppress(ExpressionError):
                    assert canonical(parse(shorter, Tree())) != expected, (text, shorter)


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1])
@pytest.mark.parametrize("kind", ["negative", "power", "f", "stack", "subtract", "attribute", "left"])
def test_depth_of_pieces_is_the_parsers(kind: str, depth: int) -> None:
    x = piece = piece_of_name("x")
    while piece.depth < depth:
        if kind == "left":
            piece = piece_of_op("power", [piece, x])
        elif kind in ("power", "subtract"):
            piece = piece_of_op(kind, [x, piece])
        elif kind == "attribute":
            constant: Any = ()
            for _ in range(depth - 2):
                constant = (constant,)
            piece = piece_of_op("f", [], {"a": constant})
        else:
            piece = piece_of_op(kind, [piece])
    assert piece.depth == depth
    if depth <= MAX_DEPTH:
        assert Names(piece.text).free is not None
    else:
        with pytest.raises(ExpressionError, match="64 deep"):
            parse(piece.text, Silent())


def test_rendering() -> None:
    x, y, two = piece_of_name("x"), piece_of_name("y"), piece_of_number(2)
    minus = piece_of_number(-2.0)
    add, power = piece_of_op("add", [x, y]), piece_of_op("power", [x, two])
    for piece, text in [
        (piece_of_op("matmul", [x, piece_of_op("transpose", [y])]), "x @ y.T"),
        (piece_of_op("multiply", [add, two]), "(x + y) * 2"),
        (piece_of_op("subtract", [x, add]), "x - (x + y)"),
        (piece_of_op("subtract", [add, x]), "x + y - x"),
        (piece_of_op("negative", [power]), "-x ** 2"),
        (piece_of_op("power", [piece_of_op("negative", [x]), two]), "(-x) ** 2"),
        (piece_of_op("power", [x, piece_of_op("negative", [x])]), "x ** -x"),
        (piece_of_op("power", [minus, x]), "(-2.0) ** x"),
        (piece_of_op("multiply", [minus, x]), "-2.0 * x"),
        (piece_of_op("index", [add], {"key": "0,1 : 3"}), "(x + y)[0, 1:3]"),
        (piece_of_op("stack", [x, add]), "[x, x + y]"),
        (piece_of_op("stack", [x, y], {"axis": 1}), "stack(x, y, axis=1)"),
        (piece_of_op("stack", [x, y], {"axis": 0}), "[x, y]"),
        (piece_of_op("transpose", [x], {"axes": (1, 0)}), "transpose(x, axes=(1, 0))"),
        (piece_of_op("transpose", [x], {"axes": None}), "x.T"),
        (piece_of_op("add", [two, two]), "add(2, 2)"),
        (piece_of_op("negative", [two]), "negative(2)"),
        (piece_of_op("mse", [x, y], {"reduction": "mean"}), "mse(x, y, reduction='mean')"),
        (piece_of_op("linear", [x, y, piece_of_number(None)]), "linear(x, y, None)"),
        (piece_of_op("multiply", [x, piece_of_number(True)]), "multiply(x, True)"),
        (piece_of_op("less", [piece_of_op("less", [x, y]), x]), "(x < y) < x"),
        (piece_of_op("reshape", [x], {"shape": ("n", 2)}), "reshape(x, shape=('n', 2))"),
    ]:
        assert piece.text == text


def test_what_cannot_be_rendered() -> None:
    x = piece_of_name("x")
    for call in (
        lambda: piece_of_name("z.matmul"),
        lambda: piece_of_name("True"),
        lambda: piece_of_name("ﬁ"),
        lambda: piece_of_number(math.inf),
        lambda: piece_of_number(math.nan),
        lambda: piece_of_number(2**63),
        lambda: piece_of_op("f", [x], {"a": object()}),
        lambda: piece_of_op("f", [x], {"a": 2**64}),
        lambda: piece_of_op("f", [x], {"a b": 1}),
        lambda: piece_of_op("my.op", [x]),
    ):
        with pytest.raises(ExpressionError, match=r"cannot be"):
            call()


@given(st.text(max_size=10))
def test_quoted_strings_come_back(text: str) -> None:
    assume(not any(0xD800 <= ord(character) < 0xE000 for character in text))
    written = quote(text)
    assert unquote(written) == text
    assert written.isprintable()
    assert parse(f"f(a={written})", Tree())[2] == {"a": text}
