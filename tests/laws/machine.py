"""The laws as a state machine: random pipelines, random edits, and after each the laws.

Every rule makes one change and ends with :meth:`Laws.check`, which holds what the plant
does against the oracle (:mod:`tests.laws.oracle`) and the model (:mod:`tests.laws.model`).
"""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import pyplant
from pyplant.errors import DamageWarning, PlantError, PlantWarning
from pyplant.reports.report import Outcome, ReactorEntry
from tests.laws import outside
from tests.laws.causes import check_causes, check_edit_is_named
from tests.laws.kernel import Kernel, Log, oracle_config, plant_config
from tests.laws.model import Expectation, LawBroken, Model, expect
from tests.laws.oracle import canonical
from tests.laws.outside import CHANGES
from tests.laws.pipelines import (
    CONTAINERS,
    FILES,
    LITERALS,
    OPTIONAL,
    PARAMETERS,
    WHERE,
    Pipeline,
    Step,
    pipelines,
    steps,
)
from tests.laws.source import MODULES, PACKAGE

_PICK = st.integers(0, 1 << 10)
_THEN = st.sampled_from(["reload", "reload", "boot", "wait", "changed"])


def _full(reactor: str) -> str:
    return f"{PACKAGE}.reactors.{reactor}"


def _demand(condition: object, message: str) -> None:
    if not condition:
        raise LawBroken(message)


class Laws(RuleBasedStateMachine):
    """A pipeline, a process that runs it, and what the laws say about it."""

    executor: Any = None
    """Where the reactors run."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = Kernel(self.executor)
        self.model = Model(self.kernel.directory)
        self.pipeline: Pipeline
        self.versions: list[bytes] = []
        self.used_with: dict[str, Pipeline | None] = {}
        """The version with which a reactor last ran or was cached."""
        self.turn = 0
        self.loaded = True
        """Whether the process has the code that is on disk."""
        self.sound = False
        """Whether the laws held when they were last looked at."""

    @initialize(pipeline=pipelines(outside.first_world()))
    def begin(self, pipeline: Pipeline) -> None:
        """A new pipeline in an empty plant."""
        self.pipeline = pipeline
        self._write_files()
        self.kernel.write(pipeline)
        self.kernel.boot()
        self.check()

    def teardown(self) -> None:
        """Hold the last state against a plant that never knew another."""
        try:
            if self.sound:
                self._compare_with_empty_plant()
        finally:
            self.kernel.remove()

    # ------------------------------------------------------------------ edits of code

    @rule(pick=_PICK, value=st.sampled_from(CONTAINERS), then=_THEN)
    def edit(self, pick: int, value: Any, then: str) -> None:
        """Change one literal that some value depends on."""
        slots = self.pipeline.used_slots()
        self._edit(slots[pick % len(slots)], value)
        self._apply(then)

    @rule(where=st.sampled_from(WHERE), pick=_PICK, value=st.sampled_from(CONTAINERS), then=_THEN)
    def edit_anywhere(self, where: str, pick: int, value: Any, then: str) -> None:
        """Change one literal of a sort, whether or not anything depends on it."""
        slots = self.pipeline.slots_at(where)
        self._edit(slots[pick % len(slots)], value)
        self._apply(then)

    @rule(picks=st.lists(_PICK, min_size=2, max_size=4), value=st.sampled_from(CONTAINERS), then=_THEN)
    def edit_several(self, picks: list[int], value: Any, then: str) -> None:
        """Change literals in several places before anything runs."""
        slots = self.pipeline.used_slots()
        for pick in picks:
            self._edit(slots[pick % len(slots)], value)
        self._apply(then)

    @rule(pick=_PICK, value=st.sampled_from([1.0, True, 1]))
    def edit_type(self, pick: int, value: Any) -> None:
        """Change nothing but the type of a literal."""
        slots = [slot for slot in self.pipeline.used_slots() if self.pipeline.slots[slot] == 1]
        if slots:
            self._edit(slots[pick % len(slots)], value)
        self._apply("reload")

    def _edit(self, slot: str, value: Any) -> None:
        if not slot.startswith("global:") and value not in LITERALS:
            value = repr(value)
        self.pipeline.slots[slot] = copy.deepcopy(value)

    @rule(pick=_PICK, step=steps(), then=_THEN)
    def restructure(self, pick: int, step: Step, then: str) -> None:
        """Add a step to a reactor, or take it away: an edge, a read, a call."""
        reactor = self.pipeline.reactors[pick % len(self.pipeline.reactors)]
        if step in reactor.steps or len(reactor.steps) > 6:
            reactor.steps.pop(pick // 7 % len(reactor.steps))
        else:
            reactor.steps.insert(pick // 7 % (len(reactor.steps) + 1), step)
        self._apply(then)

    @rule(pick=_PICK, then=_THEN)
    def rename(self, pick: int, then: str) -> None:
        """Give a reactor, an ingredient or a global another name."""
        stems = self.pipeline.stems()
        stem = stems[pick % len(stems)]
        self.pipeline.renamed[stem] = self.pipeline.renamed.get(stem, 0) + 1
        self._apply(then)

    @rule(seed=st.integers(1, 1000), then=_THEN)
    def restyle(self, seed: int, then: str) -> None:
        """Comments, docstrings, blank lines, line breaks, another order: the same program."""
        self.pipeline.cosmetics = seed
        self._apply(then)

    @precondition(lambda self: self.versions)
    @rule(pick=_PICK, then=st.sampled_from(["reload", "boot"]))
    def go_back(self, pick: int, then: str) -> None:
        """Return to an earlier state of everything."""
        self.pipeline = pickle.loads(self.versions[pick % len(self.versions)])  # our own
        self._write_files()
        self._apply(then)

    @rule(pick=_PICK, keep_going=st.booleans())
    def fail_and_mend(self, pick: int, keep_going: bool) -> None:  # drawn
        """Let a reactor raise, run, and take the fault out again."""
        reactor = self.pipeline.reactors[pick % len(self.pipeline.reactors)]
        reactor.fails = True
        self.kernel.write(self.pipeline)
        self.kernel.reload(list(MODULES))
        self._check_failure(keep_going=keep_going)
        reactor.fails = False
        self._apply("reload")

    # ------------------------------------------------------------------ edits of the surroundings

    @rule(name=st.sampled_from(PARAMETERS), value=st.sampled_from(CONTAINERS))
    def configure(self, name: str, value: Any) -> None:
        """Set a parameter."""
        self.pipeline.parameters[name] = copy.deepcopy(value)
        self.check()

    @rule(kind=st.sampled_from([float, bool, int, str]))
    def convert(self, kind: type) -> None:
        """Change nothing but the types of parameters."""
        for name, value in self.pipeline.parameters.items():
            if type(value) in (int, float, bool):
                self.pipeline.parameters[name] = kind(value)
        self.check()

    @rule(name=st.sampled_from(OPTIONAL))
    def deconfigure(self, name: str) -> None:
        """Take a parameter away."""
        self.pipeline.parameters.pop(name, None)
        self.check()

    @rule(name=st.sampled_from(FILES), content=st.sampled_from(["1", "2", "3", "44", ""]), sly=st.booleans())
    def change_file(self, name: str, content: str, sly: bool) -> None:  # drawn
        """Change an input file, perhaps with its old time."""
        path = self.kernel.folder / name
        before = path.stat() if path.exists() else None
        path.write_text(content)
        if sly and before is not None:
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.pipeline.files[name] = content
        self.check()

    @rule(name=st.sampled_from(sorted(CHANGES)), pick=_PICK)
    def change_outside(self, name: str, pick: int) -> None:
        """Change what reactors read without saying so: a file, the link, what is in the folder, the variable."""
        values = CHANGES[name]
        self.pipeline.world[name] = values[pick % len(values)]
        self._write_files()
        self.check()

    @rule(name=st.sampled_from(FILES))
    def delete_file(self, name: str) -> None:
        """Delete an input file."""
        (self.kernel.folder / name).unlink(missing_ok=True)
        self.pipeline.files.pop(name, None)
        self.check()

    # ------------------------------------------------------------------ the process and the plant

    @rule(kill=st.booleans())
    def restart(self, kill: bool) -> None:  # drawn
        """A new process, after the old one ended or was killed."""
        self._end(kill=kill)
        self.kernel.boot()
        self.loaded = True
        self.check()

    @rule()
    def open_another(self) -> None:
        """A second plant object on the same directory; both are used in turn."""
        if len(self.kernel.plants) < 2:
            self.kernel.plants.append(self.kernel.open(self.kernel.directory))
        self.check()

    @rule(pick=_PICK, restart=st.booleans())
    def invalidate(self, pick: int, restart: bool) -> None:  # drawn
        """Forget the executions of a reactor; it must run again."""
        plant, expected = self._plant(), self._expect()
        name = self._reactor(pick)
        plant.invalidate(name)
        self.model.forget(_full(name), expected.keys[name][0])
        same_code = self.loaded
        if restart:
            self._end(kill=True)
            self.kernel.boot()
            self.loaded = True
        self.check(must=name if same_code or not restart else "")

    @rule(pick=_PICK)
    def force(self, pick: int) -> None:
        """Run a reactor although nothing changed."""
        plant, expected, name = self._plant(), self._expect(), self._reactor(pick)
        needless = self._needless(expected) - {name}
        with self.kernel.watched() as log:
            plant.run_reactor(name, force=True)
        _demand(name in log.started, f"minimal: {name} was forced and did not run")
        self._check_needed(log.started, needless, log)
        self._note_kept(plant, log.started, expected)
        self.check()

    @rule(repair=st.booleans())
    def upkeep(self, repair: bool) -> None:
        """Collect garbage and check the store: nothing is lost by either."""
        plant = self._plant()
        with self.kernel.watched() as log:
            plant.gc()
            plant.fsck(repair=repair)
        if repair:
            self.model.forget_lost()
        self._check_warnings(log.warnings)
        self.check()

    @rule()
    def reclaim(self) -> None:
        """Make do with no room at all: what is current stays, history may go."""
        expected = self._expect()
        plant = self.kernel.open(self.kernel.directory, max_size=0)
        plant.gc()
        plant.close()
        self.model.keep_only(expected.keys.values())
        self.check()

    # ------------------------------------------------------------------ damage

    @rule(pick=_PICK, how=st.sampled_from(["delete", "flip", "truncate"]))
    def damage_object(self, pick: int, how: str) -> None:
        """Delete or damage a stored object."""
        objects = self.model.objects()
        if objects:
            path = objects[pick % len(objects)]
            _damage(path, how, pick)
            if how != "delete":
                self.model.damaged.add(path.name)
        self.check()

    @precondition(lambda self: len(self.versions) > 8)  # from then on the model knows less
    @rule(pick=_PICK, how=st.sampled_from(["flip", "truncate"]))
    def damage_journal(self, pick: int, how: str) -> None:
        """Damage the journal while nobody looks."""
        self._end(kill=True)
        journals = sorted((self.kernel.directory / "journal").glob("*.log"))
        _damage(journals[pick % len(journals)], how, pick * 7919)
        self.model.forget_all()
        self.kernel.journal_damaged = True
        self.kernel.boot()
        self.loaded = True
        self.check()

    # ------------------------------------------------------------------ the laws

    def check(self, must: str = "") -> None:
        """Bring everything up to date, and hold it against the laws."""
        self.sound = False
        plant, expected = self._plant(), self._expect()
        target = self._reactor(self.turn)
        try:
            self._check_laws(plant, expected, target, must)
        except PlantError as error:
            message = f"fresh: the plant raised {type(error).__name__}: {error}"
            raise LawBroken(message) from error
        self.sound = True
        self.model.note_repairs()
        if self.loaded:
            self.versions.append(pickle.dumps(self.pipeline))

    def _check_laws(self, plant: pyplant.Plant, expected: Expectation, target: str, must: str) -> None:
        names = list(expected.senders)
        needless = self._needless(expected)
        lost = {name for name in expected.keys if self.model.is_lost(expected.keys[name])}
        with self.kernel.watched() as log:
            status = {entry.name: entry for entry in plant.status()}
            plan = plant.plan(target)
            _demand(not log.started, "explained: looking ran something")
            plant.run_reactor(target)
            run_for_target = list(log.started)
            values = plant.get(*names, names[0])
            ran = list(log.started)
            self._check_values(values, names, expected)
            _spoil(values)
            self._check_values(plant.get(*names, names[0]), names, expected)
            _demand(log.started == ran, f"minimal: an unchanged run ran {log.started[len(ran) :]}")
        self._check_warnings(log.warnings)
        _demand(not must or must in ran, f"kept: {must} was invalidated and did not run")
        _demand(len(set(ran)) == len(ran), f"minimal: some reactor ran twice: {ran}")
        self._check_needed(ran, needless, log)
        now = pickle.loads(pickle.dumps(self.pipeline)) if self.loaded else None
        for name in ran:
            check_causes(self.model, name, _full(name), expected.keys[name], log.entries.get(name))
            self._check_edit(name, log.entries[name], now)
        self.used_with.update(dict.fromkeys(expected.keys, now))
        if not lost and not self.model.damaged and not self.model.incomplete:
            self._check_status(status, ran)
            self._check_plan(plan, run_for_target)
        self._note_kept(plant, ran, expected)

    def _check_edit(self, name: str, entry: ReactorEntry, now: Pipeline | None) -> None:
        before = self.used_with.get(name)
        if now is not None and before is not None and not self.model.incomplete:
            check_edit_is_named(name, entry, before, now)

    def _check_values(self, values: tuple[Any, ...], names: list[str], expected: Expectation) -> None:
        for name, value in zip([*names, names[0]], values, strict=True):
            wanted = expected.outcome.values[name]
            if canonical(value) != canonical(wanted):
                message = f"fresh: {name!r} is {value!r}, and from scratch {wanted!r}"
                raise LawBroken(message)

    def _needless(self, expected: Expectation) -> set[str]:
        """Reactors whose present execution is kept, with its values: they need not run."""
        return {
            name
            for name, key in expected.keys.items()
            if self.model.is_kept(key) and not self.model.is_lost(key)
        }

    @staticmethod
    def _check_needed(ran: list[str], needless: set[str], log: Log) -> None:
        for name in ran:
            said = log.entries[name].reasons if name in log.entries else ()
            _demand(name not in needless, f"minimal: {name} ran ({said}), and this execution of it is kept")

    @staticmethod
    def _check_status(status: dict[str, Any], ran: list[str]) -> None:
        for name, entry in status.items():
            if entry.outcome is Outcome.CACHED:
                _demand(name not in ran, f"explained: status says {name} is cached, and it ran")
            elif entry.certain:
                _demand(name in ran, f"explained: status says {name} is {entry.outcome.value} for certain")
            _demand(entry.outcome is Outcome.CACHED or entry.causes, f"explained: {name} has no cause")

    def _check_plan(self, plan: Any, ran: list[str]) -> None:
        surprised = set(ran) - {*plan.will_run, *plan.may_run}
        if self.pipeline.is_predictable():
            _demand(not surprised, f"explained: {sorted(surprised)} ran and was not in the plan")
        _demand(
            set(plan.will_run) <= set(ran),
            f"explained: the plan said {plan.will_run} would run for certain, and {ran} ran",
        )

    def _check_warnings(self, caught: list[Any]) -> None:
        for warning in caught:
            if issubclass(warning.category, PlantWarning):
                damage = warning.category is DamageWarning and (self.model.damaged or self.model.vague)
                _demand(damage, f"unexpected warning: {warning.message}")

    def _check_failure(self, *, keep_going: bool) -> None:
        """One reactor raises: its error arrives, and what finished before is kept."""
        plant, expected = self._plant(), self._expect()
        needless = self._needless(expected)
        broken = [n for n, e in expected.outcome.errors.items() if isinstance(e, RuntimeError)]
        with self.kernel.watched() as log:
            error: BaseException | None = None
            try:
                plant.run_reactor(broken[0], keep_going=keep_going)
            except Exception as raised:  # it is looked at below
                error = raised.exceptions[0] if isinstance(raised, ExceptionGroup) else raised
        _demand(
            isinstance(error, RuntimeError) and error.args == ("planned",),
            f"fresh: {broken[0]} raised {error!r}",
        )
        self._check_needed(log.finished, needless, log)
        self._note_kept(plant, log.finished, expected)

    def _compare_with_empty_plant(self) -> None:
        expected, plant = self._expect(), self.kernel.open(self.kernel.root / "empty")
        self.kernel.plants.append(plant)
        plant.set_config(plant_config(self.pipeline))
        names = list(expected.senders)
        self._check_values(plant.get(*names, names[0]), names, expected)

    # ------------------------------------------------------------------ means

    def _apply(self, then: str) -> None:
        """Write the package, and let the process have it or not."""
        changed = self.kernel.write(self.pipeline)
        if then == "boot":
            self._end(kill=True)
            self.kernel.boot()
        elif then != "wait":
            self.kernel.reload(list(MODULES) if then == "reload" else changed)
        self.loaded = then in {"boot", "reload"}
        self.check()

    def _end(self, *, kill: bool) -> None:
        self.kernel.kill() if kill else self.kernel.close()

    def _plant(self) -> pyplant.Plant:
        self.turn += 1
        plant = self.kernel.plants[self.turn % len(self.kernel.plants)]
        plant.set_config(plant_config(self.pipeline))
        if len(self.kernel.oracle.modules) <= len(MODULES):
            plant.status()  # imports what fingerprints follow
            self.kernel.note_imports()
        return plant

    def _expect(self) -> Expectation:
        return expect(self.kernel.oracle, oracle_config(self.pipeline), self.kernel.senders)

    def _reactor(self, pick: int) -> str:
        names = sorted(set(self.kernel.senders.values()))
        return names[pick % len(names)]

    def _note_kept(self, plant: pyplant.Plant, names: Any, expected: Expectation) -> None:
        self.model.vague = False
        for name in names:
            trace = plant._warehouse.ledger.last(_full(name))
            objects = (
                frozenset(output.object for output in trace.outputs if output.object)
                if trace
                else frozenset()
            )
            self.model.keep(_full(name), expected.keys[name], objects)

    def _write_files(self) -> None:
        for name in FILES:
            path = self.kernel.folder / name
            if name in self.pipeline.files:
                path.write_text(self.pipeline.files[name])
            else:
                path.unlink(missing_ok=True)
        outside.put(self.kernel.outside, self.pipeline.world)


def _spoil(values: tuple[Any, ...]) -> None:
    """Change in place whatever can be changed."""
    for value in values:
        if isinstance(value, list):
            value.append("spoiled")
        elif isinstance(value, dict | set):
            value.clear()
        elif hasattr(value, "fill"):
            value.fill(-1)


def _damage(path: Path, how: str, pick: int) -> None:
    content = bytearray(path.read_bytes())
    if how == "delete":
        path.unlink()
    elif how == "truncate":
        path.write_bytes(content[: pick % max(1, len(content))])
    elif content:
        content[pick % len(content)] ^= 1 << pick % 8
        path.write_bytes(content)
