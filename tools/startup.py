"""How long a command takes to start: ``dataflow run models/xor.toml`` against importing numpy, networkx and click
alone.

``python tools/startup.py [ROUNDS]`` runs both in turn, once to let Python keep the bytecode, as an installed package
has it, and then so many times; it prints the least time that a processor was busy with each, which other processes
disturb little. The aim is 1.1 times the imports, plus 100 ms.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMPORTS = [sys.executable, "-c", "import numpy, networkx, click"]
COMMAND = [sys.executable, "-m", "dataflow", "run", str(ROOT / "models" / "xor.toml")]


def main() -> None:
    """Measure, and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    times: dict[str, list[float]] = {"imports": [], "command": []}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(rounds + 1):
        for name, command in (("imports", IMPORTS), ("command", COMMAND)):
            before = os.times()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
            after = os.times()
            busy = after.children_user + after.children_system - before.children_user - before.children_system
            times[name].append(busy)
    imports, command = (min(times[name][1:]) for name in ("imports", "command"))
    aim = 1.1 * imports + 0.1
    print(
        f"imports {imports * 1e3:.0f} ms, the command {command * 1e3:.0f} ms: {command / imports:.2f} times, "
        f"{command / aim:.2f} of the aim"
    )


if __name__ == "__main__":
    main()
