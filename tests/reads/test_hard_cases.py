"""Files and folders that behave badly while or after they are read."""

import os
import pathlib
import stat
import sys
import threading

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import UnsavedWarning
from pyplant.reads import hook
from pyplant.store import inputs

from .plants import dependencies, plant_with, read_text, write


def reads_while(change, read):
    """A plant whose reactor reads, and a process beside it changes something before it ends."""

    @ReactorFunc
    def reads(pipe):
        value = read()
        with pipe.untracked():
            change()
        pipe.send("value", value)

    plant = Plant("plant", progress=False)
    plant.add_reactor(reads)
    return plant


def test_a_file_that_vanishes_before_it_is_digested_leaves_no_trace():
    write("data")
    with reads_while(lambda: os.remove("data"), lambda: read_text("data")) as plant:
        with pytest.warns(UnsavedWarning, match="data changed while 'reads' read it"):
            assert plant.get("value") == "1"
        write("data", 2)
        assert plant.explain("reads").causes[0].summary == "has no result yet"


def test_a_file_that_vanishes_while_it_is_digested_leaves_no_trace(monkeypatch):
    write("data")
    hash_file = inputs.hash_file

    def vanish(path):
        if os.path.exists(path):
            os.remove(path)
        return hash_file(path)

    monkeypatch.setattr("pyplant.reads.recorder.MIN_AGE", 0)  # so that it is not digested at the event
    with plant_with(lambda: read_text("data")) as plant:
        monkeypatch.setattr(inputs, "hash_file", vanish)
        with pytest.warns(UnsavedWarning, match="data changed while 'reads' read it"):
            assert plant.get("value") == "1"


def test_a_file_that_grows_while_it_is_read_leaves_no_trace():
    write("log", "a\n")

    def grow():
        with open("log", "a") as stream:
            stream.write("b\n")

    with reads_while(grow, lambda: read_text("log")) as plant:
        with pytest.warns(UnsavedWarning, match="log changed while 'reads' read it"):
            assert plant.get("value") == "a\n"
        assert plant.get("value") == "a\nb\n"


def test_a_file_that_is_replaced_between_two_reads_leaves_no_trace():
    write("data")
    contents = iter(["22", "333"])

    def replace():
        write("new", next(contents))
        os.replace("new", "data")

    @ReactorFunc
    def reads(pipe):
        first = read_text("data")
        with pipe.untracked():
            replace()
        pipe.send("value", first + read_text("data"))

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(reads)
        with pytest.warns(UnsavedWarning, match="data changed while 'reads' read it"):
            assert plant.get("value") == "122"


def test_a_disk_without_inode_numbers_serves(monkeypatch):
    identity = inputs.stat_identity

    def without_inode(info):
        return (0, 0, *identity(info)[2:])

    for module in ("pyplant.store.inputs", "pyplant.reads.recorder"):
        monkeypatch.setattr(f"{module}.stat_identity", without_inode)
    write("data")
    with plant_with(lambda: read_text("data")) as plant:
        assert plant.get("value") == "1"
        assert not plant.run_reactor("reads").ran
        write("data", 2)
        assert plant.get("value") == "2"


def test_changing_inode_numbers_cost_hashing_and_no_result(monkeypatch):
    """Some network drives number a file anew at every look."""
    identity, numbers = inputs.stat_identity, iter(range(1_000_000))

    def renumbered(info):
        return (info.st_dev, next(numbers), *identity(info)[2:])

    monkeypatch.setattr("pyplant.store.inputs.stat_identity", renumbered)
    write("data")
    with plant_with(lambda: read_text("data")) as plant:
        assert plant.get("value") == "1"
        assert not plant.run_reactor("reads").ran


def deny(monkeypatch, function, path):
    """Let a function of ``os`` fail for a path as it does without permission."""
    original = getattr(os, function)

    def denied(given, *arguments, **options):
        if os.fspath(given) == path or str(given).endswith(f"/{path}"):
            raise PermissionError(13, "Permission denied", path)
        return original(given, *arguments, **options)

    monkeypatch.setattr(os, function, denied)


def test_a_folder_that_may_not_be_listed_counts_until_it_may():
    os.makedirs("in")

    def read():
        try:
            return sorted(os.listdir("in"))
        except PermissionError:
            return ["denied"]

    with plant_with(read) as plant, pytest.MonkeyPatch.context() as patch:
        deny(patch, "scandir", "in")
        deny(patch, "listdir", "in")
        assert plant.get("value") == ["denied"]
        assert not plant.run_reactor("reads").ran
        patch.undo()
        assert plant.get("value") == []


def test_a_file_that_loses_its_permission_reruns(monkeypatch):
    write("data")

    def read():
        try:
            return read_text("data")
        except PermissionError:
            return "denied"

    with plant_with(read) as plant:
        assert plant.get("value") == "1"
        monkeypatch.setattr(inputs, "_information", lambda path: (_ for _ in ()).throw(PermissionError()))
        assert "file data cannot be read now" in str(plant.explain("reads"))


@pytest.mark.skipif(not os.supports_bytes_environ, reason="variables are text there")
def test_a_variable_that_is_no_text_counts():
    def read():
        return os.environb.get(b"READS_BYTES"), os.environ.get("READS_BYTES")

    try:
        os.environb[b"READS_BYTES"] = b"\xff\x00"[:1]
        with plant_with(read) as plant:
            first = plant.get("value")
            assert first[0] == b"\xff"
            assert not plant.run_reactor("reads").ran
            os.environb[b"READS_BYTES"] = b"\xfe"
            assert plant.get("value")[0] == b"\xfe"
            assert "READS_BYTES" in str(plant.explain("reads"))
    finally:
        os.environb.pop(b"READS_BYTES", None)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_text_counts():
    name = b"data\xff"
    with open(name, "w") as stream:
        stream.write("1")

    def read():
        with open(name) as stream:
            return stream.read(), sorted(os.listdir(b"."))

    with plant_with(read) as plant:
        assert plant.get("value")[0] == "1"
        with open(name, "w") as stream:
            stream.write("2")
        assert plant.get("value")[0] == "2"
        str(plant.explain("reads"))
        plant.explain("reads")._repr_html_()


def test_a_reloaded_module_records_in_place_of_the_first(monkeypatch):
    write("data")
    with plant_with(lambda: read_text("data")) as plant:
        assert plant.get("value") == "1"
    before = vars(hook.sys)[hook._HOLDER]
    monkeypatch.setattr(hook.sys, "addaudithook", lambda _: pytest.fail("a second hook"))
    source = compile(pathlib.Path(hook.__file__).read_text(), hook.__file__, "exec")
    again = {"__name__": hook.__name__, "__file__": hook.__file__}
    exec(source, again)
    try:
        again["install"](hook._installed[0])
        assert vars(hook.sys)[hook._HOLDER] is again["_hook"]
        encode = os.environ.encodekey
        assert not hasattr(encode.__wrapped__, "__wrapped__")
        write("data", 2)
        with plant_with(lambda: read_text("data") + os.environ.get("READS_X", "")) as plant:
            assert plant.get("value") == "2"
            assert [dependency.names[0] for dependency in dependencies(plant)] == ["data", "READS_X"]
    finally:
        vars(hook.sys)[hook._HOLDER] = before
        hook.environment.watch(
            hook._variable_read, hook._variable_set, hook._environment_copied, hook.listening_recorder
        )


def test_control_without_its_holder_a_reloaded_module_installs_a_second_hook(monkeypatch):
    hook.install(lambda: None)
    installed = []
    monkeypatch.setattr(hook.sys, "addaudithook", installed.append)
    monkeypatch.setattr(hook.environment, "watch", lambda *_: None)
    monkeypatch.setattr(hook.asked_paths, "watch", lambda *_: None)
    source = compile(pathlib.Path(hook.__file__).read_text(), hook.__file__, "exec")
    again = {"__name__": hook.__name__, "__file__": hook.__file__}
    exec(source, again)
    again["_HOLDER"] = "_pyplant_holder_of_a_test"
    monkeypatch.setattr(hook.sys, again["_HOLDER"], None, raising=False)  # removed at the end
    del vars(hook.sys)[again["_HOLDER"]]
    again["install"](hook._installed[0])
    assert installed == [again["_audit"]]


def test_two_plants_with_one_reactor_each_record_their_own():
    write("one")
    write("two")

    @ReactorFunc
    def first(pipe):
        pipe.send("first", read_text("one"))

    @ReactorFunc
    def second(pipe):
        pipe.send("second", read_text("two"))

    with Plant("plant1", progress=False) as one, Plant("plant2", progress=False) as two:
        one.add_reactor(first)
        two.add_reactor(second)
        assert (one.get("first"), two.get("second")) == ("1", "1")
        write("two", 2)
        assert not one.run_reactor("first").ran
        assert two.get("second") == "2"


# Of the barrier, which has a lock, and changes whenever a thread comes to it.
@pytest.mark.filterwarnings("ignore::pyplant.errors.OpaqueWarning", "ignore::pyplant.errors.StateWarning")
def test_reactors_of_two_plants_at_the_same_time_record_their_own():
    write("one")
    write("two")
    meet = threading.Barrier(2, timeout=20)

    def plant_of(name):
        @ReactorFunc(name=name)
        def reads(pipe):
            meet.wait()
            text = read_text(name)
            meet.wait()
            pipe.send("value", text)

        plant = Plant(f"plant-{name}", progress=False)
        plant.add_reactor(reads)
        return plant

    with plant_of("one") as one, plant_of("two") as two:
        threads = [threading.Thread(target=plant.get, args=("value",)) for plant in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for plant, name in ((one, "one"), (two, "two")):
            assert [dependency.names[0] for dependency in dependencies(plant, name)] == [name]


# ---------------------------------------------------------------------- what a path leads to


def test_a_link_that_leads_elsewhere_reruns():
    write("a", 1)
    write("b", 2)
    os.symlink("a", "link")
    with plant_with(lambda: read_text("link")) as plant:
        assert plant.get("value") == "1"
        os.remove("link")
        os.symlink("b", "link")
        assert plant.get("value") == "2"


def test_an_explanation_says_where_a_link_leads():
    for name in ("a", "b"):
        write(f"runs/{name}/data", name)
    os.symlink("a", "runs/latest")
    with plant_with(lambda: os.path.basename(os.path.realpath("runs/latest"))) as plant:
        assert plant.get("value") == "a"
        assert "where links lead from runs/latest" in str(plant.explain("reads"))
        os.remove("runs/latest")
        os.symlink("b", "runs/latest")
        assert "runs/latest leads to runs/b, before to runs/a" in str(plant.explain("reads"))
        assert plant.get("value") == "b"


def test_a_link_that_the_reactor_sets_is_state():
    write("runs/a", "a")

    def read():
        if not os.path.islink("latest"):
            os.symlink("runs/a", "latest")
        return os.readlink("latest")

    with plant_with(read) as plant:
        assert plant.get("value") == "runs/a"
        assert not plant.run_reactor("reads").ran


def test_a_linked_folder_that_leads_elsewhere_reruns():
    write("a/x", 1)
    write("b/x", 2)
    write("b/y", 2)
    os.symlink("a", "link")
    with plant_with(lambda: (read_text("link/x"), sorted(os.listdir("link")))) as plant:
        assert plant.get("value") == ("1", ["x"])
        os.remove("link")
        os.symlink("b", "link")
        assert plant.get("value") == ("2", ["x", "y"])


def test_a_link_to_nothing_and_to_itself_count():
    os.symlink("nothing", "dangling")
    os.symlink("loop", "loop")

    def read():
        found = []
        for name in ("dangling", "loop"):
            try:
                found.append(read_text(name))
            except OSError as error:
                found.append(type(error).__name__)
        return found

    with plant_with(read) as plant:
        assert plant.get("value") == ["FileNotFoundError", "OSError"]
        assert not plant.run_reactor("reads").ran
        write("nothing", 3)
        assert plant.get("value") == ["3", "OSError"]


def test_a_folder_in_place_of_a_file_reruns():
    write("data")

    def read():
        try:
            return read_text("data")
        except IsADirectoryError:
            return "folder"

    with plant_with(read) as plant:
        assert plant.get("value") == "1"
        os.remove("data")
        os.mkdir("data")
        assert "is a directory now" in str(plant.explain("reads"))
        assert plant.get("value") == "folder"


def test_a_file_in_place_of_a_folder_reruns():
    os.makedirs("in")

    def read():
        try:
            return os.listdir("in")
        except NotADirectoryError:
            return "file"

    with plant_with(read) as plant:
        assert plant.get("value") == []
        os.rmdir("in")
        write("in")
        assert plant.get("value") == "file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_in_place_of_a_file_reruns_and_blocks_nothing():
    write("data")

    def read():
        return "pipe" if stat.S_ISFIFO(os.stat("data").st_mode) else read_text("data")

    with plant_with(read) as plant:
        assert plant.get("value") == "1"
        os.remove("data")
        os.mkfifo("data")
        assert "would run" in str(plant.explain("reads"))
        assert plant.get("value") == "pipe"


def test_a_name_in_another_case_is_another_file_where_the_disk_says_so():
    write("Data")
    write("data", 2)
    if read_text("Data") == "2":
        pytest.skip("this disk does not tell cases apart")
    with plant_with(lambda: read_text("Data")) as plant:
        assert plant.get("value") == "1"
        write("data", 3)
        assert not plant.run_reactor("reads").ran


def test_many_files_that_are_listed_are_one_dependency():
    os.makedirs("in")
    for number in range(300):
        write(f"in/{number}")
    with plant_with(lambda: len(os.listdir("in"))) as plant:
        assert plant.get("value") == 300
        assert len(dependencies(plant)) == 1
        os.remove("in/7")
        assert plant.get("value") == 299
