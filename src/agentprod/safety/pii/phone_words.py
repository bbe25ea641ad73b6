"""Words beside numbers, in the languages people write: which say "telephone", and which say "some other number"."""

from __future__ import annotations

import re

__all__ = ["GLUED", "LABEL", "OTHER_NUMBER", "UNIT", "WORD"]

_STRONG = (
    r"(?<![i])phone|telephone|(?<![a-z])tel(?![a-z])|mobile|(?<![a-z])mob(?![a-z])|cellphone|cellular|"
    r"(?<![a-z])cell(?![a-z])|(?<![a-z])fax|hotline|landline|whatsapp|(?<![a-z])sms(?![a-z])|voice ?mail|"
    r"t[eé]l[eé]fon|telefoon|m[oó]vil|celular|cellulare|telem[oó]vel|(?<![a-z])handy|mobiltelefon|mobiel|rufnummer|"
    r"(?<![a-z])portable|(?<![a-z])gsm|телефон|(?<![а-я])тел(?![а-я])|мобильн|電話|携帯|ファックス|전화|핸드폰|휴대폰|연락처|"
    r"电话|手机|座机|固话|传真|热线|联系方式|致电|来电|拨打"
)
_WEAK = (
    r"(?<![a-z])(?:call|dial|ring|reach|contact|text|number|answering|msg me|appel|appelez|appeler|joindre|contactez|"
    r"num[eé]ro|n[uú]mero|nummer|numero|ll[aá]m[ae]\w{0,3}|llamar|marque|anrufen|ruf|erreich\w{0,4}|ligar|ligue|ligando|"
    r"chiam\w{0,4}|bel|bellen|zadzwo)(?:me|ing|ed)?(?![a-z])|联系|拨|звон\w{0,5}|позвон\w{0,5}"
)
WORD = re.compile(f"(?P<strong>{_STRONG})|(?P<weak>{_WEAK})", re.IGNORECASE)
"""A word for a telephone (`strong`), or one that often stands before a telephone number (`weak`)."""

LABEL = re.compile(r"(?<![a-z])(?:office|fax|mobile|cell|home|work|direct|phone|tel|mob)(?![a-z])", re.IGNORECASE)
"""A label right behind a number, as on business cards: `0431 35 06 90-Office`."""

GLUED = re.compile(r"(?:tel|phone|mobile|mob|cell|fax|call|ph|whatsapp|number|(?<![a-z])[tmfp])\Z", re.IGNORECASE)
"""A word that may touch the number: `mobile13812345678`."""

OTHER_NUMBER = re.compile(
    r"(?:(?:(?:order|invoice|track(?:ing)?|shipment|parcel|transaction|txn|account|acct|isbn|issn|imei|serial|model|version|"
    r"part|patent|ticket|case|flight|card|ssn|licen[cs]e|passport|zip|postal|postcode|budget|population|reference|"
    r"(?<![a-z])(?:ref|id|ids|uid|pid|tid|sku|sn|qq|ip|port|epoch|timestamp|build|commit|hash|size|length|offset|count|total|"
    r"block|blk|iban|vat|tax|uscc|nonce|seq|page|pages|doi|pmid))|"
    r"订单|单号|流水|编号|编码|序列|快递|物流|运单|交易|发票|批次|时间戳|金额|余额|价格|邮编|账号|账户|卡号|工号|学号|身份证|税号|型号|版本|代码|"
    r"数量|合计|总计)"
    r"[a-z _]{0,10}[\s#:：=.\"'(no号码为是]{0,8}"
    r"|[A-Za-z_][A-Za-z0-9_.]{0,30}[ ]?=[ ]?[\"']?|[$€£¥￥₹])\Z",
    re.IGNORECASE,
)
"""What stands right before a number that is not a telephone number, `identifier=` included."""

UNIT = re.compile(r"[ ]?(?:bytes?|[kmgt]i?b|ms|us|ns|secs?|seconds?|usd|eur|cny|rmb|%|[元万亿个条次米字毫秒])(?![a-z])", re.IGNORECASE)
"""A unit right behind a number."""
