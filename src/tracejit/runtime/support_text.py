"""The machine code that every entry shares, as LLVM text: dispatch, the slow path, allocation, packing, failure.

This module owns that text. It is compiled once per machine (and then comes from the disk cache); addresses of foreign
functions are read from the shared API table, never written into the text.
"""

from __future__ import annotations

import re

from tracejit.runtime.layout import (
    ARRAY_DATA,
    CONTEXT_VALUES,
    INSTANCE_TABLE,
    OBJECT_TYPE,
    TABLE_API,
    TABLE_ENTRY,
    TABLE_FAIL,
    api_offset,
)

__all__ = ["EXPORTS", "support_text", "symbol_of"]

EXPORTS = ("dispatch", "slow", "new", "contiguous", "release", "pack", "build", "fail", "released", "same_text")


def _load(name: str, base: str, offset: int) -> str:
    return f"  %{name}.at = getelementptr i8, ptr {base}, i64 {offset}\n  %{name} = load ptr, ptr %{name}.at\n"


def _api(*names: str) -> str:
    return "".join(_load(name, "%api", api_offset(name)) for name in names)


def support_text() -> str:
    """The LLVM text of the support module, whose functions are called :func:`symbol_of` of ``EXPORTS``."""
    calls = (_dispatch(), _slow(), _fail(), _released())
    functions = (*calls, _new(), _contiguous(), _release(), _pack(), _build(), _same_text())
    return re.sub(r"@(\w+)\(", lambda match: f"@{symbol_of(match[1])}(", "\n".join(functions))


def symbol_of(name: str) -> str:
    """The linker's name of a support function."""
    return f"tracejit_{name}"


def _dispatch() -> str:
    """The vectorcall slot of every instance: run the entry of its first version, or ask Python while that is wanted.

    It is wanted, too, where np.errstate asks for floating-point errors. NumPy's modes are an object in a context
    variable; Python is asked about each such object once.
    """
    operands = "ptr %self, ptr %args, i64 %nargsf, ptr %kwnames, ptr %table"
    return f"""
define ptr @dispatch(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames) {{
  %state.at = alloca ptr
{_load("table", "%self", INSTANCE_TABLE)}{_load("entry", "%table", TABLE_ENTRY)}{_load("api", "%table", TABLE_API)}
  %suspended.at = getelementptr i8, ptr %api, i64 {api_offset("suspended")}
  %reasons = load i64, ptr %suspended.at
  %suspended = icmp ne i64 %reasons, 0
  br i1 %suspended, label %python, label %modes
modes:
{_api("accepted_state", "contextvar_get", "error_variable", "decref")}
  %status = call i32 %contextvar_get(ptr %error_variable, ptr null, ptr %state.at)
  %state = load ptr, ptr %state.at
  call void %decref(ptr %state)
  %same = icmp eq ptr %state, %accepted_state
  br i1 %same, label %machine, label %others
others:
{_api("asked_for", "vectorcall", "true")}
  %answer = call ptr %vectorcall(ptr %asked_for, ptr null, i64 0, ptr null)
  %raised = icmp eq ptr %answer, null
  br i1 %raised, label %failed, label %answered
answered:
  call void %decref(ptr %answer)
  %asked = icmp eq ptr %answer, %true
  br i1 %asked, label %python, label %machine
failed:
  ret ptr null
machine:
  %result = tail call ptr %entry({operands})
  ret ptr %result
python:
  %slow = tail call ptr @slow({operands})
  ret ptr %slow
}}"""


def _slow() -> str:
    """The entry at the end of every chain: ``self._call_slow(*args, **kwargs)``.

    Passing on ``nargsf`` is right: its flag, that ``args[-1]`` may be overwritten, holds for whoever we call, too.
    """
    return f"""
define ptr @slow(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames, ptr %table) {{
{_load("api", "%table", TABLE_API)}{_api("slow_name", "getattr", "vectorcall", "decref")}
  %bound = call ptr %getattr(ptr %self, ptr %slow_name)
  %missing = icmp eq ptr %bound, null
  br i1 %missing, label %none, label %found
found:
  %result = call ptr %vectorcall(ptr %bound, ptr %args, i64 %nargsf, ptr %kwnames)
  call void %decref(ptr %bound)
  ret ptr %result
none:
  ret ptr null
}}"""


def _new() -> str:
    """A new array, by the pool's allocator where there is one."""
    return f"""
define ptr @new(ptr %api, ptr %descr, i32 %rank, ptr %dims, i64 %bytes) {{
{_api("ndarray", "new_array", "new_result", "incref")}
  call void %incref(ptr %descr)
  %none = icmp eq ptr %new_result, null
  br i1 %none, label %plain, label %pool
plain:
  %array = call ptr %new_array(ptr %ndarray, ptr %descr, i32 %rank, ptr %dims, ptr null, ptr null, i32 0, ptr null)
  ret ptr %array
pool:
  %result = call ptr %new_result(ptr %descr, i32 %rank, ptr %dims, i64 %bytes)
  ret ptr %result
}}"""


def _contiguous() -> str:
    """The data of a contiguous, aligned copy of an array, which is appended to a list of copies."""
    return f"""
define ptr @contiguous(ptr %api, ptr %array, ptr %copies) {{
{_api("new_copy")}
  %copy = call ptr %new_copy(ptr %array, i32 0)
  %failed = icmp eq ptr %copy, null
  br i1 %failed, label %none, label %made
made:
  %count = load i64, ptr %copies
  %more = add i64 %count, 1
  store i64 %more, ptr %copies
  %at = getelementptr ptr, ptr %copies, i64 %more
  store ptr %copy, ptr %at
{_load("data", "%copy", ARRAY_DATA)}
  ret ptr %data
none:
  ret ptr null
}}"""


def _release() -> str:
    """Give up the references in a list of pointers, some of which may be null."""
    return f"""
define void @release(ptr %api, ptr %objects, i64 %count) {{
{_api("decref")}  br label %head
head:
  %k = phi i64 [0, %0], [%next, %step]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %body, label %done
body:
  %at = getelementptr ptr, ptr %objects, i64 %k
  %object = load ptr, ptr %at
  %empty = icmp eq ptr %object, null
  br i1 %empty, label %step, label %drop
drop:
  call void %decref(ptr %object)
  br label %step
step:
  %next = add i64 %k, 1
  br label %head
done:
  ret void
}}"""


def _pack() -> str:
    """A tuple or a list of leaves, whose references it takes over whatever happens."""
    return f"""
define ptr @pack(ptr %api, ptr %leaves, i64 %count, i1 %is_list) {{
{_api("tuple_new", "tuple_set", "list_new", "list_set")}
  %make = select i1 %is_list, ptr %list_new, ptr %tuple_new
  %set = select i1 %is_list, ptr %list_set, ptr %tuple_set
  %result = call ptr %make(i64 %count)
  %failed = icmp eq ptr %result, null
  br i1 %failed, label %drop, label %head
head:
  %k = phi i64 [0, %0], [%next, %body]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %body, label %done
body:
  %at = getelementptr ptr, ptr %leaves, i64 %k
  %leaf = load ptr, ptr %at
  %status = call i32 %set(ptr %result, i64 %k, ptr %leaf)
  %next = add i64 %k, 1
  br label %head
drop:
  call void @release(ptr %api, ptr %leaves, i64 %count)
  br label %done
done:
  ret ptr %result
}}"""


def _build() -> str:
    """``function(*leaves)``; takes over the leaves."""
    return f"""
define ptr @build(ptr %api, ptr %leaves, i64 %count, ptr %function) {{
{_api("vectorcall")}
  %result = call ptr %vectorcall(ptr %function, ptr %leaves, i64 %count, ptr null)
  call void @release(ptr %api, ptr %leaves, i64 %count)
  ret ptr %result
}}"""


def _same_text() -> str:
    """Whether an object is exactly a string and equal to another, which is one: 1 or 0."""
    return f"""
define i32 @same_text(ptr %api, ptr %found, ptr %wanted) {{
{_load("type", "%found", OBJECT_TYPE)}{_api("str", "text_compare")}
  %exact = icmp eq ptr %type, %str
  br i1 %exact, label %compare, label %other
compare:
  %order = call i32 %text_compare(ptr %found, ptr %wanted)
  %equal = icmp eq i32 %order, 0
  %answer = zext i1 %equal to i32
  ret i32 %answer
other:
  ret i32 0
}}"""


def _fail() -> str:
    """Raise for a kernel that returned ``code``: ``fail(code, *values)``, a Python function, does it."""
    values = "".join(
        f"  %v{k}.at = getelementptr i8, ptr %context, i64 {CONTEXT_VALUES + 8 * k}\n  %v{k} = load i64, ptr %v{k}.at\n"
        f"  %o{k} = call ptr %int_new(i64 %v{k})\n  %s{k} = getelementptr ptr, ptr %objects, i64 {k + 1}\n"
        f"  store ptr %o{k}, ptr %s{k}\n  %n{k} = icmp eq ptr %o{k}, null\n"
        for k in range(4)
    )
    return f"""
define void @fail(ptr %api, ptr %table, i32 %code, ptr %context) {{
  %objects = alloca [5 x ptr]
{_load("function", "%table", TABLE_FAIL)}{_api("int_new", "vectorcall", "decref")}
  %wide = sext i32 %code to i64
  %first = call ptr %int_new(i64 %wide)
  store ptr %first, ptr %objects
  %n = icmp eq ptr %first, null
{values}
  %n01 = or i1 %n0, %n1
  %n23 = or i1 %n2, %n3
  %n03 = or i1 %n01, %n23
  %bad = or i1 %n, %n03
  br i1 %bad, label %done, label %raise
raise:
  %result = call ptr %vectorcall(ptr %function, ptr %objects, i64 5, ptr null)
  %raised = icmp eq ptr %result, null
  br i1 %raised, label %done, label %drop
drop:
  call void %decref(ptr %result)
  br label %done
done:
  call void @release(ptr %api, ptr %objects, i64 5)
  ret void
}}"""


def _released() -> str:
    """Run a kernel without the GIL."""
    return f"""
define i32 @released(ptr %api, ptr %kernel, ptr %data, ptr %sizes, ptr %context) {{
{_api("save_thread", "restore_thread")}
  %state = call ptr %save_thread()
  %code = call i32 %kernel(ptr %data, ptr %sizes, ptr %context)
  call void %restore_thread(ptr %state)
  ret i32 %code
}}"""
