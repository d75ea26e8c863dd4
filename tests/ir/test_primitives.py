"""One table-driven test of every primitive: types, meaning, derivatives, transposes, batching, loading."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.ir.samples import Sample, samples
from tracejit.errors import UnsupportedError
from tracejit.ir.builder import Builder
from tracejit.ir.core import Eqn, Literal, Operand, Value
from tracejit.ir.interpreter import interpret
from tracejit.ir.ops import UFUNCS
from tracejit.ir.parser import parse
from tracejit.ir.primitive import PRIMITIVES, Unknown
from tracejit.ir.printer import format_function
from tracejit.ir.types import ArrayType
from tracejit.ir.verifier import verify

ARRAY_LEVEL = [name for name, op in PRIMITIVES.items() if op.level != "loop"]
CALLBACKS = ("callback", "pure_callback")
DIFFERENTIABLE = [name for name in ARRAY_LEVEL if PRIMITIVES[name].jvp is not None and name not in CALLBACKS]
TRANSPOSED = [name for name in ARRAY_LEVEL if PRIMITIVES[name].transpose is not None]
BATCHED = [n for n in ARRAY_LEVEL if PRIMITIVES[n].batch is not None and n not in ("bind_size", "check")]
LOADED = [name for name in ARRAY_LEVEL if PRIMITIVES[name].load is not None]
DOUBLES = ("d", "D")

# Operands in which an operation is not linear, or not linear together.
NOT_LINEAR = {"mul": [(0, 1)], "dot": [(0, 1)], "div": [(1,), (0, 1)], "library_loop": [(1,), (0, 1)]}

# Declared without a derivative: each is constant between jumps, or has no real or complex result.
CONSTANT = set(
    "argmax argmin argsort bind_size bitcast bitwise_and bitwise_count bitwise_not bitwise_or bitwise_xor callback "
    "ceil check cond constant custom_jvp custom_linear custom_vjp dim empty eq floor floordiv fori_loop "
    "frexp_exponent from_sort_key gcd ge gt iota isfinite isinf isnan lcm le logical_not lt ne random_array "
    "random_bits random_number reduce_all reduce_any rint search shift_left shift_right signbit sort_key spacing "
    "stop_gradient trunc while_loop wrap_index".split()
)


def type_of(array: Any) -> ArrayType:
    return ArrayType(np.asarray(array).dtype, np.shape(array))


def run(build: Callable[..., Sequence[Operand | None]], *arrays: Any) -> list[Any]:
    """Emit with one param an array, verify, and interpret."""
    with Builder() as builder, np.errstate(all="ignore"):
        params = [builder.param(type_of(array)) for array in arrays]
        results = list(build(*params))
        present = [result for result in results if result is not None]
        answers = iter(interpret(verify(builder.finish(present)), *arrays))
        return [None if result is None else next(answers) for result in results]


def apply(name: str, sample: Sample, *operands: Operand) -> tuple[Operand, ...]:
    from tracejit.ir.builder import current_builder

    return current_builder().emit(PRIMITIVES[name], operands, sample.attrs, sample.regions)


def same_bits(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    same = a.dtype == b.dtype and a.shape == b.shape
    if same and a.dtype.kind in "fc":  # the sign of a NaN that an operation makes depends on the machine
        a, b = (np.where(np.isnan(x), a.dtype.type(np.nan), x) for x in (a, b))
    return same and a.tobytes() == b.tobytes()


def doubles(name: str) -> list[Sample]:
    """Smooth samples all of whose inexact operands are f64 or c128."""
    return [
        sample
        for sample in samples(name)
        if sample.smooth
        and any(o.dtype.char in DOUBLES for o in sample.operands)
        and all(o.dtype.char in DOUBLES or o.dtype.kind in "iub" for o in sample.operands)
    ]


# ---------------------------------------------------------------------------------------------- types and meaning


def test_derivatives_that_are_zero_are_stated() -> None:
    assert {name for name in ARRAY_LEVEL if PRIMITIVES[name].jvp is None} <= CONSTANT


@pytest.mark.parametrize("name", ARRAY_LEVEL)
def test_reference_has_the_inferred_type(name: str) -> None:
    for sample in samples(name):
        with Builder() as builder, np.errstate(all="ignore"):
            params = [builder.param(type_of(operand)) for operand in sample.operands]
            results = apply(name, sample, *params)
            function = verify(builder.finish(results))
            values = interpret(function, *sample.operands)
        for result, value in zip(results, values, strict=True):
            assert isinstance(value, np.ndarray | np.generic), sample
            assert type_of(value) == result.type, sample
        if name not in CALLBACKS:
            assert format_function(parse(str(function))) == str(function)


@pytest.mark.parametrize("name", [name for name in ARRAY_LEVEL if PRIMITIVES[name].ufunc])
def test_reference_is_the_ufunc(name: str) -> None:
    op = PRIMITIVES[name]
    assert op.ufunc is not None
    for sample in samples(name):
        with np.errstate(all="ignore"):
            expected = op.ufunc(*sample.operands)
            assert same_bits(op.reference(*sample.operands, **sample.attrs), expected), sample


@pytest.mark.parametrize("name", [name for name in ARRAY_LEVEL if PRIMITIVES[name].elementwise])
def test_dtypes_outside_of_the_domain_are_refused(name: str) -> None:
    op = PRIMITIVES[name]
    arity = len(samples(name)[0].operands)
    attrs = samples(name)[0].attrs
    for char in "?bBhHiIlLefdFD":
        dtype = np.dtype(char)
        if dtype not in op.domain and name != "select":
            with pytest.raises(TypeError):
                op.infer(*[ArrayType(dtype)] * arity, **attrs)


def test_mixed_dtypes_and_dims_are_refused() -> None:
    with pytest.raises(TypeError, match="different dtypes"):
        PRIMITIVES["add"].infer(ArrayType(np.dtype("d")), ArrayType(np.dtype("f")))
    with pytest.raises(ValueError, match="different dims"):
        PRIMITIVES["add"].infer(ArrayType(np.dtype("d"), (3,)), ArrayType(np.dtype("d"), (4,)))
    with pytest.raises(TypeError, match="ufunc 'sin' not supported for the input types"):
        PRIMITIVES["sin"].infer(ArrayType(np.dtype("l")))


def test_every_ufunc_is_an_operation_or_a_composition() -> None:
    ufuncs = {u for u in vars(np).values() if isinstance(u, np.ufunc)}
    compositions = (
        "deg2rad degrees divmod float_power frexp isnat logical_and logical_or logical_xor matmul matvec modf positive "
        "rad2deg radians square vecdot vecmat"
    )
    missing = {u.__name__ for u in ufuncs - set(UFUNCS)} - set(compositions.split())
    assert not missing


def test_constants_are_folded_with_their_bits() -> None:
    add, neg, div = (PRIMITIVES[name] for name in ("add", "neg", "div"))
    with Builder():
        assert add(Literal(1.5), 2).value == 3.5
        assert same_bits(neg(Literal(0.0)).value, np.float64(-0.0))
        assert np.isinf(div(Literal(1.0), 0).value)


def test_wrap_index_outside_is_an_index_error() -> None:
    for index, size in [(3, 3), (-4, 3), (0, 0)]:
        with pytest.raises(IndexError, match=f"index {index} is out of bounds for axis 0 with size {size}"):
            PRIMITIVES["wrap_index"].reference(np.int64(index), np.int64(size))


# ------------------------------------------------------------------------------------------------- derivatives


def directional(name: str, sample: Sample, active: Sequence[int], directions: dict[int, np.ndarray]) -> list[Any]:
    """Central differences along a direction."""
    step = 1e-6

    def at(t: float) -> list[Any]:
        moved = [o + t * directions[k] if k in active else o for k, o in enumerate(sample.operands)]
        moved = [m.astype(o.dtype) for m, o in zip(moved, sample.operands, strict=True)]
        return run(lambda *params: apply(name, sample, *params), *moved)

    below, above = at(-step), at(step)
    return [(np.asarray(b, complex) - np.asarray(a)) / (2 * step) for a, b in zip(below, above, strict=True)]


def direction_like(array: np.ndarray, salt: int) -> np.ndarray:
    rng = np.random.default_rng(salt)
    value = rng.normal(size=array.shape)
    if array.dtype.kind == "c":
        value = value + 1j * rng.normal(size=array.shape)
    return np.asarray(value, array.dtype)


def subsets(positions: Sequence[int]) -> list[tuple[int, ...]]:
    return [c for size in range(1, len(positions) + 1) for c in itertools.combinations(positions, size)]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_jvp_is_the_finite_difference(name: str) -> None:
    for sample in doubles(name):
        inexact = [k for k, o in enumerate(sample.operands) if o.dtype.kind in "fc"]
        for active in subsets(inexact):
            directions = {k: direction_like(sample.operands[k], k) for k in active}
            check_jvp(name, sample, active, directions)


def check_jvp(name: str, sample: Sample, active: tuple[int, ...], directions: dict[int, np.ndarray]) -> None:
    count = len(sample.operands)
    types: list[ArrayType] = []

    def build(*params: Operand) -> list[Operand | None]:
        primals = params[:count]
        given = dict(zip(active, params[count:], strict=True))
        results = apply(name, sample, *primals)
        types.extend(r.type for r in results)
        eqn = Eqn(PRIMITIVES[name], primals, sample.attrs, sample.regions, results)  # type: ignore[arg-type]
        rule = PRIMITIVES[name].jvp
        assert rule is not None
        return list(rule(eqn, list(primals), [given.get(k) for k in range(count)]))

    tangents = run(build, *sample.operands, *[directions[k] for k in active])
    expected = directional(name, sample, active, directions)
    for tangent, wanted, type in zip(tangents, expected, types, strict=True):
        if type.dtype.kind not in "fc":
            assert tangent is None
            continue
        if tangent is None:
            tangent = np.zeros(type.dims, type.dtype)
        assert type_of(tangent) == type, (sample, active)
        tolerance = 1e-5 if type.dtype.char in DOUBLES else 1e30  # a narrow result has no useful differences
        np.testing.assert_allclose(tangent, wanted, rtol=tolerance, atol=tolerance, err_msg=f"{sample} {active}")


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_tangents_are_made_by_linear_operations(name: str) -> None:
    """Reverse mode transposes every equation that depends on a tangent, so each needs a transpose."""
    for sample in doubles(name):
        count = len(sample.operands)
        with Builder() as builder:
            primals = [builder.param(type_of(o)) for o in sample.operands]
            results = apply(name, sample, *primals)
            depends = {builder.param(p.type) for p in primals if p.dtype.kind in "fc"}
            given = iter(builder.params[count:])
            tangents = [next(given) if p.dtype.kind in "fc" else None for p in primals]
            eqn = Eqn(PRIMITIVES[name], tuple(primals), sample.attrs, sample.regions, results)  # type: ignore[arg-type]
            present = [t for t in PRIMITIVES[name].jvp(eqn, primals, tangents) if t is not None]  # type: ignore[misc]
            function = builder.finish(present)
        for made in function.eqns:
            if not depends.isdisjoint(made.operands):  # type: ignore[arg-type]
                depends.update(made.results)
                # Loops are transposed by the transform, which sees their regions.
                assert made.op.transpose is not None or made.op.name == "fori_loop", f"{made} in {function}"


@pytest.mark.parametrize(
    ("name", "operands", "active", "expected"),
    [
        ("abs", [0.0], 0, 0.0),
        ("maximum", [2.0, 2.0], 0, 0.5),
        ("minimum", [2.0, 2.0], 1, 0.5),
        ("fmax", [np.nan, 2.0], 1, 1.0),
        ("fmax", [np.nan, 2.0], 0, 0.0),
        ("sqrt", [0.0], 0, np.inf),
        ("pow", [0.0, 0.0], 0, 0.0),
        ("pow", [0.0, 2.0], 0, 0.0),
        ("pow", [0.0, 1.0], 0, 1.0),
        ("pow", [0.0, 2.0], 1, 0.0),
        ("pow", [-2.0, 3.0], 0, 12.0),
        ("pow", [-2.0, 3.0], 1, np.nan),
        ("pow", [2.0, -1.0], 0, -0.25),
        ("hypot", [0.0, 0.0], 0, 0.0),
        ("logaddexp", [-np.inf, 1.0], 1, 1.0),
        ("logaddexp", [-np.inf, 1.0], 0, 0.0),
        ("floor", [2.5], 0, None),
    ],
)
@pytest.mark.parametrize("literals", [False, True])
def test_derivatives_at_special_points(
    name: str, operands: list[float], active: int, expected: float | None, literals: bool
) -> None:
    rule = PRIMITIVES[name].jvp
    if rule is None:
        assert expected is None
        return

    def build(*params: Operand) -> list[Operand | None]:
        *values, tangent = params
        primals = [
            Literal(o) if literals and k != active else v for k, (o, v) in enumerate(zip(operands, values, strict=True))
        ]
        eqn = Eqn(PRIMITIVES[name], tuple(primals), {}, (), ())
        return list(rule(eqn, primals, [tangent if k == active else None for k in range(len(primals))]))

    (found,) = run(build, *map(np.float64, operands), np.float64(1.0))
    assert (found if found is not None else 0.0) == pytest.approx(expected, nan_ok=True)


def test_select_keeps_nan_of_the_dead_branch_out() -> None:
    def build(c: Value, a: Value, b: Value, da: Value, db: Value) -> list[Operand | None]:
        eqn = Eqn(PRIMITIVES["select"], (c, a, b), {}, (), ())
        return list(PRIMITIVES["select"].jvp(eqn, [c, a, b], [None, da, db]))  # type: ignore[misc]

    condition, value = np.array([True, False]), np.zeros(2)
    (tangent,) = run(build, condition, value, value, np.array([1.0, np.nan]), np.array([np.nan, 2.0]))
    assert tangent.tolist() == [1.0, 2.0]


# -------------------------------------------------------------------------------------------------- transposes


def inner(a: Any, b: Any) -> complex:
    """The bilinear product whose real part transposes keep: no conjugation."""
    return complex(np.sum(np.asarray(a) * np.asarray(b))).real


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transpose_is_the_adjoint(name: str) -> None:
    checked = 0
    for sample in doubles(name):
        if name == "cast" and sample.attrs["dtype"].char not in DOUBLES:
            continue
        inexact = [k for k, o in enumerate(sample.operands) if o.dtype.kind in "fc"]
        for active in subsets(inexact):
            if active not in NOT_LINEAR.get(name, ()):
                check_transpose(name, sample, active)
                checked += 1
    assert checked


def check_transpose(name: str, sample: Sample, active: tuple[int, ...]) -> None:
    def linear(scale: float) -> Any:
        operands = list(sample.operands)
        for k in active:
            operands[k] = np.asarray(scale * direction_like(operands[k], k))
        return np.asarray(run(lambda *params: apply(name, sample, *params), *operands)[0])

    zero, one, two = linear(0.0), linear(1.0), linear(2.0)
    np.testing.assert_allclose(two - zero, 2 * (one - zero), rtol=1e-9, atol=1e-9, err_msg=f"{sample} {active}")
    cotangent = direction_like(one, 99)
    known = [k for k in range(len(sample.operands)) if k not in active]

    def build(ct: Operand, *params: Operand) -> list[Operand | None]:
        given = dict(zip(known, params, strict=True))
        operands = [given.get(k, Unknown(type_of(o))) for k, o in enumerate(sample.operands)]
        eqn = Eqn(PRIMITIVES[name], tuple(operands), sample.attrs, (), (Value(type_of(one)),))  # type: ignore[arg-type]
        return list(PRIMITIVES[name].transpose(eqn, [ct], operands))  # type: ignore[misc]

    found = run(build, cotangent, *[sample.operands[k] for k in known])
    total = 0.0
    for k, answer in enumerate(found):
        if k in active and answer is not None:
            assert type_of(answer) == type_of(sample.operands[k]), (sample, active)
            total += inner(answer, direction_like(sample.operands[k], k))
        elif k not in active:
            assert answer is None, (sample, active)
    assert total == pytest.approx(inner(cotangent, one - zero), rel=1e-9, abs=1e-9), (sample, active)


# ------------------------------------------------------------------------------------------- batching, loading


@pytest.mark.parametrize("name", BATCHED)
def test_batch_is_the_loop(name: str) -> None:
    size = 3
    for sample in samples(name):
        if not sample.operands:
            continue
        # The masks of examples select different numbers of elements, which no array can hold.
        masks = {"compress": 0, "spread": 1}
        movable = [k for k in range(len(sample.operands)) if k != masks.get(name)]
        for active in subsets(movable):
            check_batch(name, sample, active, size)


@pytest.mark.parametrize("name", ["compress", "spread"])
def test_a_mask_for_each_example_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedError, match="another size"):
        check_batch(name, samples(name)[0], (0, 1), 3)


def check_batch(name: str, sample: Sample, active: tuple[int, ...], size: int) -> None:
    stacked = [
        np.stack([np.roll(o, k) for k in range(size)]) if position in active else o
        for position, o in enumerate(sample.operands)
    ]
    flags = [position in active for position in range(len(stacked))]

    def build(*params: Operand) -> list[Operand | None]:
        types = [type_of(o) for o in sample.operands]
        results = PRIMITIVES[name].infer(*types, **sample.attrs)
        results = (results,) if isinstance(results, ArrayType) else results
        eqn = Eqn(PRIMITIVES[name], tuple(map(Value, types)), sample.attrs, (), tuple(map(Value, results)))
        return list(PRIMITIVES[name].batch(eqn, list(params), flags))  # type: ignore[misc]

    found = run(build, *stacked)
    with np.errstate(all="ignore"):
        outcomes = [
            PRIMITIVES[name].reference(*[s[k] if f else s for s, f in zip(stacked, flags, strict=True)], **sample.attrs)
            for k in range(size)
        ]
    expected = zip(*[outcome if isinstance(outcome, tuple) else (outcome,) for outcome in outcomes], strict=True)
    for result, each in zip(found, expected, strict=True):
        wanted = np.stack(each)
        if name == "library_loop" and wanted.dtype == bool:
            wanted[:] = wanted.any()  # the batch fails as a whole
        np.testing.assert_allclose(result, wanted, rtol=1e-6, err_msg=f"{sample} {active}")
        assert np.asarray(result).dtype == wanted.dtype


@pytest.mark.parametrize("name", LOADED)
def test_load_is_the_element(name: str) -> None:
    """Every element through the ``load`` rule, on literal indices, so that all index arithmetic folds."""
    for sample in samples(name):
        with np.errstate(all="ignore"):
            expected = np.asarray(PRIMITIVES[name].reference(*sample.operands, **sample.attrs))
        operands = tuple(Value(type_of(o)) for o in sample.operands)
        arrays = dict(zip(operands, sample.operands, strict=True))
        eqn = Eqn(PRIMITIVES[name], operands, sample.attrs, (), (Value(type_of(expected)),))
        positions = list(np.ndindex(expected.shape))
        for index in positions[:: max(1, len(positions) // 40)]:
            with Builder():
                found = load_element(eqn, index, arrays)
            assert same_bits(found, expected[index]), (sample, index)


def load_element(eqn: Eqn, index: tuple[int, ...], arrays: dict[Value, np.ndarray]) -> Any:
    assert eqn.op.load is not None
    loader = eqn.op.load(eqn, tuple(Literal(np.int64(i)) for i in index))
    answer: Any = None
    while True:
        try:
            operand, at = loader.send(answer)
        except StopIteration as stop:
            assert isinstance(stop.value, Literal), "index arithmetic on literals folds"
            return stop.value.value
        position = tuple(int(i.value) for i in at)
        shape = arrays[operand].shape
        assert len(position) == len(shape)
        assert all(0 <= i < size for i, size in zip(position, shape, strict=True)), "a load outside of its operand"
        answer = Literal(arrays[operand][position])
