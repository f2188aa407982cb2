"""Whose data a series is: what the public archive says of its collections."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attribution:
    """Whose data a series is, and under which terms it may be used.

    Parameters
    ----------
    collection : str
        Collection of the public archive, such as ``"lidc_idri"``.
    licence : str, optional
        Short name of the licence, such as ``"CC BY 3.0"``.
    doi : str, optional
        DOI that its users are to cite.
    """

    collection: str
    licence: str | None = None
    doi: str | None = None

    @property
    def terms(self) -> str:
        """Licence and address of the DOI, as people read them."""
        link = f"https://doi.org/{self.doi}" if self.doi else "no DOI"
        return f"{self.licence or 'no licence named'}, {link}"


@dataclass(frozen=True, slots=True)
class Collection:
    """What a source takes of a collection of the public archive.

    Parameters
    ----------
    attribution : Attribution
        Its name and terms.
    series, files, size_bytes : int
        How much of it.
    """

    attribution: Attribution
    series: int
    files: int
    size_bytes: int

    @property
    def line(self) -> str:
        """What people read.

        Examples
        --------
        >>> Collection(Attribution("a", "CC BY 3.0", "10.1/b"), 2, 1000, 3 * 10**9).line
        'a: 2 series, 1,000 files, 3.0 GB, CC BY 3.0, https://doi.org/10.1/b'
        """
        size = f"{self.series:,} series, {self.files:,} files, {self.size_bytes / 1e9:,.1f} GB"
        return f"{self.attribution.collection}: {size}, {self.attribution.terms}"
