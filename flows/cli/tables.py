"""Tables that several commands print: a release, and what was said of studies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.cli.output import NOTICE, print_line, print_table
from flows.cli.sources import others_line

if TYPE_CHECKING:
    from flows.infer import InferReport
    from lidcflow.release.record import ReleaseRecord
    from tasks.infer import SeriesReading


def print_release(record: ReleaseRecord, *, champion: bool, remark: str = "") -> None:
    """Print the sector models of a release, its figures on the test patients, and how it stands."""
    columns = ("sector", "slices", "trained on", "benign", "malignant", "AUROC validation", "AUROC test", "model")
    title = f"{record.name} version {record.version}{remark and f': {remark}'}"
    print_table(title, columns, _sector_rows(record))
    print_line(_on_test(record))
    print_line(_threshold(record))
    print_gate(record)
    print_line(_standing(record, champion))


def print_gate(record: ReleaseRecord) -> None:
    """Print what each rule of the gate measured, and why the release passed or not."""
    from lidcflow.release.card import gate_sentence
    from lidcflow.release.rules import check_rows

    if record.gate.checks:
        columns = ("rule", "patients", "measured", "outcome")
        print_table("Gate, with 95% intervals by paired bootstrap", columns, check_rows(record.gate.checks))
    print_line(gate_sentence(record))


def print_readings(report: InferReport) -> None:
    """Print the recommended ranges of each series, and where its page is."""
    columns = ("slices", "source images", "z in mm", "P(nodule)")
    for reading in report.readings:
        print_line(f"\nStudy {reading.study_instance_uid or 'unknown'}\nSeries {reading.series_instance_uid}")
        if reading.ranges:
            print_table("Slices to look at", columns, _range_rows(reading))
        else:
            print_line(reading.sentence or "Nothing above the threshold; the page shows the five highest slices.")
        for warning in reading.warnings:
            print_line(f"Warning: {warning}")
        print_line(str(reading.page))
        if beside := reading.undocumented or reading.documents:
            print_line(f"DICOM documents: {beside}")
    if beside_ct := others_line(report.others):
        print_line(f"\n{beside_ct}")
    print_line(f"\n{_in_short(report)}")


def _sector_rows(record: ReleaseRecord) -> list[tuple[Any, ...]]:
    return [
        (
            pin.sector,
            span(pin.first_slice, pin.last_slice),
            pin.training.total,
            pin.training.benign,
            pin.training.malignant,
            pin.validation["auroc_nodule"],
            pin.test["auroc_nodule"],
            f"all sectors: {pin.reason}" if pin.fallback else f"{pin.model_name} version {pin.version}",
        )
        for pin in record.sectors
    ]


def _on_test(record: ReleaseRecord) -> str:
    test = record.metrics["test"]
    ours, prior, even = test.release, test.sector_prior, test.uniform
    return (
        f"On {test.patients} test patients at natural prevalence, 95% intervals in brackets: slice AUROC "
        f"{ours['auroc_nodule']}, sector prior {prior['auroc_nodule']}; nodules found in 5 slices "
        f"{ours['sensitivity_at_5']}, even steps {even['sensitivity_at_5']}; in 10 slices "
        f"{ours['sensitivity_at_10']}, even steps {even['sensitivity_at_10']}."
    )


def _threshold(record: ReleaseRecord) -> str:
    found, target = record.threshold, f"chosen for {record.train.target_sensitivity:.0%} of validation's nodule slices"
    if found is None:
        return f"Threshold P(nodule) {record.threshold_nodule:.3f}, {target}."
    return (
        f"Threshold P(nodule) {found.value:.3f}, {target}. Sensitivity there {found.validation.sensitivity} with "
        f"{found.validation.slices_above} of all slices above it; on test {found.test.sensitivity} with "
        f"{found.test.slices_above}."
    )


def _standing(record: ReleaseRecord, champion: bool) -> str:
    if champion:
        return f"It is the champion: `lidcflow infer SRC` reads with it. {NOTICE}"
    by_force = "" if record.gate.passed else " --force --reason ..."
    return f"It is not the champion; `lidcflow promote {record.version}{by_force}` would put it in force. {NOTICE}"


def _range_rows(reading: SeriesReading) -> list[tuple[Any, ...]]:
    return [
        (
            span(found.first_slice, found.last_slice),
            span(found.first_image, found.last_image),
            f"{found.z_top_mm:.1f} to {found.z_bottom_mm:.1f}",
            f"{found.nodule_at_peak:.2f}",
        )
        for found in reading.ranges
    ]


def span(first: int | None, last: int | None) -> str | None:
    """Write a run of numbers.

    Examples
    --------
    >>> span(3, 5), span(4, 4)
    ('3 to 5', '4')
    """
    if first is None or first == last:
        return None if first is None else str(first)
    return f"{first} to {last}"


def _in_short(report: InferReport) -> str:
    kinds = [f"{len(report.readings)} series read with {report.release}"]
    kinds += [f"{report.reused} of them unchanged and reused"] if report.reused else []
    kinds += [f"{report.refused} not evaluated"] if report.refused else []
    kinds += [f"{report.undocumented} without the DICOM documents asked for"] if report.undocumented else []
    kinds += [f"{report.kept_out} not read because they were erased here"] if report.kept_out else []
    return f"{', '.join(kinds)}. {NOTICE}"
