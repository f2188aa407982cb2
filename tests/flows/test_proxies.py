"""Servers of this machine are reached without a proxy by every client that is used, whatever the user has set."""

import urllib.request

import httpx
import pytest
import requests.utils
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from flows.proxies import bypass_proxies
from lidcflow.config import Config, ServeConfig
from lidcflow.objects import bucket_of

PROXY = "http://127.0.0.1:9"
OWN = ("http://127.0.0.1:4200/api", "http://localhost:5000", "http://[::1]:4200/api")
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in (*VARIABLES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def bypassed(monkeypatch, config=None, **variables):
    """Set variables as a user does, and what lidcflow makes of them."""
    environ = dict(variables)
    sentences = bypass_proxies(environ, config)
    for name in variables.keys() - environ.keys():
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    return sentences


def is_direct(url):
    """Return which clients reach an address without a proxy."""
    with httpx.Client() as client:
        of_httpx = client._transport_for_url(httpx.URL(url)) is client._transport
    websocket = get_proxy(parse_uri(url.replace("http", "ws", 1)))
    return {
        "httpx": of_httpx,
        "requests": requests.utils.should_bypass_proxies(url, no_proxy=None),
        "websockets": websocket is None,
    }


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("url", OWN)
def test_loopback_is_reached_directly_by_every_client(monkeypatch, variable, url):
    bypassed(monkeypatch, **{variable: PROXY})

    assert set(is_direct(url).values()) == {True}


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_what_the_user_has_excepted_stays_so_in_both_cases(monkeypatch, name):
    bypassed(monkeypatch, http_proxy=PROXY, **{name: "pacs.hospital, .ward.hospital,[::1],10.0.0.0/8"})

    for host in ("pacs.hospital", "a.ward.hospital"):
        assert set(is_direct(f"http://{host}:8042").values()) == {True}
        assert urllib.request.proxy_bypass(host)
    assert set(is_direct(OWN[2]).values()) == {True}


def test_other_hosts_still_go_through_the_proxy(monkeypatch):
    bypassed(monkeypatch, HTTP_PROXY=PROXY)

    assert set(is_direct("http://mlflow.hospital:5000").values()) == {False}


def test_an_exception_of_everything_is_kept(monkeypatch):
    bypassed(monkeypatch, HTTP_PROXY=PROXY, NO_PROXY="*")

    assert set(is_direct("http://mlflow.hospital:5000").values()) == {True}


@pytest.mark.parametrize("host", ["radiology-ai", "10.1.2.3", "127.0.0.7", "0.0.0.0", "::"])
def test_the_address_that_is_served_is_reached_directly(monkeypatch, host):
    bypassed(monkeypatch, Config(serve=ServeConfig(host=host)), HTTP_PROXY=PROXY)

    own = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    assert set(is_direct(f"http://{own}:4200/api").values()) == {True}


@pytest.mark.parametrize("url", ["http://127.0.0.9:5000", "http://tracking.localhost:5000"])
def test_a_tracking_server_on_loopback_is_reached_directly_under_its_name(monkeypatch, url):
    bypassed(monkeypatch, Config(tracking={"uri": url}), ALL_PROXY=PROXY)

    assert set(is_direct(url).values()) == {True}


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "ftp://proxy:21", "://", "http://", "http://proxy:port"])
def test_a_proxy_that_can_not_be_used_breaks_nothing_and_is_told_without_its_password(monkeypatch, proxy):
    sentences = bypassed(monkeypatch, HTTP_PROXY=proxy.replace("//", "//user:secret@", 1), HTTPS_PROXY=PROXY)

    assert set(is_direct(OWN[0]).values()) == {True}
    assert [sentence.split(":")[0] for sentence in sentences] == ["HTTP_PROXY"]
    assert "secret" not in sentences[0]


def test_without_a_proxy_the_environment_stays_as_it_is():
    environ = {"PATH": "/bin", "no_proxy": "pacs.hospital"}

    assert bypass_proxies(environ, Config()) == []
    assert environ == {"PATH": "/bin", "no_proxy": "pacs.hospital"}


def test_a_bucket_on_loopback_is_reached_directly(monkeypatch, objects):
    bypassed(monkeypatch, Config(access=objects.access), HTTP_PROXY=PROXY, http_proxy=PROXY, ALL_PROXY=PROXY)

    assert bucket_of("s3://bucket", objects.access).list().collect() == []
