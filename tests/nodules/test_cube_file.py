import numpy as np
import pytest

from lidcflow.errors import LabelError
from lidcflow.nodules.cube_file import read_cube_file
from tests.nodules.outlined import NAMES, write_cubes

N = len(NAMES)


def test_slices_come_first_and_from_the_top(tmp_path):
    image = np.zeros((N, 51, 51, 51), np.uint8)
    image[0, 5, 7, 50] = 255

    cubes = read_cube_file(write_cubes(tmp_path, image=image))

    assert np.argwhere(cubes.image[0]).tolist() == [[0, 5, 7]]


def test_the_middle_of_a_cube_is_that_of_its_nodule_in_hu(tmp_path):
    image = np.zeros((N, 51, 51, 51), np.uint8)
    image[0, 26:28, 26:28, 26:28] = 255

    hu = read_cube_file(write_cubes(tmp_path, image=image)).hu()

    assert hu.shape == (N, 48, 48, 48)
    assert (hu.min(), hu.max()) == (-1000, 400)
    np.testing.assert_array_equal(np.argwhere(hu[0] == 400).mean(axis=0), [23.5] * 3)


def test_the_scan_is_the_number_before_the_nodule(tmp_path):
    assert read_cube_file(write_cubes(tmp_path)).scan.tolist() == ["11", "11", "12", "14"]


REFUSED = {
    "no-images": ({"image": None}, "must hold an array image, got mask, name"),
    "no-masks": ({"mask": None}, "must hold an array mask"),
    "no-names": ({"name": None}, "must hold an array name"),
    "too-small": ({"image": np.zeros((N, 48, 51, 51), np.uint8)}, r"must be \(n, 51, 51, 51\), got \(4, 48, 51, 51\)"),
    "no-cubes": ({"image": np.zeros((0, 51, 51, 51), np.uint8)}, "must hold cubes, got none"),
    "hu": ({"image": np.zeros((N, 51, 51, 51), np.int16)}, "must be uint8.*got int16"),
    "fewer-masks": ({"mask": np.zeros((1, 51, 51, 51), np.uint8)}, "mask must be of 4 cubes, as image, got 1"),
    "other-masks": ({"mask": np.full((N, 51, 51, 51), 255, np.uint8)}, "1 in the nodule.*got uint8 from 255 to 255"),
    "float-masks": ({"mask": np.zeros((N, 51, 51, 51))}, "must be whole numbers.*got float64"),
    "fewer-names": ({"name": np.array(["1_nod1"])}, "name must be 4 texts"),
    "numbers": ({"name": np.arange(N)}, "name must be 4 texts, one a cube, got int64"),
    "other-names": ({"name": np.array(["a"] * N)}, "must begin with the scan's index, as 12_nod2_ann0, got 'a'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_odd_file_is_refused_by_name(tmp_path, case):
    changes, rule = REFUSED[case]

    with pytest.raises(LabelError, match=f"cubes cubes.npz: .*{rule}.*docs/segmenter.md"):
        read_cube_file(write_cubes(tmp_path, **changes))


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "cubes.npz").write_text("cubes")

    with pytest.raises(LabelError, match=r"must be an \.npz file"):
        read_cube_file(tmp_path / "cubes.npz")
    with pytest.raises(LabelError, match="got no such file"):
        read_cube_file(tmp_path / "absent.npz")
