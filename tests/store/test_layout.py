import errno
import json
import os
import warnings
from contextlib import closing

import pytest

from pyplant.errors import DamageWarning, FormatError, PlantDirError
from pyplant.fingerprint.digest import digest_bytes
from pyplant.store.files import Files
from pyplant.store.journal import Journal
from pyplant.store.layout import FORMAT, check_plant, open_plant, plant_id

from . import LONG, FailingFiles, HookedFiles, TextSpec, a_trace, open_warehouse

as_other_user = pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may do anything")


def snapshot(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def write_format(root, body, check=None):
    text = json.dumps(body)
    (root / "FORMAT").write_text(f"{check or digest_bytes(text.encode())[:16]} {text}\n")


@pytest.fixture
def plant(tmp_path):
    root = tmp_path / "plant"
    open_plant(Files(), root)
    return root


@pytest.fixture
def used_plant(plant):
    journal = Journal(Files(), plant / "journal")
    journal.append("t", "key", 1)
    journal.close()
    return plant


class TestMaking:
    def test_a_new_plant_has_format_and_cachedir_tag(self, plant):
        check, _, body = (plant / "FORMAT").read_text().strip().partition(" ")
        assert json.loads(body)["format"] == FORMAT
        assert check == digest_bytes(body.encode())[:16]
        assert (
            (plant / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
        )

    def test_a_new_plant_is_private(self, plant):
        for path in [plant, *plant.rglob("*")]:
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)

    def test_directories_above_are_made(self, tmp_path):
        open_plant(Files(), tmp_path / "a" / "b")
        assert (tmp_path / "a" / "b" / "FORMAT").exists()

    def test_an_empty_directory_becomes_a_plant(self, tmp_path):
        open_plant(Files(), tmp_path)
        assert (tmp_path / "FORMAT").exists()

    def test_opening_again_writes_nothing(self, plant):
        class ReadOnly(HookedFiles):
            def before(self, call, path):
                raise AssertionError(call)

        before = snapshot(plant)
        open_plant(ReadOnly(), plant)
        assert snapshot(plant) == before

    def test_an_interrupted_creation_is_completed_without_a_warning(self, tmp_path):
        for nth in range(1, 30):
            root, files = tmp_path / str(nth), FailingFiles(nth)
            try:
                open_plant(files, root)
            except PlantDirError as error:
                assert "No space" in str(error)  # noqa: PT017 - the last round raises nothing
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                open_plant(Files(), root)
            assert (root / "FORMAT").exists()
            if not files.failures:
                return
        pytest.fail("it never got through")


def identity_after(root, nth, errors=()):
    """The identities that a plant has for another process, which opens it before our ``nth`` change, and in the end."""
    found = []

    class Racing(HookedFiles):
        left = nth

        def before(self, call, path):
            self.left -= 1
            if self.left == 0:
                open_plant(without_links(*errors)(), root)
                found.append(plant_id(Files(), root))

        def link(self, source, target):
            for code in errors:
                raise OSError(code, os.strerror(code), str(target))
            super().link(source, target)

    open_plant(Racing(), root)
    return [*found, plant_id(Files(), root)]


def without_links(*errors):
    class Linkless(Files):
        def link(self, source, target):
            for code in errors:
                raise OSError(code, os.strerror(code), str(target))
            super().link(source, target)

    return Linkless


class TestIdentity:
    """Processes that make a plant at the same time agree on what it is."""

    def test_two_processes_that_create_a_plant_agree_on_its_identity(self, tmp_path):
        for nth in range(1, 40):
            identities = identity_after(tmp_path / str(nth), nth)
            assert len(set(identities)) == 1
            assert all(identities)
            assert not list((tmp_path / str(nth) / "tmp").iterdir())
            if len(identities) == 1:
                return  # that was after the last change
        pytest.fail("it never got through")

    @pytest.mark.filterwarnings("ignore:.*FORMAT")
    @pytest.mark.parametrize("content", [b"", b"garbage", None])
    def test_two_processes_that_repair_a_plant_agree_on_its_identity(self, tmp_path, content):
        for nth in range(1, 40):
            root = tmp_path / str(nth)
            open_plant(Files(), root)
            Journal(Files(), root / "journal").append("t", "key", 1)
            (root / "FORMAT").unlink()
            if content is not None:
                (root / "FORMAT").write_bytes(content)
            identities = identity_after(root, nth)
            assert len(set(identities)) == 1
            assert all(identities)
            assert not list((root / "tmp").iterdir())
            if len(identities) == 1:
                return
        pytest.fail("it never got through")

    @pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK])
    @pytest.mark.parametrize("content", [None, b"garbage"])
    def test_a_file_system_without_hard_links_holds_a_plant(self, tmp_path, code, content):
        if content is not None:
            (tmp_path / "FORMAT").write_bytes(content)
            with pytest.warns(DamageWarning):
                open_plant(without_links(code)(), tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            open_plant(without_links(code)(), tmp_path)
        assert plant_id(Files(), tmp_path)
        assert not list((tmp_path / "tmp").iterdir())

    def test_without_hard_links_only_the_renaming_is_a_race(self, tmp_path):
        outcomes = [len(set(identity_after(tmp_path / str(nth), nth, [errno.EPERM]))) for nth in range(1, 20)]
        assert outcomes.count(2) == 1

    def test_a_link_that_was_created_despite_an_error_is_used(self, tmp_path):
        class Repeated(Files):
            """As NFS, when its answer is lost: the same request again finds the name taken."""

            def link(self, source, target):
                super().link(source, target)
                raise FileExistsError(errno.EEXIST, "File exists", str(target))

        open_plant(Repeated(), tmp_path)
        assert plant_id(Files(), tmp_path)

    def test_a_full_disk_is_reported(self, tmp_path):
        class Full(Files):
            def link(self, source, target):
                raise OSError(errno.ENOSPC, "No space left on device", str(target))

            def rename(self, source, target):
                if target.name == "FORMAT":
                    self.link(source, target)
                super().rename(source, target)

        with pytest.raises(PlantDirError, match="No space"):
            open_plant(Full(), tmp_path)


class TestFormat:
    @pytest.mark.parametrize("version", [FORMAT + 1, 99, "1", 0, 1.5])
    def test_another_format_is_refused_and_nothing_is_written(self, plant, version):
        write_format(plant, {"format": version})
        before = snapshot(plant)
        with pytest.raises(FormatError, match="nothing was changed"):
            open_plant(Files(), plant)
        assert snapshot(plant) == before

    @pytest.mark.parametrize(
        "content",
        [b"", b"garbage", b"\xff\xfe", b"0123456789abcdef {}", b"x" * 100_000, b"{}\n", b"\0" * 100],
    )
    def test_a_damaged_format_is_rewritten_with_one_warning(self, used_plant, content):
        (used_plant / "FORMAT").write_bytes(content)
        with pytest.warns(DamageWarning, match="FORMAT") as warned:
            open_plant(Files(), used_plant)
        assert len(warned) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            open_plant(Files(), used_plant)

    def test_every_flipped_bit_is_noticed(self, used_plant):
        content = (used_plant / "FORMAT").read_bytes()
        for position in range(len(content) - 1):
            damaged = bytearray(content)
            damaged[position] ^= 1
            (used_plant / "FORMAT").write_bytes(damaged)
            with pytest.warns(DamageWarning):
                open_plant(Files(), used_plant)

    def test_a_flipped_version_is_not_taken_for_another_version(self, used_plant):
        content = (used_plant / "FORMAT").read_bytes()
        (used_plant / "FORMAT").write_bytes(content.replace(b'"format": 1', b'"format": 3'))
        with pytest.warns(DamageWarning):
            open_plant(Files(), used_plant)

    def test_control_with_a_matching_checksum_another_version_is_reported(self, used_plant):
        write_format(used_plant, {"format": 3})
        with pytest.raises(FormatError):
            open_plant(Files(), used_plant)

    def test_a_missing_format_is_rewritten_with_a_warning(self, used_plant):
        (used_plant / "FORMAT").unlink()
        before = snapshot(used_plant / "journal")
        with pytest.warns(DamageWarning, match="FORMAT"):
            open_plant(Files(), used_plant)
        assert snapshot(used_plant / "journal") == before

    def test_a_plant_that_another_process_creates_is_not_damaged(self, tmp_path):
        for part in ("objects", "journal", "tmp"):
            (tmp_path / part).mkdir()
        (tmp_path / "CACHEDIR.TAG").touch()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            open_plant(Files(), tmp_path)

    def test_a_foreign_file_in_a_damaged_plant_is_accepted(self, plant):
        (plant / "notes.txt").touch()
        open_plant(Files(), plant)


class TestRefusing:
    def test_a_file(self, tmp_path):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(PlantDirError, match="is a file"):
            open_plant(Files(), tmp_path / "file")
        assert (tmp_path / "file").read_text() == "mine"

    def test_a_path_below_a_file(self, tmp_path):
        (tmp_path / "file").write_text("mine")
        with pytest.raises(PlantDirError):
            open_plant(Files(), tmp_path / "file" / "plant")

    @pytest.mark.parametrize(
        "names",
        [["thesis.tex"], ["thesis.tex", "CACHEDIR.TAG"], ["thesis.tex", "FORMAT"], ["thesis.tex", "objects"]],
    )
    def test_a_directory_of_other_things(self, tmp_path, names):
        for name in names:
            (tmp_path / name).write_text("mine")
        before = snapshot(tmp_path)
        with pytest.raises(PlantDirError, match=r"thesis\.tex"):
            open_plant(Files(), tmp_path)
        assert snapshot(tmp_path) == before

    def test_a_directory_with_an_unrelated_journal(self, tmp_path):
        (tmp_path / "journal").mkdir()
        (tmp_path / "journal" / "monday.txt").write_text("mine")
        (tmp_path / "thesis.tex").write_text("mine")
        with pytest.raises(PlantDirError, match=r"thesis\.tex"):
            open_plant(Files(), tmp_path)

    def test_the_plant_of_another_user(self, plant):
        class Foreign(Files):
            def owner_and_mode(self, path):
                return self.own_user() + 1, 0o700

        with pytest.raises(PlantDirError, match="belongs to user"):
            open_plant(Foreign(), plant)

    def test_a_plant_of_root_is_accepted(self, plant):
        class Ours(Files):
            def own_user(self):
                return 1000

            def owner_and_mode(self, path):
                return 0, 0o755

        open_plant(Ours(), plant)

    @pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
    @pytest.mark.parametrize("empty", [True, False])
    def test_a_directory_that_every_user_may_write(self, tmp_path, empty):
        root = tmp_path / "plant"
        if empty:
            root.mkdir()
        else:
            open_plant(Files(), root)
        root.chmod(0o777)
        with pytest.raises(PlantDirError, match="chmod o-w"):
            open_plant(Files(), root)
        root.chmod(0o770)
        open_plant(Files(), root)

    @pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
    @pytest.mark.parametrize("part", ["objects", "journal", "tmp"])
    def test_a_part_that_every_user_may_write(self, tmp_path, part):
        open_plant(Files(), tmp_path / "plant")
        (tmp_path / "plant" / part).chmod(0o777)
        with pytest.raises(PlantDirError, match=f"chmod o-w .*{part}"):
            open_plant(Files(), tmp_path / "plant")
        check_plant(Files(), tmp_path / "plant", of_anybody=True)

    @pytest.mark.parametrize("part", ["objects", "journal", "tmp"])
    def test_a_part_that_another_user_owns(self, tmp_path, part):
        class OfAnother(Files):
            def owner_and_mode(self, path):
                owner, mode = super().owner_and_mode(path)
                return (owner + 1 if path.name == part else owner), mode

        open_plant(Files(), tmp_path / "plant")
        with pytest.raises(PlantDirError, match=f"{part} belongs to user"):
            open_plant(OfAnother(), tmp_path / "plant")
        (tmp_path / "plant").chmod(0o770)  # shared with a group, whose members own parts
        open_plant(OfAnother(), tmp_path / "plant")

    @as_other_user
    def test_an_unwritable_plant(self, plant):
        plant.chmod(0o500)
        try:
            with pytest.raises(PlantDirError, match="not writable"):
                open_plant(Files(), plant)
        finally:
            plant.chmod(0o700)

    @as_other_user
    def test_an_unwritable_place(self, tmp_path):
        tmp_path.chmod(0o500)
        try:
            with pytest.raises(PlantDirError, match="not writable"):
                open_plant(Files(), tmp_path / "plant")
        finally:
            tmp_path.chmod(0o700)

    def test_a_directory_called_format(self, tmp_path):
        (tmp_path / "FORMAT").mkdir()
        with pytest.raises(PlantDirError):
            open_plant(Files(), tmp_path)


class TestReadingOnly:
    """A plant can be looked at without leaving anything in it."""

    def listing(self, root):
        return sorted((str(path), path.lstat().st_mtime_ns) for path in [root, *root.rglob("*")])

    def test_a_plant_is_read_and_left_alone(self, tmp_path):
        with closing(open_warehouse(tmp_path / "plant")) as warehouse:
            saved = warehouse.save("x", LONG, TextSpec)
            warehouse.commit(a_trace(saved))
        before = self.listing(tmp_path / "plant")
        with closing(open_warehouse(tmp_path / "plant", read_only=True)) as reader:
            (trace,) = reader.ledger.traces()
            assert reader.load(trace.outputs[0]) == LONG
            reader.ledger.note_used({"garden.renamed": trace})
            reader.lease([trace])
            reader.flush()
        assert self.listing(tmp_path / "plant") == before

    def test_nothing_is_made(self, tmp_path):
        with pytest.raises(PlantDirError, match="no plant"):
            open_warehouse(tmp_path / "none", read_only=True)
        assert list(tmp_path.iterdir()) == []

    def test_a_later_format_is_refused(self, tmp_path):
        open_warehouse(tmp_path / "plant").close()
        body = '{"format": 99}'
        (tmp_path / "plant" / "FORMAT").write_text(f"{digest_bytes(body.encode())[:16]} {body}\n")
        with pytest.raises(FormatError, match="99"):
            open_warehouse(tmp_path / "plant", read_only=True)


@pytest.mark.parametrize("name", ["objects", "journal", "claims", "leases", "tmp", "quarantine"])
def test_a_planted_link_is_not_followed(tmp_path, name):
    open_warehouse(tmp_path / "plant").close()
    path = tmp_path / "plant" / name
    if path.exists():
        path.rename(tmp_path / "was")
    (tmp_path / "elsewhere").mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PlantDirError, match=f"{name} is a link or a file, not a directory of the plant"):
        open_warehouse(tmp_path / "plant")
