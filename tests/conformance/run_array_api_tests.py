"""Run the array API standard's test suite (data-apis/array-api-tests) on ``tracejit.numpy``.

    python tests/conformance/run_array_api_tests.py CHECKOUT [--module numpy] [--only test_fft.py] [--examples 50]

CHECKOUT is a folder with the suite and its submodule ``array-api``, and with the suite's requirements installed. The
seed is fixed, the examples are five a test; some still change with the modules that are loaded, as Hypothesis takes
constants from these. What follows the options is for pytest. Each file of the suite runs in a process of its own; where
one crashes or hangs, the test that it was in has failed and the next process takes the others.

Prints what failed unexpectedly, what passed though ``expected_failures.txt`` has it, which functions ran through NumPy
instead of machine code, and the counts; the exit status is 0 where all is as expected.
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
EXPECTED_FAILURES = HERE / "expected_failures.txt"
VERSION = "2024.12"
SEED = 0
SECONDS_WITHOUT_AN_OUTCOME = 300


class Run(NamedTuple):
    """What became of each test of a file, by its id, and what the processes printed."""

    outcomes: dict[str, str]
    output: str


def command(arguments: list[str]) -> list[str]:
    """The call of pytest in the checkout; deadlines would measure how busy the machine is."""
    examples = [f"--hypothesis-seed={SEED}", "--derandomize", "--disable-deadline"]
    plugins = ["-p", "no:cacheprovider", "-p", "outcome_log"]
    return [sys.executable, "-m", "pytest", "-q", "-rf", "--tb=short", *examples, *plugins, *arguments]


def fallbacks(output: str) -> collections.Counter[str]:
    """The functions that a PerformanceWarning names, with how many warnings pytest lists for each."""
    pattern = r"PerformanceWarning: (.*?) runs through NumPy instead of machine code: (.*)"
    return collections.Counter(f"{name}: {reason[:120]}" for name, reason in re.findall(pattern, output))


def started_and_finished(log: Path) -> tuple[list[str], dict[str, str]]:
    """The ids of the tests that began, in order, and the outcomes of those that ended."""
    started: list[str] = []
    outcomes: dict[str, str] = {}
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else []:
        outcome, _, node = line.partition(" ")
        if outcome == "started":
            started.append(node)
        else:
            outcomes[node] = outcome
    return started, outcomes


def run_process(arguments: list[str], checkout: Path, environment: dict[str, str], log: Path) -> tuple[int | str, str]:
    """One process of pytest, ended when no test has ended for a while: how it ended, and what it printed."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            command(arguments), cwd=checkout, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        ended: int | str | None = None
        size = -1
        while ended is None:
            try:
                ended = process.wait(SECONDS_WITHOUT_AN_OUTCOME)
            except subprocess.TimeoutExpired:
                previous, size = size, log.stat().st_size if log.exists() else 0
                if size == previous:
                    process.kill()
                    process.wait()
                    ended = "hung"
        output.seek(0)
        return ended, output.read()


def run_file(checkout: Path, module: str, file: str, arguments: list[str]) -> Run:
    """Run one file of the suite, in as many processes as it takes."""
    outcomes: dict[str, str] = {}
    outputs: list[str] = []
    while True:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "outcomes.txt"
            environment = {
                **os.environ,
                "ARRAY_API_TESTS_MODULE": module,
                "ARRAY_API_TESTS_VERSION": VERSION,
                "OUTCOME_LOG": str(log),
                "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]),
            }
            done = [f"--deselect={node}" for node in outcomes]
            ended, output = run_process([f"array_api_tests/{file}", *arguments, *done], checkout, environment, log)
            started, finished = started_and_finished(log)
        outputs.append(output)
        outcomes |= finished
        open_tests = [node for node in started if node not in finished]
        outcomes |= {node: f"crashed ({ended})" for node in open_tests}
        if ended in (0, 1, 5):  # pytest's statuses: all passed, some failed, nothing selected
            return Run(outcomes, "\n".join(outputs))
        if not open_tests:  # no progress: pytest itself failed
            outcomes[f"array_api_tests/{file}"] = f"crashed ({ended})"
            print(output[-2000:])
            return Run(outcomes, "\n".join(outputs))


def expected_failures() -> dict[str, bool]:
    """The ids in the list, each with whether the test fails with all examples; ``sometimes`` marks the others."""
    lines = EXPECTED_FAILURES.read_text(encoding="utf-8").splitlines()
    ids = [line for line in lines if line.startswith(("array_api_tests", "sometimes "))]
    return {line.removeprefix("sometimes "): not line.startswith("sometimes ") for line in ids}


def report(run: Run, expected: dict[str, bool]) -> bool:
    """Print what is not as expected in one file of the suite; whether there was nothing."""
    surprises = []
    for node, outcome in run.outcomes.items():
        if outcome not in ("passed", "skipped") and (node not in expected or outcome != "failed"):
            surprises.append(f"{outcome.upper()} {node}")
        if outcome == "passed" and expected.get(node, False):
            surprises.append(f"PASSED, though expected to fail: {node}")
    print(*surprises, sep="\n", end="\n" * bool(surprises), flush=True)
    for fallback in sorted(fallbacks(run.output)):
        print("through NumPy:", fallback, flush=True)
    return not surprises


def main() -> int:
    """Run the suite and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--module", default="tracejit.numpy", help="the namespace to test")
    parser.add_argument("--examples", type=int, default=5, help="how many examples Hypothesis makes for a test")
    parser.add_argument("--only", action="append", help="one file of the suite; more than once for more")
    options, arguments = parser.parse_known_args()
    complete = not options.only and not arguments
    arguments += ["--max-examples", str(options.examples)]
    files = options.only or sorted(path.name for path in (options.checkout / "array_api_tests").glob("test_*.py"))
    expected = expected_failures()
    total: collections.Counter[str] = collections.Counter()
    as_expected = True
    seen: set[str] = set()
    for file in files:
        run = run_file(options.checkout, options.module, file, arguments)
        as_expected &= report(run, expected)
        total.update(outcome.partition(" ")[0] for outcome in run.outcomes.values())
        seen |= run.outcomes.keys()
    if complete:
        for node in sorted(expected.keys() - seen):
            print("expected to fail, but not in the suite:", node)
            as_expected = False
    print(f"{options.module}: {', '.join(f'{count} {kind}' for kind, count in sorted(total.items()))}")
    return 0 if as_expected else 1


if __name__ == "__main__":
    sys.exit(main())
