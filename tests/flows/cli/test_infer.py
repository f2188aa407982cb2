from types import SimpleNamespace

import pytest

from flows.cli.infer import _finding_lines, print_results
from flows.infer_report import InferReport
from lidcflow.errors import ReleaseError
from lidcflow.report.told import Told
from tasks.series_result import RecommendedFinding, RecommendedRange, SeriesResult


def test_reading_with_a_release_that_is_not_there_names_the_way_out_before_anything_starts(lidcflow, tmp_path):
    (tmp_path / "inbox").mkdir()

    done = lidcflow("infer", "inbox", "--release", 1)

    assert isinstance(done.exception, ReleaseError)
    assert "run `lidcflow train` first" in str(done.exception)
    assert [entry.name for entry in tmp_path.iterdir()] == ["inbox"]


def test_readings_are_printed_with_source_images_and_the_page_to_open(tmp_path, capsys):
    found = RecommendedRange(
        first_slice=3,
        last_slice=5,
        first_image=40,
        last_image=52,
        z_top_mm=-10.0,
        z_bottom_mm=-22.5,
        nodule_at_peak=0.625,
    )
    page = tmp_path / "report.html"
    facts = {"study_instance_uid": "1.2", "page": page, "reused": True}
    readings = [
        SeriesResult(series_instance_uid="1.2.3", verdict="ranges", ranges=(found,), **facts),
        SeriesResult(series_instance_uid="1.2.4", verdict="not-evaluated", sentence="needs 8 slices, got 3", **facts),
    ]

    print_results(
        InferReport(
            release="lidcflow version 1", synthetic_release=True, readings=readings, reused=2, refused=1, seconds=1.0
        )
    )

    printed = capsys.readouterr().out
    for expected in ("3 to 5", "40 to 52", "-10.0 to -22.5", "0.62", str(page), "needs 8 slices, got 3"):
        assert expected in printed
    assert "2 series read with lidcflow version 1, 2 of them unchanged and reused, 1 not evaluated." in printed


@pytest.mark.parametrize("embedded", [True, False])
def test_a_reading_by_the_embedded_release_says_that_nothing_was_trained_here(embedded, capsys):
    name = "lidcflow-embedded version 202611" if embedded else "lidcflow version 1"
    report = InferReport(
        release=name, synthetic_release=False, readings=[], reused=0, refused=0, seconds=1.0, embedded_release=embedded
    )

    print_results(report)

    printed = " ".join(capsys.readouterr().out.split())
    assert f"0 series read with {name}" in printed
    assert ("nothing was trained in this workspace for it" in printed) == embedded


def test_a_finding_is_told_with_its_axes_volume_and_malignancy():
    found = {"z_mm": -117.5, "row": 210.5, "column": 310.0, "slice_number": 23, "image": 45, "probability": 0.61}
    outlined = RecommendedFinding(
        rank=1,
        diameter_mm=9.0,
        long_axis_mm=12.3,
        short_axis_mm=8.0,
        volume_mm3=523.6,
        malignant=0.62,
        malignancy="forest",
        outside=("size",),
        **found,
    )
    circled = RecommendedFinding(rank=2, diameter_mm=9.0, circle="no cube of it is stored", **found)
    reading = SimpleNamespace(findings=(outlined, circled), told=Told())

    _, first, second, by = _finding_lines(reading)

    assert first.endswith("12.3 × 8.0 mm (524 mm³), P(nodule) 0.61, P(malignant) 0.62 (unlike its training in size)")
    assert second.endswith("9.0 mm (a circle: no cube of it is stored), P(nodule) 0.61")
    assert by == "P(malignant) holds if the finding is a nodule; it is by the forest."


def test_warnings_come_first_then_findings_in_plain_words(tmp_path, capsys):
    found = {"z_mm": -117.5, "row": 210.5, "column": 310.0}
    findings = (
        RecommendedFinding(rank=1, slice_number=23, image=45, diameter_mm=6.4, probability=0.9996, **found),
        RecommendedFinding(rank=2, slice_number=3, image=None, diameter_mm=12.0, probability=0.61, **found),
    )
    reading = SeriesResult(
        study_instance_uid="1.2",
        series_instance_uid="1.2.3",
        verdict="ranges",
        findings=findings,
        ranges=(
            RecommendedRange(
                first_slice=3,
                last_slice=5,
                first_image=40,
                last_image=52,
                z_top_mm=-10.0,
                z_bottom_mm=-22.5,
                nodule_at_peak=1.0,
            ),
        ),
        slices_left_out=31,
        warnings=("Its kernel is unlike those of training.",),
        page=tmp_path / "report.html",
        reused=False,
    )

    print_results(
        InferReport(
            release="lidcflow version 1", synthetic_release=False, readings=[reading], reused=0, refused=0, seconds=1.0
        )
    )

    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines[3:8]] == [
        "Warning: Its kernel is unlike those of training.",
        "Look at 2 findings, the most likely first:",
        "1. image 45, row 210, column 310, slice 23: 6.4 mm, P(nodule) >0.99",
        "2. an image without a number, row 210, column 310, slice 3: 12.0 mm, P(nodule) 0.61",
        "Slices to look at",
    ]
    assert any(">0.99" in line for line in lines[8:])
    assert "Left out to keep to infer.slices: 31 more." in lines
