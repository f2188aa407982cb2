"""Lung and bone along the height of a volume."""

import numpy as np

from lidcflow.drift.measures import Heights, heights_of


def test_shares_are_of_what_is_not_air_and_an_uneven_number_of_slices_is_divided():
    hu = np.full((15, 2, 2), -1000, dtype=np.int16)
    hu[:, 0] = 40
    hu[0, 0, 0] = -800
    hu[14, 0, :] = 300

    lung, bone = heights_of(hu)

    np.testing.assert_allclose(lung[:2], [0.5 / 1.5, 0])
    np.testing.assert_allclose(bone[8:], [0, 1 / 1.5])


def test_air_alone_has_neither():
    assert not heights_of(np.full((12, 2, 2), -1024, dtype=np.int16)).any()


def test_a_chest_turned_upside_down_is_further_from_training_than_as_it_is():
    rng = np.random.default_rng(0)
    chest = np.stack([np.linspace(0.2, 0.5, 10), np.linspace(0.15, 0.05, 10)])
    known = Heights.of(chest + rng.normal(0, 0.02, (30, 2, 10)))

    assert known.distance(chest) < 0.5
    assert known.turned(chest) < 0.2
    assert known.turned(chest[:, ::-1]) > 5
