"""Ways to read something outside a plant, each with how a user changes it between two runs.

A reader returns 1 after ``change(1)`` and 2 after ``change(2)``.
"""

import csv
import filecmp
import glob
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess

import numpy as np


def text(value):
    pathlib.Path("data.txt").write_text(str(value))


def table(value):
    pathlib.Path("data.csv").write_text(f"a\n{value}\n")


def array(value):
    np.save("data.npy", np.array([value]))


def archive(value):
    np.savez("data.npz", a=np.array([value]))


def document(value):
    pathlib.Path("data.json").write_text(json.dumps({"a": value}))


def database(value):
    pathlib.Path("data.db").unlink(missing_ok=True)
    with sqlite3.connect("data.db") as connection:
        connection.execute("create table t(a)")
        connection.execute("insert into t values(?)", (value,))
    connection.close()


def folder(value):
    shutil.rmtree("in", ignore_errors=True)
    os.makedirs("in")
    for number in range(value):
        pathlib.Path(f"in/{number}.txt").write_text("")


def deep_folder(value):
    shutil.rmtree("deep", ignore_errors=True)
    os.makedirs("deep/a/b")
    for number in range(value):
        pathlib.Path(f"deep/a/b/{number}.txt").write_text("")


def flag(value):
    pathlib.Path("flag").unlink(missing_ok=True)
    if value == 2:
        pathlib.Path("flag").write_text("")


def optional(value):
    pathlib.Path("optional.txt").unlink(missing_ok=True)
    if value == 2:
        pathlib.Path("optional.txt").write_text("2")


def link(value):
    for number in (1, 2):
        pathlib.Path(f"target{number}").write_text(str(number))
    pathlib.Path("link").unlink(missing_ok=True)
    pathlib.Path("link").symlink_to(f"target{value}")


def replaced(value):
    pathlib.Path("new").write_text(str(value))
    pathlib.Path("new").replace("data.txt")


def pair(value):
    pathlib.Path("one.txt").write_text("1")
    pathlib.Path("other.txt").write_text("1" if value == 2 else "different")


def run_folder(value):
    """Another folder is the latest; the files in both stay."""
    for number in (1, 2):
        os.makedirs(f"runs/{number}", exist_ok=True)
        pathlib.Path(f"runs/{number}/data.txt").write_text(str(number))
    pathlib.Path("runs/latest").unlink(missing_ok=True)
    pathlib.Path("runs/latest").symlink_to(str(value))


def folder_with_brackets(value):
    shutil.rmtree("in [1]", ignore_errors=True)
    os.makedirs("in [1]")
    for number in range(value):
        pathlib.Path(f"in [1]/{number}.txt").write_text("")


def size(value):
    pathlib.Path("data.bin").write_bytes(b"x" * value)


def parquet(value):
    import pandas as pd

    pd.DataFrame({"a": [value]}).to_parquet("data.parquet")


def parquet_folder(value):
    shutil.rmtree("parts", ignore_errors=True)
    os.makedirs("parts")
    import pandas as pd

    pd.DataFrame({"a": [value]}).to_parquet("parts/0.parquet")


def hdf(value):
    import h5py

    with h5py.File("data.h5", "w") as file:
        file["a"] = [value]


def variable(value):
    os.environ["READS_X"] = str(value)


def variable_set(value):
    os.environ.pop("READS_X", None)
    if value == 2:
        os.environ["READS_X"] = "yes"


def folder_for_file(value):
    path = pathlib.Path("either")
    shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)
    if value == 1:
        path.write_text("")
    else:
        path.mkdir()


def by_open():
    with open("data.txt") as stream:
        return int(stream.read())


def by_descriptor():
    descriptor = os.open("data.txt", os.O_RDONLY)
    try:
        return int(os.read(descriptor, 9))
    finally:
        os.close(descriptor)


def by_helper_with_a_variable(path="data.txt"):
    return int(pathlib.Path(os.getcwd(), path).read_text())


def by_csv():
    with open("data.csv", newline="") as stream:
        return int(list(csv.DictReader(stream))[0]["a"])


def by_pandas():
    import pandas as pd

    return int(pd.read_csv("data.csv").a[0])


def by_polars():
    import polars as pl

    return int(pl.read_csv("data.csv")["a"][0])


def by_polars_scan():
    import polars as pl

    return int(pl.scan_csv("data.csv").collect()["a"][0])


def by_loadtxt():
    return int(np.loadtxt("data.csv", skiprows=1))


def by_memory_map():
    return int(np.load("data.npy", mmap_mode="r")[0])


def by_archive():
    with np.load("data.npz") as found:
        return int(found["a"][0])


def by_json():
    with open("data.json") as stream:
        return json.load(stream)["a"]


def by_sqlite():
    connection = sqlite3.connect("data.db")
    try:
        return connection.execute("select a from t").fetchone()[0]
    finally:
        connection.close()


def by_sqlite_address():
    connection = sqlite3.connect("file:data.db?mode=ro", uri=True)
    try:
        return connection.execute("select a from t").fetchone()[0]
    finally:
        connection.close()


def by_attached_database():
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("attach database 'data.db' as other")
        return connection.execute("select a from other.t").fetchone()[0]
    finally:
        connection.close()


def by_comparison():
    return 2 if filecmp.cmp("one.txt", "other.txt") else 1


def by_program():
    return int(subprocess.run(["cat", "data.txt"], capture_output=True, check=True).stdout)


def by_shell():
    return int(subprocess.check_output("cat < data.txt | tr a b", shell=True))


def by_program_in_folder():
    return len(subprocess.check_output(["ls", "in"]).splitlines())


def by_target_of_link():
    return int(os.readlink("runs/latest"))


def by_resolved_path():
    return int((pathlib.Path("runs/latest").resolve() / "data.txt").read_text())


def by_path_glob_in_brackets():
    return len(list(pathlib.Path("in [1]").glob("*.txt")))


def by_path_rglob_in_brackets():
    return len(list(pathlib.Path("in [1]").rglob("*.txt")))


def by_glob_below_brackets():
    return len(glob.glob("*.txt", root_dir="in [1]"))


def by_parquet():
    import pandas as pd

    return int(pd.read_parquet("data.parquet").a[0])


def by_arrow():
    import pyarrow.parquet as pq

    return pq.read_table("data.parquet")["a"][0].as_py()


def by_arrow_folder():
    import pyarrow.dataset as ds

    return ds.dataset("parts").to_table()["a"][0].as_py()


def by_hdf():
    import h5py

    with h5py.File("data.h5") as file:
        return int(file["a"][0])


def by_glob():
    return len(glob.glob("in/*.txt"))


def by_path_glob():
    return len(list(pathlib.Path("in").glob("*.txt")))


def by_recursive_glob():
    return len(glob.glob("deep/**/*.txt", recursive=True))


def by_path_rglob():
    return len(list(pathlib.Path("deep").rglob("*.txt")))


def by_walk():
    return sum(len(files) for _, _, files in os.walk("deep"))


def by_listdir():
    return len(os.listdir("in"))


def by_scandir():
    with os.scandir("in") as entries:
        return len(list(entries))


def by_iterdir():
    return len(list(pathlib.Path("in").iterdir()))


def by_existence():
    return 2 if os.path.exists("flag") else 1


def by_path_existence():
    return 2 if pathlib.Path("flag").is_file() else 1


def by_failing_open():
    try:
        with open("optional.txt") as stream:
            return int(stream.read())
    except FileNotFoundError:
        return 1


def by_link():
    return int(pathlib.Path("link").read_text())


def by_size():
    return os.path.getsize("data.bin")


def by_kind():
    return 2 if os.path.isdir("either") else 1


def by_environ():
    return int(os.environ["READS_X"])


def by_getenv():
    return int(os.getenv("READS_X", "0"))


def by_environ_bytes():
    return int(os.environb[b"READS_X"])


def by_computed_name(prefix="READS"):
    return int(os.environ.get(f"{prefix}_X"))


def by_expanded_text():
    return int(os.path.expandvars("$READS_X"))


def by_presence():
    return 2 if "READS_X" in os.environ else 1


READERS = [
    (text, by_open),
    (text, by_descriptor),
    (text, by_helper_with_a_variable),
    (replaced, by_open),
    (table, by_csv),
    (table, by_pandas),
    (table, by_polars),
    (table, by_polars_scan),
    (table, by_loadtxt),
    (array, by_memory_map),
    (archive, by_archive),
    (document, by_json),
    (database, by_sqlite),
    (database, by_sqlite_address),
    (database, by_attached_database),
    (pair, by_comparison),
    (text, by_program),
    (text, by_shell),
    (folder, by_program_in_folder),
    (run_folder, by_target_of_link),
    (run_folder, by_resolved_path),
    (folder_with_brackets, by_path_glob_in_brackets),
    (folder_with_brackets, by_path_rglob_in_brackets),
    (folder_with_brackets, by_glob_below_brackets),
    (parquet, by_parquet),
    (parquet, by_arrow),
    (parquet_folder, by_arrow_folder),
    (hdf, by_hdf),
    (folder, by_glob),
    (folder, by_path_glob),
    (deep_folder, by_recursive_glob),
    (deep_folder, by_path_rglob),
    (deep_folder, by_walk),
    (folder, by_listdir),
    (folder, by_scandir),
    (folder, by_iterdir),
    (flag, by_existence),
    (flag, by_path_existence),
    (optional, by_failing_open),
    (link, by_link),
    (size, by_size),
    (folder_for_file, by_kind),
    (variable, by_environ),
    (variable, by_getenv),
    (variable, by_environ_bytes),
    (variable, by_computed_name),
    (variable, by_expanded_text),
    (variable_set, by_presence),
]
