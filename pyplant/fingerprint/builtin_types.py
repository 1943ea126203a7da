"""Encoders for types of the standard library whose pickles are unstable, or that cannot be pickled."""

from __future__ import annotations

import functools
import gc
import types
from typing import Any
from weakref import WeakKeyDictionary

from pyplant.fingerprint.attributes import module_of
from pyplant.fingerprint.bytecode import code_digest
from pyplant.fingerprint.digest import Encoder, encodes
from pyplant.fingerprint.origin import is_user_file

__all__: list[str] = []


@encodes(
    *(
        f"{module}.{kind}{system}Path"
        for module in ("pathlib", "pathlib._local")
        for kind in ("", "Pure")
        for system in ("Posix", "Windows")
    )
)
def _encode_path(path: Any, encoder: Encoder) -> None:
    """Encode a path by its text, since its class is in another module from Python 3.13 on."""
    encoder.tag(type(path).__qualname__)
    encoder.item(str(path))


@encodes("builtins.property", "builtins.staticmethod", "builtins.classmethod", "functools.cached_property")
def _encode_descriptor(descriptor: Any, encoder: Encoder) -> None:
    """Encode a descriptor outside of a class body by the functions that it calls."""
    encoder.tag(type(descriptor).__qualname__)
    if type(descriptor) is property:
        encoder.item([descriptor.fget, descriptor.fset, descriptor.fdel])
    else:
        is_cached = type(descriptor) is functools.cached_property
        encoder.item(descriptor.func if is_cached else descriptor.__func__)


@encodes("functools.singledispatchmethod")
def _encode_dispatching_method(method: Any, encoder: Encoder) -> None:
    """Encode a method by what it may call, without the cache that Python 3.13 keeps in it."""
    encoder.tag("singledispatchmethod")
    encoder.item([method.func, method.dispatcher])


@encodes("_struct.Struct")
def _encode_struct(value: Any, encoder: Encoder) -> None:
    """Encode a compiled format by its text."""
    encoder.tag("struct")
    encoder.item(value.format)


@encodes("types.SimpleNamespace", "argparse.Namespace")
def _encode_namespace(value: Any, encoder: Encoder) -> None:
    """Encode a namespace with the order of its attributes, which ``vars`` shows."""
    encoder.tag("namespace")
    encoder.code(type(value))
    encoder.attributes(vars(value), ordered=True)


@encodes("builtins.dict_keys", "builtins.dict_values", "builtins.dict_items", "builtins.memoryview")
def _encode_view(value: Any, encoder: Encoder) -> None:
    """Encode a view by its content."""
    encoder.tag(type(value).__name__)
    if type(value) is memoryview:
        encoder.item([value.format, value.shape, value.readonly, value.tobytes()])
    else:
        encoder.item(list(value))


@encodes("builtins.code")
def _encode_code(value: Any, encoder: Encoder) -> None:
    """Encode a code object by its instructions."""
    encoder.tag("code")
    encoder.item(code_digest(value))


@encodes("ctypes.CDLL", "ctypes.CDLL+")
def _encode_library(library: Any, encoder: Encoder) -> None:
    """Encode a library in C by its name and the declared signatures; its handle differs between processes.

    A library keeps every function that is looked up in it, so those without a declared signature do not count.
    """
    declared = {
        name: _signature(value)
        for name, value in vars(library).items()
        if type(value) is library._FuncPtr  # noqa: SLF001
        and _signature(value) != [value._restype_, None, None]
    }
    encoder.code(type(library))
    encoder.item([library._name, sorted(declared), [declared[name] for name in sorted(declared)]])  # noqa: SLF001


@encodes("_ctypes.CFuncPtr+")
def _encode_c_function(function: Any, encoder: Encoder) -> None:
    """Encode a function of a library in C by its names and its signature; functions that call Python are opaque."""
    library: Any = (function._objects or {}).get("0")  # noqa: SLF001
    encoder.item([function.__name__, library._name, *_signature(function)])  # noqa: SLF001


def _signature(function: Any) -> list[Any]:
    return [function.restype, function.argtypes, getattr(function, "errcheck", None)]


@encodes("weakref.ReferenceType")
def _encode_weak_reference(value: Any, encoder: Encoder) -> None:
    """Encode a weak reference by the object that it refers to, ``None`` if there is none any more."""
    encoder.tag("weak reference")
    found = value()
    # PyPlant marks the threads of a running reactor in this way, and all of the plant is behind that mark.
    encoder.item(None if module_of(type(found)).startswith("pyplant.") else found)


@encodes("_contextvars.ContextVar")
def _encode_context_variable(value: Any, encoder: Encoder) -> None:
    """Encode a context variable by its present value, or else its default."""
    encoder.tag("context variable")
    try:
        content = [value.get()]
    except LookupError:
        content = []
    encoder.item(content)


@encodes("_thread._local", "_thread._local+")
def _encode_local(value: Any, encoder: Encoder) -> None:
    """Encode the values that this thread has."""
    encoder.tag("local")
    encoder.code(type(value))
    encoder.attributes(vars(value))


@encodes("functools.KeyWrapper")
def _encode_key_function(value: Any, encoder: Encoder) -> None:
    """Encode the result of ``cmp_to_key`` by the function, which only the garbage collector tells."""
    encoder.tag("key function")
    for function in gc.get_referents(value):
        if function is not type(value):
            encoder.item(function)


@encodes(
    "typing.NewType", "typing.TypeVar", "typing.ParamSpec", "typing.TypeVarTuple", "typing.TypeAliasType"
)
def _encode_type_name(value: Any, encoder: Encoder) -> None:
    """Encode a named type by what it stands for."""
    encoder.tag(type(value).__name__)
    for name in ("__name__", "__supertype__", "__value__", "__bound__", "__constraints__", "__default__"):
        encoder.item(getattr(value, name, None))
    for name in ("__covariant__", "__contravariant__"):
        encoder.item(getattr(value, name, False))


@encodes("typing.ForwardRef")
def _encode_forward_reference(value: Any, encoder: Encoder) -> None:
    """Encode a type given as text by the text, without what its evaluation left."""
    encoder.tag("forward reference")
    encoder.item(value.__forward_arg__)


_functions: WeakKeyDictionary[Any, types.FunctionType] = WeakKeyDictionary()


@encodes("builtins.generator")
def _encode_generator(generator: Any, encoder: Encoder) -> None:
    """Encode a generator that code holds by its function, its variables, and where it is suspended.

    One that is a parameter or in an ingredient is refused, since it cannot be copied. One of a library is its own affair.
    """
    frame = generator.gi_frame
    if not (encoder.as_held and is_user_file(generator.gi_code.co_filename)):
        encoder.opaque_item(generator)
        return
    encoder.tag("generator")
    if frame is None:  # it has ended
        return
    variables = dict(frame.f_locals)
    # The same function each time, since code is found by its identity.
    if generator not in _functions:
        cells = tuple(
            types.CellType(*([variables[name]] if name in variables else []))
            for name in frame.f_code.co_freevars
        )
        _functions[generator] = types.FunctionType(
            frame.f_code, frame.f_globals, generator.__name__, None, cells
        )
    encoder.code(_functions[generator])
    encoder.item([generator.gi_suspended and frame.f_lineno - frame.f_code.co_firstlineno, variables])


@encodes("sqlite3.Connection")
def _encode_database(value: Any, encoder: Encoder) -> None:
    """Encode a database in memory by its content; a file has content that other programs change."""
    if any(path for _, _, path in value.execute("pragma database_list")):
        encoder.opaque_item(value)
        return
    encoder.tag("database")
    encoder.item(list(value.iterdump()))
