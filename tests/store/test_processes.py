import os
import subprocess
import sys

from pyplant.store.processes import is_alive, pid_namespace, start_time


def test_this_process_is_alive():
    assert is_alive(os.getpid())
    assert is_alive(os.getpid(), start_time(os.getpid()))


def test_an_earlier_process_of_the_same_number_is_not_alive():
    assert not is_alive(os.getpid(), "1")


def test_a_process_that_has_ended_is_not_alive():
    process = subprocess.Popen([sys.executable, "-c", ""])
    born = start_time(process.pid)
    process.wait()
    assert born
    assert not is_alive(process.pid, born)


def test_the_pid_namespace_does_not_change():
    assert pid_namespace() == pid_namespace()
    assert len(pid_namespace()) == 8
