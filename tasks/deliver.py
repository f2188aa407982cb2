"""Deliver an answer: make its documents and bring them wherever the configuration says."""

from __future__ import annotations

from pathlib import Path

from lidcflow.config import Config
from lidcflow.errors import DocumentError, LidcflowError, ResourceError
from lidcflow.inbox.targets import bring
from lidcflow.read.report import DATA
from lidcflow.source.files import SourceFile
from tasks.documents import documents_of
from tasks.infer import SeriesReading, page_folder


def deliver(reading: SeriesReading, file: SourceFile | None, config: Config) -> None:
    """Bring the documents of a reading to every target; without targets or documents the page is the delivery.

    A refusal whose source is gone, or does not say whose it is, gets no documents: they name patient and study.

    Raises
    ------
    DocumentError
        If they can't be made.
    ResourceError
        If a target does not take them: they can be delivered again.
    """
    if not config.delivery.to:
        return
    uid = reading.series_instance_uid
    data = reading.page.with_name(DATA)
    try:
        made = documents_of(data, file, config.access)
        for target in config.delivery.to if made else ():
            place = page_folder(Path(), reading.study_instance_uid, uid)
            bring(made or {}, target, place, created_ns=data.stat().st_mtime_ns, access=config.access)
    except DocumentError:
        if reading.verdict != "not-evaluated":
            raise
    except LidcflowError:
        raise
    except OSError as error:
        found = error.strerror or type(error).__name__
        raise ResourceError(
            f"series {uid}: its documents must be written, got '{found}'; look at disk and folder"
        ) from None
    except Exception as error:  # whatever odd headers make of pydicom and highdicom; what they say may hold a name
        found = type(error).__name__
        raise DocumentError(
            f"series {uid}: documents must be made without an error, got {found}; report this"
        ) from None
