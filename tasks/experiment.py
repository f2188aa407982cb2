"""The plan of an experiment: a training plan for each arm, and what is known of the arms already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lidcflow.config import Config
from lidcflow.errors import LidcflowError, TrainingError
from lidcflow.learn.arm import ArmResult, find_arm
from lidcflow.learn.comparison import Comparison, compare
from lidcflow.learn.experiments import Arm, experiments_of
from lidcflow.learn.release import inputs_digest
from tasks.snapshot import TrainingPlan, pin_backbone, plan_slices


@dataclass(frozen=True)
class ExperimentPlan:
    """What an experiment is about, and what became of its arms so far.

    Attributes
    ----------
    plans : dict
        By the name of an arm; one that can't be planned is in `failed`.
    known : dict
        Arms that had been trained before.
    failed : dict
        Reasons, by the name of an arm.
    """

    name: str
    question: str
    arms: Sequence[Arm]
    plans: dict[str, TrainingPlan] = field(default_factory=dict)
    known: dict[str, ArmResult] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def waiting(self) -> dict[str, TrainingPlan]:
        """Plans of the arms that are to be trained."""
        return {name: plan for name, plan in self.plans.items() if name not in self.known}

    def compared(self, trained: Mapping[str, ArmResult], failed: Mapping[str, str]) -> Comparison:
        """Compare what is known and what has been trained.

        Raises
        ------
        TrainingError
            If no arm is done.
        """
        done, reasons = {**self.known, **trained}, {**self.failed, **failed}
        if not done:
            arm, reason = next(iter(reasons.items()))
            raise TrainingError(f"experiment {self.name}: at least one arm must be trained, got: {arm}: {reason}")
        return compare(
            self.name, self.question, [(arm, done[arm.name]) for arm in self.arms if arm.name in done], reasons
        )


def arms_folder(config: Config) -> Path:
    """Return the folder that keeps arms that are done, whatever experiments they belong to."""
    return config.workspace / "experiments"


def plan_experiment(name: str, arms: Sequence[Arm], config: Config) -> ExperimentPlan:
    """Plan every arm, and find those that were trained before on the same inputs."""
    plan = ExperimentPlan(name, experiments_of(config)[name].question, arms)
    shared: dict[object, TrainingPlan] = {}
    for arm in arms:
        try:
            plan.plans[arm.name] = planned = _plan(arm.config, shared)
        except LidcflowError as error:
            plan.failed[arm.name] = str(error)
            continue
        if found := find_arm(arms_folder(config), planned.inputs_digest):
            plan.known[arm.name] = found
    return plan


def _plan(config: Config, shared: dict[object, TrainingPlan]) -> TrainingPlan:
    """Plan an arm; labels and snapshot are taken once for all arms on the same volumes, labels and splits."""
    key = (config.store_root, config.labels, config.split)
    if key not in shared:
        shared[key] = plan_slices(config)
    plan, backbone = shared[key], pin_backbone(config)
    digest = inputs_digest(plan.snapshot_digest, backbone.id, config.preprocess.digest, config.train, config.labels)
    return plan.model_copy(update={"config": config, "backbone": backbone, "inputs_digest": digest})
