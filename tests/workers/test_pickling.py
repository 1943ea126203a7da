"""User code in a worker: what threads of one process see of a module while it is unpacked."""

import pickle
import sys
import threading

import pytest

from pyplant.workers import pickling

NAME = "a_module_that_is_sent"
BEGUN, MAY_END = threading.Event(), threading.Event()


def slow_value():
    BEGUN.set()
    assert MAY_END.wait(10)
    return "slow"


class Slow:
    def __reduce__(self):
        return slow_value, ()


class Broken:
    def __reduce__(self):
        return int, ("no number",)


def packed(**contents):
    return {name: pickle.dumps((value, {}, {})) for name, value in contents.items()}


@pytest.fixture(autouse=True)
def _no_module():
    BEGUN.clear()
    MAY_END.clear()
    yield
    sys.modules.pop(NAME, None)


@pytest.fixture
def unpacking():
    """A thread that is in the middle of unpacking a module."""
    contents = packed(slow=Slow(), value=1)
    thread = threading.Thread(target=pickling._module, args=(NAME, contents))
    thread.start()
    assert BEGUN.wait(10)
    yield contents
    MAY_END.set()
    thread.join()


@pytest.mark.usefixtures("unpacking")
def test_a_thread_that_imports_a_module_being_unpacked_requests_it():
    with pickling.requesting_modules(), pytest.raises(pickling.ModuleNotSent):
        sys.modules[NAME].value  # noqa: B018


def test_a_thread_that_was_sent_a_module_being_unpacked_waits_for_it(unpacking):
    found = []
    other = threading.Thread(target=lambda: found.append(pickling._module(NAME, unpacking).value))
    other.start()
    other.join(0.1)
    assert other.is_alive()
    MAY_END.set()
    other.join(10)
    assert found == [1]


def test_a_module_that_could_not_be_unpacked_is_unpacked_again():
    with pytest.raises(ValueError, match="no number"):
        pickling._module(NAME, packed(broken=Broken(), value=1))
    assert pickling._module(NAME, packed(value=1)).value == 1


def test_a_name_that_a_whole_module_lacks_is_an_error():
    module = pickling._module(NAME, packed(value=1))
    with pickling.requesting_modules(), pytest.raises(AttributeError, match="not there in the worker"):
        module.other  # noqa: B018
