import pytest

from flows.phantom import write_phantoms
from lidcflow.errors import SourceError
from lidcflow.phantom.scans import choose_scans, series_folder


def test_images_that_are_no_phantom_are_kept_and_a_draft_of_an_ended_worker_is_removed(tmp_path):
    (scan,) = choose_scans(1, seed=0)
    target = series_folder(scan, tmp_path)
    target.mkdir(parents=True)
    (target / "000001.dcm").write_bytes(b"somebody's own image")
    draft = target.with_name(f".{target.name}.0123abcd")
    draft.mkdir()

    with pytest.raises(SourceError, match="must be empty or hold a phantom"):
        write_phantoms([scan], tmp_path, seed=0, workers=1)

    assert [file.name for file in target.parent.iterdir()] == [target.name]
    assert (target / "000001.dcm").read_bytes() == b"somebody's own image"
