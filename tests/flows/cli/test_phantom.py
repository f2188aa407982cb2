def test_more_phantoms_than_there_are_scans_is_wrong_usage(lidcflow, tmp_path):
    done = lidcflow("phantom", tmp_path / "phantoms", "--series", "1000", "--max-slices", "60")

    assert done.exit_code == 2
    assert not (tmp_path / "phantoms").exists()
