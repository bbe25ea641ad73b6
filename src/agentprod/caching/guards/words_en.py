"""English words without content, and a stem that makes forms of one word equal."""

from __future__ import annotations

from functools import lru_cache

from agentprod.caching.guards.vocabulary import lines

__all__ = ["FUNCTION_WORDS", "NEGATIONS", "ROLE_WORDS", "is_past", "stem"]

FUNCTION_WORDS = frozenset(
    """
    a an the this that these those some any am is are was were be been being do does did done doing have has had having
    can could will would shall should may might must ought 's 're 've 'd 'll 'm s t d m ll re ve
    i me my mine myself we us our ours you your yours he him his she her hers it its they them their theirs
    and or but so if then than as at by for from in into of off on onto out over per to up with within without about
    what which who whom whose when where why how there here just also too very really please pls kindly hi hello hey
    ok okay thanks thank tell know want need like let get got give show help find
    """.split()
)
"""Words that alone do not say what a text is about; they weigh little in the hashed embedder and mark no argument."""

ROLE_WORDS = frozenset(
    "from to by than then before after with without for on in into of at over under between against not".split()
)
"""Words that give the following one its part in the sentence, and so count as a fixed middle when arguments swap."""

NEGATIONS = frozenset(
    """
    no not never none lack lacks lacked lacking nobody
    nothing nowhere neither nor cannot without unable impossible hardly barely scarcely rarely
    seldom dont doesnt didnt cant couldnt wont wouldnt shouldnt isnt arent wasnt werent havent hasnt hadnt aint mustnt
    neednt don't doesn't didn't can't couldn't won't wouldn't shouldn't isn't aren't wasn't weren't haven't hasn't
    hadn't ain't mustn't needn't
    """.split()
)

_IRREGULAR = {form: base for base, *forms in map(str.split, lines("irregular_en")) for form in (base, *forms)}
_PLURALS = frozenset("men women children people feet teeth mice geese".split())
_NO_PAST = frozenset("am is are was were been being has have had having does did done doing".split())
_UNCHANGED = frozenset(
    """
    during morning evening wedding nothing something anything everything thing king ring string spring sing bring sling
    bus gas plus minus news yes less across always perhaps series species this his its us as was has does pass class
    red bed need feed speed seed bleed indeed hundred embed united wing swing sibling ceiling darling pudding
    pros cons headphones glasses sunglasses jeans pants trousers shorts address access express business process success
    """.split()
)
_VOWELS = frozenset("aeiouy")


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Return a form shared by the inflections of a word: `enabled`, `enables`, `enabling` and `enable` give `enabl`.

    Plurals, -ed and -ing only, after step 1 of Porter ("An algorithm for suffix stripping", 1980), and the irregular
    verbs and nouns. Comparatives keep their ending.

    Args:
        word: one word in small letters.
    """
    word = word.removesuffix("'s").removesuffix("'")
    if word in _IRREGULAR:
        return _trim(_IRREGULAR[word])
    if len(word) <= 3 or word in _UNCHANGED:
        return _trim(word)
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "i"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for suffix in ("ing", "ed"):
        base = word[: -len(suffix)]
        if word.endswith(suffix) and len(base) >= 2 and not _VOWELS.isdisjoint(base):
            doubled = len(base) > 3 and base[-1] == base[-2] and base[-1] not in "lsz"
            return _trim(base[:-1] if doubled else base)
    return _trim(word)


def is_past(word: str) -> bool:
    """Tell whether a word is a verb's past form or participle, other than of be, have and do."""
    ed = word.endswith("ed")
    if (not ed and word not in _IRREGULAR) or word in _UNCHANGED or word in _NO_PAST:
        return False
    irregular = _IRREGULAR.get(word, word) != word and word not in _PLURALS and not word.endswith(("s", "ing"))
    return irregular or (ed and len(word) > 4)


def _trim(word: str) -> str:
    """Drop a final e and write a final y as i, which is what inflection does to them."""
    if len(word) > 2 and word[-1] == "e":
        return word[:-1]
    return word[:-1] + "i" if len(word) > 2 and word[-1] == "y" and word[-2] not in _VOWELS else word
