"""Views: operations on all parameters depend on all of them."""

import copy
import dataclasses
import json
import pickle
import pprint

import attrs
import pytest

from pyplant import ConfigBase, Plant, ReactorFunc
from pyplant._missing import MISSING
from pyplant.config import classes
from pyplant.config.classes import ConfigDict
from pyplant.config.parameters import Parameters
from pyplant.config.views import ALL_NAMES, plain
from pyplant.errors import UndigestibleError
from pyplant.fingerprint.fingerprint import digest_of
from tests.config.test_classes import Model, RecordingReader, viewed


class Object(ConfigBase):
    def __init__(self, **given):
        for name, value in given.items():
            setattr(self, name, value)


def dataclass_with(decorate=dataclasses.dataclass, **given):
    """An object of a class with these fields. All such classes have one name, as after an edit."""
    made = type("Config", (ConfigBase,), {"__annotations__": dict.fromkeys(given, int), **given})
    return decorate(made)()


def frozen_with(**given):
    return dataclass_with(dataclasses.dataclass(frozen=True), **given)


def attrs_with(**given):
    return dataclass_with(attrs.define(slots=False), **given)


def on_the_class(**given):
    return type("Config", (ConfigBase,), given)()


def in_a_part(**given):
    return {"part": given}


def matched(config):
    match config:
        case {"a": 1, **rest}:
            return sorted(rest)
    return None


def counted(**parameters):
    return sorted(parameters.items())


OBJECTS = {"object": Object, "class": on_the_class}
OF_DATACLASSES = {"dataclass": dataclass_with, "frozen": frozen_with}
DICTS = {"dict": dict}
SEEN = {
    "vars": ({**OBJECTS, **OF_DATACLASSES, "attrs": attrs_with}, lambda c: sorted(vars(c).items())),
    "dir": ({**OBJECTS, **OF_DATACLASSES}, lambda c: [name for name in dir(c) if len(name) == 1]),
    "copy of an object": ({**OBJECTS, **OF_DATACLASSES}, lambda c: sorted(vars(copy.copy(c)).items())),
    "deepcopy of an object": (
        {**OBJECTS, **OF_DATACLASSES},
        lambda c: sorted(vars(copy.deepcopy(c)).items()),
    ),
    "pickle of an object": (
        {"object": Object},
        lambda c: sorted(vars(pickle.loads(pickle.dumps(c))).items()),
    ),
    "asdict": (OF_DATACLASSES, dataclasses.asdict),
    "astuple": (OF_DATACLASSES, dataclasses.astuple),
    "fields": (OF_DATACLASSES, lambda c: [field.name for field in dataclasses.fields(c)]),
    "replace": (OF_DATACLASSES, lambda c: vars(dataclasses.replace(c, a=5))),
    "str": ({**OF_DATACLASSES, **DICTS}, str),
    "repr": ({**OF_DATACLASSES, "attrs": attrs_with, **DICTS}, repr),
    "format": ({**OF_DATACLASSES, **DICTS}, "{}".format),
    "equality": (OF_DATACLASSES, lambda c: vars(c) if c == copy.deepcopy(c) else None),
    "hash": ({"frozen": frozen_with}, hash),
    "attrs.asdict": ({"attrs": attrs_with}, attrs.asdict),
    "list": (DICTS, list),
    "len": (DICTS, len),
    "reversed": (DICTS, lambda c: list(reversed(c))),
    "keys": (DICTS, lambda c: list(c.keys())),
    "values": (DICTS, lambda c: list(c.values())),
    "items": (DICTS, lambda c: list(c.items())),
    "dict": (DICTS, dict),
    "sorted": (DICTS, sorted),
    "copy of a dict": (DICTS, copy.copy),
    "deepcopy of a dict": (DICTS, copy.deepcopy),
    "copy()": (DICTS, lambda c: c.copy()),
    "pickle of a dict": (DICTS, lambda c: pickle.loads(pickle.dumps(c))),
    "comparison": (DICTS, lambda c: c == {"a": 1, "b": 2}),
    "comparison from the right": (DICTS, lambda c: {"a": 1, "b": 2} == c),
    "difference": (DICTS, lambda c: c != {"a": 1, "b": 2}),
    "keywords": (DICTS, lambda c: counted(**c)),
    "unpacking": (DICTS, lambda c: {**c}),
    "union": (DICTS, lambda c: c | {"x": 1}),
    "union from the right": (DICTS, lambda c: {"x": 1} | c),
    "update": (DICTS, lambda c: {}.update(c) or sorted({**{}, **c})),
    "json": (DICTS, json.dumps),
    "json, indented": (DICTS, lambda c: json.dumps(c, indent=1, sort_keys=True)),
    "pprint": (DICTS, pprint.pformat),
    "match": (DICTS, matched),
    "nested json": ({"part": in_a_part}, json.dumps),
    "nested keywords": ({"part": in_a_part}, lambda c: counted(**c.part)),
    "nested asdict": (OF_DATACLASSES, lambda c: dataclasses.asdict(c)),
}
CASES = [(label, kind, make, see) for label, (kinds, see) in SEEN.items() for kind, make in kinds.items()]
CHANGES = {"added": {"a": 1, "b": 2, "c": 3}, "removed": {"a": 1}, "changed": {"a": 1, "b": 9}}


def reads_of(config, see):
    parameters, reader = Parameters(), RecordingReader()
    parameters.set(config)
    value = see(parameters.view(reader))
    return value, {name: digest_of(parameters.lookup(name)) for name in reader.reads}, reader.absences


def notices(read, absences, config):
    """Whether a changed configuration differs in what was read."""
    parameters = Parameters()
    parameters.set(config)
    changed = (digest_of(parameters.lookup(name)) != digest for name, digest in read.items())
    return any(changed) or any(parameters.lookup(name) is not MISSING for name in absences)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("label", "kind", "make", "see"), CASES, ids=[f"{c[0]} ({c[1]})" for c in CASES])
def test_operations_on_all_parameters_depend_on_all(label, kind, make, see, change):
    value, read, absences = reads_of(make(a=1, b=2), see)
    assert not notices(read, absences, make(a=1, b=2))
    other = make(**CHANGES[change])
    if reads_of(other, see)[0] != value:
        assert notices(read, absences, other)


@pytest.mark.parametrize(("label", "kind", "make", "see"), CASES, ids=[f"{c[0]} ({c[1]})" for c in CASES])
def test_operations_on_no_parameters_depend_on_the_set_being_empty(label, kind, make, see):
    if label in ("match", "replace", "hash"):  # without fields, these do not depend on the class
        return
    value, read, absences = reads_of(make(), see)
    if reads_of(make(c=3), see)[0] != value:
        assert notices(read, absences, make(c=3))


@pytest.mark.parametrize(("label", "kind", "make", "see"), CASES, ids=[f"{c[0]} ({c[1]})" for c in CASES])
def test_a_view_shows_what_a_plain_configuration_shows(label, kind, make, see):
    if label == "hash" or (kind == "attrs" and label == "vars"):
        return
    config = make(a=1, b=2)
    if kind == "part" and label == "nested keywords":
        config = ConfigDict(part={"a": 1, "b": 2})
    if kind == "class" and "cop" in label or label == "vars":
        assert dict(reads_of(config, see)[0]) == {"a": 1, "b": 2}
        return
    assert reads_of(config, see)[0] == see(config)


def test_reading_single_parameters_does_not_depend_on_the_others():
    for make in (dict, Object, dataclass_with):
        _, read, absences = reads_of(
            make(a=1, b=2), lambda c: [c.a, c["a"], getattr(c, "x", 0), "a" in c, "y" in c]
        )
        assert not notices(read, absences, make(a=1, b=9, c=3))
        assert notices(read, absences, make(a=1, x=2))
        assert notices(read, absences, make(a=1, y=2))


@pytest.mark.parametrize("make", [dict, Object, dataclass_with])
def test_asking_whether_a_parameter_is_there_does_not_read_its_value(make):
    _, read, absences = reads_of(make(a=1), lambda c: ("a" in c, "b" in c))
    assert not notices(read, absences, make(a=2))
    assert notices(read, absences, make(z=1))
    assert notices(read, absences, make(a=1, b=1))


@pytest.mark.parametrize("make", [dict, Object])
def test_auxiliary_parameters_do_not_count(make):
    def given(**more):
        parameters, reader = Parameters(), RecordingReader()
        parameters.set(make(a=1, **more))
        parameters.mark_auxiliary(["log", "extra"])
        return parameters, reader

    parameters, reader = given(log=1)
    copied = plain(parameters.view(reader))
    assert copied["log"] == 1
    counting = [name for name in reader.reads if not parameters.is_auxiliary(name)]
    assert counting == [ALL_NAMES, "a"]
    assert all(given(log=2, extra=3)[0].lookup(n) == parameters.lookup(n) for n in counting)


def test_a_parameter_that_cannot_be_compared_any_more_may_be_marked_as_auxiliary(tmp_path):
    @ReactorFunc
    def reads(pipe, config):
        pipe.send("read", len(list(config["numbers"])))

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(reads)
        plant.set_config({"numbers": [1, 2]})
        plant.get("read")
        plant.set_config({"numbers": (number for number in range(3))})
        with pytest.raises(UndigestibleError, match="mark_params_as_auxiliary"):
            plant.run_reactor(reads)
        plant.mark_params_as_auxiliary(["numbers"])
        assert plant.get("read") == 2


def test_an_explanation_names_the_set_of_parameters(tmp_path):
    @ReactorFunc
    def asks(pipe, config):
        pipe.send("asked", [list(config), list(config.part), "x" in config])

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(asks)
        plant.set_config({"part": {"a": 1}})
        plant.get("asked")
        plant.set_config({"part": {"a": 1}, "b": 2})
        assert "the set of parameters changed: ['part'] → ['b', 'part']" in str(plant.explain(asks))
        plant.set_config({"part": {"a": 1, "c": 1}})
        assert "the set of parameters of 'part' changed: ['a'] → ['a', 'c']" in str(plant.explain(asks))


# ------------------------------------------------------------------ nested configurations


def test_reading_a_nested_configuration_reads_its_kind():
    class Big(Model):
        pass

    parameters, view, _ = viewed({"model": Model()})
    assert not isinstance(view.model, Big)
    value, read, absences = reads_of({"model": Model()}, lambda c: isinstance(c.model, Big))
    assert notices(read, absences, {"model": Big()})
    assert notices(read, absences, {"model": {"depth": 2}})
    assert notices(read, absences, {"model": 5})
    assert notices(read, absences, {})
    assert not notices(read, absences, {"model": Model(depth=9)})


@pytest.mark.parametrize("config", [{"part": Model()}, {"part": {"a": 1}}])
def test_a_nested_configuration_is_the_same_object_each_time(config):
    _, view, _ = viewed(config)
    assert view.part is view.part
    assert view.part in [view.part]


def test_an_added_nested_configuration_is_noticed():
    _, read, absences = reads_of({}, lambda c: c.get("model"))
    assert notices(read, absences, {"model": {}})
    assert notices(read, absences, {"model": Model()})


def test_the_order_of_a_nested_dict_counts():
    _, view, _ = viewed({"part": {"b": 1, "a": 2}})
    assert list(view.part) == ["b", "a"]
    _, read, absences = reads_of({"part": {"b": 1, "a": 2}}, lambda c: list(c.part))
    assert notices(read, absences, {"part": {"a": 2, "b": 1}})


@pytest.mark.parametrize(
    "change",
    [
        lambda part: part.__setitem__("a", 2),
        lambda part: setattr(part, "a", 2),
        lambda part: part.pop("a"),
        lambda part: part.update(a=2),
        lambda part: part.clear(),
        lambda part: part.__ior__({"a": 2}),
    ],
)
def test_a_nested_dict_is_read_only(change):
    from pyplant.errors import ConfigChangedError

    source = {"part": {"a": 1}}
    _, view, _ = viewed(source)
    with pytest.raises(ConfigChangedError, match=r"'part\..*copy.deepcopy"):
        change(view.part)
    assert source == {"part": {"a": 1}}


@pytest.mark.parametrize("name", ["keys", "items", "values", "get"])
def test_a_nested_dict_with_any_keys_is_a_dict(name):
    _, view, _ = viewed({"part": {name: 5}})
    assert json.loads(json.dumps(view.part)) == {name: 5}
    assert counted(**view["part"]) == [(name, 5)]
    assert view.part[name] == 5


def test_code_in_c_does_not_see_the_values_of_a_view():
    _, view, reader = viewed({"a": 1})
    assert 1 not in list(dict.values(view))
    assert reader.reads == []


# ------------------------------------------------------------------ copies


class Deep(ConfigBase):
    model = Model(5)
    sizes = [1]


def test_a_copy_is_independent_of_the_configuration():
    config = Deep()
    _, view, _ = viewed(config)
    for copied in (copy.copy(view), copy.deepcopy(view), pickle.loads(pickle.dumps(view))):
        copied.model.depth = 9
        copied.sizes.append(2)
        copied.new = 1
    assert (Deep.model.depth, Deep.sizes, hasattr(Deep, "new")) == (5, [1], False)


@pytest.mark.parametrize(
    "way", [copy.copy, copy.deepcopy, lambda c: c.copy(), lambda c: pickle.loads(pickle.dumps(c))]
)
def test_a_copy_of_a_dict_is_read_like_the_view(way):
    source = {"a": [1], "part": {"b": 2}}
    _, view, _ = viewed(source)
    copied = way(view)
    assert (copied.a, copied["a"], copied.part.b, type(copied)) == ([1], [1], 2, ConfigDict)
    copied.part.b = 3
    copied.a.append(2)
    assert source == {"a": [1], "part": {"b": 2}}
    with pytest.raises(AttributeError, match="no parameter 'prat'. Did you mean 'part'"):
        _ = copied.prat


# ------------------------------------------------------------------ in a plant


@pytest.mark.parametrize("make", [dict, Object, dataclass_with])
def test_a_new_parameter_reruns_reactors_that_read_all_of_them(make, tmp_path):
    @ReactorFunc
    def takes_all(pipe, config):
        pipe.send("all", sorted(vars(copy.deepcopy(config)) if isinstance(config, ConfigBase) else config))

    @ReactorFunc
    def takes_one(pipe, config):
        pipe.send("one", config.a)

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(takes_all, takes_one)
        for given, ran in (({"a": 1}, True), ({"a": 1, "b": 2}, True), ({"a": 1}, False)):
            plant.set_config(make(**given))
            assert plant.run_reactor(takes_all).ran == (("takes_all",) if ran else ())
            assert plant.get("all") == sorted(given)
            assert plant.run_reactor(takes_one).ran == (("takes_one",) if given == {"a": 1} and ran else ())


class Small(ConfigBase):
    a = 1


class Big(ConfigBase):
    a = 1


@pytest.mark.parametrize(
    "see", [lambda c: isinstance(c, Big), lambda c: type(c).__qualname__, lambda c: c.__class__ is Big]
)
def test_the_class_of_the_whole_configuration_counts(tmp_path, see):
    @ReactorFunc
    def asks(pipe, config):
        pipe.send("seen", see(config))

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(asks)
        for config in (Small(), Big(), {"a": 1}, Small()):
            plant.set_config(config)
            with Plant(tmp_path / "fresh" / type(config).__name__, progress=False) as fresh:
                fresh.add_reactor(asks)
                fresh.set_config(config)
                assert plant.get("seen") == fresh.get("seen")
        assert len(plant.history("asks").entries) == 3
        plant.set_config(Big())
        assert "cached" in str(plant.plan("asks"))


def test_an_explanation_names_the_class_of_the_configuration(tmp_path):
    @ReactorFunc
    def asks(pipe, config):
        pipe.send("seen", config.a)

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(asks)
        plant.set_config(Small())
        plant.get("seen")
        plant.set_config(Big())
        assert "the class of the configuration changed: Small → Big" in str(plant.explain(asks))
        plant.set_config({"a": 1})
        assert "the class of the configuration changed: Small → dict" in str(plant.explain(asks))


def test_an_explanation_names_the_classes_of_a_nested_configuration(tmp_path):
    @ReactorFunc
    def asks(pipe, config):
        pipe.send("seen", config.part.a)

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(asks)
        plant.set_config({"part": Small()})
        plant.get("seen")
        plant.set_config({"part": {"a": 1}})
        text = str(plant.explain(asks))
        assert "'part' changed: Small → dict" in text, text


class Marked(ConfigBase):
    def __init__(self, log):
        self.log = log
        self.mark_auxiliary(["log"])


@ReactorFunc
def reads_log(pipe, config):
    pipe.send("log", config["model"].log)


@pytest.mark.parametrize("others", [1, 2000])
def test_a_mark_in_a_nested_configuration_counts_beside_any_number_of_parameters(tmp_path, others):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(reads_log)
        for log, ran in ((1, ("reads_log",)), (2, ())):
            plant.set_config({**{f"k{number}": number for number in range(others)}, "model": Marked(log)})
            assert plant.run_reactor(reads_log).ran == ran


def test_the_keys_of_a_nested_dict_are_looked_at_once_for_a_run(tmp_path, monkeypatch):
    looked = []
    can_be_step = classes._can_be_step
    monkeypatch.setattr(classes, "_can_be_step", lambda key: looked.append(key) or can_be_step(key))
    config = {"part": {f"x{n}": n for n in range(500)}}

    @ReactorFunc
    def reads(pipe, config):
        pipe.send("sum", sum(config.part[f"x{n}"] for n in range(500)))

    with Plant(tmp_path / "plant") as plant:
        plant.set_config(config)
        assert plant.get("sum") == sum(range(500))
    assert len(looked) <= 500 * 3
