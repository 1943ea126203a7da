"""The distribution that an installed file belongs to."""

import os
import sys

import pytest

from pyplant.fingerprint.distribution import distribution_named, distribution_of, installation_folders


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    return folder


def write(site, path, text=""):
    file = site / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return str(file)


def record(site, name, *files):
    for file in files:
        write(site, file)
    lines = [f'"{file}",h,1' if "," in file else f"{file},h,1" for file in files]
    return write(site, f"{name}-1.0.dist-info/RECORD", "\n".join([*lines, f"{name}-1.0.dist-info/RECORD,,"]))


def names(site, found):
    real = os.path.realpath(site)
    return sorted(os.path.relpath(file, real) for file in found.files if file.startswith(real))


def test_installation_folders_are_found_innermost_first():
    assert installation_folders("/a/site-packages/b/dist-packages/c.py") == [
        "/a/site-packages/b/dist-packages",
        "/a/site-packages",
    ]
    assert installation_folders("/a/site-packages.py") == []
    assert installation_folders("/a/my-site-packages/b.py") == []


@pytest.fixture
def target(tmp_path, monkeypatch):
    """A folder that an installer has filled, beside files of the user."""
    folder = tmp_path / "target"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def test_a_folder_of_the_search_path_with_lists_of_files_is_one(target):
    mine, shared = write(target, "mine.py"), write(target, "space/mine.py")
    assert installation_folders(mine) == []
    record(target, "lib", "lib/__init__.py", "space/theirs.py")
    assert installation_folders(str(target / "lib" / "__init__.py")) == [str(target)]
    assert installation_folders(str(target / "space" / "theirs.py")) == [str(target)]
    assert installation_folders(mine) == installation_folders(shared) == []
    assert distribution_of(str(target / "lib" / "__init__.py")).name == "lib"
    assert distribution_named("lib").name == "lib"
    assert distribution_of(mine) is None


def test_a_folder_that_is_not_on_the_search_path_is_none(target, monkeypatch):
    record(target, "lib", "lib/__init__.py")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(target)])
    assert installation_folders(str(target / "lib" / "__init__.py")) == []


def test_a_project_that_is_installed_as_editable_is_none(target):
    write(target, "lib.egg-info/SOURCES.txt", "lib/__init__.py\n")
    write(target, "lib.egg-info/top_level.txt", "lib\n")
    assert installation_folders(write(target, "lib/__init__.py")) == []


def test_a_list_of_files_decides_what_belongs_to_a_distribution(site):
    record(site, "scikit_like", "one/a.py", "one/data.txt", "two.py", "space/x,y.py", "one/b.so")
    record(site, "other", "space/z.py")
    found = distribution_of(str(site / "two.py"))
    assert found.name == "scikit_like"
    assert names(site, found) == ["one/a.py", "space/x,y.py", "two.py"]
    assert distribution_of(str(site / "space/x,y.py")).name == "scikit_like"
    assert distribution_of(str(site / "space/z.py")).name == "other"
    assert found.contains(str(site / "one/a.py"))
    assert not found.contains(str(site / "space/z.py"))
    assert not found.contains(str(site / "one/b.so"))


def test_a_file_with_the_same_suffix_is_another_file(site):
    record(site, "long", "very/mine.py")
    write(site, "mine.py")
    assert distribution_of(str(site / "mine.py")).name == "mine"


def test_the_list_of_older_tools_is_read(site):
    file = write(site, "old/a.py")
    write(site, "Old_Name-1.0-py3.12.egg-info/installed-files.txt", "../old/a.py\nPKG-INFO\n")
    found = distribution_of(file)
    assert found.name == "old_name"
    assert names(site, found) == ["old/a.py"]


def test_without_a_list_the_packages_that_the_metadata_name_belong_to_it(site):
    file = write(site, "one/a.py")
    write(site, "two.py")
    write(site, "pair-1.0.egg-info/top_level.txt", "one\ntwo\n")
    found = distribution_of(file)
    assert found.name == "pair"
    assert found.contains(str(site / "one/new.py"))
    assert found.contains(str(site / "two.py"))
    assert not found.contains(str(site / "three.py"))


@pytest.mark.parametrize(
    ("path", "name"), [("one/a.py", "one"), ("one.py", "one"), ("One-1.0-py3.egg/p/a.py", "one")]
)
def test_without_metadata_the_top_level_belongs_together(site, path, name):
    file = write(site, path)
    found = distribution_of(file)
    assert found.name == name
    assert found.contains(file)


def test_a_file_that_is_not_installed_belongs_to_none(tmp_path):
    assert distribution_of(str(tmp_path / "a.py")) is None


def test_a_link_to_the_folder_is_the_same_folder(site, tmp_path):
    record(site, "mine", "mine.py")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "site-packages").symlink_to(site)
    found = distribution_of(str(tmp_path / "other" / "site-packages" / "mine.py"))
    assert found.contains(str(site / "mine.py"))
    assert found.contains(str(tmp_path / "other" / "site-packages" / "mine.py"))


def test_a_reinstalled_distribution_is_noticed(site):
    written = record(site, "mine", "mine.py")
    found = distribution_of(str(site / "mine.py"))
    assert found.is_current()
    os.utime(written, (1, 1))
    assert not found.is_current()


@pytest.mark.parametrize("name", ["Two.Names", "two-names", "two_names", "package_of_it"])
def test_a_distribution_is_found_by_its_name_and_by_that_of_a_package(site, monkeypatch, name):
    monkeypatch.syspath_prepend(str(site))
    record(site, "Two_Names", "package_of_it/__init__.py")
    assert distribution_named(name).name == "two_names"


def test_a_distribution_that_is_not_installed_is_not_found():
    assert distribution_named("nothing_like_it") is None
