"""Pictures of an evaluation."""

from lidcflow.evaluate.plots import sector_auroc


def test_a_sector_without_nodules_is_drawn_without_a_mark(evaluation):
    sector = evaluation.sectors[0]
    undefined = {"auroc_nodule": sector.slices.natural["auroc_nodule"].model_copy(update={"value": None})}
    without = sector.slices.model_copy(update={"natural": undefined, "balanced": undefined})

    (axis,) = sector_auroc([sector.model_copy(update={"slices": without})]).axes

    assert not [line for line in axis.lines if line.get_marker() == "o" and len(line.get_xdata())]
