"""Helpers for tests of users: reactors without a plant, and a conformance test of ingredient specs."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyplant._definitions import define, definition_of
from pyplant._missing import MISSING
from pyplant._tracer import Tracer
from pyplant.config.classes import ConfigBase, private_copy
from pyplant.config.parameters import Parameters
from pyplant.engine.commands import Request
from pyplant.engine.trace import DependencyKind
from pyplant.errors import (
    MissingIngredientError,
    NotAllocatedError,
    ingredient_as_parameter_error,
    near_misses,
)
from pyplant.events import Event
from pyplant.execution.reactor_execution import Needs, ReactorExecution
from pyplant.fingerprint.hints import CONFIG_NAMES
from pyplant.ingredient import Ingredient
from pyplant.pipework import Pipework
from pyplant.reads.silent_reads import SilentReads
from pyplant.specs import IngredientSpec, StreamSpec
from pyplant.store.objects import hash_file
from pyplant.store.warehouse import Warehouse

__all__ = ["PipeworkMock", "SpecConformance", "run_reactor"]

# ---------------------------------------------------------------------- reactors


class _MockContext:
    """Answers the questions of a reactor outside of a run: it knows only a configuration."""

    track_reads = False

    def __init__(self, config: Mapping[str, Any] | ConfigBase) -> None:
        self.parameters = Parameters()
        self.parameters.set(config)
        self.plant_folders: dict[str, bool] = {}

    def parameter(self, name: str) -> str | None:
        """Return an empty digest, since a mock compares nothing; ``None`` if the parameter is missing."""
        return None if self.parameters.lookup(name) is MISSING else ""

    def outside_in_run(self, kind: DependencyKind, name: str) -> str | None:
        """Return the digest of an input file."""
        del kind
        return hash_file(Path(name)) if Path(name).is_file() else None

    outside_now = outside_in_run

    def silent_reads(self, reactor: Callable[..., Any]) -> SilentReads:
        """Return no functions, since a mock follows no code."""
        del reactor
        return SilentReads()

    def subreactor_entered(self, reactor: Callable[..., Any], function: Callable[..., Any]) -> str:
        """Return an empty fingerprint of a subreactor."""
        del reactor, function
        return ""


class PipeworkMock(Pipework):
    """A pipework for tests of reactors and subreactors without a plant.

    Sent values are stored by the real specs in a temporary directory and loaded from there, so a
    value that cannot be stored fails in the test too.

    Parameters
    ----------
    inputs
        Values to be received, by name.
    config
        A dictionary or a configuration object.
    reactor
        The reactor under test, if any.

    Attributes
    ----------
    inputs
        The values to be received; tests may change them.
    events
        The events that the reactor caused, such as progress, in order.

    Examples
    --------
    >>> from pyplant.testing import PipeworkMock
    >>> pipe = PipeworkMock(config={"color": "red"})
    >>> pipe.send("shade", pipe.read_config("color").upper())
    >>> pipe.sent
    {'shade': 'RED'}
    """

    def __init__(
        self,
        inputs: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | ConfigBase | None = None,
        *,
        reactor: Callable[..., Any] | None = None,
    ) -> None:
        folder = tempfile.mkdtemp(prefix="pyplant-")
        # A TemporaryDirectory warns when it is collected, which fails tests that turn warnings into errors.
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.inputs = dict(inputs or {})
        self.events: list[Event] = []
        definition = define(_placeholder_reactor) if reactor is None else definition_of(reactor)
        warehouse = Warehouse(Path(folder) / "plant")
        context = _MockContext(config if config is not None else {})
        super().__init__(Tracer(definition, warehouse, context, self.events.append))

    @property
    def sent(self) -> dict[str, Any]:
        """The sent values by name, as other reactors would receive them."""
        return {
            name: self._tracer.warehouse.load(output) for name, output in self._tracer.record.outputs.items()
        }

    @property
    def receives(self) -> list[str]:
        """The received names, in order."""
        return self._names(DependencyKind.INGREDIENT)

    @property
    def reads(self) -> list[str]:
        """The parameters that became dependencies, in the order in which they were read."""
        return self._names(DependencyKind.PARAMETER)

    def _names(self, kind: DependencyKind) -> list[str]:
        return [
            name for found in self._tracer.record.dependencies if found.kind is kind for name in found.names
        ]

    def answer(self, names: Sequence[str]) -> Any:
        """Return the value of ``yield pipe.receive(*names)``; for a list, of ``yield pipe.receive(names)``.

        Raises
        ------
        pyplant.errors.MissingIngredientError
            If one is not among the inputs.
        """
        for name in names:
            if name not in self.inputs:
                close = near_misses(name, self.inputs)
                known = (
                    f"Did you mean {close[0]!r}?"
                    if close
                    else f"Given are: {', '.join(self.inputs) or 'none'}."
                )
                message = f"The reactor receives {name!r}, which is not among the inputs. {known}"
                raise MissingIngredientError(message)
        if names:
            self._tracer.record.depend(DependencyKind.INGREDIENT, tuple(names), ("",) * len(names))
        values = [private_copy(self.inputs[name]) for name in names]
        return Request(tuple(names), isinstance(names, list)).deliver(values)


def _placeholder_reactor(pipe: Pipework) -> None:
    """Return the definition of a mock that is created without a reactor."""


def run_reactor(
    reactor: Callable[..., Any],
    inputs: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | ConfigBase | None = None,
) -> PipeworkMock:
    """Run one reactor to completion with given inputs, without a plant.

    Parameters
    ----------
    reactor
        The decorated function.
    inputs
        Values to be received, by name.
    config
        A dictionary or a configuration object.

    Returns
    -------
    pipe
        The mock; ``sent``, ``receives``, ``reads`` and ``events`` say what the reactor did.

    Raises
    ------
    Exception
        The exception of the reactor.
    pyplant.errors.DefinitionError
        If the reactor takes one of the inputs as its second parameter.

    Examples
    --------
    >>> from pyplant import ReactorFunc
    >>> from pyplant.testing import run_reactor
    >>> @ReactorFunc
    ... def double(pipe):
    ...     numbers = yield pipe.receive("numbers")
    ...     pipe.send("doubled", [2 * n for n in numbers])
    >>> run_reactor(double, {"numbers": [1, 2]}).sent
    {'doubled': [2, 4]}
    """
    definition = definition_of(reactor)
    name = definition.config_name
    if name in (inputs or {}) and name not in CONFIG_NAMES:
        raise ingredient_as_parameter_error(definition.name, name, ["inputs"])
    pipe = PipeworkMock(inputs, config, reactor=reactor)
    execution = ReactorExecution(definition, pipe._tracer, pipework=pipe)  # noqa: SLF001 - the mock is created above
    try:
        step = execution.advance()
        while isinstance(step, Needs):
            step = execution.advance(pipe.answer(list(step.names)))
    finally:
        execution.close()
    return pipe


# ---------------------------------------------------------------------- specs


class SpecConformance:
    """The conformance test of an ingredient spec; inherit it in a test class.

    Override :meth:`spec`, :meth:`values` (at least two different ones) and, if ``==`` does not
    compare the values, :meth:`equal`. For specs whose values must be allocated, override :meth:`fill`,
    which writes a value in place.

    Examples
    --------
    ::

        class TestMySpec(SpecConformance):
            def spec(self):
                return MySpec()

            def values(self):
                return [MyValue(1), MyValue(2)]
    """

    def spec(self) -> IngredientSpec:
        """Return the spec under test."""
        raise NotImplementedError

    def values(self) -> list[Any]:
        """Return values that the spec stores, all different."""
        raise NotImplementedError

    def equal(self, left: Any, right: Any) -> bool:
        """Return whether two values are equal, including their types."""
        return type(left) is type(right) and bool(left == right)

    def fill(self, warehouse: Warehouse, value: Any) -> Ingredient:
        """Store a value as a reactor would."""
        return warehouse.save("value", value, self.spec())

    def change(self, value: Any) -> None:
        """Change a received value in place, if it is mutable; the default does nothing."""
        del value

    def _stored(self, folder: Path, value: Any) -> tuple[Warehouse, Ingredient]:
        warehouse = Warehouse(folder)
        warehouse.register_ingredient_specs([self.spec()])
        return warehouse, self.fill(warehouse, value)

    # ------------------------------------------------------------------ the contract

    def test_name_and_suffix_are_safe(self) -> None:
        """Both become parts of traces and file names."""
        spec = self.spec()
        assert re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", spec.name), (
            "the name must be lower-case letters and digits"
        )
        assert re.fullmatch(r"(\.[a-z0-9]{1,12}){0,3}", spec.suffix), "the suffix must be like '.npy'"

    def test_there_are_values_to_test_with(self) -> None:
        """There are at least two different values; with fewer, the other tests prove little."""
        values = self.values()
        assert len(values) >= 2, "give two values at least"  # noqa: PLR2004
        assert not self.equal(values[0], values[1]), "the first two values must differ"

    def test_matching_never_fails(self) -> None:
        """``matches`` is called with values of every type."""
        for value in (None, 1, "text", [1], {}, object(), int, len, *self.values()):
            assert self.spec().matches(value) in (True, False)

    def test_values_come_back_equal(self, tmp_path: Path) -> None:
        """A value is equal after storing and loading, also the second time."""
        for number, value in enumerate(self.values()):
            warehouse, ingredient = self._stored(tmp_path / str(number), value)
            assert self.equal(warehouse.load(ingredient), value)
            assert self.equal(warehouse.load(ingredient), value)
            warehouse.close()

    def test_equal_values_have_equal_digests(self, tmp_path: Path) -> None:
        """Otherwise receivers would rerun although nothing changed."""
        for number, value in enumerate(self.values()):
            _, first = self._stored(tmp_path / f"a{number}", value)
            _, second = self._stored(tmp_path / f"b{number}", value)
            assert first.digest == second.digest

    def test_a_loaded_value_has_the_digest_of_the_one_stored(self, tmp_path: Path) -> None:
        """Sending a received value again must not count as a change."""
        for number, value in enumerate(self.values()):
            warehouse, first = self._stored(tmp_path / f"a{number}", value)
            _, second = self._stored(tmp_path / f"b{number}", warehouse.load(first))
            assert first.digest == second.digest

    def test_different_values_have_different_digests(self, tmp_path: Path) -> None:
        """Otherwise receivers would get a stale result."""
        digests = [self._stored(tmp_path / str(n), value)[1].digest for n, value in enumerate(self.values())]
        assert len(set(digests)) == len(digests)

    def test_metadata_is_json(self, tmp_path: Path) -> None:
        """Metadata is written to the journal."""
        for number, value in enumerate(self.values()):
            _, ingredient = self._stored(tmp_path / str(number), value)
            assert json.loads(json.dumps(ingredient.metadata)) == ingredient.metadata

    def test_changing_a_received_value_changes_nothing_else(self, tmp_path: Path) -> None:
        """Neither the stored value changes nor what others receive."""
        for number, value in enumerate(self.values()):
            warehouse, ingredient = self._stored(tmp_path / str(number), value)
            self.change(warehouse.load(ingredient))
            assert self.equal(warehouse.load(ingredient), value)

    def test_an_existing_file_is_not_overwritten(self, tmp_path: Path) -> None:
        """Stored values are immutable."""
        spec = self.spec()
        if not isinstance(spec, StreamSpec) or spec.must_allocate:
            return
        path = tmp_path / f"value{spec.suffix}"
        path.write_bytes(b"occupied")
        try:
            spec.save(self.values()[0], path)
        except FileExistsError:
            pass
        else:
            message = "save() wrote over an existing file"
            raise AssertionError(message)
        assert path.read_bytes() == b"occupied"

    def test_what_must_be_allocated_cannot_be_saved(self, tmp_path: Path) -> None:
        """Saving a value that was not allocated raises an error that names ``pipe.allocate``."""
        spec = self.spec()
        if not spec.must_allocate:
            return
        try:
            Warehouse(tmp_path / "plant").save("value", self.values()[0], spec)
        except NotAllocatedError as error:
            assert "pipe.allocate" in str(error)
        else:
            message = "a value that was not allocated was saved"
            raise AssertionError(message)
