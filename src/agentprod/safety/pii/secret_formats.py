"""Formats of issued credentials, as their vendors document them: a literal beginning, then what follows it.

The literal is looked for with `str.find`; only where it stands is the pattern tried.
"""

from __future__ import annotations

import re

__all__ = ["FORMATS", "SHAPES"]

_W = r"[A-Za-z0-9_\-]"
_A = "[A-Za-z0-9]"
_H = "[0-9a-f]"

_TABLE = (
    # Model providers
    ("sk-ant-", f"{_W}{{20,200}}"),
    ("sk-proj-", f"{_W}{{20,250}}"),
    ("sk-svcacct-", f"{_W}{{20,250}}"),
    ("sk-admin-", f"{_W}{{20,250}}"),
    ("sk-or-v1-", f"{_H}{{40,80}}"),
    ("sk-", rf"(?=[A-Za-z]{{0,40}}[0-9]){_A}{{32,64}}"),  # OpenAI's older keys, DeepSeek, DashScope, Moonshot
    ("gsk_", f"{_A}{{40,60}}"),
    ("xai-", f"{_A}{{60,90}}"),
    ("pplx-", f"{_A}{{32,60}}"),
    ("r8_", f"{_A}{{30,42}}"),
    ("hf_", f"{_A}{{30,40}}"),
    ("api_org_", f"{_A}{{30,40}}"),
    ("nvapi-", f"{_W}{{40,80}}"),
    ("pcsk_", f"{_W}{{40,90}}"),
    ("tvly-", f"{_W}{{20,60}}"),
    ("fw_", f"{_A}{{22,26}}"),
    # Clouds
    *((prefix, "[A-Z0-9]{16}") for prefix in ("AKIA", "ASIA", "ABIA", "ACCA", "AROA", "AIDA", "A3T")),
    ("bedrock-api-key-", rf"{_A}{{10,200}}={{0,2}}"),
    ("ABSK", r"[A-Za-z0-9+/]{80,300}={0,2}"),
    ("AIza", f"{_W}{{35}}"),
    ("ya29.", f"{_W}{{20,300}}"),
    ("GOCSPX-", f"{_W}{{28}}"),
    ("LTAI", f"{_A}{{12,24}}"),
    ("AKID", f"{_A}{{13,40}}"),
    ("AKLT", f"{_W}{{40,60}}"),
    ("ALTAK", f"{_A}{{21}}"),
    ("AQVN", f"{_W}{{35,38}}"),
    ("t1.", rf"[A-Z0-9a-z_\-]{{4,40}}={{0,2}}\.{_W}{{86}}={{0,2}}"),
    ("dop_v1_", f"{_H}{{64}}"),
    ("doo_v1_", f"{_H}{{64}}"),
    ("dor_v1_", f"{_H}{{64}}"),
    ("HRKU-", f"{_W}{{36,70}}"),
    ("fo1_", f"{_W}{{43}}"),
    ("fm1", r"[ar]_[A-Za-z0-9+/]{40,400}={0,3}"),
    ("fm2_", r"[A-Za-z0-9+/]{40,400}={0,3}"),
    ("pul-", f"{_H}{{40}}"),
    ("hvs.", f"{_W}{{20,200}}"),
    ("hvb.", f"{_W}{{100,220}}"),
    ("dp.", r"(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9.]{40,50}"),
    ("sha256~", f"{_W}{{43}}"),
    ("pscale_", r"(?:tkn|pw|oauth)_[A-Za-z0-9_=.\-]{32,64}"),
    ("dapi", rf"{_H}{{32}}(?:-\d)?"),
    ("ops_eyJ", r"[A-Za-z0-9+/=]{100,2000}"),
    ("A3-", r"[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}"),
    ("AGE-SECRET-KEY-1", "[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    # Code hosting and packages
    *((f"gh{kind}_", f"{_A}{{36,255}}") for kind in "pousr"),
    ("github_pat_", "[A-Za-z0-9_]{36,255}"),
    *(
        (f"gl{kind}-", r"[A-Za-z0-9_\-.=]{20,80}")
        for kind in ("pat", "dt", "rt", "cbt", "ptt", "ft", "soat", "imt", "agent", "oas", "ffct")
    ),
    ("GR1348941", f"{_W}{{20}}"),
    ("_gitlab_session=", "[0-9a-z]{32}"),
    ("npm_", f"{_A}{{36}}"),
    ("pypi-AgE", f"{_W}{{50,1000}}"),
    ("rubygems_", f"{_H}{{48}}"),
    ("oy2", "[a-z0-9]{43}"),
    ("CLOJARS_", "[a-z0-9]{60}"),
    ("AKCp", f"{_A}{{69}}"),
    ("cmVmd", f"{_A}{{59}}"),
    ("dckr_pat_", f"{_W}{{27}}"),
    ("sgp_", rf"(?:(?:local|{_H}{{16}})_)?{_H}{{40}}"),
    ("bb", rf"dc_{_A}{{40}}"),
    ("ATATT3", r"[A-Za-z0-9_\-=]{60,250}"),
    ("ATCTT3", r"[A-Za-z0-9_\-=]{60,250}"),
    ("sntrys_", r"[A-Za-z0-9+/=_]{60,800}"),
    ("sntryu_", f"{_H}{{64}}"),
    ("API-", "[A-Z0-9]{26}"),
    ("ico-", f"{_A}{{32}}"),
    ("phc_", f"{_A}{{43}}"),
    ("phx_", f"{_A}{{40,50}}"),
    ("CCIPAT_", rf"{_A}{{22}}_{_H}{{40}}"),
    # Messaging, mail, payment, work
    *((f"xox{kind}-", r"[0-9A-Za-z\-]{10,250}") for kind in "abeprso"),
    ("xoxe.", r"xox[bp]-\d-[A-Za-z0-9]{60,250}"),
    ("xapp-", r"\d-[A-Z0-9]{5,20}-\d{5,20}-[a-z0-9]{20,80}"),
    ("hooks.slack.com/", r"(?:services|workflows|triggers)/[A-Za-z0-9+/]{40,120}"),
    ("ZXlK", r"[A-Za-z0-9+/_\-]{60,4000}={0,2}"),  # a JWT in base64
    ("v1.0-", f"{_H}{{24}}-{_H}{{146}}"),
    ("dnkey-", r"[A-Z0-9=_\-]{26}-[A-Z0-9=_\-]{52}"),
    ("4b1d", f"{_A}{{38}}"),
    ("pk.", r"[a-z0-9]{60}\.[a-z0-9]{22}"),
    ("SG.", rf"{_W}{{16,32}}\.{_W}{{16,64}}"),
    ("key-", f"{_H}{{32}}"),
    ("pubkey-", f"{_H}{{32}}"),
    ("SK", f"{_H}{{32}}"),
    ("AC", f"{_H}{{32}}"),
    ("xkeysib-", rf"{_H}{{64}}-{_A}{{16}}"),
    *((f"{kind}_{stage}_", f"{_A}{{10,120}}") for kind in ("sk", "rk", "pk") for stage in ("live", "test", "prod")),
    ("whsec_", r"[A-Za-z0-9+/=]{24,80}"),
    *((f"shp{kind}_", "[0-9a-fA-F]{32}") for kind in ("at", "ca", "pa", "ss", "ua")),
    ("EAAA", f"{_W}{{60}}"),
    ("sq0", rf"(?:atp|csp|idp)-{_W}{{22,43}}"),
    ("EAAC", f"{_A}{{100,260}}"),
    ("EAAM", f"{_A}{{100,260}}"),
    ("access_token$", rf"(?:production|sandbox)\$[0-9a-z]{{16}}\${_H}{{32}}"),
    ("EZAK", f"{_A}{{54}}"),
    ("EZTK", f"{_A}{{54}}"),
    ("shippo_", f"(?:live|test)_{_H}{{40}}"),
    ("duffel_", r"(?:live|test)_[A-Za-z0-9_\-=]{43}"),
    ("FLW", rf"(?:PUBK|SECK)(?:_TEST)?-?{_A}{{12,40}}(?:-X)?"),
    ("live_", f"{_H}{{35}}"),
    ("test_", f"{_H}{{35}}"),
    ("secret_", f"{_A}{{43}}"),
    ("ntn_", f"[0-9]{{11}}{_A}{{32,35}}"),
    ("lin_api_", f"{_A}{{40}}"),
    ("PMAK-", f"{_H}{{24}}-{_H}{{34}}"),
    ("figd_", f"{_W}{{38,45}}"),
    ("pat", rf"{_A}{{14}}\.{_H}{{64}}"),
    ("PMAT-", f"{_A}{{26}}"),
    ("tfp_", r"[A-Za-z0-9_.=\-]{59}"),
    ("rdme_", "[a-z0-9]{70}"),
    ("pnu_", "[a-z0-9]{36}"),
    ("tk-us-", f"{_W}{{48}}"),
    ("aio_", f"{_A}{{28}}"),
    ("fio-u-", r"[A-Za-z0-9_=\-]{64}"),
    ("pat.", rf"{_W}{{22}}\.{_H}{{24}}\.{_A}{{20}}"),
    ("sat.", rf"{_W}{{22}}\.{_H}{{24}}\.{_A}{{20}}"),
    ("sm_", f"(?:aat|pat|sat)_{_A}{{16}}"),
    ("shrt_", f"{_A}{{30,40}}"),
    # Monitoring
    ("glsa_", rf"{_A}{{32}}_[0-9A-Fa-f]{{8}}"),
    ("glc_", r"[A-Za-z0-9+/]{32,400}={0,3}"),
    ("NRAK-", "[A-Z0-9]{27}"),
    ("NRJS-", f"{_H}{{19}}"),
    ("NRII-", r"[A-Za-z0-9\-]{32}"),
    ("NRIQ-", r"[A-Za-z0-9\-]{32}"),
    ("dt0c01.", r"[A-Z0-9]{24}\.[A-Z0-9]{64}"),
    ("ddp_", f"{_A}{{36}}"),
)

FORMATS: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
"""Literal beginning and the pattern of the whole credential, by the first two characters."""

for _prefix, _rest in _TABLE:
    _pattern = re.compile(re.escape(_prefix) + _rest + "(?![A-Za-z0-9])")
    FORMATS.setdefault(_prefix[:2], []).append((_prefix, _pattern))

SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "eyJ",
        re.compile(rf"eyJ(?<![A-Za-z0-9_\-]eyJ){_W}{{8,4000}}\.{_W}{{8,8000}}(?:\.{_W}{{0,2000}}){{0,3}}"),
    ),  # RFC 7519, RFC 7516
    (":AA", re.compile(rf":AA(?<=[0-9]:AA){_W}{{32,33}}(?![A-Za-z0-9])")),  # Telegram, after the bot's number
    ("Q~", re.compile(r"Q~(?<=[A-Za-z0-9_~.\-]{3}[0-9]Q~)[A-Za-z0-9_~.\-]{31,34}(?![A-Za-z0-9_~])")),  # Entra ID
    (".atlasv1.", re.compile(rf"\.atlasv1\.{_W}{{60,70}}")),  # Terraform Cloud
    ("-us", re.compile(r"-us(?<=[0-9a-f]{32}-us)[0-9]{1,2}(?![0-9A-Za-z])")),  # Mailchimp
    ("_mmk", re.compile(rf"_mmk(?<=_{_A}{{29}}_mmk)(?![A-Za-z0-9])")),  # MaxMind
    ("webhook.office.com/", re.compile(r"webhook\.office\.com/webhookb2/[A-Za-z0-9\-@/]{80,200}")),
    ("discord.com/api/webhooks/", re.compile(rf"discord\.com/api/webhooks/[0-9]{{15,22}}/{_W}{{40,90}}")),
)
"""A literal inside or at the end of the credential; the pattern starts there, and the match is widened to the left."""
