"""LLVM text to machine code: parse, optimise, emit object code, load it.

Owns every use of llvmlite: the host's target, the pass lists, the JIT linker and the table of C symbols that compiled
code may call. It must not know what the text computes, nor IR, arrays or kernels' calling convention.

Text and object code are separate steps on purpose: an object just compiled and one from the disk cache go through the
same `load_object`.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import llvmlite.binding as llvm

__all__ = [
    "LEVEL_FULL",
    "LEVEL_LOOPS",
    "LEVEL_QUICK",
    "LEVEL_SHORT",
    "LoadError",
    "LoadedCode",
    "Target",
    "add_symbol_resolver",
    "assembly",
    "compile_object",
    "define_symbol",
    "host_target",
    "load_object",
    "lock",
    "optimised_text",
]

LEVEL_QUICK = 0
"""As short, with the code generator in its fastest mode: for code that is run rarely or waits for memory anyway."""
LEVEL_SHORT = 1
"""Inline what says ``alwaysinline``, promote stack slots, rotate loops; the code generator does the rest. Enough for
kernels, which arrive vectorised: they run as fast as with O3, for a tenth of its time."""
LEVEL_LOOPS = 2
"""Also LLVM's scalar simplification per function: common subexpressions, loop-invariant code out of loops."""
LEVEL_FULL = 3
"""LLVM's O3, with its vectorisers and unrolling: for loops of the user that go element by element, which arrive as they
were written. (Loops over whole arrays arrive vectorised and unrolled.)"""

# One program's text is parsed into its own LLVM context, so threads share nothing but LLVM's global tables, which
# llvmlite guards call by call. This lock is for our own tables and one-time set-up, here and in the modules on top of
# this one; it is held while forking, so that a child never finds it taken.
lock = threading.RLock()


@dataclass(frozen=True)
class Target:
    """The machine that code is generated for.

    ``vector_bits`` is the widest vector register to use (512, 256 or 128): kernels name vector types of that size
    themselves, which LLVM keeps whole even where its own vectoriser would prefer narrower ones.
    """

    triple: str
    cpu: str
    features: str
    vector_bits: int

    @property
    def key(self) -> str:
        """What object code depends on, for cache keys."""
        return f"{self.triple}|{self.cpu}|{self.features}|llvm {'.'.join(map(str, llvm.llvm_version_info))}"


def _vector_bits(triple: str, features: dict[str, bool]) -> int:
    """Width of the vector registers: 512-bit ones only with the integer and narrow-lane parts of AVX-512 too."""
    if not triple.startswith(("x86_64", "i686", "amd64")):
        return 128
    if all(features.get(name, False) for name in ("avx512f", "avx512dq", "avx512bw", "avx512vl")):
        return 512
    return 256 if features.get("avx2", False) else 128


@functools.cache
def host_target() -> Target:
    """Describe the machine this process runs on.

    >>> host_target().vector_bits in (128, 256, 512)
    True
    """
    triple = llvm.get_process_triple()
    features = llvm.get_host_cpu_features()
    return Target(triple, llvm.get_host_cpu_name(), features.flatten(), _vector_bits(triple, features))


@functools.cache
def _machine(opt: int) -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = host_target()
    # Windows' loader needs LLVM's default there: ELF objects in the large code model. Elsewhere constants are reached
    # relative to the program counter, which is smaller and quicker to emit than 64-bit absolute addresses.
    code_model, relocation = ("jitdefault", "default") if os.name == "nt" else ("small", "pic")
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=opt, codemodel=code_model, reloc=relocation
    )


def _pass_builder(machine: llvm.TargetMachine, level: int) -> llvm.PassBuilder:
    options = llvm.create_pipeline_tuning_options(speed_level=level)
    full = level == LEVEL_FULL
    options.loop_vectorization = full
    options.slp_vectorization = full
    options.loop_unrolling = full
    options.loop_interleaving = full
    return llvm.create_pass_builder(machine, options)


_BEFORE_LOOPS = ("post_order_function_attributes",)
_SHORT = ("always_inliner", "global_dead_code_eliminate", "sroa", "simplify_cfg", "loop_rotate")
_AFTER_LOOPS = ("always_inliner", "global_dead_code_eliminate", "sroa", "simplify_cfg")


def _run_passes(module: llvm.ModuleRef, machine: llvm.TargetMachine, names: Iterable[str]) -> None:
    manager = llvm.create_new_module_pass_manager()
    for name in names:
        getattr(manager, f"add_{name}_pass")()
    manager.run(module, _pass_builder(machine, 1))


def _optimise(module: llvm.ModuleRef, machine: llvm.TargetMachine, level: int) -> None:
    if level <= LEVEL_SHORT:
        _run_passes(module, machine, _SHORT)
    elif level == LEVEL_LOOPS:
        # Helpers are simplified once, before they are inlined at every call: half the time of the other order. The
        # inferred attributes tell the loop passes that calls of pure helpers may be moved and shared.
        _run_passes(module, machine, _BEFORE_LOOPS)
        for function in module.functions:
            if not function.is_declaration:
                builder = _pass_builder(machine, 1)
                builder.getFunctionPassManager().run(function, builder)
        _run_passes(module, machine, _AFTER_LOOPS)
    else:
        builder = _pass_builder(machine, 3)
        builder.getModulePassManager().run(module, builder)


def _optimised_module(llvm_text: str, level: int) -> tuple[llvm.ModuleRef, llvm.TargetMachine]:
    machine = _machine(min(level, 3))
    module = llvm.parse_assembly(llvm_text, llvm.create_context())
    module.verify()
    module.triple = host_target().triple
    module.data_layout = str(machine.target_data)
    _optimise(module, machine, level)
    return module, machine


_NEWEST_KNOWN = 22  # of LLVM's versions: an option that it does not know ends the process


@contextmanager
def _code_generation(level: int) -> Iterator[None]:
    """Generate code without loop strength reduction where loops arrive vectorised.

    It takes half of the code generator's time and more, for the many addresses in vector loops, and finds nothing there
    that x86's or ARM's addressing modes do not do. LLVM has a switch for the whole process only; llvmlite lets one
    thread at a time into LLVM anyway, and whoever comes next finds it as it was.
    """
    if level == LEVEL_FULL or not 15 <= llvm.llvm_version_info[0] <= _NEWEST_KNOWN:
        yield
        return
    with lock:
        llvm.set_option("tracejit", "-disable-lsr")
        try:
            yield
        finally:
            llvm.set_option("tracejit", "-disable-lsr=false")


def compile_object(llvm_text: str, *, level: int = LEVEL_SHORT) -> bytes:
    """Compile LLVM text to the bytes of a relocatable object file for the host.

    >>> import ctypes
    >>> loaded = load_object(compile_object("define i64 @one() { ret i64 1 }"), "one")
    >>> ctypes.CFUNCTYPE(ctypes.c_int64)(loaded.address)()
    1
    """
    module, machine = _optimised_module(llvm_text, level)
    with _code_generation(level):
        code: bytes = machine.emit_object(module)
    return code


def optimised_text(llvm_text: str, *, level: int = LEVEL_SHORT) -> str:
    """Return the LLVM text as it is after the passes of ``level``, to look at."""
    return str(_optimised_module(llvm_text, level)[0])


def assembly(llvm_text: str, *, level: int = LEVEL_SHORT) -> str:
    """Return the host's assembly for LLVM text, to look at."""
    module, machine = _optimised_module(llvm_text, level)
    with _code_generation(level):
        text: str = machine.emit_assembly(module)
    return text


# Symbols -----------------------------------------------------------------------------------------------------------

# Modules on top of this one with a `resolve_symbol`. They are imported at the first name that nobody defined: an object
# from the disk cache may need them before anything else did.
_RESOLVING_MODULES = (
    "tracejit.codegen_llvm.support",
    "tracejit.codegen_llvm.sorts",
    "tracejit.codegen_llvm.library_loops",
    "tracejit.codegen_llvm.blas",
)
_symbols: dict[str, int] = {}
_resolvers: list[Callable[[str], int | None]] = []
# Names that only we resolve. They stand in the object's string table whatever its format, so a search through the bytes
# finds all that are wanted; one found by chance in code does no harm.
_OWN_NAMES = re.compile(rb"tj_[a-z0-9_]+|__(?:trunc|extend)[a-z]+f2")


def define_symbol(name: str, address: int) -> None:
    """Bind the C symbol ``name`` (``tj_...``) for objects loaded from now on."""
    with lock:
        _symbols[name] = address


def add_symbol_resolver(resolver: Callable[[str], int | None]) -> None:
    """Ask ``resolver(name)`` for the address of names nobody defined, when an object that uses them is loaded."""
    with lock:
        if resolver not in _resolvers:
            _resolvers.append(resolver)


def _resolve(name: str) -> int | None:
    for ask in _resolvers:
        address = ask(name)
        if address is not None:
            return address
    for module in _RESOLVING_MODULES:
        address = importlib.import_module(module).resolve_symbol(name)
        if address is not None:
            return int(address)
    return None


def _wanted_symbols(code: bytes, defined: list[str]) -> dict[str, int]:
    wanted = {}
    for name in {match.decode() for match in _OWN_NAMES.findall(code)}.difference(defined):
        address = _symbols.get(name) or _resolve(name)
        if address is not None:
            wanted[name] = address
    return wanted


# Loading -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LoadedCode:
    """Machine code in memory; unloaded when this object is garbage collected, so whoever calls it must hold it."""

    address: int
    addresses: dict[str, int]
    _owner: object = field(repr=False)


class LoadError(RuntimeError):
    """Object code could not be loaded: not for this machine, damaged, or a symbol it needs is missing."""


_library_numbers = itertools.count()


@functools.cache
def _linker() -> llvm.LLJIT:
    return llvm.create_lljit_compiler(_machine(1), use_jit_link=True, suppress_errors=True)


def _load_with_linker(code: bytes, symbols: list[str], imports: dict[str, int]) -> LoadedCode:
    library = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
    for name, address in imports.items():
        library.import_symbol(name, address)
    for symbol in symbols:
        library.export_symbol(symbol)
    try:
        tracker = library.link(_linker(), f"tracejit.{next(_library_numbers)}")
    except RuntimeError as error:
        raise LoadError(f"{error} (needs {sorted(imports)} and the C library)") from None
    return LoadedCode(tracker[symbols[0]], {symbol: tracker[symbol] for symbol in symbols}, tracker)


@functools.cache
def _load_process_symbols() -> None:
    llvm.load_library_permanently("ucrtbase.dll" if os.name == "nt" else None)  # pragma: no cover


def _load_with_engine(code: bytes, symbols: list[str], imports: dict[str, int]) -> LoadedCode:
    """Load by LLVM's older JIT engine: the way that is known to work on Windows."""
    if os.name == "nt":
        _load_process_symbols()
    for name, address in imports.items():
        llvm.add_symbol(name, address)
    machine = llvm.Target.from_triple(host_target().triple).create_target_machine(jit=True)  # owned by the engine
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    addresses = {symbol: engine.get_function_address(symbol) for symbol in symbols}
    return LoadedCode(addresses[symbols[0]], addresses, engine)


_load: Callable[[bytes, list[str], dict[str, int]], LoadedCode]
_load = _load_with_engine if os.name == "nt" else _load_with_linker


def load_object(code: bytes, symbol: str = "kernel", *more_symbols: str) -> LoadedCode:
    """Load an object file's bytes and return the address of ``symbol``; ``.addresses`` has ``more_symbols`` too."""
    symbols = [symbol, *more_symbols]
    with lock:
        return _load(code, symbols, _wanted_symbols(code, symbols))


# A fork must not catch llvmlite's own lock held by another thread, be it one that unloads code during garbage
# collection: nobody would ever release it in the child.
_llvmlite_lock: AbstractContextManager[object] = getattr(llvm.ffi.lib, "_lock", nullcontext())


def _before_fork() -> None:
    lock.acquire()
    _llvmlite_lock.__enter__()


def _after_fork() -> None:
    _llvmlite_lock.__exit__(None, None, None)
    lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
