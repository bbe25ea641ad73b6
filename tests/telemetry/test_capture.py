"""The one way message text may leave a call."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentprod.errors import ConfigError
from agentprod.telemetry.binary import without_data_urls
from agentprod.telemetry.capture import Capture, CaptureMode, capture_mode

CANARY = "ann@example.com"
PICTURE = base64.b64encode(random.Random(1).randbytes(30_000)).decode()


def scrub(text: str) -> str:
    return text.replace(CANARY, "[EMAIL]").replace("秘密", "[SECRET]")


@pytest.fixture
def capture() -> Capture:
    return Capture(scrub)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "parts": [{"type": "text", "content": text}]}


def read(text: str | None) -> Any:
    assert text is not None
    return json.loads(text)


def test_text_is_scrubbed_and_structure_kept(capture: Capture) -> None:
    """The conversation comes out as it went in, without what the scrubber takes."""
    messages = [
        {"role": "system", "parts": [{"type": "text", "content": "用中文回答"}]},
        user(f"I am {CANARY}, 秘密"),
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "mail", "arguments": {"to": CANARY}}],
        },
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "c1", "response": {CANARY: [1, 2.5, None, True]}}],
        },
    ]
    assert read(capture.messages(messages)) == [
        messages[0],
        user("I am [EMAIL], [SECRET]"),
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "mail", "arguments": {"to": "[EMAIL]"}}],
        },
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "c1", "response": {"[EMAIL]": [1, 2.5, None, True]}}],
        },
    ]
    assert "用中文回答" in str(capture.messages(messages))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=40), inner, max_size=8),
    max_leaves=40,
)


@settings(max_examples=60)
@given(st.lists(json_values, max_size=12), st.sampled_from([(256, 512), (512, 2048), (8192, 65536)]))
def test_whatever_comes_the_result_is_json_within_its_limit(messages: list[Any], limits: tuple[int, int]) -> None:
    """Any messages become a JSON array no longer than the limit, in UTF-8 that can be sent."""
    message_bytes, span_bytes = limits
    text = Capture(str, message_bytes=message_bytes, span_bytes=span_bytes).messages(messages)
    assert isinstance(read(text), list)
    assert text is not None
    assert len(text.encode()) <= span_bytes
    one = Capture(str, message_bytes=message_bytes, span_bytes=span_bytes).value(messages)
    assert one is not None
    assert len(one.encode()) <= message_bytes


def test_long_texts_are_cut(capture: Capture) -> None:
    """A message of 1 MB becomes one of 8 kB that says how much is missing."""
    for text in ("hello world " * 90_000, "汉字与标点，" * 90_000, '"quoted"\n' * 90_000):
        found = capture.messages([user(text)])
        content = read(found)[0]["parts"][0]["content"]
        kept, _, rest = content.partition("… [")
        assert text.startswith(kept)
        assert rest == f"{len(text) - len(kept)} more characters]"
        assert 3_000 < len(str(found).encode()) <= 8194


def test_of_many_messages_the_first_and_the_latest_stay(capture: Capture) -> None:
    """A conversation of 200 long messages keeps its system prompt and its end."""
    messages = [{"role": "system", "parts": []}, *(user(f"{number} " + "word " * 1000) for number in range(200))]
    found = read(capture.messages(messages))
    assert found[0] == messages[0]
    assert found[-1]["parts"][0]["content"].startswith("199 ")
    assert found[1]["parts"][0]["content"] == f"[{201 - len(found) + 1} messages left out]"
    assert len(found) > 10


def test_what_stands_on_the_border_is_still_scrubbed(capture: Capture) -> None:
    """Cutting never leaves half of a canary, wherever it stands."""
    for place in (8000, 8140, 8180, 32_768, 40_950, 40_960, 41_000):
        text = "x" * (place - 5) + CANARY + "y" * 60_000
        found = str(capture.messages([user(text)]))
        assert "ann@" not in found
        assert "example" not in found


def test_a_text_that_scrubs_to_nothing_shows_nothing() -> None:
    """When the scrubber takes nearly all of a text, the place where looking stopped does not show either."""
    capture = Capture(lambda text: text.replace(CANARY, ""))
    for shift in range(15):
        found = str(capture.text("." * shift + CANARY * 5000))
        assert "@" not in found
        assert "more characters" in found


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}, "[image/png, 30000 bytes]"),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PICTURE}},
            "[image/jpeg, 30000 bytes]",
        ),
        ({"type": "input_audio", "input_audio": {"format": "wav", "data": PICTURE}}, "[wav, 30000 bytes]"),
        ({"inline_data": {"mime_type": "application/pdf", "data": PICTURE}}, "[application/pdf, 30000 bytes]"),
        ({"type": "blob", "mime_type": "image/png", "content": b"\x89PNG"}, "[image/png, 4 bytes]"),
        ({"type": "blob", "mime_type": "<script>", "content": PICTURE}, "[base64, 30000 bytes]"),
        ({"type": "text", "text": PICTURE}, "[base64, 30000 bytes]"),
        ({"type": "text", "text": f"![x](data:image/svg+xml;charset=utf-8;base64,{PICTURE}) ok"}, "(["),
        ({"type": "file", "file": {"file_data": b"\x00" * 10}}, "[bytes]"),
    ],
)
def test_encoded_files_become_type_and_size(capture: Capture, part: dict[str, Any], shown: str) -> None:
    """Pictures, sound and documents are told by type and length, in every provider's way of writing them."""
    found = str(capture.messages([{"role": "user", "content": [part]}]))
    assert shown in found
    assert PICTURE[:40] not in found
    assert len(found) < 250


def test_words_are_not_taken_for_files() -> None:
    """Prose, paths and short codes stay as they are."""
    for text in ("hello world " * 100, "a/b/c" * 30, PICTURE[:200], "汉" * 300, "x" * 300 + " y"):
        assert without_data_urls(text) == text


def test_strange_values_are_told_by_type(capture: Capture) -> None:
    """Objects are not asked for their repr; numbers JSON lacks become words; other mappings and tuples are read."""
    value = {
        "object": capture,
        "nan": float("nan"),
        "view": MappingProxyType({"to": CANARY}),
        "pair": (1, CANARY),
        3: "three",
    }
    assert read(capture.value(value)) == {
        "object": "[Capture]",
        "nan": "nan",
        "view": {"to": "[EMAIL]"},
        "pair": [1, "[EMAIL]"],
        "3": "three",
    }


def test_depth_and_width_are_limited(capture: Capture) -> None:
    """Endless nesting, long lists and wide objects are cut."""
    loop: list[Any] = []
    loop.append(loop)
    assert "[nested too deep]" in str(capture.value(loop))
    knot: dict[str, Any] = {}
    knot["a"] = knot
    assert "[nested too deep]" in str(capture.value(knot))
    assert "[300 more left out]" in str(capture.value([1] * 500))
    wide = read(capture.value({str(number): 1 for number in range(500)}))
    assert (len(wide), wide["…"]) == (201, "[300 more left out]")
    assert "more left out" in str(capture.value([[{"a": [1] * 150}] * 150] * 20))


def test_a_long_text_leaves_room_for_what_follows(capture: Capture) -> None:
    """The role and the ids after a text of 1 MB are still there."""
    found = read(capture.messages([{"content": "word " * 200_000, "role": "user", "id": "msg_0123456789"}]))
    assert (found[0]["role"], found[0]["id"]) == ("user", "msg_0123456789")


def test_a_message_of_nothing_but_structure_is_left_out() -> None:
    """When not even the cut message fits, a note stands for it."""
    found = Capture(str, message_bytes=256).value([{"\x00" * 50: {}} for _ in range(30)])
    assert "many small parts" in str(found)


def test_half_of_a_pair_does_not_stop_the_export(capture: Capture) -> None:
    """A lone surrogate, which no exporter could send, is replaced."""
    assert read(capture.messages([user("a\ud83dz")]))[0]["parts"][0]["content"] == "a?z"
    assert capture.text("a\ud83dz") == "a?z"


def test_an_exception_is_scrubbed_and_short(capture: Capture) -> None:
    """The message of an exception, which often quotes the prompt, is scrubbed and cut; so is its traceback."""
    error = ValueError(f"no such user {CANARY} " + "x" * 2000)
    found = capture.error(error)
    assert found is not None
    assert found.startswith("no such user [EMAIL] xxx")
    assert len(found) <= 510
    try:
        raise error
    except ValueError as raised:
        trace = capture.stack(raised)
    assert trace is not None
    assert "Traceback" in trace
    assert CANARY not in trace


class Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_what_fails_is_dropped_and_counted(dropped: Callable[[str], int]) -> None:
    """A scrubber, a hook or an exception that raises costs the content, never the call; nothing goes out unscrubbed."""

    def fail(text: Any) -> Any:
        raise RuntimeError(text)

    broken = Capture(fail)
    assert broken.messages([user(CANARY)]) is None
    assert broken.value({"a": CANARY}) is None
    assert broken.text(CANARY) is None
    assert broken.error(ValueError(CANARY)) is None
    assert broken.stack(ValueError(CANARY)) is None
    assert broken.error(Rude()) is None
    assert Capture(scrub, hook=fail).messages([user("x")]) is None
    assert dropped("capture") == 7


def test_a_traceback_that_cannot_be_written_is_dropped(
    capture: Capture, dropped: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Formatting a traceback may fail on strange exceptions."""
    monkeypatch.setattr("traceback.format_exception", lambda error: 1 / 0)
    assert capture.stack(ValueError("x")) is None
    assert dropped("capture") == 1


def test_a_hook_sees_what_is_recorded_and_may_change_it() -> None:
    """After scrubbing and cutting the hook decides: something else, or nothing."""
    seen: list[Any] = []

    def hook(value: Any) -> Any:
        seen.append(value)
        return None if "drop" in str(value) else {"kept": value}

    capture = Capture(scrub, hook=hook)
    assert read(capture.messages([user(CANARY)])) == {"kept": [user("[EMAIL]")]}
    assert capture.messages([user("drop")]) is None
    assert read(capture.value([1])) == {"kept": [1]}
    assert seen[0] == [user("[EMAIL]")]


@pytest.mark.parametrize(
    ("option", "environment", "mode"),
    [
        (None, {}, CaptureMode()),
        ("none", {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY"}, CaptureMode()),
        (None, {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY"}, CaptureMode(span=True)),
        (None, {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": " event_only"}, CaptureMode(event=True)),
        (None, {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_AND_EVENT"}, CaptureMode(True, True)),
        (None, {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "NO_CONTENT"}, CaptureMode()),
        (None, {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "yes"}, CaptureMode()),
        ("span", {}, CaptureMode(span=True)),
        ("event", {}, CaptureMode(event=True)),
        ("both", {}, CaptureMode(True, True)),
    ],
)
def test_nothing_is_captured_unless_asked(
    option: str | None, environment: Mapping[str, str], mode: CaptureMode
) -> None:
    """The option decides, then OpenTelemetry's own variable, and what is not understood captures nothing."""
    found = capture_mode(option, environ=environment)
    assert found == mode
    assert bool(found) == (mode.span or mode.event)


def test_bad_options_are_named() -> None:
    """Modes that do not exist and limits that leave no room raise."""
    with pytest.raises(ConfigError, match="'none', 'span', 'event', 'both', got 'all'"):
        capture_mode("all")
    with pytest.raises(ConfigError, match="at least 256"):
        Capture(str, message_bytes=10)
    with pytest.raises(ConfigError, match="at least twice that, got 8192 and 4096"):
        Capture(str, span_bytes=4096)
