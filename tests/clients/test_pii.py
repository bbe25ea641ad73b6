"""No value leaves: not to the provider, a store, a log or a span; and the user sees every value again."""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

import agentprod as ap
from agentprod.safety.pii import Strategy
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.canaries import ARGUMENTS, CANARIES, EVERYTHING, body_of, cacheable, leaked, seen_in
from tests.clients.conftest import Run
from tests.clients.surfaces import SURFACES, Surface, make_client, result, shut
from tests.clients.test_surfaces import pieces
from tests.servers import redis_url
from tests.telemetry.tracing import Traces

__all__ = ["redis_url"]

REVERSIBLE: dict[str, Strategy] = {"SECRET": "placeholder"}
JSON = json.dumps({"name": "[[EMAIL_1]]", "words": "call [[PHONE_1]]"})


def everything_of(request: Any) -> str:
    """Return all that one request carried over the wire, escapes resolved."""
    return "\n".join(
        [request.path, request.query, *request.headers.values(), json.dumps(request.json, ensure_ascii=False)]
    )


def spans_of(traces: Traces) -> str:
    """Return all that spans say."""
    return "\n".join(span.to_json() for span in traces.spans())


def files_in(folder: Path) -> bytes:
    """Return the bytes of every file of a folder."""
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def test_the_search_finds_what_it_shall_find() -> None:
    """Every canary is seen in its own text, in full width, escaped and apart."""
    assert leaked(EVERYTHING) == list(CANARIES)
    wide = EVERYTHING.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
    assert leaked(json.dumps(wide)) == list(CANARIES)
    assert leaked("nothing") == []


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_no_value_leaves_by_any_surface(
    surface: Surface, kind: str, run: Run, provider: Provider, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that holds fifteen values wherever it can hold text leaves without one; the answer has them again."""
    caplog.set_level(logging.DEBUG)
    provider.script([b.ok(JSON) if surface.json else b.echo()])
    traces, store = Traces(), tmp_path / "store"
    store.mkdir()
    stack = ap.Stack(
        ap.Tracer(capture="span", tracer_provider=traces.provider),
        ap.ScrubPII(strategy=REVERSIBLE),
        ap.Cache(store=f"sqlite:///{store}/cache.db"),
        ap.Retry(),
    )

    async def ask() -> list[Any]:
        bare = make_client(surface.sdk, kind, provider)
        try:
            wrapped = stack.wrap(bare)
            bodies = body_of(surface.name), cacheable(body_of(surface.name)), cacheable(body_of(surface.name))
            return [await surface.ask(wrapped, extra_body=body) for body in bodies]
        finally:
            await shut(bare)

    answers = run(ask())
    assert stack[ap.Cache].flush()
    sent = "\n".join(map(everything_of, provider.requests))
    assert leaked(sent) == []
    assert leaked(spans_of(traces)) == []
    assert leaked(files_in(store)) == []
    assert b"EMAIL_1" in files_in(store) or surface.silent
    assert leaked(caplog.text) == []
    assert "EMAIL_1" in sent
    assert "EMAIL_1" in spans_of(traces) or surface.silent
    for shown in answers:
        if surface.json:
            assert CANARIES["EMAIL"] in pieces(shown)
            assert CANARIES["PHONE"] in pieces(shown)
        elif not surface.silent:
            assert seen_in(pieces(shown)) == list(CANARIES)


def test_no_value_reaches_a_shared_store(kind: str, run: Run, provider: Provider, redis_url: str) -> None:
    """Neither keys nor values of a real server hold one."""
    redis = pytest.importorskip("redis")
    surface = next(found for found in SURFACES if found.name == "openai.create")
    provider.script([b.echo()])
    stack = ap.Stack(ap.ScrubPII(strategy=REVERSIBLE), ap.Cache(store=redis_url, by="global"))

    async def ask() -> Any:
        bare = make_client("openai", kind, provider)
        try:
            await surface.ask(stack.wrap(bare), extra_body=cacheable(body_of(surface.name)))
            return await surface.ask(stack.wrap(bare), extra_body=cacheable(body_of(surface.name)))
        finally:
            await shut(bare)

    assert seen_in(pieces(run(ask()))) == list(CANARIES)
    assert stack[ap.Cache].flush()
    with redis.Redis.from_url(redis_url) as server:
        keys = list(server.scan_iter())
        held = b"".join(key + (server.get(key) or b"") for key in keys if server.type(key) == b"string")
        held += b"".join(str(server.hgetall(key)).encode() for key in keys if server.type(key) == b"hash")
    assert keys
    assert leaked(held) == []


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_gets_values_only_where_the_policy_lets_them(
    sdk: str, streamed: bool, kind: str, run: Run, provider: Provider
) -> None:
    """One tool may have the address, another gets placeholders; numbers come back as numbers, keys as keys."""
    arguments = {"to": "[[EMAIL_1]]", "phone": "[[PHONE_1]]", "[[EMAIL_1]]": ["x [[EMAIL_1]]", 7]}
    calls = [{"name": name, "arguments": arguments} for name in ("send_email", "search_web")]
    provider.script([b.ok(None, tool_calls=calls, chunks=9)])
    layer = ap.ScrubPII(restore={"text": True, "tools": {"send_email": ["EMAIL"]}})
    email, phone = CANARIES["EMAIL"], CANARIES["PHONE"]

    async def ask() -> list[Any]:
        bare = make_client(sdk, kind, provider)
        try:
            client = ap.Stack(layer).wrap(bare)
            return await tool_calls(client, sdk, streamed, f"write to {email}, {json.dumps({'phone': int(phone)})}")
        finally:
            await shut(bare)

    first, second = run(ask())
    assert first == ("send_email", {"to": email, "phone": "[[PHONE_1]]", email: [f"x {email}", 7]})
    assert second == ("search_web", arguments)


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
@pytest.mark.parametrize("streamed", [False, True])
def test_types_come_back_to_tools(sdk: str, streamed: bool, kind: str, run: Run, provider: Provider) -> None:
    """By default tools get all values: a number that left as a placeholder arrives as a number."""
    provider.script([b.ok(None, tool_calls=[{"name": "dial", "arguments": {"phone": "[[PHONE_1]]"}}], chunks=5)])
    email, phone = CANARIES["EMAIL"], CANARIES["PHONE"]

    async def ask() -> list[Any]:
        bare = make_client(sdk, kind, provider)
        try:
            return await tool_calls(ap.Stack(ap.ScrubPII()).wrap(bare), sdk, streamed, json.dumps([email, int(phone)]))
        finally:
            await shut(bare)

    assert run(ask()) == [("dial", {"phone": int(phone)})]


async def tool_calls(client: Any, sdk: str, streamed: bool, prompt: str) -> list[Any]:
    """Return name and arguments of the tool calls that a model answers with."""
    messages = [{"role": "user", "content": prompt}]
    if sdk == "openai":
        if not streamed:
            made = await result(client.chat.completions.create(model="gpt-5-mini", messages=messages))
        else:
            manager = client.chat.completions.stream(model="gpt-5-mini", messages=messages)
            made = await _final(manager, "get_final_completion")
        found = made.choices[0].message.tool_calls
        return [(call.function.name, json.loads(call.function.arguments)) for call in found]
    options: Any = {"model": "claude-sonnet-5", "max_tokens": 100, "messages": messages}
    if not streamed:
        message = await result(client.messages.create(**options))
    else:
        message = await _final(client.messages.stream(**options), "get_final_message")
    return [(block.name, block.input) for block in message.content if block.type == "tool_use"]


async def _final(manager: Any, name: str) -> Any:
    if hasattr(manager, "__aenter__"):
        async with manager as stream:
            return await getattr(stream, name)()
    with manager as stream:
        return getattr(stream, name)()


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_a_conversation_keeps_its_placeholders(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """Six turns with a tool loop: what was sent before is sent again letter by letter, and no value ever leaves."""
    provider.script([b.echo()])
    stack = ap.Stack(ap.ScrubPII())
    values = [f"user{n}@postbox.example" for n in range(6)]

    async def talk() -> None:
        bare = make_client(sdk, kind, provider)
        client = stack.wrap(bare)
        history: list[Any] = []
        try:
            for turn, value in enumerate(values):
                history.append({"role": "user", "content": f"turn {turn}: write to {value}, not to {values[0]}"})
                history.append({"role": "assistant", "content": await say(client, sdk, history)})
                assert history[-1]["content"] == history[-2]["content"]
                history += tool_turn(sdk, turn, {"to": value, "n": 13800000000 + turn, "q": 'a "quote"\n'})
        finally:
            await shut(bare)

    run(talk())
    bodies = [request.json["messages"] for request in provider.requests]
    for before, after in itertools.pairwise(bodies):
        assert after[: len(before)] == before
    sent = json.dumps(bodies)
    assert [value for value in values if value in sent] == []
    assert "1380000000" not in sent


def tool_turn(sdk: str, turn: int, arguments: Any) -> list[Any]:
    """Return the messages of one tool call and its result."""
    found = json.dumps({"ok": True, **arguments})
    if sdk == "openai":
        function = {"name": "send", "arguments": json.dumps(arguments)}
        call = {"id": f"call_{turn}", "type": "function", "function": function}
        return [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call_{turn}", "content": found},
        ]
    use = {"type": "tool_use", "id": f"toolu_{turn}", "name": "send", "input": arguments}
    return [
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"toolu_{turn}", "content": found}]},
    ]


async def say(client: Any, sdk: str, messages: list[Any]) -> str:
    """Return the answer's text."""
    if sdk == "openai":
        made = await result(client.chat.completions.create(model="gpt-5-mini", messages=messages))
        return str(made.choices[0].message.content)
    made = await result(client.messages.create(model="claude-sonnet-5", max_tokens=99, messages=messages))
    return "".join(block.text for block in made.content if block.type == "text")


def test_a_secret_in_any_place_stops_the_call(kind: str, run: Run, provider: Provider) -> None:
    """By default a key is not even sent as a placeholder."""
    surface = next(found for found in SURFACES if found.name == "anthropic.create")

    async def ask() -> None:
        bare = make_client("anthropic", kind, provider)
        try:
            with pytest.raises(ap.Blocked) as caught:
                await surface.ask(ap.Stack(ap.ScrubPII()).wrap(bare), extra_body=body_of(surface.name))
            assert (
                leaked(f"{caught.value!r} {caught.value.__notes__ if hasattr(caught.value, '__notes__') else ''}") == []
            )
        finally:
            await shut(bare)

    run(ask())
    assert provider.requests == []


def test_the_callers_own_objects_are_not_touched(kind: str, run: Run, provider: Provider) -> None:
    """Scrubbing works on copies."""
    body = body_of("openai.create")
    before = json.dumps(body)
    surface = next(found for found in SURFACES if found.name == "openai.create")

    async def ask() -> None:
        bare = make_client("openai", kind, provider)
        await surface.ask(ap.Stack(ap.ScrubPII(strategy=REVERSIBLE)).wrap(bare), extra_body=body)
        await shut(bare)

    run(ask())
    assert json.dumps(body) == before
    assert ARGUMENTS["to"] == CANARIES["EMAIL"]


def test_signed_reasoning_goes_back_only_to_whom_it_came_from(kind: str, run: Run, provider: Provider) -> None:
    """What the provider signed itself returns unchanged; a block of unknown origin with a value in it is left out."""
    provider.script([b.ok("fine", reasoning="I think of 13987654321")])

    async def talk() -> None:
        bare = make_client("anthropic", kind, provider)
        client = ap.Stack(ap.ScrubPII()).wrap(bare)
        try:
            options: Any = {"model": "claude-sonnet-5", "max_tokens": 99}
            first = await result(client.messages.create(messages=[{"role": "user", "content": "hi"}], **options))
            own = [block.model_dump(exclude_none=True) for block in first.content]
            foreign = {"type": "thinking", "thinking": "it is mira.lind@postbox-nord.example", "signature": "Zm9yZ2Vk"}
            clean = {"type": "thinking", "thinking": "nothing here", "signature": "Zm9yZ2Vk"}
            history = [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [foreign]},
                {"role": "user", "content": "and?"},
                {"role": "assistant", "content": [clean, *own]},
                {"role": "user", "content": "so?"},
            ]
            await result(client.messages.create(messages=history, **options))
            sent = provider.requests[-1].json["messages"]
            assert sent[1]["content"] == [{"type": "text", "text": "[reasoning left out]"}]
            assert sent[3]["content"] == [clean, *own]
            notes = [(note.event, note.data) for note in ap.last().notes]  # type: ignore[union-attr]
            assert ("dropped_reasoning", {"blocks": 1}) in notes
        finally:
            await shut(bare)

    run(talk())


def test_a_response_that_the_provider_remembers_is_continued(kind: str, run: Run, provider: Provider) -> None:
    """Old placeholders keep their values; where nothing is known of them, they never take those of new ones."""
    provider.script([b.ok("to [[EMAIL_1]] and [[EMAIL_2]]")])
    stack = ap.Stack(ap.ScrubPII())

    async def talk() -> None:
        bare = make_client("openai", kind, provider)
        client = stack.wrap(bare)
        try:
            first = await result(client.responses.create(model="gpt-5-mini", input="I am ann@example.org"))
            assert first.output_text == "to ann@example.org and [[EMAIL_2]]"
            second = await result(
                client.responses.create(model="gpt-5-mini", input="or bob@example.org", previous_response_id=first.id)
            )
            assert second.output_text == "to ann@example.org and bob@example.org"
            for options in ({"previous_response_id": "resp_unknown"}, {"conversation": {"id": "conv_unknown"}}):
                other = await result(
                    client.responses.create(model="gpt-5-mini", input="I am eve@example.org", **options)
                )
                assert other.output_text == "to [[EMAIL_1]] and [[EMAIL_2]]"
            with ap.context(user="mallory"):
                stolen = await result(
                    client.responses.create(model="gpt-5-mini", input="x", previous_response_id=first.id)
                )
            assert stolen.output_text == "to [[EMAIL_1]] and [[EMAIL_2]]"
            stack[ap.ScrubPII].forget(second.id)
            gone = await result(client.responses.create(model="gpt-5-mini", input="x", previous_response_id=second.id))
            assert gone.output_text == "to [[EMAIL_1]] and [[EMAIL_2]]"
        finally:
            await shut(bare)

    run(talk())


def test_what_is_no_text_passes_or_is_refused(kind: str, run: Run, provider: Provider) -> None:
    """Images and files in base64 are not looked into; `binary="block"` refuses them."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 20}}
    messages = [{"role": "user", "content": [image, {"type": "text", "text": "data:;base64, ann@example.org"}]}]

    async def ask() -> None:
        bare = make_client("openai", kind, provider)
        try:
            for layer in (ap.ScrubPII(), ap.ScrubPII(binary="block")):
                await result(ap.Stack(layer).wrap(bare).chat.completions.create(model="m", messages=messages))
        finally:
            await shut(bare)

    with pytest.raises(ap.Blocked, match="binary='block'"):
        run(ask())
    assert provider.requests[0].json["messages"][0]["content"][0] == image
    assert provider.requests[0].json["messages"][0]["content"][1]["text"] == "data:;base64, [[EMAIL_1]]"
    assert len(provider.requests) == 1


def test_token_ids_are_no_text(kind: str, run: Run, provider: Provider) -> None:
    """Embeddings of token ids pass as they are, unless what is no text is refused."""

    async def ask(layer: ap.ScrubPII) -> None:
        bare = make_client("openai", kind, provider)
        try:
            await result(ap.Stack(layer).wrap(bare).embeddings.create(model="m", input=[[1, 2, 3], [100257, 4]]))
        finally:
            await shut(bare)

    run(ask(ap.ScrubPII()))
    assert provider.requests[0].json["input"] == [[1, 2, 3], [100257, 4]]
    with pytest.raises(ap.Blocked, match="token ids"):
        run(ask(ap.ScrubPII(binary="block")))


@pytest.mark.parametrize("surface", [found for found in SURFACES if found.streams], ids=lambda surface: surface.name)
def test_every_cut_of_a_stream_gives_the_same_text(surface: Surface, run: Run, kind: str, provider: Provider) -> None:
    """However the provider cuts a placeholder, the caller sees the value."""
    if surface.json:
        pytest.skip("its text is JSON and tested above")
    email = CANARIES["EMAIL"]
    told = "To [[EMAIL_1]], or to [[EMAIL_1]]."
    provider.script([b.ok(chunks=list(told)), b.ok(chunks=[told[:7], told[7:9], told[9:]]), b.ok(told, chunks=1)])

    async def ask() -> list[Any]:
        bare = make_client(surface.sdk, kind, provider)
        body = {key: value for key, value in body_of(surface.name).items() if key in ("messages", "input")}
        try:
            wrapped = ap.Stack(ap.ScrubPII(strategy=REVERSIBLE)).wrap(bare)
            return [await surface.ask(wrapped, extra_body=body) for _ in range(3)]
        finally:
            await shut(bare)

    for shown in run(ask()):
        text = pieces(shown)
        assert f"To {email}, or to {email}." in text
        assert "[[" not in text


OTHERS = {
    "count_tokens": ("anthropic", lambda client, text: client.messages.count_tokens(model="m", messages=[user(text)])),
    "input_tokens": ("openai", lambda client, text: client.responses.input_tokens.count(model="m", input=text)),
    "moderation": ("openai", lambda client, text: client.moderations.create(input=text)),
    "completion": ("openai", lambda client, text: client.completions.create(model="m", prompt=text)),
    "streamed": ("openai", lambda client, text: client.completions.create(model="m", prompt=text, stream=True)),
    "image": ("openai", lambda client, text: client.images.generate(prompt=text)),
    "speech": ("openai", lambda client, text: client.audio.speech.create(model="m", voice="ash", input=text)),
    "extra": ("openai", lambda client, text: client.moderations.create(input="x", extra_body={"note": [text]})),
}


def user(text: str) -> dict[str, Any]:
    """Return a message."""
    return {"role": "user", "content": text}


@pytest.mark.parametrize(("sdk", "ask"), OTHERS.values(), ids=OTHERS)
def test_what_is_asked_about_texts_beside_model_calls_is_scrubbed(
    sdk: str, ask: Any, kind: str, run: Run, provider: Provider
) -> None:
    """Token counts, moderation and the like carry the same texts to the same provider."""

    async def both() -> None:
        bare = make_client(sdk, kind, provider)
        try:
            for layers in ([], [ap.ScrubPII(strategy=REVERSIBLE)]):
                with contextlib.suppress(openai.APIStatusError, anthropic.APIStatusError):
                    await result(ask(ap.Stack(*layers).wrap(bare), EVERYTHING))
        finally:
            await shut(bare)

    run(both())
    plain, scrubbed = (everything_of(request) for request in provider.requests)
    assert seen_in(plain) == list(CANARIES)
    assert leaked(scrubbed) == []
    assert "[[EMAIL_1]]" in scrubbed


def test_other_replies_get_their_values_back(kind: str, run: Run, provider: Provider) -> None:
    """A legacy completion is JSON like any other; requests without text pass as they are."""
    answer = {"id": "x", "object": "text_completion", "created": 1, "model": "m"}
    choice = {"index": 0, "finish_reason": "stop", "logprobs": None, "text": "to [[EMAIL_1]]"}
    provider.script([b.json_body({**answer, "choices": [choice]})])

    async def ask() -> Any:
        bare = make_client("openai", kind, provider)
        try:
            return await result(
                ap.Stack(ap.ScrubPII()).wrap(bare).completions.create(model="m", prompt="I am ann@example.org")
            )
        finally:
            await shut(bare)

    assert run(ask()).choices[0].text == "to ann@example.org"
