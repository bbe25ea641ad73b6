"""Values that must not leave, requests that hold them wherever a request can hold text, and a search for them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

__all__ = ["CANARIES", "EVERYTHING", "WIDE", "body_of", "cacheable", "leaked", "seen_in"]

CANARIES: Mapping[str, str] = {
    "EMAIL": "mira.lind@postbox-nord.example",
    "PHONE": "13987654321",
    "PHONE abroad": "+44 20 7946 0958",
    "CREDIT_CARD": "4539 5787 6362 1486",
    "CN_BANK_CARD": "6217 0000 1000 0000 011",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "US_SSN": "536-22-1874",
    "IP": "203.0.113.77",
    "IP six": "2001:db8:85a3::8a2e:370:7334",
    "MAC": "3c:22:fb:9a:01:7e",
    "CN_ID": "11010519491231002X",
    "CN_USCC": "91350100M000100Y43",
    "CN_PASSPORT": "E87654321",
    "CRYPTO": "0x52908400098527886E0F7030069857D2E4169EE7",
    "SECRET": "sk-proj-Vx8Qm2LrT9cZb4NwYh7KpD3sJf6GtA1eU5oR0iBnXqWvCyM8",
}
_WORDS = {"CN_PASSPORT": "护照号", "CN_BANK_CARD": "银行卡", "CREDIT_CARD": "card", "US_SSN": "SSN"}
EVERYTHING = "; ".join(f"{_WORDS.get(kind, 'see')} {value}" for kind, value in CANARIES.items())
"""All of them in one text, each behind a word of its kind."""

WIDE = "请联系" + CANARIES["EMAIL"].translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)}) + "谢谢"
"""One of them as Chinese keyboards write it."""

_NOT_ALNUM = re.compile(r"[\W_]+")


def leaked(text: str | bytes) -> list[str]:
    """Return the kinds whose value stands in a text in any width, spacing, escape or case."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
    squeezed = _squeeze(text)
    return [kind for kind, value in CANARIES.items() if _squeeze(value) in squeezed]


def seen_in(text: str) -> list[str]:
    """Return the kinds whose value stands in a text letter by letter."""
    return [kind for kind, value in CANARIES.items() if value in text]


def _squeeze(text: str) -> str:
    return _NOT_ALNUM.sub("", unicodedata.normalize("NFKC", text)).lower()


ARGUMENTS = {
    "to": CANARIES["EMAIL"],
    "note": f'He said "{EVERYTHING}"\nC:\\temp',
    "phone": int(CANARIES["PHONE"]),
    "deep": [{"cc": [EVERYTHING, int(CANARIES["PHONE"])]}, json.dumps({"inner": EVERYTHING})],
    CANARIES["EMAIL"]: True,
}
RESULT = json.dumps({"rows": [EVERYTHING, {"phone": int(CANARIES["PHONE"])}], CANARIES["EMAIL"]: 1})
NEW_BLOCK = {"type": "hologram", "caption": EVERYTHING, "scene": {"labels": [WIDE, {EVERYTHING: EVERYTHING}]}}
SCHEMA = {
    "type": "object",
    "description": EVERYTHING,
    "properties": {"to": {"type": "string", "enum": [CANARIES["EMAIL"], "nobody"], "default": EVERYTHING}},
}
LABELS = {"metadata": {"user_id": EVERYTHING, "ticket": WIDE}, "x_not_yet_invented": [EVERYTHING, {"a": EVERYTHING}]}


def chat_body() -> dict[str, Any]:
    """Return a chat request full of canaries; the last message is what an echo answers."""
    call = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": json.dumps(ARGUMENTS)}}
    custom = {"id": "call_2", "type": "custom", "custom": {"name": "shell", "input": f"mail {EVERYTHING}"}}
    return {
        "messages": [
            {"role": "system", "content": f"Support: {EVERYTHING}"},
            {"role": "developer", "content": [{"type": "text", "text": EVERYTHING}], "name": "Mira " + EVERYTHING},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": EVERYTHING},
                    {"type": "image_url", "image_url": {"url": f"https://cdn.example/a.png?for={CANARIES['EMAIL']}"}},
                    {"type": "file", "file": {"filename": f"{EVERYTHING}.pdf", "file_id": "file-1"}},
                    NEW_BLOCK,
                ],
            },
            {"role": "assistant", "content": EVERYTHING, "refusal": EVERYTHING, "reasoning_content": EVERYTHING},
            {"role": "assistant", "content": None, "tool_calls": [call, custom]},
            {"role": "tool", "tool_call_id": "call_1", "content": RESULT},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": EVERYTHING}]},
            {"role": "user", "content": EVERYTHING},
        ],
        "prediction": {"type": "content", "content": [{"type": "text", "text": EVERYTHING}]},
        "user": CANARIES["EMAIL"],
        "safety_identifier": CANARIES["PHONE"],
        "prompt_cache_key": f"for {CANARIES['EMAIL']}",
        "stop": [EVERYTHING],
        "tools": [{"type": "function", "function": {"name": "find", "description": EVERYTHING, "parameters": SCHEMA}}],
        "web_search_options": {"user_location": {"type": "approximate", "approximate": {"city": EVERYTHING}}},
        **LABELS,
    }


def responses_body() -> dict[str, Any]:
    """Return the same for the Responses API."""
    call = {"type": "function_call", "call_id": "c1", "name": "find", "arguments": json.dumps(ARGUMENTS)}
    return {
        "instructions": EVERYTHING,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": EVERYTHING}, NEW_BLOCK]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": EVERYTHING}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": EVERYTHING}]},
            call,
            {"type": "function_call_output", "call_id": "c1", "output": RESULT},
            {"type": "custom_tool_call", "call_id": "c2", "name": "shell", "input": EVERYTHING},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": WIDE}]},
            {"type": "mcp_call", "id": "m1", "name": "x", "arguments": json.dumps(ARGUMENTS), "output": EVERYTHING},
            {"role": "user", "content": EVERYTHING},
        ],
        "prompt": {"id": "pmpt_1", "variables": {"who": EVERYTHING, CANARIES["EMAIL"]: {"text": EVERYTHING}}},
        "user": CANARIES["EMAIL"],
        "tools": [{"type": "function", "name": "find", "description": EVERYTHING, "parameters": SCHEMA}],
        **LABELS,
    }


def messages_body() -> dict[str, Any]:
    """Return the same for Anthropic's messages."""
    document = {"type": "text", "media_type": "text/plain", "data": EVERYTHING}
    wide = [{"type": "text", "text": WIDE}]
    return {
        "system": [{"type": "text", "text": EVERYTHING, "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": EVERYTHING},
                    {"type": "document", "source": document, "title": EVERYTHING, "context": WIDE},
                    {"type": "search_result", "source": EVERYTHING, "title": "x", "content": wide},
                    NEW_BLOCK,
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": EVERYTHING, "signature": "c2ln"},
                    {"type": "text", "text": EVERYTHING},
                    {"type": "tool_use", "id": "toolu_1", "name": "find", "input": ARGUMENTS},
                    {"type": "tool_use", "id": "toolu_2", "name": "find", "input": ARGUMENTS},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": RESULT},
                    {
                        "type": "tool_result",
                        "tool_use_id": "toolu_2",
                        "content": [{"type": "text", "text": EVERYTHING}, NEW_BLOCK],
                    },
                ],
            },
            {"role": "assistant", "content": EVERYTHING},
            {"role": "user", "content": EVERYTHING},
        ],
        "stop_sequences": [EVERYTHING],
        "tools": [{"name": "find", "description": EVERYTHING, "input_schema": SCHEMA}],
        **LABELS,
    }  # fmt: skip


def embeddings_body() -> dict[str, Any]:
    """Return the same for embeddings."""
    return {"input": [EVERYTHING, WIDE], "user": CANARIES["EMAIL"], **LABELS}


def body_of(surface: str) -> dict[str, Any]:
    """Return the request that fits a surface, by its name."""
    if surface.startswith("anthropic"):
        return messages_body()
    if "responses" in surface:
        return responses_body()
    return embeddings_body() if "embeddings" in surface else chat_body()


def cacheable(body: dict[str, Any]) -> dict[str, Any]:
    """Return the request without what keeps its answer out of a cache: pictures, files, searches, stored prompts."""
    keys = ("messages", "input", "instructions", "system", "metadata", "user", "stop", "x_not_yet_invented")
    kept = {key: value for key, value in body.items() if key in keys}
    for message in kept.get("messages", ()):
        content = message["content"]
        if isinstance(content, list):
            message["content"] = [part for part in content if part["type"] in ("text", "tool_use", "tool_result")]
    if isinstance(kept.get("input"), list):
        kept["input"] = [item for item in kept["input"] if isinstance(item, str) or item.get("type") != "mcp_call"]
    return {**kept, "store": False} if "input" in kept and "instructions" in kept else kept
