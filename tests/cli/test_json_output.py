"""What ``--json`` prints of texts that another user stored."""

import json

import pytest

from pyplant.cli.output import _json_parts


@pytest.mark.parametrize("text", ["\x9b2J", "\u202etxt.exe", "\u2028", "\u200b", "\x7f"])
def test_characters_that_a_terminal_obeys_are_escaped(text):
    printed = "".join(_json_parts({"name": text}, "\n"))
    assert text not in printed
    assert json.loads(printed) == {"name": text}


def test_other_letters_are_printed_as_they_are():
    assert "Größe 模型" in "".join(_json_parts({"name": "Größe 模型"}, "\n"))
