"""The order in which a training's run gets its figures, which is that of MLflow's page."""

from unittest.mock import Mock

from lidcflow.stats.estimate import Estimate
from tasks.training_run import log_release


def test_the_figures_that_people_compare_are_logged_before_all_others(release_record):
    found = {
        "log_loss": Estimate(value=0.3),
        "auroc_nodule": Estimate(value=0.8),
        "sensitivity_at_5": Estimate(value=1),
    }
    figures = release_record.metrics["test"].model_copy(update={"release": found})
    run = Mock()

    log_release(run, release_record.model_copy(update={"metrics": {"validation": figures, "test": figures}}))

    first, second, *others = (call.args[0] for call in run.metrics.call_args_list)
    assert first == {"AUROC of slices": 0.8, "Nodules in 5 slices": 1.0}
    assert second == {"AUROC of slices on test": 0.8, "Nodules in 5 slices on test": 1.0}
    assert all("/" in name for logged in others for name in logged)
