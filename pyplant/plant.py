"""The class :class:`Plant`, the entry point for users; all other modules are below it.

Methods import what only they need, which keeps ``import pyplant`` fast.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from pyplant import _paths, _streams
from pyplant._definitions import check_tracking, sources
from pyplant._formatting import counted, escape, parse_seconds, parse_size
from pyplant._original_names import OriginalNames, refuse_logger
from pyplant.config.classes import ConfigBase, name_list
from pyplant.config.parameters import Parameters
from pyplant.engine.commands import Request, check_names
from pyplant.errors import ConfigChangedError
from pyplant.events import Dispatcher, Listener
from pyplant.execution import frontend
from pyplant.execution.finding import find_reactor, invalidate
from pyplant.execution.nesting import is_inside_reactor
from pyplant.execution.registry import Registry
from pyplant.execution.session import Session
from pyplant.fingerprint import origin
from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.gc_pause import gc_paused
from pyplant.reactor import Reactor
from pyplant.store.warehouse import SpecRegistration, open_warehouse
from pyplant.workers.executors import TaskPool, executor_of

if TYPE_CHECKING:
    from types import TracebackType

    import graphviz

    from pyplant.reports.report import Explanation, History, Plan, RunReport, Status
    from pyplant.reports.sweep import Sweep
    from pyplant.specs import IngredientSpec
    from pyplant.store.fsck import Audit
    from pyplant.store.retention import CollectionReport

__all__ = ["Plant", "session_of"]

_Reactor = Reactor[..., Any] | str


class Plant(OriginalNames):
    """Runs reactors in the right order, stores their results, and reruns those affected by an edit.

    Parameters
    ----------
    plantDir
        The directory in which results are stored, made if it does not exist. Several processes may use it at once.
    executor
        Where reactors run: ``None``, in this thread; a number, in that many worker processes; any executor of
        ``concurrent.futures``; a ``dask.distributed.Client``, whose workers must all see the plant directory.
    resources
        What reactors that run at the same time may use together, such as ``{"GPU": 2, "memory": "60 GB"}``; each says
        what it needs: ``@ReactorFunc(resources={"GPU": 1})``. With a number as ``executor``, it sees only its own GPUs.
    worker_imports
        The modules and packages of yours that worker processes import, with all below them; others are sent by value.
        By default all that this process has imported.
    max_size
        The size of the history to keep, in bytes or as in ``"20 GB"``; results of current reactors are always kept.
    trust
        Whether to load values pickled by another user, which can run that user's code.
    function_hash
        Called with the function of a reactor, returns a text that is used in place of the fingerprint of its code.
    progress
        Whether to show progress; ``"auto"``: below cells of notebooks, and if standard error is a terminal.
    track_packages
        Installed packages whose version is part of the fingerprints.
    follow_packages
        Installed packages whose code is part of the fingerprints, like user code, in the whole process.
    track_reads
        Whether files that code opens, folders that it lists and environment variables that it reads are inputs like
        those that it declares. ``"note"`` names them in explanations and compares nothing.
    read_only
        Whether to store nothing; by default if the directory cannot be written. What is computed is delivered.
    claim_timeout
        The seconds to wait for another process that computes the same. ``None``: until it ends, or is suspended for a minute.

    Raises
    ------
    pyplant.errors.PlantDirError, pyplant.errors.FormatError
        If the directory cannot be used as a plant.

    Examples
    --------
    >>> with Plant("/tmp/my-project") as plant:     # doctest: +SKIP
    ...     plant.run_reactor(plot_data)
    """

    @refuse_logger
    def __init__(
        self,
        plantDir: str | os.PathLike[str],  # noqa: N803 - the historical spelling
        *,
        executor: int | TaskPool | None = None,
        resources: Mapping[str, float | str] | None = None,
        worker_imports: Iterable[str] | None = None,
        max_size: str | int = "20 GB",
        trust: bool = False,
        function_hash: Callable[[Callable[..., Any]], str] | None = None,
        progress: bool | Literal["auto"] = "auto",
        track_packages: Iterable[str] = (),
        follow_packages: Iterable[str] = (),
        track_reads: bool | Literal["note"] = True,
        read_only: bool | None = None,
        claim_timeout: float | None = None,
    ) -> None:
        self._max_size = parse_size(max_size)
        origin.follow_packages(follow_packages, must_exist=True)
        self._listeners = Dispatcher()
        if progress is not False:
            frontend.add_progress(self, self._listeners, progress)
        with gc_paused(enabled=False):
            self._warehouse = open_warehouse(_paths.directory(plantDir), trust=trust, read_only=read_only)
        self._finalizer = weakref.finalize(self, self._warehouse.close)
        self._registry = Registry()
        self._parameters = Parameters()
        self._session = Session(
            self._warehouse,
            self._parameters,
            self._registry,
            Fingerprinter(self._warehouse.ledger.latest, sources, origin.package_versions(track_packages)),
            executor_of(executor, resources, worker_imports),
            self._listeners,
            function_hash,
            self._max_size,
            check_tracking(track_reads),
            claim_timeout,
        )

    # ------------------------------------------------------------------ lifecycle

    @property
    def directory(self) -> Path:
        """The plant directory."""
        return self._warehouse.root

    @property
    def is_closed(self) -> bool:
        """Whether the plant is closed."""
        return not self._finalizer.alive

    def close(self) -> None:
        """Write pending data and release the directory; also done at interpreter exit. Closing twice is allowed."""
        self._session.close(self._finalizer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> str | tuple[Any, ...]:
        message = "A Plant cannot be pickled or sent; open it again where it is needed: Plant(directory)."
        raise TypeError(message)

    def __repr__(self) -> str:
        return f"<Plant {str(self.directory)!r}{', closed' if self.is_closed else ''}>"

    def _repr_html_(self) -> str:
        from pyplant.execution import queries

        if self.is_closed:
            return f"<code>{escape(repr(self))}</code>"
        return queries.overview(self._session)._repr_html_()

    @property
    def warehouse(self) -> SpecRegistration:
        """The registration of ingredient specs; :meth:`register_specs` is the newer form."""
        return SpecRegistration(self._warehouse)

    def register_specs(self, *specs: IngredientSpec) -> None:
        """Add ingredient specs, or replace those of the same name; they take precedence over the built-in ones.

        Parameters
        ----------
        specs
            Objects, such as ``specs.HdfArraySpec()``.

        Raises
        ------
        pyplant.errors.UnknownTypeError
            If one of them is not an ingredient spec; then none is added.
        """
        self._warehouse.register_ingredient_specs(specs)

    # ------------------------------------------------------------------ reactors

    def add_reactor(self, *reactors: Reactor[..., Any] | Iterable[Reactor[..., Any]]) -> None:
        """Add reactors; from the first call on, the plant uses only those that were added.

        Before that it uses every ``@ReactorFunc`` of the process.

        Parameters
        ----------
        reactors
            Functions, or lists of functions.

        Raises
        ------
        pyplant.errors.NotAReactorError
            If one of them is not decorated; then none is added.
        """
        self._registry.add(reactors)

    add_reactors = add_reactor

    def remove_reactor(self, reactor: _Reactor) -> None:
        """Remove a reactor until it is defined or added again; its results stay stored."""
        self._registry.remove(self._registry.find(reactor))

    # ------------------------------------------------------------------ configuration

    @property
    def config(self) -> dict[str, Any] | ConfigBase:
        """The configuration that was set; reactors read their own: ``def reactor(pipe, config)``."""
        return self._session.config()

    def set_config(self, config: Mapping[str, Any] | ConfigBase) -> None:
        """Set the parameters that reactors read.

        Raises
        ------
        pyplant.errors.ConfigError
            If it is neither a mapping nor a ``ConfigBase`` object.
        pyplant.errors.ConfigChangedError
            If a reactor calls this method.
        """
        if is_inside_reactor():
            message = "plant.set_config was called inside a reactor, where the configuration is read-only; set it before the run."
            raise ConfigChangedError(message)
        self._parameters.set(config)

    def mark_params_as_auxiliary(self, names: Iterable[str]) -> None:
        """Exclude parameters from the dependencies of reactors, such as a log level: a change reruns nothing.

        Parameters
        ----------
        names
            A list of names; nested parameters are written with a dot.
        """
        self._parameters.mark_auxiliary(names)

    # ------------------------------------------------------------------ running

    def run_reactor(self, reactor: _Reactor, *, force: bool = False, keep_going: bool = False) -> RunReport:
        """Bring a reactor up to date.

        A reactor that sends nothing (it plots or prints) always runs in a script. In a
        notebook its recorded output is shown instead if it is up to date.

        Parameters
        ----------
        reactor
            The function, or its name.
        force
            Run this reactor even if it is up to date, or another process computes it.
        keep_going
            After a failure, continue with the reactors that do not depend on it.

        Returns
        -------
        report
            Which reactors ran, which were cached, why, and how long they took.

        Raises
        ------
        Exception
            The exception of a reactor, unchanged; with ``keep_going`` in an
            ``ExceptionGroup``.
        pyplant.errors.ReactorExitError
            If a reactor calls ``sys.exit``.
        pyplant.errors.RunError
            If no reactor sends a requested ingredient, or reactors wait for one another.
        """
        self._session.refuse_inside(f"plant.run_reactor({_reactor_text(reactor)})")
        with self._session.exclusive_access("plant.run_reactor"):
            definition = find_reactor(self._session, reactor)
            outcome = self._session.run(definition, force=force, keep_going=keep_going)
            cached = outcome.results[0].cached(definition.key)
            if cached is not None and not cached.outputs:
                self._session.replay(cached, definition.name)
        report = outcome.report()
        if report.errors:
            message = f"{counted(len(report.errors), 'reactor')} failed: {', '.join(report.failed)}"
            raise BaseExceptionGroup(message, list(report.errors))
        return report

    def sweep(
        self,
        reactor: _Reactor,
        parameters: Mapping[str, Iterable[Any]],
        ingredients: Iterable[str] = (),
        *,
        keep_going: bool = False,
    ) -> Sweep:
        """Run a reactor under many configurations, in parallel if the executor has several workers.

        Reactors that do not depend on the varied parameters run once. An interrupted sweep continues where
        it stopped when it is called again.

        Parameters
        ----------
        reactor
            The function or its name.
        parameters
            The values of each varied parameter, as in ``{"alpha": [0.1, 1.0], "seed": range(5)}``; all
            combinations are run. Nested parameters are written with a dot. The constructor of the configuration
            is not called again, so values that it derived from a varied parameter do not change.
        ingredients
            Ingredients whose values become columns of the table.
        keep_going
            After a failure under one configuration, continue with the others.

        Returns
        -------
        sweep
            A row for each configuration: parameters, ingredients, outcome, seconds. ``to_pandas()`` makes a
            ``pandas.DataFrame`` of it.

        Raises
        ------
        pyplant.errors.ConfigError, pyplant.errors.MissingParameterError
            If the parameters cannot be varied in this way.
        Exception
            The exception of a reactor, unless ``keep_going``.
        """
        from pyplant.execution.sweeping import sweep

        self._session.refuse_inside(f"plant.sweep({_reactor_text(reactor)}, ...)")
        wanted = tuple(name_list(ingredients))
        if wanted:
            check_names(wanted)
        return sweep(self._session, reactor, parameters, wanted, keep_going=keep_going)

    @overload
    def get(self, *names: str) -> Any: ...
    @overload
    def get(self, names: Sequence[str], /) -> list[Any]: ...

    def get(self, *names: Any) -> Any:
        """Bring ingredients up to date and return their values.

        Parameters
        ----------
        names
            One name, several, or one list or tuple of names.

        Returns
        -------
        value
            The value, which the caller may change; for several names a tuple, for a list a list of values.
        """
        self._session.refuse_inside(f"plant.get({', '.join(map(repr, names))})")
        request = Request.of(names)
        check_names(request.names, may_be_empty=request.as_list)
        with self._session.exclusive_access("plant.get"):
            values = self._session.run(names=request.names).results[0].values
        return request.deliver([values[name] for name in request.names])

    def fetch_ingredient(self, name: str) -> Any:
        """Return the stored value of an ingredient; runs nothing.

        Returns
        -------
        value
            The up-to-date value if it is stored; otherwise the value that was last up to date, with a
            :class:`~pyplant.errors.StaleWarning`.

        Raises
        ------
        pyplant.errors.MissingIngredientError
            If the plant stores no value of that name.
        pyplant.errors.NestedRunError
            If a reactor of this plant calls it: the result would not depend on what it read.
        """
        from pyplant.execution import queries

        check_names((name,))
        return queries.fetch(self._session, name)

    def export(self, names: Iterable[str], directory: str | os.PathLike[str]) -> Path:
        """Bring ingredients up to date and copy them to a folder that can be read without a plant.

        Parameters
        ----------
        names
            The ingredients.
        directory
            A folder that is empty, does not exist yet, or holds an earlier export, which is replaced;
            :func:`pyplant.load_ingredients` reads it.
        """
        from pyplant.portable import export

        self._session.refuse_inside("plant.export")
        wanted = (names,) if isinstance(names, str) else tuple(names)
        check_names(wanted)
        with self._session.exclusive_access("plant.export"):
            result = self._session.run(names=wanted).results[0]  # this loads every value, which verifies it
            return export(self._warehouse, result.ingredients.values(), directory)

    # ------------------------------------------------------------------ queries

    def status(self) -> Status:
        """Return the state of every reactor, with reasons; runs nothing."""
        from pyplant.execution import queries

        return queries.status(self._session)

    def explain(self, reactor: _Reactor) -> Explanation:
        """Return why a reactor would run, down to the edit that causes it; runs nothing.

        Parameters
        ----------
        reactor
            The function, its name, or the name of an ingredient that it sends.
        """
        from pyplant.execution import queries

        return queries.explain(self._session, reactor)

    def plan(self, reactor: _Reactor) -> Plan:
        """Return what running a reactor would do, as far as this is known before the run; runs nothing.

        Parameters
        ----------
        reactor
            The function, its name, or the name of an ingredient that it sends.
        """
        from pyplant.execution import queries

        return queries.plan(self._session, reactor)

    def history(self, reactor: _Reactor) -> History:
        """Return the stored executions of a reactor, newest first.

        Parameters
        ----------
        reactor
            The function, its name, or the name of an ingredient that it sends.
        """
        from pyplant.execution import queries

        return queries.history(self._session, reactor)

    def graph(self) -> graphviz.Digraph:
        """Return the reactors and the ingredients between them, for Graphviz."""
        from pyplant.execution import queries
        from pyplant.reports.graph import draw

        return draw(self.status(), queries.edges(self._session))

    def show_graph(self) -> None:
        """Show the reactors, their states, and the ingredients between them.

        In a notebook this displays a live graph, elsewhere a text tree.
        """
        from pyplant.execution import queries
        from pyplant.reports.graph import tree

        front_end = frontend.current()
        if front_end is not None and front_end.show_graph(self):
            return
        _streams.print_text(tree(self.status(), queries.edges(self._session)))

    # ------------------------------------------------------------------ maintenance

    def invalidate(self, reactor: _Reactor) -> None:
        """Forget every stored execution of a reactor; it runs when it is next needed."""
        invalidate(self._session, reactor)

    def gc(self, *, unused_for: str | float | None = None) -> CollectionReport:
        """Reclaim space: remove leftovers of dead processes, and history beyond ``max_size``.

        ``unused_for`` removes history that was not used for so long, too: seconds, or a text such as ``"30 days"``.
        """
        return self._session.collect(None if unused_for is None else parse_seconds(unused_for))

    def fsck(self, repair: bool = False) -> Audit:  # noqa: FBT001, FBT002 - the public signature
        """Check everything that is stored.

        Parameters
        ----------
        repair
            Move damaged values aside, so that they are computed again when needed.
        """
        from pyplant.store.fsck import audit

        with self._session.exclusive_access("plant.fsck"):
            self._session.context()
            return audit(self._warehouse, repair=repair)

    def add_event_listener(self, listener: Listener) -> None:
        """Call ``listener`` with every event (:mod:`pyplant.events`) from now on."""
        self._listeners.add(listener)

    def remove_event_listener(self, listener: Listener) -> None:
        """Stop calling a listener."""
        self._listeners.remove(listener)


def session_of(plant: Plant) -> Session:
    """Return the session of a plant, for the notebook and the command line."""
    return plant._session  # noqa: SLF001 - the only access besides the public methods


def _reactor_text(reactor: Any) -> str:
    return repr(reactor) if isinstance(reactor, str) else str(getattr(reactor, "__name__", reactor))
