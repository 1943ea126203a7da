"""Waiting for output of child processes, with a pipe and a watcher thread as in a kernel."""

import os
import subprocess
import sys
import threading
import time

import pytest

from pyplant.notebook.output import stream_sync as module
from pyplant.notebook.output.stream_sync import StreamSync


class Stream:
    """Watches the end of a pipe as ipykernel's output streams do."""

    def __init__(self):
        self._fid, self._original_stdstream_fd = os.pipe()
        self.text = ""
        self.sync = None
        self.gate = threading.Event()
        self.gate.set()
        self.watch_fd_thread = threading.Thread(target=self._watch, daemon=True)
        self.watch_fd_thread.start()

    def _watch(self):
        while data := os.read(self._fid, 1000):
            self.gate.wait()
            self.write(data.decode())

    def write(self, text):
        text, has_marker = self.sync.strip_marker(text)
        self.text += text
        if has_marker:
            self.sync.marker_arrived()

    def has_pending(self, seconds):
        return self.sync.may_have_pending(seconds)

    def put(self, text):
        os.write(self._original_stdstream_fd, text.encode())


@pytest.fixture
def stream():
    stream = Stream()
    stream.sync = StreamSync.of(stream)
    yield stream
    stream.gate.set()
    os.close(stream._original_stdstream_fd)
    stream.watch_fd_thread.join(10)
    os.close(stream._fid)


def is_drained(stream):
    """Return whether nothing is pending; otherwise wait, so that the next call checks an idle watcher."""
    if not stream.has_pending(0.0):
        return True
    stream.sync.wait()
    return False


def wait_until(condition):
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    pytest.fail("the condition did not become true")


def test_everything_written_before_has_arrived_without_the_marker(stream):
    written = ""
    for n in range(300):
        text = "x" * (7 * n)  # sometimes splits the marker in two
        stream.put(text)
        stream.sync.wait()
        written += text
        assert stream.text == written


def test_text_that_resembles_the_marker_is_kept(stream):
    text = module._MARKER[:20] + "more" + module._MARKER[:5]
    stream.put(text)
    stream.sync.wait()
    assert stream.text == text


def test_text_that_resembles_the_marker_and_came_before_the_wait_is_kept(stream):
    stream.put(module._MARKER[:5])
    wait_until(lambda: stream.sync._partial_marker)
    stream.sync.wait()
    assert stream.text == module._MARKER[:5]


def test_output_of_a_child_process_has_arrived(stream):
    code = "print('a' * 500_000, end='')"
    subprocess.run([sys.executable, "-c", code], stdout=stream._original_stdstream_fd, check=True)
    stream.sync.wait()
    assert len(stream.text) == 500_000


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="no thread clock")
class TestPending:
    def test_an_idle_watcher_has_delivered_everything(self, stream):
        stream.sync.wait()
        wait_until(lambda: is_drained(stream))

    def test_text_that_was_read_but_not_delivered_is_pending(self, stream):
        wait_until(lambda: is_drained(stream))
        stream.gate.clear()
        stream.put("x")
        for _ in range(100):
            assert stream.has_pending(0.0)
        stream.gate.set()
        stream.sync.wait()
        assert stream.text == "x"

    def test_a_slow_watcher_on_a_busy_machine_is_waited_for(self, stream, monkeypatch):
        monkeypatch.setattr(module, "_CHECK_PERIOD", 0.05)
        stream.gate.clear()
        stream.put("x")
        opens = threading.Timer(1.0, stream.gate.set)
        opens.start()
        stream.sync.wait()
        assert stream.text == "x"
        assert not stream.sync.is_broken
        opens.join()

    def test_a_lost_marker_is_not_waited_for(self, stream, monkeypatch):
        monkeypatch.setattr(module, "_CHECK_PERIOD", 0.05)
        monkeypatch.setattr(module, "_TIMEOUT", 3600.0)
        descriptor = stream._original_stdstream_fd
        kept, elsewhere = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
        os.dup2(elsewhere, descriptor)
        waits = threading.Thread(target=stream.sync.wait, daemon=True)
        waits.start()
        waits.join(20)
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(elsewhere)
        assert not waits.is_alive()
        assert stream.sync.is_broken


def test_without_a_thread_clock_elapsed_time_decides(stream, monkeypatch):
    monkeypatch.setattr(stream.sync, "_clock", None)
    assert stream.has_pending(0.002)
    assert not stream.has_pending(0.0005)


def test_a_stuck_watcher_is_not_waited_for_twice(stream, monkeypatch):
    monkeypatch.setattr(module, "_CHECK_PERIOD", 0.05)
    monkeypatch.setattr(module, "_TIMEOUT", 0.2)
    stream.gate.clear()
    stream.put("x")
    stream.sync.wait()
    assert not stream.has_pending(10.0)


def test_a_full_pipe_does_not_block(stream, monkeypatch):
    monkeypatch.setattr(module, "_CHECK_PERIOD", 0.05)
    monkeypatch.setattr(module, "_TIMEOUT", 0.2)
    stream.gate.clear()
    stream.put("x" * 65_000)
    stream.sync.wait()
    assert stream.sync.is_broken


def test_text_of_a_forked_process_goes_through_the_pipe(stream):
    stream.sync.write_in_child("ä" * 50_000)
    stream.sync.wait()
    assert stream.text.replace("\N{REPLACEMENT CHARACTER}", "").count("ä") > 49_000


@pytest.mark.parametrize("missing", ["_fid", "_original_stdstream_fd", "watch_fd_thread"])
def test_streams_without_a_watcher_have_no_sync(stream, monkeypatch, missing):
    monkeypatch.delattr(stream, missing)
    assert StreamSync.of(stream) is None


def test_a_stream_whose_watcher_has_ended_has_no_sync(stream, monkeypatch):
    monkeypatch.setattr(stream, "watch_fd_thread", threading.Thread())
    assert StreamSync.of(stream) is None
