"""The grammar of expressions: one pass over the tokens, without recursion, that calls an action for each thing read.

From weakest to strongest, as in Python: one comparison; ``+ -``; ``* / @``; unary minus and plus; ``**``, to the right;
``.T`` and indexing. The actions are called in the order of evaluation, operands before what uses them.

Python's own parser, ``ast.parse``, is faster but does less: chains of some 3,000 operators exhaust its recursion,
``in`` and ``lambda`` may not be names, and its messages are not about models, so the tokens would be needed anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NoReturn, Protocol, TypeVar

from dataflow.errors import ExpressionError
from dataflow.expressions.literals import read_attributes, read_key, read_output
from dataflow.expressions.syntax_errors import fail_operand, fail_operator
from dataflow.expressions.tokens import Cursor, Token
from dataflow.operations import engine_ops
from dataflow.operations.indexing import Key
from dataflow.operations.op import Op
from dataflow.support.texts import shorten

T = TypeVar("T")

MAX_LENGTH = 100_000
"""How many characters an expression may have."""

COMPARISON, SUM, PRODUCT, SIGN, POWER, POSTFIX = range(1, 7)
BINARY: Mapping[str, tuple[Op, int]] = {
    "==": (engine_ops.equal, COMPARISON),
    "!=": (engine_ops.not_equal, COMPARISON),
    "<": (engine_ops.less, COMPARISON),
    "<=": (engine_ops.less_equal, COMPARISON),
    ">": (engine_ops.greater, COMPARISON),
    ">=": (engine_ops.greater_equal, COMPARISON),
    "+": (engine_ops.add, SUM),
    "-": (engine_ops.subtract, SUM),
    "*": (engine_ops.multiply, PRODUCT),
    "/": (engine_ops.divide, PRODUCT),
    "@": (engine_ops.matmul, PRODUCT),
    "**": (engine_ops.power, POWER),
}
"""Each operator's op and precedence."""


class Actions(Protocol[T]):
    """What to do with each thing read. ``column`` is that of the name, of the operator, or of the opening bracket."""

    def name(self, text: str, column: int) -> T:
        """A name used as a value."""

    def number(self, value: int | float, column: int) -> T:
        """A number without its sign."""

    def literal(self, value: bool | None, column: int) -> T:
        """``True``, ``False`` or ``None``, which stand only as an argument of a call."""

    def negative(self, operand: T, column: int) -> T:
        """Unary minus."""

    def binary(self, op: Op, left: T, right: T, column: int) -> T:
        """An operator, by its op."""

    def transpose(self, operand: T, column: int) -> T:
        """``operand.T``."""

    def index(self, operand: T, key: Key, column: int) -> T:
        """``operand[key]``; the key is always a tuple."""

    def output(self, operand: T, name: str, column: int) -> T:
        """``operand["name"]``: an output of an op with several."""

    def stack(self, items: Sequence[T], column: int) -> T:
        """``[a, b, c]``."""

    def call(self, name: str, arguments: Sequence[T], keywords: Mapping[str, Any], column: int) -> T:
        """``name(a, b, keyword=constant)``; lists among the constants are tuples."""


class Silent:
    """Actions that do nothing: they tell whether an expression can be read. Others take what they need from here."""

    def name(self, text: str, column: int) -> Any: ...

    def number(self, value: int | float, column: int) -> Any: ...

    def literal(self, value: bool | None, column: int) -> Any: ...

    def negative(self, operand: Any, column: int) -> Any: ...

    def binary(self, op: Op, left: Any, right: Any, column: int) -> Any: ...

    def transpose(self, operand: Any, column: int) -> Any: ...

    def index(self, operand: Any, key: Key, column: int) -> Any: ...

    def output(self, operand: Any, name: str, column: int) -> Any: ...

    def stack(self, items: Sequence[Any], column: int) -> Any: ...

    def call(self, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any], column: int) -> Any: ...


def parse(text: str, actions: Actions[T], constants: Mapping[str, Any] | None = None) -> T:
    """Read ``text`` and return what the action for the whole of it returns. ``constants`` are what names stand for in
    the attributes of calls.

    An ``ExpressionError`` has the column, counted in characters from 1.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression has at most {MAX_LENGTH} characters, this one has {len(text)}")
    if not text.strip():
        raise ExpressionError("the expression is empty", column=1)
    return _Parser(text, actions, constants).parse()


@dataclass(slots=True)
class _Operator:
    precedence: int
    column: int
    op: Op | None
    """Of two operands; ``None`` is a minus sign."""


@dataclass(slots=True)
class _Bracket(Generic[T]):
    token: Token
    name: Token | None = None  # of a call
    items: list[T] = field(default_factory=list)


class _Parser(Cursor, Generic[T]):
    """Operator precedence with a stack of what is pending: operators that wait for a right operand, open brackets."""

    def __init__(self, text: str, actions: Actions[T], constants: Mapping[str, Any] | None) -> None:
        super().__init__(text, constants)
        self.actions = actions
        self.pending: list[_Operator | _Bracket[T]] = []
        self.operands: list[T] = []
        self.depth = 0

    def parse(self) -> T:
        awaits_operand = True
        while True:
            if awaits_operand:
                awaits_operand = self.read_operand()
            elif self.token.kind == "end":
                break
            else:
                awaits_operand = self.read_operator()
        self.reduce(COMPARISON)
        if self.pending:
            self.fail_unclosed()
        return self.operands[0]

    # -------------------------------------------------------------------------------------------------------- the stack

    def push(self, entry: _Operator | _Bracket[T], token: Token) -> None:
        if isinstance(entry, _Bracket) or entry.precedence in (SIGN, POWER):
            self.depth += 1
            self.check_depth(self.depth, token)
        self.pending.append(entry)

    def pop(self) -> _Operator | _Bracket[T]:
        entry = self.pending.pop()
        if isinstance(entry, _Bracket) or entry.precedence in (SIGN, POWER):
            self.depth -= 1
        return entry

    def reduce(self, precedence: int) -> None:
        """Apply the pending operators that bind at least as strongly, up to the innermost open bracket."""
        operands = self.operands
        while self.pending:
            entry = self.pending[-1]
            if isinstance(entry, _Bracket) or entry.precedence < precedence:
                break
            self.pop()
            if entry.op is None:
                operands[-1] = self.actions.negative(operands[-1], entry.column)
            else:
                right = operands.pop()
                operands[-1] = self.actions.binary(entry.op, operands[-1], right, entry.column)

    # ----------------------------------------------------------------------------------------- where an operand must be

    def read_operand(self) -> bool:
        """Read the start of an operand; return whether the operand itself is still to come."""
        token = self.token
        if token.kind == "number":
            assert not isinstance(token.value, str)
            self.operands.append(self.actions.number(token.value, self.advance().column))
            return False
        if token.kind == "name":
            return self.read_name()
        if self.at("-"):
            self.push(_Operator(SIGN, token.column, None), self.advance())
            return True
        if self.at("+"):
            self.advance()
            return True
        if self.at("(", "["):
            self.push(_Bracket(token), self.advance())
            return True
        if self.at(")", "]"):
            return self.close_after_comma()
        return fail_operand(self)

    def read_name(self) -> bool:
        token = self.advance()
        if self.at("("):
            self.push(_Bracket(self.advance(), token), token)
            return self.begin_argument()
        if token.text in _LITERALS:
            top = self.pending[-1] if self.pending else None
            if not (isinstance(top, _Bracket) and top.name and self.token.text in (",", ")")):
                raise ExpressionError(f"{token.text} stands only as an argument of a call", column=token.column)
            self.operands.append(self.actions.literal(_LITERALS[token.text], token.column))
        else:
            self.operands.append(self.actions.name(token.text, token.column))
        return False

    def begin_argument(self) -> bool:
        """After a call's bracket or comma: the end of the call, attributes up to its end, or one more operand."""
        if self.at(")"):
            self.close(self.advance(), {})
            return False
        if self.token.kind == "name" and self.tokens[self.position + 1].text == "=":
            keywords = read_attributes(self, self.depth)
            self.close(self.advance(), keywords)
            return False
        return True

    def close_after_comma(self) -> bool:
        """A bracket that closes where an operand could be: after the last comma of a list."""
        top = self.pending[-1] if self.pending else None
        closes = isinstance(top, _Bracket) and bool(top.items) and _CLOSING[top.token.text] == self.token.text
        if not closes:
            fail_operand(self)
        self.close(self.advance(), {})
        return False

    # ------------------------------------------------------------------------------------------------- after an operand

    def read_operator(self) -> bool:
        """Read what follows an operand; return whether another operand must come."""
        token = self.token
        if token.kind != "operator":
            fail_operator(self)
        if token.text in BINARY:
            op, precedence = BINARY[token.text]
            self.reduce(precedence + 1 if precedence in (POWER, COMPARISON) else precedence)
            top = self.pending[-1] if self.pending else None
            if precedence == COMPARISON and isinstance(top, _Operator):
                chained = "comparisons cannot be chained; a < b < c is written (a < b) * (b < c)"
                raise ExpressionError(chained, column=token.column)
            self.push(_Operator(precedence, token.column, op), self.advance())
            return True
        if token.text == ".":
            self.read_transpose()
        elif token.text == "[":
            self.advance()
            if self.token.kind == "string":
                name = read_output(self)
                self.operands[-1] = self.actions.output(self.operands[-1], name, token.column)
            else:
                self.operands[-1] = self.actions.index(self.operands[-1], read_key(self), token.column)
            self.advance()
        elif token.text == ",":
            return self.read_comma()
        elif token.text in (")", "]"):
            self.close_bracket()
        else:
            fail_operator(self)
        return False

    def read_transpose(self) -> None:
        dot, attribute = self.advance(), self.advance()
        if attribute.kind != "name":
            self.fail(attribute, "T after the dot")
        name = shorten(attribute.text)
        if self.at("("):
            raise ExpressionError(
                f"values have no methods; call the op by its name, {name}(...)", column=attribute.column
            )
        if attribute.text != "T":
            hint = "; did you mean .T?" if name == "t" else ", the transpose; an op is called by its name"
            raise ExpressionError(f"'.{name}': a value has nothing but .T{hint}", column=attribute.column)
        self.operands[-1] = self.actions.transpose(self.operands[-1], dot.column)

    def read_comma(self) -> bool:
        comma = self.token
        bracket = self.enclosing()
        if bracket is None:
            raise ExpressionError("expected the end, found ','; values are stacked with [a, b]", column=comma.column)
        if bracket.token.text == "(" and bracket.name is None:
            raise ExpressionError(
                "a tuple is not a value: an attribute is given by keyword, as in reshape(x, shape=(2, 3)), "
                "and values are stacked with [a, b]",
                column=bracket.token.column,
            )
        self.advance()
        bracket.items.append(self.operands.pop())
        return self.begin_argument() if bracket.name else True

    def close_bracket(self) -> None:
        bracket = self.enclosing()
        if bracket is None:
            raise ExpressionError(f"'{self.token.text}' closes nothing", column=self.token.column)
        expected = _CLOSING[bracket.token.text]
        if self.token.text != expected:
            where = f" to close the '{bracket.token.text}' at column {bracket.token.column}"
            self.fail(self.token, f"'{expected}'{where}")
        bracket.items.append(self.operands.pop())
        self.close(self.advance(), {})

    def enclosing(self) -> _Bracket[T] | None:
        """The innermost open bracket, with everything inside it applied."""
        self.reduce(COMPARISON)
        top = self.pending[-1] if self.pending else None
        return top if isinstance(top, _Bracket) else None

    def close(self, closing: Token, keywords: Mapping[str, Any]) -> None:
        bracket = self.pop()
        assert isinstance(bracket, _Bracket)
        if bracket.name is not None:
            name, column = bracket.name.text, bracket.name.column
            self.operands.append(self.actions.call(name, bracket.items, keywords, column))
        elif closing.text == "]":
            self.operands.append(self.actions.stack(bracket.items, bracket.token.column))
        else:
            self.operands.append(bracket.items[0])

    def fail_unclosed(self) -> NoReturn:
        bracket = self.pending[-1]
        assert isinstance(bracket, _Bracket)
        opened = bracket.token
        raise ExpressionError(f"'{opened.text}' is never closed", column=opened.column)


_LITERALS = {"True": True, "False": False, "None": None}
_CLOSING = {"(": ")", "[": "]"}
