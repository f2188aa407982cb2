"""The page of a study in a real browser."""

import math
from itertools import combinations

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lidcflow.report.page import write_report
from lidcflow.report.rank import not_evaluated
from tests.browser import chromium, needs_chromium, open_file, requests_of  # noqa: F401

HOSTILE = "<script>document.title='x'</script><img src=x onerror=\"document.title='x'\">"
pytestmark = needs_chromium


@pytest.fixture
def open_page(chromium, tmp_path):  # noqa: F811
    """Open a report from disk in a window of some width and forget what was logged before."""

    def open_it(answer, hu=None, patches=None, *, width=1280):
        open_file(chromium, write_report(answer, hu, tmp_path, patches), width=width)
        return chromium

    return open_it


@pytest.fixture
def whole_study(study):
    """Sixty-five slices, ranges 6-7, 21-23 and 51."""
    nodule = np.full(65, 0.1)
    nodule[[5, 6, 20, 21, 22, 50]] = [0.6, 0.7, 0.8, 0.95, 0.8, 0.55]
    return study(*nodule)


@pytest.fixture
def whole_hu():
    return np.random.default_rng(0).normal(-700, 100, (2, 65, 32, 32)).astype(np.int16)


@pytest.fixture
def shown_slide():
    def shown(driver) -> str:
        (slide,) = [one for one in driver.find_elements(By.CSS_SELECTOR, ".slide") if one.is_displayed()]
        return slide.get_attribute("id")

    return shown


def press(driver, *keys: str) -> None:
    for key in keys:
        driver.switch_to.active_element.send_keys(key)


def test_the_page_loads_nothing_but_itself_and_says_nothing_to_the_console(open_page, whole_study, whole_hu):
    driver = open_page(whole_study, whole_hu)

    urls = requests_of(driver)
    assert {url.partition(":")[0] for url in urls} == {"file", "data"}
    assert [url for url in urls if url.startswith("file:")] == [driver.current_url]
    assert driver.get_log("browser") == []


def test_every_picture_is_decoded(open_page, whole_study, whole_hu):
    driver = open_page(whole_study, whole_hu)

    script = "return Promise.all([...document.images].map((one) => one.decode().then(() => one.naturalWidth)))"
    assert set(driver.execute_script(script)) == {32}


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_ranges_fit_the_screen(open_page, whole_study, whole_hu, width):
    driver = open_page(whole_study, whole_hu, width=width)

    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_everything_but_the_skip_link_lies_in_a_landmark(open_page, whole_study, whole_hu):
    driver = open_page(whole_study, whole_hu)

    outside = driver.execute_script(
        "return [...document.body.children].filter((one) => !one.matches('main, footer, [role=banner], .skip, script'))"
        ".map((one) => one.outerHTML)"
    )
    assert outside == []


@pytest.mark.parametrize("width", [360, 1280])
def test_marks_of_close_ranges_do_not_touch(open_page, study, whole_hu, width):
    nodule = np.full(65, 0.1)
    nodule[[1, 3, 5, 19, 21, 23, 59, 61, 63]] = 0.9

    driver = open_page(study(*nodule), whole_hu, width=width)

    marks = driver.execute_script(
        "return [...document.querySelectorAll('.mark circle')].map((one) => one.getBoundingClientRect())"
        ".map((box) => [box.x + box.width / 2, box.y + box.height / 2])"
    )
    assert len(marks) == 9
    assert min(math.dist(one, other) for one, other in combinations(marks, 2)) >= 22
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_other_verdicts_fit_a_phone(open_page, study, release):
    sentence = f"series {'1.3.6.1.4.1.14519.5.2.1' * 3}: slice spacing must be uniform, got 1.25 to 2.50 mm"
    refused = not_evaluated("1.3.6.1.4.1.14519.5.2.1.6279.6001", None, "uneven-spacing", sentence, release)

    for answer in (study(*[0.1] * 65), refused):
        driver = open_page(answer, width=390)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 390


def test_the_slide_of_the_best_peak_is_shown_first(open_page, whole_study, whole_hu, shown_slide):
    assert shown_slide(open_page(whole_study, whole_hu)) == "slice-22"


def test_arrows_step_through_the_slices(open_page, whole_study, whole_hu, shown_slide):
    driver = open_page(whole_study, whole_hu)

    press(driver, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)

    assert shown_slide(driver) == "slice-23"
    (current,) = driver.find_elements(By.CSS_SELECTOR, ".thumb[aria-current]")
    assert current.get_attribute("href").endswith("#slice-23")


def test_arrows_stop_at_the_ends(open_page, whole_study, whole_hu, shown_slide):
    driver = open_page(whole_study, whole_hu)
    driver.execute_script("location.hash = 'slice-65'")

    press(driver, Keys.ARROW_RIGHT)

    assert shown_slide(driver) == "slice-65"


def test_j_and_k_move_between_ranges_and_show_their_peaks(open_page, whole_study, whole_hu, shown_slide):
    driver = open_page(whole_study, whole_hu)

    press(driver, "j", "j", "j", "k")

    assert driver.switch_to.active_element.text == "Slices 6–7"
    assert shown_slide(driver) == "slice-7"


def test_letters_can_be_switched_off_as_keys(open_page, whole_study, whole_hu, shown_slide):
    driver = open_page(whole_study, whole_hu)
    first = shown_slide(driver)

    driver.find_element(By.CSS_SELECTOR, ".letter-keys input").click()
    press(driver, "j", "j")
    unmoved = shown_slide(driver)
    press(driver, Keys.ARROW_LEFT)
    moved = shown_slide(driver)
    driver.find_element(By.CSS_SELECTOR, ".letter-keys input").click()  # for the pages of the tests after this one

    assert (unmoved, moved != first) == (first, True)


def test_tab_reaches_every_range_and_shows_where_it_is(open_page, whole_study, whole_hu):
    driver = open_page(whole_study, whole_hu)
    reached = []

    for _ in range(40):
        press(driver, Keys.TAB)
        focused = driver.switch_to.active_element
        reached.append(focused.text)
        assert driver.execute_script("return getComputedStyle(arguments[0]).outlineStyle", focused) != "none"

    assert reached[0] == "Skip to the answer"
    assert [text for text in reached if text.startswith("Slice")] == ["Slices 21–23", "Slices 6–7", "Slice 51"]


def test_a_click_on_a_thumbnail_shows_its_slice(open_page, whole_study, whole_hu, shown_slide):
    driver = open_page(whole_study, whole_hu)

    driver.find_element(By.CSS_SELECTOR, ".thumb[href='#slice-40']").click()

    assert shown_slide(driver) == "slice-40"


def test_text_from_headers_does_not_run(open_page, study, hu):
    driver = open_page(study(acquisition={"manufacturer": HOSTILE, "kernel": HOSTILE}, flags=(HOSTILE,)), hu)

    assert driver.title.startswith("Recommended slices")
    assert HOSTILE in driver.find_element(By.CSS_SELECTOR, ".facts").text
    assert driver.get_log("browser") == []


OUTLINE = ((380.0, 500.0), (400.0, 509.0), (420.0, 500.0), (400.0, 491.0), (380.0, 500.0))


@pytest.fixture
def found_study(study, finding):
    """Sixty-five slices, findings in slices 30, 60 and 30 again, the first of them large."""
    found = [
        finding(1, 30, 65, diameter_mm=24.0),
        finding(2, 60, 65),
        finding(3, 30, 65, row=400.0, column=500.0, outline=OUTLINE),
    ]
    return study(*np.full(65, 0.1), findings=found)


@pytest.fixture
def planes():
    return {rank: np.random.default_rng(rank).normal(-500, 300, (3, 48, 48)).astype(np.int16) for rank in (1, 2, 3)}


def rings_of(driver, place):
    """Return rank, centre and width on the screen of each circle or outline on the first picture of a place."""
    script = """
        const svg = document.querySelector(arguments[0] + " .rings");
        if (!svg) return [];
        const ranks = [...svg.querySelectorAll("text")].map((one) => Number(one.textContent));
        const picture = svg.parentElement.querySelector("img").getBoundingClientRect();
        return [...svg.querySelectorAll("circle, polygon")].map((one, k) => {
          const box = one.getBoundingClientRect();
          return [ranks[k], (box.x + box.width / 2 - picture.x) / picture.width,
            (box.y + box.height / 2 - picture.y) / picture.height, box.width / box.height];
        });
    """
    return driver.execute_script(script, place)


@pytest.mark.parametrize("width", [390, 1280])
def test_circles_lie_on_the_pictures_where_the_findings_are(open_page, found_study, whole_hu, width):
    driver = open_page(found_study, whole_hu, width=width)

    rings = rings_of(driver, "#slice-30")

    assert [ring[0] for ring in rings] == [1, 3]
    np.testing.assert_allclose(rings[0][1:], [384.5 / 512, 128.5 / 512, 1.0], atol=0.01)
    np.testing.assert_allclose(rings[1][1:3], [500.5 / 512, 400.5 / 512], atol=0.01)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    assert driver.get_log("browser") == []


def test_circles_can_be_taken_away(open_page, found_study, whole_hu):
    driver = open_page(found_study, whole_hu)
    seen = []

    for key in ("", "c", "c"):
        press(driver, *key)
        seen.append(driver.find_element(By.CSS_SELECTOR, "#slice-30 .rings").is_displayed())

    assert seen == [True, False, True]


def test_j_and_k_move_between_findings(open_page, found_study, whole_hu, shown_slide):
    driver = open_page(found_study, whole_hu)
    seen = []

    for key in ("j", "j", "j", "k"):
        press(driver, key)
        seen.append((driver.switch_to.active_element.text, shown_slide(driver)))

    assert seen == [
        ("Finding in slice 30", "slice-30"),
        ("Finding in slice 60", "slice-60"),
        ("Finding in slice 30", "slice-30"),
        ("Finding in slice 60", "slice-60"),
    ]


def test_the_planes_of_findings_are_decoded_and_nothing_else_is_loaded(open_page, found_study, whole_hu, planes):
    driver = open_page(found_study, whole_hu, planes)

    script = "return [...document.querySelectorAll('.planes img')].map((one) => [one.naturalWidth, one.alt])"
    pictures = driver.execute_script(script)
    assert [width for width, _ in pictures] == [48] * 9
    assert all(alt for _, alt in pictures)
    assert {url.partition(":")[0] for url in requests_of(driver)} == {"file", "data"}
