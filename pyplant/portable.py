"""Ingredients in a folder of their own, to be given away and read without a plant."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from blake3 import blake3

from pyplant import _paths
from pyplant.errors import DamagedError, MissingIngredientError, PlantDirError
from pyplant.ingredient import Ingredient
from pyplant.store.format_registry import FormatRegistry
from pyplant.store.keys import signing_key
from pyplant.store.objects import hash_file
from pyplant.store.warehouse import Warehouse

__all__ = ["export", "load_ingredients"]

_MANIFEST = "ingredients.json"
_VERSION = 1


def export(
    warehouse: Warehouse, ingredients: Iterable[Ingredient], directory: str | os.PathLike[str]
) -> Path:
    """Write ingredients to a new folder.

    Parameters
    ----------
    warehouse
        Where they are.
    ingredients
        What to write.
    directory
        Empty, or not there yet.

    Raises
    ------
    pyplant.errors.PlantDirError
        If the folder holds something else.
    pyplant.errors.DamagedError
        If a value is not what was written. Nothing is left in the folder then.
    """
    directory = _paths.directory(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        message = f"{directory} is not an empty folder; export to a new one."
        raise PlantDirError(message)
    directory.mkdir(parents=True, exist_ok=True)
    try:
        listed = [_copy(warehouse, number, one, directory) for number, one in enumerate(ingredients, 1)]
        text = json.dumps({"version": _VERSION, "ingredients": listed}, indent=1)
        (directory / _MANIFEST).write_text(text + "\n", encoding="utf-8")
    except BaseException:  # half of them are of no use, and would be in the way of the next try
        for path in directory.iterdir():
            path.unlink()
        raise
    return directory


def _copy(warehouse: Warehouse, number: int, ingredient: Ingredient, directory: Path) -> dict[str, Any]:
    """Write one ingredient; returns its entry in the manifest."""
    from shutil import copyfile  # slow to load

    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", ingredient.name).strip("-")[:60]
    suffix = "." + ingredient.object.partition(".")[2] if "." in ingredient.object else ".bin"
    path = directory / f"{number:03}-{slug}{suffix}"
    if ingredient.inline is not None:
        path.write_bytes(ingredient.inline)
    else:
        try:
            stored = warehouse.objects.verified(ingredient.object, ingredient.size)
        except DamagedError as error:
            message = f"Ingredient {ingredient.name!r} cannot be exported. {error} Compute it again first."
            raise DamagedError(message) from error
        copyfile(stored, path)
    entry = {
        "name": ingredient.name,
        "format": ingredient.format,
        "file": path.name,
        "digest": hash_file(path),
        "metadata": ingredient.metadata,
        "inline": ingredient.inline is not None,
    }
    if ingredient.signed:  # what another user stored must not become this user's by being exported
        entry["signature"] = _signature(entry)
    return entry


def _signature(entry: dict[str, Any]) -> str:
    """A keyed digest of all that an entry of the manifest says."""
    said = json.dumps({name: entry[name] for name in entry if name != "signature"}, sort_keys=True)
    key = blake3(b"export", key=signing_key()).digest()
    return blake3(said.encode("utf-8", "surrogatepass"), key=key).hexdigest(length=16)


def load_ingredients(directory: str | Path, *, trust: bool = False) -> dict[str, Any]:
    """Read a folder that ``plant.export`` wrote.

    Parameters
    ----------
    directory
        The folder.
    trust
        Whether to load pickled values made by another user, which can run their code.

    Returns
    -------
    values
        The values by name.

    Raises
    ------
    pyplant.errors.MissingIngredientError
        If the folder was not written by ``plant.export``.
    pyplant.errors.DamagedError
        If a file is not what was written, or may not be loaded.
    """
    root = _paths.directory(directory)
    try:
        manifest = json.loads((root / _MANIFEST).read_text(encoding="utf-8"))
        listed = manifest["ingredients"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{root} holds no exported ingredients ({_MANIFEST} is missing or damaged)."
        raise MissingIngredientError(message) from error
    if manifest.get("version") != _VERSION:
        message = f"{root} was exported by a newer version of PyPlant; update to read it."
        raise MissingIngredientError(message)
    formats = FormatRegistry(trust=trust)
    return {item["name"]: _load(formats, root, item) for item in listed}


def _load(formats: FormatRegistry, root: Path, item: dict[str, Any]) -> Any:
    path = root / Path(item["file"]).name
    if not path.is_file() or hash_file(path) != item["digest"]:
        message = f"{path} is missing or damaged: export {item['name']!r} again."
        raise DamagedError(message)
    inline = path.read_bytes() if item["inline"] else None
    ingredient = Ingredient(
        item["name"],
        item["format"],
        item["digest"],
        item["digest"],
        path.stat().st_size,
        item["metadata"],
        inline,
        signed=item.get("signature") == _signature(item),
    )
    return formats.load(ingredient, path)
