"""The script ``dataflow``: an interrupt while Python imports what a command needs ends it without a traceback.

This stands outside the package, as it has to run before anything of the package is imported.
"""

from __future__ import annotations

import signal


def main() -> None:
    """Import the command line, then run it, which treats an interrupt in its own way."""
    own = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from dataflow.cli import main as command

    signal.signal(signal.SIGINT, own)
    command()
