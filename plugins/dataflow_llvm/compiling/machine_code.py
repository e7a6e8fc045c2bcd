"""Machine code: compiled by LLVM, kept on disk under a checksum of all that it was made from, and loaded into the
process."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataflow.errors import MissingExtraError
from dataflow_llvm.compiling import code_cache

if TYPE_CHECKING:
    from dataflow_llvm.kernels.assembly import Machine


class Library:
    """Functions in the process's memory, for as long as this object lives."""

    def __init__(self, code: bytes) -> None:
        binding = _binding()
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _target_machine())
        self._engine.add_object_file(binding.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function begins."""
        address: int = self._engine.get_function_address(name)
        return address

    def function(self, name: str, arguments: int) -> Callable[..., None]:
        """A function of ``arguments`` addresses or 64-bit integers. Other Python threads run while it does."""
        return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * arguments)(self.address(name))  # type: ignore[no-any-return]


@cache
def interpreter() -> Library:
    """The interpreter and the training loop, from the cache if they are there."""
    return _library("interpreter", b"", _interpreter_text)


def generated(name: str, made_from: str, text: Callable[[], str]) -> Library:
    """A module generated for a plan; its text, if it has to be compiled, depends only on ``made_from``, this package,
    LLVM and the processor."""
    return _library(name, made_from.encode(), text)


def machine() -> Machine:
    """The processor that code is generated for."""
    from dataflow_llvm.kernels.assembly import Machine

    return Machine.of(_binding().get_host_cpu_features())


def _library(name: str, made_from: bytes, text: Callable[[], str]) -> Library:
    """A module's text compiled. ``made_from`` is what the text depends on, besides this package, LLVM and the
    processor."""
    key = hashlib.sha256(_environment() + made_from).digest()
    code = code_cache.read(name, key)
    if code is None:
        code = _compiled(text())
        code_cache.write(name, key, code)
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
            "the backend 'llvm' needs llvmlite, the compiler: pip install \"dataflow-autodiff[fast]\""
        ) from None
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


def _target_machine() -> Any:
    """A new target machine each time, as each engine owns one."""
    binding = _binding()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3
    )


def _interpreter_text() -> str:
    from llvmlite import ir

    from dataflow_llvm.kernels.interpreter import write_interpreter
    from dataflow_llvm.kernels.training_steps import write_training

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
    # Where it pays, the code is written in vectors already.
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    passes = binding.create_pass_builder(machine, options)
    passes.getModulePassManager().run(parsed, passes)
    code: bytes = machine.emit_object(parsed)
    return code


@cache
def _environment() -> bytes:
    """A checksum of all that compiled code depends on besides its text."""
    import llvmlite

    binding = _binding()
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    features = binding.get_host_cpu_features().flatten()
    processor = (binding.get_default_triple(), binding.get_host_cpu_name(), features)
    digest.update(repr((llvmlite.__version__, binding.llvm_version_info, processor)).encode())
    return digest.digest()
