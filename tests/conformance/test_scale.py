"""Large graphs work; the benchmarks measure their speed.

Chains are longer than the interpreter can recurse, and not much longer, since some take quadratic time.
"""

import sys

import pytest

from pyplant import Plant
from tests.conformance.helpers import module_at, run_batch, write_files  # noqa: F401

LONG = sys.getrecursionlimit() * 3 // 2


def chain(length):
    steps = [
        f"@ReactorFunc\ndef step_{n}(pipe):\n    pipe.send('x{n}', (yield pipe.receive('x{n - 1}')) + 1)\n"
        for n in range(1, length)
    ]
    return (
        "from pyplant import *\n\n\n@ReactorFunc\ndef step_0(pipe, config):\n    pipe.send('x0', config.start)\n\n\n"
        + "\n\n".join(steps)
        + "\n\n\nif __name__ == '__main__':\n"
        "    import sys\n"
        "    with Plant('plant') as plant:\n"
        "        plant.set_config({'start': int(open('start').read())})\n"
        f"        report = plant.run_reactor('step_{length - 1}')\n"
        f"        print(len(report.ran), plant.get('x{length - 1}'), sys.getrecursionlimit())\n"
    )


@pytest.mark.parametrize("length", [LONG, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_a_long_chain_of_reactors_runs_cold_and_warm_and_stops_early(tmp_path, length):
    write_files(tmp_path, {"start": "1"})
    (tmp_path / "chain.py").write_text(chain(length))
    limit = sys.getrecursionlimit()

    def run():
        return run_batch([(tmp_path, "chain.py")], timeout=280)[0].strip()

    assert run() == f"{length} {length} {limit}"
    assert run() == f"0 {length} {limit}"
    (tmp_path / "chain.py").write_text(chain(length).replace("config.start)", "config.start + 0)"))
    assert run() == f"1 {length} {limit}"


def test_status_plan_and_graph_of_a_long_chain_do_not_recurse(plant_dir, module_at):
    length = LONG
    module_at("long_chain", chain(length))
    with Plant(plant_dir) as plant:
        plant.set_config({"start": 1})
        assert len(plant.plan(f"step_{length - 1}").will_run) == length
        plant.run_reactor(f"step_{length - 1}")
        assert {entry.outcome.value for entry in plant.status()} == {"cached"}
        plant.set_config({"start": 2})
        plan = plant.plan(f"step_{length - 1}")
        assert (len(plan.will_run), len(plan.may_run)) == (1, length - 1)
        explanation = plant.explain(f"step_{length - 1}")
        assert explanation.causes[0].name == f"x{length - 2}"
        for report in (plan, explanation, plant.status()):
            assert str(report)
            assert report._repr_html_()
        assert str(plant.graph().source).count("->") == length - 1
        plant.show_graph()


def test_a_cycle_of_many_reactors_is_reported(plant_dir, module_at):
    length = LONG
    text = chain(length).replace(
        "def step_0(pipe, config):\n    pipe.send('x0', config.start)",
        f"def step_0(pipe):\n    pipe.send('x0', (yield pipe.receive('x{length - 1}')))",
    )
    module_at("long_cycle", text)
    from pyplant.errors import CycleError

    with Plant(plant_dir) as plant, pytest.raises(CycleError, match="in a circle"):
        plant.get("x5")


FAN_IN = """
    from pyplant import *

    COUNT = 1000

    for number in range(COUNT):
        @ReactorFunc(name=f"part {number}")
        def part(pipe, number=number):
            pipe.send(f"part {number}", number)

    @ReactorFunc
    def gathers(pipe):
        parts = yield pipe.receive(*[f"part {n}" for n in range(COUNT)])
        pipe.send("sum", sum(parts))

    @ReactorFunc
    def gathers_one_by_one(pipe):
        total = 0
        for n in range(COUNT):
            total += yield pipe.receive(f"part {n}")
        pipe.send("sum again", total)

    with Plant("plant") as plant:
        for reactor in (gathers, gathers_one_by_one):
            report = plant.run_reactor(reactor)
            print(len(report.ran), len(report.cached))
        print(plant.get("sum", "sum again"))
"""


def test_a_fan_in_of_1_000_reactors(tmp_path):
    write_files(tmp_path, {"fan.py": FAN_IN})
    assert run_batch([(tmp_path, "fan.py")])[0].splitlines() == ["1001 0", "1 1000", "(499500, 499500)"]
    assert run_batch([(tmp_path, "fan.py")])[0].splitlines() == ["0 1001", "0 1001", "(499500, 499500)"]


FAN_OUT = """
    from pyplant import *
    import numpy as np

    @ReactorFunc
    def source(pipe):
        pipe.send("source", np.arange(20_000.0))

    for number in range(1000):
        @ReactorFunc(name=f"part {number}")
        def part(pipe, number=number):
            source = yield pipe.receive("source")
            source[:] = number
            pipe.send(f"part {number}", float(source[0]))

    @ReactorFunc
    def end(pipe):
        parts = yield pipe.receive(*[f"part {n}" for n in range(1000)])
        pipe.send("end", [parts == tuple(map(float, range(1000))), float((yield pipe.receive("source"))[1])])

    with Plant("plant") as plant:
        print(len(plant.run_reactor(end).ran), plant.get("end"))
"""


def test_a_fan_out_of_1_000_reactors_to_copies_of_their_own(tmp_path):
    write_files(tmp_path, {"fan.py": FAN_OUT})
    assert run_batch([(tmp_path, "fan.py")]) == ["1002 [True, 1.0]\n"]
    assert run_batch([(tmp_path, "fan.py")]) == ["0 [True, 1.0]\n"]


def test_helpers_that_call_one_another_in_a_long_chain(plant_dir, module_at):
    length = LONG
    helpers = [f"def helper_{n}(x):\n    return helper_{n + 1} if x else {n}\n" for n in range(length)]
    text = "\n".join(
        [
            "from pyplant import ReactorFunc",
            *helpers,
            f"helper_{length} = 5",
            "@ReactorFunc\ndef work(pipe):\n    pipe.send('result', helper_0(0))\n",
        ]
    )
    module = module_at("long_helpers", text)
    with Plant(plant_dir) as plant:
        assert plant.run_reactor("work").ran == ("work",)
        assert plant.run_reactor("work").ran == ()
        setattr(module, f"helper_{length}", 6)
        assert plant.run_reactor("work").ran == ("work",)


def test_results_of_many_configurations_are_all_stored(plant_dir, module_at):
    text = """
        from pyplant import ReactorFunc

        @ReactorFunc
        def sweep(pipe, config):
            pipe.send("sweep", config.n ** 2)
    """
    module_at("swept", text)
    with Plant(plant_dir) as plant:
        for n in range(500):
            plant.set_config({"n": n})
            plant.get("sweep")
        for n in reversed(range(500)):
            plant.set_config({"n": n})
            assert plant.run_reactor("sweep").ran == ()
        assert plant.get("sweep") == 0
