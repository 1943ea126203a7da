"""Claims: several processes that need the same result compute it once."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import PlantWarning
from pyplant.events import ReactorBlocked, ReactorStarted
from pyplant.execution import claims_guard
from pyplant.execution.context import RunContext
from pyplant.plant import session_of
from pyplant.store.files import Files
from pyplant.store.owner import Owner
from tests.conftest import ROOT

PIPELINE = textwrap.dedent(
    """
    import os, sys, time
    from pathlib import Path
    from pyplant import Plant, ReactorFunc
    from pyplant.events import ReactorBlocked

    HERE = Path(sys.argv[1])

    def log(name):
        with (HERE / "log").open("a") as stream:
            stream.write(name + "\\n")

    @ReactorFunc
    def slow(pipe):
        log("slow")
        for _ in range(1000):
            if (HERE / "go").exists():
                break
            time.sleep(0.02)
        pipe.send("slow", 1)

    @ReactorFunc
    def quick(pipe):
        log("quick")
        pipe.send("quick", 2)

    @ReactorFunc
    def both(pipe):
        slow, quick = yield pipe.receive("slow", "quick")
        log("both")
        pipe.send("both", slow + quick)

    def tell(event):
        if isinstance(event, ReactorBlocked):
            print("blocked", event.since, event.reactor, event.owner, flush=True)

    if __name__ == "__main__":
        with Plant(HERE / "plant") as plant:
            plant.add_event_listener(tell)
            print(plant.get("both"), flush=True)
    """
)


@pytest.fixture
def start(tmp_path):
    """Starts processes that ask for 'both'."""
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    processes = []

    def start():
        process = subprocess.Popen(
            [sys.executable, str(tmp_path / "pipeline.py"), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


def log(tmp_path):
    path = tmp_path / "log"
    return path.read_text().split() if path.exists() else []


def test_a_run_waits_for_a_reactor_that_another_process_executes(start, tmp_path):
    first = start()
    wait_for(lambda: log(tmp_path) == ["slow"])
    others = [start(), start()]
    for process in others:
        assert process.stdout.readline().startswith("blocked")
    (tmp_path / "go").touch()
    for process in [first, *others]:
        assert process.communicate(timeout=30)[0].splitlines()[-1] == "3"
    assert sorted(log(tmp_path)) == ["both", "quick", "slow"]


def test_a_waiting_process_continues_after_the_owner_of_the_claim_is_killed(start, tmp_path):
    first = start()
    wait_for(lambda: log(tmp_path) == ["slow"])
    second = start()
    assert second.stdout.readline().startswith("blocked")
    first.kill()
    wait_for(lambda: log(tmp_path) == ["slow", "slow"])
    (tmp_path / "go").touch()
    assert second.communicate(timeout=30)[0].splitlines()[-1] == "3"
    assert sorted(log(tmp_path)) == ["both", "quick", "slow", "slow"]


def test_events_name_the_process_that_is_waited_for_repeatedly(start, tmp_path):
    first = start()
    wait_for(lambda: log(tmp_path) == ["slow"])
    second = start()
    told = [second.stdout.readline().split(" ", 2) for _ in range(2)]
    assert told[0] == told[1]
    word, since, owner = told[0]
    assert word == "blocked"
    assert owner == f"both process {first.pid} on host {os.uname().nodename}\n"
    assert 0 <= time.time() - float(since) < 30
    (tmp_path / "go").touch()


def test_an_interrupt_ends_the_wait_for_a_claim(start, tmp_path):
    start()
    wait_for(lambda: log(tmp_path) == ["slow"])
    second = start()
    assert second.stdout.readline().startswith("blocked")
    second.send_signal(signal.SIGINT)
    assert second.wait(timeout=30) != 0
    assert log(tmp_path) == ["slow"]


def at_once(*calls):
    """Return the results of calls that run in threads."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


@ReactorFunc
def slow(pipe):
    time.sleep(0.3)
    pipe.send("slow", 1)


@ReactorFunc(cache=False)
def always(pipe):
    time.sleep(0.1)
    pipe.send("always", 1)


@ReactorFunc
def large(pipe):
    time.sleep(0.3)
    pipe.send("large", bytes(5000))


@ReactorFunc
def bad(pipe):
    yield pipe.receive("slow")
    raise ValueError


@ReactorFunc
def left(pipe):
    if pipe.read_config("order") == "left first":
        yield pipe.receive("right")
    pipe.send("left", 1)


@ReactorFunc
def right(pipe):
    if pipe.read_config("order") != "left first":
        yield pipe.receive("left")
    pipe.send("right", 2)


@ReactorFunc
def sized(pipe):
    time.sleep(0.5)
    pipe.send("size", pipe.read_config("size"))


@ReactorFunc
def by_name(pipe):
    time.sleep(0.3)
    pipe.send("by name", pipe.read_config("".join(["si", "ze"])))


@ReactorFunc
def hidden(pipe, config):
    pipe.send("hidden", [config.base, getattr(config, "".join(["si", "ze"]))])


@pytest.fixture
def starts():
    """The reactors that started, in any plant."""
    return []


@pytest.fixture
def plants(tmp_path, starts):
    """Plants on one directory."""
    plants = [Plant(tmp_path / "plant", progress=False) for _ in range(3)]
    for plant in plants:
        plant.add_reactor([slow, always, large, bad, left, right, sized, by_name, hidden])
        plant.add_event_listener(
            lambda event: starts.append(event.reactor) if isinstance(event, ReactorStarted) else None
        )
    yield plants
    for plant in plants:
        plant.close()


def test_one_thread_waits_for_the_other(plants, starts):
    assert at_once(*(lambda plant=plant: plant.get("slow") for plant in plants[:2])) == [1, 1]
    assert starts == ["slow"]


def test_runs_of_two_configurations_do_not_wait_for_each_other(plants):
    blocked = []
    for size, plant in enumerate(plants[:2]):
        plant.set_config({"size": size})
        plant.add_event_listener(
            lambda event: blocked.append(event) if isinstance(event, ReactorBlocked) else None
        )
    assert at_once(*(lambda plant=plant: plant.get("size") for plant in plants[:2])) == [0, 1]
    assert blocked == []


def test_what_a_reactor_does_not_read_makes_no_other_execution(plants, starts):
    for color, plant in enumerate(plants):
        plant.set_config({"color": color, "size": 7})
    assert at_once(*(lambda plant=plant: plant.get("size") for plant in plants)) == [7, 7, 7]
    assert starts == ["sized"]


def test_runs_that_may_read_any_parameter_do_not_wait_for_each_other(plants):
    blocked = []
    for size, plant in enumerate(plants):
        plant.set_config({"size": size})
        plant.add_event_listener(
            lambda event: blocked.append(event) if isinstance(event, ReactorBlocked) else None
        )
    assert at_once(*(lambda plant=plant: plant.get("by name") for plant in plants)) == [0, 1, 2]
    assert blocked == []


def test_a_reactor_that_another_process_has_just_finished_is_not_executed(plants, starts, monkeypatch):
    first, second, _ = plants
    claims = second._warehouse.claims
    take = claims.take

    def late(name):
        monkeypatch.undo()
        first.get("slow")  # between the look-up and the claim
        return take(name)

    monkeypatch.setattr(claims, "take", late)
    assert second.get("slow") == 1
    assert starts == ["slow"]


def test_uncached_reactors_wait_for_no_claim(plants, starts):
    at_once(*(lambda plant=plant: plant.get("always") for plant in plants[:2]))
    assert starts == ["always", "always"]


@pytest.fixture
def hold(plants):
    """Lets the first plant claim the sender of an ingredient and stand still until the test ends."""
    claimed, go_on, threads, began = threading.Event(), threading.Event(), [], time.monotonic()

    def stand_still(event):
        if isinstance(event, ReactorStarted):
            claimed.set()
            go_on.wait(30)

    def hold(name):
        plants[0].add_event_listener(stand_still)
        threads.append(threading.Thread(target=plants[0].get, args=[name]))
        threads[0].start()
        assert claimed.wait(30)

    yield hold
    assert time.monotonic() - began < 20, "the test waited for the first plant"
    go_on.set()
    for thread in threads:
        thread.join()


def test_a_forced_reactor_waits_for_no_other_process(plants, hold):
    hold("slow")
    assert plants[1].run_reactor(slow, force=True).ran == ("slow",)


def test_a_run_waits_no_longer_than_its_timeout(hold, tmp_path):
    hold("slow")
    with Plant(tmp_path / "plant", progress=False, claim_timeout=0.1) as plant:
        plant.add_reactor(slow)
        assert plant.get("slow") == 1


def test_a_run_waits_a_minute_for_a_stopped_process(plants, hold, monkeypatch, caplog):
    monkeypatch.setattr(claims_guard, "_EMIT_INTERVAL", 0.01)
    monkeypatch.setattr(claims_guard, "_LOG_AFTER", 0.0)
    monkeypatch.setattr(claims_guard, "_MAX_STOPPED", 0.2)
    monkeypatch.setattr(Owner, "is_stopped", True)
    events = []
    plants[1].add_event_listener(events.append)
    hold("slow")
    assert plants[1].get("slow") == 1
    assert {event.stopped for event in events if isinstance(event, ReactorBlocked)} == {True}
    owner = f"process {os.getpid()} on host {os.uname().nodename} (stopped)"
    (line,) = caplog.messages
    assert line.startswith(f"'slow' is being computed by {owner}; waited for ")
    assert "run_reactor('slow', force=True)" in line


def test_a_process_that_holds_a_whole_chain_is_waited_for_once(plants, tmp_path):
    plants[0].set_config({"order": "left first"})
    context, claims = session_of(plants[0]).context(), plants[0]._warehouse.claims
    for name in ("left", "right"):
        assert claims.take(context.claim_key(*context.literal_senders(name)))
    blocked = []
    with Plant(tmp_path / "plant", progress=False, claim_timeout=0.1) as plant:
        plant.add_reactor([left, right])
        plant.set_config({"order": "left first"})
        plant.add_event_listener(
            lambda event: blocked.append(event.reactor) if isinstance(event, ReactorBlocked) else None
        )
        assert plant.get("left") == 1
    assert set(blocked) == {"left"}


def test_what_a_third_process_has_stored_without_a_claim_is_found(hold, tmp_path):
    hold("slow")
    starts = []

    def get(timeout):
        with Plant(tmp_path / "plant", progress=False, claim_timeout=timeout) as plant:
            plant.add_reactor(slow)
            plant.add_event_listener(
                lambda event: starts.append(event.reactor) if isinstance(event, ReactorStarted) else None
            )
            return plant.get("slow")

    assert at_once(lambda: get(0.1), lambda: get(2.0)) == [1, 1]
    assert starts == ["slow"]


def test_who_waited_for_another_configuration_waits_for_no_third(plants, hold, monkeypatch):
    monkeypatch.setattr(claims_guard, "_EMIT_INTERVAL", 0.01)
    for size, plant in enumerate(plants):
        plant.set_config({"base": 0, "size": size})
    hold("hidden")
    # To the second plant it looks as if another process had been the owner, and had finished with a third size.
    claims, blocked = plants[1]._warehouse.claims, []
    owner = claims.owner
    plants[1].add_event_listener(
        lambda event: blocked.append(event) if isinstance(event, ReactorBlocked) else None
    )
    monkeypatch.setattr(claims, "owner", lambda name: owner(name)._replace(pid=os.getpid() if blocked else 1))
    monkeypatch.setattr(RunContext, "has_new_traces", lambda self, key: bool(blocked))
    assert plants[1].get("hidden") == [0, 1]


def test_a_lost_value_is_recomputed_once(plants, starts):
    plants[0].get("large")
    for path in (plants[0].directory / "objects").glob("*/*"):
        path.unlink()
    starts.clear()
    assert at_once(*(lambda plant=plant: plant.get("large") for plant in plants[:2])) == [bytes(5000)] * 2
    assert starts == ["large"]


def test_a_lost_value_is_recomputed_if_the_process_that_was_to_do_it_ends_without(plants, starts):
    plants[0].get("large")
    for path in (plants[0].directory / "objects").glob("*/*"):
        path.unlink()
    starts.clear()
    context = session_of(plants[0]).context()
    (key,) = context.literal_senders("large")
    claim, claims = context.claim_key(key), plants[0]._warehouse.claims
    assert claims.take(claim)
    blocked = []

    def end(event):
        if isinstance(event, ReactorBlocked) and not blocked:
            blocked.append(event)
            claims.release(claim)

    plants[1].add_event_listener(end)
    assert plants[1].get("large") == bytes(5000)
    assert blocked
    assert starts == ["large"]


def test_no_claim_is_held_after_a_run(plants):
    plants[0].get("slow")
    assert plants[1]._warehouse.claims.living() == []


def test_no_claim_is_held_after_a_failure(plants):
    with pytest.raises(ValueError):
        plants[0].run_reactor(bad)
    assert plants[1]._warehouse.claims.living() == []


def test_without_claims_everything_else_works(plants, monkeypatch):
    def refuse(self, path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Files, "lock", refuse)
    monkeypatch.setattr(Files, "has_shared_locks", lambda self, path: True)
    with pytest.warns(PlantWarning, match="Claims do not work in .*Permission denied"):
        assert plants[0].get("slow") == 1


def test_after_a_full_disk_claims_are_held_again(plants, starts, monkeypatch):
    def full(self, path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Files, "lock", full)
    monkeypatch.setattr(Files, "has_shared_locks", lambda self, path: True)
    with pytest.warns(PlantWarning, match="Claims do not work"):
        for plant in plants[:2]:
            plant.run_reactor(slow, force=True)
    monkeypatch.undo()
    starts.clear()
    assert at_once(*(lambda plant=plant: plant.get("large") for plant in plants[:2])) == [bytes(5000)] * 2
    assert starts == ["large"]
    assert plants[0]._warehouse.leases.used()


def test_a_cycle_of_waiting_processes_is_broken(plants, starts, monkeypatch):
    # Without the parameters in the names of claims, the two plants wait for each other.
    monkeypatch.setattr(RunContext, "claim_key", lambda self, key: self.fingerprint(key).digest)
    meeting = threading.Barrier(2, timeout=20)
    for plant, order in zip(plants[:2], ["left first", "right first"], strict=True):
        met = []

        def meet(event, met=met):
            if isinstance(event, ReactorStarted) and not met:
                met.append(event)
                meeting.wait()  # both hold their first claim now

        plant.add_event_listener(meet)
        plant.set_config({"order": order})
    assert at_once(lambda: plants[0].get("left"), lambda: plants[1].get("right")) == [1, 2]
    assert sorted(starts) in (
        ["left", "left", "right"],
        ["left", "right", "right"],
        ["left", "left", "right", "right"],
    )
