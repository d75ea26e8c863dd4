"""Traces a function: runs it once on tracers, and gives the program with all that is needed to call it."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np

import tracejit.trace.applying
import tracejit.trace.iterators
import tracejit.trace.library
import tracejit.trace.list_functions
import tracejit.trace.math_functions
import tracejit.trace.numpy_api
import tracejit.trace.python_loops
import tracejit.trace.traced_map  # noqa: F401  (these register what stands for functions of NumPy and Python)
from tracejit.errors import TracejitError, UnsupportedError, raisable_class
from tracejit.ir.builder import Builder, rebuild, substitute_sizes
from tracejit.ir.core import Eqn, Function, Operand, Value
from tracejit.ir.dims import Dim, evaluate
from tracejit.ir.interpreter import interpret
from tracejit.ir.primitive import PRIMITIVES
from tracejit.trace.arguments import Argument, Static, argument_names, classify, enter, normalize_leaf
from tracejit.trace.axis_order import fits_layout
from tracejit.trace.branches import emit_raise, may_raise
from tracejit.trace.calls import enter_callable
from tracejit.trace.captures import Capture, CaptureTable, freeze
from tracejit.trace.context import Trace
from tracejit.trace.floating_errors import current_state
from tracejit.trace.foreign import check_alignment, is_foreign
from tracejit.trace.frames import running_call
from tracejit.trace.generators import undisturbed
from tracejit.trace.location import describe, is_ours, traceback_location
from tracejit.trace.new_objects import flatten_result
from tracejit.trace.outside import Containers, OutsideWrites, Place, found, put_all, refer, refer_to, reference_of
from tracejit.trace.pytree import LEAF, Tree, flatten, unflatten
from tracejit.trace.recursion import TraceAgain
from tracejit.trace.region import StagedRaise
from tracejit.trace.results import Result, build_results, describe_results, resolve_result
from tracejit.trace.scalar import SymbolicInt
from tracejit.trace.syntax import rewritten_code
from tracejit.trace.traced_list import GrowsError, NeedsMapsError, check_stored_lists
from tracejit.trace.values import reshape, resolve_dims, transpose

__all__ = ["Traced", "flatten_call", "run", "trace"]

_log = logging.getLogger("tracejit.guards")


@dataclass
class Traced:
    """A traced function.

    function: the program. Its params are the arrays and numbers among the arguments, then the captured arrays; its
        results are those that ``results`` refer to, then the final values of written arrays (``function.aliases``).
        ``function.sizes`` are the ints and bools of the call. Dims of params are canonical: a dim that is not the first
        occurrence of its symbol is a condition on the call, just as ``function.guards`` are.
    arguments: one entry for each leaf of ``(args, kwargs)``; in_tree is their structure.
    captures: everything else the function read.
    results: one entry for each leaf of what the function returns; out_tree is their structure.
    writes: places outside that get a value after each call; the program gives ``(result, values for them)``.
    """

    function: Function
    arguments: list[Argument]
    captures: list[Capture]
    in_tree: Tree
    out_tree: Tree
    results: list[Result]
    writes: tuple[Place, ...] = ()

    def finished(self, output: Any) -> Any:
        """What the caller gets, from what the program gives; the places outside get their values."""
        if not self.writes:
            return output
        result, values = output
        put_all(self.writes, values)
        return found(result)

    def owners(self) -> Iterator[Callable[[], Any]]:
        """Ways to the objects that places belong to, and to those that the result refers to."""
        yield from (place.find for place in self.writes)
        yield from filter(None, (reference_of(result.value) for result in self.results if result.kind == "constant"))

    def bind(self, leaves: Sequence[Any], *, fresh: bool = False) -> dict[str, int] | None:
        """The value of every size symbol if this program is right for these leaves, else None.

        fresh: these are the leaves that were just traced; what the function itself changed outside does not count.
        """
        if not self.takes(leaves):
            return None
        with running_call(_plain(leaves)):
            return self._bind(leaves, fresh)

    def _bind(self, leaves: Sequence[Any], fresh: bool) -> dict[str, int] | None:
        if not fresh and not all(capture.holds() for capture in self.captures):
            return None
        if any(a.same_as is not None and leaves[a.same_as] is not leaves[k] for k, a in enumerate(self.arguments)):
            return None
        return bind_function(self.function, self.inputs(leaves), self.integers(leaves))

    def takes(self, leaves: Sequence[Any]) -> bool:
        """Whether these leaves are right, whatever is outside, and sizes apart."""
        return len(leaves) == len(self.arguments) and all(map(_leaf_fits, self.arguments, leaves))

    def fits_but_for_constants(self, leaves: Sequence[Any]) -> bool:
        """Whether only numbers and strings are in the way of a call: sizes, or such as the trace has remembered."""
        with running_call(_plain(leaves)):
            return self.takes(leaves) and all(capture.holds_but_for_constants() for capture in self.captures)

    def changing_numbers(self, leaves: Sequence[Any]) -> list[Capture]:
        """The remembered numbers that are others in a call with these leaves."""
        with running_call(_plain(leaves)):
            return [c for c in self.captures if c.remembers_number() and c.holds_but_for_constants() and not c.holds()]

    def integers(self, leaves: Sequence[Any]) -> dict[str, int]:
        """The value of each size symbol that is an int or bool of the call, in a running call."""
        found = {a.size: int(leaf) for a, leaf in zip(self.arguments, leaves, strict=True) if a.size is not None}
        return found | {c.size: int(c.getter()) for c in self.captures if c.size is not None}

    def inputs(self, leaves: Sequence[Any]) -> list[Any]:
        """The value of each param of the function, in a running call."""
        found: list[Any] = [None] * len(self.function.params)
        for argument, leaf in zip(self.arguments, leaves, strict=True):
            if argument.param is not None and argument.same_as is None:
                found[argument.param] = seen_by_program(argument, leaf)
        for capture in self.captures:
            if capture.position is not None:
                found[capture.position] = seen_by_program(capture, capture.getter())
        return found

    def capture_param(self, capture: Capture) -> int:
        """The position of a captured array among the params."""
        position = capture.position
        assert position is not None
        return position


def _plain(leaves: Sequence[Any]) -> list[Any]:
    return [leaf.value if isinstance(leaf, Static) else leaf for leaf in leaves]


def seen_by_program(source: Argument | Capture, value: Any) -> Any:
    """The value of a param: of an array whose axes have another order in memory, its transpose."""
    return value.transpose(source.layout.order) if source.layout.order else value


def _leaf_fits(argument: Argument, leaf: Any) -> bool:
    if argument.kind == "static":
        value = leaf.value if isinstance(leaf, Static) else leaf
        return bool(freeze(value) == argument.key)
    if isinstance(leaf, Static) or classify(leaf) != (argument.kind, argument.dtype, argument.rank):
        return False
    if argument.kind != "array":
        return True
    return fits_layout(argument, leaf) and (leaf.flags.writeable or not argument.written)


def size_values(function: Function, inputs: Sequence[Any], integers: dict[str, int]) -> dict[str, int]:
    """The value of each size symbol where it occurs first, whatever the other dims are."""
    sizes = dict(integers)
    for param, value in zip(function.params, inputs, strict=True):
        for dim, size in zip(param.type.dims, np.shape(value), strict=True):
            if isinstance(dim, Dim) and (name := dim.as_symbol) is not None:
                sizes.setdefault(name, size)
    return sizes


def bind_function(function: Function, inputs: Sequence[Any], integers: dict[str, int]) -> dict[str, int] | None:
    """The value of each size symbol, or None when the dims of the params or the guards do not hold."""
    sizes = size_values(function, inputs, integers)
    for param, value in zip(function.params, inputs, strict=True):
        for dim, size in zip(param.type.dims, np.shape(value), strict=True):
            if evaluate(dim, sizes) != size:
                return None
    if not all(guard.holds(evaluate(guard.dim, sizes)) for guard in function.guards):
        return None
    return sizes


def flatten_call(
    args: Sequence[Any], kwargs: dict[str, Any], static: Iterable[int | str] = ()
) -> tuple[list[Any], Tree]:
    """The leaves of a call's arguments, static ones (named by position or keyword) as single leaves."""
    static = frozenset(static)
    leaves: list[Any] = []
    positional: list[Tree] = []
    for position, value in enumerate(args):
        positional.append(_flatten_argument(value, leaves, position in static))
    keywords = [_flatten_argument(value, leaves, key in static) for key, value in kwargs.items()]
    if any(map(is_foreign, leaves)):
        check_alignment(leaves)
        leaves = [normalize_leaf(leaf) for leaf in leaves]
    children = (Tree("tuple", None, tuple(positional)), Tree("dict", tuple(kwargs), tuple(keywords)))
    return leaves, Tree("tuple", None, children)


def _flatten_argument(value: Any, leaves: list[Any], static: bool) -> Tree:
    if static:
        leaves.append(Static(value))
        return LEAF
    own, tree = flatten(value)
    leaves.extend(own)
    return tree


def trace(
    fun: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    static: Iterable[int | str] = (),
    name: str | None = None,
    volatile: frozenset[Any] = frozenset(),
) -> Traced:
    """Run a function once on tracers of these arguments; nothing of the caller's is changed.

    static: positions and keywords of arguments that are passed as they are. volatile: ways to outside numbers that are
    read at each call.

    Example:
        >>> traced = trace(lambda x, y: np.sin(x) + y, (np.ones(3), 2.0))
        >>> len(traced.function.eqns)
        2
    """
    leaves, tree = flatten_call(args, kwargs or {}, static)
    label: str = name or getattr(fun, "__name__", None) or "function"
    traced = _trace_all(fun, leaves, tree, label, volatile, shared=False)
    ids = [id(leaf) for leaf in leaves]
    if any(a.written and ids.count(id(leaf)) > 1 for a, leaf in zip(traced.arguments, leaves, strict=True)):
        # One array was passed twice and is written: both arguments are one memory.
        traced = _trace_all(fun, leaves, tree, label, volatile, shared=True)
    return traced


def _trace_all(
    fun: Callable[..., Any], leaves: list[Any], tree: Tree, name: str, volatile: frozenset[Any], *, shared: bool
) -> Traced:
    """Trace again where a number outside was remembered that the function itself replaces.

    Numbers are remembered, too, where tracing fails because they are known only when the program runs. Where lists do
    not fit into arrays they stay lists of Python, for which loops run turn by turn.
    """
    reads_numbers, given = True, volatile
    plain: Exception | None = None
    maps = False
    said: set[str] = set()
    while True:
        writes = OutsideWrites(CaptureTable(), volatile)
        captures = writes.captures
        captures.said = said
        captures.reads_numbers, captures.plain_lists, captures.maps_only = reads_numbers, plain, maps
        try:
            traced = _trace_leaves(fun, leaves, tree, name, writes, shared=shared)
        except TraceAgain:
            continue
        except (TracejitError, TypeError) as reason:  # the last one of what hashes a number
            if reads_numbers and any(capture.kind == "number" for capture in captures.captures):
                reads_numbers, volatile = False, volatile - given
                continue
            if plain is not None and isinstance(reason, TracejitError):
                raise plain from None
            if not captures.has_traced_lists or not isinstance(reason, TracejitError):
                raise
            plain = reason
            _log.info("%s: all lists stay Python's, and loops that change them are unrolled: %s", name, reason)
            continue
        except NeedsMapsError:
            maps = True
            continue
        except GrowsError as error:
            raise UnsupportedError(
                "a list is changed inside a function that the compiled program calls (a callback of np.vectorize or "
                "the like), and was made outside of it; return what the list gets"
            ) from error
        if writes.numbers_read() <= volatile:
            return traced
        volatile |= writes.numbers_read()


def _trace_leaves(
    fun: Callable[..., Any], leaves: list[Any], tree: Tree, name: str, writes: OutsideWrites, *, shared: bool
) -> Traced:
    captures = writes.captures
    captures.writes = writes
    root = Trace(captures)
    captures.trace = root
    captures.error_state = current_state()
    with root.running(), undisturbed() as states, running_call(_plain(leaves)) as frame:
        captures.states = states
        entered = enter_callable(fun, root)
        tracers, arguments = enter(root, leaves, argument_names(fun, tree), shared)
        args, kwargs = frame.arguments = unflatten(tree, tracers)
        containers = Containers(args, kwargs)
        try:
            captures.open_operands()
            output = _run(entered, args, kwargs, root)
            if captures.uncompiled is not None:
                raise captures.uncompiled
            check_stored_lists(captures)
        except Exception as error:
            location = traceback_location(error.__traceback__)
            error.add_note(f"while tracing {name!r} at {describe(location)}")
            if isinstance(fun, FunctionType) and rewritten_code(fun) is None:
                error.add_note(
                    f"the source of {name!r} is not available, so calls such as np.zeros(n) and math.sin(x) inside it "
                    "are Python's own; define the function in a file or a notebook cell"
                )
            raise
        finally:
            changed = writes.finals()
            writes.take_back()
        changed += containers.finals()
        check_containers(args, kwargs, tree, tracers)
        if changed:
            output = refer(output, {**writes.owners, **containers.owners})
            output = (output, [value for _, value in changed])
        out_leaves, out_tree = flatten_result(output, captures)
        out_leaves = [refer_to(leaf, captures) for leaf in out_leaves]
        out_tree = plain_keys(out_tree)
        results, operands = describe_results(root, out_leaves, arguments, captures.captures)
        written = _written(arguments, captures.captures)
        finals = [_final(source) for source in written]
        function, params = finish(root, [*operands, *finals], name, [source.value for source in written])
    for source in [*arguments, *captures.captures]:
        _settle(source, params)
    captures.settle()
    results = [resolve_result(result, root.sizes.resolve) for result in results]
    places = tuple(place for place, _ in changed)
    return Traced(function, arguments, captures.captures, tree, out_tree, results, places)


def _run(function: Any, args: Any, kwargs: Any, root: Trace) -> Any:
    """What the function gives; None where every way through it raises, which the program does."""
    try:
        return function(*args, **kwargs)
    except StagedRaise as raised:
        if raised.error is not None:
            raise raised.error from None
        if raised.trace is not root:
            raise UnsupportedError("every way through a function under grad, vmap and the like raises") from None
        return None
    except Exception as error:
        known = raisable_class(error) is not None and not is_ours(error.__traceback__)
        if isinstance(error, TracejitError) or not known or not may_raise(root):
            raise
        emit_raise(error)
        return None


def plain_keys(tree: Tree) -> Tree:
    """The structure with traced ints among the keys of dicts as plain ints."""
    children = tuple(map(plain_keys, tree.children))
    data = tree.data
    if tree.kind in ("dict", "ordered") and any(isinstance(key, SymbolicInt) for key in data):
        data = tuple(key.value() if isinstance(key, SymbolicInt) else key for key in data)
    unchanged = data is tree.data and all(map(operator.is_, children, tree.children))
    return tree if unchanged else Tree(tree.kind, data, children)


def _written(arguments: Sequence[Argument], captures: Sequence[Capture]) -> list[Any]:
    sources: list[Any] = [*arguments, *captures]
    return [source for source in sources if source.storage is not None and source.storage.written]


def _final(source: Any) -> Operand:
    """The final value of a written array, as the program sees it."""
    value, order = source.storage.value, source.layout.order
    return canonical(transpose(value, order) if order else value, source.value)


def canonical(value: Operand, param: Operand) -> Operand:
    """The final value of a written array, with the dims of the param."""
    return reshape(value, resolve_dims(param.type.dims)) if value.type.dims != param.type.dims else value


def _settle(source: Any, params: dict[Value, int]) -> None:
    """Note what the run time needs to know, and let go of the trace."""
    if source.value is not None:
        position = params[source.value]
        if isinstance(source, Argument):
            source.param = position
        else:
            source.position = position
    if source.storage is not None:
        source.written = source.storage.written
        source.layout_used = source.storage.layout_used
    source.value = source.storage = None


def _with_dims(builder: Builder, eqn: Eqn, operands: list[Operand]) -> Sequence[Operand]:
    """The equation with results of the dims that they have: the same sizes may have been written in another way."""
    results = builder.emit(eqn.op, tuple(operands), eqn.attrs, eqn.regions, eqn.loc)
    if eqn.regions:
        return results
    return [
        made if made.type.dims == old.type.dims else PRIMITIVES["reshape"](made, dims=old.type.dims)
        for made, old in zip(results, eqn.results, strict=True)
    ]


def finish(
    trace: Trace, results: Sequence[Operand], name: str, written: Sequence[Value]
) -> tuple[Function, dict[Value, int]]:
    """The finished function with canonical sizes, and the position of each param."""
    builder = trace.builder
    params = {param: position for position, param in enumerate(builder.params)}
    first = len(results) - len(written)
    aliases = {first + k: params[param] for k, param in enumerate(written)}
    function = builder.finish(results, name=name, aliases=aliases)
    if trace.sizes.has_equalities:
        function = substitute_sizes(function, trace.sizes.resolve)
        if trace.sizes.has_aliases:
            function = rebuild(function, _with_dims)
    if trace.parent is None:
        function = Function(
            function.name,
            function.params,
            function.eqns,
            function.results,
            sizes=tuple(trace.sizes.integers),
            guards=trace.sizes.guards(),
            aliases=function.aliases,
        )
    return function, params


def check_containers(args: Any, kwargs: Any, tree: Tree, tracers: Sequence[Any]) -> None:
    """Entries of argument containers must not have been replaced: the caller's containers would not see it."""
    after: list[Any] = []
    same = True
    for value, child in zip((args, kwargs), tree.children, strict=True):
        for item, own in zip(value if isinstance(value, tuple) else value.values(), child.children, strict=True):
            if own is LEAF:
                after.append(item)
                continue
            leaves, shape = flatten(item)
            same = same and shape == own
            after.extend(leaves)
    if not same or any(a is not b for a, b in zip(after, tracers, strict=False)):
        raise UnsupportedError(
            "the function replaces entries of a list, dict or dataclass that it was given; the caller's object would "
            "not see that. Write into the arrays (params['w'][...] = new, or -=), or return new values"
        )


# --------------------------------------------------------------------------------------------------------- interpreted


def run(traced: Traced, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None) -> Any:
    """Call a traced function through the interpreter; written arguments change in place. Static leaves are not checked.

    Example:
        >>> run(trace(lambda x: x + 1, (np.arange(2),)), (np.arange(3),))
        array([1, 2, 3])
    """
    leaves, _ = flatten_call(args, kwargs or {})
    if len(leaves) != len(traced.arguments):
        leaves = _with_static(traced, args, kwargs or {})
    sizes = traced.bind(leaves)
    if sizes is None:
        raise ValueError(f"the arguments do not fit the traced {traced.function.name!r}: its guards do not hold")
    return run_leaves(traced, leaves, sizes, (args, kwargs or {}))


def _with_static(traced: Traced, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    positional, keywords = traced.in_tree.children
    static: list[int | str] = [k for k, child in enumerate(positional.children) if child is LEAF]
    static += [key for key, child in zip(keywords.data, keywords.children, strict=True) if child is LEAF]
    leaves, _ = flatten_call(args, kwargs, static)
    for k, (leaf, argument) in enumerate(zip(leaves, traced.arguments, strict=True)):
        if argument.kind != "static":
            leaves[k] = normalize_leaf(leaf.value) if isinstance(leaf, Static) else leaf
    return leaves


def run_leaves(
    traced: Traced, leaves: Sequence[Any], sizes: dict[str, int], arguments: tuple[Any, Any] = ((), {})
) -> Any:
    """Run on flat leaves whose sizes are bound."""
    function = traced.function
    originals = _plain(leaves)
    with running_call(originals, arguments):
        inputs = traced.inputs(leaves)
        native = [_native(value, param) for value, param in zip(inputs, function.params, strict=True)]
        return traced.finished(_interpreted(traced, originals, inputs, native, sizes))


def _interpreted(traced: Traced, originals: Sequence[Any], inputs: Any, native: Any, sizes: dict[str, int]) -> Any:
    function = traced.function
    values = interpret(function, *native, sizes={name: sizes[name] for name in function.symbols()})
    fresh = [np.array(value, order="C") for value in values]
    for position, param in function.aliases.items():
        inputs[param][...] = fresh[position]
    captured = [capture.getter() if capture.kind == "array" else None for capture in traced.captures]
    return unflatten(traced.out_tree, build_results(traced.results, fresh, originals, captured, sizes))


def _native(value: Any, param: Value) -> Any:
    return np.asarray(value).astype(param.type.dtype, copy=False)
