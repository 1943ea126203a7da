"""Queries do not hash large files: they say that a file was touched."""

import os
import pathlib

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.execution import context
from pyplant.store import inputs


@pytest.fixture
def plant():
    pathlib.Path("large").write_text("x" * 100)
    pathlib.Path("small").write_text("x")

    @ReactorFunc
    def declares(pipe):
        pipe.send("one", len(pathlib.Path(pipe.input_file("large")).read_text()))

    @ReactorFunc
    def opens(pipe):
        pipe.send("two", pathlib.Path("small").read_text() + pathlib.Path("large").read_text()[:1])

    @ReactorFunc
    def below(pipe):
        two = yield pipe.receive("two")
        pipe.send("three", two)

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(declares, opens, below)
        plant.get("one", "three")
        yield plant


@pytest.mark.parametrize("ask", ["status", "plan", "explain", "graph"])
def test_queries_hash_no_large_file_and_say_that_it_was_touched(plant, hashed, monkeypatch, ask):
    monkeypatch.setattr(context, "_HASHED_SOON", 50)
    os.utime("large")
    hashed.clear()
    found = {
        "status": lambda: str(plant.status()),
        "plan": lambda: str(plant.plan("below")),
        "explain": lambda: str(plant.explain("declares")),
        "graph": lambda: plant.graph().source,
    }[ask]()
    assert "large" not in hashed
    assert (
        ("large was touched and may have changed" in " ".join(found.split()))
        if ask != "graph"
        else ("dashed" in found)
    )
    assert plant.run_reactor("declares").ran == ()
    assert plant.run_reactor("below").ran == ()
    assert "large" in hashed


def test_control_with_a_large_limit_queries_know(plant):
    os.utime("large")
    assert plant.plan("below").may_run == ()
    pathlib.Path("large").write_text("y" * 100)
    assert plant.plan("below").will_run == ("opens",)


def test_a_plan_says_what_may_run(plant, monkeypatch):
    monkeypatch.setattr(context, "_HASHED_SOON", 50)
    os.utime("large")
    plan = plant.plan("below")
    assert plan.may_run == ("opens", "below")
    assert plan.will_run == ()


def test_what_a_limit_allows():
    limit = inputs.HashLimit(10)
    assert [limit.allows(size) for size in (6, 6, 4, 1)] == [True, False, True, False]


def test_a_huge_undeclared_file_is_not_hashed_and_is_noted_once(hashed):
    with open("huge", "wb") as stream:
        stream.truncate(2 << 30)  # takes no room

    @ReactorFunc
    def reads(pipe):
        with open("huge", "rb") as stream:
            pipe.send("start", stream.read(4))

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(reads)
        plant.get("start")
        assert not plant.run_reactor("reads").ran
        assert hashed == []
        (note,) = plant.explain("reads").not_followed
        assert note.startswith("huge (2.1 GB) counts by its size and time")
        os.utime("huge")
        assert plant.run_reactor("reads").ran
        assert hashed == []
