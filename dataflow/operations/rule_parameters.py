"""What parameters a rule of an op has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple


class RuleParameters(NamedTuple):
    """The names of a rule's parameters."""

    positional: frozenset[str]
    keywords: frozenset[str]
    """Those given by keyword alone."""
    any_positional: bool
    """Whether it has ``*names``."""
    any_keyword: bool
    """Whether it has ``**names``."""


def parameters_of(rule: Callable[..., Any]) -> RuleParameters:
    """Of a function or of anything else that is called; a ``TypeError`` or ``ValueError`` where that cannot be told."""
    if type(rule) is FunctionType and not rule.__dict__:  # hundreds while plugins load; inspect takes ten times as long
        code = rule.__code__
        count, flags = code.co_argcount, code.co_flags
        keywords = code.co_varnames[count : count + code.co_kwonlyargcount]
        flagged = bool(flags & inspect.CO_VARARGS), bool(flags & inspect.CO_VARKEYWORDS)
        return RuleParameters(frozenset(code.co_varnames[:count]), frozenset(keywords), *flagged)
    parameters = inspect.signature(rule).parameters.values()

    def named(*kinds: Any) -> frozenset[str]:
        return frozenset(parameter.name for parameter in parameters if parameter.kind in kinds)

    of = inspect.Parameter
    flagged = bool(named(of.VAR_POSITIONAL)), bool(named(of.VAR_KEYWORD))
    return RuleParameters(named(of.POSITIONAL_ONLY, of.POSITIONAL_OR_KEYWORD), named(of.KEYWORD_ONLY), *flagged)
