"""User code that is sent to workers, and what is not sent within one process."""

import functools
import importlib
import os
import sys
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.workers.imports import serving_program

PATIENCE = 60


# ---------------------------------------------------------------------- classes

MODULE = """
import abc, enum, functools
from typing import NamedTuple


def triple(n):
    return 3 * n


class Base(abc.ABC):
    scale = 2

    @staticmethod
    def helper(a, b=1):
        return ("helper", a, b)

    @staticmethod
    @abc.abstractmethod
    def abstract(a): ...

    @classmethod
    def make(cls, *arguments):
        return cls(*arguments)

    def __init_subclass__(cls, **options):
        super().__init_subclass__()
        cls.options = options

    def __class_getitem__(cls, item):
        return (cls.__name__, item)


class Area(Base, unit="m"):
    outside = staticmethod(triple)
    shout = staticmethod(lambda text: text.upper())

    class Corner:
        @staticmethod
        def name(n):
            return f"corner {n}"

        class Deep:
            @classmethod
            def who(cls):
                return cls.__qualname__

    def __init__(self, width=1, height=1):
        self.width, self.height = width, height
        self._unit = "m"

    @staticmethod
    def abstract(a):
        return ("abstract", a)

    @staticmethod
    def product(a, b):
        return Area.helper(a, b)

    def size(self):
        return self.product(self.width, self.height)

    @property
    def unit(self):
        return self._unit

    @unit.setter
    def unit(self, unit):
        self._unit = unit

    @functools.cached_property
    def cached(self):
        return self.width * 10

    @functools.singledispatchmethod
    def show(self, value):
        return "any"

    @show.register
    def _(self, value: int):
        return "int"

    twice = functools.partialmethod(lambda self, n: n * self.width, 2)


class Meta(type):
    def called(cls):
        return cls.__name__

    @staticmethod
    def of_meta(n):
        return n + 1


class WithMeta(metaclass=Meta):
    pass


class Point(NamedTuple):
    x: int
    y: int

    @staticmethod
    def origin():
        return Point(0, 0)


class Colour(enum.Enum):
    RED = 1

    @staticmethod
    def default():
        return Colour.RED


def use(area):
    area.unit = "km"
    return [
        area.size(), Area.product(1, 2), area.helper(1), Area.helper(1), Base.helper(5), area.abstract(3),
        Area.make(4, 5).size(), area.unit, area.cached, area.show(1), area.show("x"), area.twice(),
        area.outside(2), Area.outside(2), area.shout("a"), Area.options, Base["k"],
        Area.Corner.name(1), Area.Corner().name(2), Area.Corner.Deep.who(),
        WithMeta.called(), type(WithMeta).of_meta(1), Point.origin().x, Point(1, 2).origin().y, Colour.default().value,
    ]
"""


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    """A user module with classes of many kinds."""
    (tmp_path / "shapes_here.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("shapes_here")
    sys.modules.pop("shapes_here", None)


@pytest.fixture(params=["processes", "dask"])
def away(request, pools):
    """Workers in other processes."""
    return pools(request.param)


def test_classes_of_all_kinds_work_in_workers(shapes, away, tmp_path):
    @ReactorFunc
    def measures(pipe):
        pipe.send("found", shapes.use(shapes.Area(2, 3)))

    @ReactorFunc
    def again(pipe):
        pipe.send("again", shapes.use(shapes.Area(2, 3)))

    with Plant(tmp_path / "plant", executor=away, progress=False) as plant:
        plant.add_reactor(measures, again)
        expected = shapes.use(shapes.Area(2, 3))
        assert plant.get("found") == expected
        assert plant.get("again") == expected  # where the class is already


def test_a_static_method_that_is_sent_alone_stays_static(shapes, away, tmp_path):
    function = shapes.Area.product

    @ReactorFunc
    def uses_class(pipe):
        pipe.send("class", shapes.Area(2, 3).size())

    @ReactorFunc
    def uses_function(pipe):
        yield pipe.receive("class")
        pipe.send("function", function(1, 2))

    @ReactorFunc
    def uses_class_again(pipe):
        yield pipe.receive("function")
        pipe.send("class again", shapes.Area(2, 3).size())

    with Plant(tmp_path / "plant", executor=away, progress=False) as plant:
        plant.add_reactor(uses_class, uses_function, uses_class_again)
        assert plant.get("class again") == ("helper", 2, 3)
        assert plant.get("function") == ("helper", 1, 2)


# ---------------------------------------------------------------------- modules

LAZY = """
__version__ = "1.5"
__all__ = ["answer"]
BEGUN = []


def __getattr__(name):
    if name in ("answer", "other"):
        return 42
    raise AttributeError(f"there is no {name}")


def __dir__():
    return ["answer"]
"""


@pytest.fixture
def lazy(tmp_path, monkeypatch):
    """A user module with a module-level ``__getattr__``."""
    (tmp_path / "lazy_here.py").write_text(LAZY)
    (tmp_path / "only_lazy_here.py").write_text("def __getattr__(name):\n    return name\n")
    (tmp_path / "empty_here.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("only_lazy_here", "empty_here"):
        importlib.import_module(name)
    yield importlib.import_module("lazy_here")
    for name in ("lazy_here", "only_lazy_here", "empty_here"):
        sys.modules.pop(name, None)


def test_a_module_that_answers_lazily_is_sent_once(lazy, away, tmp_path):
    log = str(tmp_path / "log")

    @ReactorFunc
    def asks(pipe):
        import only_lazy_here

        with open(log, "a") as stream:
            stream.write("x")
        missing = getattr(lazy, "missing", "not there")
        found = [lazy.answer, lazy.other, lazy.__version__, missing, only_lazy_here.anything, dir(lazy)]
        pipe.send("found", found)

    with Plant(tmp_path / "plant", executor=away, progress=False) as plant:
        plant.add_reactor(asks)
        assert plant.get("found") == [42, 42, "1.5", "not there", "anything", ["answer"]]
    assert len((tmp_path / "log").read_text()) <= 3  # once more for each of two modules


def test_names_of_a_module_of_which_only_a_part_was_sent(lazy, shapes, away, tmp_path):
    (tmp_path / "partly_here.py").write_text("__version__ = '2'\n__all__ = ['one']\ndef one(): return 1\n")
    partly = importlib.import_module("partly_here")
    one = partly.one

    @ReactorFunc
    def asks(pipe):
        import partly_here

        pipe.send("found", [one(), partly_here.__version__, partly_here.__all__, partly_here.one()])

    try:
        with Plant(tmp_path / "plant", executor=away, progress=False) as plant:
            plant.add_reactor(asks)
            assert plant.get("found") == [1, "2", ["one"], 1]
    finally:
        del sys.modules["partly_here"]


def test_a_module_that_changed_its_class(away, tmp_path, monkeypatch):
    (tmp_path / "class_here.py").write_text(
        "import sys, types\nVALUE = 3\nclass Own(types.ModuleType):\n    @property\n    def double(self): return 2 * VALUE\n"
        "sys.modules[__name__].__class__ = Own\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("class_here")

    @ReactorFunc
    def asks(pipe):
        pipe.send("found", [module.double, module.VALUE])

    try:
        with Plant(tmp_path / "plant", executor=away, progress=False) as plant:
            plant.add_reactor(asks)
            assert plant.get("found") == [6, 3]
    finally:
        del sys.modules["class_here"]


def test_a_missing_attribute_of_a_module_is_an_error_at_once(lazy, away, tmp_path):
    @ReactorFunc
    def asks(pipe):
        import empty_here

        pipe.send("found", empty_here.nothing)

    with Plant(tmp_path / "plant", executor=away, progress=False) as plant:
        plant.add_reactor(asks)
        with pytest.raises(AttributeError, match="nothing"):
            plant.get("found")


def test_a_reactor_may_import_a_module_again(lazy, away, tmp_path):
    @ReactorFunc
    def stubborn(pipe):
        sys.modules.pop("lazy_here", None)
        import lazy_here

        pipe.send("found", lazy_here.answer)

    with Plant(tmp_path / "plant", executor=away, progress=False) as plant:
        plant.add_reactor(stubborn)
        assert plant.get("found") == 42


# ---------------------------------------------------------------------- in the process of the run


class AtOnce(Executor):
    """A pool that calls each function before ``submit`` returns."""

    def submit(self, function, /, *arguments, **options):
        future = Future()
        try:
            future.set_result(function(*arguments, **options))
        except BaseException as error:
            future.set_exception(error)
        return future


class InThreads(AtOnce):
    """A pool of threads that is no ``ThreadPoolExecutor``."""

    def __init__(self):
        self._threads = ThreadPoolExecutor(2)

    def submit(self, function, /, *arguments, **options):
        return self._threads.submit(function, *arguments, **options)

    def shutdown(self, *arguments, **options):
        self._threads.shutdown(*arguments, **options)


@pytest.fixture(params=["at once", "in threads", "dask"])
def here(request):
    """Pools in this process that PyPlant cannot recognise as such."""
    if request.param == "dask":
        from distributed import Client

        with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=":0") as client:
            yield client
        return
    with AtOnce() if request.param == "at once" else InThreads() as executor:
        yield executor


def test_in_the_same_process_modules_and_paths_do_not_change(shapes, here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, finders, path = dict(sys.modules), list(sys.meta_path), list(sys.path)

    @ReactorFunc
    def one(pipe):
        pipe.send("one", [shapes.Area(2, 3).size(), id(shapes)])

    @ReactorFunc
    def two(pipe):
        import shapes_here

        got = yield pipe.receive("one")
        pipe.send("two", [*got, id(shapes_here), os.getpid()])

    with Plant(tmp_path / "plant", executor=here, progress=False) as plant:
        plant.add_reactor(one, two)
        assert plant.get("two") == [("helper", 2, 3), id(shapes), id(shapes), os.getpid()]
        assert plant.run_reactor(two).ran == ()
    assert sys.modules["shapes_here"] is shapes
    assert {name for name in before if sys.modules.get(name) is not before[name]} == set()
    assert sys.meta_path == finders
    assert sys.path == path
    importlib.reload(shapes)


def test_state_that_a_reactor_changes_in_this_process_is_visible(here, tmp_path):
    counter = [0]

    @ReactorFunc
    def counts(pipe):
        counter[0] += 1
        pipe.send("count", counter[0])

    with Plant(tmp_path / "plant", executor=here, progress=False) as plant:
        plant.add_reactor(counts)
        assert plant.get("count") == 1
        assert plant.run_reactor(counts).ran == ()
    assert counter == [1]


def test_forked_workers_do_not_use_the_objects_of_the_parent(shapes, tmp_path):
    """They have a copy of ``in_process_runs``, which is for threads of the parent."""
    import multiprocessing

    @ReactorFunc
    def one(pipe):
        pipe.send("one", [shapes.Area(2, 3).size(), os.getpid()])

    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as executor,
        Plant(tmp_path / "plant", executor=executor, progress=False) as plant,
    ):
        plant.add_reactor(one)
        size, process = plant.get("one")
        assert size == ("helper", 2, 3)
        assert process != os.getpid()


# ---------------------------------------------------------------------- threads of one worker


def test_a_thread_of_another_program_waits_until_no_thread_uses_the_present_modules():
    entered, joined = threading.Event(), threading.Event()

    def same():
        with serving_program("one"):
            joined.set()

    def other():
        with serving_program("two"):
            entered.set()

    with serving_program("one"):
        threads = [threading.Thread(target=target) for target in (same, other)]
        for thread in threads:
            thread.start()
        assert joined.wait(PATIENCE)
        assert not entered.wait(0.3)
    for thread in threads:
        thread.join(PATIENCE)
    assert entered.is_set()


@pytest.mark.slow
def test_several_threads_of_one_worker_process(shapes, tmp_path):
    """Each reactor uses code that the others use, at the same time, in one process."""
    from distributed import Client

    def size(n):
        return shapes.Area(n, n).size()

    def make(n):
        @ReactorFunc(name=f"reactor_{n}")
        def reactor(pipe, n=n):
            import shapes_here

            pipe.send(f"size {n}", [size(n), shapes_here.use(shapes_here.Area(n, n))[0]])
            pipe.send(f"partial {n}", functools.partial(size, n))
            pipe.send(f"area {n}", shapes.Area(n, n))

        return reactor

    with (
        Client(n_workers=1, threads_per_worker=4, dashboard_address=":0") as client,
        Plant(tmp_path / "plant", executor=client, progress=False) as plant,
    ):
        plant.add_reactor([make(n) for n in range(12)])
        names = [f"size {n}" for n in range(12)]
        expected = [("helper", n, n) for n in range(12)]
        assert [found[0] for found in plant.get(*names)] == expected
        assert [plant.get(f"partial {n}")() for n in range(12)] == expected
        assert [plant.get(f"area {n}").size() for n in range(12)] == expected


# ---------------------------------------------------------------------- exceptions


class TwoArgumentsError(Exception):
    def __init__(self, code, detail):
        super().__init__(f"{code}: {detail}")
        self.code = code


class KeywordError(Exception):
    def __init__(self, *, where):
        super().__init__()
        self.where = where

    def __str__(self):
        return f"at {self.where}"


class DiskError(OSError):
    def __init__(self, device, number):
        super().__init__(number, "broken", device)
        self.device = device


class ChildError(TwoArgumentsError):
    def __init__(self):
        super().__init__(1, "child")


class OwnReduceError(Exception):
    def __init__(self, a, b):
        super().__init__("own")
        self.sum = a + b

    def __reduce__(self):
        return OwnReduceError, (self.sum, 0)


class HoldsLockError(Exception):
    def __init__(self, row):
        super().__init__("locked")
        self.row, self.lock = row, threading.Lock()


def noted():
    error = TwoArgumentsError(42, "noted")
    error.add_note("in row 7")
    return error


ERRORS = {
    "two arguments": lambda: TwoArgumentsError(42, "the matrix is singular"),
    "keyword": lambda: KeywordError(where="row 7"),
    "of the system": lambda: DiskError("sda", 5),
    "a child": ChildError,
    "its own way": lambda: OwnReduceError(1, 2),
    "noted": noted,
    "in a group": lambda: ExceptionGroup("several", [TwoArgumentsError(1, "inner"), ValueError("plain")]),
    "builtin": lambda: UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
    "holds a lock": lambda: HoldsLockError(3),
}


def shown(error):
    inner = [shown(one) for one in getattr(error, "exceptions", ())]
    state = {name: value for name, value in vars(error).items() if name not in ("lock", "__notes__")}
    return type(error), str(error), error.args[:1] if not inner else (), state, inner


@pytest.mark.parametrize("kind", ERRORS)
def test_exceptions_come_back_from_workers_as_they_were_raised(kind, pools, tmp_path):
    make = ERRORS[kind]

    @ReactorFunc
    def raises(pipe):
        raise make()

    with Plant(tmp_path / "plant", executor=pools("processes"), progress=False) as plant:
        plant.add_reactor(raises)
        with pytest.raises(type(make())) as raised:
            plant.run_reactor(raises)
    assert shown(raised.value) == shown(make())
    assert "RemoteError" in repr(raised.value.__cause__)
    assert set(getattr(make(), "__notes__", ())) <= set(raised.value.__notes__)


def test_an_exception_that_cannot_be_unpickled_keeps_its_text_and_traceback(pools, tmp_path):
    class Impossible(Exception):
        def __reduce__(self):
            raise TypeError("never")

    @ReactorFunc
    def raises(pipe):
        raise Impossible("but said")

    with Plant(tmp_path / "plant", executor=pools("processes"), progress=False) as plant:
        plant.add_reactor(raises)
        with pytest.raises(RuntimeError, match="Impossible: but said") as raised:
            plant.run_reactor(raises)
    assert "in raises" in str(raised.value.__cause__)
