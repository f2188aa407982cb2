"""Which requests the servers answer: what a browser says of a page elsewhere, and what programs send."""

import asyncio

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from flows.service.same_origin import FOREIGN_HOST, FOREIGN_PAGE, SameOrigin, own_names, request_refusal
from lidcflow.config import Config

HERE = "127.0.0.1:4200"
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
ELSEWHERE = [
    {"Origin": "http://evil.example"},
    {"Origin": "http://evil.example:4200"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://127.0.0.1:9999"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://localhost:4200"},
    {"Origin": "http://127.0.0.1:4200.evil.example"},
    {"Origin": "http://evil@127.0.0.1:4200"},
    {"Origin": "chrome-extension://127.0.0.1:4200"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    {**LINK, "Sec-Fetch-Dest": "iframe"},
    {**LINK, "Origin": "http://evil.example"},
]


def refused(method="GET", *, names=None, host=HERE, **headers):
    return request_refusal(
        method, Headers({"Host": host, **headers}), own_names("127.0.0.1") if names is None else names
    )


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PATCH", "DELETE"])
def test_nothing_is_answered_to_a_page_elsewhere(method, headers):
    assert refused(method, **headers) == FOREIGN_PAGE


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": f"http://{HERE}"}, {"Origin": f"HTTPS://{HERE}"}, {"Sec-Fetch-Site": "none"}],
    ids=["a program", "an own page", "behind TLS", "typed"],
)
def test_programs_and_own_pages_are_answered(method, headers):
    assert refused(method, **headers) is None


def test_a_link_elsewhere_opens_a_page_and_sends_nothing():
    assert refused(**LINK) is None
    assert refused("POST", **LINK) == FOREIGN_PAGE


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "EVIL.example.:4200",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.evil.example",
        "evil@localhost",
        "localhost:4200@evil.example",
        "localhost:port",
        "localhost/..",
        "[::1",
        "",
    ],
)
def test_a_name_that_was_made_to_point_here_is_refused(host):
    assert refused(host=host) == FOREIGN_HOST


def test_a_second_host_is_refused():
    twice = Headers(raw=[(b"host", b"localhost"), (b"host", b"evil.example")])

    assert request_refusal("GET", twice, own_names("127.0.0.1")) == FOREIGN_HOST


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:4200", "localhost.:4200", "[::1]:4200", "127.0.0.1", "10.1.2.3"]
)
def test_own_names_and_plain_addresses_are_answered(host):
    assert refused(host=host) is None


def test_a_machine_that_others_reach_answers_to_the_names_that_are_configured():
    config = Config(serve={"host": "0.0.0.0", "hosts": ["Reader.hospital.example"]})

    names = own_names(config.serve.host, config.serve.hosts)

    assert refused(names=names, host="reader.hospital.example:4200") is None
    assert refused(names=names, host="other.hospital.example:4200") == FOREIGN_HOST


@pytest.mark.parametrize("name", ["http://reader", "reader:4200", "*", "*.hospital.example", "", "a,b"])
def test_a_host_of_the_configuration_is_a_name_and_nothing_else(name):
    with pytest.raises(ValueError, match="hosts"):
        Config(serve={"hosts": [name]})


async def page(scope, receive, send):
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        own = {"X-Frame-Options": "DENY"} if scope["path"] == "/own" else {}
        await PlainTextResponse("here", headers=own)(scope, receive, send)


def get(path="/", **headers):
    async def asked():
        transport = httpx.ASGITransport(SameOrigin(page, own_names("127.0.0.1")))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HERE}") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(asked())


def handshake(**headers):
    """Return what a server does with the handshake of a websocket."""
    raw = [(name.lower().encode(), value.encode()) for name, value in {"Host": HERE, **headers}.items()]
    sent = []

    async def send(message):
        sent.append(message["type"])

    asyncio.run(SameOrigin(page, own_names("127.0.0.1"))({"type": "websocket", "headers": raw}, None, send))
    return sent


def test_no_other_site_shows_a_page_in_a_frame_or_loads_from_it():
    for answer in (get(), get(Origin="null")):
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["content-security-policy"].startswith("default-src 'self' ")
        assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    assert get("/own").headers["x-frame-options"] == "DENY"
    assert (get().text, get(Origin="null").status_code) == ("here", 403)


def test_a_websocket_is_opened_to_own_pages_and_programs_alone():
    assert handshake() == handshake(Origin=f"http://{HERE}") == ["websocket.accept"]
    assert handshake(Origin="http://evil.example") == handshake(Host="evil.example") == ["websocket.close"]
