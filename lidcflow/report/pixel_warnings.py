"""Warn of pixels that look wrong: images that show nothing, values that no chest in Hounsfield units has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lidcflow.pixels.noticed import BLANK_SLICES, IMPLAUSIBLE, PARTLY_BLANK
from lidcflow.report.recommendation import SeriesWarning, SourceImage
from lidcflow.report.wording import image_numbers, image_word, join_words, runs
from lidcflow.store.record import VolumeRecord


def pixel_warnings(record: VolumeRecord) -> tuple[SeriesWarning, ...]:
    """Return a plain sentence for everything that preprocessing noticed in the pixels of a series; none for most.

    Parameters
    ----------
    record : VolumeRecord
        The volume.
    """
    return tuple(_warnings(record))


def _warnings(record: VolumeRecord) -> Iterator[SeriesWarning]:
    noticed, total = record.noticed, record.n_source_slices
    if blank := noticed.blank_slices:
        sentence = f"{len(blank)} of its {total} images {_hold(blank)} one constant value: {_named(record, blank)}."
        if slabs := noticed.blank_slabs:
            sentence += f" Not read and not recommended: slices {runs([k + 1 for k in slabs])}."
        yield SeriesWarning(code=BLANK_SLICES, sentence=sentence)
    if partly := noticed.partly_blank_slices:
        sentence = f"A part of {len(partly)} of its {total} images holds one constant value: {_named(record, partly)}."
        yield SeriesWarning(code=PARTLY_BLANK, sentence=f"{sentence} What lies there was not read.")
    if noticed.implausible:
        yield SeriesWarning(
            code=IMPLAUSIBLE,
            sentence=f"It has no values of {join_words(noticed.implausible)} as a chest in Hounsfield units has: its "
            "rescale values, the sign of its pixels or their unit may be wrong, or it shows another part of the body.",
        )


def _hold(indices: Sequence[int]) -> str:
    return "holds" if len(indices) == 1 else "hold"


def _named(record: VolumeRecord, indices: Sequence[int]) -> str:
    """Name source images by the numbers that viewers show, and the first of them by its UID."""
    images = [SourceImage(**record.source_slices[i]._asdict()) for i in indices]
    return f"{image_word(images)} {image_numbers(images)}, the first of them instance {images[0].sop_instance_uid}"
