"""Damaged files: flipped bits, cut, swapped, missing and forged."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from blake3 import blake3

from pyplant.errors import PlantError
from pyplant.store.objects import hash_file
from pyplant.store.warehouse import Warehouse
from reliability import pipeline
from reliability.bench import Lab, figure
from reliability.trial import Ended, forked, run_pipeline, started


def files_of(root: Path) -> list[Path]:
    """Return every file of a plant that is not empty."""
    return sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size)


def write(path: Path, content: bytes) -> None:
    """Replace the content of a file, even if it is read-only."""
    path.chmod(0o600)
    path.write_bytes(content)


def template(lab: Lab) -> Path:
    """A plant in which everything is up to date."""
    root = lab.folder / "template"
    ended = forked(lambda: run_pipeline(root))
    assert not ended.error, ended.error
    return root


def copied(source: Path, target: Path) -> Path:
    """Return a copy without changes of an earlier trial."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target


def look(root: Path) -> str:
    """Return what is wrong with a damaged plant: all values must be correct and nothing may raise."""
    ended = forked(lambda: run_pipeline(root))
    return ended.error or (ended.value["wrong"] and f"served wrong {ended.value['wrong']}")


@figure(
    "R5",
    "one bit flipped in any byte of any file",
    bar="never served, never an exception, computed again",
    control="nothing is verified",
    short=40,
    full=5_000,
)
def bit_flips(lab: Lab) -> Iterator[str]:
    """Half of the flips go to a random file, half to a random byte."""
    source = template(lab)
    files = [path.relative_to(source) for path in files_of(source)]
    sizes = [(source / name).stat().st_size for name in files]
    for trial in range(lab.trials):
        root = copied(source, lab.folder / "plant")
        (name,) = lab.random.choices(files, sizes if trial % 2 else None)
        content = bytearray((root / name).read_bytes())
        place, bit = lab.random.randrange(len(content)), lab.random.randrange(8)
        content[place] ^= 1 << bit
        write(root / name, bytes(content))
        failure = look(root)
        yield failure and f"{name}, byte {place}, bit {bit}: {failure}"


def damages(lab: Lab, source: Path) -> Iterator[tuple[str, str, Any]]:
    """Yield damage other than a flipped bit: its name, the file and a function."""
    files = [path.relative_to(source) for path in files_of(source)]
    objects = [name for name in files if name.parts[0] == "objects"]
    step = 512 if lab.full else 4096
    for name in files:
        size = (source / name).stat().st_size
        for length in range(0, size, step):
            yield f"cut to {length}", str(name), lambda path, n=length: write(path, path.read_bytes()[:n])
        yield "filled with zeros", str(name), lambda path: write(path, bytes(path.stat().st_size))
        yield "deleted", str(name), lambda path: path.unlink()
        yield "longer", str(name), lambda path: write(path, path.read_bytes() + b"junk")
        if name.name != "FORMAT":  # a damaged FORMAT is a clear error
            yield "a directory", str(name), lambda path: (path.unlink(), path.mkdir())
    for one, other in zip(objects, objects[1:] + objects[:1], strict=True):
        yield f"swapped with {other}", str(one), lambda path, o=other: swap(path, path.parents[2] / o)
    for junk in ("objects/junk", "journal/junk.log", "tmp/junk", "claims/junk", "leases/junk", "junk"):
        yield (
            "junk",
            junk,
            lambda path: (path.parent.mkdir(exist_ok=True), path.write_bytes(b"\x00junk\n" * 50)),
        )


def swap(one: Path, other: Path) -> None:
    """Exchange the contents of two files."""
    first, second = one.read_bytes(), other.read_bytes()
    write(one, second)
    write(other, first)


@figure(
    "R6",
    "files cut at every 4096th byte (512th at night), zeroed, deleted, swapped; junk added",
    bar="never served, never an exception, computed again",
    control="nothing is verified",
    short=1,
    full=1,
)
def other_damage(lab: Lab) -> Iterator[str]:
    """Every kind of damage to every file."""
    source = template(lab)
    for what, name, do in damages(lab, source):
        root = copied(source, lab.folder / "plant")
        do(root / name)
        failure = look(root)
        yield failure and f"{name} {what}: {failure}"


@figure(
    "R19",
    "fsck after each kind of damage to each stored value, then repair, then a run; its speed",
    bar="each is reported with its ingredient; afterwards as from scratch; 1 GB/s a core",
    control="fsck hashes nothing",
    short=1,
    full=1,
)
def fsck_is_complete(lab: Lab) -> Iterator[str]:
    """Damage, check, repair, run."""
    source = template(lab)
    names = forked(lambda: ingredients_by_object(source)).value
    for what, name, do in damages(lab, source):
        stored = Path(name).name
        if stored not in names or what == "junk":
            continue
        root = copied(source, lab.folder / "plant")
        do(root / name)
        ended = forked(lambda root=root: check_and_repair(root))
        if ended.error:
            yield f"{name} {what}: {ended.error}"
            continue
        if not set(names[stored]) <= set(ended.value):
            yield f"{name} {what}: fsck named {ended.value}, not {names[stored]}"
            continue
        failure = look(root)
        yield failure and f"{name} {what}, repaired: {failure}"
    yield speed(lab)


def ingredients_by_object(root: Path) -> dict[str, list[str]]:
    """Return the ingredients in each file of a plant."""
    names: dict[str, list[str]] = {}
    warehouse = Warehouse(root)
    for trace in warehouse.ledger.traces():
        for output in trace.outputs:
            names.setdefault(output.object, []).append(output.name)
    warehouse.close()
    names.pop("", None)
    return names


def check_and_repair(root: Path) -> list[str]:
    """Check and repair a plant, and return the ingredients that fsck found damaged."""
    with pipeline.open_plant(root) as plant:
        audit = plant.fsck(repair=True)
        return [finding.ingredient for finding in audit]


def speed(lab: Lab) -> str:
    """Check 300 MB."""
    root = lab.folder / "big"

    def check() -> float:
        warehouse = Warehouse(root)
        size = 0
        for number in range(3):
            path = warehouse.objects.scratch_path()
            path.write_bytes(os.urandom(1 << 20) * 100 + bytes([number]))
            digest, length = warehouse.objects.hash(path)
            warehouse.objects.publish(path, digest, "")
            size += length
        os.sync()
        began = time.perf_counter()
        for path in (root / "objects").glob("*/*"):
            os.utime(path)
            hash_file(path, warehouse.files)
        seconds = time.perf_counter() - began
        warehouse.close()
        return size / seconds / 1e9

    ended = forked(check)
    if ended.error:
        return ended.error
    lab.notes.append(f"{ended.value:.1f} GB/s")
    least = 1 if lab.full else 0.2  # CI machines are busy
    return "" if ended.value >= least else f"only {ended.value:.2f} GB/s"


# ---------------------------------------------------------------------- made up records


@figure(
    "R20",
    "lines of the journal mutated, half of them with a valid checksum",
    bar="opening, looking, checking, collecting and running never raise",
    control="records are taken as they come",
    short=500,
    full=100_000,
)
def mutated_records(lab: Lab) -> Iterator[str]:
    """Test ten mutations in each process, one process for each core; the first failure of each is reported."""
    source = template(lab)
    journal = next((source / "journal").glob("*.log")).read_bytes()
    lines = [line for line in journal.split(b"\n") if line]
    together, cores = 10, os.cpu_count() or 1
    count = lab.trials // together
    running: deque[Callable[..., Ended]] = deque()
    try:
        for number in range(count + cores):
            if number >= cores:
                ended = running.popleft()(patience=120)
                yield ended.error or ended.value
                yield from ("" for _ in range(together - 1))
            if number < count:
                mutants = [mutated(lab, lines) for _ in range(together)]
                root = lab.folder / f"plant{number % cores}"
                running.append(started(partial(survive, source, root, mutants)))
    finally:
        for wait in running:
            wait(patience=120)


def mutated(lab: Lab, lines: list[bytes]) -> bytes:
    """Return a journal with a few changed lines."""
    changed = list(lines)
    for number in lab.random.sample(range(len(changed)), lab.random.randint(1, 3)):
        check, _, rest = changed[number].partition(b" ")
        kind, place, key, payload = rest.split(b" ", 3)
        if lab.random.random() < 0.5:
            rest = scrambled(lab, rest)
        else:
            parts = [kind, place, key, json.dumps(twisted(lab, json.loads(payload))).encode()]
            if lab.random.random() < 0.2:
                parts[lab.random.randrange(3)] = lab.random.choice(
                    [b"t", b"x", b"e", b"u", b"9" * 30, b"-1", b"@"]
                )
            rest = b" ".join(parts)
        if lab.random.random() < 0.8:
            check = blake3(rest).hexdigest(length=8).encode()
        changed[number] = check + b" " + rest
    return b"".join(b"\n" + line + b"\n" for line in changed)


def scrambled(lab: Lab, content: bytes) -> bytes:
    """Bytes cut out, put in or changed."""
    start = lab.random.randrange(len(content))
    end = min(len(content), start + lab.random.randint(0, 8))
    return content[:start] + lab.random.randbytes(lab.random.randint(0, 8)) + content[end:]


STRANGE: list[Any] = [
    *(None, True, -1, 0, 1e308, float("nan"), 10**40, "", "x", "\ud800", "../../etc", [], {}, [[]]),
    *({"a": 1}, "A" * 5000, [0] * 2000, "0" * 40, "pickle"),
]


def twisted(lab: Lab, value: Any) -> Any:
    """Return a JSON value with one part replaced."""
    if isinstance(value, dict) and value and lab.random.random() < 0.9:
        key = lab.random.choice(sorted(value))
        if lab.random.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: twisted(lab, value[key])}
    if isinstance(value, list) and value and lab.random.random() < 0.9:
        index = lab.random.randrange(len(value))
        return [*value[:index], twisted(lab, value[index]), *value[index + 1 :]]
    return lab.random.choice(STRANGE)


def survive(source: Path, root: Path, mutants: list[bytes]) -> str:
    """Use every method of a plant whose journal was forged."""
    for mutant in mutants:
        copied(source, root)
        for path in (root / "journal").glob("*.log"):
            path.write_bytes(mutant)
        try:
            with pipeline.open_plant(root) as plant:
                plant.status()
                str(plant.fsck())
                for reactor in pipeline.REACTORS:
                    str(plant.explain(reactor))
                    str(plant.history(reactor))
                plant.graph()
                plant.gc()
                with suppress(PlantError):  # a forged record may say that a reactor sends nothing
                    plant.get(*pipeline.NAMES)
        except Exception as error:  # noqa: BLE001 - none may come
            frames = []
            trace = error.__traceback__
            while trace is not None:
                frames.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
                trace = trace.tb_next
            return f"{type(error).__name__}: {error} ({' '.join(frames[-5:])})"
    return ""
