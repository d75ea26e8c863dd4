from functools import lru_cache
from tracejit.codegen_llvm.vector_math.builder import *
from tracejit.codegen_llvm.vector_math import exponential, trigonometric
F={}
for m in (exponential,trigonometric):
    for k,v in vars(m).items():
        if not k.startswith('_') and callable(v): F[k]=v
@lru_cache(maxsize=None)
def definition(name, type_name, width, inline=True, fma=True):
    b = Builder(FORMATS[type_name], width, fma)
    f = F[name]
    return finish(b, name, ["x"], f(b, Value(b, "%x", "f")), "alwaysinline nounwind" if inline else "noinline nounwind")
