"""What workers print and log arrives whole, in order and in lines, also if an attempt is repeated."""

import gc
import json
import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.store.files import Files
from pyplant.workers import output, output_display, parallel_executor
from pyplant.workers.output import LIVE, OutputForwarder, OutputReader, redirected
from pyplant.workers.output_display import OutputDisplay

PATIENCE = 60

# ---------------------------------------------------------------------- lines and repetitions


@pytest.fixture
def display():
    """The display of a reactor in a script."""
    return OutputDisplay("a", None)


def printed(display, *texts):
    for text in texts:
        display.show(("stdout", text))


def test_each_line_begins_with_the_name(display, capsys):
    printed(display, "one\ntwo\n\n", "three\n")
    assert capsys.readouterr().out == "a | one\na | two\na | \na | three\n"


def test_a_line_that_arrives_in_pieces_is_shown_once_it_is_complete(display, capsys):
    other = OutputDisplay("b", None)
    printed(display, "half of ")
    printed(other, "a whole\nand half")
    printed(display, "a line\nrest")
    assert capsys.readouterr().out == "b | a whole\na | half of a line\n"
    display.close()
    other.close()
    assert capsys.readouterr().out == "a | rest\nb | and half\n"


def test_what_is_closed_twice_is_shown_once(display, capsys):
    printed(display, "rest")
    display.close()
    display.close()
    assert capsys.readouterr().out == "a | rest\n"


def test_returns_separate_states_of_one_line(display, capsys):
    printed(display, "\r0%", "\r50%", "\r100%\n")
    assert capsys.readouterr().out == "a | \ra | 0%\ra | 50%\ra | 100%\n"


def test_states_that_end_in_a_return_are_shown_when_the_next_begins(display, capsys):
    printed(display, "10%\r", "20%\r", "30%\r")
    assert capsys.readouterr().out == "a | 10%\ra | 20%\r"


def test_ends_of_lines_are_kept(display, capsys):
    printed(display, "one\r\ntwo\r", "\nthree\r\n", "page\x0c\u2028break\n")
    assert capsys.readouterr().out == "a | one\r\na | two\r\na | three\r\na | page\x0c\u2028break\n"


def test_a_line_without_end_is_not_held_back_for_ever(display, capsys, monkeypatch):
    monkeypatch.setattr(output_display, "_LONGEST_LINE", 10)
    printed(display, "x" * 8, "y" * 8, "z\n", "end\n")
    assert capsys.readouterr().out == f"a | {'x' * 8}{'y' * 8}z\na | end\n"
    printed(display, "x" * 12)
    display.close()
    assert capsys.readouterr().out == f"a | {'x' * 12}\n"


LONG = [f"line {n} {'x' * 50}\n" for n in range(1000)]


@pytest.mark.parametrize("sizes", [(7,), (4096,), (64, 5000), (100_000,)])
@pytest.mark.parametrize("count", [0, 1, 60, 999, 1000])
def test_what_a_repeated_attempt_prints_again_is_not_shown_again(sizes, count, display, capsys):
    """The pieces of the two attempts end at other places."""
    printed(display, *LONG[:count])
    display.restart()
    text, start, number = "".join(LONG), 0, 0
    while start < len(text):
        size = sizes[number % len(sizes)]
        printed(display, text[start : start + size])
        start, number = start + size, number + 1
    display.close()
    assert capsys.readouterr().out == "".join(f"a | {line}" for line in LONG)


def test_a_third_attempt_repeats_both(display, capsys):
    printed(display, *LONG[:100])
    display.restart()
    printed(display, *LONG[:50])  # its worker died early
    display.restart()
    printed(display, *LONG[:300])
    display.restart()
    printed(display, *LONG[:400])
    display.close()
    assert capsys.readouterr().out == "".join(f"a | {line}" for line in LONG[:400])


def test_a_line_that_was_interrupted_continues(display, capsys):
    printed(display, "loading ")
    display.restart()
    printed(display, "loading ", "done\n")
    assert capsys.readouterr().out == "a | loading done\n"


def test_what_a_repeated_attempt_prints_differently_is_shown(display, capsys):
    printed(display, "same\nat 12:01\nloading")
    display.restart()
    printed(display, "same\nat 12:02\nloading\n")
    display.close()
    assert capsys.readouterr().out == "a | same\na | at 12:01\na | loading\na | at 12:02\na | loading\n"


def test_a_long_repetition_that_differs_is_shown_from_there(display, capsys):
    other = [*LONG[:500], "another\n", *LONG[501:]]
    printed(display, *LONG)
    display.restart()
    capsys.readouterr()
    printed(display, *other)
    out = capsys.readouterr().out
    assert "another" in out
    assert out.endswith(f"a | {LONG[-1]}")
    assert len(out.splitlines()) < 1000 - 500 + 4096 // len(LONG[0]) + 3


def test_text_that_could_not_be_compared_is_shown(display, capsys):
    """The last attempt ends within a piece of what an earlier one printed."""
    printed(display, *LONG)
    display.restart()
    capsys.readouterr()
    printed(display, "something else\n")
    display.close()
    assert capsys.readouterr().out == "a | something else\n"


def test_little_is_kept_of_what_was_shown(display, capsys):
    text = "x" * 99 + "\n"
    for _ in range(100):
        printed(display, text * 600)
    kept = display._texts["stdout"]
    assert len(kept._tail) < 4096
    assert kept._hashes.itemsize * len(kept._hashes) < 20_000


def test_log_records_are_shown_once(display, caplog):
    def record(text):
        return ("log", "of.a.user", logging.WARNING, text, {"lineno": 3})

    for text in ("one", "two"):
        display.show(record(text))
    display.restart()
    for text in ("one", "two", "three"):
        display.show(record(text))
    display.restart()
    for text in ("one", "other", "three"):
        display.show(record(text))
    display.close()
    assert [record.message for record in caplog.records] == ["one", "two", "three", "other", "three"]
    assert {(record.reactor, record.lineno) for record in caplog.records} == {("a", 3)}


# ---------------------------------------------------------------------- the forwarder and the reader


@pytest.fixture
def forwarder(tmp_path):
    """The forwarder of an attempt."""
    return OutputForwarder(tmp_path, "one", Files(), shares_process=False)


@pytest.fixture
def reader(tmp_path):
    """The reader of its output."""
    return OutputReader(tmp_path, Files())


def everything(forwarder, reader):
    items = [*reader.read("one", forwarder.written), *forwarder.take_items()]
    return "".join(item[1] for item in items if item[0] == "stdout"), items


@pytest.mark.slow
def test_large_output_passes_through_the_file_in_pieces(forwarder, reader):
    text = "".join(f"{n} äöü 🎈\n" for n in range(300_000))
    half = len(text) // 2
    forwarder.add_text("stdout", text[:half])
    for number, line in enumerate(text[half:].splitlines(keepends=True)):
        forwarder.add_text("stdout", line)
        if number % 100 == 0:
            waiting = sum(map(len, forwarder._texts)) + sum(len(item[1]) for item in forwarder._items)
            assert waiting <= 2 * output._BUFFER
    found, items = everything(forwarder, reader)
    assert found == text
    assert max(len(item[1]) for item in items) <= output._PIECE


def test_a_chunk_ends_at_a_line(forwarder, reader, monkeypatch):
    monkeypatch.setattr(output, "_CHUNK", 100)
    with redirected(forwarder):
        for size in (10, 300, 5, 1000, 50):
            print("x" * size)
            forwarder.flush()
        assert [len(item[1]) for _, item in reader.read_new(["one", "absent"])] == [11]
        assert reader.has_more is False
    found, _ = everything(forwarder, reader)
    assert len(found) == 301 + 6 + 1001 + 51


def test_the_reader_says_that_there_is_more(forwarder, reader, monkeypatch):
    monkeypatch.setattr(output, "_CHUNK", 100)
    with redirected(forwarder):
        for _ in range(20):
            print("x" * 10)
            forwarder.flush()
    read, rounds = 0, 0
    while True:
        read += len(list(reader.read_new(["one"])))
        rounds += 1
        if not reader.has_more:
            break
    assert read == 20
    assert rounds > 3


def test_a_line_that_was_written_in_part_is_skipped(forwarder, reader, tmp_path):
    (tmp_path / f"one{LIVE}").write_bytes(b'["stdout", "a"]\n["stdo\n\n["stdout", "b"]\n["std')
    assert list(reader.read("one")) == [("stdout", "a"), ("stdout", "b")]


def test_output_that_cannot_be_written_is_sent_with_the_reply(forwarder, reader, monkeypatch):
    monkeypatch.setattr(Files, "open_append", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
    with redirected(forwarder):
        for _ in range(3):
            print("x" * output._BUFFER)
    assert everything(forwarder, reader)[0] == ("x" * output._BUFFER + "\n") * 3


def test_the_order_of_streams_and_records_is_kept(forwarder, reader):
    with redirected(forwarder):
        print("one")
        print("two", file=sys.stderr)
        logging.getLogger("test").warning("three")
        print("four", flush=True)
        print("five")
    kinds = [(item[0], item[1] if item[0] != "log" else item[3]) for item in everything(forwarder, reader)[1]]
    assert kinds == [
        ("stdout", "one\n"),
        ("stderr", "two\n"),
        ("log", "three"),
        ("stdout", "four\n"),
        ("stdout", "five\n"),
    ]


def test_what_is_flushed_is_in_the_file(forwarder, reader):
    with redirected(forwarder):
        print("before", end="")
        assert list(reader.read("one")) == []
        sys.stdout.flush()
        assert list(reader.read("one")) == [("stdout", "before")]


def test_the_binary_stream_is_forwarded_with_whole_characters(forwarder, reader):
    data = "äöü🎈\n".encode()
    with redirected(forwarder):
        for byte in data:
            assert sys.stdout.buffer.write(bytes([byte])) == 1
        sys.stdout.buffer.write(memoryview(b"more"))
        sys.stdout.buffer.flush()
        assert sys.stdout.buffer.writable()
    assert everything(forwarder, reader)[0] == "äöü🎈\nmore"


def test_only_text_can_be_printed(forwarder):
    with redirected(forwarder):
        with pytest.raises(TypeError, match="must be str, not bytes"):
            sys.stdout.write(b"x")
        sys.stdout.writelines(["a", "b"])
    assert forwarder.take_items() == (("stdout", "ab"),)


def test_an_object_that_prints_when_it_is_collected_does_not_block(forwarder, reader):
    class Prints:
        def __del__(self):
            print("collected")

    with redirected(forwarder):
        with forwarder._lock:  # the collector may run while an item is added
            circle = Prints()
            circle.itself = circle
            del circle
            gc.collect()
    assert everything(forwarder, reader)[0] == "collected\n"


class Unformattable:
    def __str__(self):
        raise ValueError("no text")


def test_a_record_that_cannot_be_formatted_is_reported_and_skipped(forwarder, reader, monkeypatch):
    log = logging.getLogger("test")
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # those of pytest raise
    with redirected(forwarder):
        log.warning("loss %d", "n/a")
        log.warning(Unformattable())
        log.warning("%s", Unformattable())
        log.warning("fine")
    items = everything(forwarder, reader)[1]
    assert [item[3] for item in items if item[0] == "log"] == ["fine"]
    assert "--- Logging error ---" in "".join(item[1] for item in items if item[0] == "stderr")


def test_records_keep_their_attributes(forwarder, reader, display, caplog):
    log = logging.getLogger("test")
    with redirected(forwarder):
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("%s%%", 5, extra={"user": "me", "row": 7, "odd": object()}, stack_info=True)
        logging.getLogger("test").warning("no exception", exc_info=True)
    items = everything(forwarder, reader)[1]
    json.dumps(items)
    caplog.clear()
    for item in items:
        if item[0] == "log":
            display.show(item)
    first, second = caplog.records
    shown = logging.Formatter("%(message)s %(user)s %(row)d %(funcName)s %(reactor)s").format(first)
    assert shown.startswith("5% me 7 test_records_keep_their_attributes a\nTraceback")
    assert "ZeroDivisionError" in shown
    assert "Stack (most recent call last)" in shown
    assert second.getMessage() == "no exception"


def test_the_level_of_a_logger_here_applies(display, caplog):
    caplog.set_level(logging.ERROR, logger="test")
    display.show(("log", "test", logging.WARNING, "quiet", {}))
    display.show(("log", "test", logging.ERROR, "loud", {}))
    assert [record.message for record in caplog.records] == ["loud"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks there")
def test_a_forked_child_does_not_print_again_what_its_parent_buffers(forwarder, tmp_path, monkeypatch):
    with (tmp_path / "stdout").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        print("once")
        with redirected(forwarder):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
    assert (tmp_path / "stdout").read_text() == "once\n"


# ---------------------------------------------------------------------- with workers


@pytest.fixture
def plant(executor, tmp_path):
    """A plant with each kind of pool."""
    with Plant(tmp_path / "plant", executor=executor, progress=False) as plant:
        yield plant


def test_threads_of_a_reactor_print_for_it(plant, capfd):
    @ReactorFunc
    def starts(pipe):
        thread = threading.Thread(target=print, args=("by a thread",))
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as threads:
            threads.submit(print, "by a pool").result()
        print("by the reactor")
        pipe.send("x", 1)

    plant.add_reactor(starts)
    plant.get("x")
    assert capfd.readouterr().out.splitlines() == [
        "starts | by a thread",
        "starts | by a pool",
        "starts | by the reactor",
    ]


SCRIPT = """
import os, subprocess, sys, threading, time
from pyplant import *

@ReactorFunc
def starts(pipe):
    def late():
        time.sleep(0.5)
        print("late")
        sys.stdout.flush()

    threading.Thread(target=late).start()
    subprocess.run([sys.executable, "-c", "print('by a process')"], check=True)
    os.write(1, b"by a descriptor\\n")
    print("to the original stream", file=sys.__stdout__)
    print("by the reactor")
    sys.stdout.buffer.write(b"as bytes\\n")
    pipe.send("x", 1)

if __name__ == "__main__":
    with Plant("plant", executor={executor}, progress=False) as plant:
        plant.get("x")
        time.sleep(1.5)
"""


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["None", "1"])
def test_everything_that_is_shown_inline_is_shown_from_workers(executor, run_script):
    lines = run_script(SCRIPT.format(executor=executor)).stdout.splitlines()
    assert sorted(line.removeprefix("starts | ") for line in lines) == [
        "as bytes", "by a descriptor", "by a process", "by the reactor", "late", "to the original stream"
    ]  # fmt: skip


def test_lines_of_reactors_that_print_at_once_are_not_mixed(plant, capfd):
    def make(name):
        @ReactorFunc(name=name)
        def prints(pipe, name=name):
            for number in range(2000):
                print(number, end=" ")
                print("x" * 100)
            pipe.send(f"of {name}", 1)

        return prints

    plant.add_reactor(make("left"), make("right"))
    plant.get("of left", "of right")
    lines = capfd.readouterr().out.splitlines()
    for name in ("left", "right"):
        assert [line for line in lines if line.startswith(name)] == [
            f"{name} | {number} {'x' * 100}" for number in range(2000)
        ]
    assert len(lines) == 4000


def test_a_reactor_that_restarts_shows_each_line_once(plant, capfd):
    @ReactorFunc
    def part(pipe):
        pipe.send("part", 1)

    @ReactorFunc
    def chooses(pipe, config):
        for number in range(1000):
            print(f"line {number}")
        print("receives", end=" ")
        part = yield pipe.receive(config.name)
        print(part)
        pipe.send("x", 1)

    plant.set_config({"name": "part"})
    plant.add_reactor(part, chooses)
    plant.get("x")
    lines = capfd.readouterr().out.splitlines()
    assert lines == [*(f"chooses | line {number}" for number in range(1000)), "chooses | receives 1"]


@pytest.mark.slow
def test_what_was_flushed_before_a_crash_is_shown(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(parallel_executor, "_POLL_INTERVAL", PATIENCE)  # nothing is read before the crash

    @ReactorFunc
    def crashes(pipe):
        print("before the crash", flush=True)
        os._exit(1)

    with Plant(tmp_path / "plant", executor=1, progress=False) as plant:
        plant.add_reactor(crashes)
        with pytest.raises(Exception, match="'crashes' died"):
            plant.run_reactor(crashes)
    assert capfd.readouterr().out == "crashes | before the crash\n"


def test_the_time_of_printing_is_linear(forwarder, reader, display, capsys):
    """An item of the forwarder was once copied for each piece of text, and all that was shown for each item."""

    def seconds(count):
        began = time.process_time()
        for _ in range(count):
            forwarder.add_text("stdout", "x" * 99)
            forwarder.add_text("stdout", "\n")
        forwarder.flush()
        for item in reader.read("one"):
            display.show(item)
        capsys.readouterr()
        return time.process_time() - began

    seconds(1000)
    small = seconds(10_000)
    assert seconds(80_000) < 30 * small
