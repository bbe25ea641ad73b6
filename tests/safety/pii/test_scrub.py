"""`scrub`: the engine in one call, and the scopes that share numbers."""

from __future__ import annotations

import pytest

from agentprod.errors import Blocked, ConfigError
from agentprod.safety.pii import Recognizer, Vault, forget, scrub


def test_without_a_scope_each_text_counts_from_one() -> None:
    """Two calls know nothing of each other."""
    assert scrub("ann@x.org").text == scrub("bob@x.org").text == "[[EMAIL_1]]"


def test_texts_of_one_conversation_share_numbers_until_it_is_forgotten() -> None:
    """By id, kept in this process."""
    try:
        assert scrub("ann@x.org", "test-c1").text == "[[EMAIL_1]]"
        second = scrub("bob@x.org ann@x.org", "test-c1")
        assert second.text == "[[EMAIL_2]] [[EMAIL_1]]"
        assert second.restore("[[EMAIL_1]]") == "ann@x.org"
        assert scrub("bob@x.org", "test-c2").text == "[[EMAIL_1]]"
    finally:
        forget("test-c1")
        forget("test-c2")
    assert scrub("x [[EMAIL_1]]", "test-c1").restore("[[EMAIL_1]]") == "[[EMAIL_1]]"
    forget("test-c1")


def test_a_vault_is_a_scope_and_an_empty_id_is_not() -> None:
    """An empty id would be a vault shared by everyone."""
    vault = Vault()
    scrub("ann@x.org", vault)
    assert scrub("bob@x.org", vault).text == "[[EMAIL_2]]"
    with pytest.raises(ConfigError, match="empty"):
        scrub("ann@x.org", "")


def test_secrets_become_secret_and_stay_gone() -> None:
    """By default nothing raises and a secret does not come back."""
    scrubbed = scrub("password: hunter2")
    assert scrubbed.text == scrubbed.restore() == "password: [SECRET]"


def test_options_reach_the_scrubber() -> None:
    """Entities, strategy, recognisers and allowed values."""
    own = Recognizer.regex("EMPLOYEE", r"EMP-\d{6}")
    assert (
        scrub("EMP-123456 ann@x.org", recognizers=[own], entities=["EMAIL"], allow=["ann@x.org"]).text
        == "[[EMPLOYEE_1]] ann@x.org"
    )
    assert scrub("ann@x.org", strategy="redact").text == "[EMAIL]"
    with pytest.raises(Blocked):
        scrub("password: hunter2", strategy={"SECRET": "block"})
