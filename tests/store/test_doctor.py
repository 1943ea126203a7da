"""What a file system is found to do."""

import errno

import pytest

from pyplant.store.doctor import CheckResult, examine
from pyplant.store.files import Files


def found(folder, files=None):
    return {check.name: check for check in examine(folder, files)}


def test_a_local_disk_passes_all_checks(tmp_path):
    checks = found(tmp_path)
    assert list(checks) == [
        *("file system", "writing", "renaming", "syncing", "locks"),
        *("exclusive files", "mapping", "times", "space", "inodes"),
    ]
    for name in ("writing", "renaming", "exclusive files", "mapping"):
        assert checks[name].verdict is CheckResult.OK


def test_nothing_is_left_behind(tmp_path):
    found(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_behind_if_the_caller_stops_early(tmp_path):
    checks = examine(tmp_path)
    assert next(checks).name == "file system"
    assert next(checks).name == "writing"
    checks.close()
    assert list(tmp_path.iterdir()) == []


class ReadOnly(Files):
    def make_directory(self, path):
        raise OSError(errno.EROFS, "Read-only file system")


class NoLocks(Files):
    def lock(self, path):
        raise OSError(errno.ENOLCK, "No locks available")


class IneffectiveLocks(Files):
    def lock(self, path):
        return self.open_append(path)


class LocksOfOneMachine(Files):
    def has_shared_locks(self, path):
        return False


class NotExclusive(Files):
    def create(self, path):
        path.unlink(missing_ok=True)
        return super().create(path)


class KeepsTheOld(Files):
    def rename(self, source, target):
        source.unlink()


class CannotRename(Files):
    def rename(self, source, target):
        raise OSError(errno.EPERM, "Operation not permitted")


class NoDirectorySync(Files):
    def sync_directory(self, path):
        raise OSError(errno.EINVAL, "Invalid argument")


class OtherBytes(Files):
    def map_private(self, path):
        return b"\0" * 6


class WholeSeconds(Files):
    def identity(self, path):
        device, inode, size, modified, changed, boot = super().identity(path)
        return device, inode, size, modified // 10**9 * 10**9, changed, boot


class SlowClock(Files):
    def modified(self, path):
        return super().modified(path) - 3600


class NearlyFull(Files):
    def free_bytes(self, path):
        return 5_000_000


class FewInodes(Files):
    def free_inodes(self, path):
        return 300


@pytest.mark.parametrize(
    ("files", "name", "verdict", "words"),
    [
        (ReadOnly(), "writing", CheckResult.FAILED, "can only be read"),
        (NoLocks(), "locks", CheckResult.WARNING, "no kernel locks (No locks available)"),
        (IneffectiveLocks(), "locks", CheckResult.WARNING, "do not exclude"),
        (LocksOfOneMachine(), "locks", CheckResult.WARNING, "other machines may not see them"),
        (NotExclusive(), "exclusive files", CheckResult.WARNING, "run twice"),
        (KeepsTheOld(), "renaming", CheckResult.FAILED, "does not replace"),
        (CannotRename(), "renaming", CheckResult.FAILED, "Operation not permitted"),
        (NoDirectorySync(), "syncing", CheckResult.WARNING, "power cut"),
        (OtherBytes(), "mapping", CheckResult.FAILED, "differs from the file"),
        (WholeSeconds(), "times", CheckResult.WARNING, "whole seconds"),
        (SlowClock(), "times", CheckResult.WARNING, "differs by 3600 s"),
        (NearlyFull(), "space", CheckResult.WARNING, "0.0 GB free"),
        (FewInodes(), "inodes", CheckResult.WARNING, "only 300 further files"),
    ],
)
def test_each_missing_feature_is_reported(tmp_path, files, name, verdict, words):
    check = found(tmp_path, files)[name]
    assert check.verdict is verdict
    assert words in check.text
    assert list(tmp_path.iterdir()) == []
