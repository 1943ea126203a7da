"""Options of libraries that change what reactors compute, draw or print.

Each library has its own functions to read and set them. Some belong to the process, others to a thread.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = ["LIBRARY_OPTIONS", "LibraryOptions"]


class LibraryOptions(NamedTuple):
    """Options of a library, by name.

    Attributes
    ----------
    library
        The module.
    read
        Returns present values. Takes the module, as do the others.
    write
        Sets some.
    initial
        Returns what a new process has; only options that are in it are adopted.
    of_thread
        Whether each thread has its own.
    """

    library: str
    read: Callable[[Any], Mapping[str, Any]]
    write: Callable[[Any, dict[str, Any]], Any]
    initial: Callable[[Any], Mapping[str, Any]]
    of_thread: bool = False

    def changed(self) -> dict[str, Any]:
        """Return the options that differ from what a new process has."""
        module = sys.modules[self.library]
        initial, present = self.initial(module), self.read(module)
        return {
            name: present[name] for name in initial.keys() & present.keys() if present[name] != initial[name]
        }

    def adopt(self, changed: Mapping[str, Any]) -> None:
        """Set the options of a program, of which :meth:`changed` returned these."""
        module = sys.modules[self.library]
        present, wanted = self.read(module), {**self.initial(module), **changed}
        differing = {
            name: wanted[name] for name in wanted.keys() & present.keys() if present[name] != wanted[name]
        }
        if differing:
            self.write(module, differing)


# ---------------------------------------------------------------------- what libraries start with, by their documentation

_NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
_NUMPY_PRINTING = {
    "edgeitems": 3,
    "threshold": 1000,
    "floatmode": "maxprec",
    "precision": 8,
    "suppress": False,
    "linewidth": 75,
    "nanstr": "nan",
    "infstr": "inf",
    "sign": "-",
    "formatter": None,
    "legacy": False,
}
_SKLEARN = {
    "assume_finite": False,
    "array_api_dispatch": False,
    "transform_output": "default",
    "enable_metadata_routing": False,
    "skip_parameter_validation": False,
}
_XARRAY = {
    "arithmetic_join": "inner",
    "keep_attrs": "default",
    "display_width": 80,
}
_JAX = {
    "jax_enable_x64": False,
    "jax_default_matmul_precision": None,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_debug_nans": False,
}
_KERAS = {"floatx": "float32", "epsilon": 1e-07, "image_data_format": "channels_last"}
_TORCH = {
    "default dtype": "torch.float32",
    "deterministic": False,
    "matmul precision": "highest",
    "gradients": True,
    "cudnn.deterministic": False,
    "cudnn.benchmark": False,
}


def _constant(options: Mapping[str, Any]) -> Callable[[Any], Mapping[str, Any]]:
    return lambda _: options


# ---------------------------------------------------------------------- pandas


def _pandas_initial(_: Any) -> dict[str, Any]:
    # There is no public way to ask for defaults, nor for values without warnings about deprecated options.
    options = importlib.import_module("pandas._config.config")
    return {name: option.defval for name, option in options._registered_options.items()}  # noqa: SLF001


def _read_pandas(pandas: Any) -> dict[str, Any]:
    found = {}
    for name in _pandas_initial(pandas):
        value: Any = pandas.options.d
        for step in name.split("."):
            value = value[step]
        found[name] = value
    return found


def _write_each(write: Callable[[str, Any], Any], options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        try:
            write(name, value)
        except Exception:  # noqa: BLE001, S112 - its library is not imported here, or has another version
            continue


# ---------------------------------------------------------------------- matplotlib

_OF_DISPLAYS = ("backend", "interactive", "savefig.directory", "tk.", "toolbar", "webagg.")
"""Parameters about the display that a process has."""


def _without_displays(parameters: Any) -> dict[str, Any]:
    # Matplotlib's own look-up chooses a backend, which may import much.
    return {name: value for name, value in dict.items(parameters) if not name.startswith(_OF_DISPLAYS)}


# ---------------------------------------------------------------------- Keras and PyTorch


def _read_keras(keras: Any) -> dict[str, Any]:
    return {name: getattr(keras.config, name)() for name in _KERAS}


def _write_keras(keras: Any, options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        getattr(keras.config, f"set_{name}")(value)


def _read_torch(torch: Any) -> dict[str, Any]:
    return {
        # As text, since to unpickle it would import PyTorch.
        "default dtype": str(torch.get_default_dtype()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "gradients": torch.is_grad_enabled(),
        "cudnn.deterministic": torch.backends.cudnn.deterministic,
        "cudnn.benchmark": torch.backends.cudnn.benchmark,
    }


def _write_torch(torch: Any, options: Mapping[str, Any]) -> None:
    cudnn = torch.backends.cudnn
    write: Mapping[str, Callable[[Any], Any]] = {
        "default dtype": lambda name: torch.set_default_dtype(getattr(torch, name.partition(".")[2])),
        "deterministic": torch.use_deterministic_algorithms,
        "matmul precision": torch.set_float32_matmul_precision,
        "gradients": torch.set_grad_enabled,
        "cudnn.deterministic": lambda value: setattr(cudnn, "deterministic", value),
        "cudnn.benchmark": lambda value: setattr(cudnn, "benchmark", value),
    }
    for name, value in options.items():
        write[name](value)


def _by_functions(
    library: str, read: str, write: str, initial: Mapping[str, Any], *, of_thread: bool = False
) -> LibraryOptions:
    """Return options that one function of a library returns, and another one takes by their names."""
    return LibraryOptions(
        library,
        lambda module: getattr(module, read)(),
        lambda module, options: getattr(module, write)(**options),
        _constant(initial),
        of_thread,
    )


LIBRARY_OPTIONS: Mapping[str, LibraryOptions] = MappingProxyType(
    {
        "numpy.errstate": _by_functions("numpy", "geterr", "seterr", _NUMPY_ERRORS, of_thread=True),
        "numpy print options": _by_functions(
            "numpy", "get_printoptions", "set_printoptions", _NUMPY_PRINTING, of_thread=True
        ),
        "pandas options": LibraryOptions(
            "pandas",
            _read_pandas,
            lambda pandas, options: _write_each(pandas.set_option, options),
            _pandas_initial,
        ),
        "matplotlib.rcParams": LibraryOptions(
            "matplotlib",
            lambda matplotlib: _without_displays(matplotlib.rcParams),
            lambda matplotlib, options: matplotlib.rcParams.update(options),
            lambda matplotlib: _without_displays(matplotlib.rcParamsDefault),
        ),
        "scikit-learn configuration": _by_functions(
            "sklearn", "get_config", "set_config", _SKLEARN, of_thread=True
        ),
        "xarray options": _by_functions("xarray", "get_options", "set_options", _XARRAY),
        "jax.config": LibraryOptions(
            "jax",
            lambda jax: {name: getattr(jax.config, name) for name in _JAX},
            lambda jax, options: _write_each(jax.config.update, options),
            _constant(_JAX),
        ),
        "keras.config": LibraryOptions("keras", _read_keras, _write_keras, _constant(_KERAS)),
        "torch options": LibraryOptions(
            "torch", _read_torch, _write_torch, _constant(_TORCH), of_thread=True
        ),
        "mpmath precision": LibraryOptions(
            "mpmath",
            lambda mpmath: {"prec": mpmath.mp.prec},
            lambda mpmath, options: setattr(mpmath.mp, "prec", options["prec"]),
            _constant({"prec": 53}),
        ),
        "csv.field_size_limit": LibraryOptions(
            "csv",
            lambda csv: {"characters": csv.field_size_limit()},
            lambda csv, options: csv.field_size_limit(options["characters"]),
            _constant({"characters": 131_072}),
        ),
        "socket.setdefaulttimeout": LibraryOptions(
            "socket",
            lambda socket: {"seconds": socket.getdefaulttimeout()},
            lambda socket, options: socket.setdefaulttimeout(options["seconds"]),
            _constant({"seconds": None}),
        ),
    }
)
"""What workers adopt, by name."""
