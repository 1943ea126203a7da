"""Objects that workers create again because they cannot be pickled."""

import functools
import sys
import threading
import types
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import OpaqueWarning, RunError
from pyplant.store.files import Files
from pyplant.workers.code_pickling import CodePickler
from pyplant.workers.sent_code import SentCode

USERS = """
import functools

class Key:
    pass

@functools.lru_cache(maxsize=7, typed=True)
def fibonacci(n):
    "A cache that its function uses."
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

class Shape:
    @functools.cache
    def area(self):
        return 5

@functools.singledispatch
def size(value):
    return 1

@size.register
def _(value: list):
    return sum(map(size, value))

@size.register(dict)
def of_mapping(value):
    return size(list(value.values()))
"""


@pytest.fixture
def users(monkeypatch):
    """A user module."""
    module = types.ModuleType("remade_by_workers")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(USERS, "remade_by_workers.py", "exec"), vars(module))
    return module


@pytest.fixture
def copied(tmp_path):
    """Return an object after pickling and unpickling."""
    code_pickler = CodePickler(tmp_path / "code", Files(), lambda _: True)
    sent = SentCode(str(tmp_path / "code"))
    yield lambda obj: sent.load(code_pickler.pack(obj))
    code_pickler.close()


def test_copies_of_cached_functions_have_empty_caches(users, copied):
    users.fibonacci(30)
    fibonacci = copied(users.fibonacci)
    assert fibonacci(20) == 6765
    assert fibonacci.cache_parameters() == {"maxsize": 7, "typed": True}
    assert fibonacci.cache_info().hits
    assert fibonacci.__doc__ == "A cache that its function uses."


def test_cached_methods_stay_methods(users, copied):
    shape = copied(users.Shape)()
    assert shape.area() == shape.area() == 5


def test_dispatching_functions_keep_all_types(users, copied):
    size = copied(users.size)
    assert size({"a": [1, 2], "b": 3}) == 3
    assert set(size.registry) == {object, list, dict}


@pytest.mark.parametrize("kind", [threading.Lock, threading.RLock])
def test_a_held_lock_is_free_in_the_worker(kind, copied):
    lock = kind()
    with lock:
        assert copied(lock).acquire(blocking=False)


def test_thread_locals_are_empty_in_the_worker(copied):
    local = threading.local()
    local.x = 1
    assert not hasattr(copied(local), "x")


def test_conditions_and_events_work_in_the_worker(copied):
    event = threading.Event()
    event.set()
    assert copied(event).is_set()
    with copied(threading.Condition()) as acquired:
        assert acquired


def test_weak_collections_keep_objects_that_are_referenced_elsewhere(users, copied):
    key = users.Key()
    weak = {"key": key, "keys": WeakKeyDictionary({key: 1}), "members": WeakSet([key])}
    there = copied(weak | {"values": WeakValueDictionary({1: key})})
    assert there["keys"][there["key"]] == 1
    assert list(there["members"]) == [there["key"]]
    assert there["values"][1] is there["key"]


def test_library_functions_are_found_by_name_in_the_worker(copied):
    import fnmatch

    assert copied(fnmatch._compile_pattern) is fnmatch._compile_pattern
    assert copied(functools.singledispatch) is functools.singledispatch


@functools.lru_cache
def doubled(x):
    return 2 * x


GUARD = threading.Lock()


@pytest.mark.filterwarnings("ignore::pyplant.errors.OpaqueWarning")  # a lock counts by its class
def test_reactors_that_use_them_run_in_workers(tmp_path, executor):
    @ReactorFunc
    def works(pipe):
        with GUARD:
            pipe.send("x", doubled(4))

    with Plant(tmp_path / "plant", executor=executor, progress=False) as plant:
        plant.add_reactor(works)
        assert plant.get("x") == 8


def test_an_object_that_cannot_be_rebuilt_is_named(tmp_path, processes):
    numbers = (n for n in range(3))

    @ReactorFunc
    def works(pipe):
        pipe.send("x", next(numbers))

    with Plant(tmp_path / "plant", executor=processes, progress=False) as plant:
        plant.add_reactor(works)
        with pytest.warns(OpaqueWarning), pytest.raises(RunError, match="'works'.*generator"):
            plant.get("x")
