"""Commands on a plant keep no execution in memory, since a plant may store more of them than fit."""

import contextlib
import gc
import os
import shutil
import tracemalloc

import pytest

from pyplant.cli import main, output, stored
from pyplant.engine.trace import Trace
from pyplant.fingerprint.code_records import CodeRecord
from pyplant.fingerprint.graph_node import NodeKind
from pyplant.ingredient import Ingredient
from pyplant.store import journal, trace_lines
from pyplant.store.warehouse import Warehouse
from tests.store import a_trace, open_warehouse

pytestmark = pytest.mark.slow

SIZES = (100, 400)
MAX_BYTES = 600  # of the peak for each execution; a trace takes 4 kB
MAX_EVICTED_BYTES = 2000  # for each execution that is evicted, of which its rank is kept

COMMANDS = {
    "ls": ["ls"],
    "ls --json": ["ls", "--json"],
    "show": ["show", "x"],
    "history": ["history"],
    "history --json": ["history", "--json"],
    "history of one": ["history", "make"],
    "fsck": ["fsck"],
    "gc": ["gc"],
    "gc of old results": ["gc", "--max-size", "0"],
    "gc of unused results": ["gc", "--unused-for", "1 day"],
    "doctor": ["doctor"],
}


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """No line is kept and no file read at once, as in a plant that is much larger."""
    monkeypatch.setattr(trace_lines, "_KEPT_LINES", 0)
    monkeypatch.setattr(journal, "_KEPT_BLOCKS", 1)
    monkeypatch.setattr(journal, "_BLOCK_BYTES", 1 << 12)
    monkeypatch.setattr(output, "_PRINTED_AT_ONCE", 10)
    monkeypatch.setattr(journal, "_READ_BYTES", 1 << 12)


@pytest.fixture(scope="module")
def plants(tmp_path_factory):
    """Plants with executions of one reactor, whose values are stored in the journal, by their number."""
    return made(tmp_path_factory)


@pytest.fixture(scope="module")
def plants_with_code(tmp_path_factory):
    """Plants that also have lines about code, one for each execution."""
    return made(tmp_path_factory, code="x = 1\n" * 300)


def made(tmp_path_factory, code=""):
    found = {}
    for size in SIZES:
        found[size] = tmp_path_factory.mktemp("plants") / str(size)
        with contextlib.closing(open_warehouse(found[size])) as warehouse:
            for number in range(size):
                if code:
                    record = CodeRecord(NodeKind.FUNCTION, "make", "", code, {})
                    warehouse.ledger.latest.put_records({f"{number:040}": record})
                value = Ingredient("x", "simple", f"{number:020}", size=20, inline=b"1" * 20)
                settings = [(f"parameter{n}", f"{number}-{n}") for n in range(8)]
                trace = a_trace(value, reactor="make", fingerprint="code", config=settings)
                warehouse.ledger.add_trace(trace)
    return found


def most(command):
    """Return how many bytes a command may take for each execution."""
    return MAX_EVICTED_BYTES if command.startswith("gc") else MAX_BYTES


def for_each(plants, folder, arguments):
    """Return how much the peak of the memory that a command takes grows with each execution."""
    name, *options = arguments
    found = {}
    for size in (SIZES[0], *SIZES):  # what the first call loads does not count
        root = shutil.copytree(plants[size], folder / "plant")
        gc.collect()
        tracemalloc.start(1)
        with (
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.suppress(SystemExit),
        ):
            main([name, str(root), *options])
        found[size] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        shutil.rmtree(root)
    few, many = SIZES
    return (found[many] - found[few]) / (many - few)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_execution_is_kept(plants, tmp_path, command):
    assert for_each(plants, tmp_path, COMMANDS[command]) < most(command)


@pytest.mark.parametrize("command", ["ls", "history", "fsck", "gc of old results"])
def test_a_command_that_keeps_them_is_found(plants, tmp_path, monkeypatch, command):
    kept, parse = [], Trace.from_json

    def keeping(*arguments, **options):
        kept.append(parse(*arguments, **options))
        return kept[-1]

    monkeypatch.setattr(Trace, "from_json", keeping)
    assert for_each(plants, tmp_path, COMMANDS[command]) > most(command)


SHOWING = ["ls", "show", "history", "history of one", "fsck", "doctor"]


@pytest.mark.parametrize("command", SHOWING)
def test_commands_that_show_what_is_stored_keep_no_code(plants_with_code, tmp_path, command):
    assert for_each(plants_with_code, tmp_path, COMMANDS[command]) < most(command)


def test_a_command_that_keeps_code_is_found(plants_with_code, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "Warehouse", lambda *args, keeps_code, **options: Warehouse(*args, **options))
    assert for_each(plants_with_code, tmp_path, COMMANDS["ls"]) > most("ls")
