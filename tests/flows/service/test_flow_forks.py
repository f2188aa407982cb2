"""Runs of flows are forked from a process that has imported what they need."""

from flows.service.flow_forks import modules_for
from lidcflow.config import Config


def test_only_what_answers_wait_for_is_kept_in_memory():
    without = Config()
    with_inbox = Config(inbox="inbox", delivery={"to": ["answers"]})

    assert "flows.inbox" not in modules_for(without)
    assert {"flows.inbox", "lidcflow.documents.encode"} <= set(modules_for(with_inbox))
