"""Names of what is found, and named sets of them for `entities=`."""

from __future__ import annotations

__all__ = ["ALL", "CHINA", "CONTACT", "DEFAULT", "FINANCIAL", "NETWORK", "SECRETS", "WEAK"]

CONTACT = frozenset({"EMAIL", "PHONE"})
"""How to reach someone."""

FINANCIAL = frozenset({"CREDIT_CARD", "CN_BANK_CARD", "IBAN", "CRYPTO"})
"""Cards, accounts and wallets."""

NETWORK = frozenset({"IP", "MAC"})
"""Addresses of devices."""

CHINA = frozenset({"CN_ID", "CN_BANK_CARD", "CN_USCC", "CN_PASSPORT", "CN_PLATE", "HK_ID", "TW_ID"})
"""Identifiers of mainland China, Hong Kong and Taiwan; telephone numbers are in `CONTACT`."""

SECRETS = frozenset({"SECRET"})
"""API keys, tokens, passwords, private keys."""

WEAK = frozenset({"PERSON", "ADDRESS", "URL"})
"""Opt-in: what patterns find only in part, or what most callers want to keep."""

DEFAULT = CONTACT | FINANCIAL | NETWORK | CHINA | SECRETS | {"US_SSN", "DATE_OF_BIRTH"}
"""Everything that has a shape or a checksum. Names and addresses are not in it: they need a model."""

ALL = DEFAULT | WEAK
"""Every built-in entity."""
