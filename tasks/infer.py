"""Read a stored volume with a release: probabilities, recommendation, report. Prefect is not imported here."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pydantic import ValidationError

from lidcflow.config import Config
from lidcflow.drift.outlying import NO_PROFILE
from lidcflow.errors import LidcflowError, SeriesRefused
from lidcflow.nodules.finding import Finding
from lidcflow.release.facts import ReleaseFacts
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.folder import UNKNOWN_STUDY
from lidcflow.report.page import DATA, PAGE, write_report
from lidcflow.report.ranges import is_selected_as
from lidcflow.report.recommendation import GeneratedBy, Recommendation, SliceRange
from lidcflow.report.told import told_of
from lidcflow.store.address import inbox_store
from lidcflow.store.volumes import VolumeSummary
from tasks.findings import could_have_candidates_now
from tasks.infer_series import infer_stored
from tasks.series_result import RecommendedFinding, RecommendedRange, SeriesResult
from tasks.tracking.place import Tracking
from tasks.tracking.profiles import release_limits


def page_folder(folder: Path, study_instance_uid: str | None, series_instance_uid: str) -> Path:
    """Return where the report on a series lies."""
    return folder / (study_instance_uid or UNKNOWN_STUDY) / series_instance_uid


def known_results(uids: Collection[str], release: ReleaseRecord, config: Config, folder: Path) -> list[SeriesResult]:
    """Return the existing results that still apply: same volume, same release, same settings."""
    store = inbox_store(config).open()
    facts = release.facts()
    found = (_known_reading(volume, facts, config, folder) for volume in store.summaries(uids))
    return [reading for reading in found if reading]


def infer_series(
    uid: str, release: ReleaseRecord, config: Config, folder: Path, *, plain: bool = False
) -> SeriesResult:
    """Read one stored volume and write its report; `plain` is that of `tasks.infer_series.infer_stored`."""
    found = infer_stored(uid, release, config, plain=plain)
    said = found.recommendation
    page = write_report(said, found.hu, page_folder(folder, said.study_instance_uid, uid), found.planes)
    return result_of(said, page, reused=False)


def report_refused(said: Recommendation, folder: Path) -> SeriesResult:
    """Write the report on a series that can't be read, unless it is there."""
    place = page_folder(folder, said.study_instance_uid, said.series_instance_uid)
    if _stored(place) == said:
        return result_of(said, place / PAGE, reused=True)
    return result_of(said, write_report(said, None, place), reused=False)


def result_of(said: Recommendation, page: Path, *, reused: bool) -> SeriesResult:
    """Sum up a recommendation."""
    told = told_of(said)
    return SeriesResult(
        study_instance_uid=said.study_instance_uid,
        series_instance_uid=said.series_instance_uid,
        verdict=said.verdict,
        reason=said.reason.code if said.reason else None,
        sentence=told.reason,
        findings=tuple(_finding_of(found) for found in said.findings),
        ranges=tuple(_range_of(found) for found in said.ranges),
        slices_left_out=said.slices_left_out,
        warnings=told.warnings,
        told=told,
        page=page,
        reused=reused,
    )


def _finding_of(found: Finding) -> RecommendedFinding:
    fields = RecommendedFinding.model_fields.keys() & Finding.model_fields.keys()
    return RecommendedFinding(image=found.number, **found.model_dump(include=fields))


def _range_of(found: SliceRange) -> RecommendedRange:
    numbers = [image.number for image in found.source_images if image.number is not None]
    return RecommendedRange(
        first_slice=found.first_slice,
        last_slice=found.last_slice,
        first_image=min(numbers, default=None),
        last_image=max(numbers, default=None),
        z_top_mm=found.z_top_mm,
        z_bottom_mm=found.z_bottom_mm,
        nodule_at_peak=found.nodule_at_peak,
    )


def _known_reading(volume: VolumeSummary, release: ReleaseFacts, config: Config, folder: Path) -> SeriesResult | None:
    place = page_folder(folder, volume.study_instance_uid, volume.series_instance_uid)
    said = _stored(place)
    if said is None or said.volume is None or could_have_candidates_now(said, volume):
        return None
    if _can_be_compared_now(said, Tracking.of(config)):
        return None
    same = (said.release, said.volume.volume_digest, said.generated_by)
    wanted = (release, volume.volume_digest, GeneratedBy())
    if same != wanted or not is_selected_as(said, config.infer):
        return None
    return result_of(said, place / PAGE, reused=True)


def _can_be_compared_now(said: Recommendation, tracking: Tracking) -> bool:
    """Return whether the release has got a profile since a reading that had none to be compared with."""
    without = any(one.code == NO_PROFILE.code for one in said.warnings)
    return without and release_limits(said.release.version, tracking) is not None


def _stored(place: Path) -> Recommendation | None:
    """Return the recommendation of a report that is there whole."""
    if not (place / PAGE).is_file():
        return None
    try:
        return Recommendation.model_validate_json((place / DATA).read_bytes())
    except (OSError, ValidationError):
        return None


def refusal_from(uid: str, error: Exception) -> SeriesRefused:
    """Return why one series is set aside for its error; raise an error that is everyone's."""
    if isinstance(error, SeriesRefused):
        return error
    if isinstance(error, LidcflowError):
        raise error
    return SeriesRefused(
        "failed",
        f"series {uid}: must be processed without an error, got {type(error).__name__}; report this with the type",
    )
