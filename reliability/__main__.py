"""``python -m reliability``: run figures, print them, and say whether they hold."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # trials fork, and threads do not survive a fork

from reliability import (  # noqa: F401 - their import declares figures
    crashes,
    damage,
    failing,
    hostile,
    identity,
    kills,
    leftovers,
    mutants,
    names,
    opened,
    power,
    sharing,
    values,
    workers,
)
from reliability.bench import FIGURES, HEADING, Result, line, measure

REPORT = Path(__file__).with_name("FIGURES.md")
HEAD = """# Figures of reliability

Written by `make nightly` (`python -m reliability --full --write`). Each line is a program in this
folder. A figure holds if nothing failed and its negative control, the same program with one protection
removed, did. With 0 failures in N trials the failure rate is below 3/N with 95 % confidence.
"""


def by_number(ident: str) -> tuple[str, int]:
    """Return a sort key for figures."""
    return ident[0], int(ident[1:])


def write(result: Result) -> None:
    """Write a result to the report at once, since the long form takes hours and may be interrupted."""
    text = REPORT.read_text() if REPORT.exists() else ""
    lines = {row.split("|")[1].strip(): row for row in text.splitlines() if row.startswith(("| R", "| E"))}
    lines[result.ident] = line(result)
    machine = f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    rows = "\n".join(lines[ident] for ident in sorted(lines, key=by_number))
    REPORT.write_text(f"{HEAD}\nMachine of the last one: {machine}.\n\n{HEADING}\n{rows}\n")


def main() -> int:
    """Run the given figures."""
    order = sorted(FIGURES, key=by_number)
    parser = argparse.ArgumentParser(prog="python -m reliability", description=__doc__)
    parser.add_argument("idents", nargs="*", metavar="FIGURE", help=f"which: {', '.join(order)}")
    parser.add_argument("--full", action="store_true", help="the long form, which takes hours")
    parser.add_argument("--seed", type=int, default=1, help="for everything random")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.name}")
    options = parser.parse_args()
    unknown = set(options.idents) - FIGURES.keys()
    if unknown:
        parser.error(f"no figure {sorted(unknown)[0]!r}; there are {', '.join(order)}")
    results: list[Result] = []
    for ident in options.idents or order:
        if FIGURES[ident].at_night and not options.full:
            continue
        result = measure(FIGURES[ident], full=options.full, seed=options.seed)
        results.append(result)
        print(line(result), flush=True)
        for failure in result.failures[:5]:
            print(f"    failed: {failure}", flush=True)
        if not result.control_trials and not result.skipped:
            print(f"    the control ({result.control}) does not fail", flush=True)
        if options.write:
            write(result)
    return 0 if all(result.holds for result in results) else 1


sys.exit(main())
