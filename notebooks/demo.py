"""The demo: a notebook that remembers, and the same pipeline as a script.

First ``01-quickstart.ipynb`` is run twice without a browser; what it shows is left as two pages. Then
``digits.py`` is run cold, unchanged, with another colour and with a helper edited, each time in a
process of its own. The edits are made to a copy.
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
NOTEBOOK = "01-quickstart"

RUNS = [
    ("cold: nothing is kept yet", None),
    ("again, unchanged", None),
    ('the plot in another colour: self.color = "tab:orange"', ('"tab:blue"', '"tab:orange"')),
    ("a helper edited: describe() scales features by 8 instead of 16", (".ravel()]) / 16", ".ravel()]) / 8")),
]


def run_notebook() -> list[Path]:
    """Run the notebook twice; returns the pages with what it showed."""
    import nbclient
    import nbconvert
    import nbformat

    pages: list[Path] = []
    for number, (title, suffix) in enumerate((("cold", ""), ("again: every cell remembers", "-again")), 1):
        notebook = nbformat.read(HERE / f"{NOTEBOOK}.ipynb", as_version=4)
        began = time.perf_counter()
        client = nbclient.NotebookClient(
            notebook, kernel_name="python3", timeout=900, resources={"metadata": {"path": str(FOLDER)}}
        )
        client.execute()
        print(f"  {number}. {time.perf_counter() - began:5.1f} s  {title}", flush=True)
        page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
        pages.append(FOLDER / f"{NOTEBOOK}{suffix}.html")
        pages[-1].write_text(page, encoding="utf-8")
    return pages


def run_script(environment: dict[str, str]) -> None:
    """Run the script four times and say how long each run took."""
    script = Path(shutil.copy(HERE / "digits.py", FOLDER))
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


def main() -> None:
    """Run both."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    print(f"=== The notebook {NOTEBOOK}.ipynb, twice, in a new kernel each time", flush=True)
    pages = run_notebook()
    run_script(dict(os.environ))
    print("\nThe notebook with all it showed, cold and again:")
    for page in pages:
        print(f"  {os.path.relpath(page)}")
    print("To play with it: make lab")


if __name__ == "__main__":
    main()
