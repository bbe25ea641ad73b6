"""What happened to a call, read from what the caller got."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import pickle
import re
import threading
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import openai
import pydantic
import pytest

import agentprod as ap
from agentprod.testing import FakeClock
from tests.callers import MODES, Caller, Script, Takes
from tests.sdk_errors import openai_error

HELLO: Any = [{"role": "user", "content": "hello"}]


class Answer(pydantic.BaseModel):
    """A result that can hold attributes."""

    text: str
    usage: dict[str, int] | None = None


@dataclasses.dataclass
class Line:
    """Another."""

    text: str


def make_answer() -> Answer:
    """Return a model."""
    return Answer(text="x")


def make_line() -> Line:
    """Return a dataclass."""
    return Line("x")


def make_object() -> Script:
    """Return something of no special kind."""
    return Script()


@pytest.fixture(params=MODES)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Return a caller of each kind."""
    return Caller(request.param)


def failing(error: Exception, *, attempts: int = 1) -> Exception:
    """Return what a function behind a stack raised."""
    fn = ap.Stack(ap.Retry(attempts=attempts, wait=0)).decorate(Caller("sync").function(Script(error)), name="f")
    with pytest.raises(type(error)) as raised:
        fn()
    return raised.value


# What it tells


def test_what_a_call_tells(caller: Caller) -> None:
    """Who served it, by which attempts, after which waits, through which layers, and how long it took."""
    clock = FakeClock()
    script = Script(Takes(2, openai_error(503)), Takes(3, "fine"), clock=clock)
    stack = ap.Stack(ap.Retry(wait=1), ap.Timeout(60, thread=True), clock=clock)
    told = caller.ask(caller.decorate(stack, script, name="f"))
    meta = told.meta
    assert meta is not None
    assert (meta.served_by, meta.duration, meta.layers) == ("f", 6, ("Retry", "Timeout"))
    first, second = meta.attempts
    assert (
        first.number,
        first.outcome,
        first.fault,
        first.status,
        first.error_type,
        first.backoff,
        first.duration,
    ) == (
        1,
        "failed",
        ap.Fault.OVERLOADED,
        503,
        "InternalServerError",
        0,
        2,
    )
    assert (second.number, second.outcome, second.fault, second.backoff, second.duration) == (2, "ok", None, 1, 3)
    assert (repr(first), repr(second)) == ("Attempt(1, f, overloaded)", "Attempt(2, f, ok)")
    assert (first.provider, first.model) == ("function", None)
    assert first.endpoint == second.endpoint
    assert [tuple(note) for note in meta.notes] == [("Retry", "retry", {"attempt": 2, "wait": 1.0})]
    assert meta.ttft == (6 if caller.streams else None)
    assert (meta.cache, meta.similarity, meta.saved, meta.usage, meta.flags, meta.dropped) == (
        None,
        None,
        None,
        None,
        (),
        (),
    )
    assert repr(meta) == (
        f"Meta(request_id='{meta.request_id}', served_by='f', attempts=['failed', 'ok'], cost=None, duration=6.000)"
    )


def test_a_call_without_attempts_cost_nothing() -> None:
    """A call that a layer answered has no attempts, and costs 0."""

    async def answer(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        call.ledger.flag("flagged")
        call.ledger.flag("flagged")
        call.ledger.drop("logprobs")
        call.ledger.drop("logprobs")
        return call.reply({"text": "x"})

    def ask() -> Answer:
        raise AssertionError("not called")

    meta = ap.meta(ap.Stack(answer).decorate(ask)())
    assert (meta.attempts, meta.cost, meta.served_by) == ([], 0, None)
    assert (meta.flags, meta.dropped) == (("flagged",), ("logprobs",))


def prices(provider: str, model: str | None, usage: ap.Usage) -> Decimal | None:
    """Charge a dollar a token, and know one model only."""
    return Decimal(usage.total_tokens) if model == "known" else None


def chat(model: str, messages: Any) -> dict[str, Any]:
    """Answer as OpenAI does, unless the model counts nothing."""
    usage = {} if model == "uncounted" else {"usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}
    return {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}], **usage}


@pytest.mark.parametrize(
    ("model", "cost", "usage"),
    [("known", 7, ap.Usage(3, 4)), ("unknown", None, ap.Usage(3, 4)), ("uncounted", None, None)],
)
def test_cost(model: str, cost: int | None, usage: ap.Usage | None) -> None:
    """The cost is what the price hook says; unknown prices and counts are unknown, not 0."""
    ap.Stack(prices=prices).decorate(chat)(model, HELLO)
    meta = ap.last()
    assert meta is not None
    assert (meta.cost, meta.usage) == (cost, usage)
    assert f"cost={cost}" in repr(meta)
    assert ("tokens=3+4" in repr(meta)) == (usage is not None)


def test_cost_of_several_attempts() -> None:
    """Attempts add up; one that failed without counts is not billed."""

    async def twice(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        await (await call_next(call)).discard()
        return await call_next(call)

    answers: list[Any] = [openai_error(500), chat("known", HELLO), chat("known", HELLO)]

    def complete(model: str, messages: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    ap.Stack(ap.Retry(wait=0), twice, prices=prices).decorate(complete)("known", HELLO)
    meta = ap.last()
    assert meta is not None
    assert (meta.cost, meta.usage) == (14, ap.Usage(6, 8))


def test_cost_when_every_attempt_failed() -> None:
    """An error status is no bill; what a cut connection or a timeout cost nobody knows."""
    assert ap.meta(failing(openai_error(500))).cost == 0
    assert ap.meta(failing(ConnectionResetError())).cost is None


def test_what_a_cache_tells() -> None:
    """A layer that serves a hit tells so, with what it saved."""

    async def hit(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        ledger = call.ledger
        ledger.cache, ledger.similarity, ledger.served = "hit_semantic", 0.97, call.target
        ledger.saved_usage = ap.Usage(3, 4)
        return call.reply("x")

    ap.Stack(hit, prices=prices).decorate(chat)("known", HELLO)
    meta = ap.last()
    assert meta is not None
    assert (meta.cache, meta.similarity, meta.saved, meta.cost) == ("hit_semantic", 0.97, 7, 0)
    assert "cache='hit_semantic'" in repr(meta)


def test_counts_that_cannot_be_read() -> None:
    """A body whose counts make no sense has none, and the call is not disturbed."""

    class Broken(ap.Dialect):
        def usage(self, body: Any) -> ap.Usage | None:
            raise ValueError(body)

    assert ap.Stack().decorate(lambda: "x", dialect=Broken())() == "x"
    meta = ap.last()
    assert meta is not None
    assert meta.usage is None


def test_threads_that_ask_at_once_are_told_the_same() -> None:
    """Counts that are read when somebody asks, and an id that is made then, are the same for all who ask."""
    both = threading.Barrier(2, timeout=5)

    class Slow(ap.Dialect):
        def usage(self, body: Any) -> ap.Usage | None:
            both.wait()
            return ap.Usage(3, 4)

    assert ap.Stack().decorate(lambda: "x", dialect=Slow())() == "x"
    meta = ap.last()
    assert meta is not None
    told: list[tuple[str, ap.Usage | None]] = []

    def ask(meta: ap.Meta) -> None:
        told.append((meta.request_id, meta.usage))

    threads = [threading.Thread(target=ask, args=(meta,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [(meta.request_id, ap.Usage(3, 4))] * 2


def test_a_stream_s_meta_is_final_at_its_end() -> None:
    """While a stream runs its duration is open; at its end the account is closed."""
    clock = FakeClock()

    def complete(model: str, messages: Any, stream: bool = False) -> Iterator[str]:
        yield "a"
        clock.advance(3)
        yield "b"

    stream = ap.Stack(clock=clock).decorate(complete, kind="sync")
    items = stream("m", HELLO, stream=True)
    meta = ap.meta(items)
    assert (meta.duration, [attempt.outcome for attempt in meta.attempts]) == (None, ["open"])
    assert "duration" not in repr(meta)
    assert list(items) == ["a", "b"]
    assert (meta.duration, [attempt.outcome for attempt in meta.attempts]) == (3, ["ok"])


def test_ids_are_unique_and_sort_by_time() -> None:
    """A call's id is 32 hex digits that sort as the calls came, the same wherever it shows."""
    seen: list[str] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        seen.append(call.id)
        return await call_next(call)

    ids = [ap.meta(ap.Stack(look).decorate(lambda: Line("x"))()).request_id for _ in range(50)]
    assert ids == seen
    assert len(set(ids)) == 50
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)
    assert [one[:12] for one in ids] == sorted(one[:12] for one in ids)


# Where it stands


@pytest.mark.parametrize("make", [make_answer, make_line, make_object])
def test_meta_stands_on_the_result(make: Any) -> None:
    """An object that can hold attributes carries its meta, unseen by comparing, dumping and showing."""
    result, plain = ap.Stack().decorate(make)(), make()
    assert len(ap.meta(result).attempts) == 1
    if not isinstance(plain, Script):
        assert result == plain
        assert repr(result) == repr(plain)
    if isinstance(result, Answer):
        assert result.model_dump() == plain.model_dump()
        assert result.model_dump_json() == plain.model_dump_json()


@pytest.mark.parametrize("make", [make_answer, make_line])
def test_results_can_be_copied(make: Any) -> None:
    """Copies, deep ones too, speak of the same call."""
    result = ap.Stack().decorate(make)()
    for twin in (copy.copy(result), copy.deepcopy(result)):
        assert twin == result
        assert ap.meta(twin).request_id == ap.meta(result).request_id


@pytest.mark.parametrize("make", [make_answer, make_line])
def test_results_can_be_pickled(make: Any) -> None:
    """A result goes through pickle, to another process or a disk, as without a stack; its meta stays behind."""
    result = ap.Stack().decorate(make)()
    there = pickle.loads(pickle.dumps(result))
    assert there == result
    with pytest.raises(ap.ConfigError, match="nothing is known"):
        ap.meta(there)


def test_errors_can_be_pickled() -> None:
    """A process pool hands exceptions back by pickle: one that went through a stack survives it."""
    error = failing(KeyError("x"))
    there = pickle.loads(pickle.dumps(error))
    assert (type(there), there.args) == (KeyError, ("x",))


def test_meta_of_an_error(caller: Caller) -> None:
    """An exception carries the account of its call, as meta and as history."""
    error = openai_error(500)
    fn = caller.decorate(ap.Stack(ap.Retry(attempts=3, wait=0)), Script(error), name="f")
    told = caller.ask(fn)
    assert told.error is error
    assert [attempt.number for attempt in ap.history(error)] == [1, 2, 3]
    assert ap.meta(error).served_by is None


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    """An exception whose attributes cannot be set."""

    code: int


class Locked(Exception):
    """An exception that lets nobody write on it."""

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse."""
        raise TypeError("locked")


@pytest.mark.parametrize("error", [Frozen(3), Locked("x")], ids=["frozen", "locked"])
def test_an_error_that_takes_no_notes(error: Exception) -> None:
    """Such an exception comes out as it is, and its attempts are known all the same."""

    def fails() -> None:
        raise error

    def fails_too() -> None:
        raise error

    for layer in (ap.Retry(attempts=2, wait=0, on=Exception), ap.Fallback(fails_too, on=Exception)):
        with pytest.raises(type(error)) as raised:
            layer(fails)()
        assert raised.value is error
        assert len(ap.history(error)) == 2


def test_notes_on_an_error() -> None:
    """An error of several attempts tells them in its notes; one of a single attempt has nothing to tell."""
    clock = FakeClock()
    fn = ap.Stack(ap.Retry(attempts=3, wait=1), clock=clock).decorate(
        Caller("sync").function(Script(openai_error(500), ConnectionError(), openai_error(429)))
    )
    with pytest.raises(openai.RateLimitError) as raised:
        fn()
    (note,) = raised.value.__notes__
    assert note == (
        "agentprod: 3 attempts in 2.00 s (server 500, connection, rate_limit 429); "
        f"call {ap.meta(raised.value).request_id}; ap.meta(error) tells more"
    )
    assert not hasattr(failing(openai_error(500)), "__notes__")


def test_notes_tell_of_an_attempt_that_went_well() -> None:
    """An error that a layer raised after good attempts counts these as such."""

    async def picky(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        for _ in range(2):
            await (await call_next(call)).discard()
        raise ap.Blocked("twice is enough")

    with pytest.raises(ap.Blocked) as raised:
        ap.Stack(picky).decorate(lambda: "x")()
    assert "(ok, ok)" in raised.value.__notes__[0]


def test_attempts_keep_no_errors() -> None:
    """Once a call has ended its attempts keep no exceptions: a traceback would hold every frame of a failure."""
    fn = ap.Stack(ap.Retry(wait=0)).decorate(Caller("sync").function(Script(openai_error(500), "fine")))
    assert fn() == "fine"
    meta = ap.last()
    assert meta is not None
    assert [attempt.error for attempt in meta.attempts] == [None, None]
    error = failing(openai_error(500), attempts=2)
    assert [attempt.error for attempt in ap.history(error)] == [None, None]


@pytest.mark.parametrize("thing", ["text", {"a": 1}, 3, None, len, ValueError("bare"), object()])
def test_nothing_is_known(thing: Any) -> None:
    """What no stack made, or what can hold nothing, is an error that names the ways that work."""
    with pytest.raises(ap.ConfigError, match=rf"nothing is known of this {type(thing).__name__}.*ap\.last\(\)"):
        ap.meta(thing)


def test_meta_of_what_keeps_its_stream_inside() -> None:
    """Helpers that keep the raw stream inside themselves are looked into."""

    class Helper:
        def __init__(self, inner: Any) -> None:
            self._raw_stream = inner

    result = ap.Stack().decorate(lambda: Line("x"))()
    assert ap.meta(Helper(result)).attempts
    with pytest.raises(ap.ConfigError):
        ap.meta(Helper(Helper(Helper(Helper(result)))))


# last


def test_last_before_the_first_call() -> None:
    """In a context without calls there is no last one."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(ap.last()))
    thread.start()
    thread.join()
    assert found == [None]


def test_last_is_the_task_s_own() -> None:
    """Each task, and each thread, knows its own last call."""
    ask = ap.Stack().decorate(lambda text: text, name="f")

    async def one(text: str) -> tuple[str, str]:
        own = []

        async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            own.append(call.id)
            return await call_next(call)

        ap.Stack(look).decorate(lambda: text)()
        await asyncio.sleep(0)
        meta = ap.last()
        assert meta is not None
        return own[0], meta.request_id

    async def scenario() -> list[tuple[str, str]]:
        return await asyncio.gather(*(one(str(n)) for n in range(20)))

    for own, found in asyncio.run(scenario()):
        assert own == found
    assert ask("x") == "x"


def test_last_of_a_call_that_failed(caller: Caller) -> None:
    """A failed call is the last one, too."""
    fn = caller.decorate(ap.Stack(), Script(KeyError("x")))

    async def scenario() -> tuple[Any, Any]:
        try:
            result = fn()
            if caller.mode == "async":
                await result
            elif caller.mode == "async_generator":
                await anext(result)
            elif caller.mode == "generator":
                next(result)
        except KeyError as error:
            return ap.meta(error).request_id, ap.last()
        raise AssertionError("did not fail")

    request_id, last = asyncio.run(scenario())
    assert last.request_id == request_id


def test_a_stream_is_the_last_call_once_it_has_ended() -> None:
    """A stream counts as the last call from its end on, in the task that read it."""

    async def pieces() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def scenario() -> None:
        stream = ap.Stack().decorate(pieces)()
        before = ap.last()
        await anext(stream)
        assert ap.last() is None or before is not None
        assert [item async for item in stream] == ["b"]
        meta = ap.last()
        assert meta is not None
        assert meta.duration is not None

    asyncio.run(scenario())
