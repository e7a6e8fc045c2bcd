"""Who takes part: what each is called, whether it is installed, and where it cannot take part."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from benchmark.workloads import WORKLOADS, Layers, Net


@dataclass(frozen=True)
class Peer:
    """``where`` is MODULE:CLASS; ``needs`` are packages besides numpy."""

    name: str
    where: str
    backend: str | None = None
    """Of dataflow; ``None`` for others."""
    needs: tuple[str, ...] = ()
    only_models: bool = False
    layers: bool = True
    """Whether it is written for models of layers."""
    too_slow: tuple[str, ...] = ()
    """Workloads whose compilation takes minutes."""
    grows: bool = True
    """Whether it is ready for another size within a second or so."""
    only: tuple[str, ...] = ()
    """The workloads that it is measured on, with one thread; all, unless given."""
    by_chance: tuple[str, ...] = ()
    """Workloads that are compiled in another way from process to process, with times that are several times apart."""
    limit: bool = False
    """Whether it is no way to train, but what no way can be faster than."""

    @property
    def ours(self) -> bool:
        """Whether it is dataflow."""
        return self.backend is not None

    @property
    def missing(self) -> str | None:
        """What is not installed."""
        return next((name for name in self.needs if importlib.util.find_spec(name) is None), None)

    def takes(self, workload: str, threads: int) -> bool:
        """Whether it is meant for the workload at all, with so many threads."""
        return not self.only or (workload in self.only and threads == 1)

    def leaves_out(self, workload: str) -> str | None:
        """Why it does not take part."""
        work = WORKLOADS[workload]
        if self.only_models and not isinstance(work, Net | Layers):
            return "has no loop here"
        if not self.layers and isinstance(work, Layers):
            return "has no layers here"
        return "compiles for minutes" if workload in self.too_slow else None

    def make(self, workload: Any, threads: int) -> Any:
        """The peer at work: ``run(steps)`` and ``result()``."""
        module, _, name = self.where.partition(":")
        kind = getattr(import_module(module), name)
        return kind(workload, threads) if self.backend is None else kind(workload, threads, self.backend)


SMALL = ("a32", "b", "c32")
"""Workloads whose steps are so short that the call of one counts."""
PEERS = {
    peer.name: peer
    for peer in (
        Peer("dataflow numpy", "benchmark.ours:Ours", "numpy"),
        Peer("dataflow llvm", "benchmark.ours:Ours", "llvm", ("llvmlite",)),
        *(
            Peer(f"dataflow {backend} step()", "benchmark.ours:ByStep", backend, needs, only=SMALL, grows=False)
            for backend, needs in (("numpy", ()), ("llvm", ("llvmlite",)))
        ),
        Peer("dataflow jax", "benchmark.ours:Ours", "jax", ("jax",), by_chance=("f",)),
        Peer("numpy by hand", "benchmark.by_hand:Numpy", layers=False),
        Peer("torch", "benchmark.frameworks:Torch", needs=("torch",)),
        Peer(
            "torch.compile",
            "benchmark.frameworks:TorchCompile",
            needs=("torch",),
            layers=False,
            too_slow=("g",),
            grows=False,
        ),
        Peer("jax.jit", "benchmark.frameworks:Jax", needs=("jax",), by_chance=("f",)),
        Peer("jax loop", "benchmark.frameworks:JaxLoop", needs=("jax",), only_models=True),
        Peer("products alone", "benchmark.products:Products", only=("c256", "d"), limit=True, grows=False),
    )
}
LOOP_INSIDE = "jax loop"
LIMIT = "products alone"
REFERENCE = "numpy by hand"


def find(name: str) -> Peer:
    """The peer of that name; "dataflow NAME" is dataflow with any backend."""
    return PEERS.get(name) or Peer(name, "benchmark.ours:Ours", name.removeprefix("dataflow "))


def add_backends_of_plugins() -> None:
    """Let all registered backends take part. Only who starts the others calls this: it imports dataflow, which
    those who do without should not have to."""
    from dataflow.registry import registry

    for backend in registry.registry().backends:
        PEERS.setdefault(f"dataflow {backend}", find(f"dataflow {backend}"))


def installed(names: Sequence[str]) -> dict[str, str | None]:
    """Each of these peers with the package that it lacks."""
    return {name: PEERS[name].missing for name in names}
