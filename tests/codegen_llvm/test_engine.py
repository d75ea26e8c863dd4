"""Text to machine code: levels, symbols, errors, unloading, threads."""

import ctypes
import gc
import math
import os
import threading

import llvmlite.binding as llvm
import numpy as np
import pytest

from tracejit.codegen_llvm import engine

LEVELS = [engine.LEVEL_QUICK, engine.LEVEL_SHORT, engine.LEVEL_LOOPS, engine.LEVEL_FULL]

SUM = """
define internal double @square(double %x) alwaysinline {
  %y = fmul double %x, %x
  ret double %y
}

define double @kernel(ptr %data, i64 %count) {
entry:
  %sum = alloca double
  store double 0.0, ptr %sum
  br label %head
head:
  %i = phi i64 [0, %entry], [%i.next, %body]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %body, label %exit
body:
  %at = getelementptr double, ptr %data, i64 %i
  %x = load double, ptr %at
  %square = call double @square(double %x)
  %old = load double, ptr %sum
  %new = fadd double %old, %square
  store double %new, ptr %sum
  %i.next = add i64 %i, 1
  br label %head
exit:
  %result = load double, ptr %sum
  ret double %result
}
"""


def function(code: engine.LoadedCode, result: type | None, *arguments: type):
    return ctypes.CFUNCTYPE(result, *arguments)(code.address)


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_computes_the_same(level: int) -> None:
    code = engine.load_object(engine.compile_object(SUM, level=level))
    data = np.arange(10.0)
    assert function(code, ctypes.c_double, ctypes.c_void_p, ctypes.c_int64)(data.ctypes.data, 10) == 285.0


@pytest.mark.parametrize("level", LEVELS)
def test_passes_inline_and_promote(level: int) -> None:
    text = engine.optimised_text(SUM, level=level)
    assert "alloca" not in text
    assert "@square" not in text


def test_loop_invariants_are_hoisted() -> None:
    text = """
    define internal double @ratio(double %x, double %y) alwaysinline {
      %z = fdiv double %x, %y
      ret double %z
    }
    define void @kernel(ptr noalias %out, double %x, double %y, i64 %count) {
    entry:
      br label %loop
    loop:
      %i = phi i64 [0, %entry], [%i.next, %loop]
      %z = call double @ratio(double %x, double %y)
      %at = getelementptr double, ptr %out, i64 %i
      store double %z, ptr %at
      %i.next = add i64 %i, 1
      %more = icmp slt i64 %i.next, %count
      br i1 %more, label %loop, label %exit
    exit:
      ret void
    }
    """
    optimised = engine.optimised_text(text, level=engine.LEVEL_LOOPS)
    before_loop = optimised[: optimised.index("phi")]
    assert "fdiv" in before_loop


def test_arithmetic_is_not_contracted_or_reassociated() -> None:
    text = """
    define double @kernel(double %x, double %y) {
      %p = fmul double %x, %y
      %s = fsub double %p, %p
      ret double %s
    }
    """
    code = engine.load_object(engine.compile_object(text, level=engine.LEVEL_FULL))
    kernel = function(code, ctypes.c_double, ctypes.c_double, ctypes.c_double)
    assert kernel(0.1, 0.3) == 0.0  # a contracted product would leave its rounding error
    assert math.isnan(kernel(math.inf, 1.0))


def test_explicit_vectors_stay_whole_on_wide_machines() -> None:
    """LLVM prefers 256-bit registers on early AVX-512 machines for its own vectors, not for ours."""
    llvm.initialize_native_target()
    if not engine.host_target().triple.startswith("x86_64"):
        pytest.skip("about x86")
    machine = llvm.Target.from_triple(engine.host_target().triple).create_target_machine(cpu="skylake-avx512", opt=2)
    text = "define <8 x double> @f(<8 x double> %x) { %y = fadd <8 x double> %x, %x\n ret <8 x double> %y }"
    assert "zmm" in machine.emit_assembly(llvm.parse_assembly(text))


def test_target_is_described() -> None:
    target = engine.host_target()
    assert target.vector_bits in (128, 256, 512)
    assert target.cpu in target.key
    assert target.triple in target.key
    assert engine._vector_bits("x86_64-unknown-linux-gnu", {"avx2": True}) == 256
    wide = dict.fromkeys(("avx2", "avx512f", "avx512dq", "avx512bw", "avx512vl"), True)
    assert engine._vector_bits("x86_64-unknown-linux-gnu", wide) == 512
    assert engine._vector_bits("x86_64-unknown-linux-gnu", wide | {"avx512bw": False}) == 256
    assert engine._vector_bits("x86_64-unknown-linux-gnu", {}) == 128
    assert engine._vector_bits("aarch64-unknown-linux-gnu", {"neon": True}) == 128


def test_assembly_is_readable() -> None:
    assert "kernel" in engine.assembly(SUM)


def test_library_functions_resolve() -> None:
    text = """
    declare double @pow(double, double)
    declare double @llvm.sin.f64(double)
    define double @kernel(double %x) {
      %s = call double @llvm.sin.f64(double %x)
      %y = call double @pow(double %s, double 1.5)
      %z = frem double %y, 0.25
      ret double %z
    }
    """
    kernel = function(code := engine.load_object(engine.compile_object(text)), ctypes.c_double, ctypes.c_double)
    assert kernel(1.0) == pytest.approx(math.sin(1.0) ** 1.5 % 0.25, rel=1e-14)
    del code


def test_defined_symbols_and_resolvers() -> None:
    callback_type = ctypes.CFUNCTYPE(ctypes.c_int64)
    first, second = callback_type(lambda: 11), callback_type(lambda: 22)
    engine.define_symbol("tj_test_defined", ctypes.cast(first, ctypes.c_void_p).value or 0)
    asked = []

    def resolver(name: str) -> int | None:
        asked.append(name)
        return ctypes.cast(second, ctypes.c_void_p).value if name == "tj_test_resolved" else None

    engine.add_symbol_resolver(resolver)
    text = """
    declare i64 @tj_test_defined()
    declare i64 @tj_test_resolved()
    define i64 @kernel() {
      %x = call i64 @tj_test_defined()
      %y = call i64 @tj_test_resolved()
      %z = sub i64 %x, %y
      ret i64 %z
    }
    """
    object_code = engine.compile_object(text)
    code = engine.load_object(object_code)
    assert function(code, ctypes.c_int64)() == -11
    assert asked == ["tj_test_resolved"]


def test_missing_symbol_raises() -> None:
    text = "declare void @tj_no_such_thing()\n define void @kernel() { call void @tj_no_such_thing()\n ret void }"
    with pytest.raises(engine.LoadError, match="kernel"):
        engine.load_object(engine.compile_object(text))


@pytest.mark.parametrize("damage", [lambda code: b"", lambda code: code[: len(code) // 2], lambda code: b"x" * 500])
def test_damaged_object_raises(damage) -> None:
    with pytest.raises(engine.LoadError):
        engine.load_object(damage(engine.compile_object(SUM)))


@pytest.mark.parametrize("text", ["define i64 @kernel() { ret i32 0 }", "nonsense"])
def test_invalid_text_raises(text: str) -> None:
    with pytest.raises(RuntimeError):
        engine.compile_object(text)


def test_text_that_breaks_llvms_rules_raises() -> None:
    text = "define i64 @kernel() {\n br label %a\na:\n %x = add i64 %y, 1\n %y = add i64 1, 1\n ret i64 %x }"
    with pytest.raises(RuntimeError, match="dominate"):
        engine.compile_object(text)


def test_several_symbols_of_one_object() -> None:
    text = "define i64 @one() { ret i64 1 }\n@word = global i64 5"
    code = engine.load_object(engine.compile_object(text), "one", "word")
    assert code.address == code.addresses["one"]
    assert ctypes.c_int64.from_address(code.addresses["word"]).value == 5


def test_equal_objects_load_independently_and_unload() -> None:
    object_code = engine.compile_object("@word = global i64 0\ndefine i64 @kernel() { ret i64 3 }")
    first, second = (engine.load_object(object_code, "kernel", "word") for _ in range(2))
    assert first.addresses["word"] != second.addresses["word"]
    del first
    gc.collect()
    assert function(second, ctypes.c_int64)() == 3


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads Linux's memory figures")
def test_unloading_frees_memory() -> None:
    object_code = engine.compile_object("@words = global [200000 x i64] zeroinitializer\n" + SUM)

    def pages() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0])

    for _ in range(3):
        engine.load_object(object_code)
    before = pages()
    for _ in range(50):
        engine.load_object(object_code)
    assert (pages() - before) * 4096 < 20 * 1_600_000


def test_older_engine_loads_the_same_objects() -> None:
    """The loader that Windows uses."""
    text = """
    declare double @cos(double)
    define double @kernel(double %x) {
      %y = call double @cos(double %x)
      ret double %y
    }
    """
    code = engine._load_with_engine(engine.compile_object(text), ["kernel"], {})
    assert function(code, ctypes.c_double, ctypes.c_double)(0.5) == math.cos(0.5)


def test_threads_compile_and_load_at_once() -> None:
    failures = []

    def work(seed: int) -> None:
        for index in range(5):
            value = seed * 100 + index
            code = engine.load_object(engine.compile_object(f"define i64 @kernel() {{ ret i64 {value} }}"))
            if function(code, ctypes.c_int64)() != value:
                failures.append(value)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


HALF_VALUES = [0.0, -0.0, 1.0, -2.5, 65504.0, 65519.9, 65520.0, 1e9, -1e300, math.inf, -math.inf, math.nan]
HALF_VALUES += [2.0**-14, 2.0**-24, 2.0**-25, 2.0**-25 * (1 + 2.0**-40), 2.0**-26, 1e-6, 6e-5]
HALF_VALUES += [1 + 2.0**-11, 1 + 2.0**-11 + 2.0**-40, 1 + 3 * 2.0**-11]


def test_half_precision_conversions_round_once() -> None:
    """float64 to float16 has no instruction on most machines: LLVM calls a function that we provide."""
    text = """
    define void @kernel(ptr %x, ptr %y) {
      %a = load double, ptr %x
      %b = fptrunc double %a to half
      store half %b, ptr %y
      ret void
    }
    """
    code = engine.load_object(engine.compile_object(text))
    kernel = function(code, None, ctypes.c_void_p, ctypes.c_void_p)
    spread = np.random.default_rng(0).standard_normal(2000) * 10.0 ** np.arange(-8, 8, 0.008)
    values = np.concatenate([HALF_VALUES, spread])
    results = np.empty(len(values), np.float16)
    for index in range(len(values)):
        kernel(values.ctypes.data + 8 * index, results.ctypes.data + 2 * index)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    np.testing.assert_array_equal(results, expected)
    np.testing.assert_array_equal(np.signbit(results), np.signbit(expected))


def _convert(source: str, target: str, values: np.ndarray, result: type) -> np.ndarray:
    """Call our conversion functions directly: machines with the instructions never would."""
    from tracejit.codegen_llvm import support

    names = {
        ("float", "half"): "tj_truncsfhf2",
        ("half", "float"): "tj_extendhfsf2",
        ("float", "bfloat"): "tj_truncsfbf2",
        ("double", "bfloat"): "tj_truncdfbf2",
    }
    engine.define_symbol("tj_test_convert", support.support_address(names[source, target]))
    code = engine.load_object(
        engine.compile_object(f"""
    declare {target} @tj_test_convert({source})
    define void @kernel(ptr %x, ptr %y, i64 %count) {{
    entry:
      br label %loop
    loop:
      %i = phi i64 [0, %entry], [%i.next, %loop]
      %x.i = getelementptr {source}, ptr %x, i64 %i
      %y.i = getelementptr {target}, ptr %y, i64 %i
      %a = load {source}, ptr %x.i
      %b = call {target} @tj_test_convert({source} %a)
      store {target} %b, ptr %y.i
      %i.next = add i64 %i, 1
      %more = icmp slt i64 %i.next, %count
      br i1 %more, label %loop, label %exit
    exit:
      ret void
    }}""")
    )
    results = np.empty(len(values), result)
    convert = function(code, None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    convert(values.ctypes.data, results.ctypes.data, len(values))
    return results


def test_all_halves_extend_exactly() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    np.testing.assert_array_equal(_convert("half", "float", halves, np.float32), halves.astype(np.float32))


def test_floats_truncate_to_half_as_numpy() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        floats = np.concatenate([halves, np.nextafter(halves, np.float32(9)), (halves[1:] + halves[:-1]) / 2])
        expected = floats.astype(np.float16)
    np.testing.assert_array_equal(_convert("float", "half", floats, np.float16), expected)


@pytest.mark.parametrize("source", ["float", "double"])
def test_floats_truncate_to_bfloat(source: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    wide = {"float": np.float32, "double": np.float64}[source]
    with np.errstate(over="ignore", invalid="ignore"):
        exact = np.arange(1 << 16, dtype=np.uint16).view(ml_dtypes.bfloat16).astype(wide)
        values = np.concatenate([exact, (exact[1:] + exact[:-1]) / 2])
    values = values[np.isfinite(values)]
    results = _convert(source, "bfloat", values, np.uint16).view(ml_dtypes.bfloat16)
    expected = values.astype(np.float32).astype(ml_dtypes.bfloat16).astype(float)
    np.testing.assert_array_equal(results.astype(float), expected)
    nan = _convert(source, "bfloat", np.array([np.nan], wide), np.uint16).view(ml_dtypes.bfloat16)
    assert np.isnan(nan.astype(float)).all()
