"""Lines about code and files: the newest of a key counts."""

import pytest

from pyplant.fingerprint.source import CodePart
from pyplant.store.files import Files
from pyplant.store.journal import Journal
from pyplant.store.ledger import Ledger

from . import SEALS

PART = CodePart("digest", (), frozenset(), frozenset(), "", verified=False)


@pytest.fixture
def open_ledger(tmp_path):
    """Opens the same journal as another process would."""

    def opened(files=None):
        ledger = Ledger(Journal(files or Files(), tmp_path, seals=SEALS))
        ledger.refresh()
        return ledger

    return opened


def test_identities_of_objects_and_input_files_are_read_back(open_ledger):
    ledger = open_ledger()
    ledger.latest.put_identity("object", (1, 2, 3, 4, 5, "boot"))
    ledger.latest.put_input_file("key", [[1, 2], "digest", 3])
    ledger._journal.flush()
    for view in (ledger, open_ledger()):
        assert view.latest.identity("object") == (1, 2, 3, 4, 5, "boot")
        assert view.latest.input_file("key") == [[1, 2], "digest", 3]
        assert view.latest.identity("other") is None
        assert view.latest.input_file("other") is None


@pytest.mark.parametrize("first", [0, 1])
def test_the_newest_line_wins_whichever_file_is_read_first(open_ledger, first):
    writers = sorted([open_ledger(), open_ledger()], key=lambda ledger: ledger._journal.writer)
    old, new = writers[first], writers[1 - first]
    old.latest.put_identity("object", (1, 1, 1, 1, 1, "old"))
    old._journal.flush()
    new.refresh()
    new.latest.put_identity("object", (2, 2, 2, 2, 2, "new"))
    new._journal.flush()
    assert open_ledger().latest.identity("object")[-1] == "new"


def test_lines_of_a_worker_are_written(open_ledger):
    worker, ledger = open_ledger(), open_ledger()
    worker.latest.put_part("part", PART)
    worker.latest.put_identity("object", (1, 1, 1, 1, 1, "worker"))
    worker.latest.put_input_file("key", [[1, 2], "digest", 3])
    ledger.latest.append_pending([*worker._journal.take_pending(), ("z", "key", b"{}")])
    ledger._journal.flush()
    view = open_ledger().latest
    assert view.get_part("part") == PART
    assert view.identity("object")[-1] == "worker"
    assert view.input_file("key") == [[1, 2], "digest", 3]


def test_a_part_that_is_known_is_not_written_again(open_ledger):
    worker, ledger = open_ledger(), open_ledger()
    worker.latest.put_part("part", PART)
    lines = worker._journal.take_pending()
    ledger.latest.append_pending(lines)
    ledger._journal.flush()
    ledger.latest.append_pending(lines)
    assert ledger._journal.take_pending() == ()


def test_only_the_newest_line_of_a_key_is_the_latest(open_ledger, tmp_path):
    ledger = open_ledger()
    ledger.latest.put_identity("object", (1, 1, 1, 1, 1, "old"))
    ledger.latest.put_identity("object", (2, 2, 2, 2, 2, "new"))
    ledger._journal.flush()
    entries = list(Journal(Files(), tmp_path, seals=SEALS).read_new())
    assert [ledger.latest.is_latest(entry) for entry in entries] == [False, True]
