import base64
import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydicom.uid import generate_uid

from lidcflow.config.service import PacsConfig
from lidcflow.errors import ConfigError, PacsError, SourceError
from lidcflow.pacs import retry
from lidcflow.pacs.address import PacsPlace, PacsService
from lidcflow.pacs.client import NotFound, Pacs
from lidcflow.pacs.query import instance_uids, query_series
from tests.dicomweb_server import Answer, cut, dicomweb_server, every, first, hanging


@pytest.fixture(autouse=True)
def short_delays(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.01)


def redirect(target):
    return lambda *_: Answer(307, headers={"Location": target})


def series_of(tiny, **settings):
    with tiny.connect(**settings) as pacs:
        return query_series(pacs, PacsPlace(pacs.service))


def test_series_of_the_wanted_modality_are_found_page_by_page(ct_series, tmp_path, tiny):
    for number in range(5):
        tiny.hold(ct_series(tmp_path / str(number), n=1, Modality="MR" if number == 4 else "CT"))
    tiny.page = 2

    found = series_of(tiny)

    assert [one.n_instances for one in found] == [1, 1, 1, 1]
    assert len(tiny.requests) == 2


def test_a_server_that_ignores_what_was_asked_for_is_not_asked_for_ever(ct_series, tmp_path, tiny):
    for name in ("a", "b"):
        tiny.hold(ct_series(tmp_path / name, n=1))
    tiny.hold(ct_series(tmp_path / "mr", n=1, Modality="MR"))
    everything = tiny.answer("GET", "/dicom-web/series", b"")

    with tiny.faulty(lambda *_: Answer(body=everything.body, headers={"Warning": "299 more"})):
        found = series_of(tiny)

    assert len(found) == 2


def test_the_instances_of_a_series_are_a_set_of_uids(ct_series, tmp_path, tiny):
    tiny.hold(ct_series(tmp_path / "ct", n=3))
    (series,) = series_of(tiny)

    with tiny.connect() as pacs:
        uids = instance_uids(pacs, series.study_instance_uid, series.series_instance_uid)
        assert instance_uids(pacs, series.study_instance_uid, generate_uid()) == frozenset()

    assert uids == set(tiny.instances)


@pytest.mark.parametrize(
    "fault",
    [
        every(2, 503),
        first(2, lambda *_: Answer(500)),
        first(1, lambda *_: Answer(429, headers={"Retry-After": "0"})),
        first(2, cut(5, told=True)),
        first(2, cut(5, told=False)),
    ],
    ids=["every second 503", "500s", "429", "cut short", "cut short unnoticed by HTTP"],
)
def test_what_passes_is_asked_for_again(ct_series, tmp_path, tiny, fault):
    tiny.hold(ct_series(tmp_path / "ct", n=2))

    with tiny.faulty(fault):
        found = series_of(tiny)

    assert [one.n_instances for one in found] == [2]


@pytest.mark.parametrize(
    ("fault", "error", "sentence"),
    [
        (every(1, 503), PacsError, "pacs tiny: the PACS must answer, got status 503; check the network"),
        (cut(5, told=True), PacsError, "got an answer that broke off"),
        (cut(5, told=False), PacsError, "got JSON that is cut short"),
        (every(1, 401), PacsError, "must grant access, got status 401; set PACS_NAME_USER"),
        (every(1, 404), NotFound, "must hold what is asked for, got status 404; check its URL"),
        (every(1, 400), SourceError, "must be a DICOMweb service, got status 400"),
        (lambda *_: Answer(body=b"<html>", content_type="text/html"), SourceError, "an answer that is no JSON"),
        (lambda *_: Answer(body=b'{"a": 1}'), SourceError, "must answer in the DICOM JSON model"),
        (redirect("http://elsewhere.invalid/"), SourceError, "must answer by itself, got a redirect elsewhere"),
        (redirect("/dicom-web/series"), PacsError, "redirects without end"),
    ],
)
def test_a_service_that_fails_is_told_in_one_sentence(tiny, fault, error, sentence):
    with tiny.faulty(fault), pytest.raises(error, match=sentence):
        series_of(tiny, retries=1)


def test_an_answer_that_takes_too_long_is_asked_for_again(ct_series, tmp_path, tiny):
    tiny.hold(ct_series(tmp_path / "ct", n=2))

    with tiny.faulty(first(1, hanging(2))):
        assert len(series_of(tiny, timeout_s=1)) == 1


def test_a_service_that_hangs_is_told_in_one_sentence(tiny):
    with tiny.faulty(hanging(1)), pytest.raises(PacsError, match=r"the PACS must answer, got nothing for 0\.1 s"):
        series_of(tiny, timeout_s=0.1, retries=1)


def test_a_redirect_within_the_service_is_followed(ct_series, tmp_path, tiny):
    tiny.hold(ct_series(tmp_path / "ct", n=2))

    with tiny.faulty(first(1, redirect("/dicom-web/series?Modality=CT"))):
        assert len(series_of(tiny)) == 1


def test_a_pacs_that_is_not_there_is_told_in_one_sentence():
    with (
        Pacs(PacsService("", PacsConfig(url="http://127.0.0.1:9/dicom-web", retries=0))) as pacs,
        pytest.raises(PacsError, match=r"pacs http://127.0.0.1:9/dicom-web: .* got no connection"),
    ):
        query_series(pacs, PacsPlace(pacs.service))


def test_delays_grow_and_what_the_service_asks_for_is_kept_to(monkeypatch):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    patient = retry.FailureCount(PacsService("", PacsConfig(url="http://pacs", retries=4)))

    for wait_s in (0.0, 0.0, 7.0, 1e6):
        patient.wait(retry.Passing("status 503", wait_s))

    assert waited == [0.01, 0.02, 7.0, 30.0]


def test_user_and_password_come_from_the_environment(tiny, monkeypatch):
    monkeypatch.setenv("PACS_TINY_USER", "jane")
    monkeypatch.setenv("PACS_TINY_PASSWORD", "secret")

    series_of(tiny)

    assert tiny.authorizations == ["Basic " + base64.b64encode(b"jane:secret").decode()]


def test_a_token_comes_from_the_environment_and_stays_in_its_service(tiny, monkeypatch):
    monkeypatch.setenv("PACS_TINY_TOKEN", "abc")

    series_of(tiny)
    with Pacs(PacsService("", tiny.config)) as unknown:
        query_series(unknown, PacsPlace(unknown.service))

    assert tiny.authorizations == ["Bearer abc", None]


def test_a_refusal_names_neither_user_nor_token(tiny, monkeypatch):
    monkeypatch.setenv("PACS_TINY_TOKEN", "abc-canary")

    with tiny.faulty(every(1, 403)), pytest.raises(PacsError) as refused:
        series_of(tiny)

    assert "canary" not in str(refused.value)


def test_a_bundle_of_certificates_that_is_not_there_is_told(tmp_path):
    config = PacsConfig(url="https://pacs.example.org", ca_bundle=tmp_path / "none.pem")

    with pytest.raises(ConfigError, match="pacs main: ca_bundle, client_certificate and client_key must be PEM files"):
        Pacs(PacsService("main", config))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 that nobody vouches for, and its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tiny")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "tiny.pem"
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return file


@pytest.fixture
def secure(certificate):
    """A tiny PACS that speaks TLS, and asks for the client's certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificate)
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with dicomweb_server(context) as server:
        yield server


def test_a_service_is_known_by_its_certificate_and_knows_the_client_by_his(secure, certificate):
    assert series_of(secure, ca_bundle=certificate, client_certificate=certificate) == []


def test_a_service_that_no_one_vouches_for_is_told_at_once(secure):
    with pytest.raises(PacsError, match="its certificate must be one that can be verified, got another; set ca_bundle"):
        series_of(secure)


def test_a_client_without_a_certificate_is_told(secure, certificate):
    with pytest.raises(PacsError, match="must know this client's certificate, got a refusal; set client_cert"):
        series_of(secure, ca_bundle=certificate)
