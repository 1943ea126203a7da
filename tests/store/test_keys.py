import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyplant.store import keys as keys_module
from pyplant.store.keys import signing_key


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of its own for each test; gives the path of the key."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    signing_key.cache_clear()
    yield tmp_path / "pyplant" / "signing-key"
    signing_key.cache_clear()


def key_of_another_process():
    signing_key.cache_clear()
    return signing_key()


def test_the_key_is_made_once_and_kept(home):
    key = signing_key()
    assert len(key) == 32
    assert home.read_bytes() == key
    assert key_of_another_process() == key


def test_each_home_has_a_key_of_its_own(tmp_path, monkeypatch):
    first = signing_key()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "other"))
    assert key_of_another_process() != first


@pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
def test_nobody_else_can_read_it_whatever_the_umask(home):
    before = os.umask(0)
    try:
        signing_key()
    finally:
        os.umask(before)
    assert home.stat().st_mode & 0o777 == 0o600
    assert home.parent.stat().st_mode & 0o777 == 0o700


def test_nothing_is_left_beside_it(home):
    signing_key()
    assert [path.name for path in home.parent.iterdir()] == ["signing-key"]


def test_two_processes_at_once_agree(tmp_path):
    program = (
        "import sys; from pyplant.store.keys import signing_key; print('ready', flush=True); "
        "sys.stdin.readline(); print(signing_key().hex())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    keys = {process.communicate(timeout=60)[0] for process in processes}
    assert len(keys) == 1
    assert keys.pop().strip() == (tmp_path / "pyplant" / "signing-key").read_bytes().hex()


def test_who_comes_second_takes_the_key_of_the_first(home, monkeypatch):
    link = os.link

    def late(source, target):
        home.write_bytes(b"f" * 32)
        return link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert signing_key() == b"f" * 32
    assert [path.name for path in home.parent.iterdir()] == ["signing-key"]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_replaced_for_good(home, content):
    home.parent.mkdir()
    home.write_bytes(content)
    key = signing_key()
    assert home.read_bytes() == key
    assert key_of_another_process() == key


def test_an_unreadable_key_is_left_alone(home, monkeypatch):
    home.parent.mkdir()
    home.write_bytes(b"k" * 32)
    read = Path.read_bytes

    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    key = signing_key()
    assert len(key) == 32
    assert key != b"k" * 32
    monkeypatch.setattr(Path, "read_bytes", read)
    assert home.read_bytes() == b"k" * 32


def test_without_a_place_to_keep_it_the_key_lives_as_long_as_the_process(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(keys_module, "_directory", lambda: tmp_path / "file" / "below")
    key = signing_key()
    assert signing_key() == key
    assert key_of_another_process() != key


def test_without_a_home_the_key_lives_as_long_as_the_process(monkeypatch):
    def homeless():
        message = "Could not determine home directory."
        raise RuntimeError(message)

    monkeypatch.setattr(keys_module, "_directory", homeless)
    assert len(signing_key()) == 32
