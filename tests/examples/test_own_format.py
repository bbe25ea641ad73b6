"""The example of a framework with a wire format of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import agentprod as ap
from agentprod.testing import conformance
from examples.own_format.house import House, HouseFormat, main

TURNS = [{"who": "user", "says": "Hello, 世界"}]
SAMPLE = conformance.Sample(
    request={"engine": "brick-2", "turns": TURNS},
    body={"says": "Hello you", "spent": {"in": 3, "out": 2}},
    events=[{"piece": "Hello"}, {"piece": " you"}, {"over": True, "spent": {"in": 3, "out": 2}}],
)


@pytest.mark.parametrize("check", conformance.dialect_checks(HouseFormat(), [SAMPLE]), ids=str)
def test_its_format_conforms(check: conformance.Check) -> None:
    """What every wire format has to hold."""
    check()


class Lines:
    """The framework's other end."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def send(self, request: dict[str, Any]) -> Any:
        """Answer."""
        self.requests.append(request)
        if len(self.requests) == 1:
            raise ConnectionError("down")
        return {"says": f"You said: {request['turns'][-1]['says']}", "spent": {"in": 3, "out": 2}}

    def send_stream(self, request: dict[str, Any]) -> Iterator[Any]:
        """Answer piece by piece."""
        self.requests.append(request)
        yield from ({"piece": "Write to "}, {"piece": "<EMAIL"}, {"piece": "_1>"}, {"over": True})


def test_built_in_layers_work_on_its_format() -> None:
    """Retried, cached, scrubbed and counted, by its own fields."""
    lines = Lines()
    house = House(lines.send, stack=ap.Stack(ap.ScrubPII(), ap.Cache(), ap.Retry(wait=0)))
    asked: dict[str, Any] = {"engine": "brick-2", "turns": [{"who": "user", "says": "Write to wei@example.org."}]}
    first = house.speak(**asked)
    assert first["says"] == "You said: Write to wei@example.org."
    meta = ap.last()
    assert (len(meta.attempts), meta.usage.output_tokens) == (2, 2)
    assert house.speak(**asked) == first
    assert ap.last().cache == "hit_exact"
    assert len(lines.requests) == 2
    assert "wei@" not in str(lines.requests)


def test_its_streams_are_edited_and_known_to_be_whole() -> None:
    """Pieces flow through an editor; a stream without its end is an error."""

    class Shout:
        class Editor:
            def feed(self, text: str) -> str:
                return text.upper()

            def flush(self) -> str:
                return "!"

        async def handle(self, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
            reply = await call_next(call)
            reply.edit(lambda part: self.Editor())
            return reply

    house = House(Lines().send, Lines().send_stream, stack=ap.Stack(Shout()))
    said = "".join(event.get("piece", "") for event in house.speak_on(engine="brick-2", turns=TURNS))
    assert said == "WRITE TO <EMAIL_1>!"


def test_it_works_without_a_stack() -> None:
    """The framework does not need one."""
    lines = Lines()
    lines.requests.append({})
    assert House(lines.send).speak(engine="e", turns=TURNS)["says"] == "You said: Hello, 世界"


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """One request leaves, without the address; both answers have it."""
    main()
    printed = capsys.readouterr().out
    assert printed.count("sent:") == 1
    assert printed.count("wei@example.org") == 2
    assert "hit_exact" in printed
