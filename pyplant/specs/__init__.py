"""Ingredient specs: one file for each format.

``pipe.send(name, value, specs.ArraySpec)`` chooses a spec; without it, the first spec that matches the value is used.
"""

import pyplant.specs.dask_digest  # imported for their effect: they register how objects of libraries are digested
import pyplant.specs.lark_digest
import pyplant.specs.matplotlib_digest
import pyplant.specs.omegaconf_digest
import pyplant.specs.polars_digest
import pyplant.specs.pydantic_digest
import pyplant.specs.sqlalchemy_digest
import pyplant.specs.toolz_digest
import pyplant.specs.torch_digest
import pyplant.specs.xarray_digest  # noqa: F401
from pyplant.specs.array import ArraySpec
from pyplant.specs.base import ByteSink, IngredientSpec, Metadata, StreamSpec
from pyplant.specs.file import FileSpec
from pyplant.specs.hdf import HdfArraySpec
from pyplant.specs.keras import KerasModelSpec
from pyplant.specs.pickled import ObjectSpec
from pyplant.specs.recorded import RecordedSpec
from pyplant.specs.simple import ListSpec, SimpleSpec
from pyplant.specs.sparse import ScipySparseSpec
from pyplant.specs.table import TableSpec

__all__ = [
    "ArraySpec",
    "ByteSink",
    "FileSpec",
    "HdfArraySpec",
    "IngredientSpec",
    "KerasModelSpec",
    "ListSpec",
    "Metadata",
    "ObjectSpec",
    "ScipySparseSpec",
    "SimpleSpec",
    "StreamSpec",
    "TableSpec",
    "builtin_specs",
]


def __dir__() -> list[str]:
    """Return the public names, for completion; modules are not among them."""
    return sorted(name for name in globals() if name in __all__ or name.startswith("__"))


def builtin_specs() -> list[IngredientSpec]:
    """Return all built-in specs in the order in which they are tried; pickle is the last."""
    return [
        SimpleSpec(),
        ListSpec(),
        ArraySpec(),
        HdfArraySpec(),
        ScipySparseSpec(),
        TableSpec(),
        KerasModelSpec(),
        FileSpec(),
        RecordedSpec(),
        ObjectSpec(),
    ]
