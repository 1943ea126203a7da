import os
import time

import pytest

from pyplant.errors import IngredientError
from pyplant.fingerprint.digest import digest_bytes
from pyplant.store import inputs as inputs_module
from pyplant.store.files import Files
from pyplant.store.inputs import ABSENT, DIRECTORY, SPECIAL, UNREADABLE, InputFiles, require_readable_file
from pyplant.store.journal import Journal
from pyplant.store.latest_lines import LatestLines
from pyplant.store.ledger import Ledger

from . import SEALS

HOUR = 3600 * 10**9


@pytest.fixture
def clock(monkeypatch):
    """The time that notes are taken at; an hour ahead of the file system's, so that files seem settled."""

    class Clock:
        now = time.time_ns() + HOUR

    monkeypatch.setattr(inputs_module.time, "time_ns", lambda: Clock.now)
    return Clock


@pytest.fixture
def inputs(tmp_path):
    return InputFiles(LatestLines(Journal(Files(), tmp_path / "journal", seals=SEALS)))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes(b"1,2,3")
    return path


def edit_unseen(file, content):
    """Change a file as if within one tick of a coarse clock: same size, same times, same inode."""
    before = file.stat()
    file.write_bytes(content)
    return before


def test_the_digest_is_that_of_the_content(inputs, file):
    assert inputs.digest(str(file)) == digest_bytes(b"1,2,3")


def test_an_empty_file_is_not_an_absent_one(inputs, tmp_path):
    (tmp_path / "empty").touch()
    assert inputs.digest(str(tmp_path / "empty")) == digest_bytes(b"")
    assert inputs.digest(str(tmp_path / "nothing")) == ABSENT
    assert inputs.digest(str(tmp_path / "empty" / "below")) == ABSENT


@pytest.mark.usefixtures("clock")
def test_an_old_file_is_hashed_once(inputs, file, hashed):
    assert inputs.digest(str(file)) == inputs.digest(str(file))
    assert hashed == ["data.csv"]


@pytest.mark.usefixtures("clock")
def test_another_process_trusts_the_stored_digest(inputs, file, hashed, tmp_path):
    inputs.digest(str(file))
    inputs._latest._journal.flush()
    ledger = Ledger(Journal(Files(), tmp_path / "journal", seals=SEALS))
    ledger.refresh()
    InputFiles(ledger.latest).digest(str(file))
    assert hashed == ["data.csv"]


def test_a_file_just_written_is_hashed_again(inputs, file, hashed):
    inputs.digest(str(file))
    inputs.digest(str(file))
    assert hashed == ["data.csv", "data.csv"]


def test_a_racy_edit_is_seen(inputs, file, monkeypatch):
    before = inputs.digest(str(file))
    stat = edit_unseen(file, b"1,2,4")
    monkeypatch.setattr(inputs_module, "_information", lambda path: stat)
    assert inputs.digest(str(file)) == digest_bytes(b"1,2,4") != before


@pytest.mark.usefixtures("clock")
def test_control_if_the_file_counted_as_old_a_racy_edit_is_missed(inputs, file, monkeypatch):
    before = inputs.digest(str(file))
    stat = edit_unseen(file, b"1,2,4")
    monkeypatch.setattr(inputs_module, "_information", lambda path: stat)
    assert inputs.digest(str(file)) == before


@pytest.mark.usefixtures("clock")
def test_an_edit_of_the_same_size_with_restored_times_is_seen(inputs, file):
    inputs.digest(str(file))
    before = file.stat()
    while file.stat().st_ctime_ns == before.st_ctime_ns:
        file.write_bytes(b"1,2,4")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert inputs.digest(str(file)) == digest_bytes(b"1,2,4")


@pytest.mark.usefixtures("clock")
def test_a_replaced_file_is_seen(inputs, file, tmp_path):
    inputs.digest(str(file))
    (tmp_path / "new").write_bytes(b"1,2,4")
    (tmp_path / "new").replace(file)
    assert inputs.digest(str(file)) == digest_bytes(b"1,2,4")


@pytest.mark.usefixtures("clock")
def test_a_link_that_points_elsewhere_now_is_seen(inputs, file, tmp_path):
    link, other = tmp_path / "link", tmp_path / "other"
    other.write_bytes(b"other")
    link.symlink_to(file)
    assert inputs.digest(str(link)) == inputs.digest(str(file))
    link.unlink()
    link.symlink_to(other)
    assert inputs.digest(str(link)) == digest_bytes(b"other")


@pytest.mark.usefixtures("clock")
def test_a_deleted_file_is_absent_and_present_when_it_returns(inputs, file):
    inputs.digest(str(file))
    file.unlink()
    assert inputs.digest(str(file)) == ABSENT
    file.write_bytes(b"again")
    assert inputs.digest(str(file)) == digest_bytes(b"again")


def test_a_file_deleted_while_it_is_read_is_absent(inputs, file, monkeypatch):
    def vanish(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(inputs_module, "hash_file", vanish)
    assert inputs.digest(str(file)) == ABSENT


@pytest.mark.usefixtures("clock")
def test_a_stored_digest_of_another_form_is_ignored(inputs, file):
    key = digest_bytes(os.path.realpath(file).encode())
    inputs._latest.put_input_file(key, [])
    assert inputs.digest(str(file)) == digest_bytes(b"1,2,3")


def test_a_directory_is_refused_by_name(inputs, tmp_path):
    assert inputs.digest(str(tmp_path)) == DIRECTORY
    with pytest.raises(IsADirectoryError, match="one by one"):
        require_readable_file("data", DIRECTORY)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_refused_instead_of_waited_for(inputs, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert inputs.digest(str(tmp_path / "pipe")) == SPECIAL
    with pytest.raises(IngredientError, match="pipe"):
        require_readable_file("data", SPECIAL)


def test_an_unreadable_file_raises_nothing_in_a_lookup(inputs, tmp_path, file, monkeypatch):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert inputs.digest(str(tmp_path / "loop")) == UNREADABLE
    assert inputs.digest("a\0b") == UNREADABLE
    assert inputs.digest("n" * 5000) == UNREADABLE

    def deny(path):
        raise PermissionError(path)

    monkeypatch.setattr(inputs_module, "hash_file", deny)
    assert inputs.digest(str(file)) == UNREADABLE
    with pytest.raises(PermissionError, match="data"):
        require_readable_file("data", UNREADABLE)


@pytest.mark.parametrize("digest", [ABSENT, "0" * 40, None])
def test_a_file_or_a_missing_file_is_accepted(digest):
    require_readable_file("data", digest)


def test_a_pattern_is_refused_if_files_match_it(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(IngredientError, match=r"is a pattern.*glob.glob"):
        require_readable_file(f"{tmp_path}/*.txt", ABSENT)
    require_readable_file(f"{tmp_path}/*.csv", ABSENT)  # a missing file of this name
