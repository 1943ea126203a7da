"""Recorded names of reads of a configuration: different reads have different names."""

import enum
import itertools

import pytest

from pyplant import ConfigBase, Plant, ReactorFunc
from pyplant.config.classes import quoted, unquoted
from pyplant.errors import MissingParameterError


class Key(str, enum.Enum):  # noqa: UP042 - its text is not its value
    A = "a"


class Holder(ConfigBase):
    def __init__(self, given):
        for name, value in given.items():
            setattr(self, name, value)

    def total(self):
        return 1


def seen(where, config, see):
    """Run a reactor; return what it got, and whether it ran."""

    @ReactorFunc
    def asks(pipe, config):
        pipe.send("seen", see(pipe, config))

    with Plant(where, progress=False) as plant:
        plant.add_reactor(asks)
        plant.set_config(config)
        ran = bool(plant.run_reactor(asks).ran)
        return plant.get("seen"), ran


def asked(pipe, name):
    try:
        return pipe.read_config(name)
    except MissingParameterError:
        return None


STRANGE = [
    "a.b",
    "a",
    "x?",
    "x",
    "f()",
    "f",
    "%",
    "%25",
    "a%2Eb",
    "(kind)",
    "(all names)",
    "a.(all names)",
    "a.b?",
    "[",
]
CLASHES = {
    "a key and a leaf": (
        lambda pipe, c: [c["a.b"], c["a"]["b"]],
        [{"a": {"b": 5}, "a.b": 3}, {"a": {"b": 6}, "a.b": 3}, {"a": {"b": 6}, "a.b": 4}],
    ),
    "a key and a question": (lambda pipe, c: "x" in c, [{"x": 1}, {"x?": True}, {"x": 2, "x?": True}]),
    "a key and the set of names": (
        lambda pipe, c: [sorted(c), c.get("(all names)")],
        [{"(all names)": 1}, {"(all names)": 1, "b": 2}, {"(all names)": 2, "b": 2}, {"b": 2}],
    ),
    "a key and the class": (lambda pipe, c: c.get("(kind)"), [{"(kind)": 1}, {"(kind)": 2}, {"b": 2}]),
    "a key and its quoted form": (
        lambda pipe, c: [c.get("a.b"), c.get("a%2Eb")],
        [{"a.b": 1, "a%2Eb": 2}, {"a.b": 1, "a%2Eb": 3}, {"a.b": 2, "a%2Eb": 3}, {"a%2Eb": 3}],
    ),
    "read_config": (
        lambda pipe, c: asked(pipe, "a.b"),
        [{"a": {"b": 5}}, {"a": {"b": 5}, "a.b": 3}, {"a.b": 5}, {"c": 1}, {"a.b": 4}, {"a": {"b": 4}}],
    ),
    "an absent name": (
        lambda pipe, c: [c.get("a.b"), "a.b" in c],
        [{"c": 1}, {"a": {"b": 1}}, {"a.b": 1}, {"a.b": 1, "a": {"b": 2}}],
    ),
    "a key of an enumeration": (lambda pipe, c: c[Key.A], [{"a": 1}, {"a": 2}, {Key.A: 3}]),
    "an attribute and a leaf": (
        lambda pipe, c: [getattr(c, "a.b"), c.a.b],
        [
            Holder({"a": {"b": 5}, "a.b": 3}),
            Holder({"a": {"b": 6}, "a.b": 3}),
            Holder({"a": {"b": 6}, "a.b": 4}),
        ],
    ),
    "an attribute and a method": (
        lambda pipe, c: [c.total(), getattr(c, "total()", None)],
        [Holder({}), Holder({"total()": 1}), Holder({"total()": 2})],
    ),
    "all keys": (
        lambda pipe, c: [[key, c[key]] for key in c],
        [dict.fromkeys(STRANGE, 1), *({**dict.fromkeys(STRANGE, 1), key: 2} for key in STRANGE)],
    ),
}


@pytest.mark.parametrize("clash", CLASHES)
@pytest.mark.slow
def test_different_reads_have_different_recorded_names(tmp_path, clash):
    see, configs = CLASHES[clash]
    for number, config in enumerate([*configs, *configs[:-1]]):
        value, _ = seen(tmp_path / "plant", config, see)
        assert value == seen(tmp_path / f"fresh {number}", config, see)[0]


@pytest.mark.parametrize("clash", CLASHES)
def test_unchanged_names_of_any_kind_are_cached(tmp_path, clash):
    see, configs = CLASHES[clash]
    for config in configs:
        seen(tmp_path / "plant", config, see)
    assert not any(seen(tmp_path / "plant", config, see)[1] for config in configs)


def test_quoted_names_are_distinct_and_can_be_unquoted():
    for one, other in itertools.combinations(STRANGE, 2):
        assert quoted(one) != quoted(other)
    assert [unquoted(quoted(key)) for key in STRANGE] == STRANGE
    assert not any(set(quoted(key)) & set(".?)") for key in STRANGE)


@pytest.mark.parametrize(("mark", "reruns"), [("a.b", False), ("a", True)])
def test_a_key_with_a_dot_is_marked_by_its_own_name(tmp_path, mark, reruns):
    @ReactorFunc
    def asks(pipe, config):
        pipe.send("seen", config["a.b"])

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(asks)
        plant.mark_params_as_auxiliary([mark])
        for value in (1, 2):
            plant.set_config({"a.b": value, "a": {"b": 0}})
            plant.get("seen")
        assert plant.get("seen") == (2 if reruns else 1)


def test_messages_show_the_names_that_users_wrote(tmp_path):
    @ReactorFunc
    def asks(pipe, config):
        pipe.send("seen", [config["a.b"], "x?" in config])

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(asks)
        plant.set_config({"a.b": 1})
        plant.get("seen")
        assert plant.history("asks").entries[0].parameters == {"a.b": "1"}
        plant.set_config({"a.b": 2})
        assert "parameter 'a.b' changed: 1 → 2" in str(plant.explain(asks))
        plant.set_config({"a.b": 1, "x?": 1})
        assert "parameter 'x?' was added" in str(plant.explain(asks))
