"""Check digits and checksums, each from its standard. All take ASCII text without separators."""

from __future__ import annotations

import hashlib
from datetime import date
from operator import mul

__all__ = [
    "base58check_version",
    "bech32_prefix",
    "cn_id_ok",
    "cn_uscc_ok",
    "hk_id_ok",
    "iban_ok",
    "luhn_ok",
    "tw_id_ok",
    "valid_date",
]

_DOUBLED = dict(zip("0123456789", (0, 2, 4, 6, 8, 1, 3, 5, 7, 9), strict=True))


def luhn_ok(digits: str) -> bool:
    """Tell whether the last digit is the Luhn check digit of the others (ISO/IEC 7812-1, annex B)."""
    return (sum(map(int, digits[-1::-2])) + sum(map(_DOUBLED.__getitem__, digits[-2::-2]))) % 10 == 0


_LETTER_VALUES = {ord("A") + place: str(10 + place) for place in range(26)}


def iban_ok(iban: str) -> bool:
    """Tell whether an upper-case IBAN has remainder 1 modulo 97 (ISO 13616, ISO/IEC 7064 MOD 97-10)."""
    return int((iban[4:] + iban[:4]).translate(_LETTER_VALUES)) % 97 == 1


def valid_date(year: int, month: int, day: int) -> bool:
    """Tell whether the calendar has this day."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


# GB/T 2260 codes of the provinces, 71, 81 to 83 for residence permits of Taiwan, Hong Kong and Macao.
_PROVINCES = frozenset(
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83".split()
)
_CN_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def cn_id_ok(number: str) -> bool:
    """Tell whether 18 characters are a Chinese resident identity number (GB 11643-1999).

    Province (or a leading 9, the permanent residence card of foreigners since 2023), date of birth and the
    ISO/IEC 7064 MOD 11-2 check character must hold. County codes are not looked up: retired ones stay valid on cards.
    """
    if number[:2] not in _PROVINCES and number[0] != "9":
        return False
    year = int(number[6:10])
    if not 1900 <= year <= 2100 or not valid_date(year, int(number[10:12]), int(number[12:14])):
        return False
    total = sum(map(mul, map(int, number[:17]), _CN_ID_WEIGHTS))
    return "10X98765432"[total % 11] == number[17].upper()


_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_VALUES = {char: value for value, char in enumerate(_USCC_ALPHABET)}
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


def cn_uscc_ok(code: str) -> bool:
    """Tell whether 18 upper-case characters are a unified social credit code (GB 32100-2015, MOD 31)."""
    try:
        total = sum(map(mul, map(_USCC_VALUES.__getitem__, code[:17]), _USCC_WEIGHTS))
    except KeyError:  # I, O, S, V and Z are not used
        return False
    return _USCC_ALPHABET[-total % 31] == code[17]


def hk_id_ok(number: str) -> bool:
    """Tell whether one or two letters, six digits and a check character are a Hong Kong identity number (MOD 11)."""
    body = number[:-1].rjust(8)
    total = sum(
        (36 if char == " " else int(char, 36)) * weight for char, weight in zip(body, range(9, 1, -1), strict=False)
    )
    return (total + (10 if number[-1] in "Aa" else int(number[-1]))) % 11 == 0


_TW_LETTERS = "ABCDEFGHJKLMNPQRSTUVXYWZIO"


def tw_id_ok(number: str) -> bool:
    """Tell whether a letter and nine digits are a national identity number of Taiwan (weights 1, 9, 8 … 1, 1)."""
    region = _TW_LETTERS.index(number[0].upper()) + 10
    digits = [region // 10, region % 10, *map(int, number[1:])]
    return (
        sum(digit * weight for digit, weight in zip(digits, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1), strict=True)) % 10 == 0
    )


_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE58_VALUE = {char: value for value, char in enumerate(_BASE58)}


def base58check_version(address: str) -> int | None:
    """Return the version byte of a Base58Check address of 25 bytes, or `None` when its checksum does not hold.

    Source: Bitcoin's address format; the checksum is the first four bytes of SHA-256 applied twice.
    """
    number = 0
    for char in address:
        value = _BASE58_VALUE.get(char)
        if value is None:
            return None
        number = number * 58 + value
    try:
        raw = number.to_bytes(25, "big")
    except OverflowError:
        return None
    check = hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4]
    return raw[0] if check == raw[21:] else None


_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def bech32_prefix(address: str) -> str | None:
    """Return the human-readable prefix of a Bech32 or Bech32m address, or `None` when its checksum does not hold.

    Source: BIP 173 and BIP 350 (constants 1 and 0x2bc830a3).
    """
    prefix, _, data = address.lower().rpartition("1")
    values = [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix]
    values += [_BECH32.find(char) for char in data]
    if not prefix or min(values) < 0:
        return None
    state = 1
    for value in values:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, constant in enumerate(_GENERATOR):
            if top >> bit & 1:
                state ^= constant
    return prefix if state in (1, 0x2BC830A3) else None
