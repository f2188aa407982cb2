from flows.cli.infer import print_results
from flows.infer import InferReport
from lidcflow.errors import ReleaseError
from tasks.infer import RecommendedRange, SeriesResult


def test_reading_without_a_release_names_the_way_out_before_anything_starts(lidcflow, tmp_path):
    (tmp_path / "inbox").mkdir()

    done = lidcflow("infer", "inbox")

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
