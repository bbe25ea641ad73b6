"""What the word right before a number calls it: a telephone, a card, or some other number."""

from __future__ import annotations

import re

__all__ = ["ACCOUNT", "CARD", "OTHER", "PHONE", "label_before"]

PHONE, CARD, ACCOUNT, OTHER = "phone", "card", "account", "other"

_PHONE_WORDS = (
    "phone", "telephone", "tel", "mobile", "mob", "cell", "cellphone", "cellular", "fax", "hotline", "landline",
    "whatsapp", "sms", "call", "dial", "contact",
    "handy", "gsm", "telefon", "telefono", "telefone", "celular",
)  # fmt: skip
_CARD_WORDS = (
    "card",
    "visa",
    "mastercard",
    "amex",
    "maestro",
    "credit",
    "debit",
    "unionpay",
    "tarjeta",
    "karte",
    "pan",
)
_OTHER_WORDS = (
    "order", "invoice", "track", "shipment", "parcel", "transaction", "txn", "isbn", "issn", "imei", "serial",
    "model", "version",
    "part", "patent", "ticket", "case", "flight", "ssn", "license", "licence", "passport", "zip", "postal",
    "postcode", "budget", "population",
    "reference", "ref", "id", "ids", "uid", "pid", "tid", "sku", "sn", "qq", "ip", "port", "epoch", "timestamp",
    "build", "commit", "hash", "size",
    "length", "offset", "count", "total", "block", "blk", "iban", "vat", "tax", "uscc", "nonce", "seq", "page",
    "doi", "pmid", "trace", "span",
    "request", "session", "message", "msg", "ts", "time", "batch", "range", "sum",
)  # fmt: skip
_NEUTRAL = frozenset(
    "no num nr number numbers is was are the a of und my his her your their code my new at on to for s value data text "
    "content".split()
)
_KINDS = (
    dict.fromkeys(_OTHER_WORDS, OTHER)
    | dict.fromkeys(_PHONE_WORDS, PHONE)
    | dict.fromkeys(_CARD_WORDS, CARD)
    | {"account": ACCOUNT, "acct": ACCOUNT, "konto": ACCOUNT}
)
_BEGINNINGS = {
    PHONE: ("phone", "telephone", "mobile", "telefon", "cellphone"),
    CARD: ("card", "visacard", "creditcard"),
    OTHER: (
        "order",
        "invoice",
        "track",
        "shipment",
        "transaction",
        "timestamp",
        "version",
        "request",
        "session",
        "message",
        "serial",
    ),
}
_ENDINGS = {
    PHONE: ("phone", "mobile", "fax", "tel", "phoneno", "phonenumber", "telno"),
    CARD: ("card", "cardno", "cardnumber"),
    OTHER: ("time", "size", "count", "offset", "stamp", "length", "version", "orderno", "index", "bytes"),
}
# `userId` and `userid` name a number; Madrid and Ingrid do not.
_ID_OWNERS = frozenset(
    "user order trace request session device client customer transaction message event product item account task job "
    "node process thread group open app android chat room tenant union parent child object record row file build "
    "commit batch invoice payment ticket case page post article video song track shop store seller buyer member".split()
)
_TIMES_OF_DAY = frozenset("anytime daytime nighttime sometime lunchtime bedtime parttime fulltime overtime".split())
_CHINESE = (
    (PHONE, ("电话", "手机", "座机", "固话", "传真", "热线", "联系方式", "致电", "来电", "拨打", "電話", "手機",
    "携帯", "同号", "号码是" )),
    (CARD, ("银行卡", "信用卡", "储蓄卡", "借记卡", "工资卡", "卡号", "カード", "카드")),
    (ACCOUNT, ("账号", "账户", "帐号", "账戶")),
    (OTHER, (
        "订单", "单号", "流水", "编号", "编码", "序列", "快递", "物流", "运单", "交易", "发票", "批次", "时间戳",
        "金额", "余额", "价格", "邮编",
        "工号", "学号", "身份证", "税号", "型号", "版本", "代码", "数量", "合计", "总计", "会议号", "房间", "注文",
        "工单", "票号", "券码", "考号", "案号", "文号", "条码", "条形码", "病历", "档案", "物料",
        "库存", "销量", "总数", "总量", "次数", "人数", "重量", "容量", "大小",
        "주문",
    )),
)  # fmt: skip
_PUNCTUATION = " \t#:：\"'(（["
_FILLER = _PUNCTUATION + "号码为是第"
_WORD = re.compile("[A-Za-z]+")
_CURRENCY = "$€£¥￥₹"


def label_before(text: str, start: int, *, bare: bool = True) -> str:
    """Return what the number at `start` is called by the word or identifier right before it.

    Neutral words ("number", "no.", "is") are stepped over. An assignment to any identifier (`eventTime=`) is `"other"`
    unless the identifier names a telephone or a card.

    Args:
        text: folded text.

        start: offset of the number.

        bare: whether it is written without separators, as programs write numbers; others are not known by an
            assignment alone.

    Returns:
        `"phone"`, `"card"`, `"account"`, `"other"`, or `""` when there is no such word.
    """
    before = text[start - 32 if start > 32 else 0 : start].rpartition("\n")[2]
    core = before.rstrip(_FILLER)
    # A number in quotes is a text, not a counter or a time.
    assigned = core.endswith("=") and before[-1:] not in ('"', "'")
    if core.endswith("="):
        core = core.rstrip("= ")
    core = core.rstrip(".")
    if not core:
        return ""
    last = core[-1]
    if last in _CURRENCY:
        return OTHER
    if not last.isascii():
        named = before.rstrip(_PUNCTUATION)  # 编号 ends with a filler itself
        for kind, stems in _CHINESE:
            if core.endswith(stems) or named.endswith(stems):
                return kind
        return ""
    for written in reversed(_WORD.findall(core[-24:])):
        word = written.lower()
        if word in _NEUTRAL:
            continue
        kind = _KINDS.get(word) or _compound(word, written)
        return kind or (OTHER if assigned and bare else "")
    return OTHER if assigned and bare and (last.isalnum() or last == "_") else ""


def _compound(word: str, written: str) -> str:
    if word in _TIMES_OF_DAY:
        return ""
    if word.endswith("id") and (written.endswith(("Id", "ID")) or word[:-2] in _ID_OWNERS):
        return OTHER
    for kind, endings in _ENDINGS.items():
        if len(word) > 5 and word.endswith(endings):
            return kind
    for kind, beginnings in _BEGINNINGS.items():
        if word.startswith(beginnings):
            return kind
    return ""
