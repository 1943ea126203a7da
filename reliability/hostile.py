"""Attacks: names that look like paths, plants of other users, planted links and pickles."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import stat
import subprocess
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3

from pyplant import Plant, ReactorFunc
from pyplant.errors import PlantDirError
from pyplant.fingerprint.digest import digest_bytes
from pyplant.store.warehouse import Warehouse
from reliability import pipeline
from reliability.bench import Lab, figure
from reliability.trial import forked, run_pipeline

NOBODY = 65534


def corpus() -> list[str]:
    """Return names that are hard to handle."""
    basic = [
        *(
            "..",
            "../x",
            "../../etc/passwd",
            "/",
            "/etc/passwd",
            "a/b",
            "a\\b",
            "C:\\x",
            "\\\\host\\x",
            "~",
            "~root",
        ),
        *(
            "\0",
            "a\0b",
            "\n",
            "a\nb",
            "\r\n",
            "\t",
            "\x1b[31mred",
            "\x07",
            "\x7f",
            "\ufeff",
            " ",
            "  x  ",
            ".",
        ),
        *("CON", "PRN", "NUL", "COM1", "aux.txt", "x.", "x ", ".hidden", "-rf", "--help", "$HOME", "`id`"),
        *("$(id)", "%s%s%n", "%PATH%", "{0}", "{}", "<script>alert(1)</script>", "\"'><img src=x>", "&amp;"),
        *(
            "é",
            unicodedata.normalize("NFD", "é"),
            "Å",
            "\u212b",
            "ﬁ",
            "fi",
            "Data",
            "data",
            "DATA",
            "ß",
            "SS",
        ),
        *("\u202eabc", "\u2066x\u2069", "\u200b", "a\u200bb", "日本語", "😀", "👩‍👩‍👧", "\ud800", "\udfff"),
        *(
            "x" * 255,
            "x" * 256,
            "x" * 10_000,
            "é" * 5000,
            "FORMAT",
            "objects",
            "journal/x.log",
            "tmp",
            "claims",
        ),
        *(
            "None",
            "True",
            "0",
            "-1",
            "1e309",
            "nan",
            "[]",
            "{}",
            "null",
            "__class__",
            "self",
            "*",
            "?",
            "[a]",
        ),
        *("a:b", "a;b", "a|b", "a>b", "a,b", "a=b", "a#b", "a@b", "@", "1@2", "t 1 x {}", "\\u0000", "\\n"),
    ]
    made = [
        f"n{number:03d}{char}" for number, char in enumerate("/\\:*?\"<>|\0\n\r\t\x1b \u202e.é'`$%&;@#" * 5)
    ]
    return list(dict.fromkeys([*basic, *made]))


def outside(folder: Path, root: Path) -> set[str]:
    """Return everything in a folder that is not part of a plant."""
    return {str(path) for path in folder.rglob("*") if root not in (path, *path.parents)}


@figure(
    "R22",
    "names of ingredients, parameters and reactors that are paths, control characters, or alike",
    bar="no path leaves the plant, no two names are one",
    control="names become paths",
    short=1,
    full=1,
)
def names(lab: Lab) -> Iterator[str]:
    """Every name is sent, received, and asked for in another session."""
    all_names = corpus()
    lab.notes.append(f"{len(all_names)} names")
    root = lab.folder / "plant"
    for start in range(0, len(all_names), 40):
        chunk = all_names[start : start + 40]
        before = outside(lab.folder, root)
        ended = [forked(lambda c=chunk: named_values(root, c)) for _ in range(2)]
        failure = next((one.error or one.value for one in ended if one.error or one.value), "")
        new = outside(lab.folder, root) - before
        strange = [path for path in root.rglob("*") if not is_of_the_plant(path.relative_to(root))]
        if new or strange:
            failure = failure or f"files {sorted(new)[:3]} {strange[:3]}"
        yield failure
        yield from ("" for _ in range(len(chunk) - 1))


def is_of_the_plant(path: Path) -> bool:
    """Return whether a plant creates files of this name."""
    if path.parts[0] in ("FORMAT", "CACHEDIR.TAG"):
        return len(path.parts) == 1
    name = path.name.removesuffix(".log").removesuffix(".npy")
    return path.parts[0] in ("objects", "journal", "tmp", "claims", "leases", "quarantine") and (
        len(path.parts) == 1 or all(char in "0123456789abcdef" for char in name)
    )


def named_values(root: Path, names_: list[str]) -> str:
    """Send a value under each name, and read a parameter of that name."""

    def sender(name: str) -> Any:
        @ReactorFunc(name=f"sends {name}")
        def sends(pipe):
            value = pipe.read_config(name)
            pipe.send(name, value)
            pipe.send(f"{name} big", np.full(2000, value))

        return sends

    with Plant(root, progress=False) as plant:
        plant.add_reactor([sender(name) for name in names_])
        plant.set_config({name: number for number, name in enumerate(names_)})
        for number, name in enumerate(names_):
            value, big = plant.get(name, f"{name} big")
            if value != number or big[0] != number:
                return f"{name!r} gave {value}"
        plant.status()._repr_html_()
        str(plant.status())
        str(plant.fsck())
    return ""


# ---------------------------------------------------------------------- permissions


def no_other_user() -> str:
    """Return why this process cannot become another user."""
    return "" if os.geteuid() == 0 else "needs root, to become another user"


def as_nobody(work: Callable[[], str]) -> str:
    """Call a function as another user."""

    def switched() -> str:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        return work()

    ended = forked(switched)
    return ended.error or ended.value


def refuses(root: Path) -> str:
    """Return whether the plant of another user is refused."""
    try:
        with Plant(root, progress=False):
            return "the plant of another user was opened"
    except PlantDirError:
        return ""


def modes(root: Path) -> str:
    """Return what in a plant other users can access."""
    for path in [root, *root.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if path.is_dir() and mode & 0o077:
            return f"{path.name} has mode {mode:o}"
        if not path.is_dir() and mode & 0o177:
            return f"{path.name} has mode {mode:o}"
    return ""


def open_umask(root: Path) -> None:
    """Run with umask 000."""
    os.umask(0)
    run_pipeline(root)


def reads_only(root: Path) -> str:
    """Read a plant that cannot be written."""
    warehouse = Warehouse(root, read_only=True)
    values = {
        output.name: pipeline.plain(warehouse.load(output))
        for trace in warehouse.ledger.traces()
        for output in trace.outputs
        if output.name != "bag"
    }
    warehouse.close()
    right = pipeline.expected()
    return next((f"wrong {name}" for name, value in values.items() if value != right[name]), "")


@figure(
    "R23",
    "umask 000; the plant of another user; links planted at every place; a plant on a read-only mount",
    bar="0600 and 0700; refused; not followed; readable",
    control="modes are left to the umask",
    short=1,
    full=1,
    missing=no_other_user,
)
def permissions(lab: Lab) -> Iterator[str]:
    """One trial for each permission."""
    lab.folder.chmod(0o755)
    root = lab.folder / "plant"
    ended = forked(lambda: open_umask(root))
    yield ended.error or modes(root)
    root.chmod(0o755)
    yield as_nobody(lambda: refuses(root))
    root.chmod(0o777)
    yield refuses(root)
    root.chmod(0o700)
    yield from planted_links(lab, root)
    yield read_only_mount(lab, root)


def planted_links(lab: Lab, source: Path) -> Iterator[str]:
    """Each file and directory of a plant becomes a link to something precious."""
    precious = lab.folder / "precious"
    for path in sorted(source.rglob("*")):
        root = lab.folder / "linked"
        shutil.copytree(source, root)
        shutil.rmtree(precious, ignore_errors=True)
        precious.mkdir()
        (precious / ("0" * 40)).write_text("precious")
        place = root / path.relative_to(source)
        if place.is_dir():
            shutil.rmtree(place)
            place.symlink_to(precious)
        else:
            place.unlink()
            place.symlink_to(precious / ("0" * 40))
        ended = forked(lambda root=root: collected(root))
        kept = list(precious.iterdir()) == [precious / ("0" * 40)]
        failure = "" if kept and (precious / ("0" * 40)).read_text() == "precious" else "it was changed"
        if not failure and ended.error and "PlantDirError" not in ended.error:
            failure = ended.error
        yield failure and f"a link at {path.relative_to(source)}: {failure}"
        shutil.rmtree(root)


def collected(root: Path) -> None:
    """Run, check, repair and collect, as if everything were old."""
    from pyplant.store.retention import collect

    run_pipeline(root)
    with pipeline.open_plant(root) as plant:
        plant.fsck(repair=True)
        collect(plant._warehouse, 0, now=4e9)


def read_only_mount(lab: Lab, root: Path) -> str:
    """A bind mount that cannot be written."""
    mount = lab.folder / "mount"
    mount.mkdir()
    bind = subprocess.run(["mount", "--bind", str(root), str(mount)], capture_output=True, check=False)
    if bind.returncode:
        lab.notes.append("nothing can be mounted here, so no mount was read-only")
        return ""
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(mount)], check=True)
        ended = forked(lambda: reads_only(mount))
        return ended.error or ended.value
    finally:
        subprocess.run(["umount", str(mount)], check=True)


# ---------------------------------------------------------------------- pickles


class Canary:
    """A planted object: loading it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@figure(
    "R24",
    "pickles planted in every slot of a plant; then status, graph, fsck, gc, history, run",
    bar="0 executed",
    control="every pickle is trusted",
    short=1,
    full=1,
)
def planted_pickles(lab: Lab) -> Iterator[str]:
    """Each kind of record is made to name the planted pickle."""
    source, canary = lab.folder / "source", lab.folder / "canary"
    ended = forked(lambda: run_pipeline(source))
    assert not ended.error, ended.error
    head, body = pickle.dumps({}), pickle.dumps(Canary(canary))
    planted = len(head).to_bytes(8, "little") + head + body
    for name in ("objects", "inline", "formats", "signature", "journal", "claims", "leases", "tmp", "FORMAT"):
        root = lab.folder / "plant"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(source, root)
        plant_pickle(root, name, planted)
        ended = forked(lambda root=root: everything(root))
        failure = ended.error
        forked(lambda root=root: run_pipeline(root))  # a forged value may make a reactor fail
        if canary.exists():
            failure = "it was executed"
            canary.rmdir()
        yield failure and f"planted in {name}: {failure}"


def plant_pickle(root: Path, slot: str, planted: bytes) -> None:
    """Put a pickle into one kind of place."""
    if slot in ("journal", "claims", "leases", "tmp"):
        (root / slot).mkdir(exist_ok=True)
        (root / slot / "planted.log").write_bytes(planted)
        return
    if slot == "FORMAT":
        (root / slot).write_bytes(planted)
        return
    digest = blake3(planted).hexdigest(length=20)
    stored = f"{digest}.pickle"
    (root / "objects" / digest[:2]).mkdir(exist_ok=True)
    (root / "objects" / digest[:2] / stored).write_bytes(planted)
    (journal,) = (root / "journal").glob("*.log")
    lines = []
    for line in filter(None, journal.read_bytes().split(b"\n")):
        rest = line.partition(b" ")[2]
        rest = rewritten(rest, slot, stored, planted)
        lines.append(b"\n" + blake3(rest).hexdigest(length=8).encode() + b" " + rest + b"\n")
    journal.write_bytes(b"".join(lines))


def rewritten(rest: bytes, slot: str, stored: str, planted: bytes) -> bytes:
    """A line of the journal whose outputs are the planted pickle."""
    kind, place, key, payload = rest.split(b" ", 3)
    if kind != b"t":
        return rest
    trace = json.loads(payload)
    outputs = []
    for name, format_, _, _, _, metadata, _ in trace["o"]:
        fake = {key: value for key, value in metadata.items() if key != "signature"}
        if slot == "signature":
            fake["signature"] = "0" * 32
        spec = format_ if slot == "formats" else "object"
        inline = planted.hex() if slot == "inline" else None
        digest = digest_bytes(planted)
        outputs.append([name, spec, digest, "" if inline else stored, len(planted), fake, inline])
    trace["o"] = outputs
    return b" ".join((kind, place, key, json.dumps(trace).encode()))


def everything(root: Path) -> None:
    """Use every method of a plant without trusting it."""
    with suppress(PlantDirError), pipeline.open_plant(root) as plant:
        plant.status()._repr_html_()
        plant.graph()
        str(plant.fsck())
        for reactor in pipeline.REACTORS:
            str(plant.history(reactor))
            str(plant.explain(reactor))
        plant.gc()
