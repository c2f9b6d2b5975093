"""What is around us: this machine, the way to gateways, the DNS, vendors, and who may come in."""

import os
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orjson
import pytest
import sqlalchemy as sa

from app.db.engine import make_engine
from app.db.tables import senders, users
from app.domain.callers import SCOPES
from app.gateways.base import HttpResponse
from app.services.audit import Who
from app.services.diagnostics import domains, network, numbers, resources, security
from app.services.diagnostics.findings import Severity
from app.services.keys import create_key

KIB = 1024


@pytest.fixture
def server():
    """The address of a server that speaks HTTP without TLS."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()


class Quiet(BaseHTTPRequestHandler):
    def log_message(self, *_words): ...


def test_a_disk_with_room_is_well_and_a_full_one_critical():
    assert not list(resources.judged_disk("/data", 20, 100))
    assert [each.priority for each in resources.judged_disk("/data", 8, 100)] == [Severity.HIGH]
    assert [each.priority for each in resources.judged_disk("/data", 2, 100)] == [Severity.CRITICAL]


def test_our_own_file_systems_are_looked_at(scene, monkeypatch):
    seen = []
    monkeypatch.setattr(resources, "judged_disk", lambda *told: seen.append(told) or [])
    list(resources.disk(scene))
    assert seen[0][0] == str(scene.directory)
    assert 0 < seen[0][1] <= seen[0][2]


def test_memory_that_runs_out_is_found():
    assert not list(resources.judged_memory({"MemTotal": 100 * KIB, "MemAvailable": 30 * KIB}))
    assert not list(resources.judged_memory({}))
    assert list(resources.judged_memory({"MemTotal": 100 * KIB, "MemAvailable": 5 * KIB}))


def test_the_kernel_is_understood():
    told = resources._meminfo()
    assert 0 < told["MemAvailable"] <= told["MemTotal"]


def test_file_handles_that_run_out_are_found(monkeypatch):
    assert not list(resources.judged_handles([("web", os.getpid())]))
    monkeypatch.setattr(resources, "_limit", lambda _pid: 4)
    assert [each.target for each in resources.judged_handles([("web", os.getpid())])] == [
        f"web:{os.getpid()}"
    ]


def test_a_process_that_is_gone_is_passed_over():
    assert not list(resources.judged_handles([("web", 2**22 + 1)]))


def test_a_processor_that_does_not_keep_up_is_found():
    assert not list(resources.judged_load(3.0, 2))
    assert list(resources.judged_load(9.0, 2))


def test_a_gateway_that_nobody_listens_at_is_unreachable(scene, look):
    found = look(network.ways, scene)["gateway_unreachable"]
    assert (found.target, found.evidence["failed"]) == ("postal", "connect")


def test_a_gateway_that_lets_us_in_is_well(scene, look, server):
    listening = replace(scene.gateways["postal"], url=server)
    assert look(network.ways, replace(scene, gateways={"postal": listening})) == {}


def test_a_name_that_does_not_resolve_is_said_so(scene, look):
    lost = replace(scene.gateways["postal"], url="https://gateway.invalid")
    found = look(network.ways, replace(scene, gateways={"postal": lost}))["gateway_unreachable"]
    assert found.evidence["failed"] == "resolve"


def test_a_server_without_tls_is_not_trusted(scene, look, server):
    plain = replace(scene.gateways["postal"], url=server.replace("http://", "https://"))
    found = look(network.ways, replace(scene, gateways={"postal": plain}))["gateway_unreachable"]
    assert found.evidence["failed"] == "tls"


def test_a_long_way_and_a_certificate_that_ends_are_found():
    place = network.Place(gateway="ses", host="mail", port=443, tls=True)

    def codes(**times):
        return {each.code for each in network._judged(network.Way(place=place, **times))}

    assert codes(resolve=0.01, connect=0.1, tls=0.2, certificate_days=60) == set()
    assert codes(resolve=0.9, connect=0.1, tls=0.2, certificate_days=60) == {"name_resolution_slow"}
    assert codes(resolve=0.01, connect=0.5, tls=0.9, certificate_days=3) == {"way_slow", "certificate_ends"}


GOOD = {
    ("mail.org", "TXT"): ["v=spf1 include:spf.postal.org ~all", "other=1"],
    ("_dmarc.mail.org", "TXT"): ["v=DMARC1; p=quarantine"],
    ("s1._domainkey.mail.org", "TXT"): ["v=DKIM1; p=MIIB"],
    ("mail.org", "MX"): ["10 mx.mail.org."],
}


@pytest.fixture
def domain(app, names):
    row = {"slug": "house", "channel": "email", "address": "bell@mail.org", "name": "Bell"}
    with app.engine.begin() as conn:
        conn.execute(sa.insert(senders).values(row))
    names.known.update(GOOD)


def test_a_domain_that_says_all_is_well(scene, look, domain):
    assert look(domains.senders_domains, scene) == {}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({("mail.org", "TXT"): []}, "spf_missing"),
        ({("mail.org", "TXT"): ["v=spf1 -all", "v=spf1 ~all"]}, "spf_twice"),
        ({("mail.org", "TXT"): ["v=spf1 +all"]}, "spf_lets_everybody_in"),
        ({("mail.org", "TXT"): ["v=spf1 " + "include:a.org " * 11 + "-all"]}, "spf_too_deep"),
        ({("_dmarc.mail.org", "TXT"): []}, "dmarc_missing"),
        ({("_dmarc.mail.org", "TXT"): ["v=DMARC1; p=none"]}, "dmarc_watches_only"),
        ({("mail.org", "MX"): []}, "mx_missing"),
        ({("mail.org", "MX"): ["0 ."]}, "mx_refuses"),
    ],
)
def test_what_a_domain_leaves_unsaid_is_found(scene, domain, names, change, code):
    names.known.update(change)
    assert [each.code for each in domains.senders_domains(scene)] == [code]


def test_a_domain_without_any_key_is_found_and_one_with_an_unknown_selector_is_not(
    scene, look, domain, names
):
    del names.known["s1._domainkey.mail.org", "TXT"]
    assert look(domains.senders_domains, scene).keys() == {"dkim_missing"}
    names.known["postal-x7Fq2b._domainkey.mail.org", "TXT"] = ["v=DKIM1; p=MIIB"]
    assert look(domains.senders_domains, scene) == {}


def test_a_subdomain_is_covered_by_its_parents_dmarc(names):
    names.known.update(GOOD)
    assert not list(domains.dmarc(names, "news.mail.org"))


def test_domains_that_reach_nobody_are_left_out(scene, look, app, names):
    row = {"slug": "house", "channel": "email", "address": "bell@example.com", "name": "Bell"}
    with app.engine.begin() as conn:
        conn.execute(sa.insert(senders).values(row))
    assert look(domains.senders_domains, scene) == {}


def test_a_dns_that_does_not_answer_is_a_finding_of_its_own(app, scene, domain, names):
    names.silent = True
    diagnostics = replace_scene(app, scene)
    (known,) = diagnostics.run(subjects=["sending domains"]).findings
    assert (known.finding.code, known.finding.target) == ("check_failed", "domains")


def replace_scene(app, scene):
    return type(app.diagnostics)(app.engine, scene)


@pytest.fixture
def twilio(scene, app):
    """A scene with an account at Twilio that knows these numbers."""
    numbers_known = {}
    asked = []

    class Vendor:
        def fetch(self, request):
            asked.append(request)
            found = [
                row for number, row in numbers_known.items() if number.replace("+", "%2B") in request.url
            ]
            return HttpResponse(status=200, headers={}, body=orjson.dumps({"incoming_phone_numbers": found}))

    row = {"slug": "sms", "channel": "sms", "address": "+15005550006", "name": ""}
    with app.engine.begin() as conn:
        conn.execute(sa.insert(senders).values(row))
    settings = scene.settings.model_copy(
        update={"twilio_account_sid": "AC1", "twilio_auth_token": secret("token")}
    )
    return replace(scene, settings=settings, transport=Vendor), numbers_known, asked


def secret(text):
    return security.SecretStr(text)


def test_a_number_of_ours_that_can_do_it_is_well(twilio, look):
    scene, known, asked = twilio
    known["+15005550006"] = {
        "phone_number": "+15005550006",
        "capabilities": {"sms": True},
        "status": "in-use",
    }
    assert look(numbers.at_twilio, scene) == {}
    assert asked[0].method == "GET"


def test_a_number_that_is_not_ours_or_cannot_do_it_is_found(twilio, look):
    scene, known, _ = twilio
    assert look(numbers.at_twilio, scene).keys() == {"number_not_ours"}
    known["+15005550006"] = {
        "phone_number": "+15005550006",
        "capabilities": {"sms": False},
        "status": "in-use",
    }
    assert look(numbers.at_twilio, scene).keys() == {"number_not_capable"}


def test_without_twilio_nobody_is_asked(scene, look):
    assert look(numbers.at_twilio, scene) == {}


@pytest.fixture
def real(scene):
    """The scene with a gateway in the world outside."""
    return replace(
        scene, gateways={"postal": replace(scene.gateways["postal"], url="https://postal.mail.org")}
    )


def test_where_nothing_leaves_this_machine_it_is_said_so(scene, real, look):
    assert look(network.simulated, scene).keys() == {"nothing_leaves"}
    assert look(network.simulated, real) == {}


def test_secrets_of_the_simulator_may_be_simple(scene, look):
    weak = scene.settings.model_copy(update={"smtp_webhook_secrets": (secret("short"),)})
    assert look(security.secrets, replace(scene, settings=weak)) == {}


def test_secrets_that_cannot_be_guessed_are_well_and_others_are_found(real, look):
    scene = real
    assert look(security.secrets, scene) == {}
    weak = scene.settings.model_copy(update={"smtp_webhook_secrets": (secret("short"),)})
    assert look(security.secrets, replace(scene, settings=weak))["weak_secret"].priority is Severity.HIGH
    default = scene.settings.model_copy(update={"postal_api_key": secret("changeme")})
    assert (
        look(security.secrets, replace(scene, settings=default))["weak_secret"].priority is Severity.CRITICAL
    )


def test_settings_that_open_doors_are_found(scene, look):
    assert look(security.settings, scene) == {}
    changes = {
        "public_base_url": "http://tocsin.example.org",
        "smtp_url": "smtp://relay.example.org",
        "smtp_tls": "never",
        "log_level": "debug",
        "postal_accept_sha1": True,
    }
    found = look(security.settings, replace(scene, settings=scene.settings.model_copy(update=changes)))
    assert found.keys() == {
        "public_url_without_tls", "relay_without_tls", "debug_logging", "weak_webhook_proof"
    }  # fmt: skip


def test_keys_that_live_for_ever_and_may_do_everything_are_found(app, scene, look, table):
    who = Who(actor="tests")
    create_key(app.engine, who, "first", "site", ["messages:send"])
    assert look(security.keys, scene) == {}
    create_key(app.engine, who, "first", "all", sorted(SCOPES))
    assert look(security.keys, scene).keys() == {"key_without_expiry", "key_too_wide"}
    table("UPDATE api_keys SET created_at = now() - interval '100 d' WHERE name = 'site'")
    assert look(security.keys, scene)["key_unused"].target == "first/site"


def test_administrators_with_a_password_alone_are_found(app, scene, look, table):
    person = {"email": "ada@mail.org", "role": "admin", "password_hash": "x", "totp_secret": "y"}
    with app.engine.begin() as conn:
        conn.execute(sa.insert(users).values(person))
    assert look(security.people, scene) == {}
    table("UPDATE users SET totp_secret = NULL")
    found = look(security.people, scene)["admins_without_totp"]
    assert "ada" not in str(found)


def test_a_role_that_owns_nothing_is_well_and_the_owner_is_found(scene, look, owner_url):
    assert look(security.rights, scene) == {}
    owner = make_engine(owner_url, pool=1, name="test")
    assert "database_role_too_strong" in look(security.rights, replace(scene, engine=owner))
    owner.dispose()


def test_files_with_secrets_that_others_may_read_are_found(tmp_path):
    file = tmp_path / "machine.key"
    file.write_text("tcs_")
    file.chmod(0o600)
    assert not list(security.judged_files([file, tmp_path / "none"]))
    file.chmod(0o640)
    assert [each.target for each in security.judged_files([file])] == ["machine.key"]


def test_what_is_found_holds_no_secret(real, look):
    scene = real
    weak = scene.settings.model_copy(update={"postal_api_key": secret("changeme")})
    found = look(security.secrets, replace(scene, settings=weak))
    assert found
    assert "changeme" not in str(found)
