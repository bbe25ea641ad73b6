"""Write `src/agentprod/budget/price_table.py` from the prices that genai-prices holds today.

Run with `pip install genai-prices` and look at the difference before committing it:

    python benchmarks/price_table.py > src/agentprod/budget/price_table.py
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

from genai_prices import __version__
from genai_prices.data import providers
from genai_prices.types import ClauseEquals, ClauseOr, ClauseStartsWith, ModelInfo, ModelPrice, TieredPrices

from agentprod.budget.model_names import candidates, vendor_of

PAGES = {
    "anthropic": "platform.claude.com/docs/en/about-claude/pricing",
    "openai": "developers.openai.com/api/docs/pricing",
    "google": "ai.google.dev/gemini-api/docs/pricing",
    "x-ai": "docs.x.ai/docs/models",
    "deepseek": "api-docs.deepseek.com/quick_start/pricing",
    "moonshotai": "platform.moonshot.ai/docs/pricing",
    "zai": "docs.z.ai/guides/overview/pricing",
    "minimax": "platform.minimax.io/docs/guides/pricing",
    "mistral": "mistral.ai/pricing",
    "cohere": "cohere.com/pricing",
}
# Priced by the vendors' pages but absent from genai-prices: dollars per thousand calls. A code interpreter container
# is priced by its memory, which replies do not tell: this is one of 1 GB. Web fetch and tool search are free.
MORE_TOOLS = {
    "anthropic": {"web_fetch": Decimal(0), "tool_search": Decimal(0)},
    "openai": {"web_search_preview": Decimal(25), "code_interpreter": Decimal(30)},
}
MORE_REGIONS = {"anthropic": "region:us=110%"}
LEFT_OUT = re.compile(
    r"m2-her|zai-glm|deepseek-v4-1|image|tts|live|realtime|transcribe|whisper|omni|robotics|gemma|banana|voice|ocr|voxtral|search|computer|oss|moder"
    r"|davinci|curie|babbage|^ada$|instruct|:free|:extended|gpt-3\.5-(?!turbo$)|0301|ft-|claude-v1|claude-2|rosalind|1\.[05]"
    r"|cyber|gemini-pro|chatgpt|aya|vision|audio-preview|gpt-4-0|32k|mistral-7b|tiny|mixtral|pixtral|saba|GLM-4-32"
)
TIERS = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"speed": "fast"},
}
FIELDS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok")
NAMED = {
    "input_audio": "input_audio_mtok",
    "output_audio": "output_audio_mtok",
    "input_image": "input_image_mtok",
    "reasoning": "output_reasoning_mtok",
}
TOOLS = {
    "web_search": "web_searches_kcount",
    "file_search": "storage_searches_kcount",
    "code_execution": "code_executions_kcount",
}
HEAD = '''"""List prices of the models most used, so that money is counted without any other package.

DO NOT CHANGE by hand: written by `benchmarks/price_table.py` from genai-prices {version} (MIT licence), whose entries
cite the vendors' public price pages named below. Where a price depends on the hour, the dearer one stands here.
"""

from __future__ import annotations

from datetime import date

CHECKED = date({year}, {month}, {day})
"""The day the prices were taken; vendors change them without notice."""

# Dollars per million tokens: input/output/cache read/cache write/cache write for an hour; an empty place is not
# priced apart. `>n:` holds for calls of more than n input tokens. A tier's missing prices are the standard ones.
TABLE = """
'''


def main() -> None:
    """Print the module."""
    now = datetime.now(UTC)
    out = [HEAD.format(version=__version__, year=now.year, month=now.month, day=now.day).rstrip("\n")]
    by_id = {provider.id: provider for provider in providers}
    for provider_id, page in PAGES.items():
        models = [m for m in by_id[provider_id].models if not LEFT_OUT.search(m.id)]
        tools = dict(MORE_TOOLS.get(provider_id, {}))
        models = [m for m in models if vendor_of(m.id) == provider_id or m.id.startswith("ft:")]
        names = listed_names(models, provider_id)
        lines = {}
        for model in models:
            prices = dearest(model, now)
            for name, key in TOOLS.items():
                if getattr(prices, key) is not None:
                    tools[name] = max(tools.get(name, Decimal(0)), getattr(prices, key))
            if prices.input_mtok is not None:
                name = model.id.lower().removesuffix("-latest")
                lines[name] = row("|".join(names[name]), model, prices, now)
        head = [f"[{provider_id}]", page, *(f"{name}={price}" for name, price in sorted(tools.items()))]
        out.append(" ".join([*head, *([MORE_REGIONS[provider_id]] if provider_id in MORE_REGIONS else [])]))
        out += [lines[name] for name in sorted(lines)]
    print("\n".join(out))
    print('"""')


def dearest(model: ModelInfo, now: datetime) -> ModelPrice:
    """The prices of the dearest hour of the day."""
    hours = [model.get_prices(now.replace(hour=hour)) for hour in range(24)]
    return max(hours, key=lambda p: base(p.output_mtok) or Decimal(0))


def listed_names(models: list[ModelInfo], vendor: str) -> dict[str, list[str]]:
    """Each model's name, with those further names for it that the rules of `candidates` do not lead to it."""
    names = {model.id.lower().removesuffix("-latest"): [model] for model in models}
    owner = {name: name for name in names}
    for name, (model,) in names.items():
        clauses = model.match.or_ if isinstance(model.match, ClauseOr) else [model.match]
        for clause in clauses:
            text = clause.equals if isinstance(clause, ClauseEquals) else ""
            text = clause.starts_with if isinstance(clause, ClauseStartsWith) else text
            text = text.lower()
            if re.search(r"[/:@]|[-.]$|-20\d\d$", text) or vendor_of(text) != vendor:
                continue
            if next((owner[c] for c in candidates(text) if c in owner), None) != name:
                owner[text] = name
    return {name: [name, *(alias for alias, of in owner.items() if of == name and alias != name)] for name in names}


def row(names: str, model: ModelInfo, prices: ModelPrice, now: datetime) -> str:
    """One model as a line of the table, folded at 118 columns."""
    parts = [*fold(names), *price_groups(prices)]
    for tier, context in TIERS.items():
        tiered = model.get_prices(now, context)
        if tiered != model.get_prices(now):
            parts += [f"{tier}{'' if group.startswith('>') else ':'}{group}" for group in price_groups(tiered)]
    parts += [f"{name}={base(getattr(prices, key))}" for name, key in NAMED.items() if getattr(prices, key) is not None]
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 1 + len(part) > 118:
            lines.append("   ")
        lines[-1] += f" {part}"
    return "\n".join(lines)


def fold(names: str) -> list[str]:
    """Names too many for one line go on in the next, which then begins with a bar."""
    return [names] if len(names) <= 110 else [names[: names.rindex("|", 0, 110)], names[names.rindex("|", 0, 110) :]]


def price_groups(prices: ModelPrice) -> list[str]:
    """The prices, and again those above each threshold."""
    starts = {tier.start for name in FIELDS if isinstance(p := getattr(prices, name), TieredPrices) for tier in p.tiers}
    groups = []
    for start in [0, *sorted(starts)]:
        values = [at(getattr(prices, name), start) for name in FIELDS]
        if values[4] == values[3]:
            values[4] = None
        text = "/".join("" if value is None else f"{value.normalize():f}" for value in values).rstrip("/")
        groups.append(f">{start}:{text}" if start else text)
    return groups


def base(price: Decimal | TieredPrices | None) -> Decimal | None:
    """The price of a short call."""
    return price.base if isinstance(price, TieredPrices) else price


def at(price: Decimal | TieredPrices | None, start: int) -> Decimal | None:
    """The price just above `start` input tokens."""
    if not isinstance(price, TieredPrices):
        return price
    return next((tier.price for tier in reversed(price.tiers) if start >= tier.start), price.base)


if __name__ == "__main__":
    main()
