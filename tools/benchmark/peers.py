"""Who takes part: what each is called, whether it is installed, and where it cannot take part."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from benchmark.workloads import WORKLOADS, Net


@dataclass(frozen=True)
class Peer:
    """``where`` is MODULE:CLASS; ``needs`` are packages besides numpy."""

    name: str
    where: str
    needs: tuple[str, ...] = ()
    ours: bool = False
    only_nets: bool = False
    too_slow: tuple[str, ...] = ()
    """Workloads whose compilation takes minutes."""
    grows: bool = True
    """Whether it is ready for another size within a second or so."""

    @property
    def missing(self) -> str | None:
        """What is not installed."""
        return next((name for name in self.needs if importlib.util.find_spec(name) is None), None)

    def leaves_out(self, workload: str) -> str | None:
        """Why it does not take part."""
        if self.only_nets and not isinstance(WORKLOADS[workload], Net):
            return "has no loop here"
        return "compiles for minutes" if workload in self.too_slow else None

    def make(self, workload: Any, threads: int) -> Any:
        """The peer at work: ``run(steps)`` and ``result()``."""
        module, _, name = self.where.partition(":")
        return getattr(import_module(module), name)(workload, threads)


PEERS = {
    peer.name: peer
    for peer in (
        Peer("dataflow numpy", "benchmark.ours:Ours", ours=True),
        Peer("dataflow numba", "benchmark.ours:OursNumba", ("numba",), ours=True),
        Peer("numpy by hand", "benchmark.by_hand:Numpy"),
        Peer("torch", "benchmark.frameworks:Torch", ("torch",)),
        Peer("torch.compile", "benchmark.frameworks:TorchCompile", ("torch",), too_slow=("g",), grows=False),
        Peer("jax.jit", "benchmark.frameworks:Jax", ("jax",)),
        Peer("jax loop", "benchmark.frameworks:JaxLoop", ("jax",), only_nets=True),
    )
}
LOOP_INSIDE = "jax loop"
REFERENCE = "numpy by hand"


def installed(names: Sequence[str] | None = None) -> dict[str, str | None]:
    """Each peer, or each of those asked for, with the package that it lacks."""
    return {name: PEERS[name].missing for name in names or PEERS}
