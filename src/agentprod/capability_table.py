"""What models can take: input and output tokens, kinds of content, tools, the least prefix that is cached.

DO NOT CHANGE by hand: written by `benchmarks/capability_table.py` from LiteLLM 1.106.2 (MIT licence), which cites
the vendors' own pages.
"""

from __future__ import annotations

from datetime import date

CHECKED = date(2026, 11, 20)
"""The day the figures were taken."""

# Name, most input tokens / most output tokens, then what it takes besides text, `tools`, and `cache=` the tokens of
# the shortest prefix that is cached.
TABLE = """
claude-fable-5 1000000/128000 image file tools cache=512
claude-fable-5-1 1000000/128000 image file tools cache=512
claude-haiku-4-5 200000/64000 image file tools cache=4096
claude-haiku-5-5 1000000/128000 image file tools cache=512
claude-mythos-5 1000000/128000 image file tools cache=512
claude-mythos-5-1 1000000/128000 image file tools cache=512
claude-mythos-preview 1000000/128000 image file tools cache=512
claude-opus-4-5 200000/64000 image file tools cache=4096
claude-opus-4-6 1000000/128000 image file tools cache=4096
claude-opus-4-7 1000000/128000 image file tools cache=2048
claude-opus-4-8 1000000/128000 image file tools cache=1024
claude-opus-5 1000000/128000 image file tools cache=512
claude-opus-5-5 1000000/128000 image file tools cache=512
claude-sonnet-4-5 200000/64000 image file tools cache=1024
claude-sonnet-4-6 1000000/128000 image file tools cache=1024
claude-sonnet-5 1000000/128000 image file tools cache=1024
claude-sonnet-5-5 1000000/128000 image file tools cache=512
deepseek-chat 131072/8192 tools
deepseek-coder 128000/4096 tools
deepseek-flash 1000000/393216 image tools
deepseek-r1 65536/8192 tools
deepseek-reasoner 131072/65536
deepseek-v3 65536/8192 tools
deepseek-v3.2 163840/163840 tools
deepseek-v4-flash 1000000/393216 image tools
deepseek-v4-pro 1000000/393216 tools
gemini-2.5-flash 1048576/65536 image audio file tools
gemini-2.5-flash-lite 1048576/65536 image audio file tools
gemini-2.5-pro 1048576/65536 image audio file tools cache=2048
gemini-3-flash-preview 1048576/65536 image audio file tools
gemini-3.1-flash-lite 1048576/65536 image audio file tools
gemini-3.1-flash-lite-preview 1048576/65536 image audio file tools
gemini-3.1-pro-preview 1048576/65536 image audio file tools cache=4096
gemini-3.5-flash 1048576/65536 image audio file tools cache=4096
gemini-3.5-flash-lite 1048576/65536 image audio file tools
gemini-3.6-flash 1048576/65536 image audio file tools cache=4096
gemini-3.7-flash 1048576/65536 image audio file tools cache=4096
gemini-3.8-flash 1048576/65536 image audio file tools cache=4096
gemini-4-argon 1048576/1048576 image audio file tools cache=4096
glm-4-32b-0414-128k 128000/32000 tools
glm-4.5 128000/32000 tools
glm-4.5-air 128000/32000 tools
glm-4.5-airx 128000/32000 tools
glm-4.5-flash 128000/32000 tools
glm-4.5-x 128000/32000 tools
glm-4.5v 128000/32000 image tools
glm-4.6 200000/128000 tools
glm-4.7 200000/128000 tools
glm-4.7-flash 200000/128000 tools
glm-5 200000/128000 tools
glm-5-2 1048576/131072 tools
glm-5-code 200000/128000 tools
glm-5.1 200000/128000 tools
glm-5.2 1000000/128000 tools
glm-5.3 1000000/128000 tools
glm-5.3-flash 1048576/128000 image tools
gpt-3.5-turbo 16385/4096 tools
gpt-3.5-turbo-16k 16385/4096
gpt-4 8192/4096 tools
gpt-4-1106-preview 128000/4096 tools
gpt-4-turbo 128000/4096 image file tools
gpt-4.1 1047576/32768 image file tools
gpt-4.1-mini 1047576/32768 image file tools
gpt-4.1-nano 1047576/32768 image file tools
gpt-4o 128000/16384 image file tools
gpt-4o-mini 128000/16384 image file tools
gpt-5 272000/128000 image file tools
gpt-5-chat 128000/16384 image file
gpt-5-codex 272000/128000 image file tools
gpt-5-mini 272000/128000 image file tools
gpt-5-nano 272000/128000 image file tools
gpt-5-pro 400000/272000 image file tools
gpt-5.1 272000/128000 image file tools
gpt-5.1-codex 400000/128000 image file tools
gpt-5.1-codex-max 400000/128000 image file tools
gpt-5.1-codex-mini 400000/128000 image file tools
gpt-5.2 272000/128000 image file tools
gpt-5.2-codex 272000/128000 image file tools
gpt-5.2-pro 272000/128000 image file tools
gpt-5.3-codex 272000/128000 image file tools
gpt-5.4 1050000/128000 image file tools
gpt-5.4-mini 272000/128000 image file tools
gpt-5.4-nano 272000/128000 image file tools
gpt-5.4-pro 1050000/128000 image file tools
gpt-5.5 1050000/128000 image file tools
gpt-5.5-pro 1050000/128000 image file tools
gpt-5.6 922000/128000 image file tools
gpt-5.6-luna 922000/128000 image file tools
gpt-5.6-sol 922000/128000 image file tools
gpt-5.6-terra 922000/128000 image file tools
gpt-6-astra 922000/128000 image file tools
gpt-6-luna 922000/128000 image file tools
gpt-6-sol 922000/128000 image file tools
gpt-6.1-sol 922000/128000 image file tools
gpt-audio 128000/16384 audio tools
gpt-audio-1.5 128000/16384 audio tools
gpt-audio-mini 128000/16384 audio tools
grok-4.20 1000000/1000000 image tools
grok-4.3 1000000/1000000 image tools
grok-4.5 500000/500000 image tools
grok-4.6 500000/500000 image tools
grok-4.7 500000/500000 image tools
grok-build-0.1 256000/256000 image tools
grok-code-fast 256000/256000 image tools
grok-code-fast-1 256000/256000 image tools
kimi-k2.5 262144/262144 image tools
kimi-k2.6 262144/262144 image tools
kimi-k2.7-code 262144/262144 image tools
kimi-k3 1048576/1048576 image tools
mistral-large-3 262144/262144 image tools
mistral-large-4 1048576/ image tools
mistral-large-4-0 1048576/ image tools
mistral-medium 262144/262144 image tools
mistral-medium-3 262144/262144 image tools
mistral-medium-3-5 262144/262144 image tools
mistral-medium-3.5 262144/262144 image tools
mistral-small 32000/8191 tools
mistral-tiny 32000/8191
moonshot-v1-128k 131072/131072 tools
moonshot-v1-128k-vision-preview 131072/131072 image tools
moonshot-v1-32k 32768/32768 tools
moonshot-v1-32k-vision-preview 32768/32768 image tools
moonshot-v1-8k 8192/8192 tools
moonshot-v1-8k-vision-preview 8192/8192 image tools
moonshot-v1-auto 131072/131072 tools
o1 200000/100000 image file tools
o1-pro 200000/100000 image file tools
o3 200000/100000 image file tools
o3-mini 200000/100000 tools
o3-pro 200000/100000 image file tools
o4-mini 200000/100000 image file tools
open-mistral-nemo 128000/128000
qwen-coder 1000000/16384 tools
qwen-flash 997952/32768 tools
qwen-max 30720/8192 tools
qwen-plus 129024/16384 tools
qwen-turbo 129024/16384 tools
qwen3-30b-a3b 129024/16384 tools
qwen3-coder-flash 997952/65536 tools
qwen3-coder-plus 997952/65536 tools
qwen3-max 258048/65536 tools
qwen3-max-preview 258048/65536 tools
qwen3-next-80b-a3b-instruct 262144/65536 tools
qwen3-next-80b-a3b-thinking 262144/65536 tools
qwen3-vl-235b-a22b-instruct 131072/32768 image tools
qwen3-vl-235b-a22b-thinking 131072/32768 image tools
qwen3-vl-32b-instruct 131072/32768 image tools
qwen3-vl-32b-thinking 131072/32768 image tools
qwen3-vl-plus 260096/32768 image tools
qwen3.5-plus 991808/65536 image tools
qwen3.7-max 991808/65536 tools
qwen3.7-plus 991808/65536 image tools
qwen3.8-flash 991808/131072 image tools
qwen3.8-max 991808/131072 image tools
qwq-plus 98304/8192 tools
"""
