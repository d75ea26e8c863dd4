"""Run the array API standard's test suite (data-apis/array-api-tests) on ``tracejit.numpy``.

    python tests/conformance/run_array_api_tests.py CHECKOUT [--module numpy] [pytest arguments]

CHECKOUT is a folder with the suite and its submodule ``array-api``, and with the suite's requirements installed. The
same examples run each time: five a test, from a fixed seed. Prints what failed unexpectedly, which functions ran
through NumPy instead of machine code, and the counts; the exit status says whether all is as expected.
"""

from __future__ import annotations

import argparse
import collections
import os
import pathlib
import re
import subprocess
import sys

EXPECTED_FAILURES = pathlib.Path(__file__).with_name("expected_failures.txt")
EXAMPLES = 5
SEED = 0


def command(arguments: list[str]) -> list[str]:
    """The call of pytest in the checkout."""
    fixed = ["--max-examples", str(EXAMPLES), f"--hypothesis-seed={SEED}", "--derandomize", "-p", "no:cacheprovider"]
    return [sys.executable, "-m", "pytest", "-q", "-rfEX", *fixed, *arguments]


def fallbacks(output: str) -> collections.Counter[str]:
    """The functions that a PerformanceWarning names, with how many warnings pytest lists for each."""
    pattern = r"PerformanceWarning: (.*?) runs through NumPy instead of machine code: (.*)"
    return collections.Counter(f"{name}: {reason[:120]}" for name, reason in re.findall(pattern, output))


def main() -> int:
    """Run the suite and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=pathlib.Path)
    parser.add_argument("--module", default="tracejit.numpy", help="the namespace to test")
    options, arguments = parser.parse_known_args()
    environment = {**os.environ, "ARRAY_API_TESTS_MODULE": options.module, "ARRAY_API_TESTS_VERSION": "2024.12"}
    files = sorted(path.name for path in (options.checkout / "array_api_tests").glob("test_*.py"))
    total: collections.Counter[str] = collections.Counter()
    status = 0
    expected = tuple(line for line in EXPECTED_FAILURES.read_text().splitlines() if line.startswith("array_api_tests"))
    for file in files:  # the suite's own hooks fail when all files are collected at once
        done = subprocess.run(
            command([f"array_api_tests/{file}", *arguments]),
            cwd=options.checkout,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        lines = done.stdout.splitlines()
        for line in lines:
            if line.startswith(("FAILED", "ERROR")) and not line.split(" ", 1)[-1].startswith(expected):
                print(line)
                status = 1
        for fallback in sorted(fallbacks(done.stdout)):
            print("through NumPy:", fallback)
        for count, kind in re.findall(r"(\d+) (passed|failed|skipped|xfailed|xpassed|error)", (lines or [""])[-1]):
            total[kind] += int(count)
    print(f"{options.module}: {', '.join(f'{count} {kind}' for kind, count in sorted(total.items()))}")
    return status


if __name__ == "__main__":
    sys.exit(main())
