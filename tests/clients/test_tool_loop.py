"""A guard in a tool loop with real clients: what the tool got, what the provider got, what the user sees."""

from __future__ import annotations

import json
from typing import Any

import pytest

import agentprod as ap
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.canaries import CANARIES
from tests.clients.conftest import Run
from tests.clients.surfaces import make_client, result, shut

EMAIL, PHONE = CANARIES["EMAIL"], CANARIES["PHONE"]


@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_gets_values_only_where_allowed(
    api: str, streamed: bool, kind: str, run: Run, provider: Provider
) -> None:
    """Tools get the values the policy lets them have, their results leave as placeholders, the answer has values."""
    arguments = {"to": "[[EMAIL_1]]", "phone": "[[PHONE_1]]"}
    provider.script(
        [
            b.ok(None, tool_calls=[{"name": name, "arguments": arguments} for name in ("send", "look_up")]),
            b.ok("Sent to [[EMAIL_1]]; [[EMAIL_2]] answered."),
        ]
    )
    got: list[Any] = []

    @ap.tool(risk="high")
    def send(to: str, phone: str) -> str:
        """Send."""
        got.append(("send", to, phone))
        return f"sent to {to}, copy to boss@corp.example"

    @ap.tool
    def look_up(to: str, phone: str) -> dict[str, Any]:
        """Look up."""
        got.append(("look_up", to, phone))
        return {"found": to}

    guard = ap.ToolGuard([send, look_up], approve=lambda request: request.arguments["to"] == EMAIL, parallel=1)
    layer = ap.ScrubPII(restore={"text": True, "tools": {"send": ["EMAIL"]}})

    async def loop() -> str:
        bare = make_client("anthropic" if api == "messages" else "openai", kind, provider)
        client = ap.Stack(layer).wrap(bare)
        messages: list[Any] = [{"role": "user", "content": f"write to {EMAIL}, not {PHONE}"}]
        try:
            while True:
                reply = await ask(client, api, streamed, messages, guard)
                turn = guard.run(reply) if kind == "sync" else await guard.arun(reply)
                if not turn:
                    return text_of(reply, api)
                messages += json.loads(json.dumps(turn))
        finally:
            await shut(bare)

    assert run(loop()) == f"Sent to {EMAIL}; boss@corp.example answered."
    assert got == [("send", EMAIL, "[[PHONE_1]]"), ("look_up", "[[EMAIL_1]]", "[[PHONE_1]]")]
    sent = "".join(json.dumps(request.json) for request in provider.requests)
    assert len(provider.requests) == 2
    assert EMAIL not in sent
    assert PHONE not in sent
    assert "boss@corp.example" not in sent


async def ask(client: Any, api: str, streamed: bool, messages: list[Any], guard: ap.ToolGuard) -> Any:
    """Return the reply, by way of a stream or not."""
    if api == "chat":
        options = {"model": "gpt-5-mini", "messages": messages, "tools": guard.openai}
        if not streamed:
            return await result(client.chat.completions.create(**options))
        # The oldest openai's helper takes strict tools only.
        strict = [{**tool, "function": {**tool["function"], "strict": True}} for tool in guard.openai]
        return await final(client.chat.completions.stream(**{**options, "tools": strict}), "get_final_completion")
    if api == "responses":
        options = {"model": "gpt-5-mini", "input": messages, "tools": guard.responses, "store": False}
        if not streamed:
            return await result(client.responses.create(**options))
        return await final(client.responses.stream(**options), "get_final_response")
    options = {"model": "claude-sonnet-5", "max_tokens": 99, "messages": messages, "tools": guard.anthropic}
    if not streamed:
        return await result(client.messages.create(**options))
    return await final(client.messages.stream(**options), "get_final_message")


async def final(manager: Any, name: str) -> Any:
    """Return what a stream helper makes of the whole stream."""
    if hasattr(manager, "__aenter__"):
        async with manager as stream:
            return await getattr(stream, name)()
    with manager as stream:
        return getattr(stream, name)()


def text_of(reply: Any, api: str) -> str:
    """Return the answer's text."""
    if api == "chat":
        return str(reply.choices[0].message.content)
    if api == "responses":
        return str(reply.output_text)
    return "".join(block.text for block in reply.content if block.type == "text")
