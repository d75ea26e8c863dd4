"""What users call: ``jit`` and looking at programs. Thin: the work is done by the folders below."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tracejit.config import config
from tracejit.errors import UnsupportedError
from tracejit.trace.registry import implements

if TYPE_CHECKING:
    from tracejit.ir.core import Function
    from tracejit.runtime.function import CompiledFunction

__all__ = ["jit", "make_ir"]


@implements("vmap")
def _vmap(fun: Callable[..., Any]) -> Callable[..., Any]:
    """What functions of NumPy that apply a function to many elements are made of."""
    from tracejit.batching import vmap  # noqa: PLC0415  (imported at the first use)

    return vmap(fun)


def jit(
    fun: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    device: str | None = None,
    shapes: str = "dynamic",
    parallel: bool = True,
    fastmath: bool = False,
    exact: bool | None = None,
    debug: str | None = None,
    name: str | None = None,
) -> Any:
    """Compile a function that is written with ordinary NumPy, on its first call, for all sizes of its arguments.

    Use as ``@tj.jit``, ``@tj.jit(...)`` or ``tj.jit(f)``, on functions, lambdas, methods and ``functools.partial``.

    static_argnums, static_argnames: arguments that are Python values of the program, compared by value at each call.
    exact: leave out the rewrites that are more accurate than NumPy (``log(1 + x)`` as ``log1p(x)``), so that every
        result has NumPy's bits as far as its own functions allow; default ``tj.config.exact``.
    parallel: whether large work may use several threads.
    fastmath: also rewrites that are not exact for NaN, infinities and signed zeros.
    name: the name in messages and program texts.

    Floating-point errors: compiled code emits no RuntimeWarning. While ``np.errstate`` or ``np.seterr`` asks for more
    than that (``raise``, ``call``, ``log``, ``print``), around the call or inside the function, NumPy runs the function
    and raises FloatingPointError as ever; the log ``TRACEJIT_LOG=guards`` says so.

    Raises TypeError for what cannot be called, UnsupportedError for settings that this version does not have.

    Example:
        >>> import numpy as np
        >>> @jit
        ... def scale(x, factor):
        ...     x *= factor
        ...     return x.sum()
        >>> x = np.arange(3.0)
        >>> scale(x, 2.0)
        np.float64(6.0)
        >>> x
        array([0., 2., 4.])
    """
    if device not in (None, "cpu"):
        raise UnsupportedError(f"device={device!r}: this version compiles for the CPU only; leave device out")
    if shapes != "dynamic":
        raise UnsupportedError(f"shapes={shapes!r}: this version compiles once for all sizes; leave shapes out")
    if debug is not None:
        raise UnsupportedError(f"debug={debug!r} is not there yet; look at f.ir(*args, stage='loops') instead")

    # Loaded when the first function is decorated: `import tracejit` alone stays cheap.
    from tracejit.runtime.compile import CompileOptions  # noqa: PLC0415
    from tracejit.runtime.function import CompiledFunction  # noqa: PLC0415

    def decorate(function: Callable[..., Any]) -> CompiledFunction:
        if not callable(function):
            raise TypeError(f"tj.jit compiles functions, not {type(function).__name__}")
        label = name or getattr(function, "__name__", None) or type(function).__name__
        options = CompileOptions(exact=config.exact if exact is None else exact, fastmath=fastmath, parallel=parallel)
        static = (*_as_tuple(static_argnums, int), *_as_tuple(static_argnames, str))
        return CompiledFunction(function, options, _with_names(function, static), label)

    return decorate if fun is None else decorate(fun)


def _as_tuple(given: Any, kind: type) -> tuple[Any, ...]:
    return (given,) if isinstance(given, kind) else tuple(given)


def _with_names(function: Callable[..., Any], static: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Static arguments by position and by name, however the call passes them."""
    if not static:
        return static
    from inspect import signature  # noqa: PLC0415  (slow to import, rarely needed)

    names = list(signature(function).parameters)
    found: dict[int | str, None] = dict.fromkeys(static)
    for key in static:
        if isinstance(key, str) and key in names:
            found.setdefault(names.index(key))
        elif isinstance(key, int) and -len(names) <= key < len(names):
            found.setdefault(names[key])
    return tuple(found)


def make_ir(fun: Callable[..., Any]) -> Callable[..., Function]:
    """A function from arguments to the traced program of ``fun``, unoptimised; run it with ``tj.ir.interpret``.

    Example:
        >>> import numpy as np
        >>> print(make_ir(lambda x: x + 1.0)(np.ones(3)).results[0].type)
        f64[x0]
    """

    from tracejit.runtime.entry import suspended  # noqa: PLC0415  (see jit)
    from tracejit.trace.tracer import trace  # noqa: PLC0415

    def traced(*args: Any, **kwargs: Any) -> Function:
        with suspended():  # compiled functions that it calls are traced, not run
            return trace(fun, args, kwargs).function

    return traced
