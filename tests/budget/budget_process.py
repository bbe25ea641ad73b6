"""A process that spends a budget, run as `python -m tests.budget.budget_process URL ...`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import agentprod as ap
from tests.budget.spending import HELLO, MODEL, asks, by_output
from tests.stores.reserving import connect

__all__ = ["connect"]


def main() -> None:
    url, prefix, what, *numbers = sys.argv[1:]
    store = connect(url, prefix)
    if what == "ask":
        ask, sent = asks(ap.TokenBudget(ap.Limit(usd=int(numbers[1]), per="total"), store=store))
        for _ in range(int(numbers[0])):
            try:
                ask()
            except ap.BudgetExceeded:
                pass
        print(sent.calls)
    else:
        limits = ap.Limit(usd=1, per="total"), ap.Limit(tokens=1000, per="total", name="t")

        @ap.Stack(ap.TokenBudget(*limits, store=store, lease=float(numbers[0])), prices=by_output)
        def die(model: str, messages: Any, max_tokens: int) -> Any:
            os.kill(os.getpid(), signal.SIGKILL)

        die(MODEL, HELLO, 100)
    store.close()


if __name__ == "__main__":
    main()
