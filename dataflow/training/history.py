"""What a training run tells: its history when it has ended, its progress while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class History:
    """The epochs that were finished, with what was measured after each one's updates."""

    epochs: int = 0
    loss: list[float] = field(default_factory=list)
    """Of the whole training data, one for each epoch."""
    metrics: dict[str, list[float]] = field(default_factory=dict)
    """``validation_loss`` where examples are held out; ``accuracy`` (and ``validation_accuracy``), the share of
    examples whose largest output is at the largest label, where the loss has a softmax_cross_entropy."""
    interrupted: bool = False
    """Whether Ctrl-C, or a callback that raised ``KeyboardInterrupt``, ended the run."""
    checkpoint: Path | None = None
    """The newest checkpoint that was written."""

    def add(self, measured: dict[str, float]) -> None:
        """Take in an epoch: its ``loss`` and its metrics."""
        self.epochs += 1
        for name, value in measured.items():
            (self.loss if name == "loss" else self.metrics.setdefault(name, [])).append(value)


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a minibatch; all count from 1."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float
    """Of this minibatch, before its update."""
