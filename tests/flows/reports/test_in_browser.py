"""The pages of the reports in a real browser: scrolling, windows, jumps, feedback, and no request that leaves."""

import json
import shutil

import numpy as np
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from lidcflow.config import Config, InferConfig
from lidcflow.nodules.finding import Finding
from lidcflow.nodules.place import place_of
from lidcflow.report.rank import recommend
from lidcflow.report.recommendation import SeriesWarning
from lidcflow.store.volumes import VolumeStore
from tests.browser import chromium, needs_chromium, open_page, requests_of  # noqa: F401
from tests.flows.reports.conftest import FACTS, HOSTILE, NODULE, NOTHING, RANGES, REFUSED, SIZE, serving

pytestmark = needs_chromium

PIXELS = """
const canvas = document.querySelector(`.view[data-channel="${arguments[0]}"] canvas`);
return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data].filter((_, k) => k % 4 === 0);
"""
SMALL_CONTROLS = """
return [...document.querySelectorAll("button, .slider, select, input")]
  .filter((one) => one.offsetParent && one.getBoundingClientRect().height < 24).map((one) => one.outerHTML);
"""
CONTRASTS = """
const luminance = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
    const share = part / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (one) => {
  const colour = getComputedStyle(one).backgroundColor;
  return colour.endsWith(", 0)") && one.parentElement ? ground(one.parentElement) : colour;
};
return [...document.querySelectorAll("main *:not(svg *):not(canvas):not(.view *):not(.loading)")]
  .filter((one) => one.offsetParent && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
  .map((one) => {
    const [a, b] = [luminance(getComputedStyle(one).color), luminance(ground(one))];
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.outerHTML.slice(0, 80)];
  })
  .filter(([contrast]) => contrast < 4.5);
"""


@pytest.fixture(scope="module")
def reports(read_workspace, tmp_path_factory):
    """Serve a workspace of this module's own."""
    config = Config(workspace=shutil.copytree(read_workspace, tmp_path_factory.mktemp("served") / "workspace"))
    with serving(config) as address:
        yield config, address


@pytest.fixture
def browse(chromium, reports):  # noqa: F811
    """Open a page of the server in a window of some width, a study's with its slices there."""

    def open_it(key=None, *, width=1360, height=800, anchor="", scheme="dark"):
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        path = f"/studies/{key.study}/{key.series}/{anchor}" if key else "/"
        open_page(chromium, reports[1] + path, width=width, height=height)
        if key in (RANGES, NOTHING):
            WebDriverWait(chromium, 20).until(lambda _: not chromium.find_elements(By.CSS_SELECTOR, ".loading"))
        return chromium

    return open_it


def slice_of(driver):
    return int(driver.find_element(By.CSS_SELECTOR, ".stack").get_attribute("data-slice"))


def press(driver, *keys):
    for key in keys:
        driver.switch_to.active_element.send_keys(key)


def grey(hu, level, width):
    return round(min(255, max(0, 255 * (hu - level + width / 2) / width)))


def test_the_stack_starts_at_the_best_peak_with_the_voxels_that_were_read(browse, reports):
    driver = browse(RANGES)

    hu = VolumeStore.found(reports[0].inbox_store_root).read_hu(RANGES.series)
    for channel in (0, 1):
        shown = driver.execute_script(PIXELS, channel)
        wanted = [grey(int(one), -600, 1500) for one in hu[channel, 21].ravel()]
        assert len(shown) == SIZE * SIZE
        assert max(abs(one - other) for one, other in zip(shown, wanted, strict=True)) <= 1
    assert slice_of(driver) == 22


def test_keys_scroll_through_the_slices_and_stop_at_the_ends(browse):
    driver, seen = browse(RANGES), []

    before = driver.execute_script(PIXELS, 0)
    for key in (Keys.ARROW_DOWN, Keys.ARROW_UP, Keys.PAGE_DOWN, Keys.PAGE_UP, Keys.END, Keys.ARROW_RIGHT, Keys.HOME):
        press(driver, key)
        seen.append(slice_of(driver))

    assert seen == [23, 22, 27, 22, 65, 65, 1]
    assert driver.execute_script(PIXELS, 0) != before
    assert driver.current_url.endswith("#slice-1")


def test_letters_and_digits_can_be_switched_off_as_keys_and_stay_so(browse):
    driver = browse(RANGES)
    box = driver.find_element(By.CSS_SELECTOR, ".letter-keys input")
    before = slice_of(driver), view_and_window(driver)

    box.click()
    driver.find_element(By.CSS_SELECTOR, ".stage").click()
    press(driver, "j", "k", "m", "2")
    unmoved = slice_of(driver), view_and_window(driver)
    press(driver, Keys.ARROW_DOWN)
    moved = slice_of(driver)
    driver = browse(NOTHING)
    again = driver.find_element(By.CSS_SELECTOR, ".letter-keys input")
    press(driver, "m")
    still = view_and_window(driver)
    again.click()
    press(driver, "m")

    assert unmoved == before
    assert moved == before[0] + 1
    assert still == before[1]
    assert view_and_window(driver) != still


def view_and_window(driver):
    """Return the view and the window's level."""
    level = driver.find_element(By.CSS_SELECTOR, ".level-hu").get_attribute("value")
    return driver.find_element(By.CSS_SELECTOR, ".stack").get_attribute("data-view"), level


def test_a_notch_of_the_wheel_is_a_slice_and_the_page_stays(browse):
    driver = browse(RANGES)
    stage = driver.find_element(By.CSS_SELECTOR, ".stage")
    before = driver.execute_script(PIXELS, 0)
    at = driver.execute_script("return window.scrollY")

    for _ in range(2):
        ActionChains(driver).scroll_from_origin(ScrollOrigin.from_element(stage), 0, 120).perform()

    assert slice_of(driver) == 24
    assert driver.execute_script(PIXELS, 0) != before
    assert driver.execute_script("return window.scrollY") == at


def test_a_finger_drags_through_the_slices(browse):
    driver = browse(RANGES, width=390)
    box = driver.find_element(By.CSS_SELECTOR, ".stage").rect
    x, y = box["x"] + box["width"] / 2, box["y"] + 20 - driver.execute_script("return window.scrollY")
    before = driver.execute_script(PIXELS, 0)

    def touch(kind, points):
        driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", [{"x": x, "y": y}])
    for moved in range(10, 101, 10):
        touch("touchMove", [{"x": x, "y": y + moved}])
    touch("touchEnd", [])

    assert slice_of(driver) > 25
    assert driver.execute_script(PIXELS, 0) != before


def test_the_slider_moves_the_stack_and_says_where_it_is(browse):
    driver = browse(RANGES)
    slider = driver.find_element(By.CSS_SELECTOR, ".slider")

    slider.send_keys(Keys.END)

    assert slice_of(driver) == 65
    assert slider.get_attribute("aria-valuetext") == "slice 65, nodule 10%"


def test_presets_inputs_and_the_mouse_set_the_window(browse):
    driver = browse(RANGES)
    seen = [driver.execute_script(PIXELS, 0)]

    for name in ("Soft tissue", "Bone"):
        driver.find_element(By.XPATH, f"//button[.='{name}']").click()
        seen.append(driver.execute_script(PIXELS, 0))
    level = driver.find_element(By.CSS_SELECTOR, ".level-hu")
    level.clear()
    level.send_keys("-300")
    seen.append(driver.execute_script(PIXELS, 0))
    stage = driver.find_element(By.CSS_SELECTOR, ".stage")
    ActionChains(driver).move_to_element(stage).click_and_hold().move_by_offset(20, 10).release().perform()
    seen.append(driver.execute_script(PIXELS, 0))

    assert len({tuple(one) for one in seen}) == 5
    values = [driver.find_element(By.CSS_SELECTOR, f".{name}-hu").get_property("value") for name in ("level", "width")]
    assert values == ["-280", "1880"]
    press(driver, "1")
    assert driver.execute_script(PIXELS, 0) == seen[0]


@pytest.mark.parametrize(("width", "height"), [(1360, 900), (1360, 500), (390, 800)])
def test_mean_and_maximum_are_seen_together_or_alone_and_never_distorted(browse, width, height):
    driver = browse(RANGES, width=width, height=height)
    views = driver.find_elements(By.CSS_SELECTOR, ".view")
    seen = []

    for name in ("Both", "Mean", "Maximum"):
        driver.find_element(By.XPATH, f"//button[.='{name}']").click()
        seen.append([one.is_displayed() for one in views])
        shown = [one.find_element(By.TAG_NAME, "canvas").rect for one in views if one.is_displayed()]
        assert [one["width"] / one["height"] for one in shown] == pytest.approx([1.0] * len(shown), abs=0.01)

    assert seen == [[True, True], [True, False], [False, True]]


def test_ranges_the_curve_and_the_address_jump_to_their_slices(browse):
    driver = browse(RANGES, anchor="#slice-40")
    seen = [slice_of(driver)]

    driver.find_element(By.LINK_TEXT, "6–7").click()
    seen.append(slice_of(driver))
    driver.find_element(By.CSS_SELECTOR, "#range-3 .to-peak").click()
    seen.append(slice_of(driver))
    driver.find_elements(By.CSS_SELECTOR, ".profile .level")[29].click()
    seen.append(slice_of(driver))
    press(driver, "j", "j")
    seen.append(slice_of(driver))

    assert seen == [40, 7, 51, 30, 7]
    (marker,) = driver.find_elements(By.CSS_SELECTOR, ".profile .level.current")
    assert marker.get_dom_attribute("href") == "#slice-7"
    (here,) = driver.find_elements(By.CSS_SELECTOR, ".card.here")
    assert here.get_attribute("id") == "range-2"


def test_a_slice_tells_which_source_images_it_is_made_of(browse):
    driver = browse(RANGES)

    driver.find_element(By.CSS_SELECTOR, ".sources summary").click()

    shown = {
        name: driver.find_element(By.CSS_SELECTOR, f"[data-show={name}]").text for name in ("images", "z", "range")
    }
    assert shown == {"images": "43–44", "z": "−106.2 mm", "range": "1"}
    lines = [line.text for line in driver.find_elements(By.CSS_SELECTOR, ".sources li")]
    assert lines == ["43 at −105.0 mm, 50% of the slice", "44 at −107.5 mm, 50% of the slice"]


def test_feedback_is_kept_shown_again_and_taken_back(browse, reports):
    driver = browse(RANGES)
    file = reports[0].reports_path / RANGES.study / RANGES.series / "feedback.json"

    def done(saying, count):
        WebDriverWait(driver, 20).until(lambda _: file.exists() and len(json.loads(file.read_text())["marks"]) == count)
        WebDriverWait(driver, 20).until(lambda _: driver.find_element(By.CSS_SELECTOR, ".told").text == saying)

    right = "#range-1 [data-says=right]"
    driver.find_element(By.CSS_SELECTOR, right).click()
    asked_for_code = driver.find_element(By.CSS_SELECTOR, ".told").text
    driver.find_element(By.ID, "reader").send_keys("r7")
    driver.find_element(By.CSS_SELECTOR, right).click()
    done("Kept.", 1)
    press(driver, Keys.PAGE_DOWN)
    driver.find_element(By.CSS_SELECTOR, ".add [data-says=malignant]").click()
    done("Kept.", 2)

    driver = browse(RANGES)
    WebDriverWait(driver, 20).until(lambda _: driver.find_elements(By.CSS_SELECTOR, ".given li"))
    shown = driver.find_element(By.CSS_SELECTOR, ".given li").text
    pressed = driver.find_element(By.CSS_SELECTOR, right).get_attribute("aria-pressed")
    driver.find_element(By.CSS_SELECTOR, ".given button").click()
    done("Kept.", 3)
    driver.find_element(By.CSS_SELECTOR, right).click()
    done("Kept.", 4)

    assert asked_for_code == "Give your reader code first, such as R1."
    assert shown == "Slice 27 has a malignant nodule, R7 Undo"
    assert pressed == "true"
    assert [mark["says"] for mark in json.loads(file.read_text())["marks"]] == [
        "right",
        "malignant",
        "undone",
        "undone",
    ]
    WebDriverWait(driver, 20).until_not(
        lambda _: driver.find_elements(By.CSS_SELECTOR, ".given li, .judge [aria-pressed=true]")
    )


def wait_for_page(driver, has_come):
    """Wait until the page of an address is loaded: a click returns before the next page has come."""

    def is_loaded(_):
        return has_come(driver.current_url) and driver.execute_script("return document.readyState") == "complete"

    WebDriverWait(driver, 20).until(is_loaded)


def test_the_index_is_filtered_and_leads_to_the_study(browse):
    driver = browse()

    Select(driver.find_element(By.NAME, "verdict")).select_by_value("nothing-above-threshold")
    driver.find_element(By.CSS_SELECTOR, ".filter button").click()
    wait_for_page(driver, lambda url: "verdict=nothing-above-threshold" in url)
    (link,) = driver.find_elements(By.CSS_SELECTOR, "#reports a")
    link.click()
    wait_for_page(driver, lambda url: "verdict=" not in url)

    assert driver.find_element(By.TAG_NAME, "h1").text == "Nothing above the threshold"
    assert len(driver.find_elements(By.CSS_SELECTOR, ".findings .card")) == 5


def test_a_series_that_was_not_evaluated_shows_its_reason_and_no_stack(browse):
    driver = browse(REFUSED)

    assert "slice spacing must be uniform" in driver.find_element(By.CSS_SELECTOR, ".reason").text
    assert driver.find_elements(By.CSS_SELECTOR, ".stack, .marks, script") == []


@pytest.mark.parametrize("key", [None, RANGES, NOTHING, REFUSED])
def test_no_request_leaves_the_server_and_no_script_of_a_header_runs(browse, reports, key):
    driver = browse(key)

    urls = [url for url in requests_of(driver) if not url.startswith("data:")]
    assert all(url.startswith(reports[1]) for url in urls)
    assert driver.get_log("browser") == []
    assert driver.title != "x"
    assert HOSTILE in driver.find_element(By.TAG_NAME, "body").text


@pytest.mark.parametrize("key", [None, RANGES, NOTHING, REFUSED])
def test_every_page_fits_a_phone_with_controls_for_fingers(browse, key):
    driver = browse(key, width=390)

    assert driver.execute_script("return document.documentElement.scrollWidth") <= 390
    assert driver.execute_script(SMALL_CONTROLS) == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("key", [None, RANGES, REFUSED])
def test_text_stands_out_from_its_ground(browse, key, scheme):
    assert browse(key, scheme=scheme).execute_script(CONTRASTS) == []


def test_everything_is_reached_by_tab_in_the_order_that_is_seen_and_shows_its_focus(browse):
    driver, reached = browse(RANGES), []

    while True:
        press(driver, Keys.TAB)
        focused = driver.switch_to.active_element
        if focused.tag_name == "body":
            break
        assert driver.execute_script("return getComputedStyle(arguments[0]).outlineStyle", focused) != "none"
        reached.append(focused.accessible_name)

    assert reached[0] == "Skip to the answer"
    wanted = ["Reader code", "Stack of slices", "Slice", "Lung", "level", "Slices 21–23", "Right"]
    places = [reached.index(name) for name in wanted]
    assert places == sorted(places)


OUTLINE = ((380.0, 500.0), (400.0, 509.0), (420.0, 500.0), (400.0, 491.0), (380.0, 500.0))


@pytest.fixture
def found(reports):
    """Put findings into the reading with ranges while a test runs: two in slice 23, the second of them with an outline,
    one in slice 60."""
    config = reports[0]
    folder = config.reports_path / RANGES.study / RANGES.series
    before = (folder / "recommendations.json").read_bytes()
    record = VolumeStore.found(config.inbox_store_root).record(RANGES.series)
    places = [(22.5, 128.0, 384.0, 24.0), (59.5, 256.0, 64.0, 5.0), (22.5, 400.0, 500.0, 5.0)]
    findings = [
        Finding(rank=rank, probability=0.9 - 0.1 * rank, channel="solid", diameter_mm=mm, **place)
        for rank, (slice_number, row, column, mm) in enumerate(places, start=1)
        if (place := place_of(record, 1.25 - 5.0 * slice_number, row, column))
    ]
    findings[2] = findings[2].model_copy(update={"outline": OUTLINE})
    p = NODULE[RANGES]
    warning = SeriesWarning(code="unlike-training-kernel", sentence="Its kernel is unlike those of training.")
    rows = np.stack([1 - p, 0.75 * p, 0.25 * p], axis=1)
    said = recommend(rows, record, FACTS, InferConfig(), [warning], findings)
    (folder / "recommendations.json").write_text(said.to_json())
    yield
    (folder / "recommendations.json").write_bytes(before)


def rings_of(driver):
    """Return rank and centre of each circle or outline on the first view, as shares of its canvas."""
    return driver.execute_script(
        """
        const view = [...document.querySelectorAll(".view")].find((one) => one.offsetParent);
        const canvas = view.querySelector("canvas").getBoundingClientRect();
        const ranks = [...view.querySelectorAll(".rings text")].map((one) => Number(one.textContent));
        return [...view.querySelectorAll(".rings circle, .rings polygon")].map((one, k) => {
          const box = one.getBoundingClientRect();
          return [ranks[k], (box.x + box.width / 2 - canvas.x) / canvas.width,
            (box.y + box.height / 2 - canvas.y) / canvas.height];
        });
        """
    )


@pytest.mark.parametrize("width", [390, 1360])
@pytest.mark.parametrize("view", ["Both", "Mean"])
def test_circles_lie_on_the_stack_where_the_findings_are(browse, found, width, view):
    driver = browse(RANGES, width=width)
    driver.find_element(By.XPATH, f"//button[.='{view}']").click()

    wanted = [[1, 384.5 / 512, 128.5 / 512], [3, 500.5 / 512, 400.5 / 512]]
    np.testing.assert_allclose(rings_of(driver), wanted, atol=0.01)
    assert len(driver.find_elements(By.CSS_SELECTOR, ".rings polygon")) == len(
        driver.find_elements(By.CSS_SELECTOR, ".view")
    )
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert driver.find_element(By.CSS_SELECTOR, "[data-show=finding]").text == "1, 3"
    press(driver, Keys.HOME)
    assert rings_of(driver) == []
    assert driver.find_element(By.CSS_SELECTOR, "[data-show=finding]").text == "–"


def test_keys_and_the_address_jump_to_findings(browse, found):
    driver = browse(RANGES, anchor="#finding-2")
    seen = [slice_of(driver)]

    for key in ("k", "j", "j", "j"):
        press(driver, key)
        seen.append(slice_of(driver))
    driver.find_element(By.CSS_SELECTOR, "#finding-2 .to-finding").click()
    seen.append(slice_of(driver))

    assert seen == [60, 23, 60, 23, 23, 60]
    here = driver.find_elements(By.CSS_SELECTOR, ".card.here")
    assert [one.get_attribute("id") for one in here] == ["finding-2", "range-2"]


def test_circles_of_the_stack_can_be_taken_away_and_do_not_catch_the_mouse(browse, found):
    driver = browse(RANGES)
    rings = driver.find_element(By.CSS_SELECTOR, ".view .rings")
    stage = driver.find_element(By.CSS_SELECTOR, ".stage")

    ActionChains(driver).move_to_element(stage).click_and_hold().move_by_offset(20, 10).release().perform()
    shown = [rings.is_displayed()]
    for _ in range(2):
        press(driver, "c")
        shown.append(rings.is_displayed())

    assert driver.find_element(By.CSS_SELECTOR, ".level-hu").get_property("value") == "-580"
    assert shown == [True, False, True]


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_page_with_findings_can_be_read_and_its_warnings_come_first(browse, found, scheme):
    driver = browse(RANGES, scheme=scheme)

    assert driver.execute_script(CONTRASTS) == []
    warning = driver.find_element(By.CSS_SELECTOR, ".warnings")
    assert warning.location["y"] < driver.find_element(By.TAG_NAME, "h1").location["y"]
    assert driver.get_log("browser") == []


def test_the_index_counts_findings(browse, found):
    driver = browse()

    (row,) = driver.find_elements(By.CSS_SELECTOR, "#reports tr.ranges")
    assert "3 findings: 21–2" in row.text
