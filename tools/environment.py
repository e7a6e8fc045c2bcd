"""Make the project's own environment, ``.venv`` in the checkout, with nothing but Python and its standard library.

``python3 tools/environment.py EXTRA ...`` makes it for extras that ``pyproject.toml`` names (``test``, ``dev``, ...);
the other scripts beside this one call ``ready()``. What is installed already is not installed again: a stamp in the
environment says from which ``pyproject.toml``, for which extras and for which folder it was made. An environment
without that stamp is somebody else's: it is used if it can be, and never deleted.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))

_SCRIPTS = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
_PYTHON = _SCRIPTS / ("python.exe" if os.name == "nt" else "python")
_STAMP = ENVIRONMENT / "dataflow-environment.json"

_HOW_TO_GET_VENV = (
    "On Debian and Ubuntu, `sudo apt-get install python3-venv` brings what is missing; elsewhere, install Python from "
    "python.org. Then run the same command again"
)
_WHEN_PIP_FAILS = (
    "If they speak of the network: pip takes a proxy from HTTPS_PROXY and another index from PIP_INDEX_URL. "
    f"If all else fails, delete {ENVIRONMENT}. Then run the same command again"
)


class SetupError(Exception):
    """What stands in the way, and what to do about it."""


def ready(*extras: str) -> Path:
    """The Python of an environment in which the project and these extras are installed; made first, if need be."""
    _use_a_python_that_fits()
    stamp = _read_stamp()
    if stamp.get("root", str(ROOT)) != str(ROOT) or not _fits(_PYTHON, "pip"):
        if ENVIRONMENT.exists() and not stamp:
            raise SetupError(
                f"{ENVIRONMENT} has no Python 3.11 to 3.14 with pip, and this script did not make it. "
                "Move it away or delete it, and run the same command again"
            )
        _make()
        stamp = {}
    wanted = sorted({*extras, *stamp.get("extras", [])})
    now = {"root": str(ROOT), "pyproject": _fingerprint(), "extras": wanted}
    if stamp != now:
        _write_stamp({"root": str(ROOT)})
        _install(wanted)
        _write_stamp(now)
    return _PYTHON


def command(name: str) -> Path:
    """A command that is installed in the environment, such as ``dataflow``."""
    return _SCRIPTS / (name + (".exe" if os.name == "nt" else ""))


def run(*arguments: str | Path, cwd: Path | None = None) -> int:
    """Run a program to its end, and return its exit status; Ctrl-C is left to the program."""
    process = subprocess.Popen([str(argument) for argument in arguments], cwd=cwd)
    while True:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            continue
        return status if status >= 0 else 128 - status


def guarded(main: Callable[[], int]) -> None:
    """End the process with what ``main()`` returns; what stands in the way of it is one message, no traceback."""
    try:
        sys.exit(main())
    except SetupError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _use_a_python_that_fits() -> None:
    """Start over with another Python of this machine where the running one is too old or too new."""
    if sys.version_info[:2] in PYTHONS:
        return
    for major, minor in reversed(PYTHONS):
        other = shutil.which(f"python{major}.{minor}")
        if other and _fits(other, "venv"):
            sys.exit(run(other, *sys.argv))
    version = ".".join(str(part) for part in sys.version_info[:2])
    raise SetupError(
        f"Python 3.11 to 3.14 is needed; this is {version}, and there is no other on the path. "
        "Install one (from python.org, or with the system's package manager) and run the same command with it"
    )


def _fits(python: str | Path, module: str) -> bool:
    """Whether that is a Python that fits and has the module: a link may be dead, a version manager's stub empty."""
    question = (
        "import sys, importlib.util as u; "
        f"sys.exit(sys.version_info[:2] not in {PYTHONS} or u.find_spec({module!r}) is None)"
    )
    try:
        return subprocess.run([str(python), "-c", question], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _read_stamp() -> dict[str, Any]:
    try:
        stamp = json.loads(_STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _write_stamp(stamp: dict[str, Any]) -> None:
    _STAMP.write_text(json.dumps(stamp), encoding="utf-8")


def _fingerprint() -> str:
    """What the installed packages depend on; the code is used where it stands, so a change to it needs nothing."""
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()


def _make() -> None:
    """Make the environment anew. Where Python has no ensurepip (Debian), the pip outside installs the one inside."""
    has_ensurepip = importlib.util.find_spec("ensurepip") is not None
    has_pip = importlib.util.find_spec("pip") is not None
    if importlib.util.find_spec("venv") is None or not (has_ensurepip or has_pip):
        raise SetupError(f"this Python has neither venv with ensurepip, nor pip. {_HOW_TO_GET_VENV}")
    print(f"Making the environment {ENVIRONMENT} with Python {sys.version.split()[0]}.", flush=True)
    options = ["--clear"] if has_ensurepip else ["--clear", "--without-pip"]
    try:
        result = subprocess.run(
            [sys.executable, "-m", "venv", *options, str(ENVIRONMENT)], capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise SetupError(
                f"the environment could not be made:\n{_last_lines(result.stdout + result.stderr)}\n"
                "See that the folder can be written and the disk is not full, and run the same command again"
            )
        if not has_ensurepip:
            _pip([sys.executable, "-m", "pip", "--python", str(_PYTHON)], "pip", otherwise=_HOW_TO_GET_VENV)
        _write_stamp({"root": str(ROOT)})
    except BaseException:
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        raise


def _install(extras: list[str]) -> None:
    listed = f"[{','.join(extras)}]" if extras else ""
    print(f"Installing dataflow{listed} and what it needs; this takes a minute or two, once.", flush=True)
    _pip([str(_PYTHON), "-m", "pip"], "--editable", f".{listed}")


def _pip(pip: list[str], *what: str, otherwise: str = _WHEN_PIP_FAILS) -> None:
    """Run ``pip install``, showing where it is; what it said is kept, and shown if it fails."""
    settings = {**os.environ, "PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    process = subprocess.Popen(
        [*pip, "install", "--progress-bar", "off", *what],
        cwd=ROOT,
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    said = []
    for line in process.stdout or ():
        said.append(line)
        _show_progress(line.strip())
    _show_progress("")
    if process.wait():
        raise SetupError(
            f"pip could not install what is needed. Its last lines were:\n{_last_lines(''.join(said))}\n{otherwise}"
        )


def _show_progress(line: str) -> None:
    """On a terminal, one line that changes; elsewhere the names alone, so that a log stays short."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 3
        print(f"\r\033[K  {line[:width]}" if line else "\r\033[K", end="", flush=True)
    elif line.startswith(("Collecting ", "Building ", "Installing collected")):
        print(f"  {textwrap.shorten(line, 110, placeholder=' ...')}", flush=True)


def _last_lines(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines()[-20:])


def _main() -> int:
    ready(*sys.argv[1:])
    print(f"The environment {ENVIRONMENT} is ready.")
    return 0


if __name__ == "__main__":
    guarded(_main)
