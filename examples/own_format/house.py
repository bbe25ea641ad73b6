"""A framework whose models speak a wire format of their own, and whose users can put any stack around them.

The format: a request has `engine` and `turns` (`who`, `says`), a reply `says` and `spent`, a stream
events of `piece`, and one of `over` at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import agentprod as ap
from agentprod.dialects.base import Dialect, Fragment, Reader

__all__ = ["House", "HouseFormat"]


class HouseReader(Reader):
    """Follows one stream."""

    __slots__ = ()

    def feed(self, event: Any) -> bool:
        """Look at one event; return whether it is an error."""
        if "piece" in event:
            self.content = True
            self.texts.append(event["piece"])
        elif event.get("over"):
            self.done = self.sealed = True
            self.usage = _usage(event)
        return "trouble" in event


class HouseFormat(Dialect):
    """Tells agentprod where this format has its model, its texts, its counts and its end."""

    name = "house"
    operation = "chat"
    paths = ("/house/speak",)

    def model(self, request: Mapping[str, Any]) -> str | None:
        """Return the engine."""
        return request.get("engine")

    def with_model(self, request: Mapping[str, Any], model: str) -> dict[str, Any]:
        """Return the request for another engine."""
        return {**request, "engine": model}

    def request_fragments(self, request: Mapping[str, Any]) -> Iterable[Fragment]:
        """Yield what each turn says."""
        for place, turn in enumerate(request["turns"]):
            yield Fragment(ap.Part("text", role=turn["who"]), turn["says"], ("turns", place, "says"))

    def last_user_text(self, request: Mapping[str, Any]) -> str | None:
        """Return the last turn, if it is the user's."""
        last = request["turns"][-1] if request["turns"] else {}
        return last.get("says") if last.get("who") == "user" else None

    def text(self, body: Any) -> str:
        """Return what a whole reply says."""
        return str(body["says"])

    def usage(self, body: Any) -> ap.Usage | None:
        """Return what it spent."""
        return _usage(body)

    def finish(self, body: Any) -> str | None:
        """Return why it ended."""
        return "stop"

    def body_fragments(self, body: Any, request: Mapping[str, Any]) -> Iterable[Fragment]:
        """Yield what can be edited in a whole reply."""
        yield Fragment(ap.Part("text"), body["says"], ("says",))

    def make_body(self, request: Mapping[str, Any], text_or_body: Any) -> Any:
        """Return a whole reply that says a text."""
        return {"says": text_or_body} if isinstance(text_or_body, str) else text_or_body

    def reader(self) -> Reader:
        """Return what follows a stream."""
        return HouseReader()

    def event_fragments(self, event: Any, json_text: bool = False) -> Iterable[Fragment]:
        """Yield what can be edited in an event."""
        if "piece" in event:
            yield Fragment(ap.Part("text"), event["piece"], ("piece",))

    def ends(self, event: Any, open_parts: Iterable[ap.Part]) -> list[ap.Part]:
        """Return which parts end here."""
        return list(open_parts) if event.get("over") else []

    def text_event(self, part: ap.Part, text: str, like: Any) -> Any:
        """Return an event with more text."""
        return {"piece": text}

    def split(self, body: Any) -> list[Any]:
        """Return a whole reply as a stream."""
        return [{"piece": body["says"]}, {"over": True, **({"spent": body["spent"]} if "spent" in body else {})}]

    def join(self, events: list[Any]) -> Any:
        """Return a stream as a whole reply."""
        says = "".join(event.get("piece", "") for event in events)
        spent = next((event["spent"] for event in events if "spent" in event), None)
        return {"says": says, **({"spent": spent} if spent is not None else {})}


def _usage(body: Any) -> ap.Usage | None:
    spent = body.get("spent")
    return ap.Usage(input_tokens=spent["in"], output_tokens=spent["out"]) if spent else None


class House:
    """The framework's client.

    Args:
        send: posts a request's JSON and returns the reply's.

        send_stream: posts it and yields the events' JSON.

        stack: layers around every call.
    """

    def __init__(
        self,
        send: Callable[[dict[str, Any]], Any],
        send_stream: Callable[[dict[str, Any]], Iterator[Any]] | None = None,
        *,
        stack: ap.Stack | None = None,
    ) -> None:
        def speak(engine: str, turns: list[dict[str, str]]) -> Any:
            return send({"engine": engine, "turns": turns})

        def speak_on(engine: str, turns: list[dict[str, str]]) -> Iterator[Any]:
            assert send_stream is not None
            yield from send_stream({"engine": engine, "turns": turns})

        if stack is not None:
            # The arguments' names are the request's, so the format reads them as they are.
            speak = stack.decorate(speak, dialect=HouseFormat(), provider="house")
            speak_on = stack.decorate(speak_on, dialect=HouseFormat(), provider="house")
        self.speak = speak
        self.speak_on = speak_on


def main() -> None:
    """Ask twice; the second time the cache answers, and no name leaves the house."""

    def send(request: dict[str, Any]) -> Any:
        print("sent:   ", request["turns"][-1]["says"])
        return {"says": f"You said: {request['turns'][-1]['says']}", "spent": {"in": 5, "out": 6}}

    house = House(send, stack=ap.Stack(ap.ScrubPII(), ap.Cache(), ap.Retry()))
    with ap.record() as calls:
        for _ in range(2):
            made = house.speak(engine="brick-2", turns=[{"who": "user", "says": "Write to wei@example.org."}])
            print("answer: ", made["says"], "| cache:", calls[-1].cache)


if __name__ == "__main__":
    main()
