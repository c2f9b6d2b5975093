import string

import phonenumbers
import pytest
from email_validator import EmailSyntaxError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.domain.addresses import canonical, domain_of, masked, suppression_key
from app.domain.emails import _PLAIN, _checked
from app.domain.vocabulary import Channel
from app.errors import Invalid

unhurried = settings(deadline=None)  # The machine may be busy with other tests.
EMAIL, SMS, PUSH = Channel.EMAIL, Channel.SMS, Channel.PUSH
FCM = "dQw4w9WgXcQ:APA91b" + "A" * 140
APNS = "0f" * 32


def refusal(channel, address, **more):
    with pytest.raises(Invalid) as caught:
        canonical(channel, address, **more)
    (fault,) = caught.value.faults
    return fault


# Email


@pytest.mark.parametrize(
    ("given_address", "kept"),
    [
        ("anna@example.com", "anna@example.com"),
        ("Anna.B+tag@Example.COM", "Anna.B+tag@example.com"),
        ("POSTMASTER@EXAMPLE.ORG", "POSTMASTER@example.org"),
        ("  anna@example.com\t", "anna@example.com"),
        ("anna@bücher.example", "anna@xn--bcher-kva.example"),
        ("anna@BÜCHER.example", "anna@xn--bcher-kva.example"),
        ("anna@xn--bcher-kva.example", "anna@xn--bcher-kva.example"),
        ("o'brien/x=y@sub.mail.example.co.uk", "o'brien/x=y@sub.mail.example.co.uk"),
        ("a@b.co", "a@b.co"),
        ("a@b.c", "a@b.c"),
        ("a" * 80 + "@example.com", "a" * 80 + "@example.com"),
    ],
)
def test_an_email_keeps_its_local_part_and_gets_an_ascii_domain_in_lower_case(given_address, kept):
    assert canonical(EMAIL, given_address) == kept


@pytest.mark.parametrize(
    "domain", ["example.com", "example.net", "example.org", "x.example", "shop.test", "x--y.test"]
)
def test_domains_reserved_for_documentation_and_tests_are_accepted(domain):
    assert canonical(EMAIL, f"anna@{domain}") == f"anna@{domain}"


@pytest.mark.parametrize(
    "domain",
    ["localhost", "x.localhost", "x.invalid", "x.local", "x.onion", "x.arpa", "X.LOCAL", "test", "com"],
)
def test_domains_that_no_gateway_can_deliver_to_are_refused(domain):
    assert refusal(EMAIL, f"anna@{domain}").field == "recipient_address"


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("", "is empty"),
        ("anna", "has no @"),
        ("anna@example.com\r\nBcc: x@example.com", "control character"),
        ("anna@example.com\n", "control character"),
        ("an\x00na@example.com", "control character"),
        ("an\x7fna@example.com", "control character"),
        ("Anna <anna@example.com>", "leave out the name"),
        ("<anna@example.com>", "leave out the name"),
        ("anna@example.com,bob@example.com", "one address"),
        ("anna@example.com; bob@example.com", "one address"),
        ("anna@bob@example.com", "one address"),
        ('"anna b"@example.com', "quotation marks"),
        ("jörg@example.com", "beyond ASCII before the @"),
        ("anna..b@example.com", "is not an email address"),
        (".anna@example.com", "is not an email address"),
        ("anna@-example.com", "is not an email address"),
        ("anna@exa_mple.com", "is not an email address"),
        ("anna@[127.0.0.1]", "is not an email address"),
        ("anna@example.123", "is not an email address"),
        ("anna b@example.com", "is not an email address"),
        ("@example.com", "is not an email address"),
        ("anna@", "is not an email address"),
        ("anna@\ud800.com", "is not an email address"),
        ("a" * 250 + "@example.com", "longer than"),
        ("a@" + "b" * 64 + ".com", "is not an email address"),
    ],
)
def test_what_is_no_single_bare_email_address_is_refused_with_a_hint(address, hint):
    assert hint in refusal(EMAIL, address).message


def test_an_endless_email_is_refused_before_it_costs_anything():
    assert "longer than" in refusal(EMAIL, "ü" * 1_000_000 + "@example.com").message


def test_a_refusal_does_not_repeat_the_address():
    for address in ("anna.secret@exa mple.com", "secret", "secret <secret@example.com>", "secret@localhost"):
        assert "secret" not in refusal(EMAIL, address).message


# Built from what matters to the rule: hyphens, dots, special names, capitals, a look-alike (the Kelvin
# sign, whose lower case is an ASCII k), punycode, lengths at the limit.
PIECES = st.sampled_from(
    [
        *"aZ0-._+'@!ßé ",
        "K",
        "xn--",
        "--",
        "com",
        "test",
        "local",
        "localhost",
        "invalid",
        "arpa",
        "onion",
        "example",
    ]
)
MIXED = st.lists(PIECES | st.text(string.ascii_letters + string.digits, max_size=20), max_size=12).map(
    "".join
)
LOCALS = st.text(string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~.", min_size=1, max_size=64)
DOMAINS = st.lists(st.text("abcxyzABC019-", min_size=1, max_size=64), min_size=1, max_size=4).map(".".join)
LIKE_EMAILS = (
    st.builds("{}@{}".format, LOCALS | MIXED, DOMAINS | MIXED) | st.emails() | MIXED | st.text(max_size=40)
)


def oracle(address):
    """What email-validator makes of an address, with the local part as it was given."""
    found = validate_email(address, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    if "." not in found.ascii_domain:
        raise EmailSyntaxError("no dot")
    local = address.rpartition("@")[0]
    assert found.ascii_local_part.lower() == local.lower()
    return f"{local}@{found.ascii_domain}"


@unhurried
@given(LIKE_EMAILS)
@example("a@x.local")
@example("a@b.co\n")
@example("a@Kelvin.com")
@example("a" * 52 + "@example.com")
@example("a" * 53 + "@example.com")
def test_the_quick_look_accepts_only_what_the_full_check_accepts_and_keeps(address):
    if _PLAIN.match(address):
        assert oracle(address) == address


@unhurried
@given(LIKE_EMAILS)
@example("a@Kelvin.com")
@example("A@B.CO")
@example("INFO@EXAMPLE.COM")
def test_an_email_is_what_the_full_check_says(address):
    bare = address.strip(" \t")
    try:
        expected = oracle(bare)
    except EmailSyntaxError:
        expected = None
    try:
        found = canonical(EMAIL, address)
    except Invalid:
        found = None
    assert found == expected


@unhurried
@given(LIKE_EMAILS)
def test_a_canonical_email_is_its_own_canonical_form(address):
    try:
        found = canonical(EMAIL, address)
    except Invalid:
        return
    assert canonical(EMAIL, found) == found
    assert found.isascii()


@unhurried
@given(st.sampled_from(["anna@example.com", "first.last+tag@sub.example.co.uk", "x_y@a-b.example"]))
def test_ordinary_addresses_take_the_quick_look(address):
    assert _PLAIN.match(address)
    assert _checked(address) == address


def test_suppression_compares_emails_without_case():
    assert suppression_key(EMAIL, "Anna.B@example.com") == "anna.b@example.com"


def test_suppression_compares_numbers_and_tokens_as_they_are():
    assert suppression_key(SMS, "+447700900123") == "+447700900123"
    assert suppression_key(PUSH, FCM) == FCM


def test_the_domain_is_what_follows_the_at():
    assert domain_of("Anna@example.com") == "example.com"


# Numbers


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.WHATSAPP, Channel.VOICE])
@pytest.mark.parametrize(
    ("written", "region", "e164"),
    [
        ("+4915123456789", None, "+4915123456789"),
        (" +49 151 234-567/89 ", None, "+4915123456789"),
        ("0151 23456789", "DE", "+4915123456789"),
        ("00 1 650 253 0000", "DE", "+16502530000"),
        ("(650) 253-0000", "US", "+16502530000"),
        ("+44 (0)20 7946 0018", None, "+442079460018"),
        ("+16502530000", "DE", "+16502530000"),
        ("\uff0b\uff11\uff16\uff15\uff10\uff12\uff15\uff13\uff10\uff10\uff10\uff10", None, "+16502530000"),
        ("+39 06 698 12345", None, "+390669812345"),
    ],
)
def test_a_number_becomes_e164(channel, written, region, e164):
    assert canonical(channel, written, region=region) == e164


@pytest.mark.parametrize(
    "number",
    ["+15005550006", "+447700900123", "+12025550123", "+15551234567", "+33639981234", "+61491570156"],
)
def test_numbers_kept_for_tests_and_films_are_accepted(number):
    assert canonical(SMS, number) == number


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("", "is empty"),
        ("0151 23456789", "needs + and the country code"),
        ("+999 1234567", "no country code that exists"),
        ("+1 650 253", "wrong number of digits"),
        ("+1", "too few digits"),
        ("+1 123 456 7890", "country code +1 gives out"),
        ("+44 7700 1", "country code +44 gives out"),
        ("+49 151 23456789 12345678901", "has too many digits"),
        ("+1 800 FLOWERS", "must be one telephone number"),
        ("+49 30 123456 abc", "must be one telephone number"),
        ("+1 650 253 0000 ext. 5", "must be one telephone number"),
        ("+16502530000;ext=5", "must be one telephone number"),
        ("tel:+16502530000", "must be one telephone number"),
        ("+16502530000,+16502530001", "must be one telephone number"),
        ("+1650253\r\n0000", "must be one telephone number"),
        ("+" + "1" * 1_000_000, "must be one telephone number"),
    ],
)
def test_what_is_no_number_is_refused_with_a_hint(written, hint):
    fault = refusal(SMS, written)
    assert fault.field == "recipient_address"
    assert hint in fault.message


@unhurried
@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)), st.integers(0, 10), st.integers(0, 10**6))
def test_every_countrys_numbers_keep_their_e164_form_however_written(region, kind, offset):
    number = phonenumbers.example_number_for_type(region, kind)
    if number is None:
        return
    number.national_number += offset
    if not phonenumbers.is_valid_number(number):
        return
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    international = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    assert canonical(SMS, e164) == e164
    assert canonical(SMS, international, region="DE") == e164


@unhurried
@given(st.text(max_size=40) | st.text("+0123456789 ()-.", max_size=20), st.sampled_from([None, "DE", "US"]))
def test_any_text_is_a_number_in_e164_or_refused(written, region):
    try:
        found = canonical(SMS, written, region=region)
    except Invalid:
        return
    assert canonical(SMS, found) == found
    assert found[0] == "+"
    assert set(found[1:]) <= set("0123456789")
    assert 8 <= len(found) <= 16


# Device tokens


def test_an_apns_token_comes_in_lower_case():
    assert canonical(PUSH, " " + APNS.upper(), platform="apns") == APNS


def test_an_fcm_token_is_kept_as_it_is():
    assert canonical(PUSH, FCM, platform="fcm") == FCM


@pytest.mark.parametrize(
    ("token", "platform"),
    [
        ("", "apns"),
        (APNS[:-1], "apns"),
        (APNS[:-2], "apns"),
        (APNS + "0", "apns"),
        (APNS[:-1] + "g", "apns"),
        (APNS[:32] + " " + APNS[32:], "apns"),
        (APNS + "\n", "apns"),
        ("ab" * 300, "apns"),
        ("A" * 99, "fcm"),
        ("A" * 4097, "fcm"),
        ("A" * 100 + "\n", "fcm"),
        ("A" * 100 + " A", "fcm"),
        ("é" * 120, "fcm"),
        ("/" * 120, "fcm"),
    ],
)
def test_a_token_of_another_shape_is_refused(token, platform):
    assert refusal(PUSH, token, platform=platform).field == "recipient_address"


@pytest.mark.parametrize("platform", [None, "android", "APNS"])
def test_a_token_needs_its_platform(platform):
    assert refusal(PUSH, FCM, platform=platform).field == "platform"


# What logs may show


@pytest.mark.parametrize(
    ("channel", "address", "shown"),
    [
        (EMAIL, "anna@example.com", "a…@example.com"),
        (EMAIL, "no address", "…"),
        (EMAIL, "", "…"),
        (EMAIL, "anna@secret stuff\n", "…"),
        (SMS, "+447700900123", "…123"),
        (Channel.VOICE, "0151 234 567-89", "…789"),
        (SMS, "123", "…"),
        (SMS, "", "…"),
        (PUSH, FCM, "token of 158 characters"),
    ],
)
def test_an_address_is_masked_for_logs(channel, address, shown):
    assert masked(channel, address) == shown


@unhurried
@given(st.sampled_from(list(Channel)), st.text())
def test_any_text_can_be_masked(channel, address):
    assert masked(channel, address).isprintable()
