"""Which names the namespaces have, and what becomes of each: compiled, NumPy's own, or the standard's variant."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from tracejit.numpy.eager import compiled
from tracejit.numpy.through_numpy import THROUGH_NUMPY

__all__ = ["public_name"]

# Functions that compute no array: of dtypes, texts, files, settings, memory; those that call Python functions; those
# whose values decide about the dtype of the result.
_PLAIN = frozenset(
    """
    array2string array_repr array_str base_repr binary_repr format_float_positional format_float_scientific
    can_cast common_type issubdtype isdtype min_scalar_type mintypecode promote_types typename iterable
    fromregex genfromtxt load loadtxt save savetxt savez savez_compressed frombuffer fromfile fromiter fromstring
    get_include get_printoptions getbufsize geterr geterrcall info printoptions set_printoptions setbufsize seterr
    seterrcall show_config show_runtime test isfortran may_share_memory shares_memory nested_iters einsum_path
    apply_along_axis apply_over_axes fromfunction frompyfunc piecewise
    busday_count busday_offset datetime_as_string datetime_data is_busday
    asmatrix bmat from_dlpack require
    eig eigvals
    """.split()
)


def public_name(source: ModuleType, name: str, home: str, replacements: ModuleType | None = None) -> Any:
    """The attribute of the namespace ``home`` that stands for a name of NumPy's module ``source``.

    replacements: the module of the functions that differ from NumPy's, by their names.
    Raises AttributeError for names that NumPy does not export.
    """
    if replacements is not None and name in replacements.__all__:
        return getattr(replacements, name)
    if name not in source.__all__:
        raise AttributeError(f"module {home!r} has no attribute {name!r}")
    found = getattr(source, name)
    is_function = callable(found) and not isinstance(found, (type, ModuleType))
    if not is_function or name in _PLAIN or name in THROUGH_NUMPY:
        return found
    wrapper = compiled(found)
    wrapper.__module__ = home
    if isinstance(found, np.ufunc):
        for method in ("reduce", "accumulate", "reduceat", "outer", "at"):
            setattr(wrapper, method, compiled(getattr(found, method)))
    return wrapper
