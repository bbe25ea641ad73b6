"""Write `src/agentprod/capability_table.py` from the model table that LiteLLM (MIT licence) carries.

Run it in an environment that has LiteLLM, and look at the difference before committing it:

    LITELLM_LOCAL_MODEL_COST_MAP=True python benchmarks/capability_table.py > src/agentprod/capability_table.py
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from typing import Any

VENDORS = ("openai", "anthropic", "gemini", "xai", "deepseek", "moonshot", "zai", "mistral", "dashscope")
LEFT_OUT = re.compile(
    r"^ft:|container|computer|image|tts|live|robotics|research|omni|gemma|daybreak|rosalind|cyber|ocr|voxtral|search"
    r"|latest|exp|multi-agent|lyria|labs-|vibe|zai-glm|grok-4.20-|customtools|beta|/(?:deepseek|glm|kimi)-.*dashscope|\d{4}-\d{2}-\d{2}|-\d{8}$|-\d{4}$|-\d{2}-\d{2}$"
)
MEDIA = {"image": "supports_vision", "audio": "supports_audio_input", "file": "supports_pdf_input"}
HEAD = '''"""What models can take: input and output tokens, kinds of content, tools, the least prefix that is cached.

DO NOT CHANGE by hand: written by `benchmarks/capability_table.py` from LiteLLM {version} (MIT licence), which cites
the vendors' own pages.
"""

from __future__ import annotations

from datetime import date

CHECKED = date({year}, {month}, {day})
"""The day the figures were taken."""

# Name, most input tokens / most output tokens, then what it takes besides text, `tools`, and `cache=` the tokens of
# the shortest prefix that is cached.
TABLE = """
{table}
"""
'''


def main() -> None:
    path = files("litellm") / "model_prices_and_context_window_backup.json"
    models: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    lines: dict[str, str] = {}
    for name, facts in models.items():
        if facts.get("litellm_provider") not in VENDORS or facts.get("mode") not in ("chat", "responses"):
            continue
        plain = name.rpartition("/")[2].lower()
        if LEFT_OUT.search(plain) or not facts.get("max_input_tokens") or plain in lines:
            continue
        if facts["litellm_provider"] == "dashscope" and not plain.startswith(("qwen", "qwq", "qvq")):
            continue
        told = [kind for kind, key in MEDIA.items() if facts.get(key)]
        told += ["tools"] if facts.get("supports_function_calling") else []
        if facts.get("prompt_cache_min_tokens"):
            told.append(f"cache={int(facts['prompt_cache_min_tokens'])}")
        output = facts.get("max_output_tokens") or ""
        lines[plain] = " ".join([plain, f"{facts['max_input_tokens']}/{output}", *told])
    now = datetime.now(UTC)
    table = "\n".join(lines[name] for name in sorted(lines))
    print(HEAD.format(version=version("litellm"), year=now.year, month=now.month, day=now.day, table=table), end="")


if __name__ == "__main__":
    main()
