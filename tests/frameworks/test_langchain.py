"""LangChain, over both SDKs: invoke, stream, structured output, tools, the Responses API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel

from agentprod.testing import behaviours as b
from tests.frameworks.place import Place

pytest.importorskip(
    "langchain_openai", reason="LangChain is tested in a session of its own: nox -s 'frameworks(langchain)'"
)
pytestmark = pytest.mark.filterwarnings("ignore")

PROMPT = "Say hello to Li Wei, 李伟."
JSON = json.dumps({"name": "李伟"}, ensure_ascii=False)


class Person(BaseModel):
    """Who is greeted."""

    name: str


@pytest.fixture
def typed(place: Place, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what the page's block makes."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    place.provider.script([b.ok("Hello 李伟.")])
    return place.with_openai().with_anthropic().type("LangChain")


def test_invoke_passes_once(typed: Any) -> None:
    """Sync and async, over both SDKs."""
    for model, operation in ((typed.model, "chat"), (typed.claude_model, "messages")):
        assert model.invoke(PROMPT).text == "Hello 李伟."
        typed.saw(1, operation)
        assert asyncio.run(model.ainvoke(PROMPT)).text == "Hello 李伟."
        typed.saw(1, operation)


def test_a_stream_passes_once(typed: Any) -> None:
    """Sync and async, over both SDKs."""

    async def collect(model: Any) -> str:
        return "".join([chunk.text async for chunk in model.astream(PROMPT)])

    for model, operation in ((typed.model, "chat"), (typed.claude_model, "messages")):
        assert "".join(chunk.text for chunk in model.stream(PROMPT)) == "Hello 李伟."
        assert typed.counter.calls[0].streaming
        typed.saw(1, operation)
        assert asyncio.run(collect(model)) == "Hello 李伟."
        typed.saw(1, operation)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_passes_once(typed: Any, method: str) -> None:
    """By schema and by tool call."""
    tool = b.ok(None, tool_calls=[{"name": "Person", "arguments": {"name": "李伟"}}])
    typed.provider.script([b.ok(JSON) if method == "json_schema" else tool])
    assert typed.model.with_structured_output(Person, method=method).invoke(PROMPT).name == "李伟"
    typed.saw(1, "chat")
    typed.provider.script([b.ok(JSON) if method == "json_schema" else tool])
    assert typed.claude_model.with_structured_output(Person, method=method).invoke(PROMPT).name == "李伟"
    typed.saw(1, "messages")


def test_the_responses_api_passes_once(typed: Any) -> None:
    """Whole and streamed."""
    model = typed.model.model_copy(update={"use_responses_api": True})
    assert model.invoke(PROMPT).text == "Hello 李伟."
    typed.saw(1, "responses")
    assert "".join(chunk.text for chunk in model.stream(PROMPT)) == "Hello 李伟."
    typed.saw(1, "responses")


def test_batch_passes_once_for_each(typed: Any) -> None:
    """LangChain's thread pool sends each input through the stack."""
    assert len(typed.model.batch([PROMPT] * 5)) == 5
    typed.saw(5, "chat")
