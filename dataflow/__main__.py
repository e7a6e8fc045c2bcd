"""``python -m dataflow``: the same as the command ``dataflow``."""

from __future__ import annotations

from dataflow.cli import main

if __name__ == "__main__":
    main(prog_name="dataflow")
