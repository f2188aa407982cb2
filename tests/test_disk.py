"""Folders that must be written."""

import pytest

from lidcflow.disk import nearest_folder


@pytest.mark.parametrize("below", [".", "file", "none/none"])
def test_the_nearest_folder_is_the_folder_itself_or_the_first_above_it(tmp_path, below):
    (tmp_path / "file").touch()

    assert nearest_folder(tmp_path / below) == tmp_path
