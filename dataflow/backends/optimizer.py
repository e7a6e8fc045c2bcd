"""What an optimizer is: an update rule on flat vectors, which a backend may run itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from dataflow.backends.rule import Rule
from dataflow.errors import PluginError
from dataflow.registry.registry import declare_kind

ACCUMULATED = "accumulated"
"""The vector of the gradients of the minibatches before, where several make an update."""
RESERVED_STATE = ("parameters", "gradients", ACCUMULATED)


class Optimizer(Rule):
    """An update rule on flat vectors. A subclass has a ``name``, and attributes as keyword-only parameters of
    ``__init__``.

    All parameters of one dtype stand side by side in one vector, and so do their gradients, so that an update is a
    few vector operations.
    """

    kind = "optimizer"
    state_names: ClassVar[tuple[str, ...]] = ()
    """Names of the vectors, as long as the parameters and zero at first, that the rule keeps from step to step."""

    learning_rate: float

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        names: Any = cls.state_names
        if isinstance(names, str) or not all(isinstance(name, str) and name.isidentifier() for name in names):
            raise PluginError(f"optimizer {cls.__name__}: state_names is a tuple of names, not {names!r}")
        for name in names:
            if name in RESERVED_STATE or names.count(name) > 1:
                why = "stands twice" if name not in RESERVED_STATE else "is the name of vectors that every run has"
                raise PluginError(f"optimizer {cls.__name__}: '{name}' in state_names {why}; take another name")

    @abstractmethod
    def update(self, parameters: np.ndarray, gradients: np.ndarray, state: Mapping[str, np.ndarray], step: int) -> None:
        """Change ``parameters`` and ``state`` in place; ``gradients`` may be used as scratch. ``step`` counts from
        1."""


declare_kind("optimizer", type)
