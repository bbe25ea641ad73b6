"""Ask the cheap model first, and a dearer one where its answer will not do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agentprod.call import Call, CallNext, Target
from agentprod.errors import (
    AllUnavailable,
    Blocked,
    BudgetExceeded,
    ConfigError,
    DeadlineExceeded,
    ShuttingDown,
    SuspendedError,
)
from agentprod.layer import Layer, Place
from agentprod.routing import constraints
from agentprod.routing.agreement import agree
from agentprod.routing.answer import Answer, read_answer
from agentprod.routing.ask import read_ask
from agentprod.routing.checks import DEFAULT
from agentprod.routing.held import hold
from agentprod.routing.options import Option, answer_limit, expected_usage, options_of, price_of
from agentprod.spending_cap import spending_cap
from agentprod.targets import aim, check_kinds

if TYPE_CHECKING:
    from agentprod.reply import Reply

__all__ = ["Cascade"]

Check = Callable[[Answer], Any]

_CASCADED = ("chat", "responses", "messages", "function")
_FINAL = (BudgetExceeded, Blocked, DeadlineExceeded, ShuttingDown, ConfigError, SuspendedError)
"""What no other model would change."""


class Cascade(Layer):
    """Asks the cheap model first, and goes on to a dearer one when its answer fails a check or finds no agreement.

    Checks are local and free (`ap.checks`, and functions of your own); agreement asks several cheap models and keeps
    the answer they share. The last model's answer is not checked: it is the best there is. Every leg is an attempt of
    the same call, counted, budgeted and traced; an answer that is not kept reaches nobody.

    A model that cannot take the request, or whose circuit is open, is passed over; one that fails is as good as one
    whose answer does not do. When a budget that downgrades cannot pay for the last leg, the dearest one before it that
    it can pay for answers, unchecked.

    Streams: a leg that is to be checked is read to its end first, and delivered only when it is kept; the last leg
    streams as it comes. So with a check the first token takes as long as the whole cheap answer, and nothing that was
    shown is ever taken back.

    Args:
        models: model names at the caller's own client, `ap.target(client, model)`, or functions; the cheapest first.

        checks: functions `(answer) -> bool`, all of which have to hold; `ap.checks.DEFAULT` when there are none and no
            agreement is asked for. One that raises has failed.

        agree: how many of the first models have to come to the same answer, at least 2; `None` for no agreement.

        max_legs: how many legs there are at most, from 2; the last one is the last model's. Models that have to agree
            are one leg.

        same: `(answer, answer) -> bool` for agreement, where the built-in comparison of conclusions does not suit.

    Raises:
        ConfigError: an option out of range, or fewer models than legs need.
    """

    def __init__(
        self,
        models: Iterable[str | Target | Callable[..., Any]],
        *,
        checks: Check | Sequence[Check] = (),
        agree: int | None = None,
        max_legs: int = 2,
        same: Callable[[Answer, Answer], bool] | None = None,
    ) -> None:
        options = options_of(models, "Cascade")
        group = _whole("agree", agree, 2) if agree is not None else 1
        if len(options) <= group:
            wanted = "two models" if agree is None else f"more than the {group} models that have to agree"
            raise ConfigError(f"Cascade needs at least {wanted}; the last one answers where the others will not do")
        legs = _whole("max_legs", max_legs, 2)
        self.models: tuple[str, ...] = tuple(option.name for option in options)
        """Names, the cheapest first."""
        single = [(option,) for option in options[group:-1]][: legs - 2]
        self._legs: tuple[tuple[Option, ...], ...] = (options[:group], *single, options[-1:])
        listed = (checks,) if callable(checks) else tuple(checks)
        for check in listed:
            if not callable(check) or isinstance(check, type):
                kind = check.__name__ if isinstance(check, type) else type(check).__name__
                raise ConfigError(f"Cascade checks are functions (answer) -> bool, not {kind}")
        if same is not None and not callable(same):
            raise ConfigError(f"Cascade same must be a function (answer, answer) -> bool, not {type(same).__name__}")
        self.checks: tuple[Check, ...] = listed or (() if agree is not None else DEFAULT)
        self.agree = agree
        self._same = same

    def attach(self, place: Place) -> None:
        """Refuse targets of another kind."""
        check_kinds([option.destination for leg in self._legs for option in leg], place, "Cascade")

    async def handle(self, call: Call, call_next: CallNext) -> Reply:
        """Go from leg to leg until an answer does."""
        if call.operation not in _CASCADED:
            return await call_next(call)
        cap = spending_cap(call)
        *earlier, last = self._legs if cap is None else self._affordable(call, cap)
        reason = "last" if cap is None else "budget"
        for leg in earlier:
            kept = await self._try(call, call_next, leg)
            if isinstance(kept, str):
                reason = kept
                continue
            self._served(call, leg[0], "agreed" if len(leg) > 1 else "passed")
            return kept
        final = last[0]
        blocked = constraints.own_requirement((), call, final)
        if blocked is not None:
            raise AllUnavailable(f"Cascade: {final.name} cannot take this request: {blocked}", layer="Cascade")
        reply = await call_next(aim(call, final.destination))
        self._served(call, final, reason)
        return reply

    def _affordable(self, call: Call, usd: float) -> list[tuple[Option, ...]]:
        """Return the legs left when a budget could not pay for one: not the last, and none beyond its cap."""
        usage = expected_usage(read_ask(call.request), call.request, None)
        pricer = call.ledger.environment.pricer

        def fits(option: Option) -> bool:
            price = price_of(option, call.home, pricer, usage)
            return price is None or price <= usd

        return [leg for leg in self._legs[:-1] if all(map(fits, leg))] or [self._legs[0]]

    async def _try(self, call: Call, call_next: CallNext, leg: tuple[Option, ...]) -> Reply | str:
        """Return the reply to keep, or in a word why there is none."""
        first: tuple[Reply, Answer] | None = None
        try:
            for option in leg:
                outcome = await self._ask(call, call_next, option)
                if isinstance(outcome, str):
                    return outcome
                if first is None:
                    first = outcome
                    continue
                reply, answer = outcome
                await reply.discard()
                if not self._agree(first[1], answer):
                    call.ledger.note("Cascade", "leg", model=option.name, accepted=False, failed=["agreement"])
                    return "disagreed"
            assert first is not None
            kept, first = first[0], None
            call.ledger.note("Cascade", "leg", model=leg[0].name, accepted=True)
            return kept
        finally:
            if first is not None:
                await first[0].discard()

    async def _ask(self, call: Call, call_next: CallNext, option: Option) -> tuple[Reply, Answer] | str:
        """Ask one model and check its answer; return in a word why it will not do."""
        unable = self._unable(call, option)
        if unable is not None:
            call.ledger.note("Cascade", "leg", model=option.name, accepted=False, skipped=unable)
            return "passed over"
        try:
            reply, body = await hold(await call_next(aim(call, option.destination)), call)
        except _FINAL:
            raise
        except Exception as error:
            call.ledger.note("Cascade", "leg", model=option.name, accepted=False, error=type(error).__name__)
            return "failed"
        failed = self._check(call, body, option)
        if isinstance(failed, Answer):
            return reply, failed
        await reply.discard()
        call.ledger.note("Cascade", "leg", model=option.name, accepted=False, failed=failed)
        return "did not pass"

    def _check(self, call: Call, body: Any, option: Option) -> Answer | list[str]:
        """Return the answer, or the names of the checks it fails."""
        answer = read_answer(call, body, option.name)
        results: dict[str, float] = {}
        for check in self.checks:
            seen = replace(answer, failed=dict(results))
            try:
                passed = bool(check(seen))
            except Exception:  # whatever stumbles over an answer does not vouch for it
                passed = False
            results[getattr(check, "__name__", type(check).__name__)] = float(not passed)
        failed = [name for name, value in results.items() if value]
        return failed or answer

    def _agree(self, one: Answer, other: Answer) -> bool:
        try:
            return bool((self._same or agree)(one, other))
        except Exception:
            return False

    def _unable(self, call: Call, option: Option) -> str | None:
        own = constraints.own_requirement((), call, option)
        if own is not None:
            return own
        estimate = call.ledger.environment.estimate
        ask = read_ask(call.request)
        unable = constraints.cannot(option, ask, call.request, estimate, answer_limit(call.request) or 0)
        return unable or constraints.is_down(option, call)

    def _served(self, call: Call, option: Option, reason: str) -> None:
        legs = len([note for note in call.ledger.notes if note.layer == "Cascade" and note.event == "leg"])
        call.ledger.note(
            "Cascade",
            "served",
            selected_model=option.name,
            policy="cascade",
            reason=reason,
            rejected=legs - (reason in _KEPT),
        )

    def options(self) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        found: dict[str, Any] = {"models": list(self.models)}
        if self.agree is not None:
            found["agree"] = self.agree
        return found


_KEPT = ("agreed", "passed")


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"Cascade {name} must be a whole number from {least}, not {value!r}")
    return value
