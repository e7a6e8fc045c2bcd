"""What optimizers and schedules have in common: a name, and attributes that a file gives as plain data."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Self

from dataflow.errors import OpError
from dataflow.operations import attributes as attribute_module
from dataflow.operations.attributes import Attribute

_EXAMPLES: Mapping[Any, Any] = {int: 100, float: 0.1}


class Rule(ABC):
    """A subclass has a ``name``, and attributes as keyword-only parameters of ``__init__``, each kept under its own
    name."""

    kind: ClassVar[str]
    """What it is, in messages."""
    name: ClassVar[str]

    @classmethod
    def attributes(cls) -> dict[str, Attribute]:
        """The declared attributes by name."""
        return dict(_attributes_of(cls))

    @classmethod
    def create(cls, given: Mapping[str, Any]) -> Self:
        """One with these attributes, checked."""
        cls.check_needed(given)
        return cls(**attribute_module.bind(cls.attributes(), given, f"{cls.kind} '{cls.name}'"))

    @classmethod
    def check_needed(cls, given: Mapping[str, Any]) -> None:
        """An ``OpError`` with an example if an attribute is missing that has no default."""
        for name, attribute in cls.attributes().items():
            if attribute.required and name not in given:
                value = _example(attribute)
                raise OpError(
                    f"{cls.kind} '{cls.name}' needs {name} ({attribute.type_text}), as in "
                    f'{{ name = "{cls.name}", {name} = {value} }} or --{cls.kind}.{name}={value}'
                )

    def settings(self) -> dict[str, Any]:
        """The attributes as they are now, for files."""
        return {name: getattr(self, name) for name in self.attributes()}


def example_settings(rule: type[Rule]) -> dict[str, Any]:
    """A value for each attribute that has no default."""
    return {name: _example(attribute) for name, attribute in rule.attributes().items() if attribute.required}


def _example(attribute: Attribute) -> Any:
    return _EXAMPLES.get(attribute.annotation, 1)


@cache
def _attributes_of(rule: type[Rule]) -> dict[str, Attribute]:
    """Read once: annotations are text that Python evaluates, which is nothing to do while a file is read."""
    return attribute_module.declared(rule.__init__, f"{rule.kind} '{rule.name}'")
