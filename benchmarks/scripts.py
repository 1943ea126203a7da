"""Scripts that measure themselves; each prints its figures as JSON."""

CONFIGURATIONS = {
    "pyplant": """
import json, sys, time
from pyplant import Plant, ReactorFunc, plant
from pyplant.reports import report
from pyplant.execution import run

@ReactorFunc
def model(pipe, config):
    pipe.send("model", config.alpha * 2)

began = time.perf_counter()
with Plant("plant", progress=False) as plant:
    total = 0
    for n in range(int(sys.argv[1])):
        plant.set_config({"alpha": n})
        total += plant.get("model")
print(json.dumps({"seconds": time.perf_counter() - began, "value": total}))
""",
    "joblib": """
import json, sys, time
import joblib, numpy
memory = joblib.Memory("cache", verbose=0)

@memory.cache
def model(alpha):
    return alpha * 2

began, worked = time.perf_counter(), time.process_time()
total = 0
for n in range(int(sys.argv[1])):
    total += model(n)
figures = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - worked, "value": total}
print(json.dumps(figures))
""",
}

BIG_ARRAY = """
import json, os, shutil, statistics, sys, time
import numpy as np
from pyplant import Plant, ReactorFunc, plant
from pyplant.reports import report
from pyplant.execution import run

what, megabytes = sys.argv[1], int(sys.argv[2])
sync = os.fsync
os.fsync = lambda number: None

def make(megabytes):
    return np.random.default_rng(1).random((megabytes << 20) // 8)

def touch_pages(array):
    # On a virtual machine, pages that were never touched cost most.
    with open("scratch", "wb") as stream:
        stream.write(memoryview(array).cast("B"))
        stream.flush()
        sync(stream.fileno())
    os.unlink("scratch")

@ReactorFunc
def sends(pipe, config):
    big = make(config.megabytes)
    touch_pages(big)
    sys.began = time.perf_counter()  # an installed module, so that it is no global of this one
    pipe.send("big", big)

@ReactorFunc
def receives(pipe):
    began = time.perf_counter()
    big = yield pipe.receive("big")
    sys.took = time.perf_counter() - began
    pipe.send("some", float(big[0]))

def opened(folder):
    plant = Plant(folder, progress=False)
    plant.set_config({"megabytes": megabytes})
    return plant

kept = f"{what}{megabytes}"
if what == "save":
    array = make(megabytes)
    touch_pages(array)
    began = time.perf_counter()
    np.save("array.npy", array)
    seconds = time.perf_counter() - began
    os.unlink("array.npy")
elif what == "send":
    with opened("sent") as plant:
        plant.run_reactor(sends)
        seconds = time.perf_counter() - sys.began
    shutil.rmtree("sent")
elif what == "receive":
    with opened(kept) as plant:
        plant.run_reactor(sends)
        plant.invalidate("receives")
        plant.run_reactor(receives)
        seconds = sys.took
else:
    with opened(kept) as plant:
        plant.run_reactor(sends)
    rounds = []
    for _ in range(50):
        began = time.perf_counter()
        with opened(kept) as plant:
            plant.run_reactor(sends)
        rounds.append(time.perf_counter() - began)
    seconds = statistics.median(rounds)
print(json.dumps({"seconds": seconds}))
"""

OUT_OF_CORE = r"""
import json, re, resource, sys
from pathlib import Path
import numpy as np
from pyplant import Plant, ReactorFunc, specs

phase, megabytes = sys.argv[1], int(sys.argv[2])
ROWS, COLUMNS = megabytes, (1 << 20) // 8

@ReactorFunc
def writes(pipe):
    big = pipe.allocate("big", specs.HdfArraySpec, shape=(ROWS, COLUMNS), dtype=np.float64)
    for row in range(0, ROWS, 16):
        big[row : row + 16] = np.full((min(16, ROWS - row), COLUMNS), float(row))
    pipe.send("big", big)

@ReactorFunc
def transforms(pipe):
    big = yield pipe.receive("big")
    twice = pipe.allocate("twice", specs.HdfArraySpec, shape=big.shape, dtype=big.dtype)
    for row in range(0, ROWS, 16):
        twice[row : row + 16] = big[row : row + 16] * 2
    pipe.send("twice", twice)

@ReactorFunc
def reduces(pipe):
    twice = yield pipe.receive("twice")
    total = 0.0
    for row in range(0, ROWS, 16):
        total += float(twice[row : row + 16].sum())
    pipe.send("total", total)

with Plant("plant", progress=False) as plant:
    name = {"write": "big", "transform": "twice", "reduce": "total"}[phase]
    value = plant.get(name)
    if phase == "reduce":
        assert value == sum(2.0 * row * min(16, ROWS - row) * COLUMNS for row in range(0, ROWS, 16))
status = Path("/proc/self/status")  # where it exists: the other figure counts the parent before exec as well
if status.exists():
    kilobytes = int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])
else:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"megabytes": kilobytes / 1024}))
"""

SAFETY = """
import json, shutil, sys, time
from contextlib import ExitStack
from pathlib import Path
import numpy as np
from pyplant import Plant, ReactorFunc, plant
from pyplant.reports import report
from pyplant.execution import run
from reliability.sabotage import sabotaged

what, count, megabytes, *removed = sys.argv[1:]

def make_step(number):
    @ReactorFunc(name=f"step_{number}")
    def step(pipe):
        x = (yield pipe.receive(f"x{number - 1}")) if number else 0
        pipe.send(f"x{number}", x + 1)

def make_array(number, megabytes):
    @ReactorFunc(name=f"array_{number}")
    def array(pipe):
        pipe.send(f"x{number}", np.random.default_rng(number).random((megabytes << 20) // 8))

for number in range(int(count)):
    make_step(number) if what == "steps" else make_array(number, int(megabytes))

def timed(folder, names):
    began = time.perf_counter()
    with Plant(folder, progress=False) as plant:
        for name in names:
            plant.get(name)
    return time.perf_counter() - began

last = f"x{int(count) - 1}"
names = [last] if what == "steps" else [f"x{number}" for number in range(int(count))]
if what == "copied":
    timed("kept", names)
    shutil.copytree("kept", "measured")
with ExitStack() as stack:
    for name in removed:
        stack.enter_context(sabotaged(name))
    seconds = timed("measured", names)
shutil.rmtree("measured")
print(json.dumps({"seconds": seconds}))
"""

# ---------------------------------------------------------------------- cells of notebooks

WATCHED = """
%load_ext pyplant
import json, time
from pyplant import *
from pyplant.events import ReactorFinished, ReactorStarted

%plant watched.plant
plant.set_config({{"count": {count}}})
events = []

def note(event):
    if isinstance(event, ReactorStarted | ReactorFinished):
        status = "running" if isinstance(event, ReactorStarted) else "ran"
        events.append((event.reactor, status, time.time()))

plant.add_event_listener(note)

def compute(seconds):
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        sum(range(1000))

def make(number, senders):
    @ReactorFunc(name=f"step_{{number}}")
    def step(pipe):
        for sender in senders:
            yield pipe.receive(f"x{{sender}}")
        compute(0.15 + 0.3 * (number * 0.618 % 1))  # so that snapshots and events do not go in step
        pipe.send(f"x{{number}}", number)

for number in range({count}):
    make(number, sorted({{max(0, number - 7), max(0, number - 7 - number % 3)}} - {{number}}))

def run(count):
    plant.get(*[f"x{{number}}" for number in range(count)])
    print(json.dumps(events))
"""

TRIVIAL = """
%load_ext pyplant
import gc, json, shutil, statistics, time
from pyplant import *
from pyplant.execution import frontend

plant, console = None, frontend.current()

def make(number):
    @ReactorFunc(name=f"step_{{number}}")
    def step(pipe):
        x = (yield pipe.receive(f"x{{number - 1}}")) if number else 0
        pipe.send(f"x{{number}}", x + 1)

for number in range({count}):
    make(number)

def begin():
    global plant
    if plant is not None:
        plant.close()
        shutil.rmtree(plant.directory)
    plant = Plant("fresh.plant", progress=False)

def run(recorded=True):
    frontend.install(console if recorded else None)
    gc.collect()  # it takes a tenth of a run, and comes by chance
    try:
        began = time.process_time()
        value = plant.get(f"x{{{count} - 1}}")
        seconds = time.process_time() - began
    finally:
        frontend.install(console)
    assert value == {count}
    own = statistics.median(entry.seconds for entry in plant.status())
    return {{"seconds": seconds, "own": own}}
"""

WAITS = """
import contextlib, select, sys, threading

@contextlib.contextmanager
def waiting():
    waits = []
    places = [(time, "sleep"), (select, "select"), (threading.Event, "wait"), (threading.Condition, "wait")]
    originals = [getattr(owner, name) for owner, name in places]

    def counted(original):
        def wait(*args, **options):
            if sys._getframe(1).f_globals.get("__name__", "").startswith("pyplant.notebook"):
                waits.append(original)
            return original(*args, **options)
        return wait

    for (owner, name), original in zip(places, originals):
        setattr(owner, name, counted(original))
    try:
        yield waits
    finally:
        for (owner, name), original in zip(places, originals):
            setattr(owner, name, original)
"""

LAYOUT = """
import json, random, sys, time
from pyplant.notebook.graph import graphviz_layout

shape, count = sys.argv[1], int(sys.argv[2])
chance = random.Random(1)
if shape == "stages":  # of some twenty reactors, each of which receives from two or three of the one before
    edges = [(max(0, n - 20 - chance.randrange(8)), n) for n in range(1, count) for _ in range(3)]
elif shape == "chain":
    edges = [(n - 1, n) for n in range(1, count)]
elif shape == "star":
    edges = [(0, n) for n in range(1, count - 1)] + [(n, count - 1) for n in range(1, count - 1)]
else:
    edges = [(chance.randrange(n), n) for n in range(1, count) for _ in range(2)]
edges = list(dict.fromkeys(edges))[: count * 8 // 3]
sizes = [(100.0 + n % 60, 24.0) for n in range(count)]
began = time.perf_counter()
graphviz_layout.arrange(sizes, edges)
print(json.dumps({"seconds": time.perf_counter() - began, "edges": len(edges)}))
"""


def reactor_cells(count: int) -> list[str]:
    """A chain of cells that remember, each of which shows something."""
    return [
        f"%%reactor step_{n} {f'-i x{n - 1}' if n else ''} -o x{n}\n"
        f"print('shown by step_{n}')\nx{n} = {f'x{n - 1} + 1' if n else '0'}"
        for n in range(count)
    ]


KEPT = """
%load_ext pyplant
%plant kept.plant
import json, pathlib

def write_kept(name, file):
    definition = next(d for d in plant._registry.current().values() if d.name == name)
    trace = plant._warehouse.ledger.last(definition.full_name)
    pathlib.Path(file).write_text(json.dumps(plant._warehouse.load(trace.recorded)))
"""

FLOODS = {
    "text": """
%%reactor text -o done
for number in range(60_000):
    print(f"line {number:06} {'<&>' * 29}")
done = 1
""",
    "displays": """
%%reactor displays -o done
from IPython.display import HTML, display
for number in range(12):
    display(HTML(f"<p>{number}</p><!--{'x' * 500_000}-->"))
done = 2
""",
    "both": """
%%reactor both -o done
from IPython.display import HTML, display
for number in range(100):
    print(f"{number} of many\\n" + f"line {number}\\n" * 100)
    display(HTML(f"<p>{number}</p><!--{'x' * 60_000}-->"))
done = 3
""",
}

SIDE_BY_SIDE = """
import importlib, json, sys, time
from contextlib import contextmanager
import numpy as np
from pyplant import Plant, ReactorFunc

WORKERS = 2

@contextmanager
def executor_of(kind):
    if kind == "none":
        yield None
    elif kind == "threads":
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(WORKERS) as executor:
            yield executor
    elif kind == "processes":
        from loky.process_executor import ProcessPoolExecutor
        with ProcessPoolExecutor(WORKERS) as executor:
            yield executor
    else:
        from distributed import Client, LocalCluster
        with LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1", silence_logs=50
        ) as cluster, Client(cluster) as client:
            yield client

def busy():
    return sum(n * n for n in range(24_000_000))

@ReactorFunc
def one(pipe):
    pipe.send("one", busy())

@ReactorFunc
def other(pipe):
    pipe.send("other", busy())

@ReactorFunc
def both(pipe):
    one, other = yield pipe.receive("one", "other")
    pipe.send("both", one + other)

def fan(count, seconds, prefix):
    # A file: only names that stand in the code are known before anything has run.
    names = [f"{prefix}{n}" for n in range(count)]
    lines = ["import time", "from pyplant import ReactorFunc", ""]
    for name in names:
        lines += ["@ReactorFunc", f"def make_{name}(pipe):"]
        lines += [f"    time.sleep({seconds})"] * bool(seconds) + [f"    pipe.send('{name}', 1)", ""]
    lines += ["@ReactorFunc", f"def make_{prefix}total(pipe):", f"    values = yield pipe.receive(*{names!r})"]
    lines += [f"    pipe.send('{prefix}total', sum(values))", ""]
    with open(f"fan_{prefix}.py", "w") as stream:
        stream.write("\\n".join(lines))
    return importlib.import_module(f"fan_{prefix}")

def work(seconds):
    if seconds:
        time.sleep(seconds)
    return 1

def bare(executor, count, seconds):
    if executor is None:
        return sum(work(seconds) for _ in range(count))
    if hasattr(executor, "gather"):
        futures = [executor.submit(work, seconds, pure=False) for _ in range(count)]
        return sum(executor.gather(futures))
    return sum(future.result() for future in [executor.submit(work, seconds) for _ in range(count)])

@ReactorFunc
def large(pipe, config):
    pipe.send("large", np.ones(config.megabytes << 17))

@ReactorFunc
def reduced(pipe):
    large = yield pipe.receive("large")
    pipe.send("reduced", float(large.sum()))

def resident():
    with open("/proc/self/status") as stream:
        return max(int(line.split()[1]) for line in stream if line.startswith("VmHWM")) / 1000

def main(what, kind, count=0, seconds=0.0):
    with executor_of(kind) as executor:
        if what == "bare":
            bare(executor, 10, 0)
            began = time.perf_counter()
            bare(executor, count, seconds)
            took = time.perf_counter() - began
            return {"seconds": took, "each": took / count}
        with Plant(f"plant-{time.time_ns()}", executor=executor, progress=False) as plant:
            fan(10, 0, "warm")
            assert plant.get("warmtotal") == 10
            if what == "transport":
                plant.set_config({"megabytes": count})
                before = resident()
                assert plant.get("reduced") == count << 17
                return {"megabytes": resident() - before}
            if what != "two":
                fan(count, seconds, "x")
            began = time.perf_counter()
            plant.get("both" if what == "two" else "xtotal")
            took = time.perf_counter() - began
            return {"seconds": took, "each": took / max(1, count)}

if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:3], *map(int, sys.argv[3:4]), *map(float, sys.argv[4:5]))))
"""

SWEEP = {
    "pyplant": """
import json, sys, time
import pyplant.reports.sweep
from pyplant import Plant, ReactorFunc

@ReactorFunc
def model(pipe, config):
    pipe.send("model", config.alpha * 2)

if __name__ == "__main__":
    began = time.perf_counter()
    with Plant("plant", executor=2, progress=False) as plant:
        table = plant.sweep(model, {"alpha": range(int(sys.argv[1]))}, ["model"])
        total = sum(row.ingredients["model"] for row in table)
    print(json.dumps({"seconds": time.perf_counter() - began, "value": total}))
""",
    "joblib": """
import json, sys, time
import joblib, numpy
memory = joblib.Memory("cache", verbose=0)

@memory.cache
def model(alpha):
    return alpha * 2

if __name__ == "__main__":
    began = time.perf_counter()
    values = joblib.Parallel(n_jobs=2)(joblib.delayed(model)(n) for n in range(int(sys.argv[1])))
    print(json.dumps({"seconds": time.perf_counter() - began, "value": sum(values)}))
""",
    "joblib in a loop": CONFIGURATIONS["joblib"],
}
