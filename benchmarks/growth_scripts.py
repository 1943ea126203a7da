"""Pipelines and histories of any size, and scripts that call one command on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

WIDTH = 100
"""Reactors in a layer."""


def wide(size: int) -> str:
    """A module with a reactor that receives from all others."""
    return _module(_sources(size)) + _last([f"x{n}" for n in range(size)])


def deep(size: int) -> str:
    """A module with a chain of reactors."""
    steps = [_step(n, [n - 1] if n else []) for n in range(size)]
    return _module(steps) + _last([f"x{size - 1}"])


def layered(size: int) -> str:
    """A module with layers of reactors, each of which receives from three of the layer before."""

    def senders(n: int) -> list[int]:
        layer, place = divmod(n, WIDTH)
        return [(layer - 1) * WIDTH + (place + step) % WIDTH for step in (0, 1, 7)] if layer else []

    steps = [_step(n, senders(n)) for n in range(size)]
    return _module(steps) + _last([f"x{n}" for n in range(max(0, size - WIDTH), size)])


def many_outputs(size: int) -> str:
    """A module with a reactor that sends many ingredients, and one that receives all of them."""
    return _module(["\n    ".join(_sources(size))]) + _last([f"x{n}" for n in range(size)])


def one_by_one(size: int) -> str:
    """A module with a reactor that receives from all others, one at a time."""
    return (
        _module(_sources(size))
        + f"@ReactorFunc\ndef last(pipe):\n    total = 0\n    for n in range({size}):\n"
        "        total += yield pipe.receive(f'x{n}')\n    pipe.send('last', total)\n"
    )


SHAPES: dict[str, Callable[[int], str]] = {
    "wide": wide,
    "deep": deep,
    "layered": layered,
    "many outputs": many_outputs,
    "one by one": one_by_one,
}


def _module(bodies: Iterable[str]) -> str:
    reactors = [f"@ReactorFunc\ndef r{n}(pipe, config):\n    {body}\n\n" for n, body in enumerate(bodies)]
    return "from pyplant import ReactorFunc\n\n" + "".join(reactors)


def _sources(size: int) -> list[str]:
    return [f"pipe.send('x{n}', config.a + {n})" for n in range(size)]


def _step(n: int, senders: list[int]) -> str:
    received = "".join(f"v{i} = yield pipe.receive('x{s}')\n    " for i, s in enumerate(senders))
    value = " + ".join(f"v{i}" for i in range(len(senders))) or "config.a"
    return f"{received}pipe.send('x{n}', {value})"


def _last(names: list[str]) -> str:
    received = ", ".join(map(repr, names))
    return (
        f"@ReactorFunc\ndef last(pipe):\n    values = yield pipe.receive([{received}])\n"
        "    pipe.send('last', sum(values))\n"
    )


_HEAD = """
import json, os, sys, time
from contextlib import redirect_stdout
import graphviz
from pyplant import Plant, ReactorFunc, plant
from pyplant.cli import main
from pyplant.execution import queries, run, staleness
from pyplant.reports import graph, report, sweep, terminal
from pyplant.store import fsck, retention

def peak():
    with open("/proc/self/status") as lines:
        fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM")}

def measured(work):
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak is now what is in use
    before, began = peak(), time.process_time()
    with redirect_stdout(open(os.devnull, "w")):
        value = work()
    seconds = time.process_time() - began
    grown = peak()["VmHWM"] - before["VmRSS"]
    print(json.dumps({"seconds": seconds, "bytes": 1024 * grown, "value": value if isinstance(value, int) else 0}))

def command(*arguments):
    try:
        main(list(arguments))
    except SystemExit as stop:
        assert not stop.code, stop.code
"""

PIPELINE = (
    _HEAD
    + """
import pipeline

call, changed = sys.argv[1], int(sys.argv[2])
if call == "compile":
    sys.exit(print("{}"))

def work():
    if call in ("ls", "history"):
        return command(call, "plant")
    with Plant("plant", progress=False) as plant:
        plant.set_config({"a": changed})
        match call:
            case "run":
                return plant.get("last")
            case "report":
                return len(str(plant.run_reactor("last")))
            case "plan" | "explain":
                return len(str(getattr(plant, call)("last")))
            case "status":
                return len(str(plant.status()))
            case "graph":
                return len(plant.graph().source)
            case "show_graph":
                return plant.show_graph()
            case "fsck" | "gc":
                return len(str(getattr(plant, call)()))

measured(work)
"""
)

HISTORY = (
    _HEAD
    + """
from dataclasses import replace
from hashlib import sha1
from pyplant.plant import session_of
from pyplant.store.trace_lines import key_of

KINDS = 1000

def fill(size):
    # As many executions of a thousand reactors that are not defined here, without running them.
    with Plant("plant", progress=False) as plant:
        plant.set_config({"alpha": 0})
        plant.get("model")
        ledger, journal = session_of(plant).warehouse.ledger, session_of(plant).warehouse.journal
        real = next(ledger.traces())
        for n in range(size):
            kind, digest = n % KINDS, sha1(b"%d" % n).hexdigest()
            outputs = (replace(real.outputs[0], name=f"x{kind}", digest=digest),)
            dependencies = (*real.dependencies[:-1], real.dependencies[-1]._replace(digests=(digest,)))
            trace = real._replace(
                reactor=f"made.r{kind}", fingerprint=sha1(b"r%d" % kind).hexdigest(), outputs=outputs,
                dependencies=dependencies,
            )
            journal.append("t", key_of(trace, ledger._topics_of(trace.reactor, trace)), trace.to_json())
            if n % 10_000 == 0:
                journal.flush()

@ReactorFunc
def model(pipe, config):
    pipe.send("model", config.alpha * 2)

@ReactorFunc
def other(pipe, config):
    pipe.send("other", config.alpha * 3)

call, size = sys.argv[1], int(sys.argv[2])

def work():
    if call == "fill":
        return fill(size)
    if call in ("ls", "history"):
        return command(call, "plant")
    if call == "ls --all":
        return command("ls", "--all", "plant")
    with Plant("plant", progress=False) as plant:
        plant.set_config({"alpha": 0})
        match call:
            case "sweep":
                return len(plant.sweep(model, {"alpha": range(size)}, ["model"]).rows)
            case "loop":
                for n in range(size):
                    plant.set_config({"alpha": n})
                    plant.get("model")
            case "open":
                return 0
            case "cached":
                return plant.get("model")
            case "new":
                return plant.get("other")
            case "plan" | "explain" | "history of one":
                return len(str(getattr(plant, call.split()[0])("model")))
            case "status":
                return len(str(plant.status()))
            case "fsck" | "gc":
                return len(str(getattr(plant, call)()))

measured(work)
"""
)
