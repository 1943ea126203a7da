import itertools
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from pyplant.store import keys as keys_module
from pyplant.store.keys import PLANT_KEY, forget_keys, keyring, signing_key
from pyplant.store.seals import Seals


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of its own for each test; gives the path of the key."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    forget_keys()
    yield tmp_path / "pyplant" / "signing-key"
    forget_keys()


def key_of_another_process():
    forget_keys()
    return signing_key()


def test_the_key_is_created_once(home):
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
def test_other_users_cannot_read_it_whatever_the_umask(home):
    before = os.umask(0)
    try:
        signing_key()
    finally:
        os.umask(before)
    assert home.stat().st_mode & 0o777 == 0o600
    assert home.parent.stat().st_mode & 0o777 == 0o700


def test_no_other_file_is_left_beside_it(home):
    signing_key()
    assert [path.name for path in home.parent.iterdir()] == ["signing-key"]


@pytest.mark.slow
def test_two_processes_at_once_get_the_same_key(tmp_path):
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


def test_the_second_process_uses_the_key_of_the_first(home, monkeypatch):
    opened = os.open

    def late(path, flags, *args, **kwargs):
        if flags & os.O_EXCL and not home.exists():
            home.write_bytes(b"f" * 32)
        return opened(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", late)
    assert signing_key() == b"f" * 32
    assert [path.name for path in home.parent.iterdir()] == ["signing-key"]


def test_a_key_that_is_being_written_is_waited_for(home):
    home.parent.mkdir()
    home.touch()
    writer = threading.Timer(0.1, home.write_bytes, [b"f" * 32])
    writer.start()
    assert signing_key() == b"f" * 32
    writer.join()


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
@pytest.mark.slow
def test_a_damaged_key_is_replaced(home, content):
    home.parent.mkdir()
    home.write_bytes(content)
    key = signing_key()
    assert home.read_bytes() == key
    assert key_of_another_process() == key


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """No place outside of plants; sets the home directories of the environment and of the user database."""
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)

    def become(home="/nonexistent", own="/nonexistent"):
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setattr(keys_module, "_home_of_user", lambda: [str(own)])
        forget_keys()

    become()
    return become


def plant(tmp_path, mode=0o700):
    root = tmp_path / "plant"
    root.mkdir(mode=0o700, exist_ok=True)
    root.chmod(mode)
    return root


def test_an_unreadable_key_is_left_alone(home, tmp_path, monkeypatch):
    home.parent.mkdir()
    home.write_bytes(b"k" * 32)
    monkeypatch.setattr(keys_module, "_home_of_user", list)
    monkeypatch.delenv("HOME")
    home.chmod(0o666)  # another user may have written it
    assert signing_key() != b"k" * 32
    assert home.read_bytes() == b"k" * 32


def test_a_link_in_place_of_the_key_is_not_followed(home, tmp_path, homeless, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "theirs").write_bytes(b"k" * 32)
    home.parent.mkdir()
    home.symlink_to(tmp_path / "theirs")
    assert signing_key() != b"k" * 32


@pytest.mark.parametrize("home", ["", "/", "/nonexistent", "/dev/null", "relative"])
def test_without_a_usable_home_that_of_the_user_database_is_used(tmp_path, homeless, home):
    homeless(home, tmp_path)
    key = signing_key()
    assert (tmp_path / ".local" / "share" / "pyplant" / "signing-key").read_bytes() == key


def test_the_key_is_the_same_whatever_the_home_of_a_process(tmp_path, homeless):
    own, first, second = (tmp_path / name for name in ("own", "first", "second"))
    for directory in (own, first, second):
        directory.mkdir()
    keys = []
    for home in (first, second, own, "/nonexistent"):
        homeless(home, own)
        keys.append(signing_key())
    assert len(set(keys)) == 1


def test_a_key_that_is_in_the_home_of_the_process_is_used(tmp_path, homeless):
    homeless(tmp_path, tmp_path)
    key = signing_key()
    own = tmp_path / "own"
    own.mkdir()
    homeless(tmp_path, own)
    assert signing_key() == key


@pytest.mark.parametrize("name", ["XDG_STATE_HOME", "XDG_CONFIG_HOME"])
def test_without_a_home_the_other_directories_of_the_user_are_used(tmp_path, homeless, monkeypatch, name):
    monkeypatch.setenv(name, str(tmp_path))
    forget_keys()
    assert signing_key() == (tmp_path / "pyplant" / "signing-key").read_bytes()


def test_without_any_place_the_key_is_in_a_plant_that_other_users_cannot_write_to(tmp_path, homeless):
    root = plant(tmp_path)
    made = keyring(root, may_create=True)
    assert "XDG_DATA_HOME" in made.trouble
    assert (root / PLANT_KEY).stat().st_mode & 0o777 == 0o600
    homeless()
    assert keyring(root, may_create=True) == (made.signing, (), "")


def test_in_another_home_the_key_of_the_plant_is_used_rather_than_a_new_one(tmp_path, homeless):
    root = plant(tmp_path)
    homeless(tmp_path)
    made = keyring(root, may_create=True).signing
    other = tmp_path / "other"
    other.mkdir()
    homeless(other)
    assert keyring(root, may_create=True).signing == made


def test_with_a_home_the_key_of_the_plant_is_still_valid(tmp_path, homeless):
    root = plant(tmp_path)
    made = keyring(root, may_create=True).signing
    homeless(tmp_path, tmp_path)
    found = keyring(root, may_create=True)
    assert found.signing == signing_key() != made
    assert found.others == (made,)


def test_a_key_in_a_copied_plant_is_not_valid(tmp_path, homeless):
    root = plant(tmp_path)
    made = keyring(root, may_create=True).signing
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    assert (copy / PLANT_KEY).read_bytes() == (root / PLANT_KEY).read_bytes()
    assert keyring(copy, may_create=False).signing != made


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o702])
def test_no_key_lies_in_a_plant_that_others_can_write_to(tmp_path, homeless, mode):
    root = plant(tmp_path, mode)
    found = keyring(root, may_create=True)
    assert "Other processes will compute pickled values again" in found.trouble
    assert not (root / PLANT_KEY).exists()


def test_a_link_leads_to_the_key_of_the_plant(tmp_path, homeless):
    root = plant(tmp_path)
    (tmp_path / "link").symlink_to(root)
    made = keyring(tmp_path / "link", may_create=True)
    assert "It is stored in the plant" in made.trouble
    homeless()
    assert keyring(tmp_path / "link", may_create=True) == (made.signing, (), "")
    assert keyring(root, may_create=True).signing == made.signing


@pytest.mark.parametrize("name", ["", "journal", "journal/a.log"])
@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_a_key_in_a_plant_whose_journal_others_can_write_is_not_used(tmp_path, homeless, name, mode):
    root = plant(tmp_path)
    (root / "journal").mkdir(mode=0o700)
    (root / "journal" / "a.log").touch(0o600)
    made = keyring(root, may_create=True).signing
    homeless()
    assert keyring(root, may_create=True).signing == made
    (root / name).chmod(mode)  # its creator knows its content, and can read the times of all its files
    homeless()
    assert keyring(root, may_create=True).signing != made


def test_merging_the_journal_meanwhile_loses_no_key(tmp_path, homeless, monkeypatch):
    root = plant(tmp_path)
    (root / "journal").mkdir(mode=0o700)
    made = keyring(root, may_create=True).signing
    homeless()
    (root / "journal" / "a.log").touch(0o600)
    listed = list((root / "journal").iterdir())
    listed[0].unlink()
    monkeypatch.setattr(type(root), "iterdir", lambda self: iter(listed))
    assert keyring(root, may_create=True).signing == made


@pytest.mark.parametrize("mode", [0o644, 0o660])
def test_a_key_in_a_plant_that_others_can_read_is_not_used(tmp_path, homeless, mode):
    root = plant(tmp_path)
    keyring(root, may_create=True)
    (root / PLANT_KEY).chmod(mode)
    derived = keys_module.blake3(
        (root / PLANT_KEY).read_bytes()
        + f"{(root / PLANT_KEY).stat().st_ino} {(root / PLANT_KEY).stat().st_ctime_ns}".encode()
    ).digest()
    assert keyring(root, may_create=True).signing != derived


@pytest.mark.parametrize("change", [0o644, 0o660, 0o640, "link"])
def test_a_key_in_a_plant_that_became_useless_is_replaced_for_good(tmp_path, homeless, change):
    root = plant(tmp_path)
    first = keyring(root, may_create=True).signing
    if change == "link":  # as some backups do
        os.link(root / PLANT_KEY, tmp_path / "backup")
    else:
        (root / PLANT_KEY).chmod(change)
    homeless()
    second = keyring(root, may_create=True)
    assert second.signing != first
    homeless()
    assert keyring(root, may_create=True) == (second.signing, (), "")


def test_what_is_no_file_in_place_of_the_key_is_left_alone(tmp_path, homeless):
    root = plant(tmp_path)
    (root / PLANT_KEY).mkdir()
    assert keyring(root, may_create=True).trouble
    assert (root / PLANT_KEY).is_dir()
    (root / PLANT_KEY).rmdir()
    (root / PLANT_KEY).symlink_to(tmp_path)
    homeless()
    assert keyring(root, may_create=True).trouble
    assert (root / PLANT_KEY).is_symlink()


def test_reading_a_plant_creates_no_key_in_it(tmp_path, homeless):
    root = plant(tmp_path)
    keyring(root, may_create=False)
    assert list(root.iterdir()) == []


@pytest.mark.slow
def test_processes_at_once_agree_on_the_key_in_a_plant(tmp_path, homeless):
    root = plant(tmp_path)
    program = (
        "import sys, pathlib; from pyplant.store import keys; keys._home_of_user = list; print('ready', flush=True); "
        "sys.stdin.readline(); print(keys.keyring(pathlib.Path(sys.argv[1]), may_create=True).signing.hex())"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert len({process.communicate(timeout=60)[0] for process in processes}) == 1


_CALLS = ("open", "fstat", "stat", "lstat", "read", "unlink", "write")


def interleave(monkeypatch, nth, step):
    """Take a step of another process after the ``nth`` call to the system; returns how many calls there were."""
    count = itertools.count(1)
    made = []

    def hooked(call):
        def counted(*args, **kwargs):
            try:
                return call(*args, **kwargs)
            finally:
                made.append(call)
                if next(count) == nth:
                    for name, original in originals.items():
                        monkeypatch.setattr(os, name, original)
                    time.sleep(0.01)  # clocks of file systems tick slowly
                    step()
                    for name, original in originals.items():
                        monkeypatch.setattr(os, name, hooked(original))

        return counted

    originals = {name: getattr(os, name) for name in _CALLS}
    for name, original in originals.items():
        monkeypatch.setattr(os, name, hooked(original))
    return made


def written(path, created):
    """Another process has created the key and writes it now."""
    created.write(b"o" * 32)
    created.close()
    return keys_module._plant_key(path.parent, create=False)


def written_late(path, created):
    """Another process was held up before it had the lock on the key that it has created."""
    return written(path, created) if keys_module._lock(created.fileno()) else None


def replaced(path, created):
    """Another process has waited for the same key that was cut short, and replaces it now."""
    with path.open("rb") as stream:
        if not keys_module._lock(stream.fileno()) or not os.path.samestat(
            path.stat(), os.fstat(created.fileno())
        ):
            return None
        path.unlink()
    return keys_module._plant_key(path.parent, create=True)


@pytest.mark.skipif(os.name != "posix", reason="no keys in plants")
@pytest.mark.parametrize("nth", range(1, 41))
def test_two_processes_that_replace_an_exposed_key_agree(tmp_path, homeless, monkeypatch, nth):
    path = plant(tmp_path) / PLANT_KEY
    keys = []
    path.write_bytes(b"o" * 32)
    path.chmod(0o644)
    with path.open("rb") as useless, monkeypatch.context() as patch:
        interleave(patch, nth, lambda: path.exists() and keys.append(replaced(path, useless)))
        keys.append(keyring(path.parent, may_create=True).signing)
    homeless()
    keys.append(keyring(path.parent, may_create=True).signing)
    assert len({key for key in keys if key is not None}) == 1


@pytest.mark.skipif(os.name != "posix", reason="no keys in plants")
@pytest.mark.parametrize("step", [written, written_late, replaced])
@pytest.mark.parametrize("nth", range(1, 41))
def test_two_processes_that_create_a_key_in_a_plant_agree(tmp_path, homeless, monkeypatch, nth, step):
    path = plant(tmp_path) / PLANT_KEY
    keys = []
    monkeypatch.setattr(keys_module, "_MAX_WAIT", 0.02)
    with path.open("wb", buffering=0) as created, monkeypatch.context() as patch:
        path.chmod(0o600)
        if step is written:
            assert keys_module._lock(created.fileno())
        made = interleave(patch, nth, lambda: path.exists() and keys.append(step(path, created)))
        keys.append(keyring(path.parent, may_create=True).signing)
    homeless()
    keys.append(keyring(path.parent, may_create=True).signing)
    assert len({key for key in keys if key is not None}) == 1
    assert step is written or len(made) < 40, "each call was followed by the step once"


def test_an_unusable_directory_that_the_user_set_is_named(tmp_path, homeless, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file" / "below"))
    forget_keys()
    assert str(tmp_path / "file" / "below") in keyring(plant(tmp_path, 0o770), may_create=True).trouble
    homeless(tmp_path, tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file" / "below"))
    forget_keys()
    assert keyring(plant(tmp_path), may_create=True).trouble == ""


class TestTrustedKeys:
    """Former keys, and keys of a team."""

    @pytest.fixture
    def trusted(self, home):
        folder = home.parent / "trusted-keys"
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def test_without_any_only_the_own_key_counts(self, tmp_path):
        assert keyring(tmp_path, may_create=True).others == ()

    def test_a_key_that_was_replaced_still_counts_and_signs_nothing(self, home, trusted, tmp_path):
        former = signing_key()
        home.rename(trusted / "2025")
        forget_keys()
        found = keyring(tmp_path, may_create=True)
        assert found.signing != former
        assert found.others == (former,)

    def test_what_it_sealed_is_trusted(self, home, trusted, tmp_path):
        sealed = Seals(keyring(tmp_path, may_create=True), "plant").seal(b"line")
        assert not is_trusted(tmp_path, sealed, other_home=True)
        (trusted / "mine").write_bytes(bytes(32))
        home.rename(trusted / "former")
        assert is_trusted(tmp_path, sealed)

    @pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
    @pytest.mark.parametrize("mode", [0o620, 0o602])
    def test_a_key_that_others_can_write_is_left_out(self, trusted, tmp_path, mode):
        (trusted / "exposed").write_bytes(bytes(32))
        (trusted / "exposed").chmod(mode)
        assert keyring(tmp_path, may_create=True).others == ()

    @pytest.mark.skipif(os.name != "posix", reason="needs permission bits")
    def test_a_folder_that_others_can_write_is_left_out(self, trusted, tmp_path):
        (trusted / "one").write_bytes(bytes(32))
        trusted.chmod(0o770)
        assert keyring(tmp_path, may_create=True).others == ()

    @pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
    def test_what_is_no_key_is_left_out(self, trusted, tmp_path, content):
        (trusted / "broken").write_bytes(content)
        assert keyring(tmp_path, may_create=True).others == ()


def is_trusted(root, seal, *, other_home=False):
    forget_keys()
    keys = keyring(root, may_create=True)
    return Seals(keys._replace(signing=bytes(32)) if other_home else keys, "plant").is_valid(b"line", seal)
