"""What a step costs, as rows that can be grouped and added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dataflow.operations.operation_cost import Cost
from dataflow.profiling.cut import Cut
from dataflow.profiling.plan_listing import PlanSummary
from dataflow.profiling.roofline import Peaks

FORWARD, BACKWARD, UPDATE = "forward", "backward", "update"
RECOMPUTED = "recomputed"
"""What the forward pass made, forgot for want of memory, and makes a second time."""


@dataclass(frozen=True)
class Row:
    """One instruction of the plan, or several that a backend runs as one, or those of one node or op together."""

    phase: str
    node: str
    """The graph's node that it belongs to; of the backward pass, the node of its cotangent or an inner one."""
    op: str
    shape: str
    """Of the result."""
    dtype: str
    cost: Cost
    read: int
    """Bytes."""
    written: int
    """Bytes."""
    seconds: float | None = None
    """Median time; ``None`` where nothing was run, or the backend cannot be taken apart."""
    instructions: int = 1
    limited: str = ""
    """What limits it by the roofline, ``"compute"`` or ``"memory"``, where that was asked for."""
    least: float | None = None
    """Seconds that it needs at the machine's peaks."""

    @property
    def reached(self) -> float | None:
        """The share of the roofline that it reaches, up to 1; more where its data lie in a cache already."""
        return self.least / self.seconds if self.least is not None and self.seconds else None

    @property
    def owner(self) -> str:
        """The node that the file declares: ``z`` for its inner ``z.matmul`` and for the cotangent ``grad.z``."""
        parts = self.node.split(".")
        return parts[1] if self.phase == BACKWARD and len(parts) > 1 else parts[0]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "phase": self.phase,
            "node": self.node,
            "op": self.op,
            "shape": self.shape,
            "dtype": self.dtype,
            **self.amounts(),
        }

    def amounts(self) -> dict[str, Any]:
        """The numbers, for JSON."""
        return {
            **self.cost.plain(),
            "bytes_read": self.read,
            "bytes_written": self.written,
            "instructions": self.instructions,
            "seconds": self.seconds,
            **({} if self.least is None else {"limited_by": self.limited, "least": self.least}),
        }


@dataclass(frozen=True)
class StepCosts:
    """What one step of a model costs: forward, backward and update, or only the forward pass."""

    model: str
    backend: str
    batch: int | None
    """Examples; ``None`` for a model without a batch."""
    rows: tuple[Row, ...]
    """In the order in which they run, the update last."""
    memory: Mapping[str, int]
    """Bytes of what has to be there at once, by kind."""
    passes: tuple[PlanSummary, ...]
    """The plan as it was lowered from the graph, and after each pass."""
    rounds: int = 0
    """How often it was measured; 0 where nothing was run."""
    step_seconds: float | None = None
    """Median time for forward and backward pass together, as the backend runs them."""

    cut: Cut | None = None
    """The graph cut into parts, where that was asked for."""
    peaks: Peaks | None = None
    """What the machine reaches, where the roofline was asked for."""

    def by(self, key: str) -> list[Row]:
        """The rows with those of one ``"phase"``, ``"node"`` (as the file declares it) or ``"op"`` together; the phase
        stays apart. ``"instruction"`` gives all rows."""
        if key == "instruction":
            return list(self.rows)
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            name = {"node": row.owner, "op": row.op, "phase": row.phase}[key]
            groups.setdefault((row.phase, name), []).append(row)
        return [
            replace(
                total(rows),
                phase=phase,
                node=name if key == "node" else "",
                op=name if key == "op" else "",
            )
            for (phase, name), rows in groups.items()
        ]

    @property
    def total(self) -> Row:
        """All rows added."""
        return total(self.rows)

    @property
    def seconds(self) -> float | None:
        """Median time for the step, update included, as the backend runs it; ``None`` where nothing was run."""
        if self.step_seconds is None:
            return None
        return self.step_seconds + sum(row.seconds or 0.0 for row in self.rows if row.phase == UPDATE)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.model,
            "backend": self.backend,
            "batch": self.batch,
            "rows": [row.plain() for row in self.rows],
            "totals": {row.phase: row.amounts() for row in self.by("phase")} | {"all": self.total.amounts()},
            "memory": dict(self.memory),
            "passes": [summary.plain() for summary in self.passes],
            "rounds": self.rounds,
            "seconds": self.seconds,
            **({} if self.cut is None else {"cut": self.cut.plain()}),
            **({} if self.peaks is None else {"peaks": self.peaks.plain()}),
        }


def total(rows: Iterable[Row]) -> Row:
    """Add rows; the time is known if that of each is."""
    every = list(rows)
    seconds = [row.seconds for row in every]
    known = [amount for amount in seconds if amount is not None]
    least: dict[str, float] = {}
    for row in every:
        if row.least is not None:
            least[row.limited] = least.get(row.limited, 0.0) + row.least
    return Row(
        *("", "", "", "", ""),
        sum((row.cost for row in every), Cost()),
        sum(row.read for row in every),
        sum(row.written for row in every),
        sum(known) if len(known) == len(seconds) else None,
        sum(row.instructions for row in every),
        max(least, key=lambda limit: least[limit], default=""),
        sum(least.values()) if least else None,
    )
