"""Commands of dataflow, called in this process."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner, Result

from dataflow.cli.group import main


def invoke(*words: object, **more: Any) -> Result:
    """A command with its words as text; ``more`` is for ``CliRunner.invoke``."""
    return CliRunner().invoke(main, [str(word) for word in words], **more)


def said(*words: object, status: int = 0) -> str:
    """What a command prints: where it is to fail, its error."""
    done = invoke(*words)
    assert done.exit_code == status, done.output
    return done.stdout if status == 0 else done.stderr
