"""Check whether retraining is due; if so train, evaluate and apply the gate; report the reason in one sentence."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, cast

from prefect import get_run_logger
from prefect.states import Completed, State
from pydantic import BaseModel

from flows.config import ParameterHelp, Settings, resolve_config
from flows.evaluate import evaluate
from flows.flow import flow
from flows.train import TrainReport, train
from lidcflow.config import Config
from lidcflow.errors import LidcflowError, ResourceError, TrainingError
from lidcflow.release.last_check import Failure, Outcome, RetrainingCheck, keep_check, last_retraining_check
from lidcflow.release.retraining import Changes
from tasks.publish import publish_text
from tasks.retraining import Stock, assess_changes
from tasks.run_page import name_run
from tasks.tracking import registry
from tasks.tracking.connection import Tracking


class RetrainReport(BaseModel):
    """The result of a check.

    Parameters
    ----------
    outcome : str
        ``not-due``; ``reused`` where a release of exactly this was there; ``promoted`` or ``refused`` by the gate.
    why : str
        A sentence.
    changes : Changes
        What has changed since the newest release.
    version, champion : int, optional
        The release that was made or found, and the one in force now.
    page : Path, optional
        The evaluation of a new release.
    """

    outcome: Outcome
    why: str
    changes: Changes
    version: int | None = None
    champion: int | None = None
    page: Path | None = None
    seconds: float = 0.0
    notice: str = "Research use only."


@flow(name="retrain")
def retrain(
    config: Settings = None, force: Annotated[bool, ParameterHelp("Train although it is not time.")] = False
) -> RetrainReport:
    """Train when enough has changed since the newest release, or when forced; a failure leaves all as it was.

    Parameters
    ----------
    config : Config, optional
        Settings over those of the worker.
    force : bool
        Train although it is not time.
    """
    started_s, config = time.monotonic(), resolve_config(config)
    stock = assess_changes(config, force=force)
    report = trained_and_judged(stock, config) if stock.decision.due else not_due(stock, config)
    name_run(f"retrain: {named_outcome(report)}", config, report.outcome)
    ended = publish_retraining(
        report.model_copy(update={"seconds": round(time.monotonic() - started_s, 3)}), config.workspace
    )
    return cast(RetrainReport, ended)  # callers of a flow get the data of the state that it returns


def named_outcome(report: RetrainReport) -> str:
    """Return the result of a check, in two or four words.

    Examples
    --------
    >>> named_outcome(RetrainReport(outcome="promoted", why="", changes=Changes(), version=3))
    'promoted, version 3'
    """
    outcome = report.outcome.replace("-", " ")
    return outcome if report.version is None else f"{outcome}, version {report.version}"


def trained_and_judged(stock: Stock, config: Config) -> RetrainReport:
    """Train and evaluate; the gate stands within the training.

    Raises
    ------
    TrainingError
        If the training fails; the release in force stays so.
    ResourceError
        If something outside of it is missing: the next check tries again.
    """
    try:
        trained = train(config, choices=dict(stock.choices))
    except Exception as error:
        raise record_failure(error, stock, config) from error
    report = judged(trained, stock, config)
    return report if trained.reused else evaluated(report, config)


def judged(trained: TrainReport, stock: Stock, config: Config) -> RetrainReport:
    """Return the outcome of a training."""
    version, gate, champion = trained.release.version, trained.release.gate, champion_in_force(config)
    outcome: Outcome = "reused" if trained.reused else "promoted" if trained.champion else "refused"
    made = f"Version {version} was trained because {stock.decision.why}"
    sentences = {
        "reused": f"Nothing was trained: {stock.decision.why}, but version {version} was made from exactly this.",
        "promoted": f"{made}, and is in force: {gate.reason}.",
        "refused": f"{made}, but the gate refused it: {gate.reason}; {champion_sentence(champion)}.",
    }
    return RetrainReport(
        outcome=outcome, why=sentences[outcome], changes=stock.changes, version=version, champion=champion
    )


def evaluated(report: RetrainReport, config: Config) -> RetrainReport:
    """Evaluate the new release on its test patients; one that can't be evaluated stays, and says so."""
    try:
        return report.model_copy(update={"page": evaluate(config, str(report.version)).page})
    except Exception as error:
        remark = f"Its evaluation failed with {type(error).__name__}; run `lidcflow evaluate {report.version}`."
        return report.model_copy(update={"why": f"{report.why} {remark}"})


def not_due(stock: Stock, config: Config) -> RetrainReport:
    """Return why nothing is trained."""
    why = f"Nothing was trained: {stock.decision.why}."
    return RetrainReport(outcome="not-due", why=why, changes=stock.changes, champion=champion_in_force(config))


def record_failure(error: Exception, stock: Stock, config: Config) -> LidcflowError:
    """Keep and publish that a training failed, and return the error that ends the run."""
    stays = champion_sentence(champion_in_force(config))
    why = f"{stock.decision.why}, but the training failed with {type(error).__name__}; {stays}"
    last, passing = last_retraining_check(config.workspace), isinstance(error, ResourceError)
    failure = Failure(at=datetime.now(UTC), error=type(error).__name__, inputs=stock.inputs)
    kept = (last and last.failure) if passing else failure
    keep_check(config.workspace, RetrainingCheck(checked=failure.at, outcome="failed", why=f"{why}.", failure=kept))
    publish_text("retraining", f"{why}: {error}\n\nResearch use only.", "Why nothing new is in force")
    sentence = f"retraining: it was time, because {why}: {error}"
    return ResourceError(sentence) if passing else TrainingError(sentence)


def publish_retraining(report: RetrainReport, workspace: Path) -> State[RetrainReport]:
    """Put the sentence where people look: log, page and state of the run, and `lidcflow status`."""
    get_run_logger().info(report.why)
    publish_text("retraining", f"{report.why}\n\nChanges: {report.changes}.\n\n{report.notice}", "Why, or why not")
    last = last_retraining_check(workspace)
    kept = last.failure if last and report.outcome == "not-due" else None
    check = RetrainingCheck(
        checked=datetime.now(UTC), outcome=report.outcome, why=report.why, version=report.version, failure=kept
    )
    keep_check(workspace, check)
    return Completed(name=report.outcome.replace("-", " ").capitalize(), message=report.why, data=report)


def champion_in_force(config: Config) -> int | None:
    """Return the version in force, if there is one."""
    return registry.champion_version(Tracking.of(config))


def champion_sentence(champion: int | None) -> str:
    """Describe what inference reads with."""
    return "no release is in force" if champion is None else f"version {champion} stays in force"
