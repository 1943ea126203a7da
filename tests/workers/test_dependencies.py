"""Packages that PyPlant needs, on the search path, in an archive, or in another prefix: they are no user code there."""

import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

SCRIPT = """
    import sys
    from pathlib import Path
    import cloudpickle
    from pyplant import Plant, ReactorFunc

    def executor():
        if sys.argv[1] != "dask":
            return int(sys.argv[1]) or None
        from distributed import Client
        return Client(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1")

    @ReactorFunc
    def packed(pipe):
        import loky
        size = len(cloudpickle.dumps(loky.__name__))
        pipe.send("packed", [cloudpickle.__file__, loky.__file__, size > 0])

    if __name__ == "__main__":
        with Plant("plant", executor=executor(), progress=False) as plant:
            if len(sys.argv) > 2:
                plant.invalidate("packed")
            print(*plant.get("packed"))
"""


def run(folder, library, *arguments):
    (folder / "script.py").write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(library), str(ROOT)])}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "script.py", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def packages():
    return [Path(find_spec(name).origin).parent for name in ("cloudpickle", "loky")]


def copied(folder):
    library = folder / "library"
    for package in packages():
        shutil.copytree(package, library / package.name)
    return library


def zipped(folder):
    library = folder / "library.zip"
    with zipfile.ZipFile(library, "w") as archive:
        for package in packages():
            for file in package.rglob("*.py"):
                archive.write(file, file.relative_to(package.parent))
    return library


def in_a_prefix(folder):
    site = folder / "prefix" / "site-packages"
    copied(folder).rename(folder / "moved")
    site.parent.mkdir()
    (folder / "moved").rename(site)
    return site


@pytest.mark.parametrize("make", [copied, zipped, in_a_prefix])
def test_dependencies_in_other_places_change_nothing(make, tmp_path):
    library = make(tmp_path)
    installed = run(tmp_path, "", "0")
    assert run(tmp_path, library, "0") == installed  # it is up to date, so its fingerprint is the same
    cloudpickle, loky, is_packed = run(tmp_path, library, "2", "again")
    assert is_packed == "True"
    assert cloudpickle.startswith(str(library))
    assert loky.startswith(str(library))


def test_a_dask_cluster_with_dependencies_in_an_archive(tmp_path):
    pytest.importorskip("distributed")
    library = zipped(tmp_path)
    assert run(tmp_path, library, "dask", "again")[2] == "True"
