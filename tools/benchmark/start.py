"""Time from the start of a process to its first step, and time to compile."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.child import Child
from benchmark.peers import PEERS
from benchmark.steps import Progress


def measure(
    workload: str, peers: Sequence[str], rounds: int, patience: float, folder: Path, progress: Progress
) -> dict[str, Any]:
    """For each peer: seconds to the first step of a process whose compiler has an empty cache ("cold"), and of several
    later ones ("warm"); and of the former, the seconds to build and to take the first step, which compiles."""
    measured: dict[str, Any] = {peer: {"warm": []} for peer in peers if PEERS[peer].leaves_out(workload) is None}
    for number in range(rounds + 1):
        for peer, times in measured.items():
            progress(f"start: {workload}, {peer}, {number} of {rounds}")
            if "error" in times:
                continue
            caches = folder / "start" / workload / peer.replace(" ", "-")
            caches.mkdir(parents=True, exist_ok=True)
            child = Child(["--child", peer, workload, "1", ""], 1, folder / "start.log", caches)
            said = child.answer(patience)
            seconds = time.perf_counter() - child.started
            if child.failed is not None:
                measured[peer] = {"error": child.failed}
            elif number == 0:
                times |= {"cold": round(seconds, 4), "build": round(said["build"], 4), "first": round(said["first"], 4)}
            else:
                times["warm"].append(round(seconds, 4))
            child.end()
    return measured
