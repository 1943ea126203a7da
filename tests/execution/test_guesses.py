"""Finding the sender of a name that no code contains: correct and failing guesses."""

import enum
from unittest.mock import MagicMock

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import MissingSenderError, PlantWarning


def put(pipe, name, value):
    pipe.send(name, value)


def sender(name, sends=None, *, error=None, waits_for=None, version=1):
    """A reactor whose sent names cannot be predicted, not even from its constants."""

    def told():
        return sends, waits_for

    @ReactorFunc(name=name)
    def reactor(pipe):
        if error is not None:
            raise error
        name_sent, name_received = told()
        if name_received is not None:
            yield pipe.receive(name_received)
        put(pipe, name_sent, name if version else None)
        yield

    return reactor


@ReactorFunc
def gets_c(pipe):
    value = yield pipe.receive("c")
    pipe.send("got", value)


@pytest.fixture(params=["inline", "processes"])
def place(request):
    return request.param


def ran(plant, reactor):
    return set(plant.run_reactor(reactor).ran)


MENTIONED = pytest.mark.filterwarnings("ignore:Reactor 'A' was run because it may send")


def test_a_failed_guess_is_a_warning(plant):
    plant.add_reactor(sender("A", error=OSError("no data")), sender("B", "b"), sender("C", "c"), gets_c)
    with pytest.warns(PlantWarning, match="'A' was run because it may send .* OSError: no data"):
        assert plant.get("got") == "C"


@MENTIONED
def test_a_guess_that_receives_a_name_without_sender_is_a_warning(plant):
    plant.add_reactor(sender("A", "a", waits_for="nothing"), sender("C", "c"), gets_c)
    assert plant.get("got") == "C"


@pytest.mark.filterwarnings("ignore:Reactor '.' was run because it may send")
def test_a_guess_whose_sender_fails_is_a_warning(plant):
    plant.add_reactor(
        sender("A", "a", waits_for="b"), sender("B", error=OSError("no data")), sender("C", "c"), gets_c
    )
    assert plant.get("got") == "C"


@pytest.mark.filterwarnings("ignore:Reactor '.' was run because it may send")
@pytest.mark.slow
def test_a_long_chain_of_failed_guesses_is_a_warning(tmp_path):
    chain = [sender(f"A{i}", f"a{i}", waits_for=f"a{i + 1}") for i in range(300)]
    last = sender("A300", error=OSError("no data"))

    @ReactorFunc
    def begins(pipe):
        yield pipe.receive("a0")
        put(pipe, "other", 1)

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(begins, *chain, last, sender("C", "c"), gets_c)
        with pytest.warns(PlantWarning):
            assert plant.get("got") == "C"


def test_a_failed_guess_is_an_error_if_no_other_reactor_sends_the_name(plant):
    plant.add_reactor(sender("A", error=OSError("no data")), sender("B", "b"), gets_c)
    with pytest.raises(OSError, match="no data") as caught:
        plant.get("got")
    assert any("Raised by reactor 'A'" in note for note in caught.value.__notes__)


def test_failures_of_targets_and_of_known_senders_are_errors(plant):
    @ReactorFunc
    def surely(pipe):
        pipe.send("c", 1)
        raise OSError("no data")

    plant.add_reactor(surely, sender("C", "c"), gets_c)
    with pytest.raises(OSError, match="no data"):
        plant.get("got")
    target = sender("T", error=OSError("no target"))
    plant.add_reactor(target)
    with pytest.raises(OSError, match="no target"):
        plant.run_reactor(target)


@MENTIONED
def test_a_failed_guess_is_an_error_once_another_reactor_needs_it(plant):
    @ReactorFunc(name="A")
    def fails(pipe):
        put(pipe, "x", 1)
        if pipe:
            raise OSError("no data")
        pipe.send("a", 1)

    @ReactorFunc
    def needs_both(pipe):
        yield pipe.receive("c")
        yield pipe.receive("a")
        pipe.send("both", 1)

    plant.add_reactor(fails, sender("C", "c"), needs_both)
    with pytest.raises(OSError, match="no data"):
        plant.get("both")


def test_keep_going_ends_with_the_error_of_the_guess(plant):
    @ReactorFunc
    def other(pipe):
        pipe.send("other", 1)

    @ReactorFunc
    def wants(pipe):
        yield pipe.receive("c")
        yield pipe.receive("other")

    plant.add_reactor(sender("A", error=OSError("no data")), other, wants)
    with pytest.raises(ExceptionGroup, match="A") as caught:
        plant.run_reactor(wants, keep_going=True)
    assert caught.group_contains(OSError) if hasattr(caught, "group_contains") else caught.value.exceptions


def test_without_a_failed_guess_the_error_is_a_missing_sender(plant):
    plant.add_reactor(sender("B", "b"), gets_c)
    with pytest.raises(MissingSenderError, match="'c', which no reactor sends"):
        plant.get("got")


def test_a_reactor_that_never_ran_is_tried_before_those_that_sent_other_names(plant):
    plant.add_reactor(sender("A", "a"), sender("B", "b"))
    plant.get("a", "b")
    plant.add_reactor(sender("A", "a", version=2), sender("B", "b", version=2), sender("C", "c"), gets_c)
    assert ran(plant, gets_c) == {"C", "gets_c"}


def test_the_last_sender_of_a_name_is_tried_first(plant):
    plant.add_reactor(sender("A", "a"), sender("C", "c"), gets_c)
    plant.get("got")
    plant.add_reactor(sender("A", "a", version=2), sender("C", "c", version=2))
    assert ran(plant, gets_c) == {"C"}


@pytest.mark.parametrize("name", ["day 2", "day_2", "2", "load/2.csv"])
def test_of_reactors_made_in_a_loop_the_one_whose_constants_match_the_name_is_tried_first(plant, name):
    pattern = name.replace("2", "{}")

    def make(n):
        @ReactorFunc(name=f"made {chr(97 + n)}")
        def made(pipe):
            put(pipe, pattern.format(n), n)

        return made

    plant.add_reactor([make(n) for n in range(4)])
    assert plant.get(name) == 2
    assert [entry.name for entry in plant.status() if entry.outcome.value == "cached"] == ["made c"]


class Day:
    def __init__(self, number):
        self.number = number

    @property
    def name(self):
        return f"day{self.number}"


class Box:
    def __init__(self, day):
        self.day = day

    def name(self):
        return self.day.name


class Week(tuple):
    def __iter__(self):
        raise NotImplementedError


class Plan(enum.Enum):
    ZERO, ONE, TWO, THREE = range(4)

    def name_of(self):
        return Day(self.value).name


@pytest.mark.parametrize(
    "made",
    [
        lambda n: (Day(n), lambda day: day.name),
        lambda n: (Box(Day(n)), lambda box: box.name()),
        lambda n: ({"day": Day(n), "further": [0] * 100}, lambda held: held["day"].name),
        lambda n: (Week([n]), lambda week: f"day{week[0]}"),
        lambda n: (Plan(n), lambda plan: plan.name_of()),
        lambda n: (n, lambda number: f"day{number}" if number % 2 == 0 else f"night{number}"),
    ],
)
def test_constants_inside_objects_of_a_closure_are_searched(plant, made):
    def make(n):
        job, name_of = made(n)

        @ReactorFunc(name=f"made {chr(97 + n)}")
        def day(pipe, job=job):
            put(pipe, name_of(job), n)

        return day

    plant.add_reactor([make(n) for n in range(4)])
    assert plant.get("day2") == 2
    assert [entry.name for entry in plant.status() if entry.outcome.value == "cached"] == ["made c"]


def test_constants_of_a_reactor_are_searched_only_as_far_as_needed(plant):
    endless = []
    endless += [endless, "x" * 10_000_000, MagicMock(), Day, enum, print]

    @ReactorFunc
    def day(pipe, job=endless):
        put(pipe, "day", len(job))

    plant.add_reactor(day)
    assert plant.get("day") == 6


def test_a_reactor_that_only_sends_other_names_is_not_tried(plant):
    @ReactorFunc
    def literal(pipe):
        pipe.send("a", 1)

    @ReactorFunc
    def pattern(pipe):
        pipe.send(f"day {len('abc')}", 1)

    plant.add_reactor(literal, pattern, sender("C", "c"), gets_c)
    assert ran(plant, gets_c) == {"C", "gets_c"}


def test_a_reactor_with_a_matching_pattern_is_tried_before_one_that_may_send_any_name(plant):
    @ReactorFunc
    def day(pipe):
        pipe.send(f"day {len('abc')}", 1)

    plant.add_reactor(sender("A", "a"), day)
    assert plant.get("day 3") == 1
    assert plant.status()["A"].outcome.value == "new"


@pytest.mark.parametrize("style", ["default", "closure", "local", "sum", "percent", "format"])
def test_reactors_made_in_a_loop_run_only_where_they_are_needed(plant, style):
    reactors = [_made(n, style) for n in range(4)]
    plant.add_reactor(reactors)

    @ReactorFunc
    def wanted(pipe):
        yield pipe.receive("day 2")

    plant.add_reactor(wanted)
    assert ran(plant, wanted) == {"load 2", "wanted"}


def _made(n, style):
    def by_default(pipe, n=n):
        pipe.send(f"day {n}", n)

    def by_closure(pipe):
        pipe.send(f"day {n}", n)

    def by_local(pipe):
        name = f"day {n}"
        pipe.send(name, n)

    def by_sum(pipe):
        pipe.send("day " + str(n), n)

    def by_percent(pipe):
        pipe.send("day %d" % n, n)

    def by_format(pipe):
        pipe.send("day {}".format(n), n)  # noqa: UP032 - what is tested

    return ReactorFunc(name=f"load {n}")(locals()[f"by_{style}"])


def test_loops_chain(plant):
    """Each receives what the one before it sends."""
    for n in range(6):

        @ReactorFunc(name=f"step {n}")
        def step(pipe, n=n):
            before = (yield pipe.receive(f"state {n}")) if n else 0
            pipe.send(f"state {n + 1}", before + 1)

        plant.add_reactor(step)
    assert plant.get("state 4") == 4
    assert plant.status()["step 5"].outcome.value == "new"
