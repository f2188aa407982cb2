"""The runs of a Prefect server, asked without Prefect's own client."""

import pytest
from prefect import flow
from prefect.settings import get_current_settings

from flows.service.flow_runs import last_runs
from lidcflow.errors import ResourceError


@pytest.mark.usefixtures("prefect_server")
def test_the_last_run_of_each_flow_is_told_with_its_state_and_duration():
    @flow(name="asked-for")
    def asked_for() -> int:
        return 1

    asked_for()

    runs = {run.flow: run for run in last_runs(str(get_current_settings().api.url), None)}
    assert list(runs) == sorted(runs)
    found = runs["asked-for"]
    assert (found.state, found.next) == ("Completed", None)
    assert found.started is not None
    assert found.duration_s is not None
    assert found.duration_s >= 0


def test_a_server_that_does_not_answer_is_told_in_a_sentence():
    with pytest.raises(ResourceError, match="the server must answer, got ConnectError"):
        last_runs("http://127.0.0.1:1/api", None)
