"""What this process knows of each target now."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

if TYPE_CHECKING:
    from agentprod.call import Target

__all__ = ["Board", "Refusal"]

_MOST = 1024


class Refusal(NamedTuple):
    """Why a target takes no call now, and for how long."""

    reason: str
    retry_after: float


Check = Callable[["Target", float], "Refusal | None"]


class Board:
    """Cooldowns by model and account, latency by endpoint, and the checks that breakers and limiters post.

    Providers limit each model on its own, so another model of a refused account may well answer; a used-up quota is
    the account's. Bounded to 1,024 of each; the least recently touched go first.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a check may be collected, and forgotten, while it is held
        self._not_before: OrderedDict[str, float] = OrderedDict()
        self._latency: OrderedDict[str, float] = OrderedDict()
        self._checks: tuple[ref[Check], ...] = ()

    def cool(self, target: Target, until: float, *, account: bool = False) -> None:
        """Send nothing to this model of this account before `until` (monotonic); an earlier `until` never shortens it.

        Args:
            target: who refused.

            until: monotonic seconds.

            account: whether that holds for every model of the account.
        """
        with self._lock:
            key = target.account if account else _model(target)
            self._not_before[key] = max(self._not_before.get(key, 0.0), until)
            self._not_before.move_to_end(key)
            if len(self._not_before) > _MOST:
                self._not_before.popitem(last=False)

    def warm(self, target: Target) -> None:
        """Forget the cooldown of this model, and of its account."""
        with self._lock:
            self._not_before.pop(_model(target), None)
            self._not_before.pop(target.account, None)

    def cooling(self, target: Target, now: float) -> float:
        """Return the seconds this model of this account still cools down; 0 when it does not."""
        if not self._not_before:
            return 0.0
        until = max(self._not_before.get(_model(target), 0.0), self._not_before.get(target.account, 0.0))
        return max(0.0, until - now)

    def observe(self, target: Target, seconds: float) -> None:
        """Fold the time to first content of one attempt into the endpoint's moving average."""
        with self._lock:
            key = target.endpoint
            old = self._latency.get(key)
            self._latency[key] = seconds if old is None else old + 0.2 * (seconds - old)
            self._latency.move_to_end(key)
            if len(self._latency) > _MOST:
                self._latency.popitem(last=False)

    def latency(self, target: Target) -> float | None:
        """Return the moving average of the time to first content, in seconds; `None` before the first."""
        return self._latency.get(target.endpoint)

    def post(self, check: Check) -> None:
        """Let a layer answer `refuses` too; posting the same check again changes nothing.

        Args:
            check: held weakly, so that a layer that is gone refuses nothing any more: the layer keeps it.
        """
        known = ref(check, self._forget)
        with self._lock:
            if known not in self._checks:
                self._checks = (*self._checks, known)

    def _forget(self, gone: ref[Check]) -> None:
        with self._lock:
            self._checks = tuple(each for each in self._checks if each is not gone)

    def refuses(self, target: Target, now: float) -> Refusal | None:
        """Say whether a call to `target` would be refused now, without claiming anything."""
        cooling = self.cooling(target, now)
        worst = Refusal("cooldown", cooling) if cooling > 0 else None
        for known in self._checks:
            check = known()
            refusal = None if check is None else check(target, now)
            if refusal is not None and (worst is None or refusal.retry_after > worst.retry_after):
                worst = refusal
        return worst


def _model(target: Target) -> str:
    return f"{target.account} {target.model or ''}"
