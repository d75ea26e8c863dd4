"""The thread pool behind parallel loops, as LLVM text on POSIX threads.

Owns how the range of a loop is shared out and how workers wait. It must not know Python: the text is compiled into
the support object (`support.py`) and its workers never touch the interpreter, so they need no GIL and may be parked
for ever.

How it works. One job runs at a time; a caller that finds the pool taken (a nested loop, another thread) runs its loop
itself. `gate` is the whole protocol in one word: job number, an open bit, and how many workers are inside. The caller
fills in the job, opens the gate, wakes sleepers, works itself, closes the gate when the range is used up, and waits
only for workers that are still inside: one that never got a CPU is not waited for. Ranges are handed out by an atomic
counter in shrinking pieces, always whole multiples of the grain. Whoever waits spins for `tj_spin_ns`, then sleeps.
"""

from __future__ import annotations

import platform
import signal
import time

__all__ = ["thread_pool_text"]

STACK_BYTES = 4 << 20

_PAUSE = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "amd64": ("declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"),
    "arm64": ("declare void @llvm.aarch64.hint(i32)", "call void @llvm.aarch64.hint(i32 1)"),
}

_DECLARATIONS = """
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_detach(ptr)
declare i32 @pthread_attr_init(ptr)
declare i32 @pthread_attr_destroy(ptr)
declare i32 @pthread_attr_setstacksize(ptr, i64)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @sigfillset(ptr)
declare i32 @clock_gettime(i32, ptr)
$pause_declaration

; The system's lock objects are at most 64 bytes anywhere; each gets its own cache lines.
@tj.mutex = internal global [128 x i8] zeroinitializer, align 128
@tj.wake = internal global [128 x i8] zeroinitializer, align 128
@tj.done = internal global [128 x i8] zeroinitializer, align 128
; bits 63..32 number of the job, bit 31 open, bits 30..0 workers inside
@tj.gate = internal global i64 0, align 128
@tj.next = internal global i64 0, align 128
@tj.busy = internal global i32 0, align 128
@tj.sleepers = internal global i32 0, align 128
@tj.waiting = internal global i32 0, align 4
@tj.alive = internal global i64 0, align 8
@tj_spin_ns = global i64 30000, align 8
; body, closure, count, grain, threads: written while the gate is closed, read by those inside
%tj.job = type { ptr, ptr, i64, i64, i64 }
@tj.job = internal global %tj.job zeroinitializer, align 128
"""

_TIME = """
define internal i64 @tj.now() {
  %time = alloca [2 x i64]
  call i32 @clock_gettime(i32 $clock, ptr %time)
  %seconds = load i64, ptr %time
  %nanoseconds.at = getelementptr i64, ptr %time, i64 1
  %nanoseconds = load i64, ptr %nanoseconds.at
  %scaled = mul i64 %seconds, 1000000000
  %now = add i64 %scaled, %nanoseconds
  ret i64 %now
}

define internal i64 @tj.deadline() {
  %now = call i64 @tj.now()
  %spin = load i64, ptr @tj_spin_ns
  %deadline = add i64 %now, %spin
  ret i64 %deadline
}

; A short breath for a spinning thread, then: is there time left to spin?
define internal i1 @tj.breathe(i64 %deadline) {
entry:
  br label %pause
pause:
  %i = phi i32 [0, %entry], [%i.next, %pause]
  $pause
  %i.next = add i32 %i, 1
  %again = icmp slt i32 %i.next, 8
  br i1 %again, label %pause, label %look
look:
  %now = call i64 @tj.now()
  %left = icmp slt i64 %now, %deadline
  ret i1 %left
}
"""

_WORK = """
; Take pieces of the job until none is left: each a share of what remains, so that all finish together.
define internal void @tj.take_pieces() {
entry:
  %job = load %tj.job, ptr @tj.job
  %body = extractvalue %tj.job %job, 0
  %closure = extractvalue %tj.job %job, 1
  %count = extractvalue %tj.job %job, 2
  %grain = extractvalue %tj.job %job, 3
  %threads = extractvalue %tj.job %job, 4
  %shares = shl i64 %threads, 1
  %first = load atomic i64, ptr @tj.next monotonic, align 8
  br label %look
look:
  %begin = phi i64 [%first, %entry], [%seen, %take], [%later, %run]
  %more = icmp slt i64 %begin, %count
  br i1 %more, label %take, label %exit
take:
  %left = sub i64 %count, %begin
  %share = sdiv i64 %left, %shares
  %grains.share = sdiv i64 %share, %grain
  %grains = call i64 @llvm.smax.i64(i64 %grains.share, i64 1)
  %size.whole = mul i64 %grains, %grain
  %size = call i64 @llvm.smin.i64(i64 %size.whole, i64 %left)
  %end = add i64 %begin, %size
  %swap = cmpxchg ptr @tj.next, i64 %begin, i64 %end monotonic monotonic
  %seen = extractvalue {i64, i1} %swap, 0
  %taken = extractvalue {i64, i1} %swap, 1
  br i1 %taken, label %run, label %look
run:
  call void %body(ptr %closure, i64 %begin, i64 %end)
  %later = load atomic i64, ptr @tj.next monotonic, align 8
  br label %look
exit:
  ret void
}

; Is there an open job that this worker has not yet seen the end of, and is the worker wanted?
define internal i1 @tj.is_wanted(i64 %gate, i64 %last, i64 %index) alwaysinline {
  %job = lshr i64 %gate, 32
  %fresh = icmp ne i64 %job, %last
  %open.bit = and i64 %gate, 2147483648
  %open = icmp ne i64 %open.bit, 0
  %threads = load atomic i64, ptr @tj_threads monotonic, align 8
  %helpers = sub i64 %threads, 1
  %counted = icmp slt i64 %index, %helpers
  %both = and i1 %fresh, %open
  %wanted = and i1 %both, %counted
  ret i1 %wanted
}

define internal ptr @tj.worker(ptr %argument) {
entry:
  %index = ptrtoint ptr %argument to i64
  br label %idle
idle:
  %last = phi i64 [-1, %entry], [%job, %leave], [%job, %tell], [%last, %awake]
  %deadline = call i64 @tj.deadline()
  br label %spin
spin:
  %gate = load atomic i64, ptr @tj.gate acquire, align 8
  %wanted = call i1 @tj.is_wanted(i64 %gate, i64 %last, i64 %index)
  br i1 %wanted, label %enter, label %rest
rest:
  %time.left = call i1 @tj.breathe(i64 %deadline)
  br i1 %time.left, label %spin, label %sleep
enter:
  %gate.entered = add i64 %gate, 1
  %swap = cmpxchg ptr @tj.gate, i64 %gate, i64 %gate.entered seq_cst monotonic
  %entered = extractvalue {i64, i1} %swap, 1
  br i1 %entered, label %work, label %spin
work:
  %job = lshr i64 %gate, 32
  call void @tj.take_pieces()
  br label %leave
leave:
  %before = atomicrmw sub ptr @tj.gate, i64 1 seq_cst
  %low = and i64 %before, 4294967295
  %closed.and.last = icmp eq i64 %low, 1
  %asleep = load atomic i32, ptr @tj.waiting seq_cst, align 4
  %caller.asleep = icmp ne i32 %asleep, 0
  %must.tell = and i1 %closed.and.last, %caller.asleep
  br i1 %must.tell, label %tell, label %idle
tell:
  call i32 @pthread_mutex_lock(ptr @tj.mutex)
  call i32 @pthread_cond_signal(ptr @tj.done)
  call i32 @pthread_mutex_unlock(ptr @tj.mutex)
  br label %idle
sleep:
  call i32 @pthread_mutex_lock(ptr @tj.mutex)
  atomicrmw add ptr @tj.sleepers, i32 1 seq_cst
  %gate.again = load atomic i64, ptr @tj.gate seq_cst, align 8
  %came = call i1 @tj.is_wanted(i64 %gate.again, i64 %last, i64 %index)
  br i1 %came, label %awake, label %wait
wait:
  call i32 @pthread_cond_wait(ptr @tj.wake, ptr @tj.mutex)
  br label %awake
awake:
  atomicrmw sub ptr @tj.sleepers, i32 1 seq_cst
  call i32 @pthread_mutex_unlock(ptr @tj.mutex)
  br label %idle
}
"""

_START = """
; Start workers until there is one for each thread besides the caller. They block all signals: those are Python's.
define internal void @tj.start_workers(i64 %wanted) noinline {
entry:
  %attributes = alloca [256 x i8], align 16
  %all.signals = alloca [256 x i8], align 16
  %old.signals = alloca [256 x i8], align 16
  %thread = alloca ptr
  call i32 @pthread_attr_init(ptr %attributes)
  call i32 @pthread_attr_setstacksize(ptr %attributes, i64 $stack)
  call i32 @sigfillset(ptr %all.signals)
  call i32 @pthread_sigmask(i32 $sig_setmask, ptr %all.signals, ptr %old.signals)
  %first = load i64, ptr @tj.alive
  br label %look
look:
  %index = phi i64 [%first, %entry], [%index.next, %started]
  %more = icmp slt i64 %index, %wanted
  br i1 %more, label %start, label %finish
start:
  %argument = inttoptr i64 %index to ptr
  %failure = call i32 @pthread_create(ptr %thread, ptr %attributes, ptr @tj.worker, ptr %argument)
  %ok = icmp eq i32 %failure, 0
  br i1 %ok, label %started, label %finish
started:
  %handle = load ptr, ptr %thread
  call i32 @pthread_detach(ptr %handle)
  %index.next = add i64 %index, 1
  br label %look
finish:
  store i64 %index, ptr @tj.alive
  call i32 @pthread_sigmask(i32 $sig_setmask, ptr %old.signals, ptr null)
  call i32 @pthread_attr_destroy(ptr %attributes)
  ret void
}

; As new: at load, and in a forked child, where no worker lives and any lock may be stuck.
define void @tj_threads_reset() {
  call void @llvm.memset.p0.i64(ptr @tj.mutex, i8 0, i64 128, i1 false)
  call void @llvm.memset.p0.i64(ptr @tj.wake, i8 0, i64 128, i1 false)
  call void @llvm.memset.p0.i64(ptr @tj.done, i8 0, i64 128, i1 false)
  call i32 @pthread_mutex_init(ptr @tj.mutex, ptr null)
  call i32 @pthread_cond_init(ptr @tj.wake, ptr null)
  call i32 @pthread_cond_init(ptr @tj.done, ptr null)
  store i64 0, ptr @tj.gate
  store i32 0, ptr @tj.sleepers
  store i32 0, ptr @tj.waiting
  store i64 0, ptr @tj.alive
  store i32 0, ptr @tj.busy
  ret void
}
"""

_PARALLEL_FOR = """
; Wake as many sleepers as there can be pieces for; all of them when some may be surplus and would swallow a signal.
define internal void @tj.wake_workers(i64 %helpers, i64 %threads) {
entry:
  %asleep = load atomic i32, ptr @tj.sleepers seq_cst, align 4
  %some = icmp ne i32 %asleep, 0
  br i1 %some, label %lock, label %exit
lock:
  call i32 @pthread_mutex_lock(ptr @tj.mutex)
  %sleepers = sext i32 %asleep to i64
  %alive = load i64, ptr @tj.alive
  %all.needed = icmp sle i64 %sleepers, %helpers
  %surplus = icmp sge i64 %alive, %threads
  %all = or i1 %all.needed, %surplus
  br i1 %all, label %broadcast, label %signal
broadcast:
  call i32 @pthread_cond_broadcast(ptr @tj.wake)
  br label %unlock
signal:
  %i = phi i64 [0, %lock], [%i.next, %signal]
  call i32 @pthread_cond_signal(ptr @tj.wake)
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %helpers
  br i1 %more, label %signal, label %unlock
unlock:
  call i32 @pthread_mutex_unlock(ptr @tj.mutex)
  br label %exit
exit:
  ret void
}

; Wait for the workers inside the closed gate.
define internal void @tj.wait_for_workers() noinline {
entry:
  %deadline = call i64 @tj.deadline()
  br label %spin
spin:
  %gate = load atomic i64, ptr @tj.gate acquire, align 8
  %inside = and i64 %gate, 2147483647
  %over = icmp eq i64 %inside, 0
  br i1 %over, label %exit, label %rest
rest:
  %time.left = call i1 @tj.breathe(i64 %deadline)
  br i1 %time.left, label %spin, label %sleep
sleep:
  call i32 @pthread_mutex_lock(ptr @tj.mutex)
  store atomic i32 1, ptr @tj.waiting seq_cst, align 4
  br label %check
check:
  %gate.again = load atomic i64, ptr @tj.gate seq_cst, align 8
  %inside.again = and i64 %gate.again, 2147483647
  %over.again = icmp eq i64 %inside.again, 0
  br i1 %over.again, label %awake, label %wait
wait:
  call i32 @pthread_cond_wait(ptr @tj.done, ptr @tj.mutex)
  br label %check
awake:
  store atomic i32 0, ptr @tj.waiting seq_cst, align 4
  call i32 @pthread_mutex_unlock(ptr @tj.mutex)
  br label %exit
exit:
  ret void
}

define void @tj_parallel_for(ptr %body, ptr %closure, i64 %count, i64 %grain.given) {
entry:
  %grain = call i64 @llvm.smax.i64(i64 %grain.given, i64 1)
  %threads = load atomic i64, ptr @tj_threads monotonic, align 8
  %several = icmp sgt i64 %threads, 1
  %large = icmp sgt i64 %count, %grain
  %parallel = and i1 %several, %large
  br i1 %parallel, label %claim, label %serial
serial:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %whole, label %exit
whole:
  call void %body(ptr %closure, i64 0, i64 %count)
  br label %exit
claim:
  %swap = cmpxchg ptr @tj.busy, i32 0, i32 1 acquire monotonic
  %claimed = extractvalue {i32, i1} %swap, 1
  br i1 %claimed, label %prepare, label %serial
prepare:
  %workers = sub i64 %threads, 1
  %alive = load i64, ptr @tj.alive
  %few = icmp slt i64 %alive, %workers
  br i1 %few, label %start, label %open
start:
  call void @tj.start_workers(i64 %workers)
  br label %open
open:
  %job.0 = insertvalue %tj.job poison, ptr %body, 0
  %job.1 = insertvalue %tj.job %job.0, ptr %closure, 1
  %job.2 = insertvalue %tj.job %job.1, i64 %count, 2
  %job.3 = insertvalue %tj.job %job.2, i64 %grain, 3
  %job.4 = insertvalue %tj.job %job.3, i64 %threads, 4
  store %tj.job %job.4, ptr @tj.job
  store atomic i64 0, ptr @tj.next monotonic, align 8
  atomicrmw add ptr @tj.gate, i64 6442450944 seq_cst      ; next job number, open
  %rest = sub i64 %count, 1
  %pieces.besides = sdiv i64 %rest, %grain
  %helpers = call i64 @llvm.smin.i64(i64 %pieces.besides, i64 %workers)
  call void @tj.wake_workers(i64 %helpers, i64 %threads)
  call void @tj.take_pieces()
  %before = atomicrmw sub ptr @tj.gate, i64 2147483648 seq_cst
  %inside = and i64 %before, 2147483647
  %alone = icmp eq i64 %inside, 0
  br i1 %alone, label %free, label %wait
wait:
  call void @tj.wait_for_workers()
  br label %free
free:
  store atomic i32 0, ptr @tj.busy release, align 4
  br label %exit
exit:
  ret void
}
"""


def thread_pool_text() -> str:
    """Return the pool as LLVM text; it uses the global ``@tj_threads``, and defines ``@tj_parallel_for`` and others."""
    declaration, instruction = _PAUSE.get(platform.machine().lower(), ("", ""))
    values = {
        "$pause_declaration": declaration,
        "$pause": instruction,
        "$clock": str(time.CLOCK_MONOTONIC),
        "$stack": str(STACK_BYTES),
        "$sig_setmask": str(int(signal.SIG_SETMASK)),
    }
    text = _DECLARATIONS + _TIME + _WORK + _START + _PARALLEL_FOR
    for name, value in values.items():
        text = text.replace(name, value)
    return text
