"""The project as it is packaged and started."""

import re
import subprocess
import sys
import tomllib

import pyplant
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


def test_public_use_is_well_typed(tmp_path):
    script = tmp_path / "use.py"
    script.write_text(
        "from pyplant import ConfigBase, Ingredient, Pipework, Plant, ReactorFunc, SubreactorFunc, specs\n"
        "from collections.abc import Generator\n"
        "from typing import Any\n"
        "class Config(ConfigBase):\n"
        "    def __init__(self) -> None:\n"
        "        self.color = 'red'\n"
        "@ReactorFunc\n"
        "def load(pipe: Pipework, config: Config) -> None:\n"
        "    pipe.send('x', config.color.upper(), Ingredient.Type.simple)\n"
        "@ReactorFunc(cache=False)\n"
        "def plot(pipe: Pipework) -> Generator[Any, Any, None]:\n"
        "    x = yield pipe.receive('x')\n"
        "    print(x)\n"
        "with Plant('plant', max_size='1 GB') as plant:\n"
        "    plant.set_config(Config())\n"
        "    plant.add_reactor([load], plot)\n"
        "    names: tuple[str, ...] = plant.run_reactor(plot).ran\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", str(script)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout


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
