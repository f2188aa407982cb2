from tasks.tracking.connection import connect
from tasks.tracking.nodule_comparison import log_nodule_comparison
from tests.experiment.nodule_comparisons import small_comparison


def test_an_experiment_on_nodules_is_a_run_with_its_page(tracking):
    run_id = log_nodule_comparison(small_comparison(), {"report.html": "<p>page"}, tracking)

    run = connect(tracking).get_run(run_id)
    history = connect(tracking).get_metric_history(run_id, "auroc/S12 vs S45")
    assert (run.info.run_name, run.info.status) == ("experiment nodulex", "FINISHED")
    assert [(point.step, point.value) for point in history] == [(1, 0.75), (2, 1.0)]
    assert [file.path for file in connect(tracking).list_artifacts(run_id)] == ["report.html"]
