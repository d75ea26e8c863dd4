"""Random numbers: drawn when the program runs, by the generators and in the order of the undecorated function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.dims import DimLike
from tracejit.trace.array import TracedArray
from tracejit.trace.base import Tracer
from tracejit.trace.context import current_trace
from tracejit.trace.fallback_shapes import dims_of
from tracejit.trace.generators import is_generator, is_maker, undisturbed
from tracejit.trace.inputs import as_array
from tracejit.trace.location import describe, user_location
from tracejit.trace.native_draws import draw_natively
from tracejit.trace.python_calls import call_python
from tracejit.trace.registry import call
from tracejit.trace.sampling import sample_call
from tracejit.trace.scalar import as_dim
from tracejit.trace.values import Dims, broadcast_dims

__all__ = ["draw", "is_draw"]


def is_draw(function: Any) -> bool:
    """Whether a callable draws random numbers, or makes or changes a generator."""
    return is_maker(function) or is_generator(getattr(function, "__self__", None))


def draw(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Call a method of a generator, or make a generator, when the program runs."""
    owner = getattr(function, "__self__", None)
    name = str(function.__name__)
    drawn = draw_natively(owner, name, args, kwargs)
    if drawn is not NotImplemented:
        return drawn
    if kwargs.get("out") is not None:
        return _drawn_into(function, args, kwargs)
    if name in ("shuffle", "permuted") and args and type(args[0]) is list:
        return _shuffle_list(function, args, kwargs)
    if not is_generator(owner):
        return _run(function, args, kwargs, name, [])
    changed = []
    if name == "shuffle" and args and isinstance(args[0], (Tracer, np.ndarray)):
        args = (as_array(args[0]), *args[1:])
        changed.append(args[0])
    return _run(_Method(name), (owner, *args), kwargs, f"{type(owner).__name__}.{name}", changed)


class _Method:
    """A method by its name, as a function."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.__name__ = name

    def __call__(self, owner: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(owner, self.name)(*args, **kwargs)


def _run(
    function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], name: str, changed: Sequence[TracedArray]
) -> Any:
    with undisturbed() as states:  # np.random.seed and the like
        sample = sample_call(function, args, kwargs, name, changed)
        states.put_back()
    if (same := sample.returned_generator()) is not None:
        return same
    outcome = sample.outcome(name, _dims_of_draw(function, args, kwargs))
    return call_python(function, args, kwargs, outcome, name=name, effects=True, mutated=changed)


def _drawn_into(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """With ``out=``: the numbers of an array of this shape, written into it."""
    out = as_array(kwargs["out"])
    rest = {key: value for key, value in kwargs.items() if key != "out"}
    if function.__name__ != "permuted":
        rest |= {"size": out.shape, "dtype": out.dtype}
    call("write out", function, tuple(args), draw(function, args, rest).operand(), out)
    return kwargs["out"]


def _shuffle_list(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """A list of numbers: its entries become what the program finds there."""
    values, *rest = args
    if not values or function.__name__ != "shuffle":
        raise UnsupportedError(
            f"{function.__name__} of a list is not compiled ({describe(user_location())}); make it an array"
        )

    def shuffled(owner: Any, given: tuple[Any, ...], *more: Any, **keywords: Any) -> list[Any]:
        entries = list(given)
        owner.shuffle(entries, *more, **keywords)
        return entries

    path = current_trace().captures.path_of(values)
    if path is not None:
        raise UnsupportedError(
            f"a list from outside is shuffled ({describe(user_location())}); shuffle a copy, list(values), or an array"
        )
    owner = function.__self__
    values[:] = _run(shuffled, (owner, tuple(values), *rest), kwargs, f"{type(owner).__name__}.shuffle", [])


# ---------------------------------------------------------------------------------------------------------------- dims

_POSITIONS = [
    "random random_sample standard_normal standard_exponential standard_cauchy tomaxint ranf sample",
    "chisquare exponential geometric pareto poisson power rayleigh standard_gamma standard_t weibull zipf logseries "
    "choice dirichlet",
    "beta binomial f gamma gumbel integers randint random_integers laplace logistic lognormal negative_binomial "
    "noncentral_chisquare normal uniform vonmises wald multinomial multivariate_normal multivariate_hypergeometric",
    "hypergeometric noncentral_f triangular",
]
_SIZE_AT = {name: position for position, names in enumerate(_POSITIONS) for name in names.split()}
_VECTORS = {"dirichlet": 0, "multinomial": 1, "multivariate_normal": 0, "multivariate_hypergeometric": 0}
_LIKE_ARGUMENT = ("permutation", "permuted")


def _dims_of_draw(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Dims] | None:
    """The dims of what a method gives, where a rule knows them; checked by the sample."""
    name = function.__name__
    own = args[1:] if isinstance(function, _Method) else args
    if isinstance(function, _Method) and not type(args[0]).__module__.startswith("numpy"):
        return None
    if name in ("rand", "randn"):
        return [tuple(map(as_dim, own))]
    if name in _LIKE_ARGUMENT:
        return [dims_of(own[0])] if isinstance(own[0], (Tracer, np.ndarray)) and _rank(own[0]) else [_size(own[0])]
    position = _SIZE_AT.get(name)
    if position is None:
        return None
    size = kwargs["size"] if "size" in kwargs else own[position] if len(own) > position else None
    parameters = [x for x in [*own[:position], *kwargs.values()] if isinstance(x, (Tracer, np.ndarray))]
    if name in _VECTORS or name == "choice":
        vector = own[_VECTORS.get(name, 0)] if len(own) > _VECTORS.get(name, 0) else None
        dims = dims_of(vector) if isinstance(vector, (TracedArray, np.ndarray)) else ()
        return [(*_size(size), *(dims[1:] if name == "choice" else dims[-1:]))]
    if size is not None:
        return [_size(size)]
    found = broadcast_dims([dims_of(x) for x in parameters])
    return None if found is None else [found]


def _rank(value: Any) -> int:
    return len(value.dims) if isinstance(value, Tracer) else value.ndim


def _size(size: Any) -> Dims:
    if size is None:
        return ()
    sizes: Sequence[Any] = size if isinstance(size, (tuple, list)) else (size,)
    dims: list[DimLike] = [as_dim(s) for s in sizes]
    return tuple(dims)
