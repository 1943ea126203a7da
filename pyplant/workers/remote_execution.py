"""One execution of a reactor by workers, across all its attempts, and what it has shown so far."""

from __future__ import annotations

from pyplant._tracer import ExecutionRecord
from pyplant.engine.trace import Dependency, DependencyKind
from pyplant.execution.executor import ExecutionRequest, ExecutionResult, Failed
from pyplant.execution.reactor_execution import Finished, Load
from pyplant.ingredient import IN_MEMORY, Ingredient
from pyplant.workers.messages import OutputItem
from pyplant.workers.output import event_of
from pyplant.workers.output_display import OutputDisplay
from pyplant.workers.run_folder import RunFolder

__all__ = ["RemoteExecution"]

_DEATHS_BEFORE_ALONE = 2  # lost attempts of a reactor after which it runs alone
_DEATHS_ALONE = 3  # lost attempts alone after which it fails


class RemoteExecution:
    """One execution of a reactor by workers (:class:`~pyplant.execution.executor.ExecutionHandle`)."""

    def __init__(self, request: ExecutionRequest, run: RunFolder) -> None:
        self.run = run
        self.definition = request.definition
        self.request = request
        self.given: dict[str, Ingredient] = {}
        self.fingerprint = request.fingerprinter.fingerprint(request.definition.function).digest
        self.verified = [self.fingerprint]  # what a worker may compute; the result is stored under the first
        self.replaced = 0  # variables of imported modules that were sent with the last request
        self.differed = 0  # requests whose worker had another fingerprint
        self.deaths = 0  # attempts that were lost with their worker
        self._deaths_alone = 0
        self._display = OutputDisplay(request.definition.name, request.recording)

    @property
    def needs_coordinator(self) -> bool:
        """Whether only this process can execute it, since one of its inputs could not be stored."""
        return any(ingredient.format == IN_MEMORY for ingredient in self.given.values())

    @property
    def is_suspicious(self) -> bool:
        """Whether it is suspected of crashing workers."""
        return self.deaths >= _DEATHS_BEFORE_ALONE

    def count_death(self) -> bool:
        """Count a lost attempt; return whether a further one is made."""
        self._deaths_alone += self.is_suspicious
        self.deaths += 1
        return self._deaths_alone < _DEATHS_ALONE

    def deliver(self, ingredient: Ingredient, load: Load) -> None:
        """Include an ingredient in the next request. The worker loads the value itself."""
        del load
        if ingredient.format != IN_MEMORY:
            self.request.warehouse.formats.trusted_spec(ingredient)
        self.given[ingredient.name] = ingredient

    def received(self, ingredients: tuple[Ingredient, ...]) -> None:
        """Do nothing: the worker records what the reactor receives."""

    def close(self) -> None:
        """End the execution. No generator waits here."""
        self._display.close()
        if self.request.recording is not None:
            self.request.recording.abandon()

    def restart_output(self) -> None:
        """Expect the output of a new attempt, which repeats that of the last one."""
        self._display.restart()

    def show(self, item: OutputItem) -> None:
        """Show an item of output, without what an earlier attempt has shown."""
        if item[0] in ("stdout", "stderr", "log"):
            self._display.show(item)
            return
        event = event_of(item)
        if event is not None:
            self.request.emit(event)

    def finished(self, record: ExecutionRecord, seconds: float) -> ExecutionResult:
        """Return the result, with the digests of parameters and of the process, which are those of the run."""
        request = self.request

        def with_digest(dependency: Dependency) -> Dependency:
            name = dependency.names[0]
            match dependency.kind:
                case DependencyKind.PARAMETER:
                    return dependency._replace(digests=(request.context.parameter(name) or "",))
                case DependencyKind.ENVIRONMENT | DependencyKind.WORKING_DIRECTORY:
                    return dependency._replace(
                        digests=(request.context.outside_in_run(dependency.kind, name) or "",)
                    )
            return dependency

        record.is_of_this_process = False
        for name, file in record.files.items():
            request.warehouse.input_files.adopt(name, file)
        try:
            record.dependencies[:] = map(with_digest, record.dependencies)
        except Exception as error:  # noqa: BLE001 - such as a parameter without content to compare
            return Failed(error)
        if request.recording is not None:
            record.showed = request.recording.finish()
        return Finished(record, seconds)
