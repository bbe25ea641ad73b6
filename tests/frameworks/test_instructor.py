"""Instructor, over both SDKs: structured output, partial streams, and asking again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from agentprod.testing import behaviours as b
from tests.frameworks.place import MESSAGES, Place

pytest.importorskip(
    "instructor", reason="Instructor is tested in a session of its own: nox -s 'frameworks(instructor)'"
)
pytestmark = pytest.mark.filterwarnings("ignore")


class Greeting(BaseModel):
    """What is extracted."""

    name: str
    words: str


class Strict(BaseModel):
    """Accepts one name only."""

    name: str

    @field_validator("name")
    @classmethod
    def known(cls, value: str) -> str:
        """Refuse others."""
        if value != "李伟":
            raise ValueError("not a known name")
        return value


FOUND = b.ok(None, tool_calls=[{"name": "Greeting", "arguments": {"name": "李伟", "words": "hello there"}}])


@pytest.fixture
def typed(place: Place) -> Any:
    """Return what the page's block makes."""
    place.provider.script([FOUND])
    return place.with_openai().with_anthropic().type("Instructor")


def ask(extractor: Any, **extra: Any) -> Any:
    """Extract a greeting."""
    return extractor.create(
        **{"model": "m", "response_model": Greeting, "messages": MESSAGES, "max_tokens": 99, **extra}
    )


def test_extracting_passes_once(typed: Any) -> None:
    """One call seen, one request sent, with the object extracted: OpenAI sync and async, Anthropic."""
    assert ask(typed.extractor).name == "李伟"
    typed.saw(1, "chat")
    assert asyncio.run(ask(typed.async_extractor)).name == "李伟"
    typed.saw(1, "chat")
    assert ask(typed.claude_extractor).name == "李伟"
    typed.saw(1, "messages")


def test_a_partial_stream_passes_once(typed: Any) -> None:
    """The object grows as the stream arrives, over both SDKs."""
    for extractor, operation in ((typed.extractor, "chat"), (typed.claude_extractor, "messages")):
        parts = list(extractor.create_partial(model="m", response_model=Greeting, messages=MESSAGES, max_tokens=99))
        assert parts[-1].words == "hello there"
        assert len(parts) > 1
        assert typed.counter.calls[0].streaming
        typed.saw(1, operation)


def test_asking_again_is_a_call_each(typed: Any) -> None:
    """What does not validate is asked again through the stack."""
    wrong = b.ok(None, tool_calls=[{"name": "Strict", "arguments": {"name": "Bob"}}])
    right = b.ok(None, tool_calls=[{"name": "Strict", "arguments": {"name": "李伟"}}])
    typed.provider.script([wrong, right])
    assert ask(typed.extractor, response_model=Strict, max_retries=2).name == "李伟"
    typed.saw(2, "chat")
