"""A call made with one provider's client and answered by another's: real clients, real sockets, both ways."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

import agentprod as ap
from agentprod.targets import aim
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.conftest import Run
from tests.clients.plain_http import plain_client
from tests.clients.streams import SDKS, Reading, open_stream
from tests.clients.surfaces import SURFACES, Surface, claude, items, opened, result, shut

OTHER = {"openai": "anthropic", "anthropic": "openai"}
MODELS = {"openai": "gpt-5-mini", "anthropic": "claude-sonnet-5"}
DEFAULTS: dict[str, dict[str, Any]] = {"openai": {}, "anthropic": {"max_tokens": 4096}}
ERRORS: dict[str, Any] = {"openai": openai, "anthropic": anthropic}
USAGE = ap.Usage(input_tokens=1105, output_tokens=20, cache_read_tokens=1000, cache_write_tokens=100)
CALLS = [
    {"name": "send_mail", "arguments": {"to": "wei@example.org", "text": "hello 李伟"}},
    {"name": "send_mail", "arguments": {"to": "li@example.org", "text": "你好"}},
]
TOOL = {"type": "object", "properties": {"to": {"type": "string"}, "text": {"type": "string"}}, "required": ["to"]}
NO_MAPPING: Any = ["max_tokens"]


class SyncAPIClient:
    """What a client of any SDK of this shape is derived from."""

    def _process_response(self) -> None:
        raise NotImplementedError


class Stranger(SyncAPIClient):
    """A client of an SDK nobody has heard of."""

    _client = None


TRANSLATED = [surface for surface in SURFACES if not surface.name.startswith(("openai.responses", "openai.embeddings"))]


class Send:
    """Sends every call to one target."""

    def __init__(self, target: ap.Target) -> None:
        self.target = target

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Send it."""
        return await call_next(aim(call, self.target))


class Elsewhere:
    """A client of one SDK whose calls another SDK's client sends.

    Args:
        sdk: of the client that calls are made with.

        kind: `"sync"` or `"async"`.

        provider: answers, whichever API it is asked by.

        layers: what stands around the layer that sends calls elsewhere.

        options: of the target.
    """

    def __init__(self, sdk: str, kind: str, provider: Provider, *layers: Any, **options: Any) -> None:
        self.sdk = sdk
        self.home = plain_client(sdk, kind, provider)
        self.away = plain_client(OTHER[sdk], kind, provider, api_key="away-key")
        options = {"defaults": DEFAULTS[OTHER[sdk]], **options}
        self.target = ap.target(self.away, MODELS[OTHER[sdk]], **options)
        self.client = ap.Stack(*layers, Send(self.target)).wrap(self.home)

    async def ask(self, **extra: Any) -> Any:
        """Ask for a whole reply."""
        if self.sdk == "openai":
            question = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}], **extra}
            return await result(self.client.chat.completions.create(**question))
        return await result(self.client.messages.create(**{**claude(), **extra}))

    async def shut(self) -> None:
        """Close both clients."""
        await shut(self.home)
        await shut(self.away)


@pytest.fixture(params=SDKS)
def sdk(request: pytest.FixtureRequest) -> str:
    """Run the test for callers with either client."""
    return str(request.param)


def told(value: Any) -> Any:
    """Return what a surface showed, without what only names who served it: ids, models, tiers, headers."""
    if isinstance(value, dict):
        kept = {key: told(item) for key, item in value.items() if item is not None and key not in _SERVED}
        return {key: item for key, item in kept.items() if item != [] and item != {}}
    if isinstance(value, list | tuple):
        return [told(item) for item in value]
    return value


_SERVED = frozenset(
    {
        *("id", "model", "created", "service_tier", "system_fingerprint", "annotations", "usage", "logprobs"),
        *("inference_geo", "caller", "refusal", "index", "message", "token", "container"),
    }
)


@pytest.mark.parametrize("surface", TRANSLATED, ids=lambda surface: surface.name)
def test_every_surface_shows_what_its_own_provider_would(
    surface: Surface, kind: str, run: Run, provider: Provider
) -> None:
    """Same types, same values, through create, stream, helper, parse, raw and beta alike."""
    script = [
        b.ok(json.dumps({"name": "Li Wei", "words": "hello 李伟"}, ensure_ascii=False) if surface.json else "Hi 李")
    ]

    async def case() -> None:
        elsewhere = Elsewhere(surface.sdk, kind, provider)
        provider.script(script)
        own = await surface.ask(elsewhere.home)
        provider.script(script)
        provider.reset()
        foreign = await surface.ask(elsewhere.client)
        assert told(foreign) == told(own)
        [sent] = provider.requests
        assert sent.path == {"openai": "/v1/messages", "anthropic": "/v1/chat/completions"}[surface.sdk]
        await elsewhere.shut()

    run(case())


def test_system_text_images_calls_and_results_arrive(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """What the provider received says what the caller asked."""
    provider.script([b.echo(everything=True)])
    arguments = {"to": "wei@example.org"}
    conversation: dict[str, Any] = {
        "openai": {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Mail both."},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {"id": n, "type": "function", "function": {"name": "mail", "arguments": json.dumps(arguments)}}
                        for n in ("c1", "c2")
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "sent 一"},
                {"role": "tool", "tool_call_id": "c2", "content": "sent 二"},
            ],
            "tools": [{"type": "function", "function": {"name": "mail", "parameters": TOOL}}],
        },
        "anthropic": {
            "system": "Be brief.",
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Mail both."},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
                            "cache_control": {"type": "ephemeral"},
                        },
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": "signed"},
                        {"type": "tool_use", "id": "c1", "name": "mail", "input": arguments},
                        {"type": "tool_use", "id": "c2", "name": "mail", "input": arguments},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "c1", "content": "sent 一"},
                        {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "sent 二"}]},
                    ],
                },
            ],
            "tools": [{"name": "mail", "input_schema": TOOL}],
        },
    }

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider)
        reply = await elsewhere.ask(**conversation[sdk])
        sent = provider.requests[-1].json
        text = json.dumps(sent, ensure_ascii=False)
        assert all(
            said in text for said in ("Be brief.", "Mail both.", "AAAA", "sent 一", "sent 二", "wei@example.org")
        )
        assert "cache_control" not in text
        assert "signed" not in text
        assert sent["model"] == MODELS[OTHER[sdk]]
        roles = [message["role"] for message in sent["messages"]]
        if sdk == "openai":
            assert (roles, sent["system"]) == (["user", "assistant", "user"], "Be brief.")
        else:
            assert roles == ["system", "user", "assistant", "tool", "tool"]
            assert ap.meta(reply).dropped == ("message.reasoning",)
        await elsewhere.shut()

    run(case())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_parallel_tool_calls_come_back(sdk: str, stream: bool, kind: str, run: Run, provider: Provider) -> None:
    """Names, ids and arguments of two calls, in a whole reply and piece by piece."""
    provider.script([b.ok(text="I mail both.", tool_calls=CALLS)])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider)
        made = await final(elsewhere) if stream else await elsewhere.ask()
        if sdk == "openai":
            [choice] = made.choices
            found = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls]
            ids = [call.id for call in choice.message.tool_calls]
            assert (choice.message.content, choice.finish_reason) == ("I mail both.", "tool_calls")
        else:
            found = [(block.name, block.input) for block in made.content if block.type == "tool_use"]
            ids = [block.id for block in made.content if block.type == "tool_use"]
            assert (made.content[0].text, made.stop_reason) == ("I mail both.", "tool_use")
        assert found == [(call["name"], call["arguments"]) for call in CALLS]
        assert len(set(ids)) == 2
        assert all(ids)
        await elsewhere.shut()

    run(case())


async def final(elsewhere: Elsewhere) -> Any:
    """Return the whole reply that the SDK's own stream helper puts together."""
    if elsewhere.sdk == "openai":
        question: Any = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Hello"}]}
        async with opened(elsewhere.client.chat.completions.stream(**question)) as stream:
            await items(stream)
            return await result(stream.get_final_completion())
    async with opened(elsewhere.client.messages.stream(**claude())) as stream:
        await items(stream)
        return await result(stream.get_final_message())


REASONS = {
    "stop": ("stop", "end_turn"),
    "length": ("length", "max_tokens"),
    "content_filter": ("content_filter", "refusal"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("reason", REASONS)
def test_the_reason_why_it_ended_is_translated(
    sdk: str, stream: bool, reason: str, run: Run, kind: str, provider: Provider
) -> None:
    """Each API has its own words for the same end."""
    provider.script([b.ok("So far", finish=reason)])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider)
        reading = Reading(await open_stream(elsewhere.client, sdk)) if stream else None
        if reading is not None:
            await reading.all()
            if sdk == "openai":
                found = [item.choices[0].finish_reason for item in reading.items if item.choices][-1]
            else:
                found = next(item.delta.stop_reason for item in reading.items if item.type == "message_delta")
        else:
            made = await elsewhere.ask()
            found = made.choices[0].finish_reason if sdk == "openai" else made.stop_reason
        assert found == REASONS[reason][sdk != "openai"]
        await elsewhere.shut()

    run(case())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_counts_come_back_with_their_cache_parts(
    sdk: str, stream: bool, kind: str, run: Run, provider: Provider
) -> None:
    """OpenAI counts cached tokens into the input, Anthropic beside it; both read the same."""
    provider.script([b.ok("Hi", usage=USAGE)])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider)
        made: Any
        if stream:
            extra: Any = {"stream_options": {"include_usage": True}} if sdk == "openai" else {}
            reading = Reading(await open_stream(elsewhere.client, sdk, **extra))
            await reading.all()
            made = reading.stream
            if sdk == "openai":
                usage = reading.items[-1].usage
            else:
                usage = next(item.usage for item in reading.items if item.type == "message_delta")
        else:
            made = await elsewhere.ask()
            usage = made.usage
        if sdk == "openai":
            details = usage.prompt_tokens_details
            assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1105, 20, 1125)
            assert (details.cached_tokens, details.cache_write_tokens) == (1000, 100)
        else:
            assert (usage.input_tokens, usage.output_tokens) == (5, 20)
            assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (1000, 100)
        meta = ap.meta(made)
        assert meta.usage is not None
        assert (meta.usage.input_tokens, meta.usage.cache_read_tokens, meta.usage.output_tokens) == (1105, 1000, 20)
        assert meta.served_by == f"{OTHER[sdk]}/{MODELS[OTHER[sdk]]}"
        await elsewhere.shut()

    run(case())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_account_knows_counts_that_the_callers_format_has_no_word_for(
    stream: bool, kind: str, run: Run, provider: Provider
) -> None:
    """What was written to the cache for an hour has its own price."""
    provider.script([b.ok("Hi", usage={"input_tokens": 50, "cache_write_tokens": 40, "cache_write_1h_tokens": 40})])

    async def case() -> None:
        elsewhere = Elsewhere("openai", kind, provider)
        if stream:
            reading = Reading(await open_stream(elsewhere.client, "openai"))
            await reading.all()
            assert all(item.choices for item in reading.items), "counts nobody asked for"
            made = reading.stream
        else:
            made = await elsewhere.ask()
        usage = ap.meta(made).usage
        assert usage is not None
        assert usage.cache_write_1h_tokens == 40
        assert not usage.estimated
        await elsewhere.shut()

    run(case())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_reasoning_is_dropped_and_recorded(sdk: str, stream: bool, kind: str, run: Run, provider: Provider) -> None:
    """Another provider's thinking would not be accepted back; that there was some is told."""
    provider.script([b.ok("Forty-two.", reasoning="Let me think about it for long.")])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider)
        if stream:
            reading = Reading(await open_stream(elsewhere.client, sdk))
            assert "".join(await reading.all()) == "Forty-two."
            made = reading.stream
        else:
            made = await elsewhere.ask()
        assert "think about" not in repr(made)
        assert ap.meta(made).dropped == ("reply.reasoning",)
        await elsewhere.shut()

    run(case())


class Place(BaseModel):
    """What the answer shall be."""

    city: str


def test_typed_output_is_asked_for_and_parsed(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """The schema goes over in the other API's words, and the answer comes back as the caller's model."""
    provider.script([b.ok('{"city": "北京"}')])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider)
        if sdk == "openai":
            question: Any = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Where?"}]}
            made = await result(elsewhere.client.chat.completions.parse(response_format=Place, **question))
            assert made.choices[0].message.parsed == Place(city="北京")
            wanted = provider.requests[-1].json["output_config"]["format"]
            assert wanted["schema"]["properties"]["city"]["type"] == "string"
        else:
            made = await result(elsewhere.client.messages.parse(output_format=Place, **claude()))
            assert made.parsed_output == Place(city="北京")
            wanted = provider.requests[-1].json["response_format"]
            assert wanted["json_schema"]["schema"]["required"] == ["city"]
            assert wanted["json_schema"]["strict"] is True
        await elsewhere.shut()

    run(case())


def test_streams_arrive_piece_by_piece(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """Nothing is held back until the end: the pieces are those the provider sent."""
    provider.script([b.ok(chunks=["Hel", "lo ", "李伟"])])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider)
        reading = Reading(await open_stream(elsewhere.client, sdk))
        assert await reading.all() == ["Hel", "lo ", "李伟"]
        assert ap.meta(reading.stream).ttft is not None
        await elsewhere.shut()

    run(case())


@pytest.mark.parametrize(
    ("status", "openai_class", "anthropic_class"),
    [
        (400, "BadRequestError", "BadRequestError"),
        (401, "AuthenticationError", "AuthenticationError"),
        (429, "RateLimitError", "RateLimitError"),
        (500, "InternalServerError", "InternalServerError"),
        (529, "InternalServerError", "OverloadedError"),
    ],
)
def test_errors_are_of_the_callers_own_sdk(
    sdk: str, status: int, openai_class: str, anthropic_class: str, kind: str, run: Run, provider: Provider
) -> None:
    """What the caller catches is what it always caught; the other SDK's error is the cause."""
    provider.script([b.error(status)])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider)
        with pytest.raises(ERRORS[sdk].APIStatusError) as caught:
            await elsewhere.ask()
        # By name: the oldest anthropic makes OverloadedError, but does not export it.
        assert type(caught.value).__name__ == (openai_class if sdk == "openai" else anthropic_class)
        assert isinstance(caught.value.__cause__, ERRORS[OTHER[sdk]].APIStatusError)
        assert caught.value.status_code == status
        assert ap.meta(caught.value).attempts[0].status == status
        await elsewhere.shut()

    run(case())


def test_a_refused_connection_is_the_callers_own_error(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """Nobody listens there."""
    provider.script([b.refuse()])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider)
        with pytest.raises(ERRORS[sdk].APIConnectionError) as caught:
            await elsewhere.ask()
        assert ap.meta(caught.value).attempts[0].fault is ap.Fault.CONNECTION
        await elsewhere.shut()

    run(case())


def test_an_error_event_before_content_is_the_callers_own_error_and_retried(
    sdk: str, kind: str, run: Run, provider: Provider
) -> None:
    """An overloaded provider says so in its stream; the next attempt answers."""
    provider.script([b.sse_error(after=1), b.ok("At last")])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider, ap.Retry(attempts=2, wait=0))
        reading = Reading(await open_stream(elsewhere.client, sdk))
        assert "".join(await reading.all()) == "At last"
        first, second = ap.meta(reading.stream).attempts
        assert first.fault in (ap.Fault.OVERLOADED, ap.Fault.SERVER)
        assert second.outcome == "ok"
        assert isinstance(first.error, ERRORS[sdk].APIError | None)
        await elsewhere.shut()

    run(case())


@pytest.mark.parametrize("fault", ["sse_error", "cut", "truncate"])
def test_a_stream_that_breaks_says_so(sdk: str, fault: str, kind: str, run: Run, provider: Provider) -> None:
    """What came stays valid; a stream without its end is never passed off as whole."""
    provider.script([getattr(b, fault)(reply=b.ok(chunks=["one ", "two ", "three ", "four"]))])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider)
        reading = Reading(await open_stream(elsewhere.client, sdk))
        with pytest.raises(ap.StreamInterrupted) as caught:
            await reading.all()
        assert "".join(reading.texts).startswith("one")
        assert caught.value.partial == "".join(reading.texts)
        if fault != "truncate":
            assert isinstance(caught.value, ERRORS[sdk].APIError)
        attempt = ap.meta(caught.value).attempts[0]
        assert attempt.outcome == "failed"
        await elsewhere.shut()

    run(case())


def test_half_a_tool_call_is_named(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """Arguments that stop in the middle must not be executed."""
    provider.script([b.truncate(reply=b.ok(text=None, tool_calls=CALLS[:1]))])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider)
        with pytest.raises(ap.StreamInterrupted) as caught:
            await Reading(await open_stream(elsewhere.client, sdk)).all()
        assert caught.value.open_tool_calls == ("send_mail",)
        await elsewhere.shut()

    run(case())


def test_leaving_a_translated_stream_closes_its_connection(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """The caller closes its own SDK's stream object, and the other client's response goes with it."""
    provider.script([b.slow(0.01, reply=b.ok(chunks=60))])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider)
        reading = Reading(await open_stream(elsewhere.client, sdk))
        await reading.until_text()
        await reading.close()
        [attempt] = ap.meta(reading.stream).attempts
        assert attempt.outcome == "abandoned"
        await elsewhere.shut()

    run(case())


def test_what_has_no_words_there_is_refused_and_named(kind: str, run: Run, provider: Provider) -> None:
    """Nothing that decides the answer is left out in silence."""

    async def case() -> None:
        elsewhere = Elsewhere("openai", kind, provider)
        with pytest.raises(ap.ConfigError, match=r"no words for logit_bias; name them in drop="):
            await elsewhere.ask(logit_bias={"1": 2})
        assert provider.requests == []
        await elsewhere.shut()
        elsewhere = Elsewhere("openai", kind, provider, drop=["logit_bias", "temperature"])
        reply = await elsewhere.ask(logit_bias={"1": 2}, temperature=1.5)
        assert ap.meta(reply).dropped == ("logit_bias", "temperature above 1")
        assert provider.requests[-1].json["temperature"] == 1
        await elsewhere.shut()

    run(case())


def test_anthropic_needs_to_know_the_most_tokens(kind: str, run: Run, provider: Provider) -> None:
    """The request brings them, or the target's defaults do; the request wins."""

    async def case() -> None:
        elsewhere = Elsewhere("openai", kind, provider, defaults={})
        with pytest.raises(ap.ConfigError, match="needs max_tokens"):
            await elsewhere.ask()
        await elsewhere.ask(max_tokens=7)
        assert provider.requests[-1].json["max_tokens"] == 7
        await elsewhere.shut()
        elsewhere = Elsewhere("openai", kind, provider, defaults={"max_tokens": 9, "top_k": 3})
        await elsewhere.ask()
        assert (provider.requests[-1].json["max_tokens"], provider.requests[-1].json["top_k"]) == (9, 3)
        await elsewhere.ask(max_completion_tokens=8)
        assert provider.requests[-1].json["max_tokens"] == 8
        await elsewhere.shut()

    run(case())


def test_credentials_of_one_provider_never_reach_another(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """Each client sends its own key; headers meant for the caller's provider stay behind."""

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider)
        await elsewhere.ask(extra_headers={"x-gateway-token": "secret-of-home"})
        headers = str(provider.requests[-1].headers)
        assert "away-key" in headers
        assert "secret-of-home" not in headers
        assert "test-key" not in headers
        await elsewhere.shut()

    run(case())


def test_another_client_of_the_same_sdk_keeps_every_detail(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """No translation happens: unknown fields, headers and status are those of the server that answered."""
    with Provider([b.ok("from there", headers={"x-served-by": "there"})]) as there:

        async def case() -> None:
            home, away = plain_client(sdk, kind, provider), plain_client(sdk, kind, there)
            target = ap.target(away, "other-model", drop=["metadata"], defaults={"top_p": 0.5})
            client = ap.Stack(Send(target)).wrap(home)
            resource = client.chat.completions if sdk == "openai" else client.messages
            question: Any = {**claude(), "metadata": {"user_id": "u1"}, "extra_headers": {"x-gateway-token": "secret"}}
            if sdk == "openai":
                question.pop("system")
            raw = await result(resource.with_raw_response.create(**question))
            made = await result(raw.parse())
            assert raw.headers["x-served-by"] == "there"
            assert "from there" in made.model_dump_json()
            sent = there.requests[-1]
            assert (sent.json["model"], sent.json["top_p"]) == ("other-model", 0.5)
            assert "metadata" not in sent.json
            assert "secret" not in str(sent.headers)
            assert ap.meta(made).dropped == ("metadata",)
            reading = Reading(await open_stream(client, sdk))
            assert "".join(await reading.all()) == "from there"
            assert provider.requests == []
            await shut(home)
            await shut(away)

        run(case())


def test_scenario_15_signs_of_life_pass(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """A provider that thinks for long keeps the caller's stream alive; silence ends it."""
    provider.script([b.pings(0.1, 6, reply=b.ok("At last", chunks=2)), b.stall(reply=b.ok(chunks=["a ", "b ", "c "]))])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider, ap.Timeout(idle=0.35))
        reading = Reading(await open_stream(elsewhere.client, sdk))
        assert "".join(await reading.all()) == "At last"
        with pytest.raises(ap.StreamInterrupted) as caught:
            await Reading(await open_stream(elsewhere.client, sdk)).all()
        assert caught.value.fault == "idle"
        await elsewhere.shut()

    run(case())


def test_features_switched_on_by_header_go_along_to_the_same_sdk(kind: str, run: Run, provider: Provider) -> None:
    """Other headers of the call may hold what is meant for the caller's own host."""

    async def case() -> None:
        home, away = plain_client("anthropic", kind, provider), plain_client("anthropic", kind, provider)
        client = ap.Stack(Send(ap.target(away, "claude"))).wrap(home)
        headers = {"anthropic-beta": "files-api-2025-04-14", "authorization": "Bearer of-home"}
        await result(client.messages.create(**claude(), extra_headers=headers, timeout=9))
        sent = str(provider.requests[-1].headers)
        assert "files-api-2025-04-14" in sent
        assert "of-home" not in sent
        await shut(home)
        await shut(away)

    run(case())


def test_a_translated_stream_that_is_dropped_is_ended(sdk: str, provider: Provider) -> None:
    """Nobody closed it: the collector's turn ends it, and the other client's response with it."""
    import gc
    import time

    provider.script([b.slow(0.01, reply=b.ok(chunks=80))])
    ends: list[str] = []

    async def watch(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        reply = await call_next(call)
        reply.on_end(lambda end: ends.append(end.outcome))
        return reply

    elsewhere = Elsewhere(sdk, "sync", provider, watch)
    if sdk == "openai":
        question: Any = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        stream = elsewhere.client.chat.completions.create(**question)
    else:
        stream = elsewhere.client.messages.create(stream=True, **claude())
    next(stream)
    del stream
    gc.collect()
    for _ in range(1000):
        if ends:
            break
        time.sleep(0.02)
    assert ends == ["abandoned"]
    elsewhere.home.close()
    elsewhere.away.close()


def test_a_slow_start_elsewhere_is_the_callers_own_timeout(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """The limit is ours; the error behind it is of the SDK the caller knows."""
    provider.script([b.stall(1)])

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider, ap.Timeout(first_token=0.3))
        with pytest.raises(ap.CallTimeout) as caught:
            await open_stream(elsewhere.client, sdk)
        assert isinstance(caught.value.__cause__, ERRORS[sdk].APITimeoutError)
        await elsewhere.shut()

    run(case())


def test_a_responses_request_goes_to_openai_clients_alone(kind: str, run: Run, provider: Provider) -> None:
    """It has no neutral form; another OpenAI client speaks it, Anthropic's does not."""
    with Provider() as there:

        async def case() -> None:
            home, away = plain_client("openai", kind, provider), plain_client("openai", kind, there)
            client = ap.Stack(Send(ap.target(away, "gpt-5-nano"))).wrap(home)
            made = await result(client.responses.create(model="gpt-5-mini", input="Hello"))
            assert made.output_text
            assert there.requests[-1].json["model"] == "gpt-5-nano"
            claude_client = plain_client("anthropic", kind, there)
            other = ap.Stack(Send(ap.target(claude_client, "claude-sonnet-5"))).wrap(home)
            with pytest.raises(ap.ConfigError, match="a responses request has no words"):
                await result(other.responses.create(model="gpt-5-mini", input="Hello"))
            for each in (home, away, claude_client):
                await shut(each)

        run(case())


def test_the_other_clients_retries_are_off_when_the_stack_retries(
    sdk: str, kind: str, run: Run, provider: Provider
) -> None:
    """Attempts do not multiply there either; the client itself keeps its setting."""
    provider.script([b.error(500)])

    async def case() -> None:
        home, away = plain_client(sdk, kind, provider), plain_client(OTHER[sdk], kind, provider, max_retries=2)
        target = ap.target(away, MODELS[OTHER[sdk]], defaults=DEFAULTS[OTHER[sdk]])
        client = ap.Stack(ap.Retry(attempts=2, wait=0), Send(target)).wrap(home)
        with pytest.raises(ERRORS[sdk].InternalServerError):
            await open_stream(client, sdk)
        assert len(provider.requests) == 2
        assert away.max_retries == 2
        await shut(home)
        await shut(away)

    run(case())


def test_layers_see_the_callers_own_words(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """A layer between caller and provider reads and edits one wire format, whoever answers."""
    provider.script([b.ok(chunks=["Hello ", "world"])])
    seen: list[Any] = []

    class Look:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            call = call.replace()
            call.observe(lambda event, attempt, data: seen.append(data) if event == "event" else None)
            reply = await call_next(call)
            reply.edit(lambda part: Upper() if part.kind == "text" else None)
            return reply

    class Upper:
        def feed(self, text: str) -> str:
            return text.upper()

        def flush(self) -> str:
            return ""

    async def case() -> None:
        elsewhere = Elsewhere(sdk, kind, provider, Look())
        reading = Reading(await open_stream(elsewhere.client, sdk))
        assert "".join(await reading.all()) == "HELLO WORLD"
        assert all(("choices" in event) == (sdk == "openai") for event in seen)
        assert seen
        made = await elsewhere.ask()
        assert "HELLO WORLD" in made.model_dump_json()
        await elsewhere.shut()

    run(case())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda client: ap.target(ap.Stack().wrap(client), "m"), "has a stack of its own"),
        (lambda client: ap.target(object(), "m"), "cannot be wrapped"),
        (lambda client: ap.target(Stranger(), "m"), "knows how to ask clients of the openai and anthropic SDKs"),
        (lambda client: ap.target(client, ""), "needs the model's name"),
        (lambda client: ap.target(client, "m", drop="logit_bias"), "takes a list of field names"),
        (lambda client: ap.target(client, "m", defaults=NO_MAPPING), "takes a mapping"),
    ],
)
def test_a_target_that_cannot_work_is_refused(make: Any, words: str) -> None:
    """What is wrong is said where it is written."""
    with openai.OpenAI(api_key="any") as client, pytest.raises(ap.ConfigError, match=words):
        make(client)
