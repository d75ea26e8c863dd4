"""Element-wise mathematical functions as LLVM IR text, for any vector width, on CPU and GPU.

Owns the text of each function and its accuracy: at most 2 units in the last place over the whole range (logaddexp,
logaddexp2: of the larger argument), special values as in C99 and NumPy, the same bits at every width. Must not know
of loops, memory or targets. Only `definition`, `NAMES` and `ARITY` are for others. There are no fast-math flags
anywhere, no tables except the bits of 1/(2 pi), and no branches except the one to the exact reduction of huge
arguments of sin, cos and tan.

With `fma=True` the text calls llvm.fma, which must be an instruction of the target (else it is a slow library call);
with `fma=False` exact products are split by Dekker's method, which may double the time where many of them are needed.
"""

from __future__ import annotations

from functools import cache

from tracejit.codegen_llvm.vector_math.builder import FORMATS, Body, Builder, Definition, Value, finish
from tracejit.codegen_llvm.vector_math.error_function import erf, erfc
from tracejit.codegen_llvm.vector_math.exponential import exp, exp2, expm1, sigmoid
from tracejit.codegen_llvm.vector_math.hyperbolic import arccosh, arcsinh, arctanh, cosh, sinh, tanh
from tracejit.codegen_llvm.vector_math.inverse_trig import arccos, arcsin, arctan, arctan2
from tracejit.codegen_llvm.vector_math.logarithm import log, log1p, log2, log10, logaddexp, logaddexp2, softplus
from tracejit.codegen_llvm.vector_math.power import cbrt, hypot, pow
from tracejit.codegen_llvm.vector_math.trigonometric import cos, sin, tan

__all__ = ["ARITY", "NAMES", "Definition", "definition"]

_UNARY: tuple[Body, ...] = (
    *(exp, exp2, expm1, sigmoid),
    *(log, log2, log10, log1p, softplus),
    *(sin, cos, tan, arcsin, arccos, arctan),
    *(sinh, cosh, tanh, arcsinh, arccosh, arctanh),
    *(erf, erfc, cbrt),
)
_BINARY: tuple[Body, ...] = (pow, arctan2, hypot, logaddexp, logaddexp2)
_BODIES = {body.__name__: body for body in (*_UNARY, *_BINARY)}

# The number of arguments of each function.
ARITY = {body.__name__: 1 for body in _UNARY} | {body.__name__: 2 for body in _BINARY}
NAMES = frozenset(_BODIES)


@cache
def definition(name: str, type_name: str, width: int, inline: bool = True, fma: bool = True) -> Definition:
    """The function `name` of `type_name` ("f32" or "f64") on `width` lanes, its arguments in the order of NumPy's.

    >>> definition("exp", "f64", 8).symbol
    'tj.exp.f64.v8'
    """
    builder = Builder(FORMATS[type_name], width, fma)
    arguments = ("x", "y")[: ARITY[name]]
    result = _BODIES[name](builder, *[Value(builder, f"%{argument}", "f") for argument in arguments])
    return finish(builder, name, arguments, result, "alwaysinline nounwind" if inline else "noinline nounwind")
