import os
import subprocess
import sys
import time

import pytest

from pyplant.errors import DamagedError, PlantError
from pyplant.store.files import Files
from pyplant.store.ledger import Ledger
from pyplant.store.objects import scratch_name
from pyplant.store.retention import GRACE, collect, forgotten_scratch, parse_size, stored_bytes

from . import LONG, FailingFiles, RecordingFiles, TextSpec, a_trace, open_warehouse

DAY = 86400.0


@pytest.fixture
def root(tmp_path):
    return tmp_path / "plant"


@pytest.fixture
def warehouse(root):
    warehouse = open_warehouse(root)
    yield warehouse
    warehouse.close()


def commit(warehouse, text, *, days_ago=0.0, size=10_000, **options):
    """Keep one result of ``size`` bytes."""
    saved = warehouse.save("x", (text * size)[:size], TextSpec)
    return warehouse.commit(a_trace(saved, finished=time.time() - days_ago * DAY, **options))


def texts(warehouse):
    """First letters of the results that are kept, which must all load."""
    return sorted(warehouse.load(trace.outputs[0])[0] for trace in warehouse.ledger.traces())


class TestSizes:
    @pytest.mark.parametrize(
        ("text", "size"),
        [
            (0, 0),
            (17, 17),
            (2e9, 2 * 10**9),
            ("17", 17),
            ("20 GB", 20 * 10**9),
            ("20gb", 20 * 10**9),
            (" 1.5 TB ", 15 * 10**11),
            ("500 MiB", 500 << 20),
            ("3k", 3000),
            ("8 bytes", 8),
            (".5 kB", 500),
        ],
    )
    def test_are_read(self, text, size):
        assert parse_size(text) == size

    @pytest.mark.parametrize(
        "text", ["", "much", "GB", "-1", "1 XB", "1e3 GB", "20 GB x", -1, True, None, float("nan")]
    )
    def test_what_is_none_is_refused_with_an_example(self, text):
        with pytest.raises(PlantError, match="20 GB"):
            parse_size(text)


class TestHistory:
    def test_everything_stays_while_there_is_room(self, warehouse):
        for letter in "abc":
            commit(warehouse, letter)
        assert str(collect(warehouse, 30_000)) == "Nothing to remove; 30.0 kB kept."
        assert texts(warehouse) == ["a", "b", "c"]

    def test_the_oldest_goes_first(self, warehouse, root):
        for letter in "abcd":
            commit(warehouse, letter)
        collection = collect(warehouse, 25_000)
        assert texts(warehouse) == texts(open_warehouse(root)) == ["c", "d"]
        assert len(collection.traces) == len(collection.objects) == 2
        assert (collection.freed, collection.kept) == (20_000, 20_000)
        assert sum(warehouse.objects.sizes().values()) == 20_000
        assert str(collection) == "Removed 2 old results, 2 stored values; 20.0 kB freed, 20.0 kB kept."

    def test_age_is_a_place_in_the_journal_not_a_time(self, warehouse):
        commit(warehouse, "a")
        commit(warehouse, "b", days_ago=3)
        commit(warehouse, "c", days_ago=5)
        collect(warehouse, 20_000)
        assert texts(warehouse) == ["b", "c"]

    def test_what_is_current_is_never_evicted(self, warehouse):
        for reactor in "abc":
            commit(warehouse, reactor, reactor=reactor)
        collect(warehouse, 0)
        assert texts(warehouse) == ["a", "b", "c"]

    def test_every_configuration_in_use_is_current(self, warehouse):
        for letter in "abc":
            commit(warehouse, letter, config=[("rate", letter)])
        commit(warehouse, "d", config=[("rate", "c")])
        collect(warehouse, 0)
        assert texts(warehouse) == ["a", "b", "d"]

    def test_the_code_makes_no_other_configuration(self, warehouse):
        for letter in "abc":
            commit(warehouse, letter, fingerprint=letter)
        collect(warehouse, 0)
        assert texts(warehouse) == ["c"]

    def test_the_inputs_make_no_other_configuration(self, warehouse):
        for letter in "abc":
            commit(warehouse, letter, inputs=[("y", letter)])
        collect(warehouse, 0)
        assert texts(warehouse) == ["c"]

    def test_what_was_not_used_for_long_is_history(self, warehouse):
        commit(warehouse, "a", reactor="a", days_ago=GRACE / DAY + 1)
        commit(warehouse, "b", reactor="b")
        collect(warehouse, 15_000)
        assert texts(warehouse) == ["b"]

    def test_what_was_not_used_for_long_stays_while_there_is_room(self, warehouse):
        commit(warehouse, "a", days_ago=1000)
        collect(warehouse, 10_000)
        assert texts(warehouse) == ["a"]

    def test_use_keeps_what_was_made_long_ago(self, warehouse):
        trace = commit(warehouse, "a", reactor="a", days_ago=1000)
        commit(warehouse, "b", reactor="b")
        warehouse.ledger.note_used([trace])
        collect(warehouse, 0)
        assert texts(warehouse) == ["a", "b"]

    def test_going_back_to_older_code_makes_its_result_the_current_one(self, warehouse):
        old = commit(warehouse, "a", fingerprint="old")
        commit(warehouse, "b", fingerprint="new")
        warehouse.ledger.note_used([old])
        collect(warehouse, 0)
        assert texts(warehouse) == ["a"]

    def test_what_another_notebook_made_is_current_as_well(self, warehouse, root):
        other = open_warehouse(root)
        commit(other, "a", reactor="other")
        for letter in "bc":
            commit(warehouse, letter)
        warehouse.ledger.refresh()
        collect(warehouse, 0)
        assert texts(warehouse) == ["a", "c"]

    def test_an_object_that_something_current_shares_stays(self, warehouse):
        commit(warehouse, "a", fingerprint="old")
        commit(warehouse, "b", fingerprint="newer")
        commit(warehouse, "a", fingerprint="newest")
        collection = collect(warehouse, 0)
        assert texts(warehouse) == ["a", "a"]
        assert collection.freed == 10_000

    def test_history_that_shares_an_object_goes_together(self, warehouse):
        for fingerprint in "12":
            commit(warehouse, "a", fingerprint=fingerprint)
        commit(warehouse, "b", fingerprint="3")
        collection = collect(warehouse, 10_000)
        assert texts(warehouse) == ["b"]
        assert collection.freed == 10_000

    def test_results_without_objects_take_no_room_and_stay(self, warehouse):
        for letter in "abc":
            commit(warehouse, letter, size=10)
        collect(warehouse, 0)
        assert texts(warehouse) == ["a", "b", "c"]

    def test_what_went_is_computed_and_kept_again(self, warehouse):
        for letter in "ab":
            commit(warehouse, letter)
        collect(warehouse, 10_000)
        commit(warehouse, "a")
        assert texts(warehouse) == ["a", "b"]


class TestOrder:
    def test_a_result_is_forgotten_on_the_disk_before_its_value_goes(self, root):
        files = RecordingFiles(root)
        warehouse = open_warehouse(root, files=files)
        for letter in "ab":
            commit(warehouse, letter)
        files.calls.clear()
        collect(warehouse, 10_000)
        order = [("write", "journal"), ("sync", "journal"), ("unlink", "objects")]
        places = [files.calls.index(step) for step in order]
        assert places == sorted(places)

    def test_if_it_cannot_be_forgotten_the_value_stays(self, root):
        files = FailingFiles(1000)
        warehouse = open_warehouse(root, files=files)
        for letter in "ab":
            commit(warehouse, letter)
        files.left = 1
        with pytest.raises(OSError, match="No space"):
            collect(warehouse, 0)
        assert texts(warehouse) == texts(open_warehouse(root)) == ["a", "b"]

    def test_at_the_end_of_a_run_a_failing_disk_is_only_logged(self, root, caplog):
        files = FailingFiles(1000)
        warehouse = open_warehouse(root, files=files)
        for letter in "ab":
            commit(warehouse, letter)
        files.left = 1
        assert collect(warehouse, 0, only_if_needed=True).kept == 20_000
        assert "could not be removed" in caplog.text

    def test_a_forked_child_removes_nothing(self, warehouse, monkeypatch):
        for letter in "ab":
            commit(warehouse, letter)
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            assert not collect(warehouse, 0).traces
        assert texts(warehouse) == ["a", "b"]

    def test_a_value_that_somebody_stores_again_meanwhile_stays(self, warehouse, root, monkeypatch):
        commit(warehouse, "a")
        commit(warehouse, "b")
        other = open_warehouse(root)
        evict = Ledger.evict

        def meanwhile(self, traces):
            evict(self, traces)
            saved.append(other.save("x", "a" * 10_000, TextSpec))

        saved = []
        monkeypatch.setattr(Ledger, "evict", meanwhile)
        collect(warehouse, 10_000)
        other.commit(a_trace(saved[0], reactor="other"))
        warehouse.ledger.refresh()
        assert texts(warehouse) == ["a", "b"]

    def test_a_value_that_somebody_commits_again_meanwhile_stays(self, warehouse, root, monkeypatch):
        commit(warehouse, "a")
        commit(warehouse, "b")
        other = open_warehouse(root)
        evict = Ledger.evict
        monkeypatch.setattr(
            Ledger, "evict", lambda self, traces: (evict(self, traces), commit(other, "a", reactor="other"))
        )
        assert not collect(warehouse, 10_000).objects
        assert texts(warehouse) == ["a", "b"]

    def test_control_an_untouched_value_goes(self, warehouse):
        trace = commit(warehouse, "a")
        commit(warehouse, "b")
        collect(warehouse, 10_000)
        with pytest.raises(DamagedError):
            warehouse.load(trace.outputs[0])


class TestEndOfARun:
    def test_it_lists_no_directory(self, warehouse, monkeypatch):
        for letter in "abc":
            commit(warehouse, letter)

        def refuse(self, path):
            assert path.name == "journal", path
            return sizes(self, path)

        sizes = Files.sizes
        monkeypatch.setattr(Files, "sizes", refuse)
        monkeypatch.setattr(Files, "names", refuse)
        collect(warehouse, 20_000, only_if_needed=True)
        assert texts(warehouse) == ["b", "c"]

    def test_it_writes_nothing_while_there_is_room(self, root):
        files = RecordingFiles(root)
        warehouse = open_warehouse(root, files=files)
        commit(warehouse, "a")
        files.calls.clear()
        collect(warehouse, 10_000, only_if_needed=True)
        collect(warehouse, 0, only_if_needed=True)  # all of it is current
        assert files.calls == []

    def test_sizes_are_counted_once_for_each_object(self, warehouse):
        for fingerprint in "12":
            commit(warehouse, "a", fingerprint=fingerprint)
        assert stored_bytes(warehouse.ledger.traces()) == 10_000


class TestLeftovers:
    def test_old_objects_that_nothing_names_go(self, warehouse):
        warehouse.save("x", LONG, TextSpec)
        commit(warehouse, "a")
        collection = collect(warehouse, 10**9, now=time.time() + 2 * DAY)
        assert collection.freed == len(LONG)
        assert len(collection.objects) == 1
        assert texts(warehouse) == ["a"]

    def test_young_ones_may_be_named_yet(self, warehouse):
        saved = warehouse.save("x", LONG, TextSpec)
        assert not collect(warehouse, 10**9).objects
        warehouse.commit(a_trace(saved))
        assert warehouse.load(saved) == LONG

    def test_what_was_named_meanwhile_stays(self, warehouse, root, monkeypatch):
        other = open_warehouse(root)
        saved = other.save("x", LONG, TextSpec)
        sizes = warehouse.objects.sizes

        def meanwhile():
            found = sizes()
            other.commit(a_trace(saved))
            return found

        monkeypatch.setattr(warehouse.objects, "sizes", meanwhile)
        assert not collect(warehouse, 10**9, now=time.time() + 2 * DAY).objects

    def test_what_a_later_version_may_name_stays(self, warehouse):
        warehouse.save("x", LONG, TextSpec)
        warehouse.journal.append("t", "code", {"unknown": 1})
        warehouse.flush()
        warehouse.ledger._take(warehouse.journal.append("t", "code", {"unknown": 1}))
        assert not collect(warehouse, 10**9, now=time.time() + 2 * DAY).objects

    def test_foreign_files_stay(self, warehouse, root):
        commit(warehouse, "a")
        strange = [root / "objects" / "notes.txt", root / "objects" / "ab" / "notes.txt", root / "notes.txt"]
        for path in strange:
            path.parent.mkdir(exist_ok=True)
            path.write_text("mine")
        collect(warehouse, 0, now=time.time() + 1000 * DAY)
        assert all(path.exists() for path in strange)

    def test_old_quarantine_goes_and_young_quarantine_stays(self, warehouse, root):
        trace = commit(warehouse, "a")
        warehouse.objects.quarantine(trace.outputs[0].object)
        collect(warehouse, 10**9)
        assert len(list((root / "quarantine").iterdir())) == 1
        collection = collect(warehouse, 10**9, now=time.time() + GRACE + DAY)
        assert not list((root / "quarantine").iterdir())
        assert len(collection.leftovers) == 1

    def test_a_quarantined_object_counts_from_when_it_was_set_aside(self, warehouse, root):
        trace = commit(warehouse, "a")
        os.utime(warehouse.objects.path(trace.outputs[0].object), (0, 0))
        warehouse.objects.quarantine(trace.outputs[0].object)
        collect(warehouse, 10**9)
        assert len(list((root / "quarantine").iterdir())) == 1


class TestScratch:
    @pytest.fixture
    def dead(self):
        """Number of a process that has ended."""
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        return process.pid

    def scratch(self, root, name):
        path = root / "tmp" / name
        path.mkdir(parents=True)
        (path / "file").write_bytes(b"x")
        return path

    @pytest.mark.skipif(os.name == "nt", reason="asking whether a process lives needs signals")
    def test_that_of_a_dead_process_goes_at_once(self, warehouse, root, dead):
        path = self.scratch(root, scratch_name(dead))
        collection = collect(warehouse, 10**9)
        assert not path.exists()
        assert collection.leftovers == (path.name,)

    def test_that_of_a_living_process_stays_however_old(self, warehouse):
        path = warehouse.objects.scratch_path()
        path.write_bytes(b"x")
        collect(warehouse, 10**9, now=time.time() + 1000 * DAY)
        assert path.exists()

    @pytest.mark.parametrize("name", ["{0}x", "other-{0}", "FORMAT-12345678"])
    def test_that_of_who_knows_whom_goes_when_it_is_old(self, warehouse, root, dead, name):
        path = self.scratch(root, name.format(scratch_name(dead)))
        collect(warehouse, 10**9)
        assert path.exists()
        collect(warehouse, 10**9, now=time.time() + 2 * DAY)
        assert not path.exists()

    def test_a_loose_file_goes_when_it_is_old(self, warehouse, root):
        path = root / "tmp" / "FORMAT-12345678"
        path.write_bytes(b"x")
        assert list(forgotten_scratch(Files(), root / "tmp", time.time())) == []
        collect(warehouse, 10**9, now=time.time() + 2 * DAY)
        assert not path.exists()

    def test_what_somebody_still_writes_to_is_not_old(self, root):
        path = self.scratch(root, "unknown")
        later = time.time() + 10 * DAY
        os.utime(path / "file", (later, later))
        assert list(forgotten_scratch(Files(), root / "tmp", later)) == []
        os.utime(path / "file", (0, 0))
        assert list(forgotten_scratch(Files(), root / "tmp", later)) == [path]
