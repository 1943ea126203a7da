"""The graph in a notebook: pictures, widgets, and the controller that updates them."""

import gc
import json
import logging
import signal
import sys
import threading
import time
import types
import weakref

import ipykernel.ipkernel  # noqa: F401 - replaces `comm.create_comm`, as do the tests: it must not come after them
import pytest
from comm.base_comm import BaseComm

from pyplant import Plant, ReactorFunc, _definitions
from pyplant.notebook.graph import controller as controller_module
from pyplant.notebook.graph import display, kernel
from pyplant.notebook.graph.widget import GraphWidget
from pyplant.plant import session_of
from pyplant.store.processes import host_name
from tests.svg import svg_in

PATIENCE = 20  # seconds, for what takes a tenth of one


class Page:
    """The shell of a notebook, and what its front end shows."""

    def __init__(self):
        self.kernel = object()
        self.user_ns = {}
        self.published = []
        self.parent = {"metadata": {"cellId": "first"}, "header": {"msg_id": "1"}}
        self.display_pub = types.SimpleNamespace(publish=self.publish)
        self.display_formatter = types.SimpleNamespace(format=lambda shown: shown._repr_mimebundle_())

    def publish(self, data, metadata=None, *, transient=None, update=False):
        self.published.append(
            types.SimpleNamespace(data=data, id=(transient or {}).get("display_id"), update=update)
        )

    def get_parent(self):
        return self.parent

    def run_cell(self, cell="another", request=None):
        """Execute a cell."""
        self.parent = {
            "metadata": {"cellId": cell},
            "header": {"msg_id": request or f"{cell}-{len(self.published)}"},
        }
        display.after_cell()

    @property
    def pictures(self):
        return [shown for shown in self.published if "text/html" in shown.data]

    @property
    def widgets(self):
        return [shown for shown in self.published if any("widget" in kind for kind in shown.data)]


@pytest.fixture
def page(monkeypatch):
    page = Page()
    monkeypatch.setattr(display, "_notebook_shell", lambda: page)
    yield page
    display.close()


@pytest.fixture(autouse=True)
def messages(monkeypatch):
    """The messages that widgets send."""
    sent = []

    class Wire(BaseComm):
        def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
            if msg_type == "comm_msg":
                sent.append(json.loads(json.dumps(data)))

    monkeypatch.setattr("comm.create_comm", Wire)
    return sent


def traits(messages, name):
    return [message["state"][name] for message in messages if name in message.get("state", {})]


@ReactorFunc
def load(pipe):
    pipe.send("numbers", [1, 2, 3])


@ReactorFunc
def add(pipe):
    numbers = yield pipe.receive("numbers")
    pipe.send("total", sum(numbers) + pipe.read_config("bias"))


@pytest.fixture
def plant(tmp_path):
    with Plant(tmp_path / "digits.plant", progress=False) as plant:
        plant.set_config({"bias": 0})
        plant.add_reactors([load, add])
        yield plant


def controller_of(plant):
    return display._controllers[plant]


def shown(plant, number=-1):
    """The widget of one call of show_graph."""
    return controller_of(plant)._shown_graphs[number].widget


def outcomes(state):
    return [node["o"] for node in state["nodes"].values()]


# ---------------------------------------------------------------------- showing


def test_a_picture_is_shown_and_the_widget_below_it(page, plant):
    assert display.show_graph(plant)
    picture, live = page.published
    assert 'class="pp-graph"' in picture.data["text/html"]
    assert "2 reactors: 2 new" in picture.data["text/plain"]
    assert not picture.update
    assert live.data["application/vnd.jupyter.widget-view+json"]["model_id"] == shown(plant).model_id


def test_the_widget_refers_to_the_picture_that_it_hides(page, plant):
    display.show_graph(plant)
    identity = shown(plant).graph["snapshot"]
    assert page.pictures[0].id == identity
    assert f'id="{identity}"' in page.pictures[0].data["text/html"]


def test_a_widget_has_no_text_that_could_contradict_the_picture(page, plant):
    display.show_graph(plant)
    assert page.widgets[0].data["text/plain"] == ""
    assert repr(shown(plant)) == "<GraphWidget of digits.plant>"


def test_the_widget_has_the_complete_graph_from_the_start(page, plant):
    display.show_graph(plant)
    live = shown(plant)
    assert [node["name"] for node in live.graph["nodes"].values()] == ["add", "load"]
    assert live.graph["plant"] == "digits.plant"
    assert live.graph["version"] == live.state["version"]
    assert live.state["nodes"].keys() == live.graph["nodes"].keys()
    assert live.details["n0"]["causes"][0]["text"] == "has no result yet"
    assert live.graph["kernel"] is None
    assert "export default" in live._esm
    assert live._css


def test_statements_name_the_variable_that_holds_the_plant(page, plant):
    page.user_ns.update({"_": plant, "garden": plant})
    display.show_graph(plant)
    assert shown(plant).graph["nodes"]["n0"]["run"] == "garden.run_reactor('add')"


def test_several_calls_make_several_equal_widgets(page, plant):
    for cell in ("first", "second"):
        page.parent = {"metadata": {"cellId": cell}, "header": {"msg_id": cell}}
        display.show_graph(plant)
    one, other = shown(plant, 0), shown(plant, 1)
    assert one.graph["snapshot"] != other.graph["snapshot"]
    plant.run_reactor(add)
    page.run_cell()
    assert outcomes(one.state) == outcomes(other.state) == ["cached", "cached"]


def test_a_terminal_gets_text(monkeypatch, plant):
    assert not display.show_graph(plant)
    ipython = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not display.show_graph(plant)
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=None)
    assert not display.show_graph(plant)


def test_without_anywidget_only_the_picture_is_shown(page, plant, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "pyplant.notebook.graph.widget", None)
    assert display.show_graph(plant)
    assert len(page.published) == 1
    assert "not live" in caplog.text


def test_a_broken_widget_leaves_the_picture(page, plant, monkeypatch):
    monkeypatch.setattr(GraphWidget, "_repr_mimebundle_", lambda self, **options: 1 / 0)
    assert display.show_graph(plant)
    assert len(page.published) == 1


def test_a_graph_that_cannot_be_drawn_is_shown_as_text(page, plant, monkeypatch, caplog):
    monkeypatch.setattr(controller_module.svg, "geometry_html", lambda *args: 1 / 0)
    assert not display.show_graph(plant)
    plant.close()
    assert not display.show_graph(plant)
    assert all(record.levelno <= logging.INFO for record in caplog.records)


def test_in_colab_the_picture_is_not_hidden(page, plant, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    display.show_graph(plant)
    assert shown(plant).graph["snapshot"] == ""


# ---------------------------------------------------------------------- while it runs


def test_the_widget_is_updated_during_a_run(page, plant, messages):
    display.show_graph(plant)
    messages.clear()
    controller_of(plant)._live._next_send_at = 0.0
    seen = []

    def listener(event):
        seen.append(outcomes(controller_of(plant)._live.snapshot()))

    plant.add_event_listener(listener)
    plant.run_reactor(add)
    assert ["running", "new"] in seen
    assert ["waiting", "running"] in seen
    assert ["running", "ran"] in seen
    assert outcomes(traits(messages, "state")[0]) == ["new", "new"]
    assert traits(messages, "state")[0]["run"] == 1


def test_a_new_reactor_is_shown_in_its_first_run(page, plant, messages):
    display.show_graph(plant)

    @ReactorFunc
    def late(pipe):
        pipe.send("late", 1)

    messages.clear()
    plant.run_reactor(late)
    (graph,) = traits(messages, "graph")
    assert [node["name"] for node in graph["nodes"].values()] == ["add", "late", "load"]
    assert controller_of(plant)._live.snapshot()["nodes"]["n1"]["o"] == "ran"


def test_an_edit_in_the_running_cell_is_shown_in_the_run(page, plant, messages):
    plant.run_reactor(add)
    display.show_graph(plant)

    def make():
        def add(pipe):
            yield pipe.receive("numbers")
            pipe.send("total", 7)

        add.__qualname__ = "add"
        return ReactorFunc(add)

    edited = make()
    plant.add_reactor(edited)
    plant.run_reactor(load)
    assert outcomes(controller_of(plant)._live.snapshot()) == ["stale", "cached"]


def test_a_run_with_the_same_definitions_takes_no_snapshot(page, plant, monkeypatch):
    display.show_graph(plant)
    monkeypatch.setattr(controller_module, "take_snapshot", lambda plant: 1 / 0)
    plant.run_reactor(add)
    plant.run_reactor(add)


def test_details_contain_the_error_of_a_failed_reactor(page, plant, messages):
    @ReactorFunc
    def fail(pipe):
        raise ValueError("boom")

    plant.add_reactor(fail)
    display.show_graph(plant)
    with pytest.raises(ValueError, match="boom"):
        plant.run_reactor(fail)
    assert shown(plant).details["n1"]["error"] == "ValueError: boom"
    assert shown(plant).details["n1"]["causes"]
    page.run_cell()
    assert "✗" in svg_in(page.pictures[-1].data["text/html"])
    assert outcomes(shown(plant).state)[1] == "failed"


def test_the_picture_is_replaced_at_the_end_of_a_run(page, plant):
    display.show_graph(plant)
    identity = shown(plant).graph["snapshot"]
    controller_of(plant)._draw_after = 0.0
    plant.run_reactor(add)
    assert page.published[-1].update
    assert page.published[-1].id == identity
    assert "2 reactors: 2 ran" in page.published[-1].data["text/plain"]


def test_many_short_runs_draw_few_pictures(page, plant):
    display.show_graph(plant)
    began = time.monotonic()
    for bias in range(20):
        plant.set_config({"bias": bias})
        plant.get("total")
    assert len(page.pictures) <= 3 + (time.monotonic() - began)


def test_a_broken_widget_does_not_keep_others_from_being_updated(page, plant, monkeypatch):
    for cell in ("first", "second"):
        page.parent = {"metadata": {"cellId": cell}, "header": {"msg_id": cell}}
        display.show_graph(plant)
    broken, other = shown(plant, 0), shown(plant, 1)
    update = GraphWidget.update_traits
    monkeypatch.setattr(
        GraphWidget, "update_traits", lambda self, traits: 1 / 0 if self is broken else update(self, traits)
    )
    plant.run_reactor(add)
    page.run_cell()
    assert outcomes(other.state) == ["cached", "cached"]
    assert not broken.is_open


# ---------------------------------------------------------------------- after each cell


def test_staleness_is_judged_after_each_cell(page, plant):
    plant.run_reactor(add)
    display.show_graph(plant)
    assert outcomes(shown(plant).state) == ["cached", "cached"]
    plant.set_config({"bias": 1})
    page.run_cell()
    assert outcomes(shown(plant).state) == ["stale", "cached"]
    assert shown(plant).state["checked"]
    assert "changed: 0 → 1" in shown(plant).details["n0"]["causes"][0]["text"]
    assert "◐" in svg_in(page.pictures[-1].data["text/html"])


def test_nothing_is_sent_if_nothing_changed(page, plant, messages):
    display.show_graph(plant)
    page.run_cell()
    messages.clear()
    published = len(page.published)
    for _ in range(3):
        page.run_cell()
    assert messages == []
    assert len(page.published) == published


def test_the_graph_is_sent_again_when_its_structure_changes(page, plant, messages):
    display.show_graph(plant)
    page.run_cell()
    messages.clear()

    @ReactorFunc
    def late(pipe):
        yield pipe.receive("total")

    plant.add_reactor(late)
    page.run_cell()
    (graph,) = traits(messages, "graph")
    (state,) = traits(messages, "state")
    assert graph["version"] == state["version"] > 1
    assert graph["nodes"]["n1"]["inputs"] == [["total", "n0"]]
    plant.remove_reactor("late")
    page.run_cell()
    assert len(traits(messages, "graph")[-1]["nodes"]) == 2


def places(plant):
    graph = shown(plant).graph
    return {graph["nodes"][name]["name"]: at for name, *at in graph["views"]["all"]["nodes"]}


def test_no_node_moves_when_cells_are_run_again_or_added(page, plant):
    def make(name, sender):
        @ReactorFunc(name=name)
        def branch(pipe):
            yield pipe.receive(sender)
            pipe.send(f"{name}_out", name)

        return branch

    branches = [make(name, "numbers") for name in "bcd"]
    plant.add_reactors(branches)
    display.show_graph(plant)
    before = places(plant)
    for name, branch in zip("bcd", branches):
        plant.run_reactor(branch)
        plant.remove_reactor(branch)
        plant.add_reactor(make(name, "numbers"))
        page.run_cell()
        assert places(plant) == before
    plant.add_reactors([make("a", "numbers"), make("z", "b_out")])
    page.run_cell()
    assert len(places(plant)) == 7
    assert {name: at for name, at in places(plant).items() if name in before} == before


def test_graph_state_and_details_are_sent_together(page, plant, messages):
    display.show_graph(plant)
    messages.clear()
    plant.run_reactor(add)
    page.run_cell()
    assert any({"graph", "state", "details"} <= message["state"].keys() for message in messages)


class Looks(list):
    """Snapshots of a plant, each of which seems to take a given number of seconds."""

    def __init__(self, monkeypatch):
        self.seconds = 0.0
        self._now = 0.0
        self._look = controller_module.take_snapshot
        clock = types.SimpleNamespace(thread_time=self.now, perf_counter=self.now, monotonic=time.monotonic)
        monkeypatch.setattr(controller_module, "time", clock)
        monkeypatch.setattr(controller_module, "take_snapshot", self.look)

    def now(self):
        return self._now

    def look(self, plant):
        self.append(plant)
        self._now += self.seconds
        return self._look(plant)


@pytest.fixture
def looks(monkeypatch):
    return Looks(monkeypatch)


def test_slow_refreshes_are_skipped_and_marked(page, plant, looks):
    looks.seconds = 0.06
    display.show_graph(plant)
    page.run_cell()
    assert shown(plant).state["checked"]  # the first look may have read all code; the second tells
    plant.run_reactor(add)
    page.run_cell()
    assert len(looks) == 2
    assert not shown(plant).state["checked"]
    assert outcomes(shown(plant).state) == ["ran", "ran"]


def test_slow_refreshes_are_tried_again_after_some_cells(page, plant, looks):
    looks.seconds = 0.06
    display.show_graph(plant)
    counts = []
    for _ in range(7):
        page.run_cell()
        counts.append(len(looks))
    assert counts == [2, 2, 2, 3, 3, 3, 4]


def test_a_single_slow_refresh_does_not_skip_the_next_one(page, plant, looks):
    display.show_graph(plant)
    looks.seconds = 60.0
    page.run_cell()
    looks.seconds = 0.0
    page.run_cell()
    assert len(looks) == 3
    looks.seconds = 60.0
    page.run_cell()
    page.run_cell()
    page.run_cell()
    assert len(looks) == 5
    assert not shown(plant).state["checked"]


def test_a_busy_plant_is_not_waited_for(page, plant):
    display.show_graph(plant)
    begun, may_end = threading.Event(), threading.Event()

    def listener(event):
        begun.set()
        may_end.wait(PATIENCE)

    plant.add_event_listener(listener)
    run = threading.Thread(target=plant.run_reactor, args=(add,))
    run.start()
    begun.wait(PATIENCE)
    page.run_cell()
    assert not shown(plant).state["checked"]
    may_end.set()
    run.join(PATIENCE)
    page.run_cell()
    assert shown(plant).state["checked"]


def test_a_closed_plant_keeps_its_last_state(page, plant, caplog):
    display.show_graph(plant)
    live = shown(plant)
    assert not live.state["closed"]
    plant.close()
    page.run_cell()
    assert outcomes(live.state) == ["new", "new"]
    assert live.state["closed"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_errors_do_not_reach_the_cell(page, plant, monkeypatch, caplog):
    display.show_graph(plant)
    monkeypatch.setattr(controller_module, "take_snapshot", lambda plant: 1 / 0)
    page.run_cell()
    assert "ZeroDivisionError" in caplog.text


# ---------------------------------------------------------------------- large graphs


@pytest.fixture
def large(tmp_path):
    """A binary tree of 80 reactors; number 20 is stale, 40 and 41 receive from it."""

    def make(number):
        @ReactorFunc(name=f"step_{number}")
        def step(pipe):
            if number:
                yield pipe.receive(f"out_{number // 2}")
            if number == 20:
                pipe.read_config("bias")
            pipe.send(f"out_{number}", number)

        return step

    with Plant(tmp_path / "large.plant", progress=False) as plant:
        plant.set_config({"bias": 0})
        plant.add_reactors([make(number) for number in range(80)])
        plant.get(*(f"out_{number}" for number in range(80)))
        plant.set_config({"bias": 1})
        yield plant


FIRST = ["n10", "n20", "n40", "n41"]
BELOW_10 = ["n21", "n42", "n43"]


def focus(plant):
    return shown(plant).graph["views"]["focus"]


def visible(plant):
    return [node[0] for node in focus(plant)["nodes"]]


def test_picture_and_widget_of_a_large_graph_have_the_same_folds(page, large):
    display.show_graph(large)
    assert visible(large) == FIRST
    assert [fold["members"] for fold in focus(large)["folds"]][1] == BELOW_10
    html = svg_in(page.pictures[0].data["text/html"])
    assert html.count("cached, folded") == 2
    assert html.count('<g class="pp-node') == 6
    assert not shown(large).graph["unfolded"]


def say(plant, **content):
    shown(plant)._handle_custom_msg(content, [])


def test_a_fold_unfolds_and_folds_again(page, large, messages):
    display.show_graph(large)
    before = shown(large).graph["version"]
    say(large, kind="unfold", folds=["f1"])
    assert visible(large) == ["n10", "n20", "n21", "n40", "n41", "n42", "n43"]
    assert shown(large).graph["unfolded"]
    assert shown(large).graph["version"] == shown(large).state["version"] > before
    say(large, kind="fold")
    assert visible(large) == FIRST
    page.run_cell()
    assert visible(large) == FIRST


def test_unfolded_reactors_stay_shown_after_a_refresh(page, large):
    display.show_graph(large)
    say(large, kind="unfold", folds=["f1"])
    large.run_reactor("step_40")
    page.run_cell()
    assert visible(large) == ["n10", "n20", "n21", "n40", "n41", "n42", "n43"]


def test_the_focus_follows_a_run(page, large, monkeypatch):
    monkeypatch.setattr(controller_module, "_FOLLOW_PERIOD", 0.0)
    monkeypatch.setattr(controller_module, "_FOLLOW_FACTOR", 0.0)
    display.show_graph(large)
    seen = {}

    def listener(event):
        if type(event).__name__ == "ReactorStarted":
            controller_of(large)._follow_run()
            number = event.reactor.partition("_")[2]
            seen[event.reactor] = f"n{number}" in visible(large)

    large.add_event_listener(listener)
    large.run_reactor("step_79", force=True)
    for number in (9, 4, 19):
        large.invalidate(f"step_{number}")
    large.get("out_79")
    assert len(seen) > 2
    assert set(seen.values()) == {True}
    page.run_cell()


def test_control_the_focus_is_not_changed_more_often_than_one_can_read(page, large):
    display.show_graph(large)
    controller_of(large)._follow_after = time.monotonic() + 1000
    large.add_event_listener(lambda event: controller_of(large)._follow_run())
    large.run_reactor("step_79", force=True)
    assert visible(large) == FIRST


def test_a_large_fold_unfolds_by_steps(page, large):
    display.show_graph(large)
    fold = focus(large)["folds"][0]
    assert len(fold["members"]) > 60
    say(large, kind="unfold", folds=["f0"])
    assert len(visible(large)) == len(FIRST) + 20
    assert {"n5", "n2", "n11"} <= set(visible(large))  # next to n10


def test_members_of_a_fold_can_be_unfolded_by_name(page, large):
    display.show_graph(large)
    say(large, kind="unfold", folds=["f0"], nodes=["n79", "n10", "nonsense"])
    assert visible(large) == [*FIRST, "n79"]


def test_unfolding_during_a_run_keeps_states(page, large):
    display.show_graph(large)
    states = []

    def listener(event):
        if type(event).__name__ == "ReactorStarted":
            say(large, kind="unfold", folds=["f0"])
            states.append(shown(large).state["nodes"]["n20"]["o"])

    large.add_event_listener(listener)
    large.run_reactor("step_20")
    assert states == ["running"]


@pytest.mark.parametrize("folds", [["f9"], [], [["f0"]], "f0", None, [{}]])
def test_invalid_folds_are_ignored(page, large, folds):
    display.show_graph(large)
    say(large, kind="unfold", folds=folds)
    assert visible(large) == FIRST


# ---------------------------------------------------------------------- what the front end says


def test_resync_sends_everything(page, plant, messages):
    display.show_graph(plant)
    messages.clear()
    say(plant, kind="resync")
    assert [set(message["state"]) for message in messages] == [{"graph", "details"}, {"state"}]
    assert messages[0]["state"]["graph"]["snapshot"] == page.pictures[0].id
    assert messages[1]["state"]["state"]["seq"] > 1


@pytest.fixture
def interrupts(monkeypatch):
    sent = []
    monkeypatch.setattr(signal, "pthread_kill", lambda thread, number: sent.append((thread, number)))
    return sent


def test_stop_interrupts_the_given_run(page, plant, interrupts):
    display.show_graph(plant)

    def listener(event):
        if type(event).__name__ == "ReactorStarted" and not interrupts:
            say(plant, kind="stop", run=controller_of(plant)._live.run)

    plant.add_event_listener(listener)
    plant.run_reactor(add)
    assert interrupts == [(threading.main_thread().ident, signal.SIGINT)]


@pytest.mark.parametrize("run", [0, 1, 3, None, "2", 2.5])
def test_a_late_stop_is_ignored(page, plant, interrupts, run):
    display.show_graph(plant)
    say(plant, kind="stop", run=1)
    plant.run_reactor(load)
    say(plant, kind="stop", run=1)
    plant.add_event_listener(lambda event: say(plant, kind="stop", run=run))
    plant.run_reactor(load)
    assert controller_of(plant)._live.snapshot()["run"] is None
    assert interrupts == []


@pytest.mark.parametrize("content", ["stop", None, {}, {"kind": "run"}, {"kind": "stop"}, ["kind"]])
def test_unknown_messages_are_ignored(page, plant, content, caplog):
    display.show_graph(plant)
    shown(plant)._handle_custom_msg(content, [])
    assert caplog.records == []


def test_a_handler_that_fails_shows_no_traceback_in_the_cell(page, plant, monkeypatch, caplog, capsys):
    display.show_graph(plant)
    monkeypatch.setattr(controller_of(plant)._live, "send", lambda **traits: 1 / 0)
    say(plant, kind="resync")
    assert "ZeroDivisionError" in caplog.text
    assert "Traceback" not in capsys.readouterr().out


def test_the_kernel_id_comes_from_the_connection_file(page, plant, monkeypatch):
    connect = types.ModuleType("ipykernel.connect")
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "ipykernel.connect", connect)
    for path, expected in [("/run/kernel-12ab-34.json", "12ab-34"), ("/run/other.json", None)]:
        connect.get_connection_file = lambda path=path: path
        assert kernel.kernel_id() == expected
    connect.get_connection_file = lambda: 1 / 0
    assert kernel.kernel_id() is None


# ---------------------------------------------------------------------- life


def listeners(plant):
    return [listener for listener in plant._listeners._listeners if type(listener).__name__ == "LiveState"]


def test_a_cell_that_is_run_again_replaces_its_widget(page, plant):
    display.show_graph(plant)
    first = shown(plant)
    page.parent["header"]["msg_id"] = "2"
    display.show_graph(plant)
    display.after_cell()
    assert first.comm is None
    assert [showing.widget for showing in controller_of(plant)._shown_graphs] == [shown(plant)]
    assert shown(plant) is not first


def test_another_tab_does_not_show_an_old_picture_as_the_present_one(page, plant):
    display.show_graph(plant)
    (first,) = page.pictures
    page.parent["header"]["msg_id"] = "2"  # the same cell, in another tab
    display.show_graph(plant)
    plant.run_reactor(add)
    page.run_cell()
    *_, last = (picture for picture in page.pictures if picture.id == first.id)
    assert "2 reactors: 2 new (no longer updated)" in last.data["text/html"]
    *_, newest = page.pictures
    assert "2 reactors: 2 cached" in newest.data["text/html"]
    assert "no longer" not in newest.data["text/html"]


def test_two_graphs_in_one_cell_are_both_kept(page, plant):
    display.show_graph(plant)
    display.show_graph(plant)
    display.after_cell()
    assert len(controller_of(plant)._shown_graphs) == 2


def test_without_cell_ids_no_graph_is_replaced(page, plant):
    page.parent = {}
    for _ in range(3):
        display.show_graph(plant)
        display.after_cell()
    assert len(controller_of(plant)._shown_graphs) == 3


def test_the_number_of_shown_graphs_is_limited(page, plant):
    page.parent = {}
    for _ in range(12):
        display.show_graph(plant)
    assert len(controller_of(plant)._shown_graphs) == 8


def test_the_listener_is_removed_with_the_last_widget(page, plant):
    display.show_graph(plant)
    (live,) = listeners(plant)
    page.run_cell("first", "2")  # and shows nothing now
    assert listeners(plant) == []
    assert live._is_closed
    assert plant not in display._controllers


def test_a_closed_widget_is_dropped(page, plant):
    display.show_graph(plant)
    shown(plant).comm.handle_close({})
    page.run_cell()
    assert listeners(plant) == []


def test_a_graph_can_be_shown_again_after_closing(page, plant):
    display.show_graph(plant)
    page.run_cell("first", "2")
    assert display.show_graph(plant)
    plant.run_reactor(add)
    page.run_cell()
    assert outcomes(shown(plant).state) == ["cached", "cached"]
    assert len(listeners(plant)) == 1


def test_closing_removes_all_controllers(page, plant):
    display.show_graph(plant)
    display.close()
    assert listeners(plant) == []
    assert not display._controllers


def test_a_plant_without_references_is_released_and_its_thread_ends(page, tmp_path):
    plant = Plant(tmp_path / "short-lived", progress=False)
    plant.add_reactors([load, add])
    display.show_graph(plant)
    live = controller_of(plant)._live
    plant.run_reactor(load)
    gone = weakref.ref(plant)
    plant.close()
    del plant
    gc.collect()
    assert gone() is None
    assert live._is_closed
    page.run_cell()
    assert not display._controllers


def test_a_shell_without_a_kernel_is_not_a_notebook():
    assert display._notebook_shell() is None


def test_cells_without_a_graph_do_nothing(page):
    display.after_cell()
    assert page.published == []


def test_the_reactor_of_a_deleted_cell_can_be_removed(page, tmp_path):
    def later(pipe):
        pipe.send("more", 1)

    with Plant(tmp_path / "plant", progress=False) as plant:
        definition = ReactorFunc(later).__pyplant_reactor__
        display.show_graph(plant)
        live, before = shown(plant), len(shown(plant).graph["nodes"])
        identity = next(n for n, node in live.graph["nodes"].items() if node["name"] == "later")
        request = {"kind": "remove", "id": identity, "version": live.graph["version"]}
        live._on_message(None, request, [])
        assert len(live.graph["nodes"]) == before  # its cell is there
        _definitions.orphans.add(definition)
        live._on_message(None, request, [])
        assert len(live.graph["nodes"]) == before - 1


def test_an_idle_graph_shows_what_another_process_executes(page, plant, tmp_path, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/first.ipynb")
    monkeypatch.setattr("pyplant.store.owner._is_kernel", lambda: True)
    display.show_graph(plant)
    look, live = controller_of(plant)._others.look, shown(plant)
    with Plant(tmp_path / "digits.plant", progress=False) as other:
        other.add_reactor(load)
        context = session_of(other).context()
        claims = session_of(other).warehouse.claims
        claims.take(context.claim_key(next(iter(context.definitions))))
        assert look()
        node = next(n for n in live.state["nodes"].values() if n["o"] == "running")
        assert node["w"] == "in first.ipynb"
        other.run_reactor(load)
        assert look()
        assert sorted(outcomes(live.state)) == ["cached", "new"]
    plant.close()
    assert not look()


def test_a_new_kernel_shows_what_the_plant_holds(page, tmp_path):
    with Plant(tmp_path / "digits.plant", progress=False) as plant:
        plant.add_reactor(load)
        plant.run_reactor(load)
    with Plant(tmp_path / "digits.plant", progress=False) as again:
        session_of(again).registry.current = dict
        display.show_graph(again)
        live = shown(again)
        assert live.state["nodes"]["n0"]["kept"]
        assert live.state["title"] == "1 reactor kept in the plant; none is defined here yet"
        assert live.graph["nodes"]["n0"]["run"] == "plant.fetch_ingredient('numbers')"
        answers = []
        live.send = answers.append
        asked = {"id": "n0", "version": live.graph["version"]}
        live._on_message(live, asked | {"kind": "inspect"}, [])
        live._on_message(live, asked | {"kind": "preview", "name": "numbers"}, [])
        facts, preview = answers
        assert facts["made"].endswith(f"on {host_name()}")
        assert preview["text"].startswith("list of 3 items")


# ---------------------------------------------------------------------- another plant in the same directory


@pytest.fixture
def reopened(page, plant):
    """Show the graph of a plant, close it, and open its directory again as a variable of the notebook."""
    plant.run_reactor(load)
    display.show_graph(plant)
    old, widget = controller_of(plant), shown(plant)
    plant.close()
    with Plant(plant.directory, progress=False) as again:
        again.set_config({"bias": 0})
        again.add_reactors([load, add])
        page.user_ns["plant"] = again
        yield again, widget, old


def test_a_graph_shows_the_plant_that_was_opened_again(page, reopened):
    plant, widget, old = reopened
    before = widget.state["seq"], widget.graph["version"], widget.graph["views"]
    page.run_cell()
    assert shown(plant) is widget
    assert not widget.state["closed"]
    assert outcomes(widget.state) == ["new", "cached"]
    assert widget.state["seq"] > before[0]
    assert widget.graph["version"] == widget.state["version"] > before[1]
    assert widget.graph["views"] == before[2]
    assert old not in display._showing
    plant.run_reactor(add)
    page.run_cell()
    assert outcomes(widget.state) == ["cached", "cached"]
    assert "2 reactors: 2 cached" in page.pictures[-1].data["text/html"]


def test_the_buttons_of_such_a_graph_are_about_the_new_plant(page, reopened, messages):
    plant, widget, _ = reopened
    page.run_cell()
    plant.run_reactor(add)
    page.run_cell()
    messages.clear()
    widget._on_message(
        widget, {"kind": "preview", "id": "n0", "version": widget.graph["version"], "name": "total"}, None
    )
    (answer,) = [message["content"] for message in messages if "content" in message]
    assert "6" in str(answer)


def test_a_plant_that_is_opened_later_is_found_as_well(page, reopened):
    plant, widget, _ = reopened
    del page.user_ns["plant"]
    for _ in range(2):
        page.run_cell()
        assert widget.state["closed"]
    page.user_ns["plant"] = plant
    page.run_cell()
    assert not widget.state["closed"]


def test_a_plant_in_another_directory_changes_no_graph(page, plant, tmp_path):
    display.show_graph(plant)
    live = shown(plant)
    with Plant(tmp_path / "other", progress=False) as other:
        page.user_ns["plant"] = other
        plant.close()
        page.run_cell()
        assert live.state["closed"]


def test_the_graph_of_a_plant_that_is_gone_says_so(page, tmp_path):
    plant = Plant(tmp_path / "short-lived", progress=False)
    plant.add_reactors([load])
    display.show_graph(plant)
    live = shown(plant)
    del plant
    gc.collect()
    page.run_cell()
    assert live.state["closed"]
    assert live.state["checked"]
