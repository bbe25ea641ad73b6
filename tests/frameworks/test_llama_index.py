"""LlamaIndex: complete, chat and their streams, sync and async."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from agentprod.testing import behaviours as b
from tests.frameworks.place import Place

pytest.importorskip(
    "llama_index.llms.openai", reason="LlamaIndex is tested in a session of its own: nox -s 'frameworks(llama_index)'"
)
pytestmark = pytest.mark.filterwarnings("ignore")

PROMPT = "Say hello to Li Wei, 李伟."


@pytest.fixture
def typed(place: Place, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what the page's block makes."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    place.provider.script([b.ok("Hello 李伟.")])
    return place.with_openai().type("LlamaIndex")


def test_completing_passes_once(typed: Any) -> None:
    """Whole and streamed."""
    assert typed.llm.complete(PROMPT).text == "Hello 李伟."
    typed.saw(1, "chat")
    assert "".join(part.delta or "" for part in typed.llm.stream_complete(PROMPT)) == "Hello 李伟."
    typed.saw(1, "chat")


def test_completing_asynchronously_passes_once(typed: Any) -> None:
    """Whole and streamed, in a loop."""

    async def both() -> tuple[str, str]:
        whole = (await typed.llm.acomplete(PROMPT)).text
        streamed = "".join([part.delta or "" async for part in await typed.llm.astream_complete(PROMPT)])
        return whole, streamed

    assert asyncio.run(both()) == ("Hello 李伟.", "Hello 李伟.")
    typed.saw(2, "chat")


def test_structured_prediction_passes_once(typed: Any) -> None:
    """A Pydantic object out of JSON."""

    class Person(BaseModel):
        """Who is greeted."""

        name: str

    typed.provider.script([b.ok('{"name": "李伟"}')])
    made = typed.llm.as_structured_llm(Person).complete(PROMPT)
    assert made.raw.name == "李伟"
    typed.saw(1, "chat")
