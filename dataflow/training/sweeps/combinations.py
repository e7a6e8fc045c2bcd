"""Which runs a sweep has: the product of the values of its keys, each checked before anything runs."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from dataflow.errors import DataflowError, TrainingError, nearest
from dataflow.model.table_kinds import Changes, Choice, TableKind
from dataflow.model.train_settings import TrainOption, TrainSettings, options_of
from dataflow.registry import registry
from dataflow.support.texts import quoted
from dataflow.training.settings import Settings, resolve

MOST = 10_000
"""The most runs of a sweep."""

_SAFE = re.compile(r"[A-Za-z0-9_.+-]{1,40}")
_LONGEST_NAME = 150


@dataclass(frozen=True)
class Combination:
    """One of the runs: a value for each key."""

    name: str
    """``"learning_rate=0.01,seed=3"``, which can be a folder's name."""
    values: Mapping[str, Any]
    options: Mapping[str, Any]
    """What ``train`` is given, as plain data where that is possible."""
    settings: Settings


def combine(
    declared: TrainSettings, over: Mapping[str, Sequence[Any]], options: Mapping[str, Any]
) -> list[Combination]:
    """All combinations, of which the last key's values change fastest. A ``TrainingError`` for what cannot be."""
    values = {key: check_values(key, given) for key, given in over.items()}
    if not values:
        raise TrainingError('a sweep needs a key and its values, such as {"seed": [0, 1, 2]}')
    options = {name: value for name, value in options.items() if value is not None or options_of()[name].optional}
    for key in values:
        if key in options:
            raise TrainingError(f"{key} is swept and given as well; leave out one of them")
    if (count := math.prod(map(len, values.values()))) > MOST:
        raise TrainingError(f"the sweep would have {count:,} runs; it may have {MOST:,}")
    combinations = [
        _combination(declared, dict(zip(values, chosen, strict=True)), options) for chosen in product(*values.values())
    ]
    first: dict[str, str] = {}
    for combination in combinations:
        settings = repr([getattr(combination.settings, name) for name in options_of()])
        if settings in first:
            raise TrainingError(f"the runs {first[settings]} and {combination.name} would be the same; leave out one")
        first[settings] = combination.name
    return combinations


def check_values(key: str, values: Sequence[Any]) -> list[Any]:
    """The values of a key in their canonical form; a ``TrainingError`` where the key is unknown or a value does not
    fit."""
    option, inner = _option_of(key)
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray) or len(values) == 0:
        raise TrainingError(f"{key} is swept over a list of values, not {quoted(values)}")
    checked = [value.item() if isinstance(value, np.generic) else value for value in values]
    if inner is None:
        unset = [value is None and option.optional for value in checked]
        canonical = [
            None if none else _plain(option, option.check(value)) for value, none in zip(checked, unset, strict=True)
        ]
        # a name alone stays one: it means the declared attributes where it is the declared optimizer
        return [name if isinstance(name, str) else value for name, value in zip(checked, canonical, strict=True)]
    kind = option.kind.key_kind(option.name, inner) if isinstance(option.kind, TableKind) else None
    return checked if kind is None else [kind.plain(kind.check(key, value)) for value in checked]


def _option_of(key: str) -> tuple[TrainOption, str | None]:
    """The option that a key belongs to, and the key inside it where it is a table."""
    known = options_of()
    name, dot, inner = key.partition(".")
    if name not in known or (dot and not (inner and isinstance(known[name].kind, TableKind))):
        raise TrainingError(f"there is no option {quoted(key)} to sweep{nearest(name, known)}")
    return known[name], inner if dot else None


def _combination(declared: TrainSettings, values: dict[str, Any], options: Mapping[str, Any]) -> Combination:
    chosen = dict(options)
    for key, value in values.items():
        option, inner = _option_of(key)
        if inner is None:
            chosen[option.name] = value
            continue
        given = chosen.get(option.name)
        changes: dict[str, Any] = Changes({inner: value})
        assert isinstance(option.kind, TableKind)
        if isinstance(given, Changes):
            changes = Changes({**given, **changes})
        elif given is not None:
            changes = Changes(option.kind.changed(_plain(option, option.check(given)), changes))
        elif option.name in chosen:  # nothing of what the file declares
            changes = option.kind.changed(option.default, changes)
        chosen[option.name] = changes
    whole = {
        name: _plain(option, option.chosen(getattr(declared, name, option.default), chosen[name]))
        for name, option in options_of().items()
        if name in chosen
    }
    try:
        return Combination(_name(values), values, whole, resolve(declared, chosen))
    except TrainingError as error:
        error.message = f"{_name(values)}: {error.message}"
        raise


def _plain(option: TrainOption, value: Any) -> Any:
    """A value as plain data; what a program made, as the name and attributes under which plugins know it."""
    kind = option.kind
    if isinstance(kind, Choice) and isinstance(value, kind.made):
        made: Any = value
        try:
            known = kind.find(made.name) is type(made)
        except Exception:  # noqa: BLE001 (not registered, or without a name: it stays what it is)
            known = False
        return {"name": made.name, **made.settings()} if known else value
    return value


def _name(values: Mapping[str, Any]) -> str:
    name = ",".join(f"{key}={_word(value)}" for key, value in values.items())
    return name if len(name) <= _LONGEST_NAME else f"{name[:100]}-{_digest(name)}"


def _word(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
    if _SAFE.fullmatch(text):
        return text
    name = value.get("name") if isinstance(value, Mapping) else None
    return f"{name}-{_digest(text)}" if isinstance(name, str) and _SAFE.fullmatch(name) else _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def better(metric: str) -> str:
    """Whether ``"lower"`` or ``"higher"`` numbers of a metric are better."""
    name = metric.removeprefix("validation_")
    while name and name != "loss":
        try:
            return str(registry.metric(name).better)
        except DataflowError:
            name = name.rpartition("_")[0]  # where there are several outputs, one's name follows that of the metric
    return "lower"
