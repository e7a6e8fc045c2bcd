"""What a training run does: the settings of the model's file, overridden by arguments, and checked."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataflow import registry
from dataflow.errors import TrainingError
from dataflow.interfaces import Optimizer
from dataflow.memory import parse_bytes
from dataflow.model import TrainSettings

OptimizerLike = str | Mapping[str, Any] | Optimizer


@dataclass(frozen=True)
class Settings:
    """The settings that a run uses."""

    optimizer: Optimizer
    batch_size: int | None
    """``None`` is the whole data at once."""
    shuffle: bool
    seed: int
    validation: float
    backend: str
    threads: int | None = None
    """Threads at most; ``None`` leaves their number to the backend."""
    memory_limit: int | None = None
    """Bytes that a gradient's intermediate values may take."""

    def plain(self) -> dict[str, Any]:
        """As plain data, for files. What differs here makes another run."""
        return {
            "optimizer": {"name": self.optimizer.name, **self.optimizer.settings()},
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "validation": self.validation,
        }


def resolve(
    declared: TrainSettings,
    *,
    batch_size: int | None,
    optimizer: OptimizerLike | None,
    learning_rate: float | None,
    shuffle: bool | None,
    seed: int | None,
    validation: float | None,
    backend: str,
    threads: int | None = None,
    memory_limit: int | str | None = None,
) -> Settings:
    """Each argument that is ``None`` is what the file declares. A ``TrainingError`` for what cannot be."""
    size = declared.batch_size if batch_size is None else batch_size
    share = declared.validation if validation is None else validation
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise TrainingError(f"validation is a share from 0 up to, not including, 1; it is {share!r}")
    return Settings(
        optimizer=_optimizer(declared.optimizer, optimizer, learning_rate),
        batch_size=None if size is None else whole("batch_size", size, 1),
        shuffle=bool(declared.shuffle if shuffle is None else shuffle),
        seed=whole("seed", declared.seed if seed is None else seed, 0),
        validation=float(share),
        backend=backend,
        threads=None if threads is None else whole("threads", threads, 1),
        memory_limit=None if memory_limit is None else parse_bytes(memory_limit),
    )


def whole(name: str, value: Any, least: int) -> int:
    """``value`` as an int of at least ``least``."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TrainingError(f"{name} is a whole number, not {value!r}") from None
    if number < least or isinstance(value, bool):
        raise TrainingError(f"{name} is a whole number, {least} or more, not {value!r}")
    return number


def _optimizer(declared: Mapping[str, Any], given: OptimizerLike | None, learning_rate: float | None) -> Optimizer:
    """A name alone means the declared settings where it is the declared optimizer, and the defaults of another."""
    if isinstance(given, Optimizer):
        if learning_rate is None:
            return given
        return type(given).create({**given.settings(), "learning_rate": learning_rate})
    if given is None or given == declared.get("name"):
        given = declared
    settings: dict[str, Any] = {"name": given} if isinstance(given, str) else dict(given)
    if not isinstance(settings.get("name"), str):
        raise TrainingError('an optimizer is a name, such as "sgd", or has one: { name = "sgd", learning_rate = 0.1 }')
    kind = registry.optimizer(settings.pop("name"))
    if learning_rate is not None:
        settings["learning_rate"] = learning_rate
    return kind.create(settings)
