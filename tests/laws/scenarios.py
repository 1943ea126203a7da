"""Short programs and edits, each of which shows one protection at work.

A random search finds the same, but late. The names are those of :mod:`tests.laws.sabotages`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.laws.machine import Laws
from tests.laws.outside import VARIABLE, first_world
from tests.laws.pipelines import FILES, Output, Pipeline, Reactor, Step, first_parameters, first_slots

Scenario = Callable[[], None]
SCENARIOS: dict[str, Scenario] = {}

RECEIVE = Step("receive")


def _scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def _call(helper: int) -> Step:
    return Step("call", helper)


def _edit(machine: Laws, slot: str, value: Any, then: str = "reload") -> None:
    machine._edit(slot, value)
    machine._apply(then)


@contextmanager
def _running(*bodies: list[Step], shape: str = "int", lossy: bool = False) -> Iterator[Laws]:
    """A machine with one reactor for each list of steps; each sends one value."""
    reactors = [
        Reactor(number, "normal", steps, [Output(number, shape, lossy, 0)])
        for number, steps in enumerate(bodies)
    ]
    files = dict.fromkeys(FILES, "1")
    machine = Laws()
    try:
        slots, parameters = first_slots(len(reactors)), first_parameters()
        machine.begin(Pipeline(reactors, False, slots, parameters, files, first_world()))
        yield machine
    finally:
        machine.teardown()


# ---------------------------------------------------------------------- what counts as code


@_scenario
def helpers_are_not_followed() -> None:
    with _running([_call(0)]) as machine:
        _edit(machine, "helper:h0", 2)


@_scenario
def globals_are_ignored() -> None:
    with _running([Step("global")]) as machine:
        _edit(machine, "global:r0", 2)


@_scenario
def closures_are_ignored() -> None:
    with _running([_call(6)]) as machine:
        _edit(machine, "closure:h6", 2)


@_scenario
def registrations_are_ignored() -> None:
    with _running([_call(15)]) as machine:
        _edit(machine, "effect:dispatch", 2)


@_scenario
def defaults_are_ignored() -> None:
    with _running([_call(4)]) as machine:
        _edit(machine, "default:h4", 2)


@_scenario
def base_classes_are_ignored() -> None:
    with _running([_call(9)]) as machine:
        _edit(machine, "method:scale", 2)


@_scenario
def members_of_classes_are_ignored() -> None:
    with _running([_call(9)]) as machine:
        _edit(machine, "method:use", 2)


@_scenario
def imports_inside_functions_are_ignored() -> None:
    with _running([_call(2)]) as machine:
        _edit(machine, "lazy:z0", 2)


@_scenario
def types_of_constants_are_ignored() -> None:
    with _running([]) as machine:
        _edit(machine, "constant:r0", True)


@_scenario
def source_is_taken_from_the_file_as_it_is() -> None:
    with _running([]) as machine:
        _edit(machine, "helper:h0", 2, then="wait")
        machine.restructure(0, _call(0), then="changed")  # calls the old helper, whose file is new
        machine.restart(kill=True)


@_scenario
def comments_count() -> None:
    with _running([]) as machine:
        machine.restyle(seed=1, then="reload")


# ---------------------------------------------------------------------- what counts as read


@_scenario
def types_of_parameters_are_ignored() -> None:
    with _running([Step("read")]) as machine:
        machine.configure("a", True)


@_scenario
def absent_parameters_are_not_recorded() -> None:
    with _running([Step("maybe")]) as machine:
        machine.configure("c", 2)


@_scenario
def groups_of_ingredients_are_not_compared() -> None:
    with _running([], [], [Step("group", 0, 1)]) as machine:
        _edit(machine, "constant:r0", 2)


@_scenario
def files_are_judged_by_their_time() -> None:
    with _running([Step("file")]) as machine:
        machine.change_file(FILES[0], "2", sly=True)


def _outside(way: int, name: str, *picks: int) -> None:
    """Read in one way, and change what was read."""
    with _running([Step("outside", way)]) as machine:
        for pick in picks:
            machine.change_outside(name, pick)


@_scenario
def opened_files_are_not_recorded() -> None:
    _outside(0, "w0.txt", 1)


@_scenario
def missing_files_are_not_recorded() -> None:
    _outside(0, "w0.txt", 3, 1)


@_scenario
def links_count_by_what_they_led_to() -> None:
    _outside(1, "link", 1, 2)
    with _running([Step("outside", 1)]) as machine:
        machine.pipeline.world["w1.txt"] = "2"
        machine.change_outside("link", 1)


@_scenario
def listings_are_not_recorded() -> None:
    _outside(2, "in/b.dat", 1)


@_scenario
def patterns_are_not_recorded() -> None:
    _outside(3, "in/a.txt", 1)


@_scenario
def mentions_are_not_found() -> None:
    _outside(4, "flag", 1)


@_scenario
def variables_are_not_recorded() -> None:
    _outside(5, VARIABLE, 1)


# ---------------------------------------------------------------------- values


@_scenario
def values_are_shared() -> None:
    with _running([], [RECEIVE], [RECEIVE], shape="list"):
        pass


@_scenario
def parameters_are_shared() -> None:
    with _running([Step("read", 1), Step("read", 1)]):
        pass


@_scenario
def equal_results_rerun_their_receivers() -> None:
    with _running([], [RECEIVE]) as machine:
        machine.force(0)


# ---------------------------------------------------------------------- the store


@_scenario
def objects_are_not_verified() -> None:
    with _running([], shape="array") as machine:
        machine.damage_object(1000, "flip")
        machine.restart(kill=True)


@_scenario
def invalidation_is_not_durable() -> None:
    with _running([], [RECEIVE]) as machine:
        machine.invalidate(0, restart=True)


@_scenario
def results_are_written_at_the_end_of_the_process() -> None:
    with _running([]) as machine:
        machine.restart(kill=True)


@_scenario
def only_the_newest_trace_is_kept() -> None:
    with _running([Step("read")]) as machine:
        machine.configure("a", 2)
        machine.configure("a", 1)


# ---------------------------------------------------------------------- explanations


@_scenario
def every_reactor_says_it_never_ran() -> None:
    with _running([]) as machine:
        _edit(machine, "constant:r0", 2)


@_scenario
def plans_claim_to_be_certain() -> None:
    with _running([], [RECEIVE], shape="parity") as machine:
        for value in (2, 3, "a"):  # two of four values are of one parity
            _edit(machine, "constant:r0", value)
