"""Texts of a plant that another user made: they neither forge lines, nor run, nor break the output.

Each output is made twice, from a plant whose texts are hostile and from one whose texts are plain. It must have the
same lines and the same tags.
"""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from pyplant import Plant, ReactorFunc
from pyplant.cli import main, stored
from pyplant.execution import queries
from pyplant.plant import session_of
from pyplant.reports import report
from pyplant.reports.graph import tree

HOSTILE = [
    "new\nline: cached",
    "return\rforged",
    "\x1b[2J\x1b]0;title\x07",
    "\u202egnp.exe",
    "\u2066isolate\u2069",
    "\u2028separator\u2029",
    "\x85next",
    "\ud800half",
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</svg><b>",
    "[red]markup[/red]",
    "{0} %s {name}",
    "nul\0",
    "\u200b\ufeff",
    "$(id) `id` \\",
]
LINE_ENDS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f\x80-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Refused(Exception):
    """An error with a hostile text."""


def pipeline(plant, text, *, edited=False):
    """Reactors whose names, ingredients, parameters, values and errors hold a text."""
    factor = 2 if edited else 1

    @ReactorFunc(name=f"make {text}")
    def make(pipe):
        pipe.read_config(f"size {text}")
        pipe.send(f"value {text}", text)
        pipe.send(f"list {text}", [text, text])
        pipe.send(f"array {text}", np.arange(5.0) * factor)
        pipe.send(f"dict {text}", {text: text})

    @ReactorFunc(name=f"fail {text}")
    def fail(pipe):
        yield pipe.receive(f"value {text}")
        raise Refused(text)

    plant.add_reactor([make, fail])
    plant.set_config({f"size {text}": f"of {text}" * factor})
    return make, fail


def filled(directory, text):
    """Fill a plant; returns it with another version of its code."""
    with Plant(directory, progress=False) as plant:
        make, fail = pipeline(plant, text)
        plant.run_reactor(make)
        with pytest.raises(Refused):
            plant.run_reactor(fail)
    plant = Plant(directory, progress=False)
    return plant, pipeline(plant, text, edited=True)


@pytest.fixture(params=HOSTILE, ids=ascii)
def pair(request, tmp_path, monkeypatch):
    """Two plants with their reactors: with a hostile and with a plain text."""
    # Else long texts would have more lines.
    for module in (report, stored):
        monkeypatch.setattr(module, "terminal_width", lambda: 5000)
    plants = [filled(tmp_path / name, text) for name, text in (("one", request.param), ("two", "plain"))]
    with pytest.raises(Refused):
        plants[0][0].run_reactor(plants[0][1][1])
    with pytest.raises(Refused):
        plants[1][0].run_reactor(plants[1][1][1])
    pipeline(plants[0][0], request.param)
    pipeline(plants[1][0], "plain")
    yield plants
    for plant, _ in plants:
        plant.close()


def reports(plant, reactors):
    make, fail = reactors
    yield plant.status()
    yield plant.explain(make)
    yield plant.plan(fail)
    yield plant.history(make)
    yield plant.gc()
    yield plant.fsck()


class Tags(HTMLParser):
    """Collects tags and the names of their attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, *sorted(name for name, _ in attrs)))


def lines_of(text):
    assert not CONTROLS.search(text), ascii(text)
    assert not set(LINE_ENDS) & set(text), ascii(text)
    return text.count("\n")


def test_reports(pair):
    texts = [[str(report) for report in reports(*made)] for made in pair]
    assert [*map(lines_of, texts[0])] == [*map(lines_of, texts[1])]
    pages = [
        [report._repr_html_() for report in reports(*made) if hasattr(report, "_repr_html_")] for made in pair
    ]
    for hostile, plain in zip(*pages, strict=True):
        lines_of(hostile)
        assert Tags(hostile).found == Tags(plain).found
        hostile.encode()


def test_the_tree_and_the_picture(pair):
    trees, pictures = [], []
    for plant, _ in pair:
        trees.append(tree(plant.status(), queries.edges(session_of(plant))))
        pictures.append(plant.graph().source)
    assert lines_of(trees[0]) == lines_of(trees[1])
    assert pictures[0].count("\n") == pictures[1].count("\n")
    pictures[0].encode()


@pytest.mark.parametrize(
    "command", ["ls", "show value", "show list", "show dict", "show array", "history", "fsck", "gc"]
)
def test_commands(pair, command, capsys, monkeypatch):
    name, _, kind = command.partition(" ")
    texts = []
    for plant, (make, _) in pair:
        text = make.__pyplant_reactor__.name.removeprefix("make ")
        plant.close()
        arguments = [name, str(plant.directory), *([f"{kind} {text}"] if kind else [])]
        assert main(arguments) == 0
        printed = capsys.readouterr().out
        texts.append(printed)
        assert main([*arguments, "--json"]) == 0
        json.loads(capsys.readouterr().out)
    assert lines_of(texts[0]) == lines_of(texts[1])


def test_messages_of_errors(pair, capsys):
    found = []
    for plant, (make, _) in pair:
        text = make.__pyplant_reactor__.name.removeprefix("make ")
        plant.close()
        code = main(["show", str(plant.directory), f"unknown {text}"])
        found.append((code, lines_of(capsys.readouterr().err)))
    assert found[0] == found[1]
