"""Reactors, subreactors and their definitions."""

import contextlib
import functools
import importlib
import inspect
import pickle
import sys
import textwrap
import warnings

import pytest

from pyplant import ReactorFunc, SubreactorFunc
from pyplant import _definitions as module_under_test
from pyplant._definitions import active_observer, current_definitions, define, definition_of, newest
from pyplant.errors import DefinitionError, NotAReactorError, NotYieldedError


def named():
    return [
        definition.name
        for definition in current_definitions()
        if definition.module in {__name__, "cells", "lines"}
    ]


# ------------------------------------------------------------------ decorating


def test_the_function_itself_is_returned():
    def plain(pipe):
        pass

    assert ReactorFunc(plain) is plain
    assert ReactorFunc(name="other")(plain) is plain
    assert plain("anything") is None


def test_parentheses_make_no_difference():
    @ReactorFunc
    def one(pipe):
        pass

    @ReactorFunc()
    def two(pipe):
        pass

    first, second = definition_of(one), definition_of(two)
    assert (first.name, second.name) == ("one", "two")
    assert (first.cache, first.resources) == (second.cache, second.resources) == (True, {})


def test_the_options_are_kept():
    @ReactorFunc(name="called", cache=False, resources={"GPU": 1})
    def function(pipe):
        pass

    found = definition_of(function)
    assert (found.name, found.cache, found.resources) == ("called", False, {"GPU": 1})
    assert found.full_name == f"{__name__}.called"


SIGNATURES = {
    "def f(pipe): pass": (False, False),
    "def f(pipe): yield": (True, False),
    "def f(pipe, config): pass": (False, True),
    "def f(pipe, config): yield": (True, True),
    "def f(pipe, c): pass": (False, True),
    "def f(pipe, config=None): pass": (False, False),
    "def f(pipe, factor=2): pass": (False, False),
    "def f(pipe, a=1, b=2, *, c=3): pass": (False, False),
    "def f(*args): pass": (False, False),
    "def f(pipe, *args): pass": (False, False),
    "def f(pipe, /, config): pass": (False, True),
    "def f(pipe, **k): pass": (False, False),
}


@pytest.mark.parametrize(("text", "expected"), SIGNATURES.items(), ids=SIGNATURES)
def test_the_signature_decides_how_a_reactor_is_called(text, expected):
    namespace = {"__name__": __name__}
    exec(text, namespace)
    found = define(namespace["f"])
    assert (found.is_generator, found.takes_config) == expected


@pytest.mark.parametrize(
    "text",
    [
        "def f(): pass",
        "def f(pipe, config, x): pass",
        "def f(pipe, *, x): pass",
        "def f(*, pipe): pass",
        "def f(**k): pass",
        "async def f(pipe): pass",
        "async def f(pipe): yield",
    ],
)
def test_a_function_that_no_plant_can_call_is_refused_by_name(text):
    namespace = {"__name__": __name__}
    exec(text, namespace)
    with pytest.raises(DefinitionError, match="Reactor 'f'"):
        ReactorFunc(namespace["f"])


class Callable:
    def __call__(self, pipe):
        pass

    def method(self, pipe):
        pass


@pytest.mark.parametrize("thing", [Callable(), Callable().method, Callable, len, functools.partial(len), 5])
def test_only_functions_are_decorated(thing):
    with pytest.raises(NotAReactorError, match="decorates functions"):
        ReactorFunc(thing)
    with pytest.raises(NotAReactorError, match="decorates functions"):
        SubreactorFunc(thing)


def test_a_wrapped_generator_is_a_generator():
    def passing(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args)

        return wrapper

    @ReactorFunc
    @passing
    def reactor(pipe, config):
        yield

    found = definition_of(reactor)
    assert (found.is_generator, found.takes_config) == (True, True)


def test_a_context_manager_used_as_decorator_leaves_a_plain_reactor():
    @contextlib.contextmanager
    def around():
        yield

    @ReactorFunc
    @around()
    def reactor(pipe):
        pass

    assert definition_of(reactor).takes_config is False
    assert definition_of(reactor).is_generator is False


def test_a_wrapper_that_supplies_the_second_argument_is_called_with_one():
    def with_session(function):
        @functools.wraps(function)
        def wrapper(pipe):
            return function(pipe, "session")

        return wrapper

    @ReactorFunc
    @with_session
    def reactor(pipe, session):
        pass

    assert definition_of(reactor).takes_config is False


# ------------------------------------------------------------------ looking up definitions


def undecorated(pipe):
    pass


@SubreactorFunc
def shared(pipe):
    pass


@pytest.mark.parametrize(
    ("thing", "advice"),
    [
        (undecorated, "undecorated is not a reactor. Decorate it with @ReactorFunc"),
        (shared, "It is a subreactor: call it from a reactor with 'yield from'"),
        (5, "5 is not a reactor. Pass the decorated function, or its name"),
        (None, "None is not a reactor"),
    ],
)
def test_an_object_that_is_no_reactor_is_refused_with_advice(thing, advice):
    with pytest.raises(NotAReactorError, match=advice):
        definition_of(thing)


def test_a_function_patched_in_place_is_defined_again():
    def old(pipe):
        pass

    def new(pipe, config):
        yield

    ReactorFunc(name="x", cache=False)(old)
    ReactorFunc(name="x", cache=False)(new)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # from Python 3.13 on, of another kind of function
        old.__code__ = new.__code__
    old.__dict__.update(new.__dict__)
    found = definition_of(old)
    assert (found.function, found.name, found.cache) == (old, "x", False)
    assert (found.is_generator, found.takes_config) == (True, True)


def test_a_definition_has_a_name_a_key_and_a_place():
    definition = define(undecorated)
    assert definition.key == f"{definition.defining_file}::undecorated"
    assert definition.defining_file.endswith("test_reactor.py")


# ------------------------------------------------------------------ the registry


def test_a_redefinition_replaces_and_comes_last():
    exec(
        textwrap.dedent("""
        @ReactorFunc
        def one(pipe): pass
        @ReactorFunc
        def two(pipe): pass
    """),
        space := {"__name__": "cells", "ReactorFunc": ReactorFunc},
    )
    first = definition_of(space["one"])
    exec("@ReactorFunc\ndef one(pipe): return 1", space | {"__spec__": object()})
    assert named() == ["two", "one"]
    assert newest(first).function is not first.function


@pytest.fixture
def lines(tmp_path, monkeypatch):
    """A module on disk that can be written and executed again."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(text):
        (tmp_path / "lines.py").write_text("from pyplant import ReactorFunc\n" + textwrap.dedent(text))
        importlib.invalidate_caches()
        if "lines" in sys.modules:
            return importlib.reload(sys.modules["lines"])
        return importlib.import_module("lines")

    yield write
    sys.modules.pop("lines", None)


def test_reactors_are_listed_in_order_of_definition(lines):
    lines("\n".join(f"@ReactorFunc\ndef {name}(pipe): pass" for name in "bca"))
    assert named() == ["b", "c", "a"]


def test_reactors_that_a_reloaded_module_no_longer_defines_are_gone(lines):
    lines("@ReactorFunc\ndef a(pipe): pass\n@ReactorFunc\ndef b(pipe): pass")
    assert named() == ["a", "b"]
    lines("@ReactorFunc\ndef b(pipe): pass")
    assert named() == ["b"]


def test_the_newest_definition_of_a_reloaded_reactor_is_found(lines):
    old = definition_of(lines("@ReactorFunc\ndef a(pipe): return 1").a)
    new = definition_of(lines("@ReactorFunc\ndef a(pipe): return 2").a)
    assert newest(old) is new
    assert old.key == new.key


def test_a_module_imported_again_replaces_its_reactors(lines):
    old = definition_of(lines("@ReactorFunc\ndef a(pipe): return 1\n@ReactorFunc\ndef b(pipe): pass").a)
    del sys.modules["lines"]
    new = definition_of(lines("@ReactorFunc\ndef a(pipe): return 2").a)
    assert newest(old) is new
    assert named() == ["a"]


def test_two_reactors_of_one_name_in_one_module_are_refused(lines):
    lines("for i in range(2):\n    @ReactorFunc\n    def a(pipe, n=i): pass")
    with pytest.raises(DefinitionError, match=r"'a' more than once.*@ReactorFunc\(name=\.\.\.\)"):
        list(current_definitions())


def test_a_loop_that_names_its_reactors_is_fine(lines):
    lines("for i in range(3):\n    @ReactorFunc(name=f'a{i}')\n    def a(pipe, n=i): pass")
    assert named() == ["a0", "a1", "a2"]


def test_reactors_of_a_factory_differ_by_name(lines):
    lines(
        "def make(n):\n    @ReactorFunc(name=f'a{n}')\n    def a(pipe): return n\n    return a\n"
        "made = [make(n) for n in range(3)]"
    )
    assert named() == ["a0", "a1", "a2"]


def test_reactors_of_equal_names_in_two_modules_are_two(lines):
    exec("@ReactorFunc\ndef a(pipe): pass", {"__name__": "cells", "ReactorFunc": ReactorFunc})
    lines("@ReactorFunc\ndef a(pipe): pass")
    assert named() == ["a", "a"]


def test_decorating_the_same_function_again_is_no_repetition(lines):
    lines("def a(pipe): pass\nReactorFunc(a)\nReactorFunc(cache=False)(a)")
    (found,) = [definition for definition in current_definitions() if definition.module == "lines"]
    assert found.cache is False


def test_the_source_is_captured_at_definition(tmp_path):
    path = tmp_path / "captured.py"
    text = "from pyplant import ReactorFunc\n@ReactorFunc\ndef f(pipe): return 1\n"
    path.write_text(text)
    space = {"__name__": "captured"}
    exec(compile(text, str(path), "exec"), space)
    path.write_text("# something else\n")
    assert module_under_test.sources.part(space["f"].__code__, space).verified


# ------------------------------------------------------------------ subreactors


def drive(call):
    """Run a call with ``yield from``; return its result and what it yielded."""
    asked = []

    def reactor():
        return (yield from call)

    running = reactor()
    try:
        asked.append(next(running))
        while True:
            asked.append(running.send(f"value of {asked[-1]}"))
    except StopIteration as stop:
        return stop.value, asked


def test_a_subreactor_may_be_a_plain_function():
    @SubreactorFunc
    def double(x):
        return 2 * x

    assert drive(double(4)) == (8, [])


def test_a_subreactor_may_wait():
    @SubreactorFunc()
    def load(name, *, suffix=""):
        value = yield name + suffix
        return value.upper()

    assert drive(load("a", suffix="b")) == ("VALUE OF AB", ["ab"])


def test_subreactors_nest():
    @SubreactorFunc
    def inner(x):
        yield x
        return x + 1

    @SubreactorFunc
    def outer(x):
        return (yield from inner(x)) + (yield from inner(10))

    assert drive(outer(1)) == (13, [1, 10])


def test_a_subreactor_keeps_its_name_its_signature_and_its_text():
    @SubreactorFunc
    def documented(pipe, factor=2):
        """About."""

    assert documented.__name__ == "documented"
    assert documented.__doc__ == "About."
    assert str(inspect.signature(documented)) == "(pipe, factor=2)"


def test_a_subreactor_may_be_named():
    @SubreactorFunc(name="other")
    def function():
        pass

    assert function().name == "other"
    assert repr(function()) == "<subreactor other, not entered yet>"


@pytest.mark.parametrize("use", [len, bool, lambda x: x + 1, lambda x: x.shape, lambda x: x[0]])
def test_a_subreactor_that_was_not_entered_cannot_be_used(use):
    with pytest.raises(NotYieldedError, match=r"value = yield from shared\(\.\.\.\)"):
        use(shared(None))


class Observer:
    def __init__(self):
        self.calls = []

    def must_be_yielded(self, item):
        self.calls.append(("called", item.name))

    def subreactor_entered(self, call):
        self.calls.append(("entered", call.name))

    def subreactor_left(self, name):
        self.calls.append(("left", name))


def test_the_observer_receives_the_subreactors_of_a_reactor():
    observer = Observer()
    token = active_observer.set(observer)
    try:
        drive(shared(None))
        shared(None)
    finally:
        active_observer.reset(token)
    assert observer.calls == [
        ("called", "shared"),
        ("entered", "shared"),
        ("left", "shared"),
        ("called", "shared"),
    ]


def test_an_error_in_a_subreactor_passes_through():
    @SubreactorFunc
    def failing():
        yield 1
        raise KeyError("oh")

    with pytest.raises(KeyError, match="oh"):
        drive(failing())


def test_decorated_functions_can_be_pickled():
    assert pickle.loads(pickle.dumps(shared)) is shared
