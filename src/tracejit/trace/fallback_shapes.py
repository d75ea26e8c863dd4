"""The shapes that functions without an implementation of ours give: a table for the common ones.

A rule is believed where it gives the shapes of the sample call, too. Functions are known by name, since SciPy's have
the names and the shapes of NumPy's.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tracejit.ir.dims import DimLike, minimum
from tracejit.trace.array import NumpyValue
from tracejit.trace.base import Tracer
from tracejit.trace.inputs import as_value
from tracejit.trace.scalar import as_dim
from tracejit.trace.values import Dims, broadcast_dims, resolve_dims, size_of

if TYPE_CHECKING:
    from inspect import Signature

__all__ = ["dims_by_rule", "dims_of"]

Arguments = Mapping[str, Any]
Rule = Callable[[Arguments], Sequence[Dims] | None]


def dims_by_rule(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Sequence[Dims] | None:
    """The dims of the arrays that a function gives, where a rule knows them."""
    if getattr(function, "signature", "") is None:  # an elementwise ufunc
        dims = broadcast_dims([dims_of(x) for x in args[: function.nin]])
        return None if dims is None else [dims] * function.nout
    rule = RULES.get(getattr(function, "__name__", ""))
    if rule is None:
        return None
    try:
        bound = _signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return None
    bound.apply_defaults()
    try:
        return rule(bound.arguments)
    except (IndexError, ValueError):  # ranks that the rule does not know
        return None


_signatures: dict[Any, Signature] = {}


def _signature(function: Any) -> Signature:
    from inspect import signature  # noqa: PLC0415  (slow to import, rarely needed)

    if function not in _signatures:
        _signatures[function] = signature(function)
    return _signatures[function]


# --------------------------------------------------------------------------------------------------------------- rules


def dims_of(value: Any) -> Dims:
    """The dims of an argument."""
    if isinstance(value, Tracer) and not isinstance(value, NumpyValue):
        return ()
    return resolve_dims(as_value(value).dims)


def _first(arguments: Arguments) -> Dims:
    return dims_of(next(iter(arguments.values())))


def _same(arguments: Arguments) -> Sequence[Dims]:
    return [_first(arguments)]


def _along_axis(arguments: Arguments) -> Sequence[Dims]:
    dims = _first(arguments)
    return [(size_of(dims),)] if arguments.get("axis", -1) is None else [dims]


def _matrix(arguments: Arguments) -> tuple[Dims, DimLike, DimLike]:
    *batch, rows, columns = _first(arguments)
    return tuple(batch), rows, columns


def _batch(count: int) -> Rule:
    return lambda arguments: [_matrix(arguments)[0]] * count


def _eigenvalues(arguments: Arguments) -> Sequence[Dims]:
    return [_first(arguments)[:-1]]


def _eigen(arguments: Arguments) -> Sequence[Dims]:
    return [_first(arguments)[:-1], _first(arguments)]


def _transposed(arguments: Arguments) -> Sequence[Dims]:
    batch, rows, columns = _matrix(arguments)
    return [(*batch, columns, rows)]


def _singular(arguments: Arguments) -> Sequence[Dims]:
    batch, rows, columns = _matrix(arguments)
    few = minimum(rows, columns)
    if not arguments.get("compute_uv", "U" in arguments):
        return [(*batch, few)]
    inner = (rows, columns) if arguments.get("full_matrices", True) else (few, few)
    return [(*batch, rows, inner[0]), (*batch, few), (*batch, inner[1], columns)]


def _singular_values(arguments: Arguments) -> Sequence[Dims]:
    batch, rows, columns = _matrix(arguments)
    return [(*batch, minimum(rows, columns))]


def _triangular(arguments: Arguments) -> Sequence[Dims] | None:
    batch, rows, columns = _matrix(arguments)
    few = minimum(rows, columns)
    if arguments.get("mode") == "reduced":
        return [(*batch, rows, few), (*batch, few, columns)]
    if arguments.get("mode") in ("complete", "full"):
        return [(*batch, rows, rows), (*batch, rows, columns)]
    return [(*batch, few, columns)] if arguments.get("mode") == "r" else None


def _solution(arguments: Arguments) -> Sequence[Dims]:
    return [dims_of(arguments["b"])]


def _argument(name: str) -> Rule:
    return lambda arguments: [dims_of(arguments[name])] if name in arguments else None


def _resized(length: Callable[[DimLike], DimLike], default: Callable[[DimLike], DimLike]) -> Rule:
    """Transforms along one axis; ``n`` is the length that the input is cut or padded to."""

    def rule(arguments: Arguments) -> Sequence[Dims]:
        dims = list(_first(arguments))
        axis, n = arguments.get("axis", -1), arguments.get("n")
        dims[axis] = length(default(dims[axis]) if n is None else as_dim(n))
        return [tuple(dims)]

    return rule


def _resized_all(arguments: Arguments) -> Sequence[Dims] | None:
    return [_first(arguments)] if arguments.get("s") is None else None


def _reduced(arguments: Arguments) -> Sequence[Dims]:
    dims = _first(arguments)
    axis = arguments.get("axis")
    axes = range(len(dims)) if axis is None else [operator.index(axis)] if hasattr(axis, "__index__") else axis
    gone = {a % len(dims) for a in axes}
    keep = arguments.get("keepdims") is True
    rest = tuple(1 if a in gone else d for a, d in enumerate(dims) if keep or a not in gone)
    return [(*(dims_of(arguments["q"]) if "q" in arguments else ()), *rest)]


def _factors(arguments: Arguments) -> Sequence[Dims]:
    batch, rows, columns = _matrix(arguments)
    return [(*batch, rows, columns), (*batch, minimum(rows, columns))]


def _with_flag(arguments: Arguments) -> Sequence[Dims]:
    return [_first(arguments), ()]


def _distances(arguments: Arguments) -> Sequence[Dims]:
    return [(dims_of(arguments["XA"])[0], dims_of(arguments["XB"])[0])]


def _unchanged(size: DimLike) -> DimLike:
    return size


_ROWS: list[tuple[str, Rule]] = [
    ("inv cholesky sort_complex i0 isreal iscomplex unwrap lfilter detrend expm logm sqrtm", _same),
    ("gaussian_filter uniform_filter median_filter maximum_filter minimum_filter percentile_filter rank_filter", _same),
    ("sobel prewitt laplace gaussian_laplace gaussian_gradient_magnitude shift", _same),
    ("binary_erosion binary_dilation binary_opening binary_closing grey_erosion grey_dilation", _same),
    ("savgol_filter medfilt wiener filtfilt zscore softmax log_softmax", _same),
    ("lu_factor", _factors),
    ("cho_factor", _with_flag),
    ("cdist", _distances),
    ("sort argsort partition argpartition fftshift ifftshift cumulative_prod nancumsum nancumprod", _along_axis),
    ("det matrix_rank cond", _batch(1)),
    ("slogdet", _batch(2)),
    ("eigvals eigvalsh", _eigenvalues),
    ("eig eigh", _eigen),
    ("pinv", _transposed),
    ("svd", _singular),
    ("svdvals", _singular_values),
    ("qr", _triangular),
    ("solve cho_solve lu_solve solve_triangular", _solution),
    ("interp digitize", _argument("x")),
    ("searchsorted", _argument("v")),
    ("isin", _argument("element")),
    ("fft ifft hilbert dct idct dst idst", _resized(_unchanged, _unchanged)),
    ("rfft ihfft", _resized(lambda n: n // 2 + 1, _unchanged)),
    ("irfft hfft", _resized(_unchanged, lambda m: 2 * (m - 1))),
    ("fft2 ifft2 fftn ifftn", _resized_all),
    ("median nanmedian percentile nanpercentile quantile nanquantile nanargmax nanargmin logsumexp", _reduced),
]
RULES: dict[str, Rule] = {name: rule for names, rule in _ROWS for name in names.split()}
"""The dims of the arrays that a function gives, by its name; None where they depend on more than shapes."""
