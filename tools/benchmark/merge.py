"""Parts of one run, measured one after the other, as one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from benchmark.workloads import WORKLOADS

SAME = ("processor", "cores", "Python", "numpy", "llvmlite", "torch", "jax")
"""What all parts were measured with."""


def merged(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What was measured in any part; twice measured, the later counts. Exits where machines or versions differ."""
    whole = dict(parts[0])
    for part in parts[1:]:
        for name in SAME:
            was, now = (of.get(name) for of in (whole["machine"], part["machine"]))
            if was != now and None not in (was, now):  # what is not installed was not measured
                sys.exit(f"error: the parts are of different machines or versions: {name} {was}, and {name} {now}")
        day = max(whole["machine"]["day"], part["machine"]["day"])
        more = {name: version for name, version in part["machine"].items() if name not in whole["machine"]}
        whole["machine"] = whole["machine"] | more | {"day": day}
        whole["steps"] = {
            workload: whole["steps"].get(workload, {}) | part["steps"].get(workload, {})
            for workload in WORKLOADS
            if workload in whole["steps"] or workload in part["steps"]
        }
        again = {(row["workload"], row["backend"]) for row in part["memory"]}
        kept = [row for row in whole["memory"] if (row["workload"], row["backend"]) not in again]
        whole["memory"] = kept + part["memory"]
        whole["plans"] = part["plans"] or whole["plans"]
        whole["large"] = part.get("large") or whole.get("large", [])
        for section in ("start", "growth"):
            whole[section] = whole[section] | part[section]
        threads = {*whole["settings"]["threads"], *part["settings"]["threads"]}
        whole["settings"] = whole["settings"] | {"threads": sorted(threads)}
        whole["note"] = " ".join(dict.fromkeys(text for text in (whole["note"], part["note"]) if text))
    return whole
