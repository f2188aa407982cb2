import numpy as np
import pytest

from lidcflow.errors import LabelError
from lidcflow.nodules.patch_file import read_patch_file

N = 3


@pytest.fixture
def write(tmp_path):
    """Write a file of patches; arrays given as None are left out."""

    def written(**changes):
        arrays = {
            "image": np.zeros((N, 50, 50), np.uint8),
            "label": np.array([1, 0, 0], np.uint8),
            "candidate_index": np.array([5, 6, 700]),
            "split": np.array(["train", "train", "validation"]),
        } | changes
        file = tmp_path / "patches.npz"
        np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
        return file

    return written


def test_rows_of_a_list_that_are_far_apart_are_of_two_series(write):
    patches = read_patch_file(write())

    assert len({*patches.series[:2]}) == 1
    assert len({*patches.series}) == 2


def test_named_series_need_no_rows_of_a_list(write):
    patches = read_patch_file(write(candidate_index=None, series=np.array(["a", "b", "a"])))

    assert patches.series.tolist() == ["a", "b", "a"]


def test_a_file_without_a_split_has_patches_of_none(write):
    assert read_patch_file(write(split=None)).split.tolist() == [""] * N


REFUSED = {
    "no-images": ({"image": None}, "must hold an array image, got candidate_index"),
    "no-labels": ({"label": None}, "must hold an array label"),
    "too-small": ({"image": np.zeros((N, 47, 50), np.uint8)}, r"at least 48 x 48, got \(3, 47, 50\)"),
    "not-images": ({"image": np.zeros((N, 50), np.uint8)}, r"must be \(n, rows, columns\)"),
    "no-patches": ({"image": np.zeros((0, 50, 50), np.uint8)}, "must hold patches, got none"),
    "not-8-bit": ({"image": np.zeros((N, 50, 50), np.int16)}, "must be uint8.*got int16"),
    "nan": ({"image": np.full((N, 50, 50), np.nan)}, "must hold numbers, got values that are none"),
    "float-labels": ({"label": np.array([1.0, 0.0, np.nan])}, "label must be 3 whole numbers"),
    "other-labels": ({"label": np.array([1, 2, 0])}, r"label must be 0 or 1, got \[2\]"),
    "fewer-labels": ({"label": np.array([1, 0])}, "label must be 3 whole numbers"),
    "unknown-series": ({"candidate_index": None}, "must name the series of each patch"),
    "row-below-0": ({"candidate_index": np.array([-1, 0, 1])}, "must be rows of a list, from 0, got -1"),
    "blank-series": ({"series": np.array(["a", "", "b"])}, "series must name the series of each patch, got 1 without"),
    "object-split": ({"split": np.array([1.5, 0, 0])}, "split must be 3 texts"),
}


@pytest.mark.parametrize(("changes", "sentence"), REFUSED.values(), ids=REFUSED)
def test_an_odd_file_is_refused_with_one_sentence(write, changes, sentence):
    with pytest.raises(LabelError, match=sentence) as refused:
        read_patch_file(write(**changes))

    assert str(refused.value).startswith("patches patches.npz: ")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_absent_or_no_npz_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("patches")
    (tmp_path / "empty.npz").touch()

    for name, found in (("absent.npz", "no such file"), ("text.npz", "something else"), ("empty.npz", "something")):
        with pytest.raises(LabelError, match=found):
            read_patch_file(tmp_path / name)


def test_python_objects_are_refused_unread(write):
    with pytest.raises(LabelError, match="without Python objects"):
        read_patch_file(write(label=np.array([1, 0, None], object)))
