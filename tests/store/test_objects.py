import errno
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from pyplant.errors import DamagedError
from pyplant.store import files as files_module
from pyplant.store import objects as objects_module
from pyplant.store.files import Files
from pyplant.store.journal import Journal
from pyplant.store.latest_lines import LatestLines
from pyplant.store.object_names import is_object_name, safe_suffix
from pyplant.store.objects import (
    INLINE_LIMIT,
    HashingSink,
    ObjectStore,
    hash_file,
)

from . import SEALS, FailingFiles, RecordingFiles, flip, overwrite

CONTENT = bytes(range(256)) * 40


class CountingFiles(Files):
    """Counts the files that are read through."""

    def __init__(self):
        self.hashed = []

    def chunks(self, path):
        self.hashed.append(path.name)
        return super().chunks(path)


def new(root, files=None):
    files = files or Files()
    return ObjectStore(files, root, LatestLines(Journal(files, root / "journal", seals=SEALS)))


def put(store, content=CONTENT, suffix=".bin"):
    sink = HashingSink(store._files, store.scratch_path)
    sink.write(content)
    digest, _ = sink.finish()
    return store.publish(sink.path, digest, suffix)


def before_renaming(monkeypatch, act):
    """Let another process act on a file just before it is renamed, once."""
    rename = Files.rename

    def late(files, source, target):
        monkeypatch.undo()
        act(source)
        rename(files, source, target)

    monkeypatch.setattr(Files, "rename", late)


@pytest.fixture
def store(tmp_path):
    return new(tmp_path)


class TestHashing:
    @pytest.mark.parametrize("size", [0, 1, INLINE_LIMIT, INLINE_LIMIT + 1, 1 << 21, (1 << 23) + 5])
    def test_the_hash_taken_while_writing_is_that_of_the_file(self, tmp_path, size):
        content = os.urandom(size)
        sink = HashingSink(Files(), lambda: tmp_path / "file")
        sink.write(content)
        digest, inline = sink.finish()
        (tmp_path / "copy").write_bytes(content)
        assert digest == hash_file(tmp_path / "copy")
        assert sink.size == size
        assert (inline if size <= INLINE_LIMIT else (tmp_path / "file").read_bytes()) == content

    def test_many_small_and_big_parts_are_hashed_in_order(self, tmp_path):
        parts = [b"a" * 100, b"b" * (1 << 21), b"c" * 5000, b"", b"d" * (1 << 22), b"e"]
        sink = HashingSink(Files(), lambda: tmp_path / "file")
        for part in parts:
            sink.write(part)
        digest, inline = sink.finish()
        assert inline is None
        assert (tmp_path / "file").read_bytes() == b"".join(parts)
        assert digest == hash_file(tmp_path / "file")

    def test_few_bytes_are_not_written_to_disk(self, tmp_path):
        sink = HashingSink(FailingFiles(1), lambda: tmp_path / "file")
        sink.write(b"x" * INLINE_LIMIT)
        assert sink.finish()[1] == b"x" * INLINE_LIMIT

    def test_abandoning_leaves_nothing(self, tmp_path):
        sink = HashingSink(Files(), lambda: tmp_path / "file")
        sink.write(b"x" * (1 << 22))
        sink.abandon()
        assert not list(tmp_path.iterdir())

    def test_hashing_a_file_is_bounded_in_memory(self, tmp_path, monkeypatch):
        monkeypatch.setattr(files_module, "_READ_BUFFER", 64)
        (tmp_path / "file").write_bytes(CONTENT)
        short = hash_file(tmp_path / "file")
        monkeypatch.undo()
        assert short == hash_file(tmp_path / "file")


class TestPublishing:
    def test_an_object_is_named_by_its_content(self, store, tmp_path):
        stored = put(store)
        assert stored == hash_file(store.path(stored)) + ".bin"
        assert store.path(stored) == tmp_path / "objects" / stored[:2] / stored

    def test_nothing_is_in_objects_before_it_is_complete(self, store, tmp_path):
        sink = HashingSink(Files(), store.scratch_path)
        sink.write(CONTENT)
        assert not (tmp_path / "objects").exists()
        assert sink.path.parent.parent == tmp_path / "tmp"

    def test_the_same_content_twice_is_one_object(self, store):
        first, second = put(store), put(store)
        assert first == second
        assert store.sizes() == {first: len(CONTENT)}
        assert store.path(first).read_bytes() == CONTENT

    def test_an_object_that_was_replaced_is_not_deleted(self, store):
        stored = put(store)
        known = store.identities()[stored]
        put(store)
        assert not store.delete(stored, known)
        assert store.path(stored).read_bytes() == CONTENT

    def test_an_object_that_is_replaced_at_the_last_moment_is_not_deleted(self, store, monkeypatch):
        stored = put(store)
        known = store.identities()[stored]
        before_renaming(monkeypatch, lambda _: put(store))
        assert not store.delete(stored, known)
        assert store.path(stored).read_bytes() == CONTENT

    def test_an_object_that_another_process_deletes_meanwhile_is_gone(self, store, monkeypatch):
        stored = put(store)
        known = store.identities()[stored]
        before_renaming(monkeypatch, Path.unlink)
        assert not store.delete(stored, known)
        assert store.identities() == {}

    def test_the_same_content_with_another_suffix_is_another_object(self, store):
        assert len({put(store, suffix=suffix) for suffix in (".a", ".b", "")}) == 3

    def test_replacing_an_object_syncs_the_new_one_before(self, tmp_path):
        files = RecordingFiles(tmp_path)
        store = new(tmp_path, files)
        put(store)
        files.calls.clear()
        put(store)
        calls = [call for call, _ in files.calls]
        assert calls.index("sync_file") < calls.index("rename")

    def test_a_first_object_is_not_synced_at_once(self, tmp_path):
        files = RecordingFiles(tmp_path)
        put(new(tmp_path, files))
        assert not any("sync" in call for call, _ in files.calls)

    def test_a_read_only_object_cannot_be_written(self, store, tmp_path):
        path = store.scratch_path()
        path.write_bytes(CONTENT)
        stored = store.publish(path, hash_file(path), "", read_only=True)
        assert store.path(stored).stat().st_mode & 0o777 == 0o400
        assert put(store, suffix="") == stored  # and is still replaced

    def test_a_library_that_writes_public_files_makes_no_public_object(self, store):
        path = store.scratch_path()
        path.write_bytes(CONTENT)
        path.chmod(0o666)
        assert store.path(store.publish(path, hash_file(path), "")).stat().st_mode & 0o777 == 0o600

    def test_a_failure_leaves_no_file(self, tmp_path):
        class Full(Files):
            def rename(self, source, target):
                raise OSError(errno.ENOSPC, "full")

        store = new(tmp_path, Full())
        with pytest.raises(OSError, match="full"):
            put(store)
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def test_it_continues_after_its_directories_were_deleted(self, store, tmp_path):
        stored = put(store)
        for part in ("objects", "tmp"):
            Files().remove_tree(tmp_path / part)
        assert put(store) == stored
        assert store.verified(stored, len(CONTENT))

    def test_a_directory_in_its_place_is_moved_away(self, store, tmp_path):
        stored = put(store)
        assert store.delete(stored, store.identities()[stored])
        (store.path(stored) / "inner").mkdir(parents=True)
        assert put(store) == stored
        assert store.path(stored).read_bytes() == CONTENT
        assert len(list((tmp_path / "quarantine").iterdir())) == 1


class TestSyncing:
    def test_files_come_before_their_names(self, tmp_path):
        files = RecordingFiles(tmp_path)
        store = new(tmp_path, files)
        put(store, CONTENT)
        put(store, CONTENT * 2)
        files.calls.clear()
        store.sync()
        calls = [call for call, _ in files.calls]
        assert calls.count("sync_file") == 2
        assert calls[:2] == ["sync_file", "sync_file"]
        assert set(calls[2:]) == {"sync_directory"}

    def test_nothing_is_synced_twice(self, tmp_path):
        files = RecordingFiles(tmp_path)
        store = new(tmp_path, files)
        put(store)
        store.sync()
        files.calls.clear()
        store.sync()
        assert files.calls == []

    def test_after_a_failed_sync_objects_are_hashed_again(self, tmp_path):
        class Failing(CountingFiles):
            def sync_file(self, path):
                raise OSError(errno.EIO, "failed")

        files = Failing()
        store = new(tmp_path, files)
        stored = put(store)
        with pytest.raises(OSError, match="failed"):
            store.sync()
        store.verified(stored, len(CONTENT))
        assert files.hashed == [stored]


class TestReading:
    def test_the_writer_of_an_object_does_not_hash_it_again(self, tmp_path):
        files = CountingFiles()
        store = new(tmp_path, files)
        store.verified(put(store), len(CONTENT))
        assert files.hashed == []

    def test_the_first_read_verifies_and_later_ones_go_by_identity(self, tmp_path, monkeypatch):
        files = CountingFiles()
        store = new(tmp_path, files)
        stored = put(store)
        monkeypatch.setattr(files_module, "boot_id", lambda: "another")
        for _ in range(3):
            store.verified(stored, len(CONTENT))
        assert files.hashed == [stored]

    def test_another_process_trusts_the_stored_identity(self, tmp_path):
        store = new(tmp_path)
        stored = put(store)
        store._latest._journal.flush()
        files = CountingFiles()
        other = new(tmp_path, files)
        for entry in other._latest._journal.read_new():
            other._latest.apply(entry)
        other.verified(stored, len(CONTENT))
        assert files.hashed == []

    @pytest.mark.parametrize("position", [0, 5000, len(CONTENT) - 1])
    def test_an_object_with_a_flipped_bit_goes_to_quarantine(self, store, tmp_path, position):
        stored = put(store)
        flip(store.path(stored), position, bit=position % 8)
        with pytest.raises(DamagedError, match="damaged"):
            store.verified(stored, len(CONTENT))
        assert not store.path(stored).exists()
        assert [path.name.partition(".bin")[0] for path in (tmp_path / "quarantine").iterdir()] == [
            stored[:-4]
        ]

    def test_control_with_the_old_identity_a_flipped_bit_is_served(self, store, monkeypatch):
        stored = put(store)
        before = Files().identity(store.path(stored))
        flip(store.path(stored))
        monkeypatch.setattr(Files, "identity", lambda self, path: before)
        assert store.verified(stored, len(CONTENT)).read_bytes() != CONTENT

    @pytest.mark.parametrize("length", [0, 1, len(CONTENT) // 2, len(CONTENT) - 1, len(CONTENT) + 1])
    def test_another_length_is_noticed(self, store, length):
        stored = put(store)
        overwrite(store.path(stored), (CONTENT + b"x")[:length])
        assert not store.has(stored, len(CONTENT))
        with pytest.raises(DamagedError):
            store.verified(stored, len(CONTENT))

    def test_two_objects_that_changed_places_are_noticed(self, store):
        one, two = put(store, b"1" * 5000), put(store, b"2" * 5000)
        first, second = store.path(one), store.path(two)
        first.rename(first.parent / "aside")
        second.rename(first)
        (first.parent / "aside").rename(second)
        for stored in (one, two):
            with pytest.raises(DamagedError):
                store.verified(stored, 5000)

    def test_damage_that_another_process_moved_to_quarantine_is_reported(self, store, monkeypatch):
        stored = put(store)
        flip(store.path(stored))

        def late(path, files=None):
            path.unlink()
            return "something else"

        monkeypatch.setattr(objects_module, "hash_file", late)
        with pytest.raises(DamagedError):
            store.verified(stored, len(CONTENT))

    def test_a_missing_object_is_named(self, store):
        stored = put(store)
        assert store.delete(stored, store.identities()[stored])
        assert not store.has(stored, len(CONTENT))
        with pytest.raises(DamagedError, match=stored):
            store.verified(stored, len(CONTENT))

    @pytest.mark.parametrize("kind", ["link", "directory", "pipe"])
    def test_a_directory_in_place_of_an_object_is_replaced(self, store, tmp_path, kind):
        stored = put(store)
        path = store.path(stored)
        path.rename(tmp_path / "elsewhere")
        if kind == "link":
            path.symlink_to(tmp_path / "elsewhere")
        elif kind == "directory":
            path.mkdir()
        elif hasattr(os, "mkfifo"):
            os.mkfifo(path)
        with pytest.raises(DamagedError):
            store.verified(stored, len(CONTENT))
        put(store)
        assert store.verified(stored, len(CONTENT)).read_bytes() == CONTENT

    def test_writing_to_a_map_changes_neither_the_store_nor_other_receivers(self, store):
        stored = put(store)
        mine, other = store.map(stored, len(CONTENT)), store.map(stored, len(CONTENT))
        mine[:4] = b"XXXX"
        assert bytes(other) == CONTENT
        assert store.path(stored).read_bytes() == CONTENT
        assert bytes(store.map(stored, len(CONTENT))) == CONTENT

    def test_a_map_outlives_its_object(self, store):
        stored = put(store)
        mapped = store.map(stored, len(CONTENT))
        assert store.delete(stored, store.identities()[stored])
        assert bytes(mapped) == CONTENT


class TestNames:
    @pytest.mark.parametrize(
        "name", ["", "..", "../../etc/passwd", "/etc/passwd", "ab" * 20 + "/..", "AB" * 20]
    )
    def test_names_in_a_foreign_journal_cannot_lead_out_of_the_plant(self, store, name):
        assert not is_object_name(name)
        assert not store.has(name, 1)
        identity = Files().identity(Path(__file__))
        for use in (store.path, partial(store.delete, known=identity), store.quarantine):
            with pytest.raises(DamagedError, match="not the name"):
                use(name)
        with pytest.raises(DamagedError, match="not the name"):
            store.verified(name, 1)

    @pytest.mark.parametrize(
        "suffix", ["/x", "..", ".a/b", ".A", ".\n", ".x\n", "." + "a" * 13, ".a.b.c.d", "\0"]
    )
    def test_harmful_suffixes_are_dropped(self, suffix):
        assert safe_suffix(suffix) == ""

    @pytest.mark.parametrize("suffix", ["", ".npy", ".tar.gz", ".h5"])
    def test_harmless_suffixes_stay(self, suffix):
        assert safe_suffix(suffix) == suffix


class TestLinkedDirectory:
    """A link in the place of a directory of objects leads to files that are not those of the plant."""

    @pytest.fixture
    def linked(self, store, tmp_path):
        stored = put(store)
        directory = store.path(stored).parent
        directory.rename(tmp_path / "elsewhere")
        directory.symlink_to(tmp_path / "elsewhere")
        return stored

    def test_its_files_are_not_moved_to_quarantine(self, store, linked, tmp_path):
        with pytest.raises(DamagedError):
            store.verified(linked, 5)
        assert (tmp_path / "elsewhere" / linked).exists()
        assert not (tmp_path / "quarantine").exists()

    def test_its_files_are_not_deleted(self, store, linked, tmp_path):
        assert not store.delete(linked, Files().identity(tmp_path / "elsewhere" / linked))
        assert (tmp_path / "elsewhere" / linked).exists()


class TestScratch:
    def test_it_is_private(self, store):
        directory = store.scratch_path().parent
        assert directory.stat().st_mode & 0o777 == 0o700
        assert store.scratch_path() != store.scratch_path()

    def test_it_is_gone_when_cleared(self, store, tmp_path):
        store.scratch_path().write_bytes(b"x")
        store.clear_scratch()
        assert not list((tmp_path / "tmp").iterdir())

    def test_a_forked_child_has_its_own(self, store, monkeypatch):
        mine = store.scratch_path()
        mine.write_bytes(b"x")
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            store.clear_scratch()
            assert store.scratch_path().parent != mine.parent
        assert mine.exists()

    def test_it_is_created_when_the_disk_has_space_again(self, tmp_path):
        store = new(tmp_path, FailingFiles(1, once=True))
        with pytest.raises(OSError, match="No space"):
            store.scratch_path()
        assert store.scratch_path().parent.is_dir()

    def test_hashing_what_is_no_file_is_an_error(self, store):
        with pytest.raises(FileNotFoundError):
            store.hash(store.scratch_path())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_hashes_big_files(tmp_path):
    """The hash works with threads, and a forked process has none of its parent's."""
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pyplant.store.objects import hash_file\n"
        "path = Path(sys.argv[1])\n"
        "digest = hash_file(path)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    signal.alarm(20)\n"
        "    os._exit(0 if hash_file(path) == digest else 1)\n"
        "sys.exit(os.waitpid(child, 0)[1])\n"
    )
    (tmp_path / "big").write_bytes(bytes(30_000_000))
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "big")], check=True)
