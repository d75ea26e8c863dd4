"""The decorated function: finds the version for a call, traces and compiles a new one where there is none."""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tracejit.config import config, watch_disable_jit
from tracejit.errors import UnsupportedError
from tracejit.runtime import wrapper
from tracejit.runtime.compile import CompileOptions, stage_text
from tracejit.runtime.entry import CompiledCallable, add_reason, suspended
from tracejit.runtime.mismatch import mismatch
from tracejit.runtime.program import Program
from tracejit.runtime.version import Version, plain_leaves
from tracejit.trace.calls import rewritten
from tracejit.trace.context import active_trace
from tracejit.trace.floating_errors import FloatingErrorsAskedError, asked_for
from tracejit.trace.frames import running_call
from tracejit.trace.getters import is_hashable
from tracejit.trace.pytree import Tree
from tracejit.trace.tracer import Traced, flatten_call, trace

if TYPE_CHECKING:
    from inspect import Signature

__all__ = ["CacheInfo", "CompiledFunction", "StageText"]

_log = logging.getLogger("tracejit.trace")
_guards_log = logging.getLogger("tracejit.guards")
_functions: weakref.WeakSet[CompiledFunction] = weakref.WeakSet()


def _follow_disable_jit(disabled: bool) -> None:
    """Calls of compiled functions go to ``_call_slow``, which runs plain Python, while ``disable_jit`` is set."""
    add_reason(1 if disabled else -1)


watch_disable_jit(_follow_disable_jit)


_MOST_FOR_NUMBERS, _MOST_FOR_OUTSIDE = 32, 64  # versions that differ only in numbers, or in what is outside


class CacheInfo(NamedTuple):
    """Counts: calls answered, calls that had to trace, runs of LLVM, traces, programs from disk, versions."""

    hits: int
    misses: int
    compiles: int
    traces: int
    disk_hits: int
    entries: int


class StageText(str):
    """A program as text at one stage, which prints as itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class CompiledFunction(CompiledCallable):
    """A function that runs as machine code; made by :func:`tracejit.jit`.

    Calls go straight to machine code where their arguments and all that the function reads outside are as in a call
    before; this class answers the others.
    """

    def __init__(
        self, fun: Callable[..., Any], options: CompileOptions, static: Iterable[int | str], name: str
    ) -> None:
        functools.update_wrapper(self, fun)
        self._fun = fun
        self._options = options
        self._static = tuple(static)
        self._name = name
        self._lock = threading.RLock()
        self._versions: dict[Tree, list[Version]] = {}
        self._latest: Version | None = None  # the one that Python found last
        self._chain_programs: list[Program] = []
        self._counts = dict.fromkeys(("hits", "misses", "compiles", "traces", "disk_hits"), 0)
        self.only_traced = False  # a derivative, which is nothing that NumPy could run
        self._asks = False  # for floating-point errors, by itself
        self._announced = False
        self._volatile: frozenset[Any] = frozenset()  # ways to outside numbers that were seen to change
        self._has_enough = False
        _functions.add(self)

    @property
    def __signature__(self) -> Signature:
        from inspect import signature  # noqa: PLC0415  (slow to import, rarely asked)

        return signature(self._fun)

    def __repr__(self) -> str:
        return f"<compiled {self._name}>"

    # -------------------------------------------------------------------------------------------------- calls

    def _call_slow(self, *args: Any, **kwargs: Any) -> Any:
        if active_trace() is not None:
            return rewritten(self._fun)(*args, **kwargs)
        if not self.only_traced and (config.disable_jit or self._in_numpy(asked_for())):
            return self._fun(*args, **kwargs)
        try:
            latest = self._latest
            if latest is not None and latest.split is not None:
                leaves = latest.split(args, kwargs)
                bound = None if leaves is None else latest.bind(leaves)
                if leaves is not None and bound is not None:
                    return self._run(latest, leaves, bound, (args, kwargs))
            return self._search(args, kwargs)
        except FloatingErrorsAskedError as error:
            if self.only_traced:
                raise
            self._asks = True
            _guards_log.info("%s: runs uncompiled: %s", self._name, error)
            return self._fun(*args, **kwargs)
        except wrapper.OverlapError:
            # NumPy's own order of reads and writes is the meaning of arguments that share memory.
            return self._fun(*args, **kwargs)

    def _in_numpy(self, asked: bool) -> bool:
        """Whether NumPy runs the function, because floating-point errors are to do more than to warn."""
        if asked and not self._announced:
            self._announced = True
            _guards_log.info(
                "%s: runs uncompiled while np.errstate or np.seterr asks for floating-point errors", self._name
            )
        return asked or self._asks

    def _search(self, args: Any, kwargs: Any) -> Any:
        """Answer by the version for these arguments, which is made where there is none."""
        marked, tree = flatten_call(args, kwargs, self._static_keys(args))
        leaves = plain_leaves(marked)
        found = self._find(tree, leaves)
        if found is None:
            with self._lock:
                found = self._find(tree, leaves)  # another thread may have made it
                if found is None and self._is_enough(tree, leaves):
                    return self._fun(*args, **kwargs)
                made = None if found is not None else self._make(args, kwargs, leaves, tree)
            if made is not None:
                return made[0].run_first(leaves, made[1], (args, kwargs))
        assert found is not None
        self._latest = found[0]
        return self._run(found[0], leaves, found[1], (args, kwargs))

    def _run(self, version: Version, leaves: Sequence[Any], bound: list[Any], arguments: tuple[Any, Any]) -> Any:
        self._counts["hits"] += 1
        if version.stale:
            self._renew(version, leaves)
        return version.run(leaves, bound, arguments)

    def _static_keys(self, args: Sequence[Any]) -> tuple[int | str, ...]:
        return tuple(k + len(args) if isinstance(k, int) and k < 0 else k for k in self._static)

    def _find(self, tree: Tree, leaves: Sequence[Any]) -> tuple[Version, list[Any]] | None:
        for version in self._versions.get(tree, ()):
            bound = version.bind(leaves)
            if bound is not None:
                return version, bound
        return None

    def _make(self, args: Any, kwargs: Any, leaves: Sequence[Any], tree: Tree) -> tuple[Version, dict[str, int]]:
        started = time.perf_counter()
        traced = self._trace(args, kwargs, self._changing(leaves, tree))
        sizes = traced.bind(leaves)
        if sizes is None:
            raise self._misfit(traced, leaves)
        version = Version(traced, leaves, sizes, self._options)
        self._counts["traces"] += 1
        self._counts["misses"] += 1
        if version.kernel is not None:
            self._counts["compiles" if version.kernel.compiled else "disk_hits"] += 1
        self._versions.setdefault(tree, []).insert(0, version)
        if version.entry is not None:
            self._chain_programs.insert(0, version.entry)
            self._install(self._chain_programs)
        _log.info("%s: traced and compiled in %.1f ms", self._name, 1e3 * (time.perf_counter() - started))
        if _guards_log.isEnabledFor(logging.INFO) and (count := sum(map(len, self._versions.values()))) > 1:
            versions = self._versions[tree]
            needed = mismatch(versions[1].traced, leaves) if len(versions) > 1 else "arguments of another structure"
            _guards_log.info("%s: version %d, for %s; the last needs %s", self._name, count, sizes, needed)
        return version, sizes

    def _renew(self, version: Version, leaves: Sequence[Any]) -> None:
        """Let machine code expect the objects that this call has."""
        with self._lock:
            programs = self._chain_programs
            if version.entry in programs:
                position = programs.index(version.entry)
                renewed = version.renew(leaves)
                programs[position : position + 1] = [] if renewed is None else [renewed]
                self._install(programs)

    def _misfit(self, traced: Traced, leaves: Sequence[Any]) -> Exception:
        """Why a trace does not fit the call that it was made for."""
        with running_call(leaves):
            changed = ", ".join(str(capture.getter) for capture in traced.captures if not capture.holds())
        if not changed:
            return RuntimeError(f"{self._name}: a fresh trace does not fit the call that it was made for")
        code = getattr(self._fun, "__code__", None)
        place = "" if code is None else f" ({code.co_filename}:{code.co_firstlineno})"
        return UnsupportedError(
            f"{self._name}{place} changes what it reads from outside: {changed}. Compiled code has no effects besides "
            "writing into arrays; return the value, or write into an array with [...] ="
        )

    def _trace(self, args: Any, kwargs: Any, volatile: frozenset[Any] = frozenset()) -> Traced:
        with suspended():  # a compiled function that is called meanwhile becomes a part of the trace
            return trace(self._fun, args, kwargs, static=self._static_keys(args), name=self._name, volatile=volatile)

    # ------------------------------------------------------------------------------------ numbers that change

    def _changing(self, leaves: Sequence[Any], tree: Tree) -> frozenset[Any]:
        """Ways to numbers outside that were remembered and are others now: from now on they are read at each call."""
        for version in self._versions.get(tree, ()):
            for capture in version.traced.changing_numbers(leaves):
                if is_hashable(capture.getter) and capture.getter not in self._volatile:
                    self._volatile |= {capture.getter}
                    _guards_log.info("%s: %s changes, and is read at each call", self._name, capture.getter)
        return self._volatile

    def _is_enough(self, tree: Tree, leaves: Sequence[Any]) -> bool:
        """Whether there are so many versions for what is outside that NumPy should run calls with anything else."""
        traced = [version.traced for version in self._versions.get(tree, ())]
        if len(traced) < _MOST_FOR_NUMBERS:
            return False
        alike = sum(own.fits_but_for_constants(leaves) for own in traced)
        outside = sum(own.takes(leaves) for own in traced if own.captures)
        if alike < _MOST_FOR_NUMBERS and outside < _MOST_FOR_OUTSIDE:
            return False
        if not self._has_enough:
            self._has_enough = True
            _guards_log.info(
                "%s: %d versions differ only in %s; calls with anything else run uncompiled",
                self._name,
                max(alike, outside),
                "constants: numbers, or strings" if alike >= _MOST_FOR_NUMBERS else "what they read outside",
            )
        return True

    # -------------------------------------------------------------------------------------------------- looking

    def cache_info(self) -> CacheInfo:
        """How often calls were answered, traced, compiled, and read from disk."""
        counts = self._counts
        entries = sum(map(len, self._versions.values()))
        return CacheInfo(
            counts["hits"] + self._hits,
            counts["misses"],
            counts["compiles"],
            counts["traces"],
            counts["disk_hits"],
            entries,
        )

    def cache_clear(self) -> None:
        """Forget every version; the next call traces again (code on disk stays)."""
        with self._lock:
            self._versions.clear()
            self._latest = None
            self._chain_programs.clear()
            self._install([])
            self._counts = dict.fromkeys(self._counts, 0)
            self._hits = 0

    def ir(self, *args: Any, stage: str = "optimized", **kwargs: Any) -> StageText:
        """The program for these arguments as text, without running it.

        stage: "trace", "optimized", "loops", "llvm" or "asm".
        """
        leaves, _ = flatten_call(args, kwargs, self._static_keys(args))
        traced = self._trace(args, kwargs)
        sizes = traced.bind(leaves) or {}
        return StageText(stage_text(traced.function, sizes, self._options, stage))


def _renew_locks() -> None:
    """In a forked child: a thread that it does not have may have been compiling."""
    for function in _functions:
        function._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
