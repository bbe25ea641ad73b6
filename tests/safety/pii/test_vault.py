"""The vault numbers values, gives them back, and never shows them."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

import copy
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentprod.errors import Blocked, ConfigError
from agentprod.safety.pii import Vault, Vaults
from agentprod.safety.pii.canonical import canonical


def test_values_are_numbered_by_first_appearance_per_entity() -> None:
    """Each entity counts from one."""
    vault = Vault()
    assert vault.placeholder("EMAIL", "a@x.org") == "[[EMAIL_1]]"
    assert vault.placeholder("EMAIL", "b@x.org") == "[[EMAIL_2]]"
    assert vault.placeholder("PHONE", "13812345678") == "[[PHONE_1]]"
    assert vault.placeholder("EMAIL", "A@X.org") == "[[EMAIL_1]]"
    assert vault.counts == {"EMAIL": 2, "PHONE": 1}
    assert len(vault) == 3


def test_the_form_seen_first_is_given_back() -> None:
    """Two ways to write a number share it; an unknown number has no value."""
    vault = Vault()
    vault.placeholder("PHONE", "138 1234 5678")
    assert vault.placeholder("PHONE", "１３８１２３４５６７８") == "[[PHONE_1]]"
    assert vault.value("PHONE", 1) == ("138 1234 5678", "text")
    assert vault.value("PHONE", 2) is None


def test_numbers_and_keys_have_placeholders_of_their_own() -> None:
    """A JSON number comes back as a number, a key letter by letter; a key shares only with its very form."""
    vault = Vault()
    assert vault.placeholder("PHONE", "138 1234 5678") == "[[PHONE_1]]"
    assert vault.placeholder("PHONE", "13812345678", form="number") == "[[PHONE_2]]"
    assert vault.placeholder("PHONE", "138 1234 5678", form="key") == "[[PHONE_1]]"
    assert vault.placeholder("PHONE", "138-1234-5678", form="key") == "[[PHONE_3]]"
    assert vault.value("PHONE", 2) == ("13812345678", "number")


@pytest.mark.parametrize(
    ("entity", "one", "other"),
    [
        ("PHONE", "+86 138-1234-5678", "13812345678"), ("PHONE", "0086 138 1234 5678", "１３８１２３４５６７８"), ("EMAIL", "Ann@X.org", "ａｎｎ@x.org"), ("CREDIT_CARD", "4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("CN_ID", "11010519491231002x", "110105 19491231 002X"), ("MAC", "AA:BB:CC:DD:EE:FF", "aa-bb-cc-dd-ee-ff"), ("IP", "2001:DB8::1", "2001:db8::1"), ("CN_PLATE", "京A·12345", "京a12345"),
        ("CRYPTO", "0xAB", "0xab"), ("SECRET", "a\u200bb", "ab"),
    ],
)  # fmt: skip
def test_ways_to_write_one_value_are_one_value(entity: str, one: str, other: str) -> None:
    """Separators, case, width and invisible characters do not make another value."""
    assert canonical(entity, one) == canonical(entity, other)


@pytest.mark.parametrize(
    ("entity", "one", "other"), [("SECRET", "ab", "AB"), ("CRYPTO", "1Ab", "1aB"), ("PHONE", "8612345678", "12345678")]
)
def test_different_values_stay_different(entity: str, one: str, other: str) -> None:
    """Secrets and Base58 addresses have case; 86 is dropped from Chinese mobile numbers only."""
    assert canonical(entity, one) != canonical(entity, other)


def test_a_full_vault_blocks() -> None:
    """Dropping an old value would leave a placeholder that nobody can read; the error shows no value."""
    vault = Vault(max_values=1)
    vault.placeholder("EMAIL", "first@x.org")
    with pytest.raises(Blocked, match="max_values") as caught:
        vault.placeholder("EMAIL", "second@x.org")
    assert "@" not in str(caught.value)
    assert vault.placeholder("EMAIL", "first@x.org") == "[[EMAIL_1]]"
    with pytest.raises(ConfigError, match="at least 1"):
        Vault(max_values=0)


def test_a_vault_shows_counts_and_is_never_copied() -> None:
    """Neither repr nor pickle nor copy gives values away."""
    vault = Vault()
    assert repr(vault) == "<Vault empty>"
    vault.placeholder("EMAIL", "ann@x.org")
    assert repr(vault) == "<Vault EMAIL=1>"
    for action in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            action(vault)


def test_a_cleared_vault_never_reuses_a_number() -> None:
    """An old placeholder cannot come to name a new value."""
    vault = Vault()
    vault.placeholder("EMAIL", "ann@x.org")
    vault.clear()
    assert vault.value("EMAIL", 1) is None
    assert vault.counts == {}
    assert vault.placeholder("EMAIL", "bob@x.org") == "[[EMAIL_2]]"


def test_a_sealed_vault_opens_with_its_key_only() -> None:
    """AES-GCM: another key, or one changed byte, and it stays shut."""
    pytest.importorskip("cryptography", reason="the extra vault is not installed")
    vault = Vault()
    vault.placeholder("EMAIL", "ann@x.org")
    vault.placeholder("PHONE", "13812345678", form="number")
    vault.placeholder("PHONE", "138-1234-5678", form="key")
    key = bytes(range(32))
    sealed = vault.seal(key)
    assert b"ann" not in sealed
    opened = Vault.unseal(sealed, key)
    assert opened.value("PHONE", 1) == ("13812345678", "number")
    assert opened.placeholder("EMAIL", "ANN@x.org") == "[[EMAIL_1]]"
    assert opened.placeholder("PHONE", "138-1234-5678", form="key") == "[[PHONE_2]]"
    assert opened.placeholder("EMAIL", "new@x.org") == "[[EMAIL_2]]"
    for broken, with_key in ((sealed[:-1] + bytes([sealed[-1] ^ 1]), key), (sealed, bytes(32))):
        with pytest.raises(ConfigError, match="cannot be opened"):
            Vault.unseal(broken, with_key)
    with pytest.raises(ConfigError, match="16, 24 or 32 bytes, not 3"):
        vault.seal(b"abc")
    with pytest.raises(ConfigError, match="bytes, not 3"):
        Vault.unseal(sealed, b"abc")


def test_sealing_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error prints the command."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigError, match=r'pip install "agentprod\[vault\]"'):
        Vault().seal(bytes(32))


def test_conversations_have_vaults_of_their_own() -> None:
    """One vault per id, kept while used, erased on request, never shared without an id."""
    vaults = Vaults()
    first = vaults.of("c1")
    first.placeholder("EMAIL", "ann@x.org")
    assert vaults.of("c1") is first
    assert vaults.of("c2") is not first
    assert len(vaults) == 2
    assert repr(vaults) == "<Vaults conversations=2>"
    vaults.forget("c1")
    vaults.forget("unknown")
    assert first.value("EMAIL", 1) is None
    assert vaults.of("c1") is not first
    with pytest.raises(ConfigError, match="empty"):
        vaults.of("")
    for options in ({"ttl": 0}, {"max_conversations": 0}):
        with pytest.raises(ConfigError, match="ttl must be above 0"):
            Vaults(**options)  # type: ignore[arg-type]


def test_an_unused_conversation_is_forgotten_after_its_time() -> None:
    """Every use renews the time; beyond the maximum the one unused longest goes."""
    clock = [0.0]
    vaults = Vaults(ttl=10, max_conversations=2, now=lambda: clock[0])
    first = vaults.of("c1")
    clock[0] = 9
    assert vaults.of("c1") is first
    clock[0] = 18
    assert vaults.of("c1") is first
    clock[0] = 29
    assert vaults.of("c1") is not first
    vaults.of("c2")
    vaults.of("c3")
    assert len(vaults) == 2


def test_threads_share_a_vault_without_mixing_values() -> None:
    """32 threads number the same and other values: each placeholder gives back exactly its value."""
    shared = Vault()
    barrier = threading.Barrier(32)

    def work(thread: int) -> list[tuple[str, str]]:
        barrier.wait(timeout=20)
        given = []
        for turn in range(200):
            value = f"user{turn % 50}@x.org" if turn % 2 else f"user{turn}@thread{thread}.org"
            given.append((shared.placeholder("EMAIL", value), value))
        return given

    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(work, range(32)))
    for placeholder, value in (pair for result in results for pair in result):
        held = shared.value("EMAIL", int(placeholder[8:-2]))
        assert held is not None
        assert held[0] == value
    assert len({placeholder for result in results for placeholder, _ in result}) == len(shared)
