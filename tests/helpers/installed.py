"""Which backends can run here."""

from __future__ import annotations

import importlib.util

NEEDS = {"numpy": "numpy", "llvm": "llvmlite", "jax": "jax"}
BACKENDS = [name for name, package in NEEDS.items() if importlib.util.find_spec(package)]
