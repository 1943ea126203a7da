"""Small previews of values: text, the first rows of a table, or a thumbnail of a figure.

No library is imported: what a value is shows in its attributes.
"""

from __future__ import annotations

import io
import reprlib
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pyplant._formatting import clean, counted
from pyplant.errors import logger

__all__ = ["preview_of", "shape_text"]

_ROWS, _COLUMNS = 5, 8
_MAX_ITEMS = 1_000_000  # elements of an array that its statistics cover
_MAX_TEXT = 600  # characters
_DPI = 40  # of thumbnails of figures


def preview_of(value: Any) -> dict[str, Any]:
    """Return a preview of a value.

    Returns
    -------
    preview
        ``text``, and possibly ``rows`` of a table with the head first, or ``image``, a PNG as base64.
    """
    for preview in (_figure, _frame, _array):
        try:
            found = preview(value)
        except Exception:  # noqa: BLE001 - it only looks like one of these
            logger().debug("No preview of a %s:", type(value).__name__, exc_info=True)
            continue
        if found is not None:
            return found
    return {"text": _described(value)}


def _figure(value: Any) -> dict[str, Any] | None:
    is_image = hasattr(value, "thumbnail") and hasattr(value, "copy")  # of Pillow
    if not is_image and not (hasattr(value, "savefig") and hasattr(value, "get_axes")):
        return None
    content = io.BytesIO()
    if is_image:
        small = value.copy()
        small.thumbnail((320, 320))
        small.save(content, format="PNG")
        text = " × ".join(map(str, value.size))
    else:
        value.savefig(content, format="png", dpi=_DPI)
        text = type(value).__name__
    return {"text": text, "image": b64encode(content.getvalue()).decode("ascii")}


def _frame(value: Any) -> dict[str, Any] | None:
    columns = getattr(value, "columns", None)
    if columns is None or not hasattr(value, "head") or not hasattr(value, "shape"):
        return None
    names = [str(name) for name in columns]
    head = value.head(_ROWS)
    shown = names[:_COLUMNS]
    cells = [[_short(item) for item in list(head[name])] for name in list(columns)[:_COLUMNS]]
    more = ["…"] if len(names) > _COLUMNS else []
    rows = [[*row, *more] for row in zip(*cells, strict=True)]
    text = f"{counted(value.shape[0], 'row')}, {counted(len(names), 'column')}"
    return {"text": text, "rows": [[*map(clean, shown), *more], *rows]}


def _array(value: Any) -> dict[str, Any] | None:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if not isinstance(shape, tuple) or dtype is None:
        return None
    parts = [shape_text(shape, dtype)]
    flat = value.reshape(-1)[:_MAX_ITEMS]
    if getattr(dtype, "kind", "") in "iufb" and len(flat):
        finite = flat[flat == flat] if dtype.kind == "f" else flat  # noqa: PLR0124 - NaN differs from itself
        if len(finite):
            numbers = (f"{word} {number:.4g}" for word, number in _statistics(finite))
            parts.append(", ".join(numbers))
        if len(finite) < len(flat):
            parts.append(f"{len(flat) - len(finite)} NaN")
        if len(flat) < value.size:
            parts.append(f"of the first {counted(len(flat), 'element')}")
    parts.append(
        "["
        + ", ".join(_short(item) for item in flat[:_COLUMNS].tolist())
        + (", …]" if len(flat) > _COLUMNS else "]")
    )
    return {"text": "\n".join(parts)}


def shape_text(shape: Iterable[object], dtype: object) -> str:
    """Return the shape and the type of the elements of an array, in words."""
    return f"{' × '.join(map(str, shape)) or 'scalar'} {dtype}".rstrip()


def _statistics(array: Any) -> list[tuple[str, float]]:
    return [("min", float(array.min())), ("mean", float(array.mean())), ("max", float(array.max()))]


def _described(value: Any) -> str:
    kind = type(value).__name__
    size = ""
    if isinstance(value, Mapping | Sequence | set | frozenset):
        with suppress(Exception):  # code of the user
            size = f" of {counted(len(value), 'character' if isinstance(value, str) else 'item')}"
    return f"{kind}{size}\n{_short(value, _MAX_TEXT)}"


def _short(value: Any, limit: int = 40) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    short = reprlib.Repr()
    short.maxstring = short.maxother = limit
    short.maxlist = short.maxdict = short.maxtuple = 8
    try:
        text = short.repr(value)
    except Exception:  # noqa: BLE001 - code of the user
        return f"<{type(value).__name__}>"
    return clean(text if len(text) <= limit else f"{text[:limit]}…")
