"""Names that were replaced do not return: modules, classes, and identifiers.

Only identifiers count: tokens of code, names between back-ticks, names that docstrings document, module paths. The
same words in prose (the order of a dictionary, the layout of a page) are plain English.
"""

import ast
import io
import json
import re
import subprocess
import tokenize
from collections import defaultdict

import pytest

from tests.conftest import ROOT

MODULES = frozenset(
    """
    blocks collector config_views explain frontend graph parameters paths registry report session streams sweep table
    terminal theme wording
    engine.attributes engine.builtin_types engine.bytecode engine.canonical engine.class_reads engine.components
    engine.definers engine.describe engine.description engine.digest engine.distribution engine.expressions
    engine.fingerprint engine.hashing engine.hints engine.installed engine.members engine.mocks engine.origin
    engine.records engine.scalars engine.scheduler_protocol engine.scheduling engine.segments engine.source engine.syntax engine.wire
    fingerprint.definers fingerprint.description fingerprint.held_words fingerprint.installed fingerprint.records
    fingerprint.segments
    execution.attempt execution.executors execution.flight execution.order execution.outlook execution.parcel
    execution.pools execution.remake execution.side_by_side execution.urgency execution.views execution.voice
    execution.worker execution.world
    notebook.board notebook.fence notebook.figures notebook.folds notebook.graph_widget notebook.layout notebook.live
    notebook.look notebook.picture notebook.positions notebook.randomness notebook.record notebook.recorder
    notebook.replay notebook.scene notebook.view notebook.widget
    specs.room store.shelf
    """.split()
)
"""Paths of modules below ``pyplant``."""

CLASSES = frozenset(
    """
    Attempts Board CellRun Choice Collection Context Describer Edge Entry Execution Facts Fence Holdings Kind Known Line
    KnownIngredient Live Look More Narrator Node Order Outlook Packer Part Performance Record Reply RunFacts RunWorld Scene Shelf
    SideBySide SingleFlight Snapshot Survey Variant Voice Wants World _Bench _Ear _Facts _LogEar _Tap _Twins
    """.split()
)
"""Classes: the package defines none of these names."""

IDENTIFIERS = frozenset(
    """
    _bench _boards _carry_out _close_ears _doors _ears _fence _fences _flight _forsake _frozen_error _holdings _is_sure
    _is_tapped _log_ear _open_ears _outlook _packer _perform_here _perhaps _put_off _put_task_aside _remove_taps
    _resting_collector _set_taps _shelf _speaking _start_beating _taps _to_the_end _told_apart _voice _wonder
    answers_anything asked_of_classes auxiliary_in_sweep code_behind count_once errors_of_users forgotten_scratch
    held_state held_words is_ours keep_order let_go may_be_under_way newly_cached says_something says_the_same
    side_by_side skip_waiting take_notes take_patiently texts_by_text unlikeliness value_behind begins_anew
    _arrived _blame _defer_task _distinctly _give_up _orphaned _seek _sought_from _try_another _unsent
    _without attribute_of follow_used handed_out is_firm is_part is_wanted kind_of_part mark_on marks_given must_run
    object_read put_aside
    bring_names bring_reactor bring_to_the_end bring_variants carry_out
    carry_out_packed complain dropped_result exit_of_reactor foreseen freeze_error holdings is_tapped judge_again
    judge_lost_again look_anew may_begin method_as_reactor must_be_here no_function outlook packed_reactor packer
    perform_here put_off runs_here shelf surely_receives thaw to_plain unknown_mark urgency user_code_ran voice voices
    note_locals pass_on plainly without_circles without_marker
    JournalNote _hash_aside _homes _leads_here _put_aside _stands_still birth identity_of is_address keeps_journal
    may_make occupy
    _drop_replaced _judge_if_affordable _note_idle _refold _showings _squeeze _tell_cached _tell_replaced
    _anybody _attend _attendant _away _died _tell _told _were_here end_with has_news importing_for_a_process
    is_awaited is_here is_home lacks mend recheck_lost show_again start_of_processes start_processes_like wanting
    was_here write_down
    """.split()
) | (CLASSES & frozenset({"RunFacts", "RunWorld", "SideBySide", "SingleFlight"}))
"""Names of functions, attributes and variables, in all code."""

PARTS = frozenset({"anew", "somebody", "whoever"})
"""Words that no name is made of."""

IDIOMS = re.compile(rf"\b(?:{'|'.join(sorted(PARTS))}|comes to be)\b", re.IGNORECASE)

TOP_LEVEL = "|".join(sorted(name for name in MODULES if "." not in name))
FILE = "collector|config_views|paths|streams|wording"
"""Names of files that no module has any more, in any folder."""
NESTED = "|".join(sorted(name.replace(".", "[./]") for name in MODULES if "." in name))
MODULE_PATH = re.compile(
    rf"\bpyplant[./](?:{TOP_LEVEL}|{NESTED})\b(?!\()"
    rf"|(?<![\w./])(?:{FILE})\.py\b"
    rf"|(?<![\w./])(?:{NESTED})\.py\b"
)
CODE_SPAN = re.compile(r"`+([^`\n]+)`+")
DOCUMENTED = re.compile(r"^( *)([a-z_]\w*)\n\1 +\S", re.MULTILINE)
"""A parameter or an attribute in a docstring of the numpy style."""

MENTION = re.compile(rf"\b(?:{'|'.join(sorted(IDENTIFIERS))})\b|{'|'.join(sorted(PARTS))}", re.IGNORECASE)

OWN = "tests/test_retired_names.py"
HISTORY = ("CHANGELOG.md", "docs/changes/")  # says what older versions had


def tracked(*suffixes):
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [
        path
        for path in listed.splitlines()
        if path.endswith(suffixes)
        and path != OWN
        and not path.startswith(HISTORY)
        and (ROOT / path).is_file()
    ]


def is_retired(name):
    return name in IDENTIFIERS or not PARTS.isdisjoint(name.lower().split("_"))


def names_in_code(text):
    """Every identifier of Python code; of comments and docstrings those that they mark as code."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            yield token.string
        elif token.type == tokenize.COMMENT or '"""' in token.string:
            yield from names_in_prose(token.string)
            yield from (found[1] for found in DOCUMENTED.findall(token.string))
        elif token.type == tokenize.STRING and re.fullmatch(r"[rbf]*[\"'][\w.]+[\"']", token.string):
            yield from re.findall(r"\w+", token.string)  # such as an argument of monkeypatch.setattr


def names_in_prose(text):
    for span in CODE_SPAN.findall(text):
        yield from re.findall(r"\w+", span)


def names_in_notebook(text):
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        yield from re.findall(r"\w+", source) if cell["cell_type"] == "code" else names_in_prose(source)


def retired_names(path, text):
    """The retired names that a file uses."""
    if not MENTION.search(text):  # most files; to read their tokens would take 3 s
        return []
    if path.endswith(".py"):
        names = names_in_code(text)
    elif path.endswith(".ipynb"):
        names = names_in_notebook(text)
    elif path.endswith(".js"):
        names = re.findall(r"\w+", re.sub(r"//.*", "", text))
    else:
        names = names_in_prose(text)
    return sorted({name for name in names if is_retired(name)})


def retired_modules(path, text):
    """The retired modules that a file names or imports."""
    found = set(MODULE_PATH.findall(text))
    if path.endswith(".py"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pyplant":
                found |= {
                    f"{node.module}.{alias.name}".removeprefix("pyplant.") for alias in node.names
                } & MODULES
    return sorted(found)


def defined(text):
    return {node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}


@pytest.mark.slow
def test_no_retired_name_is_used():
    found = {}
    for path in tracked(".py", ".md", ".ipynb", ".js"):
        text = (ROOT / path).read_text(encoding="utf-8")
        found[path] = [*retired_names(path, text), *retired_modules(path, text)]
    assert len(found) > 100
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        ("a.py", "self._shelf = Shelf()", ["_shelf"]),
        ("a.py", "def begins_anew(): ...", ["begins_anew"]),
        ("a.py", "def test_it_is_made_anew(): ...", ["test_it_is_made_anew"]),
        ("a.py", "class SideBySide: ...", ["SideBySide"]),
        ("a.py", 'monkeypatch.setattr(module, "_doors", 1)', ["_doors"]),
        ("a.py", "x = 1  # see `carry_out`", ["carry_out"]),
        ("a.py", '"""A class.\n\nAttributes\n----------\nshelf\n    The formats.\n"""', ["shelf"]),
        ("a.md", "It asks the ``SingleFlight``.", ["SingleFlight"]),
        ("a.js", "const voice = 1;", ["voice"]),
        ("a.ipynb", '{"cells": [{"cell_type": "code", "source": ["urgency = 1"]}]}', ["urgency"]),
        ("a.py", '"""In a layout, the order of a voice on a shelf."""\norder = "the outlook"', []),
        ("a.md", "The outlook of parts and runs, made anew.", []),
    ],
)
def test_a_retired_name_is_found_and_prose_is_not(path, text, names):
    assert retired_names(path, text) == names


@pytest.mark.parametrize(
    ("path", "text", "is_found"),
    [
        ("a.py", "from pyplant.engine import origin", True),
        ("a.py", "from pyplant import streams", True),
        ("a.py", "import pyplant.notebook.board", True),
        ("a.py", 'patch("pyplant.execution.voice.write")', True),
        ("a.md", "See `execution/world.py`, and `pyplant/paths.py`.", True),
        ("a.md", "texts of ours pass through `streams.py`", True),
        ("a.py", "from pyplant.fingerprint import origin\nfrom pyplant.reports import report, table", False),
        ("a.md", "See `reports/table.py` and `_streams.py`; a plant's session.", False),
    ],
)
def test_a_retired_module_is_found(path, text, is_found):
    assert bool(retired_modules(path, text)) is is_found


def test_no_retired_module_is_there():
    for module in MODULES:
        path = module.replace(".", "/")
        assert not (ROOT / "pyplant" / f"{path}.py").exists(), module
        folder, _, leaf = path.rpartition("/")
        if folder:  # tests/test_streams.py is the test of _streams
            assert not (ROOT / "tests" / folder / f"test_{leaf}.py").exists(), module


@pytest.mark.slow
def test_a_class_has_one_name_and_a_name_one_class():
    owners = defaultdict(set)
    for path in tracked(".py"):
        if path.startswith("pyplant/"):
            for name in defined((ROOT / path).read_text(encoding="utf-8")):
                owners[name].add(path)
    assert sorted(CLASSES & owners.keys()) == []
    assert {name: paths for name, paths in owners.items() if len(paths) > 1} == {}


def test_the_package_is_written_in_plain_words():
    files = [path for path in tracked(".py", ".js") if path.startswith("pyplant/")]
    found = {path: IDIOMS.findall((ROOT / path).read_text(encoding="utf-8")) for path in files}
    assert {path: words for path, words in found.items() if words} == {}


def test_an_idiom_is_found():
    assert IDIOMS.findall("Whoever reads it begins anew.") == ["Whoever", "anew"]
    assert IDIOMS.findall("The caller starts again.") == []


def test_a_retired_class_is_found():
    assert defined("class Order: ...\nclass TaskRequest: ...") & CLASSES == {"Order"}
