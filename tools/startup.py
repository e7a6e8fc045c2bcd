"""How long a command takes to start: ``dataflow run models/xor.toml`` against importing numpy, networkx and click
alone.

``python tools/startup.py [ROUNDS]`` runs both in turn, once to let Python keep the bytecode, as an installed package
has it, and then so many times; it prints the shortest times. The command may take 1.2 times the imports and 150 ms
more. Exit status 1 where it takes longer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IMPORTS = [sys.executable, "-c", "import numpy, networkx, click"]
COMMAND = [sys.executable, "-m", "dataflow", "run", str(ROOT / "models" / "xor.toml")]


def main() -> int:
    """Measure, print, and judge."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    times: dict[str, list[float]] = {"imports": [], "command": []}
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(rounds + 1):
        for name, command in (("imports", IMPORTS), ("command", COMMAND)):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
            times[name].append(time.perf_counter() - start)
    imports, command = (min(times[name][1:]) for name in ("imports", "command"))
    allowed = 1.2 * imports + 0.15
    print(f"imports alone {imports * 1e3:.0f} ms, the command {command * 1e3:.0f} ms, allowed {allowed * 1e3:.0f} ms")
    return 0 if command < allowed else 1


if __name__ == "__main__":
    sys.exit(main())
