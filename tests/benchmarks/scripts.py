"""Scripts that measure themselves; each prints its figures as JSON."""

CONFIGURATIONS = {
    "pyplant": """
import json, sys, time
from pyplant import Plant, ReactorFunc, plant, report
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

began = time.perf_counter()
total = 0
for n in range(int(sys.argv[1])):
    total += model(n)
print(json.dumps({"seconds": time.perf_counter() - began, "value": total}))
""",
}

BIG_ARRAY = """
import json, os, shutil, statistics, sys, time
import numpy as np
from pyplant import Plant, ReactorFunc, plant, report
from pyplant.execution import run

what, megabytes = sys.argv[1], int(sys.argv[2])
syncing = 0.0
sync = os.fsync

def timed_sync(number):
    global syncing
    began = time.perf_counter()
    sync(number)
    syncing += time.perf_counter() - began

os.fsync = timed_sync

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
        seconds = time.perf_counter() - sys.began - syncing
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
def reduces(pipe):
    big = yield pipe.receive("big")
    total = 0.0
    for row in range(0, ROWS, 16):
        total += float(big[row : row + 16].sum())
    pipe.send("total", total)

with Plant("plant", progress=False) as plant:
    if phase == "write":
        plant.run_reactor(writes)
    else:
        expected = sum(float(row) * min(16, ROWS - row) * COLUMNS for row in range(0, ROWS, 16))
        assert plant.get("total") == expected
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
from pyplant import Plant, ReactorFunc, plant, report
from pyplant.execution import run
from tests.reliability.sabotage import sabotaged

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
