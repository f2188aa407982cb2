from datetime import UTC, datetime, timedelta

import pytest

from lidcflow.inbox.delivery import RetryPolicy, instance_set

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 10), (2, 20), (3, 40), (4, 45), (5, 45)])
def test_each_failure_doubles_the_delay_up_to_the_longest(failures, delay_s):
    patience = RetryPolicy(attempts=6, first_s=10, longest_s=45)

    assert patience.next_try(failures, NOON) == NOON + timedelta(seconds=delay_s)


def test_the_last_attempt_is_followed_by_none():
    patience = RetryPolicy(attempts=3, first_s=10, longest_s=45)

    tries = [patience.next_try(failures, NOON) for failures in (2, 3, 4)]

    assert tries == [NOON + timedelta(seconds=20), None, None]


def test_an_hour_is_the_longest_delay_and_three_days_the_end():
    delays_s = [(RetryPolicy().next_try(failures, NOON) - NOON).total_seconds() for failures in range(1, 72)]

    assert delays_s[:7] == [30, 60, 120, 240, 480, 960, 1920]
    assert set(delays_s[7:]) == {3600}
    assert RetryPolicy().next_try(72, NOON) is None


def test_an_instance_set_is_the_sha256_of_its_sorted_uids():
    # printf '1.1\n1.10\n1.2' | sha256sum
    digest = "9e21035022bbaf3554643a69d5fd9047480b3c82c8be505dca148cf03adf9de5"

    assert instance_set(["1.2", "1.1", "1.10"]) == digest
    assert instance_set(iter(["1.10", "1.1", "1.2", "1.1"])) == digest


def test_another_image_makes_another_instance_set():
    sets = [["1.1"], ["1.1", "1.2"], ["1.2"], ["1.11.2"], []]

    assert len({instance_set(uids) for uids in sets}) == len(sets)
