import mmap
import os
import stat
import sys
from pathlib import Path

import pytest

from pyplant.store import files as files_module
from pyplant.store.files import Files
from pyplant.store.read_only_files import ReadOnlyFiles

disk = Files()


@pytest.fixture
def no_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def write(path, content=b"content"):
    writer = disk.create(path)
    writer.write(content)
    writer.close()
    return path


@pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
@pytest.mark.usefixtures("no_umask")
class TestPermissions:
    def test_files_are_private_whatever_the_umask(self, tmp_path):
        assert stat.S_IMODE(write(tmp_path / "new").stat().st_mode) == 0o600

    def test_appended_files_are_private_whatever_the_umask(self, tmp_path):
        disk.open_append(tmp_path / "new").close()
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600

    def test_directories_are_private_whatever_the_umask(self, tmp_path):
        disk.make_directory(tmp_path / "new")
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700

    def test_protect_opens_nothing_to_others(self, tmp_path):
        path = write(tmp_path / "new")
        path.chmod(0o666)
        disk.protect(path, read_only=False)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        disk.protect(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o400


def test_create_refuses_an_existing_file(tmp_path):
    write(tmp_path / "file")
    with pytest.raises(FileExistsError):
        disk.create(tmp_path / "file")


def test_create_does_not_follow_a_planted_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        disk.create(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_two_writers_append_without_overwriting_each_other(tmp_path):
    first, second = disk.open_append(tmp_path / "log"), disk.open_append(tmp_path / "log")
    for number in range(3):
        first.write(b"a%d" % number)
        second.write(b"b%d" % number)
    first.close()
    second.close()
    assert disk.read(tmp_path / "log") == b"a0b0a1b1a2b2"


@pytest.mark.parametrize("shape", [(0,), (3, 0), (2, 3), ()])
def test_write_takes_buffers_of_any_shape(tmp_path, shape):
    numpy = pytest.importorskip("numpy")
    array = numpy.ones(shape, numpy.uint8)
    writer = disk.create(tmp_path / "file")
    writer.write(memoryview(array))
    writer.close()
    assert disk.read(tmp_path / "file") == array.tobytes()


def test_closing_twice_is_harmless(tmp_path):
    writer = disk.create(tmp_path / "file")
    writer.close()
    writer.close()


def test_a_failed_close_is_not_retried_on_a_descriptor_that_may_be_reused(tmp_path, monkeypatch):
    writer = disk.create(tmp_path / "file")
    closed = []

    def fail(descriptor):
        closed.append(descriptor)
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", fail)
        with pytest.raises(OSError):  # noqa: PT011 - the point is that it is raised once
            writer.close()
        writer.close()
    os.close(*closed)
    assert len(closed) == 1


def test_read_begins_at_the_offset_and_ends_at_the_limit(tmp_path):
    path = write(tmp_path / "file", b"0123456789")
    assert disk.read(path, 3) == b"3456789"
    assert disk.read(path, 3, 4) == b"3456"
    assert disk.read(path, 20) == b""


@pytest.mark.parametrize(("largest", "part"), [(0, 7), (100, 50)])
def test_chunks_yield_the_whole_file_in_bounded_parts(tmp_path, monkeypatch, largest, part):
    monkeypatch.setattr(files_module, "_READ_BUFFER", 7)
    monkeypatch.setattr(files_module, "_MAX_COPIED", largest)
    path = write(tmp_path / "file", bytes(range(50)))
    pieces = [bytes(piece) for piece in disk.chunks(path)]
    assert b"".join(pieces) == bytes(range(50))
    assert max(map(len, pieces)) == part


@pytest.mark.parametrize("largest", [0, 100])
def test_writing_to_a_map_does_not_change_the_file(tmp_path, monkeypatch, largest):
    monkeypatch.setattr(files_module, "_MAX_COPIED", largest)
    path = write(tmp_path / "file", b"content")
    mapped, other = disk.map_private(path), disk.map_private(path)
    mapped[:3] = b"XXX"
    assert bytes(other) == b"content"
    assert path.read_bytes() == b"content"
    assert isinstance(mapped, bytearray if largest else mmap.mmap)


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not list open files")
class TestDescriptors:
    def test_a_map_keeps_no_file_open(self, tmp_path):
        path = write(tmp_path / "file", bytes(files_module._MAX_COPIED + 1))
        before = open_descriptors()
        maps = [disk.map_private(path) for _ in range(10)]
        assert {type(mapped) for mapped in maps} == {mmap.mmap}
        assert open_descriptors() == before

    @pytest.mark.skipif(sys.version_info >= (3, 13), reason="mmap.mmap(trackfd=False)")
    def test_control_a_map_of_python_keeps_a_file_open(self, tmp_path):
        path = write(tmp_path / "file", bytes(files_module._MAX_COPIED + 1))
        before = open_descriptors()
        with path.open("rb") as stream:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        assert open_descriptors() == before + 1
        mapped.close()

    def test_a_map_returns_its_addresses(self, tmp_path):
        path = write(tmp_path / "file", bytes(files_module._MAX_COPIED + 1))
        mapped = disk.map_private(path)
        assert str(path) in Path("/proc/self/maps").read_text()
        del mapped
        assert str(path) not in Path("/proc/self/maps").read_text()

    def test_a_file_that_cannot_be_mapped_is_an_error(self, tmp_path):
        path = write(tmp_path / "file", bytes(files_module._MAX_COPIED + 1))
        with path.open("ab") as stream, pytest.raises(OSError):  # not readable, so it cannot be mapped
            files_module._mapped(stream.fileno(), 10)


def test_control_a_shared_map_does_reach_the_file(tmp_path):
    path = write(tmp_path / "file", b"content")
    with path.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as shared:
        shared[:3] = b"XXX"
    assert path.read_bytes() == b"XXXtent"


def test_an_empty_file_maps_to_nothing(tmp_path):
    assert disk.map_private(write(tmp_path / "file", b"")) == b""


def test_rename_replaces(tmp_path):
    disk.rename(write(tmp_path / "new", b"new"), write(tmp_path / "old", b"old"))
    assert (tmp_path / "old").read_bytes() == b"new"


def test_deleting_a_missing_file_is_harmless(tmp_path):
    disk.unlink(tmp_path / "nothing")
    disk.remove_tree(tmp_path / "nothing")


class TestIdentity:
    def test_is_that_of_an_untouched_file(self, tmp_path):
        path = write(tmp_path / "file")
        assert disk.identity(path) == disk.identity(path)

    def test_changes_with_restored_times(self, tmp_path):
        path = write(tmp_path / "file")
        before = disk.identity(path)
        times = path.stat()
        while disk.identity(path) == before:
            path.write_bytes(b"CONTENT")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert disk.identity(path)[3] == before[3]

    def test_changes_with_the_boot(self, tmp_path, monkeypatch):
        path = write(tmp_path / "file")
        before = disk.identity(path)
        monkeypatch.setattr(files_module, "boot_id", lambda: "another")
        assert disk.identity(path) != before

    def test_nothing_but_a_regular_file_has_one(self, tmp_path):
        (tmp_path / "link").symlink_to(write(tmp_path / "file"))
        assert disk.identity(tmp_path) is None
        assert disk.identity(tmp_path / "link") is None
        assert disk.identity(tmp_path / "nothing") is None
        assert disk.identity(tmp_path / "file" / "below") is None

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
    def test_a_pipe_has_none(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        assert disk.identity(tmp_path / "pipe") is None


class TestListing:
    def test_names_are_sorted(self, tmp_path):
        write(tmp_path / "b")
        write(tmp_path / "a")
        assert disk.names(tmp_path) == ["a", "b"]

    def test_sizes_are_of_regular_files_only(self, tmp_path):
        write(tmp_path / "file", b"12345")
        (tmp_path / "directory").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "file")
        assert disk.sizes(tmp_path) == {"file": 5}

    @pytest.mark.parametrize("name", ["nothing", "file"])
    def test_listing_a_file_or_a_missing_directory_gives_nothing(self, tmp_path, name):
        write(tmp_path / "file")
        assert disk.names(tmp_path / name) == []
        assert disk.sizes(tmp_path / name) == {}

    def test_a_file_that_vanishes_meanwhile_hides_no_other(self, tmp_path, monkeypatch):
        for name in "abc":
            write(tmp_path / name)
        scandir = os.scandir

        class Vanishing:
            def __init__(self, entries):
                self.entries = entries

            def __enter__(self):
                found = sorted(self.entries, key=lambda entry: entry.name)
                (tmp_path / "a").unlink()
                return iter(found)

            def __exit__(self, *error):
                self.entries.close()

        monkeypatch.setattr(os, "scandir", lambda path: Vanishing(scandir(path)))
        assert disk.sizes(tmp_path).keys() == {"b", "c"}


def test_modified_counts_a_rename(tmp_path):
    path = write(tmp_path / "file")
    os.utime(path, (0, 0))
    assert disk.modified(path) > 1e9
    assert disk.modified(tmp_path / "nothing") is None


def test_a_link_to_a_directory_is_no_directory(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    assert disk.is_directory(tmp_path)
    assert not disk.is_directory(tmp_path / "link")


class TestPlantedFiles:
    """Nothing is read or written where a planted link leads, and no read waits for a planted pipe."""

    @pytest.fixture
    def precious(self, tmp_path):
        path = tmp_path / "precious"
        path.write_bytes(b"precious")
        return path

    @pytest.mark.parametrize(
        "call",
        [
            lambda path: disk.read(path),
            lambda path: list(disk.chunks(path)),
            lambda path: disk.map_private(path),
            lambda path: disk.open_append(path),
            lambda path: disk.lock(path),
        ],
    )
    def test_a_link_is_not_followed(self, tmp_path, precious, call):
        (tmp_path / "link").symlink_to(precious)
        with pytest.raises(OSError):
            call(tmp_path / "link")
        assert precious.read_bytes() == b"precious"

    def test_a_link_to_a_directory_is_none(self, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(NotADirectoryError):
            disk.make_directory(tmp_path / "link")

    @pytest.mark.parametrize(
        "call", [lambda path: disk.read(path), lambda path: list(disk.chunks(path)), disk.map_private]
    )
    def test_a_pipe_is_not_waited_for(self, tmp_path, call):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OSError, match="not a regular file"):
            call(tmp_path / "pipe")


class TestReadOnly:
    def test_nothing_can_be_changed(self, tmp_path):
        path = write(tmp_path / "file")
        files = ReadOnlyFiles()
        for call in (files.create, files.open_append, files.lock, files.unlink, files.make_directory):
            with pytest.raises(OSError, match="reading only"):
                call(path)
        with pytest.raises(OSError, match="reading only"):
            files.rename(path, tmp_path / "other")
        assert files.read(path) == b"content"


def test_kernel_locks_are_trusted_on_local_file_systems_only(tmp_path, monkeypatch):
    mounts = "1 2 8:1 / / rw - ext4 /dev/x rw\n2 1 8:2 / /home rw shared:1 - nfs4 server:/home rw\n"
    (tmp_path / "mountinfo").write_text(mounts + "3 1 8:3 / /home/a\\040b rw - xfs /dev/y rw\n")
    read = Path.read_text

    def fake(path, **options):
        return read(tmp_path / "mountinfo" if str(path) == "/proc/self/mountinfo" else path, **options)

    monkeypatch.setattr(Path, "read_text", fake)
    assert disk.has_shared_locks(Path("/tmp"))
    assert not disk.has_shared_locks(Path("/home/me"))
    assert disk.has_shared_locks(Path("/home/a b/plant"))
    assert disk.has_shared_locks(Path("/homestead"))
