"""Claims: prevent several processes from executing the same reactor at the same time.

A run claims a reactor before its first step and releases the claim when its trace is committed. If another
process has the claim, the reactor is *blocked*: the run first does everything else, then polls until the
claim is free. The claim of a process that died is free too. Then the run looks up the trace again and
usually finds the one that the other process has committed.

The trace is looked up before the claim is taken. So after taking a claim the run checks whether new traces
have appeared in between, and looks up again if so.

Two processes may wait for claims of each other, if the dependencies of their reactors differ. Each process
therefore publishes the claims it waits for. A process that finds a cycle executes the reactor without a
claim: executing twice is only slower, waiting would never end.
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

_PAUSE, _LONGEST_PAUSE = 0.005, 0.2  # seconds between two polls; the first grows to the second
_EMIT_INTERVAL = 1.0  # seconds between two events that name the process that is waited for


class ClaimsGuard:
    """The claims of one run.

    Parameters
    ----------
    context, warehouse, scheduler
        Those of the run.
    emit, warn
        Called with events, and with warnings.
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
        self._claimed: dict[str, str] = {}  # claims of this run, by key of the reactor
        self._blocked: dict[str, Task] = {}  # tasks that wait, by claim
        self._without_claim: set[str] = set()  # claims that are ignored, to break a cycle

    def may_start(self, task: Task) -> bool:
        """Claim an execution.

        Returns
        -------
        may_start
            ``False`` if another process executes it, or has just finished it; the scheduler knows then.
        """
        claim = self._context.claim_key(task.key)
        if claim in self._without_claim:
            return True
        if not self._try_claim(claim, task):
            self._scheduler.blocked(task)
            self._blocked[claim] = task
            self._emit_blocked(claim)
            return False
        # A forced reactor runs anyway, except one that is forced only because its results were evicted.
        forced = task.forced_reason is not None and task.forced_reason.kind is not ReasonKind.EVICTED
        if not forced and self._context.has_new_traces(task.key):
            self._scheduler.check_again(task)
            return False
        return True

    def _try_claim(self, claim: str, task: Task) -> bool:
        taken = self._claims.take(claim)
        if taken:
            self._claimed[task.key] = claim
        if self._claims.trouble is not None:
            self._warn(
                PlantWarning,
                f"Claims do not work in {self._root} ({self._claims.trouble.strerror}): other processes may "
                f"compute the same results at the same time. Nothing else is affected.",
            )
        return taken

    def release(self, key: str) -> None:
        """Release the claim of a reactor that has ended or need not run."""
        claim = self._claimed.pop(key, None)
        # Reactors with the same code and configuration share one claim; the last of them releases it.
        if claim is not None and claim not in self._claimed.values():
            self._claims.release(claim)

    def holds_claims(self) -> bool:
        """Return whether this process holds claims, also one that an interrupt kept from being recorded here."""
        return self._claims.holds_any()

    def release_all(self) -> None:
        """Release all claims at the end of the run."""
        self._claimed.clear()
        self._claims.release_all()  # also a claim that an interrupt kept from being recorded here

    # ------------------------------------------------------------------ waiting

    def is_blocked(self) -> bool:
        """Return whether reactors wait for other processes."""
        return bool(self._blocked)

    def wait(self) -> None:
        """Sleep until a claim is free."""
        # Polling: no kind of claim can be waited for on all systems and network file systems.
        pause, emitted = _PAUSE, time.monotonic()
        self._claims.wait_for(self._blocked)  # published for the detection of cycles
        try:
            while not any(self._unblock(claim) for claim in list(self._blocked)):
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                if time.monotonic() - emitted > _EMIT_INTERVAL:
                    emitted = time.monotonic()
                    if self._break_cycle():
                        break
                    for claim in self._blocked:
                        self._emit_blocked(claim)
        finally:
            self._claims.wait_for(())

    def _unblock(self, claim: str) -> bool:
        task = self._blocked[claim]
        if not self._try_claim(claim, task):
            return False
        del self._blocked[claim]
        self._scheduler.check_again(task)
        return True

    def _break_cycle(self) -> bool:
        """Continue without a claim if its owner waits for this process; returns whether there was a cycle.

        Checked only after a second of waiting, since processes also hold claims briefly while they look up traces.
        """
        for claim, task in self._blocked.items():
            # One is enough: when its reactor has run, this process releases what the others wait for.
            if self._claims.is_circular(claim):
                self._without_claim.add(claim)
                del self._blocked[claim]
                self._scheduler.check_again(task)
                return True
        return False

    def _emit_blocked(self, claim: str) -> None:
        owner = self._claims.owner(claim)
        who = "another process" if owner is None else str(owner)
        since = time.time() if owner is None else owner.since
        name = self._context.definitions[self._blocked[claim].key].name
        self._emit(ReactorBlocked(name, who, since))
