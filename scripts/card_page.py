"""Print a page with the card of made-up calls, of which docs/images/card.png is a picture.

`python scripts/card_page.py > card.html`, then
`chromium --headless --hide-scrollbars --window-size=980,680 --screenshot=docs/images/card.png card.html`.
"""

from __future__ import annotations

import random
import sys
from decimal import Decimal

from agentprod.telemetry.calls import AttemptRecord, CallRecord, Status
from agentprod.telemetry.card_html import html_card
from agentprod.usage import Usage

MODELS = {"gpt-5-mini": 2e-6, "qwen3-max 通义": 3e-6, "claude-sonnet-4-5": 9e-6}
KINDS = {"plain": 50, "retried": 16, "failed": 7, "cached": 13, "queued": 8, "rejected": 6}
STATUS: dict[str, Status] = {"failed": "error", "cached": "cached", "rejected": "rejected"}


def make_call(rng: random.Random, number: int) -> CallRecord:
    """Return a call as an application with cache, retry, rate limit and breaker may have made it."""
    model = rng.choices(list(MODELS), (3, 2, 1))[0]
    (kind,) = rng.choices(list(KINDS), list(KINDS.values()))
    tokens = int(rng.lognormvariate(7.4, 0.6))
    first, rest = rng.lognormvariate(-0.9, 0.4), rng.lognormvariate(-0.1, 0.5)
    wait = rng.uniform(0.8, 2.4)
    answered = AttemptRecord(duration=first + rest, ttft=first, backoff=wait if kind == "retried" else 0.0)
    refused = AttemptRecord(outcome="failed", error_type="429", duration=0.3)
    late = AttemptRecord(outcome="failed", error_type="timeout", duration=3.0)
    attempts = {"retried": (refused, answered), "failed": (late,), "cached": (), "rejected": ()}.get(kind, (answered,))
    queued = wait if kind == "queued" else 0.0
    billed = kind in ("plain", "retried", "queued")
    cost = Decimal(str(round(tokens * MODELS[model], 6)))
    return CallRecord(
        request_id=f"{rng.getrandbits(128):032x}",
        started=1_700_000_000.0 + number,
        duration=0.002 + queued + sum(attempt.backoff + attempt.duration for attempt in attempts),
        model=model,
        status=STATUS.get(kind, "ok"),
        error_type={"failed": "CallTimeout", "rejected": "CircuitOpen"}.get(kind),
        attempts=attempts,
        usage=Usage(tokens, tokens // 6) if billed else None,
        cost_usd=cost if billed else None if kind == "failed" else Decimal(0),
        saved_usd=cost if kind == "cached" else None,
        cache="hit_exact" if kind == "cached" else "miss",
        queue_wait=queued,
        ttft=first if billed else None,
        streaming=True,
    )


def main() -> None:
    """Print the page."""
    rng = random.Random(21)
    card = html_card([make_call(rng, number) for number in range(60)])
    sys.stdout.write(f'<!doctype html><meta charset="utf-8"><body style="margin:16px">{card}</body>\n')


if __name__ == "__main__":
    main()
