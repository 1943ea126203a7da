"""Reactors in installed packages: a package that defines reactors is user code, wherever it is installed."""

import json
import os
import subprocess
import sys
import textwrap
import zipfile

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

REACTORS = """
from pyplant import ReactorFunc
from {helpers} import factor

@ReactorFunc
def base(pipe):
    pipe.send("base", [1, 2, 3])

@ReactorFunc
def total(pipe):
    numbers = yield pipe.receive("base")
    pipe.send("total", sum(numbers) * factor())
"""


class Site:
    """A folder of installed packages, and scripts that use them."""

    def __init__(self, folder, name="site-packages"):
        self.folder = folder
        self.site = folder / "lib" / name
        self.site.mkdir(parents=True)

    def write(self, path, text):
        file = self.site / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")

    def install(self, distribution, files, *, version="1.0", metadata="RECORD"):
        for path, text in files.items():
            self.write(path, text)
        if metadata is None:
            return
        info = f"{distribution}-{version}.dist-info"
        for old in self.site.glob(f"{distribution}-*.dist-info/*"):
            old.unlink()
        self.write(f"{info}/METADATA", f"Name: {distribution}\nVersion: {version}\n")
        if metadata == "RECORD":
            self.write(
                f"{info}/RECORD", "".join(f"{path},sha256=x,1\n" for path in [*files, f"{info}/RECORD"])
            )
        else:
            tops = sorted({path.partition("/")[0].removesuffix(".py") for path in files})
            self.write(f"{info}/top_level.txt", "\n".join(tops))

    def run(self, imports, target="total", options="", path=None):
        """Run a reactor in a process of its own; returns its value and what ran."""
        script = self.folder / "script.py"
        script.write_text(
            f"import json\nfrom pyplant import *\n{textwrap.dedent(imports)}\n"
            "if __name__ == '__main__':\n"
            f"    with Plant({str(self.folder / 'plant')!r}, progress=False, {options}) as plant:\n"
            f"        report = plant.run_reactor({target!r})\n"
            f"        print(json.dumps([plant.get({target!r}), sorted(report.ran)]))\n",
            encoding="utf-8",
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path or self.site), str(ROOT)])}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"  # an edit within the same second must count
        done = subprocess.run(
            [sys.executable, str(script)], env=environment, cwd=self.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return tuple(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def factor(number):
    return f"def factor():\n    return {number}\n"


def package(number, *, top="mine"):
    return {
        f"{top}/__init__.py": "",
        f"{top}/steps.py": REACTORS.format(helpers=f"{top}.util"),
        f"{top}/util.py": factor(number),
    }


BOTH = ["base", "total"]


@pytest.mark.parametrize("metadata", ["RECORD", "top_level", None])
def test_installed_reactors_are_followed_like_those_of_a_script(site, metadata):
    site.install("mine", package(2), metadata=metadata)
    assert site.run("import mine.steps") == (12, BOTH)
    assert site.run("import mine.steps") == (12, [])
    site.install("mine", package(3), version="1.1", metadata=metadata)  # only the helper differs
    assert site.run("import mine.steps") == (18, ["total"])


def test_a_new_version_with_equal_code_reruns_nothing(site):
    site.install("mine", package(2))
    site.run("import mine.steps")
    site.install("mine", package(2), version="2.0")
    for file in site.site.rglob("*.py"):
        os.utime(file, (1, 1))
    assert site.run("import mine.steps") == (12, [])


def test_all_packages_of_the_distribution_are_followed_whatever_it_is_called(site):
    def files(number):
        return {
            "mine/__init__.py": "",
            "mine/steps.py": REACTORS.format(helpers="mine_tools"),
            "mine_tools/__init__.py": "from mine_extra import factor",
            "mine_extra.py": factor(number),
        }

    site.install("other-name", files(2))
    assert site.run("import mine.steps") == (12, BOTH)
    site.install("other-name", files(3), version="1.1")
    assert site.run("import mine.steps") == (18, ["total"])


@pytest.mark.parametrize("way", ["from", "chain", "inside"])
def test_a_namespace_is_followed_by_distribution(site, way):
    imports = {
        "from": "from space.tools import factor",
        "chain": "import space.tools\ndef factor(): return space.tools.factor()",
        "inside": "def factor():\n    import space.tools\n    return space.tools.factor()",
    }[way]
    steps = REACTORS.replace("from {helpers} import factor", imports)
    steps += "import space.others\ndef unused(): pass\ntotal_of = space.others.factor\n"

    def install(mine, theirs):
        site.install("mine", {"space/mine/steps.py": steps, "space/tools.py": factor(mine)})
        site.install("theirs", {"space/others.py": factor(theirs)})

    install(2, 1)
    assert site.run("import space.mine.steps") == (12, BOTH)
    install(3, 1)
    assert site.run("import space.mine.steps") == (18, ["total"])
    install(3, 2)
    assert site.run("import space.mine.steps") == (18, [])


USES = """
from lib import factor
@ReactorFunc
def total(pipe):
    pipe.send("total", factor())
"""


def test_installed_packages_without_reactors_count_by_name_unless_they_are_to_be_followed(site):
    site.install("lib", {"lib.py": factor(2)})
    assert site.run(USES) == (2, ["total"])
    site.install("lib", {"lib.py": factor(3)}, version="2.0")
    assert site.run(USES) == (2, [])
    assert site.run(USES, options="follow_packages=['lib']") == (3, ["total"])
    site.install("lib", {"lib.py": factor(4)}, version="3.0")
    assert site.run(USES, options="follow_packages='lib'") == (4, ["total"])


def test_what_a_plant_knows_to_define_reactors_is_followed_whether_or_not_they_are_imported(site):
    def install(number):
        site.install("lib", {"lib.py": factor(number), "lib_steps.py": REACTORS.format(helpers="lib")})

    late = USES.replace("total", "mine")
    install(2)
    assert site.run(late + "import lib_steps", "mine") == (2, ["mine"])
    assert site.run(late, "mine") == (2, [])
    install(3)
    assert site.run(late, "mine") == (3, ["mine"])
    assert site.run(late + "import lib_steps", "mine") == (3, [])


@pytest.mark.parametrize(
    "imports",
    ["from lib.util import factor", "import lib.util as u\nfactor = u.factor", "from between import factor"],
)
@pytest.mark.parametrize("metadata", ["RECORD", None])
def test_reactors_in_a_module_that_nobody_imports_make_their_distribution_user_code(site, imports, metadata):
    (site.folder / "between.py").write_text("from lib.util import factor\n")
    uses = f"{imports}\n@ReactorFunc\ndef total(pipe):\n    pipe.send('total', factor())\n"
    site.install("lib", package(2, top="lib"), metadata=metadata)
    assert site.run(uses) == (2, ["total"])
    assert site.run(uses) == (2, [])
    site.install("lib", package(3, top="lib"), metadata=metadata)
    assert site.run(uses) == (3, ["total"])


def test_a_package_that_only_mentions_reactors_is_not_followed(site):
    def files(number):
        mentions = '"""Like @ReactorFunc of pyplant."""\nimport pyplant\n'
        return {"lib/__init__.py": "", "lib/other.py": mentions, "lib/util.py": factor(number)}

    uses = "from lib.util import factor\n@ReactorFunc\ndef total(pipe):\n    pipe.send('total', factor())\n"
    site.install("lib", files(2))
    assert site.run(uses) == (2, ["total"])
    site.install("lib", files(3))
    assert site.run(uses) == (2, [])


def test_a_distribution_becomes_followed_between_runs_and_never_within_one(site):
    """The reactor imports further reactors while it runs: its result is kept all the same."""
    site.install("lib", {"lib.py": factor(2), "lib_steps.py": REACTORS.format(helpers="lib")})
    late = USES.replace("total", "mine") + "    import lib_steps, functools\n"
    late += "    pipe.send('pickled', functools.partial(int, 2))\n"
    assert site.run(late, "mine") == (2, ["mine"])
    assert site.run(late, "mine")[0] == 2
    assert site.run(late, "mine") == (2, [])
    site.install("lib", {"lib.py": factor(3), "lib_steps.py": REACTORS.format(helpers="lib")})
    assert site.run(late, "mine") == (3, ["mine"])


def test_a_distribution_with_subreactors_is_followed(site):
    def files(number):
        return {
            "lib.py": f"from pyplant import SubreactorFunc\n@SubreactorFunc\ndef factor(pipe): return {number}\n"
        }

    uses = USES.replace("factor())", "(yield from factor(pipe)))")
    site.install("lib", files(2))
    assert site.run(uses) == (2, ["total"])
    site.install("lib", files(3), version="2.0")
    assert site.run(uses) == (3, ["total"])


def test_the_package_of_a_decorator_is_not_followed(site):
    wraps = "import functools\ndef factor(f):\n    @functools.wraps(f)\n    def g(*a): return f(*a)\n    return g\nX = {}\n"
    uses = USES.replace("@ReactorFunc\n", "@ReactorFunc\n@factor\n").replace("factor())", "1)")
    site.install("lib", {"lib.py": wraps.format(1)})
    assert site.run(uses) == (1, ["total"])
    site.install("lib", {"lib.py": wraps.replace("f(*a)", "f(*a) or None").format(2)})
    assert site.run(uses) == (1, [])


def test_reactors_made_by_an_installed_factory_are_followed(site):
    def files(number):
        return {
            "lib.py": "from pyplant import ReactorFunc\ndef make(n):\n    @ReactorFunc(name=f'make {n}')\n"
            f"    def made(pipe):\n        pipe.send(f'item {{n}}', n * {number})\n"
        }

    script = "import lib\nlib.make(1)\nlib.make(2)\n@ReactorFunc\ndef total(pipe):\n"
    script += "    pipe.send('total', (yield pipe.receive('item 2')))\n"
    site.install("lib", files(10))
    assert site.run(script) == (20, ["make 2", "total"])
    site.install("lib", files(30), version="2.0")
    assert site.run(script) == (60, ["make 2", "total"])


def test_debian_packages_and_archives_are_followed(tmp_path):
    debian = Site(tmp_path / "debian", "dist-packages")
    debian.install("mine", package(2), metadata=None)
    assert debian.run("import mine.steps") == (12, BOTH)
    debian.install("mine", package(3), metadata=None)
    assert debian.run("import mine.steps") == (18, ["total"])

    zipped = Site(tmp_path / "zipped")
    for number, expected in ((2, (12, BOTH)), (3, (18, ["total"]))):
        archive = zipped.site / "mine-1.0-py3.egg"
        with zipfile.ZipFile(archive, "w") as file:
            for path, text in package(number).items():
                file.writestr(path, text)
        assert zipped.run("import mine.steps", path=archive) == expected


def test_vendored_reactors_are_followed(site):
    site.install(
        "host",
        {"host/__init__.py": "", **package(2, top="host/vendor")}
        | {"host/vendor/steps.py": REACTORS.format(helpers="host.vendor.util")},
    )
    assert site.run("import host.vendor.steps") == (12, BOTH)
    site.install(
        "host",
        {
            "host/vendor/util.py": factor(3),
            "host/vendor/steps.py": REACTORS.format(helpers="host.vendor.util"),
        },
    )
    assert site.run("import host.vendor.steps") == (18, ["total"])


def test_workers_run_what_was_fingerprinted(site):
    site.install(
        "mine", {"space/mine/steps.py": REACTORS.format(helpers="space.tools"), "space/tools.py": factor(2)}
    )
    site.install("theirs", {"space/others.py": "X = 1\n"})
    imports = "import space.mine.steps, space.others\n@ReactorFunc\ndef end(pipe):\n"
    imports += "    x = yield pipe.receive('total')\n    import space.others\n    pipe.send('end', x + space.others.X)\n"
    assert site.run(imports, "end", "executor=2") == (13, ["base", "end", "total"])
    assert site.run(imports, "end") == (13, [])
    site.install(
        "mine", {"space/mine/steps.py": REACTORS.format(helpers="space.tools"), "space/tools.py": factor(3)}
    )
    assert site.run(imports, "end", "executor=2") == (19, ["end", "total"])


def test_what_cannot_be_followed_is_an_error(tmp_path):
    site = Site(tmp_path)
    with pytest.raises(
        AssertionError, match="follow_packages names 'nothing_like_it', which is not installed"
    ):
        site.run(USES.replace("from lib import factor", ""), options="follow_packages=['nothing_like_it']")
