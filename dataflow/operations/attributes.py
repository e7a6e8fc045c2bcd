"""Attributes: the keyword-only parameters of an op (and of an initializer or optimizer), typed, with defaults.

A plugin declares them as annotated Python parameters; a file gives them as plain data, which is checked against the
declaration. Nothing is ever set by name: an attribute that is not declared is an error.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from dataflow.errors import DataflowError, OpError, PluginError, ShapeError, nearest
from dataflow.operations.rule_parameters import parameters_of
from dataflow.shapes import Size, parse_shape

REQUIRED: Any = inspect.Parameter.empty


class GraphAttribute(ABC):
    """What an attribute that holds a graph is to this module: ``dataflow.graph.subgraph.Subgraph``, which stands above.
    It is immutable, and equal to another that says the same."""

    name: str
    """What files call it."""

    @abstractmethod
    def plain(self) -> Any:
        """All that it says as plain data."""

    @abstractmethod
    def with_sizes(self, sizes: Mapping[str, Any]) -> GraphAttribute:
        """The same, with what symbolic sizes stand for in its attributes."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One declared attribute. ``default`` is ``REQUIRED`` where it must be given."""

    name: str
    annotation: Any
    default: Any
    canonical: Callable[[Any], Any] = field(init=False, repr=False, compare=False)
    """Gives a value in its canonical form; made once of the annotation, since every node binds attributes."""
    is_shape: bool = field(init=False, repr=False, compare=False)
    """Whether the value is a shape, whose symbolic sizes become numbers before a kernel sees them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "canonical", _checker(self.annotation))
        object.__setattr__(self, "is_shape", any(map(_is_shape, _options(self.annotation))))

    @property
    def is_graph(self) -> bool:
        """Whether the value is a graph."""
        return any(map(_is_graph, _options(self.annotation)))

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def type_text(self) -> str:
        """The type as the documentation writes it."""
        return describe(self.annotation)

    def check(self, value: Any) -> Any:
        """The value in its canonical form (tuples for lists); an ``OpError`` says what was expected."""
        try:
            return self.canonical(value)
        except _MismatchError:
            expected = describe(self.annotation)
            raise OpError(f"attribute '{self.name}' takes {expected}, not {value!r}") from None
        except ShapeError as error:
            raise OpError(f"attribute '{self.name}': {error.message}") from None


def declared(function: Callable[..., Any], owner: str) -> dict[str, Attribute]:
    """The attributes that ``function`` declares by its keyword-only parameters; ``owner`` is named in errors."""
    if not parameters_of(function).keywords:
        return {}
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    try:
        # only of the attributes: other annotations may name what is expensive to import
        written = {p.name: p.annotation for p in parameters if p.annotation is not p.empty}
        hints = typing.get_type_hints(type(owner, (), {"__annotations__": written}), function.__globals__)
    except (NameError, TypeError, AttributeError) as error:
        raise PluginError(f"{owner}: its annotations cannot be read ({error}); import the types they name") from None
    attributes = {}
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
        attributes[parameter.name] = attribute
    return attributes


def bind(attributes: Mapping[str, Attribute], values: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """All attributes in declared order, checked, canonical, defaults filled in. ``owner`` is such as ``op 'sum'``."""
    if not isinstance(values, Mapping):
        raise OpError(f"{owner} takes its attributes as a mapping by name, not {type(values).__name__}")
    for name in values:
        if name not in attributes:
            none = f"; {owner} has no attributes" if not attributes else nearest(name, attributes)
            raise OpError(f"{owner}: unknown attribute '{name}'{none}")
    bound = {}
    for name, attribute in attributes.items():
        if name in values:
            try:
                bound[name] = attribute.check(values[name])
            except DataflowError as error:
                raise OpError(f"{owner}: {error.message}") from None
        elif attribute.required:
            raise OpError(
                f"{owner}: attribute '{name}' ({attribute.type_text}) is missing; it is given by keyword, {name}=..."
            )
        else:
            bound[name] = attribute.default
    return bound


def plain(value: Any) -> Any:
    """A canonical value as plain data for a file: lists for tuples, text for symbolic sizes."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, GraphAttribute):
        return value.plain()
    return str(value) if isinstance(value, Size) else value


def changed(attributes: Mapping[str, Attribute], values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that are not what holds unless they are given."""
    return {
        key: value
        for key, value in values.items()
        if attributes[key].required or repr(plain(value)) != repr(plain(attributes[key].default))
    }


def describe(annotation: Any) -> str:
    """``int or list of int or none`` for ``int | tuple[int, ...] | None``."""
    texts = []
    for option in _options(annotation):
        if get_origin(option) is Literal:
            texts += [f'"{choice}"' for choice in get_args(option)]
        elif _is_shape(option):
            texts.append('a shape such as ["n", 2]')
        elif _is_graph(option):
            texts.append("a graph")
        elif get_origin(option) is tuple:
            entry = describe(get_args(option)[0])
            texts.append(f"list of ({entry})" if " or " in entry else f"list of {entry}")
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


def _is_graph(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, GraphAttribute)


def _is_known(option: Any) -> bool:
    if option in (int, float, bool, str, type(None)) or get_origin(option) is Literal or _is_shape(option):
        return True
    if _is_graph(option):
        return True
    arguments = get_args(option)
    return (
        get_origin(option) is tuple
        and len(arguments) == 2
        and arguments[1] is Ellipsis
        and all(map(_is_known, _options(arguments[0])))
    )


def _checker(annotation: Any) -> Callable[[Any], Any]:
    """A function that gives a value in its canonical form, by the first option of the annotation that it fits."""
    checks = [_option_checker(option) for option in _options(annotation)]

    def check(value: Any) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        for check_option in checks:
            try:
                return check_option(value)
            except _MismatchError:
                continue
        raise _MismatchError

    return check


def _option_checker(option: Any) -> Callable[[Any], Any]:
    if get_origin(option) is Literal:
        choices = get_args(option)
        return lambda value: _checked_choice(choices, value)
    if option in (int, float, bool, str, type(None)):
        return lambda value: _checked_scalar(option, value)
    if _is_shape(option):
        return _checked_shape
    if _is_graph(option):
        return lambda value: value if isinstance(value, option) else _mismatch(value)
    arguments = get_args(option)
    check_item = _checker(arguments[0]) if arguments else _mismatch
    return lambda value: tuple(map(check_item, _checked_list(value)))


def _checked_choice(choices: Sequence[Any], value: Any) -> Any:
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return value
    raise _MismatchError


def _checked_scalar(kind: type, value: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > sys.float_info.max:
            raise _MismatchError
        return float(value)
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise _MismatchError


def _checked_shape(value: Any) -> tuple[Any, ...]:
    # -1 stands for "what is left" in reshape; ops to which it means nothing refuse it in their shape rule
    sizes = _checked_list(value)
    return tuple([size if type(size) is int and -1 <= size < 2**31 else parse_shape([size])[0] for size in sizes])


def _checked_list(value: Any) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise _MismatchError
    return value


def _mismatch(value: Any) -> Any:
    raise _MismatchError
