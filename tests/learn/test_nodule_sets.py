import numpy as np
import pytest

from lidcflow.errors import TrainingError
from lidcflow.learn import nodule_sets
from lidcflow.learn.nodule_candidates import CandidateImages
from lidcflow.learn.nodule_sets import read_sets, require_sets
from lidcflow.nodules.candidates import Candidates
from tests.learn.real_sets import write_patches, write_slices

LIDC = "1.3.6.1.4.1.14519.5.2.1.6279.6001."
EARLY, WITHIN, LATE = f"{LIDC}30", f"{LIDC}41", f"{LIDC}7"


def candidates(uid, nodule):
    nothing = Candidates(np.empty(0), np.empty((0, 3)))
    images = np.zeros((len(nodule), 6, 72, 72), np.uint8)
    return CandidateImages(uid, nothing, np.array(nodule, np.int8), np.array([4, 1], np.int8), images, (0.7, 0.7))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_patches(tmp_path)
    write_slices(tmp_path, [(EARLY, 6.0, 4), (EARLY, 20.0, 2), (EARLY, 6.0, 1), (WITHIN, 6.0, 4), (LATE, 6.0, 4)])
    for name in nodule_sets.SERIES:
        (tmp_path / name).mkdir()
    found = {"LIDC-IDRI": [candidates("a", [0, 1, -1, -2])], "LIDC-IDRI-more": [candidates("b", [-1])]}
    monkeypatch.setattr(nodule_sets, "candidate_images", lambda at: found.get(at.name, []))
    return tmp_path


def test_missing_sets_are_named(tmp_path):
    write_patches(tmp_path)

    with pytest.raises(TrainingError, match=r"but nodule-slices/slices.npz, .*QIN-LUNG-CT is missing") as refused:
        require_sets(tmp_path)

    assert "nodule-patches/patches.npz is missing" not in str(refused.value)
    require_sets(tmp_path, patches_only=True)


def test_the_validation_is_never_trained_on(folder):
    sets = read_sets(folder, choose_from=300_000, seed=0, patches_only=True)

    trained_on = {image.tobytes() for source in sets.sources for image in source.images}
    others = [*sets.validation.image, *sets.kept_apart.image]
    assert len(sets.validation.label) == 4
    assert (sets.kept_apart.order >= 300_000).all()
    assert not trained_on & {image.tobytes() for image in others}


def test_slices_of_the_series_of_the_validation_are_not_trained_on(folder):
    counts = read_sets(folder, seed=0, choose_from=400_000).counts

    assert counts["nodule slices"] == 3
    assert counts["tissue beside nodules"] == 3


def test_candidates_of_one_reader_or_close_to_a_nodule_are_not_trained_on(folder):
    counts = read_sets(folder, seed=0, choose_from=400_000).counts

    assert counts["planes of candidates in nodules"] == 6
    assert counts["planes of other candidates"] == 12


def test_what_is_of_a_series_or_may_be_is_left_out(folder, monkeypatch):
    monkeypatch.setattr(nodule_sets, "PATCH_ROWS", {"a": (0, 200_000)})

    counts = read_sets(folder, seed=0, choose_from=400_000).without(["a", EARLY, LATE]).counts

    assert counts["planes of other candidates"] == 6
    assert "nodule slices" not in counts
    assert counts["patches with a nodule"] == 3


def test_the_same_seed_reads_the_same_images(folder):
    first, again = (read_sets(folder, seed=4) for _ in range(2))

    for one, other in zip(first.sources, again.sources, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
