"""What to say where an expression does not parse: what was expected, and for the common slips what to write instead."""

from __future__ import annotations

from typing import NoReturn

from dataflow.errors import ExpressionError
from dataflow.expressions.tokens import KEYWORDS, Cursor
from dataflow.support.texts import shorten


def fail_operand(cursor: Cursor) -> NoReturn:
    """The next token does not begin a value."""
    token, before = cursor.token, cursor.before
    hint = ""
    if token.kind == "string":
        hint = "; a string stands only after an attribute's '=', and names have no quotes"
    elif token.kind == "end":
        hint = f" after '{shorten(before.text)}'" if before else ""
    elif before is not None and before.kind == "operator":
        if token.text == "=":
            hint = "; nothing is assigned in an expression"
        elif before.text in ("(", ",") and token.text in ("*", "**"):
            hint = "; arguments are not unpacked"
        else:
            hint = _NOTHING_INSIDE.get(before.text + token.text, "")
    cursor.fail(token, "a value", hint)


def fail_operator(cursor: Cursor) -> NoReturn:
    """The next token does not go on after a value."""
    token, before = cursor.token, cursor.before
    if token.kind == "bad":
        cursor.fail(token, "an operator")
    for word in (token, before):
        if word is not None and word.kind == "name" and word.text in KEYWORDS:
            raise ExpressionError(f"unexpected '{word.text}'; {KEYWORDS[word.text]}", column=word.column)
    if token.kind == "operator" and token.text in _INSTEAD_OF:
        raise ExpressionError(f"unexpected '{token.text}'; {_INSTEAD_OF[token.text]}", column=token.column)
    if token.kind == "operator" and token.text == "(":
        raise ExpressionError("only an op's name can be called; a product is written with *", column=token.column)
    cursor.fail(token, "an operator", "; a product is written with *" if token.kind in ("name", "number") else "")


_NOTHING_INSIDE = {"()": "; the parentheses are empty", "[]": "; there is nothing to stack"}
_INSTEAD_OF = {
    "^": "a power is written **",
    "//": "there is no whole-number division; a quotient is written /",
    "%": "there is no remainder",
    "&": KEYWORDS["and"],
    "&&": KEYWORDS["and"],
    "|": KEYWORDS["or"],
    "||": KEYWORDS["or"],
    "!": "there is no factorial; 'is not equal' is written !=",
    "=": "nothing is assigned in an expression; 'is equal' is written ==",
    ":=": "nothing is assigned in an expression",
    "->": "an expression defines no functions; a block does, [blocks.NAME]",
    ":": "a slice stands only in the brackets of an index, x[1:3]",
    ";": "an expression gives one value; another node is a line of its own",
    "<<": "there are no shifts",
    ">>": "there are no shifts",
}
