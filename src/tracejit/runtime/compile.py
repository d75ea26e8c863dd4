"""A traced function to machine code: passes, lowering, code generation, and the disk cache in front of all three."""

from __future__ import annotations

import functools
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import llvmlite
import numpy as np

from tracejit.codegen_llvm import engine, library_loops
from tracejit.config import config
from tracejit.ir.builder import Builder, rebuild
from tracejit.ir.core import Eqn, Function, Operand, walk
from tracejit.ir.ops.callbacks import callbacks_of, pure_callback
from tracejit.ir.ops.library import CalledLoop, library_loop
from tracejit.ir.printer import fingerprint
from tracejit.runtime import cache
from tracejit.runtime.program import Message, message_of
from tracejit.version import __version__

if TYPE_CHECKING:
    from tracejit.codegen_llvm.emit import Kernel as EmittedKernel

__all__ = ["CompileOptions", "Kernel", "compile_kernel", "stage_text"]

_log = logging.getLogger("tracejit.compile")
_SMALL = 64  # sizes up to this steer the choice of loops; larger ones are all alike


@dataclass(frozen=True)
class CompileOptions:
    """What changes the code of a function besides the function itself."""

    exact: bool = False
    fastmath: bool = False
    parallel: bool = True


@dataclass(frozen=True, eq=False)
class Kernel:
    """Machine code of one program: its address, the exceptions of its checks, and whether LLVM had to run.

    callbacks: the Python functions that the code calls by their number in this list.
    """

    address: int
    messages: tuple[Message, ...]
    callbacks: tuple[Callable[..., Any], ...]
    keepalive: object
    compiled: bool


def compile_kernel(function: Function, hints: Mapping[str, int], options: CompileOptions) -> Kernel:
    """Machine code for an array-level function, from the disk cache if it is there.

    Raises UnsupportedError where an operation has no native code; the caller falls back to the interpreter.
    """
    started = time.perf_counter()
    function = _with_known_loops(function)
    steering = {name: size if size <= _SMALL else _SMALL + 1 for name, size in hints.items()}
    disk = cache.default_cache() if config.disk_cache else cache.DiskCache(None)
    key = cache.key(
        "kernel",
        fingerprint(function),
        repr(sorted(steering.items())),
        repr(options),
        engine.host_target().key,
        f"{__version__} {llvmlite.__version__} {np.__version__}",
        _compiler_state(),
    )
    callbacks = callbacks_of(function)
    stored = disk.load(key)
    if stored is not None:
        try:
            code = engine.load_object(stored["object"])
            messages = tuple(message_of(data) for data in json.loads(stored["messages"]))
            _log.info("%s: code from disk in %.1f ms", function.name, 1e3 * (time.perf_counter() - started))
            return Kernel(code.address, messages, callbacks, code, compiled=False)
        except (KeyError, ValueError, RuntimeError):  # whole, yet not of this program: compiled again below
            pass
    emitted = _emitted(_loops(function, steering, options), callbacks)
    object_code = engine.compile_object(emitted.text, level=_level(function))
    messages = tuple(
        message_of([m.exception, m.text, "" if m.location is None else f"{m.location[0]}:{m.location[1]}"])
        for m in emitted.messages
    )
    disk.store(key, {"object": object_code, "messages": json.dumps([m.as_data() for m in messages]).encode()})
    code = engine.load_object(object_code)
    _log.info("%s: compiled in %.1f ms", function.name, 1e3 * (time.perf_counter() - started))
    return Kernel(code.address, messages, callbacks, code, compiled=True)


def _with_known_loops(function: Function) -> Function:
    """The function, in which loops of NumPy that cannot be called as they are have become calls back into Python."""
    wanted = {(eqn.attrs["loop"], eqn.operands[0].type.dtype) for eqn in walk(function) if eqn.op is library_loop}
    if all(library_loops.is_available(name, dtype) for name, dtype in wanted):
        return function

    def visit(builder: Builder, eqn: Eqn, operands: list[Operand]) -> Sequence[Operand]:
        regions = tuple(rebuild(region, visit) for region in eqn.regions)
        if eqn.op is not library_loop or library_loops.is_available(eqn.attrs["loop"], eqn.operands[0].type.dtype):
            return builder.emit(eqn.op, tuple(operands), eqn.attrs, regions, eqn.loc)
        attrs = {
            "function": CalledLoop(eqn.attrs["loop"], eqn.attrs.get("axis", -1)),
            "types": tuple(result.type for result in eqn.results),
        }
        return builder.emit(pure_callback, CalledLoop.operands(eqn, operands), attrs, (), eqn.loc)

    return rebuild(function, visit)


def _level(function: Function) -> int:
    """How much of LLVM a program needs: the user's loops over elements arrive as they were written.

    All others are vectorised already; LLVM would take several times as long and gain nothing.
    """
    loops = [eqn for eqn in walk(function) if eqn.op.name in ("fori_loop", "while_loop")]
    if not loops:
        return engine.LEVEL_SHORT
    return engine.LEVEL_FULL if any(map(_is_of_elements, loops)) else engine.LEVEL_LOOPS


def _is_of_elements(loop: Eqn) -> bool:
    """Whether the body of a loop computes numbers only, which it may read from and write to arrays."""
    return not any(_is_of_arrays(eqn) for region in loop.regions for eqn in walk(region))


def _is_of_arrays(eqn: Eqn) -> bool:
    if eqn.regions or not eqn.results:
        return False
    changes = eqn.op.name in ("update_slice", "scatter", "scatter_add")
    computed = (eqn.operands[1],) if changes else eqn.results
    return any(dim != 1 for value in computed for dim in value.dims)


@functools.cache
def _compiler_state() -> str:
    """Changes with every change to the compiler, which in a checkout is more often than its version does."""
    root = os.path.dirname(os.path.dirname(__file__))
    folders = [
        "ir",
        "ir/ops",
        "passes",
        "lowering",
        "codegen_llvm",
        "codegen_llvm/vector_math",
        "runtime",
        "transforms",
    ]
    found = []
    for folder in folders:
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                files = [(e.name, e.stat()) for e in entries if e.name.endswith(".py")]
        except OSError:  # not files: imported from an archive, which nobody edits
            continue
        found += [(folder, name, state.st_size, state.st_mtime_ns) for name, state in files]
    return repr(sorted(found))


_importing = threading.RLock()
if hasattr(os, "register_at_fork"):  # a child never gets the modules that another thread was importing
    os.register_at_fork(
        before=_importing.acquire, after_in_parent=_importing.release, after_in_child=_importing.release
    )


class _Compiler(NamedTuple):
    """The compiler proper."""

    inline_custom: Callable[[Function], Function]
    optimise: Callable[..., Function]
    lower: Callable[..., Function]
    emit_kernel: Callable[[Function, engine.Target, Sequence[Callable[..., Any]]], EmittedKernel]
    library_sorts: Callable[[str, str, np.dtype[Any]], bool]


@functools.cache
def _compiler() -> _Compiler:
    """Imported when it is needed: a process that finds its code on disk never loads it."""
    with _importing:
        from tracejit.codegen_llvm.emit import emit_kernel  # noqa: PLC0415
        from tracejit.codegen_llvm.sorts import is_available  # noqa: PLC0415
        from tracejit.lowering import lower  # noqa: PLC0415
        from tracejit.passes import optimise  # noqa: PLC0415
        from tracejit.transforms import inline_custom  # noqa: PLC0415
    return _Compiler(inline_custom, optimise, lower, emit_kernel, is_available)


def _optimised(function: Function, options: CompileOptions) -> Function:
    compiler = _compiler()
    return compiler.optimise(compiler.inline_custom(function), exact=options.exact, fastmath=options.fastmath)


def _loops(function: Function, hints: Mapping[str, int], options: CompileOptions) -> Function:
    compiler = _compiler()
    optimised = _optimised(function, options)
    return compiler.lower(optimised, hints, parallel=options.parallel, library_sorts=compiler.library_sorts)


def _emitted(loops: Function, callbacks: Sequence[Callable[..., Any]]) -> EmittedKernel:
    return _compiler().emit_kernel(loops, engine.host_target(), callbacks)


def stage_text(function: Function, hints: Mapping[str, int], options: CompileOptions, stage: str) -> str:
    """The program as text at a stage: trace, optimized, loops, llvm, asm."""
    if stage == "trace":
        return str(function)
    if stage == "optimized":
        return str(_optimised(function, options))
    loops = _loops(function, hints, options)
    if stage == "loops":
        return str(loops)
    text = _emitted(loops, callbacks_of(function)).text
    if stage == "llvm":
        return engine.optimised_text(text, level=_level(function))
    if stage == "asm":
        return engine.assembly(text, level=_level(function))
    raise ValueError(f"stage {stage!r}: choose trace, optimized, loops, llvm or asm")
