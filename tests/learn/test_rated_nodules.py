from dataclasses import replace

import numpy as np
import pytest

from lidcflow.errors import TrainingError
from lidcflow.learn.rated_nodules import cross_validate, read_rated_nodules
from tests.learn.real_sets import write_rated_slices


def test_no_patient_is_learned_from_and_answered_for(tmp_path):
    write_rated_slices(tmp_path)
    nodules = read_rated_nodules(tmp_path)
    patient, chosen = nodules.sets.patient, np.arange(60) < 50
    folds = []

    def learn(_nodules, fold):
        folds.append(fold)
        return {"own place": fold.left_out.astype(float)}

    found = cross_validate(nodules, learn, {"some": (chosen, nodules.sets.rating >= 3)}, folds=3)

    assert len(folds) == 3
    assert all(not set(patient[fold.seen]) & set(patient[fold.left_out]) for fold in folds)
    np.testing.assert_array_equal(found["some"]["own place"][chosen], np.arange(50))
    assert np.isnan(found["some"]["own place"][~chosen]).all()


def test_an_unknown_size_is_left_out(tmp_path):
    write_rated_slices(tmp_path)
    nodules = read_rated_nodules(tmp_path)

    unknown = replace(nodules, sets=replace(nodules.sets, area_diameter_mm=np.full(60, np.nan)))

    assert list(nodules.sizes) == ["image", "area_diameter_mm"]
    assert list(unknown.sizes) == ["image"]


def test_too_few_nodules_for_every_design_are_a_sentence(tmp_path):
    write_rated_slices(tmp_path, per_kind=5)

    with pytest.raises(TrainingError, match=r"S12 vs S45 must have at least 30 .* got 5 and 5.*add nodules"):
        read_rated_nodules(tmp_path)
