"""Attributes: the keyword-only parameters of an op (and of an initializer or optimizer), typed, with defaults.

A plugin declares them as annotated Python parameters; a file gives them as plain data. Here the one becomes a check for
the other. Nothing is ever set by name: an attribute that is not declared is an error.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from dataflow.errors import DataflowError, OpError, PluginError, ShapeError, nearest
from dataflow.shapes import Size, parse_shape

REQUIRED: Any = inspect.Parameter.empty


@dataclass(frozen=True, slots=True)
class Attribute:
    """One declared attribute. ``default`` is ``REQUIRED`` where it must be given."""

    name: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def type_text(self) -> str:
        """The type as a reader of the documentation would write it."""
        return describe(self.annotation)

    @property
    def is_shape(self) -> bool:
        """Whether the value is a shape, whose symbolic sizes become numbers before a kernel sees them."""
        return any(_is_shape(option) for option in _options(self.annotation))

    def check(self, value: Any) -> Any:
        """The value in its canonical form (tuples for lists); an ``OpError`` says what was expected."""
        try:
            return _check(self.annotation, value)
        except _MismatchError:
            expected = describe(self.annotation)
            raise OpError(f"attribute '{self.name}' takes {expected}, not {value!r}") from None
        except ShapeError as error:
            raise OpError(f"attribute '{self.name}': {error.message}") from None


def declared(function: Callable[..., Any], owner: str) -> dict[str, Attribute]:
    """The attributes that ``function`` declares by its keyword-only parameters; ``owner`` is named in errors."""
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    if not parameters:
        return {}
    try:
        # only of the attributes: other annotations may name what is expensive to import
        written = {p.name: p.annotation for p in parameters if p.annotation is not p.empty}
        hints = typing.get_type_hints(type(owner, (), {"__annotations__": written}), function.__globals__)
    except (NameError, TypeError, AttributeError) as error:
        raise PluginError(f"{owner}: its annotations cannot be read ({error}); import the types they name") from None
    found = {}
    for parameter in parameters:
        if parameter.name not in hints:
            raise PluginError(
                f"{owner}: attribute '{parameter.name}' needs a type, such as '{parameter.name}: int = 0'"
            )
        annotation = hints[parameter.name]
        if not all(_is_known(option) for option in _options(annotation)):
            raise PluginError(
                f"{owner}: attribute '{parameter.name}' has the type {annotation}, which a file cannot give"
            )
        attribute = Attribute(parameter.name, annotation, parameter.default)
        if not attribute.required:
            try:
                attribute = replace(attribute, default=attribute.check(parameter.default))
            except OpError as error:
                raise PluginError(f"{owner}: its default does not fit its type: {error.message}") from None
        found[parameter.name] = attribute
    return found


def bind(attributes: Mapping[str, Attribute], given: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """All attributes in declared order, checked, canonical, defaults filled in. ``owner`` is such as ``op 'sum'``."""
    for name in given:
        if name not in attributes:
            none = f"; {owner} has no attributes" if not attributes else nearest(name, attributes)
            raise OpError(f"{owner}: unknown attribute '{name}'{none}")
    bound = {}
    for name, attribute in attributes.items():
        if name in given:
            try:
                bound[name] = attribute.check(given[name])
            except DataflowError as error:
                raise OpError(f"{owner}: {error.message}") from None
        elif attribute.required:
            raise OpError(f"{owner}: attribute '{name}' ({attribute.type_text}) is missing")
        else:
            bound[name] = attribute.default
    return bound


def plain(value: Any) -> Any:
    """A canonical value as plain data for a file: lists for tuples, text for symbolic sizes."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Size) else value


def describe(annotation: Any) -> str:
    """``int or list of int or none`` for ``int | tuple[int, ...] | None``."""
    texts = []
    for option in _options(annotation):
        if get_origin(option) is Literal:
            texts += [f'"{choice}"' for choice in get_args(option)]
        elif _is_shape(option):
            texts.append('a shape such as ["n", 2]')
        elif get_origin(option) is tuple:
            texts.append(f"list of {describe(get_args(option)[0])}")
        else:
            texts.append("none" if option is type(None) else option.__name__)
    return " or ".join(texts)


class _MismatchError(Exception):
    pass


def _options(annotation: Any) -> Sequence[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        return get_args(annotation)
    return (annotation,)


def _is_shape(option: Any) -> bool:
    return get_origin(option) is tuple and Size in _options(get_args(option)[0])


def _is_known(option: Any) -> bool:
    if option in (int, float, bool, str, type(None)) or get_origin(option) is Literal or _is_shape(option):
        return True
    arguments = get_args(option)
    return (
        get_origin(option) is tuple
        and len(arguments) == 2
        and arguments[1] is Ellipsis
        and all(map(_is_known, _options(arguments[0])))
    )


def _check(annotation: Any, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    for option in _options(annotation):
        try:
            return _check_one(option, value)
        except _MismatchError:
            continue
    raise _MismatchError


def _check_one(option: Any, value: Any) -> Any:
    if get_origin(option) is Literal:
        if any(type(value) is type(choice) and value == choice for choice in get_args(option)):
            return value
        raise _MismatchError
    if option is float and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > sys.float_info.max:
            raise _MismatchError
        return float(value)
    if option in (int, float, bool, str, type(None)):
        if isinstance(value, option) and (option is bool or not isinstance(value, bool)):
            return value
        raise _MismatchError
    if not isinstance(value, (list, tuple)):
        raise _MismatchError
    if _is_shape(option):
        # -1 stands for "what is left" in reshape; ops to which it means nothing refuse it in their shape rule
        return tuple(-1 if type(size) is int and size == -1 else parse_shape([size])[0] for size in value)
    return tuple(_check(get_args(option)[0], item) for item in value)
