"""Work is repeated while the tracking server is away."""

import pytest

from lidcflow.errors import TrackingUnavailable
from tasks.tracking.retry import call_until_available


def test_work_is_tried_again_until_the_server_is_back(monkeypatch):
    answers = iter([TrackingUnavailable("away"), TrackingUnavailable("away"), 7])
    delays_s = []
    monkeypatch.setattr("time.sleep", delays_s.append)

    def attempt():
        if isinstance(answer := next(answers), Exception):
            raise answer
        return answer

    assert call_until_available(attempt, 60, kept="nothing") == 7
    assert delays_s == [1, 2]


def test_a_server_that_stays_away_ends_it_with_what_is_kept(monkeypatch):
    delays_s = []
    monkeypatch.setattr("time.sleep", delays_s.append)

    def attempt():
        raise TrackingUnavailable("tracking: must answer")

    with pytest.raises(TrackingUnavailable, match=r"^tracking: must answer; all of it is kept$"):
        call_until_available(attempt, 10, kept="all of it is kept")
    assert delays_s == [1, 2, 4, 3]
