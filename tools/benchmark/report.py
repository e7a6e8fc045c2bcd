"""The results as tables: on a terminal with rich, in Markdown for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.judge import Ratio, fastest, median, ratio
from benchmark.peers import PEERS
from benchmark.workloads import WORKLOADS

Row = list[str]


def duration(seconds: float) -> str:
    """``12.3 µs``, ``4.56 ms``, ``7.8 s``."""
    for size, unit in ((1e-3, 1e6), (1.0, 1e3)):
        if seconds < size:
            return f"{seconds * unit:.3g} {'µs' if unit == 1e6 else 'ms'}"
    return f"{seconds:.3g} s"


def steps_table(workload: str, measured: Mapping[str, Any], threads: int) -> tuple[Row, list[Row]]:
    """The peers of a workload, the fastest first: time for a step, and it over others' with its interval."""
    ran = [key for key in measured if key.endswith(f"@{threads}") and "seconds" in measured[key]]
    against = [name for name in ("numpy by hand", "torch", "jax.jit") if f"{name}@{threads}" in ran]
    best = fastest(measured, threads)
    rows = []
    for key in sorted(ran, key=lambda key: median(measured[key])):
        numbers = measured[key]
        ratios = [str(ratio(numbers["seconds"], measured[f"{name}@{threads}"]["seconds"])) for name in against]
        ratios.append("" if best is None else str(ratio(numbers["seconds"], measured[best]["seconds"])))
        name = key.partition("@")[0]
        way = f"{name} run(n)" if f"{name} step()@{threads}" in measured else name
        rows.append([way, duration(median(numbers)), *ratios, f"{numbers['memory']:.0f} MiB"])
    failed = [key for key in measured if key.endswith(f"@{threads}") and "error" in measured[key]]
    rows += [[key.partition("@")[0], measured[key]["error"], *[""] * (len(against) + 2)] for key in failed]
    headers = ["", "a step", *(f"over {name}" for name in against), "over the fastest peer", "peak memory"]
    return headers, rows


def summary_table(steps: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    """A row for each workload, on one thread: ours, and each of the others in the faster of its ways."""
    ways = {
        **{name: [name] for name in ("dataflow llvm", "dataflow numpy", "numpy by hand")},
        "PyTorch": ["torch", "torch.compile"],
        "JAX": ["jax.jit", "jax loop"],
    }
    rows = []
    for workload, measured in steps.items():
        row = [title(workload)]
        for names in ways.values():
            times = [median(measured[f"{name}@1"]) for name in names if "seconds" in measured.get(f"{name}@1", {})]
            row.append(duration(min(times)) if times else "")
        best, llvm = fastest(measured, 1), measured.get("dataflow llvm@1", {})
        over = ratio(llvm["seconds"], measured[best]["seconds"]) if best and "seconds" in llvm else None
        row.append("" if over is None else f"{over.value:.2g}")
        rows.append(row)
    return ["", *ways, "llvm over fastest other"], rows


def calls_table(steps: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    """Short steps, on one thread: each as a call of its own, and many within one; with what a call is compared to."""
    ways = [f"dataflow {backend}{way}" for backend in ("numpy", "llvm") for way in (" step()", "")]
    headers = ["", *(name if name.endswith("()") else f"{name} run(n)" for name in ways), "numpy by hand", "jax.jit"]
    headers += ["numpy step() over numpy by hand", "llvm step() over jax.jit"]
    rows = []
    for workload, measured in steps.items():
        seconds = {name: measured.get(f"{name}@1", {}).get("seconds") for name in (*ways, "numpy by hand", "jax.jit")}
        if seconds[ways[0]] is None and seconds[ways[2]] is None:
            continue
        row = [workload, *("" if times is None else duration(float(np.median(times))) for times in seconds.values())]
        for ours, other in ((ways[0], "numpy by hand"), (ways[2], "jax.jit")):
            both = seconds[ours], seconds[other]
            row.append("" if both[0] is None or both[1] is None else str(ratio(*both)))
        rows.append(row)
    return headers, rows


def bounds_table(rows: Sequence[Mapping[str, Any]]) -> tuple[Row, list[Row]]:
    """What has to come out, and what did."""
    body = []
    for row in rows:
        measured = str(Ratio(row["ratio"], *row["interval"])) if "ratio" in row else ""
        against = row["peer"] if row.get("against", row["peer"]) == row["peer"] else f"{row['peer']} ({row['against']})"
        body.append(
            [
                row["ours"],
                row["workload"],
                str(row["threads"]),
                against,
                f"{'(goal) ' if row['goal'] else ''}≤ {row['bound']:g}",
                measured,
                row["verdict"],
            ]
        )
    return ["who", "workload", "threads", "over", "bound", "ratio, 95 %", "verdict"], body


def limits_table(rows: Sequence[Mapping[str, Any]]) -> tuple[Row, list[Row]]:
    """Bounds on seconds, memory and growth that are no ratios of steps."""
    return ["what", "measured", "bound", "verdict"], [
        [row["what"], row["measured"], row["bound"], row["verdict"]] for row in rows
    ]


def memory_table(steps: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    """The most memory that each process has held while it trained, on one thread."""
    peaks = {
        peer.name: [measured.get(f"{peer.name}@1", {}).get("memory") for measured in steps.values()]
        for peer in PEERS.values()
        if not peer.only
    }
    peaks = {name: column for name, column in peaks.items() if any(column)}
    rows = [["" if peak is None else f"{peak:,.0f}" for peak in row] for row in zip(*peaks.values(), strict=True)]
    return ["MiB", *peaks], [[workload, *row] for workload, row in zip(steps, rows, strict=True)]


def limited_table(rows: Sequence[Mapping[str, Any]]) -> tuple[Row, list[Row]]:
    """What a limit on memory costs in time."""
    without = {(row["workload"], row["backend"]): row for row in rows if not row["limit"]}
    body = []
    for row in rows:
        plain = without[row["workload"], row["backend"]]
        limit = f"{row['limit'] / 2**20:.3g} MiB" if row["limit"] else "none"
        name = [row["workload"], f"dataflow {row['backend']}", limit]
        if "error" in row or "error" in plain:
            body.append([*name, row.get("error", ""), "", "", "", ""])
            continue
        used = row["intermediate"]
        body.append(
            [
                *name,
                f"{used / 2**20:.3g} MiB",
                f"{used / plain['intermediate']:.2f}",
                f"{row['memory']:.0f} MiB",
                duration(median(row)),
                str(ratio(row["seconds"], plain["seconds"])),
            ]
        )
    headers = ["workload", "", "limit", "intermediate results", "over those without", "process", "a step"]
    return [*headers, "over one without"], body


def start_table(start: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    """Starting and compiling."""
    rows = []
    for workload, peers in start.items():
        for peer, numbers in peers.items():
            if "error" in numbers:
                rows.append([workload, peer, numbers["error"], "", ""])
                continue
            warm = sorted(numbers["warm"])
            middle = duration(warm[len(warm) // 2]) if warm else ""
            rows.append(
                [workload, peer, middle, duration(numbers["cold"]), duration(numbers["build"] + numbers["first"])]
            )
    headers = ["workload", "", "to the first step", "with empty caches", "of that, building and compiling"]
    return headers, rows


def growth_table(growth: Mapping[str, Sequence[Mapping[str, float]]]) -> tuple[Row, list[Row]]:
    """One axis: a row for each size."""
    sizes = sorted({entry["size"] for peer_rows in growth.values() for entry in peer_rows if "size" in entry})
    peers = [peer for peer in PEERS if growth.get(peer)]
    rows = []
    for size in sizes:
        row = [f"{int(size):,}"]
        for peer in peers:
            entry = next((entry for entry in growth[peer] if entry.get("size") == size), None)
            row.append("" if entry is None else f"{duration(entry['step'])}, {entry['memory']:.0f} MiB")
        rows.append(row)
    stopped = [growth[peer][-1].get("stopped", "") for peer in peers]
    if any(stopped):
        rows.append(["more", *stopped])
    return ["", *peers], rows


def title(workload: str) -> str:
    """What a workload is."""
    return f"{workload}: {WORKLOADS[workload].title}"


def markdown(table: tuple[Row, list[Row]]) -> str:
    """A table in Markdown."""
    headers, rows = table
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def printed(name: str, table: tuple[Row, list[Row]]) -> None:
    """A table on the terminal."""
    from rich.console import Console
    from rich.table import Table

    headers, rows = table
    shown = Table(title=name, title_justify="left", header_style="bold")
    for header in headers:
        shown.add_column(header)
    for row in rows:
        colour = {"missed": "red", "met": "green", "not measured": "dim"}.get(row[-1].partition(",")[0])
        shown.add_row(*row, style=colour)
    console = Console()
    (console if console.is_terminal else Console(width=140)).print(shown)
