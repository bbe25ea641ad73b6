"""What `wrap` does to a client, and what it leaves alone."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anthropic
import httpx
import openai
import pytest

import agentprod as ap
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.conftest import Run
from tests.clients.surfaces import MESSAGES, claude, make_client, result, shut


class Notes:
    """Keeps what it saw of each call."""

    def __init__(self, name: str = "Notes") -> None:
        self.name = name
        self.calls: list[ap.Call] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Take note."""
        self.calls.append(call)
        return await call_next(call)


async def chat(client: Any, **extra: Any) -> Any:
    """Ask for a completion."""
    return await result(client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, **extra))


def test_a_wrapped_client_is_still_its_class(provider: Provider) -> None:
    """Same class for isinstance, same name, and the original untouched."""
    client = make_client("openai", "sync", provider)
    before = dict(client.__dict__)
    wrapped = ap.Stack().wrap(client)
    assert isinstance(wrapped, openai.OpenAI)
    assert type(wrapped).__name__ == "OpenAI"
    assert type(client) is openai.OpenAI
    assert client.__dict__ == before
    client.close()


def test_the_class_of_a_wrapped_client_is_not_to_be_called(kind: str, run: Run, provider: Provider) -> None:
    """What it makes has no stack, and says so instead of going past one."""

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        made = type(ap.Stack().wrap(client))(api_key="k", base_url=provider.openai_url, http_client=client._client)
        with pytest.raises(ap.ConfigError, match=r"made by calling the class .* stack\.wrap"):
            await chat(made)
        await shut(client)

    run(scenario())
    assert provider.requests == []


def test_closing_the_copy_leaves_the_http_client_open(kind: str, run: Run, provider: Provider) -> None:
    """The copy does not own the connection pool, in `with` either."""

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        wrapped = ap.Stack().wrap(client)
        if kind == "async":
            async with wrapped:
                await chat(wrapped)
        else:
            with wrapped:
                await chat(wrapped)
        await result(wrapped.close())
        assert not client.is_closed()
        await chat(client)
        await shut(client)

    run(scenario())


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        (object(), "cannot be wrapped"),
        (openai.OpenAI, "pass an instance"),
        (print, "can be decorated"),
        ("https://api.example.com", "decorate the function that makes the call"),
    ],
)
def test_what_is_no_client_is_refused_with_the_ways_that_work(thing: Any, says: str) -> None:
    """The error names the type and what to do."""
    with pytest.raises(ap.ConfigError, match=says):
        ap.Stack().wrap(thing)


def test_a_part_of_a_client_is_refused_with_the_right_line(provider: Provider) -> None:
    """What wrap returns has all its parts."""
    with make_client("openai", "sync", provider) as client, pytest.raises(ap.ConfigError, match="wrap the client its"):
        ap.Stack().wrap(client.chat.completions)


def test_wrapping_twice_joins_the_stacks(kind: str, run: Run, provider: Provider) -> None:
    """One onion: the later stack outside, each layer once, one call."""
    inner, outer = Notes("inner"), Notes("outer")

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        once = ap.Stack(inner).wrap(client)
        twice = ap.Stack(outer).wrap(once)
        got = await chat(twice)
        assert ap.meta(got).layers == ("outer", "inner")
        assert ap.unwrap(twice) is client
        assert [layer.name for layer in ap.stack_of(twice)] == ["outer", "inner"]
        assert outer.calls[0].ledger is inner.calls[0].ledger
        await shut(client)

    run(scenario())
    assert len(provider.requests) == 1


def test_joining_checks_the_order(provider: Provider) -> None:
    """A harmful order is found when the stacks meet."""
    client = ap.Stack(ap.Retry()).wrap(make_client("openai", "sync", provider))
    with pytest.raises(ap.OrderError, match="Retry twice"):
        ap.Stack(ap.Retry()).wrap(client)
    ap.unwrap(client).close()


def test_a_bound_copy_speaks_for_its_user(kind: str, run: Run, provider: Provider) -> None:
    """`bind` wins over the context and holds in copies of copies; the client it came from is not changed."""
    notes = Notes()

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        wrapped = ap.Stack(notes).wrap(client)
        mine = ap.bind(wrapped, user="u1", tenant="acme", tags={"prompt": "B"})
        with ap.context(user="somebody", conversation="c7", tags={"page": "1"}):
            await chat(mine.with_options(timeout=9))
            await chat(wrapped)
        await shut(client)

    run(scenario())
    bound, plain = (call.context for call in notes.calls)
    assert (bound.user, bound.tenant, bound.conversation) == ("u1", "acme", "c7")
    assert dict(bound.tags) == {"prompt": "B", "page": "1"}
    assert (plain.user, plain.tenant) == ("somebody", None)


def test_binding_what_is_not_wrapped_says_so(provider: Provider) -> None:
    """A bare client has no stack to bind to."""
    client = make_client("openai", "sync", provider)
    with pytest.raises(ap.ConfigError, match="has no stack; wrap"):
        ap.bind(client, user="u1")
    with pytest.raises(ap.ConfigError, match="no stack around"):
        ap.stack_of(client)
    assert ap.unwrap(client) is client
    client.close()


def test_a_subclass_with_its_own_init_is_wrapped(provider: Provider) -> None:
    """Wrapping copies the object; it does not construct another."""

    class House(openai.OpenAI):
        def __init__(self, team: str) -> None:
            super().__init__(base_url=provider.openai_url, api_key="k", max_retries=0)
            self.team = team

        def hello(self) -> str:
            made = self.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
            return made.choices[0].message.content or ""

    notes = Notes()
    client = House("blue")
    wrapped = ap.Stack(notes).wrap(client)
    assert wrapped.team == "blue"
    assert wrapped.hello()
    assert len(notes.calls) == 1
    client.close()


@pytest.mark.parametrize("made", [openai.OpenAI, anthropic.Anthropic])
def test_a_subclass_prepares_each_of_the_sdks_own_tries_anew(made: type[Any], provider: Provider) -> None:
    """What it adds to the options of one try is not in those of the next, nor in the caller's."""

    class Signing(made):  # type: ignore[misc]
        def _prepare_options(self, options: Any) -> Any:
            options = super()._prepare_options(options)
            headers = options.headers if hasattr(options.headers, "items") else {}
            options.headers = {**headers, "x-signed": headers.get("x-signed", "") + "once"}
            return options

    provider.script([b.rate_limit(retry_after_ms=1), b.rate_limit(retry_after_ms=1), "ok"])
    url = provider.openai_url if made is openai.OpenAI else provider.anthropic_url
    client = Signing(base_url=url, api_key="k", max_retries=2)
    wrapped = ap.Stack().wrap(client)
    if made is openai.OpenAI:
        wrapped.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    else:
        wrapped.messages.create(**claude())
    assert [request.headers["x-signed"] for request in provider.requests] == ["once"] * 3
    client.close()


def test_resources_touched_before_wrapping_do_not_leak_past_the_stack(provider: Provider) -> None:
    """A resource keeps the client it was made by, so the copy makes its own."""
    notes = Notes()
    client = make_client("openai", "sync", provider)
    assert client.chat.completions
    wrapped = ap.Stack(notes).wrap(client)
    wrapped.chat.completions.create(model="m", messages=MESSAGES)
    client.chat.completions.create(model="m", messages=MESSAGES)
    assert len(notes.calls) == 1
    client.close()


def test_a_method_of_a_client_is_decorated_by_wrapping_the_client(kind: str, run: Run, provider: Provider) -> None:
    """`decorate(client.chat.completions.create)` gives the wrapped client's method."""
    notes = Notes()

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        create = ap.Stack(notes).decorate(client.chat.completions.create)
        got = await result(create(model="m", messages=MESSAGES))
        assert got.choices[0].message.content
        assert notes.calls[0].operation == "chat"
        await shut(client)

    run(scenario())


def test_provider_errors_pass_unchanged(kind: str, run: Run, provider: Provider) -> None:
    """`except openai.RateLimitError` works behind any stack, with the attempts in the notes."""
    provider.script([b.rate_limit(1)])

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        with pytest.raises(openai.RateLimitError) as caught:
            await chat(ap.Stack(Notes(), ap.Retry(attempts=1)).wrap(client))
        assert caught.value.status_code == 429
        assert caught.value.response.headers["retry-after"] == "1"
        assert ap.meta(caught.value).attempts[0].fault is ap.Fault.RATE_LIMIT
        await shut(client)

    run(scenario())


def test_a_validation_error_of_parse_is_the_callers(kind: str, run: Run, provider: Provider) -> None:
    """A reply that does not fit the caller's model is no attempt failure and is not retried."""
    from pydantic import BaseModel, ValidationError

    class Shape(BaseModel):
        size: int

    provider.script([b.ok('{"size": "large"}')])

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        wrapped = ap.Stack(ap.Retry(wait=0)).wrap(client)
        with pytest.raises(ValidationError):
            await result(wrapped.chat.completions.parse(model="m", messages=MESSAGES, response_format=Shape))
        await shut(client)

    run(scenario())
    assert len(provider.requests) == 1


def test_other_traffic_passes_only_the_layers_that_act_on_it(kind: str, run: Run, provider: Provider) -> None:
    """Models, files and counts go through retry and timeouts, not through layers made for model calls."""
    notes = Notes()
    provider.script([b.error(500), "ok", "ok"])

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        wrapped = ap.Stack(notes, ap.Retry(wait=0)).wrap(client)
        models = await result(wrapped.models.list())
        assert models.data
        claude_client = make_client("anthropic", kind, provider)
        counted = await result(
            ap.Stack(notes, ap.Retry(wait=0))
            .wrap(claude_client)
            .messages.count_tokens(model="claude-sonnet-5", messages=[{"role": "user", "content": "hi"}])
        )
        assert counted.input_tokens >= 1
        await shut(client)
        await shut(claude_client)

    run(scenario())
    assert notes.calls == []
    assert len(provider.requests) == 3


def test_other_posts_are_repeated_only_when_nothing_can_have_happened(kind: str, run: Run, provider: Provider) -> None:
    """A 500 to an upload may have happened; a 429 did not."""
    provider.script([b.error(500), "ok"])

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        wrapped = ap.Stack(ap.Retry(wait=0)).wrap(client)
        with pytest.raises(openai.InternalServerError):
            await result(wrapped.post("/batches", body={"a": 1}, cast_to=object))
        provider.script([b.rate_limit(retry_after_ms=1), "ok"])
        assert await result(wrapped.post("/batches", body={"a": 1}, cast_to=object))
        await shut(client)

    run(scenario())
    assert len(provider.requests) == 3


@pytest.mark.skipif(not hasattr(anthropic, "Middleware"), reason="this anthropic has no middleware of its own")
def test_anthropics_own_middleware_still_works(kind: str, run: Run, provider: Provider) -> None:
    """The client's own chain runs once per attempt, inside ours, and sees the SDK's own response objects."""
    seen: list[tuple[int, str]] = []

    class Native(anthropic.Middleware):
        def handle(self, request: Any, call_next: Any) -> Any:
            response = call_next(request)
            seen.append((response.status_code, type(response).__name__))
            return response

        async def handle_async(self, request: Any, call_next: Any) -> Any:
            response = await call_next(request)
            seen.append((response.status_code, type(response).__name__))
            return response

    provider.script([b.error(529), "ok"])

    async def scenario() -> None:
        client = make_client("anthropic", kind, provider, middleware=[Native()])
        notes = Notes()
        wrapped = ap.Stack(notes, ap.Retry(wait=0)).wrap(client)
        got = await result(wrapped.messages.create(**claude()))
        assert isinstance(got, anthropic.types.Message)
        assert len(ap.meta(got).attempts) == 2
        async_stream = await result(wrapped.messages.create(stream=True, **claude()))
        kinds = (
            [event.type async for event in async_stream] if kind == "async" else [event.type for event in async_stream]
        )
        assert kinds[0] == "message_start"
        await shut(client)

    run(scenario())
    assert [status for status, _ in seen] == [529, 200, 200]
    assert {name for _, name in seen} <= {"APIResponse", "AsyncAPIResponse"}


def test_openai_over_the_older_http_library_works(provider: Provider) -> None:
    """The openai SDK accepts an httpx client; synthetic replies are then httpx responses."""
    http = httpx.Client()
    client = openai.OpenAI(base_url=provider.openai_url, api_key="k", max_retries=0, http_client=http)  # type: ignore[arg-type]

    class Answer:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            return call.reply("from the layer")

    made = ap.Stack(Answer()).wrap(client)
    assert made.chat.completions.create(model="m", messages=MESSAGES).choices[0].message.content == "from the layer"  # type: ignore[arg-type]
    raw = made.chat.completions.with_raw_response.create(model="m", messages=MESSAGES)  # type: ignore[arg-type]
    response: Any = raw.http_response
    assert isinstance(response, httpx.Response)
    assert ap.Stack().wrap(client).chat.completions.create(model="m", messages=MESSAGES)  # type: ignore[arg-type]
    client.close()


def test_a_layer_can_answer_in_the_callers_wire_form(kind: str, run: Run, provider: Provider) -> None:
    """`call.reply(text)` comes out as the SDK's own objects, whole and streamed, without any request."""

    class Answer:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            return call.reply("from the layer")

    async def scenario() -> None:
        chatty, talky = make_client("openai", kind, provider), make_client("anthropic", kind, provider)
        whole = await chat(ap.Stack(Answer()).wrap(chatty))
        assert isinstance(whole, openai.types.chat.ChatCompletion)
        assert whole.choices[0].message.content == "from the layer"
        assert ap.meta(whole).attempts == []
        assert ap.meta(whole).cost == 0
        message = await result(ap.Stack(Answer()).wrap(talky).messages.create(**claude()))
        assert message.content[0].text == "from the layer"
        manager = ap.Stack(Answer()).wrap(talky).messages.stream(**claude())
        if kind == "async":
            async with manager as stream:
                assert await stream.get_final_text() == "from the layer"
        else:
            with manager as stream:
                assert stream.get_final_text() == "from the layer"
        await shut(chatty)
        await shut(talky)

    run(scenario())
    assert provider.requests == []


@pytest.mark.parametrize("surface", ["chat", "responses", "messages"])
@pytest.mark.parametrize(
    ("made_up", "says"),
    [(42, "not int"), (None, "not NoneType"), (openai.types.CompletionUsage.model_construct(), "after .model_dump")],
)
def test_what_is_no_reply_is_refused_where_it_is_made(
    surface: str, made_up: Any, says: str, provider: Provider
) -> None:
    """A layer that answers a client with neither a text nor wire JSON hears of it, not the caller of something odd."""

    async def answer(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return call.reply(made_up)

    with (
        make_client("anthropic" if surface == "messages" else "openai", "sync", provider) as bare,
        pytest.raises(ap.ConfigError, match=f"call.reply takes the answer's text.*{says}"),
    ):
        client: Any = ap.Stack(answer).wrap(bare)
        if surface == "messages":
            client.messages.create(model="m", max_tokens=9, messages=MESSAGES)
        elif surface == "responses":
            client.responses.create(model="m", input="Hello")
        else:
            client.chat.completions.create(model="m", messages=MESSAGES)


def test_switched_off_a_wrapped_client_is_bare(kind: str, run: Run, provider: Provider) -> None:
    """`set_active(False)` is for clients made at import time."""
    notes = Notes()

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        wrapped = ap.Stack(notes).wrap(client)
        ap.set_active(False)
        try:
            await chat(wrapped)
        finally:
            ap.set_active(True)
        await chat(wrapped)
        await shut(client)

    run(scenario())
    assert len(notes.calls) == 1


def test_a_layers_own_calls_do_not_enter_its_stack_again(kind: str, run: Run, provider: Provider) -> None:
    """Within `call.helper()` the same client is bare, so a classifier does not classify itself."""
    entered = 0

    class Classifier:
        client: Any = None

        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            nonlocal entered
            entered += 1
            with call.helper():
                await result(self.client.chat.completions.create(model="small", messages=MESSAGES))
            return await call_next(call)

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        classifier = Classifier()
        classifier.client = ap.Stack(classifier).wrap(client)
        await chat(classifier.client)
        await shut(client)

    run(scenario())
    assert entered == 1
    assert [request.json["model"] for request in provider.requests] == ["small", "gpt-5-mini"]


def test_one_client_serves_many_threads_without_crossing(provider: Provider) -> None:
    """32 threads on one wrapped client: each reply belongs to its own request and context."""
    provider.script(["echo"])
    client = make_client("openai", "sync", provider)
    wrapped = ap.Stack(Notes(), ap.Retry()).wrap(client)
    wrong: list[str] = []

    def work(number: int) -> None:
        with ap.context(user=f"u{number}"):
            for turn in range(4):
                text = f"{number}-{turn}"
                made = wrapped.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
                if text not in (made.choices[0].message.content or "") or ap.meta(made).request_id is None:
                    wrong.append(text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    assert wrong == []


def test_one_wrapped_client_class_works_inside_a_running_loop(provider: Provider) -> None:
    """A sync client in a notebook cell: a loop runs, and the call does not touch it."""

    async def cell() -> str:
        client = make_client("openai", "sync", provider)
        wrapped = ap.Stack(ap.Deadline(5), ap.Retry(), ap.Timeout(4)).wrap(client)
        made = wrapped.chat.completions.create(model="m", messages=MESSAGES)
        pieces = list(wrapped.chat.completions.create(model="m", messages=MESSAGES, stream=True))
        assert pieces
        client.close()
        return made.choices[0].message.content or ""

    assert asyncio.run(cell())


def test_a_layer_that_waits_for_a_loop_in_a_sync_call_is_named(provider: Provider) -> None:
    """SuspendedError tells the layer and the line, and its finally blocks have run."""
    cleaned: list[str] = []

    class Sleepy:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            try:
                await asyncio.sleep(1)
            finally:
                cleaned.append("yes")
            return await call_next(call)

    client = make_client("openai", "sync", provider)

    def ask() -> None:
        with pytest.raises(ap.SuspendedError, match=r"Sleepy\.handle .*test_wrap\.py:\d+"):
            ap.Stack(Sleepy()).wrap(client).chat.completions.create(model="m", messages=MESSAGES)

    async def cell() -> None:
        ask()

    ask()
    asyncio.run(cell())
    client.close()
    assert cleaned == ["yes", "yes"]
    assert provider.requests == []


def test_what_pydantic_objects_a_caller_sends_back_is_sent_as_the_sdk_would(
    kind: str, run: Run, provider: Provider
) -> None:
    """Messages of an earlier reply, appended as objects, reach the wire as the bare client sends them."""
    provider.script([b.ok(None, tool_calls=[{"name": "look", "arguments": {"at": "x"}}])])

    async def scenario() -> None:
        client = make_client("openai", kind, provider)
        first = await chat(client)
        history = [*MESSAGES, first.choices[0].message]
        provider.reset()
        await result(client.chat.completions.create(model="m", messages=history))
        await result(ap.Stack(Notes()).wrap(client).chat.completions.create(model="m", messages=history))
        other = make_client("anthropic", kind, provider)
        turn = await result(other.messages.create(**claude()))
        talk = [*claude()["messages"], {"role": "assistant", "content": turn.content}]
        asked = {**claude(), "messages": talk}
        await result(other.messages.create(**asked))
        await result(ap.Stack(Notes()).wrap(other).messages.create(**asked))
        await shut(client)
        await shut(other)

    run(scenario())
    bare, through, _, bare_claude, through_claude = (request.json for request in provider.requests)
    assert bare == through
    assert bare_claude == through_claude
