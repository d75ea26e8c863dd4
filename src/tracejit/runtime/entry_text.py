"""The machine code that one version of a function is called through, as LLVM text.

This module owns that text, and of its steps those that follow when the arguments are known to fit: sizes, results, the
kernel (``entry_arguments.py`` has the others). An entry takes a vectorcall's arguments and its version's table; it goes
on to the next version where the call is not its own. The text depends on what the arguments and results look like and
on nothing else: every address is read from the table, so equal signatures share one compiled entry, also across
processes. Which addresses the table holds is the other half of the result here; ``entry.py`` fills it in.
"""

from __future__ import annotations

from typing import NamedTuple

from tracejit.runtime import layout
from tracejit.runtime.callbacks import SERVER_OFFSET
from tracejit.runtime.dim_text import DimWriter, declarations
from tracejit.runtime.entry_arguments import Argument, ArgumentWriter
from tracejit.runtime.entry_writer import Slot
from tracejit.runtime.program import ArgumentSpec, Program, ResultSpec, SymbolSource

__all__ = ["ENTRY_SYMBOL", "RELEASE_BYTES", "EntryText", "entry_text"]

ENTRY_SYMBOL = "tracejit_entry"
RELEASE_BYTES = 1 << 16  # a kernel that touches more than this runs without the GIL, which costs some 50 ns

_RELATIONS = {"== 0": "eq", "!= 0": "ne", ">= 0": "sge"}
_PARAMS = "ptr %self, ptr %args, i64 %nargsf, ptr %kwnames, ptr %table"


class EntryText(NamedTuple):
    """The LLVM text of an entry and the slots of the tables that it reads."""

    text: str
    slots: tuple[Slot, ...]


def entry_text(program: Program) -> EntryText:
    """The text of an entry for programs of this signature."""
    return _EntryWriter(program).write()


class _EntryWriter(ArgumentWriter):
    """Writes the steps of one call, in their order; see :meth:`write`."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self._symbols: list[str] = []
        self._leaves = self._alloca(len(program.results))
        self._records = {
            k: self._alloca(layout.RECORD_DIMS // 8 + len(result.dims))
            for k, result in enumerate(program.results)
            if result.kind == "claimed"
        }
        self._copies = ""

    def write(self) -> EntryText:
        self._label("start")
        self._open()
        self._take_arguments()
        self._symbols = [self._symbol(source) for _, source in self._program.symbols]
        names = (name for name, _ in self._program.symbols)
        dims = DimWriter(self._emit, dict(zip(names, self._symbols, strict=True)))
        self._check_sizes(dims)
        sizes = [self._product(spec.itemsize, a.dims) for spec, a in self._pairs() if spec.is_memory]
        self._check_overlap(sizes)
        shapes = [
            () if result.kind == "claimed" else tuple(map(dims.write, result.dims)) for result in self._program.results
        ]
        for condition in dims.bad:
            self._forbid(condition)
        self._begin()
        slots, fresh = self._allocate(shapes)
        self._check_kernel(*self._run(slots, sizes + fresh))
        self._make_leaves(slots, shapes)
        self._finish()
        return self._text()

    def _text(self) -> EntryText:
        start, *rest = self._lines
        body = "\n".join([start, *self._allocas, *rest])
        define = f"define ptr @{ENTRY_SYMBOL}({_PARAMS}) {{\n{body}\n}}\n"
        return EntryText(f"{declarations()}\n{define}\n!0 = !{{}}\n", tuple(self._slots))

    def _pairs(self) -> list[tuple[ArgumentSpec, Argument]]:
        return list(zip(self._program.arguments, self._arguments, strict=True))

    # --------------------------------------------------------------------------------------- sizes

    def _symbol(self, source: SymbolSource) -> str:
        return self._arguments[source[1]].dims[source[2]] if source[0] == "dim" else self._arguments[source[1]].value

    def _check_sizes(self, dims: DimWriter) -> None:
        for k, j, dim in self._program.requirements:
            self._demand(self._emit(f"icmp eq i64 {self._arguments[k].dims[j]}, {dims.write(dim)}"))
        for dim, relation in self._program.guards:
            self._demand(self._emit(f"icmp {_RELATIONS[relation]} i64 {dims.write(dim)}, 0"))

    def _check_overlap(self, sizes: list[str]) -> None:
        """A written array may not share memory with any other: code for that case has copies in it."""
        arrays = [(spec.written, argument.data) for spec, argument in self._pairs() if spec.is_memory]
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

    def _begin(self) -> None:
        """From here on it is this version that answers the call."""
        self._count(layout.INSTANCE_HITS, 1)
        if not self._careful:
            self._count(layout.INSTANCE_RUNNING, 1)
        for held in self._held:
            self._call_void("incref", f"ptr {held}")
        for k in range(len(self._program.results)):
            self._store("ptr", "null", self._leaves, 8 * k)
        for record in self._records.values():
            self._store("ptr", "null", record)
        self._copies = self._alloca(1 + len(self._arguments))  # their number, and they
        self._store("i64", "0", self._copies)
        self._arguments = [self._copied(argument) if argument.readable else argument for argument in self._arguments]

    def _copied(self, argument: Argument) -> Argument:
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
        slots = [self._arguments[k].data for k in self._program.data]
        sizes = []
        for k, (result, dims) in enumerate(zip(self._program.results, shapes, strict=True)):
            if result.kind in ("scalar", "python"):
                slots.append(self._alloca(2))
            elif result.kind == "claimed":
                slots.append(self._records[k])
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
        if self._program.callbacks:
            self._store("ptr", self._api("call_python"), context, layout.CONTEXT_CALL_PYTHON)
            self._store("ptr", self._slot("server", 0), context, SERVER_OFFSET)
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
        if self._program.may_raise:
            fine = self._name()
            self._branch(self._emit(f"icmp eq ptr {self._call('ptr', 'error_occurred')}, null"), fine, "drop")
            self._label(fine)

    def _make_leaves(self, slots: list[str], shapes: list[tuple[str, ...]]) -> None:
        """The leaves that are not fresh arrays."""
        at = sum(spec.passed for spec in self._program.arguments)
        for k, (result, dims) in enumerate(zip(self._program.results, shapes, strict=True)):
            if result.is_computed:
                if result.kind == "claimed":
                    self._keep(k, self._taken_over(k, result))
                elif result.kind != "array":
                    self._keep(k, self._number(k, result, slots[at]))
                at += 1
            elif result.kind == "size":
                self._keep(k, self._call("ptr", "int_new", f"i64 {dims[0]}"))
            else:
                self._keep(k, self._shared(k, result))

    def _taken_over(self, k: int, result: ResultSpec) -> str:
        """The array of the memory that the kernel has claimed."""
        descr = self._slot("result_dtype", k)
        self._call_void("incref", f"ptr {descr}")
        return self._call("ptr", "take_over", f"ptr {descr}", f"i32 {len(result.dims)}", f"ptr {self._records[k]}")

    def _number(self, k: int, result: ResultSpec, slot: str) -> str:
        """A NumPy scalar or a Python number, from its bytes."""
        if result.kind == "scalar":
            return self._call("ptr", "array_scalar", f"ptr {slot}", f"ptr {self._slot('result_dtype', k)}", "ptr null")
        kind = "" if result.dtype is None else result.dtype.kind
        if kind == "i":
            return self._call("ptr", "int_new", f"i64 {self._load('i64', slot, 0)}")
        if kind == "f":
            return self._call("ptr", "float_new", f"double {self._load('double', slot, 0)}")
        if kind == "c":
            return self._call("ptr", "complex_new", *(f"double {self._load('double', slot, at)}" for at in (0, 8)))
        yes = self._emit(f"icmp ne i8 {self._load('i8', slot, 0)}, 0")
        found = self._emit(f"select i1 {yes}, ptr {self._api('true')}, ptr {self._api('false')}")
        self._call_void("incref", f"ptr {found}")
        return found

    def _shared(self, k: int, result: ResultSpec) -> str:
        """A new reference to an object that exists already."""
        if result.kind == "argument":
            found = self._arguments[result.index].object
        else:
            found = self._slot("constant", k)
        self._call_void("incref", f"ptr {found}")
        return found

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
        for record in self._records.values():
            self._call_void("forget", f"ptr {self._load('ptr', record, 0)}", "i64 0")
        self._line("br label %leave")
        self._label("leave")
        answer = self._emit(f"phi ptr [{result}, %{returned}], [null, %drop]")
        self._count(layout.INSTANCE_RUNNING, -1)
        for held in self._held:
            self._call_void("decref", f"ptr {held}")
        self._release_owned()
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

    def _release_owned(self) -> None:
        if self._careful:
            count = len(self._program.lookups)
            self._call_void("release", f"ptr {self._api()}", f"ptr {self._owned}", f"i64 {count}")

    def _miss(self) -> None:
        """Ask the next version."""
        self._unset()
        self._label("miss")
        following = self._load("ptr", "%table", layout.TABLE_NEXT)
        entry = self._load("ptr", following, layout.TABLE_ENTRY)
        if self._careful:
            self._release_owned()
            self._count(layout.INSTANCE_RUNNING, -1)
        answer = self._emit(f"musttail call ptr {entry}({_PARAMS.replace('%table', following)})")
        self._line(f"ret ptr {answer}")
