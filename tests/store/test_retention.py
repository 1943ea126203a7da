import errno
import os
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress

import pytest

from pyplant._formatting import format_size
from pyplant.errors import DamagedError
from pyplant.fingerprint.code_records import CodeRecord
from pyplant.fingerprint.graph_node import NodeKind
from pyplant.store.files import Files
from pyplant.store.journal import Journal
from pyplant.store.ledger import Ledger
from pyplant.store.retention import (
    QUARANTINE_AGE,
    collect,
    merge_journal,
    stored_bytes,
)
from pyplant.store.scratch import abandoned_scratch, scratch_name
from pyplant.store.warehouse import COLLECTING

from . import (
    LONG,
    FailingFiles,
    HookedFiles,
    Killed,
    KilledFiles,
    RecordingFiles,
    TextSpec,
    a_trace,
    open_warehouse,
)

DAY = 86400.0


@pytest.fixture
def root(tmp_path):
    return tmp_path / "plant"


@pytest.fixture
def warehouse(root):
    warehouse = open_warehouse(root)
    yield warehouse
    warehouse.close()


def commit(warehouse, text, *, days_ago=0.0, size=10_000, configuration="", **options):
    """Commit one result of ``size`` bytes."""
    saved = warehouse.save("x", (text * size)[:size], TextSpec)
    return warehouse.commit(a_trace(saved, finished=time.time() - days_ago * DAY, **options), configuration)


def killed(warehouse):
    """Close the store of a process that died after it had stored a value and before it named it."""
    warehouse.save("x", LONG, TextSpec)
    warehouse.objects.unnamed.clear()
    warehouse.close()


def texts(warehouse):
    """Load all stored results and return their first letters."""
    return sorted(warehouse.load(trace.outputs[0])[0] for trace in warehouse.ledger.traces())


class TestHistory:
    def test_everything_stays_below_the_limit(self, warehouse):
        for letter in "abc":
            commit(warehouse, letter)
        assert str(collect(warehouse, 30_000)) == "Nothing to remove; 30.0 kB stored."
        assert texts(warehouse) == ["a", "b", "c"]

    def test_the_oldest_goes_first(self, warehouse, root):
        for letter in "abcd":
            commit(warehouse, letter)
        collection = collect(warehouse, 25_000)
        assert texts(warehouse) == texts(open_warehouse(root)) == ["c", "d"]
        assert collection.results == len(collection.objects) == 2
        assert (collection.freed, collection.stored) == (20_000, 20_000)
        assert sum(warehouse.objects.sizes().values()) == 20_000
        assert str(collection) == "Removed 2 old results, 2 stored values; 20.0 kB freed, 20.0 kB stored."

    def test_age_is_a_position_in_the_journal_not_a_time(self, warehouse):
        commit(warehouse, "a")
        commit(warehouse, "b", days_ago=3)
        commit(warehouse, "c", days_ago=5)
        collect(warehouse, 20_000)
        assert texts(warehouse) == ["b", "c"]

    def test_current_results_are_never_evicted(self, warehouse):
        for reactor in "abc":
            commit(warehouse, reactor, reactor=reactor)
        collect(warehouse, 0)
        assert texts(warehouse) == ["a", "b", "c"]

    def test_every_configuration_that_an_open_plant_used_is_current(self, warehouse, root):
        for letter in "abc":
            commit(warehouse, letter, config=[("rate", letter)], configuration=letter)
        commit(warehouse, "d", config=[("rate", "c")], configuration="c")
        collect(warehouse, 0)
        assert texts(warehouse) == ["a", "b", "d"]
        warehouse.close()
        with closing(open_warehouse(root)) as again:
            collect(again, 0)
            assert texts(again) == ["d"]

    def test_other_code_is_no_other_configuration(self, warehouse):
        for letter in "abc":
            commit(warehouse, letter, fingerprint=letter)
        collect(warehouse, 0)
        assert texts(warehouse) == ["c"]

    def test_other_inputs_are_no_other_configuration(self, warehouse):
        for letter in "abc":
            commit(warehouse, letter, inputs=[("y", letter)])
        collect(warehouse, 0)
        assert texts(warehouse) == ["c"]

    @pytest.mark.parametrize("days_ago", [0, 8, 1000])
    def test_the_current_result_of_a_reactor_stays_at_any_age(self, warehouse, root, days_ago):
        with closing(open_warehouse(root)) as other:
            commit(other, "a", reactor="a", days_ago=days_ago)
            commit(other, "b", reactor="b", fingerprint="old", days_ago=days_ago)
            commit(other, "c", reactor="b", fingerprint="new", days_ago=days_ago)
        warehouse.ledger.refresh()
        commit(warehouse, "d", reactor="d")
        collect(warehouse, 0)
        assert texts(warehouse) == ["a", "c", "d"]

    def test_results_that_verify_now_stay(self, warehouse, root):
        with closing(open_warehouse(root)) as other:
            old = [commit(other, letter, config=[("rate", letter)]) for letter in "abc"]
        warehouse.ledger.refresh()
        collect(warehouse, 0, verifying=lambda: old[:1])
        assert texts(warehouse) == ["a", "c"]

    def test_nothing_is_verified_below_the_limit(self, warehouse):
        commit(warehouse, "a")
        collect(warehouse, 10_000, verifying=lambda: pytest.fail("asked"))

    def test_going_back_to_older_code_makes_its_result_the_current_one(self, warehouse):
        old = commit(warehouse, "a", fingerprint="old")
        commit(warehouse, "b", fingerprint="new")
        warehouse.ledger.note_used({"garden.make": old})
        warehouse.lease([old])
        collect(warehouse, 0)
        assert texts(warehouse) == ["a"]

    def test_a_result_used_under_a_new_name_of_its_reactor_stays(self, warehouse, root):
        with closing(open_warehouse(root)) as other:
            old = commit(other, "a", fingerprint="old")
            commit(other, "b", fingerprint="new")
            other.ledger.note_used({"garden.renamed": old})
        warehouse.ledger.refresh()
        collect(warehouse, 0)
        assert texts(warehouse) == ["a", "b"]

    def test_results_of_another_notebook_are_current_too(self, warehouse, root):
        other = open_warehouse(root)
        commit(other, "a", reactor="other")
        for letter in "bc":
            commit(warehouse, letter)
        warehouse.ledger.refresh()
        collect(warehouse, 0)
        assert texts(warehouse) == ["a", "c"]

    def test_an_object_that_a_current_result_shares_stays(self, warehouse):
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

    def test_evicted_results_are_computed_and_stored_again(self, warehouse):
        for letter in "ab":
            commit(warehouse, letter)
        collect(warehouse, 10_000)
        commit(warehouse, "a")
        assert texts(warehouse) == ["a", "b"]


class TestOrder:
    def test_an_eviction_is_synced_before_its_objects_are_deleted(self, root):
        files = RecordingFiles(root)
        warehouse = open_warehouse(root, files=files)
        for letter in "ab":
            commit(warehouse, letter)
        files.calls.clear()
        collect(warehouse, 10_000)
        order = [("write", "journal"), ("sync", "journal"), ("unlink", "tmp")]
        places = [files.calls.index(step) for step in order]
        assert places == sorted(places)

    def test_if_an_eviction_fails_the_object_stays(self, root):
        files = FailingFiles(1000, code=errno.EIO)
        warehouse = open_warehouse(root, files=files)
        for letter in "ab":
            commit(warehouse, letter)
        files.left = 1
        with pytest.raises(OSError, match="Input/output error"):
            collect(warehouse, 0)
        assert texts(warehouse) == texts(open_warehouse(root)) == ["a", "b"]

    def test_at_the_end_of_a_run_a_failing_disk_is_only_logged(self, root, caplog):
        files = FailingFiles(1000)
        warehouse = open_warehouse(root, files=files)
        for letter in "ab":
            commit(warehouse, letter)
        files.left = 1
        assert collect(warehouse, 0, only_if_needed=True).stored == 20_000
        assert "could not be removed" in caplog.text

    def test_a_forked_child_removes_nothing(self, warehouse, monkeypatch):
        for letter in "ab":
            commit(warehouse, letter)
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            assert not collect(warehouse, 0).results
        assert texts(warehouse) == ["a", "b"]

    def test_a_value_stored_again_meanwhile_stays(self, warehouse, root, monkeypatch):
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

    def test_a_value_committed_again_meanwhile_stays(self, warehouse, root, monkeypatch):
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


class TestLeases:
    """What an open plant uses stays, however old it is."""

    @pytest.fixture
    def other(self, root):
        with closing(open_warehouse(root)) as other:
            yield other

    def test_results_that_another_open_plant_uses_stay(self, warehouse, other):
        old = commit(warehouse, "a", fingerprint="old")
        commit(warehouse, "b", fingerprint="new")
        other.ledger.refresh()
        other.lease([old])
        collect(warehouse, 0)
        assert texts(warehouse) == ["a", "b"]

    def test_results_that_a_closed_plant_used_can_be_evicted(self, warehouse, other):
        old = commit(warehouse, "a", fingerprint="old")
        commit(warehouse, "b", fingerprint="new")
        other.lease([old])
        other.close()
        collect(warehouse, 0)
        assert texts(warehouse) == ["b"]

    def test_of_a_reactor_under_one_configuration_the_last_one_used_stays(self, warehouse, other):
        traces = [commit(warehouse, letter, fingerprint=letter) for letter in "abc"]
        other.lease(traces[:1])
        other.lease(traces[1:2])
        collect(warehouse, 0)
        assert texts(warehouse) == ["b", "c"]

    def test_a_look_up_during_a_collection_waits_for_its_outcome(self, warehouse, other, monkeypatch):
        old = commit(warehouse, "a", fingerprint="old")
        commit(warehouse, "b", fingerprint="new")
        other.ledger.refresh()
        evict, lost = Ledger.evict, []
        finder = threading.Thread(target=lambda: lost.append(other.lease([old])))

        def meanwhile(self, traces):
            finder.start()
            while not other.leases.used():  # it comes after the leases were read
                time.sleep(0.001)
            assert lost == []
            evict(self, traces)

        monkeypatch.setattr(Ledger, "evict", meanwhile)
        assert collect(warehouse, 0).results == 1
        finder.join()
        assert lost == [[old]]

    def test_while_another_process_collects_nothing_is_evicted(self, warehouse, other):
        for letter in "ab":
            commit(warehouse, letter)
        other.claims.take(COLLECTING)
        assert not collect(warehouse, 0, only_if_needed=True).results
        other.claims.release(COLLECTING)
        assert collect(warehouse, 0, only_if_needed=True).results

    def test_a_lease_of_an_evicted_result_returns_it_as_lost(self, warehouse, other):
        old = commit(warehouse, "a", fingerprint="old")
        commit(warehouse, "b", fingerprint="new")
        other.ledger.refresh()
        collect(warehouse, 0)
        assert other.lease([old]) == [old]

    def test_a_new_result_is_in_the_lease_before_others_see_it(self, warehouse, other, monkeypatch):
        flush = Journal.flush
        used = []

        def meanwhile(self, *, sync=False):
            if self is warehouse.journal and self._pending:
                used.append((self._pending[-1].number, other.leases.used()))
            flush(self, sync=sync)

        monkeypatch.setattr(Journal, "flush", meanwhile)
        trace = commit(warehouse, "a")
        assert used[-1] == (trace.number, {trace.rank})

    def test_use_under_a_new_name_survives_merging(self, warehouse, other, root):
        old = commit(warehouse, "a", fingerprint="old")
        commit(warehouse, "b", fingerprint="new")
        warehouse.ledger.note_used({"garden.renamed": old})
        warehouse.ledger.note_used({"garden.renamed twice": old})
        warehouse.close()
        other.ledger.refresh()
        assert merge_journal(other, at_least=1)
        with closing(open_warehouse(root)) as again:
            assert old.rank in again.ledger.current()
            again.ledger.note_used({"garden.renamed": old})
            again.ledger.note_used({"garden.renamed twice": old})
            assert not again.journal._pending

    def test_the_lease_of_a_killed_process_holds_nothing(self, warehouse, root):
        old = commit(warehouse, "a", fingerprint="old")
        commit(warehouse, "b", fingerprint="new")
        code = (
            "import os, sys\n"
            "from pathlib import Path\n"
            "from pyplant.store.warehouse import Warehouse\n"
            "other = Warehouse(Path(sys.argv[1]))\n"
            "other.lease(list(other.ledger.traces()))\n"
            "os._exit(1)\n"
        )
        subprocess.run([sys.executable, "-c", code, str(root)], check=False)
        assert len(list((root / "leases").glob("[!.]*"))) == 2
        collect(warehouse, 0)
        assert texts(warehouse) == ["b"]
        assert old.rank not in {trace.rank for trace in warehouse.ledger.traces()}
        assert len(list((root / "leases").glob("[!.]*"))) == 1

    def test_nothing_is_left_of_a_closed_plant(self, root):
        with closing(open_warehouse(root)) as warehouse:
            commit(warehouse, "a")
            assert len(list((root / "leases").glob("[!.]*"))) == 1
        assert list((root / "leases").iterdir()) == []

    @pytest.mark.parametrize(
        "content", [b"", b"x", b"a b c\n", b"\xff 1 \xff\n", b"a 1 b", b"a " + b"9" * 5000]
    )
    def test_a_malformed_lease_is_ignored(self, warehouse, root, content):
        commit(warehouse, "a", fingerprint="old")
        commit(warehouse, "b", fingerprint="new")
        (root / "leases" / "strange").write_bytes(bytes(1024) + content)
        collect(warehouse, 0)
        assert texts(warehouse) == ["b"]


class TestMerging:
    """The files of finished writers become one."""

    def history(self, root, letters="abc"):
        for letter in letters:
            with closing(open_warehouse(root)) as warehouse:
                commit(warehouse, letter, reactor=letter)
        return open_warehouse(root)

    def test_finished_files_become_one(self, root):
        warehouse = self.history(root)
        assert len(warehouse.journal.files()) == 3
        assert merge_journal(warehouse, at_least=1)
        assert len(warehouse.journal.files()) == 1
        warehouse.close()
        assert texts(open_warehouse(root)) == ["a", "b", "c"]

    def test_ranks_stay_the_same(self, root):
        warehouse = self.history(root)
        before = sorted(trace.rank for trace in warehouse.ledger.traces())
        merge_journal(warehouse, at_least=1)
        again = open_warehouse(root)
        assert sorted(trace.rank for trace in again.ledger.traces()) == before
        assert merge_journal(again, at_least=1)
        assert sorted(trace.rank for trace in open_warehouse(root).ledger.traces()) == before

    def test_a_file_that_is_written_is_left_alone(self, root):
        writing = self.history(root)
        commit(writing, "d", reactor="d")
        warehouse = open_warehouse(root)
        merge_journal(warehouse, at_least=1)
        assert len(warehouse.journal.files()) == 2
        commit(writing, "e", reactor="e")
        warehouse.ledger.refresh()
        assert texts(warehouse) == ["a", "b", "c", "d", "e"]
        writing.close()

    def test_a_reader_during_merging_misses_and_repeats_nothing(self, root):
        reading = self.history(root)
        warehouse = open_warehouse(root)
        merge_journal(warehouse, at_least=1)
        reading.ledger.refresh()
        assert texts(reading) == ["a", "b", "c"]

    def test_a_listing_before_merging_misses_nothing(self, root, monkeypatch):
        warehouse = self.history(root)
        sizes = Files.sizes

        def merge_after_listing(self, *path):
            found = sizes(self, *path)
            monkeypatch.undo()
            merge_journal(warehouse, at_least=1)
            return found

        monkeypatch.setattr(Files, "sizes", merge_after_listing)
        assert texts(open_warehouse(root)) == ["a", "b", "c"]

    def test_invalidated_results_stay_invalidated(self, root):
        warehouse = self.history(root)
        warehouse.ledger.forget("a", "other code")
        warehouse.close()
        merge_journal(open_warehouse(root), at_least=1)
        assert texts(open_warehouse(root)) == ["b", "c"]

    def test_lines_about_evicted_results_are_dropped(self, root):
        warehouse = self.history(root)
        commit(warehouse, "z", reactor="a")
        collect(warehouse, 0)
        warehouse.close()
        size = sum(open_warehouse(root).journal.files().values())
        merge_journal(open_warehouse(root), at_least=1)
        again = open_warehouse(root)
        assert sum(again.journal.files().values()) < size
        assert texts(again) == ["b", "c", "z"]
        assert {entry.kind for entry in Journal(Files(), root / "journal").read_new()} <= {"t", "i"}

    def test_an_eviction_stays_while_its_trace_is_in_an_unmerged_file(self, root):
        writing = open_warehouse(root)
        commit(writing, "a", fingerprint="old")
        commit(writing, "b", fingerprint="new")
        with closing(open_warehouse(root)) as other:
            other.ledger.evict([trace.rank for trace in other.ledger.traces() if trace.fingerprint == "old"])
        merge_journal(open_warehouse(root), at_least=1)
        assert texts(open_warehouse(root)) == ["b"]
        writing.close()

    def test_lines_of_later_versions_are_kept(self, root):
        with closing(open_warehouse(root)) as warehouse:
            warehouse.journal.append("t", "f.g", {"of": "a later version"})
            warehouse.journal.append("z", "-", "unknown")
        merge_journal(open_warehouse(root), at_least=1)
        assert [entry.kind for entry in Journal(Files(), root / "journal").read_new()] == ["t", "z"]

    def test_a_torn_tail_is_dropped(self, root):
        warehouse = self.history(root)
        for name in warehouse.journal.files():
            with (root / "journal" / name).open("ab") as stream:
                stream.write(b"\ntorn")
        assert merge_journal(open_warehouse(root), at_least=1)
        again = open_warehouse(root)
        assert len(again.journal.files()) == 1
        assert texts(again) == ["a", "b", "c"]

    def test_a_process_taken_for_dead_that_writes_again_loses_nothing(self, root):
        sleeper = open_warehouse(root)
        commit(sleeper, "a", reactor="a")
        sleeper.leases.close()
        merge_journal(open_warehouse(root), at_least=1)
        commit(sleeper, "b", reactor="b")
        assert texts(open_warehouse(root)) == ["a", "b"]
        sleeper.close()

    def test_a_file_that_grows_meanwhile_is_not_deleted(self, root, monkeypatch):
        sleeper = open_warehouse(root)
        commit(sleeper, "a", reactor="a")
        sleeper.leases.close()
        needed = Ledger.needed

        def grow(ledger, written):
            commit(sleeper, "b", reactor="b")
            return needed(ledger, written)

        monkeypatch.setattr(Ledger, "needed", grow)
        merge_journal(open_warehouse(root), at_least=1)
        assert texts(open_warehouse(root)) == ["a", "b"]
        sleeper.close()

    @pytest.mark.parametrize("nth", range(1, 9))
    def test_a_full_disk_loses_nothing(self, root, nth):
        self.history(root).close()
        warehouse = open_warehouse(root)
        warehouse.journal._files = FailingFiles(nth)
        with suppress(OSError):
            merge_journal(warehouse, at_least=1)
        assert texts(open_warehouse(root)) == ["a", "b", "c"]

    @pytest.mark.parametrize("nth", range(1, 9))
    def test_a_kill_loses_nothing(self, root, nth):
        self.history(root).close()
        warehouse = open_warehouse(root)
        warehouse.journal._files = KilledFiles(nth)
        with suppress(Killed):
            merge_journal(warehouse, at_least=1)
        warehouse.close()
        assert texts(open_warehouse(root)) == ["a", "b", "c"]

    def test_only_one_process_merges(self, root):
        first, second = self.history(root), open_warehouse(root)
        assert first.claims.take("merging")
        assert not merge_journal(second, at_least=1)
        first.close()
        assert merge_journal(second, at_least=1)

    def test_a_few_files_are_left_alone(self, root):
        assert not merge_journal(self.history(root))

    @pytest.mark.slow
    def test_a_run_merges_when_there_are_many(self, root):
        warehouse = self.history(root, "ab" * 40)
        collect(warehouse, 10**9, only_if_needed=True)
        assert len(warehouse.journal.files()) == 1


class TestEndOfARun:
    def test_it_lists_no_directory(self, warehouse, monkeypatch):
        for letter in "abc":
            commit(warehouse, letter)

        def refuse(self, path, *suffix):
            assert path.name in {"journal", "leases"}, path
            return sizes(self, path, *suffix)

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


class TestSmallValues:
    """Values in the journal itself count like others, once the journal has a size worth mentioning."""

    def fill(self, warehouse, count=200):
        for number in range(count):
            commit(warehouse, f"{number:04d}", size=1000, fingerprint=f"f{number}")

    def size(self, root):
        return sum(path.stat().st_size for path in (root / "journal").iterdir())

    def test_the_oldest_go_and_the_journal_shrinks(self, warehouse, root):
        self.fill(warehouse)
        assert self.size(root) > 400_000
        done = collect(warehouse, 150_000, only_if_needed=True)
        assert 50_000 < self.size(root) < 150_000
        reader = open_warehouse(root)
        assert texts(reader) == texts(warehouse)
        assert len(texts(reader)) == 200 - done.results
        newest = max(reader.ledger.traces(), key=lambda trace: trace.rank)
        assert reader.load(newest.outputs[0]).startswith("0199")

    def test_what_this_process_writes_afterwards_is_seen_by_others(self, warehouse, root):
        self.fill(warehouse)
        collect(warehouse, 100_000, only_if_needed=True)
        commit(warehouse, "later")
        reader = open_warehouse(root)
        assert texts(reader) == texts(warehouse)
        assert warehouse.journal.writer in reader.leases.living()
        merge_journal(reader, at_least=1)  # the file is in use, so it stays
        commit(warehouse, "still later")
        assert texts(open_warehouse(root)) == texts(warehouse)

    def test_current_ones_stay(self, warehouse, root):
        for number in range(200):
            commit(warehouse, f"{number}", size=1000, reactor=f"m.r{number}", fingerprint=f"f{number}")
        assert collect(warehouse, 0, only_if_needed=True).results == 0
        assert len(texts(warehouse)) == 200

    def test_a_short_journal_counts_for_nothing(self, warehouse):
        self.fill(warehouse, 10)
        assert collect(warehouse, 0, only_if_needed=True).results == 0

    def test_records_of_code_go_with_the_last_execution_that_needs_them(self, warehouse, root):
        def record(name, *below):
            edges = {label: ("owner", label, label) for label in below}
            return CodeRecord(NodeKind.FUNCTION, name, "", "x" * 2000, edges)

        for number in range(100):
            warehouse.ledger.latest.put_records(
                {f"f{number}": record("f", f"g{number}"), f"g{number}": record("g")}
            )
            commit(warehouse, "x", size=10, fingerprint=f"f{number}")
        collect(warehouse, 20_000, only_if_needed=True)
        (trace,) = open_warehouse(root).ledger.traces()
        latest = open_warehouse(root).ledger.latest
        assert latest.record("f99").name == "f"
        assert latest.record("g99").name == "g"
        assert latest.record("f98") is None
        assert self.size(root) < 20_000


class FullFiles(HookedFiles):
    """A disk that is full until an object is deleted."""

    is_full = False

    def before(self, call, path):
        if call in ("unlink", "remove_tree"):
            self.is_full = self.is_full and "objects" not in path.parts and "tmp" not in path.parts
        elif self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))


class TestFullDisk:
    @pytest.mark.parametrize("options", [{}, {"unused_for": 0.0}])
    def test_history_makes_room(self, root, options):
        warehouse = open_warehouse(root, files=(files := FullFiles()))
        for letter in "abc":
            commit(warehouse, letter, days_ago=1)
        files.is_full = True
        collection = collect(warehouse, 10_000 if not options else 10**9, **options)
        assert collection.results == len(collection.objects) == 2
        assert collection.freed == 20_000
        assert texts(warehouse) == texts(open_warehouse(root)) == ["c"]


class TestUnused:
    def test_history_that_was_not_used_goes_whatever_its_size(self, warehouse):
        commit(warehouse, "a", days_ago=40)
        commit(warehouse, "b", days_ago=20)
        commit(warehouse, "c", days_ago=50)  # current
        collection = collect(warehouse, 10**9, unused_for=30 * DAY)
        assert texts(warehouse) == ["b", "c"]
        assert collection.results == 1

    def test_what_was_found_up_to_date_since_was_used(self, warehouse):
        old = commit(warehouse, "a", days_ago=40)
        warehouse.ledger.note_used({old.reactor: old})
        newer = commit(warehouse, "b", days_ago=35)
        warehouse.ledger.note_used({old.reactor: old})
        warehouse.ledger.note_used({newer.reactor: newer})
        assert collect(warehouse, 10**9, unused_for=30 * DAY).results == 0


class TestLeftovers:
    def test_old_objects_that_nothing_names_go(self, warehouse):
        warehouse.save("x", LONG, TextSpec)
        commit(warehouse, "a")
        collection = collect(warehouse, 10**9, now=time.time() + 2 * DAY)
        assert collection.freed == len(LONG)
        assert len(collection.objects) == 1
        assert texts(warehouse) == ["a"]

    def test_young_ones_of_another_process_may_be_named_yet(self, warehouse, root):
        other = open_warehouse(root)
        saved = other.save("x", LONG, TextSpec)
        collection = collect(warehouse, 10**9)
        assert not collection.objects
        assert str(collection) == (
            f"Nothing to remove; 0 B stored. {format_size(len(LONG))} that no result names stay for a day."
        )
        other.commit(a_trace(saved))
        assert other.load(saved) == LONG
        other.close()

    def test_all_go_where_no_other_process_has_scratch(self, warehouse, root):
        killed(open_warehouse(root))
        assert collect(warehouse, 10**9).freed == len(LONG)
        assert warehouse.objects.sizes() == {}

    def test_after_the_death_of_a_process_they_go_when_a_run_ends(self, root):
        warehouse = open_warehouse(root)
        killed(open_warehouse(root))
        collect(warehouse, 10**9, only_if_needed=True)
        assert len(warehouse.objects.sizes()) == 1  # nothing told of a death, so nothing is listed
        warehouse.leftovers.are_found = True
        collect(warehouse, 10**9, only_if_needed=True)
        assert warehouse.objects.sizes() == {}
        assert not warehouse.leftovers.are_found

    def test_objects_that_were_named_meanwhile_stay(self, warehouse, root, monkeypatch):
        other = open_warehouse(root)
        saved = other.save("x", LONG, TextSpec)
        identities = warehouse.objects.identities

        def meanwhile():
            found = identities()
            other.commit(a_trace(saved))
            return found

        monkeypatch.setattr(warehouse.objects, "identities", meanwhile)
        assert not collect(warehouse, 10**9, now=time.time() + 2 * DAY).objects

    def test_objects_that_are_stored_again_meanwhile_stay(self, warehouse, root, monkeypatch):
        warehouse.save("x", LONG, TextSpec)
        are_possible = warehouse.leftovers.are_possible

        def meanwhile(own):
            found = are_possible(own)
            other = open_warehouse(root)
            other.commit(a_trace(other.save("x", LONG, TextSpec)))
            other.close()
            return found

        monkeypatch.setattr(warehouse.leftovers, "are_possible", meanwhile)
        warehouse.ledger.refresh()
        traces = tuple(warehouse.ledger.traces())
        monkeypatch.setattr(warehouse.ledger, "traces", lambda: traces)  # the other names it only after that
        assert not collect(warehouse, 10**9).objects
        assert len(warehouse.objects.sizes()) == 1

    @pytest.mark.parametrize("only_if_needed", [False, True])
    def test_objects_that_a_later_version_may_name_stay(self, root, only_if_needed):
        writer = open_warehouse(root)
        writer.journal.append("t", "code.s0", {"unknown": 1})
        killed(writer)
        warehouse = open_warehouse(root)
        warehouse.leftovers.are_found = True
        collect(warehouse, 10**9, now=time.time() + 2 * DAY, only_if_needed=only_if_needed)
        assert warehouse.objects.sizes()

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
        collection = collect(warehouse, 10**9, now=time.time() + QUARANTINE_AGE + DAY)
        assert not list((root / "quarantine").iterdir())
        assert len(collection.leftovers) == 1

    def test_the_age_in_quarantine_counts_from_the_move(self, warehouse, root):
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
    def test_scratch_of_a_dead_process_goes_at_once(self, warehouse, root, dead):
        path = self.scratch(root, scratch_name(dead))
        collection = collect(warehouse, 10**9)
        assert not path.exists()
        assert collection.leftovers == (path.name,)

    def test_scratch_of_a_living_process_stays_at_any_age(self, warehouse):
        path = warehouse.objects.scratch_path()
        path.write_bytes(b"x")
        collect(warehouse, 10**9, now=time.time() + 1000 * DAY)
        assert path.exists()

    @pytest.mark.skipif(os.name == "nt", reason="asking whether a process lives needs signals")
    def test_a_plant_that_is_opened_removes_scratch_of_dead_processes(self, warehouse, root, dead):
        path = self.scratch(root, scratch_name(dead))
        (path / "deeper").mkdir()
        warehouse.leftovers.clean_in_background()
        warehouse.leftovers.wait()
        assert not path.exists()
        assert warehouse.leftovers.are_found

    def test_a_plant_that_is_opened_leaves_the_scratch_of_others_alone(self, warehouse, root):
        path = open_warehouse(root).objects.scratch_path()
        warehouse.leftovers.clean_in_background()
        warehouse.leftovers.wait()
        assert path.parent.exists()
        assert not warehouse.leftovers.are_found

    def test_freed_bytes_include_scratch(self, warehouse, root, dead):
        self.scratch(root, scratch_name(dead))
        assert collect(warehouse, 10**9).freed == 1

    @pytest.mark.parametrize("name", ["{0}x", "other-{0}", "FORMAT-12345678"])
    def test_scratch_of_an_unknown_process_goes_when_it_is_old(self, warehouse, root, dead, name):
        path = self.scratch(root, name.format(scratch_name(dead)))
        collect(warehouse, 10**9)
        assert path.exists()
        collect(warehouse, 10**9, now=time.time() + 2 * DAY)
        assert not path.exists()

    def test_a_loose_file_goes_when_it_is_old(self, warehouse, root):
        path = root / "tmp" / "FORMAT-12345678"
        path.write_bytes(b"x")
        assert list(abandoned_scratch(Files(), root / "tmp", time.time())) == []
        collect(warehouse, 10**9, now=time.time() + 2 * DAY)
        assert not path.exists()

    def test_a_file_still_written_to_is_not_old(self, root):
        path = self.scratch(root, "unknown")
        later = time.time() + 10 * DAY
        os.utime(path / "file", (later, later))
        assert list(abandoned_scratch(Files(), root / "tmp", later)) == []
        os.utime(path / "file", (0, 0))
        assert list(abandoned_scratch(Files(), root / "tmp", later)) == [path]
