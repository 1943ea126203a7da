import os
import time
import warnings

import pytest

from pyplant.ingredient import Ingredient
from pyplant.store import files as files_module
from pyplant.store.files import Files
from pyplant.store.fsck import Problem, audit
from pyplant.store.keys import forget_keys
from pyplant.store.retention import collect

from . import LONG, FailingFiles, PathSpec, TextSpec, a_trace, flip, open_warehouse, overwrite

NOON = time.mktime((2026, 11, 2, 12, 0, 0, 0, 0, -1))


@pytest.fixture(autouse=True)
def key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "home"))
    forget_keys()
    yield
    forget_keys()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "plant"


@pytest.fixture
def warehouse(root):
    """A plant of three results: two with objects, one without."""
    warehouse = open_warehouse(root)
    for name, value, kind in (
        ("features", LONG, TextSpec),
        ("labels", "l" * 5000, PathSpec),
        ("few", "x", TextSpec),
    ):
        saved = warehouse.save(name, value, kind)
        warehouse.commit(a_trace(saved, reactor=f"garden.make_{name}", fingerprint=name, finished=NOON))
    yield warehouse
    warehouse.close()


def path_of(warehouse, name="features"):
    trace = warehouse.ledger.senders_of(name)[0]
    return warehouse.objects.path(trace.output(name).object)


def problems(found):
    return [finding.problem for finding in found]


def replace_by_pipe(path):
    path.unlink()
    os.mkfifo(path)


def replace_by_directory(path):
    path.unlink()
    path.mkdir()


def replace_by_link(path):
    path.rename(path.parent.parent.parent / "aside")
    path.symlink_to(path.parent.parent.parent / "aside")


DAMAGES = {
    "flipped bit": (lambda path: flip(path, 77), Problem.DAMAGED),
    "shorter": (lambda path: overwrite(path, LONG.encode()[:-1]), Problem.DAMAGED),
    "longer": (lambda path: overwrite(path, LONG.encode() + b"x"), Problem.DAMAGED),
    "empty": (lambda path: overwrite(path, b""), Problem.DAMAGED),
    "zeros": (lambda path: overwrite(path, bytes(len(LONG))), Problem.DAMAGED),
    "gone": (lambda path: path.unlink(), Problem.MISSING),
    "directory": (replace_by_directory, Problem.MISSING),
    "link": (replace_by_link, Problem.MISSING),
}
if hasattr(os, "mkfifo"):
    DAMAGES["pipe"] = (replace_by_pipe, Problem.MISSING)


class TestValues:
    def test_a_sound_plant_is_clean(self, warehouse):
        audited = audit(warehouse)
        assert list(audited) == []
        assert audited.is_clean
        assert (audited.objects, audited.size) == (2, len(LONG) + 5000)
        assert str(audited) == "2 stored values checked; no problems found."

    @pytest.mark.parametrize("kind", DAMAGES)
    def test_each_damage_is_reported_by_the_name_of_the_ingredient(self, warehouse, kind):
        damage, problem = DAMAGES[kind]
        damage(path_of(warehouse))
        audited = audit(warehouse)
        finding = next(finding for finding in audited if finding.ingredient)
        assert (finding.problem, finding.ingredient, finding.reactor) == (
            problem,
            "features",
            "garden.make_features",
        )
        assert str(finding).startswith(
            "'features' of reactor 'make_features', computed 2026-11-02 12:00:00: "
        )
        assert not audited.is_clean
        assert "repair=True" in str(audited)
        assert len(list(warehouse.ledger.traces())) == 3

    @pytest.mark.parametrize("kind", DAMAGES)
    def test_a_repair_evicts_executions_with_lost_values_only(self, warehouse, root, kind):
        DAMAGES[kind][0](path_of(warehouse))
        audit(warehouse, repair=True)
        for view in (warehouse, open_warehouse(root)):
            assert {trace.reactor for trace in view.ledger.traces()} == {
                "garden.make_labels",
                "garden.make_few",
            }
        saved = warehouse.save("features", LONG, TextSpec)
        warehouse.commit(a_trace(saved, reactor="garden.make_features"))
        assert warehouse.load(saved) == LONG
        assert not [finding for finding in audit(warehouse) if finding.ingredient]

    def test_damaged_objects_go_to_quarantine(self, warehouse, root):
        flip(path_of(warehouse), 77)
        damaged = path_of(warehouse).read_bytes()
        audit(warehouse, repair=True)
        assert [path.read_bytes() for path in (root / "quarantine").iterdir()] == [damaged]

    def test_damage_with_an_unchanged_identity_is_found(self, warehouse, monkeypatch):
        identities = {
            path: Files().identity(path) for path in (path_of(warehouse), path_of(warehouse, "labels"))
        }
        flip(path_of(warehouse), 77)
        monkeypatch.setattr(Files, "identity", lambda self, path: identities.get(path))
        assert warehouse.objects.verified(path_of(warehouse).name, len(LONG))  # reading is fooled
        assert Problem.DAMAGED in problems(audit(warehouse))

    def test_it_goes_on_after_an_unreadable_object(self, warehouse, monkeypatch):
        features, chunks = path_of(warehouse), Files.chunks

        def failing(self, path):
            if path == features:
                raise OSError(5, "Input/output error")
            return chunks(self, path)

        monkeypatch.setattr(Files, "chunks", failing)
        flip(path_of(warehouse, "labels"))
        assert {(finding.ingredient, finding.problem) for finding in audit(warehouse)} == {
            ("features", Problem.UNREADABLE),
            ("labels", Problem.DAMAGED),
        }

    def test_a_shared_value_is_reported_once_for_each_name(self, warehouse):
        for number in range(5):
            saved = warehouse.save("features", LONG, TextSpec)
            warehouse.commit(
                a_trace(saved, reactor="garden.make_features", fingerprint=f"{number}", finished=NOON)
            )
        warehouse.commit(a_trace(warehouse.save("copy", LONG, TextSpec), reactor="garden.copy"))
        flip(path_of(warehouse))
        audited = audit(warehouse, repair=True)
        assert sorted(finding.ingredient for finding in audited) == ["copy", "features"]
        assert len(list(warehouse.ledger.traces())) == 2

    def test_checked_values_need_no_second_hash(self, warehouse, monkeypatch):
        monkeypatch.setattr(files_module, "boot_id", lambda: "another")
        audit(warehouse)

        def refuse(self, path):
            raise AssertionError(path)

        monkeypatch.setattr(Files, "chunks", refuse)
        assert warehouse.load(warehouse.ledger.senders_of("features")[0].outputs[0]) == LONG

    def test_memory_is_bounded(self, warehouse, monkeypatch):
        monkeypatch.setattr(files_module, "_READ_BUFFER", 100)
        monkeypatch.setattr(Files, "read", read_bounded)
        assert audit(warehouse).is_clean

    def test_a_pickle_of_another_user_is_reported(self, warehouse, monkeypatch, tmp_path):
        warehouse.commit(
            a_trace(warehouse.save("model", {"a": 1}, "object"), reactor="garden.train", finished=NOON)
        )
        assert audit(warehouse).is_clean
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "stranger"))
        monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "stranger"))
        forget_keys()
        warehouse.close()
        warehouse = open_warehouse(warehouse.root)
        audited = audit(warehouse, repair=True)
        assert problems(audited) == [Problem.UNTRUSTED]
        assert "trust=True" in str(audited)
        assert len(list(warehouse.ledger.traces())) == 4  # it is no damage
        assert audit(open_warehouse(warehouse.root, trust=True)).is_clean

    def test_a_planted_name_touches_nothing_outside(self, warehouse, tmp_path):
        (tmp_path / "victim").write_text(LONG)
        planted = Ingredient("x", "text", "digest", "../../../victim", len(LONG))
        warehouse.commit(a_trace(planted, finished=1e300))
        assert problems(audit(warehouse, repair=True)) == [Problem.MISSING]
        assert (tmp_path / "victim").read_text() == LONG

    def test_names_cannot_forge_lines(self, warehouse):
        saved = warehouse.save("x\n2 stored values checked", LONG * 2, TextSpec)
        warehouse.commit(a_trace(saved, reactor="garden.a\x1b[2J"))
        warehouse.objects.path(saved.object).unlink()
        lines = str(audit(warehouse)).splitlines()
        assert len(lines) == 3
        assert not any("\x1b" in line for line in lines)


def read_bounded(self, path, offset=0, limit=-1):
    assert limit > 0
    with path.open("rb") as stream:
        stream.seek(offset)
        return stream.read(limit)


class TestTheRest:
    def test_damaged_lines_of_the_journal_are_reported_until_a_repair(self, warehouse, root):
        warehouse.close()
        log = next((root / "journal").iterdir())
        flip(log, len(log.read_bytes()) - 10)
        with pytest.warns(UserWarning, match="damaged"):
            other = open_warehouse(root)
        assert problems(audit(other)) == [Problem.JOURNAL]
        audit(other, repair=True)
        other.close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert audit(open_warehouse(root)).is_clean

    def test_leftover_values_are_reported_and_harmless(self, warehouse):
        saved = warehouse.save("x", "y" * 9999, TextSpec)
        audited = audit(warehouse, repair=True)
        assert problems(audited) == [Problem.ORPHANS]
        assert audited.is_clean
        assert "1 stored value of 10.0 kB" in str(audited)
        assert warehouse.is_present(saved)

    def test_foreign_files_are_reported_and_not_changed(self, warehouse, root):
        (root / "objects" / "ab").mkdir(exist_ok=True)
        strange = ["notes.txt", "journal/notes.txt", "objects/notes.txt", "objects/ab/notes.txt"]
        for name in strange:
            (root / name).write_text("mine")
        (root / "objects" / "evil").symlink_to(root)
        audited = audit(warehouse, repair=True)
        assert [str(finding).split("'")[1] for finding in audited] == sorted([*strange, "objects/evil"])
        assert set(problems(audited)) == {Problem.FOREIGN}
        assert all((root / name).read_text() == "mine" for name in strange)

    def test_scratch_of_dead_processes_is_reported_and_repaired(self, warehouse, root):
        (root / "tmp" / "unknown").mkdir()
        (root / "tmp" / "unknown" / "file").touch()
        (root / "tmp" / "loose").touch()
        later = time.time() + 2 * 86400
        audited = audit(warehouse, now=later)
        assert problems(audited) == [Problem.SCRATCH]
        assert audited.is_clean
        assert (root / "tmp" / "unknown").exists()
        audit(warehouse, repair=True, now=later)
        assert not list((root / "tmp").glob("[ul]*"))

    def test_scratch_in_use_is_neither_reported_nor_changed(self, warehouse):
        path = warehouse.objects.scratch_path()
        path.touch()
        assert audit(warehouse, repair=True).is_clean
        assert path.exists()

    def test_after_a_collection_nothing_is_found(self, warehouse):
        for number in range(5):
            warehouse.commit(
                a_trace(warehouse.save("y", f"{number}" * 9999, TextSpec), fingerprint=f"{number}")
            )
        assert collect(warehouse, 0).objects
        assert str(audit(warehouse)).endswith("no problems found.")

    def test_a_repair_that_cannot_be_written_is_an_error(self, root):
        files = FailingFiles(1000)
        warehouse = open_warehouse(root, files=files)
        warehouse.commit(a_trace(warehouse.save("x", LONG, TextSpec)))
        path_of(warehouse, "x").unlink()
        files.left = 1
        with pytest.raises(OSError, match="No space"):
            audit(warehouse, repair=True)
        files.left = 1000
        assert problems(audit(warehouse)) == [Problem.MISSING]
