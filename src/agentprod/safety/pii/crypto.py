"""Addresses of crypto-currency wallets. Every form with a checksum must hold it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentprod.safety.pii.checksums import base58check_version, bech32_prefix
from agentprod.safety.pii.spans import Span

__all__ = ["crypto_addresses"]

# Version bytes of Base58Check addresses: Bitcoin 0 and 5, Litecoin 48 and 50, Dogecoin 30 and 22, Dash 76, Tron 65.
_VERSIONS = frozenset({0, 5, 22, 30, 48, 50, 65, 76})
_BASE58 = re.compile(r"[13LMDAX9T](?<![0-9A-Za-z].)[1-9A-HJ-NP-Za-km-z]{24,34}(?![0-9A-Za-z])")
_BECH32 = re.compile(r"(?:bc|ltc|tb)1[02-9ac-hj-np-z]{11,71}(?![0-9A-Za-z])", re.IGNORECASE)
_HEX = re.compile(r"0x(?<![0-9A-Za-z]..)[0-9A-Fa-f]{40}(?![0-9A-Za-z])")


def crypto_addresses(text: str, start: int = 0) -> Iterator[Span]:
    """Yield Bitcoin, Litecoin, Dogecoin, Dash and Tron addresses, and the `0x` addresses of Ethereum's family.

    The mixed-case checksum of `0x` addresses (EIP-55) needs Keccak-256, which the standard library lacks, and is not
    checked; 40 hexadecimal digits behind `0x` are enough.
    """
    for match in _BASE58.finditer(text, start):
        if base58check_version(match[0]) in _VERSIONS:
            yield Span(match.start(), match.end(), "CRYPTO", 1.0)
    if "1" in text:
        for match in _BECH32.finditer(text, start):
            before = text[match.start() - 1 : match.start()]
            if not (before.isascii() and before.isalnum()) and bech32_prefix(match[0]):
                yield Span(match.start(), match.end(), "CRYPTO", 1.0)
    if "0x" in text:
        for match in _HEX.finditer(text, start):
            yield Span(match.start(), match.end(), "CRYPTO", 0.85)
