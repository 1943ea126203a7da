"""A from-scratch evaluator: the same texts, in plain recursion, without PyPlant.

It has modules, imports and reloads of its own, so that it holds old code exactly when the
process under test does. Beside the values it notes what each reactor read, in order.
"""

from __future__ import annotations

import ast
import builtins
import copy
import functools
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyplant.fingerprint.gc_pause import gc_paused
from tests.laws.outside import stand_ins
from tests.laws.source import PACKAGE

Event = tuple[str, ...]
Node = ast.FunctionDef | ast.Lambda


@dataclass(slots=True)
class Outcome:
    """What the reactors yield: values by ingredient; errors and events by reactor."""

    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)
    events: dict[str, tuple[Event, ...]] = field(default_factory=dict)


class Oracle:
    """An interpreter of its own for the texts of one package.

    Parameters
    ----------
    read
        Gives the present text of a module on disk.
    outside
        The folder that reactors read without saying so.
    """

    def __init__(self, read: Callable[[str], str], outside: Path) -> None:
        self.modules: dict[str, types.ModuleType] = {PACKAGE: types.ModuleType(PACKAGE)}
        self.nodes: dict[tuple[str, int, str], Node] = {}
        self.reactors: dict[str, Callable[..., Any]] = {}
        self.forms: dict[str, int] = {}
        """Normal forms of the reactors, once they have been computed."""
        self._read = read
        self._events: list[Event] = []  # of the reactor that runs
        opened, self._stand_ins = stand_ins(outside, self._note)
        self._builtins = {**vars(builtins), "__import__": self._import, "open": opened}
        self._fake = types.ModuleType("pyplant")
        vars(self._fake).update(ReactorFunc=self._reactor, SubreactorFunc=_subreactor)

    def load(self, name: str) -> None:
        """Execute a module, again if it was executed before: that is what reloading does."""
        full = f"{PACKAGE}.{name}"
        module = self.modules.get(full)
        if module is None:
            module = self.modules[full] = types.ModuleType(full)
            vars(module)["__builtins__"] = self._builtins
            setattr(self.modules[PACKAGE], name, module)
        if name == "reactors":
            self.reactors.clear()
        self.forms.clear()
        code, nodes = _compiled(name, self._read(name))
        self.nodes.update(nodes)
        exec(code, vars(module))  # it is what an interpreter does

    def _import(
        self, name: str, given: Any = None, local: Any = None, fromlist: Any = (), level: int = 0
    ) -> types.ModuleType:
        if name == "pyplant":
            return self._fake
        if name in self._stand_ins:
            return self._stand_ins[name]
        if name.partition(".")[0] != PACKAGE:
            return builtins.__import__(name, given, local, fromlist, level)
        wanted = [f"{name}.{item}" for item in fromlist or ()] if name == PACKAGE else [name]
        for full in wanted:
            if full != PACKAGE and full not in self.modules:
                self.load(full.rpartition(".")[2])
        return self.modules[name if fromlist else PACKAGE]

    def _note(self, way: str, name: str, value: Any) -> None:
        self._events.append((way, name, canonical(value)))

    def _reactor(self, function: Callable[..., Any] | None = None, *, name: str | None = None) -> Any:
        if function is None:
            return functools.partial(self._reactor, name=name)
        self.reactors[name or function.__name__] = function
        return function

    def evaluate(self, config: Config, senders: dict[str, str]) -> Outcome:
        """Run every reactor once; ``senders`` tells who sends which ingredient."""
        outcome = Outcome()
        for reactor in self.reactors:
            self._run(reactor, config, senders, outcome)
        return outcome

    def _run(self, reactor: str, config: Config, senders: dict[str, str], outcome: Outcome) -> None:
        if reactor in outcome.events:
            return
        pipe = FakePipe(config)
        function = self.reactors[reactor]
        try:
            arguments = (pipe, pipe.config) if _takes_config(function) else (pipe,)
            self._events = pipe.events
            result = function(*arguments)
            answer = None
            while inspect.isgenerator(result):
                self._events = pipe.events
                names = result.send(answer)
                for name in names:
                    self._run(senders[name], config, senders, outcome)
                    if senders[name] in outcome.errors:
                        raise Blocked
                got = [copy.deepcopy(outcome.values[name]) for name in names]
                pipe.events.append(
                    ("in", *(text for n in names for text in (n, canonical(outcome.values[n]))))
                )
                answer = got[0] if len(got) == 1 else tuple(got)
        except StopIteration:
            pass
        except Exception as error:  # a reactor may raise anything
            outcome.errors[reactor] = error
            pipe.sent.clear()
        outcome.events[reactor] = tuple(pipe.events)
        outcome.values.update(pipe.sent)


class Blocked(Exception):  # no error of its own
    """A reactor waits for one that raised."""


class FakePipe:
    """What a reactor needs of a pipework, in its plainest form."""

    def __init__(self, config: Config) -> None:
        self.events: list[Event] = []
        self.sent: dict[str, Any] = {}
        self._values = config
        self.config = _View(config, self.events)

    def receive(self, *names: str) -> tuple[str, ...]:
        return names

    def send(self, name: str, value: Any) -> None:
        self.sent[name] = copy.deepcopy(value)

    def read_config(self, name: str) -> Any:
        return self.config.read(name, KeyError)

    def input_file(self, path: str) -> str:
        content = Path(path).read_text() if Path(path).exists() else None
        self.events.append(("file", Path(path).name, canonical(content)))
        return path


@dataclass(frozen=True, slots=True)
class Config:
    """Parameters by name, those of nested configurations with a dot; and which never count."""

    values: dict[str, Any]
    auxiliary: frozenset[str]


class _View:
    def __init__(self, config: Config, events: list[Event], prefix: str = "") -> None:
        vars(self).update(_config=config, _events=events, _prefix=prefix)

    def read(self, name: str, error: type[Exception]) -> Any:
        full = self._prefix + name
        if full not in self._config.values:
            if any(known.startswith(f"{full}.") for known in self._config.values):
                return _View(self._config, self._events, f"{full}.")
            self._events.append(("absent", full))
            raise error(full)
        value = self._config.values[full]
        if full not in self._config.auxiliary:
            self._events.append(("parameter", full, canonical(value)))
        return copy.deepcopy(value)

    def __getitem__(self, name: str) -> Any:
        return self.read(name, KeyError)

    def __getattr__(self, name: str) -> Any:
        return self.read(name, AttributeError)

    def __contains__(self, name: str) -> bool:
        try:
            self.read(name, KeyError)
        except KeyError:
            return False
        return True


def canonical(value: Any) -> str:
    """A text that tells values apart, with their types; equal for equal ones."""
    kind = type(value).__name__
    if isinstance(value, list | tuple):
        return f"{kind}[{','.join(map(canonical, value))}]"
    if isinstance(value, dict):
        return f"{kind}[{','.join(canonical(item) for pair in value.items() for item in pair)}]"
    if isinstance(value, set | frozenset):
        return f"{kind}[{','.join(sorted(map(canonical, value)))}]"
    if hasattr(value, "tobytes"):
        return f"{kind}[{value.dtype},{value.shape},{value.tobytes().hex()}]"
    return f"{kind}:{value!r}"


def _takes_config(function: Callable[..., Any]) -> bool:
    return "config" in inspect.signature(function).parameters


def _subreactor(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def entered(*args: Any) -> Any:
        result = function(*args)
        if inspect.isgenerator(result):
            result = yield from result
        return result

    return entered


@functools.lru_cache(maxsize=64)
def _compiled(name: str, text: str) -> tuple[types.CodeType, dict[tuple[str, int, str], Node]]:
    """The code of a module, and the syntax of each function by file, line and name."""
    filename = f"<{name} {hash(text)}>"
    with gc_paused(enabled=False):  # in CPython 3.11, the parser fails if the collector runs code that parses
        tree = ast.parse(text)
    nodes: dict[tuple[str, int, str], Node] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            first = node.decorator_list[0].lineno if node.decorator_list else node.lineno
            nodes[filename, first, node.name] = node
        elif isinstance(node, ast.Lambda):
            nodes[filename, node.lineno, "<lambda>"] = node
    return compile(text, filename, "exec"), nodes
