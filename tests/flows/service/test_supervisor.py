"""Services are kept running, and stopped in reverse order."""

import signal

import pytest

from flows.service import supervisor
from flows.service.supervisor import ServiceFailed, Supervisor, stop_on_signals


def test_a_service_that_dies_is_started_again_and_the_fourth_death_ends_all_with_its_log(service, monkeypatch):
    monkeypatch.setattr(supervisor, "RESTART_DELAYS_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(supervisor, "POLL_S", 0.02)
    states, prepared = [], []

    with Supervisor(lambda _, state: states.append(state)) as keeper:
        keeper.start(service("raise SystemExit('out of luck')"), before=lambda: prepared.append(1))
        with pytest.raises(ServiceFailed, match="it must keep running, got one that died 4 times") as failure:
            keeper.watch()

    assert states.count("started again") == len(prepared) - 1 == 3
    assert failure.value.log_lines[-1] == "out of luck"


def test_a_service_that_ends_while_starting_is_named_with_its_log(service):
    with Supervisor(lambda *_: None) as keeper:
        keeper.start(service("raise SystemExit(2)", health_url="http://127.0.0.1:9/never"))

        with pytest.raises(ServiceFailed, match=r"ended with exit code 2; see .*it\.log"):
            keeper.wait_until_healthy()


def test_sigterm_stops_in_reverse_order(service):
    states = []
    keeper = Supervisor(lambda name, state: states.append((name, state)))

    with stop_on_signals(keeper), keeper:
        keeper.start(service("import time; time.sleep(60)", name="first"))
        keeper.start(service("import time; time.sleep(60)", name="second"))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)

    assert [name for name, state in states if state == "stopped"] == ["second", "first"]
