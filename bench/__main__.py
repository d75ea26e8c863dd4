"""The command line: `python -m bench --help`."""

from __future__ import annotations

import argparse
import os
import pathlib
import shlex
import signal
import sys

from rich.console import Console

from bench import registry, report
from bench.peers import PEERS, installed
from bench.runner import run_special, run_workload
from bench.session import Session


def arguments() -> argparse.Namespace:
    """The options, checked."""
    names = [*registry.WORKLOADS, *registry.SPECIALS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--workloads", default=",".join(names), help="comma-separated (default: all): %(default)s")
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated (default: all): %(default)s")
    parser.add_argument("--threads", default=str(min(2, os.cpu_count() or 1)), help='"1", "2" or "1,2"')
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--size", choices=["small", "large"], default="large")
    parser.add_argument("--quick", action="store_true", help="small sizes, 2 rounds: does everything run?")
    parser.add_argument("--json", default="bench.json", metavar="PATH", help="default: %(default)s")
    parser.add_argument("--plot", default="bench.png", metavar="PATH", help="default: %(default)s")
    parser.add_argument("--markdown", metavar="PATH", help="also write all tables as a document")
    options = parser.parse_args()
    options.workloads = options.workloads.split(",")
    options.peers = options.peers.split(",")
    options.threads = [int(count) for count in options.threads.split(",")]
    for given, known in ((options.workloads, names), (options.peers, list(PEERS))):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    if options.quick:
        options.size, options.rounds = "small", 2
    return options


def main() -> None:
    """Run what was asked for, printing each table as it is ready."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the workers, which sleep, end too
    registry.load()
    options = arguments()
    console = Console()
    absent = [peer for peer in options.peers if not installed(peer)]
    peers = [peer for peer in options.peers if peer not in absent]
    if absent:
        console.print(f"not installed: {', '.join(absent)}", style="yellow")
    results: dict[int, dict[str, list[report.Row]]] = {}
    for threads in options.threads:
        results[threads] = {}
        with (
            Session(peers, threads, options.size, options.rounds, options.quick) as session,
            console.status("") as status,
        ):
            for name in options.workloads:
                if name in registry.WORKLOADS:
                    rows = run_workload(registry.WORKLOADS[name], session, status.update)
                else:
                    rows = run_special(registry.SPECIALS[name], session, status.update)
                results[threads][name] = rows
                report.show(console, name, rows, threads, options.size)
        path = pathlib.Path(options.plot)
        several = len(options.threads) > 1
        report.plot(str(path.with_stem(f"{path.stem}-{threads}") if several else path), results[threads], threads)
    report.write_json(options.json, results, vars(options))
    if options.markdown:
        command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
        report.write_markdown(options.markdown, results, options.size, command)


if __name__ == "__main__":
    main()
