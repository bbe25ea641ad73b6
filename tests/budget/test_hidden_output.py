"""What a stream event carries besides the answer's text is told from every wire format."""

from __future__ import annotations

from typing import Any

import pytest

from agentprod.budget.hidden_output import hidden_output


@pytest.mark.parametrize(
    ("event", "hidden"),
    [
        ({"choices": [{"index": 0, "delta": {"content": "seen"}}]}, ""),
        ({"choices": [{"index": 1, "delta": {"content": "other"}}]}, "other"),
        ({"choices": [{"delta": {"reasoning_content": "hm"}}]}, "hm"),
        ({"choices": [{"delta": {"refusal": "no"}}]}, "no"),
        ({"choices": [{"delta": {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}}]}, "f{}"),
        ({"choices": [{"delta": {"tool_calls": [None, {"function": None}]}}]}, ""),
        ({"choices": [{"delta": None}, None]}, ""),
        ({"type": "response.output_text.delta", "delta": "seen"}, ""),
        ({"type": "response.function_call_arguments.delta", "delta": "{}"}, "{}"),
        ({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "seen"}}, ""),
        ({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{"}}, "{"),
        ({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm"}}, "hm"),
        ({"type": "content_block_delta", "delta": {"type": "thinking_delta"}}, ""),
        ({"type": "message_start"}, ""),
        ("a piece of a generator", ""),
        (None, ""),
    ],
)
def test_what_is_billed_besides_the_text(event: Any, hidden: str) -> None:
    """Tool arguments, reasoning, refusals and further choices; never the text that is counted anyway."""
    assert hidden_output(event) == hidden
