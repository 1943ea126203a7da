"""Tests of the store, and the disks they run it on.

:class:`HookedFiles` shows every call that changes the disk before it happens. Its children
fail, die, or lose power at a chosen one of them.
"""

import errno
import os
from pathlib import Path

from pyplant.engine.trace import Dependency, DependencyKind, Trace
from pyplant.specs.base import IngredientSpec, StreamSpec
from pyplant.store.files import Files, OpenFile
from pyplant.store.keys import Keyring
from pyplant.store.seals import Seals
from pyplant.store.warehouse import Warehouse

SEALS = Seals(Keyring(bytes(32)), "the identity of a plant")
"""Those of one user."""

LONG = "a long text " * 1000
"""Too long to be kept inside the journal."""


class TornFile(OpenFile):
    """Fails half way through each write."""

    __slots__ = ()

    def write(self, data):
        super().write(data[: len(data) // 2])
        raise OSError(errno.EIO, "Input/output error", str(self.path))


class HookedFile(OpenFile):
    """Tells its disk what it is about to do."""

    __slots__ = ("_files",)

    def __init__(self, files, writer):
        super().__init__(writer.path, writer._descriptor)
        self._files = files

    def write(self, data):
        self._files.before("write", self.path)
        super().write(data)

    def sync(self):
        self._files.before("sync", self.path)
        super().sync()
        self._files.after("sync", self.path)


def _hooked(name):
    def call(self, path, *arguments, **options):
        self.before(name, arguments[0] if name in ("rename", "link") else path)
        result = getattr(Files, name)(self, path, *arguments, **options)
        if name == "rename":
            self.moved(path, arguments[0])
        elif name == "link":
            self.linked(path, arguments[0])
        else:
            self.after(name, path)
        return HookedFile(self, result) if isinstance(result, OpenFile) else result

    return call


class HookedFiles(Files):
    """A disk that shows each change before and after it happens."""

    def before(self, call, path):
        pass

    def after(self, call, path):
        pass

    def moved(self, source, target):
        self.after("rename", target)

    def linked(self, source, target):
        self.after("link", target)

    make_directory = _hooked("make_directory")
    create = _hooked("create")
    open_append = _hooked("open_append")
    rename = _hooked("rename")
    link = _hooked("link")
    unlink = _hooked("unlink")
    remove_tree = _hooked("remove_tree")
    sync_file = _hooked("sync_file")
    protect = _hooked("protect")

    def sync_directory(self, path):
        self.before("sync_directory", path)
        Files.sync_file(self, path)
        self.after("sync_directory", path)


class RecordingFiles(HookedFiles):
    """Remembers the changes as ``(call, part of the plant)``."""

    def __init__(self, root):
        self.root = root
        self.calls = []

    def before(self, call, path):
        relative = path.relative_to(self.root)
        self.calls.append((call, relative.parts[0] if relative.parts else "."))


class FailingFiles(HookedFiles):
    """A disk that fails from the ``nth`` change on, by default since it is full; deleting still works."""

    def __init__(self, nth, *, once=False, code=errno.ENOSPC):
        self.code = code
        self.left = nth
        self.once = once
        self.failures = 0

    def before(self, call, path):
        if call in ("unlink", "remove_tree"):
            return
        self.left -= 1
        if self.left == 0 or (self.left < 0 and not self.once):
            self.failures += 1
            raise OSError(self.code, os.strerror(self.code), str(path))


class Killed(BaseException):
    """The process died."""


class KilledFiles(HookedFiles):
    """The process dies at the ``nth`` change; nothing it does afterwards reaches the disk."""

    def __init__(self, nth):
        self.left = nth

    def before(self, call, path):
        self.left -= 1
        if self.left <= 0:
            raise Killed


class PowerCutFiles(HookedFiles):
    """Knows what is on the disk for certain; :meth:`cut` takes away all the rest."""

    def __init__(self, root):
        self.root = root
        self.safe_size = {}
        self.safe_names = {}

    def after(self, call, path):
        if call in ("sync", "sync_file"):
            self.safe_size[path] = path.stat().st_size
        elif call == "sync_directory":
            self.safe_names[path] = set(self.names(path))

    def moved(self, source, target):
        self.safe_size.pop(target, None)
        if source in self.safe_size:
            self.safe_size[target] = self.safe_size.pop(source)

    def linked(self, source, target):
        if source in self.safe_size:
            self.safe_size[target] = self.safe_size[source]

    def cut(self):
        for path in sorted(self.root.rglob("*"), reverse=True):
            if path.name not in self.safe_names.get(path.parent, ()):
                if path.is_file():
                    path.unlink()
                elif not any(path.iterdir()):
                    path.rmdir()
            elif path.is_file():
                safe = self.safe_size.get(path, 0)
                content = path.read_bytes()
                path.chmod(0o600)
                path.write_bytes(content[:safe] + bytes(0 if path.suffix == ".log" else len(content) - safe))


class TextSpec(StreamSpec):
    """Text as a stream of bytes."""

    name = "text"
    suffix = ".txt"
    runs_code = False

    def matches(self, value):
        return isinstance(value, str)

    def dump(self, value, stream):
        stream.write(value.encode())
        return {}

    def parse(self, buffer, metadata):
        return bytes(buffer).decode()


class PathSpec(IngredientSpec):
    """Text as a file that a library insists on writing itself."""

    name = "path"
    suffix = ".dat"
    runs_code = False
    allocatable = True

    def matches(self, value):
        return False

    def save(self, value, path):
        path.write_text(value)
        return {"length": len(value)}

    def load(self, path, metadata):
        return path.read_text()

    def allocate(self, path, **options):
        path.write_text("")
        return path

    def finish(self, handle):
        return {}


def open_warehouse(root, **options):
    """A warehouse that knows the two formats above."""
    warehouse = Warehouse(Path(root), **options)
    warehouse.register_ingredient_specs([TextSpec(), PathSpec()])
    return warehouse


def a_trace(*outputs, config=(), inputs=(), **fields):
    """A trace that read these parameters and ingredients, given as ``(name, digest)``."""
    dependencies = [Dependency(DependencyKind.PARAMETER, (name,), (digest,)) for name, digest in config]
    dependencies += [Dependency(DependencyKind.INGREDIENT, (name,), (digest,)) for name, digest in inputs]
    fields = {"reactor": "garden.make", "fingerprint": "code", **fields}
    return Trace(dependencies=tuple(dependencies), outputs=outputs, **fields)


def flip(path, position=0, bit=0):
    """Flip one bit of a file, and make sure that its times tell."""
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    overwrite(path, bytes(content))


def overwrite(path, content):
    """Replace the content of a file in place, and make sure that its times tell."""
    before = path.stat()
    path.chmod(0o600)
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # clocks of file systems tick slowly
        path.chmod(0o600)
    path.write_bytes(content)
