"""Write the DICOM documents of recommendations and send them to a target. Prefect is not imported here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lidcflow.config import Access, Config
from lidcflow.config.service import DOCUMENTS, DocumentKind
from lidcflow.documents.source_header import check_one_subject, source_header
from lidcflow.documents.write import are_written, gets_documents, write_documents
from lidcflow.errors import ConfigError, DocumentError, LidcflowError, ResourceError
from lidcflow.inbox.targets import DeliveryTarget
from lidcflow.report.page import DATA
from lidcflow.report.recommendation import Recommendation
from lidcflow.series.verdicts import Index
from lidcflow.source.files import SourceFile
from lidcflow.source.places import ImageSource
from tasks.infer import page_folder
from tasks.progress import stage
from tasks.series_result import SeriesResult


def check_documents(source: ImageSource, folder: Path | None, *, key: str = "infer.documents") -> None:
    """Raise for a wrong folder before anything starts.

    Raises
    ------
    ConfigError
        If documents would become part of their own source.
    """
    if folder and source.encloses(folder):
        raise ConfigError(
            f"{key}: the folder must lie outside the source, or documents are read as new series, "
            "got one in it; name another"
        )


def example_files(index: Index) -> dict[str, SourceFile]:
    """Name one file of each series, whose header identifies the patient."""
    files = {verdict.series_instance_uid: verdict.example for verdict in index.refused if verdict.example}
    for series in index.usable:
        top = series.slices[0]
        files[series.series_instance_uid] = SourceFile(top.path, top.file_bytes, top.version)
    return files


def write_documents_of(
    readings: Sequence[SeriesResult], files: Mapping[str, SourceFile], folder: Path, access: Access
) -> list[SeriesResult]:
    """Write the documents of every reading that lacks them; return the readings with where they are, or why not."""
    done = []
    with stage("documents", len(readings)) as progress:
        for reading in readings:
            done.append(reading.model_copy(update=document(reading, files, folder, access)))
            progress.advance()
    return done


def document(
    reading: SeriesResult, files: Mapping[str, SourceFile], folder: Path, access: Access
) -> dict[str, Path | str]:
    """Write the documents of one reading, from the recommendation beside its page."""
    uid = reading.series_instance_uid
    place = page_folder(folder.absolute(), reading.study_instance_uid, uid)
    try:
        return {"documents": place} if _written(reading.page.with_name(DATA), files.get(uid), place, access) else {}
    except DocumentError as error:
        return {"undocumented": f"series {uid}: {error}"}
    except LidcflowError:
        raise
    except OSError as error:
        found = error.strerror or type(error).__name__
        return {
            "undocumented": f"series {uid}: documents must be written, got '{found}'; check the disk and the folder"
        }
    except Exception as error:  # whatever odd headers make of pydicom and highdicom; what they say may hold a name
        found = type(error).__name__
        return {"undocumented": f"series {uid}: documents must be made without an error, got {found}; report this"}


def _written(data: Path, file: SourceFile | None, place: Path, access: Access) -> bool:
    """Write the documents that do not exist yet; return False for a series that gets none."""
    made_ns = data.stat().st_mtime_ns
    if are_written(place, created_ns=made_ns):
        return True
    made = documents_of(data, file, access)
    if made is None:
        return False
    write_documents(made, place, created_ns=made_ns)
    return True


def documents_of(
    data: Path, file: SourceFile | None, access: Access, kinds: Collection[DocumentKind] = DOCUMENTS
) -> dict[str, bytes] | None:
    """Make the documents of the recommendation in a file; None for a series that gets none.

    Raises
    ------
    DocumentError
        If the headers of its source lack what documents need, or its source is gone.
    ResourceError
        If the source does not answer.
    """
    said = Recommendation.model_validate_json(data.read_bytes())
    if not gets_documents(said):
        return None
    check_one_subject(said)
    from lidcflow.documents.encode import made_documents  # highdicom takes a second, and most flows make no documents

    return made_documents(said, source_header(file, access), created_ns=data.stat().st_mtime_ns, kinds=kinds)


def make(reading: SeriesResult, file: SourceFile | None, config: Config) -> dict[str, bytes]:
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
            kinds = config.delivery.documents
            return documents_of(reading.page.with_name(DATA), file, config.access, kinds) or {}
        except DocumentError:
            if reading.verdict != "not-evaluated":
                raise
            return {}


def deliver(made: Mapping[str, bytes], reading: SeriesResult, target: DeliveryTarget) -> None:
    """Bring documents to a target; brought twice, they are there once.

    Raises
    ------
    ResourceError
        If the target does not take them: they can be delivered again.
    """
    created_ns = reading.page.with_name(DATA).stat().st_mtime_ns
    place = page_folder(Path(), reading.study_instance_uid, reading.series_instance_uid)
    with _one_sentence(reading):
        target.bring(made, place, created_ns=created_ns)


@contextmanager
def _one_sentence(reading: SeriesResult) -> Iterator[None]:
    """Return what went wrong with the documents of one series, without anything that may hold a name."""
    uid = reading.series_instance_uid
    try:
        yield
    except LidcflowError:
        raise
    except OSError as error:
        found = error.strerror or type(error).__name__
        raise ResourceError(
            f"series {uid}: its documents must be written, got '{found}'; check the disk and the folder"
        ) from None
    except Exception as error:  # whatever odd headers make of pydicom and highdicom; what they say may hold a name
        found = type(error).__name__
        raise DocumentError(
            f"series {uid}: documents must be made without an error, got {found}; report this"
        ) from None
