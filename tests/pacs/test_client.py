import base64
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lidcflow.config.service import PacsConfig
from lidcflow.errors import ConfigError, PacsError
from lidcflow.pacs import client
from lidcflow.pacs.address import PacsPlace, PacsService
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.query import query_series
from tests.dicomweb_server import Answer, dicomweb_server, every, first
from tests.pacs.asking import redirect, series_of


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


@pytest.mark.parametrize("values", [b"[]", b"{}", b"0", b'""'])
def test_json_of_more_values_than_any_answer_has_is_refused_before_it_is_parsed(tiny, values, monkeypatch):
    monkeypatch.setattr(client, "BYTES_PER_VALUE", 128)
    body = b"[" + b",".join([values] * 2**20) + b"]"

    with tiny.faulty(lambda *_: Answer(body=body)), pytest.raises(PacsError, match="JSON of more values than any"):
        series_of(tiny)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000, b"\xff\xfe"])
def test_json_that_is_nested_or_numbered_without_end_is_damaged(tiny, body):
    with tiny.faulty(lambda *_: Answer(body=body)), pytest.raises(PacsError, match="cut short or damaged"):
        series_of(tiny, retries=0)
