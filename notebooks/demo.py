"""The demo: the digits pipeline cold, unchanged, with another colour, with a helper edited.

Each run is a process of its own, as with any script. The edits are made to a copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "build" / "demo"

RUNS = [
    ("cold: nothing is kept yet", None),
    ("again, unchanged", None),
    ('the plot in another colour: self.color = "tab:orange"', ('"tab:blue"', '"tab:orange"')),
    ("a helper edited: describe() scales features by 8 instead of 16", (".ravel()]) / 16", ".ravel()]) / 8")),
]


def main() -> None:
    """Run the pipeline four times and say how long each run took."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    script = Path(shutil.copy(HERE / "digits.py", FOLDER))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    took: list[tuple[str, float]] = []
    for number, (title, edit) in enumerate(RUNS, 1):
        if edit is not None:
            before = script.read_text(encoding="utf-8")
            after = before.replace(*edit)
            if after == before:
                sys.exit(f"demo: digits.py no longer contains {edit[0]!r}")
            script.write_text(after, encoding="utf-8")
        print(f"\n=== Run {number}. {title}", flush=True)
        began = time.perf_counter()
        subprocess.run([sys.executable, str(script), str(FOLDER / "plant")], check=True, env=environment)
        took.append((title, time.perf_counter() - began))
    print("\nTime of each process, imports included:")
    for number, (title, seconds) in enumerate(took, 1):
        print(f"  {number}. {seconds:5.1f} s  {title}")


if __name__ == "__main__":
    main()
