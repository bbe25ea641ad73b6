"""The many names of one model, reduced to the vendor's own.

A model is called by a dated snapshot, behind a gateway's prefix, or by a cloud's identifier. The rules below undo
that in the order in which the parts are put on, so that a name listed exactly is always tried first.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["candidates", "is_regional_bedrock", "plain_name", "vendor_of"]

_CLOUD_PREFIX = re.compile(r"^(?:us|us-gov|eu|apac|ap|jp|au|ca|global)\.(?=[a-z0-9-]+\.)")
_BEDROCK_VENDOR = re.compile(r"^(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|moonshotai?|zai)\.")
_BEDROCK_VERSION = re.compile(r"-v\d+(?::\d+)?(?::\d+k)?$")
_DATE = re.compile(
    r"[-@](?:20\d{2}-\d{2}-\d{2}|20\d{6}|\d{2}-\d{2}|\d{2}-20\d{2}|0\d{3}|1[0-2]\d{2})(?=$|-preview$|-latest$)"
)
_CHANNEL = re.compile(r"(?:[-@](?:latest|default|preview|exp|experimental|001|002|003)|:(?:free|nitro|floor|online))$")
_CLAUDE_DOT = re.compile(r"^(claude-.*?\d)\.(\d)")
_CLAUDE_LATER = re.compile(r"^claude-(\d)-(\d)-(opus|sonnet|haiku|fable|mythos)$")
_CLAUDE_EARLY = re.compile(r"^claude-(opus|sonnet|haiku)-3-(\d)$")
_CLAUDE_WHOLE = re.compile(r"^claude-(?:(4)-(opus|sonnet)|(opus|sonnet)-(4))$")

_VENDORS = (
    ("anthropic", ("claude",)),
    (
        "openai",
        ("gpt", "o1", "o3", "o4", "chatgpt", "codex", "text-embedding", "davinci", "babbage", "ft:", "computer-"),
    ),
    ("google", ("gemini", "gemma", "learnlm", "imagen")),
    ("x-ai", ("grok",)),
    ("deepseek", ("deepseek",)),
    ("moonshotai", ("kimi", "moonshot")),
    ("zai", ("glm", "chatglm", "zai")),
    ("minimax", ("minimax", "abab")),
    ("mistral", ("mistral", "ministral", "codestral", "devstral", "magistral", "pixtral", "mixtral", "voxtral")),
    ("cohere", ("command", "embed-v4", "embed-english", "embed-multilingual", "rerank")),
)


def candidates(model: str) -> list[str]:
    """Return the names to look a model up by, the most exact first.

    Args:
        model: the name as it stands in the request or reply.

    Returns:
        One or more lower-case names: the name itself without prefixes, then without version, date and channel.
    """
    name = model.strip().lower()
    if name.startswith("arn:"):
        name = name.rpartition("/")[2]
    # A fine-tuned model keeps its mark: it has prices of its own.
    if name.startswith("ft:"):
        whole = ":".join(name.split(":")[:2])
        return [*_unique([name, whole, _trim(whole)]), f"{_trim(whole)}-preview"]
    name = name.rpartition("/")[2]
    name = _BEDROCK_VENDOR.sub("", _CLOUD_PREFIX.sub("", name))
    found = [name]
    name = _BEDROCK_VERSION.sub("", name)
    found.append(name)
    while (shorter := _trim(name)) != name:
        name = shorter
        found.append(name)
    found.append(_own_form(name))
    # A model is listed by its preview's name until it leaves the preview.
    return [*_unique(found), f"{found[-1]}-preview"]


@lru_cache(maxsize=1024)
def plain_name(model: str) -> str:
    """Return the vendor's own name of a model, without prefix, version, date and channel.

    Args:
        model: the name as it stands in the request or reply.
    """
    return candidates(model)[-2]


def is_regional_bedrock(model: str) -> bool:
    """Tell whether a Bedrock identifier names a Claude model that is charged 10 % more for staying in its region.

    Amazon and Anthropic charge the premium from Claude Sonnet 4.5 and Haiku 4.5 on, outside `global.` profiles.

    Args:
        model: the name as it stands in the request.
    """
    name = model.strip().lower().rpartition("/")[2]
    if name.startswith("global.") or "anthropic." not in name:
        return False
    version = re.match(r"claude-[a-z]+-(\d+)(?:-(\d+))?$", plain_name(name))
    return version is not None and (int(version[1]), int(version[2] or 0)) >= (4, 5)


def vendor_of(model: str) -> str | None:
    """Guess who makes a model from the way its name begins.

    Args:
        model: the name as it stands in the request.

    Returns:
        The vendor, such as `"openai"`, or `None`.
    """
    for name in (plain_name(model), *model.strip().lower().split("/")):
        for vendor, beginnings in _VENDORS:
            if name.startswith(beginnings) or name == vendor:
                return vendor
    return None


def _trim(name: str) -> str:
    shorter = _DATE.sub("", name)
    return shorter if shorter != name else _CHANNEL.sub("", name)


def _own_form(name: str) -> str:
    """Spell Claude and Azure names the way the vendor does."""
    name = _CLAUDE_DOT.sub(r"\1-\2", name)
    name = name.replace("gpt-35-", "gpt-3.5-")
    if later := _CLAUDE_LATER.match(name):
        major, minor, family = later.groups()
        name = f"claude-{major}-{minor}-{family}" if major == "3" else f"claude-{family}-{major}-{minor}"
    elif early := _CLAUDE_EARLY.match(name):
        name = f"claude-3-{early[2]}-{early[1]}"
    elif whole := _CLAUDE_WHOLE.match(name):
        name = f"claude-{whole[2] or whole[3]}-4-0"
    return name


def _unique(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))
