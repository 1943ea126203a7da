"""Objects that workers create again because they cannot be pickled."""

import functools
import os
import sys
import threading
import types
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import RunError
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


def test_layouts_views_and_pools_of_threads_are_made_again(copied):
    import struct
    from concurrent.futures import ThreadPoolExecutor

    assert copied(struct.Struct("<IH")).size == 6
    assert bytes(copied(memoryview(b"abc"))) == b"abc"
    with ThreadPoolExecutor(3) as pool, copied(pool) as again:
        assert list(again.map(abs, [-1])) == [1]
        assert again._max_workers == 3


def test_a_context_variable_has_its_default_and_its_value(copied):
    from contextvars import Context, ContextVar

    with_default, empty = ContextVar("with_default", default=1), ContextVar("empty")
    with_default.set(2)
    there = copied([with_default, empty])
    assert there[0].name == "with_default"
    assert there[0].get() == 2
    assert Context().run(there[0].get) == 1
    with pytest.raises(LookupError):
        there[1].get()


@pytest.mark.skipif(os.name == "nt", reason="has other libraries")
def test_a_library_in_c_is_loaded_again_with_the_types_of_its_functions(copied):
    import ctypes
    import ctypes.util

    library = ctypes.CDLL(ctypes.util.find_library("m"), use_errno=True)
    library.cos.restype, library.cos.argtypes = ctypes.c_double, [ctypes.c_double]
    there, function = copied(library), copied(library.cos)
    assert there is not library
    assert there.cos(0.0) == function(0.0) == 1.0
    assert there._FuncPtr._flags_ == library._FuncPtr._flags_


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
        with pytest.raises(RunError, match="'works'.*generator"):
            plant.get("x")
