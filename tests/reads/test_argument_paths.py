"""Files of databases, and files and environment variables that commands name."""

import multiprocessing
import os
import pathlib
import sqlite3
import subprocess
import sys
import time

import pytest

from pyplant.execution import nesting
from pyplant.reads.argument_paths import database_files, paths_in_command, variables_in_command

from .plants import notes, plant_with, write


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("data.db", ["data.db", "data.db-wal"]),
        ("file:data.db?mode=ro", ["data.db", "data.db-wal"]),
        ("file:///x/data%20base.db", ["/x/data base.db", "/x/data base.db-wal"]),
        ("file:shared?mode=memory&cache=shared", []),
        ("file::memory:", []),
        ("file://localhost/x/a%C3%A4#b", ["/x/aä", "/x/aä-wal"]),
        (":memory:", []),
        ("", []),
    ],
)
def test_the_file_of_a_database_is_found(name, expected):
    assert database_files(name) == expected


def with_log():
    connection = sqlite3.connect("data.db")
    connection.execute("pragma journal_mode=wal")
    connection.execute("create table t(a)")
    connection.commit()
    return connection


def count():
    connection = sqlite3.connect("data.db")
    try:
        return connection.execute("select count(*) from t").fetchone()[0]
    finally:
        connection.close()


def test_changes_that_are_only_in_the_log_of_a_database_count():
    """The database itself changes when the last connection is closed."""
    writer = with_log()
    with plant_with(count) as plant:
        assert plant.get("value") == 0
        content = pathlib.Path("data.db").read_bytes()
        writer.execute("insert into t values(1)")
        writer.commit()
        assert pathlib.Path("data.db").read_bytes() == content
        assert plant.get("value") == 1
        assert not plant.run_reactor("reads").ran
    writer.close()


def test_control_without_the_log_its_changes_are_missed(monkeypatch):
    monkeypatch.setattr("pyplant.reads.hook.database_files", lambda name: [name])
    writer = with_log()
    with plant_with(count) as plant:
        assert plant.get("value") == 0
        writer.execute("insert into t values(1)")
        writer.commit()
        assert plant.get("value") == 0
    writer.close()


def test_a_database_with_a_log_that_begins_later_counts():
    with_log().close()
    assert not os.path.exists("data.db-wal")
    with plant_with(count) as plant:
        assert plant.get("value") == 0
        writer = sqlite3.connect("data.db")
        writer.execute("insert into t values(1)")
        writer.commit()
        assert plant.get("value") == 1
    writer.close()


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["cat", "data.txt"], ["data.txt"]),
        (("tool", "--input=data.txt", "-n", 3), ["data.txt"]),
        (["/bin/sh", "-c", "cat <data.txt|wc"], ["/bin/sh", "data.txt"]),
        (b"cat data.txt", ["data.txt"]),
        (["cat", pathlib.Path("with space.txt")], ["with space.txt"]),
        (["ls", "."], []),
        (["cat", "missing.txt", "a\0b", None], []),
        ([], []),
    ],
)
def test_the_files_that_a_command_names_are_found(command, expected):
    write("data.txt")
    write("with space.txt")
    assert list(paths_in_command(command)) == expected


def test_the_files_of_a_command_in_another_folder_are_found():
    write("data.txt")
    write("in/other.txt")
    assert list(paths_in_command(["cat", "other.txt", "data.txt"], "in")) == ["in/other.txt"]


@pytest.mark.parametrize(
    ("module", "files"),
    [
        ("tool", ["tool/__init__.py", "tool/__main__.py"]),
        ("tool.prepare", ["tool/__init__.py", "tool/prepare.py"]),
        ("pytest", []),
    ],
)
def test_the_files_of_a_module_that_a_command_runs_are_found(module, files):
    for name in ("tool/__init__.py", "tool/__main__.py", "tool/prepare.py"):
        write(name)
    found = list(paths_in_command(["python-of-another-place", "-m", module]))
    assert found == [name for name in (module,) if pathlib.Path(name).exists()] + files


def test_an_edit_of_a_module_that_a_command_runs_is_noticed():
    write("tool/prepare.py", "print(1)")
    with plant_with(lambda: subprocess.check_output([sys.executable, "-m", "tool.prepare"])) as plant:
        assert plant.get("value") == b"1\n"
        assert not plant.run_reactor("reads").ran
        write("tool/prepare.py", "print(2)")
        assert plant.get("value") == b"2\n"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo $FIRST ${SECOND}", ["FIRST", "SECOND"]),
        (["/bin/sh", "-c", "echo $FIRST"], ["FIRST"]),
        (["echo", "$FIRST"], []),  # no shell that replaces it
        ("for one in *; do echo $one; done", []),
        ("echo $small", ["small"]),
        ([], []),
    ],
)
def test_the_variables_that_a_command_of_a_shell_names_are_found(command, expected, monkeypatch):
    monkeypatch.setenv("small", "1")
    assert list(variables_in_command(command)) == expected


def test_a_variable_that_a_command_of_a_shell_names_is_an_input(monkeypatch):
    monkeypatch.setenv("SUBJECT", "1")
    with plant_with(lambda: subprocess.check_output("echo $SUBJECT", shell=True)) as plant:
        assert plant.get("value") == b"1\n"
        assert not plant.run_reactor("reads").ran
        monkeypatch.setenv("SUBJECT", "2")
        assert plant.get("value") == b"2\n"


def test_control_without_the_variables_of_commands_a_change_is_missed(monkeypatch):
    monkeypatch.setattr("pyplant.reads.hook.variables_in_command", lambda *_: ())
    monkeypatch.setenv("SUBJECT", "1")
    with plant_with(lambda: subprocess.check_output("echo $SUBJECT", shell=True)) as plant:
        assert plant.get("value") == b"1\n"
        monkeypatch.setenv("SUBJECT", "2")
        assert plant.get("value") == b"1\n"


def test_a_variable_of_a_process_with_an_environment_of_its_own_is_none(monkeypatch):
    monkeypatch.setenv("SUBJECT", "1")
    own = {"SUBJECT": "3", "PATH": os.environ["PATH"]}
    with plant_with(lambda: subprocess.check_output("echo $SUBJECT", shell=True, env=own)) as plant:
        assert plant.get("value") == b"3\n"
        monkeypatch.setenv("SUBJECT", "2")
        assert not plant.run_reactor("reads").ran


def test_what_a_program_writes_is_state_and_what_it_reads_an_input():
    write("data.txt", 1)

    def copy():
        subprocess.run(["cp", "data.txt", "copy.txt"], check=True)
        return pathlib.Path("copy.txt").read_text()

    with plant_with(copy) as plant:
        assert plant.get("value") == "1"
        assert not plant.run_reactor("reads").ran
        plant.invalidate("reads")
        assert plant.get("value") == "1"  # the copy was there before
        assert not plant.run_reactor("reads").ran
        write("copy.txt", 3)
        assert not plant.run_reactor("reads").ran
        write("data.txt", 2)
        assert plant.get("value") == "2"


def test_control_without_the_words_of_commands_a_change_is_missed(monkeypatch):
    monkeypatch.setattr("pyplant.reads.hook.paths_in_command", lambda *_: ())
    write("data.txt", 1)
    with plant_with(lambda: subprocess.check_output(["cat", "data.txt"])) as plant:
        assert plant.get("value") == b"1"
        write("data.txt", 2)
        assert plant.get("value") == b"1"


def spawn():
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(0,))
    process.start()
    process.join()


def test_processes_that_are_not_forked_are_named():
    with plant_with(spawn) as plant:
        plant.get("value")
        assert "starts a process (multiprocessing), whose reads are not followed" in notes(plant)
        assert "spawn (test_argument_paths.py:" in notes(plant)


def test_control_without_the_wrapper_they_are_not_named(monkeypatch):
    monkeypatch.setattr(nesting, "started_process", lambda _: None)
    with plant_with(spawn) as plant:
        plant.get("value")
        assert "starts a process" not in notes(plant)
