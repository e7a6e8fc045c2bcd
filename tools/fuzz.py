"""Read hostile files by the thousand, made from sound ones, and see that nothing comes of it but the documented error.

``python tools/fuzz.py``                            10,000 cases, with a table of what came of them
``python tools/fuzz.py --count 1000000 --jobs 2``   more, in two processes
``python tools/fuzz.py --minutes 30 --seed 7``      as many as there is time for
``python tools/fuzz.py --only 4711``                one case again, with the traceback of what went wrong
``python tools/fuzz.py --kinds TOML``               some kinds of files

A case follows from the seed and its number alone. What reads a file has to load it or raise a ``DataflowError`` that
names the file in one line, in 2 s of the processor and 256 MiB beside three times the file; a model that was accepted
has to run, draw and convert, or raise a ``DataflowError``. A process that dies is a fault of the case it was at. Faults
are saved with their files under ``--faults``, and the exit status is 1 if there is any.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from fuzzing.cases import KINDS, Case, Cases
from fuzzing.watch import MEMORY, SECONDS, Outcome, watch

CORPUS = Path(__file__).parent.parent / "tests" / "corpus"
BLOCK = 500
"""So many cases are handed to a process at a time."""
SHOWN = 20


def main(arguments: list[str] | None = None) -> int:
    """Run the cases, print the table, and return the exit status."""
    options = parser().parse_args(arguments)
    cases = Cases(options.corpus, options.seed, options.kinds)
    if options.only is not None:
        return one(cases, options.only)
    total = Totals()
    started = time.monotonic()
    try:
        for block in blocks(options, started):
            total.add(block)
            total.save_faults(cases, options.faults)
            progress(total, options, started)
    except KeyboardInterrupt:
        print("\ninterrupted; this is what there is so far", file=sys.stderr)
    print(file=sys.stderr)
    print(json.dumps(total.document(options), indent=1) if options.json else total.report(options))
    return 1 if total.faults else 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    made.add_argument("--count", type=int, default=None, help="how many cases; 10,000 unless there are --minutes")
    made.add_argument("--minutes", type=float, default=None, help="for so long")
    made.add_argument("--seed", type=int, default=0, help="which cases; 0 unless given")
    made.add_argument("--first", type=int, default=0, help="the number of the first case")
    made.add_argument("--jobs", type=int, default=1, help="processes; 1 unless given")
    made.add_argument("--only", type=int, metavar="NUMBER", help="this case alone")
    made.add_argument("--kinds", metavar="TEXT", help="only kinds with this in their name")
    made.add_argument("--use", type=float, default=0.05, help="the share of accepted models that are run and converted")
    made.add_argument("--corpus", type=Path, default=CORPUS, help="the folder of sound files")
    made.add_argument("--faults", type=Path, default=Path("fuzz-faults"), help="where files that show a fault go")
    made.add_argument("--json", action="store_true", help="print one JSON document")
    return made


def one(cases: Cases, number: int) -> int:
    """Run one case and tell everything about it."""
    case = cases[number]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"case{case.ending}"
        path.write_bytes(case.data)
        outcome = watch(case.kind, path, case.rng, use=1.0)
    print(f"{case.kind}, {len(case.data)} bytes: {outcome}\n{outcome.details}")
    print(case.data[:2000].decode("utf-8", "backslashreplace"))
    return 1 if outcome.fault else 0


# ------------------------------------------------------------------------------------------------ the processes


@dataclass
class Block:
    """What came of some cases: how often each result, and the cases that stand out."""

    count: int = 0
    results: Counter[tuple[str, str]] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    used: int = 0
    """So many models were accepted and then used."""
    faults: list[tuple[int, str, str]] = field(default_factory=list)
    peaks: dict[str, tuple[float, float, int, int]] = field(default_factory=dict)
    """By kind the most seconds of the processor, seconds on the clock, bytes of memory, and bytes of a file."""

    def note(self, case: Case, outcome: Outcome) -> None:
        """Take in a case."""
        self.count += 1
        self.results[case.kind, outcome.result] += 1
        if outcome.message:
            self.messages[f"{outcome.result}: {outcome.message}"] += 1
        self.used += bool(outcome.used)
        if outcome.fault:
            self.faults.append((case.number, outcome.fault, outcome.details))
        peak = (outcome.seconds, outcome.wall, outcome.memory, len(case.data))
        self.peaks[case.kind] = _largest(self.peaks.get(case.kind), peak)


def _largest(first: tuple[Any, ...] | None, other: tuple[Any, ...]) -> Any:
    return other if first is None else tuple(map(max, first, other))


def blocks(options: argparse.Namespace, started: float) -> Iterator[Block]:
    """What came of each block of cases, from ``--jobs`` processes. One that dies is replaced."""
    context = multiprocessing.get_context("spawn")
    pending = _spans(options, started)
    workers: dict[Connection, _Worker] = {}
    try:
        for _ in range(options.jobs):
            _start(context, options, pending, workers)
        while workers:
            for pipe in wait(list(workers)):
                worker = workers.pop(pipe)  # type: ignore[arg-type]
                yield worker.finished()
                if worker.alive:
                    _hand_out(worker, next(pending, None), workers)
                else:
                    _start(context, options, pending, workers, worker.rest())
    finally:
        for worker in workers.values():
            worker.process.kill()


def _spans(options: argparse.Namespace, started: float) -> Iterator[range]:
    count = options.count if options.count is not None else None if options.minutes else 10_000
    first, last = options.first, None if count is None else options.first + count
    while last is None or first < last:
        if options.minutes and time.monotonic() - started > 60 * options.minutes:
            return
        stop = first + BLOCK if last is None else min(first + BLOCK, last)
        yield range(first, stop)
        first = stop


class _Worker:
    """A process that runs cases, and the case that it is at."""

    def __init__(self, context: Any, options: argparse.Namespace) -> None:
        self.at = context.Value("q", -1, lock=False)
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, self.at, options), daemon=True)
        self.process.start()
        theirs.close()
        self.span = range(0)
        self.alive = True

    def finished(self) -> Block:
        """What came of the block; of one that died, that its case is at fault."""
        try:
            block: Block = self.pipe.recv()
        except (EOFError, OSError):
            self.alive = False
            self.process.join()
            block = Block(self.at.value - self.span.start + 1)
            block.faults.append((self.at.value, f"the process died (exit status {self.process.exitcode})", ""))
        return block

    def rest(self) -> range:
        """What of the block is still to be done."""
        return range(self.at.value + 1, self.span.stop)


def _start(context: Any, options: argparse.Namespace, pending: Any, workers: Any, rest: range = range(0)) -> None:
    span = rest or next(pending, None)
    if span is not None:
        _hand_out(_Worker(context, options), span, workers)


def _hand_out(worker: _Worker, span: range | None, workers: dict[Connection, _Worker]) -> None:
    if span is not None:
        worker.span = span
        worker.at.value = span.start
        workers[worker.pipe] = worker
    with contextlib.suppress(OSError):  # a process that died meanwhile is noticed when its answer is read
        worker.pipe.send(span)


def _work(pipe: Connection, at: Any, options: argparse.Namespace) -> None:
    cases = Cases(options.corpus, options.seed, options.kinds)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        while (span := pipe.recv()) is not None:
            block = Block()
            for number in span:
                at.value = number
                case = cases[number]
                path = Path(folder) / f"case{case.ending}"
                path.write_bytes(case.data)
                block.note(case, watch(case.kind, path, case.rng, use=options.use))
            pipe.send(block)


# ------------------------------------------------------------------------------------------------ the table


class Totals(Block):
    """What came of everything."""

    saved = 0

    def add(self, block: Block) -> None:
        """Take in a block."""
        self.count += block.count
        self.results += block.results
        self.messages += block.messages
        self.used += block.used
        self.faults += block.faults
        for kind, peak in block.peaks.items():
            self.peaks[kind] = _largest(self.peaks.get(kind), peak)

    def save_faults(self, cases: Cases, folder: Path) -> None:
        """Write the files of new faults, each with what went wrong beside it."""
        for number, fault, details in self.faults[self.saved : 1000]:
            folder.mkdir(parents=True, exist_ok=True)
            case = cases[number]
            (folder / f"{number}{case.ending}").write_bytes(case.data)
            (folder / f"{number}.txt").write_text(f"{case.kind}: {fault}\n{details}", encoding="utf-8")
        self.saved = len(self.faults)

    def document(self, options: argparse.Namespace) -> dict[str, Any]:
        """The figures, as plain data."""
        return {
            "seed": options.seed,
            "count": self.count,
            "kinds": {kind: self.figures(kind) for kind in KINDS if kind in self.peaks},
            "results": dict(self.results_of_all().most_common()),
            "distinct_errors": len(self.messages),
            "used": self.used,
            "faults": [{"number": number, "fault": fault} for number, fault, _ in self.faults],
        }

    def figures(self, kind: str) -> dict[str, Any]:
        """What came of one kind."""
        seconds, wall, memory, size = self.peaks[kind]
        cases = sum(n for (other, _), n in self.results.items() if other == kind)
        loaded = self.results[kind, "loaded"]
        most = {"seconds": seconds, "wall": wall, "memory": memory, "file": size}
        return {"cases": cases, "loaded": loaded, "refused": cases - loaded, **most}

    def results_of_all(self) -> Counter[str]:
        """How often each result came of any kind."""
        results = Counter[str]()
        for (_, result), n in self.results.items():
            results[result] += n
        return results

    def report(self, options: argparse.Namespace) -> str:
        """The figures, as a Markdown table."""
        lines = [_row("Kind", "Cases", "Loaded", "Refused", "Longest, s", "Most memory, MiB", "Largest file, KiB")]
        lines.append("|---|" + "--:|" * 6)
        for kind in KINDS:
            if kind in self.peaks:
                of = self.figures(kind)
                numbers = [f"{of[key]:,}" for key in ("cases", "loaded", "refused")]
                most = [f"{of['seconds']:.2f}", f"{of['memory'] / 2**20:.1f}", f"{of['file'] / 1024:.1f}"]
                lines.append(_row(kind, *numbers, *most))
        results = ", ".join(f"{name} {n:,}" for name, n in self.results_of_all().most_common())
        wall = max((wall for _, wall, *_ in self.peaks.values()), default=0)
        lines += [
            "",
            f"{self.count:,} cases of seed {options.seed}: {results}.",
            f"{len(self.messages):,} distinct errors; {self.used:,} accepted models were run, drawn and converted.",
            f"On the clock {wall:.2f} s at most. Limits: {SECONDS:g} s of processor, {MEMORY >> 20} MiB + 3 files.",
            f"Faults: {len(self.faults):,}",
        ]
        for fault, n in Counter(fault for _, fault, _ in self.faults).most_common():
            examples = [str(number) for number, other, _ in self.faults if other == fault][:5]
            lines.append(f"- {fault}: {n}, such as --only {' '.join(examples)}")
        return "\n".join(lines)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def progress(total: Totals, options: argparse.Namespace, started: float) -> None:
    """One line on standard error that is written over."""
    passed = time.monotonic() - started
    rate = total.count / max(passed, 0.001)
    left = "" if options.count is None else f", {(options.count - total.count) / rate / 60:.0f} min left"
    text = f"\r{total.count:,} cases, {rate:.0f} a second{left}, {len(total.faults)} faults "
    print(text, end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
