"""Imports a script and finds its reactors, its plant and its configuration."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import click

from pyplant._formatting import error_text
from pyplant._paths import expanded
from pyplant.cli.output import note, write_error
from pyplant.cli.settings import coerced, with_settings
from pyplant.config.classes import ConfigBase, own_parameters
from pyplant.config.parameters import Parameters
from pyplant.errors import ConfigError, near_misses
from pyplant.execution.registry import Registry
from pyplant.fingerprint.origin import is_own_file, is_user_file
from pyplant.plant import Plant, session_of

_T = TypeVar("_T")

__all__ = ["ScriptOptions", "open_script", "show_failure"]


class ScriptOptions(NamedTuple):
    """The options of a command on a script.

    Attributes
    ----------
    plant
        The plant directory.
    config_class
        Name of the configuration class in the script.
    config
        A JSON file with parameters.
    settings
        Texts of the form ``NAME=VALUE``.
    """

    plant: Path | None = None
    config_class: str | None = None
    config: Path | None = None
    settings: tuple[str, ...] = ()


def open_script(name: str, options: ScriptOptions) -> Plant:
    """Import a script, open its plant and configure it.

    Parameters
    ----------
    name
        The path of a file, or the dotted name of a module.
    options
        The options of the command.

    Raises
    ------
    click.UsageError
        If the script cannot be imported, or defines no reactors.
    pyplant.errors.ConfigError
        If a setting does not fit the configuration.
    """
    module = _import(name)
    plant = _plant_of_script(module, options.plant)
    if not (Registry().current() if plant is None else session_of(plant).definitions()):
        is_folder = module.__file__ is None  # a namespace package: any folder can be imported as one
        if is_folder:
            message = f"{name} is a folder; give a .py file or the name of a module."
        else:
            message = (
                f"{name} defines no reactors, nor does what it imports. Decorate functions with @ReactorFunc, or "
                f"give the file that does."
            )
        raise click.UsageError(message)
    if plant is None:
        plant = Plant(_directory(module, options.plant))
    config = _configuration(module, plant, options)
    if config is not None:
        plant.set_config(config)
    return plant


# ---------------------------------------------------------------------- the module


def _import(name: str) -> ModuleType:
    name = expanded(name)
    path = Path(name)
    is_file = path.suffix == ".py" or path.is_file()
    is_folder = path.is_dir() and not name.isidentifier()  # a folder with such a name may be a package
    if is_folder or (is_file and (not path.is_file() or path.suffix != ".py")):
        what = (
            "is a folder" if is_folder else "is not a Python script" if path.is_file() else "does not exist"
        )
        message = f"{name} {what}; give a .py file or the name of a module."
        raise click.UsageError(message)
    sys.path.insert(0, str(path.resolve().parent if is_file else Path.cwd()))  # as python does for a script
    sys.argv = [name]
    try:
        return _import_file(path) if is_file else importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or is_file or not f"{name}.".startswith(f"{error.name}."):
            raise _import_failure(name, error) from error
        message = f"There is no module {name!r} here, and no file of that name."
        raise click.UsageError(message) from error
    except click.ClickException:
        raise
    except SystemExit as error:
        message = (
            f"{name} ended while it was imported (exit code {error.code}). Put the code that only runs it as a "
            f"program below: if __name__ == '__main__':"
        )
        raise click.UsageError(message) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _import_failure(name, error) from error


def _import_file(path: Path) -> ModuleType:
    """Import a file as a module under its own name, so that its main guard does not run."""
    # There is one module of each name: imports of the other one would lead to the script from now on.
    if path.stem in sys.modules:
        message = f"{path}: another module is called {path.stem!r}; rename the script."
        raise click.UsageError(message)
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        message = f"{path} is not a Python script."
        raise click.UsageError(message)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _import_failure(name: str, error: BaseException) -> click.UsageError:
    show_failure(error)
    return click.UsageError(f"{name} could not be imported: {error_text(error)}")


# ---------------------------------------------------------------------- plant and configuration


def _globals_of_type(module: ModuleType, kind: type[_T]) -> dict[str, _T]:
    """Return the objects of a class among the globals of a module, each under its last name."""
    found = {id(value): (name, value) for name, value in vars(module).items() if isinstance(value, kind)}
    return dict(found.values())


def _plant_of_script(module: ModuleType, given: Path | None) -> Plant | None:
    """Return the plant that a script opens; ``None`` if it opens none."""
    plants = _globals_of_type(module, Plant)
    if given is not None:
        for plant in plants.values():
            if plant.directory == given.absolute():
                return plant
    directories = " and ".join(str(plant.directory) for plant in plants.values())
    if plants and given is not None:
        message = f"The script opens its own plant, {directories}, so --plant cannot name another one."
        raise click.UsageError(message)
    if len(plants) > 1:
        message = f"The script opens several plants, {directories}. Say which with --plant."
        raise click.UsageError(message)
    return next(iter(plants.values()), None)


def _directory(module: ModuleType, given: Path | None) -> Path:
    """Return the plant directory: the given one, or the one beside the script, in any working directory."""
    if given is not None:
        return given
    home = Path(module.__file__) if module.__file__ else Path.cwd() / module.__name__
    directory = home.with_suffix(".plant")
    if not directory.exists():
        note(f"results are kept in {os.path.relpath(directory)}")
    return directory


def _configuration(
    module: ModuleType, plant: Plant, options: ScriptOptions
) -> ConfigBase | dict[str, Any] | None:
    """Return the configuration to set; ``None`` if that of the plant is unchanged."""
    # The order of precedence: what the user asks for, what the script gave its plant, what the script defines.
    config: Any = None
    if options.config_class is not None:
        config = _config_class(module, options.config_class)()
    elif plant.config:
        config = plant.config
    else:
        config = _default_config(module)
    changes = _read_json(options.config) if options.config is not None else {}
    if not changes and not options.settings:
        return config  # type: ignore[no-any-return]
    parameters = Parameters()
    parameters.set({} if config is None else config)
    parameters = parameters.snapshot()  # a copy: the objects of the script are not changed
    _apply_changes(parameters.source, changes)
    reads = session_of(plant).reads() if options.settings else ()
    return with_settings(parameters, options.settings, reads).source


def _classes(module: ModuleType) -> dict[str, type[ConfigBase]]:
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, ConfigBase) and value.__module__ == module.__name__
    }


def _config_class(module: ModuleType, name: str) -> type[ConfigBase]:
    found = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, ConfigBase)):
        known = ", ".join(_classes(module)) or "none"
        message = f"{module.__name__} has no configuration class {name!r}. It has: {known}."
        raise click.UsageError(message)
    return found


def _default_config(module: ModuleType) -> ConfigBase | None:
    """Return the configuration of a script, or an object of its only class that is not part of another one."""
    found = _globals_of_type(module, ConfigBase)
    if not found:
        # Objects, since only a constructor tells which classes are parts of which.
        whole = {name: kind() for name, kind in _classes(module).items()}
        parts = {type(value) for config in whole.values() for value in own_parameters(config).values()}
        parents = {base for config in whole.values() for base in type(config).__mro__[1:]}
        found = {f"{n}()": config for n, config in whole.items() if type(config) not in parts | parents}
    if len(found) > 1:
        names = ", ".join(name.removesuffix("()") for name in found)
        message = f"{module.__name__} has several configurations: {names}. Say which with --config-class."
        raise click.UsageError(message)
    for name, config in found.items():
        note(f"configured with {name}")
        return config
    return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{path} is not JSON: {error}"
        raise click.UsageError(message) from error
    if not isinstance(found, dict):
        message = f'{path} holds no object of parameters, such as {{"color": "red"}}.'
        raise click.UsageError(message)
    return found


def _apply_changes(config: Any, changes: Mapping[str, Any], above: tuple[str, ...] = ()) -> None:
    """Assign the parameters of a file to a configuration."""
    known = _parameters(config)
    for name, value in changes.items():
        inner = known.get(name)
        if isinstance(config, ConfigBase) and name not in known:
            raise _unknown_parameter(".".join((*above, name)), name, known)
        if isinstance(value, dict) and isinstance(inner, ConfigBase):
            _apply_changes(inner, value, (*above, name))
        elif isinstance(config, ConfigBase):
            object.__setattr__(config, name, coerced(inner, value))
        else:
            config[name] = coerced(inner, value)


def _parameters(config: Any) -> Mapping[str, Any]:
    return own_parameters(config) if isinstance(config, ConfigBase) else config


def _unknown_parameter(full: str, name: str, known: Iterable[str]) -> ConfigError:
    close = near_misses(name, known) or sorted(known)[:8]
    hint = f" Known are: {', '.join(close)}." if close else ""
    return ConfigError(f"The configuration has no parameter {full!r}.{hint}")


# ---------------------------------------------------------------------- failures


def show_failure(error: BaseException) -> None:
    """Print the traceback of user code, without the frames of PyPlant."""
    try:
        report = traceback.TracebackException.from_exception(error)
    except Exception:  # noqa: BLE001 - the class of the user may answer to all names, or raise whatever is asked
        write_error(
            "".join(["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__)])
        )
        write_error(error_text(error))
        return
    _keep_user_frames(report)
    write_error("".join(report.format()).rstrip())


def _keep_user_frames(report: traceback.TracebackException) -> None:
    # Frames of libraries that PyPlant called are dropped, those of libraries that the user called are kept.
    frames = list(report.stack)
    while frames and not is_user_file(frames[0].filename):
        del frames[0]
    kept = [frame for frame in frames if not is_own_file(frame.filename)]
    report.stack = traceback.StackSummary.from_list(kept)
    for inner in (report.__cause__, report.__context__, *(report.exceptions or ())):
        if inner is not None:
            _keep_user_frames(inner)
