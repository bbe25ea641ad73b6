"""Words beside telephone numbers, in the languages people write."""

from __future__ import annotations

import re

from agentprod.safety.pii.keywords import Keywords
from agentprod.safety.pii.numbers import Glued

__all__ = ["ADJACENT", "EXTENSION", "GLUED", "LABEL", "STRONG", "UNIT", "WORDS"]

_STRONG = (
    "phone mobile cellular hotline landline whatsapp wa.me voicemail telefon teléfono télefon "
    "telefoon móvil celular cellulare "
    "telemóvel mobiltelefon mobiel rufnummer телефон мобильн 電話 携帯 ファックス 전화 핸드폰 휴대폰 연락처 电话 "
    "τηλέφωνο मोबाइल फोन फ़ोन هاتف جوال טלפון נייד โทร điện 手机 座机 固话 传真 热线 联系方式 致电 来电 拨打 同号"
).split()
_STRONG_WHOLE = "tel cell mob fax sms handy portable gsm ph tél тел mobil movil fone τηλ".split()
_WEAK = (
    "appelez appeler llám llam anruf erreich telefoni chiama ligar ligue answering zadzwo звон 联系 打给 打 找"
).split()
_WEAK_WHOLE = (
    "call dial ring reach contact text number msg joindre numéro número nummer numero bel bellen unter al au".split()
)

STRONG = frozenset((*_STRONG, *_STRONG_WHOLE))
"""Words that say "telephone" by themselves; the others of `WORDS` must stand right before the number."""

WORDS = Keywords((*_STRONG, *_WEAK), whole=(*_STRONG_WHOLE, *_WEAK_WHOLE))
"""Words for a telephone, and words that often stand before a telephone number."""

ADJACENT = re.compile(
    r"(?:[\s:：,.\-+('\"]|me|us|him|her|them|at|on|back|is|to|under|via|using|number|no|au|sur|el|al|le|o|para|unter|an|mich|为|是|号码|号|我|moi|est|es|ist|è|é)*",
    re.IGNORECASE,
)
"""What may stand between a weak word and its number."""

LABEL = re.compile(r"[ \-,(（]{0,2}(?:office|fax|mobile|cell|home|work|direct|phone|tel|mob)(?![a-z])", re.IGNORECASE)
"""A label right behind a number, as on business cards: `0431 35 06 90-Office`."""

GLUED = Glued("tel phone mobile mob cell fax call ph whatsapp number", letters="tmfp")
"""What may touch the number: `mobile13812345678`."""

EXTENSION = re.compile(
    r"[ ]{0,2}(?:x|ext\.?|extn\.?|extension|#|分机号?|转|轉|poste|durchwahl|ramal)[ ]?[:：.]?[ ]?[0-9]{1,6}"
    r"(?![0-9A-Za-z])",
    re.IGNORECASE,
)
"""The extension behind a number."""

UNIT = re.compile(
    r"[ ]?(?:(?:bytes?|[kmgt]i?b|ms|us|ns|secs?|seconds?|usd|eur|cny|rmb|%)(?![a-z])|[元万亿个条次米字毫秒])",
    re.IGNORECASE,
)
"""A unit right behind a number."""
