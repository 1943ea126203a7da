"""Predictions of sent and received names before the first run."""

import enum
import types

import pytest

from pyplant.engine.prediction import Predicted, Senders
from pyplant.fingerprint.expressions import UNKNOWN
from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.hints import Hint, NameKind, predict
from tests.fingerprint.helpers import load


class Names:
    RAW = "raw"

    class Deep:
        CLEAN = "clean"


class MoreNames(Names):
    pass


class Keys(enum.StrEnum):
    RAW = "raw"


def hint(method, kind, *text):
    return Hint(method, True, kind, text)


def resolve(method, text, namespace):
    found = hint(method, NameKind.EXPRESSION, text).resolved(lambda name: namespace.get(name, UNKNOWN))
    return predict(frozenset(found))


def of(folder, text):
    module = load(folder, text)
    return predict(Fingerprinter().fingerprint(module.main).hints)


def test_literal_names_are_sorted_into_sent_received_and_read():
    kinds = {
        "send": "a",
        "allocate": "b",
        "receive": "c",
        "read_config": "d",
        "config": "e",
    }
    found = predict(frozenset([hint(method, NameKind.LITERAL, name) for method, name in kinds.items()]))
    assert found == Predicted(frozenset("ab"), frozenset("c"), frozenset("de"))


@pytest.mark.parametrize(
    ("text", "namespace"),
    [
        ("NAME", {"NAME": "raw"}),
        ("Names.RAW", {"Names": Names}),
        ("names.RAW", {"names": types.SimpleNamespace}),
        ("MoreNames.RAW", {"MoreNames": MoreNames}),
        ("Keys.RAW", {"Keys": Keys}),
        ("Keys.RAW.value", {"Keys": Keys}),
    ],
    ids=["constant", "class", "module", "inherited", "member of an enum", "value of a member"],
)
def test_names_in_constants_are_looked_up(text, namespace):
    if "names" in namespace:
        module = types.ModuleType("names")
        module.RAW = "raw"
        namespace = {"names": module}
    assert resolve("send", text, namespace).sends == {"raw"}


@pytest.mark.parametrize("namespace", [{}, {"NAME": 1}, {"NAME": Names}])
def test_a_sender_whose_constant_is_no_string_is_open_ended(namespace):
    assert resolve("send", "NAME", namespace) == Predicted(open_ended=True)


def test_the_texts_of_an_f_string_are_a_pattern():
    found = predict(frozenset([hint("send", NameKind.PATTERN, "a.", "", "_z")]))
    assert found.patterns == (r"a\..*_z",)
    assert not found.open_ended


def test_an_f_string_of_values_alone_is_open_ended():
    assert predict(frozenset([hint("send", NameKind.PATTERN, "", "")])) == Predicted(open_ended=True)


def test_a_computed_name_is_open_ended_for_senders_only():
    assert predict(frozenset([hint("send", NameKind.DYNAMIC)])).open_ended
    assert predict(frozenset([hint("receive", NameKind.DYNAMIC)])) == Predicted()


def test_a_nested_parameter_is_predicted_with_its_parents():
    found = predict(frozenset([hint("config", NameKind.LITERAL, "model", "depth")]))
    assert found.reads == {"model", "model.depth"}


# ------------------------------------------------------------------ from code


def test_names_are_predicted_through_helpers_and_imports(tmp_path):
    text = (
        "NAME = 'a'\ndef h(pipe): pipe.send('b', 1)\ndef main(pipe, config):\n h(pipe)\n pipe.send(NAME, config.p)\n"
        " x = yield pipe.receive('c')\n pipe.send(f'd_{x}', 1)\n"
    )
    found = of(tmp_path, text)
    assert found == Predicted(
        frozenset("ab"),
        frozenset("c"),
        frozenset("p"),
        ("d_.*",),
        open_ended=False,
        unconditional_receives=frozenset("c"),
    )


@pytest.mark.parametrize(
    "body",
    [
        "def main(pipe):\n for name in ('x', 'y'): pipe.send(name, 1)",
        "def main(pipe):\n name = 'x' + ''\n pipe.send(name, 1)",
        "def main(pipe, config, name='x'): pipe.send(name, 1)",
        "def main(pipe):\n def put(name): pipe.send(name, 1)\n put('x')",
        "def main(pipe): [pipe.send(name, 1) for name in 'xy']",
        "def make(name):\n def main(pipe): pipe.send(name, 1)\n return main\nmain = make('x')",
        "def put(pipe, name): pipe.send(name, 1)\ndef main(pipe): put(pipe, 'x')",
    ],
    ids=["loop", "local", "parameter", "nested parameter", "comprehension", "closure", "helper's parameter"],
)
def test_a_local_name_is_not_taken_for_the_global_of_that_name(tmp_path, body):
    found = of(tmp_path, "name = 'something else'\n" + body)
    assert "something else" not in found.sends
    assert found.open_ended or "x" in found.sends


def test_a_constant_of_a_helper_is_looked_up_in_the_module_of_the_helper(tmp_path):
    load(tmp_path, "NAME = 'theirs'\ndef put(pipe): pipe.send(NAME, 1)", "helper_module")
    found = of(tmp_path, "from helper_module import put\nNAME = 'mine'\ndef main(pipe): put(pipe)")
    assert "mine" not in found.sends
    assert found.open_ended or found.sends == {"theirs"}


# ------------------------------------------------------------------ senders


def test_the_likeliest_sender_comes_first():
    senders = Senders(
        {
            "open": Predicted(open_ended=True),
            "pattern": Predicted(patterns=("a_.*",)),
            "literal": Predicted(sends=frozenset({"a_1"})),
            "other": Predicted(sends=frozenset({"b"})),
            "remembered": Predicted(open_ended=True),
        }
    )
    assert list(senders.candidates("a_1", lambda: ["remembered"])) == [
        "literal",
        "remembered",
        "pattern",
        "open",
    ]


def test_a_reactor_whose_sends_are_all_literal_is_not_tried_for_another_name():
    senders = Senders({"r": Predicted(sends=frozenset({"a"}))})
    assert list(senders.candidates("b", list)) == []


def test_open_ended_reactors_are_tried_in_order_of_definition():
    senders = Senders({key: Predicted(open_ended=True) for key in "cab"})
    assert list(senders.candidates("x", list)) == ["c", "a", "b"]


def test_a_pattern_must_match_whole():
    senders = Senders({"r": Predicted(patterns=("a_.*",)), "s": Predicted(open_ended=True)})
    assert next(senders.candidates("a_\n1", list)) == "r"
    assert list(senders.literal("a_1")) == []


def test_reactors_that_name_one_ingredient_are_all_known():
    senders = Senders({key: Predicted(sends=frozenset({"a", key})) for key in "xy"})
    assert senders.literal("a") == ["x", "y"]
    assert senders.names() == ["a", "x", "y"]


def test_a_name_is_matched_with_the_patterns_once():
    class Pattern:
        calls = 0

        def fullmatch(self, name):
            self.calls += 1
            return True

    senders, pattern = Senders({}), Pattern()
    senders._patterns = [(pattern, "r")]
    assert [list(senders.candidates("x", list)) for _ in range(3)] == [["r"]] * 3
    assert pattern.calls == 1
