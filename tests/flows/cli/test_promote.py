import json

import pytest

from flows.cli import main
from tests.published import publish


def test_releases_are_listed_promoted_and_taken_back(lidcflow, figured):
    publish(figured)
    publish(figured)

    assert "lidcflow version 1 is the champion." in lidcflow("promote", 1).stdout
    assert "lidcflow version 2 is the champion." in lidcflow("promote", 2, "--reason", "newer").stdout
    assert "version 1 is the champion again, not version 2" in lidcflow("rollback").stdout
    listed = json.loads(lidcflow("releases", "--json").stdout)
    assert [(release["version"], release["champion"]) for release in listed] == [(2, False), (1, True)]
    table = lidcflow("releases").stdout
    assert "0.800 (0.70 to 0.90)" in table
    assert "synthetic CT" in table


def test_a_wrong_release_ends_in_one_sentence_and_exit_code_1(lidcflow, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["lidcflow", "promote", "7"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("error: release 7: there must be a release")
