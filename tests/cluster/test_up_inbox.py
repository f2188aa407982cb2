"""`lidcflow up` with an inbox: it reads at once after any start, answers once, and costs no run while nothing comes."""

import os
import signal
import time
from contextlib import ExitStack
from socket import create_server

import pytest
from prefect.client.schemas.objects import StateType

from lidcflow.inbox.delivery import Step
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.rounds import Rounds
from tests.cluster.test_up import RUN_LIMIT_S, STOP_LIMIT_S, Up

ANSWER_LIMIT_S = 400
ONCE_A_DAY_S = 86400

SETTINGS = """
workspace = "{folder}/workspace"
inbox = "{folder}/in"
patient_key = "public"
[tracking]
uri = "{tracking}"
[preprocess]
slices = 8
size = 32
[train]
sector_num = 2
epochs = 2
[cluster]
workers = 1
[delivery]
to = ["{folder}/out"]
settle_s = 0
[serve]
prefect_port = {ports[0]}
mlflow_port = {ports[1]}
reports_port = {ports[2]}
infer_every_s = {every_s}
"""


class Reading(Up):
    """A `lidcflow up` that reads an inbox."""

    def runs(self):
        with self.client() as client:
            infer = client.read_deployment_by_name("inbox/infer").id
            return [run for run in client.read_flow_runs() if run.deployment_id == infer]

    def is_reading(self):
        return any(run.state_type is StateType.RUNNING for run in self.runs())

    def steps(self):
        with Ledger(self.config.catalog) as ledger:
            return [row.step for row in ledger.rows()]

    def polls(self):
        with Rounds(self.config.catalog) as rounds:
            return sum(one.times for one in rounds.newest() if not one.delivered)


@pytest.fixture
def settings(released, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    with ExitStack() as held:
        ports = [held.enter_context(create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(3)]

    def write(every_s):
        file = tmp_path / "lidcflow.toml"
        file.write_text(SETTINGS.format(folder=tmp_path, tracking=released.tracking_uri, ports=ports, every_s=every_s))
        return file

    return write


@pytest.fixture
def start():
    started = []

    def up(file):
        started.append(Reading(file))
        return started[-1]

    yield up
    for each in started:
        each.process.kill()
        each.process.wait()
        each.survivors()


def test_an_up_that_is_killed_in_a_round_reads_at_once_when_it_is_back_and_answers_once(
    start, settings, ct_series, tmp_path
):
    ct_series(tmp_path / "in" / "a")
    file = settings(ONCE_A_DAY_S)  # only the look at the start can find anything

    killed = start(file)
    killed.wait_for(killed.is_reading, RUN_LIMIT_S)
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    left = killed.survivors()
    again = start(file)
    again.wait_for(lambda: again.steps() == [Step.DELIVERED], ANSWER_LIMIT_S)
    again.wait_for(lambda: not again.is_reading(), RUN_LIMIT_S)
    ended = sorted(run.state_type for run in again.runs())
    again.process.send_signal(signal.SIGINT)

    assert again.process.wait(STOP_LIMIT_S) == 0
    assert left == []
    assert ended == [StateType.COMPLETED, StateType.CRASHED]
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2


def come(ct_series, folder, name, **settings):
    """Put a study into the inbox whole: with `settle_s = 0`, a round would answer what is half written, and again."""
    ct_series(folder / "scanner" / name, **settings).rename(folder / "in" / name)


def test_studies_that_come_are_answered_by_event_also_one_that_comes_during_a_round(
    start, settings, ct_series, tmp_path
):
    up = start(settings(ONCE_A_DAY_S))  # no look of the schedule falls into the test
    up.wait_for(lambda: up.polls() >= 1, RUN_LIMIT_S)

    come(ct_series, tmp_path, "a")
    up.wait_for(up.is_reading, RUN_LIMIT_S)
    come(ct_series, tmp_path, "b", patient_id="Lovelace")
    up.wait_for(lambda: up.steps() == [Step.DELIVERED] * 2, ANSWER_LIMIT_S)
    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(STOP_LIMIT_S) == 0


def test_while_nothing_comes_the_inbox_is_polled_without_a_run(start, settings):
    up = start(settings(10))

    up.wait_for(lambda: up.polls() >= 3, RUN_LIMIT_S)
    time.sleep(1)

    assert up.runs() == []
