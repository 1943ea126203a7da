"""The reactors of a plant, and how they are found by name."""

import pytest

from pyplant.errors import DefinitionError, NotAReactorError, UnknownReactorError
from pyplant.execution.registry import Registry
from pyplant.reactor import ReactorFunc, SubreactorFunc


@ReactorFunc
def load(pipe):
    pipe.send("data", 1)


@ReactorFunc
def plot(pipe):
    yield pipe.receive("data")


def make(name, number):
    @ReactorFunc(name=name)
    def reactor(pipe):
        pipe.send(f"x{number}", number)

    return reactor


def names(registry):
    return [definition.name for definition in registry.current().values()]


def test_reactors_are_added_one_by_one_or_in_lists():
    registry = Registry()
    registry.add([load])
    registry.add([[plot]])
    assert names(registry) == ["load", "plot"]


def test_without_additions_all_declared_reactors_count():
    found = names(Registry())
    assert "load" in found
    assert "plot" in found


def test_adding_something_else_adds_nothing():
    registry = Registry()
    with pytest.raises(NotAReactorError, match="Decorate it with @ReactorFunc"):
        registry.add([load, print])
    registry.add([plot])
    assert names(registry) == ["plot"]


def test_two_functions_of_one_name_are_refused():
    with pytest.raises(DefinitionError, match="@ReactorFunc\\(name=...\\)"):
        Registry().add([make(None, 1), make(None, 2)])


def test_functions_of_a_factory_with_different_names_are_different_reactors():
    registry = Registry()
    registry.add([make("one", 1), make("two", 2)])
    assert names(registry) == ["one", "two"]


def test_a_reactor_is_found_by_function_name_and_full_name():
    registry = Registry()
    registry.add([load, plot])
    definition = registry.find("load")
    assert definition.function is load
    assert registry.find(load) is definition
    assert registry.find(definition.full_name) is definition


def test_an_unknown_name_gets_near_misses():
    registry = Registry()
    registry.add([load, plot])
    with pytest.raises(UnknownReactorError, match="Did you mean 'plot'"):
        registry.find("plott")
    with pytest.raises(UnknownReactorError, match="Known are: load, plot"):
        registry.find("zzz")


def test_a_subreactor_is_no_reactor():
    @SubreactorFunc
    def sub(pipe):
        return 1

    with pytest.raises(NotAReactorError, match="yield from"):
        Registry().find(sub)


def test_a_short_name_of_two_modules_is_refused_with_both_full_names():
    namespace = {"__name__": "another_module"}
    exec("def load(pipe):\n    pipe.send('other', 1)", namespace)
    registry = Registry()
    registry.add([load, ReactorFunc(namespace["load"])])
    with pytest.raises(UnknownReactorError, match=r"another_module\.load"):
        registry.find("load")


def test_a_removed_reactor_counts_again_when_it_is_defined_again():
    registry = Registry()
    definition = registry.find(load)
    registry.remove(definition)
    assert definition.key not in registry.current()
    ReactorFunc(load)
    assert definition.key in registry.current()


def test_an_added_reactor_can_be_removed():
    registry = Registry()
    registry.add([load, plot])
    registry.remove(registry.find("load"))
    assert names(registry) == ["plot"]


def test_running_a_reactor_that_was_not_added_adds_it():
    registry = Registry()
    registry.add([load])
    registry.find(plot)
    assert names(registry) == ["load", "plot"]
