"""Synthetic and real images of one SeriesInstanceUID never meet in a workspace."""

import pytest

from lidcflow.dicom.records import SYNTHETIC_MANUFACTURER, VerdictReason
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.series.mixed import mixed_series, without_mixed


@pytest.mark.parametrize(("manufacturer", "synthetic"), [("ACME", False), (SYNTHETIC_MANUFACTURER, True)])
def test_images_of_the_other_kind_are_refused_by_name_and_with_the_way_out(
    tmp_path, ct_series, manufacturer, synthetic
):
    index = index_folder(ct_series(tmp_path / "a", Manufacturer=manufacturer), secret=PUBLIC_KEY)
    (series,) = index.usable

    (verdict,) = without_mixed(index, {series.series_instance_uid: not synthetic})

    assert (verdict.reason, verdict.usable) == (VerdictReason.SYNTHETIC_AND_REAL, False)
    assert series.series_instance_uid in verdict.sentence
    assert f"got {'synthetic' if synthetic else 'real'} images" in verdict.sentence
    assert "use another workspace" in verdict.sentence
    assert verdict.study_instance_uid == series.study_instance_uid


def test_images_of_the_same_kind_and_new_ones_are_let_in(tmp_path, ct_series):
    index = index_folder(ct_series(tmp_path / "a"), secret=PUBLIC_KEY)
    (series,) = index.usable

    for known in ({}, {series.series_instance_uid: False}, {"1.2.3": True}):
        assert without_mixed(index, known).usable == [series]
        assert mixed_series(without_mixed(index, known)) == ()


@pytest.mark.parametrize(("manufacturer", "synthetic"), [("ACME", False), (SYNTHETIC_MANUFACTURER, True)])
def test_a_refused_series_of_the_other_kind_is_refused_for_that(tmp_path, ct_series, manufacturer, synthetic):
    index = index_folder(ct_series(tmp_path / "a", n=2, Manufacturer=manufacturer), secret=PUBLIC_KEY)
    (refused,) = index.refused
    assert (refused.reason, refused.synthetic) == (VerdictReason.TOO_FEW_SLICES, synthetic)

    (other,) = without_mixed(index, {refused.series_instance_uid: not synthetic})
    (same,) = without_mixed(index, {refused.series_instance_uid: synthetic})

    assert other.reason is VerdictReason.SYNTHETIC_AND_REAL
    assert other.study_instance_uid == refused.study_instance_uid
    assert same == refused
