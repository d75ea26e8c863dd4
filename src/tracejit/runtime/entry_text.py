"""The machine code that one version of a function is called through, as LLVM text.

This module owns that text. An entry takes a vectorcall's arguments and its version's table; it runs the kernel if the
arguments fit the program and goes on to the next version otherwise. The text depends on what the arguments and results
look like and on nothing else: every address is read from the table, so equal signatures share one compiled entry, also
across processes. Which addresses the table holds is the other half of the result here; ``entry.py`` fills it in.
"""

from __future__ import annotations

from typing import NamedTuple

from tracejit.runtime import layout
from tracejit.runtime.dim_text import DimWriter, declarations
from tracejit.runtime.program import ArgumentSpec, Program, SymbolSource

__all__ = ["ENTRY_SYMBOL", "RELEASE_BYTES", "EntryText", "Slot", "entry_text"]

ENTRY_SYMBOL = "tracejit_entry"
RELEASE_BYTES = 1 << 16  # a kernel that touches more than this runs without the GIL, which costs some 50 ns

_RELATIONS = {"== 0": "eq", "!= 0": "ne", ">= 0": "sge"}
_PARAMS = "ptr %self, ptr %args, i64 %nargsf, ptr %kwnames, ptr %table"


class Slot(NamedTuple):
    """One variable field of a version's table: ``kind`` of argument or result ``number``.

    Kinds: ``dtype`` and ``scalar_type`` of an argument, its ``object`` (static, cell, dict or array) and ``key``;
    ``result_dtype`` of a result.
    """

    kind: str
    number: int


class EntryText(NamedTuple):
    """The LLVM text of an entry and the slots of the tables that it reads."""

    text: str
    slots: tuple[Slot, ...]


class _Argument(NamedTuple):
    """The names of what an entry knows of one argument."""

    object: str
    data: str = ""  # the address of the first element
    dims: tuple[str, ...] = ()
    value: str = ""  # of an int
    readable: str = ""  # whether a kernel can read an array where it lies; "" where nothing else gets this far


def entry_text(program: Program) -> EntryText:
    """The text of an entry for programs of this signature."""
    return _EntryWriter(program).write()


class _Writer:
    """Appends instructions; knows the tables but not what an entry does."""

    def __init__(self) -> None:
        self._allocas: list[str] = []
        self._lines: list[str] = []
        self._slots: list[Slot] = []
        self._names = 0

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"

    def _line(self, text: str) -> None:
        self._lines.append(f"  {text}")

    def _emit(self, instruction: str) -> str:
        name = f"%{self._name()}"
        self._line(f"{name} = {instruction}")
        return name

    def _label(self, name: str) -> None:
        self._lines.append(f"{name}:")

    def _block(self) -> str:
        """The label of the block that is being written."""
        return next(line[:-1] for line in reversed(self._lines) if not line.startswith(" "))

    def _alloca(self, words: int) -> str:
        name = f"%{self._name()}"
        self._allocas.append(f"  {name} = alloca [{max(words, 1)} x i64], align 16")
        return name

    def _at(self, base: str, offset: int) -> str:
        return self._emit(f"getelementptr i8, ptr {base}, i64 {offset}") if offset else base

    def _load(self, kind: str, base: str, offset: int) -> str:
        return self._emit(f"load {kind}, ptr {self._at(base, offset)}")

    def _store(self, kind: str, value: str, base: str, offset: int = 0) -> None:
        self._line(f"store {kind} {value}, ptr {self._at(base, offset)}")

    def _constant(self, base: str, offset: int) -> str:
        """A pointer from a table; tables do not change, so equal loads become one."""
        return self._emit(f"load ptr, ptr {self._at(base, offset)}, !invariant.load !0")

    def _api(self, name: str = "") -> str:
        """A pointer of the table that all entries share, or with no name that table."""
        base = self._constant("%table", layout.TABLE_API)
        return self._constant(base, layout.api_offset(name)) if name else base

    def _slot(self, kind: str, number: int) -> str:
        slot = Slot(kind, number)
        if slot not in self._slots:
            self._slots.append(slot)
        return self._constant("%table", layout.TABLE_SLOTS + 8 * self._slots.index(slot))

    def _call(self, kind: str, name: str, *operands: str) -> str:
        return self._emit(f"call {kind} {self._api(name)}({', '.join(operands)})")

    def _call_void(self, name: str, *operands: str) -> None:
        self._line(f"call void {self._api(name)}({', '.join(operands)})")

    def _branch(self, condition: str, yes: str, no: str) -> None:
        self._line(f"br i1 {condition}, label %{yes}, label %{no}")

    def _demand(self, condition: str) -> None:
        """Go on only where a condition holds; elsewhere the call belongs to the next version."""
        label = self._name()
        self._branch(condition, label, "miss")
        self._label(label)

    def _forbid(self, condition: str, otherwise: str = "miss") -> None:
        label = self._name()
        self._branch(condition, otherwise, label)
        self._label(label)

    def _count(self, offset: int, step: int) -> None:
        value = self._load("i64", "%self", offset)
        self._store("i64", self._emit(f"add i64 {value}, {step}"), "%self", offset)

    def _product(self, factor: int, dims: tuple[str, ...]) -> str:
        size = str(factor)
        for dim in dims:
            size = self._emit(f"mul i64 {size}, {dim}")
        return size


class _EntryWriter(_Writer):
    """Writes the steps of one call, in their order; see :meth:`write`."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program
        self._arguments: list[_Argument] = []
        self._symbols: list[str] = []
        self._leaves = self._alloca(len(program.results))
        self._copies = ""

    def write(self) -> EntryText:
        self._label("start")
        self._check_call()
        self._arguments = [self._argument(k, spec) for k, spec in enumerate(self._program.arguments)]
        self._symbols = [self._symbol(source) for _, source in self._program.symbols]
        names = (name for name, _ in self._program.symbols)
        dims = DimWriter(self._emit, dict(zip(names, self._symbols, strict=True)))
        self._check_sizes(dims)
        sizes = [self._product(spec.itemsize, a.dims) for spec, a in self._pairs() if spec.kind == "array"]
        self._check_overlap(sizes)
        shapes = [tuple(map(dims.write, result.dims)) for result in self._program.results]
        for condition in dims.bad:
            self._forbid(condition)
        self._begin()
        slots, fresh = self._allocate(shapes)
        self._check_kernel(*self._run(slots, sizes + fresh))
        self._make_scalars(slots)
        self._finish()
        return self._text()

    def _text(self) -> EntryText:
        start, *rest = self._lines
        body = "\n".join([start, *self._allocas, *rest])
        define = f"define ptr @{ENTRY_SYMBOL}({_PARAMS}) {{\n{body}\n}}\n"
        return EntryText(f"{declarations()}\n{define}\n!0 = !{{}}\n", tuple(self._slots))

    def _pairs(self) -> list[tuple[ArgumentSpec, _Argument]]:
        return list(zip(self._program.arguments, self._arguments, strict=True))

    # --------------------------------------------------------------------------------------- what is asked

    def _check_call(self) -> None:
        self._demand(self._emit("icmp eq ptr %kwnames, null"))
        count = self._emit(f"and i64 %nargsf, {2**63 - 1}")  # the highest bit is a flag
        self._demand(self._emit(f"icmp eq i64 {count}, {len(self._program.positional)}"))

    def _argument(self, k: int, spec: ArgumentSpec) -> _Argument:
        found = self._object(k, spec)
        if spec.kind == "array":
            return self._array(k, spec, found)
        if spec.kind == "static":
            self._demand(self._emit(f"icmp eq ptr {found}, {self._slot('object', k)}"))
            return _Argument(found)
        if spec.kind == "bool":
            return self._bool(found)
        kind = self._load("ptr", found, layout.OBJECT_TYPE)
        self._demand(self._emit(f"icmp eq ptr {kind}, {self._api(spec.kind)}"))
        if spec.kind == "int":
            return self._int(found)
        return _Argument(found, self._at(found, layout.OBJECT_VALUE))  # read where it lies in the object

    def _object(self, k: int, spec: ArgumentSpec) -> str:
        if spec.source == "call":
            return self._load("ptr", "%args", 8 * self._program.positional.index(k))
        held = self._slot("object", k)
        if spec.source == "object":
            return held
        if spec.source == "cell":
            found = self._load("ptr", held, layout.CELL_CONTENT)
        else:
            found = self._call("ptr", "dict_get", f"ptr {held}", f"ptr {self._slot('key', k)}")
        self._demand(self._emit(f"icmp ne ptr {found}, null"))
        return found

    def _int(self, found: str) -> _Argument:
        overflow, cell = self._alloca(1), self._alloca(1)
        value = self._call("i64", "int_value", f"ptr {found}", f"ptr {overflow}")
        self._demand(self._emit(f"icmp eq i32 {self._load('i32', overflow, 0)}, 0"))
        self._store("i64", value, cell)
        return _Argument(found, cell, value=value)

    def _bool(self, found: str) -> _Argument:
        cell = self._alloca(1)
        yes = self._emit(f"icmp eq ptr {found}, {self._api('true')}")
        no = self._emit(f"icmp eq ptr {found}, {self._api('false')}")
        self._demand(self._emit(f"or i1 {yes}, {no}"))
        self._store("i8", self._emit(f"zext i1 {yes} to i8"), cell)
        return _Argument(found, cell)

    def _array(self, k: int, spec: ArgumentSpec, found: str) -> _Argument:
        kind = self._load("ptr", found, layout.OBJECT_TYPE)
        is_array = self._emit(f"icmp eq ptr {kind}, {self._api('ndarray')}")
        if spec.rank or spec.written or not spec.has_scalar_type:
            self._demand(is_array)
            return self._array_fields(k, spec, found)
        # A NumPy scalar of this very type does as well: its value lies in the object.
        array, scalar, joined = self._name(), self._name(), self._name()
        self._branch(is_array, array, scalar)
        self._label(scalar)
        self._demand(self._emit(f"icmp eq ptr {kind}, {self._slot('scalar_type', k)}"))
        value, scalar = self._at(found, layout.OBJECT_VALUE), self._block()
        self._line(f"br label %{joined}")
        self._label(array)
        data, array = self._array_fields(k, spec, found).data, self._block()
        self._line(f"br label %{joined}")
        self._label(joined)
        return _Argument(found, self._emit(f"phi ptr [{value}, %{scalar}], [{data}, %{array}]"))

    def _array_fields(self, k: int, spec: ArgumentSpec, found: str) -> _Argument:
        descr = self._load("ptr", found, layout.ARRAY_DESCR)
        self._demand(self._emit(f"icmp eq ptr {descr}, {self._slot('dtype', k)}"))
        rank = self._load("i32", found, layout.ARRAY_RANK)
        self._demand(self._emit(f"icmp eq i32 {rank}, {spec.rank}"))
        wanted = layout.CONTIGUOUS | layout.ALIGNED | (layout.WRITEABLE if spec.written else 0)
        tested = wanted | (layout.WARN_ON_WRITE if spec.written else 0)
        flags = self._emit(f"and i32 {self._load('i32', found, layout.ARRAY_FLAGS)}, {tested}")
        readable = self._emit(f"icmp eq i32 {flags}, {wanted}")
        if not self._may_copy(spec):
            self._demand(readable)
            readable = ""
        data = self._load("ptr", found, layout.ARRAY_DATA)
        shape = self._load("ptr", found, layout.ARRAY_DIMS) if spec.rank else ""
        dims = tuple(self._load("i64", shape, 8 * j) for j in range(spec.rank))
        return _Argument(found, data, dims, readable=readable)

    def _may_copy(self, spec: ArgumentSpec) -> bool:
        """Rank 0 is contiguous; and where an argument is written, copies might hide that it overlaps another."""
        return spec.rank > 0 and not any(other.written for other in self._program.arguments)

    def _symbol(self, source: SymbolSource) -> str:
        return self._arguments[source[1]].dims[source[2]] if source[0] == "dim" else self._arguments[source[1]].value

    def _check_sizes(self, dims: DimWriter) -> None:
        for k, j, dim in self._program.requirements:
            self._demand(self._emit(f"icmp eq i64 {self._arguments[k].dims[j]}, {dims.write(dim)}"))
        for dim, relation in self._program.guards:
            self._demand(self._emit(f"icmp {_RELATIONS[relation]} i64 {dims.write(dim)}, 0"))

    def _check_overlap(self, sizes: list[str]) -> None:
        """A written array may not share memory with any other: code for that case has copies in it."""
        arrays = [(spec.written, argument.data) for spec, argument in self._pairs() if spec.kind == "array"]
        for k, (written, data) in enumerate(arrays):
            for j, (also_written, other) in enumerate(arrays):
                if not written or j == k or (also_written and j < k):
                    continue
                end = self._emit(f"getelementptr i8, ptr {data}, i64 {sizes[k]}")
                other_end = self._emit(f"getelementptr i8, ptr {other}, i64 {sizes[j]}")
                below = self._emit(f"icmp ult ptr {data}, {other_end}")
                above = self._emit(f"icmp ult ptr {other}, {end}")
                self._forbid(self._emit(f"and i1 {below}, {above}"))

    # --------------------------------------------------------------------------------------- what is done

    def _captured(self) -> list[str]:
        """Objects that only a cell or a dict holds: another thread could drop them while the kernel runs."""
        return [argument.object for spec, argument in self._pairs() if spec.source in ("cell", "global")]

    def _begin(self) -> None:
        """From here on it is this version that answers the call."""
        self._count(layout.INSTANCE_HITS, 1)
        self._count(layout.INSTANCE_RUNNING, 1)
        for held in self._captured():
            self._call_void("incref", f"ptr {held}")
        for k in range(len(self._program.results)):
            self._store("ptr", "null", self._leaves, 8 * k)
        self._copies = self._alloca(1 + len(self._arguments))  # their number, and they
        self._store("i64", "0", self._copies)
        self._arguments = [self._copied(argument) if argument.readable else argument for argument in self._arguments]

    def _copied(self, argument: _Argument) -> _Argument:
        """Read a copy of an array that is not contiguous."""
        strided, joined, before = self._name(), self._name(), self._block()
        self._branch(argument.readable, joined, strided)
        self._label(strided)
        operands = (f"ptr {self._api()}", f"ptr {argument.object}", f"ptr {self._copies}")
        data = self._call("ptr", "contiguous", *operands)
        self._forbid(self._emit(f"icmp eq ptr {data}, null"), otherwise="drop")
        after = self._block()
        self._line(f"br label %{joined}")
        self._label(joined)
        phi = self._emit(f"phi ptr [{argument.data}, %{before}], [{data}, %{after}]")
        return argument._replace(data=phi)

    def _allocate(self, shapes: list[tuple[str, ...]]) -> tuple[list[str], list[str]]:
        """The kernel's data slots, and the bytes of each fresh array."""
        slots = [argument.data for spec, argument in self._pairs() if spec.passed]
        sizes = []
        for k, (result, dims) in enumerate(zip(self._program.results, shapes, strict=True)):
            if result.kind == "scalar":
                slots.append(self._alloca(2))
            elif result.kind == "array":
                sizes.append(self._product(result.itemsize, dims))
                slots.append(self._new_array(k, dims, sizes[-1]))
        return slots, sizes

    def _new_array(self, k: int, dims: tuple[str, ...], size: str) -> str:
        shape = self._alloca(len(dims))
        for j, dim in enumerate(dims):
            self._store("i64", dim, shape, 8 * j)
        descr = self._slot("result_dtype", k)
        made = self._call(
            "ptr", "new", f"ptr {self._api()}", f"ptr {descr}", f"i32 {len(dims)}", f"ptr {shape}", f"i64 {size}"
        )
        self._keep(k, made)
        return self._load("ptr", made, layout.ARRAY_DATA)

    def _keep(self, k: int, leaf: str) -> None:
        self._store("ptr", leaf, self._leaves, 8 * k)
        self._forbid(self._emit(f"icmp eq ptr {leaf}, null"), otherwise="drop")

    def _run(self, slots: list[str], sizes: list[str]) -> tuple[str, str]:
        """Call the kernel; the names of what it returned and of its context."""
        context = self._context()
        data, symbols = self._array_of("ptr", slots), self._array_of("i64", self._symbols)
        passed = [f"ptr {data}", f"ptr {symbols}", f"ptr {context}"]
        kernel = self._constant("%table", layout.TABLE_KERNEL)
        if self._program.release_gil == "always":
            return self._call("i32", "released", f"ptr {self._api()}", f"ptr {kernel}", *passed), context
        total = "0"
        for size in sizes:
            total = self._emit(f"add i64 {total}, {size}")
        held, free, ran = (self._name() for _ in range(3))
        self._branch(self._emit(f"icmp sgt i64 {total}, {RELEASE_BYTES}"), free, held)
        self._label(held)
        first = self._emit(f"call i32 {kernel}({', '.join(passed)})")
        self._line(f"br label %{ran}")
        self._label(free)
        second = self._call("i32", "released", f"ptr {self._api()}", f"ptr {kernel}", *passed)
        self._line(f"br label %{ran}")
        self._label(ran)
        return self._emit(f"phi i32 [{first}, %{held}], [{second}, %{free}]"), context

    def _context(self) -> str:
        """A context of this call alone, since calls run at the same time."""
        context, template = self._alloca(layout.CONTEXT_WORDS), self._api("context")
        for k in range(layout.CONTEXT_SHARED_WORDS):
            self._store("i64", self._load("i64", template, 8 * k), context, 8 * k)
        self._store("i64", "0", context, layout.CONTEXT_ERROR)
        return context

    def _array_of(self, kind: str, values: list[str]) -> str:
        array = self._alloca(len(values))
        for k, value in enumerate(values):
            self._store(kind, value, array, 8 * k)
        return array

    def _check_kernel(self, code: str, context: str) -> None:
        failed, good = self._name(), self._name()
        self._branch(self._emit(f"icmp eq i32 {code}, 0"), good, failed)
        self._label(failed)
        self._call_void("fail", f"ptr {self._api()}", "ptr %table", f"i32 {code}", f"ptr {context}")
        self._line("br label %drop")
        self._label(good)

    def _make_scalars(self, slots: list[str]) -> None:
        """The leaves that are not fresh arrays."""
        at = sum(spec.passed for spec in self._program.arguments)
        for k, result in enumerate(self._program.results):
            if result.kind == "argument":
                leaf = self._arguments[result.argument].object
                self._call_void("incref", f"ptr {leaf}")
                self._keep(k, leaf)
                continue
            if result.kind == "scalar":
                descr = self._slot("result_dtype", k)
                self._keep(k, self._call("ptr", "array_scalar", f"ptr {slots[at]}", f"ptr {descr}", "ptr null"))
            at += 1

    def _finish(self) -> None:
        """Return the leaves in their container, or nothing from a failed call."""
        tree, count = self._program.result_tree, f"i64 {len(self._program.results)}"
        leaves = [f"ptr {self._api()}", f"ptr {self._leaves}", count]
        if tree is None:
            result = self._load("ptr", self._leaves, 0)
        elif callable(tree):
            unflatten = self._constant("%table", layout.TABLE_UNFLATTEN)
            result = self._call("ptr", "build", *leaves, f"ptr {unflatten}")
        else:
            result = self._call("ptr", "pack", *leaves, f"i1 {int(tree == 'list')}")
        returned = self._block()
        self._line("br label %leave")
        self._label("drop")
        self._call_void("release", f"ptr {self._api()}", f"ptr {self._leaves}", count)
        self._line("br label %leave")
        self._label("leave")
        answer = self._emit(f"phi ptr [{result}, %{returned}], [null, %drop]")
        self._count(layout.INSTANCE_RUNNING, -1)
        for held in self._captured():
            self._call_void("decref", f"ptr {held}")
        if any(argument.readable for argument in self._arguments):
            self._release_copies()
        self._line(f"ret ptr {answer}")
        self._miss()

    def _release_copies(self) -> None:
        some, none = self._name(), self._name()
        count = self._load("i64", self._copies, 0)
        self._branch(self._emit(f"icmp eq i64 {count}, 0"), none, some)
        self._label(some)
        self._call_void("release", f"ptr {self._api()}", f"ptr {self._at(self._copies, 8)}", f"i64 {count}")
        self._line(f"br label %{none}")
        self._label(none)

    def _miss(self) -> None:
        """Ask the next version."""
        self._label("miss")
        following = self._load("ptr", "%table", layout.TABLE_NEXT)
        entry = self._load("ptr", following, layout.TABLE_ENTRY)
        answer = self._emit(f"musttail call ptr {entry}({_PARAMS.replace('%table', following)})")
        self._line(f"ret ptr {answer}")
