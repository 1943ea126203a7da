"""Digests of xarray's objects, which cache results and store equal values in different ways.

The digest covers names, dimensions, attributes and encodings with their order, the values, and which coordinates have an
index. A pandas index is digested as in pandas (with its frequency, or the levels of a MultiIndex). Indexes of other
packages are digested by their attributes.
"""

from __future__ import annotations

from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes

__all__: list[str] = []


@encodes("xarray.*.Dataset")
def _encode_dataset(value: Any, encoder: Encoder) -> None:
    encoder.tag("xarray.Dataset")
    encoder.item(dict(value.attrs))
    encoder.item(dict(value.encoding))
    encoder.item(dict(value.sizes))
    encoder.item({name: value.variables[name] for name in value.data_vars})
    _encode_coordinates(value, encoder)


@encodes("xarray.*.DataArray")
def _encode_array(value: Any, encoder: Encoder) -> None:
    encoder.tag("xarray.DataArray")
    encoder.item(value.name)
    encoder.item(value.variable)
    _encode_coordinates(value, encoder)


def _encode_coordinates(value: Any, encoder: Encoder) -> None:
    encoder.item({name: coordinate.variable for name, coordinate in value.coords.items()})
    for name, index in value.xindexes.items():
        encoder.item(name)
        encoder.code(type(index))
        if type(index).__name__ in ("PandasIndex", "PandasMultiIndex"):
            encoder.item(index.dim)
            encoder.item(index.to_pandas_index())
        else:
            encoder.item(index)


@encodes("xarray.*.Variable", "xarray.*.IndexVariable")
def _encode_variable(value: Any, encoder: Encoder) -> None:
    encoder.tag(type(value).__name__)
    encoder.item(tuple(value.dims))
    encoder.item(dict(value.attrs))
    encoder.item(dict(value.encoding))
    if type(value).__name__ == "IndexVariable":
        encoder.item(value.to_index())
        encoder.item(value.to_numpy().view())  # the index may hold this very array, or an equal one
    else:
        encoder.item(value.data)
