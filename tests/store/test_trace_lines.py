"""Traces are read again and parsed when they are needed, and only then."""

from contextlib import closing

import pytest

from pyplant.engine.trace import Trace
from pyplant.ingredient import Ingredient
from pyplant.store import trace_lines
from pyplant.store.files import Files
from pyplant.store.journal import Journal
from pyplant.store.retention import collect, merge_journal

from . import LONG, SEALS, TextSpec, a_trace, open_warehouse


@pytest.fixture
def root(tmp_path):
    return tmp_path / "plant"


@pytest.fixture(autouse=True, params=[0, trace_lines._KEPT_LINES])
def kept_lines(request, monkeypatch):
    """Small plants keep all lines in memory, large ones do not."""
    monkeypatch.setattr(trace_lines, "_KEPT_LINES", request.param)


@pytest.fixture
def parsed(monkeypatch):
    """Names of the reactors whose traces were parsed."""
    names, parse = [], Trace.from_json

    def counted(data, *arguments, **options):
        names.append(data["r"])
        return parse(data, *arguments, **options)

    monkeypatch.setattr(Trace, "from_json", counted)
    return names


def fill(root, reactors, executions=1):
    """Commit executions, in a process of its own as far as the store can tell."""
    with closing(open_warehouse(root)) as writer:
        for number in range(executions):
            for name in reactors:
                value = Ingredient(f"of {name}", "simple", f"{name}{number}", inline=b"1")
                writer.commit(
                    a_trace(value, reactor=name, fingerprint=f"code-{name}", config=[("n", str(number))])
                )


REACTORS = [f"r{number}" for number in range(20)]


class TestWhatIsParsed:
    def test_opening_parses_nothing(self, root, parsed):
        fill(root, REACTORS)
        open_warehouse(root).ledger.refresh()
        assert parsed == []

    @pytest.mark.parametrize(
        "ask",
        [
            lambda ledger: ledger.tree("code-r7"),
            lambda ledger: ledger.last("r7"),
            lambda ledger: ledger.last_used("r7"),
            lambda ledger: ledger.of_reactor("r7"),
            lambda ledger: ledger.senders_of("of r7"),
        ],
    )
    def test_of_one_reactor_only_its_own_traces_are(self, root, parsed, ask):
        fill(root, REACTORS, 3)
        assert ask(open_warehouse(root).ledger)
        assert parsed == ["r7"] * 3

    def test_of_a_reactor_that_never_ran_none_is(self, root, parsed):
        fill(root, REACTORS)
        ledger = open_warehouse(root).ledger
        assert ledger.tree("new-code") is None
        assert ledger.last("new") is None
        assert ledger.senders_of("new") == []
        ledger.note_used({})
        assert parsed == []

    def test_none_is_to_see_that_a_plant_is_not_too_large(self, root, parsed):
        fill(root, REACTORS)
        with closing(open_warehouse(root)) as writer:
            writer.commit(a_trace(writer.save("x", LONG, TextSpec)))
        warehouse = open_warehouse(root)
        assert warehouse.ledger.most_bytes == len(LONG)
        assert collect(warehouse, 10**9, only_if_needed=True).stored == len(LONG)
        assert parsed == []
        collect(warehouse, 10_000, only_if_needed=True)
        assert parsed

    def test_all_are_if_an_earlier_version_wrote_no_sizes(self, root, parsed, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(
                "pyplant.store.ledger.key_of", lambda trace, topics: ".".join([trace.fingerprint, *topics])
            )
            patch.setattr(trace_lines.TraceLines, "add", lambda self, key, trace: None)
            fill(root, REACTORS)
        warehouse = open_warehouse(root)
        assert warehouse.ledger.most_bytes is None
        collect(warehouse, 10**9, only_if_needed=True)
        assert set(parsed) == set(REACTORS)
        assert warehouse.ledger.last("r7").reactor == "r7"

    def test_traces_without_topics_are_found(self, root, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(
                "pyplant.store.ledger.key_of", lambda trace, topics: f"{trace.fingerprint}.0123456789ab"
            )
            patch.setattr(trace_lines.TraceLines, "add", lambda self, key, trace: None)
            fill(root, REACTORS)
        ledger = open_warehouse(root).ledger
        assert ledger.last("r7").reactor == "r7"
        assert [trace.reactor for trace in ledger.senders_of("of r7")] == ["r7"]


class TestMovedLines:
    def test_lines_that_another_process_has_merged_are_found_at_their_new_place(self, root):
        for name in REACTORS:
            fill(root, [name])
        reader = open_warehouse(root)
        with closing(open_warehouse(root)) as other:
            assert merge_journal(other, at_least=1)
        assert reader.ledger.last("r7").reactor == "r7"
        assert sorted(trace.reactor for trace in reader.ledger.traces()) == sorted(REACTORS)

    def test_what_was_parsed_before_is_not_there_twice(self, root):
        for name in REACTORS:
            fill(root, [name])
        reader = open_warehouse(root)
        reader.ledger.last("r7")
        with closing(open_warehouse(root)) as other:
            merge_journal(other, at_least=1)
        reader.ledger.refresh()
        assert len(reader.ledger.of_reactor("r7")) == 1
        assert sorted(trace.reactor for trace in reader.ledger.traces()) == sorted(REACTORS)

    def test_an_interrupt_loses_no_trace(self, root, monkeypatch):
        fill(root, ["r7"], 5)
        ledger = open_warehouse(root).ledger
        left, parse = [2], Trace.from_json

        def interrupted(*arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return parse(*arguments, **options)

        monkeypatch.setattr(Trace, "from_json", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ledger.tree("code-r7")
        assert len(ledger.of_reactor("r7")) == 5


class TestNewestFirst:
    @pytest.fixture
    def reader(self, root):
        """Three files, whose writers used the same numbers."""
        writers = [open_warehouse(root) for _ in range(3)]
        for writer in writers:
            for number in range(4):
                value = Ingredient("x", "simple", f"{number}", inline=b"1")
                writer.ledger.add_trace(a_trace(value, reactor="r", fingerprint=f"code{number % 2}"))
        for writer in writers:
            writer.close()
        return open_warehouse(root).ledger

    def test_traces_come_by_age(self, reader):
        reader.refresh()
        reader.tree("code1")  # is kept, and the others are read again
        found = list(reader.newest_first("r"))
        assert found == list(reversed(reader.of_reactor("r")))
        assert len(found) == 12

    def test_files_are_merged_meanwhile(self, root, reader):
        reader.refresh()
        found = reader.newest_first("r")
        first = [next(found), next(found)]
        with closing(open_warehouse(root)) as other:
            assert merge_journal(other, at_least=1)
        reader._journal._blocks.clear()
        assert first + list(found) == list(reversed(reader.of_reactor("r")))

    def test_what_is_evicted_or_of_another_reactor_is_left_out(self, reader):
        reader.refresh()
        newest = next(reader.newest_first("r"))
        reader.evict([newest.rank])
        assert len(list(reader.newest_first("r"))) == 11
        assert list(reader.newest_first("s")) == []


class TestReadingAgain:
    def lines(self, root, sizes):
        writer = Journal(Files(), root, seals=SEALS)
        for number, size in enumerate(sizes):
            writer.append("z", str(number), "x" * size)
        writer.close()
        reader = Journal(Files(), root, seals=SEALS)
        return reader, list(reader.read_new())

    def test_lines_come_back_as_they_were(self, root):
        reader, entries = self.lines(root, [1, 100, 70_000, 1, 200_000, 5])
        assert list(reader.read_again(entry.place for entry in entries)) == entries
        assert list(reader.read_again([entries[3].place])) == [entries[3]]

    def test_lines_that_follow_one_another_are_read_together(self, root):
        reader, entries = self.lines(root, [100] * 200)
        calls, read = [], reader._files.read
        reader._files.read = lambda *arguments: calls.append(arguments) or read(*arguments)
        assert len(list(reader.read_again(entry.place for entry in entries))) == 200
        assert len(calls) < 5

    def test_a_line_that_was_damaged_since_is_left_out(self, root):
        reader, entries = self.lines(root, [10, 10, 10])
        (file,) = root.glob("*.log")
        file.write_bytes(file.read_bytes().replace(b" 1 ", b" 7 "))
        assert list(reader.read_again(entry.place for entry in entries)) == [entries[0], entries[2]]

    def test_all_traces_are_read_in_the_order_of_the_file(self, root, monkeypatch):
        monkeypatch.setattr(trace_lines, "_KEPT_LINES", 0)
        monkeypatch.setattr("pyplant.store.journal._BLOCK_BYTES", 2048)
        fill(root, REACTORS, 20)
        (file,) = (root / "journal").glob("*.log")
        blocks = file.stat().st_size / 2048
        assert blocks > 32  # more than are kept
        warehouse = open_warehouse(root)
        calls, read = [], warehouse.files.read
        monkeypatch.setattr(
            warehouse.files, "read", lambda *arguments: calls.append(arguments) or read(*arguments)
        )
        assert len(list(warehouse.ledger.traces())) == 400
        assert len(calls) < blocks + 5

    def test_parsed_traces_are_not_read_a_second_time(self, root):
        fill(root, ["r7"], 3)
        ledger = open_warehouse(root).ledger
        assert len(list(ledger.traces())) == 3
        assert len(ledger.of_reactor("r7")) == 3
        assert len(list(ledger.traces())) == 3
