"""A backbone from outside the package, kept in the registry once for each digest."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import TrainConfig
from lidcflow.learn.backbones import load_backbone
from lidcflow.learn.release import BackbonePin
from tasks.snapshot import TrainingPlan
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.runs import run_of


def is_in_the_package(config: TrainConfig) -> bool:
    """Tell whether the backbone is the compact one that is installed with lidcflow."""
    return config.backbone == "compact" and config.backbone_weights is None


@task(task_run_name="register {plan.backbone.id}", cache_policy=NO_CACHE)
def register_backbone(plan: TrainingPlan, run_id: str) -> BackbonePin:
    """Register the backbone unless the registry has it, and return its pin."""
    tracking = Tracking.of(plan.config)
    name = f"{tracking.registry_name}.backbone.{plan.backbone.id}"
    version = registry.newest_version(tracking, name) or _register(name, plan, tracking, run_id)
    sha256 = registry.digest_of_version(tracking, name, version)
    return plan.backbone.model_copy(update={"model_name": name, "version": version, "model_sha256": sha256})


def _register(name: str, plan: TrainingPlan, tracking: Tracking, run_id: str) -> int:
    # Keras is for the workers: the flow's process, which imports this module too, stays small.
    from tasks.tracking.models import log_model

    model, backbone = load_backbone(plan.config.train, plan.config.preprocess.size)
    logged = log_model(run_of(tracking, run_id), tracking, model, "backbone")
    return registry.register_model(
        tracking,
        name,
        source=logged.uri,
        run_id=run_id,
        model_id=logged.model_id,
        sha256=logged.sha256,
        description=f"Images of slices to {backbone.feature_dim} features; weight file SHA-256 {backbone.digest}. "
        "Research use only.",
    )
