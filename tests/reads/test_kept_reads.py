"""Files that code reads once in a process and keeps: every reactor that uses what is kept depends on them."""

import gc
import importlib
import sys
import textwrap
import weakref

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import UnsavedWarning
from pyplant.reads import kept_reads
from pyplant.reads.recorder import ReadRecorder

from .plants import dependencies, read_text, write

pytestmark = pytest.mark.filterwarnings("ignore::pyplant.errors.StateWarning")

KEEPERS = {
    "global": """
        kept = None

        def table():
            global kept
            if kept is None:
                kept = read("data")
            return kept
    """,
    "number": """
        limit = None

        def table():
            global limit
            if limit is None:
                limit = float(read("data"))
            return str(int(limit))
    """,
    "dictionary": """
        kept = {}

        def table(name="data"):
            try:
                return kept[name]
            except KeyError:
                kept[name] = read(name)
                return kept[name]
    """,
    "list": """
        rows = []

        def table():
            if not rows:
                rows.extend(read("data").split())
            return rows[0]
    """,
    "default": """
        def table(name="data", kept={}):
            if name not in kept:
                kept[name] = read(name)
            return kept[name]
    """,
    "attribute": """
        class Loader:
            def __init__(self):
                self.kept = None

            @property
            def content(self):
                if self.kept is None:
                    self.kept = read("data")
                return self.kept

        class Application:
            def __init__(self):
                self.loader = Loader()

        application = Application()

        def table():
            return application.loader.content
    """,
    "slot": """
        class Loader:
            __slots__ = ("kept",)

            def content(self):
                if not hasattr(self, "kept"):
                    self.kept = read("data")
                return self.kept

        loader = Loader()

        def table():
            return loader.content()
    """,
    "cached property": """
        import functools

        class Loader:
            @functools.cached_property
            def content(self):
                return read("data")

        loader = Loader()

        def table():
            return loader.content
    """,
    "class": """
        class Loader:
            kept = None

            @classmethod
            def content(cls):
                if cls.kept is None:
                    cls.kept = read("data")
                return cls.kept

        def table():
            return Loader.content()
    """,
    "singleton": """
        class Settings:
            instance = None

            def __new__(cls):
                if cls.instance is None:
                    cls.instance = super().__new__(cls)
                    cls.instance.content = read("data")
                return cls.instance

        def table():
            return Settings().content
    """,
    "missing key": """
        class Registry(dict):
            def __missing__(self, name):
                self[name] = read(name)
                return self[name]

        registry = Registry()

        def table():
            return registry["data"]
    """,
    "decorator": """
        def memoize(function):
            kept = {}

            def memoized(*arguments):
                if arguments not in kept:
                    kept[arguments] = function(*arguments)
                return kept[arguments]

            return memoized

        load = memoize(read)

        def table():
            return load("data")
    """,
    "closure": """
        def reader():
            kept = None

            def table():
                nonlocal kept
                if kept is None:
                    kept = read("data")
                return kept

            return table

        table = reader()
    """,
    "function": """
        def table():
            if not hasattr(table, "kept"):
                table.kept = read("data")
            return table.kept
    """,
    "module": """
        import sys

        def table():
            if "kept" not in globals():
                globals()["kept"] = read("data")
            return sys.modules[__name__].kept
    """,
    "context variable": """
        from contextvars import ContextVar

        kept = ContextVar("kept", default=None)

        def table():
            if kept.get() is None:
                kept.set(read("data"))
            return kept.get()
    """,
    "thread": """
        import threading

        local = threading.local()

        def table():
            if not hasattr(local, "kept"):
                local.kept = read("data")
            return local.kept
    """,
    "generator": """
        def contents():
            content = read("data")
            while True:
                yield content

        steps = contents()

        def table():
            return next(steps)
    """,
    "partial": """
        import functools

        def load(kept, name):
            if name not in kept:
                kept[name] = read(name)
            return kept[name]

        table = functools.partial(load, {}, "data")
    """,
    "array": """
        import numpy as np

        kept = np.full(1, -1)

        def table():
            if kept[0] < 0:
                kept[0] = int(read("data"))
            return str(kept[0])
    """,
    "read in a thread": """
        from concurrent.futures import ThreadPoolExecutor

        kept = None

        def table():
            global kept
            if kept is None:
                with ThreadPoolExecutor(1) as pool:
                    kept = pool.submit(read, "data").result()
            return kept
    """,
    "functools": """
        import functools

        @functools.cache
        def table():
            return read("data")
    """,
}
READ = """
def read(path):
    with open(path) as file:
        return file.read()
"""


@pytest.fixture
def new_process(tmp_path, monkeypatch):
    """Returns the module with the helpers as a new process loads it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(text):
        (tmp_path / "helpers_that_keep.py").write_text(READ + textwrap.dedent(text))
        sys.modules.pop("helpers_that_keep", None)
        kept_reads._memories.clear()
        importlib.invalidate_caches()
        return importlib.import_module("helpers_that_keep")

    yield load
    sys.modules.pop("helpers_that_keep", None)
    kept_reads._memories.clear()


def plant_of(helpers):
    @ReactorFunc
    def first(pipe):
        pipe.send("one", helpers.table())

    @ReactorFunc
    def second(pipe):
        pipe.send("two", helpers.table())

    @ReactorFunc
    def third(pipe):
        yield pipe.receive("started")
        yield pipe.send("three", helpers.table())

    @ReactorFunc
    def start(pipe):
        helpers.table()
        pipe.send("started", True)

    plant = Plant("plant", progress=False)
    plant.add_reactors(first, second, third, start)
    return plant


@pytest.mark.parametrize("name", KEEPERS)
def test_what_was_kept_of_a_file_for_another_reactor_counts(name, new_process):
    write("data", 1)
    with plant_of(new_process(KEEPERS[name])) as plant:
        assert plant.get("one", "two") == ("1", "1")
        assert not plant.run_reactor("second").ran
    with plant_of(new_process(KEEPERS[name])) as plant:
        assert not plant.run_reactor("second").ran
        write("data", 2)
        assert "file data changed" in str(plant.explain("second"))
        assert plant.get("two") == "2"
    with plant_of(new_process(KEEPERS[name])) as plant:
        assert not plant.run_reactor("second").ran


@pytest.mark.parametrize("name", ["global", "functools"])
def test_what_was_kept_while_a_reactor_waited_counts(name, new_process):
    write("data", 1)
    with plant_of(new_process(KEEPERS[name])) as plant:
        assert plant.get("three") == "1"
    write("data", 2)
    with plant_of(new_process(KEEPERS[name])) as plant:
        assert plant.get("three") == "2"


def test_control_without_memories_the_second_reactor_is_stale(new_process, monkeypatch):
    monkeypatch.setattr(ReadRecorder, "add_kept", lambda *_: None)
    write("data", 1)
    with plant_of(new_process(KEEPERS["global"])) as plant:
        assert plant.get("one", "two") == ("1", "1")
    write("data", 2)
    with plant_of(new_process(KEEPERS["global"])) as plant:
        assert plant.get("two") == "1"


def test_a_result_of_what_was_kept_before_a_change_is_not_stored(new_process):
    write("data", 1)
    helpers = new_process(KEEPERS["global"])
    with plant_of(helpers) as plant:
        assert plant.get("one") == "1"
        write("data", 2)
        with pytest.warns(
            UnsavedWarning, match=r"data changed since helpers_that_keep.read .* read it, and 'second' used"
        ):
            assert plant.get("two") == "1"  # what the user keeps is not PyPlant's
        helpers.kept = None
        assert plant.get("two") == "2"
        assert not plant.run_reactor("second").ran


OTHERS = {
    "nothing": """
        def table(name):
            return read(name)
    """,
    "a counter": """
        calls = 0
        seconds = {"all": 0.0}

        def table(name):
            global calls
            calls += 1
            seconds["all"] += 0.5
            return read(name)
    """,
    "a local object": """
        class Loader:
            def __init__(self, name):
                self.name, self.kept = name, None

            def content(self):
                if self.kept is None:
                    self.kept = read(self.name)
                return self.kept

        def table(name):
            return Loader(name).content()
    """,
    "a local list": """
        def table(name):
            rows = []

            def add():
                rows.append(read(name))

            add()
            return rows[0]
    """,
}


@pytest.mark.parametrize("name", OTHERS)
def test_reads_of_which_nothing_is_kept_stay_with_their_reactor(name, new_process):
    helpers = new_process(OTHERS[name])

    @ReactorFunc
    def first(pipe):
        pipe.send("one", helpers.table("data"))

    @ReactorFunc
    def second(pipe):
        pipe.send("two", helpers.table("other"))

    write("data", 1)
    write("other", 1)
    with Plant("plant", progress=False) as plant:
        plant.add_reactors(first, second)
        plant.get("one", "two")
        assert [read.names[0] for read in dependencies(plant, "second")] == ["other"]


def test_local_objects_are_not_kept_alive(new_process):
    helpers = new_process(OTHERS["a local object"])
    seen = []

    @ReactorFunc
    def reads(pipe):
        loader = helpers.Loader("data")
        loader.itself = loader
        seen.append(weakref.ref(loader))
        pipe.send("value", loader.content())

    write("data", 1)
    with Plant("plant", progress=False) as plant:
        plant.add_reactor(reads)
        plant.get("value")
        gc.collect()
        assert seen[0]() is None


def test_a_list_that_nobody_needs_is_forgotten():
    def maker():
        rows = []

        def add(row):
            rows.extend(row)
            return sys._getframe()

        return add

    keeper, add = kept_reads.KeptReads(), maker()
    keeper.note(["read"], add(""))
    add("row")
    keeper.finish({"read": "what was read"})
    assert kept_reads.reads_kept_for([add]) == {"read": "what was read"}
    assert not kept_reads.reads_kept_for([read_text])
    del add
    gc.collect()
    kept_reads.reads_kept_for([])
    assert not kept_reads._memories
