"""Where values may come back."""

from __future__ import annotations

from typing import Any

import pytest

from agentprod.errors import ConfigError
from agentprod.safety.pii import RestorePolicy, Vault, restore


def test_true_and_false_mean_everywhere_and_nowhere() -> None:
    """Never inside web addresses either way; hidden text of the user's own always comes back."""
    everywhere, nowhere = RestorePolicy.of(True), RestorePolicy.of(False)
    assert everywhere.in_text()("EMAIL")
    assert everywhere.in_tool("send")("EMAIL")
    assert not nowhere.in_text()("EMAIL")
    assert not nowhere.in_tool("send")("EMAIL")
    assert nowhere.in_text()("TEXT")
    assert not everywhere.urls
    assert RestorePolicy.of(everywhere) is everywhere


def test_a_tool_that_is_not_named_gets_nothing() -> None:
    """Unless `default_tool` says otherwise."""
    policy = RestorePolicy.of({"text": ["PHONE"], "tools": {"send": ["EMAIL"], "all": True}})
    assert policy.in_tool("send")("EMAIL")
    assert not policy.in_tool("send")("PHONE")
    assert policy.in_tool("all")("PHONE")
    assert not policy.in_tool("other")("EMAIL")
    assert not policy.in_text()("EMAIL")
    assert RestorePolicy(tools={"x": False}, default_tool=True).in_tool("other")("EMAIL")
    assert repr(policy) == "<RestorePolicy text={PHONE}, tools={all, send}, other tools={}>"
    assert repr(RestorePolicy()) == "<RestorePolicy text=True, tools={}, other tools=True>"


def test_it_plugs_into_restore() -> None:
    """As `allows`."""
    vault = Vault()
    vault.placeholder("EMAIL", "ann@x.org")
    vault.placeholder("PHONE", "13812345678")
    policy = RestorePolicy(tools={"send": ["EMAIL"]})
    assert restore("[[EMAIL_1]] [[PHONE_1]]", vault, allows=policy.in_tool("send")) == "ann@x.org [[PHONE_1]]"


@pytest.mark.parametrize(
    "policy", ["yes", 3, {"texts": True}, {"text": "EMAIL"}, {"text": 3}, {"tools": {"a": ["email"]}}, {"tools": [4]}]
)
def test_a_policy_that_makes_no_sense_is_refused(policy: Any) -> None:
    """Types, keys and entity names are checked when it is built."""
    with pytest.raises(ConfigError, match="restore"):
        RestorePolicy.of(policy)
