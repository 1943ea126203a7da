"""Exceptions from workers: each arrives as it is raised inline, or as what says its name, text and traceback."""

import asyncio
import dataclasses
import multiprocessing
import os
import sys
import threading
import traceback
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from pyplant import Plant, ReactorFunc
from pyplant._formatting import error_text
from pyplant.errors import ReactorExitError, add_note
from pyplant.workers import error_pickling
from pyplant.workers.error_pickling import (
    RemoteError,
    attach_traceback,
    load_error,
    pickle_error,
    traceback_text,
)

# ---------------------------------------------------------------------- exceptions


class TwoArgumentsError(Exception):
    def __init__(self, code, where):
        super().__init__(f"code {code} in {where}")
        self.code = code


class StrRaisesError(Exception):
    def __str__(self):
        raise ValueError("no text")

    __repr__ = __str__


class StrExitsError(Exception):
    def __str__(self):
        sys.exit(3)


class ReduceRaisesError(Exception):
    def __reduce__(self):
        raise TypeError("not to be pickled")


class LoadingRaisesError(Exception):
    def __reduce__(self):
        return LoadingRaisesError._load, (1,)

    @staticmethod
    def _load(_):
        raise RuntimeError("not to be loaded")


class LoadingExitsError(Exception):
    def __reduce__(self):
        return sys.exit, (0,)


class LoadsAsTextError(Exception):
    def __reduce__(self):
        return str, ("no exception",)


class NewArgumentsError(Exception):
    def __new__(cls, code, where):
        error = super().__new__(cls, code)
        error.where = where
        return error

    def __init__(self, code, where):
        super().__init__(code)


class SlotsError(Exception):
    __slots__ = ("empty", "message")

    def __init__(self, message):
        self.message, self.empty = message, None

    def __str__(self):
        return f"{self.message} {self.empty}"


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    code: int


class ReadOnlyError(Exception):
    def __setattr__(self, name, value):
        raise AttributeError("read only")


class AddNoteRaisesError(Exception):
    def add_note(self, note):
        raise RuntimeError("no notes")


class AnswersAllError(Exception):
    def __getattr__(self, name):
        return lambda *arguments, **options: name


class RecursesError(Exception):
    def __getattr__(self, name):
        return getattr(self.inner, name)


class ArgsRaiseError(Exception):
    @property
    def args(self):
        raise RuntimeError("no arguments")


class OwnGroup(ExceptionGroup):
    def __new__(cls, errors):
        return super().__new__(cls, "of ours", errors)

    def __init__(self, errors):
        self.count = len(errors)


class BadGroup(ExceptionGroup):
    def __reduce__(self):
        raise TypeError("not to be pickled")


class OwnInterrupt(KeyboardInterrupt):
    pass


class Stop(BaseException):
    pass


def raising(cls, *arguments):
    def raises():
        raise cls(*arguments)

    return raises


def holds_lock():
    error = TwoArgumentsError(1, "x")
    error.lock, error.rows = threading.Lock(), [(n for n in range(3))]
    raise error


def locked_arguments():
    raise ValueError("locked", threading.Lock())


def holds_function():
    error = ValueError("a function")
    error.function = lambda: 3
    raise error


def local_class():
    class LocalError(Exception):
        def __init__(self, a, b):
            super().__init__(a + b)

    raise LocalError(1, 2)


def recursion():
    def call(n):
        return call(n + 1)

    call(0)


def chain():
    try:
        try:
            1 / 0
        except ZeroDivisionError:
            raise KeyError("middle")  # noqa: B904
    except KeyError as error:
        raise TwoArgumentsError(9, "the end") from error


def hidden_context():
    try:
        1 / 0
    except ZeroDivisionError:
        raise ValueError("alone") from None


def bad_cause():
    raise ValueError("outer") from ReduceRaisesError("the cause")


def circle():
    error, other = ValueError("one"), KeyError("other")
    error.itself, other.__context__, error.__cause__ = error, error, other
    raise error


def long_chain():
    error = None
    for number in range(2000):
        following = ValueError(number)
        following.__context__, error = error, following
    raise error


def nested_group():
    noted = ValueError("noted")
    noted.add_note("in row 7")
    inner = ExceptionGroup("inner", [TwoArgumentsError(1, "x"), LoadingRaisesError("y"), FrozenError(3)])
    raise ExceptionGroup("outer", [inner, noted]) from inner.exceptions[0]


def own_group():
    raise OwnGroup([ValueError(1)])


def bad_group():
    raise BadGroup("bad", [ValueError(1), ReduceRaisesError("x")])


def base_group():
    raise BaseExceptionGroup("base", [KeyboardInterrupt(), Stop("x")])


def notes():
    error = TwoArgumentsError(1, "x")
    error.add_note("first")
    error.add_note("second")
    raise error


KINDS = {
    "two arguments": raising(TwoArgumentsError, 1, "x"),
    "str raises": raising(StrRaisesError, 1),
    "str exits": raising(StrExitsError, 1),
    "reduce raises": raising(ReduceRaisesError, "text"),
    "loading raises": raising(LoadingRaisesError, "text"),
    "loading exits": raising(LoadingExitsError, "text"),
    "loads as text": raising(LoadsAsTextError, "text"),
    "arguments of new": raising(NewArgumentsError, 1, "x"),
    "slots": raising(SlotsError, "text"),
    "frozen": raising(FrozenError, 3),
    "read only": raising(ReadOnlyError, "text"),
    "add_note raises": raising(AddNoteRaisesError, "text"),
    "answers to all names": raising(AnswersAllError, "text"),
    "attributes recurse": raising(RecursesError, "text"),
    "args raise": raising(ArgsRaiseError, "text"),
    "a lock": holds_lock,
    "a lock in the arguments": locked_arguments,
    "a function": holds_function,
    "of a local class": local_class,
    "recursion": recursion,
    "chain": chain,
    "hidden context": hidden_context,
    "bad cause": bad_cause,
    "circle": circle,
    "long chain": long_chain,
    "nested group": nested_group,
    "own group": own_group,
    "bad group": bad_group,
    "group with an interrupt": base_group,
    "notes": notes,
    "of NumPy": lambda: np.zeros(3).sum(axis=4),
    "of a codec": lambda: b"\xff".decode(),
    "of the system": lambda: open("/nonexistent/file"),
    "surrogates": raising(ValueError, "caf\udce9"),
    "StopIteration": raising(StopIteration, 3),
    "GeneratorExit": raising(GeneratorExit, 3),
    "cancelled": raising(asyncio.CancelledError, "c"),
    "base exception": raising(Stop, "x"),
    "interrupt": raising(KeyboardInterrupt, "by the reactor"),
    "own interrupt": raising(OwnInterrupt, "by the reactor"),
    "exit": raising(SystemExit, 4),
}


def shown(error, depth=3):
    """What can be seen of an exception, without notes of the run and addresses."""
    if error is None or isinstance(error, RemoteError) or not depth:
        return None
    attributes = error_pickling.namespace(error) or {}
    cause, context, _ = error_pickling.chain_of(error)
    return (
        type(error).__name__,
        error_pickling._ADDRESS.sub("", error_text(error)),
        sorted(attributes.keys() - {"__notes__"}),
        {name: value for name, value in attributes.items() if isinstance(value, int | str)},
        [note for note in list(attributes.get("__notes__", ())) if "reactor" not in note],
        shown(cause, depth - 1),
        shown(context, depth - 1),
        [shown(member, depth) for member in error_pickling._members(error)],
    )


REFUSE_NOTES = {
    "frozen", "read only", "add_note raises", "answers to all names", "attributes recurse", "exit"
}  # fmt: skip


# ---------------------------------------------------------------------- from every pool

pytestmark = pytest.mark.filterwarnings("ignore::pyplant.errors.OpaqueWarning")  # exceptions of many kinds


@ReactorFunc
def raises(pipe, config):
    KINDS[config.kind]()


@pytest.fixture(scope="module", params=["inline", "threads", "processes", "fork", "spawn"])
def plant(request, pools, tmp_path_factory):
    """A plant with each executor, which all tests of the module use."""
    directory = tmp_path_factory.mktemp("errors") / "plant"
    if request.param in ("fork", "spawn"):
        context = multiprocessing.get_context(request.param)
        with (
            ProcessPoolExecutor(1, mp_context=context) as executor,
            Plant(directory, executor=executor, progress=False) as plant,
        ):
            plant.add_reactor(raises)
            yield plant
        return
    executor = None if request.param == "inline" else pools(request.param)
    with Plant(directory, executor=executor, progress=False) as plant:
        plant.add_reactor(raises)
        yield plant


def raised_by(plant, kind):
    plant.set_config({"kind": kind})
    with pytest.raises(BaseException) as raised:  # noqa: PT011 - any exception, and KeyboardInterrupt too
        plant.run_reactor(raises)
    return raised.value


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_arrives_as_it_was_raised(kind, plant):
    error = raised_by(plant, kind)
    entry = plant.status()["raises"]
    assert (entry.outcome.value, entry.error) == ("failed", error_text(error))
    if kind == "exit":
        assert isinstance(error, ReactorExitError)
        error = error.__cause__
    try:
        KINDS[kind]()
    except BaseException as wanted:
        assert shown(error) == shown(wanted)
    assert "KINDS[config.kind]()" in traceback_text(error) + str(error.__cause__)
    if kind not in REFUSE_NOTES:
        assert any("'raises'" in note for note in error.__notes__)


class LoadsHere:
    """Can be loaded only in the process that made it."""

    def __init__(self, *error):
        self.error = error

    def __reduce__(self):
        return load_in, (os.getpid(), *self.error)


def load_in(process, cls, *arguments):
    if process != os.getpid():
        raise cls(*arguments)
    return LoadsHere(cls, *arguments)


@pytest.mark.parametrize(
    "error", [(TwoArgumentsError, 1, "x"), (FileNotFoundError, "the user's"), (SystemExit, 3)]
)
def test_a_configuration_that_cannot_be_loaded_in_a_worker_is_an_error(error, pools, tmp_path):
    @ReactorFunc
    def reads(pipe, config):
        pipe.send("x", config.n)

    with Plant(tmp_path / "plant", executor=pools("processes"), progress=False) as plant:
        plant.set_config({"n": 1, "object": LoadsHere(*error)})
        plant.add_reactor(reads)
        with pytest.raises(ReactorExitError if error[0] is SystemExit else error[0]) as raised:
            plant.run_reactor(reads)
    assert "load_in" in str(raised.value.__cause__) + str(raised.value.__cause__.__cause__)


# ---------------------------------------------------------------------- pickling


@pytest.fixture
def sent():
    """Return what arrives of an exception."""
    return lambda error: load_error(pickle_error(error))


def test_an_exception_that_cannot_be_sent_arrives_as_text(sent):
    class LocalError(ValueError):
        def __reduce__(self):
            raise TypeError("no")

    error = sent(LocalError("what happened"))
    assert type(error) is RuntimeError
    assert str(error) == "LocalError: what happened"


def test_an_exception_that_loads_as_another_arrives_as_text(sent):
    class LocalError(ValueError):
        def __reduce__(self):
            return OSError, ("something else",)

    error = sent(LocalError("what happened"))
    assert (type(error), str(error)) == (RuntimeError, "LocalError: what happened")


def test_an_exception_of_a_local_class_is_sent_without_parts_that_cannot_be_sent(sent):
    class LocalError(Exception):
        pass

    error = LocalError("what happened")
    error.lock = threading.Lock()
    arrived = sent(error)
    assert type(arrived) is LocalError
    assert repr(arrived.lock) == repr(error.lock)


MAIN = """
from pyplant import *

class MainError(Exception):
    pass

@ReactorFunc
def fails(pipe):
    error = MainError("text")
    error.function = lambda: 3
    raise error

if __name__ == "__main__":
    with Plant("plant", executor=1, progress=False) as plant:
        try:
            plant.run_reactor(fails)
        except MainError as error:
            print(error, error.function())
"""


@pytest.mark.slow
def test_the_main_module_can_catch_its_exceptions(run_script):
    assert run_script(MAIN).stdout == "text 3\n"


def test_each_member_of_a_group_that_cannot_be_sent_arrives_as_text(sent):
    class LocalGroup(ExceptionGroup):
        def __reduce__(self):
            raise TypeError("no")

    class LocalStop(BaseException):
        def __reduce__(self):
            raise TypeError("no")

    class LocalExit(SystemExit):
        def __reduce__(self):
            raise TypeError("no")

    group = sent(
        BaseExceptionGroup(
            "all", [LocalGroup("some", [KeyError(1)]), LocalStop("x"), LocalExit(3), OSError()]
        )
    )
    some, stop, ends, plain = group.exceptions
    assert (type(some), some.message) == (ExceptionGroup, "LocalGroup: some (1 sub-exception)")
    assert isinstance(some.exceptions[0], KeyError)
    assert (type(stop), str(stop)) == (BaseException, "LocalStop: x")
    assert (type(ends), str(ends)) == (SystemExit, "LocalExit: 3")
    assert type(plain) is OSError


def test_an_exception_that_cannot_be_loaded_here_arrives_as_text():
    (pickled,) = pickle_error(TwoArgumentsError(1, "x"))
    for content in (b"", pickled.content[:-1], pickled.content.replace(b"TwoArguments", b"Unknown_name")):
        error = load_error([pickled._replace(content=content)])
        assert (type(error), str(error)) == (RuntimeError, "TwoArgumentsError: code 1 in x")


def test_a_part_that_cannot_be_sent_shows_the_same(sent):
    numbers = (n for n in range(3))
    error = ValueError("text", numbers)
    error.numbers, error.raises, error.count = numbers, StrRaisesError(), 3
    error.objects = [OnlyHere()]
    arrived = sent(error)
    assert str(arrived) == str(error)
    assert repr(arrived.numbers) == repr(numbers)
    assert arrived.count == 3
    assert "OnlyHere" in repr(arrived.objects)
    assert isinstance(arrived.raises, StrRaisesError)


class OnlyHere:
    def __reduce__(self):
        raise TypeError("no")


def test_a_class_that_is_found_by_name_stays_the_same_if_a_part_is_sent_by_value(sent):
    error = TwoArgumentsError(1, "x")
    error.function = lambda: 3
    arrived = sent(error)
    assert type(arrived) is TwoArgumentsError
    assert arrived.function() == 3


def test_members_that_are_causes_too_stay_the_same_objects(sent):
    member = ValueError(1)
    group = ExceptionGroup("g", [member])
    member.__context__ = group
    group.__cause__ = member
    arrived = sent(group)
    assert arrived.exceptions[0] is arrived.__cause__
    assert arrived.__cause__.__context__ is arrived


def test_notes_that_the_own_pickling_of_a_class_leaves_out_arrive(sent):
    error = OwnPicklingError()
    error.add_note("a note")
    assert sent(error).__notes__ == ["a note"]


class OwnPicklingError(Exception):
    def __reduce__(self):
        return OwnPicklingError, ()


def test_an_exception_that_its_own_pickling_leaves_incomplete_is_sent_in_another_way(sent):
    assert str(sent(IncompleteError(3))) == "3"


class IncompleteError(Exception):
    def __init__(self, number):
        self.number = number

    def __str__(self):
        return str(self.number)

    def __reduce__(self):
        return IncompleteError.__new__, (IncompleteError,)


def test_a_text_that_differs_each_time_does_not_prevent_sending(sent):
    assert type(sent(CountsError())) is CountsError


class CountsError(Exception):
    calls = 0

    def __str__(self):
        CountsError.calls += 1
        return str(CountsError.calls)


def test_an_interrupt_while_an_exception_is_pickled_is_raised():
    with pytest.raises(KeyboardInterrupt):
        pickle_error(InterruptedError_())


class InterruptedError_(Exception):
    def __reduce__(self):
        raise KeyboardInterrupt


def test_the_traceback_of_a_worker_is_the_last_cause():
    error, cause = ValueError(1), KeyError(2)
    error.__cause__, cause.__context__ = cause, OSError(3)
    attach_traceback(error, "the traceback")
    assert error.__cause__ is cause
    assert isinstance(cause.__cause__, RemoteError)
    assert isinstance(cause.__context__, OSError)
    assert "the traceback" in "".join(traceback.format_exception(error))


def test_the_traceback_of_a_worker_in_a_circle_of_causes():
    error, cause = ValueError(1), KeyError(2)
    error.__cause__, cause.__cause__ = cause, error
    attach_traceback(error, "the traceback")
    assert "the traceback" in "".join(traceback.format_exception(error))


def test_a_note_is_not_worth_an_exception():
    for kind in REFUSE_NOTES - {"exit"}:
        try:
            KINDS[kind]()
        except BaseException as error:
            add_note(error, "a note")
    with pytest.raises(KeyboardInterrupt):
        add_note(InterruptsNoteError(), "a note")


def test_an_exception_that_is_raised_again_gets_its_note_once():
    error = ValueError("kept in a variable")
    for _ in range(2):
        add_note(error, "a note")
    assert error.__notes__ == ["a note"]


class InterruptsNoteError(Exception):
    def add_note(self, note):
        raise KeyboardInterrupt
