import pytest

from flows.missing import gathering
from tasks.preprocessed import Preprocessed


def test_what_is_finished_is_recorded_together_and_the_rest_however_the_block_ends():
    recorded = []

    with pytest.raises(KeyboardInterrupt):
        gather_two_and_be_interrupted(lambda part: recorded.append(dict(part.committed)))

    assert recorded == [{"1.2": "a", "1.3": "b"}]


def gather_two_and_be_interrupted(record):
    with gathering(record) as gather:
        gather(Preprocessed(committed={"1.2": "a"}))
        gather(Preprocessed(committed={"1.3": "b"}))
        raise KeyboardInterrupt


def test_nothing_waits_longer_than_its_time_to_be_recorded(monkeypatch):
    recorded = []
    monkeypatch.setattr("flows.missing.RECORD_EVERY_S", 0.0)

    with gathering(lambda part: recorded.append(part.answered)) as gather:
        gather(Preprocessed(committed={"1.2": "a"}))
        gather(Preprocessed(committed={"1.3": "b"}))

    assert recorded == [1, 1, 0]
