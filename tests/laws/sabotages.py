"""Protections switched off, one at a time: negative controls of the laws.

Each function patches one piece of PyPlant so that a law no longer holds. The machine of
:mod:`tests.laws.machine` must notice every one of them: in the scenario of the same name
(:mod:`tests.laws.scenarios`), and every night also in random pipelines.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

from pytest import MonkeyPatch

from pyplant import _tracer, pipework
from pyplant._tracer import Tracer
from pyplant.engine import rebuilder
from pyplant.engine.trace import DependencyKind, TraceTree
from pyplant.engine.verdict import Reason, ReasonKind
from pyplant.errors import DamagedError
from pyplant.execution.context import RunContext
from pyplant.execution.staleness import Staleness
from pyplant.fingerprint import source, syntax
from pyplant.fingerprint.code_graph import NodeBuilder
from pyplant.fingerprint.node_scope import NodeScope
from pyplant.reads import asked_paths, calls, hook
from pyplant.reads.recorder import ReadRecorder
from pyplant.store.inputs import InputFiles
from pyplant.store.journal import Journal
from pyplant.store.ledger import Ledger
from pyplant.store.objects import ObjectStore
from pyplant.store.warehouse import Warehouse
from tests.laws import pipelines

Sabotage = Callable[[MonkeyPatch], None]
SABOTAGES: dict[str, Sabotage] = {}

_SHOWN_BY = {
    "absent_parameters_are_not_recorded": ("maybe", pipelines.HELPERS),
    "base_classes_are_ignored": ("call", ("h9",)),
    "closures_are_ignored": ("call", ("h6",)),
    "registrations_are_ignored": ("call", ("h15",)),
    "imports_inside_functions_are_ignored": ("call", ("h2", "h3")),
    "members_of_classes_are_ignored": ("call", ("h9", "h11")),
    **dict.fromkeys(
        (
            *("opened_files_are_not_recorded", "missing_files_are_not_recorded", "mentions_are_not_found"),
            *("links_count_by_what_they_led_to", "listings_are_not_recorded", "patterns_are_not_recorded"),
            "variables_are_not_recorded",
        ),
        ("outside", pipelines.HELPERS),
    ),
}
"""The steps and helpers that show a sabotage, where a random pipeline seldom has one."""


def aim(patch: MonkeyPatch, name: str) -> None:
    """Let random pipelines do little but what shows this sabotage."""
    if name in _SHOWN_BY:
        kind, helpers = _SHOWN_BY[name]
        patch.setattr(pipelines, "KINDS", (kind, "receive"))
        patch.setattr(pipelines, "HELPERS", helpers)


def _sabotage(function: Sabotage) -> Sabotage:
    SABOTAGES[function.__name__] = function
    return function


# ---------------------------------------------------------------------- what counts as code


def _ignore(patch: MonkeyPatch, condition: Callable[[str, Any], bool]) -> None:
    """Leave out of every fingerprint the references for which the condition holds."""
    add = NodeScope.add

    def forgetful(scope: NodeScope, label: str, target: Any, *more: Any, **named: Any) -> None:
        if not condition(label, target):
            add(scope, label, target, *more, **named)

    patch.setattr(NodeScope, "add", forgetful)


@_sabotage
def helpers_are_not_followed(patch: MonkeyPatch) -> None:
    _ignore(patch, lambda label, target: label[:2] in ("g ", "m ") and isinstance(target, FunctionType))


@_sabotage
def globals_are_ignored(patch: MonkeyPatch) -> None:
    _ignore(
        patch, lambda label, target: label.startswith("g ") and isinstance(target, int | str | dict | list)
    )


@_sabotage
def closures_are_ignored(patch: MonkeyPatch) -> None:
    patch.setattr(NodeBuilder, "_cell", lambda *_: None)


@_sabotage
def registrations_are_ignored(patch: MonkeyPatch) -> None:
    _ignore(patch, lambda label, _: label in ("closure registry", "attribute registry"))


@_sabotage
def defaults_are_ignored(patch: MonkeyPatch) -> None:
    _ignore(patch, lambda label, _: label.startswith("default "))


@_sabotage
def base_classes_are_ignored(patch: MonkeyPatch) -> None:
    _ignore(patch, lambda label, _: label.startswith("base "))


@_sabotage
def members_of_classes_are_ignored(patch: MonkeyPatch) -> None:
    _ignore(patch, lambda label, _: label.startswith("member "))


@_sabotage
def imports_inside_functions_are_ignored(patch: MonkeyPatch) -> None:
    _ignore(patch, lambda label, _: label.startswith("m "))


@_sabotage
def types_of_constants_are_ignored(patch: MonkeyPatch) -> None:
    class Plain(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.Constant:
            return ast.Constant(int(node.value)) if isinstance(node.value, bool | float) else node

    digest = syntax.syntax_digest
    patch.setattr(
        source, "syntax_digest", lambda node, names=None: digest(Plain().visit(copy.deepcopy(node)), names)
    )


@_sabotage
def source_is_taken_from_the_file_as_it_is(patch: MonkeyPatch) -> None:
    """By name, without looking whether it compiles to the code that runs."""

    def find(sources: source.Sources, code: Any, namespace: Any) -> Any:
        sources._texts.pop(code.co_filename, None)
        sources.capture(code.co_filename, namespace)
        for text in sources._texts.get(code.co_filename, ()):
            for node in ast.walk(ast.parse("".join(text.lines))):
                if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
                    return text.segment(node), node
        return None

    patch.setattr(source.Sources, "_find", find)


@_sabotage
def comments_count(patch: MonkeyPatch) -> None:
    from_source = source.Sources._from_source

    def textual(code: Any, text: Any, node: Any) -> Any:
        part = from_source(code, text, node)
        return part._replace(digest=part.text)

    patch.setattr(source.Sources, "_from_source", staticmethod(textual))


# ---------------------------------------------------------------------- what counts as read


@_sabotage
def types_of_parameters_are_ignored(patch: MonkeyPatch) -> None:
    digest = RunContext._parameter_digest

    def plain(context: RunContext, name: str, value: Any) -> str:
        return digest(context, name, int(value) if isinstance(value, bool | float) else value)

    patch.setattr(RunContext, "_parameter_digest", plain)


@_sabotage
def absent_parameters_are_not_recorded(patch: MonkeyPatch) -> None:
    patch.setattr(Tracer, "absent", lambda *_: None)


@_sabotage
def groups_of_ingredients_are_not_compared(patch: MonkeyPatch) -> None:
    following = rebuilder._following

    def lenient(question: Any, answers: Any, digests: Any, facts: Any) -> Any:
        kind, names = question
        if kind is DependencyKind.INGREDIENT and len(names) > 1:
            return list(answers.values())[-1:]
        return following(question, answers, digests, facts)

    patch.setattr(rebuilder, "_following", lenient)


@_sabotage
def files_are_judged_by_their_time(patch: MonkeyPatch) -> None:
    def digest(_: InputFiles, path: str, limit: object = None) -> str:
        del limit
        if not os.path.exists(path):
            return "absent"
        return f"{os.stat(path).st_mtime_ns} {os.stat(path).st_size}"

    patch.setattr(InputFiles, "digest", digest)


def _without_events(patch: MonkeyPatch, *events: str) -> None:
    handlers = {event: handler for event, handler in hook._HANDLERS.items() if event not in events}
    patch.setattr(hook, "_HANDLERS", handlers)


@_sabotage
def opened_files_are_not_recorded(patch: MonkeyPatch) -> None:
    _without_events(patch, "open")


@_sabotage
def listings_are_not_recorded(patch: MonkeyPatch) -> None:
    _without_events(patch, "os.listdir", "os.scandir")


@_sabotage
def patterns_are_not_recorded(patch: MonkeyPatch) -> None:
    _without_events(patch, "glob.glob/2")


@_sabotage
def missing_files_are_not_recorded(patch: MonkeyPatch) -> None:
    opened = ReadRecorder.opened

    def existing(recorder: ReadRecorder, path: object, *arguments: Any, **options: Any) -> None:
        if os.path.exists(str(path)):
            opened(recorder, path, *arguments, **options)

    patch.setattr(ReadRecorder, "opened", existing)


@_sabotage
def links_count_by_what_they_led_to(patch: MonkeyPatch) -> None:
    opened = ReadRecorder.opened

    def resolved(recorder: ReadRecorder, path: object, *arguments: Any, **options: Any) -> None:
        opened(recorder, os.path.realpath(str(path)), *arguments, **options)

    patch.setattr(ReadRecorder, "opened", resolved)


@_sabotage
def mentions_are_not_found(patch: MonkeyPatch) -> None:
    patch.setattr(_tracer, "find_mentions", lambda functions, recorder: None)
    patch.setattr(calls, "mention_argument", lambda *arguments: None)
    patch.setattr(asked_paths, "mention_argument", lambda *arguments: None)


@_sabotage
def variables_are_not_recorded(patch: MonkeyPatch) -> None:
    patch.setattr(ReadRecorder, "asked_for_variable", lambda *arguments: None)


# ---------------------------------------------------------------------- values


@_sabotage
def values_are_shared(patch: MonkeyPatch) -> None:
    load, loaded = Warehouse.load, {}

    def shared(warehouse: Warehouse, ingredient: Any) -> Any:
        if ingredient.digest not in loaded:
            loaded[ingredient.digest] = load(warehouse, ingredient)
        return loaded[ingredient.digest]

    patch.setattr(Warehouse, "load", shared)


@_sabotage
def parameters_are_shared(patch: MonkeyPatch) -> None:
    for module in (_tracer, pipework):
        patch.setattr(module, "private_copy", lambda value: value)


@_sabotage
def equal_results_rerun_their_receivers(patch: MonkeyPatch) -> None:
    save, numbers = Warehouse.save, itertools.count()

    def unique(warehouse: Warehouse, name: str, value: Any, kind: Any = None) -> Any:
        ingredient = save(warehouse, name, value, kind)
        return dataclasses.replace(ingredient, digest=f"{ingredient.digest} {next(numbers)}")

    patch.setattr(Warehouse, "save", unique)


# ---------------------------------------------------------------------- the store


@_sabotage
def objects_are_not_verified(patch: MonkeyPatch) -> None:
    def found(store: ObjectStore, stored: str, _: int) -> Path:
        path = store.path(stored)
        if not path.exists():
            raise DamagedError(stored)
        return path

    patch.setattr(ObjectStore, "verified", found)


@_sabotage
def invalidation_is_not_durable(patch: MonkeyPatch) -> None:
    def forget(ledger: Ledger, full_name: str, fingerprint: str) -> None:
        for name in (full_name, fingerprint):
            ledger._forget(name, ledger._journal._number)

    patch.setattr(Ledger, "forget", forget)


@_sabotage
def results_are_written_at_the_end_of_the_process(patch: MonkeyPatch) -> None:
    patch.setattr(Journal, "flush", lambda *_, **__: None)


@_sabotage
def only_the_newest_trace_is_kept(patch: MonkeyPatch) -> None:
    tree = Ledger.tree

    def newest(ledger: Ledger, fingerprint: str) -> TraceTree | None:
        found = tree(ledger, fingerprint)
        best = found.root.newest if found is not None else None
        if best is None:
            return found
        pruned = TraceTree()
        pruned.add(best)
        return pruned

    patch.setattr(Ledger, "tree", newest)


# ---------------------------------------------------------------------- explanations


@_sabotage
def every_reactor_says_it_never_ran(patch: MonkeyPatch) -> None:
    patch.setattr(
        RunContext, "_why_unknown", lambda _, definition, __: Reason(ReasonKind.NEW, definition.name)
    )


@_sabotage
def plans_claim_to_be_certain(patch: MonkeyPatch) -> None:
    entry = Staleness.entry

    def certain(staleness: Staleness, *args: Any, **options: Any) -> Any:
        return dataclasses.replace(entry(staleness, *args, **options), certain=True)

    patch.setattr(Staleness, "entry", certain)
