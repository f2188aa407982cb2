import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidcflow.volume.sectors import sector_of, sector_slices


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    n_slices = draw(st.integers(1, 300))
    return n_slices, draw(st.integers(1, n_slices))


@pytest.mark.parametrize(("sector_num", "size"), [(1, 65), (5, 13), (13, 5), (65, 1)])
def test_the_papers_sectors_are_equal(sector_num: int, size: int):
    assert [len(slices) for slices in sector_slices(65, sector_num)] == [size] * sector_num


def test_sector_1_is_at_the_top():
    assert sector_slices(65, 13)[0] == range(0, 5)
    assert sector_of(65, 13)[0] == 1


@given(sizes())
def test_sectors_hold_every_slice_once_and_differ_by_at_most_one(size: tuple[int, int]):
    n_slices, sector_num = size

    sectors = sector_slices(n_slices, sector_num)

    assert [k for slices in sectors for k in slices] == list(range(n_slices))
    lengths = [len(slices) for slices in sectors]
    assert len(lengths) == sector_num
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1


@given(sizes())
def test_the_sector_of_a_slice_holds_it(size: tuple[int, int]):
    sectors = sector_slices(*size)

    numbers = sector_of(*size)

    assert all(k in sectors[number - 1] for k, number in enumerate(numbers))


@pytest.mark.parametrize("sector_num", [0, 66])
def test_there_can_not_be_more_sectors_than_slices_or_none(sector_num: int):
    with pytest.raises(ValueError, match=f"must be 1 to 65, the number of slices, got {sector_num}"):
        sector_slices(65, sector_num)
