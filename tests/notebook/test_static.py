"""The modules of the front end, and the one module that they become."""

import re
import shutil
import subprocess

import pytest

from pyplant.notebook.graph.widget import _MODULES, _STATIC, GraphWidget
from tests.conftest import CI, ROOT

TOP = re.compile(r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+)", re.MULTILINE)
IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "\./(\w+)\.js";$', re.MULTILINE)


def text_of(module):
    return (_STATIC / f"{module}.js").read_text(encoding="utf-8")


def node(*arguments, **options):
    if shutil.which("node") is None:
        (pytest.fail if CI else pytest.skip)("Node.js is not installed")
    done = subprocess.run(["node", *arguments], capture_output=True, text=True, **{"cwd": ROOT} | options)
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_modules_are_joined():
    assert sorted(_MODULES) == sorted(path.name.removesuffix(".js") for path in _STATIC.glob("*.js"))


def test_top_level_names_are_unique_in_all_modules():
    names = [name for module in _MODULES for name in TOP.findall(text_of(module))]
    assert len(names) > 50
    assert len(names) == len(set(names))


@pytest.mark.parametrize("module", _MODULES)
def test_imports_name_what_modules_before_export(module):
    text = text_of(module)
    found = IMPORT.findall(text)
    assert len(found) == text.count("import ")  # in one line each, and none under another name
    for names, other in found:
        assert other in _MODULES[: _MODULES.index(module)]
        exported = re.findall(
            r"^export (?:async )?(?:const|let|function|class) (\w+)", text_of(other), re.MULTILINE
        )
        assert set(names.split(", ")) <= set(exported)


def test_the_joined_module_has_one_export_and_no_import():
    module = str(GraphWidget._esm)
    assert re.findall(r"^(?:import|export).*", module, re.MULTILINE) == ["export default { render };"]


@pytest.mark.parametrize("module", _MODULES)
def test_no_text_has_several_lines(module):
    """Indentation is removed."""
    code = re.sub(r"^ *(//.*|/\*[\s\S]*?\*/)\n", "", text_of(module), flags=re.MULTILINE)
    assert all(line.count("`") % 2 == 0 for line in code.splitlines())


def test_the_joined_module_can_be_parsed(tmp_path):
    module = tmp_path / "graph.mjs"
    module.write_text(str(GraphWidget._esm), encoding="utf-8")
    node("--check", str(module))


def test_control_a_name_that_is_defined_twice_cannot_be_parsed(tmp_path):
    module = tmp_path / "graph.mjs"
    module.write_text(f"{GraphWidget._esm}\nconst icon = 1;", encoding="utf-8")
    with pytest.raises(AssertionError, match="already been declared"):
        node("--check", str(module))


def test_pure_javascript_modules():
    node("--test", "tests/javascript/")


@pytest.mark.parametrize(
    ("module", "guard", "without"),
    [
        ("keys", "if (runsCell(event)) return undefined;", ""),  # Shift+Enter runs the cell
        ("keys", ' && event.key !== "s"', ""),  # Ctrl+S saves the notebook
        ("geometry", " || fit >= MIN_SCALE) return fit;", ") return fit;"),
        ("state", " && (!e || 20 * done >= total)", ""),  # the first items say little
        ("state", "before[id] && before[id].o", "before[id]?.o"),
        ("format", "whole < 60 : seconds < 59.95", "whole < 60 : seconds < 60"),
    ],
)
def test_control_without_a_guard_the_tests_of_the_pure_modules_fail(tmp_path, module, guard, without):
    shutil.copytree(ROOT / "tests" / "javascript", tmp_path / "tests" / "javascript")
    static = tmp_path / _STATIC.relative_to(ROOT)
    shutil.copytree(_STATIC, static)
    text = text_of(module)
    assert text.count(guard) == 1
    (static / f"{module}.js").write_text(text.replace(guard, without), encoding="utf-8")
    with pytest.raises(AssertionError, match="not ok|✖"):
        node("--test", "tests/javascript/", cwd=tmp_path)


def test_every_key_is_documented():
    documented, map_ = text_of("keys").split("const BOX_KEYS")
    signs = {"ArrowLeft": "←", "ArrowRight": "→", "ArrowUp": "↑", "ArrowDown": "↓"}
    signs |= dict.fromkeys(("PageUp", "PageDown"), "Page ↑ ↓")
    for key in re.findall(r"^  (\w+):", map_.partition("};")[0], re.MULTILINE):
        assert signs.get(key, key) in documented
