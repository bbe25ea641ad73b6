"""Credentials: issued keys by their vendors' formats, private keys, passwords in URLs, and `name = value`.

Entropy is only ever a second test, behind a keyword or a prefix: on free text it finds nothing but words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import log2

from agentprod.safety.pii.keywords import Keywords, lower
from agentprod.safety.pii.secret_formats import FORMATS, SHAPES
from agentprod.safety.pii.spans import Span

__all__ = [
    "assigned_secrets",
    "command_passwords",
    "issued_secrets",
    "open_private_key",
    "private_keys",
    "url_passwords",
]

_BEGINNING = re.compile("(?<![A-Za-z0-9_])[A-Za-z0-9_]{2}")
_TOKEN_LEFT = re.compile(r"[A-Za-z0-9_~.\-:]{0,80}")


def issued_secrets(text: str, start: int, long: list[str]) -> Iterator[Span]:
    """Yield credentials that carry their vendor's mark: about 200 formats, JWT included. None is below 15 long."""
    words = " ".join(long)
    possible = [entry for beginning in {*_BEGINNING.findall(words)} for entry in FORMATS.get(beginning, ())]
    for prefix, pattern in possible:
        at = text.find(prefix, start)
        while at >= 0:
            before = text[at - 1 : at]
            match = None if before.isascii() and (before.isalnum() or before == "_") else pattern.match(text, at)
            if match and not _is_dummy(match[0][len(prefix) :]):
                yield Span(at, match.end(), "SECRET", 0.95)
            at = text.find(prefix, match.end() if match else at + 1)
    for literal, pattern in SHAPES:
        if literal not in words:
            continue
        at = text.find(literal, start)
        while at >= 0:
            match = pattern.match(text, at)
            if match:
                floor = max(start, at - 80)
                left = _TOKEN_LEFT.match(text[floor:at][::-1])
                begin = at if literal == "eyJ" or literal[0] in "wd" else at - (left.end() if left else 0)
                yield Span(begin, match.end(), "SECRET", 0.95)
            at = text.find(literal, match.end() if match else at + 1)


_HEADER = (
    r"-----BEGIN[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?:\s|\\[rn]){1,4}[A-Z][A-Za-z\-]{2,20}: (?:(?!-----)[^\n\\]){0,200}){0,4}"
)
_PEM_HEADER = re.compile(_HEADER)
_PEM = re.compile(
    _HEADER + r"(?:[^\-]{0,16384}-----END[ A-Z0-9]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"|(?:(?:\s|\\[rn]){0,4}[A-Za-z0-9+/=]{16,100}){0,300})"
)


def private_keys(text: str, start: int = 0) -> Iterator[Span]:
    """Yield private keys in PEM or OpenPGP armour (RFC 7468, RFC 9580); one cut off before its end line too."""
    at = text.find("-----BEGIN", start)
    while at >= 0:
        match = _PEM.match(text, at)
        if match:
            yield Span(at, match.end(), "SECRET", 1.0)
        at = text.find("-----BEGIN", match.end() if match else at + 10)


def open_private_key(text: str, start: int) -> int:
    """Return where a private key begins that the end of the text has not completed, or the length of the text."""
    size = len(text)
    at = text.rfind("-----BEGIN", start)
    if at < 0 or ((key := _PEM.match(text, at)) and text.find("-----END", at, key.end()) > 0):
        return size
    header = _PEM_HEADER.match(text, at)
    if size - at < 1200 and (header or size - at < 80):
        return at
    if not header:
        return size
    dash = text.find("-", header.end())
    if dash < 0:
        return at if size - header.end() <= 16_500 else size
    ending = "-----END"
    decided = not ending.startswith(text[dash : dash + 8]) and text[dash : dash + 8] != ending
    return size if decided or size - dash > 80 else at


_URL_PASSWORD = re.compile(
    r"://[!#-&(-.0-9;=?A-Z\\\^_a-~]{0,64}:([!#-&(-.0-9;=?-_a-~]{2,128}?)@"
    # A password may hold an unescaped @; what follows the last one is a host.
    r"(?=[A-Za-z0-9_\[][A-Za-z0-9_.\-\]]{0,253}(?![A-Za-z0-9_.\-@!$*+=^~])|[^\W!-~])"
)


def url_passwords(text: str, start: int = 0) -> Iterator[Span]:
    """Yield the password in `scheme://user:password@host`; the user, the host and the path stay readable."""
    for match in _URL_PASSWORD.finditer(text, start):
        if not _is_reference(match[1]) and match[1].lower() not in _WORDS:
            yield Span(match.start(1), match.end(1), "SECRET", 0.9)


_COMMANDS = {
    command: re.compile(rf"(?<![0-9A-Za-z]){command}{options}[\"']?([!#-&(-;=?-_a-~]{{3,128}})")
    for command, options in (
        ("curl", r"\b[^\n]{0,100}?[ ](?:-u|--user)[ =]?[\"']?[!#-&(-9;=?-_a-~]{1,64}:"),
        ("mysql", r"(?:dump|admin)?\b[^\n]{0,100}?[ ]-p(?!ass|ort|rot)"),
        ("redis-cli", r"\b[^\n]{0,100}?[ ](?:-a|--pass)[ ]"),
        ("sshpass", r"[ ]{1,2}-p[ ]?"),
        ("IDENTIFIED BY", r"[ ](?=[\"'])"),
    )
}


def command_passwords(text: str, start: int = 0) -> Iterator[Span]:
    """Yield the password in `curl -u user:password`, `mysql -ppassword`, `sshpass -p`, `redis-cli -a`, and in SQL."""
    for command, pattern in _COMMANDS.items():
        at = text.find(command, max(0, start - 190))
        while at >= 0:
            match = pattern.match(text, at)
            if match and match.start(1) >= start and not _is_reference(match[1]) and match[1].lower() not in _WORDS:
                yield Span(match.start(1), match.end(1), "SECRET", 0.9)
            at = text.find(command, at + len(command))


_STEMS = Keywords(
    (
        "passw|pwd|passphrase|pasw|pass_wd|密码|口令|secret|token|credential|密钥|令牌|私钥|秘钥|key"
        "|client_id|client-id|clientid|app_id|app-id|appid"
    ).split("|"),
    whole="pass auth salt bearer basic".split(),
)
_MOST_TRIES = 8
_JUDGED = 512
"""Characters of a value that are looked at: what the rest of it holds changes nothing."""

_PASSWORDS = frozenset(("passw", "pwd", "passphrase", "pasw", "pass_wd", "pass", "密码", "口令"))
_SCHEMES = frozenset(("bearer", "basic", "auth"))
_STRONG = frozenset(("secret", "token", "credential", "密钥", "令牌", "私钥", "秘钥"))
_STRONG_KEY = re.compile(r"(?:api|access|account|auth|private|signing|encryption|secret)[_\- ]?\Z", re.IGNORECASE)
_WEAK_KEY = re.compile(r"[a-z_\-]\Z")
_VALUE = re.compile(
    # A value may touch a Chinese name: 密码abc123.
    r"(?P<suffix>(?:(?<![\u4e00-\u9fff])[A-Za-z0-9_.\-]{0,24}(?![A-Za-z0-9_]))?)"
    r"(?:\[[\"']?[A-Za-z0-9_\-]{1,30}[\"']?\])?"
    r"\\?[\"'`)\]]{0,2}[ \t]{0,6}(?::?[ ]?(?:string|str|&str|String)[ ]?(?==))?"
    # The next attribute of a tag, or the next key of an entry: `{"name": "API_KEY", "value": "…"}`.
    r"(?:,?\s{0,12}[\"']?value[\"']?(?=[=:]))?+"
    r"(?P<assign>=>|:=|\?=|\|\|:|:{1,3}|={1,3}|：|<=|->|,|[ ]?\bis\b[:：]?|为|是|>|\((?=[\"'])|[ ]"
    r"|(?<=[码令钥])(?=[!-~]))"
    r"[ \t]{0,6}(?:[A-Za-z]{1,12}\()?(?:bearer |basic |token |[bruf]{1,2}(?=[\"']))?"
    r"(?P<quote>\\?[\"'`]{1,3})?"
    r"(?P<value>(?(quote)[!#-&(-;=?-\[\]-_a-~]{4,4096}|[!#-%*+\--:=?-Z\^_a-z|~]{4,4096}))",
    re.IGNORECASE,
)
_NOT_SECRET_SUFFIX = re.compile(
    r"(?:count|type|name|algo|length|len|size|limit|path|file|url|uri|expir|ttl|prefix|field|label|hint|policy|izer|ization|ized|"
    r"usage|rate|budget|version|format|class|method|status|error|valid|confirm|reset|rotat|page|index|header|manager|store|"
    r"required|enabled|arn|ref|param|column|space|word_?manager|board|note|map|set|frame|vault|provider|ids?\Z)",
    re.IGNORECASE,
)
_NOT_SECRET_PREFIXES = tuple(
    "next page paging continuation sync lock stop total input output prompt completion "
    "public publickey public_key public-key foreign primary partition sort cache object dict registry "
    "idempotency shortcut group lookup".split()
)
_SHORT_PREFIX = re.compile(r"(?<![a-z])(?:max|min|num|eos|bos|pad|unk|sub|row|hot)\Z")
"""These end other words too, such as `admin`."""

_IN_ARN = re.compile(r"arn:[^\s\"']*\Z", re.IGNORECASE)
# A space assigns behind a command line flag, in a Dockerfile, and after `Bearer`.
_NEXT_PAIR = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*=[^=]")
# `svc=auth user=7`: what follows the space is not a value but the next name with its value.
_SPACE_ASSIGNS = re.compile(
    r"(?:^|\s)(?:--?[A-Za-z0-9_\-]*|(?:ENV|ARG|set|setx|export) [A-Za-z0-9_\-]*)\Z"
    r"|[Aa]uthorization[\"']?[:=][ ]?[\"']?\Z"
)
_SETTER = re.compile(r"(?<![a-z])(?:set|with)_?[a-z_]{0,24}\Z", re.IGNORECASE)
"""`setPassword("…")` gives a password away, `find_password("…")` names one."""

_WORDS = frozenset(
    "password passwd pass secret token null none true false undefined required optional string str int bool text "
    "example "
    "changeme change_me placeholder redacted hidden masked empty default value your_password yourpassword username "
    "user "
    "key apikey api_key bearer basic digest oauth oauth2 n/a todo tbd unknown invalid incorrect wrong "
    "expired missing".split()
)
_DUMMIES = tuple(
    "example sample dummy placeholder changeme change_me change-me your_ your- _here -here insert replace redact xxxx "
    "*** ... …… {{ }} ${ $( process.env environ getenv 1234567890abcdef abcdefghijkl".split()
)
_VARIABLE = re.compile(r"[<@]|\$[{(]|\$[a-z_][a-z0-9_]*\Z|%[({a-z]")
_REPEATED = re.compile(r"(.)\1{7}")
_REFERENCE = re.compile(r"[$%]?[A-Za-z_][A-Za-z_]*(?:(?:\.|->|::)[A-Za-z_][A-Za-z0-9_]*)*[.:]?")
_TOKEN = re.compile(r"[A-Za-z0-9_\-+/=.~:!@#$%^*|]+")
_PUNCTUATION = re.compile(r"[_\-./:]+")
_HUMP = re.compile("[a-z][A-Z]|[A-Z][a-z]")
_WORD_PART = re.compile("[a-z]{5}")
_PATH_LIKE = re.compile(r"(?:\.{0,2}/|[A-Za-z]:\\|https?:|file:|s3:|arn:|vault:|ssm:|env[.:])", re.IGNORECASE)


def assigned_secrets(text: str, start: int = 0) -> Iterator[Span]:
    """Yield values given to a name like `password`, `api_key`, `token` or 密码, in code, configuration and prose.

    Values with spaces are not found. References (`${TOKEN}`, `os.environ[…]`), words and examples are left alone.
    """
    done = start
    shared_end = tries = 0
    for end_of_stem, at, stem in _STEMS.find(lower(text)):
        match = _VALUE.match(text, end_of_stem) if at >= shared_end or tries < _MOST_TRIES else None
        if not match:
            continue
        begin, end = match.span("value")
        # Values inside a value share its end: without a limit, a word of many names would be read many times over.
        if at >= shared_end:
            shared_end, tries = end, 0
        tries += 1
        if not match["quote"]:
            end -= len(match["value"]) - len(match["value"].rstrip(".:!?。，；！？、）】"))
        if begin >= done and end > begin and _is_secret(text, stem, at, match, end):
            yield Span(begin, end, "SECRET", 0.85)
            done = end


def _is_secret(text: str, stem: str, at: int, match: re.Match[str], end: int) -> bool:
    if match["assign"] == " " and stem.isascii() and stem not in _SCHEMES and text[at - 1 : at] not in ("-", "_", " "):
        return False
    strong = stem in _STRONG
    before = text[max(0, at - 48) : at]
    if stem == "key":
        strong = bool(_STRONG_KEY.search(before))
        if not strong and not _WEAK_KEY.search(before):
            return False
    begin = match.start("value")
    value = text[begin : min(end, begin + _JUDGED)]
    if _NOT_SECRET_SUFFIX.search(match["suffix"]) or value.lower() in _WORDS or _is_reference(value):
        return False
    quoted = match["quote"] is not None
    if match["assign"] == " " and stem.isascii() and stem not in _SCHEMES and not _SPACE_ASSIGNS.search(before):
        return False
    if match["assign"] == " " and _NEXT_PAIR.match(value):
        return False
    if match["assign"] == "(" and not _SETTER.search(before):
        return False
    if match["assign"] == "," and stem in _PASSWORDS:
        return False
    if match["assign"] in (",", "->", "<=") and not (quoted and any(map(str.isdigit, value))):
        return False
    if (stem.isascii() and _names_no_secret(before)) or text[end : end + 1] in ("(", "["):
        return False
    if stem in _PASSWORDS:
        return _is_password(value, quoted=quoted, prose=match["assign"].strip(" :：") == "is")
    return _is_token(value, strong=strong, quoted=quoted)


def _names_no_secret(before: str) -> bool:
    """Tell whether the name that goes on behind this is of something else, such as `next_page_token`."""
    lowered = before.lower()
    stem = lowered[:-1] if lowered[-1:] in ("_", "-", ".", " ") else lowered
    if stem.endswith(_NOT_SECRET_PREFIXES) or _SHORT_PREFIX.search(stem):
        return True
    return "arn:" in lowered and _IN_ARN.search(before) is not None


def _is_password(value: str, *, quoted: bool, prose: bool) -> bool:
    if not 4 <= len(value) <= 128 or (_REFERENCE.fullmatch(value) and not quoted):
        return False
    classes = sum(
        (
            any(char.islower() for char in value),
            any(char.isupper() for char in value),
            any(char.isdigit() for char in value),
            any(not char.isalnum() for char in value),
        )
    )
    if quoted:
        return (classes >= 2 and not (value.isalpha() and value.istitle())) or (
            classes == 1 and len(value) >= 6 and value.isdigit()
        )
    return ((classes >= 2 and any(char.isdigit() for char in value)) or classes >= 3 or value.isdigit()) and len(
        value
    ) >= (6 if prose else 5)


def _is_token(value: str, *, strong: bool, quoted: bool) -> bool:
    if len(value) < (10 if strong else 16) or not _TOKEN.fullmatch(value):
        return False
    if value.isdigit():
        return strong and len(value) >= 15
    letters = [part for part in _PUNCTUATION.split(value) if part]
    if all(part.isalpha() or (part.isdigit() and len(part) < 5) for part in letters) and len(letters) > 1:
        return False
    digits = sum(char.isdigit() for char in value)
    mixed = any(char.islower() for char in value) and any(char.isupper() for char in value)
    if digits == 0:
        random = quoted or 4 * len(_HUMP.findall(value)) >= len(value)
        return (
            strong and random and mixed and len(value) >= 20 and entropy(value) >= 3.7 and not _WORD_PART.search(value)
        )
    if digits == 1 and not mixed:
        return False
    return entropy(value) >= (2.6 if strong else 3.2)


def _is_reference(value: str) -> bool:
    lowered = value.lower()
    return (
        any(map(lowered.__contains__, _DUMMIES))
        or bool(_VARIABLE.match(lowered) or _REPEATED.search(lowered))
        or (_PATH_LIKE.match(value) is not None and not _looks_random(value))
        or len(set(value)) <= 2
    )


def _looks_random(value: str) -> bool:
    """Tell whether digits and both cases alternate as in base64, which may begin with a slash."""
    digits = sum(char.isdigit() for char in value)
    return len(value) >= 24 and digits >= 3 and "." not in value and 5 * len(_HUMP.findall(value)) >= len(value)


def _is_dummy(value: str) -> bool:
    return len(set(value)) <= 4 or "EXAMPLE" in value or entropy(value) < 2


def entropy(value: str) -> float:
    """Return the Shannon entropy of the value in bits per character."""
    size = len(value)
    repeated = [count * log2(count) for count in map(value.count, set(value)) if count > 1]
    return log2(size) - sum(repeated) / size
