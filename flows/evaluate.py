"""Measure a registered release on the held-out patients of its own snapshot, and leave a page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from flows.config import ParameterHelp, Settings, resolve_config
from flows.flow import flow
from lidcflow.catalog.locks import at_work
from lidcflow.config import Config
from lidcflow.evaluate.measure import Answers, measure
from lidcflow.evaluate.page import write_evaluation
from lidcflow.evaluate.record import ReleaseEvaluation
from lidcflow.learn.folds import fold_snapshots, members_by_series
from lidcflow.learn.snapshot import Snapshot, class_counts
from lidcflow.release.record import ReleaseRecord
from lidcflow.store.address import training_store
from tasks.candidate_scores import evidence_of
from tasks.cluster.open import cluster_for
from tasks.features import compute_features
from tasks.feedback import feedback_on
from tasks.held_out import HeldOutSplit, config_of_release, lacking_features, load_snapshot, read_split
from tasks.held_out_answers import height_of, prior_of
from tasks.predict import NO_FOLDS, Members, answer_in_parts, predict_globally
from tasks.profile import unlike_training
from tasks.progress import listening, stage
from tasks.publish import ProgressArtifact
from tasks.release import log_evaluation
from tasks.release_folder import release_facts_folder
from tasks.run_page import name_run
from tasks.tracking import registry
from tasks.tracking.connection import Tracking, require_active_run, tracking_connection
from tasks.tracking.retry import call_until_available
from tasks.tracking.runs import run_of

HeldOutName = Literal["test", "validation"]


class EvaluateReport(BaseModel):
    """The figures of a release, and the page that shows them."""

    evaluation: ReleaseEvaluation
    page: Path
    seconds: float
    notice: str = "Research use only."


@flow(name="evaluate")
def evaluate(
    config: Settings = None,
    release: Annotated[str, ParameterHelp("Version or alias.")] = "champion",
    split: Annotated[HeldOutName, ParameterHelp("Which patients.")] = "test",
    out: Annotated[Path | None, ParameterHelp("Folder of the page; nothing: the release's own.")] = None,
    feedback: Annotated[bool, ParameterHelp("Sum up what readers marked on its reports, too.")] = False,
) -> EvaluateReport:
    """Measure a release, by version or alias; the page goes to the release's folder, or to `out`, and to its run.

    Parameters
    ----------
    config : Config, optional
        Settings over those of the worker.
    release : str
        Version or alias.
    split : str
        Which patients: test or validation.
    out : Path, optional
        Folder of the page.
    feedback : bool
        Whether what readers marked on its reports is summed up too.
    """
    started_s, config = time.monotonic(), resolve_config(config)
    tracking = Tracking.of(config)
    record = registry.load_release(tracking, release)
    name_run(f"evaluate {record.name} version {record.version} on {split}", config)
    run_id = registry.training_of(tracking, record.version)
    require_active_run(tracking, run_id)
    trained = config_of_release(record, config)
    snapshot = load_snapshot(record, trained, run_id)
    held_out = read_split(record, snapshot, split, trained)
    members = members_by_series(snapshot, split, len(record.folds), record.split.seed)
    with at_work(config.workspace, "evaluate", catalog=config.catalog):
        answers = score_held_out(record, snapshot, held_out, trained, members)
    with stage("measure", total=1) as progress:
        evaluation = measure(record, split, held_out.truth, answers)
        if feedback:
            said = feedback_on(record, config)
            evaluation = evaluation.model_copy(update={"feedback": said})
        progress.advance()
    page = write_evaluation(evaluation, (out or release_facts_folder(record, config.reports_path) / split).absolute())
    log = partial(keep_on_run, tracking, run_id, evaluation, page.parent)
    call_until_available(
        log, config.tracking.wait_s, kept=f"the page is {page}, and `lidcflow evaluate` again would log it"
    )
    return EvaluateReport(evaluation=evaluation, page=page, seconds=round(time.monotonic() - started_s, 3))


def score_held_out(
    record: ReleaseRecord, snapshot: Snapshot, held_out: HeldOutSplit, config: Config, members: Members = NO_FOLDS
) -> Answers:
    """Predict the held-out series with the release and the model of the whole chest, on a cluster with Keras.

    In a cross-validation the fold of `members` answers for each series: it was not trained on the patient.
    """
    lacking = lacking_features(record, held_out.uids, config)
    with (
        listening(ProgressArtifact()),
        cluster_for(config, "read", training_store(config)) as cluster,
    ):
        if lacking:
            compute_features(lacking, record.backbone.id, config, cluster.address)
        unlike = unlike_training(record, held_out.uids, config, cluster.address)
        own = answer_in_parts(record, held_out.uids, config, cluster.address, unlike, members)
        everywhere = predict_globally(record, held_out.uids, snapshot, config, cluster.address, members)
    training = snapshot.table if record.folds else snapshot.rows("train")
    counts = np.array(class_counts(training), dtype=np.float64)
    return Answers(
        release=own.release,
        everywhere=everywhere,
        prior=known_before(prior_of, record, snapshot, held_out.uids, members),
        height=known_before(height_of, record, snapshot, held_out.uids, members),
        shares=counts / counts.sum(),
        sectors=own.sectors,
        findings=own.findings,
        marks=evidence_of(own.scored, held_out.readings, config).marks_of(held_out.uids) if record.nodules else (),
    )


def known_before(
    learned: Callable[[pd.DataFrame, int], NDArray[np.float64]],
    record: ReleaseRecord,
    snapshot: Snapshot,
    uids: Sequence[str],
    members: Members,
) -> NDArray[np.float64]:
    """Return what a baseline learns from training patients; in a cross-validation for each series, from its fold's."""
    slices = record.preprocess.slices
    if not members:
        return learned(snapshot.rows("train"), slices)
    folds = fold_snapshots(snapshot, len(record.folds), record.split.seed)
    by_fold = [learned(of_fold.rows("train"), slices) for of_fold in folds]
    return np.stack([by_fold[members[uid]] for uid in uids])


def keep_on_run(tracking: Tracking, run_id: str, evaluation: ReleaseEvaluation, folder: Path) -> None:
    """Log page and figures on the run that trained the release, where MLflow shows them."""
    with tracking_connection(tracking):
        log_evaluation(run_of(tracking, run_id), evaluation, folder)
