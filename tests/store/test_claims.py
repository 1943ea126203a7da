"""Files that say what living processes hold."""

import errno
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from pyplant.store import claims
from pyplant.store.claims import OwnershipFiles
from pyplant.store.files import Files, OpenFile

KEY = "ab12"


class _Lockless(Files):
    """A file system without locks."""

    def __init__(self, code=errno.ENOLCK):
        self.code = code

    def lock(self, path):
        raise OSError(self.code, "no locks", str(path))


class _Network(Files):
    """A network mount: the kernel's locks are not seen by others."""

    def has_shared_locks(self, path):
        return False


@pytest.fixture(params=[Files, _Lockless, _Network])
def disk(request):
    return request.param()


@pytest.fixture
def make(tmp_path, disk):
    made = []

    def make(**options):
        made.append(OwnershipFiles(disk, tmp_path / "claims", **options))
        return made[-1]

    yield make
    for ownership in made:
        ownership.close()


def as_other_process(ownership, **changes):
    """Let the file of an owner say that another process holds it."""
    path = ownership._own.path
    owner = json.loads(path.read_bytes()[:1024])
    path.write_bytes(json.dumps({**owner, **changes}).encode().ljust(1023) + b"\n")


def test_only_one_process_holds_a_name(make):
    first, second = make(), make()
    assert first.take(KEY)
    assert first.take(KEY)  # ours already
    assert not second.take(KEY)
    assert second.take("cd34")
    first.release(KEY)
    assert second.take(KEY)


def test_releasing_a_name_deletes_its_file(make, tmp_path):
    ownership = make()
    ownership.take(KEY)
    ownership.close()
    assert list((tmp_path / "claims").iterdir()) == []


def test_the_owner_of_a_name_is_known(make):
    first, second = make(), make()
    first.take(KEY)
    owner = second.owner(KEY)
    assert (owner.pid, owner.host) == (os.getpid(), os.uname().nodename)
    assert abs(owner.since - time.time()) < 5
    assert str(owner) == f"process {os.getpid()} on host {os.uname().nodename}"
    assert second.owner("none") is None


def test_the_head_is_not_written_again_for_claims_that_are_held_briefly(make, monkeypatch):
    first, second, written, write = make(), make(), [], OpenFile.rewrite
    monkeypatch.setattr(OpenFile, "rewrite", lambda self, data: written.append(data) or write(self, data))
    for _ in range(100):
        assert first.take(KEY)
        first.release(KEY)
    assert len(written) < 50  # one for each second, however slow the machine is
    later = time.time() + 1000
    monkeypatch.setattr("time.time", lambda: later)
    assert first.take(KEY)
    assert second.owner(KEY).since == round(later)


@pytest.mark.parametrize("content", [b"", b"\0" * 1024, b"[1]", b'{"host": 1}', b"[" * 1024])
def test_an_unreadable_owner_is_unknown(make, content):
    ownership = make()
    ownership.take(KEY)
    ownership._own.path.write_bytes(content)
    assert ownership.owner(KEY) is None


def test_appended_data_can_be_read(make):
    first, second = make(), make()
    first.take(KEY)
    first.append(KEY, b"one\n")
    first.wait_for(["cd34"])  # rewritten in place
    first.append(KEY, b"two\n")
    assert second.content(KEY, 100) == b"one\ntwo\n"
    assert second.owner(KEY).waits == ("cd34",)


def run_owner(directory, disk, how):
    """Another process that holds KEY, and then does something."""
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from pyplant.store.claims import OwnershipFiles\n"
        f"from {disk.__module__} import {type(disk).__name__} as Disk\n"
        "held = OwnershipFiles(Disk(), Path(sys.argv[1]))\n"
        "assert held.take('ab12')\n"
        f"print('held', flush=True)\n{how}\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(directory)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_killed_owner_holds_nothing(make, tmp_path, disk):
    process = run_owner(tmp_path / "claims", disk, "time.sleep(60)")
    ownership = make()
    assert not ownership.take(KEY)
    process.kill()
    process.communicate()
    assert ownership.take(KEY)
    assert ownership.owner(KEY).pid == os.getpid()


def test_an_owner_file_that_an_interrupt_left_incomplete_is_removed(tmp_path):
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / ".ab12").touch()  # made, and neither locked nor signed
    newcomer = OwnershipFiles(Files(), tmp_path / "claims")
    assert newcomer.living() == []
    assert list((tmp_path / "claims").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_holds_and_takes_nothing(make, tmp_path, disk):
    how = (
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    taken = held.take('cd34')\n"
        "    os.write(write, b'x')\n"
        "    held.close()\n"
        "    time.sleep(5)\n"
        "    os._exit(0)\n"
        "os.read(read, 1)\n"
        "print('forked', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    process = run_owner(tmp_path / "claims", disk, how)
    assert process.stdout.readline() == "forked\n"
    ownership = make()
    assert not ownership.take(KEY)  # the child released nothing of its parent's
    assert ownership.take("cd34")
    process.kill()
    process.wait()
    process.stdout.close()
    assert ownership.take(KEY)  # and the child, alive, holds nothing


class TestWithLocks:
    @pytest.fixture
    def disk(self):
        return Files()

    def test_all_names_are_links_to_one_file(self, make, tmp_path):
        ownership = make()
        for number in range(2000):  # more than a process may open
            assert ownership.take(f"key{number}")
        assert len({path.stat().st_ino for path in (tmp_path / "claims").iterdir()}) == 1

    @pytest.mark.slow
    def test_a_claim_emptied_by_a_power_cut_can_be_taken(self, make, tmp_path):
        ownership = make()
        (tmp_path / "claims").mkdir()
        (tmp_path / "claims" / KEY).touch()
        os.utime(tmp_path / "claims" / KEY, (0, 0))
        assert not ownership.take(KEY)  # its status was changed just now
        time.sleep(1.1)
        assert make().take(KEY)  # by one who has not watched

    def test_all_claims_of_a_killed_owner_can_be_taken(self, make, tmp_path, disk):
        process = run_owner(
            tmp_path / "claims", disk, "held.take('cd34'); print('both', flush=True); time.sleep(60)"
        )
        assert process.stdout.readline() == "both\n"
        process.kill()
        process.communicate()
        first, second = make(), make()
        assert first.take(KEY)
        assert second.take("cd34")
        assert not second.take(KEY)

    def test_files_of_a_killed_owner_are_removed(self, make, tmp_path, disk):
        process = run_owner(
            tmp_path / "claims", disk, "held.release('ab12'); print('free', flush=True); time.sleep(60)"
        )
        assert process.stdout.readline() == "free\n"
        process.kill()
        process.communicate()
        ownership = make()
        assert ownership.living() == []
        ownership.close()
        assert list((tmp_path / "claims").iterdir()) == []

    @pytest.mark.parametrize("when", ["link", "unlink"])
    def test_an_interrupt_leaves_nothing_held(self, make, monkeypatch, when):
        first, second = make(), make()
        original = getattr(Files, when)

        def interrupted(self, *paths):
            if when == "link":
                original(self, *paths)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Files, when, interrupted)
            with pytest.raises(KeyboardInterrupt):
                first.take(KEY)
                first.release(KEY)
        assert not second.take(KEY)
        first.release_all()
        assert second.take(KEY)

    def test_a_name_that_leads_to_our_own_file_is_ours(self, make, tmp_path):
        ownership = make()
        ownership.take("a")
        os.link(ownership._own.path, tmp_path / "claims" / KEY)
        assert ownership.take(KEY)

    def test_a_name_that_cannot_be_deleted_does_not_count_as_held(self, make, monkeypatch):
        first, second = make(), make()
        first.take(KEY)

        def fail(self, path):
            raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(Files, "unlink", fail)
            first.release(KEY)
        assert second.take(KEY)

    @pytest.mark.parametrize("content", [b"", b"garbage", b".0123456789ab", b"." * 2000])
    def test_a_link_or_pipe_in_place_of_a_claim_is_removed(self, make, tmp_path, content, monkeypatch):
        monkeypatch.setattr(claims, "_MAX_WRITE_SECONDS", 60)
        ownership = make()
        (tmp_path / "claims").mkdir()
        (tmp_path / "claims" / KEY).write_bytes(content)
        assert not ownership.take(KEY)
        monkeypatch.setattr(claims, "_MAX_WRITE_SECONDS", 0)
        assert ownership.take(KEY)

    def test_a_deleted_file_is_created_again(self, make, tmp_path):
        first, second = make(), make()
        first.take(KEY)
        first.release(KEY)
        for path in (tmp_path / "claims").iterdir():
            path.unlink()
        assert first.take(KEY)
        assert not second.take(KEY)

    @pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
    def test_without_hard_links_names_are_files(self, make, monkeypatch, code):
        def fail(self, source, target):
            raise OSError(code, "no links")

        monkeypatch.setattr(Files, "link", fail)
        first, second = make(), make(timeout=0.0)
        assert first.take(KEY)
        assert first.trouble is None
        assert not second.take(KEY)
        assert not second.take(KEY)  # it is locked, so it need not count
        assert second.owner(KEY).pid == os.getpid()
        first.release(KEY)
        assert second.take(KEY)

    def test_without_hard_links_only_one_process_takes_a_name_over(self, make, monkeypatch):
        def fail(self, source, target):
            raise OSError(errno.EPERM, "no links")

        monkeypatch.setattr(Files, "link", fail)
        first, second, third, fourth = make(), make(), make(), make()
        first.take(KEY)
        first._own.close()  # as if the process had ended
        dead, lock = first._own.path, Files.lock
        quicker = []

        def slow(self, path):
            if path == dead and not quicker:
                quicker.append(True)
                assert third.take(KEY)  # while the second is about to
            return lock(self, path)

        monkeypatch.setattr(Files, "lock", slow)
        assert not second.take(KEY)
        assert not fourth.take(KEY)
        first._own = None


class TestWithoutLocks:
    @pytest.fixture(params=[_Lockless, _Network])
    def disk(self, request):
        return request.param()

    def test_an_owner_without_a_heartbeat_counts_as_dead(self, make):
        first, second = make(), make(timeout=0.05)
        first.take(KEY)
        as_other_process(first, pid_namespace="elsewhere")
        assert not second.take(KEY)
        time.sleep(0.1)
        assert second.take(KEY)

    @pytest.mark.slow
    def test_an_owner_with_a_heartbeat_is_alive(self, make):
        first, second = make(heartbeat=0.01), make(timeout=2.0)
        first.take(KEY)
        deadline = time.monotonic() + 2.5
        while time.monotonic() < deadline:
            assert not second.take(KEY)
            time.sleep(0.01)

    def test_an_owner_whose_process_is_gone_is_dead_at_once(self, make):
        first, second = make(), make()
        first.take(KEY)
        as_other_process(first, started="1")  # the number was given to another process since
        assert second.take(KEY)

    def test_an_owner_in_another_container_is_not_judged_by_its_number(self, make):
        first, second = make(), make()
        first.take(KEY)
        as_other_process(first, started="1", pid_namespace="elsewhere")
        assert not second.take(KEY)

    def test_an_owner_that_lost_a_name_does_not_release_it(self, make):
        first, second, third = make(), make(), make()
        first.take(KEY)
        as_other_process(first, started="1")
        assert second.take(KEY)
        first.release(KEY)
        assert not third.take(KEY)

    def test_only_one_of_two_processes_takes_a_name_over(self, make, monkeypatch):
        first, second, third = make(), make(), make()
        first.take(KEY)
        as_other_process(first, started="1")
        rename = Files.rename
        quicker = []

        def slow(self, source, target):
            if source.name == KEY and not quicker:
                quicker.append(True)
                assert third.take(KEY)  # while the second is about to
            rename(self, source, target)

        monkeypatch.setattr(Files, "rename", slow)
        assert not second.take(KEY)
        assert third.owner(KEY) is not None


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EBADF, 524])
def test_every_error_for_missing_locks_is_handled(tmp_path, code):
    first = OwnershipFiles(_Lockless(code), tmp_path)
    second = OwnershipFiles(_Lockless(code), tmp_path)
    assert first.take(KEY)
    assert first.trouble is None
    assert not second.take(KEY)
    first.release(KEY)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_an_error_lets_every_name_be_taken(tmp_path, code):
    ownership = OwnershipFiles(_Lockless(code), tmp_path)
    assert ownership.take(KEY)
    assert ownership.trouble.errno == code
    ownership.release(KEY)


def test_a_deadlock_of_owners_is_detected(tmp_path):
    first, second, third = (OwnershipFiles(Files(), tmp_path) for _ in range(3))
    for ownership, held, awaited in [(first, "a", "b"), (second, "b", "c"), (third, "c", "a")]:
        assert ownership.take(held)
        ownership.wait_for([awaited])
    assert first.is_circular("b")
    third.wait_for([])
    assert not first.is_circular("b")
    for ownership in (first, second, third):
        ownership.close()


def test_waiting_for_a_deadlock_of_others_is_no_deadlock(tmp_path):
    first, second, third = (OwnershipFiles(Files(), tmp_path) for _ in range(3))
    for ownership, held, awaited in [(first, "a", "b"), (second, "b", "a"), (third, "c", "a")]:
        assert ownership.take(held)
        ownership.wait_for([awaited])
    assert not third.is_circular("a")
    for ownership in (first, second, third):
        ownership.close()


def test_a_planted_link_is_not_followed(tmp_path):
    (tmp_path / "claims").mkdir()
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "claims" / KEY).symlink_to(tmp_path / "precious")
    ownership = OwnershipFiles(Files(), tmp_path / "claims")
    assert ownership.take(KEY)
    assert (tmp_path / "precious").read_text() == "precious"


def test_the_heartbeat_ends_with_its_object(tmp_path):
    ownership = OwnershipFiles(_Network(), tmp_path, heartbeat=0.01)
    ownership.take(KEY)
    ownership.close()
    del ownership
    deadline = time.monotonic() + 5
    while any(str(tmp_path) in thread.name for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
