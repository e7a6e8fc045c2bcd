"""What parameters the body and the rules of an op have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

from dataflow.errors import PluginError


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


def declared_inputs(function: Callable[..., Any], owner: str) -> tuple[tuple[str, ...], int, bool]:
    """The names of the inputs that an op's body declares, how many must be given, and whether it takes any number of
    them; ``owner`` is named in errors."""
    names, required, variadic = [], 0, False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            raise PluginError(f"{owner}: **{parameter.name} is not an attribute; declare each by name and type")
        if parameter.kind is parameter.VAR_POSITIONAL:
            variadic = True
        elif parameter.default is parameter.empty:
            required += 1
        elif parameter.default is not None:
            raise PluginError(
                f"{owner}: input '{parameter.name}' has a default; an optional input's is None, "
                f"and an attribute stands after '*'"
            )
        names.append(parameter.name)
    if not names:
        raise PluginError(f"{owner} takes no inputs; a constant is declared in the model")
    if variadic and len(names) > 1:
        raise PluginError(f"{owner}: a variadic op has *{names[-1]} and nothing beside it")
    return tuple(names), required, variadic
