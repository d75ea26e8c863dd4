"""The values of one LLVM function under construction, and the emission of elementwise operations on them.

Inside a vector loop a value is *uniform* (a scalar, the same in each lane), *linear* (an index that moves with the
lanes) or *varying* (a register of lanes). What is uniform and does not change in the loop is computed before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from tracejit.codegen_llvm import scalar_float, scalar_integer
from tracejit.codegen_llvm.alias_scopes import AliasScopes
from tracejit.codegen_llvm.linear_index import Linear
from tracejit.codegen_llvm.registers import Register, Text, named_register, register
from tracejit.codegen_llvm.scalar import row
from tracejit.codegen_llvm.scalar_cast import bitcast, cast
from tracejit.codegen_llvm.writer import Chunk, Module, Writer
from tracejit.errors import VerifyError
from tracejit.ir.core import Eqn, Function, Literal, Operand, Value
from tracejit.ir.dims import Atom, Dim, DimLike, symbols_of
from tracejit.ir.ops.check import VALUES

if TYPE_CHECKING:
    from tracejit.codegen_llvm.emit_reduce import ExtremeAccumulator
    from tracejit.codegen_llvm.emit_streams import VectorLoop
    from tracejit.codegen_llvm.target_cpu import Target

__all__ = ["HANDLERS", "Body", "Memory", "NotVectorisable", "Shared", "handles"]

Handler: TypeAlias = "Callable[[Body, Eqn], None]"
HANDLERS: dict[str, Handler] = {}
INDEX = named_register("i64")


def handles(name: str) -> Callable[[Handler], Handler]:
    """Register the function that emits an operation which is not elementwise."""

    def add(handler: Handler) -> Handler:
        HANDLERS[name] = handler
        return handler

    return add


class NotVectorisable(Exception):
    """A loop cannot run in lanes; it is emitted again as a serial one."""


class Memory:
    """What is known of one buffer: its number for alias metadata, and how many lanes own a copy of it."""

    __slots__ = ("lanes", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.lanes = 1


class Shared:
    """What all functions of one kernel share."""

    def __init__(self, target: Target, module: Module) -> None:
        self.target = target
        self.module = module
        self.memories: dict[Value, Memory] = {}
        self.scopes = AliasScopes()
        self.bodies: dict[str, str] = {}  # what follows the name of a loop body's function -> its symbol
        self.buffers = 0

    def memory(self, buffer: Value) -> Memory:
        """The record of a buffer, made when it is first met."""
        found = self.memories.get(buffer)
        if found is None:
            found = self.memories[buffer] = Memory(self.buffers)
            self.buffers += 1
        return found


class _Scalars(dict[Any, Any]):
    """Texts of uniform values; those of an enclosing function are fetched when they are first used."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body

    def __missing__(self, value: Value) -> Any:
        text = self[value] = self.body.outside(value)
        return text


class Body(Writer):
    """One LLVM function under construction. Subclasses say where values, sizes and the context come from."""

    def __init__(self, shared: Shared, fma: bool) -> None:
        super().__init__(shared.module, fma)
        self.shared = shared
        self.scalars: dict[Any, Any] = _Scalars(self)
        self.vectors: dict[Any, Any] = {}
        self.linears: dict[Any, Linear] = {}
        self.splats: dict[Any, Any] = {}  # uniform and linear values as registers
        self.known: dict[str, str] = {}  # index arithmetic by its text
        self.undo: list[tuple[dict[Any, Any], Any]] = []
        self.lanes = 1
        self.loop: VectorLoop | None = None
        self.mask: str | None = None  # the lanes that are active, inside a branch that not all take
        self.live: list[tuple[str, str]] = []  # allocated memory: (pointer, bytes)
        self.cold: list[Any] = []  # blocks that are hardly ever entered
        self.dims: dict[DimLike, str] = {}
        self.late: dict[str, str] = {}  # size symbols that operations of this function have bound
        self.unrounded: set[Value] = set()  # half-precision sums that are kept as floats
        self.extremes: dict[Any, tuple[Value, ExtremeAccumulator]] = {}  # by result: the carry, and what steps it
        self.can_fail = False  # whether a check may fail in it
        self.can_leave = False  # whether it ends early after a failed check
        self.context_text = ""

    # --------------------------------------------------------------------- from outside the function

    def outside(self, value: Value) -> Any:
        """The text of a value that is not defined in this function."""
        raise NotImplementedError

    def outside_dim(self, dim: DimLike) -> str:
        """The text of a dim, from outside the function or computed in its entry."""
        raise NotImplementedError

    def make_context(self) -> str:
        """The text of the pointer to the kernel's context, when it is first asked for."""
        raise NotImplementedError

    def leave(self) -> list[str]:
        """The lines that leave the function after an error."""
        raise NotImplementedError

    def context(self) -> str:
        """The text of the pointer to the kernel's context."""
        if not self.context_text:
            self.context_text = self.make_context()
        return self.context_text

    # ------------------------------------------------------------------------------------ regions

    def run(self, eqns: Sequence[Eqn]) -> None:
        """Emit equations in order."""
        for eqn in eqns:
            handler = HANDLERS.get(eqn.op.name)
            if handler is None:
                self.elementwise(eqn)
            else:
                handler(self, eqn)

    def region(self, region: Function) -> None:
        """Emit a region's equations; what was remembered inside is forgotten, what was allocated inside released."""
        mark, live = len(self.undo), len(self.live)
        self.run(region.eqns)
        self.release(live)
        self.forget(mark)

    def forget(self, mark: int) -> None:
        """Forget what was remembered since ``undo`` had ``mark`` entries."""
        for known, key in self.undo[mark:]:
            known.pop(key, None)
        del self.undo[mark:]

    def snapshot(self) -> tuple[Any, ...]:
        """What to go back to, when an attempt to emit something in lanes is given up."""
        counts = (len(self.out), len(self.undo), len(self.live), len(self.cold), len(self.module.messages))
        return self.out, self.block, counts

    def restore(self, state: tuple[Any, ...]) -> None:
        """Drop what was emitted since the snapshot."""
        self.out, self.block, (lines, undo, live, cold, messages) = state
        self.forget(undo)
        del self.out[lines:], self.live[live:], self.cold[cold:], self.module.messages[messages:]
        self.loop, self.lanes, self.mask = None, 1, None

    def release(self, down_to: int = 0, *, keep: bool = False) -> None:
        """Emit the release of allocated memory, the latest first, until ``down_to`` blocks are left."""
        for pointer, size in reversed(self.live[down_to:]):
            self.out.extend(release_lines(self, pointer, size))
        if not keep:
            del self.live[down_to:]

    # -------------------------------------------------------------------------------- value access

    def scalar(self, operand: Operand) -> Any:
        """The text of a uniform operand."""
        if type(operand) is Literal:
            return register(operand.type.dtype).literal(operand)
        return self.scalars[operand]

    def is_varying(self, operand: Operand) -> bool:
        """Whether an operand differs between lanes."""
        return operand in self.vectors or operand in self.linears if type(operand) is Value else False

    def vector(self, operand: Operand) -> Any:
        """The text of an operand as a register of all lanes."""
        if type(operand) is Literal:
            return register(operand.type.dtype, self.lanes).literal(operand)
        assert isinstance(operand, Value)
        found = self.vectors.get(operand)
        if found is None:
            found = self.splats.get(operand)
        if found is None:
            if operand in self.linears:
                found = self.linear_vector(self.linears[operand])
                self.remember(self.splats, operand, found)
            else:
                k = register(operand.type.dtype, self.lanes)
                found = self.splat_uniform(k, self.scalars[operand])
        return found

    def remember(self, known: dict[Any, Any], key: Any, text: Any) -> None:
        """Keep the text of something for as long as the current region lasts."""
        known[key] = text
        self.undo.append((known, key))

    def splat_uniform(self, k: Register, text: Any) -> Any:
        """A scalar in every lane, made before the loop if it does not change inside."""
        if type(text) is tuple:
            return self.splat_uniform(k.part, text[0]), self.splat_uniform(k.part, text[1])  # type: ignore[arg-type]
        key = (k.element, text)
        found = self.splats.get(key)
        if found is None:
            loop = self.loop
            if loop is None or text in loop.inner:
                found = self.splat(k, text)
                self.remember(self.splats, key, found)
            else:
                found = self.at(loop.pre, lambda: self.splat(k, text))
                loop.remember(self.splats, key, found)
        return found

    def lane_index(self) -> str:
        """The loop's index in each lane, as i64; lanes behind the end repeat the last index."""
        found: str | None = self.splats.get("lanes")
        if found is None:
            loop, k = self.loop, named_register("i64", self.lanes)
            assert loop is not None
            steps = ", ".join([f"i64 {lane}" for lane in range(self.lanes)])
            found = self.op(f"add {k.type} {self.splat(k, loop.index)}, <{steps}>") if self.lanes > 1 else loop.index
            if loop.has_tail:
                last = self.splat_uniform(k, self.index_op("add", loop.upper, "-1"))
                found = self.op(f"call {k.type} @llvm.smin.{k.suffix}({k.type} {found}, {k.type} {last})")
            self.remember(self.splats, "lanes", found)
        return found

    def linear_vector(self, linear: Linear) -> str:
        """A linear index in each lane."""
        k = named_register("i64", self.lanes)
        text = self.lane_index()
        if linear.stride != 1:
            text = self.op(f"mul {k.type} {text}, {k.number(linear.stride)}")
        start = self.index_op("add", linear.base or "0", str(linear.offset))
        return text if start == "0" else self.op(f"add {k.type} {text}, {self.splat_uniform(k, start)}")

    # ---------------------------------------------------------------------------- uniform arithmetic

    def hoisted(self, texts: Sequence[Any], emit: Callable[[], Any]) -> Any:
        """Emit a uniform computation: before the vector loop, if its operands do not change inside."""
        loop = self.loop
        if loop is None:
            return emit()
        for text in texts:
            if text in loop.inner:
                result = emit()
                loop.changes(result)
                return result
        return self.at(loop.pre, emit)

    def index_op(self, name: str, a: str, b: str) -> str:
        """``add``, ``sub`` or ``mul`` of uniform i64: constants folded, equal ones reused."""
        if a[0] != "%" and b[0] != "%":
            x, y = int(a), int(b)
            return str(x + y if name == "add" else x - y if name == "sub" else x * y)
        if (b == "0" and name != "mul") or (b == "1" and name == "mul"):
            return a
        if (a == "0" and name == "add") or (a == "1" and name == "mul"):
            return b
        if name == "mul" and "0" in (a, b):
            return "0"
        return self.uniform(f"{name} i64 {a}, {b}", a, b)

    def uniform(self, text: str, *operands: str) -> str:
        """A uniform instruction on scalars, reused where it was emitted before."""
        loop = self.loop
        found = self.known.get(text)
        if found is not None:
            return found
        if loop is None or not loop.inner.isdisjoint(operands):
            found = self.op(text)
            if loop is not None:
                loop.inner.add(found)
            self.remember(self.known, text, found)
        else:
            found = self.at(loop.pre, lambda: self.op(text))
            loop.remember(self.known, text, found)
        return found

    def dim(self, dim: DimLike) -> str:
        """The text of a size."""
        if type(dim) is int:
            return str(dim)
        assert isinstance(dim, Dim)
        if self.late and not self.late.keys().isdisjoint(symbols_of(dim)):
            return self.polynomial(dim)
        found = self.dims.get(dim)
        if found is None:
            found = self.dims[dim] = self.outside_dim(dim)
        return found

    # ---------------------------------------------------------------------------------- elementwise

    def elementwise(self, eqn: Eqn) -> None:
        """Emit a rank-0 elementwise operation in the form its operands need."""
        result = eqn.results[0]
        operands = eqn.operands
        if self.loop is not None:
            vectors, linears = self.vectors, self.linears
            moving = False
            for operand in operands:
                if type(operand) is Value:
                    if operand in vectors:
                        self._varying(eqn, result, operands)
                        return
                    moving = moving or operand in linears
            if moving:
                linear = self._linear(eqn)
                if linear is None:
                    self._varying(eqn, result, operands)
                else:
                    linears[result] = linear
                return
            texts = [self.scalar(o) for o in operands]
            self.scalars[result] = self.hoisted(texts, lambda: self._compute(eqn, 1, texts))
            return
        scalars = self.scalars
        texts = [register(o.type.dtype).literal(o) if type(o) is Literal else scalars[o] for o in operands]
        scalars[result] = self._compute(eqn, 1, texts)

    def _varying(self, eqn: Eqn, result: Value, operands: Sequence[Operand]) -> None:
        if eqn.op.name == "select" and not self.is_varying(operands[0]):
            k = register(result.type.dtype, self.lanes)
            condition, a, b = self.scalar(operands[0]), self.vector(operands[1]), self.vector(operands[2])
            self.vectors[result] = choose(self, k, condition, a, b, "i1")
            return
        if self.extremes and result in self.extremes:
            carry, accumulator = self.extremes[result]
            term = operands[1] if operands[0] is carry else operands[0]
            self.vectors[result] = accumulator.step(self, self.vector(term))
            return
        vectors = self.vectors
        texts = [vectors[o] if o in vectors else self.vector(o) for o in operands]
        vectors[result] = self._compute(eqn, self.lanes, texts)

    def _compute(self, eqn: Eqn, lanes: int, texts: list[Any]) -> Any:
        """Emit an elementwise operation on scalars or registers."""
        name = eqn.op.name
        r = register(eqn.results[0].type.dtype, lanes)
        if not eqn.operands:
            raise VerifyError(f"{name} reached code generation, which knows the loop level only")
        k = register(eqn.operands[0].type.dtype, lanes)
        if name == "select":
            return choose(self, r, texts[0], texts[1], texts[2], r.mask)
        if name == "cast":
            return cast(self, k, r, texts[0])
        if name == "bitcast":
            return bitcast(self, k, r, texts[0])
        if name == "ldexp":
            e = register(eqn.operands[1].type.dtype, lanes)
            scaled = scalar_float.ldexp(self, k, r, texts[0], texts[1], e)
            return scalar_float.round_half(self, r, scaled) if r.group == "h" else scaled
        if k.group == "h" and eqn.results[0] in self.unrounded:
            return row(name, "f")(self, named_register("f32", lanes), r, *texts)
        return row(name, k.group)(self, k, r, *texts)

    def _linear(self, eqn: Eqn) -> Linear | None:
        """The result as a linear index, if it is one."""
        name = eqn.op.name
        if name == "neg":
            a = self.linears[eqn.operands[0]]
            return self._scaled(a, -1)
        if name not in ("add", "sub", "mul"):
            if name == "cast" and eqn.results[0].type == eqn.operands[0].type:
                return self.linears[eqn.operands[0]]
            return None
        left, right = (self.linears.get(o) or self._constant(o) for o in eqn.operands)
        if name == "mul":
            if left.stride:
                left, right = right, left
            return None if left.base or left.stride else self._scaled(right, left.offset)
        sign = 1 if name == "add" else -1
        base = self.index_op(name, left.base or "0", right.base) if right.base else left.base
        stride = left.stride + sign * right.stride
        return Linear(stride, base, left.offset + sign * right.offset) if stride else None

    def _constant(self, operand: Operand) -> Linear:
        text = self.scalar(operand)
        return Linear(0, text, 0) if text[0] == "%" else Linear(0, "", int(text))

    def _scaled(self, linear: Linear, factor: int) -> Linear | None:
        if not factor:
            return None
        base = self.index_op("mul", linear.base, str(factor)) if linear.base else ""
        return Linear(linear.stride * factor, base, linear.offset * factor)

    # --------------------------------------------------------------------------------------- errors

    def fail_if(self, condition: str, code: int, values: Callable[[], Sequence[str]]) -> None:
        """Leave the function with an error, recorded in the context, if a uniform condition holds."""
        self.can_fail = True
        failed, fine = self.label(), self.label()
        self.unlikely(condition, failed, fine)
        after = Chunk(failed)
        self.cold.append(after.lines)
        self.at(after, lambda: self._record(failed, code, values))
        self.start(fine)

    def _record(self, failed: str, code: int, values: Callable[[], Sequence[str]]) -> None:
        self.start(failed)
        reported = "".join([f", i64 {value}" for value in (*values(), *["0"] * VALUES)[:VALUES]])
        self.module.helpers.setdefault("@tj.fail", FAIL)
        self.out.append(f"call void @tj.fail(ptr {self.context()}, i64 {code}{reported})")
        self.release(keep=True)
        self.can_leave = True
        self.out.extend(self.leave())

    def leave_if_failed(self) -> None:
        """Leave the function if a check failed in one that it called."""
        self.can_fail = True
        place = self.op(f"getelementptr i8, ptr {self.context()}, i64 32")
        code = self.op(f"load i64, ptr {place}, align 8")
        failed, fine = self.label(), self.label()
        self.unlikely(self.op(f"icmp ne i64 {code}, 0"), failed, fine)
        after = Chunk(failed)
        self.cold.append(after.lines)

        def end() -> None:
            self.start(failed)
            self.release(keep=True)
            self.can_leave = True
            self.out.extend(self.leave())

        self.at(after, end)
        self.start(fine)

    # ------------------------------------------------------------------------------------------ dims

    def polynomial(self, dim: Dim) -> str:
        """Emit the value of a dim at the current place."""
        total = "0"
        for monomial, coefficient in dim.terms.items():
            value = str(coefficient)
            for factor in monomial:
                value = self.index_op("mul", self._atom(factor), value)
            total = self.index_op("add", total, value)
        return total

    def _atom(self, atom: Atom) -> str:
        if atom.kind == "symbol":
            return self.late.get(atom.name) or self.dim(Dim({(atom,): 1}))
        a, b = (self.dim(arg) for arg in atom.args)
        key = f"{atom.kind} {a}, {b}"
        found = self.known.get(key)
        if found is None:
            found = self.hoisted((a, b), lambda: self._operation(atom.kind, a, b))
            loop = self.loop
            if loop is None or found in loop.inner:
                self.remember(self.known, key, found)
            else:
                loop.remember(self.known, key, found)
        return found

    def _operation(self, kind: str, a: str, b: str) -> str:
        if kind == "floordiv":
            return scalar_integer.floor_divide(self, INDEX, INDEX, a, b)
        if kind == "mod":
            return scalar_integer.floor_remainder(self, INDEX, INDEX, a, b)
        return self.intrinsic("s" + kind, INDEX, a, b)


def choose(w: Writer, k: Register, condition: str, a: Text, b: Text, mask: str) -> Any:
    """Select between two values (or two pairs)."""
    if type(a) is tuple:
        return choose(w, k, condition, a[0], b[0], mask), choose(w, k, condition, a[1], b[1], mask)
    return w.op(f"select {mask} {condition}, {k.type} {a}, {k.type} {b}")


def release_lines(body: Body, pointer: str, size: str) -> list[str]:
    """The lines that give memory back to the pool."""
    context = body.context()
    place, function = body.fresh(), body.fresh()
    return [
        f"{place} = getelementptr i8, ptr {context}, i64 16",
        f"{function} = load ptr, ptr {place}, align 8",
        f"call void {function}(ptr {pointer}, i64 {size})",
    ]


_REPORTED = "".join([f", i64 %value{k}" for k in range(VALUES)])
_STORED = "\n".join(
    [
        f"%at{k} = getelementptr i8, ptr %context, i64 {40 + 8 * k}\nstore i64 %value{k}, ptr %at{k}"
        for k in range(VALUES)
    ]
)
FAIL = f"""define internal void @tj.fail(ptr %context, i64 %code{_REPORTED}) noinline cold nounwind {{
%place = getelementptr i8, ptr %context, i64 32
%pair = cmpxchg ptr %place, i64 0, i64 %code acq_rel monotonic
%won = extractvalue {{ i64, i1 }} %pair, 1
br i1 %won, label %record, label %done
record:
{_STORED}
br label %done
done:
ret void
}}"""
