"""Measure training on workers beside training on one thread without them, on the benchmark's net of 784-128-10.

``.venv/bin/python tools/bench_cluster.py --cluster mpi:2`` takes turns: some steps in this process alone, on one
thread, then as many on the workers, of one thread each. It prints the milliseconds of a step and the ratio of each
round, and their median, so that both see the same machine.

A step on workers takes as long as the slowest of them. Another process that computes takes half a core from one of two
workers, and leaves the single thread its own: the ratio is 0.9 then, whatever the workers do. So on Linux a round
counts only where others took less than ``OTHERS`` of a core, and more rounds are done for those that do not.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings

OTHERS = 0.1
"""The most that other processes may take of a core in a round that counts."""


def busy_seconds() -> float:
    """Seconds that all cores together have computed; 0 where the system does not tell."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, irq, soft, steal = map(int, file.readline().split()[1:9])
    except OSError:
        return 0.0
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Take turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", default="mpi:2")
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--batches", type=int, default=1, help="minibatches of the data; shuffled if more")
    parser.add_argument("--steps", type=int, default=40, help="of either in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sync-every", type=int, default=1)
    asked = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "DATAFLOW_THREADS"):
        os.environ[name] = "1"  # before numpy is imported, and for all workers

    from benchmark.ours import net_model
    from benchmark.workloads import Net

    import dataflow
    from dataflow.backends.cluster import open_workers

    net = Net("c4096", "784-128-10", (784, 128, 10), asked.batch_size * asked.batches, "ce")
    drawn = net.data()
    data = {"x": drawn.x, "y": drawn.y}
    options = {
        "batch_size": asked.batch_size,
        "shuffle": asked.batches > 1,
        "backend": asked.backend,
        "threads": 1,
        "learning_rate": net.learning_rate,
    }

    def seconds(trainer: dataflow.Trainer) -> tuple[float, float]:
        """Of a step, and how many cores were busy."""
        begin, busy = time.perf_counter(), busy_seconds()
        trainer.run(asked.steps)
        wall = time.perf_counter() - begin
        return wall / asked.steps, (busy_seconds() - busy) / wall

    with warnings.catch_warnings(), open_workers(asked.cluster) as workers:
        warnings.simplefilter("ignore")
        alone = dataflow.Trainer(net_model(net), data, **options)
        shared = dataflow.Trainer(net_model(net), data, cluster=workers, sync_every=asked.sync_every, **options)
        for trainer in (alone, shared):
            trainer.run(3)
        ratios = list[float]()
        for _ in range(5 * asked.rounds):
            (here, busy), (there, _) = seconds(alone), seconds(shared)
            others = max(0.0, busy - 1)
            counts = "" if others < OTHERS else f"; others took {others:.2f} of a core: not counted"
            print(
                f"alone {1e3 * here:.2f} ms, on {asked.cluster} {1e3 * there:.2f} ms: {here / there:.2f} times{counts}",
                flush=True,
            )
            ratios += [] if counts else [here / there]
            if len(ratios) == asked.rounds:
                break
        if not ratios:
            raise SystemExit("other processes computed in all rounds: nothing was measured")
        median = f"{statistics.median(ratios):.2f} times the throughput of one thread"
        print(f"{asked.cluster}, {asked.backend}: {median}, {len(ratios)} rounds")


if __name__ == "__main__":
    main()
