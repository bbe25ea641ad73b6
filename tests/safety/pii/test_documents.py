"""JSON: every leaf is examined, documents stay valid, types come back, and what is not personal is not touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentprod.errors import Blocked
from agentprod.safety.pii import (
    Scrubber,
    Vault,
    json_restore_stream,
    json_scrub_stream,
    restore_json,
    restore_value,
    scrub_json,
    scrub_value,
)
from agentprod.safety.pii.json_text import is_json
from tests.safety.pii.texts import fragments

SCRUBBER = Scrubber(secrets="placeholder", memo=0)


def test_strings_numbers_and_keys_are_scrubbed_and_types_come_back() -> None:
    """A number that is a telephone number becomes a placeholder and a number again."""
    vault = Vault()
    value = {
        "phone": 13812345678,
        "n": 1.5,
        "ok": True,
        "none": None,
        "list": ("ann@x.org", 7, {"13812345678": "x"}),
        "card": 4111111111111111.0,
    }
    scrubbed = scrub_value(value, SCRUBBER, vault)
    assert scrubbed["phone"] == "[[PHONE_1]]"
    assert scrubbed["list"] == ("[[EMAIL_1]]", 7, {"[[PHONE_2]]": "x"})
    assert restore_value(scrubbed, vault) == value
    assert isinstance(restore_value(scrubbed, vault)["phone"], int)


def test_what_holds_nothing_is_the_same_object() -> None:
    """Nothing is copied that need not be, and nothing is changed in place."""
    clean, dirty = {"a": [1, "x"]}, ["ann@x.org"]
    value = {"clean": clean, "dirty": dirty}
    scrubbed = scrub_value(value, SCRUBBER, Vault())
    assert scrubbed["clean"] is clean
    assert dirty == ["ann@x.org"]
    assert scrub_value(clean, SCRUBBER, Vault()) is clean
    assert restore_value(clean, Vault()) is clean


def test_the_key_and_the_value_beside_it_are_context() -> None:
    """A number is a telephone number because its key, or the label before it, says so."""
    found = scrub_value({"phone": "2813882583", "id": "2813882583"}, SCRUBBER, Vault())
    assert found == {"phone": "[[PHONE_1]]", "id": "2813882583"}
    labelled = {"type": "phone", "value": "2813882583"}
    assert scrub_value(labelled, SCRUBBER, Vault())["value"] == "[[PHONE_1]]"
    assert json.loads(scrub_json(json.dumps(labelled), SCRUBBER, Vault()))["value"] == "[[PHONE_1]]"
    assert json.loads(scrub_json('{"phones": ["2813882583"]}', SCRUBBER, Vault()))["phones"] == ["[[PHONE_1]]"]


def test_two_keys_that_write_one_number_stay_two() -> None:
    """A key has the placeholder of its exact form, so no entry is lost."""
    vault = Vault()
    value = {"138 1234 5678": 1, "13812345678": 2}
    scrubbed = scrub_value(value, SCRUBBER, vault)
    assert len(scrubbed) == 2
    assert restore_value(scrubbed, vault) == value


def test_json_in_a_string_stays_json() -> None:
    """Tool arguments are JSON in a string; values with quotes, backslashes and newlines survive."""
    vault = Vault()
    inner = {"mobile": 13812345678, "to": "ann@x.org", "n": [1]}
    value = {"arguments": json.dumps(inner)}
    scrubbed = scrub_value(value, SCRUBBER, vault)
    assert json.loads(scrubbed["arguments"]) == {"mobile": "[[PHONE_1]]", "to": "[[EMAIL_1]]", "n": [1]}
    assert restore_value(scrubbed, vault) == value
    nested = json.dumps({"a": json.dumps({"b": json.dumps(["ann@x.org"])})})
    assert restore_json(scrub_json(nested, SCRUBBER, vault), vault) == nested


@pytest.mark.parametrize(
    "value", ['a"b@x.org', "C:\\temp\\new", "line\nbreak\ttab", "汉字😀", "\ud800 lone", "\u2028", "</script>", ""]
)
def test_odd_characters_are_escaped_on_the_way_back(value: str) -> None:
    """A restored value cannot end the string it stands in."""
    vault = Vault()
    placeholder = vault.placeholder("TEXT", value)
    for ascii_only in (True, False):
        document = json.dumps({"x": f"汉<{placeholder}>", "y": [placeholder]}, ensure_ascii=ascii_only)
        restored = restore_json(document, vault)
        assert json.loads(restored) == {"x": f"汉<{value}>", "y": [value]}
        restored.encode()


def test_all_other_bytes_of_a_document_stay() -> None:
    """Spaces, the form of numbers, escapes, the order and repetition of keys."""
    document = '{ "a": 1.10, "b" :1e400, "\\u4e2d":"\\/x", "a":[ -0.0 ,true,null ] }'
    assert scrub_json(document, SCRUBBER, Vault()) == document
    assert restore_json(document, Vault()) == document


def test_strategies_apply_to_numbers_too() -> None:
    """Half a number in clear is no number: the whole of it is replaced; `pass` leaves it a number."""
    redacting = Scrubber(strategy="redact")
    assert scrub_json('{"tel": -13812345678, "n": 12}', redacting, Vault()) == '{"tel": "[PHONE]", "n": 12}'
    passing = Scrubber(strategy="pass")
    assert scrub_json('{"tel": 13812345678}', passing, Vault()) == '{"tel": 13812345678}'
    assert scrub_value({"tel": 13812345678}, passing, Vault()) == {"tel": 13812345678}


def test_a_placeholder_of_a_number_beside_other_text_is_text() -> None:
    """Only a string that is nothing but the placeholder becomes a number."""
    vault = Vault()
    vault.placeholder("PHONE", "13812345678", form="number")
    value = {"a": "[[PHONE_1]]", "b": " [[PHONE_1]] ", "c": "tel [[PHONE_1]]", "d": 5}
    assert restore_value(value, vault) == {"a": 13812345678, "b": 13812345678, "c": "tel 13812345678", "d": 5}
    assert (
        restore_json(json.dumps(value), vault) == '{"a": 13812345678, "b": 13812345678, "c": "tel 13812345678", "d": 5}'
    )
    assert restore_value({"a": "[[PHONE_1]]"}, vault, allows=lambda entity: False) == {"a": "[[PHONE_1]]"}
    assert restore_value(["x" * 200], vault) == ["x" * 200]


def test_restoring_has_the_same_rules_in_documents() -> None:
    """Allowed entities, unknown numbers, web addresses, keys."""
    vault = Vault()
    vault.placeholder("EMAIL", "ann@x.org")
    document = '{"[[EMAIL_1]]": "https://h.io/?[[EMAIL_1]]", "k": "[[EMAIL_7]]"}'
    assert restore_json(document, vault) == '{"ann@x.org": "https://h.io/?[[EMAIL_1]]", "k": "[[EMAIL_7]]"}'
    assert restore_json(document, vault, allows=lambda entity: False) == document
    assert '"k": ""' in restore_json(document, vault, unknown="drop")
    assert "h.io/?ann@x.org" in restore_json(document, vault, urls=True)
    assert restore_value({"[[EMAIL_1]]": 1}, vault) == {"ann@x.org": 1}


def test_data_urls_are_left_alone() -> None:
    """Images are not looked into."""
    url = "data:image/png;base64," + "iVBORw0KGgo13812345678" * 3
    assert scrub_value([url], SCRUBBER, Vault()) == [url]


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object()], ids=["bytes", "set", "object"])
def test_what_json_has_not_is_blocked(value: Any) -> None:
    """It cannot be examined, and what was not examined is not sent."""
    with pytest.raises(Blocked, match="cannot be examined"):
        scrub_value({"x": [value]}, SCRUBBER, Vault())


def test_endless_and_very_deep_values_are_blocked() -> None:
    """A value that contains itself, and one nested beyond 200."""
    endless: list[Any] = []
    endless.append({"a": endless})
    with pytest.raises(Blocked, match="contains itself"):
        scrub_value(endless, SCRUBBER, Vault())
    deep: Any = "ann@x.org"
    for _ in range(300):
        deep = [deep]
    with pytest.raises(Blocked, match="nested deeper than 200"):
        scrub_value(deep, SCRUBBER, Vault())
    shared = ["ann@x.org"]
    assert scrub_value([shared, shared], SCRUBBER, Vault()) == [["[[EMAIL_1]]"]] * 2


def test_a_very_deep_text_is_edited_all_the_same() -> None:
    """The editor keeps no stack of calls."""
    document = "[" * 5000 + '"ann@x.org"' + "]" * 5000
    assert scrub_json(document, SCRUBBER, Vault()) == document.replace("ann@x.org", "[[EMAIL_1]]")
    assert is_json("[" * 100_000 + "]" * 100_000)
    assert scrub_value([document], SCRUBBER, Vault()) == [document.replace("ann@x.org", "[[EMAIL_1]]")]


@pytest.mark.parametrize("text", ["", "x", "[", '{"a":', "{]", "null", "[1] x"])
def test_other_text_is_no_json(text: str) -> None:
    """Only objects and arrays that parse."""
    assert not is_json(text)


def test_text_that_is_no_json_is_scrubbed_all_the_same() -> None:
    """What a model sends for JSON may be broken; nothing in it gets through unexamined."""
    for broken in (
        "{phone: 138 1234 5678}",
        '{"a": "ann@x.org',
        "ann@x.org",
        '{"a": ann@x.org, }',
        '{"\\x": "ann@x.org"}',
        '["a\\"ann@x.org',
    ):
        vault = Vault()
        scrubbed = scrub_json(broken, SCRUBBER, vault)
        assert "ann@x.org" not in scrubbed
        assert "1234 5678" not in scrubbed
    vault = Vault()
    vault.placeholder("EMAIL", "ann@x.org")
    assert restore_json("{to: [[EMAIL_1]]}", vault) == "{to: [[EMAIL_1]]}"
    assert restore_json('["x [[EMAIL_1]]', vault) == '["x ann@x.org'


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    fragments,
    st.text(max_size=12),
    st.just(13812345678),
)
documents = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(fragments, st.text(max_size=6)), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(documents)
def test_any_document_round_trips(value: Any) -> None:
    """Scrubbed documents are valid, and come back equal but for the first form of a repeated value."""
    vault = Vault()
    once = scrub_value(value, SCRUBBER, vault)
    back = restore_value(once, vault, urls=True)
    assert scrub_value(back, SCRUBBER, Vault()) == scrub_value(value, SCRUBBER, Vault())
    text = json.dumps(value)
    scrubbed = scrub_json(text, SCRUBBER, Vault())
    json.loads(scrubbed)


@given(documents, st.lists(st.integers(0, 400)), st.booleans())
def test_a_document_in_pieces_equals_the_whole(value: Any, cuts: list[int], ascii_only: bool) -> None:
    """Scrubbing and restoring, wherever the stream is cut."""
    text = json.dumps(value, ensure_ascii=ascii_only)
    places = sorted(cut % (len(text) + 1) for cut in cuts)
    parts = [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]
    stream = json_scrub_stream(SCRUBBER, Vault(), direction="input")
    scrubbed = "".join(stream.feed(part) for part in parts) + stream.flush()
    vault = Vault()
    assert scrubbed == scrub_json(text, SCRUBBER, vault)
    back = json_restore_stream(vault)
    assert "".join(back.feed(char) for char in scrubbed) + back.flush() == restore_json(scrubbed, vault)


def test_structure_passes_at_once_and_strings_when_they_end() -> None:
    """The arguments of a tool call appear leaf by leaf."""
    vault = Vault()
    vault.placeholder("EMAIL", 'a"nn@x.org')
    vault.placeholder("PHONE", "13812345678", form="number")
    stream = json_restore_stream(vault)
    assert stream.feed('{"to": "[[EMA') == '{"to": '
    assert stream.feed('IL_1]]", "tel": "[[PHONE_1') == '"a\\"nn@x.org", "tel": '
    assert stream.feed(']]", "n": 1') == '13812345678, "n":'
    assert stream.feed("2 ") == ""
    assert stream.feed("}") == " 12 }"
    assert stream.flush() == ""
