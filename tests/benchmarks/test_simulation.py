"""The model of many workers, with numbers that can be checked in the head."""

import pytest

from benchmarks.simulation.engine import Clock, Server
from benchmarks.simulation.model import Costs, Job, Place, simulate

NOTHING = Costs(commit_cpu_s=0, commit_wait_s=0, written_mb=0, scheduler_s=0, flow_s=0, batch_s=0)
FAST = {"link_mb_s": 1e9, "storage_mb_s": 1e9}


def ends_of(clock, shared, amounts):
    ends = {}
    for amount in amounts:
        shared.add(amount, lambda amount=amount: ends.__setitem__(amount, clock.now_s))
    clock.run()
    return ends


def test_two_jobs_share_a_resource_evenly_until_the_shorter_one_ends():
    clock = Clock()

    ends = ends_of(clock, clock.share(capacity=1.0, most=1.0), [1.0, 3.0])

    assert ends == {1.0: 2.0, 3.0: 4.0}


def test_one_job_never_gets_more_than_its_own_link():
    clock = Clock()

    ends = ends_of(clock, clock.share(capacity=100.0, most=2.0), [10.0])

    assert ends == {10.0: 5.0}


def test_a_server_does_one_thing_after_the_other():
    clock, ends = Clock(), []
    server = Server(clock)

    for _ in range(3):
        server.ask(2.0, lambda: ends.append(clock.now_s))
    clock.run()

    assert ends == [2.0, 4.0, 6.0]
    assert server.busy_s == 6.0


@pytest.mark.parametrize(("workers", "cores", "wall_s"), [(1, 1, 8.0), (2, 2, 4.0), (4, 2, 4.0), (8, 8, 1.0)])
def test_more_workers_help_as_far_as_there_are_cores(workers, cores, wall_s):
    found = simulate([Job(slices=1, read_mb=0, cpu_s=1.0)] * 8, Place(workers, cores, **FAST), NOTHING)

    assert found.wall_s == pytest.approx(wall_s)


def test_storage_is_the_limit_when_all_workers_together_ask_for_more_than_it_gives():
    jobs = [Job(slices=1, read_mb=100, cpu_s=0.1)] * 40

    found = simulate(jobs, Place(8, 8, link_mb_s=100, storage_mb_s=200), NOTHING)

    assert found.wall_s == pytest.approx(20.0, rel=0.01)
    assert found.limit == "storage"
    assert found.storage == pytest.approx(1.0, abs=0.01)


def test_reading_and_computing_go_on_side_by_side():
    found = simulate([Job(slices=1, read_mb=10, cpu_s=10.0)], Place(1, 1, link_mb_s=1, storage_mb_s=1), NOTHING)

    assert found.wall_s == pytest.approx(10.0)


def test_a_series_far_away_takes_its_requests_eight_at_a_time():
    found = simulate([Job(slices=80, read_mb=0, cpu_s=0)], Place(1, 1, **FAST, latency_s=0.1), NOTHING)

    assert found.wall_s == pytest.approx(1.0)


def test_the_flow_is_the_limit_when_workers_finish_faster_than_it_answers():
    costs = Costs(commit_cpu_s=0, commit_wait_s=0, written_mb=0, scheduler_s=0.001, flow_s=0.01, batch_s=0)

    found = simulate([Job(slices=1, read_mb=0, cpu_s=0.01)] * 1000, Place(64, 64, **FAST), costs)

    assert found.wall_s == pytest.approx(10.0, rel=0.02)
    assert (found.limit, round(found.scheduler, 1)) == ("flow", 0.1)


def test_a_flow_on_the_workers_machine_takes_their_cores():
    costs = Costs(commit_cpu_s=0, commit_wait_s=0, written_mb=0, scheduler_s=0, flow_s=0.5, batch_s=0)
    jobs = [Job(slices=1, read_mb=0, cpu_s=1.0)] * 20

    alone = simulate(jobs, Place(1, 1, **FAST), costs)
    shared = simulate(jobs, Place(1, 1, **FAST, one_machine=True), costs)

    assert alone.wall_s == pytest.approx(20.5)
    assert shared.wall_s == pytest.approx(30.0)


def test_a_commit_waits_for_storage_without_a_core():
    costs = Costs(commit_cpu_s=1.0, commit_wait_s=2.0, written_mb=0, scheduler_s=0, flow_s=0, batch_s=0)

    found = simulate([Job(slices=1, read_mb=0, cpu_s=0)] * 2, Place(1, 1, **FAST), costs)

    assert found.wall_s == pytest.approx(6.0)
    assert found.cores == pytest.approx(1 / 3)


def test_prefects_server_is_the_limit_when_events_come_faster_than_it_keeps_them():
    costs = Costs(0, 0, 0, 0, flow_s=0.001, batch_s=0, prefect_s=0.004)

    found = simulate([Job(1, 0, 0.0)] * 1000, Place(8, 8, **FAST), costs)

    assert found.wall_s == pytest.approx(4.0, rel=0.01)
    assert (found.limit, round(found.flow, 2)) == ("prefect", 0.25)


def test_every_batch_costs_the_flow_a_task_of_prefect():
    costs = Costs(0, 0, 0, 0, flow_s=0.0, batch_s=1.0, batch_size=2)

    assert simulate([Job(1, 0, 0.0)] * 6, Place(1, 1, **FAST), costs).wall_s == pytest.approx(3.0)
