"""SDK clients that never speak TLS: what a test pays for most is a client's certificates."""

from __future__ import annotations

from typing import Any

import anthropic
import openai

from agentprod.testing import Provider

__all__ = ["plain_client"]


def plain_client(sdk: str, kind: str, provider: Provider, **options: Any) -> Any:
    """Return a bare client of the SDK that talks to the scripted provider."""
    module: Any = openai if sdk == "openai" else anthropic
    url = provider.openai_url if sdk == "openai" else provider.anthropic_url
    name, http = (
        ("OpenAI" if sdk == "openai" else "Anthropic", module.DefaultHttpxClient)
        if kind == "sync"
        else ("AsyncOpenAI" if sdk == "openai" else "AsyncAnthropic", module.DefaultAsyncHttpxClient)
    )
    settings = {"base_url": url, "api_key": "test-key", "max_retries": 0, "http_client": http(verify=False), **options}
    return getattr(module, name)(**settings)
