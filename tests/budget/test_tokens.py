"""Token counts: texts, messages of three wire formats, tools, images, and what is learned from reports."""

from __future__ import annotations

import base64
import gzip
import json
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentprod as ap
from agentprod.budget import encodings, tokens
from agentprod.budget.estimate import estimate_tokens
from agentprod.budget.media_tokens import audio_tokens, document_tokens, image_size, image_tokens
from agentprod.budget.message_tokens import count_messages, count_tools
from agentprod.budget.token_factors import TokenFactors
from agentprod.budget.tokenizers import tokenizer_of
from agentprod.budget.tokens import count_request, count_tokens, learn, measure

DATA = os.environ.get("AGENTPROD_DATA")
with_data = pytest.mark.skipif(DATA is None, reason="AGENTPROD_DATA is not set")

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name of the city"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "array", "items": {"type": "object", "properties": {"day": {"type": "integer"}}}},
                "place": {"anyOf": [{"properties": {"lat": {"type": "number"}}}, {"type": "null"}]},
            },
            "$defs": {"Point": {"properties": {"x": {"type": "number"}}}},
        },
    },
}


def letters(text: str) -> int:
    """A tokenizer whose tokens are characters: counts can be read off the page."""
    return len(text)


@pytest.fixture(autouse=True)
def no_encodings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Count by estimate, and learn nothing from test to test."""
    monkeypatch.setattr(encodings, "_find", lambda *_: None)
    tokens.forget()
    yield
    tokens.forget()


@pytest.fixture
def real_encodings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count with the encodings of the development data."""
    monkeypatch.undo()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(Path(str(DATA)) / "tiktoken"))
    tokens.forget()
    assert tokens.load()


@with_data
@pytest.mark.usefixtures("real_encodings")
def test_texts_of_openai_models_are_exact() -> None:
    """With the encoding at hand a text is counted as OpenAI counts it, special tokens as text."""
    assert measure("Hello, world! 你好，世界。", "gpt-4o-2024-08-06") == tokens.TokenCount(9, 9, exact=True)
    assert count_tokens("Hello, world! 你好，世界。", "gpt-4-turbo") == 12
    assert count_tokens("<|endoftext|>", "gpt-5") == 7
    assert not measure("Hello", "claude-sonnet-4-5").exact


@with_data
@pytest.mark.usefixtures("real_encodings")
def test_messages_count_as_the_cookbook_does() -> None:
    """The example conversation of OpenAI's cookbook is counted as its API reported it: 124 tokens for gpt-4o."""
    jargon = "Sorry, but I can't take on extra work: business jargon into plain English."
    messages = [
        {"role": "system", "content": "You are a helpful, pattern-following assistant."},
        {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
        {"role": "user", "content": jargon},
    ]
    texts = sum(count_tokens(message["content"], "gpt-4o") for message in messages)
    assert count_tokens(messages, "gpt-4o") == texts + 3 * (3 + 1) + (1 + count_tokens("example_user", "gpt-4o")) + 3


def lines_of(file: str, field: str) -> list[str]:
    """A field of the rows of a file of the development data."""
    return [json.loads(line)[field] for line in (Path(str(DATA)) / file).read_text("utf-8").splitlines()]


def together(texts: list[str], count: int = 10) -> list[str]:
    """So many texts at a time: of single short ones an estimate may be off by a token or two."""
    return ["\n".join(texts[start : start + count]) for start in range(0, min(len(texts), 1000), count)]


def is_chinese(text: str) -> bool:
    return any("一" <= char <= "鿿" for char in text)


def answers() -> list[str]:
    """What models answered to questions of mathematics."""
    with gzip.open(Path(str(DATA)) / "router" / "routellm_gsm8k.jsonl.gz", "rt", encoding="utf-8") as rows:
        return [json.loads(row)["responses"]["strong"] for row, _ in zip(rows, range(500), strict=False)]


CORPORA: dict[str, Callable[[], list[str]]] = {
    "questions": lambda: together(lines_of("cache/banking77.test.jsonl", "text")),
    "letters and forms": lambda: together(lines_of("pii/en_structured_dev.jsonl", "text")),
    "Chinese": lambda: together([text for text in lines_of("pii/neg_numbers_dates.jsonl", "text") if is_chinese(text)]),
    "code": lambda: [file.read_text("utf-8")[:3000] for file in sorted(Path(ap.__file__).parent.rglob("*.py"))],
    "JSON": lambda: [
        json.dumps([{"id": number, "text": text, "tags": ["a", None]}], indent=number % 2 or None, ensure_ascii=False)
        for number, text in enumerate(lines_of("cache/clinc150.test.jsonl", "text")[:500])
    ],
    "answers": answers,
}


@with_data
@pytest.mark.parametrize("encoding", encodings.BUILT_IN)
@pytest.mark.parametrize("corpus", CORPORA)
def test_estimates_are_close(encoding: str, corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the encoding a text is estimated within 8 percent at the median, within 22 for 95 of 100."""
    monkeypatch.undo()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(Path(str(DATA)) / "tiktoken"))
    encodings.forget()
    real = encodings.get(encoding)
    assert real is not None
    texts = [text for text in CORPORA[corpus]() if text]
    exact = [encodings.encode_length(real, text) for text in texts]
    off = sorted(abs(estimate_tokens(text, encoding) / count - 1) for text, count in zip(texts, exact, strict=True))
    assert off[len(off) // 2] <= 0.08
    assert off[len(off) * 95 // 100] <= 0.22


@given(st.text(max_size=300))
def test_an_estimate_is_a_number_of_tokens(text: str) -> None:
    """Any text has an estimate: none for nothing, at least one for something, at most its bytes."""
    for encoding in encodings.BUILT_IN:
        estimate = estimate_tokens(text, encoding)
        assert (estimate >= 1) == bool(text)
        assert estimate <= len(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    "text", ["a" * 10**6, " " * 10**6, "中" * 10**6, "\ud800" * 1000, "<|endoftext|>", "\x00\x01", "👩‍👩‍👧‍👦" * 1000]
)
def test_odd_texts_are_counted_quickly(text: str) -> None:
    """A megabyte of one letter, half characters and control characters neither raise nor hang."""
    start = time.process_time()
    assert count_tokens(text, "gpt-4o") > 0
    assert time.process_time() - start < 5


def test_messages_are_text_and_frame() -> None:
    """Each message adds three tokens and its role, a name one more, and the reply begins with three."""
    messages = [{"role": "user", "content": "12345"}, {"role": "user", "name": "ann", "content": "1"}]
    assert count_messages(messages, letters, "gpt-4o") == (3 + 1 + 5) + (3 + 1 + 1 + 3 + 1) + 3
    assert count_messages(messages[0], letters, "gpt-4o") == 3 + 1 + 5 + 3
    assert count_messages([], letters, "gpt-4o") == 0
    assert count_messages(None, letters, "gpt-4o") == 0
    assert count_messages("12345", letters, "gpt-4o") == 5


@pytest.mark.parametrize(
    ("message", "content"),
    [
        ({"role": "user", "content": [{"type": "text", "text": "1234"}, {"type": "text", "text": "5"}]}, 5),
        ({"role": "assistant", "content": None}, 0),
        ({"role": "assistant", "content": None, "refusal": "12"}, 2),
        (
            {"role": "assistant", "content": "1", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "ab", "arguments": "{}"}}]},
            1 + 7 + 2 + 2,
        ),
        ({"role": "assistant", "tool_calls": [{"type": "custom", "custom": {"name": "ab", "input": "xyz"}}]}, 7 + 5),
        ({"role": "tool", "tool_call_id": "call_1", "content": "12345"}, 5),
        ({"role": "assistant", "content": [
            {"type": "thinking", "thinking": "123", "signature": "c2lnbmF0dXJl"},
            {"type": "tool_use", "id": "t", "name": "ab", "input": {"c": "1"}}]}, 3 + 7 + 2 + 10),
        ({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "12"}]}]}, 2),
        ({"role": "user", "content": [{"type": "mystery", "inner": {"deep": ["123", 4, True, None]}}]}, 3 + 1),
    ],
)  # fmt: skip
def test_parts_of_every_wire_format_are_counted(message: dict[str, Any], content: int) -> None:
    """Text counts wherever it stands; identifiers and signatures do not; unknown parts are not free."""
    assert count_messages([message], letters, "gpt-4o") == 3 + 1 + content + 3


def test_items_of_the_responses_api_are_counted() -> None:
    """Function calls, their outputs and reasoning summaries are items of their own."""
    items = [
        {"type": "function_call", "call_id": "c", "name": "ab", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "12345"},
        {"type": "reasoning", "encrypted_content": "AAAA", "summary": [{"type": "summary_text", "text": "123"}]},
    ]
    assert count_messages(items, letters, "gpt-5") == 3 * 3 + 4 + 5 + 3 + 3


def test_objects_of_an_sdk_count_as_what_they_dump() -> None:
    """A reply's message may be put back into the next request as it is."""

    class Message:
        def model_dump(self) -> dict[str, Any]:
            return {"role": "assistant", "content": "12345"}

    assert count_messages([Message()], letters, "gpt-4o") == 3 + 1 + 5 + 3
    assert count_messages([object()], letters, "gpt-4o") == 3 + 1 + 3


def test_nesting_and_circles_end() -> None:
    """Absurdly deep or circular content is counted up to a depth."""
    deep: list[Any] = ["x"]
    for _ in range(500):
        deep = [deep]
    circle: dict[str, Any] = {"type": "tool_use", "name": "ab"}
    circle["input"] = circle
    assert count_messages([{"role": "user", "content": deep}], letters, "m") > 7
    assert count_messages([{"role": "user", "content": [circle]}], letters, "m") == 3 + 1 + 7 + 2 + 3


def test_tools_are_counted_with_their_schemas() -> None:
    """Names, descriptions, properties, choices and nested schemas are all read by the model."""
    names = ["get_weather:Get the weather of a city"]
    properties = ["city:string:Name of the city", "unit:string:", "days:array:", "day:integer:", "place::",
                  "lat:number:", "x:number:"]  # fmt: skip
    enums = ["celsius", "fahrenheit"]
    text = sum(map(len, names + properties + enums))
    assert count_tools([WEATHER], letters) == 7 + 3 * len(properties) + 3 * len(enums) + text + 12
    anthropic = {"name": "ab", "input_schema": {"properties": {"c": {"type": "string"}}}}
    assert count_tools([anthropic], letters, preamble=346) == 7 + 3 + 3 + len("c:string:") + 12 + 346
    assert count_tools([{"type": "web_search"}], letters) == 7 + len("web_search:") + 12
    assert count_tools([{"function": None}, 3], letters) == 7 + 12
    nothings: tuple[object, ...] = (None, [], "text", {})
    for nothing in nothings:
        assert count_tools(nothing, letters) == 0


@pytest.mark.parametrize(
    ("request_body", "parts"),
    [
        ({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}, ["hi"]),
        ({"model": "gpt-4o", "input": "hi", "instructions": "be brief"}, ["be brief", "hi"]),
        ({"model": "gpt-4o", "input": [{"role": "user", "content": "hi"}]}, ["hi"]),
    ],
)
def test_whole_requests_are_counted(request_body: dict[str, Any], parts: list[str]) -> None:
    """System prompts and instructions count as messages."""
    messages = [{"role": "user", "content": part} for part in parts]
    assert count_request(request_body).tokens == count_tokens(messages, "gpt-4o")


def test_a_request_counts_tools_and_for_another_model() -> None:
    """Tools are part of the input, and a route may count for the model it considers."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "tools": [WEATHER]}
    assert count_request(body).tokens == count_tokens(body["messages"], "gpt-4o", body["tools"])
    assert count_request(body, "claude-sonnet-4-5").tokens > count_request(body).tokens + 300
    system = {"system": [{"type": "text", "text": "be brief"}], "messages": []}
    assert count_request(system, "claude-3-haiku").unscaled == 3 + 1 + estimate_tokens("be brief", "o200k_base") + 3


def test_embedding_inputs_have_no_frame() -> None:
    """Texts, token lists and lists of texts count as they are."""
    text = estimate_tokens("hello there", "cl100k_base")
    for body in ("hello there", ["hello there"]):
        assert count_request({"model": "text-embedding-3-small", "input": body}).tokens == text
    assert count_request({"model": "text-embedding-3-small", "input": [[1, 2, 3], [4]]}).tokens == 4
    assert count_request({"model": "text-embedding-3-small", "input": [1, 2, 3]}).tokens == 3
    assert count_request({"model": "m"}).tokens == 0


def test_learning_makes_up_for_an_unknown_tokenizer() -> None:
    """A tokenizer 1.3 times denser than thought is known within five percent after twenty reports."""
    texts = [f"question {number}: " + "why does the sky look blue at noon " * (1 + number % 7) for number in range(20)]
    for text in texts:
        learn("claude-sonnet-4-5-20250929", measure(text, "claude-sonnet-4-5").unscaled,
              round(1.3 * measure(text, "claude-sonnet-4-5").unscaled))  # fmt: skip
    count = measure("how many tokens does this one take, all in all?" * 5, "anthropic/claude-sonnet-4.5")
    assert count.tokens == pytest.approx(1.3 * count.unscaled, rel=0.05)


def test_learning_follows_a_change_and_ignores_nonsense() -> None:
    """Old reports fade; reports of nothing change nothing; factors stay within reason."""
    factors = TokenFactors()
    factors.learn("m", 1000, 0)
    factors.learn("m", 0, 1000)
    assert factors.factor("m", 1.2) == 1.2
    for _ in range(20):
        factors.learn("m", 1000, 1300)
    for _ in range(20):
        factors.learn("m", 1000, 800)
    assert factors.factor("m") == pytest.approx(0.8, abs=0.05)
    for _ in range(20):
        factors.learn("m", 10, 10**9)
    assert factors.factor("m") == 4.0


def test_learned_models_are_bounded() -> None:
    """Names come from users; the oldest are forgotten."""
    factors = TokenFactors()
    for number in range(1500):
        factors.learn(f"m{number}", 1000, 2000)
    assert factors.factor("m0") == 1.0
    assert factors.factor("m1499") > 1.5


def test_many_threads_learn_at_once() -> None:
    """No report is lost between threads, and none counts twice."""
    factors = TokenFactors()

    def report() -> None:
        for _ in range(200):
            factors.learn("m", 1000, 1500)

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert factors.factor("m") == pytest.approx((1500 * 5 + 200) / (1000 * 5 + 200), rel=1e-6)


def test_repeated_texts_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A history that grows by one message is not counted again from its start; the memory of it is bounded."""
    counted: list[str] = []

    def counting(text: str, encoding: str) -> int:
        counted.append(text)
        return len(text)

    monkeypatch.setattr(tokens, "estimate_tokens", counting)
    history = [{"role": "user", "content": f"message {number}"} for number in range(20)]
    count_tokens(history, "gpt-4o")
    count_tokens([*history, {"role": "user", "content": "one more"}], "gpt-4o")
    assert len(counted) == 21
    for number in range(9000):
        count_tokens(f"text {number}", "gpt-4o")
    assert max(len(memo.counts) for memo in tokens._memos.values()) <= 8192
    count_tokens("x" * 2_000_000, "gpt-4o")
    count_tokens("x" * 2_000_000, "gpt-4o")
    assert len(counted) == 21 + 9000 + 2


@pytest.mark.parametrize(
    ("model", "encoding", "own"),
    [
        ("gpt-4o", "o200k_base", True), ("gpt-4.1-mini", "o200k_base", True), ("gpt-5.6-sol", "o200k_base", True),
        ("o3-mini", "o200k_base", True), ("chatgpt-4o-latest", "o200k_base", True),
        ("gpt-4", "cl100k_base", True), ("gpt-4-turbo-2024-04-09", "cl100k_base", True),
        ("gpt-35-turbo", "cl100k_base", True), ("text-embedding-3-large", "cl100k_base", True),
        ("ft:gpt-4o-mini-2024-07-18:a::b", "o200k_base", True), ("claude-opus-4-8", "o200k_base", False),
        ("gemini-2.5-pro", "o200k_base", False), ("my-own", "o200k_base", False),
    ],
)  # fmt: skip
def test_each_model_has_an_encoding(model: str, encoding: str, own: bool) -> None:
    """OpenAI's models have their own; for others one stands in."""
    tokenizer = tokenizer_of(model)
    assert (tokenizer.encoding, tokenizer.own) == (encoding, own)


def test_newer_claude_tokenizers_are_denser() -> None:
    """From Opus 4.7 on, Anthropic's tokenizer makes some thirty percent more tokens of the same text."""
    old, new = tokenizer_of("claude-opus-4-6").factor, tokenizer_of("claude-opus-4-7").factor
    assert new == pytest.approx(1.3 * old)
    assert tokenizer_of("claude-haiku-4-5").factor == old
    assert tokenizer_of("us.anthropic.claude-sonnet-5-5-v1:0").factor == new


def png(width: int, height: int) -> str:
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", width, height)).decode()


def jpeg(width: int, height: int) -> bytes:
    segment = b"\xff\xe0" + struct.pack(">H", 16) + b"\0" * 14
    return b"\xff\xd8" + segment + b"\xff\xc0" + struct.pack(">HBHH", 17, 8, height, width) + b"\0" * 10


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (base64.b64decode(png(640, 480)), (640, 480)),
        (b"GIF89a" + struct.pack("<HH", 32, 64), (32, 64)),
        (jpeg(1024, 768), (1024, 768)),
        (b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + (99).to_bytes(3, "little") + (49).to_bytes(3, "little"), (100, 50)),
        (b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 10 + struct.pack("<HH", 320, 200), (320, 200)),
        (b"RIFF\0\0\0\0WEBPVP8L" + b"\0" * 5 + (319 | 199 << 14).to_bytes(4, "little"), (320, 200)),
        (b"RIFF\0\0\0\0WEBPVP9 " + b"\0" * 20, None),
        (b"\xff\xd8\xff\xe0", None),
        (b"\xff\xd8\x00\x00" + b"\0" * 20, None),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 16, None),
        (b"GIF", None),
        (b"", None),
    ],
)
def test_sizes_are_read_from_the_first_bytes(data: bytes, size: tuple[int, int] | None) -> None:
    """PNG, GIF, JPEG and the three kinds of WebP tell their size; what is broken or unknown has none."""
    encoded = base64.b64encode(data).decode()
    assert image_size(f"data:image/any;base64,{encoded}") == size
    assert image_size({"type": "base64", "data": encoded}) == size


def test_images_elsewhere_have_no_size() -> None:
    """An address, a file id or a broken encoding tells nothing."""
    assert image_size("https://example.com/a.png") is None
    assert image_size({"type": "url", "url": "https://example.com/a.png"}) is None
    assert image_size("data:image/png;base64,éééé") is None


@pytest.mark.parametrize(
    ("model", "size", "detail", "expected"),
    [
        ("gpt-4o", (1024, 1024), "high", 85 + 4 * 170),
        ("gpt-4o", (2048, 4096), "high", 85 + 6 * 170),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4o-mini", (1024, 1024), "auto", 2833 + 4 * 5667),
        ("gpt-5", (1024, 1024), "high", 70 + 4 * 140),
        ("o3", (512, 512), "high", 75 + 150),
        ("gpt-4.1-mini", (1024, 1024), "auto", 1659),
        ("gpt-5-nano", (1800, 2400), "auto", 3779),
        ("gpt-6-sol", None, "auto", 2489),
        ("gpt-4o", None, "auto", 85 + 4 * 170),
        ("claude-sonnet-4-5", (1092, 1092), "auto", 1590),
        ("claude-sonnet-4-5", (200, 200), "auto", 54),
        ("claude-sonnet-4-5", (8000, 8000), "auto", 1600),
        ("claude-opus-4-8", None, "auto", 4784),
        ("gemini-2.5-pro", (300, 300), "auto", 258),
        ("gemini-2.5-pro", (1000, 700), "auto", 516),
        ("some-model", None, "auto", 1600),
    ],
)
def test_images_take_what_the_guides_say(model: str, size: tuple[int, int] | None, detail: str, expected: int) -> None:
    """Tiles, patches or pixels, by the vendors' rules; the largest image where the size is unknown."""
    assert image_tokens(model, size, detail) == expected


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png(512, 512)}", "detail": "high"}},
        {"type": "image_url", "image_url": f"data:image/png;base64,{png(512, 512)}"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{png(512, 512)}", "detail": "high"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png(512, 512)}},
    ],
)
def test_images_in_messages_are_not_counted_as_text(part: dict[str, Any]) -> None:
    """However the bytes are carried, an image costs what its size says."""
    message = [{"role": "user", "content": [part]}]
    assert count_messages(message, letters, "gpt-4o") == 3 + 1 + (85 + 170) + 3


def test_audio_and_documents_in_messages() -> None:
    """Spoken seconds and pages are counted, not their bytes."""
    second = base64.b64encode(b"\0" * 48_000).decode()
    audio = {"type": "input_audio", "input_audio": {"data": second, "format": "wav"}}
    pages = base64.b64encode(b"%PDF /Type /Page /Type /Pages /Type/Page\n").decode()
    file = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{pages}", "filename": "a.pdf"}}
    document = {"type": "document", "source": {"type": "base64", "data": pages}}
    plain = {"type": "document", "title": "ab", "source": {"type": "text", "data": "12345"}}
    content = {"role": "user", "content": [audio, file, document, plain, {"type": "input_audio"}]}
    assert count_messages([content], letters, "gpt-4o") == 3 + 1 + 11 + 2 * (2 * 2250) + 7 + 3
    assert audio_tokens(second, "mp3") == 31
    assert document_tokens(base64.b64encode(b"\0" * 200_000).decode()) == 4 * 2250
    assert document_tokens("not base64!") == 2250


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "image_url", "source", "tool_calls", "function", "input", "name",
                 "parameters", "properties", "items", "enum", "anyOf", "$defs", "data", "file", "input_audio", "output"]
            ),
            inner | st.sampled_from(["image", "image_url", "document", "file", "tool_use", "input_audio", "user"]),
            max_size=4,
        ),
        max_leaves=12,
    )
)  # fmt: skip
def test_no_request_raises(body: Any) -> None:
    """Whatever is put into a request, there is a count."""
    assert count_tokens(body, "gpt-4o", tools=body) >= 0
    assert count_request({"messages": body, "system": body, "tools": body, "model": "claude-3-haiku"}).tokens >= 0
