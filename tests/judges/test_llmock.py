"""A judge that strangers wrote: PyPI's `llmock` breaks what it serves and says how the client coped."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from tenacity import wait_exponential

import agentprod as ap

pytest.importorskip("llmock", reason="llmock is the judge of a session of its own: nox -s judge")

from llmock import scenarios
from llmock.chaos import ChaosSettings, StreamChaos
from llmock.testing import LLMockServer
from llmock.verdict import judge

from tests.judges.clients import ask, client, module, read, tools

pytestmark = pytest.mark.filterwarnings("ignore")

TESTING_PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "testing.md"
Script = list[tuple[str, dict[str, Any]]]
"""Methods of the judge to call, with their arguments."""


def resilient(*layers: Any) -> ap.Stack:
    """Return the stack under judgement: streams arrive whole or not at all, so that they can be asked for again."""
    return ap.Stack(
        ap.Deadline(20, streams=True),
        ap.Retry(attempts=4, wait=wait_exponential(multiplier=0.1)),
        *layers,
        ap.Timeout(5, first_token=0.5, idle=0.5),
        buffer=True,
    )


@pytest.fixture(params=["chat", "responses", "messages"])
def api(request: pytest.FixtureRequest) -> str:
    """Run the test for every API of both SDKs that the judge speaks."""
    return str(request.param)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Run the test for sync and async clients."""
    return str(request.param)


def play(mock: Any, script: Script) -> None:
    """Tell the judge what to do."""
    for method, arguments in script:
        getattr(mock, method)(**arguments)


WHOLE: dict[str, Script] = {
    "rate limited twice": [("rate_limit", {"times": 2, "retry_after": 0.3})],
    "server error": [("fail", {"status": 500})],
    "bad gateway": [("fail", {"status": 502})],
    "unavailable twice": [("fail", {"status": 503, "times": 2})],
    "unavailable until told": [("fail", {"status": 503, "retry_after": 0.3})],
    "gateway timeout": [("fail", {"status": 504})],
    "overloaded": [("fail", {"status": 529})],
    "request timeout": [("fail", {"status": 408})],
    "conflict": [("fail", {"status": 409})],
    "one thing after the other": [
        ("fail", {"status": 500}),
        ("rate_limit", {"retry_after": 0.3}),
        ("delay", {"seconds": 0.2}),
    ],
    "late": [("delay", {"seconds": 0.3})],
}
STREAMED: dict[str, Script] = {
    "truncated": [("truncate", {"after_chunks": 3})],
    "truncated at once": [("truncate", {"after_chunks": 0})],
    "truncated twice": [("truncate", {"after_chunks": 2, "times": 2})],
    "disconnected": [("disconnect", {"after_chunks": 2})],
    "disconnected at once": [("disconnect", {"after_chunks": 0})],
    # Paced, so that the judge can see who stops reading: a short stream is sent before anybody could.
    "malformed": [("corrupt", {"after_chunks": 2}), ("pace", {"chunk_delay_ms": 30})],
    "stalled": [("stall", {"after_chunks": 2, "seconds": 3})],
    "slow to begin": [("slow_first_token", {"seconds": 3})],
    "broken in each way": [
        ("truncate", {"after_chunks": 2}),
        ("disconnect", {"after_chunks": 1}),
        ("fail", {"status": 500}),
    ],
}
FINAL: dict[str, tuple[Script, str]] = {
    "bad request": ([("fail", {"status": 400})], "BadRequestError"),
    "no credentials": ([("fail", {"status": 401})], "AuthenticationError"),
    "no permission": ([("fail", {"status": 403})], "PermissionDeniedError"),
    "not found": ([("fail", {"status": 404})], "NotFoundError"),
    "unprocessable": ([("fail", {"status": 422})], "UnprocessableEntityError"),
    "too long": ([("context_overflow", {})], "BadRequestError"),
    "longer than the window": ([("limits", {"context_window": 2})], "BadRequestError"),
    "outage": ([("outage", {})], "InternalServerError"),
}
TOOLS: dict[str, Script] = {
    "one that exists": [("call_tool", {"name": "weather", "arguments": {"city": "杭州"}})],
    "one it makes up": [("call_tool", {"name": "weather"}), ("break_tool_call", {"kind": "unknown_tool"})],
    "broken arguments": [("call_tool", {"name": "weather"}), ("break_tool_call", {"kind": "malformed_arguments"})],
    "one it was not told to call": [("tool_mode", {"mode": "auto"})],
    "none, as it was told not to": [("tool_mode", {"mode": "off"})],
    "none, with words of its own": [("reply", {"text": "杭州: 21 °C."})],
}
QUOTAS: dict[str, dict[str, int]] = {"tokens": {"tpm": 6000}, "requests": {"rpm": 60}}


@pytest.mark.parametrize("scenario", WHOLE)
def test_a_failing_call_is_handled(scenario: str, api: str, kind: str, llmock: Any) -> None:
    """The reply comes, and the judge has nothing to say, warnings included."""
    expected = ask(client(api, kind, llmock), api)
    llmock.reset()
    play(llmock, WHOLE[scenario])
    assert ask(resilient().wrap(client(api, kind, llmock)), api) == expected
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("scenario", {**WHOLE, **STREAMED})
def test_a_failing_stream_is_handled(scenario: str, api: str, kind: str, llmock: Any) -> None:
    """The whole text comes, and the judge has nothing to say, warnings included."""
    expected = read(client(api, kind, llmock), api)
    assert expected
    llmock.reset()
    play(llmock, {**WHOLE, **STREAMED}[scenario])
    assert read(resilient().wrap(client(api, kind, llmock)), api) == expected
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("scenario", FINAL)
def test_what_cannot_be_mended_is_raised_as_the_sdks_own_error(scenario: str, api: str, kind: str, llmock: Any) -> None:
    """No attempt is wasted on what no retry can mend, and an outage ends after a few."""
    script, error = FINAL[scenario]
    play(llmock, script)
    with pytest.raises(getattr(module(api), error)):
        ask(resilient().wrap(client(api, kind, llmock)), api)
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("take", [ask, read])
@pytest.mark.parametrize("scenario", TOOLS)
def test_a_tool_call_comes_through_as_it_is(scenario: str, take: Any, api: str, llmock: Any) -> None:
    """Also after a failure; and what a model makes up arrives as the bare client has it: it is the application's."""
    bare = client(api, "sync", llmock)
    play(llmock, TOOLS[scenario])
    expected = take(bare, api, tools=tools(api))
    llmock.reset()
    play(llmock, [("fail", {"status": 500}), *TOOLS[scenario]])
    assert take(resilient().wrap(bare), api, tools=tools(api)) == expected
    llmock.assert_resilient(strict=True)


@pytest.mark.parametrize("fault", ["truncate", "disconnect"])
def test_a_broken_tool_call_is_asked_for_again(fault: str, api: str, kind: str, llmock: Any) -> None:
    """Half of a tool's arguments are nobody's to act on."""
    script: Script = [("call_tool", {"name": "weather", "arguments": {"city": "杭州"}, "times": 2})]
    play(llmock, script)
    expected = read(client(api, kind, llmock), api, tools=tools(api))
    llmock.reset()
    play(llmock, [*script, (fault, {"after_chunks": 3})])
    assert read(resilient().wrap(client(api, kind, llmock)), api, tools=tools(api)) == expected
    llmock.assert_resilient(strict=True)


def test_a_used_up_token_quota_is_waited_for(api: str, kind: str, llmock: Any) -> None:
    """The provider answers 429 with the true time until enough tokens are back: not a moment earlier, and once."""
    most = "max_output_tokens" if api == "responses" else "max_tokens"
    llmock.limits(**QUOTAS["tokens"])
    wrapped = resilient().wrap(client(api, kind, llmock))
    ask(wrapped, api, **{most: 5950})
    assert ask(wrapped, api, **{most: 40})
    assert [request.status for request in llmock.requests] == [200, 429, 200]
    llmock.assert_resilient(strict=True)


def test_a_used_up_request_quota_is_waited_for(api: str, kind: str, llmock: Any) -> None:
    """A minute's worth goes at once; the request that is then refused waits for as long as it was told."""
    llmock.limits(**QUOTAS["requests"])
    wrapped = resilient().wrap(client(api, kind, llmock))
    with ap.record() as calls:
        while not calls or not calls[-1].retries:
            assert len(calls) < 200
            assert ask(wrapped, api)
    assert len(calls) > QUOTAS["requests"]["rpm"]
    llmock.assert_resilient(strict=True)


def test_a_limiter_keeps_the_provider_from_refusing(api: str, kind: str, llmock: Any) -> None:
    """With a limit a little below the provider's, calls wait before they ask, and nothing has to be repeated."""
    llmock.limits(**QUOTAS["requests"])
    limit = QUOTAS["requests"]["rpm"] - 1
    wrapped = resilient(ap.RateLimit(requests=limit)).wrap(client(api, kind, llmock))
    with ap.record() as calls:
        while len(calls) <= limit + 1:
            assert ask(wrapped, api)
    assert {request.status for request in llmock.requests} == {200}
    assert calls[-1].queue_wait > 0
    llmock.assert_resilient(strict=True)


def test_an_account_without_money_is_left_for_another(kind: str, llmock: Any) -> None:
    """OpenAI says so with a 429 that no wait mends: the account is asked once, another one answers."""
    expected = ask(client("chat", kind, llmock), "chat")
    llmock.reset()
    llmock.fail(429, code="insufficient_quota", retry_after=0)  # no wait mends it
    other = ap.target(client("chat", kind, llmock).with_options(api_key="another"), "m")
    stack = resilient().insert(ap.Fallback(other), outside=ap.Retry)
    assert ask(stack.wrap(client("chat", kind, llmock)), "chat") == expected
    llmock.assert_resilient(strict=True)


def test_chance_is_coped_with(api: str, kind: str) -> None:
    """With every third answer an error and every third stream broken, calls arrive whole and well behaved."""
    with LLMockServer(chaos=ChaosSettings(error_rates={500: 0.15, 502: 0.15}, latency_ms=5)) as server:
        # Later than that, what the judge cuts off may be all that follows the finish reason: a whole answer.
        faults = (("disconnect", 0.15), ("truncate", 0.15))
        server.state.stream_chaos = StreamChaos(fault_rates=faults, max_after_chunks=4)
        stack = resilient().replace(ap.Retry(attempts=10, wait=wait_exponential(multiplier=0.1)))
        wrapped = stack.wrap(client(api, kind, server))
        for take in (ask, read):
            assert len({take(wrapped, api) for _ in range(6)}) == 1
        judge(server.state.journal.records(wait=2)).assert_ok(strict=True)


@pytest.mark.parametrize("fault", ["truncate", "disconnect", "corrupt"])
def test_a_stream_that_is_not_buffered_says_that_it_broke(fault: str, api: str, kind: str, llmock: Any) -> None:
    """Without `buffer` what was delivered cannot be taken back: the caller is told."""
    play(llmock, [(fault, {"after_chunks": 5})])
    with pytest.raises(ap.StreamInterrupted):
        read(ap.Stack(ap.Retry()).wrap(client(api, kind, llmock)), api)


def test_the_bare_client_takes_half_an_answer_for_a_whole_one(api: str, kind: str, llmock: Any) -> None:
    """What the judge says of the SDK alone, as the documentation shows it: it accepts a truncated stream in silence."""
    llmock.truncate(after_chunks=5)
    assert read(client(api, kind, llmock), api)
    with pytest.raises(AssertionError) as said:
        llmock.assert_resilient()
    shown = re.search(r"(FAIL  truncated_stream_accepted).*?\n +(.*)", TESTING_PAGE.read_text(encoding="utf-8"))
    assert shown is not None
    assert all(words in str(said.value) for words in shown.groups())


def test_no_scenario_is_left_out(llmock: Any) -> None:
    """A method or a kind of fault that a newer llmock adds is named here until a test plays it."""
    scripts = [*WHOLE.values(), *STREAMED.values(), *(script for script, _ in FINAL.values()), *TOOLS.values()]
    played = {method for script in scripts for method, _ in script} | {"limits"}
    asking = {"base_url", "env", "verdict", "assert_resilient", "reset", "add"}
    methods = {name for name, value in vars(type(llmock)).items() if callable(value) and not name.startswith("_")}
    assert methods - asking == played
    assert set(inspect.signature(llmock.limits).parameters) == {"rpm", "tpm", "context_window"}
    assert set(get_args(scenarios.StreamFaultKind)) == {"disconnect", "truncate", "stall", "malformed"}
    assert set(get_args(scenarios.ToolFaultKind)) == {"malformed_arguments", "unknown_tool"}
    behaviours = {kind.__name__ for kind in get_args(scenarios.Behavior)}
    assert behaviours == {"Fail", "Delay", "SlowFirstToken", "StreamFault", "Reply", "ToolFault"}
