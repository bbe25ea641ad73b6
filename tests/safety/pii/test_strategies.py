"""What is put in the place of a value, and which strategy an entity gets."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

import re
from typing import Any

import pytest

from agentprod.errors import Blocked, ConfigError
from agentprod.safety.pii import KeyedHash, Policy, Scrubber, mask, redact

TEXT = "ann@x.org and 4111 1111 1111 1111"


def scrubbed(**options: Any) -> str:
    """Return the text scrubbed with these options."""
    return Scrubber(**options).scrub(TEXT).text


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("placeholder", "[[EMAIL_1]] and [[CREDIT_CARD_1]]"), ("redact", "[EMAIL] and [CREDIT_CARD]"), ("mask", "***@*.*** and **** **** **** 1111"), ("pass", TEXT),
        ({"EMAIL": "redact"}, "[EMAIL] and [[CREDIT_CARD_1]]"), ({"EMAIL": "pass", "*": "redact"}, "ann@x.org and [CREDIT_CARD]"), (lambda entity, value: f"<{entity}:{len(value)}>", "<EMAIL:9> and <CREDIT_CARD:19>"),
    ],
)  # fmt: skip
def test_each_strategy_replaces_in_its_way(strategy: Any, expected: str) -> None:
    """One strategy for all, or one per entity."""
    assert scrubbed(strategy=strategy) == expected


def test_block_raises_without_the_value() -> None:
    """Nothing is sent, and the error names entity and length only."""
    with pytest.raises(Blocked, match=r"EMAIL .*\(9 characters\)") as caught:
        scrubbed(strategy={"EMAIL": "block"})
    assert "ann" not in str(caught.value)
    assert caught.value.layer == "ScrubPII"


def test_a_keyed_hash_is_stable_per_key_and_value() -> None:
    """Equal values stay equal, another key gives another hash, and the key is not shown."""
    one, other = KeyedHash(b"k" * 16), KeyedHash(b"l" * 16, key_id="k2", digits=12)
    assert one("EMAIL", "ann@x.org") == one("EMAIL", "ANN@x.org") != one("EMAIL", "bob@x.org")
    assert re.fullmatch(r"\[EMAIL:k1:[0-9a-f]{16}\]", one("EMAIL", "ann@x.org"))
    assert re.fullmatch(r"\[EMAIL:k2:[0-9a-f]{12}\]", other("EMAIL", "ann@x.org"))
    assert one("PHONE", "\ud800") != one("EMAIL", "\ud800")
    assert repr(one) == "KeyedHash(key_id='k1')"
    assert scrubbed(strategy={"EMAIL": one}).startswith("[EMAIL:k1:")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": b"short"}, "16 bytes"),
        ({"key": b"k" * 16, "digits": 8}, "12 to 64"),
        ({"key": b"k" * 16, "key_id": "a b"}, "letters and digits"),
    ],
)
def test_a_weak_keyed_hash_is_refused(options: dict[str, Any], message: str) -> None:
    """Short keys and hashes can be tried out."""
    with pytest.raises(ConfigError, match=message):
        KeyedHash(**options)


@pytest.mark.parametrize(
    "strategy", ["hash", "remove", None, {"email": "redact"}, {"EMAIL": "gone"}, {"EMAIL": "hash"}]
)
def test_a_wrong_strategy_is_refused_when_built(strategy: Any) -> None:
    """Unkeyed hashes, unknown names and entities that cannot exist."""
    with pytest.raises(ConfigError):
        Scrubber(strategy=strategy)


def test_secrets_are_blocked_unless_the_rest_is_irreversible() -> None:
    """A bare placeholder does not reach secrets; a bare redact, mask or pass does; naming them always does."""
    assert Policy().of("SECRET") == "block"
    assert Policy({"EMAIL": "redact"}).of("SECRET") == "block"
    assert Policy("placeholder", secrets="redact").of("SECRET") == "redact"
    assert Policy("mask").of("SECRET") == "mask"
    assert Policy({"SECRET": "placeholder"}).of("SECRET") == "placeholder"
    assert "SECRET='block'" in repr(Policy({"EMAIL": "redact"}))
    assert repr(Policy()) == "<Policy *='placeholder', SECRET='block'>"


@pytest.mark.parametrize(
    "strategy", [lambda entity, value: 1 / 0, lambda entity, value: None], ids=["raises", "returns None"]
)
def test_a_strategy_that_fails_blocks(strategy: Any) -> None:
    """A callable that raises, or returns something else than text, lets nothing through."""
    with pytest.raises(Blocked, match=r"strategy of EMAIL (failed with ZeroDivisionError|returned NoneType)") as caught:
        scrubbed(strategy={"EMAIL": strategy})
    assert caught.value.__context__ is None


def test_masks_keep_the_shape() -> None:
    """Separators stay, and of cards the last four digits."""
    assert mask("PHONE", "+86 138-1234") == "+** ***-****"
    assert mask("CN_BANK_CARD", "6222 0201") == "**** 0201"
    assert redact("PHONE", "1") == "[PHONE]"
