"""The project as it is packaged and started."""

import email
import os
import re
import subprocess
import sys
import tomllib
import zipfile

import pytest

import pyplant
from pyplant._definitions import current_definitions
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_star_import_brings_the_public_names_and_shadows_no_builtin():
    import builtins

    namespace = {}
    exec("from pyplant import *", namespace)
    names = set(namespace) - {"__builtins__"}
    assert names == {
        "Plant",
        "ReactorFunc",
        "SubreactorFunc",
        "Pipework",
        "Ingredient",
        "ConfigBase",
        "ConfigValue",
        "specs",
    }
    assert not names & set(dir(builtins))


def test_the_extras_are_there():
    extras = PROJECT["project"]["optional-dependencies"]
    assert {"sparse", "keras", "tables", "dot", "distributed", "test", "dev", "all"} <= extras.keys()


def test_every_base_dependency_is_justified():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for requirement in PROJECT["project"]["dependencies"]:
        name = re.split(r"[<>=]", requirement)[0]
        assert f"`{name}`" in text, name


def section(title):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(title):
    """The cells of the table in a section of CONTRIBUTING."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_no_base_dependency_is_justified_that_is_none():
    listed = re.findall(r"^- `([\w-]+)`:", section("Dependencies"), re.MULTILINE)
    assert listed == sorted(re.split(r"[<>=]", found)[0] for found in PROJECT["project"]["dependencies"])


def test_the_tour_names_places_that_exist():
    tour = rows("Where would I change X?")
    assert len(tour) >= 10
    for change, answer in tour:
        places = re.findall(r"`((?:pyplant|benchmarks|reliability)/[\w./]*)`", answer)
        assert places, change
        assert all((ROOT / place).exists() for place in places), change


def test_the_glossary_is_sorted_and_complete():
    glossary = rows("Glossary")
    words = [row[0] for row in glossary]
    assert words == sorted(words)
    assert all(len(row) == 3 and all(row) for row in glossary)


def test_the_modules_that_contributing_names_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"`([\w/]+\.(?:py|js))`", text)):
        places = (ROOT / name, *(ROOT / "pyplant").glob(name), *(ROOT / "pyplant").glob(f"*/{name}"))
        assert any(place.exists() for place in places), name


def test_every_exception_of_the_linter_has_a_reason():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    begin = lines.index("ignore = [")
    for line in lines[begin + 1 : lines.index("]", begin)]:
        assert "#" in line, line


def test_the_version_is_the_packages():
    assert re.fullmatch(r"\d+\.\d+\.\d+", pyplant.__version__)
    assert f"## {pyplant.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_types_are_announced():
    assert (ROOT / "pyplant" / "py.typed").exists()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "pyplant").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == expected
    assert "pyplant/py.typed" in packed


def test_the_wheel_tells_version_licence_and_extras(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel.read(name))
    assert metadata["Version"] == pyplant.__version__
    assert metadata["License-Expression"] == "MIT"
    assert set(metadata.get_all("Provides-Extra")) == set(PROJECT["project"]["optional-dependencies"])
    assert any(entry.endswith("licenses/LICENSE") for entry in wheel.namelist())


def test_the_commands_are_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test", "lint", "docs", "bench", "nightly", "clean"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("attempt", [1, 2])
def test_reactors_do_not_leak_from_one_test_into_the_next(attempt):
    assert not [found.name for found in current_definitions() if found.name == "leaking"]

    @pyplant.ReactorFunc(name="leaking")
    def reactor(pipe):
        pipe.send("x", attempt)

    assert [found.name for found in current_definitions() if found.name == "leaking"]


def test_the_project_speaks_of_itself_alone():
    words = ["/" + "work/", "/" + "root/", "/" + "tmp/envs"]
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("pyplant/**/*.py"),
        *ROOT.glob("notebooks/*"),
        ROOT / "Makefile",
    ]:
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not any(word in text for word in words), path


def test_the_repository_holds_nothing_but_the_project():
    """A plant that a stray command left at the top was once committed."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a clone")
    folders = {path.split("/")[0] for path in listed.stdout.splitlines() if "/" in path}
    assert folders == {
        ".ci",
        ".github",
        "benchmarks",
        "docs",
        "notebooks",
        "pyplant",
        "reliability",
        "tests",
    }
