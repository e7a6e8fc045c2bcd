"""dataflow beside hand-written numpy, PyTorch and JAX: time for a step, memory, starting, compiling, and growth.

``python tools/bench.py -o results.json``                measures everything that is installed, 10 to 12 minutes
``python tools/bench.py --quick``                        a smoke test of some seconds
``python tools/bench.py --only steps -w c32,d -p torch`` a part
``python tools/bench.py --document results.json ...``    docs/performance.md, its tables, pictures, numbers, of one
                                                         run or of several parts of it

Exit status 1 where results of peers disagree, or where one of dataflow's own backends fails. A bound that is missed is
reported, and no failure: on a busy machine it says nothing.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark import child, growth, judge, large, machine, memory, merge, page, pictures, report, start, steps
from benchmark.peers import PEERS, REFERENCE, add_backends_of_plugins, installed
from benchmark.workloads import ONE_THREAD, WORKLOADS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
TABLES = PAGE.with_name("performance_tables.md")
SECTIONS = ("steps", "memory", "start", "growth", "plan", "large")
STARTED = ("a32", "c32")
"""The workloads of which starting is measured."""


def main() -> int:
    """Measure, print, write; or be the process of one peer."""
    options = _options()
    if options.child:
        peer, workload, threads, result = options.child
        child.serve(peer, workload, int(threads), result)
    elif options.grow:
        growth.serve(options.grow[0], options.grow[1], int(options.grow[2]))
    elif options.plan:
        growth.serve_plan(options.plan)
    elif options.large:
        large.serve(options.large[0], int(options.large[1]))
    elif options.limited:
        memory.serve(options.limited[0], options.limited[1], int(options.limited[2]))
    elif options.document:
        document(merge.merged([json.loads(path.read_text(encoding="utf-8")) for path in options.document]))
    else:
        return measured(options)
    return 0


def measured(options: argparse.Namespace) -> int:
    """Run what is asked for; print and write it as it comes."""
    add_backends_of_plugins()
    missing = installed([name for name, peer in PEERS.items() if peer.ours or name in (options.peers or PEERS)])
    for name, package in missing.items():
        if package is not None:
            print(f"{name} is left out: {package} is not installed", file=sys.stderr)
    peers = [name for name, package in missing.items() if package is None]
    result: dict[str, Any] = {
        "version": 1,
        "machine": machine.described(),
        "settings": {"rounds": options.rounds, "slice": options.slice, "threads": options.threads},
        "note": options.note,
        "steps": {},
        "memory": [],
        "start": {},
        "growth": {},
        "plans": [],
        "large": [],
        "bounds": [],
        "limits": [],
    }
    with tempfile.TemporaryDirectory(prefix="dataflow-bench-") as name:
        folder = Path(name)
        (folder / "caches").mkdir()
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        try:
            faults = _measure(options, peers, result, folder)
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)
        finally:  # before their folder goes
            child.end_all()
    result["bounds"] = list(judge.judged(result["steps"])) if result["steps"] else []
    result["limits"] = list(judge.limits(result["start"], result["plans"]))
    report.printed("What has to come out", report.bounds_table(result["bounds"]))
    report.printed("", report.limits_table(result["limits"]))
    if options.output:
        options.output.write_text(_json(result), encoding="utf-8")
        print(f"Wrote {options.output}.")
    if options.picture:
        for path in pictures.draw(options.picture, result):
            print(f"Wrote {path}.")
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


def document(result: dict[str, Any]) -> None:
    """Write the page, its tables, its pictures and the numbers; not where results of peers disagree."""
    for workload, measured in result["steps"].items():
        for key, numbers in measured.items():
            if numbers.get("distance", 0) > steps.AGREE:
                sys.exit(f"error: {workload}: {key} has another result than {REFERENCE}; there is nothing to document")
    drawn = [path.name for path in pictures.draw(PAGE.with_suffix(".svg"), result)]
    result["bounds"] = list(judge.judged(result["steps"]))
    result["limits"] = list(judge.limits(result["start"], result["plans"]))
    PAGE.with_suffix(".json").write_text(_json(result), encoding="utf-8")
    PAGE.write_text(page.page(result, drawn), encoding="utf-8")
    TABLES.write_text(page.tables(result, drawn), encoding="utf-8")
    print(f"Wrote {PAGE.relative_to(ROOT)}, {TABLES.name} and {', '.join(drawn)}.")


def _measure(options: argparse.Namespace, peers: Sequence[str], result: dict[str, Any], folder: Path) -> list[str]:
    faults: list[str] = []
    if "steps" in options.only:
        for workload in options.workloads:
            threads = [count for count in options.threads if count == 1 or workload not in ONE_THREAD]
            measured = steps.measure(
                *(workload, peers, threads, options.rounds, options.slice, options.patience, folder, _progress)
            )
            faults += steps.disagreements(workload, measured, folder)
            faults += [
                f"{workload}: {key}: {numbers['error']}" for key, numbers in measured.items() if _is_fault(key, numbers)
            ]
            result["steps"][workload] = measured
            for count in threads:
                name = f"{report.title(workload)}, {count} thread{'s' if count > 1 else ''}"
                report.printed(name, report.steps_table(workload, measured, count))
    if "memory" in options.only:
        those = (options.workloads, options.rounds, options.patience, folder)
        result["memory"] = memory.measure(*those, _progress)
        report.printed("Less memory", report.limited_table(result["memory"]))
        faults += memory.disagreements(result["memory"])
    everywhere = [peer for peer in peers if not PEERS[peer].only]
    if "start" in options.only:
        (folder / "start").mkdir()
        for workload in [name for name in options.workloads if name in STARTED]:
            rounds = min(options.rounds, 3)
            last = workload == STARTED[-1]  # torch.compile once
            at_work = [peer for peer in everywhere if PEERS[peer].grows or last]
            result["start"][workload] = start.measure(workload, at_work, rounds, options.patience, folder, _progress)
        report.printed("From the start of a process", report.start_table(result["start"]))
    if "growth" in options.only:
        for axis in options.axes:
            measured = growth.measure(axis, everywhere, options.most, options.patience / 5, folder, _progress)
            result["growth"][axis] = measured
            report.printed(growth.AXES[axis][0], report.growth_table(measured))
    if "plan" in options.only:
        result["plans"] = growth.measure_plans(options.most, options.patience, folder, _progress)
    if "large" in options.only and not options.quick:
        result["large"] = large.measure(options.most, 2 * options.patience, folder, _progress)
        report.printed("Large graphs, µs a node", large.table(result["large"]))
        faults += [f"{row['form']}, {row['size']:,} nodes: {row['error']}" for row in result["large"] if "error" in row]
    return faults


def _is_fault(key: str, numbers: dict[str, Any]) -> bool:
    return PEERS[key.partition("@")[0]].ours and "error" in numbers


def _progress(text: str) -> None:
    """What is going on, on a line that the next one replaces; nothing where output is kept."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}\r", end="", file=sys.stderr, flush=True)


def _json(result: dict[str, Any]) -> str:
    return json.dumps(result, indent=1, ensure_ascii=False) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-w", "--workloads", type=_names(WORKLOADS), default=list(WORKLOADS), metavar="NAME,...")
    parser.add_argument("-p", "--peers", type=_names(PEERS), metavar="NAME,...", help="ours are always among them")
    parser.add_argument("-t", "--threads", type=_numbers, default=[1, 2], metavar="N,...", help="1,2 unless given")
    parser.add_argument("-r", "--rounds", type=int, default=20, help="20 unless given")
    parser.add_argument("--slice", type=float, default=0.05, metavar="S", help="seconds of a round; 0.05 unless given")
    parser.add_argument("--patience", type=float, default=150, metavar="S", help="the most seconds to build a step")
    parser.add_argument("--only", type=_names(SECTIONS), default=list(SECTIONS), metavar="SECTION,...")
    parser.add_argument("--axes", type=_names(growth.AXES), default=list(growth.AXES), metavar="AXIS,...")
    parser.add_argument("--most", type=int, default=10**6, metavar="N", help="the largest size of what grows")
    parser.add_argument(
        "--quick", action="store_true", help="few rounds, small sizes, workloads a32, c32 and f, no torch.compile"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--note", default="", metavar="TEXT", help="a sentence for the page, such as what else ran")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw them into FILE-steps-1.svg, ... (or .png)")
    parser.add_argument("--document", nargs="+", type=Path, metavar="FILE", help="make docs/performance.md of results")
    for name, count, kind in (
        *(("--child", 4, str), ("--grow", 3, str), ("--limited", 3, str), ("--plan", None, int)),
        ("--large", 2, str),
    ):
        parser.add_argument(name, nargs=count, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.slice, options.most, options.threads = 3, 0.01, 64, [1]
        options.workloads = [name for name in options.workloads if name in ("a32", "c32", "f")]
        options.peers = [name for name in options.peers or PEERS if PEERS[name].grows]
    return options


def _names(known: Sequence[str] | dict[str, Any]) -> Any:
    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"unknown name '{name}'; available: {', '.join(known)}")
        return names

    return parse


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
