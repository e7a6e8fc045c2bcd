"""What a training run does: the settings of the model's file, overridden by arguments, and checked."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from dataflow.backends.interface import Backend
from dataflow.backends.optimizer import Optimizer
from dataflow.backends.rule import Rule
from dataflow.backends.schedule import Schedule
from dataflow.errors import TrainingError
from dataflow.model.table_kinds import Choice
from dataflow.model.train_settings import DECIDING_OPTIONS, RunSettings, TrainSettings, options_of
from dataflow.registry import registry
from dataflow.support.conversion import whole

OptimizerLike = str | Mapping[str, Any] | Optimizer
F = TypeVar("F", bound=Callable[..., Any])

LARGEST_SEED = 2**63 - 1
"""What the files hold that a run is saved to."""


class _AsDeclared:
    """The default of options that a file may declare: not given. ``None`` is a value, for some of them."""

    def __repr__(self) -> str:
        return "as declared"


_AS_DECLARED = _AsDeclared()


@dataclass(frozen=True, kw_only=True)
class Settings(RunSettings):
    """The settings that a run uses; ``optimizer`` has all its attributes."""

    rule: Optimizer
    """The optimizer itself."""
    course: Schedule | None
    """The schedule itself."""
    runs_on: Backend
    """The backend itself."""

    def plain(self) -> dict[str, Any]:
        """What makes another run where it differs, as plain data for files."""
        return {name: option.plain(getattr(self, name)) for name, option in DECIDING_OPTIONS.items()}


def resolve(declared: TrainSettings, options: Mapping[str, Any]) -> Settings:
    """Each option that is not given is what the file declares. A ``TrainingError`` for what cannot be."""
    values = {name: getattr(declared, name, option.default) for name, option in options_of().items()}
    values |= chosen_options(declared, options)
    rate = {} if values["learning_rate"] is None else {"learning_rate": values["learning_rate"]}
    rule: Optimizer = _made("optimizer", declared.optimizer, values["optimizer"], rate)
    values["optimizer"] = {"name": rule.name, **rule.settings()}
    course: Schedule | None = None
    if values["schedule"] is not None:
        course = _made("schedule", declared.schedule, values["schedule"])
        values["schedule"] = {"name": course.name, **course.settings()}
    values["seed"] = whole("seed", values["seed"], 0, LARGEST_SEED)
    runs_on = registry.backend(values["backend"])
    values["backend"] = runs_on.full_name  # not a former name
    return Settings(**values, rule=rule, course=course, runs_on=runs_on)


def chosen_options(declared: TrainSettings, given: Mapping[str, Any]) -> dict[str, Any]:
    """For each option of ``given``, what it is where the file declares ``declared``."""
    known = options_of()
    return {
        name: known[name].chosen(getattr(declared, name, known[name].default), value) for name, value in given.items()
    }


def takes_options(per_epoch: bool) -> Callable[[F], F]:
    """The function with each declared option as a keyword in its signature, in the place of ``**options``; without
    ``per_epoch``, those alone that are not about whole epochs. Other keywords are the ``TypeError`` that they always
    are."""

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=_AS_DECLARED if option.in_file else option.default,
                annotation=option.kind.annotation | None,
            )
            for name, option in options_of().items()
            if per_epoch or not option.per_epoch
        ]
        known = {one.name for one in (*own, *keywords)}

        @wraps(function)
        def taking(*arguments: Any, **given: Any) -> Any:
            for name in given.keys() - known:
                raise TypeError(f"{function.__qualname__}() got an unexpected keyword argument '{name}'")
            return function(*arguments, **given)

        first = [one for one in own if one.kind is not one.KEYWORD_ONLY]
        taking.__signature__ = signature.replace(parameters=[*first, *keywords, *own[len(first) :]])  # type: ignore[attr-defined]
        return cast(F, taking)

    return decorate


def _made(option: str, declared: Mapping[str, Any] | None, given: Any, changed: Mapping[str, Any] | None = None) -> Any:
    """What is chosen, ready-made or by name, with some attributes changed. A name alone means the declared attributes
    where it is the declared one, and the defaults of another."""
    kind = options_of()[option].kind
    assert isinstance(kind, Choice)
    if isinstance(given, kind.made):
        assert isinstance(given, Rule)
        return type(given).create({**given.settings(), **changed}) if changed else given
    if declared is not None and given == declared.get("name"):
        given = declared
    attributes = dict(kind.check(option, given))
    name = attributes.pop("name", None)
    if not isinstance(name, str):
        example = ", ".join(f"{key} = {json.dumps(value)}" for key, value in kind.example.items())
        article = "an" if option[0] in "aeiou" else "a"
        short = kind.example["name"]
        raise TrainingError(f'{article} {option} is a name, such as "{short}", or has one: {{ {example} }}')
    return kind.find(name).create({**attributes, **(changed or {})})
