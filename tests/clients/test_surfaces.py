"""Each surface of both SDKs passes the stack exactly once and returns what the bare client returns."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

import pytest

import agentprod as ap
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.conftest import Run
from tests.clients.surfaces import MESSAGES, SURFACES, Surface, items, make_client, result, shut

JSON = json.dumps({"name": "Li Wei", "words": "hello 李伟 \U0001f600"}, ensure_ascii=False)
CALLS = [{"name": "send_mail", "arguments": {"to": "wei@example.org", "text": "hello 李伟"}}]


class Counter:
    """Counts the calls that pass."""

    def __init__(self) -> None:
        self.seen: list[ap.Call] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Count one."""
        self.seen.append(call)
        return await call_next(call)


class Shout:
    """Edits every text of the reply."""

    class Editor:
        """Upper-cases, one character late, so that there is always something to flush."""

        def __init__(self) -> None:
            self.kept = ""

        def feed(self, text: str) -> str:
            """Take the next piece."""
            text = self.kept + text
            self.kept = text[-1:]
            return text[:-1].upper()

        def flush(self) -> str:
            """Return the rest."""
            kept, self.kept = self.kept, ""
            return kept.upper()

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Edit the reply."""
        reply = await call_next(call)
        reply.edit(lambda part: self.Editor())
        return reply


def script_for(surface: Surface) -> Any:
    """Return a reply the surface can read."""
    return b.ok(JSON) if surface.json else b.ok("Hello, Li Wei. 你好。")


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_every_surface_passes_once_and_returns_what_the_bare_client_returns(
    surface: Surface, kind: str, run: Run, provider: Provider
) -> None:
    """One call in the stack, one HTTP request, the same types and values."""
    provider.script([script_for(surface)])
    counter = Counter()

    async def both() -> tuple[Any, Any]:
        bare = make_client(surface.sdk, kind, provider)
        try:
            expected = await surface.ask(bare)
            provider.reset()
            provider.script([script_for(surface)])
            return expected, await surface.ask(ap.Stack(counter).wrap(bare))
        finally:
            await shut(bare)

    expected, got = run(both())
    assert got == expected
    assert len(counter.seen) == 1
    assert len(provider.requests) == 1
    assert counter.seen[0].streaming is surface.streams


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
@pytest.mark.parametrize("reply", ["text", "tool"])
def test_an_edit_shows_on_every_surface(surface: Surface, reply: str, kind: str, run: Run, provider: Provider) -> None:
    """What a layer edits is what the caller sees, in texts, parsed objects, tool arguments and final messages."""
    if (reply == "tool" and surface.json) or surface.silent:
        pytest.skip("such a reply has none")
    script = script_for(surface) if reply == "text" else b.ok(None, tool_calls=CALLS)
    provider.script([script])

    async def ask() -> Any:
        bare = make_client(surface.sdk, kind, provider)
        try:
            return await surface.ask(ap.Stack(Shout()).wrap(bare))
        finally:
            await shut(bare)

    seen = pieces(run(ask()))
    if reply == "tool":
        assert "WEI@EXAMPLE.ORG" in seen
        assert "HELLO 李伟" in seen
        assert "wei@example.org" not in seen
    elif surface.json:
        assert "HELLO 李伟 \U0001f600" in seen
        assert "hello" not in seen
    else:
        assert "HELLO, LI WEI. 你好。" in seen
        assert "Hello" not in seen


def pieces(shown: Any) -> str:
    """Return every text that a surface showed, stream pieces joined."""
    found: list[str] = []

    def walk(value: Any, key: str) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                walk(inner, name)
        elif isinstance(value, list | tuple):
            for inner in value:
                walk(inner, key)
        elif isinstance(value, str) and key in SHOWN:
            found.append(value)

    walk(shown, "")
    return "".join(found)


SHOWN = ("content", "text", "arguments", "partial_json", "to", "words", "name")


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_the_callers_own_objects_stay_unchanged(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """A layer that edits the request edits a copy."""
    surface = next(found for found in SURFACES if found.name == f"{sdk}.create")
    before = copy.deepcopy(MESSAGES)

    class Redact:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            return await call_next(call.map_text(lambda text, part: text.replace("Li Wei", "[NAME]")))

    async def ask() -> None:
        bare = make_client(sdk, kind, provider)
        await surface.ask(ap.Stack(Redact()).wrap(bare))
        await shut(bare)

    run(ask())
    assert before == MESSAGES
    assert "[NAME]" in json.dumps(provider.requests[0].json)
    assert "Li Wei" not in json.dumps(provider.requests[0].json)


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_extra_body_is_seen_and_edited_like_the_rest(sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """`extra_body` cannot carry anything past a layer."""
    surface = next(found for found in SURFACES if found.name == f"{sdk}.create")
    seen: list[Any] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        seen.append(dict(call.request))
        return await call_next(call.replace(request={**call.request, "seed": 7}))

    async def ask() -> None:
        bare = make_client(sdk, kind, provider)
        extra = {"messages": [{"role": "user", "content": "secret"}], "seed": 6}
        await surface.ask(ap.Stack(look).wrap(bare), extra_body=extra)
        await shut(bare)

    run(ask())
    assert seen[0]["messages"] == [{"role": "user", "content": "secret"}]
    sent = provider.requests[0].json
    assert sent["messages"] == [{"role": "user", "content": "secret"}]
    assert sent["seed"] == 7


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
@pytest.mark.parametrize("reply", ["text", "tool", "reasoning"])
def test_a_hit_returns_what_a_miss_would_have(
    surface: Surface, reply: str, kind: str, run: Run, provider: Provider
) -> None:
    """The second time no request is sent, and the caller sees the same types and values."""
    if reply != "text" and (surface.json or surface.silent):
        pytest.skip("such a reply has neither")
    script = {
        "text": script_for(surface),
        "tool": b.ok(None, tool_calls=CALLS),
        "reasoning": b.ok("Hello, Li Wei. 你好。", reasoning="They said hello."),
    }[reply]
    provider.script([script])

    async def ask() -> tuple[Any, Any]:
        bare = make_client(surface.sdk, kind, provider)
        try:
            wrapped = ap.Stack(ap.Cache(tool_calls=True)).wrap(bare)
            return await surface.ask(wrapped), await surface.ask(wrapped)
        finally:
            await shut(bare)

    miss, hit = run(ask())
    assert hit == miss
    assert len(provider.requests) == 1


def test_the_texts_to_embed_are_seen_and_edited(kind: str, run: Run, provider: Provider) -> None:
    """What is embedded passes the layers like any other text."""

    class Redact:
        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            assert call.operation == "embeddings"
            return await call_next(call.map_text(lambda text, part: text.replace("李伟", "[NAME]")))

    async def ask() -> None:
        bare = make_client("openai", kind, provider)
        await next(found for found in SURFACES if found.name == "openai.embeddings").ask(ap.Stack(Redact()).wrap(bare))
        await shut(bare)

    run(ask())
    assert provider.requests[0].json["input"] == ["a", "[NAME]"]


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
@pytest.mark.parametrize("how", ["live", "edited", "cached"])
def test_a_raw_response_tells_how_long_it_took(how: str, sdk: str, kind: str, run: Run, provider: Provider) -> None:
    """`elapsed` is there as soon as the body is, also where layers made the response anew."""
    layers: dict[str, list[Any]] = {"live": [], "edited": [Shout()], "cached": [ap.Cache()]}

    async def scenario() -> None:
        client = make_client(sdk, kind, provider)
        wrapped = ap.Stack(*layers[how]).wrap(client)
        resource = wrapped.chat.completions if sdk == "openai" else wrapped.messages
        extra: dict[str, Any] = {} if sdk == "openai" else {"max_tokens": 9}
        asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **extra}
        for _ in range(2):
            raw = await result(resource.with_raw_response.create(**asked))
            assert isinstance(raw.http_response.elapsed, timedelta)
            stream = await result(resource.create(**asked, stream=True))
            await items(stream)
            if type(stream.response).__module__.startswith("httpx2"):  # the older library asks its own streams alone
                assert isinstance(stream.response.elapsed, timedelta)
        await shut(client)

    run(scenario())
