"""Kernels that get the requests of JupyterLab, and notebooks that identify cells as JupyterLab does."""

import re
import textwrap
import time
from dataclasses import dataclass, field
from queue import Empty

import pytest

from tests.conformance.kernel import Kernel, Specs, jupyter_client, kernel_environment
from tests.notebook.kernels import CURRENT

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

SHOWS = """
%%reactor shows -o x
import logging, sys
import matplotlib.pyplot as plt
print("first", flush=True)
plt.plot([1, 2, 3])
plt.show()
print("second", file=sys.stderr, flush=True)
print("third")
x = 5
x + 1
"""
"""A cell that uses every output channel, in an order that must be kept."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Stream:
    """Consecutive text of one stream, which is one output."""

    kind: str
    text: str


@dataclass
class Display:
    """A display, or the value of the last expression (then ``kind`` is ``result``)."""

    kind: str
    data: dict
    metadata: dict
    id: str | None = None

    @property
    def text(self):
        return self.data.get("text/plain", "")


@dataclass
class Failure:
    """An error, without the colours."""

    name: str
    value: str
    traceback: str
    kind: str = "error"

    @property
    def text(self):
        return f"{self.name}: {self.value}"


@dataclass
class Ran:
    """One execution of a cell: its present outputs in order."""

    asked: str
    number: int = 0  # as in In [3]
    outputs: list = field(default_factory=list)
    done: bool = False
    clear: bool = False  # with the next output

    @property
    def kinds(self):
        """The kinds of the outputs; for a display its richest type."""
        return [
            output.kind if not isinstance(output, Display) else _richest(output.data)
            for output in self.outputs
        ]

    @property
    def stdout(self):
        return self._text("stdout")

    @property
    def stderr(self):
        return self._text("stderr")

    @property
    def displays(self):
        return [output for output in self.outputs if isinstance(output, Display)]

    @property
    def html(self):
        return "\n".join(display.data.get("text/html", "") for display in self.displays)

    @property
    def text(self):
        """All outputs as plain text, in order."""
        return "\n".join(output.text.rstrip("\n") for output in self.outputs)

    @property
    def error(self):
        """The error that the cell ended with, or ``None``."""
        return next((output for output in self.outputs if isinstance(output, Failure)), None)

    @property
    def fine(self):
        """This execution; fails the test if it raised."""
        assert self.error is None, self.error.traceback
        return self

    def _text(self, kind):
        return "".join(output.text for output in self.outputs if output.kind == kind)


def began(ran):
    """Whether a cell has printed the line ``began``.

    The whole line: ``print`` writes its end apart from the text, so that a kernel that is interrupted as soon
    as the word is seen may be within ``print``, and the end is never written.
    """
    return "began\n" in ran.stdout


def _richest(data):
    order = ("application/vnd.jupyter.widget-view+json", "image/png", "image/svg+xml", "text/html")
    return next((kind for kind in order if kind in data), "text/plain")


@dataclass
class Comm:
    """A comm that the kernel opened, its messages, and for widgets their state."""

    id: str
    target: str
    data: dict
    state: dict = field(default_factory=dict)
    updates: list = field(default_factory=list)
    custom: list = field(default_factory=list)
    closed: bool = False

    def take(self, data):
        if data.get("method") == "update":
            self.updates.append(data["state"])
            self.state.update(data["state"])
        elif data.get("method") == "custom":
            self.custom.append(data["content"])


# ipykernel 7.0 to 7.3 may overlook a request that arrives while it sends a reply, and then waits for ever:
# https://github.com/ipython/ipykernel/pull/1529. This is what 7.4 does instead; without it tests sometimes hang.
_REPAIR = """
def repair(kernel):
    manager = getattr(getattr(kernel, "shell_channel_thread", None), "manager", None)
    if hasattr(manager, "_shell_socket"):
        manager._send_on_shell_channel = kernel.shell_stream.send_multipart
        manager._main_to_shell_channel.to_stream.on_recv(kernel.shell_stream.send_multipart)

repair(get_ipython().kernel)
del repair
"""


class NotebookKernel(Kernel):
    """A kernel that receives which cell it runs and which cells were deleted.

    Parameters
    ----------
    folder
        Its working directory.
    versions
        Which ipykernel and IPython it has.
    variables
        What else its environment holds.
    """

    def __init__(self, folder, versions=CURRENT, **variables):
        self.comms = {}
        self._runs = {}
        self._subshell = None
        super().__init__(folder, **{**versions.variables, **variables})

    def _start(self):
        super()._start()
        self._client.execute(_REPAIR, silent=True)

    def begin(self, text, *, cell=None, deleted=()):
        """Request a cell to be run, without waiting for it."""
        content = {
            "code": textwrap.dedent(text).strip("\n"),
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        metadata = {"trusted": True, "deletedCells": list(deleted), "recordTiming": False}
        if cell is not None:
            metadata["cellId"] = cell
        message = self._client.session.msg("execute_request", content, metadata=metadata)
        ran = Ran(message["header"]["msg_id"])
        self._runs[ran.asked] = ran
        self._client.shell_channel.send(message)
        return ran

    def finish(self, ran, interrupt_when=None):
        """Wait until a cell has ended.

        Parameters
        ----------
        interrupt_when
            Asked with what has been put out so far; once it is true the kernel is interrupted.
        """
        if ran.done:
            return ran
        when = None if interrupt_when is None else (lambda: interrupt_when(ran))
        for message in self._follow(ran.asked, when):
            self._take(message)
        ran.done = True
        return ran

    def run(self, text, *, cell=None, deleted=(), interrupt_when=None):
        """Run a cell and return its execution."""
        return self.finish(self.begin(text, cell=cell, deleted=deleted), interrupt_when)

    def wait(self, until, seconds=60):
        """Read messages of the kernel until a condition is true, whether or not it is busy."""
        ends = time.monotonic() + seconds
        while not until():
            if time.monotonic() > ends:
                pytest.fail("what was waited for did not happen")
            try:
                self._take(self._client.get_iopub_msg(timeout=0.1))
            except Empty:
                continue

    def interrupt(self):
        """Press ■."""
        self._manager.interrupt_kernel()

    def restart(self):
        super().restart()
        self.comms.clear()
        self._runs.clear()
        self._subshell = None

    # ------------------------------------------------------------------ comms

    @property
    def widgets(self):
        """The widgets that draw graphs, oldest first."""
        return [comm for comm in self.comms.values() if "graph" in comm.state and not comm.closed]

    def send(self, comm, content, *, subshell=False):
        """Send a message as a front end does with ``model.send``.

        Parameters
        ----------
        subshell
            Through a subshell, as JupyterLab does where the kernel has them.
        """
        data = {"method": "custom", "content": content}
        message = self._client.session.msg("comm_msg", {"comm_id": comm.id, "data": data})
        if subshell:
            message["header"]["subshell_id"] = self._made_subshell()
        self._client.shell_channel.send(message)

    def has_subshells(self):
        """Return whether this kernel has subshells."""
        self._client.kernel_info()
        reply = self._client.get_shell_msg(timeout=60)
        while reply["msg_type"] != "kernel_info_reply":
            reply = self._client.get_shell_msg(timeout=60)
        return "kernel subshells" in reply["content"].get("supported_features", [])

    def _made_subshell(self):
        if self._subshell is None:
            self._client.control_channel.send(self._client.session.msg("create_subshell_request"))
            self._subshell = self._client.get_control_msg(timeout=60)["content"]["subshell_id"]
        return self._subshell

    # ------------------------------------------------------------------ what the kernel says

    def _take(self, message):
        kind, content = message["msg_type"], message["content"]
        ran = self._runs.get(message["parent_header"].get("msg_id"))
        if kind == "comm_open":
            state = dict(content["data"].get("state", {}))
            comm = Comm(content["comm_id"], content["target_name"], content["data"], state)
            self.comms[comm.id] = comm
        elif kind == "comm_msg" and content["comm_id"] in self.comms:
            self.comms[content["comm_id"]].take(content["data"])
        elif kind == "comm_close" and content["comm_id"] in self.comms:
            self.comms[content["comm_id"]].closed = True
        elif kind == "update_display_data":
            self._update(content)
        elif kind == "status" and ran is not None and content["execution_state"] == "idle":
            ran.done = True
        elif ran is not None and kind == "execute_input":
            ran.number = content["execution_count"]
        elif ran is not None:
            _put_out(ran, kind, content)

    def _update(self, content):
        for ran in self._runs.values():
            for display in ran.displays:
                if display.id is not None and display.id == content["transient"].get("display_id"):
                    display.data, display.metadata = content["data"], content["metadata"]


def _put_out(ran, kind, content):
    """Add a message to the outputs of a cell, by the rules of the front ends."""
    if kind == "clear_output":
        ran.clear = True
        if content["wait"]:
            return
    if ran.clear and kind in {"stream", "display_data", "execute_result", "error", "clear_output"}:
        ran.outputs.clear()
        ran.clear = False
    if kind == "stream":
        if ran.outputs and ran.outputs[-1].kind == content["name"]:
            ran.outputs[-1].text += content["text"]
        else:
            ran.outputs.append(Stream(content["name"], content["text"]))
    elif kind in {"display_data", "execute_result"}:
        name = "display" if kind == "display_data" else "result"
        display_id = content.get("transient", {}).get("display_id")
        ran.outputs.append(Display(name, content["data"], content["metadata"], display_id))
    elif kind == "error":
        traceback = _ANSI.sub("", "\n".join(content["traceback"]))
        ran.outputs.append(Failure(content["ename"], content["evalue"], traceback))


class Notebook:
    """Cells with ids and the metadata that JupyterLab sends.

    It reports deleted cells once, with the next execution of any cell; a cell that was cut and pasted is
    reported though it is there; merging makes a new cell and reports nothing; undo reports nothing.

    Parameters
    ----------
    kernel
        Where the cells run.
    """

    def __init__(self, kernel):
        self.kernel = kernel
        self.cells = {}
        self._made = 0
        self._deleted = []
        self._lost = {}

    def add(self, text, cell=None):
        """Add a cell at the end and return its id."""
        if cell is None:
            self._made += 1
            cell = f"cell-{self._made}"
        self.cells[cell] = text
        return cell

    def begin_run(self, cell, text=None):
        """Begin to run a cell, edited to ``text`` if that is given."""
        if text is not None:
            self.cells[cell] = text
        deleted, self._deleted = self._deleted, []
        return self.kernel.begin(self.cells[cell], cell=cell, deleted=deleted)

    def run(self, cell, text=None, interrupt_when=None):
        """Run a cell to its end."""
        return self.kernel.finish(self.begin_run(cell, text), interrupt_when)

    def new(self, text, **options):
        """Add a cell, run it without errors, and return its id."""
        cell = self.add(text)
        self.run(cell, **options).fine
        return cell

    def look(self, text, **options):
        """Run a line in a cell of its own."""
        return self.run(self.add(text, "looks"), **options)

    def run_all(self):
        """Run the cells from top to bottom until one raises; return their executions."""
        outcomes = []
        for cell in list(self.cells):
            outcomes.append(self.run(cell))
            if outcomes[-1].error is not None:
                break
        return outcomes

    def delete(self, cell):
        self._lost[cell] = self.cells.pop(cell)
        self._deleted.append(cell)

    def undo(self, cell):
        """Undo the deletion of a cell."""
        self.cells[cell] = self._lost.pop(cell)

    def cut_and_paste(self, cell):
        self.delete(cell)
        self.undo(cell)

    def merge(self, first, second):
        """Merge two cells and return the id of the new one."""
        return self.add(self.cells.pop(first) + "\n\n" + self.cells.pop(second))


# ---------------------------------------------------------------------- without ids of cells


class _Manager(jupyter_client.AsyncKernelManager):
    """Starts the kernel of this environment, whatever is installed for the user."""

    def __init__(self, **options):
        super().__init__(**{**options, "kernel_spec_manager": Specs()})


def execute(cells, folder, **options):
    """Run a notebook with nbclient, which sends no cell ids; return the executions.

    Parameters
    ----------
    cells
        Their texts.
    folder
        The kernel's working directory.
    options
        For ``nbclient.NotebookClient``, such as ``allow_errors=True``.
    """
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(textwrap.dedent(cell).strip("\n")) for cell in cells]
    client = nbclient.NotebookClient(
        notebook,
        timeout=250,
        kernel_manager_class=_Manager,
        resources={"metadata": {"path": str(folder)}},
        **options,
    )
    client.execute(env=kernel_environment(folder))
    return [_saved(cell.outputs) for cell in notebook.cells]


def _saved(outputs):
    """Return the outputs of a saved cell."""
    ran = Ran("")
    for output in outputs:
        content = {"transient": {}, **output}
        _put_out(ran, output.output_type, content)
    return ran


# ---------------------------------------------------------------------- notebooks with a plant

SETUP = """
from pyplant import *
from pyplant.events import ReactorStarted
from pyplant.notebook import progress

progress._DELAY = 60  # seconds; runs on a busy machine show no line either
started = []
plant.add_event_listener(lambda e: started.append(e.reactor) if isinstance(e, ReactorStarted) else None)

def look(*names):
    value = plant.get(*names)
    print(seen(), value)

def seen():
    names = ",".join(sorted(started)) or "nothing"
    started.clear()
    return names
"""


class PlantNotebook(Notebook):
    """A notebook with PyPlant loaded and a plant bound to ``plant``.

    Parameters
    ----------
    kernel
        Where the cells run.
    plant_dir
        The plant's directory.
    """

    def __init__(self, kernel, plant_dir):
        super().__init__(kernel)
        self.plant_dir = plant_dir
        self.begin()

    def begin(self):
        """The first cells: they define no reactor."""
        for text in ("%load_ext pyplant", f"%plant {self.plant_dir}", SETUP):
            self.kernel.run(text, cell="first").fine

    def restart(self):
        """Restart the kernel and run the first cells; no other cell is run."""
        self.kernel.restart()
        self.begin()

    def get(self, *names):
        """The reactors that ran when ingredients were demanded, and the values: ``"load,show <20>"``."""
        return self.look(f"look(*{names!r})").fine.stdout.strip()

    def fails(self, *names):
        """Return the error when ingredients are demanded that cannot be computed."""
        error = self.look(f"look(*{names!r})").error
        assert error is not None, "it could be had"
        return error.text

    def seen(self):
        """Return the reactors that ran since the last call."""
        return self.look("print(seen())").fine.stdout.strip()

    def reactors(self):
        """The names of all reactors."""
        return self.look("print(*sorted(entry.name for entry in plant.status()))").fine.stdout.split()
