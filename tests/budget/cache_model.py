"""What Anthropic's prompt cache does, in a few lines: for tests of what marks are worth."""

from __future__ import annotations

import json
from typing import Any

import agentprod as ap

MODEL = "claude-sonnet-5"
LEAST = 1024
LOOKBACK = 20


class CacheModel:
    """Keeps prefixes that end at a mark, for as long as the mark says; reads back up to 20 blocks before a mark."""

    def __init__(self) -> None:
        self.kept: dict[str, float] = {}
        self.now = 0.0
        self.plain = 0
        """Input tokens of all requests."""
        self.cost = 0.0
        """What they cost, in tokens at the plain input price."""

    def usage(self, request: dict[str, Any]) -> ap.Usage:
        """Count a request as the provider would."""
        blocks = list(_blocks(request))
        marked = [index for index, (_, mark) in enumerate(blocks) if mark]
        assert len(marked) <= 4
        lifetimes = [blocks[index][1] for index in marked]
        assert sorted(lifetimes, reverse=True) == lifetimes, "an hour before five minutes"  # type: ignore[type-var]
        tokens, prefixes, text = [], [], ""
        for block, _ in blocks:
            text += block
            prefixes.append(text)
            tokens.append(ap.count_tokens(block, MODEL) + (tokens[-1] if tokens else 0))
        read = 0
        for index in marked:
            for back in range(index, max(-1, index - LOOKBACK), -1):
                if self.kept.get(prefixes[back], -1) > self.now:
                    read = max(read, tokens[back])
                    self.kept[prefixes[back]] = self.now + 300
                    break
        write = 0
        for index in marked:
            assert tokens[index] >= LEAST * 0.9, "a mark on a prefix that is too short"
            if tokens[index] > read:
                write = max(write, tokens[index] - read)
            self.kept[prefixes[index]] = self.now + float(blocks[index][1] or 0)
        self.plain += tokens[-1]
        self.cost += read * 0.1 + write * 1.25 + (tokens[-1] - read - write)
        return ap.Usage(input_tokens=tokens[-1], output_tokens=20, cache_read_tokens=read, cache_write_tokens=write)


def _blocks(request: dict[str, Any]) -> Any:
    for tool in request.get("tools") or ():
        yield _told(tool)
    system = request.get("system") or []
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        yield _told(block)
    for message in request["messages"]:
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            yield _told(block, message["role"])


def _told(block: dict[str, Any], role: str = "") -> tuple[str, float | None]:
    plain = {name: value for name, value in block.items() if name != "cache_control"}
    mark = block.get("cache_control")
    lifetime = None if mark is None else 3600.0 if mark.get("ttl") == "1h" else 300.0
    return role + json.dumps(plain), lifetime
