"""Waiting for what was written to a descriptor, with a pipe and a thread as a kernel has them."""

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
        self.fence = None
        self.gate = threading.Event()
        self.gate.set()
        self.watch_fd_thread = threading.Thread(target=self._watch, daemon=True)
        self.watch_fd_thread.start()

    def _watch(self):
        while data := os.read(self._fid, 1000):
            self.gate.wait()
            self.write(data.decode())

    def write(self, text):
        text, arrived = self.fence.without_marker(text)
        self.text += text
        if arrived:
            self.fence.arrived()

    def under_way(self, seconds):
        return self.fence.may_be_under_way(seconds)

    def put(self, text):
        os.write(self._original_stdstream_fd, text.encode())


@pytest.fixture
def stream():
    stream = Stream()
    stream.fence = StreamSync.of(stream)
    yield stream
    stream.gate.set()
    os.close(stream._original_stdstream_fd)
    stream.watch_fd_thread.join(10)
    os.close(stream._fid)


def settled(stream):
    """Whether nothing is under way; a thread that went back to sleep only now is asked again."""
    if not stream.under_way(0.0):
        return True
    stream.fence.wait()
    return False


def wait_until(condition):
    for _ in range(1000):
        if condition():
            return
        threading.Event().wait(0.01)
    pytest.fail("it did not happen")


def test_everything_written_before_has_arrived_and_the_marker_is_not_seen(stream):
    written = ""
    for n in range(300):
        text = "x" * (7 * n)  # so that the marker comes in two now and then
        stream.put(text)
        stream.fence.wait()
        written += text
        assert stream.text == written


def test_what_only_looks_like_the_marker_is_kept(stream):
    text = module._MARKER[:20] + "more" + module._MARKER[:5]
    stream.put(text)
    stream.fence.wait()
    assert stream.text == text


def test_what_looks_like_the_marker_and_came_before_it_is_asked_for_is_kept(stream):
    stream.put(module._MARKER[:5])
    wait_until(lambda: stream.fence._begun)
    stream.fence.wait()
    assert stream.text == module._MARKER[:5]


def test_output_of_a_child_process_has_arrived(stream):
    code = "print('a' * 500_000, end='')"
    subprocess.run([sys.executable, "-c", code], stdout=stream._original_stdstream_fd, check=True)
    stream.fence.wait()
    assert len(stream.text) == 500_000


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="no clock of a thread")
class TestLooking:
    def test_a_thread_that_stays_idle_has_brought_everything(self, stream):
        stream.fence.wait()
        wait_until(lambda: settled(stream))

    def test_what_a_thread_has_read_but_not_brought_is_under_way(self, stream):
        wait_until(lambda: settled(stream))
        stream.gate.clear()
        stream.put("x")
        for _ in range(100):
            assert stream.under_way(0.0)
        stream.gate.set()
        stream.fence.wait()
        assert stream.text == "x"

    def test_on_a_busy_machine_a_thread_may_take_its_time(self, stream, monkeypatch):
        monkeypatch.setattr(module, "_PATIENCE", 0.05)
        stream.gate.clear()
        stream.put("x")
        opens = threading.Timer(1.0, stream.gate.set)
        opens.start()
        stream.fence.wait()
        assert stream.text == "x"
        assert not stream.fence.broken
        opens.join()

    def test_a_marker_that_went_elsewhere_is_not_waited_for(self, stream, monkeypatch):
        monkeypatch.setattr(module, "_PATIENCE", 0.05)
        monkeypatch.setattr(module, "_STUCK", 3600.0)
        descriptor = stream._original_stdstream_fd
        kept, elsewhere = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
        os.dup2(elsewhere, descriptor)
        waits = threading.Thread(target=stream.fence.wait, daemon=True)
        waits.start()
        waits.join(20)
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(elsewhere)
        assert not waits.is_alive()
        assert stream.fence.broken


def test_where_one_cannot_look_time_decides(stream, monkeypatch):
    monkeypatch.setattr(stream.fence, "_clock", None)
    assert stream.under_way(0.002)
    assert not stream.under_way(0.0005)


def test_a_thread_that_is_stuck_is_not_waited_for_twice(stream, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    monkeypatch.setattr(module, "_STUCK", 0.2)
    stream.gate.clear()
    stream.put("x")
    stream.fence.wait()
    assert not stream.under_way(10.0)


def test_a_full_pipe_does_not_block(stream, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    monkeypatch.setattr(module, "_STUCK", 0.2)
    stream.gate.clear()
    stream.put("x" * 65_000)
    stream.fence.wait()
    assert stream.fence.broken


def test_text_of_a_forked_process_goes_through_the_pipe(stream):
    stream.fence.write_in_child("ä" * 50_000)
    stream.fence.wait()
    assert stream.text.replace("\N{REPLACEMENT CHARACTER}", "").count("ä") > 49_000


@pytest.mark.parametrize("missing", ["_fid", "_original_stdstream_fd", "watch_fd_thread"])
def test_streams_that_watch_nothing_have_no_fence(stream, monkeypatch, missing):
    monkeypatch.delattr(stream, missing)
    assert StreamSync.of(stream) is None


def test_a_stream_that_watches_no_longer_has_no_fence(stream, monkeypatch):
    monkeypatch.setattr(stream, "watch_fd_thread", threading.Thread())
    assert StreamSync.of(stream) is None
