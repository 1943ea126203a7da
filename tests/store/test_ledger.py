import pytest

from pyplant.engine.trace import DependencyKind
from pyplant.ingredient import Ingredient
from pyplant.store.files import Files
from pyplant.store.journal import Journal
from pyplant.store.ledger import Ledger

from . import SEALS, FailingFiles, a_trace


@pytest.fixture
def open_ledger(tmp_path):
    """Opens the same journal as another process would."""

    def opened(files=None):
        ledger = Ledger(Journal(files or Files(), tmp_path, seals=SEALS))
        ledger.refresh()
        return ledger

    return opened


def simple(name, digest="d"):
    return Ingredient(name, "simple", digest, inline=b"1")


def newest(ledger, fingerprint="code"):
    tree = ledger.tree(fingerprint)
    return None if tree is None else tree.root.newest


class TestTraces:
    def test_a_trace_comes_back_as_it_was(self, open_ledger):
        trace = open_ledger().add_trace(
            a_trace(simple("x"), config=[("a", "1")], inputs=[("y", "2")], seconds=1.5)
        )
        assert list(open_ledger().traces()) == [trace]
        assert trace.number == 1
        assert trace.writer

    def test_unknown_code_has_no_tree(self, open_ledger):
        open_ledger().add_trace(a_trace())
        assert open_ledger().tree("other") is None

    def test_a_trace_is_seen_by_others_after_their_next_refresh(self, open_ledger):
        writer, reader = open_ledger(), open_ledger()
        writer.add_trace(a_trace(simple("x")))
        assert newest(reader) is None
        reader.refresh()
        assert newest(reader).output("x")

    def test_lines_that_an_interrupt_kept_from_being_applied_are_read_again(self, open_ledger, monkeypatch):
        writer, reader = open_ledger(), open_ledger()
        for name in "xyz":
            writer.add_trace(a_trace(simple(name), fingerprint=name))
        applied, apply = [], Ledger._apply

        def interrupted(self, entry):
            if applied:
                raise KeyboardInterrupt
            applied.append(entry)
            apply(self, entry)

        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "_apply", interrupted)
            with pytest.raises(KeyboardInterrupt):
                reader.refresh()
        reader.refresh()
        assert sorted(trace.fingerprint for trace in reader.traces()) == ["x", "y", "z"]

    def test_the_newest_wins_in_its_own_process(self, open_ledger):
        ledger = open_ledger()
        ledger.add_trace(a_trace(simple("x", "old")))
        assert newest(ledger).output("x").digest == "old"
        ledger.add_trace(a_trace(simple("x", "new")))
        assert newest(ledger).output("x").digest == "new"

    @pytest.mark.parametrize("first", [0, 1])
    def test_the_newest_wins_whichever_file_is_read_first(self, open_ledger, first):
        reader = open_ledger()
        writers = sorted([open_ledger(), open_ledger()], key=lambda ledger: ledger._journal.writer)
        old, new = writers[first], writers[1 - first]
        reader.add_trace(a_trace(simple("x", "oldest")))
        old.refresh()
        old.add_trace(a_trace(simple("x", "old")))
        new.refresh()
        new.add_trace(a_trace(simple("x", "new")))
        assert newest(reader).output("x").digest == "oldest"
        reader.refresh()
        assert newest(reader).output("x").digest == "new"

    def test_an_older_trace_that_is_read_late_does_not_win(self, open_ledger):
        behind = open_ledger()
        ledger = open_ledger()
        for digest in ("1", "2"):
            ledger.add_trace(a_trace(simple("x", digest)))
        assert newest(ledger).output("x").digest == "2"
        behind.add_trace(a_trace(simple("x", "late")))
        ledger.refresh()
        assert newest(ledger).output("x").digest == "2"

    def test_a_trace_that_cannot_be_written_is_not_stored(self, open_ledger):
        ledger = open_ledger(FailingFiles(1))
        with pytest.raises(OSError, match="No space"):
            ledger.add_trace(a_trace(simple("x")))
        assert newest(ledger) is None
        assert not ledger.of_reactor("garden.make")
        assert not list(open_ledger().traces())

    def test_of_reactor_gives_any_code_oldest_first(self, open_ledger):
        ledger = open_ledger()
        for code in ("b", "a", "c"):
            ledger.add_trace(a_trace(fingerprint=code))
        ledger.add_trace(a_trace(reactor="garden.other"))
        assert [trace.fingerprint for trace in ledger.of_reactor("garden.make")] == ["b", "a", "c"]
        assert [trace.fingerprint for trace in open_ledger().of_reactor("garden.make")] == ["b", "a", "c"]
        ledger.add_trace(a_trace(fingerprint="d"))
        assert [trace.fingerprint for trace in ledger.of_reactor("garden.make")] == ["b", "a", "c", "d"]

    def test_senders_come_newest_first(self, open_ledger):
        ledger = open_ledger()
        for reactor in ("first", "second"):
            ledger.add_trace(a_trace(simple("x"), reactor=reactor, fingerprint=reactor))
        ledger.add_trace(a_trace(simple("y"), reactor="third"))
        assert [trace.reactor for trace in ledger.senders_of("x")] == ["second", "first"]


class TestForgetting:
    def test_an_invalidated_reactor_has_no_traces_in_any_process(self, open_ledger):
        ledger = open_ledger()
        ledger.add_trace(a_trace())
        ledger.add_trace(a_trace(reactor="renamed"))
        ledger.add_trace(a_trace(reactor="other", fingerprint="other"))
        ledger.forget("garden.make", "code")
        for view in (ledger, open_ledger()):
            assert view.tree("code") is None
            assert [trace.reactor for trace in view.traces()] == ["other"]
            assert view.was_forgotten("garden.make")
            assert not view.was_forgotten("other")

    def test_an_invalidation_is_synced(self, open_ledger):
        writer, other = open_ledger(), open_ledger()
        writer.add_trace(a_trace())
        writer.forget("garden.make", "code")
        other.refresh()
        assert not list(other.traces())

    def test_later_traces_are_not_invalidated(self, open_ledger):
        ledger = open_ledger()
        ledger.add_trace(a_trace(simple("x", "old")))
        ledger.forget("garden.make", "code")
        ledger.add_trace(a_trace(simple("x", "new")))
        for view in (ledger, open_ledger()):
            assert [trace.output("x").digest for trace in view.traces()] == ["new"]

    def test_unread_traces_of_other_processes_are_invalidated_too(self, open_ledger):
        behind, other = open_ledger(), open_ledger()
        for _ in range(5):
            other.add_trace(a_trace())
        behind.forget("garden.make", "code")
        assert not list(open_ledger().traces())

    def test_control_without_a_refresh_they_are_not_invalidated(self, open_ledger, monkeypatch):
        behind, other = open_ledger(), open_ledger()
        for _ in range(5):
            other.add_trace(a_trace())
        monkeypatch.setattr(behind, "refresh", lambda: None)
        behind.forget("garden.make", "code")
        assert len(list(open_ledger().traces())) == 4

    def test_evicting_removes_these_traces_only(self, open_ledger):
        ledger = open_ledger()
        traces = [ledger.add_trace(a_trace(config=[("a", str(value))])) for value in range(4)]
        assert newest(ledger)
        ledger.evict([trace.rank for trace in traces[1:3]])
        for view in (ledger, open_ledger()):
            assert list(view.traces()) == [traces[0], traces[3]]
            assert view.of_reactor("garden.make") == [traces[0], traces[3]]
            assert not view.was_forgotten("garden.make")
            tree = view.tree("code")
            assert tree.root.questions[DependencyKind.PARAMETER, ("a",)].keys() == {("0",), ("3",)}

    def test_a_failed_eviction_removes_nothing(self, open_ledger):
        open_ledger().add_trace(a_trace())
        ledger = open_ledger(FailingFiles(1))
        with pytest.raises(OSError, match="No space"):
            ledger.evict([trace.rank for trace in ledger.traces()])
        assert len(list(ledger.traces())) == 1


class TestUse:
    def lines(self, ledger):
        """How many lines the next flush writes."""
        return len(ledger._journal._pending)

    def note(self, ledger, *traces, name=None):
        for trace in traces:
            ledger.note_used({name or trace.reactor: trace})
        ledger._journal.flush()

    def test_using_an_older_trace_makes_it_current_in_all_processes(self, open_ledger):
        ledger = open_ledger()
        old, new = (ledger.add_trace(a_trace(simple("x", code), fingerprint=code)) for code in ("old", "new"))
        assert ledger.current() == open_ledger().current() == {new.rank}
        self.note(ledger, old)
        for view in (ledger, open_ledger()):
            assert view.recency(old) > view.recency(new)
            assert view.current() == {old.rank}
            assert view.senders_of("x") == [old, new]

    def test_using_the_current_trace_writes_nothing(self, open_ledger):
        ledger = open_ledger()
        old, new = (ledger.add_trace(a_trace(simple("x", code), fingerprint=code)) for code in ("old", "new"))
        for view in (ledger, open_ledger()):
            view.note_used({"garden.make": new})
            assert self.lines(view) == 0
        self.note(ledger, old)
        for view in (ledger, open_ledger()):
            view.note_used({"garden.make": old})
            assert self.lines(view) == 0
            view.note_used({"garden.make": new})
            assert self.lines(view) == 1

    def test_using_a_trace_under_a_new_name_is_written_once(self, open_ledger):
        ledger = open_ledger()
        trace = ledger.add_trace(a_trace(simple("x")))
        self.note(ledger, trace, name="garden.renamed")
        view = open_ledger()
        view.note_used({"garden.renamed": trace})
        assert self.lines(view) == 0

    def test_each_name_of_a_reactor_has_its_own_current_trace(self, open_ledger):
        ledger = open_ledger()
        first = ledger.add_trace(a_trace(simple("x", "1"), fingerprint="1"))
        second = ledger.add_trace(a_trace(simple("x", "2"), fingerprint="2"))
        self.note(ledger, first, name="garden.renamed")
        assert ledger.current() == open_ledger().current() == {first.rank, second.rank}

    def test_using_a_trace_again_after_another_sender_is_written(self, open_ledger):
        ledger = open_ledger()
        first = ledger.add_trace(a_trace(simple("x", "1"), reactor="garden.first", fingerprint="1"))
        second = ledger.add_trace(a_trace(simple("x", "2"), reactor="garden.second", fingerprint="2"))
        assert ledger.senders_of("x") == [second, first]
        self.note(ledger, first)
        assert ledger.senders_of("x") == open_ledger().senders_of("x") == [first, second]
        assert ledger.current() == {first.rank, second.rank}

    def test_after_an_eviction_the_previous_trace_is_current(self, open_ledger):
        ledger = open_ledger()
        old, new = (ledger.add_trace(a_trace(fingerprint=code)) for code in ("old", "new"))
        ledger.evict([new.rank])
        assert ledger.current() == open_ledger().current() == {old.rank}

    def test_a_trace_is_announced_before_others_see_it(self, open_ledger):
        ledger, other = open_ledger(), open_ledger()
        seen = []

        def announced(trace):
            other.refresh()
            seen.append((trace.number, list(other.traces())))

        trace = ledger.add_trace(a_trace(), announce=announced)
        assert seen == [(trace.number, [])]

    @pytest.mark.parametrize("key", ["code", "code.0123456789ab"])
    def test_using_a_trace_of_an_earlier_version_is_written(self, open_ledger, key):
        journal = open_ledger()._journal
        entry = journal.append("t", key, a_trace(simple("x")).to_json())
        journal.append("u", "-", [[entry.number, entry.writer, 1000, "0123456789ab"]])
        journal.flush()
        ledger = open_ledger()
        (trace,) = ledger.traces()
        assert ledger.current() == {trace.rank}
        self.note(ledger, trace)
        view = open_ledger()
        view.note_used({"garden.make": trace})
        assert self.lines(view) == 0
        assert view.current() == {trace.rank}


class TestOther:
    def test_state_and_nondeterminism_are_read_back(self, open_ledger):
        ledger = open_ledger()
        ledger.add_state({("m", "a")})
        ledger.add_state({("m", "b")})
        ledger.put_nondeterministic("garden.make")
        ledger._journal.flush()
        assert open_ledger().state == {("m", "a"), ("m", "b")}
        assert open_ledger().is_nondeterministic("garden.make")
        assert not open_ledger().is_nondeterministic("other")

    def test_known_damage_is_remembered(self, open_ledger):
        ledger = open_ledger()
        ledger.put_known_damage(3)
        ledger._journal.flush()
        assert open_ledger().known_damage == 3

    @pytest.mark.parametrize("kind", list("tcnifsdxeuk?"))
    @pytest.mark.parametrize("payload", [None, 5, "text", [], [5], [[]], [["a"]], {}, {"r": 1}, [[1, 2, 3]]])
    def test_lines_of_another_version_are_ignored(self, open_ledger, kind, payload):
        journal = open_ledger()._journal
        journal.append(kind, "key", payload)
        journal.flush()
        ledger = open_ledger()
        assert not list(ledger.traces())
        assert ledger.tree("key") is None
        assert ledger.latest.get_part("key") is None
        assert ledger.latest.record("key") is None
        ledger.latest.identity("key")
        ledger.latest.input_file("key")
        trace = ledger.add_trace(a_trace())
        assert list(ledger.traces()) == [trace]

    def test_traces_of_another_version_are_counted(self, open_ledger):
        journal = open_ledger()._journal
        journal.append("t", "code", {"unknown": 1})
        journal.flush()
        ledger = open_ledger()
        list(ledger.traces())
        assert ledger.unknown_traces == 1
