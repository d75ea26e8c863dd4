"""The processes of a run: one worker per peer, asleep out of its turn, and fresh processes for start-up figures."""

from __future__ import annotations

import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from bench.peers import environment

__all__ = ["Session", "WorkerProcess"]

ROOT = pathlib.Path(__file__).resolve().parent.parent
CAN_STOP = hasattr(signal, "SIGSTOP")
CAN_PIN = hasattr(os, "sched_setaffinity")


class WorkerProcess:
    """A worker seen from outside: `ask` wakes it, waits for its answer and puts it to sleep again."""

    def __init__(self, peer: str, threads: int, variables: dict[str, str], timeout: float) -> None:
        self.failure: str | None = None
        self.timeout = timeout
        self.process = _spawn(["-m", "bench.worker", peer, str(threads)], variables, threads)
        answer = self._read()
        self.started = answer.get("ready")
        self._sleep()

    def ask(self, **command: Any) -> dict[str, Any]:
        """The worker's answer; `{"failed": why}` once it has died or overrun the time limit."""
        if self.failure is not None:
            return {"failed": self.failure}
        assert self.process.stdin is not None
        self._wake()
        try:
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return self._die("the process ended")
        answer = self._read()
        self._sleep()
        return answer

    def close(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], self.timeout)
        if not ready:
            return self._die(f"no answer within {self.timeout:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            return self._die("the process ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _die(self, why: str) -> dict[str, Any]:
        self.close()
        self.failure = f"{why} (exit status {self.process.returncode})"
        return {"failed": self.failure}

    def _sleep(self) -> None:
        if CAN_STOP and self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)

    def _wake(self) -> None:
        if CAN_STOP and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)


class Session:
    """What a run has in common: threads, size, rounds, a scratch folder, and the workers."""

    def __init__(self, peers: list[str], threads: int, size: str, rounds: int, quick: bool) -> None:
        self.peers, self.threads, self.size, self.rounds, self.quick = peers, threads, size, rounds, quick
        self.timeout = 60.0 if quick else 300.0
        self.budget = 0.05 if quick else 0.3
        self._scratch = tempfile.TemporaryDirectory(prefix="tracejit-bench-", ignore_cleanup_errors=True)
        self.scratch = pathlib.Path(self._scratch.name)
        self._workers: dict[str, WorkerProcess] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            worker.close()
        self._scratch.cleanup()

    def worker(self, peer: str) -> WorkerProcess:
        """The worker of a peer, started at its first use."""
        if peer not in self._workers:
            caches = self.caches(f"worker-{peer}")
            self._workers[peer] = WorkerProcess(
                peer, self.threads, environment(peer, self.threads, caches), self.timeout
            )
        return self._workers[peer]

    def caches(self, name: str) -> str:
        """An empty folder for the disk caches of `name`, or the same folder again."""
        folder = self.scratch / "caches" / name
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def fresh(self, function: Callable[..., Any], peer: str, caches: str, *arguments: Any, **extra: str) -> Any:
        """Call a module-level function in a new process and return its result, which passes through JSON."""
        payload = json.dumps([function.__module__, function.__name__, arguments])
        return self.python(["-m", "bench.session", payload], environment(peer, self.threads, caches) | extra)

    def python(self, arguments: list[str], variables: dict[str, str]) -> Any:
        """Run Python with the arguments; what it prints last, as JSON, or `{"failed": why}`."""
        process = _spawn(arguments, variables, self.threads)
        try:
            output, _ = process.communicate(timeout=self.timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return {"failed": f"no answer within {self.timeout:.0f} s"}
        if process.returncode != 0:
            return {"failed": f"exit status {process.returncode}"}
        return json.loads(output.decode().splitlines()[-1])


def _spawn(arguments: list[str], variables: dict[str, str], threads: int) -> subprocess.Popen[bytes]:
    log = open(os.environ["BENCH_LOG"], "ab") if "BENCH_LOG" in os.environ else subprocess.DEVNULL
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        bufsize=0,
    )
    if CAN_PIN:
        cpus = sorted(os.sched_getaffinity(0))[:threads]
        os.sched_setaffinity(process.pid, cpus)
    return process


def _child(payload: str) -> None:
    """The other side of `Session.fresh`."""
    import importlib

    module, name, arguments = json.loads(payload)
    answer = getattr(importlib.import_module(module), name)(*arguments)
    print(json.dumps(answer))


if __name__ == "__main__":
    _child(sys.argv[1])
