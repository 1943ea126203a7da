"""What the first bytes of an owner file say about a process."""

import os
import sys

import pytest

from pyplant.store import owner
from pyplant.store.files import unique_name
from pyplant.store.owner import HEAD_BYTES, MAX_WAITS, head_of_this_process, parse_owner
from pyplant.store.processes import start_time


@pytest.mark.parametrize("host", ["machine", "m" * 300, "ü" * 300, "🌱" * 300])
def test_every_head_has_the_same_size_and_can_be_read(monkeypatch, host):
    monkeypatch.setattr(owner, "host_name", lambda: host)
    waits = tuple(unique_name(32) for _ in range(MAX_WAITS))
    head = head_of_this_process(1e10, waits, 10**12, is_locked=True)
    assert len(head) == HEAD_BYTES
    found = parse_owner(head)
    assert (found.pid, found.waits, found.is_locked, found.is_gone) == (os.getpid(), waits, True, False)
    assert found.host


def test_the_program_is_the_notebook_of_a_kernel_but_not_of_a_script_that_a_cell_starts(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/first.ipynb")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/home/me/train.py", raising=False)
    monkeypatch.setattr(owner, "_is_kernel", lambda: False)
    assert owner.program_name() == "train.py"
    assert parse_owner(head_of_this_process(0.0, (), 0, is_locked=True)).notebook == ""
    monkeypatch.setattr(owner, "_is_kernel", lambda: True)
    assert owner.program_name() == "first.ipynb"
    monkeypatch.setattr(sys.modules["__main__"], "__vsc_ipynb_file__", "/home/me/code.ipynb", raising=False)
    assert owner.program_name() == "code.ipynb"
    found = parse_owner(head_of_this_process(0.0, (), 0, is_locked=True))
    assert str(found).startswith(f"code.ipynb (kernel {os.getpid()} on host ")


@pytest.mark.skipif(not start_time(os.getpid()), reason="the system does not tell when processes started")
def test_an_owner_whose_number_another_process_has_is_gone():
    found = parse_owner(head_of_this_process(0.0, (), 0, is_locked=True))
    assert found._replace(started="1").is_gone
    assert not found._replace(started="1", pid_namespace="elsewhere").is_gone
