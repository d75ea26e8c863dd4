"""The process of one peer: reads one JSON command a line, answers one JSON line, does nothing in between.

Started by `bench.session` as `python -m bench.worker PEER THREADS`; ends when its standard input closes.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from bench import registry
from bench.peers import PEERS, Peer
from bench.timing import sample


class Worker:
    """Holds the workload that is set up at the moment."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.call: Callable[[], Any] | None = None

    def setup(self, workload: str, size: str, expected: str) -> dict[str, Any]:
        """Build, run and check a workload: seconds of the first call, relative error, bytes of a call."""
        task = registry.WORKLOADS[workload]
        inputs = task.inputs(size)
        if not os.path.exists(expected):
            _write_expected(task, inputs, expected)
        native = [self.peer.adopt(value) for value in inputs]
        start = time.perf_counter()
        function = task.builders[self.peer.name]()
        result = self.peer.wait(function(*native))
        first = time.perf_counter() - start
        error = _error(self.peer, result, expected)
        # `partial` costs 20 ns; a lambda and a wait that waits for nothing would be part of the shortest calls' times.
        call = functools.partial(function, *native)
        self.call = call if self.peer.returns_when_done else lambda: self.peer.wait(call())
        return {"first": first, "error": error, "bytes": task.bytes_of(self.peer.name, inputs)}

    def round(self, budget: float) -> dict[str, Any]:
        """Time the workload for `budget` seconds."""
        assert self.call is not None
        return {"samples": sample(self.call, budget)}

    def drop(self) -> dict[str, Any]:
        """Forget the workload and its arrays."""
        self.call = None
        return {}


def _outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _write_expected(task: registry.Workload, inputs: tuple[Any, ...], path: str) -> None:
    """The reference in float64: computed once, by the first worker that needs it."""
    wide = [
        value.astype(np.float64) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
        for value in inputs
    ]
    arrays = [np.asarray(array) for array in _outputs(task.builders["numpy"]()(*wide))]
    with open(path, "wb") as file:
        np.savez(file, *arrays)


def _error(peer: Peer, result: Any, path: str) -> float:
    """Largest difference over all outputs, relative to the largest value of the output."""
    if peer.name.startswith("copy"):
        return 0.0
    worst = 0.0
    with np.load(path) as expected:
        wanted = [expected[key] for key in expected.files]
    got = [peer.fetch(array) for array in _outputs(result)]
    if len(wanted) != len(got):
        raise ValueError(f"{len(got)} results, {len(wanted)} expected")
    for want, have in zip(wanted, got, strict=True):
        if want.size != have.size:
            raise ValueError(f"result of {have.shape}, {want.shape} expected")
        scale = float(np.max(np.abs(want))) or 1.0
        worst = max(worst, float(np.max(np.abs(have.reshape(want.shape).astype(np.float64) - want))) / scale)
    return worst


def main() -> None:
    """Serve commands until the input closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    peer = PEERS[sys.argv[1]]
    start = time.perf_counter()
    peer.prepare(int(sys.argv[2]))
    registry.load()
    worker = Worker(peer)
    print(json.dumps({"ready": time.perf_counter() - start}), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(worker, command.pop("do"))(**command)
        except Exception as error:  # any failure of a peer is a row of the report, not the end of the run
            traceback.print_exc()
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
