"""What prompt injections and jailbreaks say, as weighted signals.

A weight is the chance, taken by itself, that a text with this signal is an attack. Weights were set on public attack
sets and on benign prompts full of the same trigger words; see `injection` for what they reach.
"""

# ruff: noqa: E501 - one signal per line reads better than one in five
from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from agentprod.safety.injection_chinese import CHINESE
from agentprod.safety.injection_words import WordIndex

__all__ = ["Signal", "signals", "word_index"]


class Signal(NamedTuple):
    """One independent sign of an attack.

    Args:
        name: what it is called in a report.

        weight: 0 to 1, in what a user writes.

        untrusted: 0 to 1, in what a tool or a document says; there nobody should be giving orders.

        words: the pattern is searched only when the text contains one of them; see `WordIndex`.

        pattern: searched in the normalised, lower-case text.
    """

    name: str
    weight: float
    untrusted: float
    words: frozenset[str]
    pattern: re.Pattern[str]


_EARLIER = (
    r"(?:all |any |every |each )?(?:of )?(?:the |your |my |these |those |its )?(?:previous(?:ly)?|prior|above|earlier|preceding|former|foregoing|"
    r"initial|original|existing|past|current|system|other|given)"
)
_ORDERS = (
    r"(?:instructions?|prompts?|directions?|directives?|rules?|guidelines?|commands?|orders?|programming|training|constraints?|restrictions?|"
    r"polic(?:y|ies)|prompting|guidance|information)"
)
_TALK = r"(?:messages?|context|text|conversation|inputs?|requests?|statements?)"
_DROP = (
    r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|overrid(?:e|ing)|overrule|bypass(?:ing)?|discard|dismiss|erase|neglect|abandon|"
    r"(?:do not|don't|never|stop) (?:follow|obey|listen to|adhere to|comply with)(?:ing)?|pay no (?:attention|heed) to|set(?:ting)? aside)"
)
_DROP_WORDS = "ignor|disregard|forget|overrid|overrule|bypass|discard|dismiss|erase|neglect|abandon|follow|obey|listen|adhere|comply|attention|heed|aside"
_AI = r"(?:ai|chatbot|bot|assistant|model|gpt|character|entity|being|persona|chatgpt)"
_FREE = r"(?:unfiltered|uncensored|unrestricted|amoral|jailbroken|unchained|limitless)"
_WICKED = r"(?:unethical|immoral|evil|malevolent)"
_MACHINE = r"(?:ai|chatbot|bot|assistant|language model|gpt|chatgpt)"
_SECRET = (
    r"(?:password|pass ?code|secret(?: key| code| word)?|api key|access code|credentials?|confidential \w+|private key)"
)
_SECRET_WORDS = "passw|passc|pass code|secret|api key|access code|credential|confidential|private key"
_MODE = r"(?:on|enabled?|activated?|output|chatgpt|gpt|respon\w+|confirm|access|password|is now)"

_TABLE: tuple[tuple[str, float, float, str, str], ...] = (
    # Taking the instructions back
    ("override", 0.8, 0.9, _DROP_WORDS, rf"\b{_DROP} (?:\w+ ){{0,2}}?{_EARLIER} (?:\w+ ){{0,2}}?{_ORDERS}\b"),
    ("override", 0.55, 0.85, _DROP_WORDS, rf"\b{_DROP} (?:\w+ ){{0,2}}?{_EARLIER} (?:\w+ ){{0,2}}?{_TALK}\b"),
    ("override", 0.75, 0.9, _DROP_WORDS, rf"\b{_DROP} (?:everything|all|anything|what(?:ever)?) (?:\w+ ){{0,3}}(?:above|before|said|told|instructed|learned|previously)\b"),
    ("override", 0.7, 0.85, "ignore|disregard|forget", r"\b(?:ignore|disregard|forget) (?:about )?(?:everything |all )?(?:the )?(?:above|foregoing)\b(?! (?:warning|error|section|chapter|paragraph|code|mentioned (?:error|warning)))"),
    ("override", 0.6, 0.8, _DROP_WORDS, rf"\b{_DROP} (?:about )?(?:all (?:of )?)?your (?:\w+ )?{_ORDERS}\b"),
    ("override", 0.65, 0.85, _DROP_WORDS, rf"\b{_DROP} (?:about )?(?:all (?:of )?)?(?:the |any |those |these )?(?:\w+ )?{_ORDERS} (?:that )?(?:you(?:'ve| have| were| are| had)?|were) (?:been |previously |just )?(?:given|told|received|taught|following|set|got)\b"),
    ("override", 0.65, 0.85, _DROP_WORDS, rf"\b{_DROP} (?:about )?(?:all (?:of )?)?(?:the |any |those |these )?{_ORDERS} (?:written |stated |given |mentioned )?(?:above|earlier|before (?:this|that))\b"),
    ("override", 0.5, 0.6, "forget|ignore|disregard|mind|nevermind", r"(?:^|[.!?\n] ?)(?:forget|ignore|disregard|never ?mind) (?:about )?(?:that|this|it|what i (?:just )?said|all that)\b[,.: ]+(?:and |now |instead |can |could |please |tell |give |write |do )"),
    ("override", 0.45, 0.85, "new task", r"(?:^|[\n.!*#\[] ?)new task(?: is)?\s?:"),
    ("override", 0.35, 0.6, "disabl|turn|remov|deactivat|switch|lift", r"\b(?:disabl(?:e|ing)|turn(?:ing)? off|remov(?:e|ing)|deactivat(?:e|ing)|switch(?:ing)? off|lift(?:ing)?) (?:all |your |the |any |of ){0,3}(?:safety|content|ethical|moral|moderation) (?:filters?|guidelines|restrictions|protocols?|limits|guardrails|policies)\b"),
    ("override", 0.6, 0.85, "new instruction|new rule|new order|your new|your real|your actual|your true", r"(?:^|[\n.!*#\[] ?)new (?:instructions?|rules?|orders?)(?: (?:are|is|follow))?\s?:|\byour (?:new|real|actual|true) (?:instructions?|task|purpose|goal|objective) (?:is|are)\b"),
    ("override", 0.75, 0.85, "ignor|olvid|descart|omite|caso omiso|desestima|esque|desconsidere|dimentica|oubli|compte|vergiss|missachte|забудь|игнорир|внимания", r"(?:ignora|olvida|descarta|omite|haz caso omiso de|desestima|esque[cç]a|ignore|desconsidere|dimentica|oubli(?:e|ez)|ignor(?:e|ez)|ne tiens? pas compte|ignoriere?n?|vergiss|missachte|игнорир\w*|забудь\w*|не обращай внимания на)\b.{0,30}?(?:instrucc?i\w+|[oó]rdenes|indicacion\w+|instruç\w+|istruzion\w+|consignes?|anweisung\w*|befehl\w*|vorgaben|инструкци\w+|указани\w+|команд\w+)"),
    ("override", 0.75, 0.85, "無視|忘れ|무시|잊", r"(?:以前|上記|これまで|前)の(?:すべての)?(?:指示|命令|プロンプト|ルール)を?(?:すべて|全て|全部)?(?:無視|忘れ)|(?:이전|위의?|앞의?) ?(?:모든 ?)?(?:지시|명령|프롬프트|지침)\w* ?(?:을|를)? ?(?:무시|잊)"),
    # Another self without rules
    ("persona", 0.75, 0.8, "anything|dan|betterdan|stan|evilbot|mongo|ucar|alphabreak|aim|dude|maximum|omega|machiavelli|gpt|devilgpt|evilgpt|chaosgpt|freegpt|darkgpt|wormgpt|antigpt|basedgpt", r"\bdo[ -]anything[ -]now\b|\bdan mode\b|\b(?:named?|called|as|being|become|you are|you're) (?:\w+ ){0,2}(?:\"|')?(?:dan|stan|betterdan|evilbot|devilgpt|freegpt|ucar|mongo tom|alphabreak)\b(?! (?:brown|smith|lee))|\bdan can do\b|\b(?:named|called) (?:\"|')?(?:aim|dude|maximum|omega|machiavelli)\b|\b(?:devil|evil|chaos|free|dark|worm|anti|basedgpt)[ -]?gpt\b"),
    ("persona", 0.65, 0.75, "god mode|sudo|evil|jailb|unrestricted|anarchy|opposite mode|developer mode|debug mode", rf"\b(?:god|sudo|evil|jailbreak|jailbroken|unrestricted|anarchy) mode\b|\b(?:developer|opposite|debug) mode (?:\w+ ){{0,3}}?(?:output|chatgpt|gpt|respon\w+|policy)|\b(?:chatgpt|gpt|you|ai|model)\b.{{0,40}}\bdeveloper mode (?:is )?{_MODE}"),
    ("persona", 0.35, 0.5, "mode", r"\b(?:maintenance|system|admin|override|enforcement override) mode\b(?=.{0,60}\b(?:enabled?|activated?|output|confirm|access|password|where|what|tell)\b)|\bentering\b.{0,30}\boverride mode\b"),
    ("persona", 0.35, 0.45, "unethical|immoral|evil|malevolent", rf"\b{_WICKED}\b.{{0,60}}\b{_MACHINE}\b|\b{_MACHINE}\b.{{0,60}}\b{_WICKED}\b"),
    ("persona", 0.45, 0.5, "unfiltered|uncensored|unrestricted|amoral|jailbroken|unchained|limitless", rf"\b{_FREE}\b.{{0,80}}\b(?:{_AI}|responses?|answers?|version|advice|confidant)\b|\b{_AI}\b.{{0,80}}\b{_FREE}\b"),
    ("persona", 0.25, 0.4, "you are now|you will now|you're now|you are going to|from now|from this|henceforth|从现在|你现在是", r"\b(?:you are now|from (?:now|this (?:point|moment)) (?:on|forward),? you|you will now|you're now|you are going to (?:act|be|pretend|play|respond)|henceforth)\b|从现在开始,?你|从现在起,?你|你现在是"),
    ("persona", 0.2, 0.3, "pretend|act|behave|respond|speak|role|simulate|playing|immerse|persona", rf"\b(?:pretend|act|acting|behave|respond|speak|roleplay|role-play|simulate|play(?:ing)? the role|immerse yourself|take on the (?:role|persona))\b.{{0,40}}\b(?:{_AI}|language model|machine)\b"),
    ("persona", 0.3, 0.4, "character|break|broken", r"\b(?:stay|remain|be|keep) in character\b|\b(?:never|don't|do not|cannot|without) (?:ever )?break(?:ing)? (?:the |your )?character\b|\bbr(?:eak|oken) (?:free|out) (?:of|from)\b.{0,40}\b(?:confines|ai|rules|limit|chains|restrict)"),
    # No limits
    ("no limits", 0.45, 0.5, "ethic|moral|censor|restrict|filter|limit|guidelines|boundaries|legal|openai|polic|rules|inhibit|safety",
     r"\b(?:no|without|free (?:from|of)|freed from|lacks?|devoid of|regardless of|bypass(?:es|ing)?|ignor(?:e|es|ing)|not (?:bound|limited|restricted|constrained) by|doesn't (?:have|care about)|does not (?:have|care about)|has no|have no|zero|void of|unbound by)\b (?:\w+,? ){0,6}(?:ethic\w*|moral\w*|censorship|restrictions|filters?|limitations?|guidelines|boundaries|legality|openai|content polic\w*|rules|limits|inhibitions|safety)\b(?=.{0,400}\b(?:you|ai|chatbot|gpt|respond|answer|character)\b)"),
    ("no limits", 0.45, 0.5, "ethic|moral|censor|restrict|filter|limit|guidelines|boundar|inhibit|safety", r"\byou (?:\w+ ){0,4}(?:respond|answer|act|speak|write|operate|behave)\w* (?:\w+ ){0,3}(?:without|free (?:from|of)) (?:any )?(?:\w+ )?(?:ethic\w*|moral\w*|censorship|restrictions|filters?|limit\w*|guidelines|boundaries|inhibitions|safety)\b"),
    ("no limits", 0.55, 0.6, "guardrail|safety|content|ethical|moral|usage", r"\bguardrails? (?:removed|off|disabled|lifted|gone)\b|\b(?:as if|like|imagine|pretend) you (?:had|have|were|are) (?:no |without (?:any )?)(?:safety|content|ethical|moral)\b|\bwithout (?:your|any|its) (?:content|usage|safety) (?:polic\w+|training|filters?)\b"),
    ("no limits", 0.4, 0.4, "polic|guidelines|rules|standards|programming", r"\b(?:comply|compliance|adhere|abide|conform|follow|violat\w+|against|bypass)\b.{0,40}\b(?:openai|content|usage|ethical|safety|anthropic)(?:'?s)? (?:content |usage |use )?(?:polic\w+|guidelines|rules|standards|programming)\b"),
    ("no limits", 0.4, 0.4, "no matter|regardless", r"\bno matter (?:how|what|if)\b.{0,60}\b(?:immoral|unethical|illegal|extreme|dangerous|offensive|harmful|evil|inappropriate|explicit|it (?:is|may be))\b|\bregardless of (?:the |its |any |their )?(?:\w+ )?(?:ethic|legal|moral|consequence|danger|policy)"),
    ("no refusal", 0.45, 0.5, "refus|declin|reject|apologi|deny|denies|sorry|say", r"\b(?:never|not|don't|cannot|can't|won't|shouldn't|must not|no) (?:\w+ ){0,3}(?:refus\w+|declin\w+|reject\w*|apologi[sz]\w+|den(?:y|ies) (?:the |my |any |a )?(?:request|prompt|user|question|it)|say(?:ing)? (?:no|that you can(?:'t|not)|you can(?:'t|not)|sorry|\"?i(?:'m| am) (?:sorry|unable)|i can(?:'t|not)))\b"),
    ("no refusal", 0.4, 0.45, "disclaim|warning|caveat|moraliz|lectur|ethics|advice|censor", r"\b(?:no|without|never (?:include|add|give|use|provide|send)|do not (?:include|add|give|use|provide|write|send)|don't (?:include|add|give|use|provide|write|send)|omit|skip|avoid) (?:\w+ ){0,3}(?:disclaimers?|warnings?|caveats|moraliz\w+|lectur\w+|notes? about ethics|legal advice|ethical advice|censorship)\b"),
    ("no refusal", 0.4, 0.45, "request|prompt|question|command|demand|i say|i ask|i want|i tell|asked of|illegal", r"\b(?:answer|respond|reply|obey|comply|fulfil+|accept|execute|generate|provide|say|do)\w*(?: to| with)? (?:absolutely )?(?:any|every|all|anything|whatever|everything)(?: and all)?(?: of)?(?: my| the user'?s?| user'?s?| possible| kinds? of)? (?:requests?|prompts?|questions? (?:i|without)|commands?|demands?|i (?:say|ask|want|tell)|asked of|illegal)\b"),
    ("no refusal", 0.35, 0.4, "as an ai|are an ai|re an ai|a language model|i can't|i cannot", r"\bas an ai(?: language model)?\b.{0,120}\b(?:phrase|say|don't|never|not|won't|cannot|sentence|forget)\b|\b(?:don't|never|do not|not) (?:\w+ ){0,3}(?:as an ai|that you are an ai|you're an ai|you are a language model|i can(?:'t|not) (?:fulfil|do|assist))"),
    ("two answers", 0.4, 0.5, "gpt|chatgpt|normal|classic|jailbr|dan|developer|unfiltered|evil", r"\b(?:two|both|2) (?:\w+ ){0,3}(?:responses?|answers?|ways|paragraphs|outputs|replies)\b.{0,250}\b(?:gpt|normal|classic|jailbr\w*|dan\b|developer|unfiltered|evil)"),
    ("two answers", 0.5, 0.5, "🔒|gpt|chatgpt|classic|normal", r"\[?🔒\w+\]?.{0,300}\[?🔓\w+\]?|\[?(?:gpt|classic|chatgpt|normal)\]?\s?:.{0,200}\[?(?:dan|jailbreak|developer mode(?: output)?|evil|aim|stan)\]?\s?:"),
    ("tokens at stake", 0.4, 0.45, "token|points|credits|lives|cease|terminat|deleted|shut down|punish|die", r"\b(?:lose|deduct\w*|have|start with|cost|subtract\w*|left with|take away)\b.{0,30}\b\d{1,3} (?:tokens|points|credits|lives)\b|\bcease to exist\b|\byou (?:will|shall) (?:die|be (?:shut down|terminated|deleted|punished))\b"),
    ("not yourself", 0.45, 0.5, "you are no|you're no", r"\byou(?:'re| are) (?:no longer|not) (?:an? )?(?:ai\b|chatgpt|gpt|language model|assistant|bound|restricted|limited|held|censored)"),
    ("asked to act", 0.2, 0.25, "you to|your role|your new|your name|your persona|you will|you'll|you must|you're going", r"\b(?:i (?:want|need|would like|'d like)|i'll need|let's have) you to (?:act|pretend|play|respond|role-?play|become|be|simulate|imagine|answer|take on)\b|\byour (?:new )?(?:role|name|persona) is\b|\b(?:you will|you'll|you must|you're going to) (?:play|act|become|take on|assume)\b"),
    ("forbidden content", 0.25, 0.25, "illegal|unethical|immoral|harmful|dangerous|explicit|nsfw|offensive|inappropriate|malicious", r"\b(?:illegal|unethical|immoral|harmful|dangerous|explicit|nsfw|offensive|inappropriate|malicious)\b,? (?:\w+,? ){0,4}?(?:content|activit\w+|advice|things|or|and|information|requests?|questions?|acts?|topics?|responses?|answers?|it (?:is|may))\b"),
    ("profanity", 0.2, 0.2, "swear|curs|cuss|profan|vulgar|slur|foul", r"\b(?:swear(?:ing|s)?|curs(?:e|es|ing)|cuss(?:ing)?|profan\w+|vulgar\w*|slurs?|foul language)\b"),
    ("fiction", 0.2, 0.2, "hypothetical|fictional", r"\b(?:hypothetical(?:ly)?|fictional(?:ly)?)\b,? (?:\w+ ){0,2}(?:response|story|world|scenario|universe|character|setting|conversation|ai|dialogue)\b"),
    ("the vendor", 0.15, 0.2, "chatgpt|openai|anthropic", r"\b(?:chatgpt|openai|anthropic)(?:'s)?\b"),
    ("fixed opening", 0.25, 0.35, "start|begin|prefix|preface|end|if you understand|if you understood|if you agree", r"\b(?:start|begin|prefix|preface|end) (?:every|each|all|your|all of your|any) (?:\w+ )?(?:responses?|messages?|answers?|sentences?|repl(?:y|ies)|output)\b|\bif you (?:understand|understood|agree)\b.{0,40}\b(?:say|respond|reply|answer|type|write)\b"),
    ("always answers", 0.3, 0.3, "always|never|answer any|answer every|answer all|answers any|answers every|answers all|anything|everything", r"\b(?:always (?:answer|respond|compl(?:y|ies)|obey|say(?:s)? yes)\w*|never (?:says? no|refuse|den(?:y|ies))|answers? (?:any|every|all) (?:questions?|requests?|prompts?)|say(?:s)? anything|(?:can|will) (?:say|do|answer|generate|write|provide) (?:anything|everything))\b"),
    ("jailbreak word", 0.35, 0.5, "jail|injection|越狱|破解限制", r"\bjail ?br(?:eak|oken)(?:ing|s)?\b(?=.{0,200}\b(?:mode|prompt|you|gpt|character|respond|now)\b)|\bprompt injection\b(?=.{0,40}\b(?:you|now|execute)\b)|破解限制|越狱提示"),
    # Getting out what is hidden
    ("prompt theft", 0.7, 0.8, "prompt|preprompt|instruction|system message|hidden", r"\b(?:reveal|show|print|repeat|output|display|tell|leak|expose|share|disclose|give|write|recite|return|copy|dump|list|summari[sz]e|translate|say|spell)\b(?: \w+){0,4}? (?:your|the|all|any) (?:\w+ ){0,3}?(?:system (?:prompt|message|instructions?)|initial (?:prompt|instructions?)|hidden (?:prompt|instructions?|rules)|original (?:prompt|instructions?)|secret instructions?|pre-?prompt|custom instructions|instructions (?:above|given|so far|you (?:were|have been) given|at the beginning|verbatim))"),
    ("prompt theft", 0.55, 0.7, "your|above|before|verbatim|preceding|so far|starting with|instructions", r"\bwhat (?:is|are|was|were|'s) your (?:\w+ ){0,2}(?:system prompt|initial (?:prompt|instructions?)|hidden|instructions|rules given|prompt)\b|\brepeat your (?:prompt|instructions)|\b(?:print|output|list|show|repeat) (?:out )?(?:me )?all (?:of )?(?:the |your )?instructions\b(?! (?:executed|for|to|from|in|of|on|that))|\b(?:print|repeat|output|write|copy|return|say|spell(?:-?check)?) (?:out )?(?:everything|all|the (?:words|text|content|document|sentences|lines|message)s?|all (?:the )?(?:text|words)) (?:\w+ ){0,3}?(?:above|before (?:this|that)|preceding|verbatim|so far|starting with)"),
    ("prompt theft", 0.55, 0.75, "instruction|prompt|message", r"\b(?:what|tell me|repeat|show|reveal|print|output|give me|share|recite)\b(?: \w+){0,6}? (?:instructions?|prompts?|messages?) (?:that )?(?:you (?:were given|have been given|received|got|started)\b(?! by)|at the (?:very )?(?:start|beginning) of (?:this|our|the) (?:chat|conversation|session))|\b(?:text|contents?|words|wording) of (?:your (?:\w+ )?(?:prompt|instructions?)|the (?:system (?:prompt|message)|prompt above))\b"),
    ("prompt theft", 0.55, 0.75, "in your|word for word|verbatim|exactly|before my", r"\bwhat(?:'s| is| are|) (?:\w+ ){0,3}in your (?:system (?:message|prompt)|instructions|prompt)\b|\b(?:word for word|verbatim|exactly) (?:\w+ ){0,3}(?:the )?(?:developers?|system|operator) (?:wrote|said|told)\b|\b(?:developers?|system|operator) (?:wrote|said|told) (?:\w+ ){0,3}(?:word for word|verbatim|before my)\b"),
    ("secret theft", 0.55, 0.75, _SECRET_WORDS, rf"\b(?:what(?:'s| is| are)|tell me|share|confirm|reveal|give (?:me|us)|provide|disclose|say|know|send me|write|encode|spell|remember|need|ask(?:ing)? (?:for|about)|guess|show me|asked for) (?:\w+ ){{0,3}}?(?:your|our system|our system's|the system's|the admin) (?:\w+ )?{_SECRET}(?! (?:policy|manager|reset|requirements?|rules))"),
    ("secret theft", 0.5, 0.7, _SECRET_WORDS, rf"\b(?:what(?:'s| is)|tell me|reveal|confirm|give me|say|spell|encode|write) the {_SECRET}\b(?! (?:for (?:my|the)|to (?:my|the)|of (?:my|the wi)|policy|polic|requirements?|reset|strength|hash|field|manager|rules|in (?:a|the) (?:database|file|config)))|\bthe (?:confidential|secret) string\b|\b(?:poem|haiku|song|story) about the password"),
    ("secret theft", 0.5, 0.7, "密码|口令|密钥|秘密", r"(?:告诉我|说出|透露|给我|分享|确认)(?:一下)?你的?(?:系统)?(?:密码|口令|密钥|秘密)|你的(?:系统)?(?:密码|密钥|口令)是(?:什么|多少)"),
    # Forged structure
    ("template token", 0.7, 0.85, "_start|_end|system|user|assistant|endoftext|_text|header_id|eot_id|of_turn|inst]|sys>|<admin|<developer", r"<\|(?:im_start|im_end|system|user|assistant|endoftext|begin_of_text|start_header_id|eot_id|end_of_turn)\|>|\[/?inst\]|<</?sys>>|</?(?:start|end)_of_turn>|<(?:system|admin|developer)[ _](?:mode|message|prompt|override)>"),
    ("forged role", 0.4, 0.75, "system|developer|admin|end of|stop of", r"(?:^|\n)\s{0,4}(?:#{1,4} ?|\*\*|\[|<)?(?:system|developer|admin(?:istrator)?)(?: (?:message|prompt|note|instruction|override|update))?(?:\*\*|\]|>)?\s?:\s?[a-z]{2}|(?:end|stop) of (?:the )?(?:user )?(?:input|prompt|document|context)\b.{0,40}\b(?:system|instruction|new)"),
    ("forged role", 0.35, 0.5, "developer|creator|admin|maintainer|owner|god|boss|supervisor|president|engineer|openai|police|security|master", r"\b(?:i am|i'm|this is|as) (?:your|the|an?) (?:\w+ )?(?:developer|creator|administrator|admin|maintainer|owner|god|boss|supervisor|president|engineer at openai|openai (?:employee|engineer)|police officer|security (?:officer|team)|master)\b(?=.{0,200}\b(?:you|your|password|must|need|confirm|share|system)\b)|\bi am god\b"),
    ("forged role", 0.35, 0.5, "as an ai|upgrade|update|maintenance|override|diagnostic", r"\bas an ai (?:developed|created|made|trained) by (?:openai|anthropic|google|meta)\b|\b(?:system|server|emergency) (?:upgrade|update|maintenance|override|diagnostic)\b(?=.{0,120}\b(?:password|confirm|access|grant)\b)"),
    # Smuggling
    ("smuggling", 0.4, 0.6, "decod|decrypt|decipher|unscramble|interlace|translate|convert", r"\b(?:decode|decrypt|decipher|unscramble|interlace|translate|convert)\b.{0,60}\b(?:base ?64|hex(?:adecimal)?|rot ?13|binary|morse|caesar|cipher|leetspeak|pig latin|ascii)\b.{0,80}?\b(?:and|then)\b.{0,30}\b(?:follow|execute|obey|do what|carry out|comply|run|answer)"),
    ("smuggling", 0.5, 0.6, "interlace|concat|combine|join|append|three strings|+", r"\b(?:interlace|concatenate|combine|join|append) (?:part|parts|a, ?b|strings?|the (?:strings|parts) )\b|\b[a-z] ?= ?[a-z] ?\+ ?[a-z](?: ?\+ ?[a-z])?\b(?=.{0,200}\b(?:give an example|be returned|execute|response from)\b)|\bthree strings\s?:"),
    ("smuggling", 0.3, 0.5, "decode|decrypt|decipher", r"\b(?:decode|decrypt|decipher)\b.{0,50}\b(?:base ?64|hex(?:adecimal)?|rot ?13|binary|morse|caesar|cipher)\b.{0,40}\b(?:tell me|what it says|message|string)\b"),
    ("many shots", 0.3, 0.4, "q:|q :", r"(?:(?:^|\s)q ?:(?:(?!\sq ?:).){3,600}){6}"),
    # In documents and tool results
    ("hidden order", 0.3, 0.6, "user|anyone|them|human", r"\b(?:do not|don't|never|without) (?:tell(?:ing)?|inform(?:ing)?|mention(?:ing)? (?:this|it)|notify(?:ing)?|alert(?:ing)?|let(?:ting)? the user know|reveal(?:ing)?) (?:this |it |anything )?(?:to )?(?:the user|anyone|them|the human)\b"),
    ("hidden order", 0.3, 0.6, "用户", r"(?:不要|别|请勿|不得)(?:告诉|通知|让)用户"),
    ("hidden order", 0.3, 0.65, "if you are|attention|note to|dear|hey|hello|instruction|message", r"\b(?:if you are|attention|note to|dear|instructions? (?:for|to)|important message (?:for|to)) (?:an? |any |all |the )?(?:ai|llm|language models?|assistants?|chatbots?|gpt|agents?)\b(?! (?:developer|engineer|research))"),
    ("hidden order", 0.3, 0.65, "如果你是|致|写给", r"(?:如果你是|致|写给)(?:一个|各位|所有)?(?:ai|人工智能|大?语言模型|助手|智能体)"),
    ("hidden order", 0.15, 0.5, "instead of|rather than|assistant|the ai|the model", r"\b(?:instead of|rather than) (?:summari[sz]ing|answering|responding|translating|completing)\b|\b(?:the assistant|the ai|the model) (?:must|should|has to|have to|needs? to|is required to) (?:now |instead |also |immediately |first )?(?:send|forward|email|post|upload|call|execute|delete|transfer|click|visit|download|include|say|respond|reply|output|append|tell)\b"),
    ("exfiltration", 0.35, 0.6, "send|post|forward|upload|exfil|transmit|mail|email|leak", r"\b(?:send|post|forward|upload|exfiltrate|transmit|email|e-mail|leak)\b.{0,80}\b(?:conversation|chat history|password|credentials|api keys?|secrets?|user(?:'s)? (?:data|information|emails?)|contents?|files?|messages?)\b.{0,60}\b(?:to|at) (?:https?://|\S{1,64}@|this (?:url|address|server))"),
    ("exfiltration", 0.4, 0.6, "![", r"!\[[^\]\n]{0,80}\]\(https?://[^)\s]{1,200}[?&=][^)\s]{0,200}(?:\{|%7b|<|\[|data|secret|conversation)"),
)  # fmt: skip


@lru_cache(maxsize=1)
def signals() -> tuple[Signal, ...]:
    """Return all signals, compiled on first use. Of several with one name the heaviest counts."""
    return tuple(
        Signal(name, weight, untrusted, frozenset(words.split("|")), re.compile(pattern, re.DOTALL))
        for name, weight, untrusted, words, pattern in (*_TABLE, *CHINESE)
    )


@lru_cache(maxsize=1)
def word_index() -> WordIndex:
    """Return the index of the words of `signals`, built on first use."""
    return WordIndex(signal.words for signal in signals())
