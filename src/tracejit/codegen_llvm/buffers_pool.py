"""The pool of warm buffers behind results and scratch memory, as LLVM text on malloc and free.

Owns the layout of a block and the free lists. It must not know Python or NumPy types: the text is compiled into the
support object (`support.py`) and callable without the GIL from any thread.

A block is `malloc`ed memory with a 64-byte header right before the address handed out:

    -64  what malloc returned      -56  capacity in bytes      -48  size class, -1: not pooled      -40  next free block

Sizes of 64 KiB and more are rounded up to a power of two or a quarter step above it; freed blocks of one class form a
stack, so the warmest is used first. When the pool would hold more than its limit, blocks of other classes go back to
the system in turn. The header makes `release` and `realloc` independent of what size the caller remembers.
"""

from __future__ import annotations

import sys

__all__ = ["buffer_pool_text"]

SMALLEST_POOLED = 64 << 10
CLASSES = 100  # four each for 2**16 .. 2**40
HUGE_BYTES = 4 << 20
_MADV_HUGEPAGE = 14

_GLOBALS = """
declare noalias ptr @malloc(i64)
declare noalias ptr @calloc(i64, i64)
declare void @free(ptr)
$declarations
declare i64 @llvm.ctlz.i64(i64, i1)
declare i64 @llvm.umin.i64(i64, i64)
declare {i64, i1} @llvm.umul.with.overflow.i64(i64, i64)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

@tj.pool.lock = internal global i32 0, align 128
@tj.pool.free = internal global [$classes x ptr] zeroinitializer, align 64
@tj.pool.hand = internal global i64 0, align 8
@tj.pool.colour = internal global i64 0, align 8
@tj_pool_limit = global i64 0, align 8
@tj_pool_retained = global i64 0, align 8
@tj_pool_hits = global i64 0, align 8
@tj_pool_misses = global i64 0, align 8
"""

_LOCK = """
; Held for a few instructions only. A holder that lost its CPU is waited for by giving up ours.
define internal void @tj.pool.acquire() {
entry:
  br label %try
try:
  %tries = phi i32 [0, %entry], [%tries.next, %try.again]
  %swap = cmpxchg ptr @tj.pool.lock, i32 0, i32 1 acquire monotonic
  %got = extractvalue {i32, i1} %swap, 1
  br i1 %got, label %exit, label %again
again:
  %tries.next = add i32 %tries, 1
  %impatient = icmp sgt i32 %tries, 64
  br i1 %impatient, label %yield, label %try.again
yield:
  $yield
  br label %try.again
try.again:
  br label %try
exit:
  ret void
}

define internal void @tj.pool.let_go() alwaysinline {
  store atomic i32 0, ptr @tj.pool.lock release, align 4
  ret void
}
"""

_CLASS = """
; Capacity and class for a size: the next of 4, 5, 6, 7 times a power of two; class -1 where the pool does not keep it.
define internal {i64, i64} @tj.pool.class(i64 %bytes) {
entry:
  %small = icmp ult i64 %bytes, $smallest
  %large = icmp ugt i64 %bytes, 1099511627776
  %unpooled = or i1 %small, %large
  br i1 %unpooled, label %exact, label %round
exact:
  %exact.0 = insertvalue {i64, i64} poison, i64 %bytes, 0
  %exact.1 = insertvalue {i64, i64} %exact.0, i64 -1, 1
  ret {i64, i64} %exact.1
round:
  %less = sub i64 %bytes, 1
  %zeros = call i64 @llvm.ctlz.i64(i64 %less, i1 true)
  %power = sub i64 63, %zeros
  %shift = sub i64 %power, 2
  %quarters.down = lshr i64 %less, %shift
  %quarters = add i64 %quarters.down, 1
  %capacity = shl i64 %quarters, %shift
  %octave = sub i64 %power, 15
  %octave.first = shl i64 %octave, 2
  %class.plus5 = add i64 %octave.first, %quarters
  %class.far = sub i64 %class.plus5, 8
  %round.0 = insertvalue {i64, i64} poison, i64 %capacity, 0
  %round.1 = insertvalue {i64, i64} %round.0, i64 %class.far, 1
  ret {i64, i64} %round.1
}
"""

_FRESH = """
; A new block from the system, null when there is none. Large ones start on a huge page, and at differing lines of it:
; arrays that all start alike modulo 4096 would fight for the same cache sets.
define internal ptr @tj.pool.fresh(i64 %capacity, i64 %class, i1 %zeroed) noinline {
entry:
  %huge = icmp uge i64 %capacity, $huge
  %alignment = select i1 %huge, i64 2097152, i64 64
  %number = atomicrmw add ptr @tj.pool.colour, i64 320 monotonic
  %colour.large = and i64 %number, 4032
  %pooled = icmp sge i64 %class, 0
  %colour = select i1 %pooled, i64 %colour.large, i64 0
  %extra = add i64 %alignment, 4160
  %total = add i64 %capacity, %extra
  %overflow = icmp ult i64 %total, %capacity
  br i1 %overflow, label %fail, label %choose
choose:
  br i1 %zeroed, label %clean, label %plain
clean:
  %raw.clean = call ptr @calloc(i64 %total, i64 1)
  br label %got
plain:
  %raw.plain = call ptr @malloc(i64 %total)
  br label %got
got:
  %raw = phi ptr [%raw.clean, %clean], [%raw.plain, %plain]
  %none = icmp eq ptr %raw, null
  br i1 %none, label %fail, label %place
place:
  %start = ptrtoint ptr %raw to i64
  %after.header = add i64 %start, 64
  %alignment.less = sub i64 %alignment, 1
  %over = add i64 %after.header, %alignment.less
  %mask = sub i64 0, %alignment
  %aligned = and i64 %over, %mask
  %chosen = add i64 %aligned, %colour
  %block = inttoptr i64 %chosen to ptr
  %header = getelementptr i8, ptr %block, i64 -64
  store ptr %raw, ptr %header
  %capacity.at = getelementptr i8, ptr %block, i64 -56
  store i64 %capacity, ptr %capacity.at
  %class.at = getelementptr i8, ptr %block, i64 -48
  store i64 %class, ptr %class.at
  $advise
  ret ptr %block
fail:
  ret ptr null
}
"""

_ADVISE = """br i1 %huge, label %advise, label %done
advise:
  %aligned.block = inttoptr i64 %aligned to ptr
  call i32 @madvise(ptr %aligned.block, i64 %capacity, i32 $advice)
  br label %done
done:"""

_TAKE = """
; The warmest free block of a class, or null.
define internal ptr @tj.pool.take(i64 %class) {
entry:
  %list = getelementptr ptr, ptr @tj.pool.free, i64 %class
  call void @tj.pool.acquire()
  %block = load ptr, ptr %list
  %none = icmp eq ptr %block, null
  br i1 %none, label %miss, label %hit
hit:
  %next.at = getelementptr i8, ptr %block, i64 -40
  %next = load ptr, ptr %next.at
  store ptr %next, ptr %list
  %capacity.at = getelementptr i8, ptr %block, i64 -56
  %capacity = load i64, ptr %capacity.at
  %retained = load i64, ptr @tj_pool_retained
  %retained.next = sub i64 %retained, %capacity
  store i64 %retained.next, ptr @tj_pool_retained
  %hits = load i64, ptr @tj_pool_hits
  %hits.next = add i64 %hits, 1
  store i64 %hits.next, ptr @tj_pool_hits
  call void @tj.pool.let_go()
  ret ptr %block
miss:
  %misses = load i64, ptr @tj_pool_misses
  %misses.next = add i64 %misses, 1
  store i64 %misses.next, ptr @tj_pool_misses
  call void @tj.pool.let_go()
  ret ptr null
}

; Take blocks out, class after class in turn, until at most %keep bytes are retained; call with the lock held.
; Returns them as a list, to be freed without it.
define internal ptr @tj.pool.evict(i64 %keep) {
entry:
  br label %look
look:
  %evicted = phi ptr [null, %entry], [%evicted, %skip], [%block, %unlink]
  %retained = load i64, ptr @tj_pool_retained
  %above = icmp ugt i64 %retained, %keep
  br i1 %above, label %turn, label %exit
turn:
  %hand = load i64, ptr @tj.pool.hand
  %hand.more = add i64 %hand, 1
  %hand.next = urem i64 %hand.more, $classes
  store i64 %hand.next, ptr @tj.pool.hand
  %list = getelementptr ptr, ptr @tj.pool.free, i64 %hand.next
  %block = load ptr, ptr %list
  %none = icmp eq ptr %block, null
  br i1 %none, label %skip, label %unlink
skip:
  br label %look
unlink:
  %next.at = getelementptr i8, ptr %block, i64 -40
  %next = load ptr, ptr %next.at
  store ptr %next, ptr %list
  store ptr %evicted, ptr %next.at
  %capacity.at = getelementptr i8, ptr %block, i64 -56
  %capacity = load i64, ptr %capacity.at
  %retained.next = sub i64 %retained, %capacity
  store i64 %retained.next, ptr @tj_pool_retained
  br label %look
exit:
  ret ptr %evicted
}

define internal void @tj.pool.free_list(ptr %first) {
entry:
  br label %look
look:
  %block = phi ptr [%first, %entry], [%next, %drop]
  %none = icmp eq ptr %block, null
  br i1 %none, label %exit, label %drop
drop:
  %next.at = getelementptr i8, ptr %block, i64 -40
  %next = load ptr, ptr %next.at
  %header = getelementptr i8, ptr %block, i64 -64
  %raw = load ptr, ptr %header
  call void @free(ptr %raw)
  br label %look
exit:
  ret void
}
"""

_ALLOCATE = """
define void @tj_pool_trim(i64 %keep) {
  call void @tj.pool.acquire()
  %evicted = call ptr @tj.pool.evict(i64 %keep)
  call void @tj.pool.let_go()
  call void @tj.pool.free_list(ptr %evicted)
  ret void
}

; A fresh block; when the system has none, once more after giving back all that the pool retains.
define internal ptr @tj.pool.fresh_or_trim(i64 %capacity, i64 %class, i1 %zeroed) {
  %block = call ptr @tj.pool.fresh(i64 %capacity, i64 %class, i1 %zeroed)
  %none = icmp eq ptr %block, null
  br i1 %none, label %trim, label %exit
trim:
  call void @tj_pool_trim(i64 0)
  %second = call ptr @tj.pool.fresh(i64 %capacity, i64 %class, i1 %zeroed)
  ret ptr %second
exit:
  ret ptr %block
}

define ptr @tj_allocate(i64 %bytes) {
entry:
  %size = call {i64, i64} @tj.pool.class(i64 %bytes)
  %capacity = extractvalue {i64, i64} %size, 0
  %class = extractvalue {i64, i64} %size, 1
  %pooled = icmp sge i64 %class, 0
  br i1 %pooled, label %take, label %new
take:
  %warm = call ptr @tj.pool.take(i64 %class)
  %none = icmp eq ptr %warm, null
  br i1 %none, label %new, label %exit
new:
  %block = call ptr @tj.pool.fresh_or_trim(i64 %capacity, i64 %class, i1 false)
  ret ptr %block
exit:
  ret ptr %warm
}

define internal ptr @tj.allocate_zeroed(i64 %bytes) {
entry:
  %size = call {i64, i64} @tj.pool.class(i64 %bytes)
  %capacity = extractvalue {i64, i64} %size, 0
  %class = extractvalue {i64, i64} %size, 1
  %pooled = icmp sge i64 %class, 0
  br i1 %pooled, label %take, label %new
take:
  %warm = call ptr @tj.pool.take(i64 %class)
  %none = icmp eq ptr %warm, null
  br i1 %none, label %new, label %clear
clear:
  call void @llvm.memset.p0.i64(ptr %warm, i8 0, i64 %bytes, i1 false)
  ret ptr %warm
new:
  %block = call ptr @tj.pool.fresh_or_trim(i64 %capacity, i64 %class, i1 true)
  ret ptr %block
}

define void @tj_release(ptr %block, i64 %bytes) {
entry:
  %none = icmp eq ptr %block, null
  br i1 %none, label %exit, label %look
look:
  %class.at = getelementptr i8, ptr %block, i64 -48
  %class = load i64, ptr %class.at
  %capacity.at = getelementptr i8, ptr %block, i64 -56
  %capacity = load i64, ptr %capacity.at
  %next.at = getelementptr i8, ptr %block, i64 -40
  %limit = load i64, ptr @tj_pool_limit
  %unpooled = icmp slt i64 %class, 0
  %over = icmp ugt i64 %capacity, %limit
  %drop = or i1 %unpooled, %over
  br i1 %drop, label %free, label %keep
free:
  %header = getelementptr i8, ptr %block, i64 -64
  %raw = load ptr, ptr %header
  call void @free(ptr %raw)
  br label %exit
keep:
  %room = sub i64 %limit, %capacity
  call void @tj.pool.acquire()
  %evicted = call ptr @tj.pool.evict(i64 %room)
  %list = getelementptr ptr, ptr @tj.pool.free, i64 %class
  %head = load ptr, ptr %list
  store ptr %head, ptr %next.at
  store ptr %block, ptr %list
  %retained = load i64, ptr @tj_pool_retained
  %retained.next = add i64 %retained, %capacity
  store i64 %retained.next, ptr @tj_pool_retained
  call void @tj.pool.let_go()
  call void @tj.pool.free_list(ptr %evicted)
  br label %exit
exit:
  ret void
}

; In a forked child: if another thread held the lock at the fork, forget the lists it was changing.
define void @tj_pool_reset() {
entry:
  %held = load i32, ptr @tj.pool.lock
  %broken = icmp ne i32 %held, 0
  br i1 %broken, label %forget, label %exit
forget:
  call void @llvm.memset.p0.i64(ptr @tj.pool.free, i8 0, i64 $list_bytes, i1 false)
  store i64 0, ptr @tj_pool_retained
  store i32 0, ptr @tj.pool.lock
  br label %exit
exit:
  ret void
}
"""

_HANDLER = """
; The four functions of a NumPy memory handler (NEP 49); their first argument, the handler's context, is not used.
define ptr @tj_handler_malloc(ptr %unused, i64 %bytes) {
  %block = call ptr @tj_allocate(i64 %bytes)
  ret ptr %block
}

define ptr @tj_handler_calloc(ptr %unused, i64 %count, i64 %size) {
entry:
  %product = call {i64, i1} @llvm.umul.with.overflow.i64(i64 %count, i64 %size)
  %bytes = extractvalue {i64, i1} %product, 0
  %overflow = extractvalue {i64, i1} %product, 1
  br i1 %overflow, label %fail, label %allocate
allocate:
  %block = call ptr @tj.allocate_zeroed(i64 %bytes)
  ret ptr %block
fail:
  ret ptr null
}

; The block stays if the new size belongs to its class; else its contents move.
define ptr @tj_handler_realloc(ptr %unused, ptr %block, i64 %bytes) {
entry:
  %none = icmp eq ptr %block, null
  br i1 %none, label %first, label %compare
first:
  %new.first = call ptr @tj_allocate(i64 %bytes)
  ret ptr %new.first
compare:
  %capacity.at = getelementptr i8, ptr %block, i64 -56
  %capacity = load i64, ptr %capacity.at
  %size = call {i64, i64} @tj.pool.class(i64 %bytes)
  %capacity.new = extractvalue {i64, i64} %size, 0
  %same = icmp eq i64 %capacity, %capacity.new
  br i1 %same, label %stay, label %move
stay:
  ret ptr %block
move:
  %new = call ptr @tj_allocate(i64 %bytes)
  %failed = icmp eq ptr %new, null
  br i1 %failed, label %fail, label %copy
copy:
  %kept = call i64 @llvm.umin.i64(i64 %capacity, i64 %bytes)
  call void @llvm.memcpy.p0.p0.i64(ptr %new, ptr %block, i64 %kept, i1 false)
  call void @tj_release(ptr %block, i64 0)
  ret ptr %new
fail:
  ret ptr null
}

define void @tj_handler_free(ptr %unused, ptr %block, i64 %bytes) {
  call void @tj_release(ptr %block, i64 %bytes)
  ret void
}
"""

_RESULT = """
; What `new_result` needs of NumPy and Python: PyArray_NewFromDescr, PyArray_Type, Py_IncRef, the memory handler.
@tj_numpy = global [4 x ptr] zeroinitializer, align 8

; A new C-contiguous array that owns its memory, which comes from the pool when it is large. Steals a reference to
; %descr, as NumPy does; null with NumPy's exception set when it fails. Needs the GIL.
define ptr @tj_new_result(ptr %descr, i32 %rank, ptr %dims, i64 %bytes) {
entry:
  %create = load ptr, ptr @tj_numpy
  %type.at = getelementptr ptr, ptr @tj_numpy, i64 1
  %type = load ptr, ptr %type.at
  %large = icmp uge i64 %bytes, $smallest
  br i1 %large, label %allocate, label %ordinary
allocate:
  %block = call ptr @tj_allocate(i64 %bytes)
  %none = icmp eq ptr %block, null
  br i1 %none, label %ordinary, label %wrap
ordinary:
  %plain = call ptr %create(ptr %type, ptr %descr, i32 %rank, ptr %dims, ptr null, ptr null, i32 0, ptr null)
  ret ptr %plain
wrap:
  %array = call ptr @tj.wrap(ptr %descr, i32 %rank, ptr %dims, ptr %block)
  ret ptr %array
}

; An array that owns a block of the pool; when it cannot be made, the block is released.
define internal ptr @tj.wrap(ptr %descr, i32 %rank, ptr %dims, ptr %block) {
entry:
  %create = load ptr, ptr @tj_numpy
  %type.at = getelementptr ptr, ptr @tj_numpy, i64 1
  %type = load ptr, ptr %type.at
  %array = call ptr %create(ptr %type, ptr %descr, i32 %rank, ptr %dims, ptr null, ptr %block, i32 1281, ptr null)
  %failed = icmp eq ptr %array, null
  br i1 %failed, label %undo, label %own
undo:
  call void @tj_release(ptr %block, i64 0)
  ret ptr null
own:
  %count.at = getelementptr ptr, ptr @tj_numpy, i64 2
  %count = load ptr, ptr %count.at
  %handler.at = getelementptr ptr, ptr @tj_numpy, i64 3
  %handler = load ptr, ptr %handler.at
  call void %count(ptr %handler)
  %field = getelementptr i8, ptr %array, i64 $handler_offset
  store ptr %handler, ptr %field
  %flags.at = getelementptr i8, ptr %array, i64 $flags_offset
  %flags = load i32, ptr %flags.at
  %flags.own = or i32 %flags, 4
  store i32 %flags.own, ptr %flags.at
  ret ptr %array
}

; The array of a result that a kernel has claimed memory for, from its record: address, bytes, dims. Takes over the
; memory whatever happens, and forgets its address. Small arrays are copied to memory of NumPy's, which wastes less, and
; so are all where there is no handler. Steals a reference to %descr; null with NumPy's exception set when it fails.
define ptr @tj_take_over(ptr %descr, i32 %rank, ptr %record) {
entry:
  %block = load ptr, ptr %record
  store ptr null, ptr %record
  %bytes.at = getelementptr i64, ptr %record, i64 1
  %bytes = load i64, ptr %bytes.at
  %dims = getelementptr i64, ptr %record, i64 2
  %handler.at = getelementptr ptr, ptr @tj_numpy, i64 3
  %handler = load ptr, ptr %handler.at
  %foreign = icmp eq ptr %handler, null
  %small = icmp ult i64 %bytes, $smallest
  %moves = or i1 %foreign, %small
  br i1 %moves, label %move, label %wrap
wrap:
  %wrapped = call ptr @tj.wrap(ptr %descr, i32 %rank, ptr %dims, ptr %block)
  ret ptr %wrapped
move:
  %create = load ptr, ptr @tj_numpy
  %type.at = getelementptr ptr, ptr @tj_numpy, i64 1
  %type = load ptr, ptr %type.at
  %array = call ptr %create(ptr %type, ptr %descr, i32 %rank, ptr %dims, ptr null, ptr null, i32 0, ptr null)
  %failed = icmp eq ptr %array, null
  br i1 %failed, label %done, label %copy
copy:
  %data.at = getelementptr i8, ptr %array, i64 $data_offset
  %data = load ptr, ptr %data.at
  call void @llvm.memcpy.p0.p0.i64(ptr %data, ptr %block, i64 %bytes, i1 false)
  br label %done
done:
  call void @tj_release(ptr %block, i64 0)
  ret ptr %array
}
"""

# Offsets in PyArrayObject_fields of CPython's ordinary build; `buffers.results_are_native` checks them before use.
DATA_OFFSET = 16
FLAGS_OFFSET = 64
HANDLER_OFFSET = 88


def buffer_pool_text() -> str:
    """Return the pool, the memory handler's functions and ``@tj_new_result`` as LLVM text."""
    linux, windows = sys.platform.startswith("linux"), sys.platform == "win32"
    declarations = ["declare i32 @madvise(ptr, i64, i32)"] if linux else []
    declarations += [] if windows else ["declare i32 @sched_yield()"]
    values = {
        "$declarations": "\n".join(declarations),
        "$advise": _ADVISE if linux else "br label %done\ndone:",
        "$advice": str(_MADV_HUGEPAGE),
        "$yield": "" if windows else "call i32 @sched_yield()",
        "$classes": str(CLASSES),
        "$list_bytes": str(CLASSES * 8),
        "$smallest": str(SMALLEST_POOLED),
        "$huge": str(HUGE_BYTES),
        "$handler_offset": str(HANDLER_OFFSET),
        "$flags_offset": str(FLAGS_OFFSET),
        "$data_offset": str(DATA_OFFSET),
    }
    text = _GLOBALS + _LOCK + _CLASS + _FRESH + _TAKE + _ALLOCATE + _HANDLER + _RESULT
    for name, value in values.items():
        text = text.replace(name, value)
    return text
