"""Addresses of crypto-currency wallets. Every form with a checksum must hold it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agentprod.safety.pii.checksums import base58check_version, bech32_prefix
from agentprod.safety.pii.spans import Span

__all__ = ["crypto_addresses"]

# Version bytes of Base58Check addresses: Bitcoin 0 and 5, Litecoin 48 and 50, Dogecoin 30 and 22, Dash 76, Tron 65.
_VERSIONS = frozenset({0, 5, 22, 30, 48, 50, 65, 76})
_WORD = re.compile("[0-9A-Za-z]+")
_BASE58 = re.compile(r"[13LMDAX9T][1-9A-HJ-NP-Za-km-z]{24,34}")
_BECH32 = re.compile(r"(?:bc|ltc|tb)1[02-9ac-hj-np-z]{11,85}", re.IGNORECASE)
_HEX = re.compile(r"0x[0-9A-Fa-f]{40}")


def crypto_addresses(text: str, start: int, words: Iterable[str]) -> Iterator[Span]:
    """Yield Bitcoin, Litecoin, Dogecoin, Dash and Tron addresses, and the `0x` addresses of Ethereum's family.

    The mixed-case checksum of `0x` addresses (EIP-55) needs Keccak-256, which the standard library lacks, and is not
    checked; 40 hexadecimal digits behind `0x` are enough.
    """
    end = start
    for word in [word for long in words if len(long) > 24 for word in _WORD.findall(long) if 25 <= len(word) <= 89]:
        at = text.find(word, end)
        end = at + len(word)
        if _HEX.fullmatch(word):
            yield Span(at, end, "CRYPTO", 0.85)
        elif (_BASE58.fullmatch(word) and base58check_version(word) in _VERSIONS) or (
            _BECH32.fullmatch(word) and bech32_prefix(word)
        ):
            yield Span(at, end, "CRYPTO", 1.0)
