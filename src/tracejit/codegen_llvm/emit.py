"""Loop-level functions to LLVM text: the kernel function, its module, and what the caller must know of it.

The calling convention is that of docs/architecture.md, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.codegen_llvm import (
    emit_branches,  # noqa: F401  (registers what it emits, as the three below)
    emit_calls,  # noqa: F401
    emit_memory,  # noqa: F401
    emit_parallel,  # noqa: F401
)
from tracejit.codegen_llvm.emit_body import Body, NotVectorisable, Shared, handles
from tracejit.codegen_llvm.registers import named_register, register
from tracejit.codegen_llvm.target_cpu import Target, has_fma
from tracejit.codegen_llvm.writer import Message, Module, flatten
from tracejit.errors import VerifyError
from tracejit.ir.core import Eqn, Function, Literal, Value
from tracejit.ir.dims import Dim, DimLike
from tracejit.ir.types import BufferType

__all__ = ["Kernel", "Message", "emit_kernel"]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel as LLVM text.

    messages: what code k + 1 of a failed check means.
    symbols:  the C symbols that the text calls.
    """

    text: str
    messages: tuple[Message, ...]
    symbols: frozenset[str]


class _KernelBody(Body):
    """The kernel function itself: values come from its arguments."""

    def __init__(self, shared: Shared, fma: bool, function: Function) -> None:
        super().__init__(shared, fma)
        self.positions = {param: position for position, param in enumerate(function.params)}
        self.symbols = {name: position for position, name in enumerate(function.symbols())}

    def outside(self, value: Value) -> str:
        position = self.positions.get(value)
        if position is None:
            raise VerifyError(f"a value of type {value.type} is used before it is defined")
        if not isinstance(value.type, BufferType):
            raise VerifyError(f"a parameter of a loop-level function is {value.type}, not a buffer")
        return self._argument("%data", "ptr", position)

    def _argument(self, array: str, of: str, position: int) -> str:
        place, name = self.fresh(), self.fresh()
        self.entry.lines.append(f"{place} = getelementptr {of}, ptr {array}, i64 {position}")
        self.entry.lines.append(f"{name} = load {of}, ptr {place}, align 8, !invariant.load !0")
        return name

    def outside_dim(self, dim: DimLike) -> str:
        assert isinstance(dim, Dim)
        name = dim.as_symbol
        if name is not None:
            return self._argument("%sizes", "i64", self.symbols[name])
        loop, known = self.loop, self.known
        self.loop, self.known = None, {}
        text: str = self.at(self.entry, lambda: self.polynomial(dim))
        self.loop, self.known = loop, known
        return text

    def make_context(self) -> str:
        return "%context"

    def leave(self) -> list[str]:
        return ["br label %failed"]


def emit_kernel(function: Function, target: Target, callbacks: Sequence[Any] = ()) -> Kernel:
    """The kernel of a loop-level function, whose params are buffers in the order of the kernel's data.

    callbacks: the Python functions that it may call, by number; the caller of the kernel has the same list.

    Example:
        >>> from tracejit.codegen_llvm.engine import host_target
        >>> "define i32 @kernel" in emit_kernel(Function("f", (), (), ()), host_target()).text
        True
    """
    module = Module(functions_called_back=list(callbacks))
    shared = Shared(target, module)
    body = _KernelBody(shared, has_fma(target), function)
    body.region(function)
    body.out.append("ret i32 0")
    if body.can_leave:
        body.cold.append(
            [
                "failed:",
                "%error_place = getelementptr i8, ptr %context, i64 32",
                "%error = load i64, ptr %error_place, align 8",
                "%error_code = trunc i64 %error to i32",
                "ret i32 %error_code",
            ]
        )
    lines = [*flatten(body.entry.lines), *flatten(body.body.lines), *flatten(body.cold)]
    head = "define i32 @kernel(ptr noalias %data, ptr noalias %sizes, ptr %context) nounwind {\nentry:\n"
    module.functions.append(shared.scopes.settle(head + "\n".join(lines) + "\n}"))
    text = module.text() + "\n".join(_metadata(shared)) + "\n"
    return Kernel(text, tuple(module.messages), frozenset(module.symbols))


def _metadata(shared: Shared) -> list[str]:
    """Branch weights, and which buffers an access cannot touch."""
    head = ["!0 = !{}", '!1 = !{!"branch_weights", i32 1, i32 100000}', "!2 = distinct !{!2}"]
    head += ['!3 = !{!"llvm.loop.unroll.disable"}', '!4 = !{!"llvm.loop.isvectorized", i32 1}']
    return [*head, *shared.scopes.lines()]


@handles("dim")
def _dim(body: Body, eqn: Eqn) -> None:
    body.scalars[eqn.results[0]] = body.dim(eqn.attrs["dim"])


@handles("bind_size")
def _bind_size(body: Body, eqn: Eqn) -> None:
    """A size symbol gets its value for the rest of the region."""
    (x,) = eqn.operands
    if body.is_varying(x):
        raise NotVectorisable
    body.remember(body.late, eqn.attrs["symbol"], body.scalar(x))


@handles("wrap_index")
def _wrap_index(body: Body, eqn: Eqn) -> None:
    """``i + n`` for negative ``i``; outside of [-n, n) an IndexError. With ``error``: that outside of [0, n)."""
    i, n = eqn.operands
    varying = body.is_varying(i)
    if body.is_varying(n):
        raise VerifyError("wrap_index: the size must be the same in all lanes")
    k = named_register("i64", body.lanes if varying else 1)
    index, size = (body.vector(i), body.vector(n)) if varying else (body.scalar(i), body.scalar(n))
    error: str = eqn.attrs.get("error", "")
    text = f"index {{0}} is out of bounds for axis {eqn.attrs.get('axis', 0)} with size {{1}}"
    body.module.messages.append(Message(error or "IndexError", eqn.attrs["text"] if error else text, eqn.loc))
    code = len(body.module.messages)

    def emit() -> str:
        wrapped = index
        if not error:
            negative = body.op(f"icmp slt {k.type} {index}, {k.number(0)}")
            moved = body.op(f"add {k.type} {index}, {size}")
            wrapped = body.select(k, negative, moved, index)
        outside = body.op(f"icmp uge {k.type} {wrapped}, {size}")
        if varying and body.mask is not None:
            outside = body.op(f"and {k.mask} {outside}, {body.mask}")

        def values() -> Sequence[str]:
            return _first_lane(body, k, outside, index), body.scalar(n)

        body.fail_if(body.any_lane(k, outside), code, values)
        return str(wrapped)

    if varying:
        body.vectors[eqn.results[0]] = emit()
    else:
        result = emit()
        body.scalars[eqn.results[0]] = result
        if body.loop is not None:
            body.loop.inner.add(result)


@handles("pow")
def _pow(body: Body, eqn: Eqn) -> None:
    """NumPy's error for integers to negative integer powers, then the power."""
    exponent = eqn.operands[1]
    if exponent.type.dtype.kind == "i" and not (type(exponent) is Literal and exponent.value >= 0):
        varying = body.is_varying(exponent)
        k = register(exponent.type.dtype, body.lanes if varying else 1)
        text = body.vector(exponent) if varying else body.scalar(exponent)
        negative = body.op(f"icmp slt {k.type} {text}, {k.number(0)}")
        if varying and body.mask is not None:
            negative = body.op(f"and {k.mask} {negative}, {body.mask}")
        message = "Integers to negative integer powers are not allowed."
        body.module.messages.append(Message("ValueError", message, eqn.loc))
        body.fail_if(body.any_lane(k, negative), len(body.module.messages), list)
    body.elementwise(eqn)


@handles("check")
def _check(body: Body, eqn: Eqn) -> None:
    """An error where the predicate does not hold."""
    pred, *reported = eqn.operands
    varying = body.is_varying(pred)
    k = named_register("bool", body.lanes if varying else 1)
    failed = body.op(f"xor {k.type} {body.vector(pred) if varying else body.scalar(pred)}, {k.number(True)}")
    if body.mask is not None:
        mask = named_register("bool", body.lanes)
        failed = body.op(f"and {mask.type} {failed if varying else body.splat(mask, failed)}, {body.mask}")
        k = mask
    body.module.messages.append(Message(eqn.attrs["exception"], eqn.attrs["text"], eqn.loc))

    def values() -> Sequence[str]:
        lanes = named_register("i64", k.lanes)
        return [
            _first_lane(body, lanes, failed, body.vector(v)) if body.is_varying(v) else body.scalar(v) for v in reported
        ]

    body.fail_if(body.any_lane(k, failed), len(body.module.messages), values)


def _first_lane(body: Body, k: Any, mask: str, vector: str) -> str:
    """The value of the first lane whose mask is set."""
    if k.lanes == 1:
        return vector
    bits = body.op(f"bitcast {k.mask} {mask} to i{k.lanes}")
    lane = body.op(f"call i{k.lanes} @llvm.cttz.i{k.lanes}(i{k.lanes} {bits}, i1 true)")
    wide = lane if k.lanes == 64 else body.op(f"zext i{k.lanes} {lane} to i64")
    return body.op(f"extractelement {k.type} {vector}, i64 {wide}")
