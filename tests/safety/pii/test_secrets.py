"""Keys, tokens, passwords and private keys."""

# ruff: noqa: E501 - tables of texts and what is expected of them
from __future__ import annotations

import pytest

from tests.safety.pii.finding import entities, found

MIXED = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6A7b8C9d0E1f2G3h4"


@pytest.mark.parametrize(
    "value",
    [
        f"sk-ant-api03-{MIXED[:40]}", f"sk-proj-{MIXED[:40]}", f"sk-{MIXED[:48]}", "AKIAIOSFODNN7ABCDEFG", f"ghp_{MIXED[:36]}", f"glpat-{MIXED[:20]}", f"AIza{MIXED[:35]}",
        f"LTAI5t{MIXED[:18]}", f"xoxb-1234567890-{MIXED[:24]}", f"sk_live_{MIXED[:24]}", f"npm_{MIXED[:36]}", f"hf_{MIXED[:34]}", f"SG.{MIXED[:22]}.{MIXED[:43]}",
        f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{MIXED[:43]}", f"123456789:AA{MIXED[:33]}", f"abc8Q~{MIXED[:34]}", "0123456789abcdef0123456789abcdef-us12",
        f"https://hooks.slack.com/services/{MIXED[:44]}",
    ],
)  # fmt: skip
def test_issued_keys_are_found_by_their_form(value: str) -> None:
    """A6: a vendor's mark is enough, wherever the key stands."""
    assert entities(f"use {value} now") & {"SECRET"} == entities(f"密钥是{value}别外传") & {"SECRET"} == {"SECRET"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('api_key = "a1b2c3d4e5f6"', "a1b2c3d4e5f6"), ("ACME_TOKEN=fjaf0hzn7qsdfrozcibm", "fjaf0hzn7qsdfrozcibm"), ('"password": "hunter2"', "hunter2"), ("password: Tr0ub4dor", "Tr0ub4dor"),
        ("my password is hunter2.", "hunter2"), ("密码：abc12345，谢谢", "abc12345"), ("口令为Zaq12wsx", "Zaq12wsx"), ("Authorization: Bearer a1b2c3d4e5f6g7h8i9", "a1b2c3d4e5f6g7h8i9"),
        ("<password>s3cr3t9</password>", "s3cr3t9"), ("mysql://root:pa55word@db/x", "pa55word"), ("--api-key a1b2c3d4e5f6", "a1b2c3d4e5f6"), ("ENV API_KEY a1b2c3d4e5f6", "a1b2c3d4e5f6"),
        (r"{\"client_secret\": \"a1b2c3d4e5f6\"}", "a1b2c3d4e5f6"), ('$tokens["x"] = "a1b2c3d4e5f6"', "a1b2c3d4e5f6"), ("pwd=123456;", "123456"), ("https://h.io/?token=a1b2c3d4e5f6&q=1", "a1b2c3d4e5f6"),
        ('signing_key = "QwErTyUiOpAsDfGhJkLzXcVb"', "QwErTyUiOpAsDfGhJkLzXcVb"), ("api_token = '1234567890123456'", "1234567890123456"),
        ("password: token: abc12345xyz", "abc12345xyz"), ("curl -s https://h.io -u ann:pa55word", "pa55word"), ("wifi密码abc12345", "abc12345"), ("Authorization: Token a1b2c3d4e5f6g7h8", "a1b2c3d4e5f6g7h8"), ('.withToken("a1b2c3d4e5f6g7h8")', "a1b2c3d4e5f6g7h8"),
        ('setPassword("letme1n99")', "letme1n99"), ('hmac_key = b"a1b2c3d4e5f6g7h8"', "a1b2c3d4e5f6g7h8"), ("- name: API_TOKEN\n  value: a1b2c3d4e5f6g7h8", "a1b2c3d4e5f6g7h8"),
        ('{"name":"API_TOKEN","value":"a1b2c3d4e5f6g7h8"}', "a1b2c3d4e5f6g7h8"), ("mysql -u root -pTr0ub4dor db", "Tr0ub4dor"), ("sshpass -p letme1n99 ssh a@b", "letme1n99"),
        ("redis-cli -h db -a letme1n99 ping", "letme1n99"), ("CREATE USER 'ann'@'%' IDENTIFIED BY 'Hello2World';", "Hello2World"), ("用户名 admin 密码 admin888", "admin888"), ("密码 abc12345", "abc12345"),
        ('<add key="ClearTextPassword" value="pa55word"/>', "pa55word"), ("api-key: oJfrRaDHhOxYmNyHkHvRoKLq", "oJfrRaDHhOxYmNyHkHvRoKLq"),
        ("mongodb+srv://app:f5PE-U!zF5#kV$A@db.internal/x", "f5PE-U!zF5#kV$A"), ("mysql://app:$L3t#mRM!@db/x", "$L3t#mRM!"), ("access_token=/iVJ4gYCxIh+0cO4SgAmm9LV4NZi", "/iVJ4gYCxIh+0cO4SgAmm9LV4NZi"),
    ],
)  # fmt: skip
def test_assigned_values_are_found(text: str, value: str) -> None:
    """Code, configuration, command lines, XML, JSON in JSON, URLs and prose, in English and Chinese."""
    assert ("SECRET", value) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        'password = os.environ["DB_PASSWORD"]', "password: ${DB_PASSWORD}", '"password": "string"', 'api_key = config.get("api_key")', 'api_key = "YOUR_API_KEY"', "max_tokens=4096",
        "tokens: 128000", "token_type: bearer", "password_hash_algorithm=bcrypt12345", "max_token=a1b2c3d4e5f6g7h8", "The secret of success is hard work.", "password is required", 'key = "user.profile.name"', "if password == confirm_password:",
        "密码长度为8-16位", "令牌桶算法 速率为1000", "private_key_path: ~/.ssh/id_rsa", "secret_name: my-app-database-credentials", 'next_page_token = "abcdef1234567890"', "token = next(tokens)",
        "AKIAIOSFODNN7EXAMPLE", "sk-" + "x" * 32, 'monkey = "banana123456789"', "https://user:password@host/", "https://user:${PW}@host/", 'token = "InputTokensWithStreamingResponse"',
        'api_token = "1234567"', "password=密码password", "passwd: Optional[str]", "--password next", "arn:aws:secretsmanager:us-west-2:1:secret:MySecret-a1b2c3", "-us1", "_mmk", "a:AA",
        'encrypted_key = urlsafe_b64decode(x)', "secret -> value", 'token = "aaaaaaaaaa11"', "the token 1234567890 was counted", 'PublicKeyToken="b03f5f7f11d50a3a"', "curl -u user:${PW} x", "--key-id 1234abcd-12ab-34cd-56ef-1234567890ab",
        "curl -s https://h.io/a:b", "mysql -u root -p mydb", "mysql -h x -P3306 -protocol=tcp", "sshpass -p $PASS ssh h", "getPassword('abc12345')", "resetPassword('abc12345')",
        "setPassword('password')", "patients identified by P12345 code", '{"name": "max_tokens", "value": "a1b2c3d4e5f6g7h8"}', "Authorization: Token required for access", "svc=auth contact_number=010-74448679 status=ok", "mysql://app:$DB_PASSWORD@db/x", "secret: /etc/app/Credentials/file2",
    ],
)  # fmt: skip
def test_references_words_and_examples_are_left_alone(text: str) -> None:
    """What names a secret is not one, nor are counters, examples and paths."""
    assert "SECRET" not in entities(text)


PEM = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{}\n-----END RSA PRIVATE KEY-----"


def test_a_private_key_is_found_from_end_to_end() -> None:
    """Header lines, body and both markers are one secret."""
    key = PEM.format("MIIEpAIBAAKCAQEA" * 20)
    assert found(f"key:\n{key}\nthanks") == [("SECRET", key)]
    escaped = key.replace("\n", "\\n")
    assert ("SECRET", escaped) in found(f'"{escaped}"')


def test_a_private_key_cut_off_is_found_as_far_as_it_goes() -> None:
    """Without its last line the key ends with its last full line; prose behind it stays."""
    key = "-----BEGIN PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA" * 4
    assert found(f"{key}\nand some words - here") == [("SECRET", key)]
    assert found("-----BEGIN CERTIFICATE-----\nMIIE") == []


def test_a_value_of_many_names_is_read_a_bounded_number_of_times() -> None:
    """The first names inside a value are enough to decide about it."""
    assert entities("token=a" * 400 + "token=a1b2c3d4e5f6x") <= {"SECRET"}


@pytest.mark.parametrize("between", [",", "&", ";"])
def test_every_value_of_a_long_word_is_found(between: str) -> None:
    """A document without spaces is one word; the last of its keys is found like the first."""
    values = [f"Zq8{number:02d}xW4mRt6vKp2yB" for number in range(40)]
    pair = '"api_key":"{}"' if between == "," else "token={}"
    text = "answer: {" + between.join(map(pair.format, values)) + "}"
    assert [value for entity, value in found(text) if entity == "SECRET"] == values


@pytest.mark.parametrize(
    ("text", "password"),
    [
        ("mysql://root:P@ssw0rd!!4@db:3306/x", "P@ssw0rd!!4"),
        ("amqp://a:p@s5@h/v", "p@s5"),
        ("https://u:pw12@host.com,bob@x.org", "pw12"),
        ("http://a:b1c2@例子.中国/", "b1c2"),
        ("redis://:s3cr3t@[::1]:6379", "s3cr3t"),
    ],
)
def test_a_password_in_an_address_ends_before_its_host(text: str, password: str) -> None:
    """It may hold an unescaped `@`."""
    assert ("SECRET", password) in found(text)
