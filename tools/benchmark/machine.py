"""Where it was measured: the processor, the system, the versions."""

from __future__ import annotations

import datetime as dt
import os
import platform
from importlib import metadata
from pathlib import Path

VECTORS = {"avx512f": "AVX-512", "fma": "AVX2", "asimd": "NEON"}
"""By the flag of the processor."""
PACKAGES = ("numpy", "llvmlite", "torch", "jax", "jaxlib")


def described() -> dict[str, str]:
    """Facts by name."""
    facts = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "day": dt.datetime.now(tz=dt.UTC).date().isoformat(),
    }
    for name in PACKAGES:
        try:
            facts[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return facts


def _processor() -> str:
    """Its name, what tells apart those of one name, and the longest vectors that it multiplies and adds."""
    name = _field("/proc/cpuinfo", "model name") or platform.processor() or platform.machine()
    family, model = _field("/proc/cpuinfo", "cpu family"), _field("/proc/cpuinfo", "model\t")
    flags = (_field("/proc/cpuinfo", "flags") or _field("/proc/cpuinfo", "Features")).split()
    vectors = next((vector for flag, vector in VECTORS.items() if flag in flags), "")
    told = [f"family {family} model {model}" if family and model else "", vectors]
    return f"{name} ({', '.join(text for text in told if text)})" if any(told) else name


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _memory() -> str:
    total = _field("/proc/meminfo", "MemTotal").split()
    return f"{int(total[0]) / 2**20:.0f} GiB" if total else "not known"
