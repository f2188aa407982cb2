from itertools import pairwise

import pytest

from lidcflow.pixels.noticed import PixelFaults
from lidcflow.report.curve import WIDTH, curve_of


@pytest.fixture
def curve(study):
    def draw(*nodule, **changes):
        answer = study(*nodule, **changes)
        return curve_of(answer, answer.volume)

    return draw


def test_the_line_runs_from_the_top_of_the_chest_down(curve):
    points = [tuple(map(float, point.split(","))) for point in curve().nodule[0].points.split()]

    assert points[0] == (0.0, 0.0)
    assert points[4] == (0.9 * WIDTH, 3.5)
    assert points[-1] == (0.0, 8.0)


def test_small_probabilities_get_a_shorter_axis(study, release):
    low = study(*[0.01] * 8).model_copy(update={"release": release.model_copy(update={"threshold_nodule": 0.05})})
    curve = curve_of(low, low.volume)

    assert curve.axis_end == 0.1
    assert curve.threshold_at == pytest.approx(50)
    assert [mark.label for mark in curve.probability_marks] == ["0%", "5%", "10%"]


def test_ranges_are_shaded_where_their_slices_are(curve):
    assert [(band.rank, band.top, band.height) for band in curve().bands] == [(1, 2, 3), (2, 6, 1)]


def test_marks_of_close_ranges_do_not_overlap(curve):
    bands = curve(*[0.1] * 80, *[0.9, 0.1] * 10).bands

    columns = [[band.mark_at for band in bands if band.mark_across_px == px] for px in (0, 24, 48)]
    assert sorted(map(len, columns)) == [3, 3, 4]
    for marks in columns:
        assert min(below - above for above, below in pairwise(marks)) >= 14 - 1e-6
        assert marks[-1] <= 100


def test_sectors_are_drawn_where_they_begin(curve):
    assert [(sector.number, sector.top, sector.height) for sector in curve().sectors] == [(1, 0, 4), (2, 4, 4)]


def test_z_is_marked_at_round_millimetres(curve):
    marks = curve().z_marks

    assert [(mark.label, mark.at) for mark in marks[:3]] == [("0", 0.0), ("−10", 12.5), ("−20", 25.0)]
    assert marks[-1].label == "−80"


def test_blank_slices_are_a_gap_in_the_curve(curve):
    lines = curve(noticed=PixelFaults(blank_slabs=(2, 3, 7))).nodule

    assert [(line.top, line.bottom) for line in lines] == [(0, 2), (4, 7)]
    assert lines[1].points.split()[0] == f"{0.5 * WIDTH:.1f},4"
