"""Single flight: what another process is computing is waited for, not computed again.

A reactor is claimed before its first step and released when its trace is committed. When
another process has the claim, the run does everything else first; only then it sleeps, and
looks every now and then whether the claim has become free. What the other left behind is
found by looking for a trace again. If the other died, the claim is free as well.

Two processes that hold what the other waits for would wait for ever. It takes reactors
whose dependencies differ between the two, but it happens: each writes what it waits for
into its claims, and who sees a circle executes without a claim.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pyplant.engine.scheduler import Scheduler
from pyplant.engine.task import Task
from pyplant.engine.verdict import ReasonKind
from pyplant.errors import PlantWarning
from pyplant.events import Event, ReactorBlocked
from pyplant.execution.context import RunContext
from pyplant.store.warehouse import Warehouse

__all__ = ["ClaimsGuard"]

_PAUSE, _LONGEST_PAUSE = 0.005, 0.2  # seconds between two looks
_TELL = 1.0  # seconds between events that report which process executes a reactor


class ClaimsGuard:
    """The claims of one run.

    Parameters
    ----------
    context, warehouse, scheduler
        Those of the run.
    emit, warn
        Receive events and warnings.
    """

    def __init__(
        self,
        context: RunContext,
        warehouse: Warehouse,
        scheduler: Scheduler,
        emit: Callable[[Event], None],
        warn: Callable[[type[PlantWarning], str], None],
    ) -> None:
        self._context = context
        self._scheduler = scheduler
        self._root = warehouse.root
        self._claims = warehouse.claims
        self._emit = emit
        self._warn = warn
        self._ours: dict[str, str] = {}
        self._blocked: dict[str, Task] = {}
        self._unclaimed: set[str] = set()

    def may_start(self, task: Task) -> bool:
        """Claim an execution; ``False`` if another process executes the reactor, or has just finished it.

        In both cases the state of the task was changed in the scheduler.
        """
        claim = self._context.claim_key(task.key)
        if claim in self._unclaimed:
            return True
        if not self._take(claim, task):
            self._scheduler.blocked(task)
            self._blocked[claim] = task
            self._tell(claim)
            return False
        forced = task.forced_reason is not None and task.forced_reason.kind is not ReasonKind.EVICTED
        if not forced and self._context.has_news(task.key):
            self._scheduler.check_again(task)
            return False
        return True

    def _take(self, claim: str, task: Task) -> bool:
        taken = self._claims.take(claim)
        if taken:
            self._ours[task.key] = claim
        if self._claims.trouble is not None:
            self._warn(
                PlantWarning,
                f"Claims do not work in {self._root} ({self._claims.trouble.strerror}): other processes may "
                f"compute the same results at the same time. Nothing else is affected.",
            )
        return taken

    def release(self, key: str) -> None:
        """A reactor has come to an end, or need not run."""
        claim = self._ours.pop(key, None)
        if claim is not None and claim not in self._ours.values():
            self._claims.release(claim)

    def release_all(self) -> None:
        """The run is over."""
        self._ours.clear()
        self._claims.release_all()  # including claims that an interrupt kept from being recorded

    # ------------------------------------------------------------------ waiting

    def is_blocked(self) -> bool:
        """Whether reactors wait for other processes."""
        return bool(self._blocked)

    def wait(self) -> None:
        """Sleep until a claim is free; there is nothing else to do."""
        pause, told = _PAUSE, time.monotonic()
        self._claims.wait_for(self._blocked)
        try:
            while not any(self._unblock(claim) for claim in list(self._blocked)):
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                if time.monotonic() - told > _TELL:
                    told = time.monotonic()
                    if self._break_circle():
                        break
                    for claim in self._blocked:
                        self._tell(claim)
        finally:
            self._claims.wait_for(())

    def _unblock(self, claim: str) -> bool:
        task = self._blocked[claim]
        if not self._take(claim, task):
            return False
        del self._blocked[claim]
        self._scheduler.check_again(task)
        return True

    def _break_circle(self) -> bool:
        """Go on without a claim if its owner waits for this process.

        Not asked at once: claims are also held for a moment, while a trace is looked for.
        """
        for claim, task in self._blocked.items():
            if self._claims.is_circular(claim):
                self._unclaimed.add(claim)
                del self._blocked[claim]
                self._scheduler.check_again(task)
                return True
        return False

    def _tell(self, claim: str) -> None:
        owner = self._claims.owner(claim)
        who = "another process" if owner is None else str(owner)
        since = time.time() if owner is None else owner.since
        name = self._context.definitions[self._blocked[claim].key].name
        self._emit(ReactorBlocked(name, who, since))
