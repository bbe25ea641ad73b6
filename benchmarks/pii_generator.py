"""Seeded rows of Chinese and English text with personal data in them, and of text that only looks like it.

Values are built here with check digits computed by code of this file alone, so a mistake in the library's validators
cannot hide behind the same mistake in its test data.

    python benchmarks/pii_generator.py --seed 7 --rows 20 --carriers other
"""

# ruff: noqa: E501 - tables of values and sentences
from __future__ import annotations

import argparse
import datetime
import json
import random
import string
from collections.abc import Callable, Iterator
from typing import Any

Row = dict[str, Any]
UPPER, DIGITS = string.ascii_uppercase, string.digits


def digits(rng: random.Random, count: int, first: str = DIGITS) -> str:
    return rng.choice(first) + "".join(rng.choices(DIGITS, k=count - 1)) if count else ""


def pick(rng: random.Random, pattern: str) -> str:
    """Fill a pattern: # any digit, 1-9 stay, N 2 to 9, A a capital."""
    fill = {"#": DIGITS, "N": "23456789", "A": UPPER}
    return "".join(rng.choice(fill[char]) if char in fill else char for char in pattern)


# -- values ----------------------------------------------------------------------------------------------------------


def luhn_complete(body: str) -> str:
    for check in DIGITS:
        total = 0
        for place, char in enumerate(reversed(body + check)):
            value = int(char) * (2 if place % 2 else 1)
            total += value // 10 + value % 10
        if total % 10 == 0:
            return body + check
    raise AssertionError


def card(rng: random.Random) -> str:
    prefix, size = rng.choice(
        [
            ("4", 16),
            ("51", 16),
            ("55", 16),
            ("2221", 16),
            ("34", 15),
            ("37", 15),
            ("6011", 16),
            ("3530", 16),
            ("36", 14),
        ]
    )
    number = luhn_complete(prefix + digits(rng, size - len(prefix) - 1))
    style = rng.randrange(4)
    if size == 16 and style:
        return (" ", "-", " ")[style - 1].join(number[i : i + 4] for i in range(0, 16, 4))
    return f"{number[:4]} {number[4:10]} {number[10:]}" if size == 15 and style == 1 else number


def cn_bank_card(rng: random.Random) -> str:
    prefix = rng.choice(
        ["621700", "622202", "622848", "623058", "621661", "622588", "625910", "622150", "621226", "620302"]
    )
    size = rng.choice([16, 19, 19, 17, 18])
    number = luhn_complete(prefix + digits(rng, size - 7))
    if rng.random() < 0.35 and size in (16, 19):
        return " ".join(number[i : i + 4] for i in range(0, size, 4))
    return number


def born(rng: random.Random) -> datetime.date:
    return datetime.date(1935, 1, 1) + datetime.timedelta(days=rng.randrange(32000))


def cn_id(rng: random.Random) -> str:
    province = rng.choice(
        "11 12 13 14 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65".split()
    )
    body = (
        province
        + f"{rng.randrange(1, 30):02d}{rng.randrange(1, 35):02d}"
        + born(rng).strftime("%Y%m%d")
        + digits(rng, 3)
    )
    # ISO 7064 MOD 11-2 by its recurrence, not by a table of weights.
    state = 0
    for char in body:
        state = (state + int(char)) * 2 % 11
    check = "0123456789X"[(12 - state) % 11]
    return body + (check.lower() if rng.random() < 0.1 else check)


def uscc(rng: random.Random) -> str:
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    body = (
        rng.choice(["91", "91", "91", "92", "12", "52", "93"])
        + f"{rng.choice('11 31 33 44 32 51 37 42'.split())}{rng.randrange(100, 9999):04d}"
    )
    body += "".join(rng.choices(alphabet, k=9)) if rng.random() < 0.4 else "MA" + "".join(rng.choices(alphabet, k=7))
    total = sum(alphabet.index(char) * pow(3, place, 31) for place, char in enumerate(body))
    return body + alphabet[(31 - total % 31) % 31]


def iban(rng: random.Random) -> str:
    country, shape = rng.choice(
        [("GB", "AAAA##############"), ("DE", "#" * 18), ("FR", "#" * 23), ("ES", "#" * 20), ("IT", "A" + "#" * 22), ("NL", "AAAA##########"),
         ("CH", "#" * 17), ("NO", "#" * 11), ("PL", "#" * 24), ("SA", "#" * 20), ("BE", "#" * 12), ("MT", "AAAA#####" + "#" * 18)]
    )  # fmt: skip
    body = pick(rng, shape)
    value = 0
    for char in body + country + "00":
        value = (value * (10 if char.isdigit() else 100) + int(char, 36)) % 97
    number = f"{country}{98 - value:02d}{body}"
    return " ".join(number[i : i + 4] for i in range(0, len(number), 4)) if rng.random() < 0.4 else number


def email(rng: random.Random) -> str:
    name = rng.choice(
        [
            "zhang.wei",
            "li_na",
            "john.smith",
            "m.garcia",
            "wang88",
            "o'neil",
            "k-tanaka",
            "anna+news",
            "90203918",
            "x",
            "Li.Ming2020",
        ]
    )
    return f"{name}{rng.choice(['', digits(rng, 2)])}@{rng.choice(['qq.com', '163.com', 'corp.com.cn', 'gmail.com', 'mail.example.org', 'uni-bonn.de', 'a.co', 'my-firm.io'])}"


def cn_mobile(rng: random.Random) -> str:
    number = rng.choice("130 135 138 139 147 150 155 158 166 170 177 180 188 191 198 199".split()) + digits(rng, 8)
    shaped = rng.choice(
        [number] * 4 + [f"{number[:3]} {number[3:7]} {number[7:]}", f"{number[:3]}-{number[3:7]}-{number[7:]}"]
    )
    return rng.choice(["", "", "", "+86", "+86 ", "86-", "0086 ", "(+86)"]) + shaped


def cn_landline(rng: random.Random) -> str:
    area = rng.choice("010 021 020 0755 0571 0512 028 0411 0936".split())
    local = digits(rng, 8 if len(area) == 3 else rng.choice([7, 8]), "2345678")
    return rng.choice(["{}-{}", "{} {}", "({}){}", "{}-{}-" + digits(rng, 3), "+86 " + area[1:] + " {1}"]).format(
        area, local
    )


PHONES = {
    "en": ["(N##) N##-####", "N##-N##-####", "N##.N##.####", "1-N##-N##-####", "+1 N## N## ####", "+1-N##-N##-####x###", "+44 20 7### ####", "020 7### ####",
           "07### ######", "+44 (0)1### ######", "+61 4## ### ###", "04## ### ###", "+91 9#### #####", "+353 1 ### ####", "N## N## ####", "+27 8# ### ####"],
    "de": ["+49 30 ######", "030 ######", "0171 #######", "+49 (0)89 ### ####", "089/######", "+43 1 #######", "+41 44 ### ## ##", "044 ### ## ##"],
    "fr": ["+33 6 ## ## ## ##", "06 ## ## ## ##", "01.##.##.##.##", "+33 1 ## ## ## ##", "0033 6 ## ## ## ##", "+32 2 ### ## ##", "06-##-##-##-##"],
    "es": ["+34 6## ### ###", "6## ### ###", "91 ### ## ##", "+52 55 #### ####", "+54 9 11 ####-####", "(55) ####-####", "+56 9 #### ####"],
    "pt": ["+55 11 9####-####", "(11) 9####-####", "+351 91# ### ###", "(21) ####-####"],
    "it": ["+39 3## ### ####", "3## ### ####", "06 ########", "+39 02 ########"],
    "ja": ["03-####-####", "090-####-####", "+81 90 #### ####", "06-####-####"],
    "ru": ["+7 (495) ###-##-##", "8 (916) ###-##-##", "+7 916 ### ## ##"],
}  # fmt: skip
PHONE_CARRIERS = {
    "en": [
        "My phone number is {}.",
        "Call me at {} after six",
        "Tel: {}",
        "you can reach her on {}",
        "mobile {} / office",
        "text {} to confirm",
        "Phone: {}",
    ],
    "de": ["Meine Telefonnummer ist {}.", "Rufen Sie mich unter {} an", "Tel. {}", "Handy: {}"],
    "fr": ["Mon numéro de téléphone est le {}.", "Appelez-moi au {}", "Tél : {}", "portable {}"],
    "es": ["Mi número de teléfono es {}.", "llámame al {}", "Teléfono: {}", "móvil {}"],
    "pt": ["Meu telefone é {}.", "ligue para {}", "Celular: {}"],
    "it": ["Il mio numero di telefono è {}.", "chiamami al {}", "Cellulare: {}"],
    "ja": ["電話番号は{}です。", "携帯:{}"],
    "ru": ["Мой телефон {}.", "Звоните: {}", "тел. {}"],
}


def ipv4(rng: random.Random) -> str:
    return ".".join(str(rng.randrange(1, 255)) for _ in range(4))


def ipv6(rng: random.Random) -> str:
    groups = [f"{rng.randrange(1, 65536):x}" for _ in range(8)]
    return ":".join(groups) if rng.random() < 0.6 else f"2001:db8::{groups[0]}:{groups[1]}"


def mac(rng: random.Random) -> str:
    pairs = [f"{rng.randrange(256):02x}" for _ in range(5)] + ["a" + rng.choice("0123456789abcdef")]
    text = rng.choice(":-").join(pairs)
    return text.upper() if rng.random() < 0.4 else text


def passport(rng: random.Random) -> str:
    return pick(rng, rng.choice(["E########", "G########", "EA#######", "EJ#######", "E########"]))


def plate(rng: random.Random) -> str:
    province, letters = (
        rng.choice("京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"),
        "ABCDEFGHJKLMNPQRSTUVWXYZ",
    )
    tail = rng.choice(
        [
            digits(rng, 5),
            rng.choice(letters) + digits(rng, 4),
            digits(rng, 3) + rng.choice(letters) + digits(rng, 1),
            rng.choice("DF") + digits(rng, 5),
            digits(rng, 5) + "D",
        ]
    )
    return province + rng.choice(letters[:12]) + rng.choice(["", "", "·", " "]) + tail


def ssn(rng: random.Random) -> str:
    return f"{rng.choice([rng.randrange(1, 665), rng.randrange(667, 899)]):03d}-{rng.randrange(1, 99):02d}-{rng.randrange(1, 9999):04d}"


def secret(rng: random.Random) -> str:
    mixed, lower_hex = string.ascii_letters + DIGITS, "0123456789abcdef"
    kind, size, alphabet = rng.choice(
        [("ghp_", 36, mixed), ("sk-ant-api03-", 60, mixed), ("AKIA", 16, UPPER + "234567"), ("glpat-", 20, mixed), ("LTAI5t", 18, mixed), ("sk-", 48, mixed),
         ("hf_", 34, string.ascii_letters), ("xoxb-1234567890-", 24, mixed), ("AIza", 35, mixed), ("sk_live_", 24, mixed), ("npm_", 36, mixed), ("dop_v1_", 64, lower_hex)]
    )  # fmt: skip
    return kind + "".join(rng.choices(alphabet, k=size))


VALUES: dict[str, Callable[[random.Random], str]] = {
    "EMAIL": email, "PHONE": lambda rng: cn_mobile(rng) if rng.random() < 0.7 else cn_landline(rng), "CN_ID": cn_id, "CN_BANK_CARD": cn_bank_card,
    "CREDIT_CARD": card, "CN_USCC": uscc, "CN_PASSPORT": passport, "CN_PLATE": plate, "IP": lambda rng: ipv4(rng) if rng.random() < 0.7 else ipv6(rng),
    "MAC": mac, "IBAN": iban, "US_SSN": ssn, "SECRET": secret,
}  # fmt: skip

# -- carriers --------------------------------------------------------------------------------------------------------

ZH = {
    "plain": {
        "EMAIL": ["我的邮箱是{}请查收", "邮箱：{}", "发到{}就行，谢谢"], "PHONE": ["我的手机号是{}，有事打给我", "电话{}联系", "联系方式：{}"],
        "CN_ID": ["身份证号{}已核验", "身份证：{}", "本人身份证号码为{}。"], "CN_BANK_CARD": ["请转到银行卡{}", "卡号{}，开户行招商", "工资卡：{}"],
        "CREDIT_CARD": ["信用卡号{}被盗刷", "用我的Visa卡{}付款"], "CN_USCC": ["统一社会信用代码{}", "公司税号：{}", "营业执照编号{}的企业"],
        "CN_PASSPORT": ["护照号码{}即将过期", "护照：{}", "持{}护照入境"], "CN_PLATE": ["车牌{}停在门口", "我的车是{}，黑色", "违章车辆：{}"],
        "IP": ["服务器{}连不上", "登录IP：{}"], "MAC": ["网卡MAC地址{}", "设备{}离线"], "IBAN": ["IBAN：{}", "汇款到{}"], "US_SSN": ["社会安全号{}"], "SECRET": ["密钥是{}别外传", "用这个key：{}"],
    },
    "other": {
        "EMAIL": ["收件人{}，抄送王总", "账户{}登录失败了", "@所有人 有问题发{}。"], "PHONE": ["致电{}咨询", "张三{}李四", "快递员打{}没人接", "微信同号{}", "（{}）"],
        "CN_ID": ["证件{}有误", "【{}】请核对", "张伟，男，{}，汉族"], "CN_BANK_CARD": ["打款{}", "收款账号{}王芳", "尾号不对，应该是{}"],
        "CREDIT_CARD": ["扣款失败{}", "付款方式：{}"], "CN_USCC": ["开票信息：某某公司 {}", "查一下{}这家公司"], "CN_PASSPORT": ["证件号{}", "通行证件{}办理签证", "旅客{}"],
        "CN_PLATE": ["{}闯红灯", "租了一辆{}", "停车场入口识别到{}"], "IP": ["ping {}超时", "来自{}的请求"], "MAC": ["绑定{}即可"], "IBAN": ["境外账户{}"], "US_SSN": ["SSN：{}"], "SECRET": ["export KEY={}", "报错：{} 无效"],
    },
}  # fmt: skip
EN = {
    "plain": {
        "EMAIL": ["Please write to {}.", "my email is {}", "<{}>"], "CREDIT_CARD": ["my card {} was declined", "Charge {} please"], "US_SSN": ["My SSN is {}.", "social security number {}"],
        "IBAN": ["IBAN {}", "transfer it to {} today"], "IP": ["host {} is down", "from {} port 22"], "MAC": ["device {} joined", "MAC: {}"], "SECRET": ["use {} as the key", "Authorization: Bearer {}"],
        "CN_ID": ["ID number {}", "resident id: {}"], "CN_PASSPORT": ["passport {}", "Passport No. {}"], "CN_BANK_CARD": ["UnionPay card {}"], "CN_USCC": ["credit code {}"], "CN_PLATE": ["plate {}"],
    },
    "other": {
        "EMAIL": ["cc:{};", "user={} status=ok", "Reach out ({})"], "CREDIT_CARD": ["{} exp 12/27", "paid with {}"], "US_SSN": ["SSN={}", "{} on the W-2"], "IBAN": ["account: {}", "{} (savings)"],
        "IP": ["client={} ok", "{} - - GET /", "[{}]"], "MAC": ["ether {} txqueuelen", "({})"], "SECRET": ["token={}", "--api-key {}"], "CN_ID": ["{} verified"], "CN_PASSPORT": ["travel document {}"],
        "CN_BANK_CARD": ["debit {}"], "CN_USCC": ["{} (tax id)"], "CN_PLATE": ["car {}"],
    },
}  # fmt: skip
NEGATIVES = {
    "zh": ["订单号{d:16}已发货", "共{d:6}人参加", "金额{d:5}.{d:2}元", "版本{d:1}.{d:2}.{d:1}", "快递单号SF{d:13}", "{y}年{m}月{m}日", "股票代码{d:6}涨了{d:1}.{d:2}%", "时间戳{e}", "时间戳{e}{d:3}",
           "房间{d:4}，楼层{d:2}", "邮编{d:6}", "流水号{y}{M}{M}{d:12}", "身高{d:3}cm体重{d:2}kg", "第{d:3}页共{d:3}页", "京东购物节", "会议号{d:3}-{d:3}", "错误码E{d:4}", "QQ群{d:6}", "型号A{d:4}", "订单编号：{d:12}",
           "人口{d:7}人", "{d:2}:{d:2}:{d:2}", "比例{d:2}/{d:2}", "编号{d:8}", "库存{d:5}件，单价{d:3}元", "纬度{d:2}.{d:6}，经度1{d:2}.{d:6}", "身份证和护照都要带", "密码忘记了怎么办", "我的手机坏了，修了{d:3}元"],
    "en": ["order #{d:10} shipped", "invoice {d:8}", "version {d:1}.{d:2}.{d:1}.{d:1}", "{y}-{M}-{M} {M}:{M}:{M}", "in {y}-{y}", "{d:3},{d:3},{d:3} people", "pi is 3.{d:12}", "ISBN 978-{d:1}-{d:4}-{d:4}-{d:1}",
           "commit {x:40}", "uuid {x:8}-{x:4}-{x:4}-{x:4}-{x:12}", "range 1000-5000", "score {d:2}-{d:2}", "tracking 1Z{d:16}", "x[{d:1}::{d:1}]", "std::vector<int> v({d:4});", "epoch {e}", "{e}{d:3}",
           "zip {d:5}-{d:4}", "{M}/{M}/{y}", "page {d:3} of {d:3}", "port {d:5}", "build {d:4}.{d:2}.{d:3}", "lat {d:2}.{d:6}, lon -{d:2}.{d:6}", "max_tokens={d:5}", "if password == other_password: return", "a @property here",
           "token_count: {d:6}", "chapter {d:1}.{d:1}.{d:1}.{d:1}", "SKU {A:3}-{d:6}", "RFC {d:4} section {d:1}.{d:1}", "{d:1}e-{d:2}", "0x{x:8}", "{d:4} + {d:4} = {d:5}", "the secret of success", "icon@2x.png", "part no {d:3}-{d:5}",
           "size={d:10} bytes", "call stack depth {d:3}", "eventTime={d:9}", "pid={d:5} tid={d:6} took {d:4}ms", "blk_-{d:19} terminating", "{y}{M}{M}{M}{M}{M}", "thread-{d:9}", "[{d:13}] cell {d:4}", "call id {d:9}"],
}  # fmt: skip

WIDE = str.maketrans({char: chr(ord(char) + 0xFEE0) for char in string.ascii_letters + DIGITS + "@.-_+"})
ARABIC = str.maketrans(DIGITS, "".join(chr(0x660 + value) for value in range(10)))


def disguise(rng: random.Random, value: str, how: str) -> str:
    """Write the value in full-width characters, Arabic-Indic digits, with zero-width characters, or with other dashes."""
    if how == "full-width":
        return value.translate(WIDE)
    if how == "arabic":
        return value.translate(ARABIC)
    if how == "zero-width":
        places = sorted(rng.sample(range(1, len(value)), min(3, len(value) - 1)), reverse=True)
        for place in places:
            value = value[:place] + rng.choice("\u200b\u200c\u200d\u2060\ufeff\u00ad") + value[place:]
        return value
    return value.replace("-", "–").replace(" ", "\u00a0") if how == "dashes" else value


def fill(rng: random.Random, template: str) -> str:
    """Fill a negative: {d:n} digits, {x:n} hexadecimal, {A:n} capitals, {y} a year, {m} {M} a month, {e} an epoch time."""
    alphabets = {"d": DIGITS, "x": "0123456789abcdef", "A": UPPER}
    out = []
    for piece in template.replace("}", "{").split("{"):
        kind, _, size = piece.partition(":")
        if size.isdigit() and kind in alphabets:
            out.append("".join(rng.choices(alphabets[kind], k=int(size))))
        elif piece in ("y", "m", "M", "e"):
            out.append(
                {
                    "y": str(rng.randrange(1950, 2030)),
                    "m": str(rng.randrange(1, 13)),
                    "M": f"{rng.randrange(1, 13):02d}",
                    "e": str(rng.randrange(1_500_000_000, 1_800_000_000)),
                }[piece]
            )
        else:
            out.append(piece)
    return "".join(out)


def positives(seed: int, rows: int, *, carriers: str = "plain", lang: str = "zh", how: str = "") -> Iterator[Row]:
    """Yield rows with one or two values each.

    Args:
        seed: of the random generator; the same seed gives the same rows.

        rows: how many.

        carriers: `"plain"` or `"other"`, two disjoint sets of sentences.

        lang: `"zh"` or `"en"`.

        how: `""`, `"full-width"`, `"zero-width"`, `"arabic"` or `"dashes"`.
    """
    rng = random.Random(f"{seed}/{carriers}/{lang}/{how}")
    book = (ZH if lang == "zh" else EN)[carriers]
    kinds = [kind for kind in VALUES if kind in book and not (how == "arabic" and kind in ("SECRET", "MAC", "IBAN"))]
    for number in range(rows):
        text, spans = "", []
        for kind in rng.sample(kinds, rng.choice([1, 1, 2])):
            value = disguise(rng, VALUES[kind](rng), how)
            before, _, after = rng.choice(book[kind]).partition("{}")
            text += before
            spans.append([len(text), len(text) + len(value), kind])
            text += value + after + ("；" if lang == "zh" else "\n")
        yield {"id": f"{lang}-{number}", "lang": lang, "text": text, "spans": spans, "labelled": sorted(VALUES)}


FIELDS = {
    "EMAIL": ("email", "contact_email", "邮箱"), "PHONE": ("phone", "tel", "联系电话"), "CREDIT_CARD": ("card", "card_number", "信用卡号"), "US_SSN": ("ssn", "SSN", "社会安全号"),
    "IBAN": ("iban", "IBAN", "国际账号"), "IP": ("client_ip", "host", "登录IP"), "MAC": ("mac", "device", "物理地址"), "CN_ID": ("id_number", "national_id", "身份证号"),
    "CN_BANK_CARD": ("bank_card", "card_no", "银行卡号"), "CN_USCC": ("uscc", "credit_code", "统一社会信用代码"), "CN_PASSPORT": ("passport", "passport_no", "护照号"), "CN_PLATE": ("plate", "vehicle", "车牌"),
    "SECRET": ("api_key", "access_token", "密钥"),
}  # fmt: skip
"""Two English names of a field and a Chinese one."""

CARRIERS = (
    # chats
    "[10:42] sam: hey, it's {v} thx", "<alice> yeah {f} is {v}!!", "> {f}: {v}\nok got it", "亲，我的{z}是{v}哦~", "好的收到[微笑]{z}{v}", "那个……{z}是{v}吧？", "在吗？{z}：{v}；别发错了",
    # tables and data
    "id,name,{f},note\n17,Ann,{v},ok", "17;Ann;{v};ok", "Ann\t{v}\t2", '"Ann","{v}","yes"', "编号|姓名|{z}\n3|王芳|{v}", "| Ann | {v} | x |", '[{{"k": "{f}", "value": "{v}"}}]', '{{"user": {{"{f}": "{v}", "tags": ["a"]}}}}',
    # code, logs, markup
    "UPDATE t SET {f} = '{v}' WHERE id = 5;", "INSERT INTO users VALUES (7, 'Ann', '{v}', NULL);", "2026-03-04T10:11:12Z INFO svc=auth {f}={v} status=ok", "[WARN] bad {f}: {v} (retry 2)", 'const {f} = "{v}"; // test', "assert send('{v}') is True",
    "<td>{v}</td>", "<p>{f}: <b>{v}</b></p>", "- **{f}**: `{v}`", "> {z}：**{v}**",
    # letters, contracts, notes, labels
    "Hi,\n\nplease note my new {f} {v}.\n\nThanks", "--\nAnn Lee | Sales\n{f}: {v}\n", "甲方（{z}：{v}）与乙方签订本合同。", "授权代表：张三，{z}：{v}。", "患者，男，45岁，{z}：{v}，主诉头痛3天。", "Pt. seen today. {f} {v}. BP 120/80.", "收：王五，{z}{v}，北京市朝阳区",
    # marks, mixed languages, replies
    "_{f}_: _{v}_", "***{v}***", "* {f}: ~~{v}~~", "- [x] {f} `{v}`", "{z}——{v}", "{z}｜{v}｜有效", "『{v}』是他的{z}", "{v}是我的{z}，谢谢", "请把{v}改成新的{z}", "《{z}》{v}", "#{z} {v}", "{z}→{v}",
    "我的{f}是{v}, thanks", "Hi，{z}是{v}，please check", "收到，{f}={v}，马上update", "The customer's {f} ({v}) bounced", "{f}…{v}", "Old {f} {v} is gone", "1) {f}: {v}\n2) name: Bob", "FYI - {f} - {v} - thanks!",
    # programs and protocols
    "[{{'{f}': '{v}'}}]", "{{\\\"{f}\\\":\\\"{v}\\\"}}", "<input name=\"{f}\" value=\"{v}\">", "curl -d '{f}={v}' https://x.example", "level=info msg=\"saved\" {f}=\"{v}\"", "print(f\"{f}={v}\")", "{f}=>'{v}'", "{f}:{v}",
    # lists and edges
    "①{z}{v}②李四", "“{v}”", "【{z}】{v}", "（{z}{v}）", "请找{z}{v}办", "{z}{v}已登记", "({f} {v})", "{f}={v};", "{f}: {v}.", "{f}: {v}...",
)  # fmt: skip


def documents(seed: int, each: int, *, how: str = "") -> Iterator[Row]:
    """Yield rows with one value each, every entity in every carrier: cells, queries, quotations, lists, letters.

    Args:
        seed: of the random generator.

        each: how many rows per entity and carrier.

        how: a disguise, see `positives`.
    """
    rng = random.Random(f"{seed}/documents/{how}")
    for entity, (one, other, chinese) in FIELDS.items():
        for place, carrier in enumerate(CARRIERS):
            for number in range(each):
                value = disguise(rng, VALUES[entity](rng), how)
                before, _, after = carrier.format(f=rng.choice((one, other)), z=chinese, v="\0").partition("\0")
                yield {
                    "id": f"{entity}-{place}-{number}",
                    "lang": "zh" if chinese in carrier or "{z}" in carrier else "en",
                    "text": before + value + after,
                    "spans": [[len(before), len(before) + len(value), entity]],
                    "labelled": sorted(VALUES),
                }


def phone_rows(seed: int, rows: int) -> Iterator[Row]:
    """Yield telephone numbers of many countries, in sentences of eight languages."""
    rng = random.Random(f"{seed}/phones")
    for number in range(rows):
        lang = rng.choice(list(PHONES))
        value = pick(rng, rng.choice(PHONES[lang]))
        before, _, after = rng.choice(PHONE_CARRIERS[lang]).partition("{}")
        span = [len(before), len(before) + len(value), "PHONE"]
        yield {
            "id": f"phone-{number}",
            "lang": lang,
            "text": before + value + after,
            "spans": [span],
            "labelled": sorted(VALUES),
        }


def negatives(seed: int, rows: int, *, lang: str = "zh") -> Iterator[Row]:
    """Yield rows without personal data: orders, dates, versions, amounts, code, log lines."""
    rng = random.Random(f"{seed}/negatives/{lang}")
    for number in range(rows):
        yield {
            "id": f"neg-{lang}-{number}",
            "lang": lang,
            "text": fill(rng, rng.choice(NEGATIVES[lang])),
            "spans": [],
            "labelled": sorted(VALUES),
        }


LOGS = [
    "{y}-{M}-{M} {M}:{M}:{M},{d:3} INFO dfs.DataNode$PacketResponder: PacketResponder {d:1} for block blk_{d:19} terminating", "0{d:5} {d:6} {d:3} INFO dfs.FSNamesystem: size {d:8}",
    "- {e} {y}.{M}.{M} R02-M1-N0-C:J12-U11 {y}-{M}-{M}-{M}.{M}.{M}.{d:6} R02-M1-N0-C:J12-U11 RAS KERNEL INFO cache parity error corrected",
    "{M}-{M} {M}:{M}:{M}.{d:3}  {d:4}  {d:4} D PowerManagerService: acquireWakeLock flags=0x{x:4} tag=\"call\" eventTime={d:9} uid={d:4}",
    "Jun {d:2} {M}:{M}:{M} combo sshd(pam_unix)[{d:5}]: authentication failure; logname= uid=0 euid=0 tty=NODEVssh", "[{e}.{d:6}] usb {d:1}-{d:1}: new device number {d:2}",
    "{y}{M}{M}-{M}:{M}:{M}:{d:3}|Step_LSC|{d:8}|onStandStepChanged {d:4}", "nova-api req-{x:8}-{x:4}-{x:4}-{x:4}-{x:12} {x:32} \"GET /v2/{x:32}/servers\" status: 200 len: {d:4} time: 0.{d:7}",
    "17/{M}/{M} {M}:{M}:{M} INFO executor.Executor: Finished task {d:1}.0 in stage {d:2}.0 (TID {d:5}). {d:4} bytes result sent to driver",
    "trace_id={x:32} span_id={x:16} duration_ns={d:10} offset={d:12} lsn={d:15} ts={e}{d:6}", "metrics counter=call.count value={d:7} sum={d:11} p99={d:3}.{d:5} token_usage={d:6} key={x:8}",
]  # fmt: skip


def log_text(seed: int, size: int) -> str:
    """Return about `size` characters of log lines without personal data."""
    rng = random.Random(f"{seed}/logs")
    lines: list[str] = []
    while sum(map(len, lines[-1:])) + len(lines) * 110 < size:
        lines.append(fill(rng, rng.choice(LOGS)))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=10)
    parser.add_argument("--carriers", choices=("plain", "other"), default="plain")
    options = parser.parse_args()
    for lang in ("zh", "en"):
        for row in positives(options.seed, options.rows, carriers=options.carriers, lang=lang):
            print(json.dumps(row, ensure_ascii=False))
        for row in negatives(options.seed, options.rows, lang=lang):
            print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
