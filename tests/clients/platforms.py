"""Clients of both SDKs for the platforms that serve their models, each on a transport that answers everything."""

from __future__ import annotations

import base64
import binascii
import json
import sys
from collections.abc import Callable
from typing import Any

import anthropic
import openai

CHAT = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello 李伟."}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
CHUNKS: list[Any] = [
    {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    for choice in (
        {"index": 0, "delta": {"role": "assistant", "content": "Hello "}, "finish_reason": None},
        {"index": 0, "delta": {"content": "李伟."}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    )
]
MESSAGE: dict[str, Any] = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "Hello 李伟."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
EVENTS: list[Any] = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "李伟."}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 2},
    },
    {"type": "message_stop"},
]


def frame(event: Any, kind: str = "event", name: str = "chunk") -> bytes:
    """Frame an event as AWS does: two lengths and their checksum, headers, payload, checksum of it all."""
    payload = event if kind == "exception" else {"bytes": base64.b64encode(json.dumps(event).encode()).decode()}
    body = json.dumps(payload).encode()
    named = {":message-type": kind, f":{kind}-type": name, ":content-type": "application/json"}
    headers = b"".join(_header(key, value) for key, value in named.items())
    prelude = (len(headers) + len(body) + 16).to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    whole = prelude + binascii.crc32(prelude).to_bytes(4, "big") + headers + body
    return whole + binascii.crc32(whole).to_bytes(4, "big")


def _header(name: str, value: str) -> bytes:
    return bytes([len(name)]) + name.encode() + b"\7" + len(value).to_bytes(2, "big") + value.encode()


class Platform:
    """A transport that answers chat and messages, whole and streamed, and keeps what was asked.

    Args:
        sdk: `"openai"` or `"anthropic"`.

        ending: what stands in place of the last two framed events.

        failures: how many requests fail before one is answered; each asks to be tried again at once.
    """

    def __init__(self, sdk: str, ending: bytes | None = None, failures: int = 0) -> None:
        self.sdk = sdk
        self.ending = ending
        self.failures = failures
        module = openai if sdk == "openai" else anthropic
        self.http: Any = sys.modules[module.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]]
        self.requests: list[Any] = []

    def __call__(self, request: Any) -> Any:
        """Answer one request."""
        self.requests.append(request)
        if len(self.requests) <= self.failures:
            return self.http.Response(529, headers={"retry-after-ms": "1"}, json={})
        body = json.loads(request.content)
        path = request.url.path
        if path.endswith("invoke-with-response-stream"):
            frames = [frame(event) for event in EVENTS]
            if self.ending is not None:
                frames[-2:] = [self.ending]
            return self._stream("application/vnd.amazon.eventstream", b"".join(frames))
        if body.get("stream") or "streamRawPredict" in path:
            return self._stream("text/event-stream", b"".join(self.pieces()))
        return self.http.Response(200, json=CHAT if self.sdk == "openai" else MESSAGE)

    def pieces(self) -> list[bytes]:
        """Return a stream's events as they go over the wire."""
        if self.sdk == "openai":
            return [*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in CHUNKS), b"data: [DONE]\n\n"]
        return [
            b"event: " + event["type"].encode() + b"\ndata: " + json.dumps(event).encode() + b"\n\n" for event in EVENTS
        ]

    def _stream(self, kind: str, content: bytes) -> Any:
        pieces = [content[start : start + 37] for start in range(0, len(content), 37)]
        return self.http.Response(200, headers={"content-type": kind}, stream=_Pieces(pieces, self.http))

    def options(self, kind: str) -> dict[str, Any]:
        """Return what every client is made with."""
        http = self.http.Client if kind == "sync" else self.http.AsyncClient
        return {"http_client": http(transport=self.http.MockTransport(self)), "max_retries": 0}


def _Pieces(pieces: list[bytes], http: Any) -> Any:  # noqa: N802 - stands in for the class it makes
    class Pieces(http.SyncByteStream, http.AsyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Any:
            yield from pieces

        async def __aiter__(self) -> Any:
            for piece in pieces:
                yield piece

        def close(self) -> None:
            """Release nothing."""

        async def aclose(self) -> None:
            """Release nothing."""

    return Pieces()


def _named(module: Any, name: str, kind: str) -> Any:
    return getattr(module, name if kind == "sync" else f"Async{name}")


def _azure(kind: str, options: dict[str, Any]) -> Any:
    made = _named(openai, "AzureOpenAI", kind)
    return made(azure_endpoint="https://house.openai.azure.com", api_version="2024-10-21", api_key="k", **options)


def _azure_deployment(kind: str, options: dict[str, Any]) -> Any:
    made = _named(openai, "AzureOpenAI", kind)
    return made(
        azure_endpoint="https://house.openai.azure.com",
        azure_deployment="d1",
        api_version="2024-10-21",
        api_key="k",
        **options,
    )


def _openai_bedrock(kind: str, options: dict[str, Any]) -> Any:
    return _named(openai, "BedrockOpenAI", kind)(api_key="k", aws_region="us-east-1", **options)


def _bedrock(kind: str, options: dict[str, Any]) -> Any:
    made = _named(anthropic, "AnthropicBedrock", kind)
    return made(aws_access_key="a", aws_secret_key="s", aws_region="us-east-1", **options)


def _mantle(kind: str, options: dict[str, Any]) -> Any:
    return _named(anthropic, "AnthropicBedrockMantle", kind)(api_key="k", aws_region="us-east-1", **options)


def _aws(kind: str, options: dict[str, Any]) -> Any:
    return _named(anthropic, "AnthropicAWS", kind)(api_key="k", aws_region="us-east-1", workspace_id="w", **options)


def _vertex(kind: str, options: dict[str, Any]) -> Any:
    made = _named(anthropic, "AnthropicVertex", kind)
    return made(region="us-east5", project_id="p1", access_token="t", **options)


def _google(kind: str, options: dict[str, Any]) -> Any:
    made = _named(anthropic, "AnthropicGoogleCloud", kind)
    provider = (lambda: "t") if kind == "sync" else _token
    return made(project="p1", location="global", workspace_id="w", token_provider=provider, **options)


async def _token() -> str:
    return "t"


def _foundry(kind: str, options: dict[str, Any]) -> Any:
    return _named(anthropic, "AnthropicFoundry", kind)(resource="house", api_key="k", **options)


Make = Callable[[str, dict[str, Any]], Any]

PLATFORMS: dict[str, tuple[str, str, Make]] = {
    "azure": ("AzureOpenAI", "azure.ai.openai", _azure),
    "azure with a deployment": ("AzureOpenAI", "azure.ai.openai", _azure_deployment),
    "openai on bedrock": ("BedrockOpenAI", "aws.bedrock", _openai_bedrock),
    "bedrock": ("AnthropicBedrock", "aws.bedrock", _bedrock),
    "bedrock mantle": ("AnthropicBedrockMantle", "aws.bedrock", _mantle),
    "aws": ("AnthropicAWS", "aws.bedrock", _aws),
    "vertex": ("AnthropicVertex", "gcp.vertex_ai", _vertex),
    "google cloud": ("AnthropicGoogleCloud", "gcp.vertex_ai", _google),
    "foundry": ("AnthropicFoundry", "azure.ai.inference", _foundry),
}
"""By name: the client's class, what its provider is called in spans and prices, and what makes one."""
