"""What ``--json`` prints of texts that another user stored."""

import json

import pytest

from pyplant.cli.output import _json_parts, to_json_value


@pytest.mark.parametrize("text", ["\x9b2J", "\u202etxt.exe", "\u2028", "\u200b", "\x7f"])
def test_characters_that_a_terminal_obeys_are_escaped(text):
    printed = "".join(_json_parts({"name": text}, "\n"))
    assert text not in printed
    assert json.loads(printed) == {"name": text}


def test_other_letters_are_printed_as_they_are():
    assert "Größe 模型" in "".join(_json_parts({"name": "Größe 模型"}, "\n"))


def test_a_document_is_cut_where_it_is_too_deep_for_python():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    text = json.dumps(to_json_value({"deep": deep, "flat": [1]}), ensure_ascii=False)
    assert text == '{"deep": ' + "[" * 99 + '"…"' + "]" * 99 + ', "flat": [1]}'
