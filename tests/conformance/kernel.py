"""A real Jupyter kernel, driven cell by cell."""

import sys
import textwrap
import time
from queue import Empty

import pytest

from tests.conformance.helpers import environment

jupyter_client = pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

_PATIENCE = 120  # seconds for a cell, on a busy machine


class Specs(jupyter_client.kernelspec.KernelSpecManager):
    """Finds only the kernel of this interpreter, not those installed for the user."""

    def get_kernel_spec(self, kernel_name):
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return jupyter_client.kernelspec.KernelSpec(argv=argv, display_name=kernel_name, language="python")


def kernel_environment(folder, **variables):
    """The environment of a kernel whose own files are in a folder."""
    own = {"IPYTHONDIR": str(folder / ".ipython"), "JUPYTER_RUNTIME_DIR": str(folder)}
    made = environment(**{**own, **variables})
    made.pop("PYTEST_CURRENT_TEST", None)  # the kernel would not capture what child processes print
    return made


class CellError(Exception):
    """A cell raised; the message is the last line that a notebook would show."""


class Kernel:
    """A kernel in a folder.

    Parameters
    ----------
    folder
        Its working directory.
    variables
        What else its environment holds.
    """

    def __init__(self, folder, **variables):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._environment = kernel_environment(folder, **variables)
        self._start()

    def _start(self):
        self._manager = jupyter_client.KernelManager(kernel_spec_manager=Specs())
        self._manager.start_kernel(cwd=str(self._folder), env=self._environment)
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=_PATIENCE)

    def cell(self, text, interrupt_when=None):
        """Run a cell; returns what it printed.

        Parameters
        ----------
        text
            The cell.
        interrupt_when
            Asked again and again while the cell runs; once it is true the kernel is interrupted.

        Raises
        ------
        CellError
            If it raised.
        """
        asked = self._client.execute(textwrap.dedent(text).strip("\n"), store_history=True)
        printed, error = [], None
        for message in self._follow(asked, interrupt_when):
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != asked:
                continue
            if kind == "stream" and content["name"] == "stdout":
                printed.append(content["text"])
            elif kind == "error":
                error = f"{content['ename']}: {content['evalue']}"
        if error is not None:
            raise CellError(error)
        return "".join(printed).strip()

    def _follow(self, asked, interrupt_when=None):
        """All messages of the kernel until it has finished a request."""
        ends = time.monotonic() + _PATIENCE
        while time.monotonic() < ends:
            if interrupt_when is not None and interrupt_when():
                self._manager.interrupt_kernel()
                interrupt_when = None
            try:
                message = self._client.get_iopub_msg(timeout=5 if interrupt_when is None else 0.02)
            except Empty:
                continue
            yield message
            done = message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
            if done and message["parent_header"].get("msg_id") == asked:
                return
        pytest.fail(f"the kernel was not done after {_PATIENCE} s")

    def restart(self):
        """Do what *Restart kernel* does: everything in memory is lost."""
        self.close()
        self._start()

    def close(self):
        """End the kernel."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
