"""The tracer: one span per call, one per attempt, decisions, counts and errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode, get_current_span, set_tracer_provider

import agentprod as ap
from agentprod.budget.prices import PriceBook
from agentprod.telemetry.drops import drops
from agentprod.telemetry.tracer import Tracer
from agentprod.testing import Provider, behaviours
from tests.sdk_errors import http_of
from tests.telemetry.tracing import (
    CLAUDE,
    HELLO,
    MODEL,
    Traces,
    anthropic_client,
    clean,
    needs_native_spans,
    openai_client,
    parent_id,
    running,
    span_id,
)


@pytest.fixture
def traces() -> Traces:
    return Traces()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running() as server:
        yield server


def client(provider: Provider, traces: Traces, *layers: Any, **options: Any) -> openai.OpenAI:
    stack = ap.Stack(Tracer(tracer_provider=traces.provider), *layers, **options)
    return stack.wrap(openai_client(provider))


def claude(provider: Provider, traces: Traces, *layers: Any) -> anthropic.Anthropic:
    stack = ap.Stack(Tracer(tracer_provider=traces.provider), *layers)
    return stack.wrap(anthropic_client(provider, traces))


def test_a_call_is_one_client_span_with_one_attempt_below(provider: Provider, traces: Traces) -> None:
    """The operation is a CLIENT span named after operation and model, its attempt an INTERNAL child."""
    with clean():
        client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO)
    (operation,) = traces.operations()
    (attempt,) = traces.named("agentprod.attempt")
    assert (operation.name, operation.kind) == (f"chat {MODEL}", SpanKind.CLIENT)
    assert (attempt.kind, parent_id(attempt)) == (SpanKind.INTERNAL, span_id(operation))
    assert operation.status.status_code is StatusCode.UNSET
    assert operation.start_time is not None
    assert attempt.end_time is not None
    assert operation.end_time is not None
    assert operation.start_time <= attempt.end_time <= operation.end_time
    assert not {key for key in attempt.attributes or {} if key.startswith("gen_ai.")}


@pytest.mark.parametrize("layers", [(), (ap.TokenBudget(ap.Limit(usd=10, per="day")),)], ids=["alone", "with others"])
def test_a_page_of_a_gateway_ends_the_spans(traces: Traces, layers: tuple[Any, ...]) -> None:
    """A reply that is no JSON at all has spans without counts, and its caller gets what the SDK makes of it."""
    http = http_of(openai)
    page = http.Response(200, headers={"content-type": "text/html"}, content=b"<html>Sign in</html>")
    transport = http.MockTransport(lambda request: page)
    plain = openai.OpenAI(api_key="k", http_client=http.Client(transport=transport), base_url="http://gateway.test")
    wrapped = ap.Stack(Tracer(tracer_provider=traces.provider), *layers).wrap(plain)
    got: Any = wrapped.chat.completions.create(model=MODEL, messages=HELLO)
    assert got == "<html>Sign in</html>"
    assert "gen_ai.usage.input_tokens" not in traces.operation
    assert (len(traces.attempts), traces.open) == (1, 0)
    plain.close()


def test_what_the_request_and_the_reply_said(provider: Provider, traces: Traces) -> None:
    """Parameters, ids, model and finish reason stand on the operation under the conventions' names."""
    client(provider, traces).chat.completions.create(
        model=MODEL,
        messages=HELLO,
        temperature=0,
        max_completion_tokens=99,
        seed=7,
        stop=["END"],
        reasoning_effort="low",
        response_format={"type": "json_object"},
    )
    seen = traces.operation
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
        "server.address": "127.0.0.1",
        "server.port": provider.port,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.output.type": "json",
        "gen_ai.response.model": MODEL,
        "gen_ai.response.finish_reasons": ("stop",),
        "agentprod.layers": ("Tracer",),
        "agentprod.outcome": "ok",
        "agentprod.attempt.count": 1,
    }.items() <= seen.items()
    assert seen["gen_ai.response.id"].startswith("chatcmpl-")
    assert "gen_ai.request.stream" not in seen
    assert "gen_ai.conversation.id" not in seen


def test_names_of_the_application_are_not_recorded_but_the_conversation_is(provider: Provider, traces: Traces) -> None:
    """A conversation id is set when the application named one; users and tags never are."""
    with ap.context(user="bob", tenant="acme", conversation="c7", tags={"prompt": "B"}):
        client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO)
    assert traces.operation["gen_ai.conversation.id"] == "c7"
    for span in traces.spans():
        assert not {"bob", "acme", "B"} & {str(value) for value in (span.attributes or {}).values()}


def test_the_id_is_that_of_meta(provider: Provider, traces: Traces) -> None:
    """Span and meta name a call by the same id."""
    reply = client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO)
    assert traces.operation["agentprod.request.id"] == ap.meta(reply).request_id


def test_a_retry_is_a_sibling_and_the_failed_attempt_says_why(provider: Provider, traces: Traces) -> None:
    """429, then an answer: two attempts below one good operation, the first one ERROR 429."""
    provider.script([behaviours.rate_limit(retry_after=0.01), "ok"])
    client(provider, traces, ap.Retry(wait=0)).chat.completions.create(model=MODEL, messages=HELLO)
    first, second = traces.attempts
    assert first["error.type"] == "429"
    assert (first["http.response.status_code"], first["agentprod.attempt.retryable"]) == (429, True)
    assert second["agentprod.attempt.outcome"] == "ok"
    assert second["agentprod.attempt.provider_request_id"].startswith("req_")
    assert second["agentprod.attempt.backoff_s"] > 0
    failed = traces.named("agentprod.attempt")[0]
    assert failed.status.status_code is StatusCode.ERROR
    seen = traces.operation
    assert (seen["agentprod.retry.count"], seen["agentprod.attempt.count"]) == (1, 2)
    assert seen["agentprod.retry.wait_s"] > 0
    assert seen["agentprod.provider_time_s"] > 0
    assert "error.type" not in seen
    assert traces.open == 0


def test_a_call_that_fails_is_an_error(provider: Provider, traces: Traces) -> None:
    """What the caller gets raised is the operation's error type, and why no retry helped is told."""
    provider.script(behaviours.error(500, message="my secret prompt"))
    with pytest.raises(openai.InternalServerError):
        client(provider, traces, ap.Retry(attempts=2, wait=0)).chat.completions.create(model=MODEL, messages=HELLO)
    (span,) = traces.operations()
    seen = traces.operation
    assert span.status.status_code is StatusCode.ERROR
    assert seen["error.type"] == "InternalServerError"
    assert seen["agentprod.outcome"] == "error"
    assert (seen["agentprod.retry.stop_reason"], seen["agentprod.retry.exhausted"]) == ("max_attempts", True)
    assert "secret" not in str([(s.status.description, s.attributes, s.events) for s in traces.spans()])


def test_a_rejected_call_has_no_attempt(traces: Traces) -> None:
    """A layer that refuses leaves an operation without attempts and without counts."""

    class Refuse:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            call.ledger.note("CircuitBreaker", "rejected", name="openai", state="open", rejected=True)
            raise ap.CircuitOpen("open", layer="CircuitBreaker")

    @ap.Stack(Tracer(tracer_provider=traces.provider), Refuse())
    def ask(model: str, messages: list[Any]) -> str:
        raise AssertionError

    with pytest.raises(ap.CircuitOpen):
        ask(MODEL, HELLO)
    seen = traces.operation
    assert (seen["agentprod.outcome"], seen["agentprod.attempt.count"]) == ("rejected", 0)
    assert seen["error.type"] == "CircuitOpen"
    assert (seen["agentprod.breaker.state"], seen["agentprod.breaker.rejected"]) == ("open", True)
    assert not traces.attempts
    assert not traces.billed()


@pytest.mark.parametrize("streaming", [False, True])
def test_a_hit_has_no_attempt_and_bills_nothing(provider: Provider, traces: Traces, streaming: bool) -> None:
    """An answer from a cache shows what it saved, not the tokens of the stored reply."""

    class Stored:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            call.ledger.cache, call.ledger.similarity = "hit_semantic", 0.97
            call.ledger.saved_usage = ap.Usage(10, 5)
            call.ledger.note("SemanticCache", "hit", age=3.5, threshold=0.9)
            return call.reply("stored")

    reply: Any = client(provider, traces, Stored()).chat.completions.create(
        model=MODEL, messages=HELLO, stream=streaming
    )
    for _ in reply if streaming else ():
        pass
    seen = traces.operation
    assert (seen["agentprod.cache.outcome"], seen["agentprod.outcome"]) == ("hit_semantic", "cached")
    assert (seen["agentprod.cache.similarity"], seen["agentprod.cache.saved_tokens"]) == (0.97, 15)
    assert (seen["agentprod.cache.age_s"], seen["agentprod.cache.threshold"]) == (3.5, 0.9)
    assert seen["agentprod.cost.usd"] == 0.0
    assert seen["agentprod.attempt.count"] == 0
    assert not traces.attempts
    assert not traces.billed()
    assert not provider.requests


def test_counts_of_cached_input(provider: Provider, traces: Traces) -> None:
    """Anthropic's 5 new, 1,000 read and 100 written tokens are 1,105 of input, under both names of a cache write."""
    usage = ap.Usage(input_tokens=1105, output_tokens=7, cache_read_tokens=1000, cache_write_tokens=100)
    provider.script(behaviours.ok("hi", usage=usage))
    claude(provider, traces).messages.create(model=CLAUDE, max_tokens=9, messages=HELLO)
    assert provider.requests[0].json["messages"] == HELLO
    seen = traces.operation
    assert {
        "gen_ai.usage.input_tokens": 1105,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 1000,
        "gen_ai.usage.cache_write.input_tokens": 100,
        "gen_ai.usage.cache_creation.input_tokens": 100,
        "agentprod.usage.input_tokens": 1105,
        "agentprod.usage.cache_read_tokens": 1000,
        "agentprod.usage.cache_write_tokens": 100,
        "gen_ai.response.finish_reasons": ("stop",),
    }.items() <= seen.items()
    assert "agentprod.usage.estimated" not in seen
    assert traces.billed() == [1105]


def test_billed_tokens_are_the_sum_over_attempts(provider: Provider, traces: Traces) -> None:
    """An answer that was paid for and thrown away still counts; each attempt keeps its own figures."""
    bad, good = behaviours.ok("bad", usage=ap.Usage(100, 10)), behaviours.ok("good", usage=ap.Usage(100, 20))
    provider.script([bad, good])
    retry = ap.Retry(wait=0, on_result=lambda reply: reply.text == "bad")
    client(provider, traces, retry).chat.completions.create(model=MODEL, messages=HELLO)
    assert (traces.billed(), traces.billed("output_tokens")) == ([200], [30])
    assert [seen["agentprod.attempt.output_tokens"] for seen in traces.attempts] == [10, 20]


def test_a_known_price_is_told(provider: Provider, traces: Traces) -> None:
    """The cost is the price of what was billed, with where it came from."""
    provider.script(behaviours.ok("hi", usage=ap.Usage(1000, 500)))
    made = client(provider, traces, prices=lambda provider, model, usage: Decimal("0.00375"))
    made.chat.completions.create(model=MODEL, messages=HELLO)
    assert traces.operation["agentprod.cost.usd"] == 0.00375
    assert traces.operation["agentprod.cost.source"] == "local"
    assert "agentprod.cost.price_version" not in traces.operation


@pytest.mark.parametrize("own", [False, True], ids=["built-in prices", "a book of one's own"])
def test_a_price_says_of_when_it_is(provider: Provider, traces: Traces, own: bool) -> None:
    """Beside a cost from a list stands the day on which the list was taken."""
    made = client(provider, traces, **({"prices": PriceBook()} if own else {}))
    made.chat.completions.create(model=MODEL, messages=HELLO)
    assert traces.operation["agentprod.cost.usd"] > 0
    assert traces.operation["agentprod.cost.price_version"] == ap.prices.checked().isoformat()


def test_an_unknown_price_is_not_zero(provider: Provider, traces: Traces) -> None:
    """Without a price there is no cost attribute, only the word that it is unknown."""
    made = client(provider, traces, prices=lambda provider, model, usage: None)
    made.chat.completions.create(model="nobody-knows-1", messages=HELLO)
    assert "agentprod.cost.usd" not in traces.operation
    assert traces.operation["agentprod.cost.source"] == "unknown"


def test_notes_of_any_layer_become_attributes_but_never_text(traces: Traces) -> None:
    """Figures, flags, short words and lists of them are kept; long text and objects are not."""

    class MyLayer:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            call.ledger.note(
                "MyLayer", "looked", score=Decimal("0.5"), kinds={"b", "a"}, text="x" * 200, thing=object()
            )
            call.ledger.note("MyLayer", "counted", thing_of_many_bits=2**63, things_of_two_kinds={3, "a"})
            call.ledger.note("MyLayer", "gave_up")
            call.ledger.note("RateLimit", "waited", wait=1.0)
            call.ledger.note("RateLimit", "waited", wait=0.5)
            call.ledger.note("Cache", "bypass", reason="temperature")
            call.ledger.note("Router", "chose", reason="cost", selected_model="b", score=0.25)
            return await call_next(call)

    @ap.Stack(Tracer(tracer_provider=traces.provider), MyLayer())
    def ask() -> str:
        return "x"

    assert ask() == "x"
    seen = traces.operation
    assert {
        "agentprod.my_layer.looked.score": 0.5,
        "agentprod.my_layer.looked.kinds": ("a", "b"),
        "agentprod.my_layer.gave_up": True,
        "agentprod.queue.wait_s": 1.5,
        "agentprod.cache.bypass.reason": "temperature",
        "agentprod.route.reason": "cost",
        "agentprod.route.selected_model": "b",
        "agentprod.route.score": 0.25,
    }.items() <= seen.items()
    assert not [key for key in seen if "text" in key or "thing" in key]


def test_a_call_that_went_to_another_model_says_so(provider: Provider, traces: Traces) -> None:
    """The model asked for names the span; the one that answered stands beside it."""

    class Reroute:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            return await call_next(call.with_model("gpt-5-nano"))

    client(provider, traces, Reroute()).chat.completions.create(model=MODEL, messages=HELLO)
    (span,) = traces.operations()
    assert span.name == f"chat {MODEL}"
    assert traces.operation["agentprod.route.requested_model"] == MODEL
    assert traces.operation["agentprod.route.selected_model"] == "gpt-5-nano"
    assert traces.attempts[0]["agentprod.attempt.model"] == "gpt-5-nano"


def test_plain_functions_are_traced_by_name(traces: Traces) -> None:
    """A decorated function is an operation without counts; its value is not read."""

    class Unreadable:
        def __iter__(self) -> Iterator[Any]:
            raise AssertionError("nobody may look")

    @Tracer(tracer_provider=traces.provider)
    def ask(question: str) -> Any:
        assert get_current_span().name == "agentprod.attempt"  # type: ignore[attr-defined]
        return Unreadable()

    with clean():
        ask("hi")
    (span,) = traces.operations()
    assert span.name.startswith("chat ")
    assert span.name.endswith("ask")
    assert "gen_ai.request.model" not in traces.operation
    assert "server.address" not in traces.operation


def test_an_async_function_that_is_cancelled_is_no_error(traces: Traces) -> None:
    """Cancelling a call is the caller's business: the span says so and has no error."""

    @Tracer(tracer_provider=traces.provider)
    async def ask() -> str:
        await asyncio.Event().wait()
        return "never"

    async def main() -> None:
        task = asyncio.create_task(ask())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with clean():
        asyncio.run(main())
    (span,) = traces.operations()
    assert span.status.status_code is StatusCode.UNSET
    assert traces.operation["agentprod.outcome"] == "cancelled"
    assert traces.attempts[0]["agentprod.attempt.outcome"] == "abandoned"


def test_other_traffic_has_a_span_that_no_viewer_takes_for_a_model_call(provider: Provider, traces: Traces) -> None:
    """Listing models is traced, with server and provider and without an operation name."""
    client(provider, traces).models.list()
    (span,) = traces.operations()
    assert span.name == "agentprod.request"
    assert "gen_ai.operation.name" not in traces.operation
    assert traces.operation["gen_ai.provider.name"] == "openai"
    assert len(traces.attempts) == 1


@needs_native_spans
def test_the_sdk_s_own_span_is_below_the_attempt(provider: Provider, traces: Traces) -> None:
    """Anthropic's native span hangs under the attempt that sent it, and carries no counts."""
    claude(provider, traces).messages.create(model=CLAUDE, max_tokens=9, messages=HELLO)
    (native,) = traces.named("anthropic.messages.create")
    (attempt,) = traces.named("agentprod.attempt")
    assert parent_id(native) == span_id(attempt)
    assert len(traces.billed()) == 1


def test_a_sampler_sees_what_it_decides_by() -> None:
    """Operation, provider, model and server are there when the span starts."""
    asked: list[Any] = []

    class Looking(Sampler):
        def should_sample(
            self, parent_context: Any, trace_id: int, name: str, kind: Any = None, attributes: Any = None, *more: Any
        ) -> Any:
            asked.append((name, dict(attributes or {})))
            return SamplingResult(Decision.DROP)

        def get_description(self) -> str:
            return "looking"

    with running() as provider:
        stack = ap.Stack(Tracer(tracer_provider=TracerProvider(sampler=Looking())))
        stack.wrap(openai_client(provider)).chat.completions.create(model=MODEL, messages=HELLO)
        port = provider.port
    assert asked == [
        (
            f"chat {MODEL}",
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": MODEL,
                "server.address": "127.0.0.1",
                "server.port": port,
            },
        )
    ]


def test_a_call_that_is_not_sampled_still_hands_its_trace_on() -> None:
    """What happens below an unsampled call is unsampled too, and nothing else is recorded."""
    sampled: list[bool] = []

    @Tracer(tracer_provider=TracerProvider(sampler=ALWAYS_OFF))
    def ask() -> str:
        here = get_current_span().get_span_context()
        sampled.append(here.is_valid and here.trace_flags.sampled)
        return "x"

    with clean():
        ask()
    assert sampled == [False]


def test_without_an_sdk_nothing_is_attached() -> None:
    """As long as nobody collects spans the function sees the context it was called in."""
    seen: list[Any] = []

    @Tracer()
    def ask() -> str:
        seen.append(get_current_span())
        return "x"

    before = get_current_span()
    ask()
    assert seen == [before]


def test_a_provider_set_after_the_tracer_was_made_is_found(monkeypatch: pytest.MonkeyPatch, traces: Traces) -> None:
    """The global provider is looked for until there is one."""
    import opentelemetry.trace as api

    monkeypatch.setattr(api, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(api, "_TRACER_PROVIDER_SET_ONCE", type(api._TRACER_PROVIDER_SET_ONCE)())

    @Tracer()
    def ask() -> str:
        return "x"

    ask()
    set_tracer_provider(traces.provider)
    ask()
    assert len(traces.operations()) == 1


def test_two_tracers_around_one_call_make_one_span(provider: Provider, traces: Traces) -> None:
    """A stack joined around another traced one is traced once."""
    inner = client(provider, traces)
    outer = ap.Stack(Tracer(tracer_provider=traces.provider), check="off").wrap(inner)
    outer.chat.completions.create(model=MODEL, messages=HELLO)
    assert len(traces.operations()) == 1
    assert len(traces.attempts) == 1


def test_a_layer_outside_may_raise_without_leaving_a_span_open(provider: Provider, traces: Traces) -> None:
    """Where the tracer is not outermost, the span ends before the reply leaves it."""

    class Late:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            await call_next(call)
            raise ap.Blocked("no", layer="Late")

    stack = ap.Stack(Late(), Tracer(tracer_provider=traces.provider), check="off")
    made = stack.wrap(openai_client(provider))
    with clean(), pytest.raises(ap.Blocked):
        made.chat.completions.create(model=MODEL, messages=HELLO)
    assert len(traces.operations()) == 1
    assert traces.open == 0


def test_a_span_that_fails_never_reaches_the_caller(provider: Provider, traces: Traces) -> None:
    """Telemetry that breaks is counted, the call is not disturbed."""

    class Broken:
        def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("no")

    before = drops.snapshot().get("tracer", 0)
    made = ap.Stack(Tracer(tracer_provider=Broken())).wrap(  # type: ignore[arg-type]
        openai_client(provider)
    )
    made.chat.completions.create(model=MODEL, messages=HELLO)
    assert drops.snapshot()["tracer"] == before + 1


@pytest.mark.parametrize("streaming", [False, True])
def test_a_description_that_fails_still_ends_the_spans(
    provider: Provider, traces: Traces, monkeypatch: pytest.MonkeyPatch, streaming: bool
) -> None:
    """Whatever breaks while a span is described is counted; the spans end, and the caller has its reply."""
    from agentprod.telemetry import attempt_spans, spans

    def broken(*args: Any) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr(spans, "operation_facts", broken)
    monkeypatch.setattr(attempt_spans, "_facts", broken)
    before = drops.snapshot().get("tracer", 0)
    reply: Any = client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO, stream=streaming)
    for _ in reply if streaming else ():
        pass
    assert (len(traces.operations()), len(traces.named("agentprod.attempt")), traces.open) == (1, 1, 0)
    assert drops.snapshot()["tracer"] == before + 2


def test_a_reply_that_cannot_be_followed_is_handed_out(
    provider: Provider, traces: Traces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure between the reply and the caller is counted too."""
    from agentprod.telemetry.spans import Operation

    def broken(self: Any, reply: Any) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(Operation, "returned", broken)
    before = drops.snapshot().get("tracer", 0)
    assert client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO).choices
    assert drops.snapshot()["tracer"] == before + 1


def test_attempts_side_by_side(traces: Traces) -> None:
    """Two attempts at once are siblings; the loser's span ends too, also after the call is over."""

    class Both:
        """Sends two attempts in tasks of their own and takes the first answer, as a hedge does."""

        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            tasks = [asyncio.ensure_future(call_next(call)) for _ in range(2)]
            await asyncio.sleep(0)
            call.ledger.attempts[1].hedged = True
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            return done.pop().result()

    asked = 0

    @ap.Stack(Tracer(tracer_provider=traces.provider), Both())
    async def ask() -> str:
        nonlocal asked
        asked += 1
        if asked == 2:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return "x"

    async def main() -> None:
        assert await ask() == "x"
        await asyncio.sleep(0)

    with clean():
        asyncio.run(main())
    first, second = traces.attempts
    assert "agentprod.attempt.hedged" not in first
    assert second["agentprod.attempt.hedged"] is True
    assert second["agentprod.attempt.outcome"] == "abandoned"
    (operation,) = traces.operations()
    assert {parent_id(span) for span in traces.named("agentprod.attempt")} == {span_id(operation)}
    assert traces.open == 0


def test_reasoning_tokens(provider: Provider, traces: Traces) -> None:
    """Tokens spent on reasoning are told as the part of the output they are."""
    provider.script(behaviours.ok("hi", usage=ap.Usage(10, 50, reasoning_tokens=40)))
    client(provider, traces).chat.completions.create(model=MODEL, messages=HELLO)
    assert traces.operation["gen_ai.usage.reasoning.output_tokens"] == 40


def test_a_call_that_fails_unsampled() -> None:
    """An unsampled call that raises raises as it would."""

    @Tracer(tracer_provider=TracerProvider(sampler=ALWAYS_OFF))
    def ask() -> str:
        raise KeyError("x")

    with clean(), pytest.raises(KeyError):
        ask()


def test_a_wrong_option_is_refused() -> None:
    """What is no provider, or no way to capture, is a configuration error."""
    with pytest.raises(ap.ConfigError, match="tracer_provider must be"):
        Tracer(tracer_provider="console")  # type: ignore[arg-type]
    with pytest.raises(ap.ConfigError, match="meter_provider must be"):
        Tracer(meter_provider=3)  # type: ignore[arg-type]
    with pytest.raises(ap.ConfigError, match="capture"):
        Tracer(capture="all")  # type: ignore[arg-type]
    with pytest.raises(ap.ConfigError, match="chunk_gaps must be True or False"):
        Tracer(chunk_gaps=0.5)  # type: ignore[arg-type]


def test_its_options_are_shown() -> None:
    """`print(stack)` tells where text is recorded."""
    assert repr(Tracer()) == "Tracer()"
    assert repr(Tracer(capture="span")) == "Tracer(capture='span')"
    assert repr(Tracer(capture="both")) == "Tracer(capture='both')"
