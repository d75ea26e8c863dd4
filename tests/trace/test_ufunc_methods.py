"""reduce, accumulate, outer, at and reduceat of every universal function of two operands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.trace.harness import check, function_of

# NumPy's vector loops of arctan2 and power give other values than one element after the other in a reduction.
# ldexp, divmod and the comparisons have no loops that can be folded.
LEFT_OUT = "arctan2 power float_power ldexp divmod less less_equal greater greater_equal equal not_equal".split()
UFUNCS = sorted(
    {
        f.__name__
        for f in (getattr(np, name) for name in dir(np))
        if isinstance(f, np.ufunc) and f.nin == 2 and not f.signature and f.__name__ not in LEFT_OUT
    }
)
BODIES = [
    "U.reduce(x)", "U.reduce(x, 1)", "U.reduce(x, axis=None)", "U.reduce(x, (0, 1), keepdims=True)",
    "U.reduce(x, 0, where=m)", "U.reduce(x, 0, initial=1)", "U.reduce(x, 0, initial=1, where=m)", "U.reduce(e, 1)",
    "U.reduce(e)", "U.reduce(s)", "U.reduce(x, -1, keepdims=True)", "U.reduce(x, 7)", "U.accumulate(x)",
    "U.accumulate(x, 1)", "U.accumulate(e)", "U.accumulate(e, 1)", "U.accumulate(s)", "U.accumulate(x, axis=None)",
    "U.reduceat(v, [0, 2, 1, 4])", "U.reduceat(x, i, axis=0)", "U.reduceat(x, [0, 2], axis=1)", "U.reduceat(v, i)",
    "U.outer(v, x)", "U.outer(v, 2)", "U.outer(s, x)", "U.outer(2, v)", "r = v.copy(); U.at(r, [0, 1, 0], 2); return r",
    "r = v.copy(); U.at(r, i, v[:4]); return r", "r = v.copy(); U.at(r, slice(1, 3), 1); return r",
    "r = x.copy(); U.at(r, (slice(None), [0, 0, 1]), v[:3]); return r", "U.at(v[1:], [0, 0], 3); return v",
    "r = x.copy(); U.at(r, [0, 0], v[:5]); return r", "r = x.copy(); U.at(r, m, 3); return r",
    "r = v.copy(); U.at(r, [9], 3); return r", "r = v.copy(); U.at(r, [0, 1, 0]); return r",
]  # fmt: skip


def arguments(dtype: str) -> tuple[Any, ...]:
    random = np.random.default_rng(0)

    def make(*shape: int) -> Any:
        found = random.integers(0, 4, shape)
        kind = np.dtype(dtype).kind
        return (found / 2 + 1j * (found % 2) if kind == "c" else found / 2 + 0.25 if kind == "f" else found).astype(
            dtype
        )

    return make(4, 3), make(5), make(), make(0, 3), np.array([2, 0, 1, 1]), np.array([[True, False, True]] * 4)


@pytest.mark.parametrize("ufunc", UFUNCS)
def test_methods(ufunc: str) -> None:
    for body in BODIES:
        for dtype in "?bBldF":
            # gcd and lcm have no loops of floats; which of the dtypes the error names is not compared.
            function = function_of(body.replace("U.", f"np.{ufunc}."), "x, v, s, e, i, m")
            check(function, *arguments(dtype), text=ufunc not in ("gcd", "lcm"))
