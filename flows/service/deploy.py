"""Register with a Prefect server what runs when: ``python -P -m flows.service.deploy < config.json``.

A process of its own, started with ``PREFECT_API_URL``, so that `lidcflow up` need not keep Prefect and the
flows' imports in memory for months.
"""

import json
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.resources import files
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName, DeploymentFilterTags
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, StateType
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import RunnerDeployment
from prefect.events import DeploymentEventTrigger
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.schedules import Schedule as PrefectSchedule
from prefect.states import Crashed
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker

from flows.service.run_queries import read_runs
from flows.service.schedules import INBOX, Deployment, Schedule, Trigger, last_due, scheduled
from lidcflow.config import Config

OWN_TAG = "lidcflow"
LACKS = "lacks "
CAUGHT_UP = "caught-up"
"""Tag of a run that makes up for a missed one."""

ONE_AT_A_TIME = "training"
"""Queue of what trains: one training fills the GPUs, and two at once would be judged by the same champion."""

UNFINISHED = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


def deploy_afresh(config: Config) -> dict[str, bool]:
    """Deploy for a `lidcflow up` whose worker does not run yet, and put what its last end left behind in order.

    Runs that nobody works on any more end as crashed, and overdue runs of schedules are dropped. In their place a
    schedule that was missed gets one run, now, see `catch_up`.
    """
    with get_client(sync_client=True) as client:
        end_abandoned_runs(client)
        paused = deploy(config, polled=True)
        known = {found.name: found for found in client.read_deployments() if OWN_TAG in found.tags}
        for deployment in scheduled(config):
            drop_missed_runs(client, deployment.name)
            if not paused[deployment.name]:
                catch_up(client, deployment, known[deployment.name])
    return paused


def deploy(config: Config, *, polled: bool = False) -> dict[str, bool]:
    """Make the work pool, its queues and the deployments.

    Parameters
    ----------
    polled : bool
        Whether `flows.service.poller` keeps the interval of the inbox, so that its deployment needs no schedule.

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
        paused = {deployment.name: _apply(client, deployment) for deployment in deployments}
        for deployment in deployments:
            if polled and deployment.name == INBOX:
                unschedule(client, deployment)
        return paused


def unschedule(client: SyncPrefectClient, deployment: Deployment) -> None:
    """Delete the schedules that lidcflow gave a deployment, with the runs they have made."""
    slugs = {schedule.slug for schedule in deployment.schedules}
    for found in client.read_deployments(deployment_filter=_named(deployment.name)):
        for schedule in found.schedules:
            if schedule.slug in slugs:
                client.delete_deployment_schedule(found.id, schedule.id)


def end_abandoned_runs(client: SyncPrefectClient) -> None:
    """Mark the deployments' unfinished runs as crashed; call it while no worker runs.

    A run that was killed stays "Running" for ever and keeps its place in the concurrency limit: no other run of
    its deployment would ever start.
    """
    for run in read_runs(client, states=UNFINISHED):
        client.set_flow_run_state(run.id, Crashed(message="the worker was stopped during this run"))


def drop_missed_runs(client: SyncPrefectClient, deployment: str) -> None:
    """Delete a schedule's runs that were due while nothing served; what people asked for by hand stays."""
    for run in read_runs(client, deployment, states=[StateType.SCHEDULED], due_before=datetime.now(UTC)):
        if run.auto_scheduled:
            client.delete_flow_run(run.id)


def catch_up(client: SyncPrefectClient, deployment: Deployment, known: DeploymentResponse) -> None:
    """Start one run now if the last due time of a cron passed without one: nothing served then, or it was cut off.

    However often it is asked, and however its run ends, there is one for each due time. What was deployed after the
    due time has missed nothing.
    """
    for schedule in deployment.schedules:
        due = last_due(schedule, datetime.now(UTC))
        if due and known.created and known.created < due and not _ran_since(client, known.id, due):
            client.create_flow_run_from_deployment(
                known.id, idempotency_key=f"{deployment.name} due {due.isoformat()}", tags=[CAUGHT_UP]
            )


def _ran_since(client: SyncPrefectClient, deployment_id: UUID, due: datetime) -> bool:
    """Return whether a run began at a due time or after it and was not cut off; whoever asked for it."""
    return bool(read_runs(client, deployment_id, other_than=[StateType.CRASHED], begun_after=due, limit=1))


def _make_pool(client: SyncPrefectClient, name: str) -> None:
    """Make a pool whose worker starts processes; an existing pool of another type stays as it is.

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
    flow = load_flow(deployment.entrypoint)
    paused = _stays_paused(client, flow, deployment)
    drop_moved(client, deployment.name, flow.name)
    to_prefect(deployment, flow, paused=paused).apply()
    return paused


def load_flow(entrypoint: str) -> Flow[..., Any]:
    """Load a flow of this package.

    Prefect puts the working folder first on the path while it imports, where a user may have a `tasks.py` of his own:
    what has been imported before is not looked for there.
    """
    import_module(entrypoint.rpartition(".")[0])
    return load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False)


def drop_moved(client: SyncPrefectClient, deployment: str, flow: str) -> None:
    """Delete what an earlier version deployed under the name for another flow: Prefect would go on running both."""
    for found in client.read_deployments(deployment_filter=_named(deployment)):
        if client.read_flow(found.flow_id).name != flow:
            client.delete_deployment(found.id)


def _named(deployment: str) -> DeploymentFilter:
    """Return the filter for lidcflow's own deployments of a name."""
    return DeploymentFilter(name=DeploymentFilterName(any_=[deployment]), tags=DeploymentFilterTags(all_=[OWN_TAG]))


def _stays_paused(client: SyncPrefectClient, flow: Flow[..., Any], deployment: Deployment) -> bool:
    """Return whether a deployment lacks its source, or was paused by hand while it had one."""
    try:
        before = client.read_deployment_by_name(f"{flow.name}/{deployment.name}")
    except ObjectNotFound:
        return deployment.paused
    return deployment.paused or (before.paused and not any(tag.startswith(LACKS) for tag in before.tags))


def _lack(deployment: Deployment) -> list[str]:
    """Return the tag by which a pause is known that was nobody's choice: it ends once the source is configured."""
    return [f"{LACKS}{deployment.missing}"] if deployment.missing else []


def _prefect_trigger(name: str, trigger: Trigger) -> DeploymentEventTrigger:
    title = f"{name} on {', '.join(trigger.expect)}"
    return DeploymentEventTrigger(name=title, expect=set(trigger.expect), parameters=trigger.parameters or None)


def _prefect_schedule(schedule: Schedule) -> PrefectSchedule:
    return PrefectSchedule(
        cron=schedule.cron,
        interval=timedelta(seconds=schedule.interval) if schedule.interval else None,
        anchor_date=schedule.anchor_date,
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
