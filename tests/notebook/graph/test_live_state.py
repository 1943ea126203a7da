"""States of reactors during a run, and snapshots of them."""

import contextvars
import gc
import json
import threading
import time
import weakref

import pytest

from pyplant.events import (
    IngredientReceived,
    IngredientSent,
    ProgressAdvanced,
    ReactorAssigned,
    ReactorBlocked,
    ReactorCached,
    ReactorFailed,
    ReactorFinished,
    ReactorResumed,
    ReactorStarted,
    ReactorWaiting,
    RunFinished,
    RunStarted,
)
from pyplant.notebook.graph import live_state as module
from pyplant.notebook.graph import node_state
from pyplant.notebook.graph.live_state import LiveState
from pyplant.notebook.graph.node_state import NodeState
from pyplant.reports.report import Outcome, ReactorEntry, RunReport

PATIENCE = 20  # seconds, for what takes a tenth of one


class Clock:
    """A clock that tests move forward."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Watched:
    """A live state that collects what it publishes."""

    def __init__(self, *entries, version=1):
        self.sent = []
        self.told = []
        self.news = threading.Condition()
        self.live = LiveState(self.take, lambda: self.told.append("began"), self.told.append)
        self.live.set_nodes(version, {f"n{n}": NodeState(entry) for n, entry in enumerate(entries)})

    def take(self, traits):
        with self.news:
            self.sent.append((time.monotonic(), threading.current_thread(), traits))
            self.news.notify_all()

    def wait_for(self, count):
        with self.news:
            assert self.news.wait_for(lambda: len(self.sent) >= count, PATIENCE)

    @property
    def states(self):
        return [traits["state"] for _, _, traits in self.sent]

    def after(self, *events):
        """Return a snapshot after the given events."""
        for event in events:
            self.live(event)
        return self.live.snapshot()

    def node(self, *events):
        return self.after(*events)["nodes"]["n0"]


@pytest.fixture
def watch():
    made = []

    def start(*entries, **options):
        made.append(Watched(*entries, **options))
        return made[-1]

    yield start
    for watched in made:
        watched.live.close()


@pytest.fixture
def one(watch):
    """One reactor that never ran, called ``a``."""
    return watch(ReactorEntry("a", Outcome.NEW))


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module.time, "time", clock)
    return clock


def report(*entries):
    return RunFinished(RunReport("a", entries, 1.0))


# ---------------------------------------------------------------------- what is said


def test_a_snapshot_is_complete_and_numbered(watch):
    watched = watch(
        ReactorEntry("a", Outcome.CACHED, seconds=0.155491, size=10, finished=99.0),
        ReactorEntry("b", Outcome.NEW),
    )
    first, second = watched.live.snapshot(), watched.live.snapshot()
    assert second["seq"] == first["seq"] + 1
    assert first["nodes"] == {"n0": {"o": "cached", "s": 0.155491, "b": 10, "f": 99}, "n1": {"o": "new"}}
    assert first["title"] == "2 reactors: 1 new, 1 cached"
    assert (first["version"], first["run"], first["checked"]) == (1, None, True)
    json.dumps(first)


def test_empty_values_are_left_out(one):
    assert one.node() == {"o": "new"}


def test_runs_are_numbered_and_have_targets(one):
    state = one.after(RunStarted(("a", "b")))
    assert (state["run"], state["target"]) == (1, "a, b")
    assert one.after(report())["run"] is None
    assert one.after(RunStarted(("c",)))["run"] == 2


def test_a_running_reactor_has_its_start_and_expected_time(watch, clock):
    watched = watch(ReactorEntry("a", Outcome.STALE, seconds=41.0, finished=1.0))
    clock.now = 2000.0
    assert watched.node(ReactorStarted("a")) == {"o": "running", "s": 41.0, "f": 1, "t": 2000.0, "e": 41.0}


def test_a_new_reactor_has_no_expected_time(one):
    assert "e" not in one.node(ReactorStarted("a"))


def test_a_running_reactor_has_its_worker_until_it_ends(one):
    running = one.node(ReactorStarted("a"), ReactorAssigned("a", "process 4711 on host b"))
    assert running["h"] == "process 4711 on host b"
    assert "h" not in one.node(ReactorWaiting("a", ("x",)))
    assert one.node(ReactorResumed("a"))["h"] == "process 4711 on host b"
    assert "h" not in one.node(ReactorFinished("a", 1.0))
    assert "h" not in one.node(ReactorStarted("a"))


def test_waiting_does_not_count_as_running(one, clock):
    one.after(ReactorStarted("a"))
    clock.now += 3
    assert one.node(ReactorWaiting("a", ("x", "y"))) == {"o": "waiting", "t": 1003.0, "w": "waits for x, y"}
    clock.now += 100
    assert one.node(ReactorResumed("a")) == {"o": "running", "t": 1100.0}
    clock.now += 2
    one.after(ReactorWaiting("a", ("z",)))
    clock.now += 100
    assert one.node(ReactorResumed("a"))["t"] == clock.now - 5


def test_a_second_start_begins_again(one, clock):
    one.after(ReactorStarted("a"))
    clock.now += 3
    one.after(ReactorWaiting("a", ("x",)), ReactorStarted("a"))
    assert one.node(ReactorResumed("a"))["t"] == clock.now


def test_repeated_events_of_another_process_are_not_sent(one):
    blocked = ReactorBlocked("a", "kernel 4711 on host a", 900.0)
    assert one.node(blocked) == {"o": "waiting", "t": 900.0, "w": "computed by kernel 4711 on host a"}
    one.live.send()
    one.live._next_send_at = time.monotonic() + PATIENCE
    one.live(blocked)
    assert not one.live.is_send_due


def test_a_finished_reactor_has_time_and_size(one, clock):
    events = (
        ReactorStarted("a"),
        IngredientSent("a", "x", "array", 70),
        IngredientSent("a", "y", "array", 7),
    )
    assert "b" not in one.node(*events)
    assert one.node(ReactorFinished("a", 2.5)) == {
        **{"o": "ran", "s": 2.5, "b": 77, "f": 1000},
        "q": [["x", "array", 70], ["y", "array", 7]],
    }


def test_a_result_that_was_not_kept_is_marked(one):
    assert one.node(ReactorStarted("a"), ReactorFinished("a", 1.0, kept=False))["w"] == "not kept"


def test_a_cached_reactor_is_no_longer_stale(watch):
    watched = watch(ReactorEntry("a", Outcome.STALE, certain=False))
    assert watched.node() == {"o": "stale", "sure": False}
    assert watched.node(ReactorCached("a", 1.0)) == {"o": "cached"}


def test_a_failure_is_one_line(one):
    node = one.node(ReactorStarted("a"), ReactorFailed("a", ValueError("first\nsecond")))
    assert (node["o"], node["w"]) == ("failed", "ValueError: first\ufffdsecond")
    assert len(one.node(ReactorFailed("a", ValueError("x" * 10_000)))["w"]) == 200
    assert one.node(ReactorFailed("a", ValueError()))["w"] == "ValueError"


def test_what_the_user_stopped_has_not_failed(watch):
    watched = watch(ReactorEntry("a", Outcome.STALE, seconds=1.0, finished=1.0))
    stopped = watched.node(ReactorStarted("a"), ReactorFailed("a", KeyboardInterrupt()))
    assert stopped == {"o": "stale", "s": 1.0, "f": 1}


def test_an_error_without_text_shows_its_class(one):
    class Rude(Exception):
        def __str__(self):
            raise RuntimeError

    assert one.node(ReactorFailed("a", Rude()))["w"] == "Rude"


def test_skipped_reactors_are_marked_at_the_end(one):
    assert one.node(report(ReactorEntry("a", Outcome.SKIPPED)))["o"] == "skipped"


def test_no_reactor_is_running_after_an_interrupted_run(watch):
    watched = watch(ReactorEntry("a", Outcome.STALE), ReactorEntry("b", Outcome.CACHED))
    events = (ReactorStarted("a"), ReactorStarted("b"), ReactorWaiting("b", ("x",)), report())
    assert [node["o"] for node in watched.after(*events)["nodes"].values()] == ["stale", "cached"]


def test_unknown_reactors_are_ignored(one):
    others = [
        ReactorStarted("z"),
        ReactorBlocked("z", "b", 1.0),
        ReactorWaiting("z", ("x",)),
        ReactorResumed("z"),
        ReactorCached("z", 1.0),
        IngredientSent("z", "x", "array", 1),
        IngredientReceived("z", "x"),
        ProgressAdvanced("z", "", 1, 2),
        ReactorFinished("z", 1.0),
        ReactorFailed("z", ValueError()),
        report(ReactorEntry("z", Outcome.SKIPPED)),
    ]
    assert one.node(*others) == {"o": "new"}


# ---------------------------------------------------------------------- loops


def loops(one, *events):
    return one.node(ReactorStarted("a"), *(ProgressAdvanced("a", *event) for event in events))["p"]


def test_a_loop_has_its_last_progress(one):
    assert loops(one, ("rounds", 0, 4), ("rounds", 1, 4)) == [["rounds", 1, 4]]


def test_the_outer_loop_comes_first_and_finished_loops_last(one):
    events = [("load", 9, 9), ("epochs", 1, 4), ("batches", 7, 10), ("endless", 3, None)]
    assert [loop[0] for loop in loops(one, *events)] == ["epochs", "batches", "endless", "load"]


def test_the_number_of_loops_is_limited_and_the_outer_loop_stays(one):
    events = [("epochs", 1, 400), *(event for n in range(50) for event in [(f"epoch {n}", 9, 9)])]
    assert [loop[0] for loop in loops(one, *events, ("last", 1, 2))][:2] == ["epochs", "last"]
    assert len(loops(one, *events)) == 4


def test_a_finished_reactor_has_no_loops(one):
    loops(one, ("rounds", 1, 4))
    assert "p" not in one.node(ReactorFinished("a", 1.0))


def test_descriptions_have_no_control_characters(one):
    (loop,) = loops(one, ("a\nb" + "x" * 1000, 1, 2))
    assert loop[0].startswith("a\ufffdb")
    assert len(loop[0]) == 200


# ---------------------------------------------------------------------- views


def test_new_nodes_replace_the_old_ones(one):
    one.after(ReactorStarted("a"))
    one.live.set_nodes(
        2,
        {
            "n0": NodeState(ReactorEntry("b", Outcome.CACHED)),
            "n1": NodeState(ReactorEntry("a", Outcome.CACHED)),
        },
    )
    assert one.live.snapshot()["version"] == 2
    assert one.after(ReactorStarted("a"))["nodes"] == {
        "n0": {"o": "cached"},
        "n1": {"o": "running", "t": pytest.approx(time.time(), abs=60)},
    }


def test_setting_nodes_reports_whether_anything_changed(one):
    same, other = ReactorEntry("a", Outcome.NEW), ReactorEntry("a", Outcome.STALE)
    assert not one.live.set_nodes(1, {"n0": NodeState(same)})
    assert one.live.set_nodes(1, {"n0": NodeState(other)})
    assert one.live.set_nodes(2, {"n0": NodeState(other)})
    one.live.checked = False
    assert one.live.set_nodes(2, {"n0": NodeState(other)})
    assert one.live.checked


# ---------------------------------------------------------------------- when it is said


def test_the_first_snapshot_is_sent_in_the_thread_of_the_event(one):
    one.live(ReactorStarted("a"))
    ((_, thread, _),) = one.sent
    assert thread is threading.current_thread()


def test_later_snapshots_are_sent_by_another_thread(one):
    one.live(RunStarted(("a",)))
    one.live(ReactorStarted("a"))
    assert len(one.sent) == 1
    one.wait_for(2)
    (first, _, _), (second, thread, _) = one.sent
    assert thread is not threading.current_thread()
    assert thread.daemon
    assert second - first >= 0.1
    assert one.states[-1]["nodes"]["n0"]["o"] == "running"


def test_at_most_ten_snapshots_a_second_are_sent_and_the_last_one_is(one):
    end = time.monotonic() + 0.5
    done = 0
    one.live(ReactorStarted("a"))
    while time.monotonic() < end:
        done += 1
        one.live(ProgressAdvanced("a", "", done, None))
        time.sleep(0.001)
    with one.news:
        assert one.news.wait_for(lambda: one.states[-1]["nodes"]["n0"]["p"] == [["", done, None]], PATIENCE)
    moments = [moment for moment, _, _ in one.sent]
    assert min(after - before for before, after in zip(moments, moments[1:])) >= 0.1


def test_slow_snapshots_are_sent_less_often(one, monkeypatch):
    monkeypatch.setattr(module.time, "thread_time", iter([0.0, 0.5]).__next__)
    one.live.send()
    assert one.live._next_send_at > time.monotonic() + 5


def test_events_do_not_wait_for_a_snapshot_that_is_being_sent(one):
    """Another thread sends the snapshot; the run continues, and its events are in the next one."""
    sending, may_end = threading.Event(), threading.Event()

    def take_long(traits):
        sending.set()
        may_end.wait(PATIENCE)

    one.live(ReactorStarted("a"))
    one.live._publish = take_long
    one.live(ReactorFinished("a", 0.1, True))  # too soon: our thread sends it
    assert sending.wait(PATIENCE)
    one.live._publish = one.take
    run = threading.Thread(target=one.live, args=(ReactorStarted("a"),))
    run.start()
    run.join(PATIENCE / 10)
    is_stuck = run.is_alive()
    may_end.set()
    run.join()
    assert not is_stuck
    one.wait_for(2)
    assert one.states[-1]["nodes"]["n0"]["o"] == "running"


def test_after_a_run_the_last_snapshot_is_repeated(one):
    one.live(RunStarted(("a",)))
    one.live(ReactorStarted("a"))
    one.live(ReactorFinished("a", 0.1))
    one.live(report())
    one.wait_for(3)
    last, again = one.states[-2:]
    assert (last["run"], again["run"]) == (None, None)
    assert last["nodes"] == again["nodes"] == {"n0": one.live.nodes["n0"].data()}
    assert again["seq"] == last["seq"] + 1


def test_many_short_runs_do_not_make_many_snapshots(one):
    for _ in range(500):
        one.live(RunStarted(("a",)))
        one.live(report())
    assert len(one.sent) <= 1 + 10 * (one.sent[-1][0] - one.sent[0][0]) + 1


def test_the_thread_runs_in_the_context_of_its_creation(monkeypatch):
    variable = contextvars.ContextVar("variable")
    variable.set("of the cell")
    seen = []
    done = threading.Event()

    def publish(traits):
        seen.append(variable.get(None))
        if len(seen) == 2:
            done.set()

    live = LiveState(publish, lambda: None, lambda report: None)
    live.request_send()
    live.request_send()
    assert done.wait(PATIENCE)
    live.close()
    assert seen == ["of the cell"] * 2


def graph_threads():
    return [thread for thread in threading.enumerate() if thread.name == "pyplant-graph"]


def test_closing_ends_and_releases_the_thread():
    before = graph_threads()
    live = LiveState(lambda traits: None, lambda: None, lambda report: None)
    (thread,) = set(graph_threads()) - set(before)
    live.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    gone = weakref.ref(live)
    del live, thread
    gc.collect()
    assert gone() is None


def test_the_thread_survives_a_message_that_cannot_be_sent(one):
    def fail(traits):
        one.take(traits)
        raise RuntimeError("no kernel")

    one.live._publish = fail
    with pytest.raises(RuntimeError):
        one.live.request_send()
    for count in (2, 3):  # in its own thread
        one.live.request_send()
        one.wait_for(count)


def test_without_threads_a_due_snapshot_is_sent_with_the_next_event(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    watched = Watched(ReactorEntry("a", Outcome.NEW))
    watched.live(ReactorStarted("a"))
    watched.live(ProgressAdvanced("a", "", 1, 2))
    assert len(watched.sent) == 1
    assert watched.live.is_send_due
    watched.live._next_send_at = 0.0
    watched.live(ProgressAdvanced("a", "", 2, 2))
    assert watched.states[-1]["nodes"]["n0"]["p"] == [["", 2, 2]]


def test_setting_nodes_reports_a_change_while_a_snapshot_is_due(one):
    one.live(ReactorStarted("a"))
    one.live._next_send_at = time.monotonic() + PATIENCE
    one.live(ProgressAdvanced("a", "", 1, 2))
    assert one.live.set_nodes(1, one.live.nodes)


def test_callbacks_are_called_for_runs(one):
    one.live(RunStarted(("a",)))
    end = report()
    one.live(end)
    assert one.told == ["began", end.report]


def test_a_change_while_another_thread_takes_a_snapshot_is_in_the_next_one(monkeypatch):
    node, items = NodeState(ReactorEntry("a", Outcome.CACHED)), NodeState._items

    def interrupted(self):
        found = list(items(self))
        if self.outcome is Outcome.CACHED:
            self.start()
        return found

    monkeypatch.setattr(NodeState, "_items", interrupted)
    assert node.data()["o"] == "cached"
    assert node.data()["o"] == "running"


def test_a_snapshot_in_the_middle_of_a_change_is_not_kept(monkeypatch):
    node, set_idle = NodeState(ReactorEntry("a", Outcome.CACHED)), NodeState.set_idle

    def with_snapshot(self, *arguments):
        set_idle(self, *arguments)
        self.data()

    monkeypatch.setattr(NodeState, "set_idle", with_snapshot)
    node.start()
    assert node.data()["t"] > 1e9
    node.sent("x", "array", 5)
    node.finish(2.0, kept=True)
    assert (node.data()["s"], node.data()["b"]) == (2.0, 5)


def test_a_loop_may_begin_while_a_snapshot_is_taken(monkeypatch):
    node, clean = NodeState(ReactorEntry("a", Outcome.RUNNING)), node_state.clean
    node.advance("first", 1, 2)

    def slow(text):
        node.advance("second", 1, 2)
        return clean(text)

    monkeypatch.setattr(node_state, "clean", slow)
    assert node.data()["p"] == [["first", 1, 2]]
    assert node.data()["p"] == [["first", 1, 2], ["second", 1, 2]]


def test_what_was_sent_counts_when_the_reactor_has_finished(one):
    running = one.node(RunStarted(("a",)), ReactorStarted("a"), IngredientSent("a", "x", "array", 80))
    assert "q" not in running
    assert one.node(ReactorFinished("a", 1.0))["q"] == [["x", "array", 80]]


def test_a_failure_has_its_time(one, clock):
    clock.now = 2000.0
    assert one.node(ReactorStarted("a"), ReactorFailed("a", ValueError("boom")))["x"] == 2000


def test_a_missing_sender_is_named():
    node = NodeState(ReactorEntry("a", Outcome.STALE), missing=("slope",))
    assert node.data()["w"] == "no sender of slope"


def test_requested_reactors_wait(watch):
    watched = watch(ReactorEntry("a", Outcome.NEW), ReactorEntry("b", Outcome.NEW))
    watched.live._queued = lambda: frozenset({"a"})
    assert watched.live.snapshot()["nodes"]["n0"] == {"o": "new"}
    nodes = watched.after(RunStarted(("a",)))["nodes"]
    assert (nodes["n0"]["o"], nodes["n0"]["w"], nodes["n1"]["o"]) == ("waiting", "will run", "new")
    assert watched.node(ReactorStarted("a"))["o"] == "running"
    assert watched.node(report())["o"] == "new"


def test_a_missing_sender_marks_its_receiver_until_it_runs():
    node = NodeState(ReactorEntry("a", Outcome.STALE), missing=("slope",))
    assert node.data()["lost"]
    node.start()
    assert "lost" not in node.data()


def test_reactors_of_deleted_cells_count_apart():
    nodes = {
        "n0": NodeState(ReactorEntry("a", Outcome.STALE)),
        "n1": NodeState(ReactorEntry("b", Outcome.STALE), is_orphan=True),
    }
    live = LiveState(lambda traits: None, lambda: None, lambda report: None)
    live.set_nodes(1, nodes)
    assert live.snapshot()["title"] == "1 reactor: 1 stale; 1 of deleted cells"
    live.close()
