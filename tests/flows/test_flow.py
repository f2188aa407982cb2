"""Runs end when their work has ended."""

import threading

import pytest
from prefect import flow_engine
from prefect.client.orchestration import get_client

from flows.flow import flow

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_a_run_ends_without_a_wait_for_the_thread_of_its_heartbeat(monkeypatch):
    joined, beating, has_beaten = [], [], threading.Event()
    join, beat = threading.Thread.join, flow_engine.FlowRunEngine._emit_flow_run_heartbeat

    def noting_join(thread, timeout=None):
        joined.append(thread)
        join(thread, timeout)

    def noting_beat(engine, *event):
        beat(engine, *event)
        beating.append(threading.current_thread())
        has_beaten.set()

    @flow(name="short")
    def short():
        return has_beaten.wait(30)

    monkeypatch.setattr(threading.Thread, "join", noting_join)
    monkeypatch.setattr(flow_engine.FlowRunEngine, "_emit_flow_run_heartbeat", noting_beat)
    state = short(return_state=True)

    assert state.result() is True
    assert len(beating) == 1
    assert beating[0] not in joined
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(state.state_details.flow_run_id).state.is_completed()
