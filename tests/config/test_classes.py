"""Configurations, and the views through which reactors read them."""

import collections
import copy
import dataclasses
import functools
import pickle
import threading
import types

import pytest

from pyplant._missing import MISSING
from pyplant.config.classes import ConfigBase, ConfigValue, private_copy
from pyplant.config.parameters import Parameters
from pyplant.config.views import ALL_NAMES
from pyplant.errors import ConfigChangedError, ConfigError, MissingParameterError
from pyplant.fingerprint.fingerprint import digest_of


class RecordingReader:
    """Records every read and returns copies, as the reader of a running reactor does."""

    def __init__(self):
        self.reads = []
        self.absences = []
        self.views = {}
        self.values = {}

    def read(self, name, value):
        self.reads.append(name)
        self.values[name] = value
        return private_copy(value)

    def absent(self, name):
        self.absences.append(name)


def viewed(config):
    """The parameters, a view of them, and what the view reports."""
    parameters, reader = Parameters(), RecordingReader()
    parameters.set(config)
    return parameters, parameters.view(reader), reader


class Model(ConfigBase):
    def __init__(self, depth=2, log=False):
        self.depth, self.log = depth, log
        self.mark_auxiliary(["log"])

    def cells(self):
        return 2**self.depth

    @property
    def leaves(self):
        return self.cells() + 1


class Config(ConfigBase):
    rate = 0.1

    def __init__(self, depth=2):
        super().__init__()
        self.color = "red"
        self.sizes = [1, 2]
        self.model = Model(depth)
        self.mark_auxiliary(["level", "model.depth2"])

    def total(self, times=1):
        return sum(self.sizes) * times

    @property
    def mean(self):
        return self.total() / len(self.sizes)

    @staticmethod
    def fixed():
        return 7

    @classmethod
    def named(cls):
        return cls.__name__


# ------------------------------------------------------------------ a dict


def test_a_dict_is_read_by_item_and_by_attribute():
    _, view, reader = viewed({"a": 1, "b": 2})
    assert (view["a"], view.b) == (1, 2)
    assert reader.reads == ["a", "b"]


def test_reading_a_missing_key_registers_its_absence():
    _, view, reader = viewed({"color": 1})
    with pytest.raises(MissingParameterError, match="no parameter 'colour'. Did you mean 'color'"):
        view["colour"]
    with pytest.raises(AttributeError):
        _ = view.colour
    assert (reader.reads, reader.absences) == ([], ["colour", "colour"])


@pytest.mark.parametrize("ask", [lambda c: c.get("x", 5), lambda c: getattr(c, "x", 5)])
def test_a_default_registers_the_absence(ask):
    _, view, reader = viewed({})
    assert ask(view) == 5
    assert reader.absences == ["x"]


def test_asking_whether_a_parameter_is_there_counts():
    _, view, reader = viewed({"a": 1})
    assert "a" in view
    assert "b" not in view
    assert not hasattr(view, "c")
    assert (reader.reads, reader.absences) == (["a?"], ["b", "c"])


@pytest.mark.parametrize("walk", [list, len, dict, lambda c: list(c.items()), lambda c: list(c.values())])
def test_iterating_over_a_dict_reads_the_set_of_names(walk):
    parameters, view, reader = viewed({"b": 1, "a": 2})
    walk(view)
    assert reader.reads[0] == ALL_NAMES
    assert parameters.lookup(ALL_NAMES) == reader.values[ALL_NAMES] == ["a", "b"]


def test_none_is_a_value():
    parameters, view, reader = viewed({"a": None})
    assert view["a"] is None
    assert parameters.lookup("a") is None
    assert reader.absences == []


@pytest.mark.parametrize(
    "change",
    [
        lambda c: setattr(c, "a", 2),
        lambda c: c.__setitem__("a", 2),
        lambda c: c.__delitem__("a"),
        lambda c: delattr(c, "a"),
        lambda c: c.update(a=2),
        lambda c: c.pop("a"),
        lambda c: c.setdefault("b", 2),
    ],
    ids=["attribute", "item", "del item", "del attribute", "update", "pop", "setdefault"],
)
def test_changing_a_dict_inside_a_reactor_is_an_error(change):
    parameters, view, _ = viewed({"a": 1})
    with pytest.raises(ConfigChangedError):
        change(view)
    assert parameters.lookup("a") == 1


def test_a_nested_dict_is_read_at_its_leaves():
    parameters, view, reader = viewed({"a": {"b": 1, "c": {"d": 2}}})
    assert (view.a["b"], view["a"].c.d) == (1, 2)
    assert reader.reads == ["a", "a.b", "a", "a.c", "a.c.d"]
    assert (parameters.lookup("a.c.d"), parameters.lookup("a")) == (2, "(nested dict)")


@pytest.mark.parametrize("table", [{1: "a"}, {"a.b": 1}, {"": 1}, {str(n): n for n in range(1001)}])
def test_a_dict_with_keys_that_are_no_names_is_one_value(table):
    _, view, reader = viewed({"a": table})
    assert type(view.a) is dict
    assert view.a == table
    assert set(reader.reads) == {"a"}


@pytest.mark.parametrize("name", ["keys", "items", "values", "get", "_values", "_reader", "__class__"])
def test_a_parameter_of_any_name_can_be_read_by_item(name):
    _, view, reader = viewed({name: 1})
    assert view[name] == 1
    assert reader.reads == [name]


def test_a_view_does_not_expose_the_dict_it_shows():
    _, view, reader = viewed({"a": 1})
    with pytest.raises(AttributeError):
        _ = view._values["a"]
    assert reader.absences == ["_values"]


def test_a_change_of_the_dict_counts_like_one_of_an_object():
    source = {"a": 1, "b": {"c": 1}}
    parameters, _, _ = viewed(source)
    snapshot = parameters.snapshot()
    source["a"], source["b"]["c"] = 2, 2
    assert (parameters.lookup("a"), parameters.lookup("b.c")) == (2, 2)
    assert (snapshot.lookup("a"), snapshot.lookup("b.c")) == (1, 1)


def test_any_mapping_can_be_a_configuration():
    parameters, _, _ = viewed(collections.OrderedDict(a=1))
    assert parameters.lookup("a") == 1


def test_an_attribute_of_a_value_is_read_by_its_full_name():
    value = Fields(1, [{"c": 2}])
    value.deep = {"d": 3}
    plain = types.SimpleNamespace(**{name: getattr(value, name) for name in ("a", "b", "deep")})
    parameters, _, reader = viewed({"value": plain})
    assert (parameters.read("value.a", reader), parameters.read("value.deep", reader)["d"]) == (1, 3)
    assert reader.reads == ["value.a", "value.deep", "value.deep.d"]
    assert all(parameters.lookup(name) == reader.values[name] for name in reader.reads)
    assert parameters.lookup("value.x") is MISSING


# ------------------------------------------------------------------ a ConfigBase object


def test_attributes_are_read_and_noted():
    _, view, reader = viewed(Config())
    assert (view.color, view.sizes, view.rate) == ("red", [1, 2], 0.1)
    assert reader.reads == ["color", "sizes", "rate"]


def test_a_view_is_of_the_users_own_class():
    _, view, _ = viewed(Config())
    assert isinstance(view, Config)
    assert isinstance(view.model, Model)


def test_a_nested_configuration_is_read_at_its_leaves():
    parameters, view, reader = viewed(Config(depth=3))
    assert view.model.depth == 3
    assert reader.reads == ["model", "model.depth"]
    assert parameters.lookup("model.depth") == 3
    assert parameters.lookup("model") == reader.values["model"] == "(nested Model)"


def test_any_depth_of_nesting_is_tracked():
    inner = Model()
    outer = ConfigBase()
    outer.a = ConfigBase()
    outer.a.b = ConfigBase()
    outer.a.b.model = inner
    parameters, view, reader = viewed(outer)
    assert view.a.b.model.depth == 2
    assert reader.reads == ["a", "a.b", "a.b.model", "a.b.model.depth"]
    assert parameters.names() == ["a.b.model.depth", "a.b.model.log"]


def test_reading_a_missing_parameter_registers_its_absence():
    _, view, reader = viewed(Config())
    with pytest.raises(MissingParameterError, match="no parameter 'model.dept'. Did you mean 'depth'"):
        _ = view.model.dept
    assert not hasattr(view, "other")
    assert reader.absences == ["model.dept", "other"]


def test_methods_and_properties_count_by_their_code_and_their_reads():
    parameters, view, reader = viewed(Config())
    assert (view.mean, view.total(2), view.fixed(), view.named()) == (1.5, 6, 7, "Config")
    assert reader.reads == ["mean()", "total()", "sizes", "sizes", "total()", "sizes", "fixed()", "named()"]
    for name in ("mean()", "total()", "fixed()", "named()"):
        assert parameters.lookup(name) == reader.values[name]


def test_special_methods_count_when_there_is_a_view():
    class Indexed(Config):
        def __getitem__(self, name):
            return getattr(self, name)

    parameters, view, reader = viewed(Indexed())
    assert view["color"] == "red"
    assert reader.reads == ["__getitem__()", "color"]
    assert parameters.lookup("__getitem__()") is Indexed.__getitem__


def test_a_method_that_reads_its_class_counts_with_the_class():
    def digests(default):
        class Looking(ConfigBase):
            rate = default

            @classmethod
            def of_class(cls):
                return cls.rate

            def of_type(self):
                return type(self).rate

        parameters, view, reader = viewed(Looking())
        assert (view.of_class(), view.of_type()) == (default, default)
        return [digest_of(parameters.lookup(name)) for name in reader.reads if name.endswith("()")]

    assert digests(1) == digests(1)
    assert all(one != two for one, two in zip(digests(1), digests(2), strict=True))


def test_methods_of_a_nested_configuration_are_tracked():
    parameters, view, reader = viewed(Config())
    assert view.model.leaves == 5
    assert reader.reads == ["model", "model.leaves()", "model.cells()", "model.depth"]
    assert all(parameters.lookup(name) == reader.values[name] for name in reader.reads)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: setattr(c, "color", "blue"),
        lambda c: setattr(c, "new", 1),
        lambda c: delattr(c, "color"),
        lambda c: setattr(c.model, "depth", 3),
        lambda c: c.mark_auxiliary(["color"]),
        lambda c: c.model.mark_auxiliary(["depth"]),
    ],
    ids=["change", "addition", "deletion", "nested", "auxiliary", "nested auxiliary"],
)
def test_changing_a_configuration_inside_a_reactor_is_an_error(change):
    config = Config()
    _, view, _ = viewed(config)
    with pytest.raises(ConfigChangedError):
        change(view)
    assert (config.color, config.model.depth, hasattr(config, "new")) == ("red", 2, False)


def test_changing_a_configuration_outside_is_no_error():
    config = Config()
    _, view, _ = viewed(config)
    config.color = "blue"
    del config.sizes
    assert (view.color, config.color) == ("red", "blue")


def test_vars_of_a_view_reads_everything():
    _, view, reader = viewed(Config())
    assert {"color", "sizes", "rate", "model"} <= vars(view).keys()
    assert {"color", "sizes", "rate"} <= set(reader.reads)


def test_the_constructor_need_not_call_super():
    class Forgetful(ConfigBase):
        def __init__(self):
            self.a = 1
            self.mark_auxiliary(["b"])

    parameters, view, reader = viewed(Forgetful())
    assert view.a == 1
    assert parameters.is_auxiliary("b")
    assert parameters.names() == ["a"]


def test_defaults_of_the_class_are_parameters_and_the_object_takes_precedence():
    class Defaults(ConfigBase):
        a = 1
        b: int = 2
        c: int

    config = Defaults()
    config.b = 3
    parameters, view, reader = viewed(config)
    assert parameters.names() == ["a", "b"]
    assert (view.a, view.b) == (1, 3)
    assert (parameters.lookup("a"), parameters.lookup("b"), parameters.lookup("c")) == (1, 3, MISSING)


def test_inherited_defaults_are_parameters_and_subclasses_take_precedence():
    class Base(ConfigBase):
        a, b = 1, 2

    class Derived(Base):
        b = 3

    parameters, view, _ = viewed(Derived())
    assert (view.a, view.b) == (1, 3)
    assert (parameters.lookup("a"), parameters.lookup("b")) == (1, 3)


def test_methods_and_properties_are_no_parameters():
    assert names_of(Config()) == ["color", "model.depth", "model.log", "rate", "sizes"]


def names_of(config):
    parameters = Parameters()
    parameters.set(config)
    return parameters.names()


def test_reactors_get_private_copies_of_values():
    config = Config()
    parameters, view, _ = viewed(config)
    view.sizes.append(3)
    assert config.sizes == view.sizes == parameters.lookup("sizes") == [1, 2]


def test_a_class_level_default_is_not_shared_either():
    class Defaults(ConfigBase):
        sizes = [1]

    _, view, _ = viewed(Defaults())
    view.sizes.append(2)
    assert Defaults.sizes == [1]


# The values that a reactor reads must decide whether it runs again.


@dataclasses.dataclass
class Fields(ConfigBase):
    a: int = 1
    b: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class SlottedFields(ConfigBase):
    a: int = 1


@dataclasses.dataclass(frozen=True)
class FrozenFields(ConfigBase):
    a: int = 1


class Slotted(ConfigBase):
    __slots__ = ("a",)

    def __init__(self, a=1):
        self.a = a


class Positive:
    """A validated attribute, stored under its own name."""

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        return self if instance is None else instance.__dict__[self.name]

    def __set__(self, instance, value):
        instance.__dict__[self.name] = value


class Validated(ConfigBase):
    a = Positive()

    def __init__(self, a=1):
        self.a = a


class Cached(ConfigBase):
    def __init__(self, n=1):
        self.n = n

    @functools.cached_property
    def a(self):
        return self.n * 2


class Shadowing(ConfigBase):
    def __init__(self, function):
        self.a = function

    def a(self):
        return 0


class Nested(ConfigBase):
    model = Model(5)

    def __init__(self, depth=None):
        if depth is not None:
            self.model = Model(depth)


KINDS = {
    "dataclass": (Fields(1), Fields(2), lambda c: c.a),
    "slotted dataclass": (SlottedFields(1), SlottedFields(2), lambda c: c.a),
    "frozen dataclass": (FrozenFields(1), FrozenFields(2), lambda c: c.a),
    "slots": (Slotted(1), Slotted(2), lambda c: c.a),
    "descriptor": (Validated(1), Validated(2), lambda c: c.a),
    "cached property": (Cached(1), Cached(2), lambda c: c.a),
    "function in place of a method": (Shadowing(lambda: 1), Shadowing(lambda: 2), lambda c: c.a()),
    "nested default of the class": (Nested(), Nested(6), lambda c: c.model.depth),
}


@pytest.mark.parametrize(("one", "two", "ask"), KINDS.values(), ids=KINDS)
def test_different_values_differ_in_what_was_read(one, two, ask):
    def seen(config):
        parameters, view, reader = viewed(config)
        value = ask(view)
        return value, {name: digest_of(parameters.lookup(name)) for name in reader.reads}

    first, second = seen(one), seen(two)
    assert first[0] != second[0]
    assert first[1] != second[1]
    assert seen(one) == first


@pytest.mark.parametrize(("one", "two", "ask"), KINDS.values(), ids=KINDS)
def test_a_look_up_finds_the_value_that_was_read(one, two, ask):
    parameters, view, reader = viewed(two)
    ask(view)
    assert {name: digest_of(parameters.lookup(name)) for name in reader.values} == {
        name: digest_of(value) for name, value in reader.values.items()
    }


@pytest.mark.parametrize("config", [Fields(), SlottedFields(), FrozenFields(), Slotted(), Validated()])
def test_all_kinds_of_attributes_are_listed(config):
    assert "a" in names_of(config)


@pytest.mark.parametrize("config", [Fields(), SlottedFields(), FrozenFields()])
def test_generated_methods_of_a_dataclass_do_not_count(config):
    _, _, reader = viewed(config)
    assert reader.reads == []


def test_a_method_of_a_nested_object_is_looked_up_in_its_own_class():
    class Other(Model):
        def cells(self):
            return 100

    config = Nested()
    config.model = Other()
    parameters, view, reader = viewed(config)
    assert view.model.cells() == 100
    assert parameters.lookup("model.cells()") is reader.values["model.cells()"] is Other.cells


def test_a_frozen_dataclass_refuses_changes_in_its_own_way():
    _, view, _ = viewed(FrozenFields())
    with pytest.raises((ConfigChangedError, dataclasses.FrozenInstanceError)):
        view.a = 2


def test_functions_are_values():
    parameters, view, reader = viewed({"f": len, "g": Model.cells, "h": lambda x: x + 1})
    assert (view.f, view.g, view.h(1)) == (len, Model.cells, 2)
    assert reader.reads == ["f", "g", "h"]


def test_super_works_in_a_view():
    class Derived(Config):
        def total(self, times=1):
            return super().total(times) + 100

    parameters, view, reader = viewed(Derived())
    assert view.total() == 103
    assert reader.reads == ["total()", "sizes"]


def test_a_copied_or_pickled_view_is_a_plain_configuration():
    _, view, reader = viewed(Config())
    for copied in (copy.deepcopy(view), copy.copy(view), pickle.loads(pickle.dumps(view))):
        assert (copied.color, copied.model.depth) == ("red", 2)
    assert "color" in reader.reads


def test_a_configuration_can_be_copied_and_pickled():
    config = Config(depth=7)
    for copied in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        parameters = Parameters()
        parameters.set(copied)
        assert (copied.color, copied.model.depth) == ("red", 7)
        assert parameters.is_auxiliary("level")
        copied.color = "blue"
    assert config.color == "red"


def test_a_view_leaves_the_configuration_untouched():
    config = Config()
    before = dict(vars(config))
    _, view, _ = viewed(config)
    _ = view.color, view.model.depth, view.mean
    assert vars(config) == before


# ------------------------------------------------------------------ auxiliary parameters


def test_parameters_are_marked_on_the_plant():
    parameters, _, _ = viewed({"a": 1})
    parameters.mark_auxiliary(["a", "b"])
    assert [parameters.is_auxiliary(name) for name in "abc"] == [True, True, False]


def test_parameters_are_marked_in_the_configuration():
    parameters, _, _ = viewed(Config())
    assert parameters.is_auxiliary("level")
    assert not parameters.is_auxiliary("color")


def test_a_nested_configuration_marks_its_own_parameters():
    parameters, _, _ = viewed(Config())
    assert parameters.is_auxiliary("model.log")
    assert not parameters.is_auxiliary("model.depth")
    assert not parameters.is_auxiliary("log")


def test_a_nested_parameter_is_marked_with_a_dot():
    parameters, _, _ = viewed(Config())
    assert parameters.is_auxiliary("model.depth2")
    parameters.mark_auxiliary(["model.depth"])
    assert parameters.is_auxiliary("model.depth")


def test_a_nested_default_of_the_class_marks_its_own_parameters():
    parameters, _, _ = viewed(Nested())
    assert parameters.is_auxiliary("model.log")


def test_a_mark_on_a_nested_configuration_covers_all_of_it():
    config = Config()
    config.mark_auxiliary(["model"])
    parameters, _, _ = viewed(config)
    assert parameters.is_auxiliary("model.depth")


def test_marks_stay_when_the_configuration_is_replaced():
    parameters, _, _ = viewed({"a": 1})
    parameters.mark_auxiliary(["a"])
    parameters.set({"a": 2})
    assert parameters.is_auxiliary("a")


@pytest.mark.parametrize("target", [Parameters(), ConfigBase()])
def test_marking_a_single_text_is_an_error_that_shows_the_list(target):
    with pytest.raises(ConfigError, match=r"\['level'\]"):
        target.mark_auxiliary("level")


def test_marks_of_one_object_do_not_reach_another():
    one, two = Config(), Config()
    one.mark_auxiliary(["color"])
    parameters, _, _ = viewed(two)
    assert not parameters.is_auxiliary("color")


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config, r"set_config needs an object: write set_config\(Config\(\)\)"),
        ([("a", 1)], "not list"),
        (None, "not NoneType"),
        ({1: 2}, "Parameter names are strings; 1 is int"),
    ],
)
def test_an_object_that_is_no_configuration_is_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        Parameters().set(config)


def test_a_plant_without_a_configuration_has_no_parameters():
    parameters = Parameters()
    assert parameters.names() == []
    assert parameters.lookup("a") is MISSING


def test_missing_shows_as_itself():
    assert repr(MISSING) == "MISSING"


# ------------------------------------------------------------------ values


class Window(ConfigValue):
    def __init__(self, width, overlap=0):
        self.width, self.overlap = width, overlap


class Span(Window):
    unit = "s"


def test_structured_values_are_equal_by_class_and_fields():
    assert Window(5) == Window(5)
    assert Window(5) != Window(6)
    assert Window(5) != Span(5)
    assert Window(5) != 5
    assert hash(Window(5)) == hash(Window(5))
    assert repr(Window(5)) == "Window(width=5, overlap=0)"


def test_structured_values_have_digests_by_class_and_fields():
    assert digest_of(Window(5)) == digest_of(Window(5))
    assert digest_of(Window(5)) != digest_of(Window(6))
    assert digest_of(Window(5)) != digest_of(Span(5))


def test_a_structured_value_with_unhashable_fields_can_be_a_key():
    assert {Window([1]): 1}[Window([1])] == 1


def test_a_private_copy_may_be_changed():
    value = {"a": [1]}
    private_copy(value)["a"].append(2)
    assert value == {"a": [1]}


@pytest.mark.parametrize("value", [1, "a", None, len, Config, threading.Lock()])
def test_values_that_are_immutable_or_cannot_be_copied_are_not_copied(value):
    assert private_copy(value) is value


def test_a_parameter_may_be_named_star():
    parameters = Parameters()
    parameters.set({"*": 1, "a": 2})
    assert parameters.lookup("*") == 1
