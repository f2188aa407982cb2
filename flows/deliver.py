"""Deliver one answer to every target that lacks it, and keep in the ledger what each of them has."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pydicom

from lidcflow.config import Config
from lidcflow.dicom.records import VerdictReason
from lidcflow.errors import DocumentError, LidcflowError, PacsError, PacsUnavailable, ResourceError
from lidcflow.inbox.contents import refusal_content
from lidcflow.inbox.delivery import Delivery, RetryPolicy, Step
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.presence import holds_others_of_study, is_held, is_same_service, seen_now, still_held
from lidcflow.inbox.reach import PacsAvailability
from lidcflow.inbox.targets import DeliveryTarget
from lidcflow.release.record import ReleaseRecord
from lidcflow.source.files import SourceFile
from lidcflow.source.places import ImageSource
from tasks.documents import deliver, make
from tasks.series_result import SeriesResult

AWAY = "pacs"
"""Reason of what waits for a PACS."""


@dataclass(frozen=True)
class InboxSession:
    """Context of a delivery: ledger, release, the release's configuration, and unavailable targets.

    `sources` are by the text that the ledger knows them by; `begun_s` is when the round began, in seconds since 1970.
    """

    ledger: Ledger
    release: ReleaseRecord
    config: Config
    reach: PacsAvailability
    sources: Mapping[str, ImageSource]
    targets: tuple[DeliveryTarget, ...]
    begun_s: float = field(default_factory=time.time)

    @property
    def patience(self) -> RetryPolicy:
        """Number of attempts for a series."""
        settings = self.config.delivery
        return RetryPolicy(settings.attempts, settings.first_delay_s, settings.longest_delay_s)


class ImagesDeleted(LidcflowError):
    """The images of an answer were deleted where its documents go."""


def deliver_answer(
    reading: SeriesResult,
    delivery: Delivery,
    file: SourceFile | None,
    session: InboxSession,
    *,
    volume_digest: str | None,
) -> None:
    """Deliver one answer if its images are still those that were read; what fails is tried again.

    Documents are made before the images are looked at, so that as little time as possible lies between that look
    and the delivery. A series that was found to be gone gets none, and a refusal that was delivered before stands.
    """
    if reading.reason == VerdictReason.GONE:
        refuse_deleted(delivery, reading.sentence or "", session)
        return
    if reading.verdict == "not-evaluated" and session.ledger.confirm(delivery, _content_of(reading)):
        return
    try:
        made, undone = _made(reading, file, session)
        if _is_current(delivery, session):
            if undone:
                raise undone
            if _bring(made, reading, delivery, session):
                _finish(reading, delivery, session, volume_digest)
    except ImagesDeleted as error:
        refuse_deleted(delivery, str(error), session)
    except LidcflowError as error:
        if isinstance(error, PacsUnavailable):
            session.reach.lose(session.sources[delivery.source], error)
        defer([delivery], error, session)


def refuse_deleted(delivery: Delivery, sentence: str, session: InboxSession) -> None:
    """Record that the images of a series were deleted, and what each target took of its answer before."""
    session.ledger.refuse(delivery, VerdictReason.GONE, f"{sentence}{_sent_so_far(delivery, session)}")


def defer(deliveries: Sequence[Delivery], error: LidcflowError, session: InboxSession) -> None:
    """Record that deliveries without an answer failed, and why."""
    for one in deliveries:
        session.ledger.fail(one, reason_of(error), str(error), session.patience)


def reason_of(error: LidcflowError) -> str:
    """Name the kind of an error in a word or two."""
    if isinstance(error, PacsError):
        return AWAY
    return "resource" if isinstance(error, ResourceError) else "failed"


def waiting_for_targets(deliveries: Sequence[Delivery], session: InboxSession) -> set[int]:
    """Return the deliveries that have an answer and wait for nothing but targets that are away."""
    receipts = session.ledger.receipts.of([one.id for one in deliveries])
    found = set()
    for delivery, of_targets in receipts.items():
        has = {receipt.target for receipt in of_targets if receipt.sent}
        lacking = [target for target in session.targets if target.text not in has]
        if lacking and all(session.reach.why_away(target) for target in lacking):
            found.add(delivery)
    return found


def _made(
    reading: SeriesResult, file: SourceFile | None, session: InboxSession
) -> tuple[dict[str, bytes], DocumentError | None]:
    """Make the documents; that they can't be made may mean that the images are gone."""
    try:
        return make(reading, file, session.config), None
    except DocumentError as error:
        return {}, error


def _is_current(delivery: Delivery, session: InboxSession) -> bool:
    """Return whether the PACS holds what was read; where the series grew, the next round answers it as it is then.

    Raises
    ------
    ImagesDeleted
        If it holds nothing of the series.
    """
    now = seen_now(delivery, session.sources[delivery.source].service)
    if now is None or now.instances == delivery.instances:
        return True
    if not now.n_instances:
        raise _deleted(delivery)
    session.ledger.see(delivery.source, [now], session.release.version)
    return False


def _bring(made: Mapping[str, bytes], reading: SeriesResult, delivery: Delivery, session: InboxSession) -> bool:
    """Bring documents to each target that lacks them, and return whether every target has them now.

    A target that is away or refuses them holds back no other.
    """
    documents = sorted(map(_uid_of, made.values()))
    receipts = session.ledger.receipts.of([delivery.id]).get(delivery.id, [])
    has = {receipt.target for receipt in receipts if receipt.sent and sorted(receipt.documents) == documents}
    failed: list[LidcflowError] = []
    deferred: list[str] = []
    for target in session.targets if made else ():
        if target.text in has:
            continue
        if why := session.reach.why_away(target):
            deferred.append(why)
            session.ledger.receipts.owe(delivery.id, target.text)
            continue
        try:
            _send(made, reading, delivery, target, session)
        except ImagesDeleted:
            raise
        except LidcflowError as error:
            failed.append(error)
            session.ledger.receipts.owe(delivery.id, target.text)
            if isinstance(error, PacsUnavailable):
                session.reach.lose(target, error)
    if failed:
        defer([delivery], failed[0], session)
    elif deferred:
        session.ledger.defer(delivery, AWAY, deferred[0])
    return not (failed or deferred)


def _send(
    made: Mapping[str, bytes], reading: SeriesResult, delivery: Delivery, target: DeliveryTarget, session: InboxSession
) -> None:
    """Send documents to one target, between two looks at the images that they are about.

    A service may have no images of its own beside the documents; one that had them must not hold documents alone.

    Raises
    ------
    ImagesDeleted
        If the images were deleted, before or meanwhile.
    """
    service = target.service
    held = is_held(service, delivery)
    if held is False and is_same_service(session.sources[delivery.source].service, service):
        raise _deleted(delivery)
    if held is False and service and holds_others_of_study(service, delivery):
        raise PacsError(
            f"series {delivery.series_instance_uid}: target {target} must hold its images, as others of the study, "
            "got none; send them there, or wait until they arrive"
        )
    documents = [_uid_of(content) for content in made.values()]
    session.ledger.receipts.owe(delivery.id, target.text, documents)
    deliver(made, reading, target)
    session.ledger.receipts.add(delivery.id, target.text, documents)
    if held and not still_held(service, delivery):
        raise ImagesDeleted(
            f"series {delivery.series_instance_uid}: its images must stay in {target} while documents are stored, but "
            "were deleted meanwhile; look there, and delete documents that stand alone"
        )


def _finish(reading: SeriesResult, delivery: Delivery, session: InboxSession, volume_digest: str | None) -> None:
    if reading.verdict == "not-evaluated":
        session.ledger.refuse(delivery, reading.reason or "", reading.sentence or "")
    else:
        session.ledger.advance(delivery, Step.DELIVERED, volume_digest=volume_digest)


def _content_of(reading: SeriesResult) -> str:
    return refusal_content(reading.reason or "", reading.sentence or "")


def _deleted(delivery: Delivery) -> ImagesDeleted:
    return ImagesDeleted(
        f"series {delivery.series_instance_uid}: must stay in the PACS until it is answered, but was deleted; "
        "send it again to have it answered"
    )


def _sent_so_far(delivery: Delivery, session: InboxSession) -> str:
    """Name what each target took of an answer before its images were deleted."""
    receipts = session.ledger.receipts.of([delivery.id]).get(delivery.id, [])
    taken = [
        f"{one.target} {'has' if one.sent else 'may have'} {' and '.join(one.documents)}"
        for one in receipts
        if one.documents
    ]
    return f" ({', '.join(taken) or 'no documents were sent'})"


def _uid_of(content: bytes) -> str:
    header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
    return str(header.SOPInstanceUID)
