"""``python -m benchmarks``: measure, print a table, and say which targets are missed."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Row, table
from benchmarks.speed import ALL, FULL, LONG, QUICK


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(ALL)}")
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--quick", action="store_true", help="smaller and fewer; the targets are not for it")
    effort.add_argument("--long", action="store_true", help="growth also of 100,000 reactors; takes hours")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    options = parser.parse_args()
    unknown = set(options.names) - ALL.keys()
    if unknown:
        parser.error(f"no benchmark {sorted(unknown)[0]!r}; there are {', '.join(ALL)}")
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.platform()}"
    print(machine, flush=True)
    rows: list[Row] = []
    for name in options.names or ALL:
        with tempfile.TemporaryDirectory() as folder:
            for row in ALL[name](Path(folder), QUICK if options.quick else LONG if options.long else FULL):
                print(table([row]), flush=True)
                rows.append(row)
    if options.json:
        figures = [dataclasses.asdict(row) | {"measured": row.measured, "is_met": row.is_met} for row in rows]
        options.json.write_text(json.dumps({"machine": machine, "rows": figures}, indent=2) + "\n")
    missed = [row.what for row in rows if not row.is_met]
    print(f"missed: {'; '.join(missed)}" if missed else "every target is met")
    return 0


sys.exit(main())
