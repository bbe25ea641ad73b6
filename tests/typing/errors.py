"""What type checkers know of errors and token counts; checked, never run."""

from __future__ import annotations

from typing import assert_type

from agentprod.errors import BudgetExceeded, CallTimeout, Rejected, StreamInterrupted
from agentprod.usage import Usage


def a_rejection_says_when_to_come_back(error: Rejected) -> None:
    assert_type(error.retry_after, float | None)
    assert_type(error.status_code, int)


def a_budget_says_what_is_left(error: BudgetExceeded) -> None:
    rejected: Rejected = error
    assert_type(rejected.layer, str | None)
    assert_type(error.limit, float | None)
    assert_type(error.resets_at, float | None)


def a_timeout_is_a_timeout_error(error: CallTimeout) -> TimeoutError:
    return error


def a_broken_stream_keeps_what_arrived(error: StreamInterrupted) -> None:
    assert_type(error.partial, str)
    assert_type(error.open_tool_calls, tuple[str, ...])


def token_counts_add_up(first: Usage, second: Usage) -> None:
    assert_type(first + second, Usage)
    assert_type(first.total_tokens, int)
