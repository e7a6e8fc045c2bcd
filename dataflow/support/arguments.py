"""Arguments of public functions, held against their annotations at the door.

``@checked`` stands on what users call. An argument of another kind than its annotation says is an ``ArgumentError``
that names the argument, what is expected and what was found. Only kinds are looked at: whether a node is there or
a number makes sense is for the function to say. Errors from inside are left as they are.
"""

from __future__ import annotations

import collections.abc
import inspect
import os
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal, TypeVar

import numpy as np

from dataflow.errors import ArgumentError, UnknownInputError, closest
from dataflow.support.conversion import is_real
from dataflow.support.texts import quoted

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class _Kind:
    """What values an annotation allows, and how a message names them."""

    expected: str
    allows: Callable[[Any], bool]
    quick: frozenset[type] = frozenset()
    """Types of which every value is allowed, so that nothing else need be asked."""


def checked(function: F) -> F:
    """The function, with its arguments checked at each call; what Python itself says of a wrong call stays."""
    kinds: dict[str, _Kind] = {}
    positional: list[tuple[str, _Kind | None]] = []
    rest: list[tuple[str, _Kind | None]] = []

    def resolve() -> None:
        for parameter in inspect.signature(function).parameters.values():
            kind = _kind_of(_resolved(parameter.annotation, function))
            if parameter.kind is parameter.VAR_POSITIONAL:
                rest.append((parameter.name, kind))
            elif parameter.kind is not parameter.VAR_KEYWORD:
                if kind is not None:
                    kinds[parameter.name] = kind
                if parameter.kind is not parameter.KEYWORD_ONLY:
                    positional.append((parameter.name, kind))

    @wraps(function)
    def at_the_door(*arguments: Any, **keywords: Any) -> Any:
        if not positional and not kinds and not rest:
            resolve()  # when it is first called: annotations may name what is not imported yet
        for (name, kind), value in zip(positional, arguments, strict=False):
            if kind is not None and type(value) not in kind.quick and not kind.allows(value):
                raise _error(function, arguments, keywords, name, kind, value)
        for name, kind in rest:
            for value in arguments[len(positional) :]:
                if kind is not None and not kind.allows(value):
                    raise _error(function, arguments, keywords, f"each of {name}", kind, value)
        for name, value in keywords.items():
            named = kinds.get(name)
            if named is not None and type(value) not in named.quick and not named.allows(value):
                raise ArgumentError(_message(function, name, named, value))
        try:
            return function(*arguments, **keywords)
        except UnknownInputError as error:  # inputs go by keyword, too
            if error.name in keywords and (meant := closest(error.name, [*inspect.signature(function).parameters])):
                error.message += f"; or is it the argument '{meant[0]}'?"
            raise

    return typing.cast(F, at_the_door)


def describe(value: Any) -> str:
    """A value as an error names it, on one line."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic):
        return quoted(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    kind = type(value).__name__
    return f"a{'n' if kind[:1] in 'aeiouAEIOU' else ''} {kind}"


# ------------------------------------------------------------------------------------------------ internals


def _error(
    function: Callable[..., Any], arguments: Any, keywords: Any, name: str, kind: _Kind, value: Any
) -> ArgumentError | TypeError:
    try:
        inspect.signature(function).bind(*arguments, **keywords)
    except TypeError as error:  # a wrong call: too many arguments, or one twice
        return error
    return ArgumentError(_message(function, name, kind, value))


def _message(function: Callable[..., Any], name: str, kind: _Kind, value: Any) -> str:
    owner = function.__qualname__.removesuffix(".__init__")
    found = describe(value)
    if isinstance(value, list | tuple | set):
        inside = next((item for item in value if not isinstance(item, str)), None)
        found += f" with {describe(inside)} in it" if inside is not None else ""
    if "mapping" in kind.expected and isinstance(value, str | os.PathLike):
        found += "; a file is read first, as by dataflow.data.read_data(path, model.graph)" if name == "data" else ""
    return f"{owner}: {name} takes {kind.expected}, not {found}"


def _resolved(annotation: Any, function: Callable[..., Any]) -> Any:
    """The annotation as a type; ``Any`` where it names what is imported for type checkers alone."""
    if not isinstance(annotation, str):
        return Any if annotation is inspect.Parameter.empty else annotation
    holder = type("holder", (), {"__annotations__": {"it": annotation}})
    try:
        return typing.get_type_hints(holder, inspect.unwrap(function).__globals__)["it"]
    except NameError:
        return Any


def _kind_of(annotation: Any) -> _Kind | None:
    """What the annotation allows; ``None`` where nothing is known that it forbids."""
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        kinds = [_kind_of(option) for option in inner]
        if any(kind is None for kind in kinds):
            return None
        known = [kind for kind in kinds if kind is not None]
        quick = frozenset[type]().union(*(kind.quick for kind in known))
        return _Kind(
            " or ".join(dict.fromkeys(kind.expected for kind in known)),
            lambda value: type(value) in quick or any(kind.allows(value) for kind in known),
            quick,
        )
    if origin is Literal:
        return _Kind(" or ".join(map(repr, inner)), lambda value: isinstance(value, str) and value in inner)
    if origin is os.PathLike:
        return _Kind("a path", lambda value: isinstance(value, os.PathLike))
    if origin is collections.abc.Callable:
        return _Kind("a function", callable)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(inner)
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return _collection(origin, inner)
    if isinstance(annotation, type) and annotation is not object:
        article = "an" if annotation.__name__[0] in "AEIOUaeiou" else "a"
        return _Kind(
            f"{article} {annotation.__name__}", lambda value: isinstance(value, annotation), frozenset({annotation})
        )
    return None


def _mapping(inner: tuple[Any, ...]) -> _Kind:
    keys, values = _kind_of(inner[0]), _kind_of(inner[1])
    expected = "a mapping by name" + (f" to {values.expected}" if values is not None else "")

    def allows(value: Any) -> bool:
        if not isinstance(value, Mapping):
            return False
        right_keys = keys is None or all(map(keys.allows, value))
        return right_keys and (values is None or all(map(values.allows, value.values())))

    return _Kind(expected, allows)


def _collection(origin: type, inner: tuple[Any, ...]) -> _Kind:
    """A list of something: anything of a known length that can be gone through again and again, but no text. What may
    be gone through but once is looked at by the function. Nor is it an array, which has no truth value."""
    items = _kind_of(inner[0]) if inner else None
    once = not issubclass(origin, Collection)
    expected_type = Iterable if once else tuple if origin is tuple else Collection
    expected = (
        "a list of names"
        if inner and inner[0] is str
        else "a list of " + (f"which each is {items.expected}" if items is not None else "values")
    )

    def allows(value: Any) -> bool:
        if isinstance(value, str | bytes | np.ndarray) or not isinstance(value, expected_type):
            return False
        return once or items is None or all(map(items.allows, value))

    return _Kind(expected, allows, frozenset({list, tuple} if items is None and origin is not tuple else ()))


_SIMPLE: dict[Any, _Kind | None] = {
    Any: None,
    object: None,
    None: _Kind("None", lambda value: value is None, frozenset({type(None)})),
    type(None): _Kind("None", lambda value: value is None, frozenset({type(None)})),
    str: _Kind("text", lambda value: isinstance(value, str), frozenset({str})),
    bool: _Kind("True or False", lambda value: isinstance(value, bool | np.bool_), frozenset({bool})),
    int: _Kind(
        "a whole number",
        lambda value: isinstance(value, int | np.integer) and not isinstance(value, bool),
        frozenset({int}),
    ),
    float: _Kind(
        "a number",
        is_real,
        frozenset({int, float}),
    ),
}
