"""NumPy's functions as compositions of primitives, by theme. Importing this package registers all of them."""

from tracejit.trace import creation, indexing, ufuncs  # noqa: F401
from tracejit.trace.numpy_api import (  # noqa: F401
    choosing,
    contraction,
    editing,
    fourier,
    grids,
    histograms,
    joining,
    linear_algebra,
    linear_systems,
    memory_views,
    methods,
    quantiles,
    reductions,
    searching,
    selecting,
    shaping,
    signals,
    sorting,
    statistics,
    ufunc_methods,
)
