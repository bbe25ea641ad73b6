"""List prices of the models most used, so that money is counted without any other package.

DO NOT CHANGE by hand: written by `benchmarks/price_table.py` from genai-prices 0.2.3 (MIT licence), whose entries
cite the vendors' public price pages named below. Where a price depends on the hour, the dearer one stands here.
"""

from __future__ import annotations

from datetime import date

CHECKED = date(2026, 11, 20)
"""The day the prices were taken; vendors change them without notice."""

# Dollars per million tokens: input/output/cache read/cache write/cache write for an hour; an empty place is not
# priced apart. `>n:` holds for calls of more than n input tokens. A tier's missing prices are the standard ones.
TABLE = """
[anthropic] platform.claude.com/docs/en/about-claude/pricing tool_search=0 web_fetch=0 web_search=10 region:us=110%
claude-3-5-haiku 0.8/4/0.08/1/1.6
claude-3-5-sonnet 3/15/0.3/3.75/6
claude-3-7-sonnet 3/15/0.3/3.75/6
claude-3-haiku 0.25/1.25/0.03/0.3/0.5
claude-3-opus 15/75/1.5/18.75/30
claude-3-sonnet 3/15/0.3/3.75/6
claude-fable-5 10/50/1/12.5/20 batch:5/25/0.5/6.25/10
claude-fable-5-1 10/50/0.25/12.5/20 batch:5/25/0.125/6.25/10
claude-fable-5-2 8/40/0.2/10/16 batch:4/20/0.1/5/8 fast:16/80/0.4/20/32
claude-haiku-4-5 1/5/0.1/1.25/2 batch:0.5/2.5/0.05/0.625/1
claude-haiku-5-5 0.1/0.5/0.01/0.125/0.2 >100000:0.5/2.5/0.05/0.625/1 batch:0.05/0.25/0.005/0.0625/0.1
    batch>100000:0.25/1.25/0.025/0.3125/0.5
claude-mythos-5-2 8/40/0.2/10/16 batch:4/20/0.1/5/8 fast:16/80/0.4/20/32
claude-opus-4-0 15/75/1.5/18.75/30
claude-opus-4-1 15/75/1.5/18.75/30
claude-opus-4-5 5/25/0.5/6.25/10 batch:2.5/12.5/0.25/3.125/5
claude-opus-4-6 5/25/0.5/6.25/10 batch:2.5/12.5/0.25/3.125/5
claude-opus-4-7 5/25/0.5/6.25/10 batch:2.5/12.5/0.25/3.125/5
claude-opus-4-8 5/25/0.5/6.25/10 batch:2.5/12.5/0.25/3.125/5 fast:10/50/1/12.5/20
claude-opus-5|claude-opus-5.0|claude-5-opus|claude-5.0-opus 5/25/0.5/6.25/10 batch:2.5/12.5/0.25/3.125/5
    fast:10/50/1/12.5/20
claude-opus-5-5 4/20/0.2/5/8 batch:2/10/0.1/2.5/4 fast:8/40/0.4/10/16
claude-sonnet-4-0 3/15/0.3/3.75/6
claude-sonnet-4-5 3/15/0.3/3.75/6 >200000:6/22.5/0.6/7.5/12 batch:1.5/7.5/0.15/1.875/3 batch>200000:3/11.25/0.3/3.75/6
claude-sonnet-4-6 3/15/0.3/3.75/6 batch:1.5/7.5/0.15/1.875/3
claude-sonnet-5|claude-sonnet-5.0|claude-5-sonnet|claude-5.0-sonnet 2/10/0.2/2.5/4 batch:1/5/0.1/1.25/2
claude-sonnet-5-5 2/10/0.1/2.5/4 batch:1/5/0.05/1.25/2
[openai] developers.openai.com/api/docs/pricing code_interpreter=30 file_search=2.5 web_search=10 web_search_preview=25
codex-mini 1.5/6/0.375
ft:gpt-4o 3.75/15
ft:gpt-4o-mini 0.3/1.2 batch:0.15/0.6
gpt-3.5-turbo 0.5/1.5 batch:0.25/0.75
gpt-4 30/60 batch:15/30
gpt-4-turbo|gpt-4-0125-preview|gpt-4-1106-preview 10/30 batch:5/15
gpt-4.1 2/8/0.5 batch:1/4/0.5 priority:3.5/14/0.875
gpt-4.1-mini 0.4/1.6/0.1 batch:0.2/0.8/0.1 priority:0.7/2.8/0.175
gpt-4.1-nano 0.1/0.4/0.025 batch:0.05/0.2/0.025 priority:0.2/0.8/0.05
gpt-4.5-preview 75/150/37.5
gpt-4o 2.5/10/1.25 batch:1.25/5/1.25 priority:4.25/17/2.125
gpt-4o-2024-05-13 5/15 batch:2.5/7.5 priority:8.75/26.25
gpt-4o-mini|gpt-4o-mini-search-preview 0.15/0.6/0.075 batch:0.075/0.3/0.075 priority:0.25/1/0.125
gpt-5|gpt-5-chat|gpt-5-codex 1.25/10/0.125 batch:0.625/5/0.0625 flex:0.625/5/0.0625 priority:2.5/20/0.25
gpt-5-mini 0.25/2/0.025 batch:0.125/1/0.0125 flex:0.125/1/0.0125 priority:0.45/3.6/0.045
gpt-5-nano 0.05/0.4/0.005 batch:0.025/0.2/0.0025 flex:0.025/0.2/0.0025
gpt-5-pro 15/120 batch:7.5/60
gpt-5.1|gpt-5.1-codex|gpt-5.1-codex-max|gpt-5.1-chat|gpt-5-1|gpt-5-1-codex|gpt-5-1-codex-max|gpt-5-1-chat
    1.25/10/0.125 batch:0.625/5/0.0625 flex:0.625/5/0.0625 priority:2.5/20/0.25
gpt-5.1-codex-mini|gpt-5.1-mini|gpt-5-1-codex-mini|gpt-5-1-mini 0.25/2/0.025
gpt-5.2|gpt-5-2|gpt-5.2-chat|gpt-5-2-chat|gpt-5.2-codex|gpt-5-2-codex 1.75/14/0.175 batch:0.875/7/0.0875
    flex:0.875/7/0.0875 priority:3.5/28/0.35
gpt-5.2-pro|gpt-5-2-pro-2025-12-11 21/168 batch:10.5/84
gpt-5.3|gpt-5-3|gpt-5.3-chat|gpt-5-3-chat 1.75/14/0.175
gpt-5.3-codex|gpt-5-3-codex 1.75/14/0.175 priority:3.5/28/0.35
gpt-5.4|gpt-5-4 2.5/15/0.25 >272000:5/22.5/0.5 batch:1.25/7.5/0.13 batch>272000:2.5/11.25/0.25 flex:1.25/7.5/0.13
    flex>272000:2.5/11.25/0.25 priority:5/30/0.5
gpt-5.4-mini|gpt-5-4-mini 0.75/4.5/0.075 batch:0.375/2.25/0.0375 flex:0.375/2.25/0.0375 priority:1.5/9/0.15
gpt-5.4-nano|gpt-5-4-nano 0.2/1.25/0.02 batch:0.1/0.625/0.01 flex:0.1/0.625/0.01
gpt-5.4-pro|gpt-5-4-pro 30/180 >272000:60/270 batch:15/90 batch>272000:30/135 flex:15/90 flex>272000:30/135
gpt-5.5|gpt-5-5|gpt-5.5-chat|gpt-5-5-chat|gpt-5.5-codex|gpt-5-5-codex 5/30/0.5 >272000:10/45/1 batch:2.5/15/0.25
    batch>272000:5/22.5/0.5 flex:2.5/15/0.25 flex>272000:5/22.5/0.5 priority:12.5/75/1.25
gpt-5.5-pro|gpt-5-5-pro 30/180 >272000:60/270 batch:15/90 flex:15/90
gpt-5.6-luna|gpt-5-6-luna 0.2/1.2/0.02/0.25 >272000:0.4/1.8/0.04/0.5 batch:0.1/0.6/0.01/0.125
    batch>272000:0.2/0.9/0.02/0.25 flex:0.1/0.6/0.01/0.125 flex>272000:0.2/0.9/0.02/0.25 priority:0.4/2.4/0.04/0.5
    priority>272000:0.8/3.6/0.08/1
gpt-5.6-sol|gpt-5-6-sol|gpt-5.6|gpt-5-6 4/20/0.4/5 >272000:8/30/0.8/10 batch:2/10/0.2/2.5 batch>272000:4/15/0.4/5
    flex:2/10/0.2/2.5 flex>272000:4/15/0.4/5 priority:8/40/0.8/10 priority>272000:16/60/1.6/20
gpt-5.6-terra|gpt-5-6-terra 2/12/0.2/2.5 >272000:4/18/0.4/5 batch:1/6/0.1/1.25 batch>272000:2/9/0.2/2.5
    flex:1/6/0.1/1.25 flex>272000:2/9/0.2/2.5 priority:4/24/0.4/5 priority>272000:8/36/0.8/10
gpt-6-astra 10/50/1/12.5 >272000:20/75/2/25 batch:5/25/0.5/6.25 batch>272000:10/37.5/1/12.5 flex:5/25/0.5/6.25
    flex>272000:10/37.5/1/12.5 priority:20/100/2/25 priority>272000:40/150/4/50
gpt-6-luna 0.1/0.5/0.01/0.125 >272000:0.2/0.75/0.02/0.25 batch:0.05/0.25/0.005/0.0625
    batch>272000:0.1/0.375/0.01/0.125 flex:0.05/0.25/0.005/0.0625 flex>272000:0.1/0.375/0.01/0.125
    priority:0.2/1/0.02/0.25 priority>272000:0.4/1.5/0.04/0.5
gpt-6-sol 2/10/0.2/2.5 >272000:4/15/0.4/5 batch:1/5/0.1/1.25 batch>272000:2/7.5/0.2/2.5 flex:1/5/0.1/1.25
    flex>272000:2/7.5/0.2/2.5 priority:4/20/0.4/5 priority>272000:8/30/0.8/10
gpt-6.1-sol 2/10/0.1/2.5 >272000:4/15/0.2/5 batch:1/5/0.05/1.25 batch>272000:2/7.5/0.1/2.5 flex:1/5/0.05/1.25
    flex>272000:2/7.5/0.1/2.5 priority:4/20/0.2/5 priority>272000:8/30/0.4/10
gpt-6.1-terra 1/5/0.05/1.25 >272000:2/7.5/0.1/2.5 batch:0.5/2.5/0.025/0.625 batch>272000:1/3.75/0.05/1.25
    flex:0.5/2.5/0.025/0.625 flex>272000:1/3.75/0.05/1.25 priority:2/10/0.1/2.5 priority>272000:4/15/0.2/5
gpt-audio|gpt-audio-1.5 2.5/10 input_audio=32 output_audio=64
gpt-audio-mini 0.6/2.4 input_audio=10 output_audio=20
gpt-chat 5/30/0.5
o1 15/60/7.5 batch:7.5/30/7.5
o1-mini 1.1/4.4/0.55
o1-preview 15/60/7.5
o1-pro 150/600 batch:75/300
o3 2/8/0.5 batch:1/4/0.5 flex:1/4/0.25 priority:3.5/14/0.875
o3-mini|o3-mini-high 1.1/4.4/0.55 batch:0.55/2.2/0.55
o3-pro 20/80 batch:10/40
o4-mini|o4-mini-high 1.1/4.4/0.275 batch:0.55/2.2/0.275 flex:0.55/2.2/0.138 priority:2/8/0.5
text-embedding-3-large 0.13
text-embedding-3-small 0.02
text-embedding-ada-002|text-embedding-ada 0.1
[google] ai.google.dev/gemini-api/docs/pricing web_search=35
gemini-2.0-flash 0.1/0.4/0.025 input_audio=0.7
gemini-2.0-flash-lite 0.075/0.3
gemini-2.5-flash 0.3/2.5/0.03 batch:0.15/1.25/0.03 input_audio=1
gemini-2.5-flash-lite 0.1/0.4/0.01 batch:0.05/0.2/0.01 input_audio=0.3
gemini-2.5-flash-preview 0.15/0.6
gemini-2.5-pro 1.25/10/0.125 >200000:2.5/15/0.25 batch:0.625/5/0.125 batch>200000:1.25/7.5/0.25
gemini-3-flash-preview 0.5/3/0.05 batch:0.25/1.5/0.05 input_audio=1
gemini-3-pro-preview|gemini-3-pro-text-preview 2/12/0.2 >200000:4/18/0.4
gemini-3.1-flash-lite 0.25/1.5/0.025 batch:0.125/0.75/0.0125 input_audio=0.5
gemini-3.1-pro-preview|gemini-pro-latest 2/12/0.2 >200000:4/18/0.4 batch:1/6/0.2 batch>200000:2/9/0.4
gemini-3.5-flash 1.5/9/0.15
gemini-3.5-flash-lite|gemini-flash-lite-latest 0.3/2.5/0.03 batch:0.15/1.25/0.02
gemini-3.6-flash 0.75/3.75/0.075 batch:0.375/1.875/0.0375
gemini-3.7-flash 0.75/3.75/0.075
gemini-3.8-flash|gemini-flash-latest 0.75/3.75/0.075 batch:0.375/1.875/0.0375
gemini-4-argon 2/10/0.1 batch:1/5/0.05
gemini-embedding-001 0.15
gemini-embedding-2 0.2 batch:0.1 input_audio=6.5 input_image=0.45
[x-ai] docs.x.ai/docs/models
grok-2-1212|grok-2 2/10
grok-3|grok-3-beta 3/15/0.75
grok-3-fast|grok-3-fast-beta 5/25/1.25
grok-3-mini|grok-3-mini-beta 0.3/0.5/0.075
grok-3-mini-fast|grok-3-mini-fast-beta 0.6/4/0.15
grok-4-0709|grok-4 3/15/0.75
grok-4-1-fast-non-reasoning 0.2/0.5/0.05
grok-4-1-fast-reasoning|grok-4-1-fast 0.2/0.5/0.05
grok-4-fast-non-reasoning 0.2/0.5/0.05
grok-4-fast-reasoning|grok-4-fast 0.2/0.5/0.05
grok-4.20|grok-4.20-0309-reasoning|grok-4.20-0309-non-reasoning 1.25/2.5/0.2 >199999:2.5/5/0.4 batch:1/2/0.16
    batch>199999:2/4/0.32
grok-4.20-multi-agent-0309|grok-4.20-multi-agent|grok-4.20-multi-agent-beta-0309 |grok-4.20-multi-agent-beta-latest
    1.25/2.5/0.2 >199999:2.5/5/0.4 batch:1/2/0.16 batch>199999:2/4/0.32
grok-4.3 1.25/2.5/0.2 >199999:2.5/5/0.4 batch:1/2/0.16 batch>199999:2/4/0.32
grok-4.5|grok-latest 2/6/0.3 >199999:4/12/0.6
grok-4.6 2/6/0.5 >199999:4/12/1
grok-4.7 2/6/0.5 >199999:4/12/1
grok-build-0.1 1/2/0.2 >199999:2/4/0.4
grok-code-fast-1|grok-code-fast 0.2/1.5/0.02
[deepseek] api-docs.deepseek.com/quick_start/pricing
deepseek-chat|deepseek-chat-v3-0324 0.27/1.1/0.07
deepseek-flash 0.3/1.2/0.006
deepseek-reasoner|deepseek-r1 0.55/2.19/0.14
deepseek-v3.1-terminus 0.27/0.95/0.13
deepseek-v3.2 0.2288/0.3432
deepseek-v3.2-exp 0.27/0.41
deepseek-v4-flash 0.3/1.2/0.006
deepseek-v4-pro 1.32/3.96/0.044
[moonshotai] platform.moonshot.ai/docs/pricing
kimi-k2 0.57/2.3
kimi-k2-0711-preview 0.6/2.5/0.15
kimi-k2-0905-preview 0.6/2.5/0.15
kimi-k2-thinking 0.6/2.5/0.15
kimi-k2-thinking-turbo 1.15/8/0.15
kimi-k2-turbo-preview 1.15/8/0.15
kimi-k2.5 0.6/3/0.1
kimi-k2.6 0.95/4/0.16
kimi-k2.7-code 0.95/4/0.19
kimi-k2.7-code-highspeed 1.9/8/0.38
kimi-k3 3/15/0.3/3/6
kimi-k3.1-pro 2/10/0.2/2/4
kimi-k3.1-pro-highspeed 4/20/0.2/4/8
moonshot-v1-128k|moonshot-v1-128k-vision-preview 2/5
moonshot-v1-8k|moonshot-v1-8k-vision-preview 0.2/2
[zai] docs.z.ai/guides/overview/pricing
glm-4.5 0.6/2.2/0.11
glm-4.5-air 0.2/1.1/0.03
glm-4.5-airx 1.1/4.5/0.22
glm-4.5-x 2.2/8.9/0.45
glm-4.5v 0.6/1.8/0.11
glm-4.6 0.6/2.2/0.11
glm-4.6v 0.3/0.9/0.05
glm-4.6v-flashx 0.04/0.4/0.004
glm-4.7 0.6/2.2/0.11
glm-4.7-flashx 0.07/0.4/0.01
glm-5 1/3.2/0.2
glm-5.1 1.4/4.4/0.26
glm-5.2 1.4/4.4/0.26
glm-5.3 1.4/4.4/0.26
glm-5.3-flash 0.15/0.5/0.03
glm-5.3-flashx|glm-5.3-flashx-legal 0.37/1.25/0.075
glm-ocr 0.03/0.03
[minimax] platform.minimax.io/docs/guides/pricing
minimax-01 0.2/1.1
minimax-m1 0.4/2.2
minimax-m2|minimax-m2.1|minimax-m2.5 0.3/1.2/0.03/0.375
minimax-m2.1-highspeed 0.6/2.4/0.03/0.375
minimax-m2.5-highspeed 0.6/2.4/0.03/0.375
minimax-m2.7 0.3/1.2/0.06/0.375
minimax-m2.7-highspeed 0.6/2.4/0.06/0.375
minimax-m3 0.3/1.2/0.06 >512000:0.6/2.4/0.12
minimax-m3.1-flash 0.15/0.6/0.015
[mistral] mistral.ai/pricing
codestral|codestral-2501 0.3/0.9 batch:0.15/0.45
codestral-2508 0.3/0.9/0.03 batch:0.15/0.45/0.015
codestral-embed-2505|codestral-embed 0.15//0.015
devstral-2512 0.4/2/0.04
devstral-small|devstral-small-2505|devstral-small-2507 0.1/0.3
magistral-medium 2/5
magistral-small 0.5/1.5
ministral-14b-2512 0.2/0.2/0.02 batch:0.1/0.1/0.01
ministral-3b 0.04/0.04
ministral-3b-2512 0.1/0.1/0.01 batch:0.05/0.05/0.005
ministral-8b 0.15/0.15/0.015 batch:0.075/0.075/0.0075
ministral-8b-2512 0.15/0.15/0.015 batch:0.075/0.075/0.0075
mistral-embed|mistral-embed-2312 0.1/0.1 batch:0.05/0.05
mistral-large|mistral-large-2407|mistral-large-2411 2/6
mistral-large-2512 0.5/1.5/0.05 batch:0.25/0.75/0.025
mistral-large-4|mistral-large-4-0 0.7/2.1/0.07 batch:0.35/1.05/0.035
mistral-medium|mistral-medium-latest 1.5/7.5/0.15 batch:0.75/3.75/0.075
mistral-medium-2312 2.7/8.1
mistral-medium-3-1|mistral-medium|mistral-medium-2505|mistral-medium-2508 0.4/2/0.04
mistral-medium-3-5|mistral-medium-3.5|mistral-medium-3|mistral-medium-2604 1.5/7.5/0.15 batch:0.75/3.75/0.075
mistral-nemo 0.15/0.15
mistral-small 0.15/0.6/0.015 batch:0.075/0.3/0.0075
mistral-small-2603 0.15/0.6/0.015 batch:0.075/0.3/0.0075
[cohere] cohere.com/pricing
command 1/2
command-a 2.5/10
command-light 0.3/0.6
command-r 0.15/0.6
command-r-plus 2.5/10
command-r7b 0.0375/0.15
embed-v4.0 0.12
"""
