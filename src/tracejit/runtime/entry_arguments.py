"""The first half of an entry's text: take the arguments apart, find what is outside of the call, check all of it.

This module owns what is asked of a call before it is known whose call it is. Nothing here changes an object, and where
something is not as it should be, the text goes to the label ``miss``.

References: objects that only a container, a cell or a namespace holds are borrowed until the call is taken; then they
are held until it ends (``_held``). Python code may run only while attributes are read: they may be properties.
Programs that read any are *careful*: lookups come first, own what they find (``_owned``), and the call counts as
running from its first instruction, so that its table stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

from tracejit.runtime import layout
from tracejit.runtime.entry_writer import Writer
from tracejit.runtime.program import ArgumentSpec, Program
from tracejit.runtime.structure import Lookup, Node

__all__ = ["Argument", "ArgumentWriter"]

_HELD_KINDS = ("array", "scalar", "float", "complex")  # those whose memory the kernel reads


class Argument(NamedTuple):
    """The names of what an entry knows of one argument."""

    object: str
    data: str = ""  # the address of the first element
    dims: tuple[str, ...] = ()
    value: str = ""  # of an int or a bool
    readable: str = ""  # whether a kernel can read an array where it lies; "" where nothing else gets this far


class ArgumentWriter(Writer):
    """Writes the checks of a call's arguments."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program
        self._arguments: list[Argument] = []
        self._held: list[str] = []
        self._careful = any(lookup.kind == "attribute" for lookup in program.lookups)
        self._owned = self._alloca(len(program.lookups)) if self._careful else ""
        self._names_read = self._types_read = 0

    def _open(self) -> None:
        if not self._careful:
            return
        for k in range(len(self._program.lookups)):
            self._store("ptr", "null", self._owned, 8 * k)
        self._count(layout.INSTANCE_RUNNING, 1)

    def _take_arguments(self) -> None:
        """Find and check all arguments, in their order."""
        shape, program = self._program.call_shape, self._program
        self._check_call(len(shape.positional), len(shape.keywords))
        outside: list[str] = []
        for number, lookup in enumerate(program.lookups):
            outside.append(self._lookup(number, lookup, outside))
        for position, tree in enumerate(shape.trees()):
            self._take(tree, self._load("ptr", "%args", 8 * position), held=True)
        for number, tree in program.outside:
            own = self._careful or program.lookups[number].kind == "object"
            self._take(tree, outside[number], held=own or program.lookups[number].kind == "argument")
        self._check_distinct()

    def _check_distinct(self) -> None:
        for group in self._program.distinct:
            for a, b in combinations(group, 2):
                self._forbid(self._emit(f"icmp eq ptr {self._arguments[a].object}, {self._arguments[b].object}"))

    # --------------------------------------------------------------------------------------- structure

    def _check_call(self, positional: int, keywords: int) -> None:
        count = self._emit(f"and i64 %nargsf, {2**63 - 1}")  # the highest bit is a flag
        self._demand(self._emit(f"icmp eq i64 {count}, {positional}"))
        if not keywords:
            self._equal("%kwnames", "null")
            return
        self._demand(self._emit("icmp ne ptr %kwnames, null"))
        self._sized("%kwnames", layout.TUPLE_SIZE, keywords)
        for k in range(keywords):
            self._check_name(self._load("ptr", "%kwnames", layout.TUPLE_ITEMS + 8 * k))

    def _take(self, tree: Node, found: str, held: bool) -> None:
        """The leaves of an object; ``held`` says that the object itself is in no danger."""
        if tree.kind == "leaf":
            self._leaf(found, held)
        elif tree.kind == "none":
            self._equal(found, self._api("none"))
        elif tree.kind == "dict":
            self._take_dict(tree, found)
        else:
            self._take_sequence(tree, found)

    def _take_sequence(self, tree: Node, found: str) -> None:
        if tree.kind == "named":
            self._equal(self._load("ptr", found, layout.OBJECT_TYPE), self._slot("type", self._types_read))
            self._types_read += 1
        else:
            self._exactly(found, tree.kind)
        is_list = tree.kind == "list"
        self._sized(found, layout.LIST_SIZE if is_list else layout.TUPLE_SIZE, len(tree.children))
        for k, child in enumerate(tree.children):
            self._take(child, self._item(found, is_list, f"{k}"), held=False)

    def _take_dict(self, tree: Node, found: str) -> None:
        self._exactly(found, "dict")
        self._sized(found, layout.DICT_SIZE, len(tree.children))
        position, key, value = (self._alloca(1) for _ in range(3))
        self._store("i64", "0", position)
        for child in tree.children:
            more = self._call("i32", "dict_next", *(f"ptr {name}" for name in (found, position, key, value)))
            self._demand(self._emit(f"icmp ne i32 {more}, 0"))
            self._check_name(self._load("ptr", key, 0))
            self._take(child, self._load("ptr", value, 0), held=False)

    def _sized(self, found: str, offset: int, count: int) -> None:
        self._demand(self._emit(f"icmp eq i64 {self._load('i64', found, offset)}, {count}"))

    def _item(self, sequence: str, is_list: bool, index: str) -> str:
        if is_list:
            first = self._load("ptr", sequence, layout.LIST_ITEMS)
        else:
            first = self._at(sequence, layout.TUPLE_ITEMS)
        return self._load("ptr", self._emit(f"getelementptr ptr, ptr {first}, i64 {index}"), 0)

    def _check_name(self, found: str) -> None:
        """The next of the names that tables list: keywords and keys, in the order of the arguments."""
        self._check_text(found, self._slot("name", self._names_read))
        self._names_read += 1

    def _check_text(self, found: str, wanted: str) -> None:
        """Demand equal strings, which mostly are one object."""
        good, other = self._name(), self._name()
        self._branch(self._emit(f"icmp eq ptr {found}, {wanted}"), good, other)
        self._label(other)
        same = self._call("i32", "same_text", f"ptr {self._api()}", f"ptr {found}", f"ptr {wanted}")
        self._branch(self._emit(f"icmp ne i32 {same}, 0"), good, "miss")
        self._label(good)

    # --------------------------------------------------------------------------------------- outside

    def _lookup(self, number: int, lookup: Lookup, outside: Sequence[str]) -> str:
        if lookup.kind == "object":
            return self._slot("root", number)
        if lookup.kind == "argument":
            return self._load("ptr", "%args", 8 * int(lookup.key))
        if lookup.kind == "attribute":
            operands = (f"ptr {outside[lookup.parent]}", f"ptr {self._slot('key', number)}")
            found = self._call("ptr", "getattr", *operands)
            self._forbid(self._emit(f"icmp eq ptr {found}, null"), otherwise="unset")
        else:
            found = self._borrowed(number, lookup, outside)
            self._demand(self._emit(f"icmp ne ptr {found}, null"))
            if self._careful:
                self._call_void("incref", f"ptr {found}")
        if self._careful:
            self._store("ptr", found, self._owned, 8 * number)
        return found

    def _borrowed(self, number: int, lookup: Lookup, outside: Sequence[str]) -> str:
        if lookup.kind == "cell":
            return self._load("ptr", self._slot("root", number), layout.CELL_CONTENT)
        owner = self._slot("root", number) if lookup.kind == "global" else outside[lookup.parent]
        if lookup.kind != "global":
            self._exactly(owner, lookup.kind)
        if lookup.kind in ("global", "dict"):
            return self._call("ptr", "dict_get", f"ptr {owner}", f"ptr {self._slot('key', number)}")
        is_list, key = lookup.kind == "list", int(lookup.key)
        count = self._load("i64", owner, layout.LIST_SIZE if is_list else layout.TUPLE_SIZE)
        self._demand(self._emit(f"icmp sge i64 {count}, {key + 1 if key >= 0 else -key}"))
        return self._item(owner, is_list, str(key) if key >= 0 else self._emit(f"add i64 {count}, {key}"))

    def _unset(self) -> None:
        """Forget the exception of an attribute that is not there."""
        if self._careful:
            self._label("unset")
            self._call_void("error_clear")
            self._line("br label %miss")

    # --------------------------------------------------------------------------------------- leaves

    def _leaf(self, found: str, held: bool) -> None:
        number = len(self._arguments)
        spec = self._program.arguments[number]
        self._arguments.append(self._argument(number, spec, found))
        if not held and (spec.kind == "object" or (spec.passed and spec.kind in _HELD_KINDS)):
            self._held.append(found)

    def _argument(self, k: int, spec: ArgumentSpec, found: str) -> Argument:
        if spec.kind == "array":
            return self._array(k, spec, found)
        if spec.kind == "static":
            self._check_static(k, spec, found)
            return Argument(found)
        if spec.kind == "object":
            self._equal(self._load("ptr", found, layout.OBJECT_TYPE), self._slot("object", k))
            return Argument(found)
        if spec.kind == "same":
            self._equal(found, self._arguments[spec.same_as].object)
            return Argument(found)
        if spec.kind == "bool":
            return self._bool(found)
        if spec.kind == "scalar":
            self._equal(self._load("ptr", found, layout.OBJECT_TYPE), self._slot("scalar_type", k))
        else:
            self._exactly(found, spec.kind)
        if spec.kind == "int":
            return self._int(found)
        return Argument(found, self._at(found, layout.OBJECT_VALUE))  # read where it lies in the object

    def _check_static(self, k: int, spec: ArgumentSpec, found: str) -> None:
        if spec.compared == "identity":
            self._equal(found, self._slot("object", k))
        elif spec.compared == "text":
            self._check_text(found, self._slot("object", k))
        else:
            self._exactly(found, spec.compared)
            value = self._int_value(found) if spec.compared == "int" else self._load("i64", found, layout.OBJECT_VALUE)
            self._demand(self._emit(f"icmp eq i64 {value}, {self._slot_word('object', k)}"))

    def _int_value(self, found: str) -> str:
        overflow = self._alloca(1)
        value = self._call("i64", "int_value", f"ptr {found}", f"ptr {overflow}")
        self._demand(self._emit(f"icmp eq i32 {self._load('i32', overflow, 0)}, 0"))
        return value

    def _int(self, found: str) -> Argument:
        value, cell = self._int_value(found), self._alloca(1)
        self._store("i64", value, cell)
        return Argument(found, cell, value=value)

    def _bool(self, found: str) -> Argument:
        cell = self._alloca(1)
        yes = self._emit(f"icmp eq ptr {found}, {self._api('true')}")
        no = self._emit(f"icmp eq ptr {found}, {self._api('false')}")
        self._demand(self._emit(f"or i1 {yes}, {no}"))
        self._store("i8", self._emit(f"zext i1 {yes} to i8"), cell)
        return Argument(found, cell, value=self._emit(f"zext i1 {yes} to i64"))

    def _array(self, k: int, spec: ArgumentSpec, found: str) -> Argument:
        self._exactly(found, "ndarray")
        self._equal(self._load("ptr", found, layout.ARRAY_DESCR), self._slot("dtype", k))
        rank = self._load("i32", found, layout.ARRAY_RANK)
        self._demand(self._emit(f"icmp eq i32 {rank}, {spec.rank}"))
        if not spec.passed:
            return Argument(found)
        readable = self._array_flags(spec, found)
        data = self._load("ptr", found, layout.ARRAY_DATA)
        shape = self._load("ptr", found, layout.ARRAY_DIMS) if spec.rank else ""
        dims = tuple(self._load("i64", shape, 8 * j) for j in range(spec.rank))
        return Argument(found, data, dims, readable=readable)

    def _array_flags(self, spec: ArgumentSpec, found: str) -> str:
        """Whether the kernel can read or write where the array lies; "" where that is sure."""
        written = layout.WRITEABLE if spec.written else 0
        wanted = (layout.BY_COLUMNS if spec.layout == "columns" else layout.CONTIGUOUS) | layout.ALIGNED | written
        tested = wanted | (layout.WARN_ON_WRITE if spec.written else 0)
        if spec.layout == "columns":
            tested |= layout.CONTIGUOUS
        every = self._load("i32", found, layout.ARRAY_FLAGS)
        readable = self._emit(f"icmp eq i32 {self._emit(f'and i32 {every}, {tested}')}, {wanted}")
        if spec.layout == "strided":
            contiguous = self._emit(f"and i32 {every}, {layout.CONTIGUOUS}")
            self._demand(self._emit(f"icmp eq i32 {contiguous}, 0"))
        if spec.layout in ("contiguous", "columns") or not self._may_copy(spec):
            self._demand(readable)
            readable = ""
        elif spec.layout == "rows" and spec.rank > 1:
            self._check_rows(spec.rank, found, readable)
        return readable

    def _check_rows(self, rank: int, found: str, readable: str) -> None:
        """Demand strides that do not grow from axis to axis, where an array cannot be read in place."""
        good, other = self._name(), self._name()
        self._branch(readable, good, other)
        self._label(other)
        strides = self._load("ptr", found, layout.ARRAY_STRIDES)
        sizes = [self._absolute(self._load("i64", strides, 8 * axis)) for axis in range(rank)]
        for a, b in pairwise([*sizes, "0"]):
            self._demand(self._emit(f"icmp {'sge' if b != '0' else 'sgt'} i64 {a}, {b}"))
        self._line(f"br label %{good}")
        self._label(good)

    def _absolute(self, value: str) -> str:
        negated = self._emit(f"sub i64 0, {value}")
        return self._emit(f"select i1 {self._emit(f'icmp slt i64 {value}, 0')}, i64 {negated}, i64 {value}")

    def _may_copy(self, spec: ArgumentSpec) -> bool:
        """Rank 0 is contiguous; and where an argument is written, copies might hide that it overlaps another."""
        return spec.rank > 0 and not any(other.written for other in self._program.arguments)
