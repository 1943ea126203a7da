"""Digests of Lark's parsers."""

import subprocess
import sys

import pytest

from pyplant.fingerprint.fingerprint import digest_of

lark = pytest.importorskip("lark")

GRAMMAR = 'start: "a" B* WS?\nB: "b"\n%import common.WS\n'
PROGRAM = """
import lark
from pyplant.fingerprint.fingerprint import digest_of
print(digest_of(lark.Lark({!r})))
"""


def parser(text=GRAMMAR, **options):
    return lark.Lark(text, **options)


def test_a_parser_counts_by_its_grammar_and_options():
    digests = [
        digest_of(parser(*arguments, **options))
        for arguments, options in [
            ((), {}),
            ((GRAMMAR.replace("b", "c"),), {}),
            ((), {"parser": "lalr"}),
            ((), {"keep_all_tokens": True}),
        ]
    ]
    assert len(set(digests)) == 4
    assert digest_of(parser()) == digests[0]


def test_an_imported_grammar_counts(tmp_path):
    digests = []
    for word in ("one", "two"):
        (tmp_path / "words.lark").write_text(f'WORD: "{word}"\n', encoding="utf-8")
        digests.append(digest_of(parser("start: WORD\n%import .words.WORD", import_paths=[str(tmp_path)])))
    assert digests[0] != digests[1]


def test_a_parser_that_has_parsed_and_one_of_another_process_have_the_same_digest(monkeypatch):
    used = parser()
    used.parse("abb")
    found = {digest_of(used)}
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(GRAMMAR)], capture_output=True, text=True, check=True
        )
        found.add(run.stdout.strip())
    assert len(found) == 1
