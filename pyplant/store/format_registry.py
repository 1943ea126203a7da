"""The formats a plant knows, and whether a stored value may be loaded.

Loading some formats runs code (pickle). Only what this user stored is loaded then: what this
process or its workers made, and what a sealed line of the journal names
(:mod:`pyplant.store.seals`). A planted value is recognised before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

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
        self._told_untrusted = False

    def register(self, specs: Iterable[IngredientSpec]) -> None:
        """Add specs, or replace those of the same name; they win over the built-in ones.

        Raises
        ------
        pyplant.errors.UnknownTypeError
            If one of them is not an ingredient spec; none is added then.
        """
        added = list(specs)
        for spec in added:
            if not isinstance(spec, IngredientSpec):
                shown = f"{spec.__name__}()" if isinstance(spec, type) else "an IngredientSpec object"
                message = f"register_ingredient_specs takes spec objects; {spec!r} is none. Write {shown}."
                raise UnknownTypeError(message)
        for spec in reversed(added):
            self._specs = [spec, *(known for known in self._specs if known.name != spec.name)]

    def spec(self, kind: Any) -> IngredientSpec:
        """The spec meant by an ``Ingredient.Type``, a spec class or object, or a name.

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
            f"{kind!r} is no ingredient type. Known are {known}; "
            f"register others with register_ingredient_specs."
        )
        raise UnknownTypeError(message)

    def matching(self, value: Any) -> Iterator[IngredientSpec]:
        """The specs that suit a value, the most natural one first."""
        return (spec for spec in self._specs if spec.matches(value))

    def copy_for_workers(self) -> FormatRegistry:
        """The same specs, for workers: what they are to load was judged here."""
        formats = FormatRegistry(trust=True)
        formats._specs = list(self._specs)
        return formats

    def trusts(self, ingredient: Ingredient) -> bool:
        """Whether loading an ingredient runs no code, or code that this user stored."""
        known = next((spec for spec in self._specs if spec.name == ingredient.format), None)
        # What no spec here loads runs nothing.
        return self._trust or known is None or not known.runs_code or ingredient.signed

    def parse(self, ingredient: Ingredient, buffer: Any) -> Any:
        """The value of an ingredient whose bytes are in memory or mapped."""
        spec = self.trusted_spec(ingredient)
        if not isinstance(spec, StreamSpec):
            message = f"Ingredient {ingredient.name!r}: type {spec.name!r} is not read from memory."
            raise DamagedError(message)
        try:
            return spec.parse(buffer, ingredient.metadata)
        except MemoryError:
            raise  # says nothing about what is stored
        except (Exception, SystemExit) as error:
            raise _no_longer_loads(ingredient, error) from error

    def load(self, ingredient: Ingredient, path: Path) -> Any:
        """The value of an ingredient whose bytes are in a file."""
        spec = self.trusted_spec(ingredient)
        try:
            return spec.load(path, ingredient.metadata)
        except MemoryError:
            raise  # says nothing about what is stored
        except (Exception, SystemExit) as error:
            raise _no_longer_loads(ingredient, error) from error

    def trusted_spec(self, ingredient: Ingredient) -> IngredientSpec:
        """The spec that loads an ingredient.

        Raises
        ------
        pyplant.errors.UntrustedError
            If that could run the code of somebody else.
        """
        spec = self.spec(ingredient.format)
        if self.trusts(ingredient):
            return spec
        message = (
            f"Ingredient {ingredient.name!r} was stored by another user, or with another signing key, so loading it "
            f"could run code that is not yours. It is computed again; Plant(..., trust=True) loads it."
        )
        if not self._told_untrusted:
            self._told_untrusted = True
            warn(DamageWarning, message)
        raise UntrustedError(message)


def _no_longer_loads(ingredient: Ingredient, error: BaseException) -> DamagedError:
    return DamagedError(f"Ingredient {ingredient.name!r} no longer loads: {type(error).__name__}: {error}")
