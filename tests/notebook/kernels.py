"""The kernels that the notebook layer must support: combinations of versions of ipykernel and IPython.

Each version that is not the environment's own lies in a folder beside the environment, and goes to the
front of a kernel's path. ``python -m tests.notebook.kernels`` makes the folders (``make test`` does).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import CI, ROOT

FOLDER = Path(sys.prefix) / "kernels"
# Also names what the environment may lack for them; they share everything else with it.
PACKAGES = {
    "ipykernel-6.31.0": ["ipykernel==6.31.0", "nest-asyncio==1.6.0"],
    "ipykernel-7.3.0": ["ipykernel==7.3.0"],
    "ipython-8.39.0": ["ipython==8.39.0", "decorator==5.2.1"],
}


class Versions(NamedTuple):
    """A kernel of the matrix; an empty version means that of the environment."""

    ipykernel: str = ""
    ipython: str = ""

    @property
    def folders(self):
        """Return the folders with the packages of the kernel."""
        named = (("ipykernel", self.ipykernel), ("ipython", self.ipython))
        return [FOLDER / f"{name}-{version}" for name, version in named if version]

    @property
    def variables(self):
        """Return the environment variables of such a kernel."""
        return {"PYTHONPATH": os.pathsep.join(map(str, [*self.folders, ROOT]))}

    def __str__(self):
        kernel = self.ipykernel or "current"
        return f"ipykernel-{kernel}-ipython-{self.ipython or 'current'}"

    def need(self):
        """Skip the test if a folder is missing; in CI, fail it."""
        if missing := [folder.name for folder in self.folders if not (folder / "made").exists()]:
            (pytest.fail if CI else pytest.skip)(
                f"{', '.join(missing)}: not there; make with python -m {__spec__.name}"
            )


CURRENT = Versions()
MATRIX = [Versions(ipykernel, ipython) for ipykernel in ("6.31.0", "7.3.0", "") for ipython in ("8.39.0", "")]
EACH_VERSION = [CURRENT, Versions("6.31.0", "8.39.0"), Versions("7.3.0")]
"""Combinations in which each version occurs."""
MOSTLY_AT_NIGHT = [
    versions if versions in EACH_VERSION else pytest.param(versions, marks=pytest.mark.nightly)
    for versions in MATRIX
]


def make():
    """Install missing packages."""
    for name, packages in PACKAGES.items():
        folder = FOLDER / name
        asked = "\n".join(packages)
        made = folder / "made"
        if made.exists() and made.read_text(encoding="utf-8") == asked:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        print(f"Installing {name} ...", flush=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--target", str(folder), *packages], check=True)
        made.write_text(asked, encoding="utf-8")


if __name__ == "__main__":
    make()
