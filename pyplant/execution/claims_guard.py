"""Claims: prevent several processes from executing the same reactor at the same time.

A run claims a reactor before its first step and releases the claim when its trace is committed. If another
process has the claim, the reactor is *blocked*: the run first does everything else, then polls until the
claim is free. The claim of a process that died is free too. Then the run looks up the trace again and
usually finds the one that the other process has committed.

The trace is looked up before the claim is taken. So after taking a claim the run checks whether new traces
have appeared in between, and looks up again if so.

Nobody waits for ever: executing twice is only slower, since results are immutable. A run executes a reactor
without a claim

- if the user forces it;
- if the owner of the claim waits, directly or through others, for this process. Each process publishes the
  claims it waits for, since the dependencies of their reactors may differ;
- if the owner is suspended (Ctrl-Z, a debugger) for a minute, or holds the claim longer than ``claim_timeout``;
- if the owner has finished and its result is one of other parameters than this run has, as the claim covers
  only the parameters that a reactor probably reads. Otherwise all who waited would run one after another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pyplant._formatting import format_seconds
from pyplant.engine.scheduler import Scheduler
from pyplant.engine.task import Task
from pyplant.engine.verdict import Reason, ReasonKind
from pyplant.errors import PlantWarning, logger
from pyplant.events import Event, ReactorBlocked
from pyplant.execution.context import RunContext
from pyplant.store.claims import HEARTBEAT_TIMEOUT
from pyplant.store.owner import Owner
from pyplant.store.warehouse import Warehouse

__all__ = ["ClaimsGuard"]

_PAUSE, _LONGEST_PAUSE = 0.005, 0.2  # seconds between two polls; the first grows to the second
_EMIT_INTERVAL = 1.0  # seconds between two events that name the process that is waited for
_LOG_AFTER = 5.0  # seconds of waiting after which a line is logged, for runs without a display
_MAX_STOPPED = HEARTBEAT_TIMEOUT  # seconds; an owner on another machine counts as dead after the same time


@dataclass(slots=True)
class _Wait:
    """A task that waits for the owner of a claim; times are those of ``time.monotonic``."""

    task: Task
    claim: str
    owner: Owner | None
    since: float
    stopped_since: float | None = None
    logged_owner: str = ""


def _as_held(owner: Owner) -> tuple[int, str, float]:
    """Identify a process and the time since when it has held claims."""
    return owner.pid, owner.started, owner.since


def _eviction(task: Task) -> Reason | None:
    """Return why a task is to run although a trace verifies, if only because its results were evicted."""
    reason = task.forced_reason
    return reason if reason is not None and reason.kind is ReasonKind.EVICTED else None


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
        self._warehouse = warehouse
        self._claims = warehouse.claims
        self._emit = emit
        self._warn = warn
        self._claimed: dict[str, str] = {}  # claims of this run, by key of the reactor
        self._waits: dict[str, _Wait] = {}  # by key of the reactor
        self._without_claim: set[str] = set()  # keys of reactors for which waiting is in vain

    def may_start(self, task: Task) -> bool:
        """Claim an execution.

        Returns
        -------
        may_start
            ``False`` if another process executes it, or has just finished it; the scheduler knows then.
        """
        if task.key in self._without_claim:
            return True
        claim = self._context.claim_key(task.key)
        forced = task.forced_reason is not None and _eviction(task) is None
        if not self._try_claim(claim, task):
            if forced:
                return True
            owner = self._claims.owner(claim)
            if owner is not None and _as_held(owner) in self._claims.given_up:
                self._without_claim.add(task.key)
                return not self._looks_again(task)
            self._scheduler.blocked(task)
            self._waits[task.key] = _Wait(task, claim, owner, time.monotonic())
            self._emit_blocked(self._waits[task.key])
            return False
        return forced or not self._looks_again(task)

    def _looks_again(self, task: Task) -> bool:
        """Look up a stored execution again if there are new ones; return whether there are."""
        if self._is_lost(task) or not self._context.has_new_traces(task.key):
            return False
        self.check_again(task)
        return True

    def check_again(self, task: Task) -> None:
        """Look up a stored execution again, since another process or run may have ended one."""
        self._scheduler.check_again(
            task, is_stored_again=_eviction(task) is not None and not self._is_lost(task)
        )

    def _is_lost(self, task: Task) -> bool:
        """Return whether a task is to run because of a value that is still not stored."""
        # Until it is, a look-up would find the execution whose value was lost.
        reason = _eviction(task)
        if reason is None or reason.trace is None:
            return False
        return not self._warehouse.can_load(reason.trace.output(reason.name))

    def _try_claim(self, claim: str, task: Task) -> bool:
        taken = self._claims.take(claim)
        if taken:
            self._claimed[task.key] = claim
        if self._claims.trouble is not None and not self._warehouse.is_read_only:
            self._warn(
                PlantWarning,
                f"Claims do not work in {self._warehouse.root} ({self._claims.trouble.strerror}): other processes may "
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
        return bool(self._waits)

    def wait(self) -> None:
        """Sleep until a claim is free."""
        # Polling: no kind of claim can be waited for on all systems and network file systems.
        pause, emitted = _PAUSE, time.monotonic()
        # Published for the detection of cycles.
        self._claims.wait_for(wait.claim for wait in self._waits.values())
        try:
            while not any(self._unblock(wait) for wait in list(self._waits.values())):
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                # Looked at only now and then, since processes also hold claims briefly while they look up traces.
                if time.monotonic() - emitted > min(_EMIT_INTERVAL, self._timeout):
                    emitted = time.monotonic()
                    for wait in list(self._waits.values()):
                        self._emit_blocked(wait)
                        if self._is_in_vain(wait):
                            self._without_claim.add(wait.task.key)
                            self._warehouse.ledger.refresh()  # a third process may have done it without a claim, too
                            self._check_again(wait)
                            return
        finally:
            self._claims.wait_for(())

    @property
    def _timeout(self) -> float:
        return float("inf") if self._context.claim_timeout is None else self._context.claim_timeout

    def _unblock(self, wait: _Wait) -> bool:
        if not self._try_claim(wait.claim, wait.task):
            return False
        self._check_again(wait)
        return True

    def _check_again(self, wait: _Wait) -> None:
        del self._waits[wait.task.key]
        self.check_again(wait.task)

    def _is_in_vain(self, wait: _Wait) -> bool:
        """Return whether to execute a reactor without a claim, unless its trace is found now."""
        now = time.monotonic()
        is_stopped = wait.stopped_since is not None and now - wait.stopped_since >= _MAX_STOPPED
        if is_stopped or now - wait.since >= self._timeout:
            # Not waited for again: it may hold the claims of a whole chain.
            if (owner := self._claims.owner(wait.claim)) is not None:
                self._claims.given_up.add(_as_held(owner))
            return True
        # One is enough in a cycle: when its reactor has run, this process releases what the others wait for.
        return self._claims.is_circular(wait.claim) or self._has_other_owner(wait)

    def _has_other_owner(self, wait: _Wait) -> bool:
        """Return whether the owner that was waited for has finished, and another one has the claim."""
        now, before = self._claims.owner(wait.claim), wait.owner
        if now is None or before is None or (now.pid, now.started) == (before.pid, before.started):
            return False
        # If the owner has died, there is no new trace.
        return self._context.has_new_traces(wait.task.key)

    def _emit_blocked(self, wait: _Wait) -> None:
        owner, now = self._claims.owner(wait.claim), time.monotonic()
        is_stopped = owner is not None and owner.is_stopped
        wait.stopped_since = (wait.stopped_since or now) if is_stopped else None
        who = "another process" if owner is None else str(owner)
        since = time.time() if owner is None else owner.since
        name = self._context.definitions[wait.task.key].name
        self._emit(ReactorBlocked(name, who, since, is_stopped))
        if now - wait.since >= _LOG_AFTER:
            self._log_wait(wait, name, f"{who} (stopped)" if is_stopped else who)

    def _log_wait(self, wait: _Wait, name: str, who: str) -> None:
        """Log once for whom a reactor waits, and how not to."""
        if wait.logged_owner == who:
            return
        wait.logged_owner = who
        logger().warning(
            "%r is being computed by %s; waited for %s so far. To compute it here, too, use "
            "plant.run_reactor(%r, force=True) or Plant(..., claim_timeout=seconds).",
            name,
            who,
            format_seconds(time.monotonic() - wait.since),
            name,
        )
