"""When reactors run: the scheduler with reactors given as tables."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyplant.engine.actions import Resume, Start
from pyplant.engine.rebuilder import check
from pyplant.engine.scheduler import Scheduler
from pyplant.engine.task import TRANSITIONS, State, Task
from pyplant.engine.task_graph import skip_unfinished
from pyplant.engine.trace import Dependency, DependencyKind, Trace, TraceTree
from pyplant.engine.verdict import Reason, ReasonKind, Verdict
from pyplant.errors import CycleError, DuplicateSenderError, MissingSenderError
from pyplant.ingredient import Ingredient

INGREDIENT = DependencyKind.INGREDIENT


class Reactor:
    """A reactor as data: the groups of names that it receives, and the names that it then sends."""

    def __init__(self, receives=(), sends=(), literal=True):
        self.receives = [(group,) if isinstance(group, str) else tuple(group) for group in receives]
        self.sends = tuple(sends)
        self.literal = literal


class FakeContext:
    """Reactors, their traces, and a minimal executor."""

    def __init__(self, reactors):
        self.reactors = reactors
        self.trees = {}
        self.ran = []
        self.resumed = []
        self.content = {}  # what a name's value is made of, besides its inputs
        self.evicted = set()
        self.failing = set()
        self.number = 0
        self.for_effect = False
        self.learn()

    def learn(self):
        """Record which reactor names which ingredient; call it again after reactors changed."""
        self.named = {}
        for key, reactor in self.reactors.items():
            for name in reactor.sends if reactor.literal else ():
                self.named.setdefault(name, []).append(key)

    # the protocol SchedulerContext

    def check(self, key):
        tree = self.trees.get(key)
        return Verdict(None, (Reason(ReasonKind.NEW, key),)) if tree is None else check(tree, self)

    def candidates(self, name):
        yield from self.literal_senders(name)
        yield from (key for key, reactor in self.reactors.items() if not reactor.literal)

    def prefetchable(self, key):
        return ()

    def literal_senders(self, name):
        return self.named.get(name, [])

    def label(self, key):
        return f"'{key}'"

    def suggestions(self, name):
        return f" Did you mean {name.upper()!r}?"

    def runs_for_effect(self, trace):
        return self.for_effect and not trace.outputs

    def parameter(self, name):
        return None

    def is_auxiliary(self, name):
        return False

    # a run

    def run(self, *names, reactors=(), forced_reason=None, keep_going=False):
        self.learn()
        scheduler = Scheduler(self)
        for key in reactors:
            scheduler.demand_reactor(key, forced_reason)
        scheduler.demand_names(names)
        self.ran, self.resumed, self.steps = [], [], {}
        return self.drive(scheduler)

    def drive(self, scheduler):
        while True:
            action = scheduler.next()
            if action is None:
                if scheduler.is_done() or any(t.state is State.FAILED for t in scheduler.tasks.values()):
                    break
                scheduler.stalled()
                continue
            self.do(scheduler, action)
        return scheduler

    def do(self, scheduler, action):
        task = action.task
        reactor = self.reactors[task.key]
        if isinstance(action, Start):
            self.ran.append(task.key)
            self.steps[task.key] = []
        else:
            lost = [i.name for i in action.ingredients if i.digest in self.evicted]
            if lost:
                scheduler.inputs_lost(task, lost)
                return
            digests = tuple(i.digest for i in action.ingredients)
            self.resumed.append((task.key, tuple(i.name for i in action.ingredients)))
            self.steps[task.key].append(Dependency(INGREDIENT, task.awaited, digests))
        done = len(self.steps[task.key])
        if task.key in self.failing:
            scheduler.failed(task, RuntimeError(task.key))
        elif done < len(reactor.receives):
            scheduler.suspended(task, reactor.receives[done])
        else:
            scheduler.finished(task, self.trace(task.key))

    def trace(self, key):
        self.number += 1
        dependencies = tuple(self.steps[key])
        made_of = ",".join(digest for d in dependencies for digest in d.digests)
        outputs = []
        for name in self.reactors[key].sends:
            digest = str(self.content.get(name, f"{name}({made_of})"))
            self.evicted.discard(digest)
            outputs.append(Ingredient(name, "simple", digest))
        made = Trace(key, key, dependencies, tuple(outputs), number=self.number)
        self.trees.setdefault(key, TraceTree()).add(made)
        return made

    def edit(self, key):
        self.trees.pop(key, None)


def chain(length):
    reactors = {"r0": Reactor((), ["x0"])}
    reactors |= {f"r{i}": Reactor([f"x{i - 1}"], [f"x{i}"]) for i in range(1, length)}
    return FakeContext(reactors)


def diamond():
    return FakeContext(
        {
            "top": Reactor((), ["t"]),
            "left": Reactor(["t"], ["l"]),
            "right": Reactor(["t"], ["r"]),
            "bottom": Reactor([("l", "r")], ["b"]),
        }
    )


# ------------------------------------------------------------------ what runs


def test_a_reactor_runs_after_the_senders_of_its_inputs():
    context = chain(3)
    assert context.run("x2").available["x2"].digest == "x2(x1(x0()))"
    assert context.ran == ["r2", "r1", "r0"]
    assert [key for key, _ in context.resumed] == ["r1", "r2"]


def test_a_second_run_executes_nothing():
    context = diamond()
    context.run("b")
    scheduler = context.run("b")
    assert context.ran == []
    assert {task.key for task in scheduler.take_newly_cached()} == {"top", "left", "right", "bottom"}
    assert scheduler.take_newly_cached() == []


def test_a_reactor_that_is_not_demanded_does_not_run():
    context = diamond()
    context.run("l")
    assert sorted(context.ran) == ["left", "top"]


def test_a_reactor_that_several_need_runs_once():
    context = diamond()
    context.run("b")
    assert sorted(context.ran) == ["bottom", "left", "right", "top"]


def test_receivers_of_an_edited_reactor_run_again():
    context = diamond()
    context.run("b")
    context.edit("left")
    context.content["l"] = "new"
    assert context.run("b").available["b"].digest == "b(new,r(t()))"
    assert sorted(context.ran) == ["bottom", "left"]


def test_a_rerun_with_equal_outputs_does_not_rerun_its_receivers():
    context = diamond()
    context.run("b")
    context.edit("top")
    context.run("b")
    assert context.ran == ["top"]


def test_a_group_is_resumed_in_the_order_asked_for():
    context = FakeContext(
        {"a": Reactor((), ["x"]), "b": Reactor((), ["y"]), "c": Reactor([("y", "x", "y")], ["z"])}
    )
    context.run("z")
    assert context.resumed == [("c", ("y", "x", "y"))]


def test_a_group_is_asked_for_at_once():
    context = FakeContext(
        {"a": Reactor((), ["x"]), "b": Reactor((), ["y"]), "c": Reactor([("x", "y")], ["z"])}
    )
    scheduler = Scheduler(context)
    scheduler.demand_names(["z"])
    start = scheduler.next()
    scheduler.suspended(start.task, ("x", "y"))
    started = [scheduler.next(), scheduler.next()]
    assert [action.task.key for action in started] == ["a", "b"]
    assert scheduler.next() is None
    assert not scheduler.is_done()


def test_a_reactor_that_sends_several_names_runs_once():
    context = FakeContext({"a": Reactor((), ["x", "y"]), "b": Reactor(["x", "y"], ["z"])})
    context.run("z")
    assert context.ran == ["b", "a"]


@pytest.mark.slow
@pytest.mark.parametrize("warm", [False, True])
def test_a_chain_of_10000_reactors_works(warm):
    context = chain(10_000)
    context.run("x9999")
    if warm:
        context.run("x9999")
    assert len(context.ran) == (0 if warm else 10_000)


@pytest.mark.slow
def test_a_chain_of_10000_reactors_stops_at_equal_outputs():
    context = chain(10_000)
    context.content = {f"x{i}": i for i in range(10_000)}
    context.run("x9999")
    context.edit("r0")
    context.run("x9999")
    assert context.ran == ["r0"]


@pytest.mark.slow
def test_one_reactor_with_10000_inputs_works():
    context = FakeContext(
        {"all": Reactor([tuple(f"x{i}" for i in range(10_000))], ["y"])}
        | {f"r{i}": Reactor((), [f"x{i}"]) for i in range(10_000)}
    )
    context.run("y")
    assert len(context.ran) == 10_001


def test_a_later_dependency_does_not_run_before_the_earlier_ones_matched():
    context = FakeContext({"a": Reactor((), ["x"]), "b": Reactor((), ["y"]), "c": Reactor(["x", "y"], ["z"])})
    context.run("z")
    context.edit("a")
    context.edit("b")
    context.content["x"] = "new"
    context.reactors["c"].receives = [("x",)]
    context.run("z")
    assert context.ran == ["a", "c"]


# ------------------------------------------------------------------ force, targets


def test_a_forced_reactor_runs_alone():
    context = chain(3)
    context.run("x2")
    forced = Reason(ReasonKind.FORCED, "r1")
    scheduler = context.run(reactors=["r1"], forced_reason=forced)
    assert context.ran == ["r1"]
    assert scheduler.tasks["r1"].reasons == (forced,)
    assert scheduler.tasks["r1"].state is State.DONE


def test_a_target_that_verifies_is_cached():
    context = chain(1)
    context.run(reactors=["r0"])
    assert context.run(reactors=["r0"]).tasks["r0"].state is State.CACHED


def test_a_target_that_sends_nothing_runs_again_on_request():
    context = FakeContext({"plot": Reactor(["x"]), "a": Reactor((), ["x"])})
    context.for_effect = True
    context.run(reactors=["plot"])
    scheduler = context.run(reactors=["plot"])
    assert context.ran == ["plot"]
    assert [reason.kind for reason in scheduler.tasks["plot"].reasons] == [ReasonKind.NO_OUTPUT]
    context.for_effect = False  # a notebook can replay the output
    context.run(reactors=["plot"])
    assert context.ran == []


def test_a_target_that_sends_something_does_not_run_again_on_that_request():
    context = chain(1)
    context.run(reactors=["r0"])
    context.for_effect = True
    context.run(reactors=["r0"])
    assert context.ran == []


# ------------------------------------------------------------------ finding the sender


def open_ended(**receives):
    return FakeContext({key: Reactor(list(asked), (), literal=False) for key, asked in receives.items()})


def test_open_ended_reactors_are_tried_one_after_another():
    context = open_ended(a="", b="", c="")
    context.reactors["b"].sends = ("x",)
    context.run("x")
    assert context.ran == ["a", "b"]


def test_an_open_ended_reactor_is_tried_once_a_run():
    context = open_ended(a="", b="")
    context.reactors["b"].sends = ("x", "y")
    context.run("x", "y")
    assert sorted(context.ran) == ["a", "b"]


def test_a_candidate_that_waits_for_the_name_it_may_send_is_skipped():
    context = open_ended(a=["x"], b="")
    context.reactors["a"].sends = ("y",)
    context.reactors["b"].sends = ("x",)
    context.run("y")
    assert context.ran == ["a", "b"]


def test_two_open_ended_reactors_that_wait_for_one_another_after_wrong_guesses_finish():
    context = open_ended(a=["x"], b=["y"], c="")
    context.reactors["a"].sends = ("p",)
    context.reactors["b"].sends = ("q",)
    context.reactors["c"].sends = ("x", "y")
    scheduler = context.run("p", "q")
    assert {"p", "q"} <= scheduler.available.keys()


def test_a_name_without_sender_is_an_error_that_names_the_receiver():
    context = FakeContext({"a": Reactor(["x"], ["y"])})
    with pytest.raises(
        MissingSenderError, match=r"'a' waits for ingredient 'x', which no reactor sends\. Did you mean 'X'"
    ):
        context.run("y")


def test_a_target_without_sender_is_an_error():
    with pytest.raises(MissingSenderError, match="The run asks for ingredient 'x'"):
        FakeContext({}).run("x")


def test_the_error_for_a_missing_name_names_all_receivers():
    context = open_ended(c="")
    context.reactors |= {"a": Reactor(["x"], ["p"]), "b": Reactor(["x"], ["q"])}
    context.reactors["d"] = Reactor([("p", "q")], ["z"])
    with pytest.raises(MissingSenderError, match="x") as error:
        context.run("z")
    assert "'a'" in str(error.value)


def test_a_trace_that_depends_on_a_name_without_sender_is_a_mismatch():
    context = FakeContext({"a": Reactor((), ["x"]), "b": Reactor(["x"], ["y"])})
    context.run("y")
    del context.reactors["a"]
    context.reactors["b"].receives = []
    scheduler = context.run("y")
    assert context.ran == ["b"]
    assert [reason.kind for reason in scheduler.tasks["b"].reasons] == [ReasonKind.INPUT]


def test_a_sender_that_no_longer_sends_a_name_is_a_mismatch_too():
    context = FakeContext({"a": Reactor((), ["x"], literal=False), "b": Reactor(["x"], ["y"])})
    context.run("y")
    context.edit("a")
    context.reactors["a"].sends = ()
    context.reactors["b"].receives = []
    context.run("y")
    assert context.ran == ["a", "b"]


def test_two_reactors_that_name_one_ingredient_are_refused():
    context = FakeContext({"a": Reactor((), ["x"]), "b": Reactor((), ["x"])})
    with pytest.raises(DuplicateSenderError, match="'x' is sent by 'a' and 'b'"):
        context.run("x")
    assert context.ran == []


def test_two_reactors_that_send_one_computed_name_are_refused():
    context = open_ended(a="", b="")
    context.reactors["a"].sends = ("x",)
    context.reactors["b"].sends = ("x", "y")
    with pytest.raises(DuplicateSenderError, match="'x' is sent by 'a' and 'b'"):
        context.run("x", "y")


# ------------------------------------------------------------------ cycles


def test_a_cycle_is_reported_with_its_path():
    context = FakeContext(
        {"a": Reactor(["z"], ["x"]), "b": Reactor(["x"], ["y"]), "c": Reactor(["y"], ["z"])}
    )
    with pytest.raises(CycleError) as error:
        context.run("x")
    message = str(error.value)
    assert "'a' waits for 'z' from 'c', which waits for 'y' from 'b', which waits for 'x' from 'a'" in message


def test_a_reactor_that_waits_for_itself_is_a_cycle():
    with pytest.raises(CycleError, match="'a' waits for 'x' from 'a'"):
        FakeContext({"a": Reactor(["x"], ["x"])}).run("x")


def test_a_cycle_of_computed_names_is_reported_with_all_its_reactors():
    context = open_ended(a="", b="", c="")
    for key, name in zip("abc", "bca", strict=True):
        context.reactors[key].receives, context.reactors[key].sends = [name], (key,)
    with pytest.raises(CycleError, match="'a' waits for 'b', 'b' waits for 'c'|'c' waits for 'a'") as error:
        context.run("a")
    assert all(f"'{key}' waits for" in str(error.value) for key in "abc")


def test_a_cycle_after_a_chain_is_reported_without_the_chain():
    context = FakeContext(
        {"t": Reactor(["x"], ["w"]), "a": Reactor(["y"], ["x"]), "b": Reactor(["x"], ["y"])}
    )
    with pytest.raises(CycleError) as error:
        context.run("w")
    assert "'t'" not in str(error.value)


@pytest.mark.slow
def test_a_cycle_of_10000_reactors_is_reported():
    context = chain(10_000)
    context.reactors["r0"] = Reactor(["x9999"], ["x0"])
    with pytest.raises(CycleError):
        context.run("x9999")


def test_a_cycle_in_old_traces_is_no_error():
    context = FakeContext({"a": Reactor((), ["x"]), "b": Reactor(["x"], ["y"])})
    context.run("y")
    context.reactors["a"] = Reactor(["y"], ["x"])
    context.edit("a")
    context.reactors["b"].receives = []
    context.content["x"] = "other"
    with pytest.raises(CycleError):  # the only trace of b reads x first, and a waits for b
        context.run("x")


# ------------------------------------------------------------------ failures


def test_receivers_of_a_failed_reactor_are_skipped_and_others_run():
    context = diamond()
    context.reactors["other"] = Reactor(["t"], ["o"])
    context.failing = {"left"}
    scheduler = context.run("b", "o")
    skipped = skip_unfinished(scheduler.tasks.values())
    assert [task.key for task in skipped] == ["bottom"]
    assert scheduler.tasks["bottom"].state is State.SKIPPED
    assert scheduler.tasks["left"].state is State.FAILED
    assert "o" in scheduler.available


def test_after_a_failure_finished_reactors_stay_cached():
    context = diamond()
    context.failing = {"left"}
    context.run("b")
    context.failing = set()
    context.run("b")
    assert sorted(context.ran) == ["bottom", "left"]


# ------------------------------------------------------------------ lost values


def test_a_lost_value_that_is_not_needed_is_not_made_again():
    context = chain(3)
    context.run("x2")
    context.evicted = {"x0()", "x1(x0())"}
    context.run("x2")
    assert context.ran == []


def test_a_lost_value_that_is_needed_is_made_again():
    context = chain(3)
    context.run("x2")
    context.edit("r2")
    context.evicted = {"x1(x0())"}
    scheduler = context.run("x2")
    assert context.ran == ["r2", "r1"]
    assert [reason.kind for reason in scheduler.tasks["r1"].reasons] == [ReasonKind.EVICTED]


def test_lost_values_of_a_whole_chain_are_made_again():
    context = chain(4)
    context.run("x3")
    context.edit("r3")
    context.evicted = {"x0()", "x1(x0())", "x2(x1(x0()))"}
    context.run("x3")
    assert context.ran == ["r3", "r2", "r1", "r0"]


def test_a_lost_value_that_two_need_is_made_again_once():
    context = FakeContext({"s": Reactor((), ["x"]), "a": Reactor(["x"], ["p"]), "b": Reactor(["x"], ["q"])})
    context.run("p", "q")
    context.edit("a")
    context.edit("b")
    context.evicted = {"x()"}
    context.run("p", "q")
    assert sorted(context.ran) == ["a", "b", "s"]


def test_a_sender_of_a_lost_value_makes_all_its_values_again():
    context = FakeContext(
        {"s": Reactor((), ["x", "y"]), "a": Reactor(["x"], ["p"]), "b": Reactor(["y"], ["q"])}
    )
    context.run("p", "q")
    context.edit("a")
    context.edit("b")
    context.evicted = {"x()"}
    assert {"p", "q"} <= context.run("p", "q").available.keys()


def test_several_lost_values_of_one_group_are_made_again():
    context = FakeContext(
        {"s": Reactor((), ["x"]), "t": Reactor((), ["y"]), "a": Reactor([("x", "y")], ["z"])}
    )
    context.run("z")
    context.edit("a")
    context.evicted = {"x()", "y()"}
    context.run("z")
    assert sorted(context.ran) == ["a", "s", "t"]


def test_a_lost_target_is_made_again():
    context = chain(2)
    context.run("x1")
    scheduler = context.run("x1")
    scheduler.value_lost("x1")
    action = scheduler.next()
    assert isinstance(action, Start)
    assert action.task.key == "r1"


def test_losing_an_unknown_value_changes_nothing():
    scheduler = chain(1).run("x0")
    scheduler.value_lost("no such name")
    assert scheduler.next() is None


def test_verdicts_on_a_lost_value_that_changed_are_dropped():
    context = FakeContext(
        {
            "s": Reactor((), ["x"]),
            "a": Reactor(["x"], ["p"]),
            "b": Reactor(["x"], ["q"]),
            "c": Reactor([("p", "q")], ["z"]),
        }
    )
    context.content["x"] = "old"
    context.run("z")
    context.edit("b")
    context.evicted = {"old"}
    context.content["x"] = "new"
    scheduler = context.run("z")
    assert scheduler.nondeterministic == {"s"}
    assert scheduler.available["z"].digest == "z(p(new),q(new))"
    assert sorted(context.ran) == ["a", "b", "c", "s"]


def test_a_target_that_verified_with_the_old_value_is_made_again():
    context = FakeContext({"s": Reactor((), ["x"]), "a": Reactor(["x"], ["p"]), "b": Reactor(["x"], ["q"])})
    context.content["x"] = "old"
    context.run("p", "q")
    context.edit("b")
    context.evicted = {"old"}
    context.content["x"] = "new"
    scheduler = context.run("p", "q")
    assert scheduler.available["p"].digest == "p(new)"
    assert scheduler.available["q"].digest == "q(new)"


def test_verdicts_on_a_lost_value_that_is_reproduced_stay():
    context = FakeContext({"s": Reactor((), ["x"]), "a": Reactor(["x"], ["p"]), "b": Reactor(["x"], ["q"])})
    context.run("p", "q")
    context.edit("b")
    context.evicted = {"x()"}
    scheduler = context.run("p", "q")
    assert scheduler.nondeterministic == set()
    assert sorted(context.ran) == ["b", "s"]


def lose(context, name, digest, **silent):
    """Edit the receiver of a stored value, and lose the value. From now on ``silent`` reactors send other names."""
    context.edit(name)
    context.evicted = {digest}
    context.learn = lambda: None  # the names in the code remain
    for key, sends in silent.items():
        context.reactors[key].sends = sends


@pytest.mark.parametrize("literal", [True, False])
def test_a_lost_value_that_its_sender_does_not_send_again_is_an_error(literal):
    context = FakeContext({"s": Reactor((), ["x"], literal), "a": Reactor(["x"], ["p"])})
    context.run("p")
    lose(context, "a", "x()", s=())
    with pytest.raises(MissingSenderError, match="'a' waits for ingredient 'x'"):
        context.run("p")


def test_a_lost_value_that_its_sender_does_not_send_again_is_taken_from_another_sender():
    context = FakeContext(
        {
            "s": Reactor((), ["x"], literal=False),
            "t": Reactor((), ["y"], literal=False),
            "a": Reactor(["x"], ["p"]),
        }
    )
    context.run("p")
    lose(context, "a", "x()", s=(), t=["x"])
    scheduler = context.run("p")
    assert context.ran == ["a", "s", "t"]
    assert scheduler.sender("x") == "t"


def test_a_lost_value_that_was_sought_in_vain_before_is_made_again(monkeypatch):
    context = FakeContext(
        {"s": Reactor((), ["y", "x"]), "a": Reactor(["x"], ["p"]), "b": Reactor(["p", "x"], ["q"])}
    )
    context.run("q")
    context.edit("s")
    context.edit("b")
    context.named.pop("x")
    context.learn = lambda: None
    context.reactors["a"].receives = [("y",)]  # its trace asks for "x", which no code names any more
    do, lost = context.do, []

    def lose_once(scheduler, action):
        if action.task.key == "b" and action.task.awaited == ("x",) and not lost:
            lost.append("x")
            context.evicted = {"x()"}
        do(scheduler, action)

    monkeypatch.setattr(context, "do", lose_once)
    assert "q" in context.run("q").available
    assert context.ran == ["b", "a", "s", "s"]


def test_a_target_that_is_not_sent_again_after_its_input_changed_is_an_error():
    context = FakeContext({"s": Reactor((), ["x"]), "a": Reactor(["x"], ["p"]), "b": Reactor(["x"], ["q"])})
    context.content["x"] = "old"
    context.run("p", "q")
    lose(context, "b", "old", a=())
    context.content["x"] = "new"
    with pytest.raises(MissingSenderError, match="The run asks for ingredient 'p'"):
        context.run("p", "q")


def test_a_target_that_is_not_sent_again_after_its_trace_was_evicted_is_an_error():
    context = FakeContext({"s": Reactor((), ["x"])})
    context.run("x")
    scheduler = context.run("x")
    lose(context, "s", "x()", s=())
    scheduler.recheck("s")
    with pytest.raises(MissingSenderError, match="'s' ran but did not send 'x'"):
        context.drive(scheduler)


# ------------------------------------------------------------------ states


def test_an_illegal_move_is_an_assertion_error():
    task = Task("a", State.DONE)
    with pytest.raises(AssertionError, match="illegal move of a"):
        task.move(State.SLEEPING)


def test_every_state_has_transitions():
    assert TRANSITIONS.keys() == set(State)


def test_the_sender_of_a_name_is_known():
    scheduler = chain(2).run("x1")
    assert scheduler.sender("x0") == "r0"
    assert scheduler.sender("other") is None


# ------------------------------------------------------------------ parallel actions in any order


@st.composite
def graphs(draw):
    count = draw(st.integers(2, 7))
    reactors = {}
    for i in range(count):
        above = [f"x{j}" for j in range(i)]
        groups = (
            draw(st.lists(st.lists(st.sampled_from(above), min_size=1, max_size=3), max_size=2))
            if above
            else []
        )
        reactors[f"r{i}"] = Reactor([tuple(group) for group in groups], [f"x{i}"])
    return reactors


def in_any_order(context, names, data):
    """Run with several actions in progress, which finish in random order."""
    scheduler = Scheduler(context)
    scheduler.demand_names(names)
    context.ran, context.resumed, context.steps = [], [], {}
    under_way = []
    while True:
        action = scheduler.next() if len(under_way) < 3 else None
        if action is not None:
            if isinstance(action, Resume) and any(i.digest in context.evicted for i in action.ingredients):
                context.do(scheduler, action)  # values are loaded when the action is taken
            else:
                under_way.append(action)
        elif under_way:
            context.do(scheduler, under_way.pop(data.draw(st.integers(0, len(under_way) - 1))))
        elif scheduler.is_done():
            return scheduler
        else:
            scheduler.stalled()


def fresh(context, name):
    """The digest of a name by plain recursion."""
    (key,) = context.literal_senders(name)
    made_of = [fresh(context, asked) for group in context.reactors[key].receives for asked in group]
    return str(context.content.get(name, f"{name}({','.join(made_of)})"))


@settings(max_examples=200)
@given(graphs(), st.data())
@pytest.mark.slow
def test_after_any_edit_the_result_equals_that_of_an_empty_plant(reactors, data):
    context = FakeContext(reactors)
    names = [f"x{i}" for i in range(len(reactors))]
    for round_number in range(3):
        goals = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        scheduler = in_any_order(context, goals, data)
        assert {name: scheduler.available[name].digest for name in goals} == {
            name: fresh(context, name) for name in goals
        }
        assert len(context.ran) == len(set(context.ran))
        assert in_any_order(context, goals, data) and context.ran == []
        for key in data.draw(st.sets(st.sampled_from(sorted(reactors)))):
            context.edit(key)
            name = reactors[key].sends[0]
            context.content[name] = data.draw(st.sampled_from([f"{key}-edit-{round_number}", "same"]))


@settings(max_examples=200)
@given(graphs(), st.data())
@pytest.mark.slow
def test_after_any_loss_the_result_equals_that_of_an_empty_plant(reactors, data):
    context = FakeContext(reactors)
    names = [f"x{i}" for i in range(len(reactors))]
    in_any_order(context, names, data)
    for key in data.draw(st.sets(st.sampled_from(sorted(reactors)), min_size=1)):
        context.edit(key)
    context.evicted = data.draw(st.sets(st.sampled_from([fresh(context, name) for name in names])))
    scheduler = in_any_order(context, names, data)
    assert {name: scheduler.available[name].digest for name in names} == {
        name: fresh(context, name) for name in names
    }


def test_two_tasks_that_were_to_resume_with_a_lost_value_wait_for_it_again():
    context = FakeContext(
        {
            "u": Reactor((), ["w"]),
            "s": Reactor(["w"], ["x"]),
            "a": Reactor(["x"], ["p"]),
            "b": Reactor(["x"], ["q"]),
            "all": Reactor([("p", "q")], ["z"]),
        }
    )
    context.run("z")
    for key in ("u", "a", "b", "all"):
        context.edit(key)
    context.evicted = {"x(w())"}
    scheduler = Scheduler(context)
    scheduler.demand_names(["z"])
    context.ran, context.resumed, context.steps = [], [], {}
    for slow in ("u", "s"):  # while it runs, all other tasks proceed as far as possible
        delayed = []
        while (action := scheduler.next()) is not None:
            if action.task.key == slow:
                delayed.append(action)
            else:
                context.do(scheduler, action)
        for action in delayed:
            context.do(scheduler, action)
    while (action := scheduler.next()) is not None:
        context.do(scheduler, action)
    assert "z" in scheduler.available
    assert context.ran.count("s") == 1
