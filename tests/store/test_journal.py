import os
import random

import pytest

from pyplant.store import journal as journal_module
from pyplant.store.files import Files, OpenFile
from pyplant.store.journal import Journal

from . import FailingFiles, RecordingFiles, TornFile


def new(directory, files=None):
    return Journal(files or Files(), directory)


def found(directory):
    """All lines that a reader without history sees, as ``(kind, key, payload)``."""
    return [(entry.kind, entry.key, entry.payload()) for entry in new(directory).read_new()]


def write(directory, *payloads):
    journal = new(directory)
    for payload in payloads:
        journal.append("t", "key", payload)
    journal.close()
    return directory / f"{journal.writer}.log"


class TestReading:
    def test_lines_come_back_in_order(self, tmp_path):
        journal = new(tmp_path)
        journal.append("t", "one", {"a": [1, None, "ü\n\x00"]})
        journal.append("i", "two", "x")
        journal.flush()
        assert found(tmp_path) == [("t", "one", {"a": [1, None, "ü\n\x00"]}), ("i", "two", "x")]

    def test_each_line_is_read_once(self, tmp_path):
        reader = new(tmp_path)
        write(tmp_path, 1)
        assert len(list(reader.read_new())) == 1
        assert not list(reader.read_new())
        write(tmp_path, 2)
        assert [entry.payload() for entry in reader.read_new()] == [2]

    def test_own_lines_are_not_read_again(self, tmp_path):
        journal = new(tmp_path)
        journal.append("t", "key", 1)
        journal.flush()
        assert not list(journal.read_new())

    def test_a_line_is_read_when_it_is_complete(self, tmp_path):
        line = write(tmp_path, 1).read_bytes()
        path = tmp_path / "slow.log"
        reader = new(tmp_path)
        list(reader.read_new())
        for end in range(len(line)):
            path.write_bytes(line[:end])
            assert not list(reader.read_new())
        path.write_bytes(line)
        assert [entry.payload() for entry in reader.read_new()] == [1]
        assert reader.damaged_lines == 0

    def test_lines_longer_than_one_read_come_back(self, tmp_path, monkeypatch):
        monkeypatch.setattr(journal_module, "_READ_BYTES", 10)
        write(tmp_path, "x" * 1000, "y" * 500)
        assert [payload for _, _, payload in found(tmp_path)] == ["x" * 1000, "y" * 500]

    def test_no_directory_means_no_lines(self, tmp_path):
        assert found(tmp_path / "nothing") == []


class TestDamage:
    def test_a_torn_end_damages_one_line(self, tmp_path):
        path = write(tmp_path, 1, 2, 3)
        content = path.read_bytes()
        second = len(content) * 2 // 3
        for end in range(second, len(content)):
            path.write_bytes(content[:end])
            assert [payload for _, _, payload in found(tmp_path)] == [1, 2]

    @pytest.mark.slow
    def test_a_flipped_bit_damages_one_line(self, tmp_path):
        path = write(tmp_path, 1, 2, 3)
        content = path.read_bytes()
        for position in range(len(content)):
            for bit in range(8):
                damaged = bytearray(content)
                damaged[position] ^= 1 << bit
                path.write_bytes(damaged)
                left = [payload for _, _, payload in found(tmp_path)]
                assert len(left) >= 2
                assert set(left) <= {1, 2, 3}

    def test_control_without_empty_lines_a_damaged_line_end_damages_two_lines(self, tmp_path):
        path = write(tmp_path, 1, 2, 3)
        content = path.read_bytes().replace(b"\n\n", b"\n")
        path.write_bytes(content.replace(b"\n", b"\x0b", 2))
        assert len(found(tmp_path)) == 1

    def test_control_without_checksums_a_flipped_bit_is_not_detected(self, tmp_path, monkeypatch):
        path = write(tmp_path, 1)
        path.write_bytes(path.read_bytes()[:-2] + b"7\n")

        class Constant:
            def __init__(self, data):
                pass

            def hexdigest(self, length):
                return check

        check = path.read_bytes().split()[0].decode()
        assert found(tmp_path) == []
        monkeypatch.setattr(journal_module, "blake3", Constant)
        assert found(tmp_path) == [("t", "key", 7)]

    def test_damaged_lines_are_counted(self, tmp_path):
        path = write(tmp_path, 1, 2)
        path.write_bytes(path.read_bytes().replace(b" 1\n", b" 9\n"))
        reader = new(tmp_path)
        list(reader.read_new())
        assert reader.damaged_lines == 1

    @pytest.mark.parametrize("number", ["9" * 30, "-1", "1.5"])
    def test_a_line_with_an_impossible_number_is_damaged(self, tmp_path, number):
        path = write(tmp_path, 1, 2)
        first = path.read_bytes().strip().split(b"\n")[0].split(b" ", 1)[1]
        forged = first.replace(b" 1@", f" {number}@".encode(), 1)
        check = journal_module.blake3(forged).hexdigest(length=8).encode()
        path.write_bytes(path.read_bytes() + b"\n" + check + b" " + forged + b"\n")
        reader = new(tmp_path)
        assert [entry.payload() for entry in reader.read_new()] == [1, 2]
        assert reader.damaged_lines == 1
        assert reader.append("t", "key", 3).number == 3

    def test_garbage_is_skipped(self, tmp_path):
        write(tmp_path, 1)
        garbage = random.Random(0).randbytes(10_000)  # noqa: S311 - any garbage will do
        (tmp_path / "garbage.log").write_bytes(garbage)
        (tmp_path / "lines.log").write_bytes(b"\n \n  \nt 1 x {}\n" + b"0" * 16 + b" t x y\n")
        (tmp_path / "notes.txt").write_text("not ours")
        (tmp_path / "directory.log").mkdir()
        assert found(tmp_path) == [("t", "key", 1)]

    def test_an_endless_line_is_skipped_in_parts(self, tmp_path, monkeypatch):
        monkeypatch.setattr(journal_module, "_READ_BYTES", 100)
        monkeypatch.setattr(journal_module, "_MAX_LINE", 1000)
        limits = []

        class Watched(Files):
            def read(self, path, offset=0, limit=-1):
                limits.append(limit)
                return super().read(path, offset, limit)

        (tmp_path / "endless.log").write_bytes(b"x" * 4400)
        reader = new(tmp_path, Watched())
        assert not list(reader.read_new())
        assert set(limits) == {100}
        assert reader.damaged_lines == 4
        assert reader._offsets["endless.log"] == 4400

    def test_a_line_longer_than_readers_accept_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(journal_module, "_MAX_LINE", 1000)
        with pytest.raises(OSError, match="too long"):
            new(tmp_path).append("t", "key", "x" * 1000)


class TestWriters:
    def test_two_writers_never_touch_each_others_lines(self, tmp_path):
        first, second = new(tmp_path), new(tmp_path)
        for number in range(5):
            first.append("t", "first", number)
            first.flush()
            second.append("t", "second", number)
            second.flush()
        assert sorted(found(tmp_path)) == sorted(
            ("t", name, n) for name in ("first", "second") for n in range(5)
        )

    def test_numbers_are_above_all_that_were_seen(self, tmp_path):
        write(tmp_path, *range(10))
        journal = new(tmp_path)
        assert journal.append("t", "unread", 0).number == 1
        seen = max(entry.number for entry in journal.read_new())
        assert seen == 10
        assert journal.append("t", "read", 0).number == 11

    def test_nothing_is_visible_before_it_is_flushed(self, tmp_path):
        journal = new(tmp_path)
        journal.append("t", "key", 1)
        assert found(tmp_path) == []
        journal.close()
        assert len(found(tmp_path)) == 1

    def test_lines_of_one_flush_are_one_write(self, tmp_path):
        files = RecordingFiles(tmp_path)
        journal = new(tmp_path / "journal", files)
        journal.append("t", "key", 1)
        journal.append("t", "key", 2)
        journal.flush(sync=True)
        calls = [call for call, _ in files.calls]
        assert calls == ["make_directory", "open_append", "write", "sync", "sync_directory"]

    def test_a_flush_without_sync_does_not_sync(self, tmp_path):
        files = RecordingFiles(tmp_path)
        journal = new(tmp_path / "journal", files)
        journal.append("t", "key", 1)
        journal.flush()
        assert not any("sync" in call for call, _ in files.calls)

    def test_a_sync_includes_lines_that_were_flushed_before(self, tmp_path):
        files = RecordingFiles(tmp_path)
        journal = new(tmp_path / "journal", files)
        journal.append("t", "key", 1)
        journal.flush()
        files.calls.clear()
        journal.flush(sync=True)
        assert ("sync", "journal") in files.calls

    def test_a_forked_child_writes_nothing(self, tmp_path, monkeypatch):
        journal = new(tmp_path)
        journal.append("t", "key", 1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            assert not journal.is_writable
            journal.flush()
        assert found(tmp_path) == []

    def test_closing_twice_is_harmless(self, tmp_path):
        journal = new(tmp_path)
        journal.append("t", "key", 1)
        journal.close()
        journal.close()
        assert len(found(tmp_path)) == 1


class TestFullDisk:
    @pytest.mark.parametrize("nth", [1, 2, 3])
    def test_the_lines_are_dropped_and_later_ones_are_written(self, tmp_path, nth):
        journal = new(tmp_path / "journal", FailingFiles(nth, once=True))
        journal.append("t", "lost", 1)
        with pytest.raises(OSError, match="No space"):
            journal.flush()
        journal.append("t", "kept", 2)
        journal.flush()
        assert found(tmp_path / "journal") == [("t", "kept", 2)]

    def test_nothing_follows_a_torn_line_in_its_file(self, tmp_path):
        class TornOnce(Files):
            def open_append(self, path):
                writer = super().open_append(path)
                if torn:
                    return writer
                torn.append(path)
                return TornFile(path, writer._descriptor)

        torn = []
        journal = new(tmp_path, TornOnce())
        journal.append("t", "lost", 1)
        with pytest.raises(OSError, match="output error"):
            journal.flush()
        journal.append("t", "kept", 2)
        journal.flush()
        assert 0 < len(torn[0].read_bytes()) < 40
        assert found(tmp_path) == [("t", "kept", 2)]


def test_a_merge_holds_one_line_at_a_time(tmp_path, monkeypatch):
    for text in "ab":
        journal = new(tmp_path)
        journal.append("t", "key", text)
        journal.append("t", "key", text)
        journal.close()
    events, write = [], OpenFile.write
    monkeypatch.setattr(OpenFile, "write", lambda self, data: events.append("written") or write(self, data))
    journal = new(tmp_path)
    journal.merge(journal.files(), lambda _: not events.append("read"), tmp_path / "scratch")
    assert events == ["read", "written"] * 4
    assert len(found(tmp_path)) == 4


class TestOfAnotherUser:
    def test_a_line_without_a_seal_does_not_use_up_the_numbers(self, tmp_path):
        journal = new(tmp_path)
        journal._number = (1 << 60) + 5
        journal.append("a", "-", "later than all", sealed=False)
        journal.close()
        reader = new(tmp_path)
        assert list(reader.read_new()) == []
        assert reader.damaged_lines == 1
        assert reader.append("a", "-", 1).number == 1

    @pytest.mark.parametrize("name", ["a b.log", "a@b.log", "a\nb.log", ".log", os.fsdecode(b"\xff.log")])
    def test_files_of_other_names_are_not_read(self, tmp_path, name):
        write(tmp_path, 1)
        (file,) = tmp_path.iterdir()
        file.rename(tmp_path / name)
        assert new(tmp_path).files() == {}

    def test_a_file_without_line_ends_is_read_once(self, tmp_path, monkeypatch):
        write(tmp_path, 1)
        (tmp_path / "0123456789ab.log").write_bytes(bytes(1 << 20))
        monkeypatch.setattr(journal_module, "_READ_BYTES", 1 << 10)
        monkeypatch.setattr(journal_module, "_MAX_LINE", 1 << 15)
        copied = []
        read = Files.read

        def counted(files, path, *place):
            data = read(files, path, *place)
            copied.append(len(data))
            return data

        monkeypatch.setattr(Files, "read", counted)
        reader = new(tmp_path)
        assert [entry.payload() for entry in reader.read_new()] == [1]
        assert reader.damaged_lines > 0
        assert sum(copied) < 2 << 20

    @pytest.mark.parametrize("size", [1, 7, 64])
    def test_lines_that_span_several_readings_are_whole(self, tmp_path, monkeypatch, size):
        write(tmp_path, "a" * 100, "b" * 30, "c")
        monkeypatch.setattr(journal_module, "_READ_BYTES", size)
        assert [payload for *_, payload in found(tmp_path)] == ["a" * 100, "b" * 30, "c"]
