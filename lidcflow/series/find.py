"""Find the CT series of a source: headers only, grouped by SeriesInstanceUID, each with its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from lidcflow.config import PreprocessConfig
from lidcflow.dicom.records import VerdictReason
from lidcflow.errors import EmptySource, SourceError
from lidcflow.headers.from_pacs import SeriesHeaders
from lidcflow.headers.groups import HeaderGroups
from lidcflow.headers.header import Header, Unread
from lidcflow.headers.reader import HeaderReader
from lidcflow.series.judge import DEFAULT, judge_series
from lidcflow.series.shared import SeenInstances, refuse_shared
from lidcflow.series.slices import SliceShelf
from lidcflow.series.verdicts import Index, OtherFiles, Verdict
from lidcflow.source.files import Listing, parent_of
from lidcflow.source.folder import list_folder


def index_folder(
    root: Path,
    *,
    secret: bytes,
    config: PreprocessConfig = DEFAULT,
    on_progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> Index:
    """Find every series under a folder, whatever its layout, and judge each by its headers.

    Parameters
    ----------
    root : Path
        Folder; links are followed, and each folder is entered once.
    secret : bytes
        Key of the patient hash.
    config : PreprocessConfig
        What the series are wanted for: their z range, and what to do with gaps.
    on_progress : callable, optional
        Called with files read and files in all.
    workers : int
        Processes that read headers, when there are more than `POOL_FROM` files.

    Returns
    -------
    Index
        A sequence of `Verdict`, by SeriesInstanceUID.

    Raises
    ------
    SourceError
        If the folder is missing.
    EmptySource
        If it holds no DICOM image.
    """
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise SourceError(f"source {root}: must be a folder, got {found}; check the path")
    read = HeaderReader(secret, workers=workers)
    return index_files(list_folder(root), read, config=config, on_progress=on_progress)


def index_files(
    listing: Listing,
    reader: HeaderReader,
    *,
    config: PreprocessConfig = DEFAULT,
    on_progress: Callable[[int, int], None] | None = None,
) -> Index:
    """Judge every series among the files of a source.

    Parameters
    ----------
    listing : Listing
        The files, and what is known of them.
    reader : HeaderReader
        How headers are read.
    config : PreprocessConfig
        What the series are wanted for: their z range, and what to do with gaps.
    on_progress : callable, optional
        Called with files read and files in all.

    Returns
    -------
    Index
        A sequence of `Verdict`, by SeriesInstanceUID.

    Raises
    ------
    EmptySource
        If no file is a DICOM image.
    ResourceError
        If the storage of objects does not answer.
    """
    headers, unread, torn = _read(listing, reader, on_progress)
    lacking = _read_series(listing, reader, headers, unread, on_progress)
    patients = {uid: found.patient for uid, found in lacking.items() if found.patient}
    sentences = {uid: found.lacking or "" for uid, found in lacking.items()}
    listing = replace(listing, incomplete={**listing.incomplete, **sentences})
    beside = OtherFiles(
        not_dicom=unread[Unread.NOT_DICOM],
        unreadable=unread[Unread.UNREADABLE],
        archives=unread[Unread.ARCHIVE],
        unlistable=listing.unlistable,
        missing_lines=listing.missing_lines,
    )
    if not headers and not listing.incomplete:
        raise EmptySource(_nothing_found(listing, beside))
    verdicts, seen = _judge_all(headers, listing, torn, reader, config)
    judged = {verdict.series_instance_uid: verdict for verdict in refuse_shared(verdicts, seen, reader.access)}
    return Index(tuple(_with_provenance(judged, listing, patients)), beside, listing.collections)


def _nothing_found(listing: Listing, beside: OtherFiles) -> str:
    if listing.of_pacs:
        return f"source {listing.name}: must hold series of the modality that is looked for, got none; check its UIDs"
    must = f"source {listing.name}: must hold DICOM images, got"
    if not beside.line:
        return f"{must} an empty folder, list or prefix; check its name"
    others = f"{beside.not_dicom} other files and {beside.unreadable} unreadable ones"
    more = f". {beside.line.removesuffix('.')}" if beside.may_hide_images else ""
    return f"{must} {others}; name the folder that holds the series{more}"


def _read(
    listing: Listing, reader: HeaderReader, on_progress: Callable[[int, int], None] | None
) -> tuple[HeaderGroups, Counter[Unread], set[str]]:
    """Read all headers, count the other files, and name the folders with unreadable ones."""
    headers = HeaderGroups()
    unread: Counter[Unread] = Counter()
    torn: set[str] = set()
    done = 0
    for batch, outcomes in reader.read(listing.files):
        for file, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Unread):
                unread[outcome] += 1
                torn |= {parent_of(file.path)} if outcome is Unread.UNREADABLE else set()
        headers.add([outcome for outcome in outcomes if isinstance(outcome, Header)])
        done += len(batch)
        if on_progress:
            on_progress(done, listing.n_files)
    return headers, unread, torn


def _read_series(
    listing: Listing,
    reader: HeaderReader,
    headers: HeaderGroups,
    unread: Counter[Unread],
    on_progress: Callable[[int, int], None] | None,
) -> dict[str, SeriesHeaders]:
    """Add the headers of a PACS's series, and return the series that are not whole, by UID."""
    lacking: dict[str, SeriesHeaders] = {}
    done = len(listing.files)
    for found in reader.read_series(listing.series) if listing.series else ():
        headers.add([outcome for outcome in found.outcomes if isinstance(outcome, Header)])
        unread.update(outcome for outcome in found.outcomes if isinstance(outcome, Unread))
        lacking |= {found.series.series_instance_uid: found} if found.lacking else {}
        done += found.series.n_instances or 0
        if on_progress:
            on_progress(done, listing.n_files)
    return lacking


def _judge_all(
    headers: HeaderGroups, listing: Listing, torn: set[str], reader: HeaderReader, config: PreprocessConfig
) -> tuple[list[Verdict], SeenInstances]:
    """Judge each series, and set its slices aside: only one series at a time is held with its headers."""
    verdicts: list[Verdict] = []
    seen, shelf = SeenInstances(), SliceShelf()
    for _, own in headers:
        verdict = judge_series(own, secret=reader.secret, config=config, access=reader.access)
        if torn and any(parent_of(header.path) in torn for header in own):
            verdict = _flagged(verdict, "unreadable-files-beside")
        seen.note(verdict)
        verdict = _attributed(verdict, listing)
        verdicts.append(replace(verdict, series=shelf.shelve(verdict.series)) if verdict.series else verdict)
    return verdicts, seen


def _with_provenance(judged: dict[str, Verdict], listing: Listing, patients: Mapping[str, str]) -> Iterator[Verdict]:
    """Refuse series that the public archive or a PACS does not deliver completely, and flag those of another size."""
    studies = {series.series_instance_uid: series.study_instance_uid for series in listing.series}
    for uid in sorted({*judged, *listing.incomplete}):
        if uid in listing.incomplete:
            sentence = f"series {uid}: {listing.incomplete[uid]}"
            verdict = _incomplete(uid, sentence, judged.get(uid), studies.get(uid))
            yield replace(verdict, patients=verdict.patients or tuple(filter(None, [patients.get(uid)])))
            continue
        verdict = judged[uid]
        yield _flagged(verdict, "size-differs-from-archive-index") if uid in listing.resized else verdict


def _incomplete(uid: str, sentence: str, judged: Verdict | None, study: str | None) -> Verdict:
    """Refuse an incomplete series; its patient and study come from the headers that arrived."""
    return Verdict(
        uid,
        VerdictReason.INCOMPLETE,
        sentence,
        judged.n_files if judged else 0,
        study_instance_uid=study,
        patients=judged.patients if judged else (),
        synthetic=judged.synthetic if judged else None,
        studies=tuple(sorted({*(judged.studies if judged else ()), *([study] if study else [])})),
    )


def _attributed(verdict: Verdict, listing: Listing) -> Verdict:
    """Add what the public archive says of the series."""
    if not listing.attributions or verdict.series is None:
        return verdict
    attribution = listing.attributions.get(parent_of(verdict.series.slices[0].path))
    return replace(verdict, series=replace(verdict.series, attribution=attribution))


def _flagged(verdict: Verdict, flag: str) -> Verdict:
    """Add a flag to a verdict and its series: an unreadable file may be a slice that is lacking at an end."""
    flags = (*verdict.flags, flag)
    series = verdict.series and replace(verdict.series, flags=flags)
    return replace(verdict, flags=flags, series=series)
