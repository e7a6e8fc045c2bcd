"""The command line: click commands, nothing but arguments and printing."""

from __future__ import annotations

from dataflow.cli.group import main

__all__ = ["main"]
