"""Whatever the images show, the embedded release answers, and warns of what it could not see."""

import numpy as np
import pytest

from lidcflow.report.recommendation import Recommendation
from tasks.infer import infer_series
from tests.candidate_inbox import VOXEL_MM, inbox_of, small_chest
from tests.nodules.chest import AIR, LUNG, TISSUE
from tests.nodules.detectors import small_detector  # noqa: F401

COLUMNS = np.arange(120)
NO_LUNGS, IN_PART = {"no-lungs"}, {"incomplete-lungs"}


def with_metal(hu):
    hu = hu.copy()
    streaked = hu[15:20, 12:-12, 12:-12]
    streaked[:, ::8], streaked[:, 4::8], streaked[:, 28:38, 40:50] = 3071, AIR, 3071
    return hu


def thick(hu, slices):
    return hu.reshape(-1, slices, *hu.shape[1:]).mean(axis=1).astype(np.int16)


def with_ball_at_the_rim(hu):
    """A lung that begins in the first slice, with half of a ball there."""
    hu = hu[10:].copy()
    hu[:2, 46:53, 29:36] = TISSUE
    return hu


BAD = {
    "no lungs": (lambda hu: np.where(hu == LUNG, TISSUE, hu), VOXEL_MM, NO_LUNGS),
    "one lung": (lambda hu: np.where((hu == LUNG) & (COLUMNS > 60), TISSUE, hu), VOXEL_MM, IN_PART),
    "half of the lungs": (lambda hu: hu[:20], VOXEL_MM, IN_PART),
    "lungs cut at the edge": (lambda hu: hu[:, 26:74, 24:72], VOXEL_MM, IN_PART),
    "upside down": (lambda hu: hu[::-1], VOXEL_MM, set()),
    "slices of 8 mm": (lambda hu: thick(hu, 2), (8.0, 2.8, 2.8), set()),
    "metal": (with_metal, VOXEL_MM, set()),
    "contrast": (lambda hu: np.where((hu == TISSUE) & (COLUMNS > 50) & (COLUMNS < 70), 300, hu), VOXEL_MM, set()),
    "a child": (lambda hu: hu, (2.0, 1.4, 1.4), IN_PART),
    "plastic": (lambda hu: np.where(hu == AIR, AIR, 120), VOXEL_MM, NO_LUNGS),
    "a ball at the rim": (with_ball_at_the_rim, VOXEL_MM, IN_PART),
}


@pytest.mark.usefixtures("small_detector")
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_answered_with_a_warning_and_within_the_budget(name, tmp_path, ct_series):
    spoil, voxel_mm, expected = BAD[name]
    inbox = inbox_of(tmp_path, ct_series, np.ascontiguousarray(spoil(small_chest()), np.int16), voxel_mm)
    uid = inbox.bring(candidates=True)

    result = infer_series(uid, inbox.release, inbox.config, tmp_path / "reports")

    said = Recommendation.model_validate_json((result.page.parent / "recommendations.json").read_bytes())
    codes = {one.code for one in said.warnings}
    assert codes & (NO_LUNGS | IN_PART) == expected
    assert said.verdict in ("ranges", "nothing-above-threshold")
    assert sum(one.last_slice - one.first_slice + 1 for one in said.ranges) <= inbox.config.infer.slices
    assert bool(said.findings) == (expected != NO_LUNGS)


@pytest.mark.usefixtures("small_detector")
def test_more_candidates_than_are_kept_leave_ten_findings(tmp_path, ct_series):
    hu = small_chest()
    for k, i, j in np.ndindex(6, 12, 12):
        hu[8 + 4 * k, 25 + 4 * i : 27 + 4 * i, [18 + 3 * j, 70 + 3 * j]] = TISSUE
    inbox = inbox_of(tmp_path, ct_series, hu, VOXEL_MM)
    uid = inbox.bring(candidates=True)

    result = infer_series(uid, inbox.release, inbox.config, tmp_path / "reports")

    assert len(result.findings) == 10
