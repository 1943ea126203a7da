"""Exports ingredients to a folder that can be read without a plant.

The folder has one file for each ingredient and a manifest. An entry of the manifest is signed if this user stored the
ingredient, so that pickles in the folder load for the same user without ``trust=True``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from blake3 import blake3

from pyplant import _paths
from pyplant.errors import DamagedError, MissingIngredientError, PlantDirError
from pyplant.ingredient import Ingredient
from pyplant.specs.base import StreamSpec
from pyplant.store.files import Files, unique_name
from pyplant.store.format_registry import FormatRegistry
from pyplant.store.keys import signing_key
from pyplant.store.objects import hash_bytes, hash_file
from pyplant.store.warehouse import Warehouse

__all__ = ["export", "load_ingredients"]

_MANIFEST = "ingredients.json"
_VERSION = 1


def export(
    warehouse: Warehouse, ingredients: Iterable[Ingredient], directory: str | os.PathLike[str]
) -> Path:
    """Write ingredients to a folder; an earlier export in it is replaced.

    Parameters
    ----------
    warehouse
        The store that has them.
    ingredients
        The ingredients to write.
    directory
        A folder that is new, empty, or holds an earlier export.

    Raises
    ------
    pyplant.errors.PlantDirError
        If the folder holds other files.
    pyplant.errors.DamagedError
        If a stored value is damaged. The folder is left as it was then.
    """
    directory = _paths.directory(directory)
    earlier = _exported_files(directory)
    directory.mkdir(parents=True, exist_ok=True)
    # Complete before anything is replaced, and on the same disk.
    scratch = directory / f".{unique_name()}.part"
    scratch.mkdir()
    try:
        listed = [
            _copy(warehouse, number, ingredient, scratch) for number, ingredient in enumerate(ingredients, 1)
        ]
        text = json.dumps({"version": _VERSION, "ingredients": listed}, indent=1)
        (scratch / _MANIFEST).write_text(text + "\n", encoding="utf-8")
        # Digests in the manifest, which is replaced last, tell of files that do not belong to it.
        written = [entry["file"] for entry in listed] + [_MANIFEST]
        for name in written:
            (scratch / name).replace(directory / name)
        for name in earlier.difference(written):
            (directory / name).unlink(missing_ok=True)
    finally:
        for path in scratch.iterdir():
            path.unlink()
        scratch.rmdir()
    return directory


def _exported_files(directory: Path) -> set[str]:
    """Return the names of the files of an earlier export.

    Raises
    ------
    pyplant.errors.PlantDirError
        If there are other files, which are not overwritten.
    """
    if not directory.exists():
        return set()
    if not directory.is_dir():
        message = f"{directory} is a file; export to a folder."
        raise PlantDirError(message)
    found = {path.name for path in directory.iterdir()}
    exported: set[str] = set()
    if _MANIFEST in found:
        with suppress(ValueError, KeyError, TypeError):
            manifest = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
            exported = {_MANIFEST, *(Path(item["file"]).name for item in manifest["ingredients"])}
    if other := sorted(found - exported):
        message = (
            f"{directory} holds other files ({', '.join(other[:3])}); export to a new folder, or to one that "
            f"holds nothing but an earlier export."
        )
        raise PlantDirError(message)
    return exported


def _copy(warehouse: Warehouse, number: int, ingredient: Ingredient, directory: Path) -> dict[str, Any]:
    """Write one ingredient and return its entry in the manifest."""
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
    # Of what was stored, and not of the file: another user may be able to write to the folder, and this is what is signed.
    digest = (
        ingredient.object.partition(".")[0] if ingredient.inline is None else hash_bytes(ingredient.inline)
    )
    if hash_file(path) != digest:
        message = f"Ingredient {ingredient.name!r} cannot be exported: it changed while it was copied."
        raise DamagedError(message)
    entry = {
        "name": ingredient.name,
        "format": ingredient.format,
        "file": path.name,
        "digest": digest,
        "metadata": ingredient.metadata,
        "inline": ingredient.inline is not None,
    }
    if ingredient.signed:  # else exporting would turn a value of another user into one of this user
        entry["signature"] = _signature(entry)
    return entry


def _signature(entry: dict[str, Any]) -> str:
    """Return a keyed digest of an entry of the manifest."""
    covered = json.dumps({name: entry[name] for name in entry if name != "signature"}, sort_keys=True)
    key = blake3(b"export", key=signing_key()).digest()
    return blake3(covered.encode("utf-8", "surrogatepass"), key=key).hexdigest(length=16)


def load_ingredients(directory: str | Path, *, trust: bool = False) -> dict[str, Any]:
    """Load the ingredients in a folder that ``plant.export`` wrote.

    Parameters
    ----------
    directory
        The folder.
    trust
        Whether to load pickled values of another user, which can run their code.

    Returns
    -------
    values
        The values by name.

    Raises
    ------
    pyplant.errors.MissingIngredientError
        If the folder was not written by ``plant.export``.
    pyplant.errors.DamagedError
        If a file is damaged or may not be loaded.
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
    path = root / Path(item["file"]).name  # the name alone, which cannot lead out of the folder
    spec = formats.spec(item["format"])
    runs_code = spec.runs_code
    # What runs code is loaded from a copy: others who may write to the folder could replace the file once it is verified.
    content = path.read_bytes() if path.is_file() and (runs_code or item["inline"]) else None
    digest = hash_bytes(content) if content is not None else hash_file(path) if path.is_file() else ""
    if digest != item["digest"]:
        message = f"{path} is missing or damaged: export {item['name']!r} again."
        raise DamagedError(message)
    ingredient = Ingredient(
        item["name"],
        item["format"],
        item["digest"],
        item["digest"],
        path.stat().st_size if content is None else len(content),
        item["metadata"],
        content if item["inline"] else None,
        signed=item.get("signature") == _signature(item),
    )
    if isinstance(spec, StreamSpec):
        return formats.parse(ingredient, Files().map_private(path) if content is None else content)
    if not runs_code or content is None:
        return formats.load(ingredient, path)
    with Files().private_copy(content, path.suffix) as copy:
        return formats.load(ingredient, copy)
