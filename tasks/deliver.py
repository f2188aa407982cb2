"""Make the documents of an answer, and bring them to a target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lidcflow.config import Config
from lidcflow.errors import DocumentError, LidcflowError, ResourceError
from lidcflow.inbox.targets import bring
from lidcflow.read.report import DATA
from lidcflow.source.files import SourceFile
from tasks.documents import documents_of
from tasks.infer import SeriesReading, page_folder


def make(reading: SeriesReading, file: SourceFile | None, config: Config) -> dict[str, bytes]:
    """Make the documents of a reading; none without targets, when the page is the delivery.

    A refusal whose source is gone, or does not say whose it is, gets no documents: they name patient and study.

    Raises
    ------
    DocumentError
        If they can't be made.
    ResourceError
        If the source does not answer.
    """
    if not config.delivery.to:
        return {}
    with _one_sentence(reading):
        try:
            return documents_of(reading.page.with_name(DATA), file, config.access) or {}
        except DocumentError:
            if reading.verdict != "not-evaluated":
                raise
            return {}


def deliver(made: Mapping[str, bytes], reading: SeriesReading, target: str, config: Config) -> None:
    """Bring documents to a target; brought twice, they are there once.

    Raises
    ------
    ResourceError
        If the target does not take them: they can be delivered again.
    """
    created_ns = reading.page.with_name(DATA).stat().st_mtime_ns
    place = page_folder(Path(), reading.study_instance_uid, reading.series_instance_uid)
    with _one_sentence(reading):
        bring(made, target, place, created_ns=created_ns, access=config.access)


@contextmanager
def _one_sentence(reading: SeriesReading) -> Iterator[None]:
    """Return what went wrong with the documents of one series, without anything that may hold a name."""
    uid = reading.series_instance_uid
    try:
        yield
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
