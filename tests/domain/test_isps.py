import pytest

from app.domain.isps import isp_of, known_isp


@pytest.mark.parametrize(
    ("servers", "isp"),
    [
        (["aspmx.l.google.com", "alt1.aspmx.l.google.com"], "google"),
        (["smtp.google.com"], "google"),
        (["example-com.mail.protection.outlook.com"], "microsoft"),
        (["example-com.o-v1.mx.microsoft"], "microsoft"),
        (["mta5.am0.yahoodns.net"], "yahoo"),
        (["mx01.mail.icloud.com."], "apple"),
        (["MX1.EXAMPLE.PPHOSTED.COM"], "proofpoint"),
        (["mail.example.com", "aspmx.l.google.com"], "google"),
        (["mail.example.com"], None),
        (["notgoogle.com", "google.com.example.org"], None),
        ([], None),
    ],
)
def test_a_domain_belongs_to_whose_servers_take_its_mail(servers, isp):
    assert isp_of(servers) == isp


@pytest.mark.parametrize(
    ("domain", "isp"),
    [("gmail.com", "google"), ("hotmail.com", "microsoft"), ("aol.com", "yahoo"), ("example.com", None)],
)
def test_well_known_domains_need_no_looking_up(domain, isp):
    assert known_isp(domain) == isp
