"""Tell a Prefect server what runs when: ``python -P -m flows.service.deploy < config.json``.

A process of its own, started with ``PREFECT_API_URL``, so that `lidcflow up` need not keep Prefect and the
flows' imports in memory for months.
"""

import json
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.schedules import Schedule as PrefectSchedule
from prefect.states import Crashed
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker

from flows.service.schedules import Deployment, Schedule, Trigger, scheduled
from lidcflow.config import Config

OWN_TAG = "lidcflow"
LACKS = "lacks "
ONE_AT_A_TIME = "training"
"""Queue of what trains: one training fills the GPUs, and two at once would be judged by the same champion."""

UNFINISHED = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


def deploy_afresh(config: Config) -> dict[str, bool]:
    """Deploy to a server whose worker does not run yet: also end what nobody works on any more, and what was missed."""
    with get_client(sync_client=True) as client:
        end_abandoned_runs(client)
        paused = deploy(config)
        for name in paused:
            drop_missed_runs(client, name, paused=paused[name])
    return paused


def deploy(config: Config) -> dict[str, bool]:
    """Make the work pool, its queues and the deployments.

    Returns
    -------
    dict of str to bool
        Name of each deployment, and whether it is paused.
    """
    with get_client(sync_client=True) as client:
        deployments = scheduled(config)
        for pool in {deployment.work_pool.name for deployment in deployments}:
            _make_pool(client, pool)
            _make_queue(client, pool, ONE_AT_A_TIME)
        return {deployment.name: _apply(client, deployment) for deployment in deployments}


def end_abandoned_runs(client: SyncPrefectClient) -> None:
    """Mark the deployments' unfinished runs as crashed; call it while no worker runs.

    A run that was killed stays "Running" for ever and keeps its place in the concurrency limit: no other run of
    its deployment would ever start.
    """
    unfinished = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNFINISHED)),
        deployment_id=FlowRunFilterDeploymentId(is_null_=False),
    )
    for run in client.read_flow_runs(flow_run_filter=unfinished):
        client.set_flow_run_state(run.id, Crashed(message="the worker was stopped during this run"))


def drop_missed_runs(client: SyncPrefectClient, deployment: str, *, paused: bool) -> None:
    """Delete runs that were due while nothing served, up to the newest: it makes up for all of them."""
    due = client.read_flow_runs(
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
    )
    for run in superfluous(due, paused=paused):
        client.delete_flow_run(run.id)


def superfluous(due: list[FlowRun], *, paused: bool) -> list[FlowRun]:
    """Return the runs to drop of those that are due, newest first; what people asked for by hand stays."""
    scheduled_runs = [run for run in due if run.auto_scheduled]
    return scheduled_runs if paused else scheduled_runs[1:]


def _make_pool(client: SyncPrefectClient, name: str) -> None:
    """Make a pool whose worker starts processes; one of another type, which somebody else made, stays as it is.

    A pool that an earlier version made gets the new template.
    """
    with suppress(ObjectNotFound):
        if client.read_work_pool(name).type != ProcessWorker.type:
            return
    pool = WorkPoolCreate(
        name=name,
        type=ProcessWorker.type,
        description="Runs lidcflow's flows as processes of the machine that its worker is on.",
        base_job_template=job_template(),
    )
    client.create_work_pool(pool, overwrite=True)


def job_template() -> dict[str, Any]:
    """Return what a worker starts for a run: Prefect's engine in the worker's environment, and nothing else.

    The template has no variables: a run or a deployment could set its command, environment and working folder in
    Prefect's own one, which runs whatever they name.
    """
    template: dict[str, Any] = json.loads(files("deployments").joinpath("work-pool.json").read_text("utf-8"))
    return template


def _make_queue(client: SyncPrefectClient, pool: str, name: str) -> None:
    """Make a queue whose runs take turns, whichever of its deployments they are of."""
    try:
        queue = client.read_work_queue_by_name(name, work_pool_name=pool)
    except ObjectNotFound:
        queue = client.create_work_queue(name, work_pool_name=pool)
    client.update_work_queue(queue.id, concurrency_limit=1)


def to_prefect(deployment: Deployment, flow: Flow[..., Any], *, paused: bool) -> RunnerDeployment:
    """Return a deployment as Prefect's client takes it; its worker imports the flow from the installed package."""
    return RunnerDeployment.from_flow(
        flow,
        name=deployment.name,
        description=deployment.description,
        tags=[*deployment.tags, *_lack(deployment)],
        parameters=deployment.parameters,
        schedules=[_prefect_schedule(schedule) for schedule in deployment.schedules],
        triggers=[] if paused else [_prefect_trigger(deployment.name, trigger) for trigger in deployment.triggers],
        concurrency_limit=_prefect_limit(deployment),
        work_pool_name=deployment.work_pool.name,
        work_queue_name=deployment.work_pool.work_queue_name,
        paused=paused,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def _apply(client: SyncPrefectClient, deployment: Deployment) -> bool:
    flow: Flow[..., Any] = load_flow_from_entrypoint(deployment.entrypoint, use_placeholder_flow=False)
    paused = _stays_paused(client, flow, deployment)
    drop_moved(client, deployment.name, flow.name)
    to_prefect(deployment, flow, paused=paused).apply()
    return paused


def drop_moved(client: SyncPrefectClient, deployment: str, flow: str) -> None:
    """Delete what an earlier version deployed under the name for another flow: Prefect would go on running both."""
    named = DeploymentFilter(name=DeploymentFilterName(any_=[deployment]), tags=DeploymentFilterTags(all_=[OWN_TAG]))
    for found in client.read_deployments(deployment_filter=named):
        if client.read_flow(found.flow_id).name != flow:
            client.delete_deployment(found.id)


def _stays_paused(client: SyncPrefectClient, flow: Flow[..., Any], deployment: Deployment) -> bool:
    """Tell whether a deployment lacks its source, or was paused by hand while it had one."""
    try:
        before = client.read_deployment_by_name(f"{flow.name}/{deployment.name}")
    except ObjectNotFound:
        return deployment.paused
    return deployment.paused or (before.paused and not any(tag.startswith(LACKS) for tag in before.tags))


def _lack(deployment: Deployment) -> list[str]:
    """Return the tag by which a pause is known that was nobody's choice: it ends once the source is configured."""
    return [f"{LACKS}{deployment.missing}"] if deployment.missing else []


def _prefect_trigger(name: str, trigger: Trigger) -> DeploymentEventTrigger:
    return DeploymentEventTrigger(name=f"{name} on {', '.join(trigger.expect)}", expect=set(trigger.expect))


def _prefect_schedule(schedule: Schedule) -> PrefectSchedule:
    return PrefectSchedule(
        cron=schedule.cron,
        interval=timedelta(seconds=schedule.interval) if schedule.interval else None,
        timezone=schedule.timezone,
        slug=schedule.slug,
    )


def _prefect_limit(deployment: Deployment) -> ConcurrencyLimitConfig:
    limit = deployment.concurrency_limit
    return ConcurrencyLimitConfig(
        limit=limit.limit, collision_strategy=ConcurrencyLimitStrategy(limit.collision_strategy)
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(deploy_afresh(Config.model_validate_json(sys.stdin.read()))))
