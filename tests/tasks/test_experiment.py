import pytest

from lidcflow.errors import TrainingError
from tasks.experiment import ExperimentPlan


def test_an_experiment_whose_arms_all_fail_says_why():
    plan = ExperimentPlan("mine", "", arms=[])

    with pytest.raises(TrainingError, match="experiment mine: at least one arm must be trained, got: a: no loss"):
        plan.compared({}, {"a": "no loss"})
