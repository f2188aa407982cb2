"""A whole check: what drifts is told, what does not is not, few patients tell nothing."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from lidcflow.config import DriftConfig
from lidcflow.drift.check import check_drift
from lidcflow.drift.page import PAGE, render_drift, write_drift
from lidcflow.drift.profile import Profile
from lidcflow.drift.quantities import Recent
from lidcflow.drift.record import DATA, DriftCheck, last_drift_check
from lidcflow.drift.tables import drift_rows
from tests.browser import chromium, needs_chromium, open_file, requests_of  # noqa: F401
from tests.drift.profiles import SLICES, profile, recent

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
HOSTILE = "<script>document.title='x'</script>$"
NOTHING = Recent([], [], [], np.zeros((0, SLICES)))


@pytest.fixture
def check(release_record):
    """Check what was read lately against 60 training patients."""
    known = profile(release_record, np.random.default_rng(0))
    return lambda lately: check_drift(release_record, known, lately, DriftConfig(false_alarms=0.05), NOW)


@pytest.fixture
def drifted(check):
    """Other slices from an unknown scanner, and higher scores in the second half of the chest."""
    scores = np.random.default_rng(2).beta(1, 12, (30, SLICES))
    scores[:, 4:] += 0.3
    rng = np.random.default_rng(1)
    return check(recent(rng, scores=scores, slice_spacing_mm=5.0, manufacturer=HOSTILE))


def test_patients_like_those_of_training_raise_no_alarm(check):
    found = check(recent(np.random.default_rng(1)))

    assert (found.verdict, found.alarms) == ("steady", ())
    assert found.sentence == (
        "30 patients read in the last 30 days beside those that lidcflow version 3 was made on: nothing drifted."
    )


def test_what_drifted_is_told_and_nothing_else(drifted):
    assert drifted.verdict == "drift"
    assert [one.key for one in drifted.alarms] == ["slice_spacing_mm", "manufacturer", "score-02", "above", "verdict"]
    by_key = {one.key: one for one in drifted.quantities}
    assert by_key["manufacturer"].unseen == (HOSTILE,)
    assert by_key["slice_spacing_mm"].now.summary == "5 (5 to 5)"
    assert "5 of 15 quantities drifted: slice spacing, mm; manufacturer; P(nodule), sector 2;" in drifted.sentence


def test_few_patients_tell_nothing_and_none_tell_that_there_were_none(check):
    few, none = check(recent(np.random.default_rng(1), patients=19)), check(NOTHING)

    assert (few.verdict, none.verdict) == ("too few", "too few")
    assert all(one.distance is None for one in (*few.quantities, *none.quantities))
    assert "19 patients were read in the last 30 days: 20 are needed" in few.sentence
    assert none.quantities[0].now.summary == "none"


def test_checks_of_one_population_alarm_as_rarely_as_promised(release_record):
    alarms = 0

    for seed in range(25):
        rng = np.random.default_rng(seed)
        known, lately = profile(release_record, rng, patients=40), recent(rng, patients=20)
        alarms += bool(check_drift(release_record, known, lately, DriftConfig(false_alarms=0.2), NOW).alarms)

    assert alarms <= 5 + 3 * np.sqrt(25 * 0.2 * 0.8)


def test_a_quantity_that_no_header_tells_is_not_compared(check):
    found = check(recent(np.random.default_rng(1), kvp=None))

    by_key = {one.key: one for one in found.quantities}
    assert (by_key["kvp"].verdict, by_key["kvp"].now.patients) == ("too few", 0)
    assert by_key["contrast"].now.summary == "not told 100%"


def test_a_profile_survives_its_json_and_names_no_patient(release_record):
    known = profile(release_record, np.random.default_rng(0))

    text = known.model_dump_json()

    assert Profile.model_validate_json(text) == known
    assert known.features.array.shape == (60, 16)
    assert "key0" not in text


def test_a_profile_without_a_value_for_every_series_is_refused(release_record):
    known = profile(release_record, np.random.default_rng(0))

    with pytest.raises(ValueError, match="one value for each series"):
        Profile.model_validate(known.model_dump() | {"patients": (0, 1)})


def test_page_and_json_are_written_together_and_the_newest_is_found(drifted, check, tmp_path):
    write_drift(drifted, tmp_path / "2026-01-01")
    page = write_drift(check(NOTHING), tmp_path / "2026-01-02")
    (tmp_path / "2026-01-03").mkdir()
    (tmp_path / "2026-01-03" / DATA).write_text("cut")

    assert sorted(file.name for file in page.parent.iterdir()) == [DATA, PAGE]
    assert last_drift_check(tmp_path) == check(NOTHING)
    assert json.loads((tmp_path / "2026-01-01" / DATA).read_text())["statement"].startswith("Research use only")
    assert DriftCheck.model_validate_json(drifted.model_dump_json()) == drifted
    assert last_drift_check(tmp_path / "none") is None


def test_the_table_has_what_drifted_first(drifted):
    verdicts = [row[-1] for row in drift_rows(drifted)]

    assert verdicts[0] == "drift"
    assert verdicts[1] == f"drift; new: {HOSTILE}"
    assert set(verdicts[5:]) == {"steady"}


def test_the_page_says_what_drifted_and_that_phantoms_are_no_patients(drifted):
    page = render_drift(drifted)

    assert "Something drifted" in page
    assert "SYNTHETIC" in page
    assert "Research use only" in page


@needs_chromium
@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_loads_nothing_runs_nothing_and_fits_the_screen(drifted, chromium, tmp_path, width):  # noqa: F811
    open_file(chromium, write_drift(drifted, tmp_path), width=width)

    urls = requests_of(chromium)
    assert [url for url in urls if not url.startswith("data:")] == [chromium.current_url]
    assert chromium.get_log("browser") == []
    assert chromium.title == "Synthetic · drift · lidcflow version 3"
    assert HOSTILE in chromium.find_element("css selector", "body").text
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
    decoded = "return Promise.all([...document.images].map((one) => one.decode().then(() => one.naturalWidth > 0)))"
    assert chromium.execute_script(decoded) == [True] * 15
