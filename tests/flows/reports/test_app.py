"""The server of the reports: what it answers to whom, and what it keeps."""

import json
import os
from contextlib import contextmanager

import httpx
import numpy as np
import pytest

from lidcflow.config import Config
from lidcflow.report.marks_table import FeedbackTable
from lidcflow.report.page import PAGE
from lidcflow.store.volumes import VolumeStore
from tests.flows.reports.conftest import HOSTILE, NOTHING, RANGES, REFUSED, SIZE, SLICES, serving


@contextmanager
def asking(config):
    """Yield a client of a server; what it sends comes from the server's own pages."""
    with serving(config) as address, httpx.Client(base_url=address, headers={"Origin": address}) as client:
        yield client


@pytest.fixture
def client(config):
    with asking(config) as client:
        yield client


@pytest.fixture(scope="module")
def looked(read_workspace):
    """Return the configuration for tests that change nothing."""
    return Config(workspace=read_workspace)


@pytest.fixture(scope="module")
def looking(looked):
    """Yield a client for tests that change nothing."""
    with asking(looked) as client:
        yield client


def address(key, name=""):
    return f"/studies/{key.study}/{key.series}/{name}"


@pytest.fixture
def mark(looked):
    """Make what a page sends: that the range 21 to 23 is right."""
    digest = VolumeStore.found(looked.inbox_store_root).record(RANGES.series).volume_digest

    def make(**changes):
        said = {"reader": "R1", "says": "right", "first_slice": 21, "last_slice": 23}
        return {**said, "version": 3, "volume_digest": digest, **changes}

    return make


def test_the_index_lists_every_reading_newest_first(client, config):
    for hours_ago, key in enumerate((NOTHING, RANGES, REFUSED)):
        file = config.reports_path / key.study / key.series / "recommendations.json"
        os.utime(file, (1e9 - 3600 * hours_ago,) * 2)

    page = client.get("/").text

    places = [page.index(f'href="{address(key)}"') for key in (NOTHING, RANGES, REFUSED)]
    assert places == sorted(places)
    assert "21–23, 6–7, 51" in page
    assert "3 series, newest first" in page


def test_the_index_shows_what_is_asked_for(looking):
    found = {verdict: looking.get("/", params={"verdict": verdict}).text for verdict in ("ranges", "not-evaluated")}

    assert [address(key) in found["ranges"] for key in (RANGES, NOTHING, REFUSED)] == [True, False, False]
    assert [address(key) in found["not-evaluated"] for key in (RANGES, NOTHING, REFUSED)] == [False, False, True]
    assert "No report fits" in looking.get("/", params={"until": "2020-01-01"}).text
    assert "3 series" in looking.get("/", params={"release": "lidcflow 3", "since": "2020-01-01"}).text
    assert address(NOTHING) in looking.get("/", params={"uid": NOTHING.series, "page": "99"}).text


def test_a_report_that_comes_while_the_server_runs_is_listed(client, config):
    client.get("/")
    source = config.reports_path / RANGES.study / RANGES.series / "recommendations.json"
    folder = config.reports_path / "1.2.9" / "1.2.9.1"
    folder.mkdir(parents=True)

    (folder / source.name).write_text(source.read_text().replace(f'"{RANGES.series}"', '"1.2.9.1"'))

    assert "/studies/1.2.9/1.2.9.1/" in client.get("/").text


def test_a_broken_report_is_listed_as_unreadable_and_says_so(client, config):
    file = config.reports_path / RANGES.study / RANGES.series / "recommendations.json"
    file.write_text(file.read_text()[:500])

    index, page = client.get("/"), client.get(address(RANGES))

    assert (index.status_code, page.status_code) == (200, 500)
    assert "3 series" in index.text
    assert address(RANGES) in client.get("/", params={"verdict": "unreadable"}).text
    assert "must be a whole recommendation of this series" in page.text


def test_a_report_of_another_series_is_not_shown(client, config):
    file = config.reports_path / RANGES.study / RANGES.series / "recommendations.json"
    file.write_text(file.read_text().replace(f'"{RANGES.series}"', '"1.2.77"'))

    assert "that of another series" in client.get(address(RANGES)).text


def test_a_workspace_without_reports_says_what_writes_them(tmp_path):
    with asking(Config(workspace=tmp_path / "none")) as client:
        assert "There is no report yet" in client.get("/").text


def test_the_voxels_are_those_that_were_read(looking, looked):
    stored = VolumeStore.found(looked.inbox_store_root).read_hu(RANGES.series)

    plain = looking.get(address(RANGES, "voxels"), headers={"Accept-Encoding": "identity"})
    packed = looking.get(address(RANGES, "voxels"), headers={"Accept-Encoding": "gzip"})

    assert packed.headers["content-encoding"] == "gzip"
    for answer in (plain, packed):
        sent = np.frombuffer(answer.content, "<i2").reshape(2, SLICES, SIZE, SIZE)
        np.testing.assert_array_equal(sent, stored)


def test_a_volume_that_was_replaced_is_not_shown_as_the_one_that_was_read(client, config):
    VolumeStore.found(config.inbox_store_root).delete(RANGES.series)

    assert client.get(address(RANGES, "voxels")).status_code == 404
    assert "is not in the inbox store any more" in client.get(address(RANGES)).text


def test_files_of_a_report_are_sent_with_a_policy_that_lets_their_own_script_run(looking, looked):
    answer = looking.get(address(RANGES, PAGE))

    policy = answer.headers["content-security-policy"]
    assert answer.text == (looked.reports_path / RANGES.study / RANGES.series / PAGE).read_text()
    assert policy.split("script-src ")[1].split(";")[0] in answer.text
    assert looking.get(address(RANGES, "recommendations.json")).json()["series_instance_uid"] == RANGES.series


@pytest.mark.parametrize("kind", ["releases", "experiments"])
def test_pages_of_evaluations_and_experiments_are_listed_and_shown(client, config, kind):
    folder = config.reports_path / kind / "lidcflow-v1"
    folder.mkdir(parents=True)
    (folder / PAGE).write_text("<p>figures")

    assert f'href="/{kind}/lidcflow-v1/{PAGE}"' in client.get("/").text
    assert client.get(f"/{kind}/lidcflow-v1/{PAGE}").text == "<p>figures"


@pytest.mark.parametrize(
    "path",
    [
        "/studies/../../etc/passwd",
        "/studies/1.2.1/..%2f1.2.1.1/",
        "/studies/%2e%2e/1.2.1.1/",
        "/studies/1.2.1/1.2.1.1/feedback.json",
        "/studies/1.2.1/1.2.404/",
        "/static/report.html",
        "/static/..%2freport.css",
        "/releases/..%2f..%2freports/report.html",
        "/releases/../report.html",
    ],
)
def test_other_places_are_not_found(looking, path):
    assert looking.get(path).status_code == 404


def test_links_are_not_followed(client, config, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / PAGE).write_text("secret")
    (config.reports_path / "1.2.8").symlink_to(config.reports_path / RANGES.study)
    (config.reports_path / RANGES.study / "1.2.7").symlink_to(secret)
    (config.reports_path / NOTHING.study / NOTHING.series / PAGE).unlink()
    (config.reports_path / NOTHING.study / NOTHING.series / PAGE).symlink_to(secret / PAGE)
    (config.reports_path / "releases").mkdir()
    (config.reports_path / "releases" / "out").symlink_to(secret)

    paths = ["/studies/1.2.8/1.2.1.1/", f"/studies/{RANGES.study}/1.2.7/{PAGE}", address(NOTHING, PAGE)]

    assert [client.get(path).status_code for path in [*paths, f"/releases/out/{PAGE}"]] == [404] * 4
    assert "3 series" in client.get("/").text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1.evil.example", "[::1"])
def test_a_name_that_was_made_to_point_here_gets_nothing(looking, host):
    assert looking.get("/", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "[::1]:8765", "localhost", "10.1.2.3"])
def test_plain_addresses_and_the_own_names_are_answered(looking, host):
    assert looking.get("/health", headers={"Host": host}).text == "ok"


def test_every_answer_carries_the_policy(looking):
    for path in ("/", address(RANGES), "/static/stack.js", "/nothing", address(RANGES, "voxels")):
        headers = looking.get(path).headers
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in headers["content-security-policy"]
        assert "script-src 'self' 'unsafe-inline'" not in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


def test_text_from_headers_is_escaped(looking):
    page = looking.get(address(RANGES)).text + looking.get(address(REFUSED)).text + looking.get("/").text

    assert HOSTILE not in page
    assert page.count("&lt;script&gt;document.title") == 4


def test_a_mark_is_kept_beside_the_report_and_in_the_catalog(client, config, mark):
    answer = client.post(address(RANGES, "feedback"), json=mark())

    (shown,) = answer.json()["marks"]
    kept = json.loads((config.reports_path / RANGES.study / RANGES.series / "feedback.json").read_text())
    with FeedbackTable(config.catalog) as table:
        (row,) = table.marks("lidcflow", 3)
    assert kept["marks"] == [shown]
    assert row.mark.model_dump(mode="json") == shown
    assert (row.series_instance_uid, row.study_instance_uid) == (RANGES.series, RANGES.study)
    assert (shown["says"], shown["in_range"], shown["verdict"]) == ("right", True, "ranges")
    assert client.get(address(RANGES, "feedback")).json()["marks"] == [shown]
    assert '<td class="figure">1</td>' in client.get("/").text


def test_a_catalog_that_is_away_loses_no_mark(config, mark):
    away = config.model_copy(update={"catalog_url": "sqlite:////proc/nowhere/catalog.db"})

    with asking(away) as client:
        answer = client.post(address(RANGES, "feedback"), json=mark())

    assert len(answer.json()["marks"]) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": ""}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_other_pages_can_not_send_feedback(looking, looked, mark, headers, status):
    body = {"content": json.dumps(mark()), "headers": {"Content-Type": "application/json", **headers}}

    assert looking.post(address(RANGES, "feedback"), **body).status_code == status
    assert not (looked.reports_path / RANGES.study / RANGES.series / "feedback.json").exists()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"reader": "Dr. Lovelace"}, 422),
        ({"says": "maybe"}, 422),
        ({"note": "x" * 5000}, 413),
        ({"first_slice": 20}, 409),
        ({"says": "nodule", "first_slice": 66, "last_slice": 66}, 409),
        ({"version": 2}, 409),
    ],
)
def test_what_does_not_fit_is_refused(looking, mark, changes, status):
    assert looking.post(address(RANGES, "feedback"), json=mark(**changes)).status_code == status


def test_feedback_on_a_report_that_is_not_there_is_not_found(looking, mark):
    assert looking.post("/studies/1.2.1/1.2.5/feedback", json=mark()).status_code == 404
