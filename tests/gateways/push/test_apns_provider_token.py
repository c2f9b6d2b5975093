from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.errors import ConfigurationError
from app.gateways.push.apns.provider_token import ProviderTokens, key_of
from app.gateways.push.credentials import contents

START = datetime(2026, 11, 22, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


def tokens(key=KEY):
    return ProviderTokens(team="TEAM", key_id="KEY", key=key)


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_token_says_what_apple_wants_to_know():
    jwt = pytest.importorskip("jwt")
    token = tokens().current(START)
    claims = jwt.decode(token.text, KEY.public_key(), algorithms=["ES256"], options={"verify_iat": False})
    header = jwt.get_unverified_header(token.text)
    assert (header["alg"], header["kid"]) == ("ES256", "KEY")
    assert claims == {"iss": "TEAM", "iat": token.issued_at}


def test_a_token_is_never_an_hour_old_and_never_changes_within_twenty_minutes():
    asking, issued = tokens(), []
    for minute in range(24 * 60):
        now = START + timedelta(minutes=minute)
        token = asking.current(now)
        assert timedelta(0) <= now - datetime.fromtimestamp(token.issued_at, UTC) < timedelta(minutes=50)
        if not issued or issued[-1] != token.text:
            issued.append(token.text)
    assert len(issued) == len(set(issued)) <= 30
    assert len(issued) >= 28


def test_all_processes_have_the_same_token_without_asking_each_other():
    now = START + timedelta(minutes=3)
    assert tokens().current(now) == tokens().current(now + timedelta(seconds=9))


def test_a_renewal_that_apple_asked_for_is_the_same_everywhere_too():
    late = datetime(2026, 11, 22, 12, 10, tzinfo=UTC)
    renewed = []
    for asking in (tokens(), tokens()):
        first = asking.current(late)
        assert asking.expired(first.issued_at)
        renewed.append(asking.current(late))
        assert renewed[-1].issued_at - first.issued_at >= 20 * 60
    assert renewed[0] == renewed[1]


def test_the_key_may_be_a_file_or_a_line(tmp_path):
    (tmp_path / "key.p8").write_text(pem(KEY))
    for setting in (pem(KEY), pem(KEY).replace("\n", "\\n"), str(tmp_path / "key.p8")):
        assert key_of(contents(setting, "APNS_KEY")).private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----",
        pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        pem(ec.generate_private_key(ec.SECP384R1())),
    ],
)
def test_a_key_that_cannot_be_used_is_a_mistake_of_the_settings(text):
    with pytest.raises(ConfigurationError, match="APNS_KEY"):
        key_of(contents(text, "APNS_KEY"))


def test_a_file_that_is_not_there_is_a_mistake_of_the_settings():
    with pytest.raises(ConfigurationError, match="APNS_KEY"):
        contents("/nonexistent/key.p8", "APNS_KEY")
