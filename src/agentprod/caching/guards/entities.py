"""The entity guard: names, codes, quotations and addresses of one text must stand in the other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agentprod.caching.guards.contract import Side
from agentprod.caching.guards.sentence import Sentence
from agentprod.caching.guards.tokens import CAPITAL, CJK, SINGLE, Token
from agentprod.caching.guards.words_en import FUNCTION_WORDS, stem

__all__ = ["EntityGuard"]

_SENTENCE_ENDS = frozenset(".!?:;\n\"'([{-–—•*/")
_CALENDAR = frozenset(
    """monday tuesday wednesday thursday friday saturday sunday
    january february march april may june july august september october november december""".split()
)
_ALL_CAPITALS = 0.8
"""Share of the words from which on their capitals are a way of writing."""

_FREE_LETTERS = frozenset("aiurnkyxswm")
"""Single letters that are words, or stand for words in chats."""

_ADDRESS = re.compile(
    r"https?://\S+|www\.\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|(?<!\w)[@#]\w{2,}|(?<!\w)(?:~?/[\w.-]+){2,}|\b\w+\.(?:com|org|net|io|cn|py|js|txt|csv|pdf|exe)\b",
    re.IGNORECASE,
)
_MARKS = frozenset("./@#")
"""No address is without one of these."""

_QUOTATION = re.compile(
    r"\"([^\"]{2,80})\"|「([^」]{1,80})」|『([^』]{1,80})』|《([^》]{1,80})》|(?<!\w)'([^']{3,80})'(?!\w)"
)
_QUOTES = frozenset("\"「『《'")
_DOTTED_NAME = re.compile(rf"[{CJK}]{{1,8}}(?:·[{CJK}]{{1,8}})+")
_COMMON_LATIN = frozenset("app ok vs pk diy ppt".split())
_SHOUTED = frozenset("asap fyi btw aka faq eta diy rsvp tbh imo lol omg".split())
"""Capital letters that name nothing."""

_SPELLED_OUT = {
    "usd": ("dollar", "$"),
    "eur": ("euro", "€"),
    "gbp": ("pound", "sterling", "£"),
    "jpy": ("yen", "¥"),
    "cny": ("yuan", "rmb", "¥"),
    "rmb": ("yuan", "cny", "¥"),
    "inr": ("rupee", "₹"),
    "krw": ("won", "₩"),
}
"""Under what other names a currency may stand in a text."""

_NO_NAMES = _CALENDAR | _SHOUTED | FUNCTION_WORDS

_WORD = re.compile(rf"[^\W_{CJK}]+")
_JOINTS = re.compile(r"[\s_·-]+")
_SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱林郭罗马梁宋郑韩唐冯董萧曹袁邓傅沈彭吕苏蒋蔡贾丁魏薛"
    "阎潘杜戴汪姚谭廖邹熊陆郝崔邱秦侯邵孟尹黎乔贺赖龚"
)
"""Frequent Chinese family names, without those that more often begin another word."""

_TITLES = "先生|女士|小姐|老师|医生|教授|经理|同学|师傅|律师|阿姨|叔叔|大爷|大妈|奶奶|爷爷|总|哥|姐|叔|姨"
_PERSON = re.compile(
    rf"(?=([小老阿][{CJK}]|[{_SURNAMES}](?:{_TITLES})|[{_SURNAMES}][{CJK}]{{1,2}}|[{CJK}]{{2}}(?=[省市区县镇乡村])))"
)


class EntityGuard:
    """Blocks pairs of which one names something that the other does not.

    Names are known places, languages, firms and first names (English in any case, Chinese), words with a capital inside
    a sentence, single letters (`vitamin C`), quotations and titles (《…》), web and mail addresses, file names, Latin
    words in a Chinese text, and 张三 against 李四, or 朝阳 against 海淀 before 区, in one place. English names that are
    not in the list and are typed in small letters are not seen.
    """

    name = "entity"

    def read(self, sentence: Sentence) -> str:
        """Return the names: numbers for known ones, words for the others, separated by tabs."""
        names = [hit for hit in sentence.hits if hit.group < 0]
        found: set[str] = set()
        if not _MARKS.isdisjoint(sentence.signs):
            found = {text.lower() for text in _ADDRESS.findall(sentence.plain)}
        if not _QUOTES.isdisjoint(sentence.signs):
            quotations = _QUOTATION.findall(sentence.plain)
            found |= {next(filter(None, quoted)).strip(" .,!?").lower() for quoted in quotations}
        if sentence.chinese:
            found |= set(_DOTTED_NAME.findall(sentence.plain))
            found |= {word for word in sentence.words if len(word) > 1 and word not in _COMMON_LATIN}
        elif sentence.inner_traits & CAPITAL:
            found |= set(_capitalised(sentence.tokens)) - {word for hit in names for word in hit.word.split()}
        if sentence.traits & SINGLE:
            found |= set(_letters(sentence))
        persons = set(_persons(sentence.plain, sentence.known_words)) if sentence.chinese else ()
        if not (names or found or persons):
            return ""
        known = {str(hit.value) for hit in names}
        items = [*sorted(known), *sorted(f"={name}" for name in found if name), *sorted(f"@{name}" for name in persons)]
        return "\t".join(items)

    def conflict(self, one: Side, other: Side) -> bool:
        """Return whether a name of either text is missing in the other."""
        mine, theirs = one.reading.split("\t"), other.reading.split("\t")
        if _known(mine) != _known(theirs):
            return True
        return _missing(mine, other.text) or _missing(theirs, one.text) or _persons_swapped(mine, theirs, one, other)


def _capitalised(tokens: list[Token]) -> Iterator[str]:
    """Yield words with a capital inside a sentence, unless the text has capitals everywhere."""
    found = [
        index for index, token in enumerate(tokens) if token.traits & CAPITAL and index and token.bare not in _NO_NAMES
    ]
    if not found:
        return
    words = [token for token in tokens[1:] if token.kind == "word" and len(token.surface) > 3]
    if len(words) > 1 and sum(token.surface[0].isupper() for token in words) > _ALL_CAPITALS * len(words):
        return
    for index in found:
        word = tokens[index].bare
        begins = tokens[index - 1].surface[-1] in _SENTENCE_ENDS
        if not begins and len(word) > 1 and "'" not in word:
            yield word


def _letters(sentence: Sentence) -> Iterator[str]:
    """Yield single letters that stand for something: `vitamin c`, `plan B`, `A4`."""
    tokens = sentence.tokens
    for index in [index for index, token in enumerate(tokens) if token.traits & SINGLE]:
        letter = tokens[index]
        before_number = index + 1 < len(tokens) and tokens[index + 1].kind == "number"
        if (
            letter.lower not in _FREE_LETTERS
            or ((index or sentence.chinese) and letter.traits & CAPITAL)
            or (before_number and not sentence.apart(index + 1))
        ):
            yield letter.lower


def _persons(text: str, known: Iterable[str]) -> Iterator[str]:
    """Yield what may be a Chinese person's or district's name; most is none, which `_persons_swapped` allows for."""
    for word in known:
        if len(word) > 1 and word not in _TITLES.split("|"):
            text = text.replace(word, " " * len(word))
    for match in _PERSON.finditer(text):
        yield match[1]
        if len(match[1]) == 3:
            yield match[1][:2]


def _known(items: Iterable[str]) -> set[str]:
    return {item for item in items if item[:1].isdigit()}


def _missing(items: Iterable[str], text: str) -> bool:
    """Tell whether the text lacks one of the names, small and capital letters, spaces and hyphens aside."""
    names = [item[1:] for item in items if item.startswith("=")]
    if not names:
        return False
    text = text.casefold()
    words = frozenset(_WORD.findall(text))
    joined = _JOINTS.sub("", text)
    return any(
        name not in words
        and stem(name) not in map(stem, words)
        and (len(name) < 3 or _JOINTS.sub("", name) not in joined)
        and not any(alias in text for alias in _SPELLED_OUT.get(name, ()))
        for name in names
    )


def _persons_swapped(mine: Iterable[str], theirs: Iterable[str], one: Side, other: Side) -> bool:
    """Tell whether one text has a person's name just where the other has another one."""
    here = [item[1:] for item in mine if item.startswith("@") and item[1:] not in other.text]
    there = [item[1:] for item in theirs if item.startswith("@") and item[1:] not in one.text]
    return any(_around(name, one.text) & _around(rival, other.text) for name in here for rival in there)


def _around(name: str, text: str) -> set[tuple[str, str]]:
    """Return the characters before and behind each place of a name."""
    padded = f"\n{text}\n"
    return {(padded[match.start() - 1], padded[match.end()]) for match in re.finditer(re.escape(name), padded)}
