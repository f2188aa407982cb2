import json
import re
from base64 import b64encode
from hashlib import sha256

import numpy as np
import pytest

from lidcflow.errors import ResourceError
from lidcflow.report.page import page_layout, render_recommendation, write_report
from lidcflow.report.rank import not_evaluated
from lidcflow.report.recommendation import SeriesWarning


@pytest.fixture
def refused(release):
    return not_evaluated("1.2.840.2", None, "tilted", "the gantry must not be tilted, got 12 degrees", release)


def test_the_page_and_its_json_lie_side_by_side(study, hu, tmp_path):
    page = write_report(study(), hu, tmp_path / "study" / "series")

    assert page == tmp_path / "study" / "series" / "report.html"
    assert sorted(file.name for file in page.parent.iterdir()) == ["recommendations.json", "report.html"]
    assert json.loads((page.parent / "recommendations.json").read_text(encoding="utf-8"))["verdict"] == "ranges"


def test_the_same_answer_gives_the_same_bytes(study, hu, tmp_path):
    first = write_report(study(), hu, tmp_path).read_bytes()

    assert write_report(study(), hu, tmp_path).read_bytes() == first


def test_a_failed_write_leaves_the_earlier_files_alone(study, refused, hu, tmp_path, monkeypatch):
    page = write_report(study(), hu, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    written = []

    def fill_the_disk(draft, content, **options):
        if written:
            raise OSError(28, "No space left on device")
        written.append(draft.write_bytes(content.encode()))

    monkeypatch.setattr("lidcflow.files._write", fill_the_disk)
    with pytest.raises(ResourceError, match="the disk must have room"):
        write_report(refused, None, tmp_path)

    assert {file.name: file.read_bytes() for file in page.parent.iterdir()} == before


def test_pictures_of_other_slices_are_refused(study, hu, tmp_path):
    with pytest.raises(ValueError, match=r"hu must have shape \(2, 8, rows, columns\), got \(2, 7, 16, 16\)"):
        write_report(study(), hu[:, :7], tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_the_page_names_the_ranges_and_their_source_images(study, hu):
    page = render_recommendation(study(), hu)

    assert "Look at 2 slice ranges" in page
    assert "Slices 3–5" in page
    assert "<dd>4–10</dd>" in page
    assert "slice 4, images 6–8, z&nbsp;−35.0\xa0mm" in page


def test_the_page_names_frames_where_the_source_is_one_instance(study, frames, hu):
    page = render_recommendation(study(sources=frames), hu)

    assert "<dt>frames</dt><dd>4–10</dd>" in page
    assert "slice 4, frames 6–8, z" in page


def test_ranges_left_out_are_told(study, hu):
    assert "<strong>1 further range</strong>" in render_recommendation(study(ranges=1), hu)


def test_nothing_above_the_threshold_is_no_claim_of_absence(study, hu):
    page = render_recommendation(study(*[0.1] * 8), hu)

    assert "<h1>Nothing above the threshold</h1>" in page
    assert "That does not say that there is none: the 5 highest slices" in page


def test_a_series_that_was_not_evaluated_shows_its_reason(refused):
    page = render_recommendation(refused, None)

    assert "<h1>Not evaluated</h1>" in page
    assert "the gantry must not be tilted, got 12 degrees" in page
    assert "<code>tilted</code>" in page


def test_a_page_without_pictures_still_has_its_curve_and_ranges(study):
    page = render_recommendation(study(), None)

    assert "<img" not in page
    assert 'class="nodule" points=' in page


def test_every_page_says_research_use_only(study, refused, hu):
    for page in (
        render_recommendation(study(), hu),
        render_recommendation(study(*[0.1] * 8), hu),
        render_recommendation(refused, None),
    ):
        assert "<strong>Research use only</strong>" in page


def test_a_phantom_is_called_synthetic(study, hu):
    assert "SYNTHETIC" in render_recommendation(study(synthetic=True), hu)
    assert "SYNTHETIC" not in render_recommendation(study(), hu)


def test_a_release_trained_on_phantoms_is_told_on_real_images(study, hu):
    answer = study()
    trained = answer.model_copy(update={"release": answer.release.model_copy(update={"synthetic": True})})

    assert "Trained on synthetic CT" in render_recommendation(trained, hu)


def test_the_policy_allows_the_one_script_and_nothing_from_elsewhere(study, hu):
    page = render_recommendation(study(), hu)

    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    assert re.findall(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[^\"]*", "", page)) == []


def test_text_from_headers_is_escaped(study, hu):
    hostile = "<script>document.title='x'</script>"

    page = render_recommendation(study(acquisition={"manufacturer": hostile, hostile: "y"}, flags=(hostile,)), hu)

    assert page.count("<script>") == 1
    assert page.count("&lt;script&gt;") == 3


def test_a_page_of_a_noisy_study_stays_below_a_megabyte_and_a_half(make_record, study):
    noise = np.random.default_rng(0).normal(-700, 60, (2, 65, 128, 128)).astype(np.int16)

    page = render_recommendation(study(*[0.1, 0.9, 0.1, 0.8, 0.1] * 13), noise)

    assert len(page.encode()) < 1_500_000


QUARTER_TURN = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0)


def turned(said, orientation):
    return said.model_copy(update={"volume": said.volume.model_copy(update={"orientation": orientation})})


@pytest.mark.parametrize("orientation", [QUARTER_TURN, (-1.0, 0, 0, 0, 1.0, 0), (0, -1.0, 0, -1.0, 0, 0)])
def test_a_page_shows_a_turned_volume_as_one_that_is_stored_as_usual(study, hu, orientation):
    row, column = np.array(orientation[:2]), np.array(orientation[3:5])
    size = hu.shape[-1]
    rows, columns = np.indices((size, size))
    centre = (size - 1) / 2
    x = np.rint((columns - centre) * row[0] + (rows - centre) * column[0] + centre).astype(int)
    y = np.rint((columns - centre) * row[1] + (rows - centre) * column[1] + centre).astype(int)

    page = render_recommendation(turned(study(), orientation), hu[..., y, x])

    assert page == render_recommendation(study(), hu)


def test_width_and_height_of_a_turned_slice_are_exchanged(study, hu):
    said = turned(study(), QUARTER_TURN)
    wide = said.model_copy(update={"volume": said.volume.model_copy(update={"columns": 256})})

    assert page_layout(wide, None)["proportion"] == pytest.approx(2.0)


@pytest.fixture
def planes():
    """Three planes through each of two findings: a bright square in air."""
    patch = np.full((3, 16, 16), -1000, dtype=np.int16)
    patch[:, 4:12, 4:12] = 100
    return {1: patch, 2: patch}


def test_findings_are_listed_best_first_with_their_place_and_a_link_to_their_slice(study, findings, hu):
    page = render_recommendation(study(findings=findings), hu)

    assert "<h1>Look at 2 findings</h1>" in page
    first, second = page.index('id="finding-1"'), page.index('id="finding-2"')
    assert first < second < page.index('id="range-1"')
    assert 'href="#slice-7">Finding in slice 7</a>' in page[first:second]
    assert "row 128, column 384, z&nbsp;−65.0\xa0mm" in page[first:second]
    assert "14.0\xa0mm, ground glass" in page[second:]
    assert '<a href="#range-1">slices 7</a>' in page[first:second]


def test_a_finding_is_circled_on_its_slices_and_named_beside_them(study, findings, hu):
    page = render_recommendation(study(findings=findings), hu)

    slides = dict(re.findall(r'<figure class="slide[^"]*" id="slice-(\d)"(.*?)</figure>', page, re.DOTALL))
    assert {n: slide.count('class="ring"') for n, slide in slides.items() if "rings" in slide} == {
        "1": 0,
        "2": 2,
        "3": 0,
        "7": 2,
    }
    assert slides["3"].count('class="ring beside"') == 2
    assert '<dt>finding</dt><dd><a href="#finding-1">1</a></dd>' in slides["7"]
    assert re.search(r'aria-label="Slice 7, z [^"]*, recommended, finding 1"', page)


OUTLINED = {
    "long_axis_mm": 12.34,
    "short_axis_mm": 8.0,
    "volume_mm3": 523.6,
    "outline": ((120.0, 384.0), (128.0, 394.0), (136.0, 384.0), (120.0, 384.0)),
    "malignant": 0.62,
    "malignancy": "forest",
    "outside": ("size", "texture"),
}


def test_an_outline_is_drawn_in_place_of_the_circle_and_on_the_axial_plane(study, finding, hu, planes):
    page = render_recommendation(study(findings=[finding(1, 7, **OUTLINED)]), hu, {1: planes[1]})

    slides = dict(re.findall(r'<figure class="slide[^"]*" id="slice-(\d)"(.*?)</figure>', page, re.DOTALL))
    first = f"{384.5 * 0.7:.2f},{120.5 * 0.7:.2f}"
    assert slides["7"].count(f'<polygon class="ring" points="{first} ') == 2
    assert "<circle" not in slides["7"]
    share = 0.5 - 8 * 0.7 / (48 * 0.73)
    assert f'<polygon class="ring" points="0.5000,{share:.4f} ' in page
    assert "Outlines and circles around findings" in page


def test_a_card_says_axes_volume_and_malignancy_with_its_system(study, finding, hu):
    page = render_recommendation(study(findings=[finding(1, 7, **OUTLINED)]), hu)

    assert "<dt>long × short axis</dt><dd>12.3\xa0×\xa08.0\xa0mm, solid</dd>" in page
    assert "<dt>volume</dt><dd>524\xa0mm³</dd>" in page
    assert "<dt>malignancy by</dt><dd>forest; unlike its training in size and texture</dd>" in page


def test_a_card_says_why_a_circle_stands_for_an_outline(study, finding, hu):
    page = render_recommendation(study(findings=[finding(1, 7, circle="its mask reaches the edge of the scan")]), hu)

    assert "<dd>none, its mask reaches the edge of the scan: the size is that of the filter's circle</dd>" in page
    assert "<dt>diameter</dt><dd>6.0\xa0mm, solid</dd>" in page


def test_planes_through_a_finding_are_shown_where_there_are_some(study, findings, hu, planes):
    with_planes = render_recommendation(study(findings=findings), hu, {1: planes[1]})

    for name in ("axial", "coronal", "sagittal"):
        assert f'alt="Finding 1, {name}, lung window"' in with_planes
        assert f'alt="Finding 2, {name}' not in with_planes
    assert 'class="planes"' not in render_recommendation(study(findings=findings), hu)


def test_planes_that_are_not_three_are_refused(study, findings, hu, planes):
    with pytest.raises(ValueError, match=r"shape must be \(3, rows, columns\), got \(2, 16, 16\)"):
        render_recommendation(study(findings=findings), hu, {1: planes[1][:2]})


def test_the_probability_of_malignancy_is_shown_where_it_is_said(study, finding, hu):
    said = render_recommendation(study(findings=[finding(1, 7, malignant=0.25)]), hu)
    unsaid = render_recommendation(study(findings=[finding(1, 7)]), hu)

    card = re.compile(r'id="finding-1".*?</li>', re.DOTALL)
    assert "meter malignant" in card.search(said)[0]
    assert "meter malignant" not in card.search(unsaid)[0]


def test_a_finding_beyond_the_review_budget_says_so(study, findings, hu):
    page = render_recommendation(study(findings=findings, slices=1), hu)

    assert "none: beyond the review budget" in page
    assert "(4 further slices in all)" in page


def test_slices_that_the_budget_leaves_out_are_told(study, hu):
    page = render_recommendation(study(*[0.0] * 3, 0.6, 0.9, 0.6, 0.0, 0.0, slices=1), hu)

    assert "2 further slices do so too, left out to keep to the review budget" in page


def test_warnings_come_before_the_answer(study, findings, hu):
    warning = SeriesWarning(code="unlike-training-kernel", sentence="Its kernel is unlike those of training.")

    page = render_recommendation(study(findings=findings, warnings=[warning]), hu)

    assert page.index("Its kernel is unlike those of training.") < page.index("<h1>")


def test_a_page_without_findings_has_no_trace_of_them(study, hu):
    page = re.sub("<style>.*?</style>|<script>.*?</script>", "", render_recommendation(study(), hu), flags=re.DOTALL)

    assert "finding" not in page.lower()
    assert "circle" not in re.sub('<a class="mark".*?</a>', "", page)
