from flows.cli.train import print_release


def test_more_sectors_than_slices_is_wrong_usage(lidcflow):
    done = lidcflow("train", "--sectors", 66)

    assert done.exit_code == 2


def test_a_release_is_printed_with_its_sectors_gate_and_standing(figured, capsys):
    print_release(figured, champion=False)

    printed = capsys.readouterr().out
    assert "all sectors: no malignant slice in training" in printed
    assert "Gate passed: better." in printed
    assert "Threshold P(nodule) 0.250, chosen for 80% of validation's nodule slices." in printed
    assert "`lidcflow promote 3` would put it in force" in printed
    assert "Research use only" in printed
