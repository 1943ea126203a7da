"""The formats that a plant knows, and whether a stored value may be loaded.

Loading some formats runs code (pickle). Values of these formats are loaded only if this user stored them: this process
or its workers made them, or a sealed line of the journal names them (:mod:`pyplant.store.seals`). That is checked before
the value is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pyplant._formatting import error_text
from pyplant.errors import DamagedError, DamageWarning, UnknownTypeError, UntrustedError, warn
from pyplant.ingredient import Ingredient
from pyplant.specs import builtin_specs
from pyplant.specs.base import IngredientSpec, StreamSpec

__all__ = ["FormatRegistry"]


class FormatRegistry:
    """Ingredient specs by name, class and value.

    Parameters
    ----------
    trust
        Whether to load pickled values that another user made.
    """

    def __init__(self, *, trust: bool = False) -> None:
        self._trust = trust
        self._specs: list[IngredientSpec] = builtin_specs()
        self._has_warned = False

    def register(self, specs: Iterable[IngredientSpec]) -> None:
        """Add specs or replace those of the same name; they are tried before the built-in ones.

        Raises
        ------
        pyplant.errors.UnknownTypeError
            If one of them is not an ingredient spec. None is added then.
        """
        added = list(specs)
        for spec in added:
            if not isinstance(spec, IngredientSpec):
                shown = f"{spec.__name__}()" if isinstance(spec, type) else "an IngredientSpec object"
                message = (
                    f"register_ingredient_specs takes spec objects, and {spec!r} is not one. Write {shown}."
                )
                raise UnknownTypeError(message)
        # Reversed, since each is put in front: the first of several specs is tried first.
        for spec in reversed(added):
            self._specs = [spec, *(known for known in self._specs if known.name != spec.name)]

    def spec(self, kind: Any) -> IngredientSpec:
        """Return the spec for an ``Ingredient.Type``, a spec class or object, or a name.

        Raises
        ------
        pyplant.errors.UnknownTypeError
            If there is none.
        """
        if isinstance(kind, Ingredient.Type):
            kind = kind.value
        for spec in self._specs:
            if kind in (spec.name, type(spec)) or kind is spec:
                return spec
        if isinstance(kind, type) and issubclass(kind, IngredientSpec):
            kind = kind()
        if isinstance(kind, IngredientSpec):
            self.register([kind])
            return kind
        known = ", ".join(sorted(spec.name for spec in self._specs))
        message = (
            f"{kind!r} is not an ingredient type. Known types: {known}. "
            f"Register others with register_ingredient_specs."
        )
        raise UnknownTypeError(message)

    def spec_of(self, ingredient: Ingredient) -> IngredientSpec:
        """Return the spec of a stored ingredient.

        Raises
        ------
        pyplant.errors.UnknownTypeError
            If there is none.
        pyplant.errors.DamagedError
            If another user says so, who could name any format.
        """
        try:
            return self.spec(ingredient.format)
        except UnknownTypeError as error:
            if ingredient.signed:
                raise
            raise DamagedError(f"Ingredient {ingredient.name!r}: {error}") from error

    def matching(self, value: Any) -> Iterator[IngredientSpec]:
        """Return the specs that can hold a value, the best one first."""
        return (spec for spec in self._specs if spec.matches(value))

    def copy_for_workers(self) -> FormatRegistry:
        """Return a registry for workers that trusts every value, since the run checks what they load."""
        formats = FormatRegistry(trust=True)
        formats._specs = list(self._specs)
        return formats

    def trusts(self, ingredient: Ingredient) -> bool:
        """Return whether loading an ingredient runs no code, or only code that this user stored."""
        known = next((spec for spec in self._specs if spec.name == ingredient.format), None)
        # An ingredient of an unknown format cannot be loaded and so runs nothing.
        return self._trust or known is None or not known.runs_code or ingredient.signed

    def parse(self, ingredient: Ingredient, buffer: Any) -> Any:
        """Return the value of an ingredient whose bytes are in memory or mapped."""
        spec = self.trusted_spec(ingredient)
        if not isinstance(spec, StreamSpec):
            message = f"Ingredient {ingredient.name!r}: type {spec.name!r} cannot be loaded from memory."
            raise DamagedError(message)
        try:
            if not ingredient.signed:
                spec.validate(buffer, ingredient.metadata)
            return spec.parse(buffer, ingredient.metadata)
        except MemoryError:
            raise  # the stored value may be intact
        except BaseException as error:
            if not _is_of_value(error):
                raise
            raise _load_error(ingredient, error) from error

    def load(self, ingredient: Ingredient, path: Path) -> Any:
        """Return the value of an ingredient whose bytes are in a file."""
        spec = self.trusted_spec(ingredient)
        try:
            return spec.load(path, ingredient.metadata)
        except MemoryError:
            raise  # the stored value may be intact
        except BaseException as error:
            if not _is_of_value(error):
                raise
            raise _load_error(ingredient, error) from error

    def trusted_spec(self, ingredient: Ingredient) -> IngredientSpec:
        """Return the spec of an ingredient that may be loaded.

        Raises
        ------
        pyplant.errors.UntrustedError
            If loading it could run code of another user.
        """
        spec = self.spec(ingredient.format)
        if self.trusts(ingredient):
            return spec
        message = (
            f"Ingredient {ingredient.name!r} was stored by another user, or with another signing key, so loading it "
            f"could run code that is not yours. It is computed again; Plant(..., trust=True) loads it."
        )
        if not self._has_warned:
            self._has_warned = True
            warn(DamageWarning, message)
        raise UntrustedError(message)


def _is_of_value(error: BaseException) -> bool:
    """Return whether a library raised an error because of the value; Polars raises one that is no ``Exception``."""
    return isinstance(error, Exception | SystemExit) or type(error).__name__ == "PanicException"


def _load_error(ingredient: Ingredient, error: BaseException) -> DamagedError:
    return DamagedError(f"Ingredient {ingredient.name!r} no longer loads: {error_text(error)}")
