"""Machine code: compiled by LLVM, kept on disk, and loaded into the process.

Code is kept in the user's cache folder, or in that which ``DATAFLOW_CACHE`` names, under a checksum of all that it was
made from. Where the folder cannot be read or written, or a file in it is damaged, code is compiled anew.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataflow.errors import MissingExtraError

if TYPE_CHECKING:
    from dataflow_numba.assembly import Machine

ENDING = ".o"
_CHECKSUM = hashlib.sha256().digest_size


class Library:
    """Functions in the process's memory, for as long as this object lives."""

    def __init__(self, code: bytes) -> None:
        binding = _binding()
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _target_machine())
        self._engine.add_object_file(binding.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function begins."""
        found: int = self._engine.get_function_address(name)
        return found

    def function(self, name: str, arguments: int) -> Callable[..., None]:
        """A function of so many addresses and whole numbers of 64 bits. While it runs, other threads of Python do."""
        return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * arguments)(self.address(name))  # type: ignore[no-any-return]


@cache
def interpreter() -> Library:
    """The interpreter and the training loop, from the cache if they are there."""
    return _library("interpreter", b"", _interpreter_text)


def generated(name: str, made_from: str, text: Callable[[], str]) -> Library:
    """A module that is generated for a plan; its text, if it is needed, depends on nothing but ``made_from``, this
    package, LLVM and the processor."""
    return _library(name, made_from.encode(), text)


def machine() -> Machine:
    """What code is made for here."""
    from dataflow_numba.assembly import Machine

    return Machine.of(_binding().get_host_cpu_features())


def _library(name: str, made_from: bytes, text: Callable[[], str]) -> Library:
    """A module's text compiled. ``made_from`` is what the text depends on, besides this package, LLVM and the
    processor."""
    digest = hashlib.sha256(_environment() + made_from).hexdigest()[:32]
    path = _folder() / f"{name}-{digest}{ENDING}"
    code = _read(path)
    if code is None:
        code = _compiled(text())
        _write(path, code)
    return Library(code)


def check_installed() -> None:
    """A ``MissingExtraError`` where the compiler is not installed."""
    _binding()


@cache
def _binding() -> Any:
    try:
        from llvmlite import binding
    except ImportError:
        raise MissingExtraError(
            "the backend 'numba' needs llvmlite, the compiler that numba brings: "
            'pip install "dataflow-autodiff[fast]"'
        ) from None
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


def _target_machine() -> Any:
    """A new one each time: an engine owns its own."""
    binding = _binding()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3
    )


def _interpreter_text() -> str:
    from llvmlite import ir

    from dataflow_numba.interpreter import write_interpreter
    from dataflow_numba.stepping import write_training

    module = ir.Module("interpreter")
    write_interpreter(module, machine())
    write_training(module)
    return str(module)


def _compiled(text: str) -> bytes:
    binding = _binding()
    parsed = binding.parse_assembly(text)
    parsed.verify()
    machine = _target_machine()
    options = binding.create_pipeline_tuning_options(speed_level=2)
    # What is worth it is written in vectors already.
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    passes = binding.create_pass_builder(machine, options)
    passes.getModulePassManager().run(parsed, passes)
    code: bytes = machine.emit_object(parsed)
    return code


# ------------------------------------------------------------------------------------------------ the cache


def _folder() -> Path:
    if given := os.environ.get("DATAFLOW_CACHE"):
        return Path(given)
    if sys.platform == "darwin":
        return Path(os.path.expanduser("~/Library/Caches/dataflow"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or tempfile.gettempdir()) / "dataflow"
    return Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "dataflow"


@cache
def _environment() -> bytes:
    import llvmlite

    binding = _binding()
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    features = binding.get_host_cpu_features().flatten()
    processor = (binding.get_default_triple(), binding.get_host_cpu_name(), features)
    digest.update(repr((llvmlite.__version__, binding.llvm_version_info, processor)).encode())
    return digest.digest()


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    checksum, code = content[:_CHECKSUM], content[_CHECKSUM:]
    return code if hashlib.sha256(code).digest() == checksum else None


def _write(path: Path, code: bytes) -> None:
    """Under another name first, so that no other process reads half a file."""
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            temporary = Path(file.name)
        try:
            temporary.write_bytes(hashlib.sha256(code).digest() + code)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
