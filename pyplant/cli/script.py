"""Imports a script and finds its reactors, its plant and its configuration."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from importlib.machinery import SourceFileLoader
from pathlib import Path
from shutil import rmtree
from types import CodeType, ModuleType
from typing import Any, NamedTuple, TypeVar

import click

from pyplant._formatting import error_text
from pyplant._missing import MISSING
from pyplant._paths import expanded
from pyplant.cli.main_block import MainBlock, read_main
from pyplant.cli.output import note, write_error
from pyplant.cli.settings import coerced, with_settings
from pyplant.config.classes import ConfigBase, own_parameters
from pyplant.config.parameters import Parameters
from pyplant.errors import ConfigError, NestedRunError, near_misses
from pyplant.execution.nesting import importing_for_definitions
from pyplant.execution.registry import Registry
from pyplant.execution.tracebacks import innermost_of_user
from pyplant.fingerprint.origin import is_own_file, is_user_file
from pyplant.plant import Plant, session_of
from pyplant.store.files import Files
from pyplant.store.warehouse import diverted
from pyplant.workers.executors import default_executor

_T = TypeVar("_T")

__all__ = ["OpenScript", "ScriptOptions", "open_script", "show_failure"]


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
    jobs
        The number of worker processes, in place of what the script says.
    """

    plant: Path | None = None
    config_class: str | None = None
    config: Path | None = None
    settings: tuple[str, ...] = ()
    jobs: int | None = None


class OpenScript(NamedTuple):
    """An imported script, and its configured plant.

    Attributes
    ----------
    plant
        The plant; an empty one in a temporary directory if a command that runs nothing finds none.
    directory
        Where the plant is, or would be.
    """

    plant: Plant
    directory: Path


@contextmanager
def open_script(
    name: str, options: ScriptOptions, *, runs: bool, check: Callable[[Plant], object] | None = None
) -> Iterator[OpenScript]:
    """Import a script, open its plant and configure it.

    Parameters
    ----------
    name
        The path of a file, or the dotted name of a module.
    options
        The options of the command.
    runs
        Whether the command may write into the plant, and create it.
    check
        Checks arguments of the command with the configured plant, before the plant directory is created.

    Raises
    ------
    click.UsageError
        If the script cannot be imported, or defines no reactors.
    pyplant.errors.ConfigError
        If a setting does not fit the configuration.
    """
    with default_executor(options.jobs), ExitStack() as opened:
        trials = _Trials(opened)
        with nullcontext() if runs else diverted(trials.divert):
            module = _import(name)
        plant = _plant_of_script(module, options.plant, trials)
        _refuse_without_reactors(name, module, plant)
        main = read_main(module)
        directory = (
            _directory(module, options.plant, main, trials)
            if plant is None
            else trials.asked_for(plant.directory)
        )
        is_new = plant is None and _is_free(directory)
        if is_new:  # wrong arguments make no plant, and neither does a command that only looks
            plant = Plant(trials.make(directory), **main.plant_options())
        elif plant is None:
            plant = Plant(directory, **main.plant_options() | {"read_only": None if runs else True})
        opened.enter_context(plant)
        config = _configuration(module, plant, options, main)
        if config is not None:
            plant.set_config(config)
        if check is not None:
            check(plant)
        where = os.path.relpath(directory)
        if is_new and runs:
            note(f"results are kept in {where}")
            plant = opened.enter_context(Plant(directory, **main.plant_options()))
            plant.set_config({} if config is None else config)
        elif trials.asked_for(plant.directory) != plant.directory:
            note(f"there is no plant in {where} yet; 'pyplant run' makes it.")
        yield OpenScript(plant, directory)


class _Trials:
    """The empty plants that are opened in place of plants that do not exist.

    Parameters
    ----------
    opened
        Removes them in the end.
    """

    def __init__(self, opened: ExitStack) -> None:
        self._opened = opened
        self._asked_for: dict[Path, Path] = {}

    def make(self, directory: Path) -> Path:
        """Return a temporary directory in place of this one."""
        trial = Files().temporary_directory()
        self._asked_for[trial] = directory
        self._opened.callback(rmtree, trial, ignore_errors=True)
        return trial

    def divert(self, directory: Path, read_only: bool | None) -> tuple[Path, bool | None]:  # noqa: FBT001
        """Return what to open for a command that only looks."""
        return (self.make(directory), read_only) if _is_free(directory) else (directory, True)

    def asked_for(self, directory: Path) -> Path:
        """Return the directory in whose place this one is, or itself."""
        return self._asked_for.get(directory, directory)


def _is_free(directory: Path) -> bool:
    """Return whether a plant can be made in a directory in which there is nothing yet."""
    try:
        return not any(directory.iterdir())
    except NotADirectoryError:
        return False
    except FileNotFoundError:
        return True


def _refuse_without_reactors(name: str, module: ModuleType, plant: Plant | None) -> None:
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
        with importing_for_definitions(name):
            return _import_file(path) if is_file else importlib.import_module(name)
    except NestedRunError as error:
        raise click.UsageError(f"{_user_line(error)}: {error}") from error
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
    loader = _ScriptLoader(path.stem, str(path.resolve()))
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve(), loader=loader)
    assert spec is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class _ScriptLoader(SourceFileLoader):
    """Compiles a script each time, as Python does for one that it runs; bytecode may be older than the file."""

    def get_code(self, fullname: str) -> CodeType | None:
        """Compile the present text."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _user_line(error: BaseException) -> str:
    """Return the innermost line of the user's code in a traceback."""
    found = innermost_of_user(error.__traceback__)
    return "the script" if found is None else f"{os.path.relpath(found[0])}:{found[1]}"


def _import_failure(name: str, error: BaseException) -> click.UsageError:
    show_failure(error)
    return click.UsageError(f"{name} could not be imported: {error_text(error)}")


# ---------------------------------------------------------------------- plant and configuration


def _globals_of_type(module: ModuleType, kind: type[_T]) -> dict[str, _T]:
    """Return the objects of a class among the globals of a module, each under its last name."""
    found = {id(value): (name, value) for name, value in vars(module).items() if isinstance(value, kind)}
    return dict(found.values())


def _plant_of_script(module: ModuleType, given: Path | None, trials: _Trials) -> Plant | None:
    """Return the plant that a script opens; ``None`` if it opens none."""
    plants = {name: found for name, found in _globals_of_type(module, Plant).items() if not found.is_closed}
    if given is not None:
        for plant in plants.values():
            if trials.asked_for(plant.directory).absolute() == given.absolute():
                return plant
    directories = " and ".join(str(trials.asked_for(plant.directory)) for plant in plants.values())
    if plants and given is not None:
        message = f"The script opens its own plant, {directories}, so --plant cannot name another one."
        raise click.UsageError(message)
    if len(plants) > 1:
        message = f"The script opens several plants, {directories}. Say which with --plant."
        raise click.UsageError(message)
    return next(iter(plants.values()), None)


def _directory(module: ModuleType, given: Path | None, main: MainBlock, trials: _Trials) -> Path:
    """Return the plant directory: the given one, that of the main block, or the one beside the script."""
    if given is not None:
        return given
    known = list(map(trials.asked_for, main.directories()))
    if len(known) > 1:
        message = f"The script opens several plants, {' and '.join(map(str, known))}. Say which with --plant."
        raise click.UsageError(message)
    if known:
        return known[0]
    home = Path(module.__file__) if module.__file__ else Path.cwd() / module.__name__
    directory = home.with_suffix(".plant")
    if main.plants:
        note(
            f"line {main.plants[0].line} of {home.name} opens a plant whose directory is known only when it runs. "
            f"Say which with --plant; this is {os.path.relpath(directory)}."
        )
    return directory


def _configuration(
    module: ModuleType, plant: Plant, options: ScriptOptions, main: MainBlock
) -> ConfigBase | dict[str, Any] | None:
    """Return the configuration to set; ``None`` if that of the plant is unchanged."""
    # The order of precedence: what the user asks for, what the script gave its plant, what the script defines.
    config: Any = None
    if options.config_class is not None:
        config = _config_class(module, options.config_class)()
    elif plant.config:
        config = plant.config
    else:
        config = _config_of_main(module, main)
    changes = _read_json(options.config) if options.config is not None else {}
    if not changes and not options.settings:
        return config  # type: ignore[no-any-return]
    parameters = Parameters()
    parameters.set({} if config is None else config)
    parameters = parameters.snapshot()  # a copy: the objects of the script are not changed
    _apply_changes(parameters.source, changes)
    reads = session_of(plant).reads() if options.settings else ()
    return with_settings(parameters, options.settings, reads).source


def _config_of_main(module: ModuleType, main: MainBlock) -> Any:
    """Return the configuration that the main block sets, if that is known, else that of the script."""
    config = main.config()
    if config is not MISSING and config is not None:
        return config
    found = _default_config(module)
    if config is MISSING:
        note(
            f"line {main.configs[0].line} of {Path(module.__file__ or '').name} sets a configuration that is known only when it runs. "
            f"Give its parameters with --config or --set, or set it where the script is imported."
        )
    return found


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
