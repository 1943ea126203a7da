import errno
import json
import os
import pickle
import stat
import warnings
from contextlib import closing, suppress
from dataclasses import replace
from typing import ClassVar

import pytest
from blake3 import blake3

from pyplant.errors import (
    DamagedError,
    DamageWarning,
    EvictedError,
    NotAllocatedError,
    PlantWarning,
    UnknownTypeError,
    UnsavableError,
    UntrustedError,
)
from pyplant.fingerprint.digest import digest_bytes
from pyplant.fingerprint.source import CodePart
from pyplant.ingredient import Ingredient
from pyplant.specs import ObjectSpec
from pyplant.specs.base import IngredientSpec
from pyplant.store import files as files_module
from pyplant.store import warehouse as warehouse_module
from pyplant.store.files import Files
from pyplant.store.keys import forget_keys
from pyplant.store.objects import ObjectStore
from pyplant.store.retention import merge_journal

from . import (
    LONG,
    FailingFiles,
    Killed,
    KilledFiles,
    PathSpec,
    PowerCutFiles,
    RecordingFiles,
    TextSpec,
    a_trace,
    flip,
    open_warehouse,
    overwrite,
)


@pytest.fixture(autouse=True)
def key(tmp_path, monkeypatch):
    """A signing key of its own for each test."""
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
    warehouse = open_warehouse(root)
    yield warehouse
    warehouse.close()


def reopened(root, **options):
    """The outputs that another process sees, by name, in a warehouse of its own."""
    warehouse = open_warehouse(root, **options)
    return warehouse, {output.name: output for trace in warehouse.ledger.traces() for output in trace.outputs}


def restart(monkeypatch):
    monkeypatch.setattr(files_module, "boot_id", lambda: "another")


class TestRoundTrips:
    @pytest.mark.parametrize("value", ["", "short", "ü" * 2000, LONG], ids=len)
    @pytest.mark.parametrize("kind", [TextSpec, PathSpec])
    def test_a_value_loads_in_this_and_in_another_process(self, warehouse, root, kind, value):
        saved = warehouse.save("x", value, kind)
        assert warehouse.load(saved) == value
        warehouse.commit(a_trace(saved))
        other, outputs = reopened(root)
        assert outputs["x"] == saved
        assert other.load(outputs["x"]) == value

    @pytest.mark.parametrize(
        "value",
        [None, True, 0, 1, -1.5, float("inf"), "text", "text" * 5000, 10**40],
        ids=lambda value: str(value)[:10],
    )
    def test_a_simple_value_comes_back_with_its_type(self, warehouse, root, value):
        warehouse.commit(a_trace(warehouse.save("x", value, Ingredient.Type.simple)))
        other, outputs = reopened(root)
        loaded = other.load(outputs["x"])
        assert loaded == value
        assert type(loaded) is type(value)

    @pytest.mark.parametrize("length", [0, 3, 100_000])
    def test_an_array_comes_back_writable_and_private(self, warehouse, root, length):
        numpy = pytest.importorskip("numpy")
        value = numpy.arange(length, dtype="<i4")
        warehouse.commit(a_trace(warehouse.save("x", value)))
        other, outputs = reopened(root)
        loaded = other.load(outputs["x"])
        numpy.testing.assert_array_equal(loaded, value)
        assert loaded.dtype == value.dtype
        loaded[:] = -1
        numpy.testing.assert_array_equal(other.load(outputs["x"]), value)
        numpy.testing.assert_array_equal(reopened(root)[0].load(outputs["x"]), value)

    @pytest.mark.parametrize("length", [1, 5000])
    def test_an_object_loads_as_a_new_object(self, warehouse, root, length):
        value = {"a": list(range(length)), ("b",): {1, 2}}
        warehouse.commit(a_trace(warehouse.save("x", value, Ingredient.Type.object)))
        other, outputs = reopened(root)
        first, second = other.load(outputs["x"]), other.load(outputs["x"])
        assert first == second == value
        assert first is not second

    def test_few_bytes_are_stored_in_the_journal(self, warehouse):
        saved = warehouse.save("x", "short", TextSpec)
        assert saved.inline == b"short"
        assert saved.object == ""
        assert warehouse.objects.sizes() == {}

    def test_many_bytes_are_stored_in_a_file(self, warehouse):
        saved = warehouse.save("x", LONG, TextSpec)
        assert saved.inline is None
        assert saved.object.endswith(".txt")
        assert warehouse.objects.sizes() == {saved.object: len(LONG)}

    def test_an_allocated_value_comes_back(self, warehouse, root):
        allocation = warehouse.allocate("x", PathSpec, {})
        allocation.handle.write_text("filled")
        warehouse.commit(a_trace(warehouse.finish(allocation)))
        other, outputs = reopened(root)
        assert other.load(outputs["x"]) == "filled"

    def test_a_discarded_value_leaves_nothing(self, warehouse):
        allocation = warehouse.allocate("x", PathSpec, {})
        warehouse.discard(allocation)
        assert not allocation.path.exists()
        assert warehouse.objects.sizes() == {}

    def test_the_working_directory_may_change(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        warehouse = open_warehouse("plant")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        saved = warehouse.save("x", LONG, TextSpec)
        warehouse.commit(a_trace(saved))
        assert not list((tmp_path / "elsewhere").iterdir())
        assert reopened(tmp_path / "plant")[0].load(saved) == LONG

    def test_two_processes_see_each_others_results(self, warehouse, root):
        other = open_warehouse(root)
        saved = warehouse.save("x", LONG, TextSpec)
        warehouse.commit(a_trace(saved))
        other.ledger.refresh()
        assert other.load(next(other.ledger.traces()).outputs[0]) == LONG


class TestSpecs:
    def test_an_unknown_type_is_named(self, warehouse):
        with pytest.raises(UnknownTypeError, match="nonsense"):
            warehouse.save("x", 1, "nonsense")

    def test_objects_that_are_no_specs_are_refused(self, warehouse):
        with pytest.raises(UnknownTypeError, match=r"TextSpec\(\)"):
            warehouse.register_ingredient_specs([TextSpec])

    def test_a_type_that_must_be_allocated_cannot_be_sent(self, warehouse):
        class Allocated(PathSpec):
            name = "allocated"
            must_allocate = True

        with pytest.raises(NotAllocatedError, match=r"pipe\.allocate"):
            warehouse.save("x", "text", Allocated)

    def test_a_type_that_is_not_allocatable_cannot_be_allocated(self, warehouse):
        with pytest.raises(NotAllocatedError, match="send it"):
            warehouse.allocate("x", TextSpec, {})

    def test_the_next_spec_is_tried_when_one_refuses(self, warehouse):
        class Picky(TextSpec):
            name = "picky"

            def dump(self, value, stream):
                stream.write(b"x" * 5000)
                message = "not this one"
                raise UnsavableError(message)

        warehouse.register_ingredient_specs([Picky()])
        assert warehouse.save("x", "text").format == "text"
        assert not list(warehouse.root.rglob("tmp/*/*"))

    def test_two_formats_of_the_same_bytes_are_two_values(self, warehouse):
        class Other(TextSpec):
            name = "other"

        for value in ("text", LONG):
            one, two = warehouse.save("x", value, TextSpec), warehouse.save("x", value, Other)
            assert one.object == two.object
            assert one.digest != two.digest

    def test_two_shapes_of_the_same_bytes_are_two_values(self, warehouse):
        class Shaped(TextSpec):
            name = "shaped"

            def dump(self, value, stream):
                stream.write(value.replace(" ", "").encode())
                return {"shape": value.count(" ")}

        assert warehouse.save("x", "a b", Shaped).digest != warehouse.save("x", "ab", Shaped).digest

    def test_equal_values_have_equal_digests(self, warehouse):
        for kind in (TextSpec, PathSpec):
            assert warehouse.save("x", LONG, kind).digest == warehouse.save("y", LONG, kind).digest

    def test_metadata_is_the_same_before_and_after_the_journal(self, warehouse, root):
        class Tuples(TextSpec):
            name = "tuples"

            def dump(self, value, stream):
                stream.write(value.encode())
                return {"shape": (1, 2), "keys": {1: None}}

        saved = warehouse.save("x", "text", Tuples)
        warehouse.commit(a_trace(saved))
        assert reopened(root)[1]["x"].metadata == saved.metadata == {"shape": [1, 2], "keys": {"1": None}}

    def test_metadata_that_json_cannot_hold_are_refused(self, warehouse):
        class Wrong(TextSpec):
            name = "wrong"

            def dump(self, value, stream):
                return {"value": object()}

        with pytest.raises(UnsavableError, match="Ingredient 'x' of type str cannot be stored: .*'wrong'"):
            warehouse.save("x", "text", Wrong)


class TestDamage:
    @pytest.mark.parametrize("kind", [TextSpec, PathSpec])
    def test_a_damaged_value_is_an_error_that_names_it(self, warehouse, kind):
        saved = warehouse.save("x", LONG, kind)
        flip(warehouse.objects.path(saved.object), 100)
        with pytest.raises(DamagedError, match="damaged"):
            warehouse.load(saved)
        assert not warehouse.is_present(saved)

    def test_saving_a_lost_value_again_restores_it(self, warehouse):
        saved = warehouse.save("x", LONG, TextSpec)
        flip(warehouse.objects.path(saved.object))
        with pytest.raises(DamagedError):
            warehouse.load(saved)
        assert warehouse.load(warehouse.save("x", LONG, TextSpec)) == LONG

    def test_every_512th_length_is_a_miss(self, warehouse):
        saved = warehouse.save("x", LONG, TextSpec)
        for length in range(0, len(LONG), 512):
            warehouse.save("x", LONG, TextSpec)
            overwrite(warehouse.objects.path(saved.object), LONG.encode()[:length])
            with pytest.raises(DamagedError):
                warehouse.load(saved)

    def test_a_value_that_no_longer_loads_is_damaged(self, warehouse):
        class Broken(TextSpec):
            def parse(self, buffer, metadata):
                message = "bad header"
                raise ValueError(message)

        saved = warehouse.save("x", "text", TextSpec)
        warehouse.register_ingredient_specs([Broken()])
        with pytest.raises(DamagedError, match=r"'x'.*bad header"):
            warehouse.load(saved)

    def test_a_memory_error_is_not_damage(self, warehouse):
        class Big(TextSpec):
            def parse(self, buffer, metadata):
                raise MemoryError

        saved = warehouse.save("x", "text", TextSpec)
        warehouse.register_ingredient_specs([Big()])
        with pytest.raises(MemoryError):
            warehouse.load(saved)

    def test_opening_warns_of_damaged_journal_lines(self, warehouse, root):
        warehouse.commit(a_trace(warehouse.save("x", "text", TextSpec)))
        warehouse.close()
        log = next((root / "journal").iterdir())
        flip(log, len(log.read_bytes()) // 2)
        with pytest.warns(DamageWarning, match="Damaged lines"):
            _, outputs = reopened(root)
        assert outputs == {}


class TestTrust:
    @pytest.fixture
    def stranger(self, monkeypatch, tmp_path):
        """Become another user."""

        def become():
            monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "stranger"))
            monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "stranger"))
            forget_keys()

        return become

    @pytest.mark.parametrize("length", [1, 5000])
    def test_a_pickle_of_another_user_is_a_miss_with_one_warning(self, warehouse, root, stranger, length):
        warehouse.commit(a_trace(warehouse.save("x", {"a": [1] * length}, "object")))
        stranger()
        other, outputs = reopened(root)
        with pytest.warns(DamageWarning, match="trust=True"), pytest.raises(DamagedError, match="trust=True"):
            other.load(outputs["x"])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(DamagedError, match="trust=True"):
                other.load(outputs["x"])

    def test_with_trust_it_loads(self, warehouse, root, stranger):
        warehouse.commit(a_trace(warehouse.save("x", {"a": 1}, "object")))
        stranger()
        other, outputs = reopened(root, trust=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert other.load(outputs["x"]) == {"a": 1}

    def test_other_formats_need_no_trust(self, warehouse, root, stranger):
        warehouse.commit(a_trace(warehouse.save("x", LONG, TextSpec)))
        stranger()
        other, outputs = reopened(root)
        assert other.load(outputs["x"]) == LONG

    @pytest.mark.parametrize("key", ["signature", "signed", "trust"])
    @pytest.mark.parametrize("value", [None, True, "0" * 32])
    def test_a_planted_pickle_never_runs(self, warehouse, root, tmp_path, key, value):
        planted = planted_canary(warehouse, tmp_path, {} if value is None else {key: value})
        warehouse.commit(a_trace(planted))
        other, outputs = reopened(root)
        with pytest.warns(DamageWarning), pytest.raises(DamagedError):
            other.load(outputs["x"])
        assert not (tmp_path / "canary").exists()

    @pytest.mark.parametrize("is_stored", [True, False])
    def test_a_planted_identity_does_not_hide_other_bytes(self, warehouse, root, tmp_path, is_stored):
        warehouse.commit(a_trace(warehouse.save("x", {"a": [1] * 5000}, "object")))
        warehouse.close()
        if not is_stored:  # the line of the owner, which would replace the planted one
            (log,) = (root / "journal").glob("*.log")
            lines = log.read_bytes().split(b"\n")
            log.write_bytes(b"\n".join(line for line in lines if b" i " not in line))
        bytes_of_another_pickle(root, tmp_path)
        other, outputs = reopened(root)
        with pytest.raises(DamagedError, match="damaged on disk"):
            other.load(outputs["x"])
        assert not (tmp_path / "canary").exists()

    @pytest.mark.parametrize("what", ["name", "format", "code", "plant", "metadata", "bytes"])
    def test_a_seal_is_not_valid_in_another_place(self, warehouse, root, tmp_path, what):
        warehouse.commit(a_trace(warehouse.save("x", {"a": 1}, "object")))
        if what == "plant":
            other = open_warehouse(tmp_path / "other")
            other.commit(a_trace(other.save("y", LONG, TextSpec)))
            other.close()
        warehouse.close()
        (log,) = (root / "journal").glob("*.log")
        changes = {
            "name": (b'"x","object"', b'"y","object"'),
            "format": (b'"object"', b'"odd"'),
            "code": (b'"f":"', b'"f":"0'),
            "metadata": (b",{},", b',{"a":1},'),
            "bytes": (b',{},"', b',{},"ff'),
            "plant": (b"", b""),
        }
        lines = []
        for line in filter(None, log.read_bytes().split(b"\n")):
            head, _, rest = line.partition(b" ")
            seal = head.partition(b"~")[2]
            before, after = changes[what]
            changed = rest.replace(before, after) if rest.startswith(b"t ") else rest
            check = blake3(changed).hexdigest(length=8).encode()
            lines.append(b"\n" + check + b"~" + seal + b" " + changed + b"\n")
        place = tmp_path / "other" if what == "plant" else root
        (place / "journal" / log.name).write_bytes(b"".join(lines))
        found = [output for output in all_outputs(place) if output.format != "text"]
        assert found
        assert not any(output.signed for output in found)

    def test_control_an_untouched_line_is_signed(self, warehouse, root):
        warehouse.commit(a_trace(warehouse.save("x", {"a": 1}, "object")))
        warehouse.close()
        assert all(output.signed for output in all_outputs(root))

    def test_seals_survive_merging(self, warehouse, root):
        warehouse.commit(a_trace(warehouse.save("x", {"a": 1}, "object")))
        warehouse.close()
        again = open_warehouse(root)
        assert merge_journal(again, at_least=1)
        again.close()
        assert [output.signed for output in all_outputs(root)] == [True]

    @pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
    @pytest.mark.parametrize("which", ["objects/..", "objects", "objects/*", "objects/*/*"])
    def test_where_others_can_write_pickles_are_read_once_and_hashed_as_read(
        self, warehouse, root, which, monkeypatch
    ):
        saved = warehouse.save("x", {"a": [1] * 5000}, "object")
        root.chmod(0o750)
        for path in root.glob(which):
            path.chmod(path.stat().st_mode | 0o020)
        monkeypatch.setattr(type(warehouse.objects), "map", None)  # another user may write behind a map
        monkeypatch.setattr(type(warehouse.objects), "verified", None)
        assert warehouse.load(saved) == {"a": [1] * 5000}
        path = warehouse.objects.path(saved.object)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(DamagedError, match="damaged on disk"):
            warehouse.load(saved)

    @pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
    def test_where_others_can_write_a_library_reads_a_private_copy(self, warehouse, root):
        class Runs(PathSpec):
            name = "runs"
            runs_code = True
            read: ClassVar[list] = []

            def load(self, path, metadata):
                self.read.append((path, path.parent.stat().st_mode & 0o777))
                return path.read_text()

        saved = warehouse.save("x", LONG, Runs)
        root.chmod(0o770)
        assert warehouse.load(saved) == LONG
        ((path, mode),) = Runs.read
        assert root not in path.parents
        assert mode == 0o700
        assert path.suffix == ".dat"
        assert not path.exists()

    @pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
    @pytest.mark.parametrize("part", ["", "objects", "tmp", ".."])
    def test_where_others_can_write_a_library_writes_where_they_cannot(self, tmp_path, root, part):
        written = []

        class Runs(PathSpec):
            name = "runs"
            runs_code = True

            def save(self, value, path):
                written.append(path)
                return super().save(value, path)

        warehouse = open_warehouse(root)
        root.chmod(0o755)
        (root / part).chmod(0o775)
        saved = warehouse.save("x", LONG, Runs)
        assert (root in written[0].parents) == (part == "objects")
        assert not written[0].exists()
        assert written[0].parent.stat().st_mode & 0o777 == 0o700
        assert warehouse.load(saved) == LONG
        warehouse.close()
        assert not written[0].parent.exists()

    @pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
    @pytest.mark.parametrize("part", ["", "objects", "..", "objects/*", "objects/*/*"])
    def test_where_others_can_write_an_identity_is_no_proof(self, warehouse, root, part):
        saved = warehouse.save("x", {"a": {1, 2}, "long": LONG}, "object")
        path = warehouse.objects.path(saved.object)
        assert warehouse.objects.is_private(saved.object)
        path.chmod(0o600)
        path.write_bytes(bytes(saved.size))
        root.chmod(0o755)
        for exposed in root.glob(part) if "*" in part else [root / part]:
            exposed.chmod(0o775)
        assert not warehouse.objects.is_private(saved.object)
        warehouse.ledger.latest.put_identity(saved.object, warehouse.files.identity(path))
        with pytest.raises(DamagedError, match="damaged on disk"):
            warehouse.load(saved)

    @pytest.mark.parametrize("part", ["objects/*/*", "objects/*"])
    def test_a_pickle_that_is_gone_is_lost(self, warehouse, root, part):
        saved = warehouse.save("x", {"a": {1, 2}, "long": LONG}, "object")
        (path,) = root.glob(part)
        path.rename(root.parent / "elsewhere")
        with pytest.raises(EvictedError):
            warehouse.load(saved)

    def test_in_a_private_plant_a_file_that_others_own_is_not_private(self, warehouse, root):
        saved = warehouse.save("x", LONG, TextSpec)
        assert warehouse.objects.is_private(saved.object)
        warehouse.objects.path(saved.object).chmod(0o666)
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        assert not warehouse.objects.is_private(saved.object)

    def test_followed_packages_of_another_user_are_not_followed(self, warehouse, root, stranger):
        warehouse.ledger.add_followed(["numpy"])
        warehouse.close()
        assert open_warehouse(root).ledger.followed == {"numpy"}
        stranger()
        assert open_warehouse(root).ledger.followed == set()

    def test_what_another_user_stored_is_validated(self, warehouse, root, stranger, monkeypatch):
        validated = []
        monkeypatch.setattr(
            TextSpec,
            "validate",
            lambda self, buffer, metadata: validated.append(bytes(buffer)),
            raising=False,
        )
        warehouse.commit(a_trace(warehouse.save("x", "short", TextSpec)))
        other, outputs = reopened(root)
        other.register_ingredient_specs([TextSpec()])
        assert other.load(outputs["x"]) == "short"
        assert validated == []
        stranger()
        other, outputs = reopened(root)
        other.register_ingredient_specs([TextSpec()])
        assert other.load(outputs["x"]) == "short"
        assert validated == [b"short"]

    def test_a_spec_runs_code_unless_it_declares_otherwise(self, warehouse, root, stranger):
        class OfAUser(IngredientSpec):
            name = "of a user"
            matches = PathSpec.matches
            save = PathSpec.save
            load = PathSpec.load

        warehouse.commit(a_trace(warehouse.save("x", LONG, OfAUser)))
        stranger()
        other, outputs = reopened(root)
        other.register_ingredient_specs([OfAUser()])
        assert not other.can_load(outputs["x"])
        with pytest.warns(DamageWarning, match="another user"), pytest.raises(UntrustedError):
            other.load(outputs["x"])

    def test_parts_of_code_of_another_user_are_not_used(self, warehouse, root, stranger):
        part = CodePart("digest", (), frozenset(), frozenset(), "", verified=False)
        warehouse.ledger.latest.put_part("digest", part)
        assert warehouse.ledger.latest.get_part("digest") == part
        warehouse.close()
        stranger()
        other = open_warehouse(root)
        assert other.ledger.latest.get_part("digest") is None
        other.ledger.latest.put_part("digest", part)
        assert other.ledger.latest.get_part("digest") == part

    def test_lines_of_another_user_do_not_replace_own_ones(self, warehouse, root, stranger):
        warehouse.ledger.latest.put_identity("name", (1, 2, 3, 4, 5, "boot"))
        warehouse.close()
        stranger()
        other = open_warehouse(root)
        other.ledger.latest.put_identity("name", (6, 2, 3, 4, 5, "boot"))
        other.flush()
        warehouse.ledger.refresh()
        assert warehouse.ledger.latest.identity("name") == (1, 2, 3, 4, 5, "boot")
        assert other.ledger.latest.identity("name") == (6, 2, 3, 4, 5, "boot")
        other.close()

    def test_without_a_place_for_a_key_the_first_pickle_warns(self, root, monkeypatch):
        from pyplant.store import keys

        for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "LOCALAPPDATA", "HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(keys, "_home_of_user", list)
        forget_keys()
        warehouse = open_warehouse(root)
        warehouse.save("n", LONG, TextSpec)
        with pytest.warns(PlantWarning, match="Set XDG_DATA_HOME"):
            warehouse.commit(a_trace(warehouse.save("x", {"a": 1}, "object")))
        warehouse.save("y", {"a": 2}, "object")
        warehouse.close()
        forget_keys()
        other, outputs = reopened(root)
        assert other.load(outputs["x"]) == {"a": 1}
        other.save("z", {"a": 1}, "object")
        other.close()

    def test_control_without_checks_the_planted_pickle_runs(self, warehouse, tmp_path, monkeypatch):
        monkeypatch.setattr(ObjectSpec, "runs_code", False)
        with suppress(DamagedError):
            warehouse.load(planted_canary(warehouse, tmp_path, {}))
        assert (tmp_path / "canary").exists()

    def test_a_planted_name_reads_and_moves_nothing_outside(self, warehouse, tmp_path):
        victim = tmp_path / "victim"
        victim.write_text(LONG)
        planted = Ingredient("x", "text", "digest", "../../../victim", len(LONG))
        assert not warehouse.is_present(planted)
        with pytest.raises(DamagedError, match="not the name"):
            warehouse.load(planted)
        assert victim.exists()


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def planted_canary(warehouse, directory, signature):
    """A canary as an attacker would store it, with this in its metadata."""
    saved = warehouse.save("x", Canary(str(directory / "canary")), "object")
    (directory / "canary").rmdir()  # saving a value of a user class also tests whether it loads
    return replace(saved, metadata=signature, signed=False)


def bytes_of_another_pickle(root, directory):
    """Put a canary in place of the one object, and a line into the journal that calls the file untouched."""
    (path,) = root.glob("objects/*/*.pickle")
    head, body = pickle.dumps({}), pickle.dumps(Canary(str(directory / "canary")))
    path.write_bytes((len(head).to_bytes(8, "little") + head + body).ljust(path.stat().st_size, b"\0"))
    identity = json.dumps(Files().identity(path), separators=(",", ":"))
    rest = f"i 4000@0123456789ab {path.name} {identity}".encode()
    line = b"\n%s %s\n" % (blake3(rest).hexdigest(length=8).encode(), rest)
    (root / "journal" / "0123456789ab.log").write_bytes(line)


def all_outputs(root):
    """The outputs of all executions that a plant has."""
    with closing(open_warehouse(root)) as warehouse:
        return [output for trace in warehouse.ledger.traces() for output in trace.outputs]


class TestCommitting:
    def test_nothing_is_visible_before(self, warehouse, root):
        warehouse.save("x", LONG, TextSpec)
        assert reopened(root)[1] == {}

    def test_all_outputs_are_visible_after(self, warehouse, root):
        outputs = [warehouse.save(name, name * 2000, TextSpec) for name in "abc"]
        warehouse.commit(a_trace(*outputs))
        other, seen = reopened(root)
        assert {name: other.load(output) for name, output in seen.items()} == {
            name: name * 2000 for name in "abc"
        }

    def test_objects_of_long_work_are_synced_before_their_line(self, root):
        files = RecordingFiles(root)
        warehouse = open_warehouse(root, files=files)
        files.calls.clear()
        warehouse.commit(a_trace(warehouse.save("x", LONG, TextSpec), seconds=5))
        calls = files.calls
        order = [
            ("create", "tmp"),
            ("write", "tmp"),
            ("rename", "objects"),
            ("sync_file", "objects"),
            ("sync_directory", "objects"),
            ("write", "journal"),
            ("sync", "journal"),
            ("sync_directory", "journal"),
        ]
        places = [calls.index(step) for step in order]
        assert places == sorted(places)
        assert len(calls) - 1 == places[-1]

    def test_short_work_is_not_synced(self, root):
        files = RecordingFiles(root)
        warehouse = open_warehouse(root, files=files)
        files.calls.clear()
        warehouse.commit(a_trace(warehouse.save("x", LONG, TextSpec), seconds=0.01))
        assert not any("sync" in call for call, _ in files.calls)

    def test_short_work_is_synced_when_it_took_a_second_together(self, root):
        files = RecordingFiles(root)
        warehouse = open_warehouse(root, files=files)
        files.calls.clear()
        for number in range(25):
            warehouse.commit(a_trace(warehouse.save("x", f"{number}" * 5000, TextSpec), seconds=0.125))
        assert files.calls.count(("sync", "journal")) == 3
        assert files.calls.count(("sync_file", "objects")) == 24


class TestFullDisk:
    @pytest.mark.parametrize("kind", [TextSpec, PathSpec])
    @pytest.mark.parametrize("seconds", [0, 5])
    def test_at_whichever_call_no_execution_is_partly_visible(self, tmp_path, kind, seconds):
        for nth in range(1, 100):
            root = tmp_path / str(nth)
            files = FailingFiles(1000)
            warehouse = open_warehouse(root, files=files)
            files.left = nth
            failed = False
            try:
                saved = [warehouse.save(name, name + LONG, kind) for name in "ab"]
                warehouse.commit(a_trace(*saved, seconds=seconds))
            except OSError as error:
                failed = True
                assert "No space" in str(error)  # noqa: PT017 - the last round raises nothing
            assert failed == (files.failures > 0)
            here = list(warehouse.ledger.traces())
            assert bool(here) != failed
            other, outputs = reopened(root)
            assert sorted(outputs) in ([], ["a", "b"])
            assert failed or outputs
            assert all(other.load(output) == name + LONG for name, output in outputs.items())
            assert failed is False or not list(root.glob("tmp/*/*"))
            if not failed:
                break
        else:
            pytest.fail("it never got through")

    def test_what_a_library_wrote_before_it_failed_does_not_fill_the_disk(self, warehouse):
        class Full(PathSpec):
            def save(self, value, path):
                super().save(value, path)
                raise OSError(errno.ENOSPC, "full")

        with pytest.raises(OSError, match="full"):
            warehouse.save("x", LONG, Full())
        assert not list(warehouse.root.glob("tmp/*/*"))

    def test_it_goes_on_when_the_disk_has_space_again(self, root):
        for nth in range(1, 20):
            files = FailingFiles(1000)
            warehouse = open_warehouse(root, files=files)
            files.left = nth
            with suppress(OSError):
                warehouse.commit(a_trace(warehouse.save("x", LONG, TextSpec), seconds=5))
            files.left = 1000
            warehouse.commit(a_trace(warehouse.save("y", LONG, TextSpec), seconds=5))
            assert warehouse.load(reopened(root)[1]["y"]) == LONG

    def test_control_a_line_written_before_its_object_is_partly_visible(self, root):
        files = FailingFiles(1000)
        warehouse = open_warehouse(root, files=files)
        digest = digest_bytes(LONG.encode())
        early = Ingredient("x", "text", "digest", f"{digest}.txt", len(LONG))
        warehouse.commit(a_trace(early))
        files.left = 1
        with pytest.raises(OSError, match="No space"):
            warehouse.save("x", LONG, TextSpec)
        other, outputs = reopened(root)
        with pytest.raises(DamagedError):
            other.load(outputs["x"])


class TestCrashes:
    """Two results are made; the process dies, or the power fails, at each change of the disk."""

    @staticmethod
    def work(root, files):
        """Names of the results that were reported done."""
        done = []
        try:
            warehouse = open_warehouse(root, files=files)
            for name in ("first", "second"):
                saved = [warehouse.save(name, name + LONG, TextSpec), warehouse.save("same", LONG, PathSpec)]
                warehouse.commit(a_trace(*saved, reactor=name, fingerprint=name, seconds=5))
                done.append(name)
            warehouse.close()
        except Killed:
            return done, False
        return done, True

    @staticmethod
    def check(root, done):
        """Everything done is there, and everything there is right."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warehouse, outputs = reopened(root)
        assert set(done) <= set(outputs)
        for name, output in outputs.items():
            assert warehouse.load(output) == (LONG if name == "same" else name + LONG)

    @pytest.mark.slow
    def test_a_killed_process_loses_no_committed_work(self, tmp_path):
        for nth in range(1, 200):
            root = tmp_path / str(nth)
            done, finished = self.work(root, KilledFiles(nth))
            self.check(root, done)
            if finished:
                break
        else:
            pytest.fail("it never got through")

    def power_cuts(self, tmp_path, monkeypatch):
        restart(monkeypatch)
        for nth in range(1, 200):
            root = tmp_path / str(nth)

            class Files(PowerCutFiles):
                left = nth

                def before(self, call, path):
                    self.left -= 1
                    if self.left <= 0:
                        raise Killed

            files = Files(root)
            done, finished = self.work(root, files)
            files.cut()
            monkeypatch.setattr(files_module, "boot_id", lambda boot=nth: str(boot))
            self.check(root, done)
            if finished:
                return
        pytest.fail("it never got through")

    @pytest.mark.slow
    def test_a_power_cut_loses_no_synced_work(self, tmp_path, monkeypatch):
        self.power_cuts(tmp_path, monkeypatch)

    @pytest.mark.parametrize("unsafe", ["objects", "names", "journal", "replacing"])
    def test_control_without_a_sync_a_power_cut_loses_work(self, tmp_path, monkeypatch, unsafe):
        if unsafe == "objects":
            monkeypatch.setattr(ObjectStore, "sync", lambda self: None)
        elif unsafe == "names":
            monkeypatch.setattr(PowerCutFiles, "sync_directory", lambda self, path: None)
        elif unsafe == "journal":
            monkeypatch.setattr(warehouse_module, "_MAX_UNSYNCED_SECONDS", 1e9)
        else:
            monkeypatch.setattr(Files, "sync_file", lambda self, path: None)
            monkeypatch.setattr(PowerCutFiles, "sync_file", lambda self, path: None)
        with pytest.raises((AssertionError, DamagedError, PlantWarning)):
            self.power_cuts(tmp_path, monkeypatch)

    def test_storing_a_value_again_never_endangers_the_first(self, root, monkeypatch):
        files = PowerCutFiles(root)
        warehouse = open_warehouse(root, files=files)
        warehouse.commit(a_trace(warehouse.save("x", LONG, TextSpec), seconds=5))
        warehouse.commit(a_trace(warehouse.save("x", LONG, TextSpec), reactor="cheap", seconds=0))
        files.cut()
        restart(monkeypatch)
        self.check_only(root)

    @staticmethod
    def check_only(root):
        other, outputs = reopened(root)
        assert other.load(outputs["x"]) == LONG

    def test_control_replacing_without_a_sync_endangers_the_first(self, root, monkeypatch):
        files = PowerCutFiles(root)
        warehouse = open_warehouse(root, files=files)
        warehouse.commit(a_trace(warehouse.save("x", LONG, TextSpec), seconds=5))
        monkeypatch.setattr(files, "sync_file", lambda path: None)
        warehouse.commit(a_trace(warehouse.save("x", LONG, TextSpec), reactor="cheap", seconds=0))
        files.cut()
        restart(monkeypatch)
        with pytest.raises(DamagedError):
            self.check_only(root)

    def test_a_power_cut_loses_unsynced_work_at_most(self, root, monkeypatch):
        files = PowerCutFiles(root)
        warehouse = open_warehouse(root, files=files)
        for number in range(30):
            saved = warehouse.save(f"x{number}", f"{number}" * 5000, TextSpec)
            warehouse.commit(a_trace(saved, reactor=str(number), seconds=0.1))
        files.cut()
        restart(monkeypatch)
        other, outputs = reopened(root)
        assert len(outputs) >= 20
        for name, output in outputs.items():
            try:
                assert other.load(output) == name[1:] * 5000
            except DamagedError:
                assert int(name[1:]) >= 20


class TestClosing:
    def test_small_values_need_no_scratch(self, root):
        with closing(open_warehouse(root)) as warehouse:
            warehouse.save("small", [1, 2])
            assert warehouse.objects.scratch is None
            warehouse.save("large", list(range(5000)))
            assert warehouse.objects.scratch.is_dir()

    def test_scratch_is_gone(self, root):
        warehouse = open_warehouse(root)
        warehouse.objects.scratch_path().write_bytes(b"x")
        warehouse.close()
        assert not list((root / "tmp").iterdir())

    def test_twice_is_harmless(self, root):
        warehouse = open_warehouse(root)
        warehouse.close()
        warehouse.close()

    def test_a_full_disk_is_logged_and_raises_nothing(self, root, caplog):
        files = FailingFiles(1000)
        warehouse = open_warehouse(root, files=files)
        warehouse.ledger.put_nondeterministic("x")
        files.left = 1
        warehouse.close()
        assert "could not be written" in caplog.text

    def test_pending_lines_are_written(self, root):
        warehouse = open_warehouse(root)
        warehouse.ledger.put_nondeterministic("x")
        warehouse.close()
        assert open_warehouse(root).ledger.is_nondeterministic("x")
