"""The record of a release."""

import numpy as np
import pytest

from lidcflow.errors import ReleaseError
from lidcflow.release.record import ReleaseRecord, sector_model_name
from lidcflow.stats.estimate import ClassCounts


def test_a_record_survives_its_own_json(release_record):
    assert ReleaseRecord.model_validate_json(release_record.model_dump_json()).check() == release_record


def test_sectors_must_cover_every_slice_once(release_record):
    first, second = release_record.sectors
    gap = release_record.model_copy(update={"sectors": (first.model_copy(update={"last_slice": 3}), second)})

    with pytest.raises(ReleaseError, match="must cover the slices 1 to 8 once each, got 7"):
        gap.check()


def test_a_preprocessing_of_another_version_is_refused(release_record):
    with pytest.raises(ReleaseError, match=r"train again, or use the lidcflow 0\.1\.0"):
        release_record.model_copy(update={"preprocess_digest": "0" * 64}).check()


def test_a_record_from_before_the_checks_of_the_gate_is_read_all_the_same(release_record):
    old = release_record.model_dump(mode="json")
    del old["threshold"], old["data"], old["gate"]["checks"]

    assert ReleaseRecord.model_validate(old).check() == release_record


def test_labels_are_counted_by_class():
    assert ClassCounts.of(np.array([[0, 0, 2], [1, 0, 0]])) == ClassCounts(non_nodule=4, benign=1, malignant=1)


def test_sector_models_sort_by_number_in_the_registry():
    names = [sector_model_name("lidcflow", 13, sector) for sector in (2, 10)]

    assert names == sorted(names) == ["lidcflow.13-sectors.sector-02", "lidcflow.13-sectors.sector-10"]


def test_a_recommendation_is_told_which_sectors_are_read_by_the_all_sector_model(release_record):
    facts = release_record.facts()

    assert (facts.version, facts.sector_num, facts.fallback_sectors) == (3, 2, (2,))


def test_a_record_from_before_findings_is_read_all_the_same(release_record):
    old = release_record.model_dump(mode="json")
    del old["nodules"], old["findings"]

    assert ReleaseRecord.model_validate(old) == release_record
