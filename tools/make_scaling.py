"""The numbers, tables and pictures of docs/scaling.md.

``.venv/bin/python tools/make_scaling.py --measure``   measures this machine, two minutes, into docs/scaling.json
``.venv/bin/python tools/make_scaling.py``             makes tables and pictures of that file
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmark import machine
from scaling import processes
from scaling.simulation import simulate

import dataflow
from dataflow.profiling.cut import Cut
from dataflow.profiling.scaling import (
    PATTERNS,
    Compression,
    Network,
    Work,
    fit_line,
    most_workers,
    pipeline_seconds,
    step_seconds,
    worker_bytes,
    worker_counts,
)
from dataflow.support.byte_sizes import format_bytes
from dataflow.support.figures import written_figure

ROOT = Path(__file__).resolve().parent.parent
PAGE, RESULT = ROOT / "docs" / "scaling.md", ROOT / "docs" / "scaling.json"
MODELS = {"digits": "digits.toml", "mnist": "mnist/mnist.toml", "shakespeare": "shakespeare/shakespeare.toml"}
BATCHES = (4, 16, 64, 256)
SIZES = (64, 16_384, 262_144, 1_048_576, 4_194_304)
"""Bytes of the messages that the local transport is fitted to."""
INJECTED = 0.02
"""Seconds of latency that are added to each message between processes."""
CHECKED, GRADIENT = (2, 3, 4, 6, 8), 2_000_000
MOST = 10_000
NETWORKS = {
    "1 Gbit/s, 50 µs": Network(50e-6, 125e6),
    "100 Gbit/s, 2 µs": Network(2e-6, 12.5e9),
}
"""Assumed, as such networks are sold; not measured."""
LARGE = 100_000_000
"""Parameters of a dense net that is not measured, but extrapolated by its operations."""
FAST = 20e12
"""Operations a second of an accelerator, with 1 TB/s of memory; assumed."""
COLOURS = {"star": "#d55e00", "tree": "#0072b2", "ring": "#009e73", "halving": "#cc79a7"}


def measure() -> dict[str, Any]:
    """Compute of three models, messages between two processes, and sums between more."""
    models = {}
    for name, file in MODELS.items():
        model = dataflow.load(ROOT / "models" / file)
        costs = [dataflow.profile(model, batch_size=batch, backend="llvm", threads=1, rounds=40) for batch in BATCHES]
        bytes_of = [cost.memory["intermediate results"] + cost.memory["inputs"] for cost in costs]
        models[name] = {
            "batches": BATCHES,
            "seconds": [cost.seconds for cost in costs],
            "operations": [cost.total.cost.operations for cost in costs],
            "activations": (bytes_of[-1] - bytes_of[0]) / (BATCHES[-1] - BATCHES[0]),
            "gradient_bytes": costs[0].memory["gradients"],
        }
        print(name, models[name]["seconds"], flush=True)
    # a tree of two is one message there and one back
    messages = [processes.measure("tree", size, 2, 0.0, 60) / 2 for size in SIZES]
    print("messages", messages, flush=True)
    sums = {
        pattern: [processes.measure(pattern, GRADIENT, workers, INJECTED, 9) for workers in CHECKED]
        for pattern in PATTERNS
    }
    print("sums", sums, flush=True)
    return {
        "machine": machine.described(),
        "models": models,
        "sizes": SIZES,
        "messages": messages,
        "workers": CHECKED,
        "sums": sums,
    }


class Fitted:
    """What the measurements say of this machine."""

    def __init__(self, result: dict[str, Any]) -> None:
        self.result = result
        latency, per_byte = fit_line(result["sizes"], result["messages"])
        self.network = Network(latency, 1 / per_byte)
        self.work: dict[str, Work] = {}
        for name, one in result["models"].items():
            self.work[name] = Work(*fit_line(one["batches"], one["seconds"]), one["gradient_bytes"])
        mnist = result["models"]["mnist"]
        slope = (mnist["operations"][-1] - mnist["operations"][0]) / (mnist["batches"][-1] - mnist["batches"][0])
        self.rate = slope / self.work["mnist"].per_example
        """Operations a second where batches are large."""
        # six operations for each parameter and example, and an update that reads and writes three arrays
        self.work["large"] = Work(LARGE * 12 / 10e9, 6 * LARGE / self.rate, 4 * LARGE)
        self.work["large, fast"] = Work(LARGE * 12 / 1e12, 6 * LARGE / FAST, 4 * LARGE)

    def fit_error(self, name: str) -> float:
        """The largest relative error of the line."""
        one, work = self.result["models"][name], self.work[name]
        pairs = zip(one["batches"], one["seconds"], strict=True)
        return max(abs(work.computing(batch) / seconds - 1) for batch, seconds in pairs)


def compute_table(fit: Fitted) -> Iterator[list[str]]:
    """What was measured of the models."""
    yield ["model", "gradient", "fixed", "for each example", "largest error of the line", "activations of an example"]
    for name, one in fit.result["models"].items():
        work = fit.work[name]
        yield [
            name,
            format_bytes(work.gradient_bytes),
            f"{work.fixed * 1e6:.3g} µs",
            f"{work.per_example * 1e6:.3g} µs",
            f"{fit.fit_error(name):.0%}",
            format_bytes(round(one["activations"])),
        ]


def check_table(fit: Fitted) -> Iterator[list[str]]:
    """Formula, simulation and processes side by side."""
    yield ["pattern", "workers", "formula", "simulation", "processes"]
    network = Network(fit.network.latency + INJECTED, fit.network.bandwidth)
    for pattern, measured in fit.result["sums"].items():
        for workers, seconds in zip(fit.result["workers"], measured, strict=True):
            formula = PATTERNS[pattern](GRADIENT, workers, network)
            simulated = simulate(pattern, GRADIENT, workers, network.latency, network.bandwidth)
            yield [pattern, str(workers), *(f"{x * 1e3:.1f} ms" for x in (formula, simulated, seconds))]


def paying_table(fit: Fitted) -> Iterator[list[str]]:
    """How many workers pay."""
    yield ["model", "batch", "network", "pattern", "half of them useful", "fastest", "then so many times as fast"]
    networks = {"this machine's sockets": fit.network, **NETWORKS}
    for name, batch in (("mnist", 4096), ("shakespeare", 256), ("large", 65_536), ("large, fast", 65_536)):
        for label, network in networks.items():
            work = fit.work[name]
            found = [(most_workers(work, batch, network, rule), pattern) for pattern, rule in PATTERNS.items()]
            paying = max(found, key=lambda pair: pair[0])
            rule = PATTERNS[paying[1]]
            best = min(worker_counts(min(batch, MOST)), key=lambda p: step_seconds(work, batch, p, network, rule))
            gain = work.computing(batch) / step_seconds(work, batch, best, network, rule)
            yield [name, f"{batch:,}", label, paying[1], f"{min(paying[0], MOST):,}", f"{best:,}", f"{gain:,.0f}"]


def weak_table(fit: Fitted) -> Iterator[list[str]]:
    """The speed for each worker where all have 1,024 examples."""
    yield ["workers", *PATTERNS, "halving, float16", "halving, every 8th step"]
    network, work = NETWORKS["100 Gbit/s, 2 µs"], fit.work["large, fast"]
    for workers in (2, 16, 128, 1024, 10_000):
        batch = 1024 * workers
        alone = work.computing(1024)
        shares = [alone / step_seconds(work, batch, workers, network, rule) for rule in PATTERNS.values()]
        half = Compression(0.5, 2 / 1e12)
        shares.append(alone / step_seconds(work, batch, workers, network, PATTERNS["halving"], half))
        shares.append(alone / step_seconds(work, batch, workers, network, PATTERNS["halving"], sync_every=8))
        yield [f"{workers:,}", *(f"{share:.1%}" for share in shares)]


def memory_table(fit: Fitted) -> Iterator[list[str]]:
    """Bytes on a worker."""
    yield ["model", "examples of a worker", "on each worker", "shared by 8", "shared by 64"]
    for name, examples in (("mnist", 64), ("shakespeare", 16)):
        one = fit.result["models"][name]
        sizes = (worker_bytes(one["gradient_bytes"], 2, one["activations"], examples, over) for over in (1, 8, 64))
        yield [name, str(examples), *(format_bytes(round(size)) for size in sizes)]
    sizes = (worker_bytes(4 * LARGE, 2, 4_000_000, 64, over) for over in (1, 8, 64))
    yield ["large", "64", *(format_bytes(round(size)) for size in sizes)]


def cut_table(fit: Fitted) -> Iterator[list[str]]:
    """What pipelines of real graphs bring."""
    yield ["model", "nodes", "parts", "full pipeline", "of it with 4 pieces", "with 16", "traffic of a step"]
    for name, batch in (("mnist", 64), ("shakespeare", 4)):
        model = dataflow.load(ROOT / "models" / MODELS[name])
        for parts in (2, 4, 8):
            try:
                found = dataflow.profile(model, batch_size=batch, run=False, cut=parts).cut
            except dataflow.DataflowError:
                continue  # fewer nodes
            assert found is not None
            nodes = sum(part.nodes for part in found.parts)
            gains = [_gain(found, fit.rate, pieces) for pieces in (4, 16)]
            yield [
                name,
                str(nodes),
                str(parts),
                f"{found.speedup:.2f}",
                *(f"{gain:.2f}" for gain in gains),
                format_bytes(found.traffic),
            ]


def _gain(cut: Cut, rate: float, pieces: int) -> float:
    """How many times as fast as one worker a pipeline is, its links as fast as the faster of the networks."""
    network = NETWORKS["100 Gbit/s, 2 µs"]
    stages = [part.operations / rate / pieces for part in cut.parts]
    crossings = [
        network.seconds(part.forward / pieces) + network.seconds(part.backward / pieces) for part in cut.parts[:-1]
    ]
    return cut.operations / rate / pipeline_seconds(stages, crossings, pieces)


def jitter_table(fit: Fitted) -> Iterator[list[str]]:
    """How much longer sums take where latencies vary."""
    yield list(PATTERNS)
    network, rounds = NETWORKS["100 Gbit/s, 2 µs"], range(10)
    times = []
    for pattern in PATTERNS:
        even = simulate(pattern, 1000, 64, network.latency, network.bandwidth)
        late = [
            simulate(pattern, 1000, 64, network.latency, network.bandwidth, jitter=network.latency, seed=seed)
            for seed in rounds
        ]
        times.append(f"{statistics.mean(late) / even:.1f}")
    yield times


TABLES: dict[str, Callable[[Fitted], Iterator[list[str]]]] = {
    "compute": compute_table,
    "check": check_table,
    "jitter": jitter_table,
    "paying": paying_table,
    "weak": weak_table,
    "memory": memory_table,
    "cuts": cut_table,
}


def filled(page: str, fit: Fitted) -> str:
    """The page with its tables and its measured numbers made anew."""

    def part(match: re.Match[str]) -> str:
        name = match.group(1)
        text = transport(fit) if name == "transport" else table(list(TABLES[name](fit)))
        return f"<!-- measured: {name} -->\n{text}\n<!-- measured: end of {name} -->"

    return re.sub(r"<!-- measured: (\w+) -->\n.*?<!-- measured: end of \1 -->", part, page, flags=re.DOTALL)


def transport(fit: Fitted) -> str:
    """What the measurements say of messages and of the processor."""
    pairs = zip(fit.result["sizes"], fit.result["messages"], strict=True)
    error = max(abs(fit.network.seconds(size) / seconds - 1) for size, seconds in pairs)
    ratios = [float(row[4].split()[0]) / float(row[2].split()[0]) for row in list(check_table(fit))[1:]]
    latency, bandwidth = fit.network.latency * 1e6, fit.network.bandwidth / 1e9
    return (
        f"Between two processes a message takes {latency:.0f} µs and {1 / bandwidth:.2f} ns for each byte "
        f"({bandwidth:.2f} GB/s; largest error of the line {error:.0%}). Large batches go at {fit.rate / 1e9:.0f} "
        f"billion operations a second on one core. In the check below the processes take {min(ratios):.2f} to "
        f"{max(ratios):.2f} times what the formula says, {statistics.median(ratios):.2f} in the median."
    )


def table(rows: list[list[str]]) -> str:
    """Format rows for Markdown."""
    header, *others = rows
    lines = ["| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *others)]
    return "\n".join(lines)


def draw(fit: Fitted) -> None:
    """Step times up to 10,000 workers, and the check."""
    workers = worker_counts(MOST)
    cases = (("mnist", 4096, "1 Gbit/s, 50 µs"), ("large, fast", 65_536, "100 Gbit/s, 2 µs"))
    with written_figure(ROOT / "docs" / "scaling-steps.svg", "drawing", (10.0, 4.2), {"font.size": 9}) as figure:
        for axes, (name, batch, label) in zip(figure.subplots(1, 2), cases, strict=True):
            work, network = fit.work[name], NETWORKS[label]
            counts = [p for p in workers if p <= batch]
            computing = [work.computing(-(-batch // p)) for p in counts]
            axes.loglog(counts, computing, color="#555555", linestyle="--", label="computing alone")
            for pattern, rule in PATTERNS.items():
                times = [step_seconds(work, batch, p, network, rule) for p in counts]
                axes.loglog(counts, times, color=COLOURS[pattern], label=pattern)
                low = int(np.argmin(times))
                axes.plot(counts[low], times[low], "o", color=COLOURS[pattern], markersize=5)
            axes.set_title(f"{name}, minibatches of {batch:,}, {label}", fontsize=9)
            axes.set_xlabel("workers")
            axes.set_ylabel("seconds of a step")
            axes.legend(fontsize=8)
            axes.grid(alpha=0.3)
    network = Network(fit.network.latency + INJECTED, fit.network.bandwidth)
    with written_figure(ROOT / "docs" / "scaling-check.svg", "drawing", (6.0, 4.0), {"font.size": 9}) as figure:
        axes = figure.subplots()
        counts = list(range(2, max(CHECKED) + 1))
        for pattern, rule in PATTERNS.items():
            axes.plot(counts, [rule(GRADIENT, p, network) * 1e3 for p in counts], color=COLOURS[pattern], label=pattern)
            simulated = [simulate(pattern, GRADIENT, p, network.latency, network.bandwidth) * 1e3 for p in counts]
            axes.plot(counts, simulated, "x", color=COLOURS[pattern], markersize=7)
            measured = [seconds * 1e3 for seconds in fit.result["sums"][pattern]]
            axes.plot(
                fit.result["workers"], measured, "o", color=COLOURS[pattern], markerfacecolor="none", markersize=8
            )
        axes.set_title("2 MB, 20 ms injected: lines formula, crosses simulation, circles processes", fontsize=9)
        axes.set_xlabel("workers")
        axes.set_ylabel("milliseconds of a sum")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)


def main() -> None:
    """Measure where asked to, then make tables and pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="measure this machine first")
    if parser.parse_args().measure:
        RESULT.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    fit = Fitted(json.loads(RESULT.read_text(encoding="utf-8")))
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), fit), encoding="utf-8")
    draw(fit)


if __name__ == "__main__":
    main()
