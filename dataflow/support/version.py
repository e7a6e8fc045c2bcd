"""Which dataflow this is."""

from __future__ import annotations

from importlib import metadata


def installed_version() -> str:
    """The version of the distribution; ``"0"`` for a checkout that is not installed."""
    try:
        return metadata.version("dataflow-autodiff")
    except metadata.PackageNotFoundError:
        return "0"
