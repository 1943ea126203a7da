"""What users' own tests need: reactors without a plant, and a check of ingredient specs."""

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
from pyplant.errors import MissingIngredientError, NotAllocatedError, ingredient_as_parameter, near_misses
from pyplant.events import Event
from pyplant.execution.reactor_execution import Needs, ReactorExecution
from pyplant.fingerprint.hints import CONFIG_NAMES
from pyplant.ingredient import Ingredient
from pyplant.pipework import Pipework
from pyplant.specs import IngredientSpec, StreamSpec
from pyplant.store.objects import hash_file
from pyplant.store.warehouse import Warehouse

__all__ = ["PipeworkMock", "SpecConformance", "run_reactor"]

# ---------------------------------------------------------------------- reactors


class _Facts:
    """What a mock knows of the run around it: nothing but its configuration."""

    def __init__(self, config: Mapping[str, Any] | ConfigBase) -> None:
        self.parameters = Parameters()
        self.parameters.set(config)

    def parameter(self, name: str) -> str | None:
        """Digest of a parameter; a mock compares nothing."""
        return None if self.parameters.lookup(name) is MISSING else ""

    def file(self, path: str) -> str | None:
        """Digest of an input file."""
        return hash_file(Path(path)) if Path(path).is_file() else None

    def subreactor_entered(self, function: Callable[..., Any], name: str) -> str:
        """Fingerprint of a subreactor."""
        del function, name
        return ""


class PipeworkMock(Pipework):
    """A pipework of its own, to test reactors and subreactors without a plant.

    What is sent goes through the real specs into a temporary directory and comes back
    from there, so that a value which cannot be stored fails here as well.

    Parameters
    ----------
    inputs
        Values to be received, by name.
    config
        A dictionary or a configuration object.
    reactor
        The reactor it is for, where there is one.

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
        # A TemporaryDirectory would warn when it goes, which fails tests that take warnings for errors.
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.inputs = dict(inputs or {})
        self.events: list[Event] = []
        definition = define(_nothing) if reactor is None else definition_of(reactor)
        warehouse = Warehouse(Path(folder) / "plant")
        facts = _Facts(config if config is not None else {})
        super().__init__(Tracer(definition, warehouse, facts, self.events.append))

    @property
    def sent(self) -> dict[str, Any]:
        """What was sent, by name, as others would receive it."""
        return {
            name: self._tracer.warehouse.load(output) for name, output in self._tracer.record.outputs.items()
        }

    @property
    def receives(self) -> list[str]:
        """The names that were received, in order."""
        return self._names(DependencyKind.INGREDIENT)

    @property
    def reads(self) -> list[str]:
        """The parameters that count as dependencies, in the order in which they were read."""
        return self._names(DependencyKind.PARAMETER)

    def _names(self, kind: DependencyKind) -> list[str]:
        return [
            name for found in self._tracer.record.dependencies if found.kind is kind for name in found.names
        ]

    def answer(self, names: Sequence[str]) -> Any:
        """What ``yield pipe.receive(*names)`` gives; for a list, ``yield pipe.receive(names)``.

        Raises
        ------
        pyplant.errors.MissingIngredientError
            If the inputs lack one.
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


def _nothing(pipe: Pipework) -> None:
    """Stands for the reactor where a mock is made without one."""


def run_reactor(
    reactor: Callable[..., Any],
    inputs: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | ConfigBase | None = None,
) -> PipeworkMock:
    """Run one reactor to its end against given inputs, without a plant.

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
        Its ``sent``, ``receives``, ``reads`` and ``events`` tell what the reactor did.

    Raises
    ------
    Exception
        What the reactor raises.
    pyplant.errors.DefinitionError
        If it takes one of the inputs as its second parameter.

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
        raise ingredient_as_parameter(definition.name, name, ["inputs"])
    pipe = PipeworkMock(inputs, config, reactor=reactor)
    execution = ReactorExecution(definition, pipe._tracer, pipework=pipe)  # noqa: SLF001 - made for it here
    try:
        step = execution.advance()
        while isinstance(step, Needs):
            step = execution.advance(pipe.answer(list(step.names)))
    finally:
        execution.close()
    return pipe


# ---------------------------------------------------------------------- specs


class SpecConformance:
    """What every ingredient spec must do; inherit it in your tests.

    Override :meth:`spec`, :meth:`values` (at least two that differ) and, where ``==`` does
    not do, :meth:`equal`. For specs whose values must be allocated, :meth:`fill` makes a
    value in place.

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
        """The spec that is tested."""
        raise NotImplementedError

    def values(self) -> list[Any]:
        """Values it stores, no two alike."""
        raise NotImplementedError

    def equal(self, left: Any, right: Any) -> bool:
        """Whether two values are the same, type included."""
        return type(left) is type(right) and bool(left == right)

    def fill(self, warehouse: Warehouse, value: Any) -> Ingredient:
        """Store a value the way a reactor would."""
        return warehouse.save("value", value, self.spec())

    def change(self, value: Any) -> None:
        """Change a received value in place, if that is possible; the default does nothing."""
        del value

    def _stored(self, folder: Path, value: Any) -> tuple[Warehouse, Ingredient]:
        warehouse = Warehouse(folder)
        warehouse.register_ingredient_specs([self.spec()])
        return warehouse, self.fill(warehouse, value)

    # ------------------------------------------------------------------ the contract

    def test_name_and_suffix_are_safe(self) -> None:
        """They go into traces and file names."""
        spec = self.spec()
        assert re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", spec.name), (
            "the name must be lower-case letters and digits"
        )
        assert re.fullmatch(r"(\.[a-z0-9]{1,12}){0,3}", spec.suffix), "the suffix must be like '.npy'"

    def test_there_are_values_to_test_with(self) -> None:
        """Two at least, and different ones: otherwise the rest proves little."""
        values = self.values()
        assert len(values) >= 2, "give two values at least"  # noqa: PLR2004
        assert not self.equal(values[0], values[1]), "the first two values must differ"

    def test_matching_never_fails(self) -> None:
        """It is asked about values of every kind."""
        for value in (None, 1, "text", [1], {}, object(), int, len, *self.values()):
            assert self.spec().matches(value) in (True, False)

    def test_values_come_back_equal(self, tmp_path: Path) -> None:
        """Stored and loaded, also by another warehouse."""
        for number, value in enumerate(self.values()):
            warehouse, ingredient = self._stored(tmp_path / str(number), value)
            assert self.equal(warehouse.load(ingredient), value)
            assert self.equal(warehouse.load(ingredient), value)
            warehouse.close()

    def test_equal_values_have_equal_digests(self, tmp_path: Path) -> None:
        """Otherwise everything below would run again for nothing."""
        for number, value in enumerate(self.values()):
            _, first = self._stored(tmp_path / f"a{number}", value)
            _, second = self._stored(tmp_path / f"b{number}", value)
            assert first.digest == second.digest

    def test_a_loaded_value_has_the_digest_of_the_one_stored(self, tmp_path: Path) -> None:
        """Handing on what was received must not look like a change."""
        for number, value in enumerate(self.values()):
            warehouse, first = self._stored(tmp_path / f"a{number}", value)
            _, second = self._stored(tmp_path / f"b{number}", warehouse.load(first))
            assert first.digest == second.digest

    def test_different_values_have_different_digests(self, tmp_path: Path) -> None:
        """Otherwise a stale result would be served."""
        digests = [self._stored(tmp_path / str(n), value)[1].digest for n, value in enumerate(self.values())]
        assert len(set(digests)) == len(digests)

    def test_metadata_is_json(self, tmp_path: Path) -> None:
        """It stands in the journal."""
        for number, value in enumerate(self.values()):
            _, ingredient = self._stored(tmp_path / str(number), value)
            assert json.loads(json.dumps(ingredient.metadata)) == ingredient.metadata

    def test_changing_a_received_value_changes_nothing_else(self, tmp_path: Path) -> None:
        """Neither what is stored nor what others receive."""
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
        """The error says so at once."""
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
