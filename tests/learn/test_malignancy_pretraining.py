import pytest

from lidcflow.errors import TrainingError
from lidcflow.learn.malignancy_pretraining import pretrain_malignancy
from lidcflow.nodules.malignancy import read_malignancy
from tests.learn.real_sets import write_rated_slices


def test_a_model_is_fitted_measured_and_written(tmp_path):
    write_rated_slices(tmp_path)

    made = pretrain_malignancy(tmp_path, tmp_path / "out")

    model = read_malignancy(tmp_path / "out")
    assert model.sha256 == made.sha256
    assert model.card["figures"][0]["auroc"]["value"] > 0.95
    assert len(model.card["patients"]) == 30


def test_too_few_nodules_of_a_kind_are_a_sentence(tmp_path):
    write_rated_slices(tmp_path, per_kind=5)

    with pytest.raises(TrainingError, match=r"at least 30 nodules .* got 5 and 5"):
        pretrain_malignancy(tmp_path, tmp_path / "out")
