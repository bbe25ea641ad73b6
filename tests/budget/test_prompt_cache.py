"""Marks stand where a prefix comes again, nowhere else; what breaks a prefix is told; one call warms it up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentprod as ap
from agentprod.budget.prefix_history import PrefixHistory, Segment, choose_lifetime
from agentprod.testing import FakeClock, Provider
from agentprod.testing.behaviours.content import ok
from tests.budget.cache_model import MODEL, CacheModel

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

LONG = "You are a careful assistant of a company that makes budgets hold. " * 120
HELLO = [{"role": "user", "content": "hello"}]
TOOLS = [
    {"name": f"tool{n}", "description": "Does something useful. " * 40, "input_schema": {"type": "object"}}
    for n in range(6)
]


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


_bare: list[Any] = []


@pytest.fixture(autouse=True)
def clients_are_closed() -> Iterator[None]:
    """Close the clients that a test has wrapped."""
    yield
    while _bare:
        _bare.pop().close()


def wrap(provider: Provider, layer: ap.PromptCache, **options: Any) -> Any:
    _bare.append(anthropic.Anthropic(base_url=provider.anthropic_url, api_key="any", max_retries=0))
    return ap.Stack(layer, **options).wrap(_bare[-1])


def wrap_openai(provider: Provider, layer: ap.PromptCache) -> Any:
    _bare.append(openai.OpenAI(base_url=provider.openai_url, api_key="any", max_retries=0))
    return ap.Stack(layer).wrap(_bare[-1])


def marks(request: dict[str, Any]) -> list[str]:
    """Where the marks of a request stand, in the order of its prefix."""
    found = []
    for part in ("tools", "system"):
        items = request.get(part) or ()
        found += [f"{part}[{i}]" for i, block in enumerate(items) if not isinstance(block, str) and _control(block)]
    for index, message in enumerate(request["messages"]):
        if isinstance(message["content"], list):
            found += [f"messages[{index}]" for block in message["content"] if _control(block)]
    return found


def _control(block: Any) -> Any:
    return isinstance(block, dict) and block.get("cache_control")


def events(reply: Any) -> list[Any]:
    return [(note.event, note.data) for note in ap.meta(reply).notes if note.layer == "PromptCache"]


def test_tools_and_system_are_marked(provider: Provider) -> None:
    """At their ends, for five minutes; the caller's own objects stay as they are."""
    client = wrap(provider, ap.PromptCache())
    reply = client.messages.create(model=MODEL, max_tokens=9, system=LONG, tools=TOOLS, messages=HELLO)
    sent = provider.requests[0].json
    assert marks(sent) == ["tools[5]", "system[0]", "messages[0]"]
    assert sent["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert ("marked", {"marks": 3, "lifetime": "5m"}) in events(reply)
    assert "cache_control" not in TOOLS[5]
    assert HELLO == [{"role": "user", "content": "hello"}]


def test_a_prefix_that_is_too_short_is_not_marked(provider: Provider) -> None:
    """Below the least the model caches a mark would silently do nothing."""
    client = wrap(provider, ap.PromptCache())
    client.messages.create(model=MODEL, max_tokens=9, system="Be brief.", messages=HELLO)
    assert marks(provider.requests[0].json) == []
    haiku = "Be brief and kind. " * 400  # some 2,000 tokens, of the 4,096 that this model asks for
    client.messages.create(model="claude-haiku-4-5", max_tokens=9, system=haiku, messages=HELLO)
    client.messages.create(model=MODEL, max_tokens=9, system=haiku, messages=HELLO)
    assert [marks(request.json) for request in provider.requests[1:]] == [[], ["system[0]"]]


def test_marks_of_the_application_are_left_alone(provider: Provider) -> None:
    """Whoever marks by hand knows why."""
    client = wrap(provider, ap.PromptCache())
    own = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    client.messages.create(model=MODEL, max_tokens=9, system=own, tools=TOOLS, messages=HELLO)
    assert marks(provider.requests[0].json) == ["system[0]"]


def test_a_conversation_is_marked_where_it_ended_and_ends(provider: Provider) -> None:
    """The last message, and the one that the request before wrote; never more than four marks in all."""
    client = wrap(provider, ap.PromptCache())
    talk: list[Any] = []
    for turn in range(5):
        talk = [*talk, {"role": "user", "content": f"question {turn}"}]
        client.messages.create(model=MODEL, max_tokens=9, system=LONG, tools=TOOLS, messages=talk)
        talk = [*talk, {"role": "assistant", "content": f"answer {turn}"}]
    assert marks(provider.requests[4].json) == ["tools[5]", "system[0]", "messages[6]", "messages[8]"]


def test_reasoning_is_not_marked(provider: Provider) -> None:
    """Nor is an empty text: the mark goes to the block before."""
    client = wrap(provider, ap.PromptCache())
    call = {"type": "tool_use", "id": "t", "name": "tool1", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "42"}
    talk = [
        *HELLO,
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, call]},
        {"role": "user", "content": [result, {"type": "text", "text": ""}]},
    ]
    client.messages.create(model=MODEL, max_tokens=9, system=LONG, tools=TOOLS, messages=talk)
    content = provider.requests[0].json["messages"][2]["content"]
    assert [bool(_control(block)) for block in content] == [True, False]


def test_one_changed_character_is_reported_with_its_place(provider: Provider) -> None:
    """A clock in a system prompt makes every call write anew: the report says where it stands."""
    client = wrap(provider, ap.PromptCache())
    system = [{"type": "text", "text": LONG}, {"type": "text", "text": "It is 10:00. " + LONG}]
    client.messages.create(model=MODEL, max_tokens=9, system=system, messages=HELLO)
    system[1] = {"type": "text", "text": "It is 10:01. " + LONG}
    reply = client.messages.create(model=MODEL, max_tokens=9, system=system, messages=HELLO)
    told = dict(events(reply))["changed"]
    prefix = '{"type": "text", "text": "It is 10:0'
    assert told == {"place": "system[1]", "at": len(prefix)}


def test_what_changes_stands_behind_the_last_mark(provider: Provider) -> None:
    """Only what stayed the same is marked, until the whole prompt has come twice."""
    client = wrap(provider, ap.PromptCache())
    found = []
    for clock in ("10:00", "10:01", "10:02", "10:02"):
        system = [{"type": "text", "text": LONG}, {"type": "text", "text": f"It is {clock}. " + LONG}]
        client.messages.create(model=MODEL, max_tokens=9, system=system, tools=TOOLS, messages=HELLO)
        found.append(marks(provider.requests[-1].json))
    assert found[1] == found[2] == ["tools[5]", "system[0]"]
    assert found[0] == found[3] == ["tools[5]", "system[1]", "messages[0]"]


def test_prompts_that_never_come_again_are_not_written(provider: Provider) -> None:
    """Writing costs a quarter more, so after eight prompts of which none came again nothing is marked."""
    client = wrap(provider, ap.PromptCache())
    for number in range(12):
        system = " ".join(f"{word}{number}" for word in LONG.split())
        client.messages.create(model=MODEL, max_tokens=9, system=system, messages=HELLO)
    found = [bool(marks(request.json)) for request in provider.requests]
    assert found[:7] == [True] * 7
    assert found[8:] == [False] * 4


def test_an_agent_of_30_turns_costs_a_quarter() -> None:
    """With tools, a system prompt and a growing history: at most 25 % of what it costs uncached."""
    model = CacheModel()
    with Provider(lambda asked: ok("go on", usage=model.usage(asked.json))) as provider:
        client = wrap(provider, ap.PromptCache(), clock=(clock := FakeClock()))
        reply: Any = None
        talk: list[Any] = [{"role": "user", "content": "Solve this. " * 50}]
        for turn in range(30):
            reply = client.messages.create(model=MODEL, max_tokens=99, system=LONG, tools=TOOLS, messages=talk)
            used = {"type": "tool_use", "id": f"t{turn}", "name": "tool1", "input": {"turn": turn}}
            found = {"type": "tool_result", "tool_use_id": f"t{turn}", "content": f"result {turn} " + "data " * 150}
            talk = [*talk, {"role": "assistant", "content": [used]}, {"role": "user", "content": [found]}]
            clock.advance(20)
            model.now += 20
        assert not any(event == "changed" for event, _ in events(reply))
    assert model.cost <= 0.25 * model.plain


def test_openai_gets_a_key_and_a_breakpoint(provider: Provider) -> None:
    """The same prompt has the same key; models that take breakpoints get one behind the system messages."""
    client = wrap_openai(provider, ap.PromptCache(openai=True))
    system = {"role": "system", "content": LONG}
    client.chat.completions.create(model="gpt-5-mini", messages=[system, *HELLO])
    client.chat.completions.create(model="gpt-5.6", messages=[system, *HELLO])
    client.responses.create(model="gpt-6-sol", instructions="Be kind.", input=[system, *HELLO])
    client.chat.completions.create(model="gpt-5.6", messages=HELLO)
    plain, chat, response, short = (request.json for request in provider.requests)
    assert plain["prompt_cache_key"] == chat["prompt_cache_key"]
    assert plain["messages"][0] == system
    part = {"type": "text", "text": LONG, "prompt_cache_breakpoint": {"mode": "explicit"}}
    assert chat["messages"][0] == {"role": "system", "content": [part]}
    assert response["input"][0]["content"] == [{**part, "type": "input_text"}]
    assert "prompt_cache_key" not in short


def test_servers_that_only_speak_like_openai_get_nothing(provider: Provider) -> None:
    """They may refuse a parameter they do not know."""
    client = wrap_openai(provider, ap.PromptCache())
    client.chat.completions.create(model="gpt-5.6", messages=[{"role": "system", "content": LONG}, *HELLO])
    assert "prompt_cache_key" not in provider.requests[0].json


def test_a_missed_entry_is_remarked(provider: Provider) -> None:
    """What should have been read and was written again is told."""
    client = wrap(provider, ap.PromptCache())
    reply: Any = None
    for _ in range(2):
        reply = client.messages.create(model=MODEL, max_tokens=9, system=LONG, messages=HELLO)
    assert ("missed", {"written": 0}) in events(reply)


# Warm-up


def test_one_call_goes_first(provider: Provider) -> None:
    """Of eight threads one writes the entry; the others come when it has its answer."""
    started: list[float] = []
    lock = threading.Lock()

    def reply_to(asked: Any) -> Any:
        with lock:
            started.append(time.monotonic())
            is_first = len(started) == 1
        while is_first and waiting() < 7 and len(started) == 1:
            time.sleep(0.001)
        if is_first:
            assert len(started) == 1, "somebody did not wait"
        return ok("fine")

    def waiting() -> int:
        return sum(len(prefix.waiters) for prefix in layer._warm._prefixes.values())

    provider.script(reply_to)
    layer = ap.PromptCache()
    client = wrap(provider, layer)

    def ask(_: int) -> Any:
        return client.messages.create(model=MODEL, max_tokens=9, system=LONG, messages=HELLO)

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(ask, range(8)))
    assert len(provider.requests) == 8
    assert sum(("waits", {}) in events(reply) for reply in replies) == 7


def test_tasks_wait_for_the_first_one_too(provider: Provider) -> None:
    """And when it fails, the next one goes first: nobody waits for ever."""
    provider.script(["error", ok("fine")])

    async def main() -> list[Any]:
        async with anthropic.AsyncAnthropic(base_url=provider.anthropic_url, api_key="any", max_retries=0) as bare:
            client = ap.Stack(ap.PromptCache()).wrap(bare)
            asks = [client.messages.create(model=MODEL, max_tokens=9, system=LONG, messages=HELLO) for _ in range(6)]
            return await asyncio.gather(*asks, return_exceptions=True)

    found = asyncio.run(main())
    assert sum(isinstance(each, Exception) for each in found) == 1
    assert len(provider.requests) == 6


def test_nobody_waits_longer_than_asked(provider: Provider) -> None:
    """After `max_wait`, or at its deadline, a call goes on and writes the prefix as well."""
    release = threading.Event()

    def reply_to(asked: Any) -> Any:
        if len(provider.requests) == 1:
            release.wait(5)
        return ok("fine")

    provider.script(reply_to)
    client = wrap(provider, ap.PromptCache(max_wait=0.05))
    first = threading.Thread(
        target=lambda: client.messages.create(model=MODEL, max_tokens=9, system=LONG, messages=HELLO)
    )
    first.start()
    while not provider.requests:
        time.sleep(0.001)
    reply = client.messages.create(model=MODEL, max_tokens=9, system=LONG, messages=HELLO)
    assert ("waits", {}) in events(reply)
    release.set()
    first.join()


def test_without_warm_up_all_go_at_once(provider: Provider) -> None:
    """It can be switched off."""
    client = wrap(provider, ap.PromptCache(warm_up=False))
    reply = client.messages.create(model=MODEL, max_tokens=9, system=LONG, messages=HELLO)
    assert [event for event, _ in events(reply)] == ["marked"]


# Lifetimes


@pytest.mark.parametrize(
    ("gaps", "lifetime"),
    [
        ([], "5m"),
        ([10, 10, 10], "5m"),
        ([400], "5m"),
        ([400, 400, 400], "1h"),
        ([1800] * 6, "1h"),
        ([10, 10, 400, 10, 10, 10], "1h"),
        ([10] * 6, "5m"),
        ([7200] * 6, "5m"),
    ],
)
def test_the_lifetime_that_costs_less(gaps: list[float], lifetime: str) -> None:
    """An hour pays from the third use on, where uses are more than five minutes apart."""
    times, now = [], 0.0
    for gap in gaps:
        times.append(now)
        now += gap
    assert choose_lifetime(times, now) == lifetime


def test_a_slow_pace_is_cached_for_an_hour(provider: Provider) -> None:
    """The planner follows the clock; a lifetime of one's own wins."""
    clock = FakeClock()
    client = wrap(provider, ap.PromptCache(), clock=clock)
    for _ in range(5):
        client.messages.create(model=MODEL, max_tokens=9, system=LONG, messages=HELLO)
        clock.advance(900)
    assert provider.requests[0].json["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert provider.requests[4].json["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=6), st.data())
def test_a_change_is_found_where_it_is(texts: list[str], data: st.DataObject) -> None:
    """Whatever single character changes in a prompt, segment and place are right."""
    segments = [Segment(f"system[{i}]", "x" * 200 + text) for i, text in enumerate(texts)]
    which = data.draw(st.integers(0, len(texts) - 1))
    at = data.draw(st.integers(0, len(segments[which].text) - 1))
    text = segments[which].text
    changed = text[:at] + ("y" if text[at] != "y" else "z") + text[at + 1 :]
    history = PrefixHistory()
    assert history.see("g", segments, 0.0).changed is None
    other = [*segments]
    other[which] = Segment(segments[which].place, changed)
    found = history.see("g", other, 1.0)
    assert (found.changed, found.at, found.stable) == (f"system[{which}]", at, which)
    again = history.see("g", other, 2.0)
    assert (again.changed, again.stable) == (None, len(texts))


@pytest.mark.parametrize("options", [{"ttl": "2h"}, {"max_wait": 0}])
def test_bad_options(options: dict[str, Any]) -> None:
    """They are refused when the layer is built."""
    with pytest.raises(ap.ConfigError, match="PromptCache"):
        ap.PromptCache(**options)


def test_its_place_is_checked() -> None:
    """Behind what cuts the history, and before what repeats attempts."""
    with pytest.warns(ap.OrderWarning, match="ContextWindow belongs outside PromptCache"):
        ap.Stack(ap.PromptCache(), ap.ContextWindow())
    with pytest.warns(ap.OrderWarning, match="PromptCache belongs outside Retry"):
        ap.Stack(ap.Retry(), ap.PromptCache())


def test_options_are_shown() -> None:
    """`print(stack)` says what is unlike the default."""
    assert repr(ap.PromptCache(ttl="1h", warm_up=False)) == "PromptCache(ttl='1h', warm_up=False)"
