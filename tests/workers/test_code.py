"""How user code and its surroundings come to a worker, which must give the results of an inline run."""

import gc
import importlib
import importlib.util
import json
import math
import os
import shutil
import sys
import textwrap
import types
import weakref

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import ConfigError, PlantWarning, WorkerError
from pyplant.fingerprint.code_graph import NodeBuilder
from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.store.files import Files
from pyplant.workers import imports, worker_main
from pyplant.workers.code_pickling import CodePickler
from pyplant.workers.parallel_executor import ParallelExecutor
from pyplant.workers.sent_code import SentCode
from pyplant.workers.user_modules import capture_user_module, capture_user_modules

pytestmark = pytest.mark.slow


@pytest.fixture(params=["processes", "dask"])
def away(request, pools):
    """Workers in other processes."""
    return pools(request.param)


@pytest.fixture
def plant(away, tmp_path):
    with Plant(tmp_path / "plant", executor=away, progress=False) as plant:
        yield plant


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Import user modules from texts."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names = []

    def write(name, text):
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        sys.modules.pop(name, None)
        names.append(name)
        return importlib.import_module(name)

    write.folder = folder
    yield write
    for name in names:
        sys.modules.pop(name, None)


# ---------------------------------------------------------------------- what modules do when they are imported


def test_modules_are_imported_before_the_first_reactor_in_the_order_of_the_program(plant, module):
    module("wc_base", "ORDER = []\n")
    module("wc_zebra", "import wc_base\nwc_base.ORDER.append('zebra')\n")
    module("wc_ant", "import wc_base\nwc_base.ORDER.append('ant')\n")
    base = sys.modules["wc_base"]

    @ReactorFunc
    def order(pipe):
        pipe.send("order", list(base.ORDER))

    plant.add_reactor(order)
    assert plant.get("order") == ["zebra", "ant"]


def test_effects_of_imports_hold_in_workers(plant, module):
    module("wc_settings", "import decimal\ndecimal.getcontext().prec = 9\n")

    @ReactorFunc
    def third(pipe):
        import decimal

        pipe.send("third", str(decimal.Decimal(1) / 3))

    plant.add_reactor(third)
    try:
        assert plant.get("third") == "0.333333333"
    finally:
        importlib.import_module("decimal").getcontext().prec = 28


def test_a_module_has_its_file_and_all_its_names(plant, module):
    data = module(
        "wc_data", "def plain():\n    return 'plain'\ndef by_name():\n    return globals()['plain']()\n"
    )
    (module.folder / "wc_data.txt").write_text("beside")

    @ReactorFunc
    def reads(pipe):
        with open(data.__file__.replace(".py", ".txt")) as stream:
            pipe.send("read", [data.by_name(), stream.read(), data.__spec__.name])

    plant.add_reactor(reads)
    assert plant.get("read") == ["plain", "beside", "wc_data"]


def test_a_module_that_was_edited_after_its_import_is_executed_as_it_was(plant, module):
    before = module(
        "wc_edited", "import os\nos.environ['WC_EDITED'] = 'before'\ndef value():\n    return 1\n"
    )
    capture_user_modules()
    (module.folder / "wc_edited.py").write_text(
        "import os\nos.environ['WC_EDITED'] = 'after'\ndef value():\n    return 2\n"
    )

    @ReactorFunc
    def reads(pipe):
        pipe.send("read", [before.value(), os.environ.get("WC_EDITED")])

    plant.add_reactor(reads)
    assert plant.get("read") == [1, "before"]


def test_workers_without_the_files_of_the_project(plant, module, tmp_path, monkeypatch):
    (module.folder / "wc_project").mkdir()
    (module.folder / "wc_project" / "__init__.py").write_text("from .model import Model\n")
    (module.folder / "wc_project" / "model.py").write_text(
        "from . import helpers\n"
        "class Model:\n"
        "    class Layer:\n"
        "        weight = 3\n"
        "    def apply(self, x):\n"
        "        return helpers.scale(x, self.Layer.weight)\n"
    )
    (module.folder / "wc_project" / "helpers.py").write_text(
        "SEEN = []\ndef scale(x, by):\n    return x * by\n"
    )
    importlib.invalidate_caches()
    project = importlib.import_module("wc_project")
    monkeypatch.setattr(
        plant._session, "_executor", ParallelExecutor(plant._session._executor._pool)
    )  # captures

    @ReactorFunc
    def made(pipe):
        pipe.send("model", project.Model())

    @ReactorFunc
    def applied(pipe):
        model = yield pipe.receive("model")
        pipe.send("applied", [model.apply(7), isinstance(model, project.Model), project.helpers.SEEN])

    shutil.rmtree(module.folder)
    plant.add_reactor(made, applied)
    assert plant.get("applied") == [21, True, []]
    for name in ("wc_project", "wc_project.model", "wc_project.helpers"):
        del sys.modules[name]


def test_a_module_that_cannot_be_imported_in_workers_is_sent_by_value(plant, module, tmp_path):
    text = f"""
        import os
        from pathlib import Path
        first = Path({str(tmp_path / "first")!r})
        if not first.exists():
            first.write_text(str(os.getpid()))
        if first.read_text() != str(os.getpid()):
            raise OSError("only once")
        FACTOR = 3
        def scale(x):
            return FACTOR * x
    """
    only_once = module("wc_only_once", text)

    def make(n):
        @ReactorFunc(name=f"scaled {n}")
        def scaled(pipe, n=n):
            pipe.send(f"scaled {n}", only_once.scale(n))

        return scaled

    plant.add_reactor([make(n) for n in range(6)])  # several are under way when the first import fails
    with pytest.warns(PlantWarning, match="Workers cannot import wc_only_once \\(OSError: only once\\)"):
        assert plant.get([f"scaled {n}" for n in range(6)]) == [0, 3, 6, 9, 12, 15]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (None, "a a.b a.b.c ab"),
        ([], ""),
        (["a.b"], "a a.b a.b.c"),  # Python imports a package before what it contains
        (["a"], "a a.b a.b.c"),
        (["ab"], "ab"),
    ],
)
def test_workers_import_what_the_plant_names(only, expected, pools, tmp_path):
    with Plant(tmp_path / "plant", executor=pools("processes"), worker_imports=only) as plant:
        is_importable = plant._session._executor._is_importable
        assert [name for name in ("a", "a.b", "a.b.c", "ab") if is_importable(name)] == expected.split()


def test_a_module_that_workers_may_not_import_has_no_effects_there(pools, module, tmp_path):
    mark = tmp_path / "imported"
    text = f"""
        import os, pathlib

        mark = pathlib.Path({str(mark)!r})
        mark.write_text((mark.read_text() if mark.exists() else "") + f"{{os.getpid()}} ")

        def double(x):
            return 2 * x
    """
    noisy = module("wc_noisy", text)

    @ReactorFunc
    def doubled(pipe):
        pipe.send("doubled", noisy.double(21))

    for only, processes in (([], 1), (None, 2)):
        mark.write_text(f"{os.getpid()} ")
        root = tmp_path / str(processes)
        with Plant(root, executor=pools("processes"), progress=False, worker_imports=only) as plant:
            plant.add_reactor(doubled)
            assert plant.get("doubled") == 42
        assert len(set(mark.read_text().split())) == processes


def test_a_single_name_of_a_module_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="list of names"):
        Plant(tmp_path / "plant", executor=1, worker_imports="helpers")


def test_a_module_whose_import_takes_long_is_named(module, monkeypatch):
    module("wc_slow", "READY = True\n")
    modules = {"wc_slow": capture_user_module("wc_slow")}
    del sys.modules["wc_slow"]
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(imports, "_finder", imports._Finder())
    imports.import_modules(modules)  # control
    monkeypatch.setattr(imports, "_finder", imports._Finder())
    monkeypatch.setattr(imports, "_SLOW_IMPORT", -1.0)
    del sys.modules["wc_slow"]
    with pytest.raises(imports.ImportsFailedError) as caught:
        imports.import_modules(modules)
    assert caught.value.reasons == {"wc_slow": "its import takes 0 seconds"}


def test_a_module_that_runs_a_plant_when_it_is_imported_says_so(plant, module, tmp_path):
    text = f"""
        from pyplant import Plant, ReactorFunc
        @ReactorFunc
        def unguarded(pipe):
            pipe.send("unguarded", 1)
        with Plant({str(tmp_path / "other")!r}, progress=False) as plant:
            plant.add_reactor(unguarded)
            plant.run_reactor(unguarded)
        def answer():
            return 42
    """
    answer = module("wc_unguarded", text).answer

    @ReactorFunc
    def uses(pipe):
        pipe.send("used", answer())

    plant.add_reactor(uses)
    with pytest.warns(PlantWarning, match="wc_unguarded.*if __name__ == '__main__'"):
        assert plant.get("used") == 42


# ---------------------------------------------------------------------- values of the program


def test_values_that_the_program_changed_after_the_import_hold_in_workers(plant, module):
    settings = module(
        "wc_options", "N = 1\nTABLE = {}\ndef method():\n    return 'as written'\nclass Kind:\n    size = 1\n"
    )

    @ReactorFunc
    def reads(pipe):
        pipe.send("read", [settings.N, settings.TABLE, settings.method(), settings.Kind.size])

    plant.add_reactor(reads)
    assert plant.get("read") == [1, {}, "as written", 1]
    settings.N, settings.TABLE["key"], settings.Kind.size = 5, "value", 9
    settings.method = lambda: "patched"
    assert plant.get("read") == [5, {"key": "value"}, "patched", 9]
    assert plant.run_reactor(reads).ran == ()


def test_what_the_program_deleted_is_not_there_in_workers(plant, module):
    options = module(
        "wc_deleted",
        "EXTRA = 1\ndef extra():\n    try:\n        return EXTRA\n    except NameError:\n        return 'gone'\n",
    )

    extra = options.extra

    @ReactorFunc
    def reads(pipe):
        pipe.send("read", extra())

    plant.add_reactor(reads)
    del options.EXTRA
    assert plant.get("read") == "gone"


@pytest.mark.parametrize("made", ["{'key': 1}", "[1]", "{1}", "Table(key=1)"])
def test_modules_share_a_changed_value_in_workers_as_they_do_here(plant, module, made):
    settings = module("wc_first", f"from types import SimpleNamespace as Table\nTABLE = {made}\n")
    user = module("wc_second", "from wc_first import TABLE\ndef table():\n    return TABLE\n")

    @ReactorFunc
    def read(pipe):
        import wc_first

        pipe.send("read", [str(user.table()), user.table() is wc_first.TABLE])

    changes = {dict: lambda t: t.update(other=2), list: lambda t: t.append(2), set: lambda t: t.add(2)}
    changes.get(type(settings.TABLE), lambda table: setattr(table, "key", 2))(settings.TABLE)
    plant.add_reactor(read)
    assert plant.get("read") == [str(settings.TABLE), True]


def test_a_patch_of_an_installed_module_holds_in_workers(plant, monkeypatch):
    monkeypatch.setattr(textwrap, "dedent", lambda text: f"patched {text}")

    @ReactorFunc
    def read(pipe):
        pipe.send("read", textwrap.dedent(" x"))

    plant.add_reactor(read)
    assert plant.get("read") == "patched  x"


def test_a_module_that_was_never_registered_is_sent_by_value(plant, module):
    spec = importlib.util.spec_from_file_location("wc_unregistered", module.folder / "wc_unregistered.py")
    (module.folder / "wc_unregistered.py").write_text("SIZE = 5\ndef size():\n    return SIZE\n")
    plugin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plugin)

    @ReactorFunc
    def read(pipe):
        pipe.send("read", plugin.size())

    plant.add_reactor(read)
    assert plant.get("read") == 5


def test_a_reactor_does_not_see_what_another_one_changed_in_its_worker(pools, module, tmp_path):
    # Threads of one worker share the modules while they run, as threads of a script do.
    counter = module("wc_counter", "COUNT = [0]\ndef count():\n    COUNT[0] += 1\n    return COUNT[0]\n")

    def make(name):
        @ReactorFunc(name=name)
        def counts(pipe, name=name):
            pipe.send(name, counter.count())

        return counts

    names = [f"count {n}" for n in range(6)]
    with Plant(tmp_path / "plant", executor=pools("processes"), progress=False) as plant:
        plant.add_reactor([make(name) for name in names])
        assert plant.get(*names) == (1,) * 6


def test_a_reactor_whose_fingerprint_a_worker_cannot_reproduce_is_refused(plant, module):
    strange = module(
        "wc_strange",
        """
        import os
        class Strange:
            def __init__(self):
                self.process = os.getpid()
            def __reduce__(self):
                return Strange, ()
        VALUE = Strange()
    """,
    )

    @ReactorFunc
    def uses(pipe):
        pipe.send("used", type(strange.VALUE).__name__)

    plant.add_reactor(uses)
    with pytest.raises(WorkerError, match="'uses' would not be the same in a worker as here: strange.VALUE"):
        plant.get("used")
    assert list(plant.history(uses)) == []


# ---------------------------------------------------------------------- what travels by value

SCRIPT = """
import json, sys
from pyplant import Plant, ReactorFunc
from pyplant.workers import parallel_executor

SENTINEL = object()
TABLE = bytes(3_000_000)
sizes = []

class Base:
    __slots__ = ("n",)
    def __init__(self):
        self.n = 1

class Left(Base):
    pass

class Right(Base):
    other = Left

Left.other = Right

def absent(value=SENTINEL):
    return value is SENTINEL

def shared():
    n = 0
    def add():
        nonlocal n
        n += 1
        return n
    def read():
        return n
    return add, read

ADD, READ = shared()

for number in range(5):
    @ReactorFunc(name=f"look {number}")
    def look(pipe, number=number):
        global TABLE
        ADD()
        pipe.send(f"look {number}", [
            len(TABLE), absent(), Left.other is Right, Right.other is Left, isinstance(Right(), Base),
            hasattr(Base(), "__dict__"), READ(),
        ])

if __name__ == "__main__":
    dumps = parallel_executor.dumps
    parallel_executor.dumps = lambda obj: (sizes.append(len(data := dumps(obj))), data)[1]
    with Plant("plant", executor=2, progress=False) as plant:
        values = plant.get([f"look {n}" for n in range(5)])
    print(json.dumps([values, max(sizes)]))
"""


def test_variables_of_a_script_are_sent_once_and_keep_their_identity(run_script):
    values, largest = json.loads(run_script(SCRIPT).stdout)
    assert values == [[3_000_000, True, True, True, True, False, 1]] * 5
    assert largest < 64_000


@pytest.fixture
def sent(tmp_path):
    """Pickle objects for a worker, and unpickle them here."""
    code = CodePickler(tmp_path / "code", Files(), lambda _: True)
    yield code, SentCode(code.sent_modules.folder)
    code.close()


def test_what_was_packed_before_an_error_is_sent_to_other_reactors(sent, monkeypatch):
    module = types.ModuleType("wc_memory")
    monkeypatch.setitem(sys.modules, "wc_memory", module)
    text = "def gen(): yield\nBAD = gen()\ndef good(): return 1\ndef fails(): return good(), BAD\ndef works(): return good()\n"
    exec(text, vars(module))
    code, received = sent
    with pytest.raises(TypeError, match="generator"):
        code.pack(module.fails)
    packed = code.pack(module.works)
    received.read(packed.bundles)
    assert received.load(packed)() == 1


def test_a_bundle_that_the_run_did_not_write_is_not_unpickled(sent, tmp_path):
    code, received = sent
    packed = code.pack(print)
    code._write([])
    (bundle,) = code._bundles
    (tmp_path / "code" / "0").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(Exception, match="is not what the run wrote there"):
        received.read([bundle])
    assert received.load(packed) is print


# ---------------------------------------------------------------------- fingerprints in a worker


class Held:
    """A value that a weak set can watch."""

    def __init__(self, n):
        self.n = n


class Verifying:
    """What of the state of a worker a verification needs."""

    def __init__(self):
        self.fingerprinter = Fingerprinter()
        self.verifications = 0

    def verify(self, function):
        worker_main._WorkerState.begin_verification(self)
        return self.fingerprinter.fingerprint(function)


def test_a_worker_digests_what_reactors_share_once(module, monkeypatch):
    lines = [f"def shared_{n}(): return {n}" for n in range(3)]
    lines += [f"def uses_{n}(): return shared_{n % 3}() + {n}" for n in range(20)]
    functions = vars(module("wc_shared", "\n".join(lines)))
    built = []
    build = NodeBuilder.__call__
    monkeypatch.setattr(NodeBuilder, "__call__", lambda self, obj: built.append(obj) or build(self, obj))
    state = Verifying()
    for n in range(20):
        state.verify(functions[f"uses_{n}"])
    assert [built.count(functions[f"shared_{n}"]) for n in range(3)] == [1, 1, 1]


def test_a_worker_releases_values_that_were_replaced(module):
    holder = module("wc_replaced", "VALUE = None\ndef uses(): return VALUE\n")
    state, alive = Verifying(), weakref.WeakSet()
    for n in range(100):
        holder.VALUE = Held(n)
        alive.add(holder.VALUE)
        state.verify(holder.uses)
    gc.collect()
    assert len(alive) < 70


# ---------------------------------------------------------------------- what reactors have changed

CHANGING = """
import counting
from pyplant import Plant, ReactorFunc
from pyplant.events import ReactorStarted

log, seen = [], {}

def helper(number):
    log.append("called")
    seen[number] = True
    counting.calls.append(number)
    return 2 * number

@ReactorFunc
def twice(pipe, config):
    pipe.send("twice", helper(config["number"]))

if __name__ == "__main__":
    ran = []
    for number, executor in ((1, None), (2, 2), (3, None), (4, 1)):
        with Plant("plant", executor=executor, progress=False) as plant:
            plant.add_event_listener(lambda event: isinstance(event, ReactorStarted) and ran.append(event.reactor))
            plant.set_config({"number": number})
            assert plant.get("twice") == 2 * number
    print(len(ran))
"""


def test_what_a_reactor_changed_in_this_process_counts_as_before_in_workers_too(run_script, tmp_path):
    (tmp_path / "counting.py").write_text("calls = []\n")
    assert run_script(CHANGING).stdout == "4\n"
    assert run_script(CHANGING).stdout == "0\n"


REFUSED = """
import os
from pyplant import Plant, ReactorFunc
from pyplant.errors import WorkerError

class Strange:
    def __init__(self):
        self.process = os.getpid()
    def __reduce__(self):
        return Strange, ()

log, value = [], Strange()

@ReactorFunc
def uses(pipe, config):
    log.append(config["number"])
    pipe.send("used", type(value).__name__)

if __name__ == "__main__":
    for number, executor in ((1, None), (2, 2)):
        with Plant("plant", executor=executor, progress=False) as plant:
            plant.set_config({"number": number})
            try:
                plant.get("used")
            except WorkerError as error:
                print(error)
"""


def test_beside_what_reactors_changed_all_values_must_be_those_of_the_program(run_script):
    assert "'uses' would not be the same in a worker" in run_script(REFUSED).stdout


ASSIGNED = """
import json
import textwrap
from pyplant import Plant, ReactorFunc
from pyplant.errors import WorkerError

def default(self, value):
    return 1

textwrap.fill = lambda text: "filled"
json.JSONEncoder.default = default

@ReactorFunc
def fills(pipe):
    pipe.send("filled", textwrap.fill("x"))

@ReactorFunc
def dumps(pipe):
    pipe.send("dumped", json.dumps(object()))

if __name__ == "__main__":
    with Plant("plant", executor=2, progress=False) as plant:
        print(plant.get("filled"))
        try:
            plant.get("dumped")
        except WorkerError as error:
            print(error)
"""


def test_what_the_main_module_assigns_to_a_library_is_sent_or_refused(run_script):
    filled, dumped = run_script(ASSIGNED).stdout.splitlines()
    assert filled == "filled"
    assert dumped.startswith(
        "Reactor 'dumps' would not be the same in a worker as here: default is def default"
    )


class Strict:
    """An object that pickle writes and cannot read."""

    def __new__(cls, size):
        return super().__new__(cls)

    def __init__(self, size):
        self.size = size


def test_a_value_that_a_worker_cannot_make_again_is_named(plant, module):
    unreadable = module("wc_unreadable", "TABLE = None\n")
    unreadable.STRICT = Strict(4)
    unreadable.TABLE = {"strict": unreadable.STRICT}

    @ReactorFunc
    def read(pipe):
        pipe.send("read", unreadable.TABLE["strict"].size)

    plant.add_reactor(read)
    with pytest.raises(WorkerError, match=r"^wc_unreadable\.STRICT cannot be made again.*missing 1 required"):
        plant.get("read")


def test_attributes_that_the_program_assigns_count_in_workers_as_they_do_here(away, tmp_path, monkeypatch):
    """The text that assigns them may be in a module that no worker imports, as that of a test is."""
    path = tmp_path / "wc_assigning.py"
    path.write_text("import math\nmath.pi = 4\ndef unused():\n    math.e = 3\n")
    monkeypatch.setattr(math, "pi", math.pi)
    spec = importlib.util.spec_from_file_location("wc_assigning", path)
    monkeypatch.setitem(sys.modules, "wc_assigning", importlib.util.module_from_spec(spec))
    spec.loader.exec_module(sys.modules["wc_assigning"])

    @ReactorFunc
    def read(pipe):
        pipe.send("read", [math.pi, math.e])

    with Plant(tmp_path / "plant", executor=away, worker_imports=["none"], progress=False) as plant:
        plant.add_reactor(read)
        assert plant.get("read") == [4, math.e]
